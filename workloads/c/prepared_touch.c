/* SPDX-License-Identifier: BSD-2-Clause */
/* calloc() of long ago: glibc has mapped it and knows that it is zero; the first write brings the pages. */
#include <stdlib.h>

#include "truth.h"

#define BLOCKS 16
#define BYTES  (3ul << 20)

static KEEP void use(char *block)
{
	memset(block, 1, BYTES);           // SITE
	__asm__ volatile("" ::: "memory"); /* no jump into it: it shall return here */
}

int main(void)
{
	static char *blocks[BLOCKS];
	unsigned long before;

	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = calloc(1, BYTES);
	ready();
	before = rss_bytes();
	for (int i = 0; i < BLOCKS; i++)
		use(blocks[i]);
	TRUTH({"touched", BLOCKS * BYTES}, {"rss", rss_bytes() - before});
	obey();
	return 0;
}
