/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Spikes: steps of RSS, and which sites grew while they happened.
 *
 * A step begins at the lowest sample of the last 1, 10 or 60 seconds once RSS is max(8 MiB, 10 %) above
 * it, and ends where RSS makes no new maximum for two seconds, or after a minute. Bytes that growth
 * allocated meanwhile explain it first. The rest goes to the places of the sampled page faults, by their
 * weight: a fault is not a number of bytes (huge pages), but shares of faults are shares of pages.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/private.h"

#define STEP_BYTES  (8ull << 20)
#define STEP_PCT    10
#define QUIET_NS    (2 * NSEC_PER_SEC)
#define LONGEST_NS  (60 * NSEC_PER_SEC)
#define RECOUNT_NS  NSEC_PER_SEC
#define PLACES_SEEN 64 /* growing sites that fault sites are compared with */

static bool is_step(uint64_t before, uint64_t after)
{
	return after > before && after - before >= MAX(STEP_BYTES, before / 100 * STEP_PCT);
}

/* ---- causes ---- */

struct causes {
	struct spike_cause *items;
	size_t count;
	uint64_t bytes, garbage_bytes;
};

static int compare_causes(const void *a, const void *b)
{
	const struct spike_cause *x = a, *y = b;

	return x->bytes == y->bytes ? (x->site > y->site) - (x->site < y->site)
				    : (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static uint64_t part(uint64_t whole, uint64_t of, uint64_t all)
{
	return all ? (uint64_t)((double)whole * ((double)of / (double)all)) : 0;
}

/* An array is allocated before its pages are touched: one second more. */
static uint64_t window_start(const struct spike *spike)
{
	return spike->start_ns > NSEC_PER_SEC ? spike->start_ns - NSEC_PER_SEC : 0;
}

static void add_growth(const struct model *model, const struct target_state *target,
	const struct spike *spike, struct causes *causes)
{
	uint64_t delta = spike->after_bytes - spike->before_bytes;

	for (size_t i = 0; i < target->site_count; i++) {
		const struct site *site = model->sites[target->sites[i] - 1];
		struct rate_slot window;
		uint64_t bytes;

		model_site_window(site, window_start(spike), spike->end_ns, &window);
		if (!window.allocated_bytes)
			continue;
		bytes = model_scale(model, site->target, site->family, window.allocated_bytes);
		bytes = MIN(bytes, (uint64_t)1 << 50);
		causes->items[causes->count++] =
			(struct spike_cause){site->id, bytes, site->family};
		causes->bytes += bytes;
		causes->garbage_bytes += MIN((uint64_t)1 << 50,
			model_scale(model, site->target, site->family, window.garbage_bytes));
	}
	/* What grew twice reused pages: it cannot explain more than there was. */
	for (size_t i = 0; causes->bytes > delta && i < causes->count; i++)
		causes->items[i].bytes = part(delta, causes->items[i].bytes, causes->bytes);
	causes->bytes = MIN(causes->bytes, delta);
}

/* Bytes that growth at the same place of the source already explains. */
static uint64_t explained_at(
	const struct model *model, const struct causes *causes, const struct site *site)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < MIN(causes->count, (size_t)PLACES_SEEN); i++) {
		const struct site *other = model->sites[causes->items[i].site - 1];

		if (other == site ||
			(other->function == site->function && other->file == site->file &&
				other->line == site->line))
			bytes += causes->items[i].bytes;
	}
	return bytes;
}

static struct spike_cause fault_cause(const struct model *model, const struct spike *spike,
	const struct causes *growth, const struct site *site, uint32_t all_faults)
{
	uint64_t delta = spike->after_bytes - spike->before_bytes, bytes, own;
	struct rate_slot window;

	model_site_window(site, window_start(spike), spike->end_ns, &window);
	bytes = part(delta, window.faults, all_faults);
	own = window.faults ? explained_at(model, growth, site) : 0;
	return (struct spike_cause){site->id, bytes > own ? bytes - own : 0, FAMILY_NONE};
}

static void add_faults(const struct model *model, const struct target_state *target,
	const struct spike *spike, struct causes *causes)
{
	uint64_t rest = spike->after_bytes - spike->before_bytes - causes->bytes, sum = 0;
	size_t growing = causes->count;
	struct rate_slot all;

	rate_window(target->fault_rates, window_start(spike), spike->end_ns, &all);
	for (size_t i = 0; all.faults && i < target->site_count; i++) {
		const struct site *site = model->sites[target->sites[i] - 1];
		struct spike_cause cause = fault_cause(model, spike,
			&(struct causes){causes->items, growing, 0, 0}, site, all.faults);

		if (cause.bytes) {
			sum += cause.bytes;
			causes->items[causes->count++] = cause;
		}
	}
	for (size_t i = growing; i < causes->count; i++) {
		if (sum > rest)
			causes->items[i].bytes = part(rest, causes->items[i].bytes, sum);
		causes->bytes += causes->items[i].bytes;
	}
}

void spike_count_causes(const struct model *model, struct target_state *target, struct spike *spike)
{
	uint64_t delta = spike->after_bytes - spike->before_bytes;
	struct causes causes = {.items = xcalloc(2 * target->site_count, sizeof(*causes.items))};

	add_growth(model, target, spike, &causes);
	qsort(causes.items, causes.count, sizeof(*causes.items), compare_causes);
	add_faults(model, target, spike, &causes);
	qsort(causes.items, causes.count, sizeof(*causes.items), compare_causes);
	spike->cause_count = (uint32_t)MIN(causes.count, ARRAY_SIZE(spike->causes));
	memcpy(spike->causes, causes.items, spike->cause_count * sizeof(*causes.items));
	spike->explained_bytes = MIN(causes.bytes, delta);
	spike->avoidable_bytes = MIN(causes.garbage_bytes, delta);
	free(causes.items);
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
