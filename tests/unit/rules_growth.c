/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules about growth: unbounded-growth, resize-storm, rebuilt-per-cycle, rss-spike. Each has what it must
 * find, what is just below a threshold, and what is healthy.
 */
#include "model_events.h"

#define KEY 0xc000

/* ---- unbounded-growth ---- */

/* One look a second at the length that length_at() gives; a GC every 5 s. */
static struct world watch(
	struct world w, uint64_t (*length_at)(uint64_t second), uint64_t slots, uint64_t seconds)
{
	open_all(&w);
	find_map(&w, KEY);
	for (uint64_t i = 0; i <= seconds; i++, wait_ms(&w, 1000)) {
		w.gc_cycles += i % 5 == 4;
		w.rss_bytes += MIB(0.1);
		heap(&w);
		usage(&w);
		look(&w, KEY, length_at(i), slots);
	}
	return w;
}

static uint64_t leaks(uint64_t second)
{
	return 1000 + second * 6000;
}

static uint64_t in_bursts(uint64_t second)
{
	return 1000 + second / 4 * 4 * 6000;
}

static uint64_t fills_up(uint64_t second)
{
	return second < 30 ? 1000 + second * 20000 : 601000;
}

static uint64_t fades(uint64_t second)
{
	return 1000 + (uint64_t)(500000 * (1 - 1 / (1 + (double)second / 20)));
}

static uint64_t swings(uint64_t second)
{
	return 100000 + (second % 10) * 20000 + second * 100;
}

Test(unbounded, finds_a_leak)
{
	struct world w = watch(world_new(), leaks, 1048576, 70);
	const struct finding *f = finding(&w, "unbounded-growth");

	cr_assert_not_null(f);
	cr_assert_not(f->candidate);
	cr_assert_eq(f->class, CLASS_GROWING);
	cr_assert_float_eq(evidence(f, "entries_per_second"), 6000, 1);
	cr_assert_eq(evidence(f, "slots"), 12);
	cr_assert_eq(evidence(f, "slots_up"), 12);
	cr_assert_eq(evidence(f, "next_growth_length"), 1048576.0 * 13 / 16 + 1);
	/* 149 MiB to go at 266 KB/s. */
	cr_assert_float_eq((double)f->limit_ns / 1e9, 585, 30);
	cr_assert_eq(f->severity, SEVERITY_CRITICAL);
	cr_assert_eq(w.findings.items[0].id, f->id, "time to OOM ranks first");
	check_words(&w);
	world_done(&w);
}

Test(unbounded, finds_bursts)
{
	struct world w = watch(world_new(), in_bursts, 1048576, 71);

	cr_assert_not_null(finding(&w, "unbounded-growth"));
	world_done(&w);
}

Test(unbounded, healthy_maps_are_silent)
{
	uint64_t (*const healthy[])(uint64_t second) = {fills_up, fades, swings};

	for (size_t i = 0; i < ARRAY_SIZE(healthy); i++) {
		struct world w = watch(world_new(), healthy[i], 1048576, 90);

		cr_assert_null(finding(&w, "unbounded-growth"), "%zu", i);
		world_done(&w);
	}
}

Test(unbounded, thresholds)
{
	struct world w = watch(world_new(), leaks, 1048576, 59);

	cr_assert_null(finding(&w, "unbounded-growth"), "59 s");
	set(&w, "unbounded-growth.seconds=30");
	cr_assert_not_null(finding(&w, "unbounded-growth"));
	set(&w, "unbounded-growth.gcs=20");
	cr_assert_null(finding(&w, "unbounded-growth"));
	set(&w, "unbounded-growth.gcs=3");
	set(&w, "unbounded-growth.min_bytes=32M");
	cr_assert_null(finding(&w, "unbounded-growth"));
	world_done(&w);
}

Test(unbounded, start_up_is_normal)
{
	struct world w = world_new_aged(0);
	const struct finding *f;

	w = watch(w, leaks, 1048576, 40);
	set(&w, "unbounded-growth.seconds=20");
	f = finding(&w, "unbounded-growth");
	cr_assert_not_null(f);
	cr_assert_eq(f->severity == SEVERITY_INFO, f->normal);
	set(&w, "unbounded-growth.startup_seconds=1");
	cr_assert_not(finding(&w, "unbounded-growth")->normal);
	world_done(&w);
}

Test(unbounded, no_limit_no_projection)
{
	struct world w = world_new();
	struct model_target_info info = {.pid = 4711, .age_ns = 3600 * NSEC_PER_SEC};
	const struct finding *f;

	model_update_target(w.model, w.target, &info);
	w = watch(w, leaks, 1048576, 70);
	f = finding(&w, "unbounded-growth");
	cr_assert_eq(f->limit_ns, 0);
	cr_assert_eq(evidence(f, "limit_ns"), -1);
	cr_assert_eq(f->severity, SEVERITY_HIGH);
	world_done(&w);
}

/* ---- resize-storm ---- */

/* So many short-lived maps of 200 entries a second. */
static void serve(struct world *w, uint64_t seconds, uint64_t per_second, uint32_t site)
{
	static uint64_t key = 0x100000;

	for (uint64_t s = 0; s < seconds; s++) {
		for (uint64_t i = 0; i < per_second; i++, key += 48)
			fill_map(w, site, key, 256);
		w->total_alloc_bytes += per_second * (map_bytes(512) - map_bytes(8)) * 2;
		w->gc_cycles++;
		heap(w);
		usage(w);
		wait_ms(w, 1000);
	}
}

Test(storm, finds_short_lived_maps)
{
	struct world w = world_new();
	const struct finding *f;

	open_all(&w);
	heap(&w);
	serve(&w, 20, 500, w.site);
	f = finding(&w, "resize-storm");
	cr_assert_not_null(f);
	cr_assert_eq(f->class, CLASS_CHURN);
	cr_assert_eq(f->severity, SEVERITY_LOW);
	cr_assert_eq(f->confidence, CONFIDENCE_EXACT);
	cr_assert_eq(evidence(f, "growths"), 20 * 500 * 5);
	cr_assert_eq(evidence(f, "containers"), 20 * 500);
	cr_assert_eq(evidence(f, "garbage_bytes"), 20.0 * 500 * (map_bytes(256) - map_bytes(8)));
	cr_assert_eq(f->bytes_per_second, 500 * (map_bytes(256) - map_bytes(8)));
	/* make(T, 105) gives the 256 slots that they end with: length at the last growth + 1. */
	cr_assert_eq(evidence(f, "hint"), 256 / 2 * 13 / 16 + 1);
	cr_assert_eq(f->saves_rss_bytes, 0, "garbage, not held");
	check_words(&w);
	world_done(&w);
}

Test(storm, scaled_while_duty_cycled)
{
	struct world w = world_new();
	const struct finding *f;

	open_all(&w);
	heap(&w);
	serve(&w, 12, 500, w.site);
	share(&w, FAMILY_MAP, false);
	wait_ms(&w, 12000);
	share(&w, FAMILY_MAP, true);
	f = finding(&w, "resize-storm");
	cr_assert_eq(f->confidence, CONFIDENCE_ESTIMATED);
	cr_assert_float_eq(evidence(f, "growths"), 2 * 12 * 500 * 5, 1);
	world_done(&w);
}

/* The probes are open for 20 ms every 2 s, and see each time what that many maps do. */
static struct world peep(uint64_t maps, uint64_t windows)
{
	struct world w = world_new();
	uint64_t key = 0x100000;

	open_all(&w);
	share(&w, FAMILY_MAP, false);
	heap(&w);
	for (uint64_t i = 0; i < windows; i++) {
		share(&w, FAMILY_MAP, true);
		for (uint64_t j = 0; j < maps; j++, key += 48)
			fill_map(&w, w.site, key, 256);
		wait_ms(&w, 20);
		share(&w, FAMILY_MAP, false);
		wait_ms(&w, 1980);
		w.total_alloc_bytes += MIB(20);
		w.gc_cycles++;
		heap(&w);
		usage(&w);
	}
	return w;
}

Test(storm, seen_for_a_hundredth_of_the_time)
{
	struct world w = peep(10, 10);
	const struct finding *f = finding(&w, "resize-storm");
	double truth = 10 * 50 * (double)(map_bytes(256) - map_bytes(8));

	cr_assert_not_null(f, "the maps that were seen are not what is kept of all of them");
	cr_assert_eq(f->class, CLASS_CHURN);
	cr_assert_eq(f->severity, SEVERITY_LOW);
	cr_assert_eq(f->confidence, CONFIDENCE_ESTIMATED);
	cr_assert_not_null(strstr(f->caveat, "open 1.0 % of the time"), "%s", f->caveat);
	cr_assert_float_eq((double)f->bytes_per_second, truth, truth / 10);
	cr_assert_float_eq(evidence(f, "garbage_pct_of_allocated"), 100 * truth / MIB(10), 3, "%s",
		f->message);
	check_words(&w);
	world_done(&w);
}

Test(storm, little_seen_through_a_slit_is_no_rate)
{
	struct world w = peep(5, 2);

	cr_assert_null(finding(&w, "resize-storm"), "two windows");
	world_done(&w);
	w = peep(1, 6);
	cr_assert_null(finding(&w, "resize-storm"), "30 growths");
	world_done(&w);
	w = peep(0, 3);
	share(&w, FAMILY_MAP, true);
	fill_map(&w, w.site, KEY, 1048576);
	share(&w, FAMILY_MAP, false);
	wait_ms(&w, 10000);
	heap(&w);
	usage(&w);
	cr_assert_eq(finding(&w, "resize-storm")->severity, SEVERITY_INFO, "it grew once");
	world_done(&w);
}

/* What is said of the past minute must not depend on how the hour before it was. */
Test(storm, scaled_by_the_share_of_its_own_time)
{
	struct world w = world_new();

	open_all(&w);
	wait_ms(&w, 100000);
	share(&w, FAMILY_MAP, false);
	wait_ms(&w, 8000);
	share(&w, FAMILY_MAP, true);
	heap(&w);
	serve(&w, 2, 500, w.site);
	usage(&w);
	cr_assert_float_eq((double)finding(&w, "resize-storm")->bytes_per_second,
		500.0 * (double)(map_bytes(256) - map_bytes(8)), 100000);
	world_done(&w);
}

/* The probes never closed; that the second-by-second record of that is a minute long changes nothing. */
Test(storm, a_minute_later)
{
	struct world w = world_new();
	double truth = 500.0 * (double)(map_bytes(256) - map_bytes(8));

	open_all(&w);
	heap(&w);
	serve(&w, 12, 500, w.site);
	for (int i = 0; i < 80; i++, wait_ms(&w, 1000)) {
		usage(&w);
		cr_assert_float_eq((double)finding(&w, "resize-storm")->bytes_per_second, truth, 1);
	}
	world_done(&w);
}

Test(storm, growth_inside_a_library)
{
	struct world w = world_new();
	struct model_frame frames[] = {
		{"runtime.growslice", "/go/src/runtime/slice.go", 200, true, false, NULL, NULL},
		{"bytes.growSlice", "/go/src/bytes/buffer.go", 249, true, false, NULL, NULL},
		{"encoding/json.(*Decoder).refill", "/go/src/encoding/json/stream.go", 160, true,
			false, NULL, NULL},
		{"main.serve", "/app/serve.go", 7, false, false, NULL, NULL},
	};
	uint64_t key = 0x100000;
	uint32_t site;

	open_all(&w);
	site = model_add_site(w.model, w.target, FAMILY_SLICE, model_intern(w.model, "[]uint8"),
		frames, ARRAY_SIZE(frames));
	for (int i = 0; i < 500; i++, key += 65536, wait_ms(&w, 10)) {
		grow_slice(&w, site, 0, key, 0, 65536);
		grow_slice(&w, site, key, key + 65536, 65536, 131072);
	}
	cr_assert_not_null(strstr(
		finding(&w, "resize-storm")->in_code, "inside encoding/json.(*Decoder).refill"));
	check_words(&w);
	world_done(&w);
}

/* The program's own builder: it is told what to do with it, not what is inside. */
Test(storm, in_a_builder)
{
	struct world w = world_new();
	struct model_frame frames[] = {
		{"runtime.growslice", "/go/src/runtime/slice.go", 200, true, false, NULL, NULL},
		{"strings.(*Builder).WriteString", "/go/src/strings/builder.go", 112, true, true,
			NULL, NULL},
		{"main.render", "/app/render.go", 7, false, false, NULL, NULL},
	};
	struct event event = {.kind = EVENT_GROWTH,
		.growth = {.family = FAMILY_BUFFER,
			.has_length = true,
			.length = 65536,
			.capacity = 131072,
			.allocated_bytes = 131072,
			.garbage_bytes = 65536,
			.held_bytes = 131072}};
	const struct finding *f;

	open_all(&w);
	event.growth.type = model_intern(w.model, "strings.Builder");
	event.growth.site = model_add_site(
		w.model, w.target, FAMILY_BUFFER, event.growth.type, frames, ARRAY_SIZE(frames));
	event.growth.old_key = 0x100000;
	event.growth.key = 0x120000;
	for (int i = 0; i < 500; i++, wait_ms(&w, 10))
		apply(&w, event);
	f = finding(&w, "resize-storm");
	cr_assert_not_null(f);
	cr_assert_not_null(strstr(f->in_code, "b.Grow(131072) on the empty strings.Builder"));
	cr_assert_eq(f->confidence, CONFIDENCE_EXACT);
	check_words(&w);
	world_done(&w);
}

/* Of a map from before attach only some growths were seen: what it has become is not their sum. */
Test(storm, up_to_what_it_holds)
{
	struct world w = world_new();
	const struct finding *f;

	open_all(&w);
	find_map(&w, KEY);
	look(&w, KEY, 100000, 131072);
	for (uint64_t slots = 262144; slots <= 2097152; slots *= 2)
		grow_map(&w, w.site, KEY, slots);
	look(&w, KEY, 900000, 2097152);
	set(&w, "resize-storm.once_growths=3");
	f = finding(&w, "resize-storm");
	cr_assert_not_null(strstr(f->message, "Grew 4 times up to 54.0 MiB:"), "%s", f->message);
	world_done(&w);
}

Test(storm, silent_below_each_threshold)
{
	struct world w = world_new();

	open_all(&w);
	heap(&w);
	serve(&w, 20, 200, w.site);
	cr_assert_null(finding(&w, "resize-storm"), "0.9 MB/s");
	set(&w, "resize-storm.bytes_per_second=512K");
	cr_assert_not_null(finding(&w, "resize-storm"));
	set(&w, "resize-storm.min_pct=60");
	cr_assert_null(finding(&w, "resize-storm"), "too small a part of what is allocated");
	world_done(&w);
}

/* Requests that each have a block made larger so many times, from 16 KiB on; nobody sees it freed. */
static void serve_blocks(struct world *w, int requests, int growths)
{
	struct event event = {.kind = EVENT_GROWTH, .growth = {.family = FAMILY_ARRAY}};
	uint64_t block = 0x100000;

	event.growth.runtime = model_intern(w->model, "c");
	event.growth.site = world_site(w, FAMILY_ARRAY, "", "serve", 7);
	share(w, FAMILY_ARRAY, true);
	for (int i = 0; i < requests; i++, block += 0x100000, wait_ms(w, 10))
		for (int n = 0; n < growths; n++) {
			event.growth.old_key = block + 0x1000 * (uint64_t)n;
			event.growth.key = block + 0x1000 * (uint64_t)(n + 1);
			event.growth.garbage_bytes = 16384ull << n;
			event.growth.allocated_bytes = event.growth.held_bytes = 32768ull << n;
			event.growth.capacity = event.growth.held_bytes;
			apply(w, event);
		}
}

static void malloc_holds(struct world *w, uint64_t bytes)
{
	apply(w, (struct event){.kind = EVENT_ALLOCATOR,
			 .allocator = {.name = model_intern(w->model, "glibc"),
				 .arenas = 1,
				 .system_bytes = MIB(64),
				 .free_bytes = MIB(64) - bytes}});
}

Test(storm, blocks_of_malloc)
{
	struct world w = world_new();
	const struct finding *f;

	serve_blocks(&w, 1000, 4);
	cr_assert_null(finding(&w, "resize-storm"), "they may all be kept");
	malloc_holds(&w, MIB(2));
	f = finding(&w, "resize-storm");
	cr_assert_not_null(f, "malloc knows better");
	cr_assert_eq(f->severity, SEVERITY_LOW);
	cr_assert_eq(evidence(f, "growths"), 4000);
	cr_assert_eq(evidence(f, "containers"), 1000);
	cr_assert_not_null(strstr(f->in_code, "malloc(262144)"), "%s", f->in_code);
	check_words(&w);
	world_done(&w);
}

Test(storm, blocks_that_are_resized_once)
{
	struct world w = world_new();

	serve_blocks(&w, 4000, 1);
	malloc_holds(&w, MIB(2));
	cr_assert_null(finding(&w, "resize-storm"));
	world_done(&w);
}

/* A block that is given out again at the same address is another one: its size says so. */
Test(storm, blocks_at_the_same_addresses)
{
	struct world w = world_new();
	struct event event = {.kind = EVENT_GROWTH,
		.growth = {.family = FAMILY_ARRAY,
			.old_key = 0x10000,
			.key = 0x20000,
			.garbage_bytes = 16384,
			.allocated_bytes = 32768,
			.held_bytes = 32768}};

	share(&w, FAMILY_ARRAY, true);
	event.growth.runtime = model_intern(w.model, "c");
	event.growth.site = world_site(&w, FAMILY_ARRAY, "", "serve", 7);
	for (int i = 0; i < 4000; i++, wait_ms(&w, 2)) {
		uint64_t old_key = event.growth.old_key;

		apply(&w, event);
		event.growth.old_key = event.growth.key;
		event.growth.key = old_key;
	}
	malloc_holds(&w, MIB(2));
	cr_assert_null(finding(&w, "resize-storm"));
	cr_assert_eq(model_site(w.model, event.growth.site)->containers, 4000);
	/* As it was left, and it stays in place: the same block. */
	event.growth.key = event.growth.old_key;
	event.growth.garbage_bytes = 0;
	event.growth.held_bytes = 65536;
	apply(&w, event);
	cr_assert_eq(model_site(w.model, event.growth.site)->containers, 4000);
	world_done(&w);
}

/* Nothing makes room in a dict of Python beforehand. */
Test(storm, where_nobody_can_reserve)
{
	static const char *const names[] = {"python", "c++"};
	static const enum severity severities[] = {SEVERITY_INFO, SEVERITY_LOW};

	for (size_t i = 0; i < 2; i++) {
		struct world w = world_new();
		struct event event = {.kind = EVENT_GROWTH,
			.growth = {.family = FAMILY_MAP,
				.capacity = 32768,
				.allocated_bytes = MIB(0.6),
				.garbage_bytes = MIB(0.3)}};
		const struct finding *f;

		open_all(&w);
		event.growth.runtime = model_intern(w.model, names[i]);
		event.growth.site = world_site(&w, FAMILY_MAP, "T", "handle", 7);
		for (int n = 0; n < 1000; n++, wait_ms(&w, 10))
			apply(&w, event);
		f = finding(&w, "resize-storm");
		cr_assert_not_null(f);
		cr_expect_eq(f->severity, severities[i], "%s", names[i]);
		world_done(&w);
	}
}

Test(storm, shifted_queue)
{
	struct world w = world_new();
	uint32_t site = world_site(&w, FAMILY_SLICE, "[]main.job", "main.push", 3);
	uint64_t key = 0x1000;
	const struct finding *f;

	open_all(&w);
	grow_slice(&w, site, 0, key, 0, 16384);
	for (int i = 0; i < 2000; i++, key += 16384, wait_ms(&w, 10))
		grow_slice(&w, site, key, key + 16384, 16384, 16384);
	f = finding(&w, "resize-storm");
	cr_assert_not_null(f);
	cr_assert_not_null(strstr(f->in_code, "ring buffer"));
	cr_assert_eq(evidence(f, "growths"), 2000);
	cr_assert_eq(evidence(f, "containers"), 1);
	world_done(&w);
}

Test(storm, one_map_growing_once_is_normal)
{
	struct world w = world_new();
	const struct finding *f;

	open_all(&w);
	heap(&w);
	fill_map(&w, w.site, KEY, 2097152);
	w.total_alloc_bytes = w.live_bytes = map_bytes(2097152) * 2;
	usage(&w);
	look(&w, KEY, 1000000, 2097152);
	heap(&w);
	f = finding(&w, "resize-storm");
	cr_assert_not_null(f);
	cr_assert_eq(f->class, CLASS_ONE_TIME);
	cr_assert_eq(f->severity, SEVERITY_INFO);
	cr_assert_eq(evidence(f, "growths"), 18);
	cr_assert_eq(f->saves_bytes, map_bytes(2097152) - map_bytes(8));
	cr_assert_not_null(strstr(f->in_code, "make(map[int]main.session, 1000000)"));
	cr_assert_eq(w.findings.saves_rss_bytes, 0);
	w.rss_bytes = MIB(206);
	usage(&w);
	cr_assert_eq(
		finding(&w, "resize-storm")->severity, SEVERITY_LOW, "above 80 %% of the limit");
	check_words(&w);
	world_done(&w);
}

Test(storm, one_slice_growing_once_is_normal)
{
	struct world w = world_new();
	uint32_t site = world_site(&w, FAMILY_SLICE, "[]int", "main.main", 46);
	uint64_t key = 0x1000, bytes = 65536;

	open_all(&w);
	grow_slice(&w, site, 0, key, 0, bytes);
	for (; bytes < MIB(8); bytes = bytes / 4 * 5, key += 0x10000000)
		grow_slice(&w, site, key, key + 0x10000000, bytes, bytes / 4 * 5);
	cr_assert_eq(finding(&w, "resize-storm")->severity, SEVERITY_INFO);
	cr_assert_not_null(strstr(finding(&w, "resize-storm")->in_code, "make([]int, 0, "));
	world_done(&w);
}

Test(storm, shards_filling_once_are_no_churn)
{
	struct world w = world_new();

	open_all(&w);
	heap(&w);
	for (uint64_t shard = 0; shard < 32; shard++) {
		fill_map(&w, w.site, KEY + shard * 64, 131072);
		w.live_bytes += map_bytes(131072);
		w.total_alloc_bytes += 2 * map_bytes(131072);
		w.gc_cycles++;
		heap(&w);
		wait_ms(&w, 300);
	}
	run(&w);
	for (size_t i = 0; i < w.findings.count; i++)
		cr_assert(
			w.findings.items[i].class != CLASS_CHURN || w.findings.items[i].candidate);
	world_done(&w);
}

/* ---- rebuilt-per-cycle ---- */

static void die(struct world *w, uint64_t key)
{
	struct event event = map_look(w, key, 0, 8);

	event.look.liveness = LIVENESS_DEAD;
	apply(w, event);
}

static void rebuild(struct world *w, int times, uint64_t slots, bool kept)
{
	open_all(w);
	usage(w);
	for (int i = 0; i < times; i++) {
		fill_map(w, w->site, KEY + (uint64_t)i * 64, slots);
		wait_ms(w, 5000);
		w->gc_cycles++;
		heap(w);
		usage(w);
		if (i && !kept)
			die(w, KEY + (uint64_t)(i - 1) * 64);
	}
}

Test(rebuilt, finds_cycles)
{
	struct world w = world_new();
	uint64_t grown = map_bytes(262144) - map_bytes(8);
	/* The first array of all was not made by growth. */
	uint64_t final = map_bytes(262144) - map_bytes(8);
	const struct finding *f;

	rebuild(&w, 5, 262144, false);
	f = finding(&w, "rebuilt-per-cycle");
	cr_assert_not_null(f);
	cr_assert_not(f->candidate);
	cr_assert_eq(f->class, CLASS_CHURN);
	cr_assert_eq(evidence(f, "containers"), 5);
	cr_assert_eq(evidence(f, "growth_garbage_bytes"), grown);
	cr_assert_eq(evidence(f, "garbage_per_cycle_bytes"), grown + final);
	cr_assert_eq(evidence(f, "dropped_bytes"), final);
	cr_assert_eq(evidence(f, "cycle_ns"), 5e9);
	cr_assert_not_null(strstr(f->in_code, "clear(m)"));
	cr_assert_not_null(strstr(f->in_code, "keeps its largest size"));
	cr_assert_null(finding(&w, "resize-storm"), "one site, one finding");
	check_words(&w);
	world_done(&w);
}

/*
 * A Swiss map of many tables does not say at its growths what it holds; and where a look came before the
 * records of its growths, which are older, that one is believed.
 */
Test(rebuilt, one_that_was_looked_at_before_its_records_came_is_as_large_as_the_others)
{
	struct world w = world_new();
	struct event seen, growth;

	rebuild(&w, 4, 262144, false);
	grow_map(&w, w.site, KEY + 1024, 16);
	growth = (struct event){.kind = EVENT_GROWTH,
		.target = w.target,
		.time_ns = w.now_ns,
		.growth = {.family = FAMILY_MAP,
			.key = KEY + 1024,
			.old_key = KEY + 1024,
			.site = w.site,
			.allocated_bytes = map_bytes(1024),
			.garbage_bytes = map_bytes(512)}};
	wait_ms(&w, 50);
	seen = map_look(&w, KEY + 1024, 0, 0);
	seen.look.held_bytes = 0;
	apply(&w, seen);
	for (int table = 0; table < 512; table++)
		cr_assert_eq(model_apply(w.model, &growth), 0);
	wait_ms(&w, 5000);
	usage(&w);
	fill_map(&w, w.site, KEY + 2048, 262144);
	die(&w, KEY + 1024);
	cr_assert_not_null(finding(&w, "rebuilt-per-cycle"));
	cr_assert_eq(evidence(finding(&w, "rebuilt-per-cycle"), "containers"), 6);
	world_done(&w);
}

Test(rebuilt, not_of_two_or_small_ones)
{
	struct world w = world_new();

	rebuild(&w, 2, 262144, false);
	cr_assert_null(finding(&w, "rebuilt-per-cycle"), "two");
	world_done(&w);
	w = world_new();
	rebuild(&w, 5, 32768, false);
	cr_assert_null(finding(&w, "rebuilt-per-cycle"), "below 1 MiB");
	world_done(&w);
}

Test(rebuilt, not_in_start_up)
{
	struct world w = world_new_aged(0);

	rebuild(&w, 5, 262144, false);
	if (!model_target(w.model, w.target)->steady_ns)
		cr_assert_null(finding(&w, "rebuilt-per-cycle"));
	set(&w, "rebuilt-per-cycle.startup_seconds=0");
	cr_assert_not_null(finding(&w, "rebuilt-per-cycle"));
	world_done(&w);
}

Test(rebuilt, unproven_deaths_make_a_candidate)
{
	struct world w = world_new();

	rebuild(&w, 4, 262144, true);
	cr_assert_null(finding(&w, "rebuilt-per-cycle"), "what is proven speaks for the site");
	set(&w, "resize-storm.once_bytes=1G");
	cr_assert(finding(&w, "rebuilt-per-cycle")->candidate);
	world_done(&w);
}

Test(rebuilt, maps_that_stay_in_use_are_no_cycle)
{
	struct world w = world_new();

	rebuild(&w, 4, 262144, true);
	set(&w, "resize-storm.once_bytes=1G");
	cr_assert_not_null(finding(&w, "rebuilt-per-cycle"));
	for (uint64_t i = 0; i < 4; i++)
		look(&w, KEY + i * 64, 200000, 262144);
	wait_ms(&w, 1000);
	w.gc_cycles += 2;
	heap(&w);
	for (uint64_t i = 0; i < 4; i++)
		look(&w, KEY + i * 64, 200000, 262144);
	cr_assert_null(finding(&w, "rebuilt-per-cycle"));
	world_done(&w);
}

Test(rebuilt, containers_that_grow_together_are_no_cycle)
{
	struct world w = world_new();

	open_all(&w);
	set(&w, "resize-storm.once_bytes=1G");
	for (uint64_t slots = 16; slots <= 262144; slots *= 2, wait_ms(&w, 1000))
		for (uint64_t i = 0; i < 4; i++)
			grow_map(&w, w.site, KEY + i * 64, slots);
	cr_assert_null(finding(&w, "rebuilt-per-cycle"));
	world_done(&w);
}

Test(rebuilt, growing_sizes_are_no_cycle)
{
	struct world w = world_new();

	open_all(&w);
	for (uint64_t i = 0; i < 4; i++, wait_ms(&w, 5000)) {
		fill_map(&w, w.site, KEY + i * 64, 65536ull << (2 * i));
		if (i)
			die(&w, KEY + (i - 1) * 64);
	}
	cr_assert_null(finding(&w, "rebuilt-per-cycle"));
	world_done(&w);
}

/* ---- rss-spike ---- */

static void quiet(struct world *w, int tenths)
{
	for (int i = 0; i < tenths; i++, wait_ms(w, 100))
		usage(w);
}

static struct world stepped(struct world w, double grown_mib, double step_mib)
{
	open_all(&w);
	quiet(&w, 30);
	apply(&w, (struct event){.kind = EVENT_GROWTH,
			  .growth = {.family = FAMILY_MAP,
				  .key = KEY,
				  .old_key = KEY,
				  .site = w.site,
				  .allocated_bytes = MIB(grown_mib),
				  .garbage_bytes = MIB(grown_mib / 2)}});
	w.rss_bytes += MIB(step_mib);
	quiet(&w, 50);
	return w;
}

Test(spike, finds_an_avoidable_step)
{
	struct world w = stepped(world_new(), 40, 40);
	const struct finding *f = finding(&w, "rss-spike");

	cr_assert_not_null(f);
	cr_assert_eq(f->class, CLASS_ONE_TIME);
	cr_assert_eq(f->severity, SEVERITY_LOW);
	cr_assert_eq(f->site, w.site);
	cr_assert_eq(evidence(f, "delta_bytes"), MIB(40));
	cr_assert_eq(evidence(f, "explained_bytes"), MIB(40));
	cr_assert_eq(evidence(f, "avoidable_bytes"), MIB(20));
	cr_assert_eq(evidence(f, "unexplained_bytes"), 0);
	cr_assert_eq(evidence(f, "headroom_bytes"), MIB(116));
	check_words(&w);
	world_done(&w);
}

Test(spike, unavoidable_step_with_room_is_silent)
{
	struct world w = stepped(world_new(), 18, 40);

	cr_assert_eq(model_target(w.model, w.target)->spike_count, 1);
	cr_assert_null(finding(&w, "rss-spike"), "22 %% avoidable");
	world_done(&w);
}

Test(spike, little_headroom_matters)
{
	struct world w = world_new();

	w.rss_bytes = MIB(200);
	w = stepped(w, 1, 31);
	cr_assert_not_null(finding(&w, "rss-spike"));
	world_done(&w);
}

Test(spike, not_in_start_up_and_not_below_old_heights)
{
	struct world w = stepped(world_new_aged(0), 40, 40);

	cr_assert_null(finding(&w, "rss-spike"), "start-up");
	set(&w, "rss-spike.startup_seconds=1");
	cr_assert_not_null(finding(&w, "rss-spike"));
	world_done(&w);
	w = world_new();
	w.rss_bytes = MIB(190);
	usage(&w);
	wait_ms(&w, 100);
	w.rss_bytes = MIB(100);
	w = stepped(w, 40, 40);
	cr_assert_null(finding(&w, "rss-spike"), "it was higher a minute ago");
	world_done(&w);
}

/* Two steps of one place, the second one larger. */
Test(spike, steps_of_one_place_are_one_finding)
{
	struct world w = stepped(world_new(), 40, 40);
	const struct finding *f;

	quiet(&w, 100);
	apply(&w, (struct event){.kind = EVENT_GROWTH,
			  .growth = {.family = FAMILY_MAP,
				  .key = KEY,
				  .old_key = KEY,
				  .site = w.site,
				  .allocated_bytes = MIB(60),
				  .garbage_bytes = MIB(30)}});
	w.rss_bytes += MIB(60);
	quiet(&w, 50);
	f = finding(&w, "rss-spike");
	cr_assert_eq(model_target(w.model, w.target)->spike_count, 2);
	cr_assert_eq(w.findings.count, 1);
	cr_assert_eq(evidence(f, "repeats"), 2);
	cr_assert_eq(f->bytes, MIB(60), "peaks do not add up");
	cr_assert_eq(f->saves_bytes, MIB(30));
	cr_assert_not_null(strstr(f->message, "2 times. The largest: RSS rose by 60.0 MiB"));
	check_words(&w);
	world_done(&w);
}

/* A job that runs every 20 s: RSS goes up and comes down again. */
Test(spike, says_when_the_next_one_comes)
{
	struct world w = world_new();
	const struct finding *f;

	open_all(&w);
	quiet(&w, 30);
	for (int i = 0; i < 4; i++) {
		apply(&w, (struct event){.kind = EVENT_GROWTH,
				  .growth = {.family = FAMILY_MAP,
					  .key = KEY,
					  .old_key = KEY,
					  .site = w.site,
					  .allocated_bytes = MIB(40),
					  .garbage_bytes = MIB(20)}});
		w.rss_bytes += MIB(40);
		quiet(&w, 50);
		w.rss_bytes -= MIB(40);
		quiet(&w, 150);
	}
	f = finding(&w, "rss-spike");
	cr_assert_eq(model_target(w.model, w.target)->spike_count, 4);
	cr_assert_not_null(f);
	cr_assert_eq(evidence(f, "steps"), 4);
	cr_assert_float_eq(evidence(f, "period_ns"), 20e9, 1e9);
	cr_assert_float_eq(evidence(f, "next_step_ns"), 0.3e9, 0.5e9);
	cr_assert_not_null(strstr(f->message, "Such steps come every 20"));
	check_words(&w);
	world_done(&w);
}

/* A leak that doubles: its steps are explained by the growth that does not end. */
Test(spike, silent_where_unbounded_growth_explains_it)
{
	struct world w = stepped(watch(world_new(), leaks, 1048576, 70), 40, 40);

	cr_assert_not_null(finding(&w, "unbounded-growth"));
	cr_assert_geq(model_target(w.model, w.target)->spike_count, 1);
	cr_assert_null(finding(&w, "rss-spike"));
	set(&w, "unbounded-growth.min_bytes=1G");
	cr_assert_not_null(finding(&w, "rss-spike"), "nothing else explains it now");
	world_done(&w);
}
