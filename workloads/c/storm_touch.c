/* SPDX-License-Identifier: BSD-2-Clause */
/* So many faults that the default budget closes them on the way: what was sampled stands for the rest. */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "truth.h"

#define BYTES (512ul << 20)

static KEEP void fill(volatile char *region)
{
	for (unsigned long at = 0; at < BYTES; at += 4096)
		region[at] = 1; // SITE
}

int main(void)
{
	char *region =
		mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long before;

	if (region == MAP_FAILED || madvise(region, BYTES, MADV_NOHUGEPAGE))
		return 1;
	ready();
	before = rss_bytes();
	fill(region);
	TRUTH({"touched", BYTES}, {"rss", rss_bytes() - before});
	obey();
	return 0;
}
