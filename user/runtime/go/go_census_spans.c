/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The census's snapshot of all spans of a Go heap (go_census.h).
 *
 * runtime/mheap.go: mheap.allspans lists every mspan there is, in no order. An index by page gives the
 * order of addresses and finds the span of an address at once; a heap spread over more pages than an
 * index is worth is sorted instead.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "runtime/go/go_census.h"

#define MAX_SPANS       (1u << 26)
#define MAX_INDEX_PAGES (1ull << 24) /* 128 GiB of heap */
#define INDEX_BATCH     65536        /* spans between two chances to stop */
#define LIST_ATTEMPTS   3

_Static_assert(CENSUS_SPAN_BATCH *GO_MSPAN_MAX <= CENSUS_SLICE_BYTES, "a batch fits the buffer");

static int compare_spans(const void *a, const void *b)
{
	const struct census_span *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void take_span(struct census *census, const struct go_span *span)
{
	if (span->state != GO_SPAN_IN_USE || span->pages > UINT32_MAX)
		return;
	census->spans[census->span_count++] = (struct census_span){
		.start = span->start,
		.elemsize = span->elemsize,
		.large_type = span->large_type,
		.pages = (uint32_t)span->pages,
		.nelems = (uint32_t)span->nelems,
		.class = span->class,
	};
}

static int read_span_batch(struct census *census, const uint64_t *mspans, size_t count)
{
	uint32_t bytes = census->process->facts.layout.mspan_size;
	struct target_piece pieces[CENSUS_SPAN_BATCH];
	uint8_t *raw = census->buffer; /* neighbours, as most of them are in the target, too */
	int r;

	for (size_t i = 0; i < count; i++)
		pieces[i] = (struct target_piece){mspans[i], raw + i * bytes, bytes, false};
	r = target_mem_read_pieces(census->process->mem, pieces, count);
	for (size_t i = 0; r >= 0 && i < count; i++) {
		struct go_span span;

		if (pieces[i].done &&
			go_heap_parse_span(census->process, mspans[i], pieces[i].buf, &span))
			take_span(census, &span);
	}
	return r < 0 ? r : 0;
}

/* From which page to which, one past. */
static void measure(struct census *census)
{
	uint64_t first = UINT64_MAX, end = 0;

	for (size_t i = 0; i < census->span_count; i++) {
		uint64_t page = census->spans[i].start >> GO_PAGE_SHIFT;

		first = MIN(first, page);
		end = MAX(end, page + census->spans[i].pages);
	}
	census->first_page = first;
	census->page_count = end - first;
}

/*
 * Which span a page is in. Spans read while the program goes on may overlap by a few pages; those that
 * overlap by whole heaps are no spans.
 */
static int index_spans(struct census *census)
{
	uint64_t filled = 0;
	int r = 0;

	census->page_span = xcalloc(census->page_count, sizeof(*census->page_span));
	for (size_t i = 0; i < census->span_count && !r; i++) {
		const struct census_span *span = &census->spans[i];
		uint64_t page = (span->start >> GO_PAGE_SHIFT) - census->first_page;

		filled += span->pages;
		if (filled > 2 * census->page_count)
			return -EBADMSG;
		for (uint32_t j = 0; j < span->pages; j++)
			census->page_span[page + j] = (uint32_t)i + 1;
		if (i % INDEX_BATCH == INDEX_BATCH - 1)
			r = census_progress(census, 0);
	}
	return r;
}

/* The list only grows; where it has moved meanwhile its new place is read. */
static int read_mspans(struct census *census, uint64_t first, uint64_t *mspans, size_t count)
{
	struct runtime_process *process = census->process;
	uint64_t list = process->facts.mheap + process->facts.layout.heap_allspans, start;
	int r = -EFAULT;

	for (int i = 0; i < LIST_ATTEMPTS && r == -EFAULT; i++) {
		r = target_mem_read_u64(process->mem, list, &start);
		if (!r)
			r = target_mem_read(process->mem, start + 8 * first, mspans, 8 * count);
	}
	return r;
}

int census_read_spans(struct census *census)
{
	struct runtime_process *process = census->process;
	uint64_t mspans[CENSUS_SPAN_BATCH], count;
	int r = target_mem_read_u64(process->mem,
		process->facts.mheap + process->facts.layout.heap_allspans + 8, &count);

	if (r < 0)
		return r;
	if (!count || count > MAX_SPANS)
		return -EBADMSG;
	census->spans = xcalloc(count, sizeof(*census->spans));
	for (uint64_t i = 0; !r && i < count; i += CENSUS_SPAN_BATCH) {
		size_t part = MIN(count - i, (uint64_t)CENSUS_SPAN_BATCH);

		r = read_mspans(census, i, mspans, part);
		if (!r)
			r = read_span_batch(census, mspans, part);
		if (!r)
			r = census_progress(census, 0);
	}
	if (r < 0 || !census->span_count)
		return r < 0 ? r : -EBADMSG;
	measure(census);
	if (census->page_count <= MAX_INDEX_PAGES)
		return index_spans(census);
	qsort(census->spans, census->span_count, sizeof(*census->spans), compare_spans);
	return 0;
}

const struct census_span *census_next_span(const struct census *census, size_t *cursor)
{
	if (!census->page_span)
		return *cursor < census->span_count ? &census->spans[(*cursor)++] : NULL;
	while (*cursor < census->page_count) {
		uint64_t page = *cursor;
		uint32_t index = census->page_span[page];

		/* Its other pages need no look at the span. */
		while (*cursor < census->page_count && census->page_span[*cursor] == index)
			++*cursor;
		if (index && census->spans[index - 1].start >> GO_PAGE_SHIFT ==
				     page + census->first_page)
			return &census->spans[index - 1];
	}
	return NULL;
}

const struct census_span *census_find_span(const struct census *census, uint64_t addr)
{
	uint64_t page = (addr >> GO_PAGE_SHIFT) - census->first_page;
	const struct census_span *span;
	size_t low = 0, high = census->span_count;

	if (page >= census->page_count)
		return NULL;
	if (census->page_span)
		return census->page_span[page] ? &census->spans[census->page_span[page] - 1] : NULL;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (census->spans[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	span = low ? &census->spans[low - 1] : NULL;
	return span && addr - span->start < (uint64_t)span->pages * GO_PAGE_BYTES ? span : NULL;
}
