// SPDX-License-Identifier: BSD-2-Clause

// Three places that allocate: one keeps all, one nothing, one a thousand at a time. The truth is what each has
// allocated, and has in use, as malloc counts it.
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <string>

#include "truth.h"

namespace {

struct account {
	unsigned long allocated, in_use;
};

account kept, gone, some;

template <typename T> void touch(T &value)
{
	asm volatile("" : : "r"(&value) : "memory");
}

void *take(account &of, void *block)
{
	touch(block);
	of.allocated += malloc_usable_size(block);
	of.in_use += malloc_usable_size(block);
	return block;
}

void give(account &of, void *block)
{
	if (block)
		of.in_use -= malloc_usable_size(block);
	std::free(block);
}

__attribute__((noinline)) void keep_all(uint32_t random)
{
	take(kept, std::malloc(100 + random % 400));
	touch(kept);
}

__attribute__((noinline)) void keep_none(uint32_t random)
{
	void *block = take(gone, std::calloc(1, 500 + random % 1000));

	give(gone, block);
	touch(gone);
}

__attribute__((noinline)) void keep_some(uint32_t random)
{
	static void *alive[1000];
	void *&slot = alive[random / 65536 % 1000];

	give(some, slot);
	slot = take(some, operator new(1000 + random % 3000));
	touch(some);
}

// CPU time that has nothing to do with malloc.
void work_us(long us)
{
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += us * 1000;
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - end.tv_sec) * 1000000000L + now.tv_nsec < end.tv_nsec);
}

}

// malloc_sites ROUNDS WORK: so many microseconds of other work after each round
int main(int argc, char **argv)
{
	int rounds = argc > 1 ? std::atoi(argv[1]) : 100000;
	long work = argc > 2 ? std::atol(argv[2]) : 0;
	uint32_t random = 1;

	ready();
	for (int i = 0; i < rounds; i++) {
		random = random * 1664525 + 1013904223;
		if (i % 10 == 0)
			keep_all(random / 7);
		keep_none(random / 7);
		keep_some(random);
		if (work)
			work_us(work);
	}
	truth<6>({{"kept", kept.in_use}, {"gone", gone.in_use}, {"some", some.in_use},
		{"kept_allocated", kept.allocated}, {"gone_allocated", gone.allocated},
		{"some_allocated", some.allocated}});
	obey([] {});
}
