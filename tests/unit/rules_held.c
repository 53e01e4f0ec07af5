/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules about memory that is held: retained-buckets, over-hint, unfinished-growth, oversized-channel. Each
 * has what it must find, what is just below a threshold, and what is healthy.
 */
#include "model_events.h"

#define SLOTS 2097152ull
#define KEY   0xc000

/* Looks for so long at a map of so many entries; a GC every 10 s. */
static void watch(struct world *w, uint64_t length, uint64_t slots, uint64_t seconds)
{
	for (uint64_t i = 0; i <= seconds; i++) {
		if (i && i % 10 == 0)
			w->gc_cycles++;
		heap(w);
		usage(w);
		look(w, KEY, length, slots);
		wait_ms(w, 1000);
	}
}

static struct world emptied(uint64_t length, uint64_t slots, uint64_t seconds)
{
	struct world w = world_new();

	w.rss_bytes = MIB(156);
	open_all(&w);
	find_map(&w, KEY);
	watch(&w, length, slots, seconds);
	return w;
}

/* Maps of one place at KEY, KEY + 64...: each emptied, none of them worth a word. */
static struct world shards(uint64_t count, uint64_t length, uint64_t slots)
{
	struct world w = world_new();

	w.rss_bytes = MIB(500);
	open_all(&w);
	for (uint64_t shard = 0; shard < count; shard++)
		find_map(&w, KEY + 64 * shard);
	for (uint64_t second = 0; second <= 30; second++) {
		w.gc_cycles += second && second % 10 == 0;
		heap(&w);
		usage(&w);
		for (uint64_t shard = 0; shard < count; shard++)
			look(&w, KEY + 64 * shard, length + shard, slots);
		wait_ms(&w, 1000);
	}
	return w;
}

/* 1.1 MiB each; 2 % of RSS are 10 MiB */
Test(retained, shards_count_together)
{
	struct world w = shards(256, 100, 65536);
	const struct finding *f = finding(&w, "retained-buckets");

	cr_assert_not_null(f);
	cr_assert_eq(w.findings.count, 1);
	cr_assert_not(f->candidate);
	cr_assert_eq(f->severity, SEVERITY_HIGH);
	cr_assert_eq(f->bytes, 256 * map_bytes(65536));
	cr_assert_gt(f->saves_bytes, 250 * map_bytes(65536));
	cr_assert_leq(f->saves_bytes, 256 * map_bytes(65536));
	cr_assert_eq(evidence(f, "containers"), 256);
	cr_assert_not_null(strstr(f->message, "256 alike hold 288.0 MiB together. The largest: "));
	check_words(&w);
	world_done(&w);
}

Test(retained, shards_that_are_too_little)
{
	static const struct {
		const char *what;
		uint64_t count, length, slots;
	} rows[] = {
		{"one", 1, 100, 65536}, {"eight of 1.1 MiB", 8, 100, 65536},
		{"many in use", 256, 30000, 65536},
		{"many tiny ones", 1000, 1, 2048}, /* 36 KiB each */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world w = shards(rows[i].count, rows[i].length, rows[i].slots);

		cr_expect_null(finding(&w, "retained-buckets"), "%s", rows[i].what);
		cr_expect_eq(w.findings.count, 0, "%s", rows[i].what);
		world_done(&w);
	}
}

/* A shard that has its own finding still speaks for itself. */
Test(retained, shards_yield_to_other_rules)
{
	struct world w = shards(1, 100, 65536);

	for (uint64_t second = 0; second <= 40; second++) {
		struct event event = map_look(&w, KEY, 100, 65536);

		w.gc_cycles += second % 10 == 0;
		event.look.old_bytes = MIB(2);
		event.look.old_resident_bytes = MIB(2);
		event.look.held_bytes += MIB(2);
		heap(&w);
		usage(&w);
		apply(&w, event);
		wait_ms(&w, 1000);
	}
	cr_assert_null(finding(&w, "retained-buckets"));
	cr_assert_not_null(finding(&w, "unfinished-growth"));
	world_done(&w);
}

Test(retained, finds_an_emptied_map)
{
	struct world w = emptied(10000, SLOTS, 30);
	const struct finding *f = finding(&w, "retained-buckets");
	uint64_t retained = map_bytes(SLOTS) - map_bytes(16384);

	cr_assert_not_null(f);
	cr_assert_not(f->candidate);
	cr_assert_eq(f->severity, SEVERITY_HIGH);
	cr_assert_eq(f->class, CLASS_HELD);
	cr_assert_eq(f->confidence, CONFIDENCE_EXACT);
	cr_assert_eq(f->bytes, map_bytes(SLOTS));
	cr_assert_eq(f->saves_bytes, retained);
	cr_assert_eq(f->saves_rss_bytes, retained);
	cr_assert_eq(f->site, w.site);
	cr_assert_eq(evidence(f, "length"), 10000);
	cr_assert_eq(evidence(f, "slots"), SLOTS);
	cr_assert_eq(evidence(f, "since_ns"), 30e9);
	cr_assert_eq(evidence(f, "gc_cycles"), 3);
	cr_assert_eq(evidence(f, "seen_once"), 0);
	cr_assert_str_eq(f->since, "Unchanged since attach (30 s, 3 GCs).");
	cr_assert_not_null(
		strstr(f->message, "10,000 entries in 2,097,152 slots (0.5 %); holds 36.0 MiB"));
	cr_assert_not_null(strstr(f->in_code, "make(map[int]main.session, len(m))"));
	cr_assert_eq(w.findings.count, 1);
	cr_assert_eq(w.findings.saves_rss_bytes, retained);
	check_words(&w);
	world_done(&w);
}

Test(retained, wants_time_or_gcs)
{
	struct world w = world_new();

	open_all(&w);
	find_map(&w, KEY);
	for (int i = 0; i < 59; i++, wait_ms(&w, 1000)) {
		heap(&w);
		usage(&w);
		look(&w, KEY, 10, SLOTS);
	}
	cr_assert_null(finding(&w, "retained-buckets"), "58 s and no GC");
	set(&w, "retained-buckets.seconds=2");
	cr_assert(finding(&w, "retained-buckets")->candidate, "long enough, not proven");
	world_done(&w);
}

/* A session of five seconds with probes; ended tells whether it is over. */
static struct world short_session(bool there_before, bool ended)
{
	struct world w = world_new();
	struct event event;

	open_all(&w);
	if (there_before)
		find_map(&w, KEY);
	else /* a later census has found it */
		apply(&w, (struct event){.kind = EVENT_CREATE,
				  .create = {.family = FAMILY_MAP,
					  .key = KEY,
					  .type = w.type,
					  .site = w.site,
					  .found = true}});
	for (int i = 0; i < 5; i++, wait_ms(&w, 1000)) {
		heap(&w);
		usage(&w);
		event = map_look(&w, KEY, 10000, SLOTS);
		event.look.liveness = LIVENESS_ROOTED;
		apply(&w, event);
	}
	if (ended)
		model_set_clock(w.model, w.now_ns - 5 * NSEC_PER_SEC, 1, w.now_ns);
	return w;
}

Test(retained, short_session_tells_what_it_saw_throughout)
{
	struct world w = short_session(true, true);
	const struct finding *f = finding(&w, "retained-buckets");

	cr_assert_not_null(f, "30 s must not show less than no time at all");
	cr_assert_not(f->candidate);
	cr_assert_eq(evidence(f, "seen_once"), 0);
	cr_assert_not_null(strstr(f->since, "Unchanged since attach"));
	world_done(&w);
}

Test(retained, short_session_waits_while_it_goes_on_and_for_new_maps)
{
	struct world going_on = short_session(true, false);
	struct world fresh = short_session(false, true);

	cr_assert_null(finding(&going_on, "retained-buckets"), "the window is not over");
	cr_assert_null(finding(&fresh, "retained-buckets"), "it may be about to fill");
	world_done(&going_on);
	world_done(&fresh);
}

Test(retained, thresholds)
{
	struct world w = emptied(10000, SLOTS, 30);

	set(&w, "retained-buckets.min_bytes=36M");
	cr_assert_null(finding(&w, "retained-buckets"));
	set(&w, "retained-buckets.min_bytes=35M");
	cr_assert_not_null(finding(&w, "retained-buckets"));
	set(&w, "retained-buckets.min_pct_rss=24");
	cr_assert_null(finding(&w, "retained-buckets"));
	world_done(&w);

	w = emptied(SLOTS * 13 / 16 / 4 + 1, SLOTS, 30);
	cr_assert_null(finding(&w, "retained-buckets"), "just above 25 %% of the load limit");
	world_done(&w);
	w = emptied(SLOTS * 13 / 16 / 4, SLOTS, 30);
	cr_assert_not_null(finding(&w, "retained-buckets"));
	world_done(&w);
}

Test(retained, small_part_of_rss_is_silent)
{
	struct world w = emptied(100, 262144, 30);

	cr_assert_not_null(finding(&w, "retained-buckets"), "4.5 MiB of 156");
	w.rss_bytes = MIB(400);
	usage(&w);
	cr_assert_null(finding(&w, "retained-buckets"), "4.5 MiB of 400");
	world_done(&w);
}

Test(retained, read_only_look_is_an_answer_if_rooted)
{
	struct world w = world_new();
	struct event event = map_look(&w, KEY, 10000, SLOTS);
	const struct finding *f;

	find_map(&w, KEY);
	usage(&w);
	heap(&w);
	apply(&w, event);
	model_set_clock(w.model, w.now_ns, 1, w.now_ns);
	cr_assert(finding(&w, "retained-buckets")->candidate,
		"reachable lately is not reachable now");
	event.look.liveness = LIVENESS_ROOTED;
	wait_ms(&w, 500);
	apply(&w, event);
	f = finding(&w, "retained-buckets");
	cr_assert_not(f->candidate);
	cr_assert_eq(evidence(f, "seen_once"), 1);
	cr_assert_not_null(strstr(f->since, "Seen once"));
	check_words(&w);
	open_all(&w);
	cr_assert_null(finding(&w, "retained-buckets"), "with probes, time is observed");
	world_done(&w);
}

Test(retained, dead_map_is_never_told)
{
	struct world w = emptied(10000, SLOTS, 70);
	struct event event = map_look(&w, KEY, 10000, SLOTS);

	event.look.liveness = LIVENESS_DEAD;
	apply(&w, event);
	run(&w);
	cr_assert_eq(w.findings.count, 0);
	world_done(&w);
}

Test(retained, without_a_gc_it_stays_a_candidate)
{
	struct world w = world_new();
	struct event event = map_look(&w, KEY, 10, SLOTS);

	find_map(&w, KEY);
	event.look.marked_cycle = 0;
	for (int i = 0; i < 100; i++, wait_ms(&w, 1000)) {
		usage(&w);
		apply(&w, event);
	}
	cr_assert(finding(&w, "retained-buckets")->candidate);
	cr_assert_eq(w.findings.candidates, 1);
	cr_assert_eq(w.findings.saves_rss_bytes, 0);
	event.look.stamp = 777;
	apply(&w, event);
	cr_assert_not(finding(&w, "retained-buckets")->candidate, "the program wrote it");
	world_done(&w);
}

Test(retained, emptied_under_our_eyes)
{
	struct world w = world_new();

	open_all(&w);
	fill_map(&w, w.site, KEY, SLOTS);
	watch(&w, 1000000, SLOTS, 20);
	cr_assert_null(finding(&w, "retained-buckets"));
	watch(&w, 10000, SLOTS, 40);
	cr_assert_not_null(finding(&w, "retained-buckets"));
	cr_assert_not_null(strstr(finding(&w, "retained-buckets")->since, "of its load limit for"));
	world_done(&w);
}

Test(retained, reused_map_is_silent)
{
	struct world w = world_new();

	open_all(&w);
	fill_map(&w, w.site, KEY, SLOTS);
	watch(&w, 1000000, SLOTS, 10);
	watch(&w, 0, SLOTS, 10);
	watch(&w, 1000000, SLOTS, 10);
	watch(&w, 0, SLOTS, 70);
	cr_assert_null(finding(&w, "retained-buckets"));
	world_done(&w);
}

Test(retained, refilled_less_than_half_is_not_reused)
{
	struct world w = world_new();

	open_all(&w);
	fill_map(&w, w.site, KEY, SLOTS);
	watch(&w, 1000000, SLOTS, 10);
	watch(&w, 0, SLOTS, 10);
	watch(&w, 500000, SLOTS, 10);
	watch(&w, 0, SLOTS, 70);
	cr_assert_not_null(finding(&w, "retained-buckets"));
	world_done(&w);
}

Test(retained, first_filling_of_a_hinted_map_is_no_reuse)
{
	struct world w = world_new_aged(0);

	open_all(&w);
	wait_ms(&w, 5000);
	usage(&w);
	watch(&w, 10, SLOTS, 10);
	watch(&w, 1000000, SLOTS, 10);
	watch(&w, 10, SLOTS, 70);
	cr_assert_not_null(finding(&w, "retained-buckets"));
	world_done(&w);
}

Test(retained, warming_up_is_silent)
{
	struct world w = world_new();

	open_all(&w);
	find_map(&w, KEY);
	for (uint64_t i = 0; i < 100; i++, wait_ms(&w, 1000)) {
		w.gc_cycles++;
		heap(&w);
		usage(&w);
		look(&w, KEY, i * 4000, SLOTS);
	}
	cr_assert_null(finding(&w, "retained-buckets"), "below 25 %%, and rising");
	world_done(&w);
}

Test(retained, fluctuating_below_is_found)
{
	struct world w = world_new();

	open_all(&w);
	find_map(&w, KEY);
	for (uint64_t i = 0; i < 100; i++, wait_ms(&w, 1000)) {
		w.gc_cycles += i % 10 == 0;
		heap(&w);
		usage(&w);
		look(&w, KEY, 5000 + i * 7919 % 60000, SLOTS);
	}
	cr_assert_not_null(finding(&w, "retained-buckets"));
	world_done(&w);
}

Test(retained, not_resident_saves_nothing_of_rss)
{
	struct world w = emptied(10, SLOTS, 30);
	struct event event = map_look(&w, KEY, 10, SLOTS);
	const struct finding *f;

	event.look.resident_bytes = 0;
	apply(&w, event);
	f = finding(&w, "retained-buckets");
	cr_assert_eq(f->saves_rss_bytes, 0);
	cr_assert_gt(f->saves_bytes, MIB(35));
	cr_assert_eq(f->severity, SEVERITY_LOW);
	cr_assert_not_null(strstr(f->right_now, "0 of RSS"));
	world_done(&w);
}

/* ---- over-hint ---- */

Test(over_hint, finds_a_hint_that_was_too_large)
{
	struct world w = emptied(100000, 262144, 20);
	const struct finding *f = finding(&w, "over-hint");

	cr_assert_not_null(f);
	cr_assert_not(f->candidate);
	cr_assert_eq(f->saves_bytes, map_bytes(131072));
	cr_assert_eq(evidence(f, "need_bytes"), map_bytes(131072));
	cr_assert_float_eq(evidence(f, "waste_pct"), 50, 1e-9);
	cr_assert_not_null(strstr(f->in_code, "make(map[int]main.session, 100000)"));
	cr_assert_eq(w.findings.count, 1);
	check_words(&w);
	world_done(&w);
}

Test(over_hint, perfect_hint_looks_half_empty_and_is_silent)
{
	struct world w = emptied(53249, 131072, 20);

	run(&w);
	cr_assert_eq(w.findings.count, 0, "slots / length = 2.46");
	world_done(&w);
}

Test(over_hint, not_while_it_still_fills)
{
	struct world w = world_new();

	find_map(&w, KEY);
	for (uint64_t i = 0; i < 60; i++, wait_ms(&w, 1000)) {
		w.gc_cycles++;
		heap(&w);
		look(&w, KEY, 60000 + i * 100, 262144);
	}
	cr_assert_null(finding(&w, "over-hint"));
	world_done(&w);
}

Test(over_hint, not_after_growth)
{
	struct world w = world_new();

	open_all(&w);
	fill_map(&w, w.site, KEY, 262144);
	watch(&w, 100000, 262144, 20);
	cr_assert_null(finding(&w, "over-hint"));
	world_done(&w);
}

Test(over_hint, thresholds)
{
	struct world w = emptied(100000, 262144, 20);

	set(&w, "over-hint.min_pct=51");
	cr_assert_null(finding(&w, "over-hint"));
	set(&w, "over-hint.min_pct=40");
	set(&w, "over-hint.min_bytes=3M");
	cr_assert_null(finding(&w, "over-hint"));
	set(&w, "over-hint.min_bytes=1M");
	set(&w, "over-hint.seconds=21");
	cr_assert_null(finding(&w, "over-hint"));
	world_done(&w);
}

Test(over_hint, nearly_empty_and_old_is_not_its_business)
{
	struct world w = emptied(1000, 262144, 12);

	cr_assert_null(finding(&w, "over-hint"), "it may have been full before attach");
	world_done(&w);
}

Test(over_hint, one_container_one_finding)
{
	struct world w = world_new_aged(0);

	open_all(&w);
	watch(&w, 1000, SLOTS, 70);
	run(&w);
	cr_assert_eq(w.findings.count, 1);
	cr_assert_str_eq(w.findings.items[0].kind, "retained-buckets");
	world_done(&w);
}

/* ---- unfinished-growth ---- */

static void watch_unfinished(struct world *w, uint64_t seconds, uint64_t old_bytes, bool written)
{
	struct event event = map_look(w, KEY, 860000, SLOTS);

	event.look.old_bytes = event.look.old_resident_bytes = old_bytes;
	event.look.held_bytes += old_bytes;
	for (uint64_t i = 0; i <= seconds; i++, wait_ms(w, 1000)) {
		w->gc_cycles += i % 10 == 0;
		heap(w);
		usage(w);
		event.look.marked_cycle = w->gc_cycles;
		event.look.stamp += written;
		apply(w, event);
	}
}

Test(unfinished, finds_the_old_array)
{
	struct world w = world_new();
	const struct finding *f;

	find_map(&w, KEY);
	watch_unfinished(&w, 35, map_bytes(SLOTS / 2), false);
	f = finding(&w, "unfinished-growth");
	cr_assert_not_null(f);
	cr_assert_not(f->candidate);
	cr_assert_eq(f->saves_bytes, map_bytes(SLOTS / 2));
	cr_assert_eq(evidence(f, "old_bytes"), map_bytes(SLOTS / 2));
	cr_assert_eq(evidence(f, "new_bytes"), map_bytes(SLOTS));
	cr_assert_not_null(strstr(f->right_now, "writes"));
	check_words(&w);
	world_done(&w);
}

Test(unfinished, silent_when_written_or_small_or_young)
{
	struct world w = world_new();

	watch_unfinished(&w, 35, map_bytes(SLOTS / 2), true);
	cr_assert_null(finding(&w, "unfinished-growth"), "written");
	world_done(&w);
	w = world_new();
	watch_unfinished(&w, 35, MIB(1) - 1, false);
	cr_assert_null(finding(&w, "unfinished-growth"), "small");
	world_done(&w);
	w = world_new();
	watch_unfinished(&w, 29, MIB(10), false);
	cr_assert_null(finding(&w, "unfinished-growth"), "young");
	world_done(&w);
	w = world_new();
	watch_unfinished(&w, 35, 0, false);
	set(&w, "unfinished-growth.min_bytes=0");
	cr_assert_null(finding(&w, "unfinished-growth"), "there is no old array");
	world_done(&w);
}

/* ---- oversized-channel ---- */

static struct world channel(uint64_t capacity, uint64_t highest, int looks, uint64_t resident)
{
	struct world w = world_new();
	uint32_t type = model_intern(w.model, "chan int");
	uint32_t site = world_site(&w, FAMILY_CHANNEL, "chan int", "main.main", 18);

	apply(&w,
		(struct event){.kind = EVENT_CREATE,
			.create = {
				.family = FAMILY_CHANNEL, .key = KEY, .type = type, .site = site}});
	for (int i = 0; i < looks; i++, wait_ms(&w, 100)) {
		w.gc_cycles += i % 50 == 0;
		heap(&w);
		usage(&w);
		apply(&w, (struct event){.kind = EVENT_LOOK,
				  .look = {.family = FAMILY_CHANNEL,
					  .key = KEY,
					  .liveness = LIVENESS_MARKED,
					  .marked_cycle = w.gc_cycles,
					  .has_length = true,
					  .length = i == looks / 2 ? highest : 0,
					  .capacity = capacity,
					  .held_bytes = capacity * 8,
					  .has_resident = true,
					  .resident_bytes = resident,
					  .stamp = 1}});
	}
	return w;
}

Test(oversized_channel, finds_the_ring)
{
	struct world w = channel(1000000, 10, 310, 8000000);
	const struct finding *f = finding(&w, "oversized-channel");

	cr_assert_not_null(f);
	cr_assert_not(f->candidate);
	cr_assert_eq(evidence(f, "highest"), 10);
	cr_assert_eq(evidence(f, "enough_capacity"), 32);
	cr_assert_eq(f->saves_bytes, 8000000 - 32 * 8);
	cr_assert_not_null(strstr(f->in_code, "make(chan int, 32)"));
	check_words(&w);
	world_done(&w);
}

Test(oversized_channel, silent_below_each_threshold)
{
	struct world w = channel(1000000, 10, 299, 8000000);

	cr_assert_null(finding(&w, "oversized-channel"), "too few looks");
	world_done(&w);
	w = channel(1000000, 100001, 310, 8000000);
	cr_assert_null(finding(&w, "oversized-channel"), "used");
	world_done(&w);
	w = channel(1000000, 10, 310, MIB(1) - 1);
	cr_assert_null(finding(&w, "oversized-channel"), "never touched: no RSS");
	world_done(&w);
}
