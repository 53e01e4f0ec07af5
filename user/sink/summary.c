/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Figures that follow from the model. The waterfall puts RSS into parts that a person can act on;
 * what the parts do not cover is a rest of its own, never spread over them.
 */
#include "sink/summary.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define CPU_KNOWN_NS (100 * NSEC_PER_MSEC)

bool summary_gates(const struct finding *finding)
{
	return !finding->candidate && finding->severity > SEVERITY_INFO;
}

uint64_t summary_gives_back(const struct finding *finding)
{
	return finding->class == CLASS_CHURN ? 0 : finding->saves_rss_bytes;
}

static uint64_t kept_by_findings(const struct report *report, uint32_t target)
{
	uint64_t kept = 0;

	for (size_t i = 0; i < report->finding_count; i++) {
		const struct finding *finding = &report->findings[i];

		if (finding->target == target && summary_gates(finding))
			kept += summary_gives_back(finding);
	}
	return kept;
}

static uint64_t kept_stacks(const struct report *report, uint32_t target)
{
	uint64_t kept = 0;

	for (size_t i = 0; i < report->finding_count; i++) {
		const struct finding *finding = &report->findings[i];

		if (finding->target == target && summary_gates(finding))
			kept += finding->saves_stack_bytes;
	}
	return kept;
}

static uint64_t at_least_zero(uint64_t from, uint64_t taken)
{
	return from > taken ? from - taken : 0;
}

/*
 * Heap that was allocated but never touched, as far as it was looked at: a made but empty map or
 * channel is no part of RSS.
 */
static uint64_t absent_bytes(const struct model *model, uint32_t target)
{
	uint64_t absent = 0;

	for (size_t i = 0; i < model_container_count(model); i++) {
		const struct container *container = model_container(model, (uint32_t)i);
		const struct event_look *look = &container->look;

		if (container->target == target && !container->dead && container->looked &&
			look->has_resident)
			absent += at_least_zero(look->held_bytes, look->resident_bytes);
	}
	return absent;
}

/*
 * The heap's own counters say what is allocated, not what is resident. Where they pass RSS, the part
 * that is missing most likely was taken for allocations still to come, then allocated and not yet
 * used; what pagemap or the kernel has counted stays as it is.
 */
static void take_excess(struct waterfall *waterfall, uint64_t excess)
{
	static const enum waterfall_part order[] = {WATERFALL_FREE_HEAP, WATERFALL_OTHER_LIVE,
		WATERFALL_GARBAGE, WATERFALL_RUNTIME, WATERFALL_STACKS};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		uint64_t taken = MIN(excess, waterfall->bytes[order[i]]);

		waterfall->bytes[order[i]] -= taken;
		excess -= taken;
	}
}

bool summary_waterfall(
	const struct report *report, const struct target *target, struct waterfall *ret)
{
	const struct event_heap *heap = &target->heap;
	uint64_t kept = kept_by_findings(report, target->id);
	uint64_t stacks = kept_stacks(report, target->id);
	uint64_t live = at_least_zero(kept, stacks) + absent_bytes(report->model, target->id);
	uint64_t sum = 0;

	if (!target->has_heap || !target->rss_bytes)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->rss_bytes = target->rss_bytes;
	ret->bytes[WATERFALL_KEPT] = kept;
	ret->bytes[WATERFALL_OTHER_LIVE] = at_least_zero(heap->live_bytes, live);
	/* What grew after the last GC is kept without being marked: it is no garbage. */
	ret->bytes[WATERFALL_GARBAGE] =
		at_least_zero(heap->allocated_bytes, MAX(heap->live_bytes, live));
	ret->bytes[WATERFALL_FREE_HEAP] =
		heap->free_bytes + at_least_zero(heap->in_use_bytes, heap->allocated_bytes);
	ret->bytes[WATERFALL_STACKS] = at_least_zero(heap->stack_bytes, stacks);
	ret->bytes[WATERFALL_FILES] = target->file_bytes;
	ret->bytes[WATERFALL_RUNTIME] = heap->runtime_bytes;
	for (size_t i = 0; i < WATERFALL_PARTS; i++)
		sum += ret->bytes[i];
	if (sum > target->rss_bytes)
		take_excess(ret, sum - target->rss_bytes);
	for (size_t i = sum = 0; i < WATERFALL_PARTS; i++)
		sum += ret->bytes[i];
	ret->unexplained_bytes = (int64_t)(target->rss_bytes - sum);
	return true;
}

void summary_events(const struct model *model, struct summary_events *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < model_source_count(model); i++) {
		const struct model_source *source = model_source(model, i);

		ret->hits += source->hits;
		ret->produced += source->produced;
		ret->delivered += source->delivered;
		ret->lost += source->lost;
	}
}

/* The CPU time of a process is read ten times a second: of one that was gone by then little is known. */
static bool is_cpu_known(const struct model *model)
{
	bool exited = false;

	for (uint32_t i = 0; i < model_target_count(model); i++)
		exited |= model_target(model, i)->exited;
	return model_overhead(model)->target_cpu_ns >= (exited ? CPU_KNOWN_NS : 1);
}

bool summary_cost_pct(const struct model *model, double *ret)
{
	const struct model_overhead *overhead = model_overhead(model);

	if (!is_cpu_known(model) || (overhead->probe_hits && overhead->ns_per_hit <= 0))
		return false;
	*ret = 100.0 * (double)overhead->probe_cpu_ns / (double)overhead->target_cpu_ns;
	return true;
}

bool summary_read_only(const struct model *model)
{
	return !strncmp(model_host(model)->attach_mode, "none", 4);
}

const char *summary_alive(const struct container *container)
{
	const struct event_look *look = &container->look;

	if (container->dead)
		return "dead";
	if (!container->looked)
		return "unproven";
	if (look->liveness == LIVENESS_ROOTED ||
		(look->liveness == LIVENESS_MARKED && look->marked_cycle))
		return "proven";
	return container->written_ns > container->first_ns ? "proven" : "unproven";
}
