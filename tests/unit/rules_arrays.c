/* SPDX-License-Identifier: BSD-2-Clause */
/* Large arrays in the model, and pinned-array: what it asks about, and what is just below a threshold. */
#include "model_events.h"

#define KIB64 (64ull << 10)

static void begin(struct world *w)
{
	usage(w);
	heap(w);
	apply(w, (struct event){.kind = EVENT_ARRAYS});
}

static void arrays(struct world *w, uint32_t type, uint64_t bytes, uint64_t count)
{
	apply(w, (struct event){.kind = EVENT_ARRAYS,
			 .arrays = {.type = type,
				 .site = w->site,
				 .array_bytes = bytes,
				 .count = count,
				 .resident_bytes = count * bytes / 4}});
}

Test(arrays, asks_with_both_numbers)
{
	struct world w = world_new();
	const struct finding *f;

	begin(&w);
	arrays(&w, 0, KIB64, 400);
	f = finding(&w, "pinned-array");
	cr_assert_not_null(f);
	cr_assert_eq(f->severity, SEVERITY_INFO);
	cr_assert_not(f->candidate);
	cr_assert_eq(f->bytes, 400 * KIB64);
	cr_assert_eq(f->saves_bytes, 0, "it is a question");
	cr_assert_eq(evidence(f, "live_bytes"), 400.0 * KIB64);
	cr_assert_eq(evidence(f, "resident_bytes"), 100.0 * KIB64);
	cr_assert_eq(evidence(f, "since_ns"), 0);
	wait_ms(&w, 2000);
	begin(&w);
	arrays(&w, 0, KIB64, 500);
	f = finding(&w, "pinned-array");
	cr_assert_eq(evidence(f, "arrays"), 500);
	cr_assert_eq(evidence(f, "since_ns"), 2e9);
	world_done(&w);
}

Test(arrays, silent_below)
{
	struct world w = world_new(); /* 100 MB of RSS */

	begin(&w);
	arrays(&w, 0, MIB(1), 99);
	cr_assert_null(finding(&w, "pinned-array"), "99 of them");
	set(&w, "pinned-array.count=99");
	cr_assert_not_null(finding(&w, "pinned-array"));
	set(&w, "pinned-array.min_bytes=100M");
	cr_assert_null(finding(&w, "pinned-array"), "99 MiB");
	begin(&w);
	arrays(&w, 0, 4095, 30000);
	cr_assert_null(finding(&w, "pinned-array"), "small ones");
	set(&w, "pinned-array.array_bytes=4095");
	set(&w, "pinned-array.min_bytes=4M");
	cr_assert_not_null(finding(&w, "pinned-array"));
	world_done(&w);
}

/* What a reading does not mention is gone; what comes back starts anew. */
Test(arrays, come_and_go)
{
	struct world w = world_new();
	const struct target *target = model_target(w.model, w.target);

	arrays(&w, 0, KIB64, 400);
	cr_assert_eq(target->array_count, 0, "belongs to no reading");
	begin(&w);
	arrays(&w, 0, KIB64, 400);
	arrays(&w, w.type, KIB64, 7);
	cr_assert_eq(target->array_count, 2, "the type tells them apart");
	wait_ms(&w, 1000);
	begin(&w);
	cr_assert_null(finding(&w, "pinned-array"));
	wait_ms(&w, 1000);
	begin(&w);
	cr_assert_eq(target->array_count, 0);
	arrays(&w, 0, KIB64, 400);
	cr_assert_eq(evidence(finding(&w, "pinned-array"), "since_ns"), 0);
	world_done(&w);
}

Test(arrays, are_bounded)
{
	struct world w = world_new();

	begin(&w);
	for (uint64_t i = 1; i <= MODEL_MAX_ARRAYS + 5; i++)
		arrays(&w, 0, i * KIB64, 1);
	cr_assert_eq(model_target(w.model, w.target)->array_count, MODEL_MAX_ARRAYS);
	world_done(&w);
}
