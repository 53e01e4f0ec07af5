/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pinned-array: many large arrays of one size that stay alive and belong to no container we know. A slice
 * of a few bytes keeps the whole array it was cut from; from outside, that looks the same as an array in
 * full use. So this asks, with both numbers, and accuses nobody: always INFO.
 *
 * Evidence: arrays, array_bytes, live_bytes, resident_bytes, since_ns.
 */
#include "base/mem.h"
#include "rules/support.h"

static void write_text(const struct model *model, const struct arrays *arrays, uint64_t live_bytes,
	struct finding *finding)
{
	const char *type = model_string(model, arrays->now.type);
	const char *unknown = arrays->now.has_pointers ? "pointers and what they come with"
						       : "bytes, without pointers";
	struct numbers n = {0};

	say(finding->message, "%s arrays of %s each (%.100s) are alive: %s, %s of it resident.",
		number_count(&n, arrays->now.count), number_bytes(&n, arrays->now.array_bytes),
		type[0] ? type : unknown, number_bytes(&n, live_bytes),
		number_bytes(&n, arrays->now.resident_bytes));
	if (arrays->last_ns > arrays->first_ns)
		say(finding->since, "Never fewer than %s for %s.",
			number_count(&n, arrays->least_count),
			number_duration(&n, arrays->last_ns - arrays->first_ns));
	say(finding->in_code,
		"where only a small part of each is still needed, keep a copy of that part "
		"(bytes.Clone, append([]T(nil), part...)): a slice keeps the whole array.");
	say(finding->right_now,
		"nothing: how much of them is still in use cannot be seen from outside.");
}

static void evaluate_arrays(const struct rule_context *context, const struct target *target,
	const struct arrays *arrays)
{
	uint64_t live_bytes = arrays->now.count * arrays->now.array_bytes;
	struct finding finding = {
		.class = CLASS_HELD,
		.normal = true,
		.target = target->id,
		.site = arrays->now.site,
		.container = -1,
		.bytes = live_bytes,
	};

	if (arrays->last_ns != target->arrays_ns ||
		arrays->now.array_bytes < threshold_bytes(context, "array_bytes") ||
		arrays->least_count < threshold_get(context, "count") ||
		live_bytes < threshold_bytes(context, "min_bytes") ||
		pct((double)live_bytes, (double)MAX(target->rss_bytes, target->heap.live_bytes)) <
			threshold_get(context, "min_pct"))
		return;
	evidence_add(&finding, "arrays", (double)arrays->now.count);
	evidence_add(&finding, "array_bytes", (double)arrays->now.array_bytes);
	evidence_add(&finding, "live_bytes", (double)live_bytes);
	evidence_add(&finding, "resident_bytes", (double)arrays->now.resident_bytes);
	evidence_add(&finding, "since_ns", (double)(arrays->last_ns - arrays->first_ns));
	write_text(context->model, arrays, live_bytes, &finding);
	context->emit(&finding, context->arg);
}

static void evaluate(const struct rule_context *context)
{
	for (uint32_t i = 0; i < model_target_count(context->model); i++) {
		const struct target *target = model_target(context->model, i);

		for (size_t j = 0; j < target->array_count; j++)
			evaluate_arrays(context, target, &target->arrays[j]);
	}
}

const struct rule rule_pinned_array = {
	.kind = "pinned-array",
	.help = "a question: many large arrays stay alive, perhaps for a small part of each",
	.thresholds =
		{
			{"count", UNIT_NONE, 100, "so many of one size and type at least"},
			{"array_bytes", UNIT_BYTES, 4 << 10, "each of them at least"},
			{"min_bytes", UNIT_BYTES, 4 << 20, "together at least"},
			{"min_pct", UNIT_PCT, 10,
				"together at least this part of RSS and of the live heap"},
		},
	.exclusive = EXCLUSIVE_NOTHING,
	.evaluate = evaluate,
};
