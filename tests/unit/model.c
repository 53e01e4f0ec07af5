/* SPDX-License-Identifier: BSD-2-Clause */
/* The model: identity of containers, bounds, histories, proof of life, shares, spikes. */
#include "model_events.h"

#include <errno.h>
#include <stdlib.h>

static const struct container *map_at(struct world *w, uint64_t key)
{
	return model_find_container(w->model, w->target, FAMILY_MAP, key);
}

Test(model, names_are_interned)
{
	struct model *m = model_new();
	uint32_t a = model_intern(m, "main.cache");

	cr_assert_eq(model_intern(m, ""), 0);
	cr_assert_eq(model_intern(m, NULL), 0);
	cr_assert_neq(a, 0);
	cr_assert_eq(model_intern(m, "main.cache"), a);
	cr_assert_neq(model_intern(m, "main.cache2"), a);
	cr_assert_str_eq(model_string(m, a), "main.cache");
	cr_assert_str_eq(model_string(m, 0), "");
	cr_assert_str_eq(model_string(m, 99999), "");
	model_free(m);
}

Test(model, names_are_bounded)
{
	struct model *m = model_new();
	char name[32], *huge = calloc(1, 100001);

	memset(huge, 'x', 100000);
	cr_assert_lt(strlen(model_string(m, model_intern(m, huge))), 2000);
	cr_assert_eq(model_intern(m, huge), model_intern(m, huge));
	for (int i = 0; i < MODEL_MAX_STRINGS + 100; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		model_intern(m, name);
	}
	cr_assert_eq(model_intern(m, "one more"), 0);
	cr_assert_neq(model_intern(m, "n5"), 0);
	free(huge);
	model_free(m);
}

Test(model, site_is_first_user_frame)
{
	struct world w = world_new();
	const struct site *site = model_site(w.model, w.site);

	cr_assert_str_eq(site->function, "main.(*Cache).Put");
	cr_assert_str_eq(site->file, "/app/cache.go");
	cr_assert_eq(site->line, 42);
	cr_assert_eq(site->frame_count, 3);
	cr_assert_eq(world_site(&w, FAMILY_MAP, "map[int]main.session", "main.(*Cache).Put", 42),
		w.site);
	cr_assert_neq(world_site(&w, FAMILY_MAP, "map[int]main.session", "main.(*Cache).Put", 43),
		w.site);
	cr_assert_neq(world_site(&w, FAMILY_SLICE, "map[int]main.session", "main.(*Cache).Put", 42),
		w.site);
	cr_assert_neq(world_site(&w, FAMILY_MAP, "map[int]int", "main.(*Cache).Put", 42), w.site);
	cr_assert_null(model_site(w.model, 0));
	cr_assert_eq(model_add_site(w.model, 77, FAMILY_MAP, 0, NULL, 0), 0);
	world_done(&w);
}

Test(model, site_without_user_frame_is_unknown)
{
	struct world w = world_new();
	struct model_frame frame = {
		"runtime.main", "/go/src/runtime/proc.go", 250, true, false, NULL, NULL};
	uint32_t id = model_add_site(w.model, w.target, FAMILY_MAP, w.type, &frame, 1);

	cr_assert_str_eq(model_site(w.model, id)->function, "");
	cr_assert_eq(model_site(w.model, id)->line, 0);
	cr_assert_eq(model_add_site(w.model, w.target, FAMILY_MAP, w.type, NULL, 0), id);
	world_done(&w);
}

Test(model, sites_overflow_to_other)
{
	struct world w = world_new();
	uint32_t id = 0;

	for (uint32_t line = 1000; line < 1000 + MODEL_MAX_SITES + 50; line++)
		id = world_site(&w, FAMILY_MAP, "map[int]int", "main.f", line);
	cr_assert(model_site(w.model, id)->other);
	cr_assert_leq(model_site_count(w.model), MODEL_MAX_SITES);
	grow_map(&w, id, 0x1000, 16);
	cr_assert_eq(model_site(w.model, id)->growths, 1);
	world_done(&w);
}

Test(model, refuses_what_it_cannot_place)
{
	struct world w = world_new();
	struct event event = {.kind = EVENT_LOOK, .target = 5};

	cr_assert_eq(model_apply(w.model, &event), -EINVAL);
	event = (struct event){.kind = EVENT_KINDS};
	cr_assert_eq(model_apply(w.model, &event), -EINVAL);
	event = (struct event){.kind = EVENT_GROWTH, .growth = {.family = FAMILY_MAX, .key = 1}};
	cr_assert_eq(model_apply(w.model, &event), -EINVAL);
	cr_assert_eq(model_invalid_events(w.model), 3);
	world_done(&w);
}

Test(model, map_grows_under_one_name)
{
	struct world w = world_new();
	const struct container *map;
	const struct site *site;

	fill_map(&w, w.site, 0xc000, 2097152);
	map = map_at(&w, 0xc000);
	site = model_site(w.model, w.site);
	cr_assert_eq(map->growths, 18);
	cr_assert_eq(map->garbage_bytes, map_bytes(2097152) - map_bytes(8));
	cr_assert_eq(map->held_bytes, map_bytes(2097152) + map_bytes(1048576));
	cr_assert_eq(map->overlap_peak_bytes, map->held_bytes);
	cr_assert_eq(map->sites[0].site, w.site);
	cr_assert_eq(site->growths, 18);
	cr_assert_eq(site->containers, 1);
	cr_assert_eq(model_container_count(w.model), 1);
	world_done(&w);
}

Test(model, same_size_growth_is_counted_apart)
{
	struct world w = world_new();

	apply(&w, (struct event){.kind = EVENT_GROWTH,
			  .growth = {.family = FAMILY_MAP,
				  .key = 9,
				  .old_key = 9,
				  .site = w.site,
				  .same_size = true,
				  .allocated_bytes = 100,
				  .garbage_bytes = 100}});
	cr_assert_eq(model_site(w.model, w.site)->growths, 0);
	cr_assert_eq(model_site(w.model, w.site)->same_size, 1);
	cr_assert_eq(map_at(&w, 9)->growths, 0);
	cr_assert_eq(model_target(w.model, w.target)->growths, 0);
	world_done(&w);
}

Test(model, largest_array_names_the_site)
{
	struct world w = world_new();
	uint32_t early = world_site(&w, FAMILY_MAP, "map[int]main.session", "main.warm", 5);

	for (uint64_t s = 16; s <= 65536; s *= 2)
		grow_map(&w, early, 0xc000, s);
	grow_map(&w, w.site, 0xc000, 131072);
	cr_assert_eq(map_at(&w, 0xc000)->sites[0].site, w.site);
	cr_assert_eq(map_at(&w, 0xc000)->sites[1].site, early);
	world_done(&w);
}

Test(model, slice_is_followed_from_array_to_array)
{
	struct world w = world_new();
	const struct container *slice;

	grow_slice(&w, w.site, 0, 0x1000, 0, 64);
	grow_slice(&w, w.site, 0x1000, 0x2000, 64, 128);
	grow_slice(&w, w.site, 0x2000, 0x3000, 128, 256);
	slice = model_find_container(w.model, w.target, FAMILY_SLICE, 0x3000);
	cr_assert_not_null(slice);
	cr_assert_eq(slice->growths, 2);
	cr_assert_eq(slice->garbage_bytes, 192);
	cr_assert_eq(slice->held_bytes, 256);
	cr_assert_eq(slice->length_at_growth, 16);
	cr_assert_null(model_find_container(w.model, w.target, FAMILY_SLICE, 0x1000));
	cr_assert_null(model_find_container(w.model, w.target, FAMILY_SLICE, 0x2000));
	cr_assert_eq(model_container_count(w.model), 1);
	cr_assert_eq(model_site(w.model, w.site)->growths, 2);
	cr_assert_eq(model_site(w.model, w.site)->containers, 1);
	world_done(&w);
}

Test(model, buffer_is_followed_from_array_to_array)
{
	struct world w = world_new();
	struct event event = {.kind = EVENT_GROWTH,
		.growth = {.family = FAMILY_BUFFER,
			.key = 0x2000,
			.old_key = 0x1000,
			.site = w.site,
			.allocated_bytes = 128,
			.garbage_bytes = 64}};

	apply(&w, event);
	event.growth.old_key = 0x2000;
	event.growth.key = 0x3000;
	event.growth.garbage_bytes = 128;
	apply(&w, event);
	cr_assert_eq(model_container_count(w.model), 1);
	cr_assert_eq(model_find_container(w.model, w.target, FAMILY_BUFFER, 0x3000)->growths, 2);
	world_done(&w);
}

Test(model, channel_made_at_a_used_address_is_another)
{
	struct world w = world_new();
	struct event made = {.kind = EVENT_CREATE,
		.create = {.family = FAMILY_CHANNEL,
			.key = 0x5000,
			.site = w.site,
			.capacity = 1000,
			.held_bytes = 8192}};
	const struct container *first, *second;

	apply(&w, made);
	first = model_find_container(w.model, w.target, FAMILY_CHANNEL, 0x5000);
	cr_assert_eq(first->created_capacity, 1000);
	cr_assert_eq(first->held_bytes, 8192);
	apply(&w, made);
	second = model_find_container(w.model, w.target, FAMILY_CHANNEL, 0x5000);
	cr_assert(first->dead);
	cr_assert_neq(first, second);
	cr_assert_eq(model_site(w.model, w.site)->growths, 0);
	cr_assert_eq(model_site(w.model, w.site)->containers, 2);
	cr_assert_eq(model_site(w.model, w.site)->allocated_bytes, 2 * 8192);
	world_done(&w);
}

Test(model, slice_at_a_used_address_ends_the_old_one)
{
	struct world w = world_new();
	const struct container *first, *second;

	grow_slice(&w, w.site, 0, 0x1000, 0, 64);
	first = model_find_container(w.model, w.target, FAMILY_SLICE, 0x1000);
	grow_slice(&w, w.site, 0x7000, 0x1000, 512, 1024);
	second = model_find_container(w.model, w.target, FAMILY_SLICE, 0x1000);
	cr_assert_neq(first, second);
	cr_assert(first->dead);
	cr_assert_not(second->dead);
	world_done(&w);
}

Test(model, slice_chain_breaks_where_sizes_disagree)
{
	struct world w = world_new();
	const struct container *first, *second;

	grow_slice(&w, w.site, 0, 0x1000, 0, 64);
	first = model_find_container(w.model, w.target, FAMILY_SLICE, 0x1000);
	/* 4 KiB at 0x1000 is another array: the 64 bytes there were freed meanwhile. */
	grow_slice(&w, w.site, 0x1000, 0x2000, 4096, 8192);
	second = model_find_container(w.model, w.target, FAMILY_SLICE, 0x2000);
	cr_assert(first->dead);
	cr_assert_neq(first, second);
	cr_assert_eq(second->growths, 1);
	world_done(&w);
}

Test(model, smaller_map_at_the_same_address_is_another)
{
	struct world w = world_new();
	const struct container *first;

	fill_map(&w, w.site, 0xc000, 65536);
	first = map_at(&w, 0xc000);
	fill_map(&w, w.site, 0xc000, 65536);
	cr_assert(first->dead);
	cr_assert_neq(map_at(&w, 0xc000), first);
	cr_assert_eq(map_at(&w, 0xc000)->growths, 13);
	cr_assert_eq(model_site(w.model, w.site)->generation_count, 1);
	cr_assert(model_site(w.model, w.site)->generations[0].ended);
	world_done(&w);
}

Test(model, look_dead_ends_it)
{
	struct world w = world_new();
	struct event event = map_look(&w, 0xc000, 10, 65536);

	find_map(&w, 0xc000);
	look(&w, 0xc000, 10, 65536);
	event.look.liveness = LIVENESS_DEAD;
	apply(&w, event);
	cr_assert_null(map_at(&w, 0xc000));
	cr_assert(model_container(w.model, 0)->dead);
	world_done(&w);
}

/* Its record has waited: found dead meanwhile, it is no other map. What grows there later is. */
Test(model, growth_told_after_its_death)
{
	struct world w = world_new();
	struct event event;

	grow_map(&w, w.site, 0xc000, 16);
	wait_ms(&w, 50);
	event = map_look(&w, 0xc000, 10, 65536);
	event.look.liveness = LIVENESS_DEAD;
	apply(&w, event);
	w.now_ns -= 20 * NSEC_PER_MSEC;
	grow_map(&w, w.site, 0xc000, 32);
	cr_assert_null(map_at(&w, 0xc000));
	cr_expect_eq(model_container_count(w.model), 1);
	cr_expect_eq(model_container(w.model, 0)->growths, 2);
	cr_expect_eq(model_site(w.model, w.site)->containers, 1);
	cr_expect_eq(model_site(w.model, w.site)->growths, 2);
	wait_ms(&w, 40);
	grow_map(&w, w.site, 0xc000, 64);
	cr_expect_eq(model_container_count(w.model), 2);
	cr_expect_eq(model_site(w.model, w.site)->containers, 2);
	world_done(&w);
}

Test(model, smallest_makes_room)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);

	for (uint64_t i = 0; i < MODEL_MAX_CONTAINERS; i++)
		look(&w, 0x10000 + i * 64, 10, i ? 65536 : 128);
	cr_assert_eq(target->containers_dropped, 0);
	look(&w, 0x1, 10, 131072);
	cr_assert_not_null(map_at(&w, 0x1));
	cr_assert_null(map_at(&w, 0x10000));
	cr_assert_eq(target->containers_dropped, 1);
	look(&w, 0x2, 10, 16);
	cr_assert_null(map_at(&w, 0x2));
	cr_assert_eq(target->containers_dropped, 2);
	cr_assert_eq(model_container_count(w.model), MODEL_MAX_CONTAINERS);
	world_done(&w);
}

Test(model, dead_makes_room_before_small)
{
	struct world w = world_new();
	struct event event = map_look(&w, 0x10000 + 64 * 77, 0, 8);

	for (uint64_t i = 0; i < MODEL_MAX_CONTAINERS; i++)
		look(&w, 0x10000 + i * 64, 10, i == 77 ? 1048576 : 128);
	event.look.liveness = LIVENESS_DEAD;
	apply(&w, event);
	look(&w, 0x1, 1, 16);
	cr_assert_not_null(map_at(&w, 0x1));
	cr_assert_eq(model_target(w.model, w.target)->containers_dropped, 0);
	world_done(&w);
}

Test(model, history_widens)
{
	struct world w = world_new();
	const struct container *map;

	for (uint64_t i = 0; i < 6000; i++, wait_ms(&w, 100))
		look(&w, 0xc000, i, 65536);
	map = map_at(&w, 0xc000);
	cr_assert_leq(map->slot_count, MODEL_SLOTS);
	cr_assert_geq(map->slot_count, MODEL_SLOTS / 4);
	cr_assert_eq(map->slots[0].start_ns, START_NS);
	cr_assert_eq(map->slots[0].min, 0);
	cr_assert_eq(map->slots[map->slot_count - 1].last, 5999);
	for (uint32_t i = 1; i < map->slot_count; i++) {
		cr_assert_gt(map->slots[i].start_ns, map->slots[i - 1].start_ns);
		cr_assert_eq(map->slots[i].min, map->slots[i - 1].max + 1);
	}
	cr_assert_eq(map->length_peak, 5999);
	cr_assert_eq(map->looks, 6000);
	world_done(&w);
}

/* Everything but what the model keeps of quiet ones for itself. */
static void check_alike(const struct world *a, const struct world *b, uint64_t key)
{
	const struct container *x = model_find_container(a->model, a->target, FAMILY_MAP, key);
	const struct container *y = model_find_container(b->model, b->target, FAMILY_MAP, key);
	const struct target *target = model_target(b->model, b->target);

	cr_assert(x && y);
	cr_expect_eq(x->looks, y->looks);
	cr_expect_eq(x->looks_known, y->looks_known);
	cr_expect_eq(x->look_ns, y->look_ns);
	cr_expect_eq(x->last_ns, y->last_ns);
	cr_expect_eq(x->writes, y->writes);
	cr_expect_eq(x->written_ns, y->written_ns);
	cr_expect_eq(x->peak_ns, y->peak_ns);
	cr_expect_eq(x->held_bytes, y->held_bytes);
	cr_expect_eq(x->held_changed_ns, y->held_changed_ns);
	cr_expect_eq(x->slot_ns, y->slot_ns);
	cr_assert_eq(x->slot_count, y->slot_count);
	cr_expect_arr_eq(x->slots, y->slots, x->slot_count * sizeof(*x->slots));
	cr_expect_eq(model_target(a->model, a->target)->last_ns, target->last_ns);
	cr_expect_eq(model_target(a->model, a->target)->steady_ns, target->steady_ns);
}

/* One world is told of each look, the other that nothing is new: as much is known in both. */
Test(model, quiet_is_as_if_looked_at)
{
	struct world told = world_new(), spared = world_new();
	uint64_t key = 0xc000, other = 0xd000;

	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t length = i < 600 ? 3 : 4;

		heap(&told);
		heap(&spared);
		look(&told, key, length, 65536);
		look(&told, other, i, 65536);
		look(&spared, other, i, 65536);
		if (i == 20 || i == 600) {
			look(&spared, key, length, 65536);
			model_begin_quiet(spared.model, spared.target, FAMILY_MAP, key);
			cr_assert_eq(model_quiet(spared.model, spared.target).count, 1);
			cr_assert_eq(model_quiet(spared.model, spared.target).sum,
				model_quiet_word(FAMILY_MAP, key));
		} else if (i < 20) {
			look(&spared, key, length, 65536);
		} else {
			model_apply_quiet(spared.model, spared.target, spared.now_ns);
		}
		if (i % 150 == 149 || i == 601)
			check_alike(&told, &spared, key);
		wait_ms(&told, 100);
		wait_ms(&spared, 100);
	}
	check_alike(&told, &spared, key);
	check_alike(&told, &spared, other);
	world_done(&told);
	world_done(&spared);
}

static uint64_t quiet_count(const struct world *w)
{
	return model_quiet(w->model, w->target).count;
}

Test(model, quiet_ends_with_the_next_event)
{
	struct world w = world_new();
	uint32_t site = world_site(&w, FAMILY_MAP, "map[int]main.session", "main.f", 7);
	struct event event = map_look(&w, 0xc000, 0, 8);

	model_begin_quiet(w.model, w.target, FAMILY_MAP, 0xc000);
	cr_expect_eq(quiet_count(&w), 0, "nothing is known of it");
	grow_map(&w, site, 0xc000, 65536);
	model_begin_quiet(w.model, w.target, FAMILY_MAP, 0xc000);
	cr_expect_eq(quiet_count(&w), 0, "no look has said anything");
	look(&w, 0xc000, 3, 65536);
	model_begin_quiet(w.model, w.target, FAMILY_MAP, 0xc000);
	model_begin_quiet(w.model, w.target, FAMILY_MAP, 0xc000);
	cr_expect_eq(quiet_count(&w), 1);
	grow_map(&w, site, 0xc000, 131072);
	cr_expect_eq(quiet_count(&w), 0);
	look(&w, 0xc000, 3, 131072);
	look(&w, 0xe000, 3, 131072);
	model_begin_quiet(w.model, w.target, FAMILY_MAP, 0xc000);
	model_begin_quiet(w.model, w.target, FAMILY_MAP, 0xe000);
	model_end_quiet(w.model, w.target, FAMILY_MAP, 0xe000);
	cr_expect_eq(model_quiet(w.model, w.target).sum, model_quiet_word(FAMILY_MAP, 0xc000));
	event.look.liveness = LIVENESS_DEAD;
	apply(&w, event);
	cr_expect_eq(quiet_count(&w), 0);
	cr_expect_eq(model_quiet(w.model, w.target).sum, 0);
	model_begin_quiet(w.model, w.target, FAMILY_MAP, 0xe000);
	model_end_all_quiet(w.model, w.target);
	cr_expect_eq(quiet_count(&w), 0);
	world_done(&w);
}

/* What is quiet was seen a moment ago: of equals, others make room. */
Test(model, quiet_is_not_silent)
{
	struct world w = world_new();

	for (uint64_t i = 0; i < MODEL_MAX_CONTAINERS; i++)
		look(&w, 0x10000 + i * 64, 10, 128);
	model_begin_quiet(w.model, w.target, FAMILY_MAP, 0x10000);
	wait_ms(&w, 100);
	model_apply_quiet(w.model, w.target, w.now_ns);
	look(&w, 0x1, 10, 131072);
	cr_expect_not_null(map_at(&w, 0x10000));
	cr_expect_eq(quiet_count(&w), 1);
	for (uint64_t i = 1; i < MODEL_MAX_CONTAINERS; i++)
		look(&w, 0x20000000 + i * 64, 10, 131072);
	cr_expect_null(map_at(&w, 0x10000));
	cr_expect_eq(quiet_count(&w), 0);
	world_done(&w);
}

Test(model, shallow_look_keeps_the_deep_one)
{
	struct world w = world_new();
	struct event shallow = map_look(&w, 0xc000, 500, 0);

	look(&w, 0xc000, 400, 65536);
	wait_ms(&w, 100);
	shallow.look.held_bytes = shallow.look.need_bytes = shallow.look.load_limit = 0;
	shallow.look.need_peak_bytes = shallow.look.resident_bytes = 0;
	shallow.look.has_resident = false;
	apply(&w, shallow);
	cr_assert_eq(map_at(&w, 0xc000)->look.length, 500);
	cr_assert_eq(map_at(&w, 0xc000)->look.capacity, 65536);
	cr_assert_eq(map_at(&w, 0xc000)->look.held_bytes, map_bytes(65536));
	cr_assert(map_at(&w, 0xc000)->look.has_resident);
	cr_assert_eq(map_at(&w, 0xc000)->capacity_changed_ns, START_NS);
	world_done(&w);
}

/* ---- proof of life ---- */

static void mark(
	struct world *w, uint64_t key, enum liveness liveness, uint32_t cycle, uint64_t stamp)
{
	struct event event = map_look(w, key, 10, 65536);

	event.look.liveness = liveness;
	event.look.marked_cycle = cycle;
	event.look.stamp = stamp;
	apply(w, event);
}

static bool is_alive(struct world *w, uint64_t key, uint64_t t0_ns)
{
	return model_container_alive_since(w->model, map_at(w, key), t0_ns);
}

Test(model, alive_by_a_gc_that_began_later)
{
	struct world w = world_new();

	w.gc_cycles = 5;
	heap(&w);
	mark(&w, 0xc000, LIVENESS_MARKED, 5, 1);
	cr_assert_not(is_alive(&w, 0xc000, START_NS), "marked before");
	wait_ms(&w, 1000);
	w.gc_cycles = 6;
	heap(&w);
	mark(&w, 0xc000, LIVENESS_MARKED, 5, 1);
	cr_assert_not(is_alive(&w, 0xc000, START_NS), "not found by the new cycle");
	mark(&w, 0xc000, LIVENESS_ALLOCATED, 6, 1);
	cr_assert_not(is_alive(&w, 0xc000, START_NS), "may be garbage");
	mark(&w, 0xc000, LIVENESS_MARKED, 6, 1);
	cr_assert(is_alive(&w, 0xc000, START_NS));
	cr_assert_not(is_alive(&w, 0xc000, START_NS + NSEC_PER_SEC), "not since then");
	world_done(&w);
}

Test(model, a_running_gc_does_not_count)
{
	struct world w = world_new();

	apply(&w, (struct event){.kind = EVENT_HEAP, .heap = {.gc_cycles = 5, .gc_running = true}});
	mark(&w, 0xc000, LIVENESS_MARKED, 5, 1);
	wait_ms(&w, 1000);
	w.gc_cycles = 6;
	heap(&w);
	mark(&w, 0xc000, LIVENESS_MARKED, 6, 1);
	cr_assert_not(is_alive(&w, 0xc000, START_NS));
	w.gc_cycles = 7;
	heap(&w);
	mark(&w, 0xc000, LIVENESS_MARKED, 7, 1);
	cr_assert(is_alive(&w, 0xc000, START_NS));
	world_done(&w);
}

Test(model, an_old_count_of_cycles_proves_nothing)
{
	struct world w = world_new();

	w.gc_cycles = 5;
	heap(&w);
	/* Cycle 6 ran in the second before; we only hear of it later. */
	wait_ms(&w, 1000);
	w.gc_cycles = 6;
	mark(&w, 0xc000, LIVENESS_MARKED, 6, 1);
	cr_assert_not(is_alive(&w, 0xc000, w.now_ns));
	wait_ms(&w, 100);
	heap(&w);
	cr_assert_not(is_alive(&w, 0xc000, w.now_ns - 100 * NSEC_PER_MSEC));
	world_done(&w);
}

Test(model, alive_by_root_write_or_growth)
{
	struct world w = world_new();

	mark(&w, 0xa, LIVENESS_ROOTED, 0, 1);
	mark(&w, 0xb, LIVENESS_ALLOCATED, 0, 1);
	mark(&w, 0xc, LIVENESS_ALLOCATED, 0, 1);
	cr_assert(is_alive(&w, 0xa, START_NS));
	cr_assert_not(is_alive(&w, 0xb, START_NS - NSEC_PER_SEC), "a first look is no write");
	wait_ms(&w, 100);
	mark(&w, 0xb, LIVENESS_ALLOCATED, 0, 2);
	grow_map(&w, w.site, 0xc, 131072);
	cr_assert(is_alive(&w, 0xb, START_NS));
	cr_assert_not(is_alive(&w, 0xb, w.now_ns));
	cr_assert(is_alive(&w, 0xc, START_NS));
	world_done(&w);
}

/* ---- time lines ---- */

Test(model, share_counts_open_time)
{
	struct world w = world_new();

	cr_assert_float_eq(model_open_share(w.model, w.target, FAMILY_MAP), 0, 0);
	usage(&w);
	wait_ms(&w, 300);
	share(&w, FAMILY_MAP, true);
	wait_ms(&w, 1000);
	usage(&w);
	cr_assert_float_eq(model_open_share(w.model, w.target, FAMILY_MAP), 1, 0);
	cr_assert_eq(model_scale(w.model, w.target, FAMILY_MAP, 100), 100);
	share(&w, FAMILY_MAP, false);
	wait_ms(&w, 3000);
	share(&w, FAMILY_MAP, true);
	cr_assert_float_eq(model_open_share(w.model, w.target, FAMILY_MAP), 0.25, 1e-9);
	cr_assert_eq(model_scale(w.model, w.target, FAMILY_MAP, 100), 400);
	cr_assert_eq(model_scale(w.model, w.target, FAMILY_SLICE, 100), 100);
	world_done(&w);
}

/* Probes of slices show the growth of buffers, too, until these have probes of their own. */
Test(model, buffers_are_seen_through_the_probes_of_slices)
{
	struct world w = world_new();

	share(&w, FAMILY_SLICE, true);
	wait_ms(&w, 1000);
	share(&w, FAMILY_SLICE, false);
	wait_ms(&w, 1000);
	usage(&w);
	cr_assert_float_eq(model_open_share(w.model, w.target, FAMILY_BUFFER), 0.5, 1e-9);
	cr_assert_eq(model_scale(w.model, w.target, FAMILY_BUFFER, 100), 200);
	cr_assert_gt(
		model_open_share_between(w.model, w.target, FAMILY_BUFFER, START_NS, w.now_ns), 0);
	share(&w, FAMILY_BUFFER, true);
	wait_ms(&w, 1000);
	usage(&w);
	cr_assert_float_eq(model_open_share(w.model, w.target, FAMILY_BUFFER), 1, 0);
	world_done(&w);
}

Test(model, closing_after_the_end_is_still_exact)
{
	struct world w = world_new();
	uint64_t end_ns;

	share(&w, FAMILY_MAP, true);
	wait_ms(&w, 1000);
	end_ns = w.now_ns;
	share(&w, FAMILY_MAP, false);
	wait_ms(&w, 500);
	usage(&w);
	cr_assert_lt(model_open_share(w.model, w.target, FAMILY_MAP), 1);
	model_set_clock(w.model, START_NS, 1, end_ns);
	cr_assert_float_eq(model_open_share(w.model, w.target, FAMILY_MAP), 1, 0);
	world_done(&w);
}

Test(model, usage_is_thinned_and_keeps_the_peak)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);

	for (int i = 0; i < 20000; i++, wait_ms(&w, 100)) {
		w.rss_bytes = i == 12345 ? MIB(107) : MIB(100);
		usage(&w);
	}
	cr_assert_leq(target->usage_count, MODEL_USAGE_SAMPLES);
	cr_assert_eq(model_rss_max(target, 0, w.now_ns), MIB(107));
	cr_assert_eq(target->peak_bytes, MIB(107));
	world_done(&w);
}

Test(model, start_up_ends_by_age_or_slope)
{
	struct world old = world_new(), young = world_new_aged(0);
	const struct target *target = model_target(young.model, young.target);

	usage(&old);
	cr_assert_eq(model_target(old.model, old.target)->steady_ns, START_NS);
	for (int i = 0; i < 150; i++, wait_ms(&young, 100)) {
		young.rss_bytes += MIB(1);
		usage(&young);
	}
	cr_assert_eq(target->steady_ns, 0);
	for (int i = 0; i < 110; i++, wait_ms(&young, 100))
		usage(&young);
	cr_assert_neq(target->steady_ns, 0);
	world_done(&old);
	world_done(&young);
}

Test(model, exec_starts_over)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);

	usage(&w);
	look(&w, 0xc000, 10, 65536);
	wait_ms(&w, 1000);
	apply(&w, (struct event){.kind = EVENT_EXEC});
	cr_assert_null(map_at(&w, 0xc000));
	cr_assert_eq(target->steady_ns, 0);
	cr_assert_eq(target->execs, 1);
	wait_ms(&w, 61000);
	usage(&w);
	cr_assert_neq(target->steady_ns, 0);
	world_done(&w);
}

Test(model, rss_slope)
{
	struct world w = world_new();

	for (int i = 0; i < 100; i++, wait_ms(&w, 100)) {
		w.rss_bytes += 1000;
		usage(&w);
	}
	cr_assert_float_eq(
		model_rss_slope(model_target(w.model, w.target), 5 * NSEC_PER_SEC), 10000, 1);
	world_done(&w);
}

/* ---- spikes ---- */

static void quiet(struct world *w, int tenths)
{
	for (int i = 0; i < tenths; i++, wait_ms(w, 100))
		usage(w);
}

Test(model, spike_of_a_growth_is_explained)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);
	const struct spike *spike;

	open_all(&w);
	quiet(&w, 50);
	grow_map(&w, w.site, 0xc000, 2097152);
	for (int i = 0; i < 4; i++, wait_ms(&w, 100)) {
		w.rss_bytes += MIB(9);
		usage(&w);
	}
	quiet(&w, 100);
	cr_assert_eq(target->spike_count, 1);
	spike = &target->spikes[0];
	cr_assert_eq(spike->after_bytes - spike->before_bytes, MIB(36));
	cr_assert_not(spike->start_up);
	cr_assert_eq(spike->cause_count, 1);
	cr_assert_eq(spike->causes[0].site, w.site);
	cr_assert_eq(spike->causes[0].family, FAMILY_MAP);
	cr_assert_eq(spike->causes[0].bytes, MIB(36));
	cr_assert_eq(spike->explained_bytes, MIB(36));
	cr_assert_eq(spike->avoidable_bytes, MIB(18));
	world_done(&w);
}

static void fault(struct world *w, const struct event_faults *faults)
{
	apply(w, (struct event){.kind = EVENT_FAULTS, .faults = *faults});
}

/* A sample stands for the bytes that RSS gained, not for so many faults. */
Test(model, causes_of_a_spike_are_the_bytes_of_its_faults)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);
	uint32_t other = world_site(&w, FAMILY_NONE, "", "main.load", 9);
	const struct spike *spike;

	quiet(&w, 50);
	fault(&w, &(struct event_faults){.addr = 1, .site = other, .faults = 1, .bytes = MIB(30)});
	fault(&w, &(struct event_faults){
			  .addr = 2, .faults = 40, .bytes = MIB(15), .mapping = MAPPING_BRK});
	fault(&w, &(struct event_faults){.addr = 3, .faults = 59, .bytes = MIB(5)});
	w.rss_bytes += MIB(50);
	quiet(&w, 50);
	cr_assert_eq(target->spike_count, 1);
	spike = &target->spikes[0];
	cr_assert_eq(target->faults, 100);
	cr_assert_eq(spike->cause_count, 2, "what nobody knows anything of is no cause");
	cr_assert_eq(spike->causes[0].site, other);
	cr_assert_eq(spike->causes[0].family, FAMILY_NONE);
	cr_assert_eq(spike->causes[0].bytes, MIB(30));
	cr_assert_eq(spike->causes[1].mapping, MAPPING_BRK);
	cr_assert_eq(spike->explained_bytes, MIB(45));
	world_done(&w);
}

Test(model, touching_an_array_is_its_growth_whoever_does_it)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);
	uint32_t toucher = world_site(&w, FAMILY_NONE, "", "main.evacuates", 9);
	const struct spike *spike;

	open_all(&w);
	grow_map(&w, w.site, 0xc000, 1048576);
	quiet(&w, 100);
	fault(&w,
		&(struct event_faults){
			.addr = 1, .site = toucher, .key = 0xc000, .faults = 10, .bytes = MIB(20)});
	/* of a container that is gone, only the growth is known */
	fault(&w, &(struct event_faults){.addr = 2,
			  .site = toucher,
			  .grown_site = w.site,
			  .faults = 10,
			  .bytes = MIB(4)});
	w.rss_bytes += MIB(24);
	quiet(&w, 50);
	spike = &target->spikes[target->spike_count - 1];
	cr_assert_eq(spike->cause_count, 1);
	cr_assert_eq(spike->causes[0].site, w.site);
	cr_assert_eq(spike->causes[0].family, FAMILY_MAP);
	cr_assert_eq(spike->causes[0].bytes, MIB(24));
	cr_assert_eq(model_site(w.model, w.site)->fault_bytes, MIB(24));
	world_done(&w);
}

/* Arrays that come and go between two looks: the runtime's own code says what it filled. */
Test(model, pages_that_filling_a_container_touched_are_its_growth)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);
	uint32_t same = world_site(&w, FAMILY_NONE, "", "main.(*Cache).Put", 42);
	uint32_t elsewhere = world_site(&w, FAMILY_NONE, "", "main.other", 9);
	const struct spike *spike;

	open_all(&w);
	grow_map(&w, w.site, 0xc000, 1048576);
	quiet(&w, 100);
	for (int i = 0; i < 2; i++)
		fault(&w, &(struct event_faults){.addr = 1,
				  .site = i ? elsewhere : same,
				  .family = FAMILY_MAP,
				  .mapping = MAPPING_RUNTIME,
				  .faults = 10,
				  .bytes = MIB(20)});
	fault(&w, &(struct event_faults){.addr = 1,
			  .site = same,
			  .direct = true,
			  .mapping = MAPPING_RUNTIME,
			  .bytes = MIB(5)});
	/* what a value needs is no map, though it is made on the same line */
	fault(&w, &(struct event_faults){.addr = 1,
			  .site = same,
			  .mapping = MAPPING_RUNTIME,
			  .faults = 10,
			  .bytes = MIB(10)});
	w.rss_bytes += MIB(55);
	quiet(&w, 50);
	spike = &target->spikes[target->spike_count - 1];
	cr_assert_eq(spike->cause_count, 3);
	cr_assert_eq(spike->causes[0].site, w.site);
	cr_assert_eq(spike->causes[0].family, FAMILY_MAP);
	cr_assert_eq(spike->causes[0].bytes, MIB(25));
	cr_assert_eq(spike->causes[1].site, elsewhere);
	cr_assert_eq(spike->causes[1].family, FAMILY_NONE);
	cr_assert_eq(spike->causes[2].site, same);
	world_done(&w);
}

/* The step is known whole: what was sampled stands for what was not. */
Test(model, causes_are_scaled_where_the_budget_closed_faults)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);
	uint32_t site = world_site(&w, FAMILY_NONE, "", "main.load", 9);
	const struct spike *spike;

	apply(&w, (struct event){.kind = EVENT_SHARE, .share = {FAMILY_NONE, true}});
	quiet(&w, 50);
	fault(&w, &(struct event_faults){.addr = 1, .site = site, .bytes = MIB(30)});
	fault(&w, &(struct event_faults){.addr = 2, .bytes = MIB(10), .mapping = MAPPING_BRK});
	apply(&w, (struct event){.kind = EVENT_SHARE, .share = {FAMILY_NONE, false}});
	w.rss_bytes += MIB(80);
	quiet(&w, 50);
	spike = &target->spikes[0];
	cr_assert(spike->estimated);
	cr_assert_eq(spike->sampled_bytes, MIB(40));
	cr_assert_eq(spike->causes[0].bytes, MIB(60));
	cr_assert_eq(spike->causes[1].bytes, MIB(20));
	cr_assert_eq(spike->explained_bytes, MIB(80));
	world_done(&w);
}

/* Arrays stand in for faults that were not sampled; what was sampled of them is the same cause. */
Test(model, growth_and_faults_of_a_site_are_one_cause)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);
	const struct spike *spike;

	open_all(&w);
	quiet(&w, 50);
	grow_map(&w, w.site, 0xc000, 1048576);
	fault(&w, &(struct event_faults){
			  .addr = 1, .key = 0xc000, .bytes = MIB(2), .mapping = MAPPING_RUNTIME});
	w.rss_bytes += MIB(30);
	quiet(&w, 50);
	spike = &target->spikes[0];
	cr_assert_eq(spike->sampled_bytes, MIB(2));
	cr_assert_eq(spike->cause_count, 1);
	cr_assert_eq(spike->causes[0].site, w.site);
	cr_assert_gt(spike->causes[0].bytes, MIB(16), "%llu",
		(unsigned long long)spike->causes[0].bytes);
	world_done(&w);
}

/* Too little was sampled to stand for the rest, or nothing was closed: the hole is shown. */
Test(model, causes_are_not_scaled_out_of_nothing)
{
	for (int closed = 0; closed < 2; closed++) {
		struct world w = world_new();
		const struct target *target = model_target(w.model, w.target);
		uint64_t bytes = closed ? MIB(7) : MIB(40);

		apply(&w, (struct event){.kind = EVENT_SHARE, .share = {FAMILY_NONE, true}});
		quiet(&w, 50);
		fault(&w,
			&(struct event_faults){.addr = 2, .bytes = bytes, .mapping = MAPPING_BRK});
		apply(&w, (struct event){.kind = EVENT_SHARE, .share = {FAMILY_NONE, !closed}});
		w.rss_bytes += MIB(80);
		quiet(&w, 50);
		cr_assert_not(target->spikes[0].estimated);
		cr_assert_eq(target->spikes[0].explained_bytes, bytes);
		world_done(&w);
	}
}

/* What the black box knows: the newest first, alike ones together, small ones not at all. */
Test(model, what_happened_last_is_remembered)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);
	const struct recent *recent;

	open_all(&w);
	cr_assert_null(model_recent(target, 0));
	grow_map(&w, w.site, 0xc000, 16);
	cr_assert_null(model_recent(target, 0), "too small to matter");
	for (int i = 0; i < 3; i++, wait_ms(&w, 100))
		grow_map(&w, w.site, 0xc000, 1048576u << i);
	apply(&w, (struct event){.kind = EVENT_MEMORY, .memory = {.lost_bytes = MIB(3)}});
	recent = model_recent(target, 0);
	cr_assert_eq(recent->kind, RECENT_RETURNED);
	cr_assert_eq(recent->bytes, MIB(3));
	recent = model_recent(target, 1);
	cr_assert_eq(recent->kind, RECENT_GROWTH);
	cr_assert_eq(recent->count, 3);
	cr_assert_eq(recent->capacity, 4194304);
	cr_assert_null(model_recent(target, 2));
	for (int i = 0; i < 3 * MODEL_RECENT; i++, wait_ms(&w, 1100))
		grow_map(&w, w.site, 0xc000, 1048576);
	cr_assert_not_null(model_recent(target, MODEL_RECENT - 1));
	cr_assert_null(model_recent(target, MODEL_RECENT));
	world_done(&w);
}

/* RSS went up and down again between two looks: only the kernel's own peak knows. */
Test(model, a_peak_between_two_looks_is_a_step)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);
	uint64_t low = w.rss_bytes, peak = low + MIB(100);

	quiet(&w, 50);
	apply(&w, (struct event){.kind = EVENT_USAGE, .usage = {low, 0, low + MIB(2), 0}});
	wait_ms(&w, 100);
	apply(&w, (struct event){.kind = EVENT_USAGE, .usage = {low, 0, peak, 0}});
	quiet(&w, 50);
	cr_assert_eq(target->spike_count, 1);
	cr_assert_eq(target->spikes[0].after_bytes, peak);
	cr_assert_eq(target->rss_bytes, low);
	cr_assert_eq(target->peak_bytes, peak);
	world_done(&w);
}

Test(model, what_was_given_back_meanwhile_is_told_beside_the_causes)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);
	const struct spike *spike;

	quiet(&w, 50);
	fault(&w, &(struct event_faults){
			  .addr = 1, .faults = 1, .bytes = MIB(30), .mapping = MAPPING_ANON});
	apply(&w, (struct event){.kind = EVENT_MEMORY,
			  .memory = {.call = MEMORY_MUNMAP,
				  .unmapped_bytes = MIB(16),
				  .lost_bytes = MIB(10)}});
	w.rss_bytes += MIB(20);
	quiet(&w, 50);
	spike = &target->spikes[0];
	cr_assert_eq(spike->causes[0].bytes, MIB(30));
	cr_assert_eq(spike->lost_bytes, MIB(10));
	cr_assert_eq(spike->explained_bytes, MIB(20), "never more than the step");
	cr_assert_eq(target->memory[MEMORY_MUNMAP].unmapped_bytes, MIB(16));
	cr_assert_eq(target->lost_bytes, MIB(10));
	world_done(&w);
}

/* A fault is told when the containers have been looked at: that may be after the spike is over. */
Test(model, a_cause_that_comes_late_is_still_counted)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);
	uint64_t then_ns;

	quiet(&w, 50);
	w.rss_bytes += MIB(20);
	usage(&w);
	then_ns = target->last_ns;
	wait_ms(&w, 100);
	quiet(&w, 50);
	cr_assert_eq(target->spikes[0].cause_count, 0);
	model_apply(w.model, &(struct event){.kind = EVENT_FAULTS,
				     .target = w.target,
				     .time_ns = then_ns,
				     .faults = {.addr = 1,
					     .faults = 1,
					     .bytes = MIB(20),
					     .mapping = MAPPING_STACK}});
	cr_assert_eq(target->spikes[0].cause_count, 1);
	cr_assert_eq(target->spikes[0].explained_bytes, MIB(20));
	world_done(&w);
}

Test(model, causes_are_bounded_and_the_rest_is_summed_up)
{
	struct world w = world_new();
	struct cause causes[3];
	uint64_t lost, sum = 0;
	size_t count;

	for (uint32_t i = 1; i <= 2 * MODEL_CAUSE_SLOTS; i++, wait_ms(&w, 1))
		fault(&w, &(struct event_faults){.addr = i,
				  .faults = 1,
				  .bytes = i,
				  .lost_bytes = 1,
				  .mapping = MAPPING_FILE,
				  .name = i});
	count = model_causes(w.model, w.target, 0, UINT64_MAX, causes, 3, &lost);
	cr_assert_eq(count, 3);
	cr_assert_eq(lost, MODEL_CAUSE_SLOTS, "the oldest are forgotten");
	cr_assert_eq(causes[0].bytes, 2 * MODEL_CAUSE_SLOTS);
	cr_assert_eq(causes[2].mapping, MAPPING_UNKNOWN);
	for (size_t i = 0; i < count; i++)
		sum += causes[i].bytes;
	cr_assert_eq(sum, (uint64_t)MODEL_CAUSE_SLOTS * (3 * MODEL_CAUSE_SLOTS + 1) / 2);
	world_done(&w);
}

Test(model, faults_in_a_known_array_are_not_told_twice)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);
	uint32_t same_place = world_site(&w, FAMILY_NONE, "", "main.(*Cache).Put", 42);

	open_all(&w);
	quiet(&w, 50);
	grow_map(&w, w.site, 0xc000, 1048576);
	apply(&w, (struct event){.kind = EVENT_FAULTS,
			  .faults = {.addr = 1, .site = same_place, .faults = 100}});
	w.rss_bytes += map_bytes(1048576);
	quiet(&w, 50);
	cr_assert_eq(target->spikes[0].cause_count, 1);
	cr_assert_eq(target->spikes[0].causes[0].bytes, map_bytes(1048576));
	world_done(&w);
}

Test(model, small_and_slow_steps_are_no_spikes)
{
	struct world w = world_new();

	quiet(&w, 50);
	w.rss_bytes += MIB(9.9);
	quiet(&w, 700);
	for (int i = 0; i < 60; i++) {
		w.rss_bytes += MIB(1);
		quiet(&w, 100);
	}
	cr_assert_eq(model_target(w.model, w.target)->spike_count, 0);
	world_done(&w);
}

Test(model, sawtooth_is_bounded)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);

	for (int i = 0; i < 200; i++) {
		w.rss_bytes = MIB(100);
		quiet(&w, 30);
		w.rss_bytes = MIB(150 + i % 7);
		quiet(&w, 30);
	}
	cr_assert_eq(target->spike_count, MODEL_MAX_SPIKES);
	cr_assert_eq(target->spike_count + target->spikes_dropped, 200);
	for (size_t i = 1; i < target->spike_count; i++)
		cr_assert_lt(target->spikes[i - 1].end_ns, target->spikes[i].end_ns);
	world_done(&w);
}

/* ---- the rest ---- */

Test(model, the_same_skip_is_told_once_and_all_are_bounded)
{
	struct world w = world_new();
	char what[32];

	model_add_skip(w.model, "goroutines", "not told");
	model_add_skip(w.model, "goroutines", "not told");
	model_add_skip(w.model, "goroutines", "too many");
	cr_assert_eq(model_skip_count(w.model), 2);
	for (int i = 0; i < MODEL_MAX_SKIPS + 10; i++) {
		snprintf(what, sizeof(what), "library %d", i);
		model_add_skip(w.model, what, "cannot be parsed");
	}
	cr_assert_eq(model_skip_count(w.model), MODEL_MAX_SKIPS);
	world_done(&w);
}

Test(model, complete_means_nothing_lost)
{
	struct model *m = model_new();

	cr_assert(model_complete(m));
	model_set_source(m, "map", 10, 10, 10, 0);
	cr_assert(model_complete(m));
	model_set_source(m, "map", 10, 10, 9, 0);
	cr_assert_not(model_complete(m), "one is missing");
	model_set_source(m, "map", 10, 10, 9, 1);
	cr_assert_not(model_complete(m), "one is lost");
	model_set_source(m, "map", 10, 10, 10, 0);
	cr_assert_eq(model_source_count(m), 1);
	model_add_incomplete(m, "the census ran out of time");
	cr_assert_not(model_complete(m));
	cr_assert_str_eq(model_incomplete(m, 0), "the census ran out of time");
	model_free(m);
}

Test(model, rates_of_a_site)
{
	struct world w = world_new();
	struct rate_slot window;

	for (int i = 0; i < 100; i++, wait_ms(&w, 1000))
		grow_map(&w, w.site, 0xc000 + (uint64_t)i, 16);
	model_site_window(
		model_site(w.model, w.site), w.now_ns - 10 * NSEC_PER_SEC, w.now_ns, &window);
	cr_assert_eq(window.growths, 10);
	cr_assert_eq(window.garbage_bytes, 10 * map_bytes(8));
	world_done(&w);
}

static struct event random_event(const uint32_t *sites, unsigned int *seed)
{
	uint64_t r = (uint64_t)rand_r(seed) << 31 ^ (uint64_t)rand_r(seed);
	struct event event = {.kind = (enum event_kind)(r % (EVENT_KINDS + 1))};
	uint64_t *words = (uint64_t *)&event.growth;

	/* Any bits at all, then what an honest decoder guarantees: booleans and families. */
	for (size_t i = 0; i < sizeof(event.look) / sizeof(*words); i++)
		words[i] = r % 7 ? (uint64_t)rand_r(seed) << (r % 30) : ~0ull;
	event.target = r % 100 ? (uint32_t)(r % 2) : 1000;
	switch (event.kind) {
	case EVENT_GROWTH:
		event.growth = (struct event_growth){(enum family)(r % 4), words[2] % 9000,
			words[3] % 9000, 0, (uint32_t)(r % 3), sites[r % 8], r & 1, r & 2, r & 4,
			words[4], words[5], words[6], words[7], words[8]};
		break;
	case EVENT_CREATE:
		event.create = (struct event_create){(enum family)(r % 4), words[2] % 9000, 0,
			(uint32_t)(r % 3), sites[r % 8], 0, r & 1, r & 2, words[4], words[5],
			r & 4};
		break;
	case EVENT_LOOK:
		event.look.family = (enum family)(r % 4);
		event.look.key = words[2] % 9000;
		event.look.liveness = (enum liveness)(r % 4);
		event.look.has_length = r & 1;
		event.look.has_resident = r & 2;
		event.look.has_misses = r & 4;
		break;
	case EVENT_ITERATORS:
		event.iterators.others = r & 1;
		break;
	case EVENT_FAULTS:
		event.faults.direct = r & 1;
		break;
	case EVENT_GOROUTINES:
		event.goroutines.complete = r & 1;
		break;
	case EVENT_PROFILE:
		event.profile.complete = r & 1;
		event.profile.sampled = r & 2;
		break;
	case EVENT_ARRAYS:
		event.arrays.has_pointers = r & 1;
		break;
	case EVENT_GROUP:
		event.group.has_pressure = r & 1;
		break;
	case EVENT_ALLOCATOR:
		event.allocator.estimated = r & 1;
		break;
	case EVENT_HEAP:
		event.heap.gc_running = r & 1;
		break;
	case EVENT_SHARE:
		event.share = (struct event_share){(enum family)(r % (FAMILY_MAX + 2)), r & 8};
		break;
	case EVENT_EXEC:
		if (r % 997)
			event.kind = EVENT_USAGE;
		break;
	case EVENT_EXIT:
		event.exit = (struct event_exit){.has_status = false};
		break;
	default:
		break;
	}
	return event;
}

Test(model, survives_a_million_random_events, .timeout = 300)
{
	struct world w = world_new();
	struct model_target_info second = {.pid = 2, .comm = "b"};
	uint32_t target = model_add_target(w.model, &second);
	uint32_t sites[8] = {0, w.site, 77777};
	unsigned int seed = 1;

	for (uint32_t i = 3; i < 8; i++)
		sites[i] = world_site(&w, (enum family)(i % 4), "[]int", "main.f", i);
	for (int i = 0; i < 1000000; i++) {
		struct event event = random_event(sites, &seed);

		w.now_ns += (uint64_t)rand_r(&seed) % (50 * NSEC_PER_MSEC);
		event.time_ns = w.now_ns - (uint64_t)rand_r(&seed) % NSEC_PER_SEC;
		model_apply(w.model, &event);
		if (i % 100000 == 0) {
			run(&w);
			check_words(&w);
		}
	}
	cr_assert_leq(model_container_count(w.model), 2 * MODEL_MAX_CONTAINERS);
	cr_assert_leq(model_target(w.model, target)->spike_count, MODEL_MAX_SPIKES);
	cr_assert_leq(model_target(w.model, w.target)->usage_count, MODEL_USAGE_SAMPLES);
	cr_assert_leq(model_target(w.model, w.target)->heap_count, MODEL_HEAP_SAMPLES);
	cr_assert_gt(model_invalid_events(w.model), 0);
	world_done(&w);
}

/* ---- allocation profile ---- */

static void allocated(struct world *w, uint32_t stack, uint64_t bytes)
{
	struct event event = {.kind = EVENT_ALLOCATED, .target = w->target, .time_ns = w->now_ns};

	event.allocated = (struct event_allocated){.stack = stack, .in_use_bytes = bytes};
	cr_assert_eq(model_apply(w->model, &event), 0);
}

static void profile(struct world *w)
{
	struct event event = {.kind = EVENT_PROFILE, .target = w->target, .time_ns = w->now_ns};

	event.profile = (struct event_profile){.rate_bytes = 1, .complete = true};
	cr_assert_eq(model_apply(w->model, &event), 0);
}

Test(model, stacks_are_whole)
{
	struct world w = world_new();
	struct model_frame frames[] = {
		{"runtime.makeslice", "/go/src/runtime/slice.go", 100, true, false, NULL, NULL},
		{"main.read", "/app/read.go", 7, false, false, NULL, NULL},
		{"main.main", "/app/main.go", 9, false, false, NULL, NULL},
	};
	uint32_t id = model_add_stack(w.model, w.target, frames, 3);
	const struct model_stack *stack = model_stack(w.model, id);

	cr_assert_eq(stack->place, 1);
	cr_assert_eq(stack->frame_count, 3);
	cr_assert_eq(model_add_stack(w.model, w.target, frames, 3), id);
	cr_assert_neq(model_add_stack(w.model, w.target, frames, 2), id);
	frames[2].line++;
	cr_assert_neq(model_add_stack(w.model, w.target, frames, 3), id);
	cr_assert_eq(model_add_stack(w.model, w.target, frames, 0), 0);
	cr_assert_eq(model_add_stack(w.model, 99, frames, 3), 0);
	cr_assert_eq(model_stack(w.model, model_add_stack(w.model, w.target, frames, 1))->place, 1);
	cr_assert_null(model_stack(w.model, 0));
	cr_assert_null(model_stack(w.model, 99));
	world_done(&w);
}

Test(model, stacks_overflow_to_none)
{
	struct world w = world_new();
	struct model_frame frame = {"main.f", "/app/f.go", 0, false, false, NULL, NULL};

	for (frame.line = 1; frame.line <= MODEL_MAX_STACKS; frame.line++)
		cr_assert_neq(model_add_stack(w.model, w.target, &frame, 1), 0);
	cr_assert_eq(model_add_stack(w.model, w.target, &frame, 1), 0);
	cr_assert_eq(model_stack_count(w.model), MODEL_MAX_STACKS);
	world_done(&w);
}

Test(model, a_profile_replaces_the_one_before)
{
	struct world w = world_new();
	struct model_frame frame = {"main.f", "/app/f.go", 1, false, false, NULL, NULL};
	uint32_t stack = model_add_stack(w.model, w.target, &frame, 1);
	const struct target *target = model_target(w.model, w.target);
	struct event exec = {.kind = EVENT_EXEC, .target = w.target, .time_ns = w.now_ns};
	struct event_allocated sum;

	allocated(&w, stack, 5); /* belongs to no reading */
	cr_assert_eq(target->allocated_count, 0);
	profile(&w);
	allocated(&w, stack, 7);
	allocated(&w, stack, 8);
	allocated(&w, 0, 1);
	allocated(&w, 99, 2); /* no such stack */
	model_sum_allocated(target, &sum);
	cr_assert_eq(sum.in_use_bytes, 18);
	cr_assert_eq(target->allocated_count, 2);
	cr_assert_eq(target->allocated[0].in_use_bytes, 15);
	cr_assert_eq(target->allocated[1].stack, 0);
	profile(&w);
	allocated(&w, stack, 4);
	model_sum_allocated(target, &sum);
	cr_assert_eq(sum.in_use_bytes, 4);
	cr_assert_eq(model_apply(w.model, &exec), 0);
	cr_assert_eq(target->profile_ns, 0);
	cr_assert_eq(target->allocated_count, 0);
	world_done(&w);
}

/* ---- collector ---- */

static void collected(struct world *w, uint32_t cycles, bool running, uint64_t live)
{
	struct event event = {.kind = EVENT_HEAP, .target = w->target, .time_ns = w->now_ns};

	event.heap = (struct event_heap){.gc_cycles = cycles,
		.gc_running = running,
		.live_bytes = live,
		.mark_ns = live,
		.mark_cpu_ns = 100,
		.assist_cpu_ns = 5};
	cr_assert_eq(model_apply(w->model, &event), 0);
	w->now_ns += NSEC_PER_SEC / 2;
}

Test(model, floor_is_what_cycles_leave)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);

	collected(&w, 0, false, 77); /* no cycle yet */
	cr_assert_eq(target->gc.cycles, 0);
	cr_assert_eq(model_floor_slope(target), 0);
	collected(&w, 1, false, 1000);
	collected(&w, 1, false, 1000); /* no new one */
	collected(&w, 2, true, 5);     /* still marking */
	collected(&w, 2, false, 3000);
	cr_assert_eq(model_floor_slope(target), 0, "two are no trend");
	collected(&w, 3, false, 2000);
	collected(&w, 9, false, 4000);
	cr_assert_eq(target->gc.cycles, 4);
	cr_assert_eq(target->gc.floor_first_bytes, 1000);
	cr_assert_eq(target->gc.floor_last_bytes, 4000);
	cr_assert_eq(target->gc.floor_min_bytes, 1000);
	cr_assert_eq(target->gc.floor_max_bytes, 4000);
	cr_assert_eq(target->gc.mark_max_ns, 4000);
	cr_assert_eq(target->gc.mark_total_ns, 10000);
	cr_assert_eq(target->gc.assist_cpu_ns, 20);
	/* (0 s, 1000), (1.5 s, 3000), (2 s, 2000), (2.5 s, 4000) */
	cr_assert_float_eq(model_floor_slope(target), 1000, 20);
	world_done(&w);
}

/* ---- places of stacks without code of the user's ---- */

Test(model, library_stands_in_for_the_user)
{
	static const char go[] = "/usr/lib/go/src/x.go";
	static const struct {
		const char *function, *file;
		bool internal;
	} rows[][4] = {
		{{"runtime.growslice", go, true}, {"encoding/json.Marshal", go, true},
			{"main.f", "/src/f.go", false}},
		{{"runtime.hashGrow", go, true}, {"reflect.mapassign", go, true},
			{"encoding/json.(*decodeState).object", go, true},
			{"net/http.(*conn).serve", go, true}},
		{{"internal/runtime/maps.(*table).rehash", go, true},
			{"runtime.mapassign", go, true}},
		{{"operator new(unsigned long)", "new_op.cc", true}, {"std::f()", "f.cc", true}},
		{{"libx.so.1+0x1234", "build-id 12ab", true}},
	};
	static const char *const places[] = {
		"main.f", "encoding/json.(*decodeState).object", "", "", ""};
	struct world w = world_new();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct model_frame frames[4] = {0};
		const struct site *site;
		size_t count = 0;

		for (; count < 4 && rows[i][count].function; count++)
			frames[count] =
				(struct model_frame){rows[i][count].function, rows[i][count].file,
					10, rows[i][count].internal, false, NULL, NULL};
		site = model_site(w.model,
			model_add_site(w.model, w.target, FAMILY_MAP, w.type, frames, count));
		cr_expect_str_eq(site->function, places[i]);
		cr_expect_eq(site->library, i == 1);
		/* what is no container's place stays as it was */
		site = model_site(
			w.model, model_add_site(w.model, w.target, FAMILY_NONE, 0, frames, count));
		cr_expect_str_eq(site->function, i ? "" : "main.f");
	}
	world_done(&w);
}
