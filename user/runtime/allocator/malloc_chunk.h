/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What glibc's malloc says of a block, read from outside: the word before the block holds its size
 * (malloc/malloc.c, struct malloc_chunk; the same since glibc 2.3).
 */
#ifndef MEMTRACE_RUNTIME_MALLOC_CHUNK_H
#define MEMTRACE_RUNTIME_MALLOC_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

struct target_mem;

enum malloc_chunk_state {
	MALLOC_CHUNK_NONE,   /* no such word: another allocator's block, or none */
	MALLOC_CHUNK_IN_USE, /* usable bytes are known */
	MALLOC_CHUNK_FREE,   /* given back */
	MALLOC_CHUNK_GONE,   /* its memory is not there any more */
};

/* Usable bytes of a block for which so many were asked, below the size at which mmap is used. */
uint64_t malloc_usable(uint64_t asked);

/* Looks at a block for which asked bytes were asked. */
enum malloc_chunk_state malloc_chunk_read(
	struct target_mem *mem, uint64_t block, uint64_t asked, uint64_t *ret_usable);

/* Whether exactly so many bytes were asked for a block: strict enough to find out how many they were. */
bool malloc_chunk_is_of(struct target_mem *mem, uint64_t block, uint64_t asked);

/*
 * Whether a block for which asked bytes were asked is there, and what it holds. *glibc: a block of glibc has
 * been seen in this process (set here); until then there may be another allocator, whose blocks say nothing.
 */
bool malloc_block_held(
	struct target_mem *mem, bool *glibc, uint64_t block, uint64_t asked, uint64_t *ret_held);

#endif
