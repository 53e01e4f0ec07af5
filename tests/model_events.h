/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A world for tests of model and rules: one target, a clock that the test moves, and events in one line
 * each. Maps follow the arithmetic of Go's classic ones for map[int]int: 2^B buckets of 8 slots and 144
 * bytes, 6.5 entries a bucket at most.
 */
#ifndef MEMTRACE_TESTS_MODEL_EVENTS_H
#define MEMTRACE_TESTS_MODEL_EVENTS_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/model.h"
#include "rules/rules.h"

#define MIB(n)   ((uint64_t)((n)*1048576.0))
#define UNUSED   __attribute__((unused))
#define START_NS (1000 * NSEC_PER_SEC)

struct world {
	struct model *model;
	struct thresholds *thresholds;
	struct findings findings;
	uint32_t target, type, site;
	uint64_t now_ns;
	uint64_t rss_bytes, total_alloc_bytes, live_bytes;
	uint32_t gc_cycles;
};

static UNUSED uint32_t world_site(
	struct world *w, enum family family, const char *type, const char *function, uint32_t line)
{
	struct model_frame frames[] = {
		{"runtime.hashGrow", "/go/src/runtime/map.go", 1000, true, false, NULL, NULL},
		{function, "/app/cache.go", line, false, false, NULL, NULL},
		{"main.main", "/app/main.go", 7, false, false, NULL, NULL},
	};

	return model_add_site(w->model, w->target, family, model_intern(w->model, type), frames, 3);
}

/* Old enough to be past start-up, with probes on all families. */
static UNUSED struct world world_new_aged(uint64_t age_seconds)
{
	struct world w = {.model = model_new(), .thresholds = thresholds_new(), .now_ns = START_NS};
	struct model_target_info info = {
		.pid = 4711,
		.comm = "api",
		.runtime = "go",
		.version = "go1.23.5",
		.limit_bytes = MIB(256),
		.has_limit = true,
		.age_ns = age_seconds * NSEC_PER_SEC,
	};

	w.target = model_add_target(w.model, &info);
	w.type = model_intern(w.model, "map[int]main.session");
	w.site = world_site(&w, FAMILY_MAP, "map[int]main.session", "main.(*Cache).Put", 42);
	w.rss_bytes = MIB(100);
	return w;
}

static UNUSED struct world world_new(void)
{
	return world_new_aged(3600);
}

static UNUSED void world_done(struct world *w)
{
	findings_done(&w->findings);
	thresholds_free(w->thresholds);
	model_free(w->model);
}

static UNUSED int apply(struct world *w, struct event event)
{
	event.target = w->target;
	event.time_ns = w->now_ns;
	return model_apply(w->model, &event);
}

static UNUSED void share(struct world *w, enum family family, bool open)
{
	apply(w, (struct event){.kind = EVENT_SHARE, .share = {family, open}});
}

static UNUSED void open_all(struct world *w)
{
	share(w, FAMILY_MAP, true);
	share(w, FAMILY_SLICE, true);
	share(w, FAMILY_CHANNEL, true);
}

static UNUSED void usage(struct world *w)
{
	apply(w, (struct event){.kind = EVENT_USAGE, .usage = {.rss_bytes = w->rss_bytes}});
}

static UNUSED void heap(struct world *w)
{
	apply(w, (struct event){.kind = EVENT_HEAP,
			 .heap = {.gc_cycles = w->gc_cycles,
				 .total_alloc_bytes = w->total_alloc_bytes,
				 .allocated_bytes = w->live_bytes,
				 .live_bytes = w->live_bytes}});
}

static UNUSED void wait_ms(struct world *w, uint64_t ms)
{
	w->now_ns += ms * NSEC_PER_MSEC;
}

static UNUSED uint64_t map_slots(uint64_t n)
{
	uint64_t slots = 8;

	while (n > 8 && n * 8 * 2 > slots * 13)
		slots *= 2;
	return slots;
}

static UNUSED uint64_t map_bytes(uint64_t slots)
{
	return slots * 18;
}

/* A look at a map of so many slots; MARKED with the last cycle unless the test says otherwise. */
static UNUSED struct event map_look(
	const struct world *w, uint64_t key, uint64_t length, uint64_t slots)
{
	return (struct event){.kind = EVENT_LOOK,
		.look = {.family = FAMILY_MAP,
			.key = key,
			.liveness = LIVENESS_MARKED,
			.marked_cycle = w->gc_cycles,
			.has_length = true,
			.length = length,
			.capacity = slots,
			.load_limit = slots * 13 / 16,
			.held_bytes = map_bytes(slots),
			.need_bytes = map_bytes(map_slots(length)),
			.need_peak_bytes = map_bytes(map_slots(length)),
			.has_resident = true,
			.resident_bytes = map_bytes(slots),
			.stamp = length}};
}

static UNUSED void look(struct world *w, uint64_t key, uint64_t length, uint64_t slots)
{
	apply(w, map_look(w, key, length, slots));
}

static UNUSED void find_map(struct world *w, uint64_t key)
{
	apply(w, (struct event){.kind = EVENT_CREATE,
			 .create = {.family = FAMILY_MAP,
				 .key = key,
				 .type = w->type,
				 .site = w->site,
				 .before_attach = true}});
}

/* Growth of a map to so many slots. */
static UNUSED void grow_map(struct world *w, uint32_t site, uint64_t key, uint64_t slots)
{
	apply(w, (struct event){.kind = EVENT_GROWTH,
			 .growth = {.family = FAMILY_MAP,
				 .key = key,
				 .old_key = key,
				 .type = w->type,
				 .site = site,
				 .has_length = true,
				 .length = slots / 2 * 13 / 16,
				 .capacity = slots,
				 .allocated_bytes = map_bytes(slots),
				 .garbage_bytes = map_bytes(slots / 2),
				 .held_bytes = map_bytes(slots) + map_bytes(slots / 2)}});
}

/* Everything that a map of so many slots grew through. */
static UNUSED void fill_map(struct world *w, uint32_t site, uint64_t key, uint64_t slots)
{
	for (uint64_t s = 16; s <= slots; s *= 2)
		grow_map(w, site, key, s);
}

static UNUSED void grow_slice(struct world *w, uint32_t site, uint64_t old_key, uint64_t key,
	uint64_t old_bytes, uint64_t bytes)
{
	apply(w, (struct event){.kind = EVENT_GROWTH,
			 .growth = {.family = FAMILY_SLICE,
				 .key = key,
				 .old_key = old_key,
				 .new_container = !old_key,
				 .site = site,
				 .has_length = true,
				 .length = old_bytes / 8,
				 .capacity = bytes / 8,
				 .allocated_bytes = bytes,
				 .garbage_bytes = old_bytes}});
}

static UNUSED void set(struct world *w, const char *assignment)
{
	char error[160] = "";

	cr_assert_eq(thresholds_set(w->thresholds, assignment, error), 0, "%s", error);
}

static UNUSED void run(struct world *w)
{
	findings_done(&w->findings);
	rules_run(w->model, w->thresholds, w->now_ns, &w->findings);
}

/* The only finding of a kind, candidates included; NULL = none. */
static UNUSED const struct finding *finding(struct world *w, const char *kind)
{
	const struct finding *found = NULL;

	run(w);
	for (size_t i = 0; i < w->findings.count; i++) {
		if (strcmp(w->findings.items[i].kind, kind))
			continue;
		cr_assert_null(found, "%s twice", kind);
		found = &w->findings.items[i];
	}
	return found;
}

static UNUSED double evidence(const struct finding *f, const char *key)
{
	for (size_t i = 0; i < f->evidence_count; i++)
		if (!strcmp(f->evidence[i].key, key) && f->evidence[i].known)
			return f->evidence[i].value;
	return -1;
}

/* What no finding may say: facts that are measured to be false. */
static UNUSED void check_words(const struct world *w)
{
	static const char *const never[] = {"close the channel", "N/0.75", "0.75", "clear() frees",
		"clear(m) frees", "lower GOGC", "raise GOGC", "dangl", "map grows by growslice"};

	for (size_t i = 0; i < w->findings.count; i++) {
		const struct finding *f = &w->findings.items[i];
		const char *texts[] = {f->message, f->since, f->in_code, f->right_now};

		for (size_t j = 0; j < ARRAY_SIZE(texts); j++) {
			cr_assert_lt(strlen(texts[j]), FINDING_TEXT_BYTES - 1, "cut: %s", texts[j]);
			for (size_t k = 0; k < ARRAY_SIZE(never); k++)
				cr_assert_null(strstr(texts[j], never[k]), "%s", texts[j]);
		}
		cr_assert(
			*f->message && *f->in_code && *f->right_now, "%s says too little", f->kind);
	}
}

#endif
