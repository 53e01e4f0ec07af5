/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last way to a line for a map that was there before us, in a program that keeps no allocation profile:
 * for a moment, who uses it is seen. One map at a time, the largest whose place is not known; the place
 * that puts things into it, or else the one that looks into it, most often of what was seen.
 *
 * Every use of every map of the target traps meanwhile, and until the probes are gone again: it is done
 * only where somebody asked for it, and is no part of the budget.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "trace/session_private.h"
#include "trace/symbolizer.h"

#define BURST_NS   (100 * NSEC_PER_MSEC)
#define BURST_HITS 1000
#define SETTLE_NS  (200 * NSEC_PER_MSEC) /* its last records are on their way */
#define REST_NS    (2 * NSEC_PER_SEC)
#define MIN_HELD   (1ull << 20)

static bool was_tried(const struct session_burst *burst, uint64_t serial)
{
	for (size_t i = 0; i < burst->tried_count; i++)
		if (burst->tried[i] == serial)
			return true;
	return false;
}

static bool is_wanted(const struct session_burst *burst, const struct container *container)
{
	return container->family == FAMILY_MAP && !container->dead && container->looked &&
	       !container->sites[0].site && !(container->key & EVENT_KEY_ON_STACK) &&
	       container->held_bytes >= MIN_HELD && !was_tried(burst, container->serial);
}

static struct reader *reader_of(struct session *session, uint32_t target)
{
	for (size_t i = 0; i < session->slot_count; i++) {
		const struct session_slot *slot = &session->slots[i];

		if (slot->reader && !slot->exited_ns && reader_target(slot->reader) == target)
			return slot->reader;
	}
	return NULL;
}

static const struct container *choose(struct session *session)
{
	const struct container *found = NULL;

	for (uint32_t id = 0; id < model_container_count(session->model); id++) {
		const struct container *container = model_container(session->model, id);

		if (container && is_wanted(&session->burst, container) &&
			(!found || container->held_bytes > found->held_bytes) &&
			reader_of(session, container->target))
			found = container;
	}
	return found;
}

static void begin(struct session *session, uint64_t now_ns)
{
	struct session_burst *burst = &session->burst;
	const struct container *container = choose(session);

	burst->due_ns = now_ns + REST_NS;
	if (!container)
		return;
	burst->tried[burst->tried_count++] = container->serial;
	burst->target = container->target;
	burst->key = container->key;
	burst->type = container->type;
	burst->runtime = container->runtime;
	burst->owner = container->owner;
	burst->place_count = 0;
	if (prober_open_burst(session->prober, reader_of(session, container->target),
		    container->key, BURST_HITS))
		return;
	burst->state = BURST_OPEN;
	burst->due_ns = clock_mono_ns() + BURST_NS;
}

void session_burst_take(
	struct session *session, struct reader *reader, const struct mt_record *record)
{
	struct session_burst *burst = &session->burst;
	size_t count = MIN(record->stack_bytes / sizeof(uint64_t), (size_t)MT_STACK_FRAMES), i = 0;
	struct session_burst_place *place;

	if (burst->state == BURST_NONE || reader_target(reader) != burst->target ||
		record->addr != burst->key || !(record->flags & MT_HAS_STACK) || count < 2)
		return;
	/* By the call: behind the probe itself comes the address that it returns to. */
	while (i < burst->place_count && burst->places[i].addrs[1] != record->stack[1])
		i++;
	if (i == ARRAY_SIZE(burst->places))
		return;
	place = &burst->places[i];
	if (i == burst->place_count) {
		burst->place_count++;
		*place = (struct session_burst_place){.count = count};
		memcpy(place->addrs, record->stack, count * sizeof(place->addrs[0]));
	}
	place->hits++;
	place->writes += record->kind == MT_WRITE;
}

static bool is_better(
	const struct session_burst_place *place, const struct session_burst_place *than)
{
	return place->writes != than->writes ? place->writes > than->writes
					     : place->hits > than->hits;
}

static void end(struct session *session, uint64_t now_ns)
{
	struct session_burst *burst = &session->burst;
	const struct session_burst_place *best = &burst->places[0];
	struct reader *reader = reader_of(session, burst->target);
	struct event event = {
		.kind = EVENT_CREATE,
		.target = burst->target,
		.time_ns = now_ns,
		.create = {.family = FAMILY_MAP,
			.key = burst->key,
			.type = burst->type,
			.runtime = burst->runtime,
			.owner = burst->owner,
			.found = true,
			.accessed = true},
	};

	burst->state = BURST_NONE;
	burst->due_ns = now_ns + REST_NS;
	for (size_t i = 1; i < burst->place_count; i++)
		if (is_better(&burst->places[i], best))
			best = &burst->places[i];
	if (!burst->place_count || !reader ||
		!model_find_container(session->model, burst->target, FAMILY_MAP, burst->key))
		return;
	event.create.site = symbolizer_site(
		reader_symbolizer(reader), FAMILY_MAP, burst->type, best->addrs, best->count, true);
	model_apply(session->model, &event);
}

static void close_probes(struct session *session)
{
	struct reader *reader = reader_of(session, session->burst.target);

	if (reader)
		prober_close_burst(session->prober, reader);
}

static bool goes_on(struct session *session, uint64_t now_ns)
{
	struct reader *reader = reader_of(session, session->burst.target);

	return reader && now_ns < session->burst.due_ns &&
	       prober_burst_goes_on(session->prober, reader);
}

void session_burst_step(struct session *session, uint64_t now_ns)
{
	struct session_burst *burst = &session->burst;

	switch (burst->state) {
	case BURST_NONE:
		if (now_ns >= burst->due_ns && burst->tried_count < ARRAY_SIZE(burst->tried))
			begin(session, now_ns);
		break;
	case BURST_OPEN:
		if (goes_on(session, now_ns))
			break;
		close_probes(session);
		burst->state = BURST_SETTLES;
		burst->due_ns = now_ns + SETTLE_NS;
		break;
	case BURST_SETTLES:
		if (now_ns >= burst->due_ns)
			end(session, now_ns);
		break;
	}
}

void session_burst_over(struct session *session)
{
	if (session->burst.state == BURST_OPEN)
		close_probes(session);
	if (session->burst.state != BURST_NONE)
		end(session, clock_mono_ns());
}
