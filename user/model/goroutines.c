/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goroutines: how many wait at which site, look after look. A site that a look does not mention has
 * (nearly) none left, and starts anew when it is mentioned again.
 */
#include <string.h>

#include "base/mem.h"
#include "model/private.h"

uint64_t model_goroutine_count(const struct target *target)
{
	uint64_t count = 0;

	for (size_t i = 0; i < WAIT_MAX; i++)
		count += target->goroutines.counts[i];
	return count;
}

void goroutines_apply(struct model *model, struct target_state *target, const struct event *event)
{
	struct target *pub = &target->pub;

	(void)model;
	pub->goroutines = event->goroutines;
	pub->goroutines_before_ns = pub->goroutines_ns;
	pub->goroutines_ns = event->time_ns;
}

static struct waiters *find(struct target *target, enum wait wait, uint32_t site)
{
	for (size_t i = 0; i < target->waiters_count; i++)
		if (target->waiters[i].now.wait == wait && target->waiters[i].now.site == site)
			return &target->waiters[i];
	return NULL;
}

/* Whoever is gone goes first, then the fewest; NULL where all are more than count. */
static struct waiters *make_room(struct target_state *target, uint64_t count)
{
	struct target *pub = &target->pub;
	struct waiters *fewest = NULL;

	if (pub->waiters_count < MODEL_MAX_WAITERS) {
		array_reserve(pub->waiters, pub->waiters_count, target->waiters_cap);
		return &pub->waiters[pub->waiters_count++];
	}
	for (size_t i = 0; i < pub->waiters_count; i++) {
		struct waiters *waiters = &pub->waiters[i];

		if (waiters->last_ns != pub->goroutines_ns &&
			waiters->last_ns != pub->goroutines_before_ns)
			return waiters;
		if (!fewest || waiters->now.count < fewest->now.count)
			fewest = waiters;
	}
	return fewest->now.count < count ? fewest : NULL;
}

static void thin(struct waiters *waiters)
{
	for (uint32_t i = 0; i < waiters->slot_count / 2; i++) {
		struct waiter_slot a = waiters->slots[2 * i], b = waiters->slots[2 * i + 1];

		waiters->slots[i] = (struct waiter_slot){a.time_ns, MIN(a.count, b.count)};
	}
	waiters->slot_count /= 2;
}

static void add_slot(struct waiters *waiters, const struct target *target, uint64_t count)
{
	if (waiters->last_ns != target->goroutines_before_ns)
		waiters->slot_count = 0;
	if (waiters->slot_count == MODEL_WAITER_SLOTS)
		thin(waiters);
	waiters->slots[waiters->slot_count++] = (struct waiter_slot){target->goroutines_ns, count};
	waiters->last_ns = target->goroutines_ns;
}

/* Another stack that leads to the same site at the same look. */
static void add_up(struct waiters *waiters, const struct event_waiters *more)
{
	struct event_waiters *now = &waiters->now;

	now->count += more->count;
	now->waited_ns = MAX(now->waited_ns, more->waited_ns);
	now->stack_bytes += more->stack_bytes;
	now->stack_resident_bytes += more->stack_resident_bytes;
	now->message_bytes += more->message_bytes;
	now->message_resident_bytes += more->message_resident_bytes;
	waiters->slots[waiters->slot_count - 1].count = now->count;
}

void goroutines_apply_waiters(
	struct model *model, struct target_state *target, const struct event *event)
{
	const struct event_waiters *event_waiters = &event->waiters;
	struct target *pub = &target->pub;
	struct waiters *waiters = find(pub, event_waiters->wait, event_waiters->site);

	(void)model;
	if (!pub->goroutines_ns)
		return;
	if (!waiters) {
		waiters = make_room(target, event_waiters->count);
		if (!waiters)
			return;
		memset(waiters, 0, sizeof(*waiters));
	}
	if (waiters->last_ns == pub->goroutines_ns) {
		add_up(waiters, event_waiters);
	} else {
		waiters->now = *event_waiters;
		add_slot(waiters, pub, event_waiters->count);
	}
	waiters->peak = MAX(waiters->peak, waiters->now.count);
}

void goroutines_end(struct target *target)
{
	target->goroutines_ns = 0;
	target->goroutines_before_ns = 0;
	target->waiters_count = 0;
}
