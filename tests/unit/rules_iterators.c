/* SPDX-License-Identifier: BSD-2-Clause */
/* held-snapshot: what only an iterator keeps, and what is normal: loops that go on, maps with other owners. */
#include "model_events.h"

#define KEY   0xc000
#define SLOTS 2097152ull

/* A census every 10 s that finds the map and these iterators, full looks and a GC between two of them. */
static void watch(struct world *w, struct event_iterators iterators, uint64_t move, int censuses)
{
	iterators.family = FAMILY_MAP;
	iterators.key = KEY;
	for (int i = 0; i < censuses; i++) {
		apply(w, (struct event){.kind = EVENT_CREATE,
				 .create = {.family = FAMILY_MAP,
					 .key = KEY,
					 .type = w->type,
					 .site = w->site,
					 .found = i,
					 .before_attach = !i}});
		if (iterators.on_heap || iterators.on_stacks)
			apply(w, (struct event){.kind = EVENT_ITERATORS, .iterators = iterators});
		iterators.stamp += move;
		for (int second = 0; second < 10; second++) {
			w->gc_cycles += second == 5;
			heap(w);
			usage(w);
			look(w, KEY, SLOTS * 3 / 4, SLOTS);
			wait_ms(w, 1000);
		}
	}
}

static struct world watched(struct event_iterators iterators, uint64_t move)
{
	struct world w = world_new();

	open_all(&w);
	watch(&w, iterators, move, 4);
	return w;
}

Test(iterators, nothing_else_leads_to_it)
{
	struct world w = watched((struct event_iterators){.on_heap = 1, .stamp = 7}, 0);
	const struct finding *f = finding(&w, "held-snapshot");

	cr_assert_not_null(f);
	cr_assert_eq(f->severity, SEVERITY_HIGH);
	cr_assert_not(f->candidate);
	cr_assert_eq(f->bytes, map_bytes(SLOTS));
	cr_assert_eq(f->saves_bytes, f->bytes);
	cr_assert_eq(evidence(f, "since_ns"), 30e9);
	cr_assert_eq(evidence(f, "seen_once"), 0);
	cr_assert_not_null(strstr(f->message, "reflect.MapIter"));
	check_words(&w);
	world_done(&w);
}

Test(iterators, healthy)
{
	static const struct {
		const char *what;
		struct event_iterators iterators;
		uint64_t move;
	} rows[] = {
		{"none", {0}, 0},
		{"one that moves", {.on_heap = 1, .stamp = 7}, 1},
		{"a map that others know", {.on_heap = 1, .others = true, .stamp = 7}, 0},
		{"a range that rests", {.on_stacks = 1, .others = true, .stamp = 7}, 0},
		{"a range over a local map", {.on_stacks = 1, .stamp = 7}, 0},
		{"a small array that was left",
			{.on_stacks = 1, .old_bytes = MIB(1) - 1, .stamp = 7}, 0},
		{"a large one, but the range goes on",
			{.on_stacks = 1, .old_bytes = MIB(8), .stamp = 7}, 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world w = watched(rows[i].iterators, rows[i].move);

		cr_expect_null(finding(&w, "held-snapshot"), "%s", rows[i].what);
		world_done(&w);
	}
}

/* Made during a short session: the last census is the first that finds it. */
Test(iterators, born_late)
{
	static const struct {
		int censuses;
		uint64_t move;
		bool ended, told;
		const char *since;
	} rows[] = {
		{1, 0, true, true, "Seen once"},
		{1, 0, false, false, NULL}, /* the session goes on: it may be a loop */
		{2, 1, true, false, NULL},  /* it is one */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world w = world_new();
		const struct finding *f;

		open_all(&w);
		watch(&w, (struct event_iterators){.on_heap = 1, .stamp = 7}, rows[i].move,
			rows[i].censuses);
		if (rows[i].ended)
			model_set_clock(w.model, w.now_ns - 5 * NSEC_PER_SEC, 1, w.now_ns);
		f = finding(&w, "held-snapshot");
		cr_assert_eq(f != NULL, rows[i].told, "row %zu", i);
		if (f) {
			cr_expect_eq(f->severity, SEVERITY_INFO);
			cr_expect_eq(evidence(f, "seen_once"), 1);
			cr_expect(strstr(f->since, rows[i].since), "%s", f->since);
		}
		world_done(&w);
	}
}

/* Two censuses 10 s apart and one cycle: too short to be sure, and the end comes. */
Test(iterators, short_session)
{
	struct world w = world_new();
	const struct finding *f;

	open_all(&w);
	set(&w, "held-snapshot.gcs=5");
	watch(&w, (struct event_iterators){.on_heap = 1, .stamp = 7}, 0, 2);
	cr_assert_null(finding(&w, "held-snapshot"));
	model_set_clock(w.model, w.now_ns - 20 * NSEC_PER_SEC, 1, w.now_ns);
	f = finding(&w, "held-snapshot");
	cr_assert_not_null(f);
	cr_expect_eq(f->severity, SEVERITY_INFO);
	cr_expect(strstr(f->since, "not moved for 10 s, too short"), "%s", f->since);
	world_done(&w);
}

/* The next census does not find it any more. */
Test(iterators, gone)
{
	struct world w = watched((struct event_iterators){.on_heap = 1, .stamp = 7}, 0);

	watch(&w, (struct event_iterators){0}, 0, 1);
	cr_assert_null(finding(&w, "held-snapshot"));
	world_done(&w);
}

Test(iterators, array_that_was_left)
{
	struct world w = watched((struct event_iterators){.on_stacks = 1,
					 .others = true,
					 .stamp = 7,
					 .old_bytes = MIB(16),
					 .old_resident_bytes = MIB(12)},
		0);
	const struct finding *f = finding(&w, "held-snapshot");

	cr_assert_not_null(f);
	cr_assert_eq(f->severity, SEVERITY_HIGH);
	cr_assert_eq(f->saves_bytes, MIB(16));
	cr_assert_eq(f->saves_rss_bytes, MIB(12));
	cr_assert_not_null(strstr(f->message, "keeps the array of 16.0 MiB"));
	world_done(&w);
}

/* iter.Pull: nobody knows whether it will be asked for more. */
Test(iterators, coroutine)
{
	struct world w = world_new();
	struct event_iterators iterators = {.on_stacks = 1, .others = true, .stamp = 7};
	const struct finding *f;

	open_all(&w);
	iterators.site = world_site(&w, FAMILY_NONE, "", "iter.Pull2[...].func1", 10);
	watch(&w, iterators, 0, 4);
	f = finding(&w, "held-snapshot");
	cr_assert_not_null(f);
	cr_assert_eq(f->severity, SEVERITY_INFO);
	cr_assert_not_null(strstr(f->since, "cannot be seen from outside"));
	check_words(&w);
	world_done(&w);
}
