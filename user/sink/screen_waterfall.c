/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the RSS is, largest part first, two columns of bars. Parts too small for a bar follow on
 * the last line. The rest that nobody can explain comes last where it matters; a small one is within
 * what the runtime's own figures leave open and goes with the runtime, so that the parts sum to RSS.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sink/screen.h"
#include "sink/summary.h"

#define MIB         (1024.0 * 1024.0)
#define BAR_COLUMNS 28 /* of a part that is all of RSS */
#define MAX_KEPT    3  /* findings with an entry of their own */
#define MAX_ENTRIES (WATERFALL_PARTS + MAX_KEPT + 1)
#define LEFT_MARGIN 3

/* A rest below both is not worth a question. */
#define UNEXPLAINED_SHARE 0.02
#define UNEXPLAINED_BYTES MIB

struct entry {
	double bytes;
	char label[48];
	char number[TEXT_NUMBER_BYTES];
	int bar;
};

struct chart {
	struct entry entries[MAX_ENTRIES];
	size_t count;
	double rss_bytes;
};

static const char *const part_labels[WATERFALL_PARTS] = {
	[WATERFALL_KEPT] = "kept by other findings",
	[WATERFALL_ENTRIES] = "entries in use",
	[WATERFALL_OTHER_LIVE] = "other live heap",
	[WATERFALL_GARBAGE] = "garbage not yet collected",
	[WATERFALL_FREE_HEAP] = "free heap, GC headroom",
	[WATERFALL_STACKS] = "stacks",
	[WATERFALL_RUNTIME] = "runtime",
	[WATERFALL_NATIVE] = "native heap",
	[WATERFALL_ALLOCATOR] = "free, kept by malloc",
	[WATERFALL_ANON] = "other anonymous memory",
	[WATERFALL_FILES] = "files",
	[WATERFALL_SHARED] = "shared memory",
};

/* "71.7", "-1,204.3": MiB with one decimal, grouped. */
static void format_mib(char buf[TEXT_NUMBER_BYTES], double bytes)
{
	uint64_t tenths = (uint64_t)llround(fabs(bytes) / MIB * 10);
	char whole[TEXT_NUMBER_BYTES];

	snprintf(buf, TEXT_NUMBER_BYTES, "%s%s.%u", bytes < 0 && tenths ? "-" : "",
		text_count(whole, tenths / 10), (unsigned int)(tenths % 10));
}

static struct entry *chart_add(struct chart *chart, double bytes, const char *label)
{
	struct entry *entry = &chart->entries[chart->count++];

	entry->bytes = bytes;
	text_copy(entry->label, sizeof(entry->label), label);
	format_mib(entry->number, bytes);
	entry->bar = bytes > 0 ? (int)lround(bytes / chart->rss_bytes * BAR_COLUMNS) : 0;
	entry->bar = MIN(entry->bar, BAR_COLUMNS);
	return entry;
}

/* Gives the findings that keep most an entry each; returns what is left for the others. */
static uint64_t add_kept(struct chart *chart, const struct report *report,
	const struct target *target, uint64_t kept)
{
	size_t named = 0;

	for (size_t i = 0; i < report->finding_count && named < MAX_KEPT; i++) {
		const struct finding *finding = &report->findings[i];
		uint64_t bytes = summary_gives_back(finding);
		char label[48];

		if (finding->target != target->id || !summary_gates(finding) || !bytes)
			continue;
		snprintf(label, sizeof(label), "kept by #%zu", i + 1);
		chart_add(chart, (double)bytes, label);
		kept -= bytes;
		named++;
	}
	return kept;
}

static int larger_first(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : 0;
}

static size_t with_bar(const struct chart *chart)
{
	size_t count = 0;

	while (count < chart->count && chart->entries[count].bar)
		count++;
	return count;
}

struct widths {
	int number, bar, label;
};

static struct widths measure(const struct chart *chart, size_t from, size_t to)
{
	struct widths widths = {0, 0, 0};

	for (size_t i = from; i < to; i++) {
		const struct entry *entry = &chart->entries[i];

		widths.number = MAX(widths.number, (int)strlen(entry->number));
		widths.bar = MAX(widths.bar, entry->bar);
		widths.label = MAX(widths.label, (int)strlen(entry->label));
	}
	return widths;
}

static void put_cell(struct page *page, const struct entry *entry, const struct widths *widths)
{
	static const char bars[] = "############################";
	int start;

	page_add(page, STYLE_PLAIN, "%*s ", widths->number, entry->number);
	start = page->columns;
	page_add(page, STYLE_CYAN, "%.*s", entry->bar, bars);
	page_tab(page, start + widths->bar + 2);
	page_add(page, STYLE_PLAIN, "%s", entry->label);
}

/* The small ones: on the line of the last cell where they fit, else on lines of their own. */
static void put_small(struct page *page, const struct chart *chart, size_t from)
{
	for (size_t i = from; i < chart->count; i++) {
		char text[96];

		snprintf(text, sizeof(text), "%s %s", chart->entries[i].number,
			chart->entries[i].label);
		if (page->columns + 3 + page_columns(page, text) > page->width)
			page_end(page);
		if (page->columns)
			page_add(page, STYLE_PLAIN, "   %s", text);
		else {
			page_tab(page, LEFT_MARGIN);
			page_add(page, STYLE_PLAIN, "%s", text);
		}
	}
	page_end(page);
}

static void put_chart(struct page *page, const struct chart *chart)
{
	size_t bars = with_bar(chart), rows = (bars + 1) / 2;
	struct widths left = measure(chart, 0, rows), right = measure(chart, rows, bars);
	int middle = LEFT_MARGIN + left.number + 1 + left.bar + 2 + left.label + 3;

	for (size_t row = 0; row < rows; row++) {
		page_tab(page, LEFT_MARGIN);
		put_cell(page, &chart->entries[row], &left);
		if (rows + row < bars) {
			page_tab(page, middle);
			put_cell(page, &chart->entries[rows + row], &right);
		}
		if (row + 1 < rows)
			page_end(page);
	}
	put_small(page, chart, bars);
}

/* A rest that stays unexplained; a small one is given to the runtime. */
static double settle_rest(struct waterfall *waterfall, const struct target *target)
{
	double rest = (double)waterfall->unexplained_bytes;

	if ((target->has_heap && !target->heap.runtime_bytes) || rest < 0 ||
		rest >= UNEXPLAINED_BYTES ||
		rest >= UNEXPLAINED_SHARE * (double)waterfall->rss_bytes)
		return rest;
	waterfall->bytes[WATERFALL_RUNTIME] += (uint64_t)waterfall->unexplained_bytes;
	return 0;
}

/* What fixing the first finding leaves. */
static void put_without_first(
	struct page *page, const struct report *report, const struct target *target)
{
	const struct finding *first = report->finding_count ? &report->findings[0] : NULL;
	uint64_t bytes = first ? summary_gives_back(first) : 0;
	char left[TEXT_NUMBER_BYTES];

	if (!bytes || first->target != target->id || !summary_gates(first) ||
		bytes > target->rss_bytes)
		return;
	format_mib(left, (double)(target->rss_bytes - bytes));
	page_add(page, STYLE_PLAIN, "   (without #1: %s MiB)", left);
}

void screen_waterfall(struct page *page, const struct report *report, const struct target *target)
{
	struct waterfall waterfall;
	struct chart chart = {.count = 0};
	char total[TEXT_NUMBER_BYTES];
	double rest;

	if (!summary_waterfall(report, target, &waterfall))
		return;
	chart.rss_bytes = (double)waterfall.rss_bytes;
	rest = settle_rest(&waterfall, target);
	waterfall.bytes[WATERFALL_KEPT] =
		add_kept(&chart, report, target, waterfall.bytes[WATERFALL_KEPT]);
	for (size_t i = 0; i < WATERFALL_PARTS; i++)
		if (waterfall.bytes[i])
			chart_add(&chart, (double)waterfall.bytes[i], part_labels[i]);
	qsort(chart.entries, chart.count, sizeof(*chart.entries), larger_first);
	/* Where the runtime's own memory is not known, it is in the rest. */
	if (rest != 0)
		chart_add(&chart, rest,
			!target->has_heap || target->heap.runtime_bytes ? "unexplained"
									: "runtime and unexplained")
			->bar = 0;
	format_mib(total, chart.rss_bytes);
	page_add(page, STYLE_PLAIN, "Where %s MiB of RSS is", total);
	put_without_first(page, report, target);
	page_end(page);
	put_chart(page, &chart);
}
