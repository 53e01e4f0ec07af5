/* SPDX-License-Identifier: BSD-2-Clause */
/* The observer: a second model that is told the same becomes the same, and is told nothing else. */
#include "model_events.h"

#include <errno.h>

struct mirror {
	struct model *model;
	size_t events, strings, sites, stacks;
};

static void on_string(uint32_t id, const char *string, void *arg)
{
	struct mirror *mirror = arg;

	mirror->strings++;
	cr_assert_eq(id, mirror->strings);
	cr_assert_eq(model_intern(mirror->model, string), id);
}

static void on_site(const struct site *site, void *arg)
{
	struct mirror *mirror = arg;
	uint32_t id;

	mirror->sites++;
	cr_assert_eq(site->id, mirror->sites);
	if (site->other)
		id = model_add_other_site(mirror->model, site->target);
	else
		id = model_add_site(mirror->model, site->target, site->family, site->type,
			site->frames, site->frame_count);
	cr_assert_eq(id, site->id);
}

static void on_stack(const struct model_stack *stack, void *arg)
{
	struct mirror *mirror = arg;

	mirror->stacks++;
	cr_assert_eq(
		model_add_stack(mirror->model, stack->target, stack->frames, stack->frame_count),
		stack->id);
}

static void on_target(uint32_t id, const struct model_target_info *info, void *arg)
{
	struct mirror *mirror = arg;

	if (id < model_target_count(mirror->model))
		model_update_target(mirror->model, id, info);
	else
		cr_assert_eq(model_add_target(mirror->model, info), id);
}

static void on_event(const struct event *event, void *arg)
{
	struct mirror *mirror = arg;

	mirror->events++;
	cr_assert_eq(model_apply(mirror->model, event), 0);
}

static void on_runtime(uint32_t target, const char *name, const char *version, void *arg)
{
	model_add_runtime(((struct mirror *)arg)->model, target, name, version);
}

static void on_skip(const struct model_skip *skip, void *arg)
{
	model_add_skip(((struct mirror *)arg)->model, skip->what, skip->reason);
}

static void on_source(const struct model_source *source, void *arg)
{
	model_set_source(((struct mirror *)arg)->model, source->name, source->hits,
		source->produced, source->delivered, source->lost);
}

static void on_overhead(const struct model_overhead *overhead, void *arg)
{
	model_set_overhead(((struct mirror *)arg)->model, overhead);
}

static void on_host(const struct model_host *host, void *arg)
{
	model_set_host(((struct mirror *)arg)->model, host);
}

static void on_census(uint32_t target, const struct model_census *census, void *arg)
{
	model_set_census(((struct mirror *)arg)->model, target, census);
}

static void on_unwound(uint32_t target, const struct model_unwound *unwound, void *arg)
{
	model_set_unwound(((struct mirror *)arg)->model, target, unwound);
}

static void on_clock(uint64_t mono_ns, uint64_t real_ns, uint64_t end_mono_ns, void *arg)
{
	model_set_clock(((struct mirror *)arg)->model, mono_ns, real_ns, end_mono_ns);
}

static void on_incomplete(const char *reason, void *arg)
{
	model_add_incomplete(((struct mirror *)arg)->model, reason);
}

static const struct model_observer observer = {
	.string = on_string,
	.site = on_site,
	.stack = on_stack,
	.target = on_target,
	.runtime = on_runtime,
	.event = on_event,
	.skip = on_skip,
	.source = on_source,
	.overhead = on_overhead,
	.host = on_host,
	.census = on_census,
	.unwound = on_unwound,
	.clock = on_clock,
	.incomplete = on_incomplete,
};

static void check_same(const struct model *a, const struct model *b)
{
	cr_assert_eq(model_site_count(a), model_site_count(b));
	cr_assert_eq(model_container_count(a), model_container_count(b));
	for (uint32_t i = 1; i <= model_site_count(a); i++) {
		const struct site *x = model_site(a, i), *y = model_site(b, i);

		cr_assert_eq(x->other, y->other);
		cr_assert_eq(x->growths, y->growths);
		cr_assert_eq(x->garbage_bytes, y->garbage_bytes);
		cr_assert_str_eq(x->function, y->function);
	}
	for (uint32_t i = 0; i < model_container_count(a); i++) {
		const struct container *x = model_container(a, i), *y = model_container(b, i);

		cr_assert_eq(x->key, y->key);
		cr_assert_eq(x->held_bytes, y->held_bytes);
		cr_assert_eq(x->length_peak, y->length_peak);
	}
}

Test(model_observer, a_mirror_becomes_the_same)
{
	struct mirror mirror = {.model = model_new()};
	struct world w = {.model = model_new(), .now_ns = START_NS};
	struct model_target_info info = {.pid = 1, .comm = "api", .exe = "/api", .runtime = "go"};
	struct model_overhead overhead = {.probe_hits = 3};
	struct model_host host = {.cpus = 2};
	struct model_census census = {.done = true, .maps = 7};

	model_set_observer(w.model, &observer, &mirror);
	model_set_clock(w.model, 1, 2, 0);
	model_set_host(w.model, &host);
	w.target = model_add_target(w.model, &info);
	info.limit_bytes = MIB(64);
	info.has_limit = true;
	model_update_target(w.model, w.target, &info);
	model_add_runtime(w.model, w.target, "c++", "libstdc++");
	w.site = world_site(&w, FAMILY_MAP, "map[int]int", "main.put", 3);
	w.type = model_intern(w.model, "map[int]int");
	find_map(&w, 0x1000);
	fill_map(&w, w.site, 0x1000, 4096);
	look(&w, 0x1000, 10, 4096);
	model_set_census(w.model, w.target, &census);
	model_set_unwound(w.model, w.target, &(struct model_unwound){.complete = 8, .lost = 1});
	model_add_skip(w.model, "slices", "no code");
	model_set_source(w.model, "map", 5, 5, 4, 1);
	model_set_overhead(w.model, &overhead);
	model_add_incomplete(w.model, "a reason");
	model_set_clock(w.model, 1, 2, 3);

	check_same(w.model, mirror.model);
	cr_assert_str_eq(model_string(mirror.model, w.type), "map[int]int");
	cr_assert_eq(model_target(mirror.model, 0)->limit_bytes, MIB(64));
	cr_assert_eq(model_target(mirror.model, 0)->runtime_count, 2);
	cr_assert_eq(model_census(mirror.model, 0)->maps, 7);
	cr_assert_eq(model_unwound(mirror.model, 0)->complete, 8);
	cr_assert_str_eq(model_skip(mirror.model, 0)->what, "slices");
	cr_assert_eq(model_source(mirror.model, 0)->lost, 1);
	cr_assert_eq(model_overhead(mirror.model)->probe_hits, 3);
	cr_assert_eq(model_host(mirror.model)->cpus, 2);
	cr_assert_str_eq(model_incomplete(mirror.model, 0), "a reason");
	model_free(w.model);
	model_free(mirror.model);
}

Test(model_observer, stacks_are_mirrored)
{
	struct mirror mirror = {.model = model_new()};
	struct world w = {.model = model_new(), .now_ns = START_NS};
	struct model_target_info info = {.pid = 1};
	struct model_frame frame = {"main.f", "/app/f.go", 3, false, false, NULL, NULL};
	struct event event = {.kind = EVENT_PROFILE, .time_ns = START_NS};
	struct event_allocated sum;

	model_set_observer(w.model, &observer, &mirror);
	model_add_target(w.model, &info);
	cr_assert_eq(model_apply(w.model, &event), 0);
	event.kind = EVENT_ALLOCATED;
	event.allocated = (struct event_allocated){
		.stack = model_add_stack(w.model, 0, &frame, 1), .in_use_bytes = 9};
	cr_assert_eq(model_apply(w.model, &event), 0);
	model_add_stack(w.model, 0, &frame, 1);
	cr_assert_eq(mirror.stacks, 1);
	cr_assert_str_eq(model_stack(mirror.model, 1)->frames[0].function, "main.f");
	model_sum_allocated(model_target(mirror.model, 0), &sum);
	cr_assert_eq(sum.in_use_bytes, 9);
	cr_assert_eq(model_target(mirror.model, 0)->allocated[0].stack, 1);
	model_free(w.model);
	model_free(mirror.model);
}

Test(model_observer, what_the_model_refuses_is_not_told)
{
	struct mirror mirror = {.model = model_new()};
	struct model *model = model_new();
	struct event event = {.kind = EVENT_USAGE, .target = 9, .time_ns = 1};

	model_set_observer(model, &observer, &mirror);
	cr_assert_eq(model_apply(model, &event), -EINVAL);
	model_update_target(model, 9, &(struct model_target_info){.pid = 1});
	model_set_census(model, 9, &(struct model_census){.maps = 1});
	cr_assert_eq(model_add_other_site(model, 9), 0);
	cr_assert_eq(mirror.events + mirror.sites + mirror.strings, 0);
	model_free(model);
	model_free(mirror.model);
}

/* More sites than fit: the same one stands for the rest. */
Test(model_observer, the_site_other_is_mirrored)
{
	struct mirror mirror = {.model = model_new()};
	struct world w = {.model = model_new(), .now_ns = START_NS};
	struct model_target_info info = {.pid = 1};
	uint32_t last = 0;

	model_set_observer(w.model, &observer, &mirror);
	w.target = model_add_target(w.model, &info);
	for (uint32_t i = 1; i <= MODEL_MAX_SITES + 1; i++)
		last = world_site(&w, FAMILY_MAP, "map[int]int", "main.put", i);
	cr_assert(model_site(w.model, last)->other);
	grow_map(&w, last, 0x1000, 4096);
	check_same(w.model, mirror.model);
	model_free(w.model);
	model_free(mirror.model);
}

/* Who is told of each look would miss those that stand for many. */
Test(model_observer, nothing_is_quiet_while_somebody_watches)
{
	struct mirror mirror = {.model = model_new()};
	struct world w = {.model = model_new(), .now_ns = START_NS};
	struct model_target_info info = {.pid = 1};

	model_set_observer(w.model, &observer, &mirror);
	w.target = model_add_target(w.model, &info);
	look(&w, 0xc000, 3, 65536);
	model_begin_quiet(w.model, w.target, FAMILY_MAP, 0xc000);
	cr_expect_eq(model_quiet(w.model, w.target).count, 0);
	cr_expect(model_is_observed(w.model));
	model_free(w.model);
	model_free(mirror.model);
}
