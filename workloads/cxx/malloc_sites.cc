// SPDX-License-Identifier: BSD-2-Clause

// Places that allocate, each in its own way and size, in several threads at once. The truth is what each has
// asked for since the start, and what of it was not given back.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "truth.h"

namespace {

struct account {
	std::atomic<unsigned long> allocated{0}, in_use{0};
};

account all, none, some, grown, aligned, handed, large;

struct block {
	void *at = nullptr;
	unsigned long bytes = 0;
};

template <typename T> void touch(T &value)
{
	asm volatile("" : : "r"(&value) : "memory");
}

void took(account &of, unsigned long bytes)
{
	of.allocated += bytes;
	of.in_use += bytes;
}

void gave(account &of, unsigned long bytes)
{
	of.in_use -= bytes;
}

// What a thread has of each kind.
struct worker {
	uint32_t seed;
	std::vector<block> some, aligned, large;
	block grown;

	explicit worker(uint32_t number)
		: seed(number * 7919 + 1), some(500), aligned(50), large(4)
	{
	}

	uint32_t random()
	{
		seed = seed * 1664525 + 1013904223;
		return seed >> 8;
	}

	block &one_of(std::vector<block> &blocks)
	{
		return blocks[random() % blocks.size()];
	}
};

__attribute__((noinline)) void keep_all(worker &w)
{
	unsigned long bytes = 500 + w.random() % 3000;
	void *block = std::malloc(bytes);

	touch(block);
	took(all, bytes);
}

__attribute__((noinline)) void keep_none(worker &w)
{
	unsigned long bytes = 500 + w.random() % 1000;
	void *block = std::calloc(bytes, 2);

	touch(block);
	took(none, bytes * 2);
	std::free(block);
	gave(none, bytes * 2);
}

__attribute__((noinline)) void keep_some(worker &w)
{
	block &slot = w.one_of(w.some);

	::operator delete(slot.at);
	gave(some, slot.bytes);
	slot.bytes = 1000 + w.random() % 3000;
	slot.at = ::operator new(slot.bytes);
	touch(slot.at);
	took(some, slot.bytes);
}

__attribute__((noinline)) void grow(worker &w)
{
	block &slot = w.grown;
	unsigned long bytes = slot.bytes ? slot.bytes * 2 : 64;

	if (bytes > 65536) {
		std::free(slot.at);
		gave(grown, slot.bytes);
		slot = block();
		bytes = 64;
	}
	slot.at = std::realloc(slot.at, bytes);
	touch(slot.at);
	gave(grown, slot.bytes);
	took(grown, bytes);
	slot.bytes = bytes;
}

__attribute__((noinline)) void align(worker &w)
{
	block &slot = w.one_of(w.aligned);

	std::free(slot.at);
	gave(aligned, slot.bytes);
	slot.bytes = 4096 + w.random() % 64 * 64;
	if (w.random() % 2)
		slot.at = std::aligned_alloc(64, slot.bytes);
	else if (posix_memalign(&slot.at, 256, slot.bytes))
		slot = block();
	touch(slot.at);
	took(aligned, slot.bytes);
}

// What one thread allocates another gives back, or gives back what a third one has left.
__attribute__((noinline)) void hand_over(worker &w)
{
	static std::mutex lock;
	static block mailbox[256];
	block mine;

	mine.bytes = 200 + w.random() % 1000;
	mine.at = std::malloc(mine.bytes);
	touch(mine.at);
	took(handed, mine.bytes);
	{
		std::lock_guard<std::mutex> guard(lock);

		std::swap(mine, mailbox[w.random() % 256]);
	}
	std::free(mine.at);
	gave(handed, mine.bytes);
}

// Above the size from which malloc() asks mmap(), at least at first.
__attribute__((noinline)) void keep_large(worker &w)
{
	block &slot = w.one_of(w.large);

	std::free(slot.at);
	gave(large, slot.bytes);
	slot.bytes = 150000 + w.random() % 500000;
	slot.at = std::malloc(slot.bytes);
	touch(slot.at);
	took(large, slot.bytes);
}

// Time that has nothing to do with malloc.
void work_us(long us)
{
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += us * 1000;
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - end.tv_sec) * 1000000000L + now.tv_nsec < end.tv_nsec);
}

void run(worker &w, int rounds, long work)
{
	for (int i = 0; i < rounds; i++) {
		keep_none(w);
		keep_some(w);
		hand_over(w);
		if (i % 2 == 0)
			keep_all(w);
		if (i % 4 == 0)
			align(w);
		if (i % 4 == 1)
			grow(w);
		if (i % 256 == 0)
			keep_large(w);
		if (work)
			work_us(work);
	}
}

}

// malloc_sites ROUNDS THREADS WORK: so many microseconds of other work after each round
int main(int argc, char **argv)
{
	int rounds = argc > 1 ? std::atoi(argv[1]) : 10000;
	int threads = argc > 2 ? std::atoi(argv[2]) : 1;
	long work = argc > 3 ? std::atol(argv[3]) : 0;
	std::vector<std::thread> running;
	std::vector<worker *> workers;

	for (int i = 0; i < threads; i++)
		workers.push_back(new worker((uint32_t)i));
	ready();
	for (int i = 0; i < threads; i++)
		running.emplace_back([=] { run(*workers[i], rounds, work); });
	for (std::thread &thread : running)
		thread.join();
	truth<14>({{"all_allocated", all.allocated}, {"all_in_use", all.in_use},
		{"none_allocated", none.allocated}, {"none_in_use", none.in_use},
		{"some_allocated", some.allocated}, {"some_in_use", some.in_use},
		{"grown_allocated", grown.allocated}, {"grown_in_use", grown.in_use},
		{"aligned_allocated", aligned.allocated}, {"aligned_in_use", aligned.in_use},
		{"handed_allocated", handed.allocated}, {"handed_in_use", handed.in_use},
		{"large_allocated", large.allocated}, {"large_in_use", large.in_use}});
	obey([] {});
}
