/* SPDX-License-Identifier: BSD-2-Clause */
/* What rules_run() does with findings: thresholds, identity, severity, confidence, rank, savings. */
#include "model_events.h"

#include <errno.h>

#define SLOTS 2097152ull

/* An emptied map of one site, watched long enough. */
static void add_emptied(struct world *w, uint32_t site, uint64_t key, uint64_t slots)
{
	struct event event = map_look(w, key, 10, slots);

	apply(w, (struct event){.kind = EVENT_CREATE,
			 .create = {.family = FAMILY_MAP,
				 .key = key,
				 .type = w->type,
				 .site = site,
				 .before_attach = true}});
	event.look.liveness = LIVENESS_ROOTED;
	apply(w, event);
	wait_ms(w, 61000);
	apply(w, event);
	usage(w);
}

Test(thresholds, all_rules_have_defaults)
{
	struct thresholds *thresholds = thresholds_new();
	char error[160], assignment[96];

	for (size_t i = 0; rules_get(i); i++) {
		const struct rule *rule = rules_get(i);

		cr_assert(*rule->help);
		cr_assert_not_null(rule->evaluate);
		for (size_t j = 0; rule->thresholds[j].field; j++) {
			cr_assert_lt(j, RULE_MAX_THRESHOLDS - 1);
			cr_assert(*rule->thresholds[j].help);
			snprintf(assignment, sizeof(assignment), "%s.%s=3", rule->kind,
				rule->thresholds[j].field);
			cr_assert_eq(
				thresholds_set(thresholds, assignment, error), 0, "%s", assignment);
		}
	}
	thresholds_free(thresholds);
}

Test(thresholds, wrong_ones_are_explained)
{
	static const char *const wrong[][2] = {
		{"retained-buckets", "KIND.FIELD=VALUE"},
		{"retained-buckets.seconds", "KIND.FIELD=VALUE"},
		{"nothing.seconds=2", "no rule 'nothing'; one of retained-buckets"},
		{"retained-buckets.minutes=2", "it has seconds, gcs, min_bytes"},
		{"retained-buckets.seconds=soon", "'soon' is not seconds"},
		{"retained-buckets.seconds=-1", "is not seconds"},
		{"retained-buckets.seconds=nan", "is not seconds"},
		{"retained-buckets.seconds=", "is not seconds"},
		{"retained-buckets.min_bytes=4X", "a size such as 4M"},
		{"retained-buckets.max_load_pct=5s", "a percentage"},
		{"resize-storm.bytes_per_second=1M/h", "bytes per second"},
		{"", "KIND.FIELD=VALUE"},
		{".=", "no rule"},
	};
	struct thresholds *thresholds = thresholds_new();

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		char error[160] = "";

		cr_assert_eq(thresholds_set(thresholds, wrong[i][0], error), -EINVAL);
		cr_assert_not_null(strstr(error, wrong[i][1]), "%s: %s", wrong[i][0], error);
	}
	thresholds_free(thresholds);
}

Test(thresholds, units)
{
	struct world w = world_new();

	set(&w, "retained-buckets.min_bytes=4MiB");
	set(&w, "retained-buckets.seconds=2.5s");
	set(&w, "retained-buckets.max_load_pct=25%");
	set(&w, "resize-storm.bytes_per_second=1M/s");
	world_done(&w);
}

Test(run, empty_model_has_no_findings)
{
	struct world w = world_new();

	run(&w);
	cr_assert_eq(w.findings.count, 0);
	cr_assert_eq(w.findings.saves_rss_bytes, 0);
	world_done(&w);
}

Test(run, process_without_gc_or_containers_is_silent)
{
	struct world w = world_new();

	for (int i = 0; i < 1000; i++, wait_ms(&w, 100))
		usage(&w);
	run(&w);
	cr_assert_eq(w.findings.count, 0);
	world_done(&w);
}

Test(run, ids_do_not_depend_on_lines)
{
	struct world a = world_new(), b = world_new(), c = world_new();
	uint32_t moved =
		world_site(&b, FAMILY_MAP, "map[int]main.session", "main.(*Cache).Put", 99);
	uint32_t other =
		world_site(&c, FAMILY_MAP, "map[int]main.session", "main.(*Cache).Get", 42);

	add_emptied(&a, a.site, 0x1000, SLOTS);
	add_emptied(&b, moved, 0x2000, SLOTS * 2);
	add_emptied(&c, other, 0x1000, SLOTS);
	cr_assert_eq(finding(&a, "retained-buckets")->id, finding(&b, "retained-buckets")->id);
	cr_assert_neq(finding(&a, "retained-buckets")->id, finding(&c, "retained-buckets")->id);
	world_done(&a);
	world_done(&b);
	world_done(&c);
}

Test(run, ranks_by_savings_and_sums_once)
{
	struct world w = world_new();
	uint64_t sum = 0;

	w.rss_bytes = MIB(200);
	add_emptied(&w, w.site, 0x1000, SLOTS / 2);
	add_emptied(
		&w, world_site(&w, FAMILY_MAP, "map[int]int", "main.two", 2), 0x2000, SLOTS * 2);
	add_emptied(&w, world_site(&w, FAMILY_MAP, "map[int]int", "main.three", 3), 0x3000, SLOTS);
	run(&w);
	cr_assert_eq(w.findings.count, 3);
	for (size_t i = 0; i < 3; i++)
		sum += w.findings.items[i].saves_rss_bytes;
	cr_assert_eq(w.findings.items[0].bytes, map_bytes(SLOTS * 2));
	cr_assert_eq(w.findings.items[1].bytes, map_bytes(SLOTS));
	cr_assert_eq(w.findings.saves_rss_bytes, sum);
	w.rss_bytes = MIB(50);
	usage(&w);
	run(&w);
	cr_assert_eq(w.findings.saves_rss_bytes, MIB(50), "no more than there is");
	world_done(&w);
}

Test(run, unknown_containers_are_not_alike)
{
	struct world w = world_new();

	add_emptied(&w, 0, 0x1000, SLOTS);
	add_emptied(&w, 0, 0x2000, SLOTS);
	run(&w);
	cr_assert_eq(w.findings.count, 2);
	world_done(&w);
}

/* Each of them is worth MEDIUM or less, all together HIGH. */
Test(run, alike_containers_are_one_finding)
{
	struct world w = world_new();
	uint64_t held = map_bytes(SLOTS / 8), alone, largest;
	const struct finding *f;

	w.rss_bytes = MIB(200);
	add_emptied(&w, w.site, 0x1000, SLOTS / 4);
	f = finding(&w, "retained-buckets");
	cr_assert_eq(f->severity, SEVERITY_MEDIUM);
	cr_assert_eq(evidence(f, "containers"), -1, "there is but one");
	alone = f->saves_bytes;
	largest = f->container;
	for (uint64_t i = 0; i < 31; i++)
		add_emptied(&w, w.site, 0x2000 + i * 48, SLOTS / 8);
	f = finding(&w, "retained-buckets");
	cr_assert_eq(w.findings.count, 1);
	cr_assert_eq(evidence(f, "containers"), 32);
	cr_assert_eq(f->bytes, map_bytes(SLOTS / 4) + 31 * held);
	cr_assert_eq(f->saves_bytes, alone + 31 * (held - map_bytes(map_slots(10))));
	cr_assert_eq(w.findings.saves_rss_bytes, f->saves_rss_bytes);
	cr_assert_eq(f->severity, SEVERITY_HIGH);
	cr_assert_eq((uint64_t)f->container, largest);
	cr_assert_eq(evidence(f, "held_bytes"), map_bytes(SLOTS / 4), "of the largest");
	cr_assert_not_null(
		strstr(f->message, "32 alike hold 148.5 MiB together."), "%s", f->message);
	check_words(&w);
	world_done(&w);
}

Test(run, severity_follows_rss_and_limit)
{
	static const struct {
		double rss_mib;
		enum severity severity;
	} rows[] = {{256, SEVERITY_HIGH}, {1000, SEVERITY_HIGH}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world w = world_new();

		w.rss_bytes = MIB(rows[i].rss_mib);
		add_emptied(&w, w.site, 0x1000, SLOTS);
		cr_assert_eq(finding(&w, "retained-buckets")->severity, rows[i].severity);
		world_done(&w);
	}
}

Test(run, severity_without_limit)
{
	struct world w = world_new();
	struct model_target_info info = {.pid = 1, .age_ns = 3600 * NSEC_PER_SEC};

	model_update_target(w.model, w.target, &info);
	w.rss_bytes = MIB(1000);
	add_emptied(&w, w.site, 0x1000, SLOTS);
	cr_assert_eq(finding(&w, "retained-buckets")->severity, SEVERITY_MEDIUM, "3.6 %%");
	world_done(&w);
}

Test(run, confidence_follows_loss_and_place)
{
	struct world w = world_new();
	struct world unknown = world_new();

	add_emptied(&w, w.site, 0x1000, SLOTS);
	cr_assert_eq(finding(&w, "retained-buckets")->confidence, CONFIDENCE_EXACT);
	cr_assert_str_empty(finding(&w, "retained-buckets")->caveat);
	model_set_source(w.model, "slice", 10, 10, 9, 1);
	cr_assert_eq(finding(&w, "retained-buckets")->confidence, CONFIDENCE_EXACT,
		"events of slices say nothing of a map");
	model_set_source(w.model, "map", 10, 10, 9, 1);
	cr_assert_eq(finding(&w, "retained-buckets")->confidence, CONFIDENCE_PARTIAL);
	cr_assert_str_eq(finding(&w, "retained-buckets")->caveat,
		"Partial: 1 events were lost, its figures may be too low.");
	add_emptied(&unknown, 0, 0x1000, SLOTS);
	cr_assert_eq(finding(&unknown, "retained-buckets")->confidence, CONFIDENCE_PARTIAL);
	cr_assert_str_eq(
		finding(&unknown, "retained-buckets")->caveat, "Partial: its place is unknown.");
	world_done(&w);
	world_done(&unknown);
}

Test(run, order_is_findings_churn_info_candidates)
{
	struct world w = world_new();
	uint32_t once = world_site(&w, FAMILY_MAP, "map[int]int", "main.load", 1);
	uint32_t hot = world_site(&w, FAMILY_SLICE, "[]byte", "main.push", 2);
	struct event unproven = map_look(&w, 0x9000, 10, SLOTS);
	uint64_t key = 0x100000;

	open_all(&w);
	unproven.look.liveness = LIVENESS_ALLOCATED;
	apply(&w, unproven);
	fill_map(&w, once, 0x8000, SLOTS);
	add_emptied(&w, w.site, 0x1000, SLOTS);
	apply(&w, unproven);
	grow_slice(&w, hot, 0, key, 0, 65536);
	for (int i = 0; i < 500; i++, key += 65536, wait_ms(&w, 10))
		grow_slice(&w, hot, key, key + 65536, 65536, 65536);
	run(&w);
	cr_assert_eq(w.findings.count, 4);
	cr_assert_eq(w.findings.candidates, 1);
	cr_assert_eq(w.findings.items[0].class, CLASS_HELD);
	cr_assert_eq(w.findings.items[1].class, CLASS_CHURN);
	cr_assert_eq(w.findings.items[2].severity, SEVERITY_INFO);
	cr_assert(w.findings.items[3].candidate);
	check_words(&w);
	world_done(&w);
}

Test(run, hostile_names_do_not_break_the_text)
{
	struct world w = world_new();
	char type[1200] = "map[int]";

	memset(type + 8, 'x', sizeof(type) - 9);
	type[sizeof(type) - 1] = 0;
	type[20] = '\n';
	w.type = model_intern(w.model, type);
	add_emptied(&w, w.site, 0x1000, SLOTS);
	cr_assert_not_null(finding(&w, "retained-buckets"));
	check_words(&w);
	world_done(&w);
}
