/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oversized-channel: a channel whose ring is resident and was never nearly full. The ring is as large as
 * make() asked for; every slot that was used once stays resident as long as the channel is reachable.
 *
 * Evidence: capacity, highest, looks, ring_bytes, resident_bytes, enough_capacity, saved_bytes.
 */
#include "base/mem.h"
#include "rules/support.h"

/* Twice the highest seen, as a power of two. */
static uint64_t enough_for(uint64_t highest)
{
	uint64_t capacity = 1;

	while (capacity < highest * 2 && capacity < (uint64_t)1 << 62)
		capacity *= 2;
	return capacity;
}

static void write_text(const struct model *model, const struct container *container,
	uint64_t enough, struct finding *finding)
{
	const struct event_look *look = &container->look;
	struct numbers n = {0};

	say(finding->message,
		"Room for %s messages, never more than %s waiting in %s looks; the ring holds %s, "
		"%s "
		"resident.",
		number_count(&n, look->capacity), number_count(&n, container->length_peak),
		number_count(&n, container->looks_known), number_bytes(&n, look->held_bytes),
		number_bytes(&n, look->resident_bytes));
	say(finding->since, "Watched for %s.",
		number_duration(&n, minus(container->look_ns, container->first_look_ns)));
	say(finding->in_code,
		"make(%.120s, %llu) holds twice the highest seen; a longer burst makes senders "
		"wait.",
		code_type(model, container->type, FAMILY_CHANNEL), (unsigned long long)enough);
	say(finding->right_now,
		"nothing but a restart: the ring stays while the channel is reachable; draining it "
		"changes nothing.");
}

static void evaluate_container(
	const struct rule_context *context, const struct container *container)
{
	const struct event_look *look = &container->look;
	uint64_t enough = enough_for(container->length_peak), enough_bytes;
	struct finding finding = finding_of_container(container, CLASS_HELD);

	if (!look->has_resident || look->resident_bytes < threshold_bytes(context, "min_bytes") ||
		!look->capacity || container->looks_known < threshold_get(context, "looks") ||
		pct((double)container->length_peak, (double)look->capacity) >
			threshold_get(context, "max_pct"))
		return;
	enough_bytes = (uint64_t)((double)look->held_bytes * (double)MIN(enough, look->capacity) /
				  (double)look->capacity);
	finding.candidate =
		!model_container_alive_since(context->model, container, container->first_look_ns);
	finding.bytes = look->held_bytes;
	finding.saves_bytes = minus(look->held_bytes, enough_bytes);
	finding.saves_rss_bytes = minus(look->resident_bytes, enough_bytes);
	evidence_add(&finding, "capacity", (double)look->capacity);
	evidence_add(&finding, "highest", (double)container->length_peak);
	evidence_add(&finding, "looks", (double)container->looks_known);
	evidence_add(&finding, "ring_bytes", (double)look->held_bytes);
	evidence_add(&finding, "resident_bytes", (double)look->resident_bytes);
	evidence_add(&finding, "enough_capacity", (double)enough);
	evidence_add(&finding, "saved_bytes", (double)finding.saves_bytes);
	write_text(context->model, container, enough, &finding);
	context->emit(&finding, context->arg);
}

static void evaluate(const struct rule_context *context)
{
	for (uint32_t i = 0; i < model_container_count(context->model); i++) {
		const struct container *container = model_container(context->model, i);

		if (container->family == FAMILY_CHANNEL && !container->dead && container->looked)
			evaluate_container(context, container);
	}
}

const struct rule rule_oversized_channel = {
	.kind = "oversized-channel",
	.help = "a channel with a large resident ring that was never nearly full",
	.thresholds =
		{
			{"looks", UNIT_NONE, 300, "looked at so often at least"},
			{"max_pct", UNIT_PCT, 10, "highest seen at most this part of the capacity"},
			{"min_bytes", UNIT_BYTES, 1 << 20, "resident at least"},
		},
	.exclusive = EXCLUSIVE_CONTAINER,
	.evaluate = evaluate,
};
