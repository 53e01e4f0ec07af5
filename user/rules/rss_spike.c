/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rss-spike: a step of RSS that matters: past start-up, to a height not seen in ten minutes, and either
 * a good part of it could be avoided (arrays that growth replaced) or there is hardly room for the next.
 * All other steps are in the model's spikes[] and are no finding, nor are those that a container of
 * unbounded growth makes. Steps of one place are one finding, about the largest.
 *
 * Evidence: delta_bytes, before_bytes, after_bytes, duration_ns, explained_bytes, unexplained_bytes,
 * avoidable_bytes, cause_bytes, headroom_bytes, next_length, next_ns; steps, period_ns and next_step_ns of
 * steps with the same leading cause; repeats where several of them were findings.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rules/support.h"

struct step {
	const struct spike *spike;
	uint64_t delta_bytes, headroom_bytes;
	bool has_headroom, tight;
	const struct site *cause;
	uint64_t next_length,
		next_ns; /* the next doubling of the container that set it off; 0 = unknown */
	struct spike_series series;
	uint64_t next_step_ns; /* the next of the series, from now on; 0 = unknown */
};

static bool is_new_height(
	const struct rule_context *context, const struct target *target, const struct spike *spike)
{
	uint64_t from_ns = minus(spike->start_ns, threshold_ns(context, "seconds"));

	return spike->after_bytes > model_rss_max(target, from_ns, spike->start_ns);
}

/* When the container that grew last at the place will double next, at the speed that it was seen filling. */
static void predict(const struct model *model, struct step *step)
{
	const struct container *container =
		step->cause ? model_container(model, step->cause->newest) : NULL;
	const struct length_slot *first;
	double per_second;

	if (!container || container->serial != step->cause->newest_serial || container->dead ||
		!container->look.load_limit || !container->slot_count)
		return;
	step->next_length = container->look.load_limit + 1;
	first = &container->slots[0];
	if (container->look.length <= first->min || container->look_ns <= first->start_ns)
		return;
	per_second = (double)(container->look.length - first->min) * NSEC_PER_SEC /
		     (double)(container->look_ns - first->start_ns);
	step->next_ns = (uint64_t)((double)minus(step->next_length, container->look.length) /
				   per_second * NSEC_PER_SEC);
}

static struct step look_at(
	const struct rule_context *context, const struct target *target, const struct spike *spike)
{
	struct step step = {
		.spike = spike, .delta_bytes = spike->after_bytes - spike->before_bytes};

	if (target->has_limit && target->limit_bytes) {
		step.has_headroom = true;
		step.headroom_bytes = minus(target->limit_bytes, spike->after_bytes);
		step.tight = pct((double)step.headroom_bytes, (double)target->limit_bytes) <
			     threshold_get(context, "headroom_pct");
	}
	step.cause = spike->cause_count ? model_site(context->model, spike->causes[0].site) : NULL;
	predict(context->model, &step);
	step.series = model_spike_series(target, spike);
	step.next_step_ns = model_series_next(&step.series, context->now_ns);
	return step;
}

static void write_evidence(const struct step *step, struct finding *finding)
{
	const struct spike *spike = step->spike;

	evidence_add(finding, "delta_bytes", (double)step->delta_bytes);
	evidence_add(finding, "before_bytes", (double)spike->before_bytes);
	evidence_add(finding, "after_bytes", (double)spike->after_bytes);
	evidence_add(finding, "duration_ns", (double)minus(spike->end_ns, spike->start_ns));
	evidence_add(finding, "explained_bytes", (double)spike->explained_bytes);
	evidence_add(finding, "unexplained_bytes",
		(double)minus(step->delta_bytes, spike->explained_bytes));
	evidence_add(finding, "avoidable_bytes", (double)spike->avoidable_bytes);
	evidence_add_known(finding, "cause_bytes", spike->cause_count != 0,
		spike->cause_count ? (double)spike->causes[0].bytes : 0);
	evidence_add_known(
		finding, "headroom_bytes", step->has_headroom, (double)step->headroom_bytes);
	evidence_add_known(
		finding, "next_length", step->next_length != 0, (double)step->next_length);
	evidence_add_known(finding, "next_ns", step->next_ns != 0, (double)step->next_ns);
	evidence_add(finding, "steps", (double)MAX(step->series.count, (size_t)1));
	evidence_add_known(
		finding, "period_ns", step->series.period_ns != 0, (double)step->series.period_ns);
	evidence_add_known(
		finding, "next_step_ns", step->next_step_ns != 0, (double)step->next_step_ns);
}

static void write_text(const struct model *model, const struct target *target,
	const struct step *step, struct finding *finding)
{
	bool collected = advice_for(model, target->id, 0, FAMILY_NONE)->collected;
	const struct spike *spike = step->spike;
	char again[FINDING_TEXT_BYTES] = "";
	struct numbers n = {0};

	if (step->series.period_ns)
		say(again, " Such steps come every %s, %s so far%s%s.",
			number_duration(&n, step->series.period_ns),
			number_count(&n, step->series.count),
			step->next_step_ns ? "; the next one in about " : "",
			step->next_step_ns ? number_duration(&n, step->next_step_ns) : "");
	n = (struct numbers){0};
	say(finding->message,
		"RSS rose by %s to %s within %s; %s explained, %s could be avoided, %s not "
		"explained.%s",
		number_bytes(&n, step->delta_bytes), number_bytes(&n, spike->after_bytes),
		number_duration(&n, minus(spike->end_ns, spike->start_ns)),
		number_bytes(&n, spike->explained_bytes), number_bytes(&n, spike->avoidable_bytes),
		number_bytes(&n, minus(step->delta_bytes, spike->explained_bytes)), again);
	if (step->has_headroom)
		say(finding->since, "%s of the limit were left%s%s%s.",
			number_bytes(&n, step->headroom_bytes),
			step->next_length ? "; the next one comes at entry " : "",
			step->next_length ? number_count(&n, step->next_length) : "",
			step->next_ns ? " if it goes on filling" : "");
	else if (step->next_length)
		say(finding->since, "The next one comes at entry %s%s%s.",
			number_count(&n, step->next_length),
			step->next_ns ? ", at this speed in " : "",
			step->next_ns ? number_duration(&n, step->next_ns) : "");
	if (spike->avoidable_bytes && step->cause)
		say(finding->in_code,
			collected ? "a size hint in make() at that place avoids the arrays that "
				    "were grown through."
				  : "room reserved beforehand at that place avoids the arrays "
				    "that were grown through.");
	else
		say(finding->in_code,
			"make less at once at that place, or leave room for it in the limit.");
	if (!collected)
		say(finding->right_now,
			"nothing: what malloc keeps is used again before RSS rises.");
	else
		say(finding->right_now,
			target->has_limit && step->tight
				? "a higher memory limit, or GOMEMLIMIT below it: the GC then "
				  "works harder "
				  "near it."
				: "nothing: what became garbage is normal until the next GC.");
}

static void evaluate_spike(
	const struct rule_context *context, const struct target *target, const struct spike *spike)
{
	struct step step = look_at(context, target, spike);
	bool avoidable = pct((double)spike->avoidable_bytes, (double)step.delta_bytes) >=
			 threshold_get(context, "avoidable_pct");
	struct finding finding = {
		.class = CLASS_ONE_TIME,
		.target = target->id,
		.site = step.cause ? step.cause->id : 0,
		.container = -1,
		.counts_growths = true,
		.bytes = step.delta_bytes,
		.saves_bytes = spike->avoidable_bytes,
	};

	if (!past_start_up(context, target, spike->start_ns) ||
		!is_new_height(context, target, spike) || (!avoidable && !step.tight))
		return;
	write_evidence(&step, &finding);
	write_text(context->model, target, &step, &finding);
	context->emit(&finding, context->arg);
}

static void evaluate(const struct rule_context *context)
{
	for (uint32_t i = 0; i < model_target_count(context->model); i++) {
		const struct target *target = model_target(context->model, i);

		for (size_t j = 0; j < target->spike_count; j++)
			evaluate_spike(context, target, &target->spikes[j]);
	}
}

const struct rule rule_rss_spike = {
	.kind = "rss-spike",
	.help = "a step of RSS to a new height that could be avoided or comes near the limit",
	.thresholds =
		{
			{"seconds", UNIT_SECONDS, 600, "higher than in so long before"},
			{"avoidable_pct", UNIT_PCT, 25, "this part of it could be avoided, or"},
			{"headroom_pct", UNIT_PCT, 10,
				"... less than this part of the limit is left"},
			{"startup_seconds", UNIT_SECONDS, 60,
				"start-up ends at this age at the latest"},
		},
	.exclusive = EXCLUSIVE_NOTHING,
	.yields_to = "unbounded-growth",
	.evaluate = evaluate,
};
