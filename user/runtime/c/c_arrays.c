/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A block that realloc has made larger is a growing array, whatever is in it: its container is the block, from
 * one address to the next. What has not moved has replaced nothing, and what has a mapping of its own is never
 * copied (the kernel moves its pages, mremap): neither leaves garbage.
 */
#include "runtime/c/c_arrays.h"

#include <errno.h>

#include "base/mem.h"
#include "runtime/allocator/malloc_chunk.h"
#include "runtime/c/c_identify.h"
#include "runtime/resident.h"
#include "target/mem.h"

#define MAX_BYTES (1ull << 46)
#define SIZE_WORD 8
#define SMALLEST  (4 * SIZE_WORD) /* of a chunk */
#define HEAD      (2 * SIZE_WORD) /* before the block, where a chunk has a mapping of its own */

/* Bytes of a block for which so many were asked; one of its own is of whole pages. */
static uint64_t usable_of(struct target_mem *mem, uint64_t block, uint64_t asked, bool mapped)
{
	uint64_t usable = malloc_usable(asked), page = TARGET_PAGE_BYTES, now;

	if (mapped)
		return ((usable + HEAD + page - 1) & ~(page - 1)) - HEAD;
	/* A large one may have left the heap for a mapping, and not have gone since. */
	return malloc_chunk_read(mem, block, asked, &now) == MALLOC_CHUNK_IN_USE ? now : usable;
}

/* The size that was seen at the call comes to its result; 0 = that was not seen. */
static uint64_t size_at_call(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record)
{
	struct c_call *call = &process->calls[record->tid % C_CALLS];

	if (probe->probe == C_PROBE_SIZE)
		*call = (struct c_call){record->tid, record->val[1], record->val[2]};
	else if (probe->probe != C_PROBE_RESULT)
		return record->val[2];
	else if (call->tid == record->tid && call->block == record->val[1])
		return call->size;
	return 0;
}

int c_arrays_decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret, uint64_t *ret_type)
{
	uint64_t asked = record->val[0], old = record->val[1];
	uint64_t size = size_at_call(process, probe, record);
	bool mapped = probe->probe == C_PROBE_MAPPED;
	uint64_t block = record->addr + (mapped ? HEAD : 0);
	uint64_t old_usable = size - (mapped ? HEAD : SIZE_WORD);
	struct event_growth *growth = &ret->growth;

	/* NULL, MAP_FAILED: there was no memory, and the old block is still there. */
	if (!size || !record->addr || block < HEAD)
		return -ENODATA;
	if (!old || block % 16 || old % 16 || size < SMALLEST || size > MAX_BYTES ||
		asked > MAX_BYTES)
		return -EBADMSG;
	if (asked <= old_usable)
		return -ENODATA;
	ret->kind = EVENT_GROWTH;
	growth->family = FAMILY_ARRAY;
	growth->key = block;
	growth->old_key = old;
	growth->capacity = asked;
	growth->held_bytes = usable_of(process->mem, block, asked, mapped);
	growth->garbage_bytes = mapped || block == old ? 0 : old_usable;
	growth->allocated_bytes = growth->held_bytes - (growth->garbage_bytes ? 0 : old_usable);
	*ret_type = asked;
	return 0;
}

void c_arrays_look(struct runtime_process *process, uint64_t key, uint64_t asked, bool deep,
	struct event_look *ret)
{
	*ret = (struct event_look){.family = FAMILY_ARRAY, .key = key, .liveness = LIVENESS_DEAD};
	if (!malloc_block_held(process->mem, &process->glibc_malloc, key, asked, &ret->held_bytes))
		return;
	ret->liveness = LIVENESS_ALLOCATED;
	ret->capacity = asked;
	if (!deep)
		return;
	ret->has_resident = true;
	ret->resident_bytes = resident_bytes(process->mem, key, asked);
}
