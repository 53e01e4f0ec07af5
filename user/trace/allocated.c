/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A profile of a large program has thousands of stacks, most of them with next to nothing. Those with
 * most in use come first and get their frames; what would cost too much time, or hardly counts, goes
 * to one stack without a place, so that the sums stay right.
 */
#include "trace/allocated.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

#define NAMING_LIMIT_NS (500 * NSEC_PER_MSEC)
#define NAMED_STACKS    2048

struct reading {
	struct symbolizer *symbolizer;
	uint64_t begin_ns;
	struct event_allocated *list;
	size_t count, capacity;
};

static void allocated_found(const struct runtime_allocated *allocated, void *arg)
{
	struct reading *reading = arg;
	struct event_allocated *event;
	bool named = reading->count < NAMED_STACKS &&
		     clock_mono_ns() - reading->begin_ns < NAMING_LIMIT_NS;

	array_reserve(reading->list, reading->count, reading->capacity);
	event = &reading->list[reading->count++];
	*event = allocated->event;
	event->stack =
		named ? symbolizer_stack(reading->symbolizer, allocated->pcs, allocated->pc_count)
		      : 0;
}

void allocated_read(const struct runtime *runtime, struct runtime_process *process,
	struct symbolizer *symbolizer, struct model *model, uint32_t target, uint64_t now_ns)
{
	struct event event = {.kind = EVENT_PROFILE, .target = target, .time_ns = now_ns};
	struct reading reading = {.symbolizer = symbolizer, .begin_ns = clock_mono_ns()};
	char reason[160] = "";
	int r = runtime->profile(process, allocated_found, &reading, &event.profile, reason);

	if (r == -ENODATA || event.profile.sampled)
		event.profile.reason = model_intern(model, reason);
	if (!r || r == -ENODATA)
		model_apply(model, &event);
	event.kind = EVENT_ALLOCATED;
	for (size_t i = 0; !r && i < reading.count; i++) {
		event.allocated = reading.list[i];
		model_apply(model, &event);
	}
	free(reading.list);
}
