/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resize-storm: arrays replaced by growth. Two kinds.
 *
 * Churn: a site that makes garbage all the time, at least 1 MiB/s and 5 % of what the target allocates over
 * ten seconds. The best ten seconds of the last minute count; where its probes were closed most of the time,
 * the whole minute does. Both are scaled by the share of that time in which they were open.
 * One-time: one container that grew large in many steps. Normal (INFO), with what a hint would have saved,
 * unless RSS passed 80 % of the limit meanwhile.
 *
 * Which kind it is, is a matter of what is left: doubling up to a size leaves about that size in garbage
 * (map: 1.2 times, slice: 4.2 times), however many containers share it. A site whose garbage is several
 * times of what it keeps serves requests or shifts a queue.
 *
 * Evidence: growths, containers, allocated_bytes, garbage_bytes, garbage_bytes_per_second,
 * garbage_pct_of_allocated, peak_overlap_bytes, hint (what make() should get: it fits 95 % of them), saves_bytes.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rules/support.h"

/* Garbage of one-time growth, as a multiple of what is kept: above, it is churn. */
#define MAP_GARBAGE   4
#define SLICE_GARBAGE 12
/* From so many containers on, what they keep is bounded by what the live heap gained. */
#define MANY_CONTAINERS 8
#define FEWEST_GCS      2
/* A slice that grows so often and leaves so little is shifted, not filled. */
#define QUEUE_GROWTHS 16
/* A block that realloc has made larger so often, on average, is a growing array. */
#define SERIES_GROWTHS 2
/* Where probes are open for less than that, one growth stands for many: so few of them prove no rate. */
#define MOSTLY_OPEN       0.5
#define FEWEST_GROWTHS    32
#define FEWEST_SECONDS    3
#define ESTIMATED_SECONDS 60

/* What all containers of a site add up to. */
struct tally {
	uint64_t held_bytes, largest_bytes, overlap_bytes;
	const struct container *biggest; /* most garbage among those that grew large once */
	uint64_t *hints;
	size_t hint_count, hint_cap;
};

static unsigned int natural_garbage(enum family family)
{
	return family_moves(family) || family == FAMILY_VECTOR ? SLICE_GARBAGE : MAP_GARBAGE;
}

static bool grew_once(const struct rule_context *context, const struct container *container)
{
	return container->growths >= threshold_get(context, "once_growths") &&
	       container->garbage_bytes >= threshold_bytes(context, "once_bytes") &&
	       container->garbage_bytes / natural_garbage(container->family) <=
		       container->held_peak_bytes;
}

static void count_container(
	const struct rule_context *context, const struct container *container, struct tally *tally)
{
	uint64_t hint = hint_for(container);

	tally->held_bytes += container->dead ? 0 : container->held_bytes;
	tally->largest_bytes = MAX(tally->largest_bytes, container->held_peak_bytes);
	tally->overlap_bytes = MAX(tally->overlap_bytes, container->overlap_peak_bytes);
	if (hint) {
		array_reserve(tally->hints, tally->hint_count, tally->hint_cap);
		tally->hints[tally->hint_count++] = hint;
	}
	if (grew_once(context, container) &&
		(!tally->biggest || container->garbage_bytes > tally->biggest->garbage_bytes))
		tally->biggest = container;
}

static struct tally *count_containers(const struct rule_context *context)
{
	struct tally *tallies = xcalloc(model_site_count(context->model) + 1, sizeof(*tallies));

	for (uint32_t i = 0; i < model_container_count(context->model); i++) {
		const struct container *container = model_container(context->model, i);

		if (container->growths)
			count_container(context, container, &tallies[container->sites[0].site]);
	}
	return tallies;
}

static void free_tallies(struct tally *tallies, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(tallies[i].hints);
	free(tallies);
}

static int compare_hints(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Of those in the model; where all have left it, of the histogram (upper end of the class). */
static uint64_t hint_p95(const struct site *site, struct tally *tally)
{
	uint64_t all = 0, seen = 0;

	if (tally->hint_count) {
		qsort(tally->hints, tally->hint_count, sizeof(*tally->hints), compare_hints);
		return tally->hints[(tally->hint_count - 1) * 95 / 100];
	}
	for (size_t i = 0; i < ARRAY_SIZE(site->lengths); i++)
		all += site->lengths[i];
	for (size_t i = 0; i < ARRAY_SIZE(site->lengths); i++) {
		seen += site->lengths[i];
		if (all && seen * 100 >= all * 95)
			return MIN((2ull << i) - 1, site->length_max);
	}
	return 0;
}

/* ---- churn ---- */

/* What the target allocated between two times; 0 = not known. */
static uint64_t allocated_between(const struct target *target, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t before = 0, after = 0;

	for (size_t i = 0; i < target->heap_count; i++) {
		const struct heap_sample *sample = &target->heap_samples[i];

		if (sample->time_ns <= from_ns || !before)
			before = sample->total_alloc_bytes;
		after = sample->total_alloc_bytes;
		if (sample->time_ns >= to_ns)
			break;
	}
	return minus(after, before);
}

struct storm {
	struct rate_slot window;
	uint64_t from_ns, to_ns;
	uint64_t garbage_bytes, bytes_per_second; /* scaled */
	double pct_of_allocated;                  /* -1 = not known */
	bool estimated;
};

static bool is_estimated(const struct rule_context *context, const struct site *site)
{
	double share = model_open_share(context->model, site->target, site->family);

	return share > 0 && share < MOSTLY_OPEN;
}

static void find_best_window(
	const struct rule_context *context, const struct site *site, struct storm *ret)
{
	uint64_t seconds = MAX((uint64_t)threshold_get(context, "seconds"), (uint64_t)1);
	uint64_t newest = site->last_ns / NSEC_PER_SEC;
	double share;

	*ret = (struct storm){.pct_of_allocated = -1};
	for (uint64_t i = 0; i + seconds <= MAX((uint64_t)MODEL_RATE_SLOTS, seconds); i++) {
		uint64_t to = newest - MIN(i, newest), from = minus(to, seconds - 1);
		struct rate_slot window;

		model_site_window(site, from * NSEC_PER_SEC, to * NSEC_PER_SEC, &window);
		if (window.garbage_bytes <= ret->window.garbage_bytes)
			continue;
		ret->window = window;
		ret->from_ns = from * NSEC_PER_SEC;
		ret->to_ns = (to + 1) * NSEC_PER_SEC;
	}
	share = model_open_share_between(
		context->model, site->target, site->family, ret->from_ns, ret->to_ns - 1);
	ret->garbage_bytes = share > 0 ? (uint64_t)((double)ret->window.garbage_bytes / share)
				       : ret->window.garbage_bytes;
	ret->bytes_per_second = ret->garbage_bytes / seconds;
}

static bool seen_often(const struct site *site, uint64_t from_ns, uint64_t to_ns)
{
	uint32_t from = (uint32_t)(from_ns / NSEC_PER_SEC), to = (uint32_t)(to_ns / NSEC_PER_SEC);
	uint32_t seconds = 0, growths = 0;

	for (size_t i = 0; i < MODEL_RATE_SLOTS; i++) {
		const struct rate_slot *slot = &site->rates[i];

		if (slot->second < from || slot->second > to)
			continue;
		seconds += slot->growths != 0;
		growths += slot->growths;
	}
	return seconds >= FEWEST_SECONDS && growths >= FEWEST_GROWTHS;
}

/* The best of many short windows, each seen for a fraction of it, would be chance: the average counts. */
static void estimate_window(
	const struct rule_context *context, const struct site *site, struct storm *ret)
{
	const struct target *target = model_target(context->model, site->target);
	/* Whole seconds, as they are counted. */
	uint64_t end = site->last_ns / NSEC_PER_SEC + 1;
	uint64_t to_ns = MIN(end * NSEC_PER_SEC - 1, target->last_ns);
	uint64_t from_ns = MAX(minus(end, ESTIMATED_SECONDS) * NSEC_PER_SEC,
		model_family_share(target, site->family)->first_ns);
	double share = model_open_share_between(
		context->model, site->target, site->family, from_ns, to_ns);
	double seconds = fmax(
		(double)minus(to_ns, from_ns) / NSEC_PER_SEC, threshold_get(context, "seconds"));

	*ret = (struct storm){.pct_of_allocated = -1, .estimated = true};
	if (share <= 0 || !seen_often(site, from_ns, to_ns))
		return;
	model_site_window(site, from_ns, to_ns, &ret->window);
	ret->from_ns = from_ns;
	ret->to_ns = to_ns;
	ret->garbage_bytes = (uint64_t)((double)ret->window.garbage_bytes / share);
	ret->bytes_per_second = (uint64_t)((double)ret->garbage_bytes / seconds);
}

/*
 * What glibc's malloc has given out. Where an array has gone to, and that it was freed, is not always seen of
 * C: together they cannot keep more than that.
 */
static uint64_t held_by_malloc(const struct target *target)
{
	for (size_t i = 0; i < target->allocator_count; i++) {
		const struct event_allocator *malloc = &target->allocators[i].now;

		if (!malloc->reason && !malloc->estimated && !target->has_heap)
			return minus(malloc->system_bytes, malloc->free_bytes) +
			       malloc->mapped_bytes;
	}
	return UINT64_MAX;
}

/* Was it kept, after all? Bounded by the growth of the live heap once a GC has measured that. */
static uint64_t kept_bytes(const struct model *model, const struct target *target,
	const struct site *site, const struct tally *tally)
{
	uint64_t kept = model_scale(model, site->target, site->family, tally->held_bytes), gained;

	if (target->has_heap && site->containers >= MANY_CONTAINERS) {
		gained = target->heap.gc_cycles - target->heap_first.gc_cycles >= FEWEST_GCS
				 ? minus(target->heap.live_bytes, target->heap_first.live_bytes)
				 : minus(target->heap.allocated_bytes,
					   target->heap_first.live_bytes);
		kept = MIN(kept, gained);
	}
	return MAX(MIN(kept, held_by_malloc(target)), tally->largest_bytes);
}

/* One resize of each block is no series of growths. */
static bool is_resized_once(const struct site *site)
{
	return site->family == FAMILY_ARRAY && site->growths < SERIES_GROWTHS * site->containers;
}

static bool churns(const struct rule_context *context, const struct site *site,
	const struct tally *tally, struct storm *ret)
{
	const struct target *target = model_target(context->model, site->target);
	uint64_t min = threshold_bytes(context, "bytes_per_second"), garbage, allocated;

	if (!min || !site->garbage_bytes || is_resized_once(site))
		return false;
	if (is_estimated(context, site))
		estimate_window(context, site, ret);
	else
		find_best_window(context, site, ret);
	if (ret->bytes_per_second < min)
		return false;
	garbage = model_scale(context->model, site->target, site->family, site->garbage_bytes);
	if (garbage / natural_garbage(site->family) <=
		kept_bytes(context->model, target, site, tally))
		return false;
	allocated = allocated_between(target, ret->from_ns, ret->to_ns);
	if (!allocated)
		return true;
	ret->pct_of_allocated = fmin(pct((double)ret->garbage_bytes, (double)allocated), 100);
	return ret->pct_of_allocated >= threshold_get(context, "min_pct");
}

static bool is_queue(const struct site *site)
{
	return site->family == FAMILY_SLICE && site->containers &&
	       site->growths / site->containers >= QUEUE_GROWTHS;
}

static bool starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/*
 * What the user's code called, where that and not the user's code grows what is its own (bytes.Buffer,
 * bufio, encoding/json); else NULL. Generic helpers work on what they are given.
 */
static const char *library_function(const struct site *site)
{
	static const char *const helpers[] = {"runtime.", "internal/", "slices.", "maps.",
		"strings.(*Builder).", "bytes.(*Buffer)."};
	const char *function = NULL;

	for (uint32_t i = 0; i < site->frame_count && site->frames[i].internal; i++)
		function = site->frames[i].function;
	for (size_t i = 0; function && i < ARRAY_SIZE(helpers); i++)
		if (starts_with(function, helpers[i]))
			return NULL;
	return function && *function ? function : NULL;
}

static void advise(
	const struct model *model, const struct site *site, uint64_t hint, struct finding *finding)
{
	const struct advice *advice = advice_for(model, site->target, site->runtime, site->family);
	const char *type = code_type(model, site->type, site->family);
	const char *library = library_function(site);
	char size[24] = "n";

	if (hint)
		snprintf(size, sizeof(size), "%llu", (unsigned long long)hint);
	if (!advice->collected)
		advice_say(finding->in_code, advice->reserve, model_string(model, site->type),
			site->family, hint);
	else if (is_queue(site) && finding->class == CLASS_CHURN)
		say(finding->in_code,
			"a queue of append and s = s[1:] copies what waits again and again: use "
			"a ring buffer, or copy down and reuse the array.");
	else if (library)
		say(finding->in_code,
			"what grows is inside %.120s, called here: give it room first (Grow, "
			"a size), or reuse it (sync.Pool).",
			library);
	else if (site->family == FAMILY_BUFFER)
		say(finding->in_code,
			"b.Grow(%s) on the empty %.120s before it is written to; a bytes.Buffer "
			"can be used again: Reset() keeps its array.",
			size, type);
	else if (site->family == FAMILY_SLICE)
		say(finding->in_code, "make(%.120s, 0, %s) before filling it.", type, size);
	else
		say(finding->in_code, "make(%.120s, %s) before filling it: a hint counts entries.",
			type, size);
	say(finding->right_now, "%s", advice->replaced);
}

static void add_evidence(struct finding *finding, const struct storm *storm, double growths,
	double containers, double allocated, double garbage, double overlap, uint64_t hint)
{
	evidence_add(finding, "growths", growths);
	evidence_add(finding, "containers", containers);
	evidence_add(finding, "allocated_bytes", allocated);
	evidence_add(finding, "garbage_bytes", garbage);
	evidence_add_known(finding, "garbage_bytes_per_second", storm,
		storm ? (double)storm->bytes_per_second : 0);
	evidence_add_known(finding, "garbage_pct_of_allocated",
		storm && storm->pct_of_allocated >= 0, storm ? storm->pct_of_allocated : 0);
	evidence_add(finding, "peak_overlap_bytes", overlap);
	evidence_add_known(finding, "hint", hint != 0, (double)hint);
	evidence_add(finding, "saves_bytes", (double)finding->saves_bytes);
}

static void emit_churn(const struct rule_context *context, const struct site *site,
	struct tally *tally, const struct storm *storm)
{
	const struct model *model = context->model;
	struct finding finding = finding_of_site(site, CLASS_CHURN);
	uint64_t hint = hint_p95(site, tally);
	uint64_t growths = model_scale(model, site->target, site->family, site->growths);
	uint64_t allocated = model_scale(model, site->target, site->family, site->allocated_bytes);
	const struct advice *advice = advice_for(model, site->target, site->runtime, site->family);
	struct numbers n = {0};

	/* Nobody but its authors can give a hint there, or nobody at all. */
	finding.normal = site->library || advice->no_reserve;
	finding.bytes = model_scale(model, site->target, site->family, site->garbage_bytes);
	finding.saves_bytes = finding.bytes;
	finding.bytes_per_second = storm->bytes_per_second;
	add_evidence(&finding, storm, (double)growths, (double)site->containers, (double)allocated,
		(double)finding.bytes, (double)tally->overlap_bytes, hint);
	/* How many containers there were between the openings is not known. */
	say(finding.message, "%s/s of garbage from growing: %s growths%s%s%s replaced %s%s%s%s.",
		number_bytes(&n, storm->bytes_per_second), number_count(&n, growths),
		storm->estimated ? "" : " of ",
		storm->estimated ? "" : number_count(&n, site->containers),
		storm->estimated        ? ""
		: site->containers == 1 ? " container"
					: " containers",
		number_bytes(&n, finding.bytes), storm->pct_of_allocated >= 0 ? " (" : "",
		storm->pct_of_allocated >= 0 ? number_pct(&n, storm->pct_of_allocated, 100) : "",
		storm->pct_of_allocated >= 0 ? " of all that is allocated)" : "");
	if (storm->estimated)
		say(finding.since, "Since attach; the rate is that of the last %s.",
			number_duration(&n, minus(storm->to_ns, storm->from_ns)));
	else
		say(finding.since, "Since attach; the busiest %.0f s of the last minute.",
			threshold_get(context, "seconds"));
	advise(model, site, hint, &finding);
	context->emit(&finding, context->arg);
}

/* ---- one-time ---- */

static bool came_near_the_limit(
	const struct rule_context *context, const struct container *container)
{
	const struct target *target = model_target(context->model, container->target);
	uint64_t peak =
		model_rss_max(target, container->first_ns, container->grown_ns + NSEC_PER_SEC);

	return target->has_limit &&
	       pct((double)peak, (double)target->limit_bytes) > threshold_get(context, "limit_pct");
}

static void emit_once(
	const struct rule_context *context, const struct site *site, const struct tally *tally)
{
	const struct container *container = tally->biggest;
	struct finding finding = finding_of_container(container, CLASS_ONE_TIME);
	uint64_t hint = hint_for(container);
	struct numbers n = {0};

	finding.counts_growths = true;
	finding.normal = !came_near_the_limit(context, container);
	finding.bytes = finding.saves_bytes = container->garbage_bytes;
	add_evidence(&finding, NULL, (double)container->growths, 1,
		(double)container->allocated_bytes, (double)container->garbage_bytes,
		(double)container->overlap_peak_bytes, hint);
	say(finding.message,
		"Grew %s times up to %s: %s allocated, of them %s are garbage now; old and new "
		"array "
		"together took up to %s.",
		number_count(&n, container->growths), number_bytes(&n, container->held_peak_bytes),
		number_bytes(&n, container->allocated_bytes),
		number_bytes(&n, container->garbage_bytes),
		number_bytes(&n, container->overlap_peak_bytes));
	say(finding.since, "Once, over %s.",
		number_duration(&n, minus(container->grown_ns, container->first_ns)));
	advise(context->model, site, hint, &finding);
	context->emit(&finding, context->arg);
}

static void evaluate(const struct rule_context *context)
{
	struct tally *tallies = count_containers(context);
	size_t count = model_site_count(context->model) + 1;

	for (uint32_t i = 1; i < count; i++) {
		const struct site *site = model_site(context->model, i);
		struct storm storm;

		if (churns(context, site, &tallies[i], &storm))
			emit_churn(context, site, &tallies[i], &storm);
		else if (tallies[i].biggest)
			emit_once(context, site, &tallies[i]);
	}
	free_tallies(tallies, count);
}

const struct rule rule_resize_storm = {
	.kind = "resize-storm",
	.help = "arrays replaced by growth, all the time or in one large container",
	.thresholds =
		{
			{"bytes_per_second", UNIT_BYTES_PER_SECOND, 1 << 20,
				"garbage of a site at least, and"},
			{"min_pct", UNIT_PCT, 5,
				"... at least this part of what the target allocates"},
			{"seconds", UNIT_SECONDS, 10, "... over so long"},
			{"once_bytes", UNIT_BYTES, 4 << 20, "one container: garbage at least, in"},
			{"once_growths", UNIT_NONE, 4, "... so many growths at least"},
			{"limit_pct", UNIT_PCT, 80,
				"one container: not normal if RSS passed this part of the limit"},
		},
	.exclusive = EXCLUSIVE_SITE,
	.evaluate = evaluate,
};
