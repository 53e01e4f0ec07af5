// SPDX-License-Identifier: BSD-2-Clause

// What every C++ workload shares: the protocol of workloads/go/truth.go (ready, act, TRUTH, obey), and
// what a container says of itself.
#ifndef TRUTH_H
#define TRUTH_H

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <cstdlib>
#include <malloc.h>
#include <new>

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

// What an allocator has seen of arrays: of those that are there, of all, of those that were given back.
struct Arrays {
	unsigned long held, allocated, garbage;
};

// Counts arrays; single objects (nodes) are not its business. Each number has figures of its own.
template <typename T, int Number> struct Counted {
	using value_type = T;
	template <typename U> struct rebind {
		using other = Counted<U, Number>;
	};

	Counted() = default;
	template <typename U> Counted(const Counted<U, Number> &) {}

	static Arrays &arrays()
	{
		return Counted<char, Number>::all();
	}

	static Arrays &all()
	{
		static Arrays of_this_number = {};
		return of_this_number;
	}

	T *allocate(size_t count)
	{
		void *block = std::malloc(count * sizeof(T));
		unsigned long bytes = count > 1 ? malloc_usable_size(block) : 0;

		if (!block)
			throw std::bad_alloc();
		arrays().held += bytes;
		arrays().allocated += bytes;
		return static_cast<T *>(block);
	}

	void deallocate(T *block, size_t count)
	{
		unsigned long bytes = count > 1 ? malloc_usable_size(block) : 0;

		arrays().held -= bytes;
		arrays().garbage += bytes;
		std::free(block);
	}

	friend bool operator==(const Counted &, const Counted &)
	{
		return true;
	}

	friend bool operator!=(const Counted &, const Counted &)
	{
		return false;
	}
};

// How often a table has grown that has its array from that allocator: it had one before.
template <int Number> struct Growths {
	size_t before;
	bool had;
	unsigned long count;

	template <typename T> void look(const T &table)
	{
		count += had && table.bucket_count() > before;
		before = table.bucket_count();
		had = Counted<char, Number>::arrays().held > 0;
	}

	void begin_anew()
	{
		had = false;
	}
};

// What a table of so many elements would hold if it were made anew.
template <typename T> static inline unsigned long needed_bytes(const T &table)
{
	T fresh;

	fresh.rehash(static_cast<size_t>((table.size() + 1) / fresh.max_load_factor()));
	return held_bytes(fresh);
}

#endif
