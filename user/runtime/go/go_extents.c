/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arrays of a container as ranges of addresses, and how much of them is in RAM.
 *
 * Arrays of Swiss tables share pages with their neighbours (17,408 bytes are no number of pages).
 * So bytes of the array are counted, not pages: resident is never more than held, and no page
 * counts twice.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "runtime/go/go_process.h"

#define WINDOW_PAGES 2048u
#define WINDOW_GAP   16 /* pages between two arrays that are read over */

void go_extents_clear(struct go_extents *extents)
{
	extents->count = 0;
}

void go_extents_add(struct go_extents *extents, uint64_t start, uint64_t bytes, bool old)
{
	array_reserve(extents->list, extents->count, extents->capacity);
	extents->list[extents->count++] = (struct go_extent){start, bytes, old};
}

static int compare_extents(const void *a, const void *b)
{
	const struct go_extent *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static uint64_t last_page(const struct go_extent *extent)
{
	return (extent->start + extent->bytes - 1) / TARGET_PAGE_BYTES;
}

/* Presence of pages [first, first + count), read ahead for the extents that follow. */
struct window {
	uint64_t first, count;
	bool present[WINDOW_PAGES];
};

static int window_move(struct target_mem *mem, struct window *window, uint64_t page,
	const struct go_extents *extents, size_t at)
{
	uint64_t last = last_page(&extents->list[at]);
	long r;

	while (++at < extents->count && last - page < WINDOW_PAGES &&
		extents->list[at].start / TARGET_PAGE_BYTES <= last + WINDOW_GAP)
		last = MAX(last, last_page(&extents->list[at]));
	window->first = page;
	window->count = MIN(last - page + 1, (uint64_t)WINDOW_PAGES);
	r = target_mem_resident(
		mem, page * TARGET_PAGE_BYTES, window->count * TARGET_PAGE_BYTES, window->present);
	return r < 0 ? (int)r : 0;
}

int go_extents_read_resident(struct target_mem *mem, struct go_extents *extents,
	uint64_t *ret_bytes, uint64_t *ret_old_bytes)
{
	uint64_t bytes = 0, old_bytes = 0;
	struct window window = {};

	if (extents->count)
		qsort(extents->list, extents->count, sizeof(*extents->list), compare_extents);
	for (size_t i = 0; i < extents->count; i++) {
		const struct go_extent *extent = &extents->list[i];
		uint64_t end = extent->start + extent->bytes, next;

		for (uint64_t addr = extent->start; addr < end; addr = next) {
			uint64_t page = addr / TARGET_PAGE_BYTES;

			next = MIN((page + 1) * TARGET_PAGE_BYTES, end);
			if (page < window.first || page - window.first >= window.count) {
				int r = window_move(mem, &window, page, extents, i);

				if (r < 0)
					return r;
			}
			if (!window.present[page - window.first])
				continue;
			bytes += next - addr;
			old_bytes += extent->old ? next - addr : 0;
		}
	}
	*ret_bytes = bytes;
	*ret_old_bytes = old_bytes;
	return 0;
}
