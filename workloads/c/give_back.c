/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory comes by mmap(2) in one function and goes back: half of it by madvise(2), half by munmap(2). */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "truth.h"

#define BYTES (64ul << 20)

static KEEP char *get(void)
{
	char *region =
		mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return region == MAP_FAILED || madvise(region, BYTES, MADV_NOHUGEPAGE) ? NULL : region;
}

static KEEP void fill(volatile char *region)
{
	for (unsigned long at = 0; at < BYTES; at += 4096)
		region[at] = 1; // SITE
}

int main(void)
{
	unsigned long peak;
	char *region;

	ready();
	region = get();
	if (!region)
		return 1;
	fill(region);
	peak = rss_bytes();
	if (madvise(region, BYTES / 2, MADV_DONTNEED) || munmap(region + BYTES / 2, BYTES / 2))
		return 1;
	TRUTH({"touched", BYTES}, {"returned", peak - rss_bytes()}, {"half", BYTES / 2});
	obey();
	return 0;
}
