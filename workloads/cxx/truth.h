// SPDX-License-Identifier: BSD-2-Clause

// What every C++ workload shares: the protocol of workloads/go/truth.go (ready, act, TRUTH, obey), and
// what a container says of itself.
#ifndef TRUTH_H
#define TRUTH_H

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <malloc.h>

static inline bool next_line(char (&line)[64])
{
	if (!std::fgets(line, sizeof(line), stdin))
		return false;
	line[std::strcspn(line, "\n")] = 0;
	return true;
}

static inline void say(const char *word)
{
	std::puts(word);
	std::fflush(stdout);
}

// Says that the program is up and waits for the start.
static inline void ready()
{
	char line[64];

	say("ready");
	next_line(line);
}

// For programs that go on until they are told to stop.
static inline void run_until_stop()
{
	char line[64];

	say("running");
	next_line(line);
}

// Prints a list of keys and values.
struct fact {
	const char *key;
	unsigned long value;
};

template <size_t N> static inline void truth(const fact (&facts)[N])
{
	std::printf("TRUTH");
	for (const fact &f : facts)
		std::printf(" %s=%lu", f.key, f.value);
	std::printf("\n");
	std::fflush(stdout);
}

// Obeys lines until "end"; "gc" is how the driver says "go on": act() is called and "ok" answered.
template <typename F> static inline void obey(F act)
{
	char line[64];

	while (next_line(line) && std::strcmp(line, "end")) {
		if (!std::strcmp(line, "gc")) {
			act();
			say("ok");
		}
	}
}

// Usable bytes of the bucket array: std::_Hashtable begins with its address.
template <typename T> static inline unsigned long held_bytes(const T &table)
{
	void *buckets;

	std::memcpy(&buckets, static_cast<const void *>(&table), sizeof(buckets));
	return table.bucket_count() > 1 ? malloc_usable_size(buckets) : 0;
}

// What a table of so many elements would hold if it were made anew.
template <typename T> static inline unsigned long needed_bytes(const T &table)
{
	T fresh;

	fresh.rehash(static_cast<size_t>((table.size() + 1) / fresh.max_load_factor()));
	return held_bytes(fresh);
}

#endif
