/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go's heap from outside (go_heap.h). runtime/mheap.go: address -> arena (64 MiB) -> span of the
 * 8 KiB page; runtime/mbitmap.go: slot -> allocBits, gcmarkBits; 1.26, mgcmark_greenteagc.go: the
 * mark bits of small objects live in the last 128 bytes of the page until the span is swept.
 *
 * Is a slot in use? runtime/mgcsweep.go: span.sweepgen says whether the sweeper has been there since
 * the last cycle (heap.sweepgen): heap-2 not yet, heap-1 just now, heap done, heap+1 cached before the
 * sweep and not yet swept, heap+3 cached after it. Unswept: the mark bit decides. Swept, or during
 * marking (which starts only after all is swept): slots below freeindex and those with an alloc bit.
 *
 * Torn readings: the span is read before and after its bits, the collector's state around all of
 * it. In state heap-1 the bits are being exchanged, so only a set mark bit is believed there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_heap.h"
#include "runtime/go/go_size.h"

#define ATTEMPTS         6
#define FIND_CHUNK       512 /* objects looked up at once */
#define L2_ENTRIES       (1ull << 22)
#define INLINE_MARKS_END 64 /* spanInlineMarkBits.marks: the last 64 bytes of the page */
#define INLINE_MARKS_MAX (63 * 8)
#define ABSENT_16        0xffffu

static uint64_t load(const uint8_t *raw, uint32_t off, uint32_t bytes)
{
	uint64_t value = 0;

	memcpy(&value, raw + off, bytes);
	return value;
}

int go_heap_read_gc(struct runtime_process *process, struct go_gc *ret)
{
	struct go_gc gc;
	struct target_piece pieces[] = {
		{process->facts.mheap + process->facts.layout.heap_sweepgen, &gc.sweepgen, 4,
			false},
		{process->facts.gcphase, &gc.phase, 4, false},
	};
	int r = target_mem_read_pieces(process->live, pieces, ARRAY_SIZE(pieces));

	if (r < 0)
		return r;
	if (r < (int)ARRAY_SIZE(pieces))
		return -EFAULT;
	*ret = gc;
	return 0;
}

bool go_heap_parse_span(const struct runtime_process *process, uint64_t addr, const void *bytes,
	struct go_span *ret)
{
	const struct go_layout *layout = &process->facts.layout;
	const uint8_t *raw = bytes;
	bool short_index =
		layout->span_index_bytes == 2; /* sizes known at compile time: no calls */

	*ret = (struct go_span){
		.addr = addr,
		.start = load(raw, layout->span_start, 8),
		.pages = load(raw, layout->span_npages, 8),
		.elemsize = load(raw, layout->span_elemsize, 8),
		.freeindex = load(raw, layout->span_freeindex, short_index ? 2 : 8),
		.nelems = load(raw, layout->span_nelems, short_index ? 2 : 8),
		.alloc_bits = load(raw, layout->span_alloc_bits, 8),
		.mark_bits = load(raw, layout->span_mark_bits, 8),
		.specials = load(raw, layout->span_specials, 8),
		.sweepgen = (uint32_t)load(raw, layout->span_sweepgen, 4),
		.class = raw[layout->span_class],
		.state = raw[layout->span_state],
	};
	/* Only a large object with pointers has set it; in other spans an older value stays behind. */
	if (layout->span_large_type != ABSENT_16 && ret->class == 0)
		ret->large_type = load(raw, layout->span_large_type, 8);
	if (!ret->pages || ret->pages > GO_MAX_BYTES >> GO_PAGE_SHIFT ||
		ret->start % GO_PAGE_BYTES || !ret->start || ret->start > GO_MAX_BYTES)
		return false;
	if (ret->state != GO_SPAN_IN_USE)
		return true;
	return ret->elemsize && ret->nelems && ret->nelems <= GO_PAGE_BYTES * ret->pages / 8 &&
	       ret->elemsize <= (ret->pages << GO_PAGE_SHIFT) / ret->nelems;
}

uint64_t go_span_slot(const struct go_span *span, uint64_t addr)
{
	return span->start + (addr - span->start) / span->elemsize * span->elemsize;
}

bool go_span_has_headers(const struct runtime_process *process, const struct go_span *span)
{
	return process->facts.layout.malloc_headers && !go_span_noscan(span) && span->class >> 1 &&
	       span->elemsize > GO_MALLOC_HEADER_FROM;
}

bool go_span_starts_at(
	const struct runtime_process *process, const struct go_span *span, uint64_t addr)
{
	uint64_t header = go_span_has_headers(process, span) ? GO_MALLOC_HEADER : 0;

	return span->state == GO_SPAN_IN_USE && addr - header == go_span_slot(span, addr);
}

/* ---- address -> mspan, in rounds of gathered reads ---- */

/* What one look-up needs between its rounds. */
struct lookup {
	struct go_object *object;
	uint64_t arena, mspan;
	uint8_t raw[GO_MSPAN_MAX]; /* the span, then the span once more */
	uint8_t alloc, mark, inline_page, inline_mark;
	size_t first_piece, piece_count; /* of its bits */
	bool is_span, in_span, has_bits, kept_still;
};

/* The look-ups of one call and room for their pieces. */
struct batch {
	struct lookup *lookups;
	size_t count;
	struct target_piece *pieces;
	size_t piece_count;
};

#define PIECES_PER_LOOKUP 4

static void batch_open(struct batch *batch, size_t most)
{
	batch->lookups = xcalloc(most, sizeof(*batch->lookups));
	batch->pieces = xcalloc(most * PIECES_PER_LOOKUP, sizeof(*batch->pieces));
}

static void batch_close(struct batch *batch)
{
	free(batch->lookups);
	free(batch->pieces);
}

static void batch_add(struct batch *batch, uint64_t addr, void *buf, uint32_t bytes)
{
	batch->pieces[batch->piece_count++] = (struct target_piece){addr, buf, bytes, false};
}

static int batch_read(struct runtime_process *process, struct batch *batch)
{
	int r = target_mem_read_pieces(process->mem, batch->pieces, batch->piece_count);

	return r < 0 ? r : 0;
}

static uint64_t arena_index(uint64_t addr)
{
	return (addr + GO_ARENA_BIAS) >> GO_ARENA_SHIFT;
}

static uint64_t page_in_arena(uint64_t addr)
{
	return (addr >> GO_PAGE_SHIFT) % GO_ARENA_PAGES;
}

/* heapArena of an address, or 0. Arenas are never unmapped, so a found one is kept. */
static int find_arena(struct runtime_process *process, uint64_t addr, uint64_t *ret)
{
	uint64_t index = arena_index(addr), arena = 0;
	int r = 0;

	if (addr >= GO_MAX_BYTES || index >= L2_ENTRIES)
		goto out;
	if (table_get(&process->arena_of, index, ret))
		return 0;
	r = target_mem_read_u64(process->mem, process->arenas + 8 * index, &arena);
	if (r == -ESRCH)
		return r;
	if (r < 0)
		arena = 0; /* this part of the table was never written */
	if (arena)
		table_set(&process->arena_of, index, arena);
out:
	*ret = arena;
	return 0;
}

bool go_heap_is_arena(struct runtime_process *process, uint64_t addr)
{
	uint64_t arena;

	return find_arena(process, addr, &arena) == 0 && arena;
}

/* Neighbours often share a page, and so all that is read of its span. */
static bool same_page(const struct batch *batch, size_t i)
{
	return i && batch->lookups[i].object->addr >> GO_PAGE_SHIFT ==
			    batch->lookups[i - 1].object->addr >> GO_PAGE_SHIFT;
}

static int read_mspan_pointers(struct runtime_process *process, struct batch *batch)
{
	int r;

	batch->piece_count = 0;
	for (size_t i = 0; i < batch->count; i++) {
		struct lookup *lookup = &batch->lookups[i];
		uint64_t addr = lookup->object->addr;

		lookup->mspan = 0;
		if (same_page(batch, i))
			continue;
		r = find_arena(process, addr, &lookup->arena);
		if (r < 0)
			return r;
		if (lookup->arena)
			batch_add(batch,
				lookup->arena + process->facts.layout.arena_spans +
					8 * page_in_arena(addr),
				&lookup->mspan, 8);
	}
	r = batch_read(process, batch);
	for (size_t i = 0; i < batch->piece_count; i++)
		if (!batch->pieces[i].done)
			memset(batch->pieces[i].buf, 0, 8);
	for (size_t i = 0; i < batch->count; i++) {
		if (!same_page(batch, i))
			continue;
		batch->lookups[i].arena = batch->lookups[i - 1].arena;
		batch->lookups[i].mspan = batch->lookups[i - 1].mspan;
	}
	return r;
}

/* Says where the object is in its span; one outside of the span's slots is in none. */
static bool set_base(struct go_object *object)
{
	const struct go_span *span = &object->span;

	if (object->addr < span->start ||
		object->addr >= span->start + span->elemsize * span->nelems)
		return false;
	object->base = go_span_slot(span, object->addr);
	return true;
}

static bool take_span(struct runtime_process *process, struct lookup *lookup)
{
	struct go_span *span = &lookup->object->span;

	return go_heap_parse_span(process, lookup->mspan, lookup->raw, span) &&
	       span->state == GO_SPAN_IN_USE;
}

static int read_spans(struct runtime_process *process, struct batch *batch)
{
	size_t at = 0;
	int r;

	batch->piece_count = 0;
	for (size_t i = 0; i < batch->count; i++)
		if (batch->lookups[i].mspan && !same_page(batch, i))
			batch_add(batch, batch->lookups[i].mspan, batch->lookups[i].raw,
				process->facts.layout.mspan_size);
	r = batch_read(process, batch);
	if (r < 0)
		return r;
	for (size_t i = 0; i < batch->count; i++) {
		struct lookup *lookup = &batch->lookups[i];

		lookup->object->state = GO_OBJECT_NONE;
		if (same_page(batch, i)) {
			lookup->is_span = lookup[-1].is_span;
			lookup->object->span = lookup[-1].object->span;
		} else {
			lookup->is_span = lookup->mspan && batch->pieces[at++].done &&
					  take_span(process, lookup);
		}
		lookup->in_span = lookup->is_span && set_base(lookup->object);
	}
	return 0;
}

/*
 * While memory is read through a view a span is the same whoever asks: four or five steps of looking at one
 * map ask for the same ones.
 */
static bool find_known(struct runtime_process *process, struct go_object *object)
{
	uint64_t index;

	if (!table_get(&process->span_of, object->addr >> GO_PAGE_SHIFT, &index))
		return false;
	object->state = GO_OBJECT_NONE;
	if (index == UINT64_MAX)
		return true;
	object->span = process->spans[index];
	if (set_base(object))
		object->state = GO_OBJECT_ALLOCATED;
	return true;
}

static void keep_known(struct runtime_process *process, const struct lookup *lookup)
{
	uint64_t index = UINT64_MAX;

	if (lookup->is_span) {
		index = process->span_count;
		array_reserve(process->spans, process->span_count, process->span_capacity);
		process->spans[process->span_count++] = lookup->object->span;
	}
	table_set(&process->span_of, lookup->object->addr >> GO_PAGE_SHIFT, index);
}

void go_heap_forget_spans(struct runtime_process *process)
{
	table_clear(&process->span_of);
	process->span_count = 0;
}

static int read_objects(struct runtime_process *process, struct go_object **objects, size_t count)
{
	bool keep = process->mem == process->view;
	struct batch batch = {};
	int r;

	batch_open(&batch, count);
	for (size_t i = 0; i < count; i++)
		batch.lookups[batch.count++].object = objects[i];
	r = read_mspan_pointers(process, &batch);
	if (r >= 0)
		r = read_spans(process, &batch);
	for (size_t i = 0; r >= 0 && i < count; i++) {
		if (batch.lookups[i].in_span)
			objects[i]->state = GO_OBJECT_ALLOCATED;
		if (keep)
			keep_known(process, &batch.lookups[i]);
	}
	batch_close(&batch);
	return r;
}

int go_heap_find_spans(struct runtime_process *process, struct go_object *objects, size_t count)
{
	struct go_object *unknown[FIND_CHUNK];
	bool known = process->mem == process->view;
	int r = 0;

	for (size_t at = 0; at < count && r >= 0;) {
		size_t wanted = 0;

		for (; at < count && wanted < FIND_CHUNK; at++)
			if (!known || !find_known(process, &objects[at]))
				unknown[wanted++] = &objects[at];
		if (wanted)
			r = read_objects(process, unknown, wanted);
	}
	return r;
}

/* ---- is the slot in use? ---- */

static bool uses_inline_marks(const struct runtime_process *process, const struct go_span *span)
{
	return process->facts.layout.inline_marks && span->elemsize >= 16 &&
	       span->elemsize <= GO_MALLOC_HEADER_FROM && span->pages == 1;
}

static uint64_t slot_index(const struct go_object *object)
{
	return (object->base - object->span.start) / object->span.elemsize;
}

static void add_bits(struct runtime_process *process, struct batch *batch, struct lookup *lookup)
{
	const struct go_layout *layout = &process->facts.layout;
	const struct go_span *span = &lookup->object->span;
	uint64_t index = slot_index(lookup->object);

	lookup->first_piece = batch->piece_count;
	lookup->inline_page = lookup->inline_mark = 0;
	batch_add(batch, span->alloc_bits + index / 8, &lookup->alloc, 1);
	batch_add(batch, span->mark_bits + index / 8, &lookup->mark, 1);
	if (uses_inline_marks(process, span) && index < INLINE_MARKS_MAX) {
		batch_add(batch,
			lookup->arena + layout->arena_inline_marks +
				page_in_arena(lookup->object->addr) / 8,
			&lookup->inline_page, 1);
		batch_add(batch, span->start + GO_PAGE_BYTES - INLINE_MARKS_END + index / 8,
			&lookup->inline_mark, 1);
	}
	lookup->piece_count = batch->piece_count - lookup->first_piece;
}

/*
 * Bits that were never written are zero, though their page cannot be read (bitmaps come from fresh
 * anonymous memory).
 */
static bool bits_known(
	struct runtime_process *process, const struct batch *batch, const struct lookup *lookup)
{
	const struct target_piece *pieces = batch->pieces + lookup->first_piece;

	for (size_t i = 0; i < lookup->piece_count; i++) {
		if (pieces[i].done)
			continue;
		if (!target_mem_is_untouched(process->mem, pieces[i].addr))
			return false;
		*(uint8_t *)pieces[i].buf = 0;
	}
	return true;
}

static int read_bits(struct runtime_process *process, struct batch *batch)
{
	int r;

	batch->piece_count = 0;
	for (size_t i = 0; i < batch->count; i++)
		if (batch->lookups[i].in_span)
			add_bits(process, batch, &batch->lookups[i]);
	r = batch_read(process, batch);
	for (size_t i = 0; r >= 0 && i < batch->count; i++)
		batch->lookups[i].has_bits =
			batch->lookups[i].in_span && bits_known(process, batch, &batch->lookups[i]);
	return r;
}

/* Was the span the same before and after its bits were read? */
static bool kept_still(const struct runtime_process *process, const struct lookup *lookup)
{
	const struct go_span *before = &lookup->object->span;
	struct go_span after;

	return go_heap_parse_span(process, lookup->mspan, lookup->raw, &after) &&
	       before->start == after.start && before->elemsize == after.elemsize &&
	       before->sweepgen == after.sweepgen && before->alloc_bits == after.alloc_bits &&
	       before->mark_bits == after.mark_bits && before->state == after.state;
}

/*
 * A slot below freeindex is allocated, but whether what lives there has survived the last cycle is said by
 * its bit alone: a slot that was swept free may have been taken again since.
 */
static enum go_object_state judge(struct lookup *lookup, const struct go_gc *gc)
{
	const struct go_span *span = &lookup->object->span;
	uint64_t index = slot_index(lookup->object);
	uint8_t page_bit = (uint8_t)(1u << page_in_arena(lookup->object->addr) % 8);
	uint8_t bit = (uint8_t)(1u << index % 8);
	int32_t relative = (int32_t)(span->sweepgen - gc->sweepgen);
	bool marked =
		lookup->mark & bit || (lookup->inline_page & page_bit && lookup->inline_mark & bit);

	lookup->object->survived = relative == 0 || relative == 3 ? lookup->alloc & bit : marked;
	if (gc->phase == 0 && (relative == -2 || relative == 1))
		return marked ? GO_OBJECT_ALLOCATED : GO_OBJECT_FREE;
	if (relative == -1)
		return marked ? GO_OBJECT_ALLOCATED : GO_OBJECT_UNREAD;
	if (relative != 0 && relative != 3)
		return GO_OBJECT_UNREAD;
	return index < span->freeindex || lookup->alloc & bit ? GO_OBJECT_ALLOCATED
							      : GO_OBJECT_FREE;
}

static int read_spans_again(
	struct runtime_process *process, struct batch *batch, const struct go_gc *gc)
{
	size_t at = 0;
	int r;

	batch->piece_count = 0;
	for (size_t i = 0; i < batch->count; i++)
		if (batch->lookups[i].is_span && !same_page(batch, i))
			batch_add(batch, batch->lookups[i].mspan, batch->lookups[i].raw,
				process->facts.layout.mspan_size);
	r = batch_read(process, batch);
	for (size_t i = 0; r >= 0 && i < batch->count; i++) {
		struct lookup *lookup = &batch->lookups[i];

		if (same_page(batch, i))
			lookup->kept_still = lookup[-1].kept_still;
		else
			lookup->kept_still = lookup->is_span && batch->pieces[at++].done &&
					     kept_still(process, lookup);
		if (lookup->in_span)
			lookup->object->state = lookup->kept_still && lookup->has_bits
							? judge(lookup, gc)
							: GO_OBJECT_UNREAD;
	}
	return r;
}

/*
 * The readings of one attempt, each from pages that are copied after the reading before it: what changed
 * between two of them shows.
 */
static int read_stages(struct runtime_process *process, struct batch *batch, const struct go_gc *gc)
{
	int r;

	target_mem_drop(process->mem);
	r = read_mspan_pointers(process, batch);
	if (r >= 0)
		r = read_spans(process, batch);
	if (r < 0)
		return r;
	target_mem_drop(process->mem);
	r = read_bits(process, batch);
	if (r < 0)
		return r;
	target_mem_drop(process->mem);
	return read_spans_again(process, batch, gc);
}

/* One attempt for all that is left; keeps those that must be tried again. */
static int try_batch(struct runtime_process *process, struct batch *batch, const struct go_gc *gc)
{
	struct target_mem *mem = process->mem;
	struct go_gc after;
	size_t left = 0;
	bool moved;
	int r;

	process->mem = process->stage;
	r = read_stages(process, batch, gc);
	process->mem = mem;
	if (r >= 0)
		r = go_heap_read_gc(process, &after);
	if (r < 0)
		return r;
	moved = after.sweepgen != gc->sweepgen || after.phase != gc->phase;
	for (size_t i = 0; i < batch->count; i++) {
		struct go_object *object = batch->lookups[i].object;

		if (moved)
			object->state = GO_OBJECT_UNREAD;
		object->gc = *gc;
		if (object->state == GO_OBJECT_UNREAD)
			batch->lookups[left++].object = object;
	}
	batch->count = left;
	return 0;
}

int go_heap_find_objects(struct runtime_process *process, struct go_object *objects, size_t count)
{
	struct batch batch = {};
	struct go_gc gc;
	int r = 0;

	batch_open(&batch, count);
	for (; batch.count < count; batch.count++)
		batch.lookups[batch.count].object = &objects[batch.count];
	for (int i = 0; i < ATTEMPTS && batch.count && !r; i++) {
		r = go_heap_read_gc(process, &gc);
		if (!r)
			r = try_batch(process, &batch, &gc);
	}
	batch_close(&batch);
	return r;
}
