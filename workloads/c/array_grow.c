/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two arrays that realloc makes larger, by a factor and by a constant, in turns with blocks that stay between
 * them: so some growths move them and some do not. What malloc has done is told by the address, and by the
 * bit of its size word that says that a block has a mapping of its own, which is never copied.
 */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

#include "truth.h"

#define FLOOR 4096 /* smaller new sizes are not looked at */

struct array {
	long *data;
	size_t length, room;
};

struct tally {
	unsigned long growths, allocated, garbage;
};

static int is_mapped(const void *block)
{
	return ((const size_t *)block)[-1] & 2;
}

/* What the realloc that has just returned did. */
static void count(struct tally *tally, uintptr_t before, size_t usable, int mapped, const void *now,
	size_t asked)
{
	int copied = before && !mapped && before != (uintptr_t)now;

	if (!before || asked < FLOOR || asked <= usable)
		return;
	tally->growths++;
	tally->garbage += copied ? usable : 0;
	tally->allocated += malloc_usable_size((void *)now) - (copied ? 0 : usable);
}

static KEEP void add_doubling(struct array *array, struct tally *tally, long value)
{
	if (array->length == array->room) {
		uintptr_t before = (uintptr_t)array->data;
		size_t usable = malloc_usable_size(array->data);
		int mapped = before && is_mapped(array->data);

		array->room = array->room ? 2 * array->room : 64;
		array->data = realloc(array->data, array->room * sizeof(long)); // DOUBLES
		count(tally, before, usable, mapped, array->data, array->room * sizeof(long));
	}
	array->data[array->length++] = value;
}

static KEEP void add_stepping(struct array *array, struct tally *tally, long value)
{
	if (array->length == array->room) {
		uintptr_t before = (uintptr_t)array->data;
		size_t usable = malloc_usable_size(array->data);
		int mapped = before && is_mapped(array->data);

		array->room += 256;
		array->data = realloc(array->data, array->room * sizeof(long)); // STEPS
		count(tally, before, usable, mapped, array->data, array->room * sizeof(long));
	}
	array->data[array->length++] = value;
}

int main(void)
{
	struct array doubling = {0}, stepping = {0};
	struct tally doubled = {0}, stepped = {0};
	static void *between[4096];

	ready();
	for (long i = 0; i < 1000000; i++) {
		add_doubling(&doubling, &doubled, i);
		if (i < 100000)
			add_stepping(&stepping, &stepped, i);
		if (i % 256 == 255)
			between[i / 256 % 4096] = malloc(64);
	}
	TRUTH({"growths", doubled.growths}, {"allocated", doubled.allocated},
		{"garbage", doubled.garbage}, {"steps", stepped.growths},
		{"step_bytes", stepped.allocated}, {"step_garbage", stepped.garbage},
		{"held", malloc_usable_size(doubling.data)}, {"capacity", doubling.room * sizeof(long)});
	obey();
	return between[0] == NULL;
}
