/* SPDX-License-Identifier: BSD-2-Clause */
/* A heap of glibc, built chunk by chunk in an image; then one that is hostile. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/allocator/glibc_arena.h"
#include "runtime/allocator/glibc_heap.h"
#include "target/mem.h"

#define DATA      0x7f0000000000ull
#define MAIN      (DATA + 0xc60)
#define PARAMS    (DATA + 0x390)
#define BRK       0x555555560000ull
#define HEAP      (0x7fff00000000ull & ~(GLIBC_HEAP_BYTES - 1))
#define THREAD    (HEAP + 48)
#define USED      1
#define NOT_MAIN  4
#define SECOND_NS NSEC_PER_SEC

struct world {
	struct target_mem *mem;
	struct glibc_arena main, thread;
	uint64_t at; /* the next chunk */
	bool before_free;
	uint64_t before_bytes;
	struct event_allocator got;
};

static void put(struct world *w, uint64_t addr, const void *bytes, size_t count)
{
	cr_assert_eq(target_mem_add_image(w->mem, addr, bytes, count), 0);
}

static void put_word(struct world *w, uint64_t addr, uint64_t word)
{
	put(w, addr, &word, sizeof(word));
}

static void empty_bins(struct glibc_arena *arena, uint64_t addr)
{
	for (size_t i = 0; i < GLIBC_BINS; i++)
		arena->bins[i].next = arena->bins[i].previous =
			addr + offsetof(struct glibc_arena, bins) + i * 16 - 16;
}

static struct world world_new(void)
{
	static const uint8_t page[TARGET_PAGE_BYTES];
	struct world w = {.mem = target_mem_new_image(), .at = BRK};

	put(&w, DATA, page, sizeof(page));
	put(&w, DATA + sizeof(page), page, sizeof(page));
	empty_bins(&w.main, MAIN);
	w.main.next = MAIN;
	w.main.attached_threads = 1;
	return w;
}

static void world_done(struct world *w)
{
	target_mem_close(w->mem);
}

/* The header says whether the chunk before it is free, and then how large that one is. */
static void chunk(struct world *w, uint64_t bytes, bool is_free)
{
	put_word(w, w->at, w->before_free ? w->before_bytes : 0);
	put_word(w, w->at + 8, bytes | (w->before_free ? 0 : USED));
	w->before_free = is_free;
	w->before_bytes = bytes;
	w->at += bytes;
}

/* The last one ends at a page. */
static void top(struct world *w, struct glibc_arena *arena, uint64_t bytes)
{
	arena->top = w->at;
	chunk(w, bytes, true);
}

static void end_main(struct world *w, uint64_t top_bytes)
{
	struct {
		uint64_t mapped, mapped_peak, start, bins, max_bytes, count;
	} params = {2 << 20, 4 << 20, BRK, 64, 1032, 7};

	top(w, &w->main, top_bytes);
	w->main.system_bytes = w->main.max_system_bytes = w->at - BRK;
	put(w, MAIN, &w->main, sizeof(w->main));
	put(w, PARAMS, &params, sizeof(params));
}

static int look(struct world *w)
{
	struct target_range data = {DATA, 2 * TARGET_PAGE_BYTES};
	struct glibc_heap *heap;
	int r = glibc_heap_open(w->mem, &data, 1, &heap);

	if (r)
		return r;
	r = glibc_heap_read(heap, clock_mono_ns() + SECOND_NS, &w->got);
	glibc_heap_close(heap);
	return r;
}

Test(glibc_heap, sums)
{
	struct world w = world_new();

	chunk(&w, 0x290, false);
	chunk(&w, 0x100, true);
	chunk(&w, 0x5000, false);
	chunk(&w, 0x8000, true);
	chunk(&w, 0xcd70 - 0x100, false);
	end_main(&w, 0x2000);
	cr_assert_eq(look(&w), 0);
	cr_assert_eq(w.got.arenas, 1);
	cr_assert_not(w.got.estimated);
	cr_assert_eq(w.got.system_bytes, w.at - BRK);
	cr_assert_eq(w.got.mapped_bytes, 2 << 20);
	cr_assert_eq(w.got.free_bytes, 0x100 + 0x8000 + 0x2000);
	cr_assert_eq(w.got.cached_bytes, 0);
	cr_assert_eq(w.got.page_bytes, 0x7000 + 0x1000);
	cr_assert_lt(w.got.retained_bytes, 0x4000, "only pages with a header were ever written");
	world_done(&w);
}

Test(glibc_heap, thread_cache_and_fast_bins)
{
	struct world w = world_new();
	struct {
		uint16_t counts[64];
		uint64_t entries[64];
	} cache = {0};
	uint64_t cached, fast[2];

	w.at += 0x290; /* the cache itself comes later, when it is known where its entries are */
	cached = w.at;
	chunk(&w, 0x40, false);
	chunk(&w, 0x40, false);
	fast[0] = w.at;
	chunk(&w, 0x30, false);
	fast[1] = w.at;
	chunk(&w, 0x30, false);
	chunk(&w, 0x1000 - 0x290 - 0x80 - 0x60, false);
	cache.counts[2] = 2;
	cache.entries[2] = cached + 16;
	put_word(&w, BRK + 8, 0x290 | USED);
	put(&w, BRK + 16, &cache, sizeof(cache));
	w.main.fast[1] = fast[1];
	put_word(&w, fast[1] + 16, fast[0] ^ (fast[1] + 16) >> 12);
	put_word(&w, fast[0] + 16, 0 ^ (fast[0] + 16) >> 12);
	end_main(&w, 0x1000);
	cr_assert_eq(look(&w), 0);
	cr_assert_eq(w.got.cached_bytes, 0x80);
	cr_assert_eq(w.got.free_bytes, 0x60 + 0x1000);
	cr_assert_not(w.got.estimated);
	world_done(&w);
}

Test(glibc_heap, other_arenas)
{
	struct world w = world_new();
	struct glibc_arena_heap heap = {.arena = THREAD, .bytes = 0x21000, .mapped_bytes = 0x21000};

	chunk(&w, 0x1000, false);
	w.main.next = THREAD;
	end_main(&w, 0x1000);
	put(&w, HEAP, &heap, sizeof(heap));
	empty_bins(&w.thread, THREAD);
	w.thread.next = MAIN;
	w.thread.system_bytes = w.thread.max_system_bytes = heap.bytes;
	w.before_free = false;
	w.at = (THREAD + sizeof(w.thread) + 15) & ~15ull;
	chunk(&w, 0x2000, true);
	chunk(&w, 0x200, false);
	top(&w, &w.thread, HEAP + heap.bytes - w.at);
	put(&w, THREAD, &w.thread, sizeof(w.thread));
	cr_assert_eq(look(&w), 0);
	cr_assert_eq(w.got.arenas, 2);
	cr_assert_not(w.got.estimated);
	cr_assert_eq(w.got.free_bytes, 0x1000 + 0x2000 + (HEAP + heap.bytes - w.thread.top));
	cr_assert_eq(w.got.resident_bytes, 2 * TARGET_PAGE_BYTES);
	world_done(&w);
}

/* A size that cannot be: the walk goes on from the next chunk that a list names. */
Test(glibc_heap, goes_on_after_nonsense)
{
	struct world w = world_new();
	uint64_t bad, known, bin = MAIN + offsetof(struct glibc_arena, bins) - 16;

	chunk(&w, 0x10000, false);
	bad = w.at;
	chunk(&w, 0x1000, false);
	known = w.at;
	chunk(&w, 0x20000, true);
	chunk(&w, 0xf000, false);
	put_word(&w, bad + 8, 0xfff8 | USED);
	w.main.bins[0].next = w.main.bins[0].previous = known;
	put_word(&w, known + 16, bin);
	put_word(&w, known + 24, bin);
	end_main(&w, 0x1000);
	cr_assert_eq(look(&w), 0);
	cr_assert(w.got.estimated);
	cr_assert_geq(w.got.free_bytes, 0x21000);
	cr_assert_leq(w.got.free_bytes, 0x21000 + 0x21000 / 10, "scaled to all of it");
	world_done(&w);
}

Test(glibc_heap, hostile)
{
	struct world w = world_new();

	cr_assert_eq(look(&w), -ENOENT, "malloc was not called");
	chunk(&w, 0x1000, false);
	w.main.fast[0] = BRK; /* a list that never ends, of the wrong size, */
	w.main.bins[70].next = BRK;
	w.main.next = DATA + 8; /* and a ring that is none */
	end_main(&w, 0x1000);
	cr_assert_eq(look(&w), -ENOENT);
	w.main.next = MAIN;
	w.main.system_bytes = w.main.max_system_bytes = 1ull << 46;
	put(&w, MAIN, &w.main, sizeof(w.main));
	cr_assert_eq(look(&w), 0);
	cr_assert(w.got.estimated);
	put_word(&w, w.main.top + 8, ~7ull); /* the last chunk ends nowhere */
	cr_assert_eq(look(&w), 0);
	cr_assert(w.got.estimated);
	world_done(&w);
}

/* Two chunks of a fast bin that point to each other. */
Test(glibc_heap, ring_of_fast_chunks)
{
	struct world w = world_new();
	uint64_t a = BRK, b = BRK + 0x20;

	chunk(&w, 0x20, false);
	chunk(&w, 0x20, false);
	chunk(&w, 0x1000 - 0x40, false);
	put_word(&w, a + 16, b ^ (a + 16) >> 12);
	put_word(&w, b + 16, a ^ (b + 16) >> 12);
	w.main.fast[0] = a;
	end_main(&w, 0x1000);
	cr_assert_eq(look(&w), 0);
	cr_assert_leq(w.got.free_bytes, w.got.system_bytes);
	world_done(&w);
}
