/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * glibc's arenas as they lie in memory (malloc/malloc.c, malloc/arena.c; glibc 2.31 to 2.41, 64 bit), and
 * how to come to them without a symbol.
 */
#ifndef MEMTRACE_RUNTIME_GLIBC_ARENA_H
#define MEMTRACE_RUNTIME_GLIBC_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/table.h"
#include "target/mem.h"

#define GLIBC_FAST_BINS      10
#define GLIBC_BINS           127 /* 1 is the unsorted one */
#define GLIBC_FIRST_LARGE    64
#define GLIBC_HEAP_BYTES     (64ull << 20) /* and its alignment */
#define GLIBC_SIZE_FLAGS     7ull
#define GLIBC_PREVIOUS_USED  1ull
#define GLIBC_SMALLEST_CHUNK 32ull
#define GLIBC_MAX_ARENAS     4096
#define GLIBC_MAX_HEAPS      4096 /* of one arena */

/* struct malloc_state */
struct glibc_arena {
	int32_t mutex, flags, have_fast, pad;
	uint64_t fast[GLIBC_FAST_BINS];
	uint64_t top, last_remainder;
	struct {
		uint64_t next, previous;
	} bins[GLIBC_BINS];
	uint32_t binmap[4];
	uint64_t next, next_free, attached_threads, system_bytes, max_system_bytes;
};

#define GLIBC_NOT_CONTIGUOUS 2 /* of flags: the main arena is not one piece */

/* struct _heap_info, as far as all versions have it; what follows it is the arena or the first chunk. */
struct glibc_arena_heap {
	uint64_t arena, previous, bytes, mapped_bytes;
};

/* Of struct malloc_par */
struct glibc_params {
	uint64_t mapped_bytes;
	uint64_t start; /* of the main arena; 0 = it has nothing */
};

/* A main arena among the data of a file. -ENOENT, -ESRCH. */
int glibc_arena_find(struct target_mem *mem, const struct target_range *data, uint64_t *ret);

/* malloc's parameters among the same data, known by what they say of that arena. -ENOENT, -ESRCH. */
int glibc_params_find(struct target_mem *mem, const struct target_range *data,
	const struct glibc_arena *main, uint64_t *ret);
int glibc_params_read(struct target_mem *mem, uint64_t addr, struct glibc_params *ret);

/* Reads an arena and checks what can be checked of it: -EBADMSG. */
int glibc_arena_read(struct target_mem *mem, uint64_t addr, struct glibc_arena *ret);

/*
 * The chunks of the fast bins: they are free but look used, until malloc_trim() and others put them together
 * with their neighbours. Adds their addresses to fast, while it has less than max; returns the bytes of
 * those that had no room. ret_complete becomes false where they could not all be followed until
 * deadline_ns.
 */
uint64_t glibc_fast_chunks(struct target_mem *view, const struct glibc_arena *arena,
	uint64_t deadline_ns, struct table *fast, size_t max, bool *ret_complete);

/*
 * Addresses of free chunks, from the lists of large ones, ascending: a walk that has lost its way can go on
 * from them. Returns how many, at most max.
 */
size_t glibc_free_chunks(struct target_mem *view, uint64_t addr, const struct glibc_arena *arena,
	uint64_t *ret, size_t max);

#endif
