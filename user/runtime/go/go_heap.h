/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go's heap from outside: which span slot an address lies in, and whether an object lives there.
 *
 * Nothing is locked and the target runs. A fact that spans several words is read twice, and a
 * reading across a change is repeated (go_heap.c).
 */
#ifndef MEMTRACE_RUNTIME_GO_HEAP_H
#define MEMTRACE_RUNTIME_GO_HEAP_H

#include "runtime/go/go_process.h"

#define GO_PAGE_BYTES  8192ull
#define GO_PAGE_SHIFT  13
#define GO_ARENA_SHIFT 26
#define GO_ARENA_PAGES 8192ull
#define GO_ARENA_BIAS  0x800000000000ull /* runtime.arenaBaseOffset, amd64 */
#define GO_MSPAN_MAX   256               /* bytes; sizeof(runtime.mspan) is 144 to 168 */

/* runtime.mSpanState */
enum go_span_state {
	GO_SPAN_DEAD,
	GO_SPAN_IN_USE, /* the garbage collected heap */
	GO_SPAN_MANUAL, /* goroutine stacks */
};

/* runtime.mspan, checked: elemsize is not 0 and the slots lie within the pages. */
struct go_span {
	uint64_t addr; /* of the mspan itself */
	uint64_t start, pages, elemsize, freeindex, nelems;
	uint64_t alloc_bits, mark_bits, specials;
	uint64_t large_type; /* 1.22+, large objects with pointers; else 0 */
	uint32_t sweepgen;
	uint8_t class, state; /* class: size class * 2 + noscan */
};

enum go_object_state {
	GO_OBJECT_UNREAD,    /* could not be read in a consistent state */
	GO_OBJECT_NONE,      /* not in the garbage collected heap: never, or no longer */
	GO_OBJECT_FREE,      /* a free slot, or one that the sweeper will free */
	GO_OBJECT_ALLOCATED, /* not free; may be garbage since the last cycle */
};

/* State of the collector. */
struct go_gc {
	uint32_t sweepgen; /* of the heap: 2 x completed cycles */
	uint32_t phase;    /* 0 off, 1 mark, 2 mark termination */
};

/* An object by any address inside it. */
struct go_object {
	uint64_t addr; /* given */
	enum go_object_state state;
	bool survived;       /* find_objects(): it is there since before the last cycle ended */
	struct go_gc gc;     /* when that was so: did not change while it was read */
	struct go_span span; /* NONE, UNREAD: undefined */
	uint64_t base;       /* of the slot: the malloc header, where there is one */
};

int go_heap_read_gc(struct runtime_process *process, struct go_gc *ret);

/* Decodes a raw mspan; false where its numbers contradict each other. */
bool go_heap_parse_span(
	const struct runtime_process *process, uint64_t addr, const void *raw, struct go_span *ret);

static inline bool go_span_noscan(const struct go_span *span)
{
	return span->class & 1;
}

/* Start of the slot that holds addr (which lies in the span). */
uint64_t go_span_slot(const struct go_span *span, uint64_t addr);

/* True where objects of this span carry their type in front (1.22+). */
bool go_span_has_headers(const struct runtime_process *process, const struct go_span *span);

/* True where an object of the span starts at addr, as the program sees it. */
bool go_span_starts_at(
	const struct runtime_process *process, const struct go_span *span, uint64_t addr);

/* Looks up objects, many at once. 0 or -ESRCH; each object says for itself what is known. */
int go_heap_find_objects(struct runtime_process *process, struct go_object *objects, size_t count);

/* As go_heap_find_objects(), without asking whether the slot is free: fewer reads. */
int go_heap_find_spans(struct runtime_process *process, struct go_object *objects, size_t count);

/* What was found through a view goes with it: as the view itself, it is a snapshot. */
void go_heap_forget_spans(struct runtime_process *process);

/* True where addr lies in an arena: heap and goroutine stacks, in use or free. */
bool go_heap_is_arena(struct runtime_process *process, uint64_t addr);

int go_heap_read_state(struct runtime_process *process, struct event_heap *ret);

/* ---- go_pages.c ---- */

/* See struct runtime. */
int go_pages_count_given_back(
	struct runtime_process *process, uint64_t start, uint64_t end, uint64_t *ret_bytes);

/*
 * Words of memory that the kernel has cleared: what was never written may have no page, and is 0. 0, -EFAULT
 * or -ESRCH.
 */
int go_heap_read_words(
	struct runtime_process *process, uint64_t addr, uint64_t *words, size_t count);

#endif
