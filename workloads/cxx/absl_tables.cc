// SPDX-License-Identifier: BSD-2-Clause
// needs: absl_flat_hash_map absl_flat_hash_set

// A cache loses 99 % of its entries and stays in use: erase gives back no slots. Beside it what is normal: a set
// that was reserved right, a window of numbers that slides on (its table is purged of what was erased, in place,
// and does not grow), and a table that is made anew a hundred times.
#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <utility>

#include "truth.h"

template <typename T, int Number>
using Set = absl::flat_hash_set<T, absl::Hash<T>, std::equal_to<T>, Counted<T, Number>>;
template <typename K, typename V, int Number>
using Map = absl::flat_hash_map<K, V, absl::Hash<K>, std::equal_to<K>,
	Counted<std::pair<const K, V>, Number>>;

enum { SESSIONS, FRESH, RIGHT, WINDOW, SERVED };

struct Session {
	long stamps[5];
};

struct Cache {
	Map<int, Session, SESSIONS> sessions;

	__attribute__((noinline)) void put(int key)
	{
		sessions[key].stamps[0] = key; // SITE
	}
};

__attribute__((noinline)) static void slide(Set<long, WINDOW> &window, long number)
{
	window.insert(number); // WINDOW
	window.erase(number - 50000);
}

__attribute__((noinline)) static unsigned long serve(int n, Growths<SERVED> &growths)
{
	Map<int, int, SERVED> table;

	growths.begin_anew();
	for (int i = 0; i < n; i++) {
		table[i] = i; // STORM
		growths.look(table);
	}
	return table.size();
}

static unsigned long needed(const Cache &cache)
{
	Map<int, Session, FRESH> fresh;

	fresh.reserve(cache.sessions.size());
	return Counted<int, FRESH>::arrays().held;
}

int main()
{
	Cache *cache = new Cache;
	auto *right = new Set<int, RIGHT>;
	auto *window = new Set<long, WINDOW>;
	Growths<SESSIONS> sessions = {};
	Growths<WINDOW> slid = {};
	Growths<SERVED> served = {};
	unsigned long sum = 0;
	int next = 0;

	ready();
	for (int i = 0; i < 300000; i++) {
		cache->put(i);
		sessions.look(cache->sessions);
	}
	for (auto it = cache->sessions.begin(); it != cache->sessions.end();)
		if (it->first >= 3000)
			cache->sessions.erase(it++);
		else
			++it;
	right->reserve(100000);
	for (int i = 0; i < 100000; i++)
		right->insert(i);
	for (long i = 0; i < 500000; i++) {
		slide(*window, i);
		slid.look(*window);
	}
	for (int i = 0; i < 100; i++)
		sum += serve(20000, served);
	const Arrays &held = Counted<int, SESSIONS>::arrays(), &all = Counted<int, SERVED>::arrays();
	truth({{"growths", sessions.count}, {"length", cache->sessions.size()},
		{"slots", cache->sessions.bucket_count()}, {"held", held.held},
		{"allocated", held.allocated}, {"garbage", held.garbage},
		{"retained", held.held - needed(*cache)}, {"right", right->bucket_count()},
		{"window", slid.count}, {"storm", served.count}, {"made", all.allocated},
		{"replaced", all.garbage}, {"sum", sum}});
	obey([&] { cache->sessions.erase(next++); });
	delete window;
	delete right;
	delete cache;
}
