/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What looks and records say of one address, in the orders in which they come: records late, through the ring,
 * and looks that take a while. A made-up runtime says at each look what the test wants.
 */
#include "trace/watcher.h"

#include <criterion/criterion.h>

#include "model_events.h"

#define KEY   0xc000010000ull
#define SLOTS 32768ull /* large enough to be watched */

static struct world w;
static struct watcher *watcher;

static struct {
	enum liveness liveness;
	uint64_t length;
	uint64_t read_ns; /* when it had read all */
	unsigned int looks;
	bool quiet;
} says;

static int look_at(struct runtime_process *process, enum family family, const uint64_t *keys,
	const uint64_t *types, const uint64_t *length_peaks, size_t count, bool deep,
	struct event_look *ret)
{
	(void)process;
	(void)types;
	(void)length_peaks;
	(void)deep;
	cr_assert_eq(count, 1);
	cr_assert_eq(family, FAMILY_MAP);
	clock_wait_ns(2 * NSEC_PER_MSEC);
	ret[0] = map_look(&w, keys[0], says.length, SLOTS).look;
	ret[0].liveness = says.liveness;
	if (says.liveness == LIVENESS_DEAD)
		ret[0] = (struct event_look){.family = family, .key = keys[0]};
	says.read_ns = clock_mono_ns();
	says.looks++;
	return 0;
}

static int ask_quiet(struct runtime_process *process, const uint64_t *keys, size_t count, bool *ret)
{
	(void)process;
	(void)keys;
	cr_assert_eq(count, 1);
	ret[0] = says.quiet;
	return 0;
}

static const struct runtime made_up = {.name = "made-up", .look = look_at, .quiet = ask_quiet};
static const struct part part = {.runtime = &made_up};

static void setup(void)
{
	w = world_new();
	w.now_ns = clock_mono_ns();
	watcher = watcher_new(w.model, w.target, NULL);
	memset(&says, 0, sizeof(says));
	says.liveness = LIVENESS_ALLOCATED;
	says.length = 1000;
}

static void teardown(void)
{
	watcher_free(watcher);
	world_done(&w);
}

TestSuite(watcher, .init = setup, .fini = teardown);

static void poll_once(bool quiet, bool last)
{
	watcher_begin_poll(watcher, quiet ? &part : NULL, clock_mono_ns(), last);
	watcher_poll(watcher, &part);
}

/* The record of a growth at that time. */
static void told_growth(uint64_t time_ns)
{
	watcher_take(watcher, &part,
		&(struct event){.kind = EVENT_GROWTH,
			.target = w.target,
			.time_ns = time_ns,
			.growth = {.family = FAMILY_MAP,
				.key = KEY,
				.old_key = KEY,
				.type = w.type,
				.site = w.site,
				.capacity = SLOTS,
				.allocated_bytes = map_bytes(SLOTS),
				.held_bytes = map_bytes(SLOTS)}},
		0);
}

static void told_creation(uint64_t time_ns)
{
	watcher_take(watcher, &part,
		&(struct event){.kind = EVENT_CREATE,
			.target = w.target,
			.time_ns = time_ns,
			.create = {.family = FAMILY_MAP,
				.key = KEY,
				.type = w.type,
				.site = w.site,
				.held_bytes = map_bytes(SLOTS)}},
		0);
}

static const struct container *known(void)
{
	return model_find_container(w.model, w.target, FAMILY_MAP, KEY);
}

static size_t dead(void)
{
	size_t count = 0;

	for (uint32_t i = 0; i < model_container_count(w.model); i++)
		count += model_container(w.model, i)->dead;
	return count;
}

Test(watcher, watches_what_it_is_told)
{
	poll_once(false, false);
	cr_assert_eq(says.looks, 0);
	told_growth(clock_mono_ns());
	poll_once(false, false);
	cr_assert_eq(says.looks, 1);
	cr_assert(known() && known()->looked);
	cr_assert_eq(known()->look.length, 1000);
}

/* What grew while it was read is not newer than what was seen of it. */
Test(watcher, look_is_dated_after_it_was_read)
{
	told_growth(clock_mono_ns());
	poll_once(false, false);
	cr_assert_geq(known()->look_ns, says.read_ns);
}

/* Another map may be at its address by the time that its death is told. */
Test(watcher, death_is_of_what_was_there)
{
	uint64_t serial;

	told_growth(clock_mono_ns());
	poll_once(false, false);
	serial = known()->serial;
	says.liveness = LIVENESS_DEAD;
	poll_once(false, false);
	cr_expect_eq(dead(), 0, "a record of it may be on its way");
	told_growth(clock_mono_ns());
	cr_expect_eq(dead(), 1);
	cr_assert_not_null(known());
	cr_expect_neq(known()->serial, serial);
	cr_expect_eq(known()->growths, 1);
	says.liveness = LIVENESS_ALLOCATED;
	poll_once(false, false);
	poll_once(false, true);
	cr_expect_eq(dead(), 1, "the new one lives");
	cr_expect_eq(known()->look.length, 1000);
}

Test(watcher, death_of_what_was_there_before_a_creation)
{
	told_creation(clock_mono_ns());
	says.liveness = LIVENESS_DEAD;
	poll_once(false, false);
	told_creation(clock_mono_ns());
	cr_expect_eq(dead(), 1);
	cr_expect(known() && !known()->looked);
	poll_once(false, true);
	cr_expect_eq(dead(), 2, "the last poll waits for no record");
	cr_expect_null(known());
}

/* A record that comes late is of what was alive then. */
Test(watcher, late_record_is_of_the_one_before)
{
	uint64_t then_ns = clock_mono_ns();

	told_growth(then_ns);
	says.liveness = LIVENESS_DEAD;
	poll_once(false, false);
	told_growth(then_ns + 1);
	cr_expect_eq(dead(), 0);
	cr_assert_not_null(known());
	cr_expect_eq(known()->growths, 2);
	poll_once(false, false);
	cr_expect_eq(dead(), 0, "not for so long yet");
	clock_wait_ns(350 * NSEC_PER_MSEC);
	poll_once(false, false);
	cr_expect_eq(dead(), 1);
	cr_expect_null(known());
	poll_once(false, false);
	cr_expect_eq(says.looks, 3, "nobody looks at it any more");
}

/* A slice's header may show nothing of it for a moment. */
Test(watcher, what_is_alive_again_has_not_died)
{
	told_growth(clock_mono_ns());
	says.liveness = LIVENESS_DEAD;
	poll_once(false, false);
	says.liveness = LIVENESS_ALLOCATED;
	poll_once(false, false);
	told_growth(clock_mono_ns());
	cr_expect_eq(dead(), 0);
	cr_expect_eq(known()->growths, 2);
}

/* Who says nothing new is asked, not looked at, until there is something new, or a look has to tell of its end. */
Test(watcher, quiet_ones_are_asked)
{
	unsigned int looks;

	told_growth(clock_mono_ns());
	says.quiet = true;
	for (int i = 0; i < 5; i++)
		poll_once(true, false);
	looks = says.looks;
	for (int i = 0; i < 5; i++)
		poll_once(true, false);
	cr_expect_eq(says.looks, looks);
	says.quiet = false;
	says.length = 2000;
	poll_once(true, false);
	cr_expect_eq(says.looks, looks + 1);
	cr_expect_eq(known()->look.length, 2000);
	says.liveness = LIVENESS_DEAD;
	poll_once(true, true);
	cr_expect_eq(dead(), 1);
}
