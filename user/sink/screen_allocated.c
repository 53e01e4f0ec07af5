/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the live heap that no finding names was allocated, by the program's own profile: a few lines
 * below the waterfall, and only where that part is worth a look. Of a program without a profile: where most was allocated, as
 * far as it was sampled.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sink/screen.h"
#include "sink/summary.h"

#define MAX_LINES  3
#define MAX_PLACES 64
#define MIN_BYTES  (4 << 20)
#define MIN_SHARE  10 /* one in so many bytes of RSS (all), of the part (a place) */
#define INDENT     3

struct place {
	const struct model_stack *stack; /* the first with this place */
	uint64_t bytes;
};

static const struct model_frame *frame_of(const struct place *place)
{
	return &place->stack->frames[place->stack->place];
}

/* Names are interned: equal ones are the same. */
static bool is_place(const struct place *place, const struct model_frame *frame)
{
	const struct model_frame *ours = frame_of(place);

	return ours->line == frame->line && ours->function == frame->function &&
	       ours->file == frame->file;
}

static bool is_found(
	const struct report *report, const struct target *target, const struct model_frame *frame)
{
	for (size_t i = 0; i < report->finding_count; i++) {
		const struct finding *finding = &report->findings[i];
		const struct site *site = model_site(report->model, finding->site);

		if (finding->target == target->id && summary_gates(finding) && site &&
			site->line == frame->line && site->function == frame->function)
			return true;
	}
	return false;
}

static void add_place(
	struct place *places, size_t *count, const struct model_stack *stack, uint64_t bytes)
{
	for (size_t i = 0; i < *count; i++) {
		if (is_place(&places[i], &stack->frames[stack->place])) {
			places[i].bytes += bytes;
			return;
		}
	}
	/* The stacks come with the largest first: what has no room is small. */
	if (*count < MAX_PLACES)
		places[(*count)++] = (struct place){stack, bytes};
}

static uint64_t in_use(const struct event_allocated *allocated)
{
	return allocated->in_use_bytes;
}

static uint64_t all(const struct event_allocated *allocated)
{
	return allocated->allocated_bytes;
}

static size_t find_places(const struct report *report, const struct target *target,
	uint64_t (*bytes_of)(const struct event_allocated *allocated),
	struct place places[MAX_PLACES])
{
	size_t count = 0;

	for (size_t i = 0; i < target->allocated_count; i++) {
		const struct event_allocated *allocated = &target->allocated[i];
		const struct model_stack *stack = model_stack(report->model, allocated->stack);

		if (stack && stack->place < stack->frame_count &&
			!is_found(report, target, &stack->frames[stack->place]))
			add_place(places, &count, stack, bytes_of(allocated));
	}
	return count;
}

static struct place *largest(struct place *places, size_t count)
{
	struct place *most = &places[0];

	for (size_t i = 1; i < count; i++)
		if (places[i].bytes > most->bytes)
			most = &places[i];
	return most;
}

static void put_place(struct page *page, const struct place *place)
{
	const struct model_frame *frame = frame_of(place);
	const char *slash = strrchr(frame->file, '/');
	char size[TEXT_NUMBER_BYTES];

	page_tab(page, INDENT);
	page_add(page, STYLE_PLAIN, "%9s  ", screen_size(size, place->bytes));
	if (frame->line)
		page_add(
			page, STYLE_PLAIN, "%s:%u  ", slash ? slash + 1 : frame->file, frame->line);
	page_add(page, STYLE_PLAIN, "%s", frame->function);
	page_end(page);
}

/* The largest places, each at least a tenth of all bytes. */
static void put_places(struct page *page, const struct report *report, const struct target *target,
	uint64_t (*bytes_of)(const struct event_allocated *allocated), uint64_t bytes,
	const char *title)
{
	struct place places[MAX_PLACES];
	size_t count = find_places(report, target, bytes_of, places);

	for (size_t i = 0; i < MAX_LINES && count; i++) {
		struct place *place = largest(places, count);

		if (place->bytes < bytes / MIN_SHARE)
			return;
		if (!i) {
			page_add(page, STYLE_PLAIN, "%s", title);
			page_end(page);
		}
		put_place(page, place);
		place->bytes = 0;
	}
}

/* Most of what is allocated is garbage soon, and nobody's fault: told on request. */
static void put_sampled(struct page *page, const struct report *report, const struct target *target)
{
	struct event_allocated sum;
	char size[TEXT_NUMBER_BYTES], title[96];

	model_sum_allocated(target, &sum);
	snprintf(title, sizeof(title), "Allocated since attach: %s, by estimate (sampled), of it:",
		screen_size(size, sum.allocated_bytes));
	if (report->verbose && sum.allocated_bytes)
		put_places(page, report, target, all, sum.allocated_bytes, title);
}

/* The probes may have been open for moments only: what the figures are about is said with them. */
static void put_blocks(struct page *page, const struct report *report, const struct target *target)
{
	char size[TEXT_NUMBER_BYTES], error[TEXT_NUMBER_BYTES],
		when[48] = "since its probes opened";
	double share = model_open_share(report->model, target->id, FAMILY_ALLOCATION);
	struct event_allocated sum;
	char title[160];

	model_sum_allocated(target, &sum);
	if (share < 1)
		snprintf(when, sizeof(when), "in %.2g %% of the time", share * 100);
	snprintf(title, sizeof(title),
		"Malloc gave %s (+- %s) %s, by:", screen_size(size, sum.allocated_bytes),
		screen_size(error, sum.allocated_error_bytes), when);
	if (report->verbose)
		put_places(page, report, target, all, sum.allocated_bytes, title);
	snprintf(title, sizeof(title), "In use of what malloc gave %s: %s%s (+- %s), of it:", when,
		target->profile.at_most ? "at most " : "", screen_size(size, sum.in_use_bytes),
		screen_size(error, sum.in_use_error_bytes));
	if (sum.in_use_bytes)
		put_places(page, report, target, in_use, sum.in_use_bytes, title);
}

void screen_allocated(struct page *page, const struct report *report, const struct target *target)
{
	struct waterfall waterfall;
	uint64_t bytes;

	if (report->verbose && target->profile_ns && target->profile.reason) {
		page_add(page, STYLE_DIM, "No allocation profile: %s",
			model_string(report->model, target->profile.reason));
		page_end(page);
	}
	if (target->profile_ns && target->profile.paired)
		put_blocks(page, report, target);
	else if (target->profile_ns && target->profile.sampled)
		put_sampled(page, report, target);
	if (!target->allocated_count || target->profile.sampled ||
		!summary_waterfall(report, target, &waterfall))
		return;
	bytes = waterfall.bytes[WATERFALL_OTHER_LIVE];
	if (bytes >= MIN_BYTES && bytes >= waterfall.rss_bytes / MIN_SHARE)
		put_places(page, report, target, in_use, bytes,
			"Other live heap, by the program's own allocation profile:");
}
