// SPDX-License-Identifier: BSD-2-Clause

// Vectors that grow otherwise than by one: resize, insert of one, of many and of a range, reserve, assign. One of
// them loses nearly all its elements and stays in use.
#include <vector>

#include "truth.h"

struct Entry {
	long key, value, stamp;
};

struct Log {
	long number;
	std::vector<long> resized;
	std::vector<Entry> inserted;
	std::vector<int> filled;
	std::vector<long> ranged;
	std::vector<Entry> reserved;

	__attribute__((noinline)) void resize(size_t size)
	{
		resized.resize(size); // RESIZE
		number++;
	}

	__attribute__((noinline)) void insert(long key)
	{
		inserted.insert(inserted.begin() + inserted.size() / 2, {key, key, key}); // INSERT
		number++;
	}

	__attribute__((noinline)) void fill(size_t count)
	{
		filled.insert(filled.end(), count, 7); // FILL
		number++;
	}

	__attribute__((noinline)) void range(const long *from, const long *to)
	{
		ranged.insert(ranged.end(), from, to); // RANGE
		number++;
	}

	__attribute__((noinline)) void reserve(size_t count)
	{
		reserved.reserve(count); // RESERVE
		number++;
	}
};

// What filling one of them did: growths of an array, bytes of new and of replaced arrays.
struct Tally {
	size_t before;
	unsigned long growths, allocated, garbage;

	template <typename T> void look(const std::vector<T> &vector)
	{
		size_t bytes = vector.capacity() * sizeof(T);

		if (bytes == before)
			return;
		growths += before > 0;
		garbage += before;
		allocated += before > 0 ? bytes : 0;
		before = bytes;
	}
};

int main()
{
	Log *log = new Log;
	Tally resized = {}, inserted = {}, filled = {}, ranged = {}, reserved = {};
	const long numbers[] = {1, 2, 3, 4, 5, 6, 7};

	ready();
	for (size_t i = 1; i <= 2000; i++) {
		log->resize(i * 500);
		resized.look(log->resized);
		log->insert(static_cast<long>(i));
		inserted.look(log->inserted);
		log->fill(100);
		filled.look(log->filled);
		log->range(numbers, numbers + 7);
		ranged.look(log->ranged);
		if (i % 100 == 0)
			log->reserve(i * 10);
		reserved.look(log->reserved);
	}
	log->resize(1000);
	unsigned long held = malloc_usable_size(log->resized.data());
	truth({{"resized", resized.growths}, {"resized_bytes", resized.allocated},
		{"resized_garbage", resized.garbage}, {"inserted", inserted.growths},
		{"inserted_garbage", inserted.garbage}, {"filled", filled.growths},
		{"filled_garbage", filled.garbage}, {"ranged", ranged.growths},
		{"ranged_garbage", ranged.garbage}, {"reserved", reserved.growths},
		{"reserved_garbage", reserved.garbage}, {"slots", log->resized.capacity()},
		{"held", held}, {"retained", held - 1000 * sizeof(long)},
		{"number", static_cast<unsigned long>(log->number)}});
	obey([&] { log->resized.pop_back(); });
	delete log;
}
