/* SPDX-License-Identifier: BSD-2-Clause */
/* What malloc keeps: the newest look, and how little it was over time. */
#include "base/mem.h"
#include "model/private.h"

void allocator_end(struct target *target)
{
	target->allocator_count = 0;
}

static struct allocator *find(struct target *target, uint32_t name)
{
	for (size_t i = 0; i < target->allocator_count; i++)
		if (target->allocators[i].now.name == name)
			return &target->allocators[i];
	return NULL;
}

/* Of two neighbours the lower one counts: what was given back in between was not kept. */
static void thin(struct allocator *allocator)
{
	for (uint32_t i = 0; i < allocator->slot_count / 2; i++) {
		struct allocator_slot a = allocator->slots[2 * i], b = allocator->slots[2 * i + 1];

		a.retained_bytes = MIN(a.retained_bytes, b.retained_bytes);
		a.page_bytes = MIN(a.page_bytes, b.page_bytes);
		allocator->slots[i] = a;
	}
	allocator->slot_count /= 2;
}

void allocator_apply(struct model *model, struct target_state *target, const struct event *event)
{
	const struct event_allocator *now = &event->allocator;
	struct target *pub = &target->pub;
	struct allocator *allocator = find(pub, now->name);

	(void)model;
	if (!allocator) {
		if (pub->allocator_count == MODEL_MAX_ALLOCATORS)
			return;
		allocator = &pub->allocators[pub->allocator_count++];
		*allocator = (struct allocator){0};
	}
	allocator->now = *now;
	allocator->last_ns = event->time_ns;
	if (allocator->slot_count == MODEL_ALLOCATOR_SLOTS)
		thin(allocator);
	allocator->slots[allocator->slot_count++] = (struct allocator_slot){
		event->time_ns, now->retained_bytes, now->retained_page_bytes};
}
