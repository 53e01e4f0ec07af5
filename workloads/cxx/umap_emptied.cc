// SPDX-License-Identifier: BSD-2-Clause

// A cache of a million entries loses 99 % of them and stays in use: erase gives nodes back, never buckets.
#include <unordered_map>

#include "truth.h"

struct Cache {
	std::unordered_map<int, long> sessions;

	__attribute__((noinline)) void put(int key)
	{
		sessions[key] = key; // SITE
	}

	__attribute__((noinline)) void expire(int keep)
	{
		for (auto it = sessions.begin(); it != sessions.end();)
			it = it->first >= keep ? sessions.erase(it) : std::next(it);
	}
};

int main()
{
	Cache *cache = new Cache;
	unsigned long growths = 0, allocated = 0, garbage = 0;

	ready();
	for (int i = 0; i < 1000000; i++) {
		size_t before = cache->sessions.bucket_count();
		unsigned long held = held_bytes(cache->sessions);

		cache->put(i);
		if (cache->sessions.bucket_count() == before)
			continue;
		growths += before > 1;
		garbage += held;
		allocated += held_bytes(cache->sessions);
	}
	cache->expire(10000);
	unsigned long held = held_bytes(cache->sessions);
	truth({{"growths", growths}, {"length", cache->sessions.size()},
		{"slots", cache->sessions.bucket_count()}, {"held", held},
		{"retained", held - needed_bytes(cache->sessions)}, {"allocated", allocated},
		{"garbage", garbage}});
	int next = 0;
	obey([&] { cache->sessions.erase(next++); });
	delete cache;
}
