/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Spikes: steps of RSS, and what made them.
 *
 * A step begins at the lowest sample of the last 1, 10 or 60 seconds once RSS is max(8 MiB, 10 %) above
 * it, and ends where RSS makes no new maximum for two seconds, or after a minute. Its causes are those
 * of the page faults of that time, in bytes. Where faults were not sampled (no permission, or the budget
 * did not allow it) the bytes that growth allocated stand in for what is missing. The step itself is known
 * whole: what was sampled while the budget allowed it then stands for the rest, too.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/private.h"

#define STEP_BYTES   (8ull << 20)
#define STEP_PCT     10
#define QUIET_NS     (2 * NSEC_PER_SEC)
#define LONGEST_NS   (60 * NSEC_PER_SEC)
#define RECOUNT_NS   NSEC_PER_SEC
#define PERIOD_STEPS 3  /* at least, to have a period */
#define PERIOD_PART  4  /* by so small a part may the distances differ */
#define SAMPLED_PART 10 /* of a step must have been sampled before that stands for all of it */
#define MAX_CAUSES   64 /* of one step, before the small ones are summed up */

static bool is_step(uint64_t before, uint64_t after)
{
	return after > before && after - before >= MAX(STEP_BYTES, before / 100 * STEP_PCT);
}

/* ---- causes ---- */

struct causes {
	struct cause items[MAX_CAUSES];
	size_t count;
	uint64_t bytes; /* sum */
};

static int compare_causes(const void *a, const void *b)
{
	const struct cause *x = a, *y = b;

	return x->bytes == y->bytes ? (x->site > y->site) - (x->site < y->site)
				    : (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static uint64_t part(uint64_t whole, uint64_t of, uint64_t all)
{
	return all ? (uint64_t)((double)whole * ((double)of / (double)all)) : 0;
}

/* An array is allocated before its pages are touched: one second more. */
static uint64_t growth_start(const struct spike *spike)
{
	return spike->start_ns > NSEC_PER_SEC ? spike->start_ns - NSEC_PER_SEC : 0;
}

static uint64_t bounded(uint64_t bytes)
{
	return MIN(bytes, (uint64_t)1 << 50);
}

/* Bytes of arrays that growth has replaced during the step. */
static uint64_t count_garbage(
	const struct model *model, const struct target_state *target, const struct spike *spike)
{
	uint64_t garbage = 0;

	for (size_t i = 0; i < target->site_count; i++) {
		const struct site *site = model->sites[target->sites[i] - 1];
		struct rate_slot window;

		model_site_window(site, growth_start(spike), spike->end_ns, &window);
		if (window.garbage_bytes)
			garbage += bounded(model_scale(
				model, site->target, site->family, window.garbage_bytes));
	}
	return garbage;
}

/* Adds what growth at the site allocated beyond what its faults explain; a bound keeps the largest. */
static void add_growth(const struct model *model, const struct site *site,
	const struct spike *spike, struct causes *growth)
{
	struct rate_slot window;
	struct cause cause = {.site = site->id, .family = site->family};
	size_t at = growth->count;

	model_site_window(site, growth_start(spike), spike->end_ns, &window);
	if (!window.allocated_bytes)
		return;
	cause.bytes =
		bounded(model_scale(model, site->target, site->family, window.allocated_bytes));
	if (at == MAX_CAUSES)
		for (size_t i = at = 0; i < MAX_CAUSES; i++)
			if (growth->items[i].bytes < growth->items[at].bytes)
				at = i;
	if (at < growth->count && growth->items[at].bytes >= cause.bytes)
		return;
	growth->bytes += cause.bytes - (at < growth->count ? growth->items[at].bytes : 0);
	growth->items[at] = cause;
	growth->count = MAX(growth->count, at + 1);
}

/* What grew twice reused pages: it cannot explain more than there was. */
static void count_growth(const struct model *model, const struct target_state *target,
	const struct spike *spike, uint64_t rest, struct causes *ret)
{
	ret->count = 0;
	ret->bytes = 0;
	for (size_t i = 0; i < target->site_count; i++)
		add_growth(model, model->sites[target->sites[i] - 1], spike, ret);
	for (size_t i = 0; ret->bytes > rest && i < ret->count; i++)
		ret->items[i].bytes = part(rest, ret->items[i].bytes, ret->bytes);
	ret->bytes = MIN(ret->bytes, rest);
}

static void count_faults(
	const struct model *model, struct spike *spike, uint32_t target, struct causes *ret)
{
	ret->count = model_causes(model, target, spike->start_ns, spike->end_ns, ret->items,
		MAX_CAUSES, &spike->lost_bytes);
	ret->bytes = 0;
	for (size_t i = 0; i < ret->count; i++)
		ret->bytes += ret->items[i].bytes;
}

static void take_causes(const struct model *model, struct spike *spike, const struct causes *causes)
{
	uint64_t delta = spike->after_bytes - spike->before_bytes, named = 0;
	size_t count = 0;

	for (size_t i = 0; i < causes->count; i++) {
		const struct cause *cause = &causes->items[i];

		if (!cause_is_named(model, cause))
			continue;
		named += cause->bytes;
		if (count < MODEL_SPIKE_CAUSES && cause->bytes)
			spike->causes[count++] = *cause;
	}
	spike->cause_count = (uint32_t)count;
	spike->explained_bytes = MIN(named, delta);
}

/* The budget had closed faults for a part of the step. */
static bool was_closed(const struct model *model, const struct spike *spike, uint32_t target)
{
	const struct family_share *share =
		model_family_share(model_target(model, target), FAMILY_NONE);

	return share->ever && model_open_share_between(model, target, FAMILY_NONE, spike->start_ns,
				      spike->end_ns) < 1;
}

/* What was sampled in part, and grew, is one cause. */
static void add_cause(struct causes *causes, const struct cause *cause)
{
	size_t i = 0;

	while (i < causes->count && !cause_is_same(&causes->items[i], cause))
		i++;
	if (i == MAX_CAUSES)
		return;
	if (i == causes->count)
		causes->items[causes->count++] = *cause;
	else
		causes->items[i].bytes += cause->bytes;
	causes->bytes += cause->bytes;
}

/* Each cause by as much as all of them fall short of the step. */
static void scale_causes(struct causes *causes, uint64_t delta)
{
	uint64_t sampled = causes->bytes;

	causes->bytes = 0;
	for (size_t i = 0; i < causes->count; i++) {
		causes->items[i].bytes = part(delta, causes->items[i].bytes, sampled);
		causes->bytes += causes->items[i].bytes;
	}
}

void spike_count_causes(const struct model *model, struct target_state *target, struct spike *spike)
{
	uint64_t delta = spike->after_bytes - spike->before_bytes, garbage;
	struct causes *causes = xcalloc(2, sizeof(*causes)), *growth = &causes[1];

	count_faults(model, spike, target->pub.id, causes);
	spike->sampled_bytes = causes->bytes;
	if (causes->bytes < delta / 2) {
		count_growth(model, target, spike, delta - causes->bytes, growth);
		for (size_t i = 0; i < growth->count; i++)
			add_cause(causes, &growth->items[i]);
	}
	spike->estimated = causes->bytes < delta && causes->bytes >= delta / SAMPLED_PART &&
			   was_closed(model, spike, target->pub.id);
	if (spike->estimated)
		scale_causes(causes, delta);
	qsort(causes->items, causes->count, sizeof(*causes->items), compare_causes);
	take_causes(model, spike, causes);
	garbage = count_garbage(model, target, spike);
	spike->avoidable_bytes = MIN(garbage, delta);
	free(causes);
}

/* ---- steps ---- */

static void drop_smallest(struct target *target)
{
	struct spike *spikes = target->spikes;
	size_t smallest = 0;

	for (size_t i = 1; i < target->spike_count; i++)
		if (spikes[i].after_bytes - spikes[i].before_bytes <
			spikes[smallest].after_bytes - spikes[smallest].before_bytes)
			smallest = i;
	memmove(&spikes[smallest], &spikes[smallest + 1],
		(target->spike_count - smallest - 1) * sizeof(*spikes));
	target->spike_count--;
	target->spikes_dropped++;
}

static void open_spike(const struct model *model, struct target_state *target,
	const struct usage_sample *from, uint64_t now_ns)
{
	struct target *pub = &target->pub;
	struct spike *spike;

	if (pub->spike_count == MODEL_MAX_SPIKES)
		drop_smallest(pub);
	array_reserve(pub->spikes, pub->spike_count, target->spike_cap);
	spike = &pub->spikes[pub->spike_count++];
	*spike = (struct spike){
		.start_ns = from->time_ns,
		.end_ns = now_ns,
		.before_bytes = from->rss_bytes,
		.after_bytes = pub->rss_bytes,
		.start_up = !pub->steady_ns || from->time_ns < pub->steady_ns,
	};
	target->spike_open = true;
	target->spike_counted_ns = now_ns;
	spike_count_causes(model, target, spike);
}

/* The lowest sample of the window, the newest of equals. */
static const struct usage_sample *lowest(
	const struct target_state *target, uint64_t now_ns, uint64_t window_ns)
{
	const struct usage_sample *low = NULL;

	for (size_t i = target->pub.usage_count; i-- > 0;) {
		const struct usage_sample *sample = &target->pub.usage[i];

		if (now_ns - sample->time_ns > window_ns ||
			sample->time_ns < target->spike_floor_ns)
			break;
		if (!low || sample->rss_bytes < low->rss_bytes)
			low = sample;
	}
	return low;
}

static void detect(const struct model *model, struct target_state *target, uint64_t now_ns)
{
	static const uint64_t windows[] = {NSEC_PER_SEC, 10 * NSEC_PER_SEC, 60 * NSEC_PER_SEC};

	for (size_t i = 0; i < ARRAY_SIZE(windows); i++) {
		const struct usage_sample *low = lowest(target, now_ns, windows[i]);

		if (low && is_step(low->rss_bytes, target->pub.rss_bytes)) {
			open_spike(model, target, low, now_ns);
			return;
		}
	}
}

static void follow(const struct model *model, struct target_state *target, uint64_t now_ns)
{
	struct spike *spike = &target->pub.spikes[target->pub.spike_count - 1];
	uint64_t half = spike->before_bytes + (spike->after_bytes - spike->before_bytes) / 2;
	bool over = now_ns - spike->start_ns > LONGEST_NS || target->pub.rss_bytes < half ||
		    now_ns - spike->end_ns >= QUIET_NS;

	if (!over && target->pub.rss_bytes > spike->after_bytes) {
		spike->after_bytes = target->pub.rss_bytes;
		spike->end_ns = now_ns;
	}
	if (over || now_ns - target->spike_counted_ns >= RECOUNT_NS) {
		spike_count_causes(model, target, spike);
		target->spike_counted_ns = now_ns;
	}
	if (over) {
		target->spike_open = false;
		target->spike_floor_ns = spike->end_ns;
	}
}

void spike_apply_usage(struct model *model, struct target_state *target, uint64_t now_ns)
{
	if (target->spike_open)
		follow(model, target, now_ns);
	else
		detect(model, target, now_ns);
}

void spike_take_late(const struct model *model, struct target_state *target, uint64_t time_ns)
{
	struct target *pub = &target->pub;
	struct spike *last = pub->spike_count ? &pub->spikes[pub->spike_count - 1] : NULL;

	if (last && !target->spike_open && time_ns <= last->end_ns)
		spike_count_causes(model, target, last);
}

void spike_end(const struct model *model, struct target_state *target)
{
	struct target *pub = &target->pub;

	if (target->spike_open)
		spike_count_causes(model, target, &pub->spikes[pub->spike_count - 1]);
	target->spike_open = false;
}

/* ---- repeats ---- */

bool model_spike_is_alike(const struct spike *a, const struct spike *b)
{
	return a->cause_count && b->cause_count && cause_is_same(&a->causes[0], &b->causes[0]);
}

static int earlier_first(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The median of the distances, if none is far from it. */
static uint64_t period_of(uint64_t starts_ns[MODEL_MAX_SPIKES], size_t count)
{
	uint64_t gaps[MODEL_MAX_SPIKES], median;
	size_t gap_count = count - 1;

	for (size_t i = 0; i < gap_count; i++)
		gaps[i] = starts_ns[i + 1] - starts_ns[i];
	qsort(gaps, gap_count, sizeof(*gaps), earlier_first);
	median = gaps[gap_count / 2];
	if (median - gaps[0] > median / PERIOD_PART ||
		gaps[gap_count - 1] - median > median / PERIOD_PART)
		return 0;
	return median;
}

struct spike_series model_spike_series(const struct target *target, const struct spike *spike)
{
	uint64_t starts_ns[MODEL_MAX_SPIKES];
	struct spike_series series = {0};

	for (size_t i = 0; i < target->spike_count && series.count < MODEL_MAX_SPIKES; i++)
		if (model_spike_is_alike(&target->spikes[i], spike))
			starts_ns[series.count++] = target->spikes[i].start_ns;
	if (!series.count)
		return series;
	qsort(starts_ns, series.count, sizeof(*starts_ns), earlier_first);
	series.first_ns = starts_ns[0];
	series.last_ns = starts_ns[series.count - 1];
	if (series.count >= PERIOD_STEPS)
		series.period_ns = period_of(starts_ns, series.count);
	return series;
}

uint64_t model_series_next(const struct spike_series *series, uint64_t now_ns)
{
	uint64_t due_ns = series->last_ns + series->period_ns;

	return series->period_ns && due_ns > now_ns ? due_ns - now_ns : 0;
}
