/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goroutines in the model, and blocked-goroutines: what it must find, what is just below a threshold, and
 * pools and queues, which are healthy.
 */
#include "model_events.h"

#define STACK 2048

/* A look at so many goroutines that wait at one site. */
static void look_at(struct world *w, enum wait wait, uint64_t count, uint64_t waited_ns)
{
	struct event_goroutines all = {.counts = {[WAIT_NONE] = 3}, .complete = true};

	all.counts[wait] += count;
	usage(w);
	heap(w);
	apply(w, (struct event){.kind = EVENT_GOROUTINES, .goroutines = all});
	if (count)
		apply(w, (struct event){.kind = EVENT_WAITERS,
				 .waiters = {.wait = wait,
					 .site = w->site,
					 .count = count,
					 .waited_ns = waited_ns,
					 .stack_bytes = count * STACK,
					 .stack_resident_bytes = count * STACK}});
}

static void watch(struct world *w, enum wait wait, uint64_t count, uint64_t seconds)
{
	for (uint64_t i = 0; i <= seconds; i++) {
		look_at(w, wait, count, 0);
		wait_ms(w, 1000);
	}
}

static struct world blocked_world(void)
{
	struct world w = world_new();

	w.site = world_site(&w, FAMILY_NONE, "", "main.send", 80);
	return w;
}

Test(blocked, finds_senders)
{
	struct world w = blocked_world();
	const struct finding *f;

	watch(&w, WAIT_SEND, 10000, 12);
	f = finding(&w, "blocked-goroutines");
	cr_assert_not_null(f);
	cr_assert_not(f->candidate);
	cr_assert_eq(f->class, CLASS_HELD);
	cr_assert_eq(f->severity, SEVERITY_HIGH, "20 of 100 MB");
	cr_assert_eq(f->confidence, CONFIDENCE_EXACT);
	cr_assert_eq(f->site, w.site);
	cr_assert_eq(f->container, -1);
	cr_assert_eq(f->bytes, 10000 * STACK);
	cr_assert_eq(f->saves_rss_bytes, 10000 * STACK);
	cr_assert_eq(f->saves_stack_bytes, 10000 * STACK);
	cr_assert_eq(evidence(f, "count"), 10000);
	cr_assert_eq(evidence(f, "count_first"), 10000);
	cr_assert_eq(evidence(f, "goroutines"), 10003);
	cr_assert_eq(evidence(f, "sending"), 1);
	cr_assert_eq(evidence(f, "since_ns"), 12e9);
	cr_assert_eq(evidence(f, "waited_ns"), -1, "no GC has looked at them");
	cr_assert_eq(evidence(f, "message_bytes"), 0);
	cr_assert_str_eq(f->message, "10,000 goroutines wait for a receiver of what they send; "
				     "their stacks hold 19.5 MiB.");
	cr_assert_not_null(strstr(f->in_code, "ctx.Done()"));
	check_words(&w);
	world_done(&w);
}

Test(blocked, silent_below_each_threshold)
{
	struct world w = blocked_world();

	watch(&w, WAIT_SEND, 99, 20);
	cr_assert_null(finding(&w, "blocked-goroutines"), "99 of them");
	set(&w, "blocked-goroutines.count=99");
	cr_assert_not_null(finding(&w, "blocked-goroutines"));
	world_done(&w);

	w = blocked_world();
	watch(&w, WAIT_SEND, 500, 9);
	cr_assert_null(finding(&w, "blocked-goroutines"), "9 s");
	set(&w, "blocked-goroutines.seconds=9");
	cr_assert_not_null(finding(&w, "blocked-goroutines"));
	world_done(&w);
}

Test(blocked, a_break_begins_anew)
{
	struct world w = blocked_world();

	watch(&w, WAIT_SEND, 500, 8);
	watch(&w, WAIT_SEND, 0, 0);
	watch(&w, WAIT_SEND, 500, 8);
	cr_assert_null(finding(&w, "blocked-goroutines"), "gone at one look");
	watch(&w, WAIT_SEND, 50, 0);
	watch(&w, WAIT_SEND, 500, 8);
	cr_assert_null(finding(&w, "blocked-goroutines"), "few at one look");
	watch(&w, WAIT_SEND, 500, 4);
	cr_assert_not_null(finding(&w, "blocked-goroutines"));
	watch(&w, WAIT_SEND, 0, 0);
	cr_assert_null(finding(&w, "blocked-goroutines"), "none left");
	world_done(&w);
}

Test(blocked, a_queue_that_moves_is_none)
{
	struct world w = blocked_world();

	for (uint64_t i = 0; i < 20; i++) {
		w.gc_cycles++;
		look_at(&w, WAIT_SEND, 500, 800 * NSEC_PER_MSEC);
		wait_ms(&w, 1000);
	}
	cr_assert_null(finding(&w, "blocked-goroutines"), "none waits longer than 0.8 s");
	look_at(&w, WAIT_SEND, 500, 15 * NSEC_PER_SEC);
	cr_assert_eq(evidence(finding(&w, "blocked-goroutines"), "waited_ns"), 15e9);
	world_done(&w);
}

Test(blocked, pools_are_normal)
{
	static const enum wait waits[] = {
		WAIT_RECEIVE, WAIT_SELECT, WAIT_LOCK, WAIT_IO, WAIT_SLEEP, WAIT_RUNTIME};

	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		struct world w = blocked_world();

		watch(&w, waits[i], 256, 60);
		cr_assert_null(finding(&w, "blocked-goroutines"), "%s", wait_name(waits[i]));
		world_done(&w);
	}
}

/* From 200 on, so many more at each of so many looks. */
static void rise(struct world *w, enum wait wait, uint64_t step, uint64_t looks)
{
	for (uint64_t i = 0; i < looks; i++) {
		look_at(w, wait, 200 + i * step, 0);
		wait_ms(w, 1000);
	}
}

Test(blocked, finds_a_rising_number)
{
	struct world w = blocked_world();
	const struct finding *f;

	rise(&w, WAIT_SELECT, 10, 12);
	f = finding(&w, "blocked-goroutines");
	cr_assert_not_null(f);
	cr_assert_eq(f->class, CLASS_GROWING);
	cr_assert_eq(evidence(f, "sending"), 0);
	cr_assert_eq(evidence(f, "count_first"), 200);
	cr_assert_eq(evidence(f, "count"), 310);
	check_words(&w);
	look_at(&w, WAIT_SELECT, 310, 0);
	cr_assert_null(finding(&w, "blocked-goroutines"), "no longer");
	world_done(&w);
}

Test(blocked, rising_and_falling_is_load)
{
	struct world w = blocked_world();

	for (int i = 0; i < 5; i++)
		rise(&w, WAIT_RECEIVE, 10, 6);
	cr_assert_null(finding(&w, "blocked-goroutines"));
	world_done(&w);

	w = blocked_world();
	rise(&w, WAIT_IO, 10, 30);
	cr_assert_null(finding(&w, "blocked-goroutines"), "connections come as they come");
	world_done(&w);
}

Test(blocked, remembers_longer_than_its_slots)
{
	struct world w = blocked_world();

	set(&w, "blocked-goroutines.seconds=300");
	watch(&w, WAIT_SEND, 500, 299);
	cr_assert_null(finding(&w, "blocked-goroutines"));
	watch(&w, WAIT_SEND, 500, 0);
	cr_assert_eq(evidence(finding(&w, "blocked-goroutines"), "since_ns"), 300e9);
	world_done(&w);
}

Test(blocked, stacks_of_one_site_add_up)
{
	struct world w = blocked_world();
	struct event more = {.kind = EVENT_WAITERS,
		.waiters = {.wait = WAIT_SEND,
			.site = w.site,
			.count = 60,
			.stack_bytes = 60 * STACK,
			.message_bytes = MIB(1),
			.message_resident_bytes = MIB(1)}};

	for (int i = 0; i < 12; i++) {
		look_at(&w, WAIT_SEND, 60, 0);
		apply(&w, more);
		wait_ms(&w, 1000);
	}
	cr_assert_eq(evidence(finding(&w, "blocked-goroutines"), "count"), 120);
	cr_assert_eq(evidence(finding(&w, "blocked-goroutines"), "message_bytes"), MIB(1));
	world_done(&w);
}

Test(blocked, table_is_bounded)
{
	struct world w = blocked_world();
	uint32_t large = w.site;

	for (int i = 0; i < 12; i++) {
		look_at(&w, WAIT_SEND, 1000, 0);
		for (uint32_t line = 1; line < 2 * MODEL_MAX_WAITERS; line++) {
			w.site = world_site(&w, FAMILY_NONE, "", "main.other", line);
			apply(&w, (struct event){.kind = EVENT_WAITERS,
					  .waiters = {.wait = WAIT_RECEIVE,
						  .site = w.site,
						  .count = 16}});
		}
		w.site = large;
		wait_ms(&w, 1000);
	}
	cr_assert_eq(model_target(w.model, w.target)->waiters_count, MODEL_MAX_WAITERS);
	cr_assert_eq(evidence(finding(&w, "blocked-goroutines"), "count"), 1000);
	world_done(&w);
}

Test(blocked, refuses_nonsense)
{
	struct world w = blocked_world();
	struct event event = {.kind = EVENT_WAITERS, .waiters = {.wait = WAIT_MAX, .count = 1}};

	cr_assert_neq(apply(&w, event), 0);
	event.waiters.wait = WAIT_SEND;
	cr_assert_eq(apply(&w, event), 0);
	cr_assert_eq(model_target(w.model, w.target)->waiters_count, 0, "no look has begun");
	world_done(&w);
}

Test(blocked, exec_forgets)
{
	struct world w = blocked_world();

	watch(&w, WAIT_SEND, 500, 20);
	apply(&w, (struct event){.kind = EVENT_EXEC});
	cr_assert_null(finding(&w, "blocked-goroutines"));
	cr_assert_eq(model_target(w.model, w.target)->goroutines_ns, 0);
	world_done(&w);
}
