/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who iterates over the maps that the census found: in the heap (the pass over pointers in go_owner.c says
 * where to look), and on the stacks of goroutines that do not run. What one that runs has on its stack
 * cannot be known without stopping it.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_census.h"
#include "runtime/go/go_goroutines.h"

struct stack_pass {
	struct census *census;
	const struct table *index_of;
};

/* A map's header, from its own address. */
static bool read_header(
	const struct runtime_process *process, uint64_t key, struct go_map_header *ret)
{
	uint8_t raw[GO_MAP_HEADER_BYTES];

	return !target_mem_read(process->mem, key, raw, sizeof(raw)) &&
	       go_map_parse(process, raw, ret);
}

/* An array that the map has left but that is still there: by which the iterator keeps it. */
static void add_array(struct census *census, struct census_iterators *iterators, uint64_t array)
{
	struct go_object object = {.addr = array};

	if (!array || go_heap_find_objects(census->process, &object, 1) ||
		object.state != GO_OBJECT_ALLOCATED || object.base != array ||
		object.span.elemsize <= iterators->array_bytes)
		return;
	iterators->array = array;
	iterators->array_bytes = object.span.elemsize;
}

bool census_add_iterator(struct census *census, struct census_find *find,
	const uint8_t raw[GO_ITERATOR_BYTES], const uint64_t *pcs)
{
	struct census_iterators *iterators = &find->iterators;
	struct go_iterator iterator;
	struct go_map_header header;

	if (!read_header(census->process, find->key, &header) ||
		!go_iterator_parse(census->process, raw, &header, &iterator))
		return false;
	if (iterator.ended && pcs)
		return true; /* nobody will look at it again */
	iterators->stamp = iterators->stamp * 31 + iterator.stamp;
	add_array(census, iterators, iterator.array);
	if (!pcs) {
		iterators->on_heap++;
		return true;
	}
	if (!iterators->on_stacks++)
		memcpy(iterators->pcs, pcs, sizeof(iterators->pcs));
	return true;
}

/* A pointer to a map on a stack; at: its place in words. */
static void take_pointer(struct stack_pass *pass, const struct go_stack *stack,
	struct census_find *find, const uint64_t *words, size_t at, size_t count)
{
	uint64_t all[RUNTIME_WAIT_PCS] = {0}, pcs[CENSUS_PCS] = {0};
	size_t start = at - GO_ITERATOR_MAP / 8, frames;

	if (at < GO_ITERATOR_MAP / 8 || start + GO_ITERATOR_BYTES / 8 > count ||
		!go_iterator_is_type(pass->census->process, words[at - 1])) {
		find->iterators.others = true;
		return;
	}
	frames = go_stack_walk(stack, stack->sp + 8 * at, all);
	memcpy(pcs, all, MIN(frames, (size_t)CENSUS_PCS) * sizeof(pcs[0]));
	if (!census_add_iterator(pass->census, find, (const uint8_t *)(words + start), pcs))
		find->iterators.others = true;
}

static int scan_stack(const struct go_stack *stack, void *arg)
{
	struct stack_pass *pass = arg;
	struct census *census = pass->census;
	uint64_t bytes = MIN(stack->hi - stack->sp, (uint64_t)CENSUS_SLICE_BYTES), index;
	const uint64_t *words = (const uint64_t *)(const void *)census->buffer;
	int r = census_read(census,
		&(struct target_piece){stack->sp, census->buffer, (uint32_t)bytes, false}, 1);

	for (size_t i = 0; !r && i < bytes / 8; i++)
		if (words[i] && table_get(pass->index_of, words[i], &index) &&
			census->finds[index].family == FAMILY_MAP)
			take_pointer(pass, stack, &census->finds[index], words, i, bytes / 8);
	return r ? r : census_progress(census, 0);
}

int census_find_on_stacks(struct census *census, const struct table *index_of)
{
	struct stack_pass pass = {census, index_of};
	int r = go_goroutines_stacks(census->process, scan_stack, &pass);

	return r == -ENOTSUP ? 0 : r;
}
