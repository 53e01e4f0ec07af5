/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unbounded-growth: a map that only grows, all the time that it was watched, and no slower now than in
 * the beginning. A cache that fills up once slows down and stops: silent.
 *
 * Its history is read as 12 equal parts, so that writes in bursts count as rising, too.
 *
 * Evidence: length, length_first, entries_per_second, bytes_per_second, rss_bytes_per_second, held_bytes,
 * slots_up, slots, since_ns, gc_cycles, next_growth_length, limit_ns.
 */
#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rules/support.h"

#define RSS_SLOPE_NS (60 * NSEC_PER_SEC)

struct trend {
	uint32_t parts, up;
	bool still_rising;
	double first_rise, last_rise; /* of the first and the last third */
	uint64_t start_ns, duration_ns, length_first, length_last;
	uint32_t gc_cycles;
};

/* Length at the end of part i when slot_count slots are read as parts. */
static uint64_t part_end(const struct container *container, uint32_t i, uint32_t parts)
{
	return container->slots[(uint64_t)(i + 1) * container->slot_count / parts - 1].last;
}

static bool find_trend(
	const struct rule_context *context, const struct container *container, struct trend *ret)
{
	uint32_t parts = MAX((uint32_t)threshold_get(context, "slots"), 3u);
	struct trend trend = {.parts = parts};
	uint64_t before, length;

	if (container->slot_count < parts)
		return false;
	trend.start_ns = container->slots[0].start_ns;
	trend.length_first = before = length = container->slots[0].min;
	for (uint32_t i = 0; i < parts; i++, before = length) {
		length = part_end(container, i, parts);
		trend.still_rising = length > before;
		trend.up += trend.still_rising;
		if (i < parts / 3)
			trend.first_rise += (double)length - (double)before;
		if (i >= parts - parts / 3)
			trend.last_rise += (double)length - (double)before;
	}
	trend.length_last = length;
	trend.duration_ns = minus(container->look_ns, trend.start_ns);
	trend.gc_cycles = model_gc_cycles_since(
		model_target(context->model, container->target), trend.start_ns);
	*ret = trend;
	return true;
}

static bool is_unbounded(const struct rule_context *context, const struct container *container,
	const struct trend *trend)
{
	bool collected = advice_of(context->model, container)->collected;

	return trend->duration_ns >= threshold_ns(context, "seconds") &&
	       (!collected || trend->gc_cycles >= threshold_get(context, "gcs")) &&
	       trend->still_rising &&
	       pct(trend->up, trend->parts) >= threshold_get(context, "up_pct") &&
	       trend->last_rise > 0 && trend->first_rise > 0 &&
	       pct(trend->last_rise, trend->first_rise) >= threshold_get(context, "fade_pct");
}

static uint64_t time_to_limit(const struct target *target, double bytes_per_second)
{
	double headroom, ns;

	if (!target->has_limit || bytes_per_second < 1)
		return 0;
	headroom = (double)minus(target->limit_bytes, target->rss_bytes);
	ns = headroom / bytes_per_second * NSEC_PER_SEC;
	return ns < 1 ? 1 : ns > 1e18 ? 0 : (uint64_t)ns;
}

static void write_text(const struct model *model, const struct container *container,
	const struct trend *trend, double entries_per_second, struct finding *finding)
{
	const struct target *target = model_target(model, container->target);
	const struct event_look *look = &container->look;
	const struct advice *advice = advice_of(model, container);
	struct numbers n = {0};

	say(finding->message,
		"Gains %s entries/s net, about %s/s in its arrays, and does not slow down: %s "
		"entries "
		"now, holds %s%s%s.",
		number_count(&n, (uint64_t)(entries_per_second + 0.5)),
		number_bytes(&n, finding->bytes_per_second), number_count(&n, look->length),
		number_bytes(&n, look->held_bytes),
		look->load_limit ? "; doubles after entry " : "",
		look->load_limit ? number_count(&n, look->load_limit) : "");
	say(finding->since, "Rising %s (%s%s), in %u of %u parts of that time.%s%s%s",
		since_words(target, trend->start_ns), number_duration(&n, trend->duration_ns),
		number_gcs(&n, target, trend->gc_cycles), trend->up, trend->parts,
		finding->limit_ns ? " At this rate the memory limit is reached in " : "",
		finding->limit_ns ? number_duration(&n, finding->limit_ns) : "",
		finding->limit_ns ? "." : "");
	advice_say(finding->in_code, advice->bound, code_type_of(model, container),
		container->family, 0);
	say(finding->right_now, "%s", advice->reached);
}

static void write_evidence(const struct container *container, const struct trend *trend,
	double entries_per_second, double rss_slope, struct finding *finding)
{
	const struct event_look *look = &container->look;

	evidence_add(finding, "length", (double)look->length);
	evidence_add(finding, "length_first", (double)trend->length_first);
	evidence_add(finding, "entries_per_second", entries_per_second);
	evidence_add(finding, "bytes_per_second", (double)finding->bytes_per_second);
	evidence_add(finding, "rss_bytes_per_second", rss_slope);
	evidence_add(finding, "held_bytes", (double)look->held_bytes);
	evidence_add(finding, "slots_up", trend->up);
	evidence_add(finding, "slots", trend->parts);
	evidence_add(finding, "since_ns", (double)trend->duration_ns);
	evidence_add(finding, "gc_cycles", trend->gc_cycles);
	evidence_add_known(
		finding, "next_growth_length", look->load_limit != 0, (double)look->load_limit + 1);
	evidence_add_known(finding, "limit_ns", finding->limit_ns != 0, (double)finding->limit_ns);
}

static void evaluate_container(
	const struct rule_context *context, const struct container *container)
{
	const struct target *target = model_target(context->model, container->target);
	const struct event_look *look = &container->look;
	struct finding finding = finding_of_container(container, CLASS_GROWING);
	double entries_per_second, rss_slope;
	struct trend trend;

	if (look->held_bytes < threshold_bytes(context, "min_bytes") || !look->length ||
		!find_trend(context, container, &trend) ||
		!is_unbounded(context, container, &trend))
		return;
	entries_per_second = ((double)trend.length_last - (double)trend.length_first) /
			     ((double)trend.duration_ns / NSEC_PER_SEC);
	rss_slope = model_rss_slope(target, RSS_SLOPE_NS);
	finding.candidate = !model_container_alive_since(context->model, container, trend.start_ns);
	finding.normal = !past_start_up(context, target, container->look_ns);
	finding.bytes = look->held_bytes;
	finding.bytes_per_second =
		(uint64_t)(entries_per_second * (double)look->held_bytes / (double)look->length);
	/* What it gained is what a bound at its first length would save. */
	finding.saves_bytes =
		(uint64_t)((double)look->held_bytes *
			   (1 - (double)trend.length_first /
					   (double)MAX(look->length, trend.length_first)));
	finding.saves_rss_bytes = MIN(finding.saves_bytes,
		look->has_resident
			? minus(look->resident_bytes, look->held_bytes - finding.saves_bytes)
			: 0);
	finding.limit_ns = time_to_limit(target, fmax(rss_slope, (double)finding.bytes_per_second));
	write_evidence(container, &trend, entries_per_second, rss_slope, &finding);
	write_text(context->model, container, &trend, entries_per_second, &finding);
	context->emit(&finding, context->arg);
}

static void evaluate(const struct rule_context *context)
{
	for (uint32_t i = 0; i < model_container_count(context->model); i++) {
		const struct container *container = model_container(context->model, i);

		if (family_tells_length(container->family) && !container->dead &&
			container->looked && container->look.has_length)
			evaluate_container(context, container);
	}
}

const struct rule rule_unbounded_growth = {
	.kind = "unbounded-growth",
	.help = "a map that gains entries all the time and loses none",
	.thresholds =
		{
			{"seconds", UNIT_SECONDS, 60, "watched for at least"},
			{"gcs", UNIT_NONE, 3, "GC cycles completed meanwhile at least"},
			{"slots", UNIT_NONE, 12, "parts of its history at least, of which"},
			{"up_pct", UNIT_PCT, 90, "... so many must have risen"},
			{"fade_pct", UNIT_PCT, 50,
				"the last third must rise by this part of the first"},
			{"min_bytes", UNIT_BYTES, 1 << 20, "holds at least"},
			{"startup_seconds", UNIT_SECONDS, 60,
				"start-up ends at this age at the latest"},
		},
	.exclusive = EXCLUSIVE_CONTAINER,
	.evaluate = evaluate,
};
