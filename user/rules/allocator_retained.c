/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * allocator-retained: memory that the program has freed and malloc has not given back. Free memory is
 * malloc's business, and a program that is about to allocate again is glad of it: only what was free at
 * every look for a while counts, and only where it is a good part of RSS.
 *
 * What lies in whole pages could go back at once. The rest lies between blocks that are in use, which hold
 * its pages: that is worth telling only where most of malloc's memory is so.
 *
 * Evidence: system_bytes, free_bytes, cached_bytes, retained_bytes, retained_page_bytes, trim_bytes,
 * least_bytes, arenas, since_ns, looks, seen_once.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "rules/support.h"

struct kept {
	const struct target *target;
	const struct allocator *allocator;
	bool in_pages;        /* whole pages: malloc_trim() and the like help */
	uint64_t least_bytes; /* at every look of the time that counts */
	uint64_t since_ns;    /* how long that is */
	bool once;
};

static uint64_t slot_bytes(const struct allocator_slot *slot, bool in_pages)
{
	return in_pages ? slot->page_bytes : slot->retained_bytes;
}

static uint64_t floor_bytes(const struct rule_context *context, const struct target *target)
{
	return MAX(threshold_bytes(context, "min_bytes"),
		(uint64_t)((double)target->rss_bytes * threshold_get(context, "min_pct_rss") /
			   100));
}

/* The newest looks that all found as much as it takes. */
static bool find_time(const struct rule_context *context, struct kept *kept)
{
	const struct allocator *allocator = kept->allocator;
	uint64_t floor = floor_bytes(context, kept->target), start_ns, real_ns, end_ns;
	uint32_t first = allocator->slot_count;

	kept->least_bytes = UINT64_MAX;
	while (first && slot_bytes(&allocator->slots[first - 1], kept->in_pages) >= floor) {
		kept->least_bytes = MIN(kept->least_bytes,
			slot_bytes(&allocator->slots[first - 1], kept->in_pages));
		first--;
	}
	if (first == allocator->slot_count)
		return false;
	kept->since_ns = minus(allocator->last_ns, allocator->slots[first].time_ns);
	kept->once = is_read_only(context->model, kept->target);
	model_clock(context->model, &start_ns, &real_ns, &end_ns);
	/* A session that ends earlier says what it saw: as much all the time, from the first look on. */
	return kept->once || kept->since_ns >= threshold_ns(context, "seconds") ||
	       (!first && end_ns > start_ns && allocator->slot_count > 1 &&
		       kept->target->age_ns >= threshold_ns(context, "seconds"));
}

static bool is_scattered(const struct rule_context *context, const struct event_allocator *now)
{
	return pct((double)(now->free_bytes + now->cached_bytes), (double)now->system_bytes) >=
	       threshold_get(context, "scattered_pct");
}

static void write_evidence(const struct kept *kept, struct finding *finding)
{
	const struct event_allocator *now = &kept->allocator->now;

	evidence_add(finding, "system_bytes", (double)now->system_bytes);
	evidence_add(finding, "free_bytes", (double)now->free_bytes);
	evidence_add(finding, "cached_bytes", (double)now->cached_bytes);
	evidence_add(finding, "retained_bytes", (double)now->retained_bytes);
	evidence_add(finding, "retained_page_bytes", (double)now->retained_page_bytes);
	evidence_add(finding, "trim_bytes", (double)now->trim_bytes);
	evidence_add(finding, "least_bytes", (double)kept->least_bytes);
	evidence_add(finding, "arenas", (double)now->arenas);
	evidence_add(finding, "since_ns", (double)kept->since_ns);
	evidence_add(finding, "looks", kept->allocator->slot_count);
	evidence_add(finding, "seen_once", kept->once);
}

static void write_advice(const struct kept *kept, struct finding *finding)
{
	const struct event_allocator *now = &kept->allocator->now;
	struct numbers n = {0};

	if (!kept->in_pages) {
		say(finding->in_code,
			"allocate what lives long apart from what does not (a pool or an arena of "
			"its own), or copy the survivors together; or link an allocator that keeps "
			"sizes apart (jemalloc, mimalloc).");
		say(finding->right_now,
			"malloc_trim(0) would give back %s: blocks in use hold the other pages. A "
			"restart frees them.",
			now->trim_bytes ? number_bytes(&n, now->trim_bytes) : "nothing");
		return;
	}
	say(finding->in_code,
		"malloc_trim(0) after such a peak, or mallopt(M_TRIM_THRESHOLD, ...) once%s; or an "
		"allocator that gives back by itself (jemalloc, mimalloc).",
		now->arenas > 1 ? "; M_ARENA_MAX where many threads allocate" : "");
	say(finding->right_now,
		"malloc_trim(0), called in the process (gdb -p), gives back %s. For the next "
		"start: "
		"MALLOC_TRIM_THRESHOLD_=131072%s.",
		number_bytes(&n, now->trim_bytes), now->arenas > 1 ? ", MALLOC_ARENA_MAX=2" : "");
}

static void write_text(const struct kept *kept, struct finding *finding)
{
	const struct event_allocator *now = &kept->allocator->now;
	struct numbers n = {0};

	say(finding->message,
		"%s of the %s that malloc has from the system in %s arena%s are free, %s of it "
		"resident, %s in whole pages. %s",
		number_bytes(&n, now->free_bytes + now->cached_bytes),
		number_bytes(&n, now->system_bytes), number_count(&n, now->arenas),
		now->arenas == 1 ? "" : "s", number_bytes(&n, now->retained_bytes),
		number_bytes(&n, now->retained_page_bytes),
		kept->in_pages ? "free() keeps what does not lie at the end of an arena."
			       : "The rest lies between blocks that are in use.");
	if (kept->once)
		say(finding->since, "Seen once, by reading: what it was before is not known.");
	else
		say(finding->since, "Never less than %s for %s.",
			number_bytes(&n, kept->least_bytes), number_duration(&n, kept->since_ns));
	if (now->estimated)
		say(finding->caveat, "Figures are estimated: not all of its memory was walked.");
	write_advice(kept, finding);
}

static void emit(const struct rule_context *context, const struct kept *kept)
{
	const struct event_allocator *now = &kept->allocator->now;
	struct finding finding = {
		.class = CLASS_HELD,
		.target = kept->target->id,
		.container = -1,
		.allocator = now->name,
		.estimated = now->estimated,
		.bytes = now->system_bytes,
		.saves_bytes = kept->least_bytes,
		.saves_rss_bytes = kept->least_bytes,
	};

	write_evidence(kept, &finding);
	write_text(kept, &finding);
	context->emit(&finding, context->arg);
}

static void evaluate_allocator(const struct rule_context *context, const struct target *target,
	const struct allocator *allocator)
{
	struct kept kept = {.target = target, .allocator = allocator, .in_pages = true};

	if (allocator->now.reason)
		return;
	if (!find_time(context, &kept)) {
		kept.in_pages = false;
		if (!is_scattered(context, &allocator->now) || !find_time(context, &kept))
			return;
	}
	emit(context, &kept);
}

static void evaluate(const struct rule_context *context)
{
	for (uint32_t i = 0; i < model_target_count(context->model); i++) {
		const struct target *target = model_target(context->model, i);

		for (size_t j = 0; j < target->allocator_count; j++)
			evaluate_allocator(context, target, &target->allocators[j]);
	}
}

const struct rule rule_allocator_retained = {
	.kind = "allocator-retained",
	.help = "memory that was freed and that malloc has not given back",
	.thresholds =
		{
			{"seconds", UNIT_SECONDS, 60, "free at every look for so long"},
			{"min_bytes", UNIT_BYTES, 8 << 20, "in whole resident pages at least, and"},
			{"min_pct_rss", UNIT_PCT, 20, "... at least this part of RSS; or"},
			{"scattered_pct", UNIT_PCT, 50,
				"... as much in smaller pieces, and this part of all is free"},
		},
	.exclusive = EXCLUSIVE_NOTHING,
	.evaluate = evaluate,
};
