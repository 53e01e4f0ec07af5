/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places of sampled allocations (go_placed.h). Probes are open part of the time only, so another object may
 * take an address that was sampled without anybody seeing it. But first the one that was there must be
 * freed, and only a cycle of the collector can do that. So a sample stands for what is at its address
 *
 * - where no cycle has ended since, or
 * - where one has, and what is there has survived it: it was there before that cycle ended, and no cycle
 *   before it could have freed the other.
 *
 * Whoever is still there is good for another cycle from then on: all are asked at every poll that finds a
 * new cycle. Where two have ended between two polls nothing is certain, and the place is forgotten.
 * The sample says itself in which cycle it was taken (mspan.sweepgen of a span that is handed out is the
 * heap's), so it does not matter how late it comes.
 */
#include "runtime/go/go_placed.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAX_PLACED 512  /* the newest */
#define MIN_BYTES  8192 /* what is smaller makes no container large, and there are many */

struct placed {
	uint64_t addr; /* of the slot, 0 = none */
	uint32_t sweepgen;
	uint64_t pcs[CENSUS_PCS]; /* ends with 0 unless full */
};

struct go_placed {
	struct placed list[MAX_PLACED]; /* ring */
	struct table index_of;
	uint64_t count;    /* ever added */
	uint32_t sweepgen; /* of the heap at the last check */
};

struct go_placed *go_placed_new(void)
{
	return xcalloc(1, sizeof(struct go_placed));
}

void go_placed_free(struct go_placed *placed)
{
	if (!placed)
		return;
	table_done(&placed->index_of);
	free(placed);
}

static void forget(struct go_placed *placed, struct placed *entry)
{
	uint64_t index;

	if (entry->addr && table_get(&placed->index_of, entry->addr, &index) &&
		&placed->list[index] == entry)
		table_remove(&placed->index_of, entry->addr);
	entry->addr = 0;
}

void go_placed_add(struct go_placed *placed, uint64_t addr, uint64_t bytes, uint32_t sweepgen,
	const uint64_t *pcs, size_t count)
{
	uint64_t index = placed->count % MAX_PLACED, old;
	struct placed *entry = &placed->list[index];

	if (table_get(&placed->index_of, addr, &old))
		forget(placed, &placed->list[old]); /* whoever was there is not any more */
	if (bytes < MIN_BYTES || !count || sweepgen % 2)
		return;
	forget(placed, entry);
	*entry = (struct placed){.addr = addr, .sweepgen = sweepgen};
	memcpy(entry->pcs, pcs, MIN(count, (size_t)CENSUS_PCS) * sizeof(*pcs));
	table_set(&placed->index_of, addr, index);
	placed->count++;
}

/* Is what was found at its address the object that was sampled? Only asks, where it cannot be read. */
static bool is_same(struct placed *entry, const struct go_object *object)
{
	uint32_t cycles = (object->gc.sweepgen - entry->sweepgen) / 2;

	if (object->state != GO_OBJECT_ALLOCATED || object->base != entry->addr || cycles > 1 ||
		(cycles && !object->survived))
		return false;
	entry->sweepgen = object->gc.sweepgen;
	return true;
}

void go_placed_check(struct runtime_process *process)
{
	struct go_placed *placed = process->placed;
	struct go_object objects[MAX_PLACED];
	struct placed *asked[MAX_PLACED];
	struct go_gc gc;
	size_t count = 0;

	if (!placed || !placed->index_of.count || go_heap_read_gc(process, &gc) ||
		gc.sweepgen == placed->sweepgen)
		return;
	placed->sweepgen = gc.sweepgen;
	for (size_t i = 0; i < MAX_PLACED; i++)
		if (placed->list[i].addr && placed->list[i].sweepgen != gc.sweepgen) {
			asked[count] = &placed->list[i];
			objects[count++] = (struct go_object){.addr = placed->list[i].addr};
		}
	if (!count || go_heap_find_objects(process, objects, count))
		return;
	for (size_t i = 0; i < count; i++)
		if (objects[i].state != GO_OBJECT_UNREAD && !is_same(asked[i], &objects[i]))
			forget(placed, asked[i]);
}

bool go_placed_find_stack(
	struct runtime_process *process, uint64_t addr, uint64_t ret_pcs[CENSUS_PCS])
{
	struct go_placed *placed = process->placed;
	struct go_object object = {.addr = addr};
	struct placed *entry;
	uint64_t index;

	if (!placed || !placed->index_of.count || go_heap_find_objects(process, &object, 1) ||
		object.state != GO_OBJECT_ALLOCATED ||
		!table_get(&placed->index_of, object.base, &index))
		return false;
	entry = &placed->list[index];
	if (!is_same(entry, &object))
		return false;
	memcpy(ret_pcs, entry->pcs, sizeof(entry->pcs));
	return true;
}
