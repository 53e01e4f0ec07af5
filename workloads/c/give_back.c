/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory goes back to the kernel: half of it by madvise(2), half by munmap(2). */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "truth.h"

#define BYTES (64ul << 20)

static KEEP void fill(volatile char *region)
{
	for (unsigned long at = 0; at < BYTES; at += 4096)
		region[at] = 1; // SITE
}

int main(void)
{
	char *region =
		mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long peak;

	if (region == MAP_FAILED || madvise(region, BYTES, MADV_NOHUGEPAGE))
		return 1;
	ready();
	fill(region);
	peak = rss_bytes();
	if (madvise(region, BYTES / 2, MADV_DONTNEED) || munmap(region + BYTES / 2, BYTES / 2))
		return 1;
	TRUTH({"touched", BYTES}, {"returned", peak - rss_bytes()}, {"half", BYTES / 2});
	obey();
	return 0;
}
