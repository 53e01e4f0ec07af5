/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * retained-buckets: a map that is nearly empty and keeps the arrays of its fuller days. Neither delete
 * nor clear() shrinks a Go map (classic and Swiss alike).
 *
 * Silent where it was refilled past half of its load limit without growing: then the arrays are reused
 * and giving them back would only make garbage of the next ones.
 *
 * Many small ones of one place and type (the shards of a cache) count together.
 *
 * Evidence: length, length_peak, slots, load_pct, slots_per_entry, held_bytes, resident_bytes, need_bytes, retained_bytes,
 * since_ns, gc_cycles, looks, seen_once.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "rules/support.h"

/* The time for which the map has been nearly empty: its slots first .. slot_count - 1. */
struct period {
	uint32_t first;
	uint64_t start_ns, duration_ns;
	uint32_t gc_cycles;
	bool unchanged;
};

static uint64_t slots_max(const struct container *container, uint32_t from, uint32_t to)
{
	uint64_t max = 0;

	for (uint32_t i = from; i < to; i++)
		max = MAX(max, container->slots[i].max);
	return max;
}

static uint64_t slots_min(const struct container *container, uint32_t from, uint32_t to)
{
	uint64_t min = UINT64_MAX;

	for (uint32_t i = from; i < to; i++)
		min = MIN(min, container->slots[i].min);
	return min;
}

static uint64_t share_of_limit(
	const struct rule_context *context, const struct container *container, const char *field)
{
	return (uint64_t)((double)container->look.load_limit * threshold_get(context, field) / 100);
}

/* False where the map is not nearly empty, or was a moment ago (in the newest slot). */
static bool find_period(
	const struct rule_context *context, const struct container *container, struct period *ret)
{
	uint64_t low = share_of_limit(context, container, "max_load_pct");
	uint32_t first = container->slot_count;

	while (first && container->slots[first - 1].max <= low)
		first--;
	if (first == container->slot_count)
		return false;
	ret->first = first;
	ret->start_ns = container->slots[first].start_ns;
	ret->duration_ns = minus(container->look_ns, ret->start_ns);
	ret->gc_cycles = model_gc_cycles_since(
		model_target(context->model, container->target), ret->start_ns);
	ret->unchanged = slots_min(container, first, container->slot_count) ==
			 slots_max(container, first, container->slot_count);
	return true;
}

/* The newest quarter against what was before; few slots against the lowest. */
static bool is_rising(const struct rule_context *context, const struct container *container,
	const struct period *period)
{
	uint32_t end = container->slot_count, count = end - period->first;
	uint64_t step = share_of_limit(context, container, "rise_pct");

	if (count < 4)
		return container->look.length > slots_min(container, period->first, end) + step;
	return slots_max(container, end - count / 4, end) >
	       slots_max(container, period->first, end - count / 4) + step;
}

/* Found when we came, not at its first filling. */
static bool was_there(const struct target *target, const struct container *container)
{
	return container->before_attach && target->age_ns >= NSEC_PER_SEC &&
	       minus(container->first_ns, target->attach_ns) < NSEC_PER_SEC;
}

/*
 * Full, low, and full again, in arrays of the same size. The first filling of a map that was made with a
 * size hint is no refill: a low time counts only after a full one, or in a map that was there before us. In
 * a slot that saw both, its last length tells the order.
 */
static bool is_reused(const struct rule_context *context, const struct container *container,
	const struct period *period)
{
	uint64_t low = share_of_limit(context, container, "max_load_pct");
	uint64_t high = share_of_limit(context, container, "reuse_pct");
	uint64_t same_since_ns = MAX(container->grown_ns, container->capacity_changed_ns);
	bool was_full = was_there(model_target(context->model, container->target), container);
	bool was_low = false;

	for (uint32_t i = 0; i < period->first; i++) {
		const struct length_slot *slot = &container->slots[i];
		bool full = slot->max >= high;
		bool empty = slot->min <= low && slot->start_ns >= same_since_ns;

		if (full && (was_low || (empty && was_full && slot->last >= high)))
			return true;
		was_full |= full;
		was_low |= empty && was_full && (!full || slot->last <= low);
	}
	return false;
}

static bool lasts(const struct rule_context *context, const struct period *period)
{
	return period->duration_ns >= threshold_ns(context, "seconds") ||
	       period->gc_cycles >= threshold_get(context, "gcs");
}

/*
 * A session that ends before the window is over says what it saw: a map that was nearly empty when we came
 * and still is at the end, however short that was. Else 30 s would show less than no time at all (-d 0).
 */
static bool fills_session(const struct rule_context *context, const struct container *container,
	const struct period *period)
{
	const struct target *target = model_target(context->model, container->target);
	uint64_t start_ns, real_ns, end_ns;

	model_clock(context->model, &start_ns, &real_ns, &end_ns);
	return is_read_only(context->model, target) ||
	       (end_ns > start_ns && !period->first && was_there(target, container));
}

static uint64_t smallest_worth_it(
	const struct rule_context *context, const struct container *container)
{
	const struct target *target = model_target(context->model, container->target);

	return MAX(threshold_bytes(context, "min_bytes"),
		(uint64_t)((double)target->rss_bytes * threshold_get(context, "min_pct_rss") /
			   100));
}

static void write_since(const struct target *target, const struct container *container,
	const struct period *period, bool once, struct finding *finding)
{
	struct numbers n = {0};

	if (once)
		say(finding->since, "Seen once, by reading: what it was before is not known.");
	else if (period->unchanged && !period->first)
		say(finding->since, "Unchanged %s (%s%s).",
			since_words(target, container->first_look_ns),
			number_duration(&n, period->duration_ns),
			number_gcs(&n, target, period->gc_cycles));
	else
		say(finding->since, "At most %s of its load limit for %s%s.",
			number_pct(&n,
				(double)slots_max(container, period->first, container->slot_count),
				(double)container->look.load_limit),
			number_duration(&n, period->duration_ns),
			number_gcs(&n, target, period->gc_cycles));
}

/* When what is deleted goes by itself. */
static void write_promotion(const struct event_look *look, struct finding *finding)
{
	struct numbers n = {0};

	if (look->has_misses && look->misses_needed)
		say(finding->right_now,
			"%s of %s lookups that miss have been counted; at the last sync.Map drops "
			"what "
			"is deleted. Lookups of keys that are not there get it done.",
			number_count(&n, look->misses), number_count(&n, look->misses_needed));
	else
		say(finding->right_now, "%s",
			look->has_misses
				? "nothing is under way: a new key, and then as many lookups that "
				  "miss as there are keys, make sync.Map drop what is deleted."
				: "traffic: new keys and lookups that miss make sync.Map drop what "
				  "is "
				  "deleted; without them only a restart frees it.");
}

/* Only up to Go 1.23: later ones free what is deleted. */
static void write_sync_map(const struct event_look *look, struct finding *finding)
{
	struct numbers n = {0};

	say(finding->message,
		"%s entries in %s slots, %s more are deleted but still there; holds %s without "
		"keys and values; a plain map of %s needs %s.",
		number_count(&n, look->length), number_count(&n, look->capacity),
		number_count(&n, look->tombstones), number_bytes(&n, look->held_bytes),
		number_count(&n, look->length), number_bytes(&n, look->need_bytes));
	say(finding->in_code, "a map with a sync.RWMutex, made anew after large expiries; or Go "
			      "1.24, whose sync.Map frees what is deleted.");
	write_promotion(look, finding);
}

static void write_text(
	const struct model *model, const struct container *container, struct finding *finding)
{
	const struct event_look *look = &container->look;
	const struct advice *advice = advice_of(model, container);
	struct numbers n = {0};

	if (container->family == FAMILY_SYNC_MAP) {
		write_sync_map(look, finding);
		return;
	}
	say(finding->message, "%s entries in %s slots (%s); holds %s, %s resident; %s need %s. %s",
		number_count(&n, look->length), number_count(&n, look->capacity),
		number_pct(&n, (double)look->length, (double)look->capacity),
		number_bytes(&n, look->held_bytes),
		look->has_resident ? number_bytes(&n, look->resident_bytes) : "unknown",
		number_count(&n, look->length), number_bytes(&n, look->need_bytes), advice->keeps);
	advice_say(finding->in_code, advice->shrink, code_type_of(model, container),
		container->family, 0);
	if (look->has_resident && !look->resident_bytes)
		say(finding->right_now,
			"nothing to gain: 0 of RSS, none of its pages are resident.");
	else
		say(finding->right_now, "%s", advice->stays);
}

static void write_evidence(const struct container *container, const struct period *period,
	bool once, struct finding *finding)
{
	const struct event_look *look = &container->look;

	evidence_add(finding, "length", (double)look->length);
	evidence_add(finding, "length_peak", (double)container->length_peak);
	evidence_add(finding, "slots", (double)look->capacity);
	evidence_add(finding, "load_pct", pct((double)look->length, (double)look->capacity));
	evidence_add_known(finding, "slots_per_entry", look->length,
		look->length ? (double)look->capacity / (double)look->length : 0);
	evidence_add(finding, "held_bytes", (double)look->held_bytes);
	evidence_add_known(
		finding, "resident_bytes", look->has_resident, (double)look->resident_bytes);
	evidence_add(finding, "need_bytes", (double)look->need_bytes);
	evidence_add(finding, "retained_bytes", (double)finding->saves_bytes);
	evidence_add(finding, "since_ns", (double)period->duration_ns);
	evidence_add(finding, "gc_cycles", period->gc_cycles);
	evidence_add(finding, "looks", (double)container->looks);
	if (container->family == FAMILY_SYNC_MAP) {
		evidence_add(finding, "tombstones", (double)look->tombstones);
		evidence_add_known(finding, "misses", look->has_misses, (double)look->misses);
		evidence_add_known(
			finding, "misses_needed", look->has_misses, (double)look->misses_needed);
	}
	evidence_add(finding, "seen_once", once);
}

static void evaluate_container(
	const struct rule_context *context, const struct container *container)
{
	const struct target *target = model_target(context->model, container->target);
	const struct event_look *look = &container->look;
	uint64_t retained = minus(look->held_bytes, look->need_bytes);
	uint64_t worth_bytes = smallest_worth_it(context, container);
	struct finding finding = finding_of_container(container, CLASS_HELD);
	struct period period;
	bool once;

	if (!look->load_limit ||
		retained < MIN(worth_bytes, threshold_bytes(context, "shard_bytes")) ||
		!find_period(context, container, &period))
		return;
	if (!lasts(context, &period) && !fills_session(context, container, &period))
		return;
	once = is_read_only(context->model, target) && !lasts(context, &period);
	if (is_rising(context, container, &period) || is_reused(context, container, &period))
		return;
	finding.candidate =
		!model_container_alive_since(context->model, container, period.start_ns);
	finding.worth_bytes = retained < worth_bytes ? worth_bytes : 0;
	finding.bytes = look->held_bytes;
	finding.saves_bytes = retained;
	finding.saves_rss_bytes =
		look->has_resident ? minus(look->resident_bytes, look->need_bytes) : 0;
	write_evidence(container, &period, once, &finding);
	write_text(context->model, container, &finding);
	write_since(target, container, &period, once, &finding);
	context->emit(&finding, context->arg);
}

static bool keeps_arrays(enum family family)
{
	return family_tells_length(family) || family == FAMILY_SYNC_MAP;
}

static void evaluate(const struct rule_context *context)
{
	for (uint32_t i = 0; i < model_container_count(context->model); i++) {
		const struct container *container = model_container(context->model, i);

		if (keeps_arrays(container->family) && !container->dead && container->looked &&
			container->look.has_length)
			evaluate_container(context, container);
	}
}

const struct rule rule_retained_buckets = {
	.kind = "retained-buckets",
	.help = "a nearly empty map or vector that keeps the arrays of its fuller days",
	.thresholds =
		{
			{"seconds", UNIT_SECONDS, 60, "nearly empty for so long, or"},
			{"gcs", UNIT_NONE, 2, "... for so many GC cycles"},
			{"min_bytes", UNIT_BYTES, 4 << 20, "retained at least, and"},
			{"min_pct_rss", UNIT_PCT, 2,
				"... at least this part of RSS, by all of one place and type,"},
			{"shard_bytes", UNIT_BYTES, 64 << 10, "... each of them so much"},
			{"max_load_pct", UNIT_PCT, 25,
				"nearly empty: length at most this part of the load limit"},
			{"reuse_pct", UNIT_PCT, 50,
				"reused: refilled past this part of the load limit"},
			{"rise_pct", UNIT_PCT, 1,
				"rising: by more than this part of the load limit"},
		},
	.exclusive = EXCLUSIVE_CONTAINER,
	.evaluate = evaluate,
};
