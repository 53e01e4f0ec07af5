/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places of sampled allocations: a place is told as long as it is certain that the object is the one that was
 * sampled, over as many cycles as are looked at, and never for another that has taken its address.
 */
#include <criterion/criterion.h>

#include "go_image.h"
#include "runtime/go/go_placed.h"

#define LARGE 65536

static const uint64_t stack[] = {0x401000, 0x402000}, other_stack[] = {0x403000};

struct world {
	struct heap heap;
	uint64_t object; /* large: span 0, one slot */
	uint32_t cycles;
};

static void begin(struct world *w)
{
	*w = (struct world){.cycles = 0};
	build(&w->heap, 23);
	w->object = add_span(&w->heap, LARGE, 1, true);
	set_slot(&w->heap, alloc_bits(0), 0, false); /* new: no cycle has seen it */
	put(&w->heap, mspan(0) + w->heap.file.go.layout.span_freeindex, 1, 2);
	open_heap(&w->heap);
	if (!w->heap.process->placed)
		w->heap.process->placed = go_placed_new();
}

/* Cycles that find the object alive, or another one that was allocated after the last of them. */
static void collect(struct world *w, uint32_t cycles, bool survives)
{
	w->cycles += cycles;
	set_gc(&w->heap, w->cycles, 0);
	sweep_all(&w->heap, w->cycles);
	set_slot(&w->heap, alloc_bits(0), 0, survives);
}

static void sample(struct world *w, const uint64_t *pcs, size_t count)
{
	go_placed_add(w->heap.process->placed, w->object, LARGE, 2 * w->cycles, pcs, count);
}

static uint64_t place(struct world *w)
{
	uint64_t pcs[CENSUS_PCS] = {0};

	return go_placed_find_stack(w->heap.process, w->object + 100, pcs) ? pcs[0] : 0;
}

Test(go_placed, lasts_as_long_as_every_cycle_is_seen)
{
	struct world w;

	begin(&w);
	cr_expect_eq(place(&w), 0);
	sample(&w, stack, 2);
	cr_expect_eq(place(&w), stack[0]);
	for (int i = 0; i < 5; i++) {
		collect(&w, 1, true);
		go_placed_check(w.heap.process);
	}
	cr_expect_eq(place(&w), stack[0]);
	close_heap(&w.heap);
}

Test(go_placed, is_forgotten_where_two_cycles_were_not_seen)
{
	struct world w;

	begin(&w);
	sample(&w, stack, 2);
	collect(&w, 2, true);
	cr_expect_eq(place(&w), 0, "it may be another one that came after the first");
	go_placed_check(w.heap.process);
	collect(&w, 1, true);
	cr_expect_eq(place(&w), 0);
	close_heap(&w.heap);
}

Test(go_placed, is_not_that_of_who_came_later)
{
	struct world w;

	begin(&w);
	sample(&w, stack, 2);
	collect(&w, 1, false);
	cr_expect_eq(place(&w), 0, "allocated since the cycle");
	sample(&w, other_stack, 1);
	cr_expect_eq(place(&w), other_stack[0]);
	collect(&w, 1, true);
	cr_expect_eq(place(&w), other_stack[0]);
	put(&w.heap, mspan(0) + w.heap.file.go.layout.span_state, GO_SPAN_DEAD, 1);
	cr_expect_eq(place(&w), 0, "freed");
	close_heap(&w.heap);
}

/* A sample without a stack, of a small object, or with a sweepgen that cannot be: what was known is gone. */
Test(go_placed, newer_samples_that_say_nothing)
{
	const struct {
		uint64_t bytes, count;
		uint32_t sweepgen;
	} rows[] = {{LARGE, 0, 0}, {4096, 2, 0}, {LARGE, 2, 1}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world w;

		begin(&w);
		sample(&w, stack, 2);
		go_placed_add(w.heap.process->placed, w.object, rows[i].bytes, rows[i].sweepgen,
			other_stack, rows[i].count);
		cr_expect_eq(place(&w), 0, "row %zu", i);
		close_heap(&w.heap);
	}
}

Test(go_placed, the_newest_are_kept)
{
	struct world w;

	begin(&w);
	sample(&w, stack, 2);
	for (uint64_t i = 1; i < 512; i++)
		go_placed_add(w.heap.process->placed, w.object + i * LARGE, LARGE, 0, stack, 1);
	cr_expect_eq(place(&w), stack[0]);
	go_placed_add(w.heap.process->placed, w.object + 512 * LARGE, LARGE, 0, stack, 1);
	cr_expect_eq(place(&w), 0);
	collect(&w, 1, true);
	go_placed_check(w.heap.process); /* what was never there is forgotten */
	close_heap(&w.heap);
}
