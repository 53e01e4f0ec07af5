/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/goroutines.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

#define MAX_WAITERS 4096

/* The groups of one look, until its totals have been told. */
struct waiters_found {
	struct runtime_waiters *list;
	size_t count, capacity;
};

static void waiters_found(const struct runtime_waiters *waiters, void *arg)
{
	struct waiters_found *found = arg;

	if (found->count == MAX_WAITERS)
		return;
	array_reserve(found->list, found->count, found->capacity);
	found->list[found->count++] = *waiters;
}

/* event: of the look, its target and time. */
static void apply_waiters(struct event event, const struct waiters_found *found,
	struct symbolizer *symbolizer, struct model *model)
{
	event.kind = EVENT_WAITERS;
	for (size_t i = 0; i < found->count; i++) {
		const struct runtime_waiters *waiters = &found->list[i];

		event.waiters = waiters->event;
		event.waiters.site = symbolizer_site(
			symbolizer, FAMILY_NONE, 0, waiters->pcs, waiters->pc_count, false);
		if (event.waiters.site)
			model_apply(model, &event);
	}
}

int goroutines_read(const struct runtime *runtime, struct runtime_process *process,
	struct symbolizer *symbolizer, struct model *model, uint32_t target, uint64_t now_ns)
{
	struct event event = {.kind = EVENT_GOROUTINES, .target = target, .time_ns = now_ns};
	struct waiters_found found = {0};
	int r = runtime->goroutines(
		process, GOROUTINES_FLOOR, waiters_found, &found, &event.goroutines);

	if (r == -ENOTSUP)
		model_add_skip(model, "goroutines",
			"this binary does not tell where they are or what they wait for");
	if (r == -EBADMSG)
		model_add_skip(model, "goroutines",
			"what should be their list holds none: this version keeps them elsewhere");
	if (r == 0) {
		model_apply(model, &event);
		apply_waiters(event, &found, symbolizer, model);
	}
	free(found.list);
	return r;
}
