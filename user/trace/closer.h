/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The closer: threads that close links. Detaching a uprobe waits for every CPU to have left the
 * kernel's probe lists (a grace period, 40-150 ms for each descriptor), and nobody else may wait.
 */
#ifndef MEMTRACE_TRACE_CLOSER_H
#define MEMTRACE_TRACE_CLOSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct closer;

struct closer_done {
	uint32_t token;  /* as given to closer_submit() */
	uint64_t end_ns; /* CLOCK_MONOTONIC */
	uint64_t duration_ns;
};

int closer_start(struct closer **ret);

/* Gives descriptors away to be closed; they belong to the closer from here on. */
void closer_submit(struct closer *closer, uint32_t token, const int *fds, size_t count);

/* A closing that has ended and was not yet told, in the order in which they ended. False: none. Never blocks. */
bool closer_poll(struct closer *closer, struct closer_done *ret);

/* Waits until all that was submitted is closed. */
void closer_flush(struct closer *closer);

/* Flushes, ends the threads, frees. */
void closer_stop(struct closer *closer);

#endif
