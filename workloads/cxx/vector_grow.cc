// SPDX-License-Identifier: BSD-2-Clause

// One of each that grows by replacing its array, filled bit by bit; then the vector is emptied and stays in use.
#include <deque>
#include <string>
#include <vector>

#include "truth.h"

struct Entry {
	long key, value, stamp;
};

struct Log {
	unsigned long added;
	std::vector<long> values;
	std::vector<Entry> entries;
	std::string text;
	std::deque<long> queue;

	__attribute__((noinline)) void add_value(long value)
	{
		values.push_back(value); // VALUES
	}

	__attribute__((noinline)) void add_entry(long key)
	{
		entries.push_back({key, key, key}); // ENTRIES
	}

	__attribute__((noinline)) void add_text(char letter)
	{
		text.push_back(letter); // TEXT
		added++; // and is on the stack meanwhile
	}

	__attribute__((noinline)) void add_job(long job)
	{
		queue.push_back(job); // QUEUE
	}
};

// Entries of the array of blocks: std::_Deque_base begins with its address and its size.
static size_t blocks_of(const std::deque<long> &queue)
{
	size_t words[2];

	std::memcpy(words, static_cast<const void *>(&queue), sizeof(words));
	return words[1];
}

// What filling one of them did, by its capacity: growths, bytes of new and of replaced arrays.
struct Tally {
	unsigned long growths, allocated, garbage;

	void grew(unsigned long before, unsigned long after)
	{
		if (before == after)
			return;
		growths += before > 0;
		garbage += before;
		allocated += before > 0 ? after : 0;
	}
};

int main()
{
	Log *log = new Log;
	Tally values = {}, entries = {}, text = {}, queue = {};

	ready();
	for (long i = 0; i < 1000000; i++) {
		size_t before = log->values.capacity();

		log->add_value(i);
		values.grew(before * sizeof(long), log->values.capacity() * sizeof(long));
		before = log->entries.capacity();
		if (i < 100000)
			log->add_entry(i);
		entries.grew(before * sizeof(Entry), log->entries.capacity() * sizeof(Entry));
		before = log->text.capacity();
		log->add_text('a');
		if (before > std::string().capacity())
			text.grew(before, log->text.capacity());
	}
	for (long i = 0; i < 1000000; i++) {
		size_t before = blocks_of(log->queue);

		log->add_job(i);
		queue.grew(before * sizeof(long *), blocks_of(log->queue) * sizeof(long *));
	}
	log->values.resize(1000);
	unsigned long held = malloc_usable_size(log->values.data());
	truth({{"values", values.growths}, {"allocated", values.allocated}, {"garbage", values.garbage},
		{"entries", entries.growths}, {"entry_bytes", entries.allocated}, {"text", text.growths},
		{"text_bytes", text.allocated}, {"queue", queue.growths}, {"queue_bytes", queue.allocated},
		{"jobs", log->queue.size()},
		{"length", log->values.size()}, {"slots", log->values.capacity()}, {"held", held},
		{"retained", held - 1000 * sizeof(long)}});
	obey([&] { log->values.pop_back(); });
	delete log;
}
