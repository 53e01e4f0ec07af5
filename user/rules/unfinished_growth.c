/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unfinished-growth: a classic Go map (go1.23 and older) or a dict of Redis that stopped being written half
 * way through a growth. Only writes move entries out of the old array (runtime/map.go, growWork; dict.c,
 * dictRehash); until the last one has moved, both arrays are held. Swiss maps have no old array.
 *
 * Evidence: length, slots, held_bytes, old_bytes, old_resident_bytes, new_bytes, since_ns.
 */
#include "base/mem.h"
#include "rules/support.h"

static void write_text(
	const struct model *model, const struct container *container, struct finding *finding)
{
	const struct event_look *look = &container->look;
	const struct advice *advice = advice_of(model, container);
	struct numbers n = {0};

	say(finding->message,
		"Growth has stopped half way: the old array (%s) is held next to the new one (%s). "
		"%s",
		number_bytes(&n, look->old_bytes),
		number_bytes(&n, minus(look->held_bytes, look->old_bytes)), advice->moves);
	say(finding->since, "No write for %s.",
		number_duration(&n, minus(container->look_ns, container->written_ns)));
	advice_say(finding->in_code, advice->finish, code_type_of(model, container),
		container->family, 0);
	if (look->has_resident && !look->old_resident_bytes)
		say(finding->right_now,
			"nothing to gain: 0 of RSS, the old array is not resident.");
	else
		say(finding->right_now, "%s", advice->ends);
}

static void write_evidence(const struct container *container, struct finding *finding)
{
	const struct event_look *look = &container->look;

	evidence_add_known(finding, "length", look->has_length, (double)look->length);
	evidence_add(finding, "slots", (double)look->capacity);
	evidence_add(finding, "held_bytes", (double)look->held_bytes);
	evidence_add(finding, "old_bytes", (double)look->old_bytes);
	evidence_add_known(finding, "old_resident_bytes", look->has_resident,
		(double)look->old_resident_bytes);
	evidence_add(finding, "new_bytes", (double)minus(look->held_bytes, look->old_bytes));
	evidence_add(finding, "since_ns", (double)minus(container->look_ns, container->written_ns));
}

static void evaluate_container(
	const struct rule_context *context, const struct container *container)
{
	const struct event_look *look = &container->look;
	uint64_t still_since_ns = MAX(container->written_ns, container->grown_ns);
	struct finding finding = finding_of_container(container, CLASS_HELD);

	if (look->old_bytes < threshold_bytes(context, "min_bytes") || !look->old_bytes ||
		minus(container->look_ns, still_since_ns) < threshold_ns(context, "seconds"))
		return;
	finding.candidate = !model_container_alive_since(context->model, container, still_since_ns);
	finding.bytes = look->held_bytes;
	finding.saves_bytes = look->old_bytes;
	finding.saves_rss_bytes = look->has_resident ? look->old_resident_bytes : 0;
	write_evidence(container, &finding);
	write_text(context->model, container, &finding);
	context->emit(&finding, context->arg);
}

static void evaluate(const struct rule_context *context)
{
	for (uint32_t i = 0; i < model_container_count(context->model); i++) {
		const struct container *container = model_container(context->model, i);

		if (container->family == FAMILY_MAP && !container->dead && container->looked)
			evaluate_container(context, container);
	}
}

const struct rule rule_unfinished_growth = {
	.kind = "unfinished-growth",
	.help = "a map that stopped half way through a growth and holds both arrays",
	.thresholds =
		{
			{"seconds", UNIT_SECONDS, 30, "no write for so long"},
			{"min_bytes", UNIT_BYTES, 1 << 20, "the old array holds at least"},
		},
	.exclusive = EXCLUSIVE_CONTAINER,
	.evaluate = evaluate,
};
