/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chunks lie one behind the other, each knows its size, and the one behind a free one says so and repeats
 * its size. A walk from the first to the last goes forward only, reads each page once, and sees what no list
 * would show while the program changes them. A chunk that is merged or split under our hands leads
 * astray into somebody's data: then the sizes do not agree, and the window of memory is read once more; at
 * last the walk goes on from a chunk that a list of the arena names.
 *
 * The inside of a large free chunk is not read: it need not be there.
 */
#include "runtime/allocator/glibc_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/allocator/glibc_arena.h"
#include "runtime/resident.h"

#define WINDOW_PAGES 256u
#define WINDOW_BYTES (WINDOW_PAGES * TARGET_PAGE_BYTES)
#define MAX_TRIES    4
#define FENCE_BYTES  16 /* what ends a piece of a heap looks like a chunk without room */
#define CHUNK_BYTES  48 /* sizeof(struct malloc_chunk): malloc_trim() leaves so much in front */

/* struct tcache_perthread_struct, in a chunk of its own */
#define CACHE_BINS  64
#define CACHE_CHUNK 0x290

struct thread_cache {
	uint16_t counts[CACHE_BINS];
	uint64_t entries[CACHE_BINS];
};

/* Where the walk is: one assignment goes back to it. */
struct state {
	uint64_t at;
	uint64_t before; /* the chunk that ends at at; 0 = none is known */
	uint64_t
		free_from; /* free chunks end at before, or at at: they would be put together; 0 = none */
	struct glibc_totals totals;
};

struct glibc_walk {
	struct target_mem *mem;
	uint64_t deadline_ns;
	struct state now, back; /* back: when the window was read */
	int tries;
	uint64_t window, window_bytes; /* address; 0 bytes = none */
	bool present[WINDOW_PAGES];    /* in RAM */
	bool copied[WINDOW_PAGES];
	uint8_t bytes[WINDOW_BYTES];
};

struct glibc_walk *glibc_walk_new(struct target_mem *mem, uint64_t deadline_ns)
{
	struct glibc_walk *walk = xcalloc(1, sizeof(*walk));

	walk->mem = mem;
	walk->deadline_ns = deadline_ns;
	return walk;
}

void glibc_walk_free(struct glibc_walk *walk)
{
	free(walk);
}

const struct glibc_totals *glibc_walk_totals(const struct glibc_walk *walk)
{
	return &walk->now.totals;
}

/* ---- the window ---- */

static bool in_window(const struct glibc_walk *walk, uint64_t start, uint64_t end)
{
	return start >= walk->window && end <= walk->window + walk->window_bytes;
}

static void copy_run(struct glibc_walk *walk, size_t first, size_t end)
{
	bool done = !target_mem_read(walk->mem, walk->window + first * TARGET_PAGE_BYTES,
		walk->bytes + first * TARGET_PAGE_BYTES, (end - first) * TARGET_PAGE_BYTES);

	for (size_t i = first; i < end; i++)
		walk->copied[i] = done;
}

static void read_window(struct glibc_walk *walk, uint64_t addr, uint64_t end)
{
	size_t pages, first = 0;

	walk->window = addr - addr % TARGET_PAGE_BYTES;
	pages = MIN((end - walk->window + TARGET_PAGE_BYTES - 1) / TARGET_PAGE_BYTES, WINDOW_PAGES);
	walk->window_bytes = pages * TARGET_PAGE_BYTES;
	memset(walk->copied, 0, sizeof(walk->copied));
	if (target_mem_present(walk->mem, walk->window, walk->window_bytes, walk->present) < 0)
		memset(walk->present, 0, sizeof(walk->present));
	for (size_t i = 0; i <= pages; i++) {
		if (i < pages && walk->present[i])
			continue;
		if (i > first)
			copy_run(walk, first, i);
		first = i + 1;
	}
}

static bool copy_out(const struct glibc_walk *walk, uint64_t addr, void *buf, size_t bytes)
{
	if (!in_window(walk, addr, addr + bytes))
		return false;
	for (uint64_t page = (addr - walk->window) / TARGET_PAGE_BYTES;
		page <= (addr + bytes - 1 - walk->window) / TARGET_PAGE_BYTES; page++)
		if (!walk->copied[page])
			return false;
	memcpy(buf, walk->bytes + (addr - walk->window), bytes);
	return true;
}

/* Resident bytes of [start, end). */
static uint64_t resident(const struct glibc_walk *walk, uint64_t start, uint64_t end)
{
	uint64_t sum = 0;

	if (start >= end)
		return 0;
	if (!in_window(walk, start, end))
		return resident_bytes(walk->mem, start, end - start);
	for (uint64_t at = start, next; at < end; at = next) {
		next = MIN((at / TARGET_PAGE_BYTES + 1) * TARGET_PAGE_BYTES, end);
		if (walk->present[(at - walk->window) / TARGET_PAGE_BYTES])
			sum += next - at;
	}
	return sum;
}

/* ---- chunks ---- */

/*
 * Free chunks that lie together are one, to malloc_trim(): what of it is in whole pages can be given back,
 * but for those that its first words lie in.
 */
static void end_free(struct glibc_walk *walk, uint64_t end, bool trims)
{
	struct glibc_totals *totals = &walk->now.totals;
	uint64_t start = walk->now.free_from, low, high, pages;

	walk->now.free_from = 0;
	if (!start)
		return;
	low = (start + CHUNK_BYTES + TARGET_PAGE_BYTES - 1) & ~(TARGET_PAGE_BYTES - 1);
	high = end & ~(TARGET_PAGE_BYTES - 1);
	totals->free += end - start;
	if (high <= low) {
		totals->retained += resident(walk, start, end);
		return;
	}
	pages = resident(walk, low, high);
	totals->pages += high - low;
	totals->retained_pages += pages;
	totals->retained += resident(walk, start, low) + pages + resident(walk, high, end);
	if (trims)
		totals->trim += pages;
}

static void add_free(struct glibc_walk *walk, uint64_t start)
{
	if (!walk->now.free_from)
		walk->now.free_from = start;
}

/* Of the last chunk malloc_trim() gives back all but a page at most (systrim() in malloc/malloc.c). */
static void add_top(struct glibc_walk *walk, const struct glibc_piece *piece, uint64_t end)
{
	add_free(walk, walk->now.at);
	if (piece->trims_top && end - walk->now.free_from > GLIBC_SMALLEST_CHUNK + 1) {
		uint64_t given = (end - walk->now.free_from - GLIBC_SMALLEST_CHUNK - 1) &
				 ~(TARGET_PAGE_BYTES - 1);

		walk->now.totals.trim += resident(walk, end - given, end);
	}
	end_free(walk, end, false);
}

static bool is_cache(struct glibc_walk *walk, const struct thread_cache *cache)
{
	for (size_t i = 0; i < CACHE_BINS; i++) {
		uint64_t size, bytes = GLIBC_SMALLEST_CHUNK + i * 16;

		if (!cache->counts[i] != !cache->entries[i] || cache->entries[i] % 16)
			return false;
		if (cache->entries[i] &&
			(target_mem_read_u64(walk->mem, cache->entries[i] - 8, &size) ||
				(size & ~GLIBC_SIZE_FLAGS) != bytes))
			return false;
	}
	return true;
}

/* The chunks in a thread's cache look used; the cache itself is a block like others. */
static void add_used(struct glibc_walk *walk, uint64_t start, uint64_t end)
{
	struct thread_cache cache;
	uint64_t sum = 0;

	end_free(walk, start, true);
	if (end - start != CACHE_CHUNK ||
		(!copy_out(walk, start + 16, &cache, sizeof(cache)) &&
			target_mem_read(walk->mem, start + 16, &cache, sizeof(cache))) ||
		!is_cache(walk, &cache))
		return;
	for (size_t i = 0; i < CACHE_BINS; i++)
		sum += cache.counts[i] * (GLIBC_SMALLEST_CHUNK + i * 16);
	walk->now.totals.cached += sum;
	walk->now.totals.retained += sum;
}

struct header {
	uint64_t previous_bytes, size;
};

/* What the header says of the chunk before it. False where they do not agree. */
static bool settle(
	struct glibc_walk *walk, const struct glibc_piece *piece, const struct header *header)
{
	uint64_t before = walk->now.before, at = walk->now.at;

	if (!before)
		return true;
	if (!(header->size & GLIBC_PREVIOUS_USED)) {
		if (header->previous_bytes != at - before)
			return false;
		add_free(walk, before);
	} else if (table_get(piece->fast, before, NULL)) {
		add_free(walk, before);
	} else {
		add_used(walk, before, at);
	}
	walk->now.totals.walked += at - before;
	walk->now.before = 0;
	return true;
}

enum step {
	STEP_ON,
	STEP_END,
	STEP_LOST,
};

static bool is_top(const struct glibc_walk *walk, const struct glibc_piece *piece)
{
	uint64_t top;

	return !target_mem_read_u64(walk->mem, piece->top_addr, &top) && top == walk->now.at;
}

static enum step step(struct glibc_walk *walk, const struct glibc_piece *piece)
{
	struct state *now = &walk->now;
	struct header header;
	uint64_t bytes;

	if (!copy_out(walk, now->at, &header, sizeof(header)) || !settle(walk, piece, &header))
		return STEP_LOST;
	bytes = header.size & ~GLIBC_SIZE_FLAGS;
	if (bytes <= FENCE_BYTES) { /* the rest of the piece, if it is one */
		if (piece->end - now->at > 2 * FENCE_BYTES)
			return STEP_LOST;
		end_free(walk, now->at, true);
		now->totals.walked += piece->end - now->at;
		return STEP_END;
	}
	if (bytes % 16 || bytes > piece->end - now->at)
		return STEP_LOST;
	if (bytes == piece->end - now->at) {
		/* Nothing lies behind it to say whether it is in use. */
		if (!is_top(walk, piece))
			return STEP_LOST;
		add_top(walk, piece, piece->end);
		now->totals.walked += bytes;
		return STEP_END;
	}
	now->before = now->at;
	now->at += bytes;
	return STEP_ON;
}

/* ---- the way ---- */

static int move_window(struct glibc_walk *walk, const struct glibc_piece *piece)
{
	if (clock_mono_ns() > walk->deadline_ns)
		return -ETIME;
	walk->back = walk->now;
	walk->tries = 0;
	read_window(walk, walk->now.at, piece->end);
	return 0;
}

/* Once more from the last window, else on from the next chunk that is known. False where there is none. */
static bool find_way(struct glibc_walk *walk, const struct glibc_piece *piece)
{
	uint64_t known;

	if (walk->tries++ < MAX_TRIES) {
		walk->now = walk->back;
		read_window(walk, walk->now.at, piece->end);
		return true;
	}
	known = piece->known_after(walk->now.at, piece->arg);
	if (known <= walk->now.at || known >= piece->end)
		return false;
	end_free(walk, walk->now.before ? walk->now.before : walk->now.at, true);
	walk->now.at = known;
	walk->now.before = 0;
	walk->window_bytes = 0;
	return true;
}

int glibc_walk_piece(struct glibc_walk *walk, const struct glibc_piece *piece)
{
	bool lost = false;
	int r;

	walk->now.at = piece->start;
	walk->now.before = walk->now.free_from = 0;
	walk->window_bytes = 0;
	for (;;) {
		if (!in_window(walk, walk->now.at, walk->now.at + sizeof(struct header))) {
			r = move_window(walk, piece);
			if (r)
				return r;
		}
		switch (step(walk, piece)) {
		case STEP_ON:
			break;
		case STEP_END:
			return lost ? -EBADMSG : 0;
		case STEP_LOST:
			if (!find_way(walk, piece))
				return -EBADMSG;
			lost |= walk->tries > MAX_TRIES;
			break;
		}
	}
}
