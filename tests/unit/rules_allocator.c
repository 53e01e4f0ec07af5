/* SPDX-License-Identifier: BSD-2-Clause */
/* What malloc keeps: when it is a finding, which of the two kinds, and when it is none. */
#include "model_events.h"

static void look_malloc(struct world *w, uint64_t system, uint64_t retained, uint64_t pages)
{
	usage(w);
	apply(w, (struct event){.kind = EVENT_ALLOCATOR,
			 .allocator = {.name = model_intern(w->model, "glibc"),
				 .arenas = 1,
				 .system_bytes = system,
				 .free_bytes = retained,
				 .retained_bytes = retained,
				 .page_bytes = pages,
				 .retained_page_bytes = pages,
				 .trim_bytes = pages}});
}

static void looks(struct world *w, int count, uint64_t system, uint64_t retained, uint64_t pages)
{
	for (int i = 0; i < count; i++) {
		look_malloc(w, system, retained, pages);
		wait_ms(w, 10000);
	}
}

Test(allocator, whole_pages)
{
	struct world w = world_new(); /* 100 MiB of RSS, limit 256 */
	const struct finding *f;

	looks(&w, 6, MIB(80), MIB(40), MIB(30));
	cr_assert_null(finding(&w, "allocator-retained"), "50 s between first and last look");
	looks(&w, 1, MIB(80), MIB(40), MIB(30));
	f = finding(&w, "allocator-retained");
	cr_assert_not_null(f);
	cr_assert_eq(f->severity, SEVERITY_HIGH);
	cr_assert_eq(f->confidence, CONFIDENCE_EXACT, "it needs no place");
	cr_assert_eq(f->saves_rss_bytes, MIB(30));
	cr_assert_eq(evidence(f, "trim_bytes"), (double)MIB(30));
	cr_assert_not_null(strstr(f->right_now, "malloc_trim"));
	world_done(&w);
}

Test(allocator, what_is_used_again_is_not_kept)
{
	struct world w = world_new();

	for (int i = 0; i < 6; i++) {
		looks(&w, 2, MIB(80), MIB(60), MIB(50));
		looks(&w, 1, MIB(80), MIB(4), MIB(2));
	}
	cr_assert_null(finding(&w, "allocator-retained"));
	looks(&w, 7, MIB(80), MIB(60), MIB(50));
	cr_assert_not_null(finding(&w, "allocator-retained"), "the old times are over");
	world_done(&w);
}

Test(allocator, scattered)
{
	struct world w = world_new();
	const struct finding *f;

	looks(&w, 8, MIB(90), MIB(40), 0);
	cr_assert_null(finding(&w, "allocator-retained"), "most of it is in use");
	looks(&w, 8, MIB(90), MIB(60), 0);
	f = finding(&w, "allocator-retained");
	cr_assert_not_null(f);
	cr_assert_eq(f->saves_rss_bytes, MIB(40), "at every look since it was as much as it takes");
	cr_assert_not_null(strstr(f->right_now, "nothing"), "malloc_trim() does not help");
	world_done(&w);
}

Test(allocator, little_is_silent)
{
	struct world w = world_new();

	looks(&w, 10, MIB(80), MIB(19), MIB(19));
	cr_assert_null(finding(&w, "allocator-retained"), "19 percent of RSS");
	w.rss_bytes = MIB(20);
	looks(&w, 10, MIB(12), MIB(7), MIB(7));
	cr_assert_null(finding(&w, "allocator-retained"), "7 MiB");
	world_done(&w);
}

Test(allocator, unknown_is_silent)
{
	struct world w = world_new();
	struct event event = {.kind = EVENT_ALLOCATOR,
		.allocator = {.name = model_intern(w.model, "jemalloc"),
			.reason = model_intern(w.model, "not read")}};

	for (int i = 0; i < 10; i++) {
		usage(&w);
		apply(&w, event);
		wait_ms(&w, 10000);
	}
	cr_assert_null(finding(&w, "allocator-retained"));
	cr_assert_eq(model_target(w.model, w.target)->allocator_count, 1);
	world_done(&w);
}

Test(allocator, history_is_bounded)
{
	struct world w = world_new();
	const struct allocator *allocator;

	looks(&w, 10 * MODEL_ALLOCATOR_SLOTS, MIB(80), MIB(40), MIB(30));
	allocator = &model_target(w.model, w.target)->allocators[0];
	cr_assert_leq(allocator->slot_count, MODEL_ALLOCATOR_SLOTS);
	cr_assert_eq(allocator->slots[0].page_bytes, MIB(30));
	cr_assert_not_null(finding(&w, "allocator-retained"));
	world_done(&w);
}
