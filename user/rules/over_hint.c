/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * over-hint: a map made for far more entries than it ever had. It is compared with what the runtime
 * itself would allocate for the highest length seen (need), never with slots: a perfect hint may look half
 * empty (53,249 entries in 131,072 slots), because sizes are powers of two.
 *
 * Evidence: length, length_peak, slots, hint, held_bytes, resident_bytes, need_bytes, waste_bytes,
 * waste_pct, since_ns.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "rules/support.h"

static bool never_grew(const struct container *container)
{
	return !container->growths && !container->same_size &&
	       container->capacity_changed_ns == container->first_look_ns;
}

/*
 * Was it there when we came to a process that had run before? Then it may have been fuller once, and one
 * that is nearly empty is a matter of retained-buckets.
 */
static bool has_past(const struct target *target, const struct container *container)
{
	return container->before_attach && target->age_ns >= NSEC_PER_SEC;
}

static bool may_have_been_full(
	const struct rule_context *context, const struct container *container)
{
	return has_past(model_target(context->model, container->target), container) &&
	       pct((double)container->length_peak, (double)container->look.load_limit) <
		       threshold_get(context, "min_load_pct");
}

static void advise(const struct model *model, const struct target *target,
	const struct container *container, struct finding *finding)
{
	const struct advice *advice = advice_of(model, container);

	if (advice->collected)
		say(finding->in_code,
			"make(%.120s, %llu): a hint counts entries, the runtime adds the room that "
			"they need.%s",
			code_type_of(model, container), (unsigned long long)container->length_peak,
			has_past(target, container)
				? " If it was fuller once: copy it into a new one."
				: "");
	else
		advice_say(finding->in_code, advice->reserve, code_type_of(model, container),
			container->family, container->length_peak);
}

static void write_text(
	const struct model *model, const struct container *container, struct finding *finding)
{
	const struct target *target = model_target(model, container->target);
	const struct event_look *look = &container->look;
	struct numbers n = {0};

	say(finding->message,
		"%s: at most %s entries seen in %s slots; holds %s, %s would do (%s of it is "
		"waste).",
		has_past(target, container) ? "More room than it needs"
					    : "Made for more than it ever had",
		number_count(&n, container->length_peak), number_count(&n, look->capacity),
		number_bytes(&n, look->held_bytes), number_bytes(&n, look->need_peak_bytes),
		number_pct(&n, (double)finding->saves_bytes, (double)look->held_bytes));
	say(finding->since, "Never grew, never fuller %s (%s).",
		since_words(target, container->first_look_ns),
		number_duration(&n, minus(container->look_ns, container->first_look_ns)));
	advise(model, target, container, finding);
	if (look->has_resident && !look->resident_bytes)
		say(finding->right_now,
			"nothing to gain: 0 of RSS, none of its pages are resident.");
	else
		say(finding->right_now,
			"nothing but a restart: a %s keeps the size it was made with.",
			family_name(container->family));
}

static void write_evidence(
	const struct container *container, uint64_t stable_ns, struct finding *finding)
{
	const struct event_look *look = &container->look;

	evidence_add(finding, "length", (double)look->length);
	evidence_add(finding, "length_peak", (double)container->length_peak);
	evidence_add(finding, "slots", (double)look->capacity);
	evidence_add_known(finding, "hint", container->created_capacity != 0,
		(double)container->created_capacity);
	evidence_add(finding, "held_bytes", (double)look->held_bytes);
	evidence_add_known(
		finding, "resident_bytes", look->has_resident, (double)look->resident_bytes);
	evidence_add(finding, "need_bytes", (double)look->need_peak_bytes);
	evidence_add(finding, "waste_bytes", (double)finding->saves_bytes);
	evidence_add(
		finding, "waste_pct", pct((double)finding->saves_bytes, (double)look->held_bytes));
	evidence_add(finding, "since_ns", (double)stable_ns);
}

static void evaluate_container(
	const struct rule_context *context, const struct container *container)
{
	const struct event_look *look = &container->look;
	uint64_t waste = minus(look->held_bytes, look->need_peak_bytes);
	uint64_t stable_ns = minus(container->look_ns, container->peak_ns);
	struct finding finding = finding_of_container(container, CLASS_HELD);

	if (!look->need_peak_bytes || look->old_bytes || !never_grew(container) ||
		waste < threshold_bytes(context, "min_bytes") ||
		pct((double)waste, (double)look->held_bytes) < threshold_get(context, "min_pct") ||
		stable_ns < threshold_ns(context, "seconds") ||
		may_have_been_full(context, container))
		return;
	finding.candidate =
		!model_container_alive_since(context->model, container, container->peak_ns);
	finding.bytes = look->held_bytes;
	finding.saves_bytes = waste;
	finding.saves_rss_bytes =
		look->has_resident ? minus(look->resident_bytes, look->need_peak_bytes) : 0;
	write_evidence(container, stable_ns, &finding);
	write_text(context->model, container, &finding);
	context->emit(&finding, context->arg);
}

static void evaluate(const struct rule_context *context)
{
	for (uint32_t i = 0; i < model_container_count(context->model); i++) {
		const struct container *container = model_container(context->model, i);

		if (container->family == FAMILY_MAP && !container->dead && container->looked &&
			container->look.has_length)
			evaluate_container(context, container);
	}
}

const struct rule rule_over_hint = {
	.kind = "over-hint",
	.help = "a map made for more entries than it ever had",
	.thresholds =
		{
			{"seconds", UNIT_SECONDS, 10, "not fuller than before for so long"},
			{"min_bytes", UNIT_BYTES, 1 << 20, "wastes at least, and"},
			{"min_pct", UNIT_PCT, 40, "... at least this part of what it holds"},
			{"min_load_pct", UNIT_PCT, 25,
				"if older than the session: highest length, of the load limit"},
		},
	.exclusive = EXCLUSIVE_CONTAINER,
	.evaluate = evaluate,
};
