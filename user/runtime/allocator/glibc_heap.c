/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The main arena is one piece, from where brk(2) began to its last chunk; any other one is made of heaps of
 * up to 64 MiB, aligned to that, of which the newest holds its last chunk and each names the one before
 * (malloc/arena.c).
 */
#include "runtime/allocator/glibc_heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/allocator/glibc_arena.h"
#include "runtime/allocator/glibc_walk.h"
#include "runtime/resident.h"

#define MAX_KNOWN     65536
#define MAX_FAST      131072
#define MAX_PIECE     (1ull << 47)
#define EXACT_PART    100 /* figures that miss less than this part are not called estimated */
#define HEAP_HEAD_MAX 64  /* struct _heap_info: 32 bytes, since 2.35 48 */

struct glibc_heap {
	struct target_mem *mem;
	uint64_t main, params; /* addresses; params 0 = not found */
};

/* One reading. */
struct reading {
	struct target_mem *mem, *view;
	uint64_t deadline_ns;
	struct glibc_walk *walk;
	struct event_allocator *ret;
	uint64_t
		covered; /* of what the arenas have from the system: heads and gaps between pieces */
	bool complete;
	/* The arena that is being walked, and where chunks of it begin, once that was asked */
	uint64_t addr;
	struct glibc_arena arena;
	struct table fast;
	uint64_t *known;
	size_t known_count;
	bool has_known;
};

int glibc_heap_open(struct target_mem *mem, const struct target_range *data, size_t count,
	struct glibc_heap **ret)
{
	struct glibc_heap found = {.mem = mem};
	struct glibc_arena arena;
	int r = -ENOENT;

	for (size_t i = 0; i < count && r == -ENOENT; i++)
		r = glibc_arena_find(mem, &data[i], &found.main);
	if (!r)
		r = glibc_arena_read(mem, found.main, &arena);
	if (r)
		return r;
	for (size_t i = 0; i < count && !found.params; i++)
		glibc_params_find(mem, &data[i], &arena, &found.params);
	*ret = xcalloc(1, sizeof(**ret));
	**ret = found;
	return 0;
}

void glibc_heap_close(struct glibc_heap *heap)
{
	free(heap);
}

/* ---- pieces ---- */

/* The lists of free chunks tell; they may be long, so they are read only where the walk needs them. */
static uint64_t known_after(uint64_t addr, void *arg)
{
	struct reading *reading = arg;
	size_t i = 0;

	if (!reading->has_known)
		reading->known_count = glibc_free_chunks(
			reading->view, reading->addr, &reading->arena, reading->known, MAX_KNOWN);
	reading->has_known = true;
	while (i < reading->known_count && reading->known[i] <= addr)
		i++;
	return i < reading->known_count ? reading->known[i] : 0;
}

static void walk_piece(struct reading *reading, const struct glibc_piece *piece)
{
	if (glibc_walk_piece(reading->walk, piece))
		reading->complete = false;
}

static void walk_main(struct reading *reading, struct glibc_piece *main, uint64_t start)
{
	const struct glibc_arena *arena = &reading->arena;
	uint64_t size;

	if (!arena->system_bytes)
		return;
	if (target_mem_read_u64(reading->mem, arena->top + 8, &size)) {
		reading->complete = false;
		return;
	}
	main->start = (start + 15) & ~15ull;
	main->end = arena->top + (size & ~GLIBC_SIZE_FLAGS);
	main->trims_top = !(arena->flags & GLIBC_NOT_CONTIGUOUS);
	/* Where brk(2) was not given to malloc alone, there are pieces elsewhere. */
	if (!start || !main->trims_top || main->end <= main->start) {
		main->start = known_after(0, reading);
		if (!main->start || main->start > arena->top)
			main->start = arena->top;
	}
	if (main->end > main->start && main->end - main->start < MAX_PIECE)
		walk_piece(reading, main);
	else
		reading->complete = false;
}

/* Where the first chunk lies: behind the heap's own words, and behind the arena where it is here. */
static uint64_t first_chunk(uint64_t addr, const struct glibc_arena_heap *heap, uint64_t head)
{
	uint64_t first = addr + head;

	if (heap->arena == first)
		first += sizeof(struct glibc_arena);
	return (first + 15) & ~15ull;
}

/* The first heap of an arena says how long the head of all is: the arena follows it. */
static uint64_t head_bytes(uint64_t arena)
{
	uint64_t head = arena % GLIBC_HEAP_BYTES;

	return head >= sizeof(struct glibc_arena_heap) && head <= HEAP_HEAD_MAX ? head : 0;
}

static void walk_heaps(struct reading *reading, struct glibc_piece *piece)
{
	uint64_t at = reading->arena.top & ~(GLIBC_HEAP_BYTES - 1),
		 head = head_bytes(reading->addr);

	for (size_t i = 0; at && i < GLIBC_MAX_HEAPS; i++) {
		struct glibc_arena_heap heap;

		if (!head || target_mem_read(reading->mem, at, &heap, sizeof(heap)) ||
			heap.arena != reading->addr || heap.bytes > GLIBC_HEAP_BYTES ||
			heap.previous % GLIBC_HEAP_BYTES || heap.previous == at) {
			reading->complete = false;
			return;
		}
		piece->start = first_chunk(at, &heap, head);
		piece->end = at + heap.bytes;
		reading->ret->resident_bytes += resident_bytes(reading->mem, at, heap.bytes);
		if (piece->end > piece->start) {
			reading->covered += piece->start - at;
			walk_piece(reading, piece);
		}
		at = heap.previous;
	}
}

static void walk_arena(struct reading *reading, bool main, uint64_t start)
{
	struct event_allocator *ret = reading->ret;
	struct glibc_piece piece = {
		.top_addr = reading->addr + offsetof(struct glibc_arena, top),
		.fast = &reading->fast,
		.known_after = known_after,
		.arg = reading,
	};
	uint64_t fast;

	target_mem_drop(reading->view);
	reading->has_known = false;
	table_clear(&reading->fast);
	fast = glibc_fast_chunks(reading->view, &reading->arena, reading->deadline_ns,
		&reading->fast, MAX_FAST, &reading->complete);
	ret->free_bytes += fast;
	ret->retained_bytes += fast;
	ret->system_bytes += reading->arena.system_bytes;
	ret->arenas++;
	if (main)
		walk_main(reading, &piece, start);
	else
		walk_heaps(reading, &piece);
}

static int walk_arenas(struct reading *reading, uint64_t main, uint64_t start)
{
	reading->addr = main;
	for (size_t i = 0; i < GLIBC_MAX_ARENAS; i++) {
		int r = glibc_arena_read(reading->mem, reading->addr, &reading->arena);

		if (r && !i)
			return r;
		reading->complete &= !r;
		if (r)
			break;
		walk_arena(reading, !i, start);
		reading->addr = reading->arena.next;
		if (reading->addr == main)
			break;
	}
	return 0;
}

/* ---- figures ---- */

static uint64_t scaled(uint64_t bytes, double by)
{
	return (uint64_t)((double)bytes * by);
}

static void settle(struct reading *reading)
{
	const struct glibc_totals *totals = glibc_walk_totals(reading->walk);
	struct event_allocator *ret = reading->ret;
	uint64_t known = totals->walked + reading->covered;
	double by = 1;

	ret->estimated = !reading->complete && ret->system_bytes > known &&
			 ret->system_bytes - known > ret->system_bytes / EXACT_PART;
	if (ret->estimated && totals->walked)
		by = (double)(ret->system_bytes - reading->covered) / (double)totals->walked;
	ret->free_bytes += scaled(totals->free, by);
	ret->cached_bytes = scaled(totals->cached, by);
	ret->page_bytes = scaled(totals->pages, by);
	ret->retained_bytes += scaled(totals->retained, by);
	ret->retained_page_bytes = scaled(totals->retained_pages, by);
	ret->trim_bytes = scaled(totals->trim, by);
}

int glibc_heap_read(struct glibc_heap *heap, uint64_t deadline_ns, struct event_allocator *ret)
{
	struct reading reading = {
		.mem = heap->mem, .deadline_ns = deadline_ns, .ret = ret, .complete = true};
	struct glibc_params params = {0};
	int r;

	*ret = (struct event_allocator){0};
	if (heap->params && !glibc_params_read(heap->mem, heap->params, &params))
		ret->mapped_bytes = params.mapped_bytes;
	reading.view = target_mem_new_view(heap->mem);
	reading.walk = glibc_walk_new(heap->mem, deadline_ns);
	reading.known = xcalloc(MAX_KNOWN, sizeof(*reading.known));
	r = walk_arenas(&reading, heap->main, params.start);
	if (!r)
		settle(&reading);
	free(reading.known);
	table_done(&reading.fast);
	glibc_walk_free(reading.walk);
	target_mem_close(reading.view);
	return r;
}
