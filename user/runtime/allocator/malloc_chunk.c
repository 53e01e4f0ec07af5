/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A chunk's size is a multiple of 16; the three low bits say that the chunk before it is in use, that it has
 * a mapping of its own, and that it is not of the main arena. Whether it is in use itself is said by the
 * chunk behind it. A block that was merged with a free one before it keeps its old size word, so "in use"
 * is what a freed block may look like as well: it is no proof of life.
 */
#include "runtime/allocator/malloc_chunk.h"

#include "base/mem.h"
#include "target/mem.h"

#define PREVIOUS_IN_USE 1
#define MAPPED          2
#define FLAGS           7
#define SIZE_WORD       8
#define SMALLEST        32
#define ALIGNMENT       16

/* A chunk may be cut from a larger one whose rest would be too small, or be rounded up to pages. */
#define SLACK TARGET_PAGE_BYTES

uint64_t malloc_usable(uint64_t asked)
{
	uint64_t chunk = (asked + SIZE_WORD + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);

	return MAX(chunk, (uint64_t)SMALLEST) - SIZE_WORD;
}

static enum malloc_chunk_state next_says(struct target_mem *mem, uint64_t next)
{
	uint64_t word;

	/* The last chunk of what is mapped: nobody can say. */
	if (target_mem_read_u64(mem, next + SIZE_WORD, &word))
		return MALLOC_CHUNK_IN_USE;
	return word & PREVIOUS_IN_USE ? MALLOC_CHUNK_IN_USE : MALLOC_CHUNK_FREE;
}

enum malloc_chunk_state malloc_chunk_read(
	struct target_mem *mem, uint64_t block, uint64_t asked, uint64_t *ret_usable)
{
	uint64_t chunk = block - 2 * SIZE_WORD, word, size;

	if (block % ALIGNMENT || block < 2 * SIZE_WORD)
		return MALLOC_CHUNK_NONE;
	if (target_mem_read_u64(mem, chunk + SIZE_WORD, &word))
		return target_mem_is_untouched(mem, chunk + SIZE_WORD) ? MALLOC_CHUNK_GONE
								       : MALLOC_CHUNK_NONE;
	size = word & ~(uint64_t)FLAGS;
	if (size % ALIGNMENT || size < asked + SIZE_WORD || size - asked > SLACK + 2 * ALIGNMENT)
		return MALLOC_CHUNK_NONE;
	*ret_usable = size - (word & MAPPED ? 2 * SIZE_WORD : SIZE_WORD);
	return word & MAPPED ? MALLOC_CHUNK_IN_USE : next_says(mem, chunk + size);
}

bool malloc_chunk_is_of(struct target_mem *mem, uint64_t block, uint64_t asked)
{
	uint64_t word, size;

	if (block % ALIGNMENT || block < 2 * SIZE_WORD ||
		target_mem_read_u64(mem, block - SIZE_WORD, &word))
		return false;
	size = word & ~(uint64_t)FLAGS;
	if (word & MAPPED)
		return size == ((asked + 2 * SIZE_WORD + TARGET_PAGE_BYTES - 1) &
				       ~(uint64_t)(TARGET_PAGE_BYTES - 1));
	return size == malloc_usable(asked) + SIZE_WORD;
}

bool malloc_block_held(
	struct target_mem *mem, bool *glibc, uint64_t block, uint64_t asked, uint64_t *ret_held)
{
	uint64_t usable = 0;

	switch (malloc_chunk_read(mem, block, asked, &usable)) {
	case MALLOC_CHUNK_IN_USE:
		*glibc = true;
		*ret_held = usable;
		return true;
	case MALLOC_CHUNK_NONE:
		*ret_held = asked;
		return !*glibc;
	default:
		return false;
	}
}
