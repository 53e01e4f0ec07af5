/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large arrays of no container, by size and type. A reading begins with an event without a count; what it
 * does not mention is gone, and starts anew when it is mentioned again.
 */
#include "base/mem.h"
#include "model/private.h"

void arrays_end(struct target *target)
{
	target->array_count = 0;
	target->arrays_ns = target->arrays_before_ns = 0;
}

/* Those that the reading before did not have either make room. */
static void begin(struct target *target, uint64_t time_ns)
{
	size_t kept = 0;

	for (size_t i = 0; i < target->array_count; i++)
		if (target->arrays[i].last_ns == target->arrays_ns)
			target->arrays[kept++] = target->arrays[i];
	target->array_count = kept;
	target->arrays_before_ns = target->arrays_ns;
	target->arrays_ns = time_ns;
}

static struct arrays *find(struct target *target, const struct event_arrays *event)
{
	for (size_t i = 0; i < target->array_count; i++)
		if (target->arrays[i].now.array_bytes == event->array_bytes &&
			target->arrays[i].now.type == event->type &&
			target->arrays[i].now.has_pointers == event->has_pointers)
			return &target->arrays[i];
	return NULL;
}

void arrays_apply(struct model *model, struct target_state *target, const struct event *event)
{
	const struct event_arrays *now = &event->arrays;
	struct target *pub = &target->pub;
	struct arrays *arrays;

	(void)model;
	if (!now->count) {
		begin(pub, event->time_ns);
		return;
	}
	arrays = find(pub, now);
	if (!arrays) {
		if (!pub->arrays_ns || pub->array_count == MODEL_MAX_ARRAYS)
			return;
		arrays = &pub->arrays[pub->array_count++];
		*arrays = (struct arrays){.first_ns = event->time_ns, .least_count = now->count};
	}
	arrays->now = *now;
	arrays->last_ns = event->time_ns;
	arrays->least_count = MIN(arrays->least_count, now->count);
}
