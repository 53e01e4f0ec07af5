/* SPDX-License-Identifier: BSD-2-Clause */
/* One fault brings 512 pages: a sample has to be weighed by what RSS gained. */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/mman.h>

#include "truth.h"

#define HUGE  (2ul << 20)
#define BYTES (128ul << 20)

static KEEP void fill(volatile char *region)
{
	for (unsigned long at = 0; at < BYTES; at += 4096)
		region[at] = 1; // SITE
}

int main(void)
{
	char *region = mmap(
		NULL, BYTES + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long before;

	if (region == MAP_FAILED)
		return 1;
	region = (char *)(((uintptr_t)region + HUGE - 1) & -HUGE);
	if (madvise(region, BYTES, MADV_HUGEPAGE))
		return 1;
	ready();
	before = rss_bytes();
	fill(region);
	TRUTH({"touched", BYTES}, {"rss", rss_bytes() - before});
	obey();
	return 0;
}
