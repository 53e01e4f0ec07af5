/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 40 GiB of address space with a page here and there. One thread maps and unmaps all the time, and so knows
 * for how long anybody has held the lock of the address space: what it waited for a CPU is not counted.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#include "truth.h"

#define BYTES   (40ul << 30)
#define STRIDE  (16ul << 20)
#define SLOW_NS 100000000ull

static _Atomic int over;
static unsigned long calls, slow;
static uint64_t longest_ns;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Nanoseconds for which this thread could have run and did not: its schedstat, second number. */
static uint64_t queued_ns(int schedstat)
{
	unsigned long long ran, queued;
	char text[64];
	ssize_t n = pread(schedstat, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = 0;
	return sscanf(text, "%llu %llu", &ran, &queued) == 2 ? queued : 0;
}

static void *map_and_unmap(void *arg)
{
	int schedstat = open("/proc/thread-self/schedstat", O_RDONLY);

	while (!over) {
		uint64_t queued = queued_ns(schedstat), begin_ns = now_ns(), took_ns;
		char *page = mmap(
			NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		munmap(page, 4096);
		took_ns = now_ns() - begin_ns;
		queued = queued_ns(schedstat) - queued;
		took_ns -= queued < took_ns ? queued : took_ns;
		longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
		slow += took_ns > SLOW_NS;
		calls++;
		nanosleep(&(struct timespec){0, 200000}, NULL);
	}
	return arg;
}

int main(void)
{
	char *region = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char line[64];
	pthread_t thread;

	if (region == MAP_FAILED || madvise(region, BYTES, MADV_NOHUGEPAGE))
		return 1;
	for (unsigned long at = 0; at < BYTES; at += STRIDE)
		region[at] = 1;
	if (pthread_create(&thread, NULL, map_and_unmap, NULL))
		return 1;
	ready();
	puts("running");
	fflush(stdout);
	next_line(line);
	over = 1;
	pthread_join(thread, NULL);
	TRUTH({"calls", calls}, {"slow", slow}, {"longest_us", longest_ns / 1000});
	obey();
	return 0;
}
