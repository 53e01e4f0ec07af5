/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading a Go process, against a heap built by hand in an image of memory, with the layouts of real
 * versions. Live programs test that the layouts are right; here it is what no well-behaved program
 * shows: hostile numbers, half-swept spans, and every row of decode().
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "go_image.h"
#include "runtime/go/go_map.h"

/*
 * A header that makes no sense is doubted first (it may be caught in the middle of a write), but
 * nothing is believed of it, and in the end it is dead.
 */
static void expect_disbelief(struct heap *heap, enum family family, uint64_t key, size_t row)
{
	struct event_look seen = look(heap, family, key, true);

	for (int i = 0; i < 100 && seen.liveness != LIVENESS_DEAD; i++) {
		cr_expect(seen.liveness == LIVENESS_ALLOCATED && !seen.has_length &&
				  !seen.held_bytes && !seen.marked_cycle,
			"row %zu is believed", row);
		seen = look(heap, family, key, true);
	}
	cr_expect_eq(seen.liveness, LIVENESS_DEAD, "row %zu", row);
}

/* ---- open ---- */

Test(go_process, open_checks_the_layout)
{
	const struct {
		uint64_t addr, value;
		int error;
		const char *reason;
	} rows[] = {
		{PHASE, 9, -ENOTSUP, "counters"},
		{MHEAP + go_layout_find(23)->heap_sweepgen, 6, -ENOTSUP, "counters"},
		{MHEAP + go_layout_find(23)->heap_allspans + 8, 1ull << 60, -ENOTSUP,
			"list of spans"},
		{MHEAP + go_layout_find(23)->heap_allspans, 0x123000, -ENOTSUP, "list of spans"},
		{MHEAP + go_layout_find(23)->heap_arenas, 0, -EAGAIN, "not set up"},
		{MHEAP + go_layout_find(23)->heap_arenas, 0x123000, -ENOTSUP, "arena table"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char reason[160] = "";
		struct heap heap;

		build(&heap, 23);
		for (size_t n = 0; n < 8; n++)
			add_span(&heap, 48, 170, false);
		put64(&heap, rows[i].addr, rows[i].value);
		cr_expect_eq(runtime_go.process_open(
				     &heap.file, heap.mem, NULL, 0, 0, &heap.process, reason),
			rows[i].error);
		cr_expect(strstr(reason, rows[i].reason), "row %zu: '%s'", i, reason);
		target_mem_close(heap.mem);
	}
}

/* runtime/mheap.go, initSpan(): in use first, in the table of its arena later. */
Test(go_process, spans_of_a_program_that_starts_may_not_be_in_the_table_yet)
{
	char reason[160] = "";
	struct heap heap;

	build(&heap, 26);
	add_span(&heap, 48, 170, false);
	put64(&heap, ARENA + heap.file.go.layout.arena_spans, 0);
	cr_expect_eq(
		runtime_go.process_open(&heap.file, heap.mem, NULL, 0, 0, &heap.process, reason),
		-EAGAIN, "%s", reason);
	put64(&heap, ARENA + heap.file.go.layout.arena_spans, mspan(0));
	cr_expect_eq(
		runtime_go.process_open(&heap.file, heap.mem, NULL, 0, 0, &heap.process, reason), 0,
		"%s", reason);
	close_heap(&heap);
}

Test(go_process, heap_state)
{
	struct event_heap state;
	struct heap heap;

	build(&heap, 26);
	add_span(&heap, 48, 170, false);
	set_gc(&heap, 7, 1);
	put64(&heap, CONTROLLER + heap.file.go.layout.gc_total_alloc, 5555);
	put64(&heap, CONTROLLER + heap.file.go.layout.gc_total_free, 4444);
	put64(&heap, CONTROLLER + heap.file.go.layout.gc_goal, 2222);
	put64(&heap, STATS + heap.file.go.layout.stats_pause_ns + 8 * 6, 3333);
	open_heap(&heap);
	cr_assert_eq(runtime_go.heap(heap.process, &state), 0);
	cr_expect(state.gc_cycles == 7 && state.gc_running && state.allocated_bytes == 1111 &&
		  state.total_alloc_bytes == 5555 && state.goal_bytes == 2222 &&
		  state.pause_last_ns == 3333);
	close_heap(&heap);
}

/* Deltas of which single ones are below zero; and a sum that cannot be, seen while two are merged. */
Test(go_process, heap_state_of_the_runtime)
{
	const uint8_t minors[] = {19, 26};

	for (size_t i = 0; i < ARRAY_SIZE(minors); i++) {
		struct event_heap state;
		struct go_layout layout;
		struct heap heap;

		build(&heap, minors[i]);
		add_span(&heap, 48, 170, false);
		layout = heap.file.go.layout;
		for (uint64_t word = 0; word < 6; word++)
			put64(&heap, STATS + layout.stats_sys + 8 * word, 1ull << word);
		put64(&heap, STATS + 24, 9000);                           /* stacks */
		put64(&heap, STATS + layout.stats_delta + 24, -1000ull);  /* stacks */
		put64(&heap, STATS + 2ull * layout.stats_delta + 24, 10); /* stacks */
		put64(&heap, STATS + layout.stats_delta + 32, 100);       /* work buffers */
		put64(&heap, STATS + layout.stats_delta + 40, 0x10000);   /* 1.19: bitmaps */
		open_heap(&heap);
		cr_assert_eq(runtime_go.heap(heap.process, &state), 0);
		cr_expect_eq(state.stack_bytes, 8010);
		cr_expect_eq(state.runtime_bytes, 163 + (minors[i] == 19 ? 0x10000 : 0));
		put64(&heap, STATS + layout.stats_delta + 24, -90000ull);
		cr_assert_eq(runtime_go.heap(heap.process, &state), 0);
		cr_expect(!state.stack_bytes && !state.runtime_bytes);
		close_heap(&heap);
	}
}

/* ---- free pages ---- */

/*
 * Of pages that are allocated, free, and free and given back, one each is in RAM and one is not: counted is
 * the one that was given back and is there.
 */
Test(go_process, pages_given_back)
{
	const uint64_t chunk = (HEAP + GO_ARENA_BIAS) >> 22, table = BITS + 0x80000;
	const uint8_t minors[] = {19, 23, 26};

	for (size_t i = 0; i < ARRAY_SIZE(minors); i++) {
		static const uint8_t page[GO_PAGE_BYTES], zero[128];
		struct go_layout layout;
		uint64_t bytes = 1;
		struct heap heap;

		build(&heap, minors[i]);
		add_span(&heap, 48, 170, false);
		open_heap(&heap);
		layout = heap.file.go.layout;
		cr_assert_eq(
			runtime_go.count_given_back(heap.process, HEAP, HEAP + (64 << 20), &bytes),
			0);
		cr_expect_eq(bytes, 0, "no table: %lu", bytes);
		put64(&heap, MHEAP + layout.heap_pages + layout.pages_chunks + chunk / 8192 * 8,
			table);
		target_mem_add_image(heap.mem, table + chunk % 8192 * 128, zero, sizeof(zero));
		put64(&heap, table + chunk % 8192 * 128, 0x3);       /* pages 0, 1 */
		put64(&heap, table + chunk % 8192 * 128 + 64, 0x32); /* pages 1, 4, 5 */
		for (uint64_t at = 1; at <= 4; at++)
			target_mem_add_image(
				heap.mem, HEAP + at * GO_PAGE_BYTES, page, sizeof(page));
		cr_assert_eq(
			runtime_go.count_given_back(heap.process, HEAP, HEAP + (64 << 20), &bytes),
			0);
		cr_expect_eq(bytes, GO_PAGE_BYTES, "1.%u: %lu", minors[i], bytes);
		cr_assert_eq(runtime_go.count_given_back(heap.process, HEAP + 4 * GO_PAGE_BYTES,
				     HEAP + 5 * GO_PAGE_BYTES - 4096, &bytes),
			0);
		cr_expect_eq(bytes, 4096, "half a page");
		heap.process->facts.layout.heap_pages = UINT16_MAX;
		cr_expect_eq(runtime_go.count_given_back(heap.process, HEAP, HEAP + 1, &bytes),
			-ENOTSUP);
		close_heap(&heap);
	}
}

/* ---- liveness ---- */

/* Slot 3 of a span of 48-byte slots, in every state of sweeping. */
Test(go_process, slot_states)
{
	const struct {
		int32_t relative; /* sweepgen of the span - that of the heap */
		uint32_t phase;
		bool alloc, mark, below_freeindex;
		enum go_object_state state;
	} rows[] = {
		{0, 0, true, false, false, GO_OBJECT_ALLOCATED},
		{0, 0, false, true, false, GO_OBJECT_FREE},
		{0, 0, false, false, true, GO_OBJECT_ALLOCATED},
		{3, 0, false, false, true, GO_OBJECT_ALLOCATED},
		{3, 0, false, true, false, GO_OBJECT_FREE},
		{-2, 0, true, false, true, GO_OBJECT_FREE},
		{-2, 0, true, true, false, GO_OBJECT_ALLOCATED},
		{1, 0, true, false, false, GO_OBJECT_FREE},
		{1, 0, true, true, false, GO_OBJECT_ALLOCATED},
		{-1, 0, true, false, false, GO_OBJECT_UNREAD},
		{-1, 0, false, true, false, GO_OBJECT_ALLOCATED},
		{0, 1, true, false, false, GO_OBJECT_ALLOCATED},
		{0, 1, false, true, false, GO_OBJECT_FREE},
		{2, 0, true, true, true, GO_OBJECT_UNREAD},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct go_object object = {};
		struct heap heap;
		uint64_t start;

		build(&heap, 23);
		start = add_span(&heap, 48, 170, false);
		set_gc(&heap, 10, rows[i].phase);
		set_sweepgen(&heap, 0, (uint32_t)(20 + rows[i].relative));
		set_slot(&heap, alloc_bits(0), 3, rows[i].alloc);
		set_slot(&heap, mark_bits(0), 3, rows[i].mark);
		put(&heap, mspan(0) + heap.file.go.layout.span_freeindex,
			rows[i].below_freeindex ? 4 : 3, 2);
		open_heap(&heap);
		object.addr = start + 3 * 48 + 40;
		cr_assert_eq(go_heap_find_objects(heap.process, &object, 1), 0);
		cr_expect_eq(object.state, rows[i].state, "row %zu: %d", i, object.state);
		if (object.state == GO_OBJECT_ALLOCATED)
			cr_expect_eq(object.base, start + 3 * 48);
		close_heap(&heap);
	}
}

/* What is read once for neighbours in a page is judged for each: slot, past the slots, another span, none. */
Test(go_process, neighbours)
{
	const enum go_object_state wanted[] = {GO_OBJECT_ALLOCATED, GO_OBJECT_FREE,
		GO_OBJECT_ALLOCATED, GO_OBJECT_NONE, GO_OBJECT_NONE, GO_OBJECT_ALLOCATED,
		GO_OBJECT_NONE};
	struct go_object objects[ARRAY_SIZE(wanted)] = {};
	struct heap heap;
	uint64_t start, other;

	build(&heap, 23);
	start = add_span(&heap, 48, 170, false);
	other = add_span(&heap, 64, 128, true);
	sweep_all(&heap, 0);
	set_slot(&heap, alloc_bits(0), 1, false);
	open_heap(&heap);
	objects[0].addr = start;
	objects[1].addr = start + 48;
	objects[2].addr = start + 169 * 48 + 40;
	objects[3].addr = objects[4].addr = start + 170 * 48 + 8;
	objects[5].addr = other + 64;
	objects[6].addr = other + GO_PAGE_BYTES;
	cr_assert_eq(go_heap_find_objects(heap.process, objects, ARRAY_SIZE(objects)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		cr_expect_eq(objects[i].state, wanted[i], "object %zu: %d", i, objects[i].state);
	cr_expect_eq(objects[2].base, start + 169 * 48);
	cr_expect_eq(objects[5].base, other + 64);
	cr_expect_eq(objects[5].span.elemsize, 64);
	close_heap(&heap);
}

/* Through a view a span is found once; the next view, and who reads live, finds what is there then. */
Test(go_process, spans_of_a_view)
{
	struct go_object object = {}, inside = {}, past = {};
	struct heap heap;
	uint64_t start;

	build(&heap, 23);
	start = add_span(&heap, 64, 100, false);
	open_heap(&heap);
	object.addr = start;
	inside.addr = start + 99 * 64 + 8;
	past.addr = start + 100 * 64;
	go_view_open(heap.process);
	cr_assert_eq(go_heap_find_spans(heap.process, &object, 1), 0);
	cr_expect_eq(object.state, GO_OBJECT_ALLOCATED);
	put64(&heap, mspan(0) + heap.file.go.layout.span_elemsize, 32);
	cr_assert_eq(go_heap_find_spans(heap.process, &inside, 1), 0);
	cr_expect_eq(inside.state, GO_OBJECT_ALLOCATED);
	cr_expect_eq(inside.base, start + 99 * 64);
	cr_assert_eq(go_heap_find_spans(heap.process, &past, 1), 0);
	cr_expect_eq(past.state, GO_OBJECT_NONE, "past the slots of a known span: %d", past.state);
	heap.process->mem = heap.process->live;
	cr_assert_eq(go_heap_find_spans(heap.process, &object, 1), 0);
	cr_expect_eq(object.span.elemsize, 32);
	go_view_open(heap.process);
	cr_assert_eq(go_heap_find_spans(heap.process, &object, 1), 0);
	cr_expect_eq(object.span.elemsize, 32);
	go_view_close(heap.process);
	close_heap(&heap);
}

/* 1.26: an unswept small object is marked in the last bytes of its page, where the arena says so. */
Test(go_process, inline_marks)
{
	struct go_object object = {};
	struct heap heap;
	uint64_t start;

	build(&heap, 26);
	start = add_span(&heap, 48, 168, false);
	set_gc(&heap, 10, 0);
	set_sweepgen(&heap, 0, 18);
	open_heap(&heap);
	object.addr = start + 3 * 48;
	put(&heap, start + GO_PAGE_BYTES - 64, 1 << 3, 1);
	put(&heap, ARENA + heap.file.go.layout.arena_inline_marks, 0, 1);
	cr_assert_eq(go_heap_find_objects(heap.process, &object, 1), 0);
	cr_expect_eq(object.state, GO_OBJECT_FREE);
	put(&heap, ARENA + heap.file.go.layout.arena_inline_marks, 1, 1);
	cr_assert_eq(go_heap_find_objects(heap.process, &object, 1), 0);
	cr_expect_eq(object.state, GO_OBJECT_ALLOCATED);
	close_heap(&heap);
}

/* ---- classic maps ---- */

#define B            5
#define BUCKET       144
#define CLASSIC_HELD (48 + 24 + 5376) /* 32 + 2 buckets are 4,896 bytes, or class 4864 less: 5376 */

/* A map[int]int of 32 buckets, count entries in the first ones. Returns its header's address. */
static uint64_t add_classic(struct heap *heap, uint64_t count)
{
	uint64_t headers = add_span(heap, 48, 170, false), key = headers + 2 * 48;
	uint64_t array = add_span(heap, 5376, 3, true) + 5376;
	uint64_t extra = add_span(heap, 24, 341, false) + 24;

	put64(heap, key, count);
	put64(heap, key + 8, B << 8 | 0x1234567800000000);
	put64(heap, key + 16, array);
	put64(heap, key + 40, extra);
	put64(heap, extra + 16, array + 32 * BUCKET);
	for (uint64_t i = 0; i < count; i++)
		put(heap, array + i / 8 * BUCKET + i % 8, 5 + i, 1);
	return key;
}

Test(go_process, classic_map)
{
	struct event_look seen;
	struct heap heap;
	uint64_t key;

	build(&heap, 23);
	key = add_classic(&heap, 40);
	open_heap(&heap);
	add_map_type(&heap, BUCKET, false);
	seen = look(&heap, FAMILY_MAP, key, true);
	cr_expect(seen.liveness == LIVENESS_ALLOCATED && seen.has_length && seen.length == 40 &&
		  seen.capacity == 256 && seen.load_limit == 208);
	cr_expect_eq(seen.held_bytes, CLASSIC_HELD);
	cr_expect_eq(seen.resident_bytes, CLASSIC_HELD);
	cr_expect_eq(runtime_go.owner_of(heap.process, HEAP + GO_PAGE_BYTES + 5376 + 100), key);
	cr_expect_eq(runtime_go.owner_of(heap.process, HEAP + GO_PAGE_BYTES + 100), 0);
	close_heap(&heap);
}

/* Alive is proven by a cycle that began after the first look; in a mark phase by the one after. */
static void check_proof(uint32_t phase, uint32_t first_proof)
{
	struct event_look seen;
	struct heap heap;
	uint64_t key;

	build(&heap, 23);
	key = add_classic(&heap, 40);
	set_gc(&heap, 10, phase);
	sweep_all(&heap, 10);
	open_heap(&heap);
	for (uint32_t cycles = 10; cycles < 14; cycles++) {
		set_gc(&heap, cycles, cycles == 10 ? phase : 0);
		sweep_all(&heap, cycles);
		seen = look(&heap, FAMILY_MAP, key, true);
		cr_expect_eq(
			seen.liveness, cycles < first_proof ? LIVENESS_ALLOCATED : LIVENESS_MARKED);
		cr_expect_eq(seen.marked_cycle, cycles < first_proof ? 0 : cycles);
	}
	/* the next cycle does not find it */
	set_gc(&heap, 14, 0);
	set_slot(&heap, alloc_bits(0), 2, false);
	sweep_all(&heap, 14);
	cr_expect_eq(look(&heap, FAMILY_MAP, key, true).liveness, LIVENESS_DEAD);
	close_heap(&heap);
}

Test(go_process, proof_of_life)
{
	check_proof(0, 11);
	check_proof(1, 12);
}

static void collect(struct heap *heap, uint32_t cycles)
{
	set_gc(heap, cycles, 0);
	sweep_all(heap, cycles);
}

/* Writes a header with another seed and another array over the one at key. */
static void write_other(struct heap *heap, uint64_t key, uint32_t seed)
{
	put(heap, key + 12, seed, 4);
	put64(heap, key + 16, add_span(heap, 5376, 1, true));
}

/* After several collections another map may live at the address: other seed, other array. */
Test(go_process, address_is_no_identity)
{
	struct event_look seen;
	struct heap heap;
	uint64_t key;

	build(&heap, 23);
	key = add_classic(&heap, 40);
	open_heap(&heap);
	seen = look(&heap, FAMILY_MAP, key, true);
	cr_assert_eq(seen.liveness, LIVENESS_ALLOCATED);
	put(&heap, key + 12, 0x9999, 4); /* cleared: new seed, same array */
	collect(&heap, 1);
	cr_expect_eq(look(&heap, FAMILY_MAP, key, true).liveness, LIVENESS_MARKED);
	write_other(&heap, key, 0x7777);
	collect(&heap, 3);
	cr_expect_eq(look(&heap, FAMILY_MAP, key, true).liveness, LIVENESS_ALLOCATED);
	close_heap(&heap);
}

/* Emptied, filled and grown between two looks: what the one cycle between them has found is the same map. */
Test(go_process, one_cycle_leaves_no_doubt)
{
	struct heap heap;
	uint64_t key;

	build(&heap, 23);
	key = add_classic(&heap, 40);
	open_heap(&heap);
	look(&heap, FAMILY_MAP, key, true);
	write_other(&heap, key, 0x7777);
	collect(&heap, 1);
	cr_expect_eq(look(&heap, FAMILY_MAP, key, true).liveness, LIVENESS_MARKED);
	close_heap(&heap);
}

/* Its slot is in use, but not by what lived there: the cycle did not find that. The old bytes prove nothing. */
Test(go_process, slot_taken_again_proves_nothing)
{
	struct heap heap;
	uint64_t key;

	build(&heap, 23);
	key = add_classic(&heap, 40);
	open_heap(&heap);
	cr_expect_eq(look(&heap, FAMILY_MAP, key, true).liveness, LIVENESS_ALLOCATED);
	collect(&heap, 1);
	set_slot(&heap, alloc_bits(0), 2, false);
	put(&heap, mspan(0) + heap.file.go.layout.span_freeindex, 10,
		heap.file.go.layout.span_index_bytes);
	cr_expect_eq(look(&heap, FAMILY_MAP, key, true).liveness, LIVENESS_DEAD);
	close_heap(&heap);
}

/* A freed map's slot holds what does not look like a map at all: the allocator knows that it is another object. */
Test(go_process, slot_taken_by_something_else)
{
	struct heap heap;
	uint64_t key;

	build(&heap, 23);
	key = add_classic(&heap, 40);
	open_heap(&heap);
	cr_expect_eq(look(&heap, FAMILY_MAP, key, true).liveness, LIVENESS_ALLOCATED);
	collect(&heap, 1);
	set_slot(&heap, alloc_bits(0), 2, false);
	put(&heap, mspan(0) + heap.file.go.layout.span_freeindex, 10,
		heap.file.go.layout.span_index_bytes);
	put64(&heap, key + 8, UINT64_MAX);
	cr_expect_eq(look(&heap, FAMILY_MAP, key, true).liveness, LIVENESS_DEAD);
	close_heap(&heap);
}

/* Headers that only look like one. */
Test(go_process, imitations)
{
	const struct {
		uint32_t off;
		uint64_t value;
	} rows[] = {
		{0, 41}, /* says more than there is: B = 5, cells are sampled */
		{8, 0x1234567800000000 | 70 << 8},
		{8, B << 8},         /* no seed */
		{16, HEAP + 8},      /* no array starts there */
		{16, 0x123450},      /* not in the heap */
		{40, 0},             /* 32 buckets, but none preallocated */
		{40, HEAP + 2 * 48}, /* not a mapextra */
		{24, 0x77777770},    /* old array not in the heap */
		{0, UINT64_MAX},
	};

	for (size_t i = 1; i < ARRAY_SIZE(rows); i++) {
		struct heap heap;
		uint64_t key;

		build(&heap, 23);
		key = add_classic(&heap, 40);
		put64(&heap, key + rows[i].off, rows[i].value);
		open_heap(&heap);
		expect_disbelief(&heap, FAMILY_MAP, key, i);
		close_heap(&heap);
	}
}

/* ---- Swiss maps ---- */

#define GROUP 136

struct swiss {
	uint64_t key, directory, tables, groups;
};

/* A map of two tables of 1,024 slots behind a directory of four entries; 900 and 100 entries. */
static struct swiss add_swiss(struct heap *heap)
{
	struct swiss map = {.key = add_span(heap, 48, 168, false) + 48,
		.directory = add_span(heap, 32, 254, false),
		.groups = add_span(heap, 18432, 4, true)};

	map.tables = map.directory + 64;
	put64(heap, map.key, 900);
	put64(heap, map.key + 8, 0x1122334455667788);
	put64(heap, map.key + 16, map.directory);
	put64(heap, map.key + 24, 4);
	put64(heap, map.key + 32, 2 | 62 << 8);
	for (uint64_t i = 0; i < 4; i++)
		put64(heap, map.directory + 8 * i, map.tables + 32 * (i / 2));
	for (uint64_t i = 0; i < 2; i++) {
		uint64_t used = i ? 100 : 800, left = i ? 896 - 100 : 50;

		put64(heap, map.tables + 32 * i, used | 1024 << 16 | left << 32 | 1ull << 48);
		put64(heap, map.tables + 32 * i + 8, 2 * i);
		put64(heap, map.tables + 32 * i + 16, map.groups + i * 18432);
		put64(heap, map.tables + 32 * i + 24, 127);
		for (uint64_t slot = 0; slot < 1024; slot++)
			put(heap, map.groups + i * 18432 + slot / 8 * GROUP + slot % 8,
				slot < used ? slot % 100 : 0x80, 1);
	}
	return map;
}

/*
 * While a sweeper is at the span it is not known whose header that is: were it taken over, zeros that outlive
 * a cycle would be the empty map that they look like.
 */
Test(go_process, header_of_nobody)
{
	const uint64_t zeros[6] = {};
	struct event_look seen;
	struct swiss map;
	struct heap heap;

	build(&heap, 26);
	map = add_swiss(&heap);
	open_heap(&heap);
	cr_expect_eq(look(&heap, FAMILY_MAP, map.key, true).liveness, LIVENESS_ALLOCATED);
	collect(&heap, 1);
	set_sweepgen(&heap, 0, 2 * 1 - 1);
	target_mem_add_image(heap.mem, map.key, zeros, sizeof(zeros));
	seen = look(&heap, FAMILY_MAP, map.key, true);
	cr_expect(seen.liveness == LIVENESS_ALLOCATED && !seen.has_length);
	collect(&heap, 2);
	cr_expect_eq(look(&heap, FAMILY_MAP, map.key, true).liveness, LIVENESS_DEAD);
	close_heap(&heap);
}

/* The slot of a freed map is taken again and still shows it; cleared after that, it outlives a cycle. */
Test(go_process, last_words_prove_nothing)
{
	const uint64_t zeros[6] = {};
	struct swiss map;
	struct heap heap;

	build(&heap, 26);
	map = add_swiss(&heap);
	open_heap(&heap);
	cr_expect_eq(look(&heap, FAMILY_MAP, map.key, true).liveness, LIVENESS_ALLOCATED);
	target_mem_add_image(heap.mem, map.key, zeros, sizeof(zeros));
	cr_expect_eq(look(&heap, FAMILY_MAP, map.key, true).liveness, LIVENESS_DEAD);
	collect(&heap, 1);
	cr_expect_eq(look(&heap, FAMILY_MAP, map.key, true).liveness, LIVENESS_DEAD);
	close_heap(&heap);

	build(&heap, 26);
	map = add_swiss(&heap);
	open_heap(&heap);
	look(&heap, FAMILY_MAP, map.key, true);
	target_mem_add_image(heap.mem, map.key, zeros, sizeof(zeros));
	collect(&heap, 1);
	cr_expect_eq(look(&heap, FAMILY_MAP, map.key, true).liveness, LIVENESS_DEAD,
		"a slot of zeros was proven");
	close_heap(&heap);
}

Test(go_process, swiss_map)
{
	struct event_look seen;
	struct swiss map;
	struct heap heap;

	build(&heap, 26);
	map = add_swiss(&heap);
	open_heap(&heap);
	seen = look(&heap, FAMILY_MAP, map.key, true);
	cr_expect(seen.liveness == LIVENESS_ALLOCATED && seen.length == 900 &&
		  seen.capacity == 2048 && seen.load_limit == 1792 && seen.tombstones == 46);
	cr_expect_eq(seen.held_bytes, 48 + 32 + 2 * (32 + 18432));
	cr_expect_eq(seen.need_bytes, 48 + 16 + 2 * (32 + 18432));
	/* Header only: the length is new, the walk is that of before. */
	put64(&heap, map.key, 899);
	put(&heap, map.tables + 4, 51, 2);
	seen = look(&heap, FAMILY_MAP, map.key, false);
	cr_expect(seen.length == 899 && seen.tombstones == 46 && seen.capacity == 2048);
	close_heap(&heap);
}

/* Directories and tables that do not hang together, or are meant to keep us busy. */
Test(go_process, hostile_swiss)
{
	const struct {
		uint64_t base, off, value;
	} rows[] = {
		{0, 24, 1ull << 40}, /* more tables than the directory's slot holds */
		{0, 24, UINT64_MAX}, {0, 32, 40 | 24 << 8}, {0, 16, 0xdead0000},
		{1, 0, 0},                                 /* directory entry without a table */
		{1, 8, HEAP},                              /* leads to something else */
		{1, 0, 1},                                 /* misaligned */
		{2, 0, 0},                                 /* capacity 0 */
		{2, 0, 5 | 1000ull << 16},                 /* no power of two */
		{2, 0, 1024 | 1024ull << 16 | 1ull << 48}, /* more than the limit */
		{2, 8, 1},                                 /* index of another entry */
		{2, 16, 0xdead0000},                       /* groups nowhere */
		{2, 24, UINT64_MAX},                       /* mask */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct swiss map;
		struct heap heap;
		uint64_t bases[3];

		build(&heap, 26);
		map = add_swiss(&heap);
		bases[0] = map.key;
		bases[1] = map.directory;
		bases[2] = map.tables;
		put64(&heap, bases[rows[i].base] + rows[i].off, rows[i].value);
		open_heap(&heap);
		expect_disbelief(&heap, FAMILY_MAP, map.key, i);
		close_heap(&heap);
	}
}

/* ---- channels, slices ---- */

static uint64_t add_channel(struct heap *heap)
{
	const struct go_layout *layout = &heap->file.go.layout;
	uint64_t key = add_span(heap, 9472, 3, true) + 9472;

	put64(heap, key, 10);
	put64(heap, key + 8, 1024);
	put64(heap, key + 16, key + layout->chan_header);
	put64(heap, key + 24, 8);
	put64(heap, key + layout->chan_elem_type, ELEM_TYPE);
	put64(heap, key + layout->chan_sendx, 10);
	return key;
}

Test(go_process, channel)
{
	const uint8_t minors[] = {19, 23, 26};

	for (size_t i = 0; i < ARRAY_SIZE(minors); i++) {
		struct event_look seen;
		struct heap heap;
		uint64_t key;

		build(&heap, minors[i]);
		key = add_channel(&heap);
		open_heap(&heap);
		seen = look(&heap, FAMILY_CHANNEL, key, true);
		cr_expect(seen.liveness == LIVENESS_ALLOCATED && seen.length == 10 &&
			  seen.capacity == 1024 && seen.held_bytes == 9472 &&
			  seen.resident_bytes == 9472);
		put64(&heap, key + heap.file.go.layout.chan_sendx, 1024);
		set_gc(&heap, 1, 0);
		sweep_all(&heap, 1);
		cr_expect(!look(&heap, FAMILY_CHANNEL, key, true).has_length);
		close_heap(&heap);
	}
}

Test(go_process, slice)
{
	struct event_look seen;
	struct heap heap;
	uint64_t key;

	build(&heap, 23);
	key = add_span(&heap, 1024, 8, false) + 1024 + 8; /* behind its malloc header */
	open_heap(&heap);
	seen = look(&heap, FAMILY_SLICE, key, true);
	cr_expect(seen.liveness == LIVENESS_ALLOCATED && !seen.has_length &&
		  seen.held_bytes == 1024 && seen.need_bytes == 1024);
	cr_expect_eq(look(&heap, FAMILY_SLICE, key + 16, true).liveness, LIVENESS_DEAD);
	close_heap(&heap);
}

/* ---- census ---- */

struct found {
	struct runtime_container list[8];
	size_t count;
};

static void take(const struct runtime_container *container, void *arg)
{
	struct found *found = arg;

	cr_assert_lt(found->count, ARRAY_SIZE(found->list));
	found->list[found->count++] = *container;
}

static int stop_at_once(uint64_t done, uint64_t total, void *arg)
{
	(void)done;
	(void)total;
	++*(int *)arg;
	return 1;
}

/* Pages that were a stack are full of pointers to the map; the slots that they are in now are free. */
Test(go_process, census_owner_behind_stale_pointers)
{
	struct found found = {};
	struct runtime_census_options options = {.find_owners = true, .found_arg = &found};
	struct runtime_census_stats stats;
	uint64_t map, stale, owner;
	struct heap heap;

	build(&heap, 23);
	map = add_classic(&heap, 40);
	stale = add_span(&heap, 32, 256, false);
	owner = add_span(&heap, 64, 128, false) + 64;
	for (uint64_t i = 0; i < 20; i++) {
		put64(&heap, stale + 32 * i, map);
		set_slot(&heap, alloc_bits(heap.spans - 2), i, false);
	}
	put64(&heap, owner + 16, map);
	put64(&heap, DATA + 0x80, owner + 8);
	open_heap(&heap);
	cr_assert_eq(runtime_go.census(heap.process, &options, take, &stats), 0);
	cr_assert_eq(found.count, 1);
	cr_expect_eq(found.list[0].look.liveness, LIVENESS_ROOTED);
	close_heap(&heap);
}

static bool is_quiet(struct heap *heap, uint64_t key)
{
	bool ret = true;

	cr_assert_eq(runtime_go.quiet(heap->process, &key, 1, &ret), 0);
	return ret;
}

/* Looks until it is quiet, if ever. */
static void calm(struct heap *heap, enum family family, uint64_t key)
{
	look(heap, family, key, false);
	look(heap, family, key, false);
}

/* Not before two looks have said the same, and only until what they depend on changes. */
Test(go_process, quiet_until_something_changes)
{
	struct event_look before, after;
	struct heap heap;
	uint64_t key, channel;

	build(&heap, 23);
	key = add_classic(&heap, 40);
	channel = add_channel(&heap);
	open_heap(&heap);
	add_type(&heap, &(struct go_type){.type = ELEM_TYPE, .kind = 2, .size = 8, .name = "int"});
	cr_expect_not(is_quiet(&heap, key), "nobody has looked yet");
	look(&heap, FAMILY_MAP, key, true);
	cr_expect_not(is_quiet(&heap, key), "one look is none in a row");
	calm(&heap, FAMILY_MAP, key);
	calm(&heap, FAMILY_CHANNEL, channel);
	cr_expect(is_quiet(&heap, key) && is_quiet(&heap, channel) && is_quiet(&heap, key));
	before = look(&heap, FAMILY_MAP, key, false);
	after = look(&heap, FAMILY_MAP, key, false);
	cr_expect_arr_eq(&before, &after, sizeof(before));
	put64(&heap, key, 41);
	cr_expect(!is_quiet(&heap, key) && is_quiet(&heap, channel));
	look(&heap, FAMILY_MAP, key, false);
	cr_expect_not(is_quiet(&heap, key));
	look(&heap, FAMILY_MAP, key, false);
	cr_expect(is_quiet(&heap, key));
	go_container_find(heap.process, key)->verified_ns -= GO_STALE_NS;
	look(&heap, FAMILY_MAP, key, false);
	cr_expect(is_quiet(&heap, key), "nothing was swept");
	collect(&heap, 1);
	cr_expect_not(is_quiet(&heap, key), "it may have been swept");
	cr_expect(is_quiet(&heap, channel), "its proof is not old enough");
	set_slot(&heap, alloc_bits(0), 2, false);
	cr_expect_eq(look(&heap, FAMILY_MAP, key, false).liveness, LIVENESS_DEAD);
	cr_expect_not(is_quiet(&heap, key));
	close_heap(&heap);
}

/* A variable that lets go says something new. */
Test(go_process, quiet_as_long_as_it_is_rooted)
{
	struct found found = {};
	struct runtime_census_options options = {.find_owners = true, .found_arg = &found};
	struct runtime_census_stats stats;
	struct heap heap;
	uint64_t map, owner;

	build(&heap, 23);
	map = add_classic(&heap, 40);
	owner = add_span(&heap, 64, 128, false) + 64;
	put64(&heap, owner + 16, map);
	put64(&heap, DATA + 0x80, owner + 8);
	open_heap(&heap);
	cr_assert_eq(runtime_go.census(heap.process, &options, take, &stats), 0);
	calm(&heap, FAMILY_MAP, map);
	cr_expect(is_quiet(&heap, map));
	put64(&heap, owner + 16, 0);
	cr_expect_not(is_quiet(&heap, map));
	cr_expect_eq(look(&heap, FAMILY_MAP, map, false).liveness, LIVENESS_ALLOCATED);
	cr_expect(is_quiet(&heap, map));
	put64(&heap, owner + 16, map);
	cr_expect_not(is_quiet(&heap, map));
	cr_expect_eq(look(&heap, FAMILY_MAP, map, false).liveness, LIVENESS_ROOTED);
	put64(&heap, DATA + 0x80, 0);
	cr_expect_not(is_quiet(&heap, map));
	look(&heap, FAMILY_MAP, map, false);
	cr_expect(is_quiet(&heap, map));
	cr_assert_eq(runtime_go.census(heap.process, &options, take, &stats), 0);
	cr_expect_not(is_quiet(&heap, map), "it is remembered anew");
	close_heap(&heap);
}

Test(go_process, census)
{
	struct found found = {};
	struct runtime_census_options options = {.find_owners = true, .found_arg = &found};
	struct runtime_census_stats stats;
	struct heap heap;
	uint64_t map, channel, owner;
	int calls = 0;

	build(&heap, 23);
	map = add_classic(&heap, 40);
	channel = add_channel(&heap);
	owner = add_span(&heap, 64, 128, false) + 64;
	put64(&heap, map + 48, 40); /* an imitation: the same array, no mapextra */
	put64(&heap, map + 56, B << 8 | 0x5555555500000000);
	put64(&heap, map + 64, HEAP + GO_PAGE_BYTES + 5376);
	put64(&heap, owner + 16, map); /* global variable -> object -> map */
	put64(&heap, DATA + 0x80, owner + 8);
	put64(&heap, DATA + 0x100, channel);
	open_heap(&heap);
	add_type(&heap, &(struct go_type){.type = ELEM_TYPE, .kind = 2, .size = 8, .name = "int"});
	cr_assert_eq(runtime_go.census(heap.process, &options, take, &stats), 0);
	cr_assert_eq(found.count, 2);
	cr_expect(stats.complete && stats.containers == 2 && stats.objects >= 170);
	for (int i = 0; i < 2; i++) {
		cr_expect(
			found.list[i].key == (found.list[i].family == FAMILY_MAP ? map : channel));
		cr_expect_eq(found.list[i].look.liveness, LIVENESS_ROOTED);
	}
	/* The variable lets go: not rooted any more, but not dead either. */
	put64(&heap, DATA + 0x80, 0);
	cr_expect_eq(look(&heap, FAMILY_MAP, map, true).liveness, LIVENESS_ALLOCATED);
	options.floor_bytes = 6000;
	found.count = 0;
	cr_assert_eq(runtime_go.census(heap.process, &options, take, &stats), 0);
	cr_expect(found.count == 1 && found.list[0].family == FAMILY_CHANNEL &&
		  !strcmp(found.list[0].type_name, "chan int"));
	options.progress = stop_at_once;
	options.arg = &calls;
	cr_assert_eq(runtime_go.census(heap.process, &options, take, &stats), 0);
	cr_expect(calls == 1 && !stats.complete);
	options.progress = NULL;
	options.deadline_ns = clock_mono_ns();
	cr_assert_eq(runtime_go.census(heap.process, &options, take, &stats), 0);
	cr_expect(!stats.complete);
	close_heap(&heap);
}

/* Between two slices the map is collected, and a variable comes to point to what has taken its slot. */
struct reuse {
	struct heap *heap;
	uint64_t map;
	int calls, at;
};

static int reuse_slot(uint64_t done, uint64_t total, void *arg)
{
	const uint64_t zeros[6] = {};
	struct reuse *reuse = arg;

	(void)done;
	(void)total;
	if (reuse->calls++ != reuse->at)
		return 0;
	collect(reuse->heap, 1);
	set_slot(reuse->heap, alloc_bits(0), 2, false);
	put(reuse->heap, mspan(0) + reuse->heap->file.go.layout.span_freeindex, 10,
		reuse->heap->file.go.layout.span_index_bytes);
	target_mem_add_image(reuse->heap->mem, reuse->map, zeros, sizeof(zeros));
	put64(reuse->heap, DATA + 0x80, reuse->map);
	return 0;
}

Test(go_process, census_of_reused_slot)
{
	int at, calls = 1;

	for (at = 0; at < calls; at++) {
		struct found found = {};
		struct heap heap;
		struct reuse reuse = {.heap = &heap, .at = at};
		struct runtime_census_options options = {.find_owners = true,
			.found_arg = &found,
			.progress = reuse_slot,
			.arg = &reuse};
		struct runtime_census_stats stats;

		build(&heap, 23);
		reuse.map = add_classic(&heap, 40);
		open_heap(&heap);
		cr_assert_eq(runtime_go.census(heap.process, &options, take, &stats), 0);
		for (size_t i = 0; i < found.count; i++)
			cr_expect_neq(found.list[i].look.liveness, LIVENESS_ROOTED,
				"another object is rooted, not the map (slice %d)", at);
		calls = reuse.calls;
		close_heap(&heap);
	}
	cr_expect_gt(at, 3, "%d slices", at);
}

/* The owner's span is being swept, by a thread that goes on only later. */
struct sweeper {
	struct heap *heap;
	int calls, at;
};

static int go_on_sweeping(uint64_t done, uint64_t total, void *arg)
{
	struct sweeper *sweeper = arg;

	(void)done;
	(void)total;
	if (sweeper->calls++ == sweeper->at)
		sweep_all(sweeper->heap, 1);
	return 0;
}

Test(go_process, census_waits_for_the_sweeper)
{
	int at, calls = 1;

	for (at = 0; at < calls && at < 12; at++) {
		struct found found = {};
		struct heap heap;
		struct sweeper sweeper = {.heap = &heap, .at = at};
		struct runtime_census_options options = {.find_owners = true,
			.found_arg = &found,
			.progress = go_on_sweeping,
			.arg = &sweeper};
		struct runtime_census_stats stats;
		uint64_t map, owner;

		build(&heap, 23);
		map = add_classic(&heap, 40);
		owner = add_span(&heap, 64, 128, false) + 64;
		put64(&heap, owner + 16, map);
		put64(&heap, DATA + 0x80, owner + 8);
		collect(&heap, 1);
		for (uint64_t i = 0; i < heap.spans; i++)
			set_sweepgen(&heap, i, 2 * 1 - 1);
		open_heap(&heap);
		cr_assert_eq(runtime_go.census(heap.process, &options, take, &stats), 0);
		cr_assert_eq(found.count, 1);
		cr_expect_eq(found.list[0].look.liveness, LIVENESS_ROOTED,
			"not proven when the sweeper goes on at call %d", at);
		calls = sweeper.calls;
		close_heap(&heap);
	}
}

#define MODULE (DATA + 0x3000)
#define MASK   (DATA + 0x4000)

/* What the census says of a map that a word of data points to, where the collector's mask has that bit or not. */
static enum liveness liveness_by_mask(bool masked, bool pointer, bool through_object)
{
	static const uint8_t zero[0x2000];
	struct found found = {};
	struct runtime_census_options options = {.find_owners = true, .found_arg = &found};
	struct runtime_census_stats stats;
	uint64_t map, owner, word = 0x80 / 8, words = 0x1000 / 8;
	struct heap heap;

	build(&heap, 23);
	map = add_classic(&heap, 40);
	owner = add_span(&heap, 64, 128, false) + 64;
	put64(&heap, owner + 16, map);
	put64(&heap, DATA + 0x80, through_object ? owner : map);
	collect(&heap, 1);
	target_mem_add_image(heap.mem, MODULE, zero, sizeof(zero));
	heap.file.go.moduledata = MODULE;
	if (masked) {
		put(&heap, MODULE + 536, words, 4);
		put64(&heap, MODULE + 544, MASK);
		put64(&heap, MODULE + 560, MASK + words / 8); /* of bss, which is empty */
	}
	put(&heap, MASK + word / 8, pointer ? 1u << word % 8 : 0xff & ~(1u << word % 8), 1);
	open_heap(&heap);
	cr_assert_eq(runtime_go.census(heap.process, &options, take, &stats), 0);
	cr_assert_eq(found.count, 1);
	close_heap(&heap);
	return found.list[0].look.liveness;
}

/* A number of the runtime's may be the address of a map, too: it keeps none alive. */
Test(go_process, census_knows_what_is_no_pointer)
{
	for (int through = 0; through < 2; through++) {
		cr_expect_eq(liveness_by_mask(true, true, through), LIVENESS_ROOTED);
		cr_expect_neq(liveness_by_mask(true, false, through), LIVENESS_ROOTED);
		cr_expect_eq(liveness_by_mask(false, false, through), LIVENESS_ROOTED,
			"not known: as it looks");
	}
}

static void count_arrays(const struct runtime_arrays *arrays, void *arg)
{
	uint64_t *count = arg;

	*count += arrays->event.count;
}

/* Arrays in a span whose sweeper is off its CPU for so many calls, or for good. */
static uint64_t census_arrays(struct sweeper sweeper, struct runtime_census_stats *ret)
{
	uint64_t span, count = 0;
	struct runtime_census_options options = {.arrays = count_arrays,
		.found_arg = &count,
		.progress = go_on_sweeping,
		.arg = &sweeper};
	struct heap heap;

	sweeper.heap = &heap;
	build(&heap, 23);
	span = add_span(&heap, 1792, 9, false);
	for (uint64_t i = 0; i < 9; i++)
		put64(&heap, span + i * 1792, ELEM_TYPE);
	collect(&heap, 1);
	set_sweepgen(&heap, 0, 2 * 1 - 1);
	open_heap(&heap);
	add_type(&heap, &(struct go_type){.type = ELEM_TYPE, .kind = 2, .size = 8, .name = "int"});
	cr_assert_eq(runtime_go.census(heap.process, &options, take, ret), 0);
	close_heap(&heap);
	return count;
}

Test(go_process, census_of_arrays_waits_for_the_sweeper)
{
	struct runtime_census_stats stats;

	cr_expect_eq(census_arrays((struct sweeper){.at = 40}, &stats), 9);
	cr_expect_eq(stats.unread, 0);
	cr_expect_eq(census_arrays((struct sweeper){.at = -1}, &stats), 0);
	cr_expect_eq(stats.unread, 9, "nobody is told of what was not counted");
}

/* Where Go 1.23 keeps what of a goroutine, of one that is blocked and of a channel. */
enum { G_SP = 56, G_BP = 104, G_STATUS = 152, G_REASON = 184, G_WAITING = 320, WAITING = 4 };
enum { SUDOG_ELEM = 24, SUDOG_CHAN = 80, CHAN_BYTES = 24, CHAN_TYPE = 40 };

#define GOROUTINE 0xc800000000ull /* in a page of its own, as the rest of it */
#define STACK_LO  (GOROUTINE + 0x1000)
#define SUDOG     (GOROUTINE + 0x2000)
#define ALLGS     (GOROUTINE + 0x3000)

/* One goroutine that is blocked in a send of a slice over that array. */
static void add_sender(struct heap *heap, uint64_t array)
{
	static const uint8_t zero[0x4000];
	uint64_t sp = STACK_LO + 0x400, value = STACK_LO + 0x500, channel = SUDOG + 0x200;

	target_mem_add_image(heap->mem, GOROUTINE, zero, sizeof(zero));
	put64(heap, ALLGS, ALLGS + 0x100);
	put64(heap, ALLGS + 8, 1);
	put64(heap, ALLGS + 16, 1);
	put64(heap, ALLGS + 0x100, GOROUTINE);
	put64(heap, GOROUTINE, STACK_LO);
	put64(heap, GOROUTINE + 8, STACK_LO + 0x800);
	put64(heap, GOROUTINE + G_SP, sp);
	put64(heap, GOROUTINE + G_BP, sp + 0x10);
	put(heap, GOROUTINE + G_STATUS, WAITING, 4);
	put(heap, GOROUTINE + G_REASON, 1, 1);
	put64(heap, GOROUTINE + G_WAITING, SUDOG);
	put64(heap, sp + 0x10, sp + 0x40);
	put64(heap, sp + 0x18, heap->file.go.text + 0x100);
	put64(heap, SUDOG + SUDOG_ELEM, value);
	put64(heap, SUDOG + SUDOG_CHAN, channel);
	put(heap, channel + CHAN_BYTES, 24, 2);
	put64(heap, channel + CHAN_TYPE, ELEM_TYPE);
	put64(heap, value, array);
	put64(heap, value + 8, 100);
	put64(heap, value + 16, 100);
	heap->file.go.allgs = ALLGS;
	heap->file.go.wait_reasons = 2;
	heap->file.go.waits[1] = WAIT_SEND;
}

static void add_message_bytes(const struct runtime_waiters *waiters, void *arg)
{
	uint64_t *bytes = arg;

	*bytes += waiters->event.message_bytes;
}

static uint64_t read_messages(struct heap *heap)
{
	struct event_goroutines all;
	uint64_t bytes = 0;

	cr_assert_eq(runtime_go.goroutines(heap->process, 1, add_message_bytes, &bytes, &all), 0);
	cr_assert_eq(all.counts[WAIT_SEND], 1);
	return bytes;
}

/* A sweeper that is at the message's span does not hide it; what is no object, or free, is no message. */
Test(go_process, messages_while_their_span_is_swept)
{
	struct heap heap;
	uint64_t array;

	build(&heap, 23);
	array = add_span(&heap, 65536, 1, true);
	add_sender(&heap, array);
	collect(&heap, 1);
	open_heap(&heap);
	add_type(&heap, &(struct go_type){.type = ELEM_TYPE,
				.kind = 23,
				.size = 24,
				.has_pointers = true,
				.name = "[]uint8"});
	cr_expect_eq(read_messages(&heap), 65536);
	set_sweepgen(&heap, 0, 2 * 1 - 1);
	cr_expect_eq(read_messages(&heap), 65536, "the sweeper is at its span");
	sweep_all(&heap, 1);
	set_slot(&heap, alloc_bits(0), 0, false);
	cr_expect_eq(read_messages(&heap), 0, "there is nothing any more");
	close_heap(&heap);
}

/* A freed map is known; its slot is in use again, and still shows it. */
Test(go_process, census_of_last_words)
{
	struct found found = {};
	struct runtime_census_options options = {.found_arg = &found};
	struct runtime_census_stats stats;
	struct heap heap;
	uint64_t map;

	build(&heap, 23);
	map = add_classic(&heap, 40);
	open_heap(&heap);
	cr_assert_eq(runtime_go.census(heap.process, &options, take, &stats), 0);
	cr_assert(found.count == 1 && found.list[0].key == map);
	collect(&heap, 1);
	cr_assert_eq(runtime_go.census(heap.process, &options, take, &stats), 0);
	cr_assert_eq(found.count, 2);
	cr_expect_eq(found.list[1].look.liveness, LIVENESS_MARKED);
	collect(&heap, 2);
	set_slot(&heap, alloc_bits(0), 2, false);
	put(&heap, mspan(0) + heap.file.go.layout.span_freeindex, 10,
		heap.file.go.layout.span_index_bytes);
	cr_assert_eq(runtime_go.census(heap.process, &options, take, &stats), 0);
	cr_expect_eq(found.count, 2, "the last words of a freed map were believed");
	put(&heap, map + 12, 0x7777, 4); /* another map that has taken its slot */
	cr_assert_eq(runtime_go.census(heap.process, &options, take, &stats), 0);
	cr_assert_eq(found.count, 3);
	cr_expect_eq(found.list[2].look.liveness, LIVENESS_ALLOCATED);
	close_heap(&heap);
}

/* A reflect.MapIter over the map, all of its words possible ones. */
static uint64_t add_iterator(struct heap *heap, uint64_t map)
{
	uint64_t iterator = add_span(heap, 128, 64, false) + 128, hiter = iterator + 24;
	uint64_t array = HEAP + GO_PAGE_BYTES + 5376;

	put64(heap, iterator, MAP_TYPE);
	put64(heap, iterator + 8, map);
	put64(heap, hiter, array + 8); /* key */
	put64(heap, hiter + 16, MAP_TYPE);
	put64(heap, hiter + 24, map);
	put64(heap, hiter + 32, array);
	put64(heap, hiter + 40, array);
	put64(heap, hiter + 64, 31);                             /* where it began */
	put64(heap, hiter + 72, 7 | 1 << 8 | B << 16 | 3 << 24); /* offset, wrapped, B, i */
	put64(heap, hiter + 80, 32);
	return iterator;
}

static const struct event_iterators *iterators_of(struct heap *heap, struct found *found)
{
	struct runtime_census_options options = {.find_owners = true, .found_arg = found};
	struct runtime_census_stats stats;

	*found = (struct found){};
	open_heap(heap);
	add_map_type(heap, BUCKET, false);
	cr_assert_eq(runtime_go.census(heap->process, &options, take, &stats), 0);
	cr_assert_eq(found->count, 1);
	close_heap(heap);
	return &found->list[0].iterators.event;
}

Test(go_process, iterators)
{
	static const struct {
		uint64_t off, value; /* of the hiter */
		uint64_t on_heap, old_bytes;
	} rows[] = {
		{80, 32, 1, 0},                        /* as it is */
		{0, 0, 1, 0},                          /* at its end, but there */
		{16, ELEM_TYPE, 0, 0},                 /* not of a map */
		{16, 0xdead0000, 0, 0},                /* of no type */
		{32, 0, 0, 0},                         /* over no array */
		{32, 0xdead0000, 1, 0},                /* over one that is not there */
		{32, HEAP + GO_PAGE_BYTES, 1, 5376},   /* over one that the map has left */
		{32, HEAP + GO_PAGE_BYTES + 64, 1, 0}, /* into one */
		{64, 32, 0, 0},                        /* began behind the end */
		{64, UINT64_MAX, 0, 0},
		{72, 8 | B << 16, 0, 0},        /* offset */
		{72, 2 << 8 | B << 16, 0, 0},   /* neither wrapped nor not */
		{72, (B + 1) << 16, 0, 0},      /* more buckets than the map has */
		{72, B << 16 | 9u << 24, 0, 0}, /* behind a bucket */
		{80, 33, 0, 0},
		{80, UINT64_MAX, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct event_iterators *seen;
		struct found found;
		struct heap heap;
		uint64_t map;

		build(&heap, 23);
		map = add_classic(&heap, 40);
		put64(&heap, add_iterator(&heap, map) + 24 + rows[i].off, rows[i].value);
		seen = iterators_of(&heap, &found);
		cr_expect_eq(seen->on_heap, rows[i].on_heap, "row %zu", i);
		cr_expect_eq(seen->old_bytes, rows[i].old_bytes, "row %zu", i);
		/* what looks like one and is none is one more pointer to the map */
		cr_expect_eq(seen->others, !rows[i].on_heap, "row %zu", i);
	}
}

Test(go_process, iterator_is_not_alone)
{
	const struct event_iterators *seen;
	struct found found;
	struct heap heap;
	uint64_t map;

	build(&heap, 23);
	map = add_classic(&heap, 40);
	add_iterator(&heap, map);
	put64(&heap, add_span(&heap, 64, 128, false) + 64 + 16, map);
	seen = iterators_of(&heap, &found);
	cr_expect(seen->on_heap == 1 && seen->others);

	build(&heap, 23);
	map = add_classic(&heap, 40);
	add_iterator(&heap, map);
	put64(&heap, DATA + 0x80, map);
	seen = iterators_of(&heap, &found);
	cr_expect(seen->on_heap == 1 && seen->others);
}

/* ---- decode ---- */

static int decode(struct heap *heap, uint16_t row, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
	struct event *ret)
{
	struct runtime_probe probe = {.probe = row};
	struct mt_record record = {.addr = HEAP + 0x1000, .val = {a, b, c, d}};
	uint64_t type;

	return runtime_go.decode(heap->process, &probe, &record, ret, &type);
}

static void open_for_decode(struct heap *heap, uint8_t minor, uint64_t group, bool has_pointers)
{
	build(heap, minor);
	add_span(heap, 48, 168, false);
	open_heap(heap);
	add_map_type(heap, group, has_pointers);
}

static uint64_t word(uint64_t b, uint64_t overflow)
{
	return b << 8 | overflow << 16 | 0xabcdef01ull << 32;
}

/* Of 2^13 buckets of 144 bytes: 8,704 make 1,253,376 bytes, which is a number of pages. */
#define PREALLOCATED 512

Test(go_process, decode_hash_grow)
{
	struct event event;
	struct heap heap;

	open_for_decode(&heap, 23, 144, false);
	/* the 9th entry of a map of one bucket */
	cr_assert_eq(decode(&heap, GO_PROBE_HASH_GROW, MAP_TYPE, 8, word(0, 0), 0x1000, &event), 0);
	cr_expect(event.kind == EVENT_GROWTH && event.growth.capacity == 16 &&
		  event.growth.length == 8 && !event.growth.same_size &&
		  event.growth.allocated_bytes == 288 && event.growth.garbage_bytes == 144);
	/* the same call again, and the next one */
	cr_expect_eq(decode(&heap, GO_PROBE_HASH_GROW, MAP_TYPE, 8, word(0, 0), 0x1000, &event),
		-ENODATA);
	cr_assert_eq(
		decode(&heap, GO_PROBE_HASH_GROW, MAP_TYPE, 13, word(1, 0), 0x2000, &event), 0);
	cr_expect_eq(event.growth.capacity, 32);
	/* 2^14 buckets of 144 bytes, as a real program holds them: 2,506,752 bytes; 600 overflow
	   buckets are more than were preallocated */
	cr_assert_eq(
		decode(&heap, GO_PROBE_HASH_GROW, MAP_TYPE, 53248, word(13, 600), 0x3000, &event),
		0);
	cr_expect_eq(event.growth.allocated_bytes, 2506752 + (600 - PREALLOCATED) * 144);
	cr_expect_eq(event.growth.held_bytes, 48 + 2506752 + event.growth.garbage_bytes);
	/* too many overflow buckets, few entries: rebuilt in the same size */
	cr_assert_eq(
		decode(&heap, GO_PROBE_HASH_GROW, MAP_TYPE, 100, word(5, 32), 0x4000, &event), 0);
	cr_expect(event.growth.same_size && event.growth.capacity == 256);
	/* impossible */
	cr_expect_eq(decode(&heap, GO_PROBE_HASH_GROW, MAP_TYPE, 8, word(99, 0), 0x1000, &event),
		-EBADMSG);
	cr_expect_eq(
		decode(&heap, GO_PROBE_HASH_GROW, MAP_TYPE, 1 << 20, word(3, 0), 0x1000, &event),
		-EBADMSG);
	close_heap(&heap);
}

static uint64_t table_word(uint64_t used, uint64_t capacity, uint64_t depth)
{
	return used | capacity << 16 | depth << 48;
}

Test(go_process, decode_swiss)
{
	struct event event;
	struct heap heap;

	open_for_decode(&heap, 24, 136, false);
	cr_assert_eq(decode(&heap, GO_PROBE_GROW_TO_TABLE, MAP_TYPE, 8, 0, 0, &event), 0);
	cr_expect(event.growth.capacity == 16 && event.growth.length == 8 &&
		  event.growth.allocated_bytes == 288 + 32 + 8 &&
		  event.growth.garbage_bytes == 144);
	/* one table doubles */
	cr_assert_eq(
		decode(&heap, GO_PROBE_REHASH, MAP_TYPE, table_word(448, 512, 0), 448, 0, &event),
		0);
	cr_expect(event.growth.capacity == 1024 && event.growth.length == 448 &&
		  event.growth.allocated_bytes == 18432 + 32 &&
		  event.growth.garbage_bytes == 9472 + 32 &&
		  event.growth.held_bytes == 48 + 8 + 32 + 18432);
	/* a full one splits; the directory is doubled where it is as deep as the table */
	cr_assert_eq(
		decode(&heap, GO_PROBE_REHASH, MAP_TYPE, table_word(896, 1024, 3), 9000, 3, &event),
		0);
	cr_expect(event.growth.allocated_bytes == 2 * (18432 + 32) + 128 &&
		  event.growth.garbage_bytes == 18432 + 32 + 64 && event.growth.capacity == 0);
	cr_assert_eq(
		decode(&heap, GO_PROBE_REHASH, MAP_TYPE, table_word(896, 1024, 2), 9000, 3, &event),
		0);
	cr_expect_eq(event.growth.allocated_bytes, 2 * (18432 + 32));
	cr_expect_eq(decode(&heap, GO_PROBE_REHASH, MAP_TYPE, table_word(9, 2048, 0), 9, 0, &event),
		-EBADMSG);
	cr_expect_eq(decode(&heap, GO_PROBE_REHASH, MAP_TYPE, table_word(9, 24, 0), 9, 0, &event),
		-EBADMSG);
	cr_expect_eq(decode(&heap, GO_PROBE_REHASH, MAP_TYPE, table_word(9, 64, 5), 9, 4, &event),
		-EBADMSG);
	close_heap(&heap);
}

Test(go_process, decode_growslice)
{
	struct event event;
	struct heap heap;

	open_for_decode(&heap, 23, 144, false);
	/* []int from 1,024 to 1,536 slots; the element size follows from bytes and length */
	cr_assert_eq(decode(&heap, GO_PROBE_GROWSLICE, 0xc0deadb000, 8192, 1025, 1536, &event), 0);
	cr_expect(!event.growth.new_container && event.growth.old_key == 0xc0deadb000 &&
		  event.growth.length == 1025 && event.growth.capacity == 1536 &&
		  event.growth.allocated_bytes == 12288 && event.growth.garbage_bytes == 8192);
	/* first allocation: nil, or zerobase */
	cr_assert_eq(decode(&heap, GO_PROBE_GROWSLICE, 0, 0, 1, 8, &event), 0);
	cr_expect(event.growth.new_container && event.growth.garbage_bytes == 0);
	cr_assert_eq(decode(&heap, GO_PROBE_GROWSLICE, DATA + 0x1800, 0, 1, 8, &event), 0);
	cr_expect(event.growth.new_container);
	cr_expect_eq(decode(&heap, GO_PROBE_GROWSLICE, 0, 0, 9, 8, &event), -EBADMSG);
	cr_expect_eq(decode(&heap, GO_PROBE_GROWSLICE, 0, UINT64_MAX, 9, 16, &event), -EBADMSG);
	close_heap(&heap);
	/* 1.19 says the old length */
	open_for_decode(&heap, 19, 144, false);
	cr_assert_eq(decode(&heap, GO_PROBE_GROWSLICE, 0xc0deadb000, 8192, 1024, 1536, &event), 0);
	cr_expect(event.growth.length == 1024 && event.growth.allocated_bytes == 12288);
	close_heap(&heap);
}

/* Builders and buffers: at their copy, the old array may be looked up where we did not see it made. */
Test(go_process, decode_buffers)
{
	struct event event;
	struct heap heap;
	uint64_t array;

	open_for_decode(&heap, 23, 144, false);
	/* Grow() of a builder that has 1,000 bytes in 1,024 to 3,072 */
	cr_assert_eq(decode(&heap, GO_PROBE_BUILDER_GROW, 0xc0deadb000, 1000, 0, 3072, &event), 0);
	cr_expect(event.growth.family == FAMILY_BUFFER && !event.growth.new_container &&
		  event.growth.old_key == 0xc0deadb000 && event.growth.length == 1000 &&
		  event.growth.capacity == 3072 && event.growth.allocated_bytes == 3072 &&
		  event.growth.garbage_bytes == 1024);
	/* of an empty one: made with a size, not grown */
	cr_assert_eq(decode(&heap, GO_PROBE_BUILDER_GROW, 0, 0, 0, 64, &event), 0);
	cr_expect(event.growth.new_container && event.growth.garbage_bytes == 0);
	cr_expect_eq(decode(&heap, GO_PROBE_BUILDER_GROW, 0, 65, 0, 64, &event), -EBADMSG);
	cr_expect_eq(decode(&heap, GO_PROBE_BUILDER_GROW, 0, 65, 0, UINT64_MAX, &event), -EBADMSG);
	/* what the runtime's growslice made just before is what a Buffer has now */
	cr_assert_eq(decode(&heap, GO_PROBE_GROWSLICE, 0xc0deadd000, 2047, 2048, 4096, &event), 0);
	cr_assert_eq(decode(&heap, GO_PROBE_BUFFER_GROW, 0xc0deadb000, 2000, 0, 0, &event), 0);
	cr_expect(event.growth.family == FAMILY_BUFFER && event.growth.capacity == 4096 &&
		  event.growth.length == 2000 && event.growth.garbage_bytes == 2048);
	/* and it is known when it is replaced */
	array = event.growth.key;
	cr_assert_eq(decode(&heap, GO_PROBE_BUFFER_GROW, array, 100, 0, 0, &event), 0);
	cr_expect_eq(event.growth.garbage_bytes, 4096);
	close_heap(&heap);
}

Test(go_process, decode_other)
{
	struct event event;
	struct heap heap;
	struct runtime_probe probe = {.probe = GO_PROBE_HASH_GROW};
	struct mt_record record = {.addr = HEAP, .flags = MT_UNREAD};
	uint64_t type;

	open_for_decode(&heap, 23, 144, false);
	cr_assert_eq(decode(&heap, GO_PROBE_MAKECHAN, ELEM_TYPE, 100, 8, 0, &event), 0);
	cr_expect(event.kind == EVENT_CREATE && event.create.capacity == 100 &&
		  event.create.family == FAMILY_CHANNEL);
	cr_expect_eq(decode(&heap, GO_PROBE_MAP_CLEAR, MAP_TYPE, 5, 0, 0, &event), -ENODATA);
	cr_expect_eq(decode(&heap, 999, 0, 0, 0, 0, &event), -EBADMSG);
	cr_expect_eq(runtime_go.decode(heap.process, &probe, &record, &event, &type), -EBADMSG);
	close_heap(&heap);
}
