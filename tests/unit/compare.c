/* SPDX-License-Identifier: BSD-2-Clause */
/* Two sessions side by side: what is the same is found again, what is counted is compared per second. */
#include "model_events.h"

#include "cli/compare.h"

static struct finding finding_of(
	const struct world *w, uint64_t id, enum finding_class class, uint64_t bytes)
{
	return (struct finding){.id = id,
		.kind = "kind",
		.class = class,
		.severity = SEVERITY_MEDIUM,
		.site = w->site,
		.container = -1,
		.bytes = class == CLASS_CHURN ? 0 : bytes,
		.bytes_per_second = class == CLASS_CHURN ? bytes : 0};
}

static struct side side_of(struct world *w, struct finding *items, size_t count)
{
	w->findings = (struct findings){.items = items, .count = count};
	return (struct side){w->model, &w->findings};
}

static void leave(struct world *w)
{
	w->findings = (struct findings){0};
	world_done(w);
}

Test(compare, findings_are_found_again_by_their_id)
{
	struct world v = world_new(), w = world_new();
	struct finding a[] = {finding_of(&v, 1, CLASS_HELD, MIB(10)),
		finding_of(&v, 1, CLASS_HELD, MIB(5)), finding_of(&v, 2, CLASS_HELD, MIB(7)),
		finding_of(&v, 3, CLASS_CHURN, MIB(4))};
	struct finding b[] = {finding_of(&w, 1, CLASS_HELD, MIB(40)),
		finding_of(&w, 3, CLASS_CHURN, MIB(1)), finding_of(&w, 4, CLASS_HELD, MIB(9)),
		finding_of(&w, 5, CLASS_HELD, MIB(9))};
	struct side x, y;
	struct changes changes;

	b[2].candidate = true;
	b[3].severity = SEVERITY_INFO;
	x = side_of(&v, a, 4);
	y = side_of(&w, b, 4);
	compare_findings(&x, &y, &changes);
	cr_assert_eq(changes.count, 3);
	cr_expect_eq(changes.items[0].id, 1);
	cr_expect_eq(change_delta(&changes.items[0]), (int64_t)MIB(25));
	cr_expect_eq(change_verdict(&changes.items[0]), VERDICT_WORSE);
	cr_expect_eq(changes.items[1].id, 2);
	cr_expect_eq(change_verdict(&changes.items[1]), VERDICT_BETTER);
	cr_expect_not(changes.items[1].in_b);
	cr_expect(changes.items[2].per_second);
	cr_expect_eq(changes.items[2].a, MIB(4));
	cr_expect_eq(changes.worse_bytes, MIB(25));
	cr_expect_eq(changes.better_bytes, MIB(7));
	changes_done(&changes);
	leave(&v);
	leave(&w);
}

Test(compare, what_hardly_changes_is_the_same)
{
	struct change change = {.a = MIB(100), .b = MIB(104)};

	cr_expect_eq(change_verdict(&change), VERDICT_SAME);
	change.b = MIB(106);
	cr_expect_eq(change_verdict(&change), VERDICT_WORSE);
	change.b = MIB(90);
	cr_expect_eq(change_verdict(&change), VERDICT_BETTER);
	change = (struct change){.a = 0, .b = 60000};
	cr_expect_eq(change_verdict(&change), VERDICT_SAME);
	change = (struct change){.a = 0, .b = UINT64_MAX};
	cr_expect_eq(change_verdict(&change), VERDICT_WORSE);
}

/* A session of so many seconds in which a map grows at a line. */
static struct world session(uint64_t seconds, uint32_t line, uint64_t slots)
{
	struct world w = world_new();

	w.site = world_site(&w, FAMILY_MAP, "map[int]main.session", "main.(*Cache).Put", line);
	open_all(&w);
	fill_map(&w, w.site, 0x1000, slots);
	model_set_clock(w.model, START_NS, 1, START_NS + seconds * NSEC_PER_SEC);
	return w;
}

Test(compare, places_outlive_moved_lines_and_unequal_sessions)
{
	struct world v = session(10, 42, 1 << 20), w = session(20, 99, 1 << 20);
	struct side x = {v.model, &v.findings}, y = {w.model, &w.findings};
	struct changes changes;

	compare_sites(&x, &y, &changes);
	cr_assert_eq(changes.count, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct change *change = &changes.items[i];

		cr_expect_str_eq(change->function, "main.(*Cache).Put");
		cr_expect(change->in_a && change->in_b);
		if (change->per_second)
			cr_expect_eq(change->a / 2, change->b);
		else
			cr_expect_eq(change->a, change->b);
	}
	cr_expect_eq(changes.worse_bytes, 0);
	changes_done(&changes);
	world_done(&v);
	world_done(&w);
}

Test(compare, load_is_per_second)
{
	struct world v = session(10, 42, 1 << 20);
	struct side x = {v.model, &v.findings};
	struct load load;

	apply(&v, (struct event){.kind = EVENT_USAGE,
			  .usage = {.rss_bytes = MIB(5), .cpu_ns = NSEC_PER_SEC}});
	apply(&v, (struct event){.kind = EVENT_USAGE,
			  .usage = {.rss_bytes = MIB(6), .cpu_ns = 6 * NSEC_PER_SEC}});
	compare_load(&x, &load);
	cr_expect_float_eq(load.seconds, 10, 1e-9);
	cr_expect_float_eq(load.cpu_cores, 0.5, 1e-9);
	cr_expect_eq(load.growths, 17);
	cr_expect_float_eq(load.growths_per_second, 1.7, 1e-9);
	cr_expect_eq(load.rss_bytes, MIB(6));
	model_set_clock(v.model, START_NS, 1, START_NS);
	compare_load(&x, &load);
	cr_expect_float_eq(load.growths_per_second, 0, 1e-9);
	world_done(&v);
}
