/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where arrays were allocated that a sample has seen being made: of programs that keep no allocation
 * profile. A sample of a large object, or of the first slot of a fresh span, knows the address.
 */
#ifndef MEMTRACE_RUNTIME_GO_PLACED_H
#define MEMTRACE_RUNTIME_GO_PLACED_H

#include "runtime/go/go_census.h"

struct go_placed;

struct go_placed *go_placed_new(void);
void go_placed_free(struct go_placed *placed);

/*
 * An object at addr was allocated with a stack (pcs: return addresses) when the heap's sweepgen was that.
 * Small ones, and those without a stack, are not kept.
 */
void go_placed_add(struct go_placed *placed, uint64_t addr, uint64_t bytes, uint32_t sweepgen,
	const uint64_t *pcs, size_t count);

/* Forgets those of which it is not certain any more that they are still there. Asked now and then. */
void go_placed_check(struct runtime_process *process);

/* As go_profile_find_stack(). */
bool go_placed_find_stack(
	struct runtime_process *process, uint64_t addr, uint64_t ret_pcs[CENSUS_PCS]);

#endif
