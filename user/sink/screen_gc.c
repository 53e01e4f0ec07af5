/* SPDX-License-Identifier: BSD-2-Clause */
/* What the garbage collector costs and what it cannot free: one paragraph, with -v. */
#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sink/screen.h"

#define MIN_TREND 1024 /* bytes per second; below, the floor is flat */

/* "61.0 us", "4.0 ms". */
static const char *duration(char buf[TEXT_NUMBER_BYTES], uint64_t ns)
{
	if (ns < NSEC_PER_MSEC)
		snprintf(buf, TEXT_NUMBER_BYTES, "%.1f us", (double)ns / 1e3);
	else
		snprintf(buf, TEXT_NUMBER_BYTES, "%.1f ms", (double)ns / 1e6);
	return buf;
}

void screen_gc(struct page *page, const struct report *report, const struct target *target)
{
	char min[TEXT_NUMBER_BYTES], median[TEXT_NUMBER_BYTES], max[TEXT_NUMBER_BYTES],
		first[TEXT_NUMBER_BYTES], last[TEXT_NUMBER_BYTES], scan[TEXT_NUMBER_BYTES],
		trend[TEXT_NUMBER_BYTES], mark[TEXT_NUMBER_BYTES], rate[64] = "", text[512];
	const struct event_heap *heap = &target->heap;
	const struct gc_view *gc = &target->gc;
	double slope = model_floor_slope(target);

	if (!report->verbose || !gc->cycles || !heap->pause_count)
		return;
	if (fabs(slope) >= MIN_TREND)
		snprintf(rate, sizeof(rate), " (%s%s/s)", slope < 0 ? "-" : "+",
			screen_size(trend, (uint64_t)fabs(slope)));
	snprintf(text, sizeof(text),
		"%u cycles; pauses %s, %s, %s (min, median, max of %u); marking %s at most, %.0f "
		"%% of "
		"it assists; live after a cycle %s, then %s%s; %s to scan.",
		heap->gc_cycles, duration(min, heap->pause_min_ns),
		duration(median, heap->pause_median_ns), duration(max, heap->pause_max_ns),
		heap->pause_count, duration(mark, gc->mark_max_ns),
		gc->mark_cpu_ns ? 100.0 * (double)gc->assist_cpu_ns / (double)gc->mark_cpu_ns : 0,
		screen_size(first, gc->floor_first_bytes), screen_size(last, gc->floor_last_bytes),
		rate, screen_size(scan, heap->scannable_bytes));
	page_add(page, STYLE_PLAIN, "Collector: ");
	page_wrap(page, STYLE_PLAIN, 3, text);
}
