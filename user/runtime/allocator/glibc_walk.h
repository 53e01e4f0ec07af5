/* SPDX-License-Identifier: BSD-2-Clause */
/* A walk over one piece of glibc's heap, chunk after chunk. */
#ifndef MEMTRACE_RUNTIME_GLIBC_WALK_H
#define MEMTRACE_RUNTIME_GLIBC_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/table.h"
#include "target/mem.h"

/* All bytes; what a walk adds up. */
struct glibc_totals {
	uint64_t walked;
	uint64_t free;
	uint64_t cached;
	uint64_t pages, retained, retained_pages;
	uint64_t trim;
};

struct glibc_piece {
	uint64_t start, end;
	uint64_t top_addr;        /* of the word that holds the address of the arena's last chunk */
	const struct table *fast; /* free chunks that look used */
	bool trims_top;           /* malloc_trim() gives back from the end of it */
	/*
	 * The next address from which a chunk is known to begin, for a walk that has lost its way; 0 = none
	 * is known.
	 */
	uint64_t (*known_after)(uint64_t addr, void *arg);
	void *arg;
};

struct glibc_walk;

struct glibc_walk *glibc_walk_new(struct target_mem *mem, uint64_t deadline_ns);
void glibc_walk_free(struct glibc_walk *walk);

/*
 * Adds to the totals. 0; -ETIME after the deadline; -EBADMSG where part of the piece could not be walked.
 * What was walked counts in any case.
 */
int glibc_walk_piece(struct glibc_walk *walk, const struct glibc_piece *piece);

const struct glibc_totals *glibc_walk_totals(const struct glibc_walk *walk);

#endif
