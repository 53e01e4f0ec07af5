/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What realloc is used for besides, and what is no finding: blocks that are made larger once, one that shrinks
 * to what it needs, and one array that is filled once and kept.
 */
#include <malloc.h>
#include <stdlib.h>

#include "truth.h"

#define BLOCKS 3000

static char *blocks[BLOCKS];
static unsigned long once;

static KEEP void make_larger(char **block)
{
	size_t usable = malloc_usable_size(*block);

	*block = realloc(*block, 16000); // ONCE
	(*block)[15999] = 1;
	once += usable < 16000;
}

static KEEP char *shrink(char *block)
{
	return realloc(block, 5000); // SHRINKS
}

static KEEP long *fill(size_t count)
{
	size_t room = 16;
	long *list = malloc(room * sizeof(long));

	for (size_t i = 0; i < count; i++) {
		if (i == room)
			list = realloc(list, (room *= 2) * sizeof(long)); // FILLS
		list[i] = (long)i;
	}
	return list;
}

int main(void)
{
	char *large;
	long *list;

	ready();
	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = malloc(8000);
	for (int i = 0; i < BLOCKS; i++)
		make_larger(&blocks[i]);
	large = shrink(malloc(1 << 20));
	list = fill(4000000);
	TRUTH({"once", once}, {"room", malloc_usable_size(list)});
	obey();
	free(large);
	free(list);
	return 0;
}
