/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many small things of a target's memory, read as few large pieces: each piece costs the kernel about as much
 * as a kilobyte does, so what lies close together is read with what lies between.
 */
#ifndef MEMTRACE_TARGET_GATHER_H
#define MEMTRACE_TARGET_GATHER_H

#include <stddef.h>
#include <stdint.h>

#include "target/mem.h"

struct gather_place {
	uint32_t piece, skip, bytes;
};

/* All zero is an empty one; what it has room for is kept. */
struct gather {
	struct gather_place *places;
	size_t place_count, place_capacity;
	struct target_piece *pieces;
	size_t piece_count, piece_capacity;
	uint8_t *bytes;
	size_t byte_capacity;
};

void gather_done(struct gather *gather);
void gather_clear(struct gather *gather);

/* Notes a thing to be read; their numbers count up from 0. Neighbours are best added one after the other. */
void gather_add(struct gather *gather, uint64_t addr, uint32_t bytes);

/* Reads all of them: 0, or what target_mem_read_pieces() says. */
int gather_read(struct gather *gather, struct target_mem *mem);

/* The bytes of one after gather_read(); NULL = not there, or a close neighbour is not. */
const void *gather_get(const struct gather *gather, size_t i);

#endif
