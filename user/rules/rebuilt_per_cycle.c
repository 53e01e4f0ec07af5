/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rebuilt-per-cycle: one site that makes a new large container again and again, each of about the size
 * of the last one, which becomes garbage with all arrays that it grew through. Past start-up only: there,
 * filling several is normal.
 *
 * Containers that are all still in use are no cycle, so the earlier ones must be known to be dead; those
 * of whose death there is no proof yet make a candidate.
 *
 * Evidence: containers, size_bytes, growth_garbage_bytes, dropped_bytes, garbage_per_cycle_bytes, cycle_ns,
 * hint.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "rules/support.h"

struct cycle {
	uint32_t count; /* containers, one after the other; the last may be in use */
	uint32_t ended; /* of them known to be dead */
	uint64_t first_ns, last_ns, newest_first_ns;
	uint64_t min_bytes, max_bytes, garbage_bytes, size_bytes;
};

static const struct generation *generation_of(const struct site *site, uint64_t i)
{
	return &site->generations[i % MODEL_GENERATIONS];
}

static const struct container *newest_of(const struct model *model, const struct site *site)
{
	const struct container *container = model_container(model, site->newest);

	return container && container->serial == site->newest_serial ? container : NULL;
}

/*
 * What was left when it had grown: held bytes, seen at a growth, still have the old array in them, which is
 * in the garbage already.
 */
static uint64_t size_of(const struct generation *generation)
{
	uint64_t grown = minus(generation->allocated_bytes, generation->garbage_bytes);

	return grown ? grown : generation->peak_held_bytes;
}

/* The one that grows now, as if it had ended now. */
static bool newest_generation(
	const struct model *model, const struct site *site, struct generation *ret)
{
	const struct container *container = newest_of(model, site);

	if (!container || container->sites[0].site != site->id)
		return false;
	*ret = (struct generation){container->first_ns, container->grown_ns, container->key,
		container->held_peak_bytes, container->allocated_bytes, container->garbage_bytes,
		container->serial, container->dead};
	return true;
}

/*
 * Is it known to be in use although the next one has begun? Only containers still in the model can be;
 * they are found by address, and the serial says whether it is the same one.
 */
static bool still_used(
	const struct model *model, const struct site *site, const struct generation *generation)
{
	const struct container *container =
		model_find_container(model, site->target, site->family, generation->key);

	return !generation->ended && container && container->serial == generation->serial &&
	       model_container_alive_since(model, container,
		       MAX(container->grown_ns, generation->last_ns) + NSEC_PER_MSEC);
}

/* Walking back in time: does this one belong before those already counted? */
static bool continues(const struct rule_context *context, const struct cycle *cycle,
	const struct generation *generation)
{
	double factor = threshold_get(context, "factor");
	uint64_t min = MIN(cycle->min_bytes, size_of(generation));
	uint64_t max = MAX(cycle->max_bytes, size_of(generation));

	if (!generation->serial || size_of(generation) < threshold_bytes(context, "min_bytes"))
		return false;
	return !cycle->count ||
	       ((double)max <= (double)min * factor && generation->last_ns <= cycle->first_ns);
}

static void add(struct cycle *cycle, const struct generation *generation)
{
	if (!cycle->count) {
		cycle->min_bytes = UINT64_MAX;
		cycle->last_ns = generation->last_ns;
		cycle->newest_first_ns = generation->first_ns;
	}
	cycle->count++;
	cycle->ended += generation->ended;
	cycle->first_ns = generation->first_ns;
	cycle->min_bytes = MIN(cycle->min_bytes, size_of(generation));
	cycle->max_bytes = MAX(cycle->max_bytes, size_of(generation));
	cycle->garbage_bytes += generation->garbage_bytes;
	cycle->size_bytes += size_of(generation);
}

static struct cycle find_cycle(const struct rule_context *context, const struct site *site)
{
	const struct target *target = model_target(context->model, site->target);
	uint64_t kept = MIN(site->generation_count, (uint64_t)MODEL_GENERATIONS);
	struct cycle cycle = {.min_bytes = UINT64_MAX};
	struct generation newest;

	/* One that has just begun is small yet and says nothing. */
	if (newest_generation(context->model, site, &newest) && continues(context, &cycle, &newest))
		add(&cycle, &newest);
	for (uint64_t i = 0; i < kept; i++) {
		const struct generation *generation =
			generation_of(site, site->generation_count - 1 - i);

		if (!continues(context, &cycle, generation) ||
			!past_start_up(context, target, generation->first_ns) ||
			still_used(context->model, site, generation))
			break;
		add(&cycle, generation);
	}
	return cycle;
}

static void write_text(const struct model *model, const struct site *site,
	const struct cycle *cycle, uint64_t hint, uint64_t cycle_ns, struct finding *finding)
{
	const struct target *target = model_target(model, site->target);
	const struct advice *advice = advice_for(model, site->target, site->runtime, site->family);
	const char *type = code_type(model, site->type, site->family);
	const char *reuse =
		site->family == FAMILY_BUFFER  ? "keep one bytes.Buffer and empty it with Reset()"
		: site->family == FAMILY_SLICE ? "keep it and start again with s[:0]"
		: version_minor(target) >= 21  ? "keep it and empty it with clear(m)"
					       : "keep it and delete all keys in a range loop";
	struct numbers n = {0};

	say(finding->message,
		"Made anew %u times in a row, %s each time, about every %s: %s of garbage per "
		"cycle (%s "
		"from growing, the rest is the old one).",
		cycle->count, number_bytes(&n, cycle->size_bytes / cycle->count),
		number_duration(&n, cycle_ns), number_bytes(&n, finding->saves_bytes),
		number_bytes(&n, cycle->garbage_bytes / cycle->count));
	if (!advice->collected)
		advice_say(finding->in_code, advice->reuse, model_string(model, site->type),
			site->family, hint);
	else if (site->family == FAMILY_BUFFER)
		say(finding->in_code, "%s, or Grow(%llu). Kept, it keeps its largest size.", reuse,
			(unsigned long long)hint);
	else if (site->family == FAMILY_SLICE)
		say(finding->in_code,
			"%s, or make(%.100s, 0, %llu). Kept, it keeps its largest size.", reuse,
			type, (unsigned long long)hint);
	else
		say(finding->in_code, "%s, or make(%.100s, %llu). Kept, it keeps its largest size.",
			reuse, type, (unsigned long long)hint);
	say(finding->right_now, "%s",
		advice->collected ? "nothing: it is garbage, normal until the next GC."
				  : advice->replaced);
}

static void emit(
	const struct rule_context *context, const struct site *site, const struct cycle *cycle)
{
	const struct container *newest = newest_of(context->model, site);
	uint64_t hint = newest ? MAX(hint_for(newest), site->length_max) : site->length_max;
	uint64_t cycle_ns = minus(cycle->newest_first_ns, cycle->first_ns) / (cycle->count - 1);
	uint64_t size = cycle->size_bytes / cycle->count,
		 grown = cycle->garbage_bytes / cycle->count;
	struct finding finding = finding_of_site(site, CLASS_CHURN);

	/* Only its authors can keep it, or nobody. */
	finding.normal =
		site->library ||
		advice_for(context->model, site->target, site->runtime, site->family)->no_reserve;
	finding.candidate = cycle->ended + 1 < threshold_get(context, "containers");
	finding.saves_bytes = (cycle->garbage_bytes + cycle->size_bytes) / cycle->count;
	finding.bytes = cycle->garbage_bytes + cycle->size_bytes;
	finding.bytes_per_second =
		cycle_ns ? (uint64_t)((double)finding.saves_bytes * NSEC_PER_SEC / (double)cycle_ns)
			 : 0;
	evidence_add(&finding, "containers", cycle->count);
	evidence_add(&finding, "size_bytes", (double)size);
	evidence_add(&finding, "growth_garbage_bytes", (double)grown);
	evidence_add(&finding, "dropped_bytes", (double)size);
	evidence_add(&finding, "garbage_per_cycle_bytes", (double)finding.saves_bytes);
	evidence_add(&finding, "cycle_ns", (double)cycle_ns);
	evidence_add_known(&finding, "hint", hint != 0, (double)hint);
	write_text(context->model, site, cycle, hint, cycle_ns, &finding);
	context->emit(&finding, context->arg);
}

static void evaluate(const struct rule_context *context)
{
	uint32_t wanted = MAX((uint32_t)threshold_get(context, "containers"), 2u);

	for (uint32_t i = 1; i <= model_site_count(context->model); i++) {
		const struct site *site = model_site(context->model, i);
		struct cycle cycle;

		if (site->generation_count + 1 < wanted || site->other)
			continue;
		cycle = find_cycle(context, site);
		if (cycle.count >= wanted)
			emit(context, site, &cycle);
	}
}

const struct rule rule_rebuilt_per_cycle = {
	.kind = "rebuilt-per-cycle",
	.help = "a site that makes a large container anew again and again",
	.thresholds =
		{
			{"containers", UNIT_NONE, 3, "so many, one after the other"},
			{"min_bytes", UNIT_BYTES, 1 << 20, "each holds at least"},
			{"factor", UNIT_NONE, 2,
				"the largest is at most so many times the smallest"},
			{"startup_seconds", UNIT_SECONDS, 60,
				"start-up ends at this age at the latest"},
		},
	.exclusive = EXCLUSIVE_SITE,
	.evaluate = evaluate,
};
