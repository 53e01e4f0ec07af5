/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The heap of glibc's malloc (2.31 to 2.41), walked from outside while the program runs: what is free in
 * it, and how much of that the system could have back.
 */
#ifndef MEMTRACE_RUNTIME_GLIBC_HEAP_H
#define MEMTRACE_RUNTIME_GLIBC_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "model/event.h"
#include "target/mem.h"

struct glibc_heap;

/*
 * Looks for the main arena in writable data of libc.so.6, or of an executable that was linked with all of
 * libc. 0; -ENOENT where there is none, or malloc has not been used yet; -ESRCH.
 */
int glibc_heap_open(struct target_mem *mem, const struct target_range *data, size_t count,
	struct glibc_heap **ret);
void glibc_heap_close(struct glibc_heap *heap);

/*
 * Walks all arenas, until deadline_ns (CLOCK_MONOTONIC) at the latest: what is not reached by then, or
 * cannot be read, is estimated from the rest. All of ret but names and lazy_bytes. 0, -ESRCH, or -EBADMSG where nothing of
 * it makes sense.
 */
int glibc_heap_read(struct glibc_heap *heap, uint64_t deadline_ns, struct event_allocator *ret);

#endif
