/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last things that happened to a target: what the black box has to say when it is gone. Small growths
 * are left out, and those of one site within a second are one.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "model/private.h"

#define GROWTH_BYTES   (64ull << 10)
#define RETURNED_BYTES (1ull << 20)
#define MERGE_NS       NSEC_PER_SEC
#define MERGE_LAST     8 /* that are compared with */

static struct recent *recent_at(struct target *target, uint64_t i)
{
	return &target->recent[i % MODEL_RECENT];
}

static bool is_alike(const struct recent *a, const struct recent *b)
{
	return a->kind == b->kind && a->site == b->site && a->type == b->type &&
	       a->family == b->family && b->time_ns < a->time_ns + MERGE_NS;
}

static void add(struct target *target, const struct recent *recent)
{
	uint64_t kept = MIN(target->recent_count, (uint64_t)MERGE_LAST);

	for (uint64_t i = 1; i <= kept; i++) {
		struct recent *other = recent_at(target, target->recent_count - i);
		uint64_t count = other->count + 1, bytes = other->bytes;

		if (!is_alike(other, recent))
			continue;
		*other = *recent;
		other->count = count;
		if (recent->kind == RECENT_RETURNED)
			other->bytes += bytes;
		return;
	}
	*recent_at(target, target->recent_count++) = *recent;
}

static void add_growth(struct target *target, const struct event *event)
{
	const struct event_growth *growth = &event->growth;

	if (growth->allocated_bytes < GROWTH_BYTES)
		return;
	add(target,
		&(struct recent){
			.kind = RECENT_GROWTH,
			.time_ns = event->time_ns,
			.count = 1,
			.bytes = growth->held_bytes ? growth->held_bytes : growth->allocated_bytes,
			.site = growth->site,
			.type = growth->type,
			.family = growth->family,
			.capacity = growth->capacity,
		});
}

static void add_gc(struct target *target, const struct event *event)
{
	const struct event_heap *heap = &event->heap;

	if (!target->has_heap || heap->gc_running || heap->gc_cycles <= target->gc.newest)
		return;
	add(target, &(struct recent){.kind = RECENT_GC,
			    .time_ns = event->time_ns,
			    .count = 1,
			    .bytes = heap->live_bytes});
}

static void add_returned(
	struct target *target, uint32_t site, uint64_t bytes, const struct event *event)
{
	if (bytes < RETURNED_BYTES)
		return;
	add(target, &(struct recent){.kind = RECENT_RETURNED,
			    .time_ns = event->time_ns,
			    .count = 1,
			    .bytes = bytes,
			    .site = site});
}

void recent_apply(struct target_state *target, const struct event *event)
{
	switch (event->kind) {
	case EVENT_GROWTH:
		add_growth(&target->pub, event);
		break;
	case EVENT_HEAP:
		add_gc(&target->pub, event);
		break;
	case EVENT_MEMORY:
		add_returned(&target->pub, event->memory.site, event->memory.lost_bytes, event);
		break;
	case EVENT_FAULTS:
		add_returned(&target->pub, 0, event->faults.lost_bytes, event);
		break;
	default:
		break;
	}
}

const struct recent *model_recent(const struct target *target, size_t i)
{
	if (i >= MIN(target->recent_count, (uint64_t)MODEL_RECENT))
		return NULL;
	return &target->recent[(target->recent_count - 1 - i) % MODEL_RECENT];
}
