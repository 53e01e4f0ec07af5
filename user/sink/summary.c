/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Figures that follow from the model. The waterfall puts RSS into parts that a person can act on;
 * what the parts do not cover is a rest of its own, never spread over them.
 */
#include "sink/summary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define CPU_KNOWN_NS   (100 * NSEC_PER_MSEC)
#define OFF_HEAP_BYTES (4ull << 20)
#define MEASURED_PART  100 /* a measurement holds while RSS moves by less than this part, or */
#define MEASURED_BYTES (1ull << 20)

bool summary_gates(const struct finding *finding)
{
	return !finding->candidate && finding->severity > SEVERITY_INFO;
}

uint64_t summary_gives_back(const struct finding *finding)
{
	return finding->class == CLASS_CHURN ? 0 : finding->saves_rss_bytes;
}

static uint64_t at_least_zero(uint64_t from, uint64_t taken)
{
	return from > taken ? from - taken : 0;
}

/* What the findings of a target would give back: in a runtime's heap, or wherever malloc keeps it. */
struct kept {
	uint64_t containers, stacks, allocators;
};

static struct kept read_kept(const struct report *report, uint32_t target)
{
	struct kept kept = {0};

	for (size_t i = 0; i < report->finding_count; i++) {
		const struct finding *finding = &report->findings[i];

		if (finding->target != target || !summary_gates(finding))
			continue;
		kept.stacks += finding->saves_stack_bytes;
		*(finding->allocator ? &kept.allocators : &kept.containers) +=
			at_least_zero(summary_gives_back(finding), finding->saves_stack_bytes);
	}
	return kept;
}

/* What the looks say of a target's containers. */
struct contents {
	uint64_t absent_bytes; /* allocated but never touched: no part of RSS */
	uint64_t entry_bytes;  /* resident, and needed for the entries; slices: all of it */
};

static struct contents read_contents(const struct model *model, uint32_t target)
{
	struct contents contents = {0};

	for (size_t i = 0; i < model_container_count(model); i++) {
		const struct container *container = model_container(model, (uint32_t)i);
		const struct event_look *look = &container->look;

		if (container->target != target || container->dead || !container->looked ||
			!look->has_resident)
			continue;
		contents.absent_bytes += at_least_zero(look->held_bytes, look->resident_bytes);
		contents.entry_bytes += look->need_bytes
						? MIN(look->resident_bytes, look->need_bytes)
						: look->resident_bytes;
	}
	return contents;
}

/*
 * The heap's own counters say what is allocated, not what is resident. Where they pass what is, the part
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

static uint64_t sum_parts(const struct waterfall *waterfall)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < WATERFALL_PARTS; i++)
		sum += waterfall->bytes[i];
	return sum;
}

/* Free heap is what the counters call so; what there is in RSS may be less. */
static uint64_t free_heap(const struct event_heap *heap)
{
	return heap->free_bytes + at_least_zero(heap->in_use_bytes, heap->allocated_bytes);
}

/* What lies in the heap, by the heap's own counters and the looks at containers. */
static void add_heap(const struct report *report, const struct target *target,
	const struct kept *kept, struct waterfall *waterfall)
{
	const struct event_heap *heap = &target->heap;
	struct contents contents = read_contents(report->model, target->id);
	uint64_t known = kept->containers + contents.absent_bytes;

	waterfall->bytes[WATERFALL_KEPT] = kept->containers + kept->stacks;
	waterfall->bytes[WATERFALL_ENTRIES] =
		MIN(contents.entry_bytes, at_least_zero(heap->allocated_bytes, known));
	known += waterfall->bytes[WATERFALL_ENTRIES];
	waterfall->bytes[WATERFALL_OTHER_LIVE] = at_least_zero(heap->live_bytes, known);
	/* What grew after the last GC is kept without being marked: it is no garbage. */
	waterfall->bytes[WATERFALL_GARBAGE] =
		at_least_zero(heap->allocated_bytes, MAX(heap->live_bytes, known));
	waterfall->bytes[WATERFALL_FREE_HEAP] = free_heap(heap);
	waterfall->bytes[WATERFALL_STACKS] = at_least_zero(heap->stack_bytes, kept->stacks);
}

/*
 * The arenas hold what the heap's counters count and no more: free heap is what is left of their
 * resident pages, as far as the counters have so much.
 */
static void fit_heap(struct waterfall *waterfall, uint64_t arena_bytes)
{
	uint64_t sum = sum_parts(waterfall);

	if (sum > arena_bytes)
		take_excess(waterfall, sum - arena_bytes);
}

/* Takes what findings keep out of the part that has it. */
static uint64_t take_kept(struct waterfall *waterfall, enum waterfall_part part, uint64_t kept)
{
	uint64_t taken = MIN(kept, waterfall->bytes[part]);

	waterfall->bytes[part] -= taken;
	waterfall->bytes[WATERFALL_KEPT] += taken;
	return kept - taken;
}

/* Arenas of malloc that are not in the heap that brk(2) grows. */
static uint64_t arenas_elsewhere(const struct target *target)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < target->allocator_count; i++)
		bytes += target->allocators[i].now.resident_bytes;
	return MIN(bytes, target->resident.bytes[MAPPING_ANON]);
}

static void add_malloc(
	const struct target *target, const struct kept *kept, struct waterfall *waterfall)
{
	uint64_t resident = target->resident.bytes[MAPPING_BRK] + arenas_elsewhere(target);
	uint64_t retained = 0, lazy = 0;

	for (size_t i = 0; i < target->allocator_count; i++) {
		retained += target->allocators[i].now.retained_bytes;
		lazy += target->allocators[i].now.lazy_bytes;
	}
	lazy = MIN(lazy, waterfall->bytes[WATERFALL_ANON]);
	waterfall->bytes[WATERFALL_ANON] -= lazy;
	waterfall->bytes[WATERFALL_ALLOCATOR] = MIN(retained, resident) + lazy;
	waterfall->bytes[WATERFALL_NATIVE] = resident - MIN(retained, resident);
	take_kept(waterfall, WATERFALL_ALLOCATOR, kept->allocators);
}

/* Anonymous memory outside the heap: the runtime's own, and what the program has mapped itself. */
static void add_anon(const struct target *target, struct waterfall *waterfall)
{
	const struct event_resident *resident = &target->resident;
	uint64_t anon = resident->bytes[MAPPING_ANON] - arenas_elsewhere(target), rest;

	if (!target->has_heap) {
		waterfall->bytes[WATERFALL_ANON] = anon;
		return;
	}
	waterfall->bytes[WATERFALL_ANON] = MIN(resident->off_heap_bytes, anon);
	rest = anon - waterfall->bytes[WATERFALL_ANON];
	waterfall->bytes[WATERFALL_RUNTIME] = MIN(rest, target->heap.runtime_bytes);
	rest -= waterfall->bytes[WATERFALL_RUNTIME];
	/* Less than this is within what the runtime's own figures leave open. */
	if (target->heap.runtime_bytes && rest > MAX(OFF_HEAP_BYTES, target->rss_bytes / 50))
		waterfall->bytes[WATERFALL_ANON] += rest;
}

static void add_mapped(
	const struct target *target, const struct kept *kept, struct waterfall *waterfall)
{
	const struct event_resident *resident = &target->resident;

	waterfall->bytes[WATERFALL_FREE_HEAP] += resident->given_back_bytes;
	if (target->has_heap)
		fit_heap(waterfall, resident->bytes[MAPPING_RUNTIME]);
	add_anon(target, waterfall);
	add_malloc(target, kept, waterfall);
	/* Without a heap of its own a runtime's containers lie in malloc's, large ones by themselves. */
	if (!target->has_heap)
		take_kept(waterfall, WATERFALL_ANON,
			take_kept(waterfall, WATERFALL_NATIVE, kept->containers));
	waterfall->bytes[WATERFALL_STACKS] += resident->bytes[MAPPING_STACK];
	waterfall->bytes[WATERFALL_FILES] = resident->bytes[MAPPING_FILE];
	waterfall->bytes[WATERFALL_SHARED] = resident->bytes[MAPPING_SHARED];
}

/* Where nothing was measured, or the RSS has moved since. */
static void add_unmapped(const struct target *target, struct waterfall *waterfall)
{
	uint64_t sum;

	waterfall->bytes[WATERFALL_FILES] = target->file_bytes;
	waterfall->bytes[WATERFALL_RUNTIME] = target->heap.runtime_bytes;
	sum = sum_parts(waterfall);
	if (sum > target->rss_bytes)
		take_excess(waterfall, sum - target->rss_bytes);
}

static bool is_measured(const struct target *target)
{
	uint64_t measured = target->resident.rss_bytes, rss = target->rss_bytes;
	uint64_t moved = measured > rss ? measured - rss : rss - measured;

	return target->resident_ns && moved <= MAX(rss / MEASURED_PART, MEASURED_BYTES);
}

bool summary_waterfall(
	const struct report *report, const struct target *target, struct waterfall *ret)
{
	struct kept kept = read_kept(report, target->id);
	bool measured = is_measured(target);

	if ((!target->has_heap && !measured) || !target->rss_bytes)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->rss_bytes = target->rss_bytes;
	if (target->has_heap)
		add_heap(report, target, &kept, ret);
	if (measured)
		add_mapped(target, &kept, ret);
	else
		add_unmapped(target, ret);
	ret->unexplained_bytes = (int64_t)(target->rss_bytes - sum_parts(ret));
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

/* Never "100 %" where a part is missing. */
static void describe_share(double share, char *buf, size_t bytes)
{
	double pct = share < 0.1 ? 100 * share : floor(100 * share);

	if (pct < 0.1)
		snprintf(buf, bytes, "< 0.1 %%");
	else
		snprintf(buf, bytes, pct < 9.95 ? "%.1f %%" : "%.0f %%", pct);
}

bool summary_estimated(
	const struct model *model, const struct target *target, char *buf, size_t bytes)
{
	size_t said = 0, used = 0;

	buf[0] = 0;
	for (int family = FAMILY_NONE; family < FAMILY_MAX; family++) {
		double share = model_open_share(model, target->id, family);
		char pct[32];

		/* Samples are an estimate always. */
		if (!target->shares[family].ever || share >= 1 || family == FAMILY_ALLOCATION)
			continue;
		describe_share(share, pct, sizeof(pct));
		used += (size_t)snprintf(buf + used, bytes - used, "%s%ss (%s%s)", said ? ", " : "",
			family ? family_name(family) : "page fault", pct,
			said ? "" : " of the time");
		said++;
	}
	if (said)
		snprintf(buf + used, bytes - used, " of %.64s: figures are scaled.", target->comm);
	return said > 0;
}

const char *summary_host(const struct model *model, uint32_t host)
{
	const char *name = model_host_at(model, host)->name;

	if (model_host_count(model) == 1)
		return "";
	return *name ? name : "an unnamed host";
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
