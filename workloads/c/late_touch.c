/* SPDX-License-Identifier: BSD-2-Clause */
/* A region was mapped long ago; its pages come when they are written: 64 MiB, or as many as are named. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "truth.h"

static KEEP void fill(volatile char *region, unsigned long bytes)
{
	for (unsigned long at = 0; at < bytes; at += 4096)
		region[at] = 1; // SITE
}

int main(int argc, char **argv)
{
	unsigned long bytes = strtoul(argc > 1 ? argv[1] : "64", NULL, 10) << 20, before;
	char *region =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (region == MAP_FAILED || madvise(region, bytes, MADV_NOHUGEPAGE))
		return 1;
	ready();
	before = rss_bytes();
	fill(region, bytes);
	TRUTH({"touched", bytes}, {"rss", rss_bytes() - before});
	obey();
	return 0;
}
