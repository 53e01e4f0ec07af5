/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Iterators over maps, from outside. A range over a map keeps one on its goroutine's stack, a
 * reflect.MapIter has one inside, iter.Pull2(maps.All(m)) one on the stack of its coroutine. While it lives
 * the map lives, and so does the array that the map had when the iterator began.
 *
 * Not to be known: whether one on a stack is still in use, or a finished loop's words that nothing has
 * overwritten yet. One that has come to its end says so.
 */
#ifndef MEMTRACE_RUNTIME_GO_ITERATOR_H
#define MEMTRACE_RUNTIME_GO_ITERATOR_H

#include "runtime/go/go_map.h"

#define GO_ITERATOR_BYTES 96
#define GO_ITERATOR_MAP   24 /* where it points to the map, behind a pointer to the map's type */

struct go_iterator {
	uint64_t stamp; /* changes when it moves */
	uint64_t array; /* that it goes over and the map has left, 0 = none */
	bool ended;
};

/* Could the word in front of a pointer to a map be its type? */
static inline bool go_iterator_is_type(const struct runtime_process *process, uint64_t word)
{
	return word >= process->facts.types && word < process->facts.etypes;
}

/* False where raw is no iterator over the map that has this header. */
bool go_iterator_parse(struct runtime_process *process, const uint8_t raw[GO_ITERATOR_BYTES],
	const struct go_map_header *header, struct go_iterator *ret);

#endif
