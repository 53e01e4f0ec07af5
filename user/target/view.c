/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A view of a target's memory (mem.h): pages that were copied lately, and which were not there.
 *
 * Reading a thousand maps asks for ten small things of each: half of them lie in pages that another
 * map has asked for already (span descriptors, the arena's table of spans, arrays of one size class), and
 * each alone would cost two system calls.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "target/mem_ops.h"

#define VIEW_PAGES  1024 /* 4 MiB; one more and all are dropped */
#define MAX_FETCH   1024 /* pages of one call; larger ones are passed on */
#define LARGE_PAGES 16   /* a read of more pages is passed on */
#define ABSENT      UINT64_MAX

struct view {
	struct target_mem *base;
	struct table index_of; /* page number -> index into pages, ABSENT */
	uint8_t (*pages)[TARGET_PAGE_BYTES];
	size_t count, capacity;
	uint64_t wanted[MAX_FETCH];
	size_t wanted_count;
	struct target_piece pieces[MAX_FETCH];
};

static int compare_numbers(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Sorts what is wanted, each page once. */
static void sort_wanted(struct view *view)
{
	size_t kept = 0;

	qsort(view->wanted, view->wanted_count, sizeof(*view->wanted), compare_numbers);
	for (size_t i = 0; i < view->wanted_count; i++)
		if (!i || view->wanted[i] != view->wanted[i - 1])
			view->wanted[kept++] = view->wanted[i];
	view->wanted_count = kept;
}

/* Notes the pages of a range that are not known yet. False where there are too many of them. */
static bool want(struct view *view, uint64_t addr, uint64_t bytes)
{
	uint64_t first = page_of(addr), count = pages_of(addr, bytes);

	if (count > MAX_FETCH)
		return false;
	for (uint64_t page = first; page < first + count; page++) {
		size_t i = view->wanted_count;

		if (table_get(&view->index_of, page, NULL) || (i && view->wanted[i - 1] == page))
			continue;
		if (i == MAX_FETCH)
			return false;
		view->wanted[view->wanted_count++] = page;
	}
	return true;
}

/* There is room for all that is wanted. Buffers of neighbours are neighbours: one vector. */
static int copy_wanted(struct view *view)
{
	size_t count = view->wanted_count;
	int r;

	while (view->count + count > view->capacity)
		array_reserve(view->pages, view->capacity, view->capacity);
	for (size_t i = 0; i < count; i++)
		view->pieces[i] = (struct target_piece){view->wanted[i] * TARGET_PAGE_BYTES,
			view->pages[view->count + i], TARGET_PAGE_BYTES, false};
	r = view->base->ops->read_pieces(view->base, view->pieces, count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		table_set(&view->index_of, view->wanted[i],
			view->pieces[i].done ? view->count + i : ABSENT);
	view->count += count;
	return 0;
}

/* The bytes of a page, NULL = it was not there. Only of pages that are known. */
static const uint8_t *find_page(const struct view *view, uint64_t page)
{
	uint64_t index;

	return table_get(&view->index_of, page, &index) && index != ABSENT ? view->pages[index]
									   : NULL;
}

static bool copy_out(const struct view *view, uint64_t addr, void *buf, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		size_t skip = (addr + done) % TARGET_PAGE_BYTES;
		size_t part = MIN(bytes - done, TARGET_PAGE_BYTES - skip);
		const uint8_t *page = find_page(view, page_of(addr + done));

		if (!page)
			return false;
		memcpy((char *)buf + done, page + skip, part);
		done += part;
	}
	return true;
}

/* Collects what is wanted of many pieces; false where they are better read from the base. */
static bool want_pieces(struct view *view, const struct target_piece *pieces, size_t count)
{
	view->wanted_count = 0;
	for (size_t i = 0; i < count; i++)
		if (pages_of(pieces[i].addr, pieces[i].bytes) > LARGE_PAGES ||
			!want(view, pieces[i].addr, pieces[i].bytes))
			return false;
	return true;
}

static int view_read_pieces(struct target_mem *mem, struct target_piece *pieces, size_t count)
{
	struct view *view = mem->view;
	int r = 0, done = 0;

	if (!want_pieces(view, pieces, count))
		return view->base->ops->read_pieces(view->base, pieces, count);
	if (view->count + view->wanted_count > VIEW_PAGES) {
		target_mem_drop(mem);
		if (!want_pieces(view, pieces, count))
			return view->base->ops->read_pieces(view->base, pieces, count);
	}
	if (view->wanted_count) {
		sort_wanted(view);
		r = copy_wanted(view);
	}
	for (size_t i = 0; r >= 0 && i < count; i++) {
		struct target_piece *piece = &pieces[i];

		piece->done = pages_of(piece->addr, piece->bytes) &&
			      copy_out(view, piece->addr, piece->buf, piece->bytes);
		done += piece->done;
	}
	return r < 0 ? r : done;
}

static int view_read(struct target_mem *mem, uint64_t addr, void *buf, size_t bytes)
{
	struct target_piece piece = {addr, buf, (uint32_t)bytes, false};
	const uint8_t *page;
	int r;

	if (!bytes)
		return 0;
	page = find_page(mem->view, page_of(addr));
	if (page && bytes <= TARGET_PAGE_BYTES - addr % TARGET_PAGE_BYTES) {
		memcpy(buf, page + addr % TARGET_PAGE_BYTES, bytes);
		return 0;
	}
	if (bytes > LARGE_PAGES * TARGET_PAGE_BYTES)
		return mem->view->base->ops->read(mem->view->base, addr, buf, bytes);
	r = view_read_pieces(mem, &piece, 1);
	if (r < 0)
		return r;
	return piece.done ? 0 : -EFAULT;
}

static long view_present(struct target_mem *mem, uint64_t page, uint64_t pages, bool *ret)
{
	return mem->view->base->ops->present(mem->view->base, page, pages, ret);
}

static long view_resident(struct target_mem *mem, uint64_t page, uint64_t pages, bool *ret)
{
	return mem->view->base->ops->resident(mem->view->base, page, pages, ret);
}

static bool view_is_untouched(struct target_mem *mem, uint64_t page)
{
	return mem->view->base->ops->is_untouched(mem->view->base, page);
}

static bool view_is_anonymous(struct target_mem *mem, uint64_t page)
{
	return mem->view->base->ops->is_anonymous(mem->view->base, page);
}

static void view_close(struct target_mem *mem)
{
	table_done(&mem->view->index_of);
	free(mem->view->pages);
	free(mem->view);
}

static const struct target_mem_ops view_ops = {
	.close = view_close,
	.read = view_read,
	.read_pieces = view_read_pieces,
	.present = view_present,
	.resident = view_resident,
	.is_untouched = view_is_untouched,
	.is_anonymous = view_is_anonymous,
};

struct target_mem *target_mem_new_view(struct target_mem *mem)
{
	struct target_mem *ret = xcalloc(1, sizeof(*ret));

	ret->ops = &view_ops;
	ret->view = xcalloc(1, sizeof(*ret->view));
	ret->view->base = mem;
	return ret;
}

void target_mem_drop(struct target_mem *mem)
{
	table_clear(&mem->view->index_of);
	mem->view->count = 0;
}

int target_mem_fetch(struct target_mem *mem, const struct target_range *ranges, size_t count)
{
	struct view *view = mem->view;

	view->wanted_count = 0;
	for (size_t i = 0; i < count; i++)
		if (!want(view, ranges[i].addr, ranges[i].bytes))
			break;
	sort_wanted(view);
	view->wanted_count = MIN(view->wanted_count, VIEW_PAGES - view->count);
	return view->wanted_count ? copy_wanted(view) : 0;
}
