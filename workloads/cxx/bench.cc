// SPDX-License-Identifier: BSD-2-Clause

// The native bench programs: bench umap|vector|malloc ROUNDS [COUNT] does the work and prints the CPU time it
// took. COUNT: of keys, of vectors, of blocks, in each round.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/resource.h>
#include <unordered_map>
#include <vector>

#include "truth.h"

namespace {

template <typename T> void keep(T &value)
{
	asm volatile("" : : "r"(&value) : "memory");
}

__attribute__((noinline)) void umap(int keys)
{
	std::unordered_map<int, int> map;

	for (int i = 0; i < keys; i++)
		map[i] = i;
	keep(map);
	for (int i = 0; i < keys; i++)
		map.erase(i);
	keep(map);
}

__attribute__((noinline)) void vector(int vectors)
{
	for (int i = 0; i < vectors; i++) {
		std::vector<int> list;

		for (int k = 0; k < 100000; k++)
			list.push_back(k);
		keep(list);
	}
}

// Blocks of many sizes, a thousand of them alive at a time.
__attribute__((noinline)) void blocks(int count)
{
	static void *alive[1000];
	uint32_t random = 1;

	for (int i = 0; i < count; i++) {
		random = random * 1664525 + 1013904223;
		void *&slot = alive[random / 65536 % 1000];
		std::free(slot);
		slot = std::malloc(16 + random % 500);
		keep(slot);
	}
}

uint64_t cpu_us()
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return 1000000 * static_cast<uint64_t>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       static_cast<uint64_t>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

}

int main(int argc, char **argv)
{
	std::string what = argc > 1 ? argv[1] : "umap";
	int rounds = argc > 2 ? std::atoi(argv[2]) : 1;
	int count = argc > 3 ? std::atoi(argv[3]) : what == "vector" ? 100 : 1000000;
	void (*work)(int) = what == "vector" ? vector : what == "malloc" ? blocks : umap;
	uint64_t before;

	ready();
	before = cpu_us();
	for (int i = 0; i < rounds; i++)
		work(count);
	truth<1>({{"cpu_us", cpu_us() - before}});
	obey([] {});
}
