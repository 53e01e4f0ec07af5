/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main_arena is a static variable: only debug files know its name. But an empty bin is a list that points to
 * itself, most of the 127 bins of any arena are empty, and nothing else looks like that. Where the program
 * has not called malloc yet, they are all zero, and there is nothing to find.
 */
#include "runtime/allocator/glibc_arena.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define SEARCH_BYTES  (16ull << 20) /* of one range */
#define MIN_EMPTY     40
#define MAX_THREADS   (1u << 22) /* Linux has no more process ids */
#define MAX_BYTES     (1ull << 47)
#define CHECK_CLOCK   1024 /* entries between two looks at the clock */
#define MAX_FAST_SIZE 160
#define LIST_OFFSET   16 /* of the list pointers in a chunk: bins are chunks without a size */

/* struct malloc_par: what lies around sbrk_base, in all versions */
struct params {
	uint64_t mapped_bytes, mapped_peak_bytes;
	uint64_t sbrk_base;
	uint64_t cache_bins, cache_max_bytes, cache_count;
};

#define MAX_CACHE_BINS  64
#define MAX_CACHE_BYTES 1032
#define MAX_CACHE_COUNT 65535

static_assert(sizeof(struct glibc_arena) == 2200, "struct malloc_state of x86_64");

/* ---- data of a file ---- */

/* A copy; what is not present stays zero. */
static uint8_t *copy_data(struct target_mem *mem, const struct target_range *data, size_t *ret)
{
	size_t pages = MIN(data->bytes, SEARCH_BYTES) / TARGET_PAGE_BYTES;
	struct target_piece *pieces = xcalloc(pages + 1, sizeof(*pieces));
	uint8_t *copy = xcalloc(pages + 1, TARGET_PAGE_BYTES);

	for (size_t i = 0; i < pages; i++)
		pieces[i] = (struct target_piece){data->addr + i * TARGET_PAGE_BYTES,
			copy + i * TARGET_PAGE_BYTES, TARGET_PAGE_BYTES, false};
	if (target_mem_read_pieces(mem, pieces, pages) < 0)
		pages = 0;
	free(pieces);
	*ret = pages * TARGET_PAGE_BYTES;
	return copy;
}

static uint64_t bin_addr(uint64_t arena, size_t bin)
{
	return arena + offsetof(struct glibc_arena, bins) + bin * 16 - LIST_OFFSET;
}

static bool agrees(const struct glibc_arena *arena, uint64_t addr)
{
	size_t empty = 0;

	for (size_t i = 0; i < GLIBC_BINS; i++) {
		uint64_t self = bin_addr(addr, i), next = arena->bins[i].next,
			 previous = arena->bins[i].previous;

		empty += next == self && previous == self;
		if (!next || next % 8 || !previous || previous % 8)
			return false;
	}
	return empty >= MIN_EMPTY && arena->next && arena->next % 8 == 0 && arena->top % 8 == 0 &&
	       arena->attached_threads < MAX_THREADS &&
	       arena->system_bytes <= arena->max_system_bytes &&
	       arena->max_system_bytes < MAX_BYTES;
}

int glibc_arena_read(struct target_mem *mem, uint64_t addr, struct glibc_arena *ret)
{
	int r = target_mem_read(mem, addr, ret, sizeof(*ret));

	return r ? r : agrees(ret, addr) ? 0 : -EBADMSG;
}

/* The arenas are a ring: whoever is in it is one. */
static bool is_ring(struct target_mem *mem, uint64_t addr)
{
	struct glibc_arena arena = {0};
	uint64_t at = addr;

	for (size_t i = 0; i < GLIBC_MAX_ARENAS; i++) {
		if (glibc_arena_read(mem, at, &arena))
			return false;
		at = arena.next;
		if (at == addr)
			return true;
	}
	return false;
}

static uint64_t word_at(const uint8_t *data, size_t i)
{
	uint64_t word;

	memcpy(&word, data + i, sizeof(word));
	return word;
}

/* The word at i begins an empty bin: which one it is, the rest of the arena decides. */
static uint64_t find_around(
	struct target_mem *mem, const uint8_t *data, size_t bytes, uint64_t start, size_t i)
{
	for (size_t bin = 0; bin < GLIBC_BINS; bin++) {
		size_t before = offsetof(struct glibc_arena, bins) + bin * 16;
		struct glibc_arena arena;

		if (i < before || i - before + sizeof(arena) > bytes)
			continue;
		memcpy(&arena, data + i - before, sizeof(arena));
		if (agrees(&arena, start + i - before) && is_ring(mem, start + i - before))
			return start + i - before;
	}
	return 0;
}

int glibc_arena_find(struct target_mem *mem, const struct target_range *data, uint64_t *ret)
{
	size_t bytes, i = 0;
	uint8_t *copy = copy_data(mem, data, &bytes);
	uint64_t found = 0;

	while (!found && i + 16 <= bytes) {
		uint64_t self = data->addr + i - LIST_OFFSET;

		if (word_at(copy, i) != self || word_at(copy, i + 8) != self) {
			i += 8;
			continue;
		}
		found = find_around(mem, copy, bytes, data->addr, i);
		i += GLIBC_BINS * sizeof(((struct glibc_arena *)0)->bins[0]);
	}
	free(copy);
	if (found)
		*ret = found;
	return found ? 0 : -ENOENT;
}

/* ---- parameters ---- */

static bool are_params(const struct params *params, const struct glibc_arena *main)
{
	if (params->mapped_bytes > params->mapped_peak_bytes ||
		params->mapped_bytes % TARGET_PAGE_BYTES ||
		params->mapped_peak_bytes % TARGET_PAGE_BYTES)
		return false;
	if (!params->cache_bins || params->cache_bins > MAX_CACHE_BINS ||
		!params->cache_max_bytes || params->cache_max_bytes > MAX_CACHE_BYTES ||
		params->cache_count > MAX_CACHE_COUNT)
		return false;
	if (!main->system_bytes)
		return !params->sbrk_base;
	return params->sbrk_base && params->sbrk_base % 8 == 0 &&
	       (main->flags & GLIBC_NOT_CONTIGUOUS ||
		       (params->sbrk_base < main->top &&
			       main->top - params->sbrk_base < MAX_BYTES));
}

int glibc_params_find(struct target_mem *mem, const struct target_range *data,
	const struct glibc_arena *main, uint64_t *ret)
{
	size_t bytes;
	uint8_t *copy = copy_data(mem, data, &bytes);
	uint64_t found = 0;

	for (size_t i = 0; !found && i + sizeof(struct params) <= bytes; i += 8) {
		struct params params;

		memcpy(&params, copy + i, sizeof(params));
		if (are_params(&params, main))
			found = data->addr + i;
	}
	free(copy);
	if (found)
		*ret = found;
	return found ? 0 : -ENOENT;
}

int glibc_params_read(struct target_mem *mem, uint64_t addr, struct glibc_params *ret)
{
	struct params params;
	int r = target_mem_read(mem, addr, &params, sizeof(params));

	if (!r)
		*ret = (struct glibc_params){params.mapped_bytes, params.sbrk_base};
	return r;
}

/* ---- lists ---- */

struct chunk {
	uint64_t previous_bytes, size, next, previous;
};

static bool is_chunk_of(struct target_mem *view, uint64_t addr, uint64_t bytes)
{
	uint64_t size;

	return addr % 16 == 0 && !target_mem_read_u64(view, addr + 8, &size) &&
	       (size & ~GLIBC_SIZE_FLAGS) == bytes;
}

/* Since 2.32 a pointer of such a list is mixed with its own address (PROTECT_PTR). */
static uint64_t unmix(struct target_mem *view, uint64_t chunk, uint64_t next, uint64_t bytes)
{
	uint64_t mixed = next ^ (chunk + LIST_OFFSET) >> 12;

	if (!mixed || is_chunk_of(view, mixed, bytes))
		return mixed;
	return is_chunk_of(view, next, bytes) ? next : 0;
}

struct fast_chunks {
	struct target_mem *view;
	uint64_t deadline_ns;
	struct table *set;
	size_t max;
	uint64_t more_bytes; /* of those that had no room */
	bool complete;
};

/* No list is longer than the arena has room for: then it is a ring. */
static void follow_fast(
	struct fast_chunks *fast, uint64_t chunk, uint64_t bytes, uint64_t system_bytes)
{
	for (uint64_t i = 0; chunk; i++) {
		uint64_t next;

		if (i > system_bytes / bytes || !is_chunk_of(fast->view, chunk, bytes) ||
			target_mem_read_u64(fast->view, chunk + LIST_OFFSET, &next) ||
			(i % CHECK_CLOCK == 0 && clock_mono_ns() > fast->deadline_ns)) {
			fast->complete = false;
			return;
		}
		if (fast->set->count < fast->max)
			table_set(fast->set, chunk, bytes);
		else
			fast->more_bytes += bytes;
		chunk = unmix(fast->view, chunk, next, bytes);
	}
}

uint64_t glibc_fast_chunks(struct target_mem *view, const struct glibc_arena *arena,
	uint64_t deadline_ns, struct table *set, size_t max, bool *ret_complete)
{
	struct fast_chunks fast = {view, deadline_ns, set, max, 0, true};

	for (size_t i = 0; i < GLIBC_FAST_BINS; i++)
		follow_fast(
			&fast, arena->fast[i], GLIBC_SMALLEST_CHUNK + i * 16, arena->system_bytes);
	*ret_complete &= fast.complete;
	return MIN(fast.more_bytes, arena->system_bytes);
}

static int compare_addrs(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* As long as each points back to the one before: a list that is being changed ends early. */
static size_t follow_bin(
	struct target_mem *view, uint64_t bin, uint64_t chunk, uint64_t *ret, size_t max)
{
	uint64_t before = bin;
	size_t count = 0;

	while (chunk != bin && count < max) {
		struct chunk read;

		if (chunk % 16 || target_mem_read(view, chunk, &read, sizeof(read)) ||
			read.previous != before)
			break;
		ret[count++] = chunk;
		before = chunk;
		chunk = read.next;
	}
	return count;
}

size_t glibc_free_chunks(struct target_mem *view, uint64_t addr, const struct glibc_arena *arena,
	uint64_t *ret, size_t max)
{
	size_t count = 0;

	for (size_t bin = 1; bin <= GLIBC_BINS && count < max; bin++)
		if (bin == 1 || bin >= GLIBC_FIRST_LARGE)
			count += follow_bin(view, bin_addr(addr, bin - 1),
				arena->bins[bin - 1].next, ret + count, max - count);
	qsort(ret, count, sizeof(*ret), compare_addrs);
	return count;
}
