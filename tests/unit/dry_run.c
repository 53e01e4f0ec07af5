/* SPDX-License-Identifier: BSD-2-Clause */
/* --dry-run: hits a second, their price, and which families the budget would leave open. */
#include "cli/dry_run.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static struct dry_run dry_run;

static struct model *model_of(uint64_t cpu_ns)
{
	struct model *model = model_new();
	struct model_target_info info = {.pid = 7,
		.comm = "api",
		.exe = "",
		.cgroup = "",
		.build_id = "",
		.runtime = "go",
		.version = "go1.23.5"};
	uint32_t target = model_add_target(model, &info);

	for (uint64_t second = 1; second <= 2; second++) {
		struct event event = {
			.kind = EVENT_USAGE, .target = target, .time_ns = second * NSEC_PER_SEC};

		event.usage.rss_bytes = 1 << 20;
		event.usage.cpu_ns = second * cpu_ns;
		cr_assert_eq(model_apply(model, &event), 0);
	}
	dry_run.count = 0;
	return model;
}

/* A probe that was hit so often in half a second. */
static void add(enum family family, const char *symbol, uint64_t hits)
{
	struct runtime_probe probe = {.family = (uint8_t)family, .emulated = true, .delta = 4};
	struct prober_measured measured = {
		.probe = &probe, .hits = hits, .open_ns = NSEC_PER_SEC / 2, .hit_ns = 2000};

	strncpy(probe.symbol, symbol, sizeof(probe.symbol) - 1);
	dry_run_add(&dry_run, &measured);
}

static char *write_text(const struct model *model, double budget_pct)
{
	char *text = NULL, *line, *end;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	cr_assert_eq(dry_run_write(&dry_run, model, budget_pct, out), 0);
	fclose(out);
	for (line = text; (end = strchr(line, '\n')); line = end + 1)
		cr_assert_leq(end - line, 100, "%s", text);
	return text;
}

Test(dry_run, a_cheap_target_stays_open)
{
	struct model *model = model_of(NSEC_PER_SEC);
	char *text;

	add(FAMILY_MAP, "runtime.hashGrow", 5);
	text = write_text(model, 1);
	cr_assert(strstr(text, "runtime.hashGrow+4"), "%s", text);
	cr_assert(strstr(text, "2,000"));
	cr_assert(strstr(text, " 10 "), "5 hits in half a second");
	cr_assert(strstr(text, "within the budget of 1 %: all stay open, counts are exact."));
	free(text);
	model_free(model);
}

Test(dry_run, the_dearest_family_is_the_one_that_is_cut)
{
	struct model *model = model_of(NSEC_PER_SEC);
	char *text;

	add(FAMILY_MAP, "runtime.hashGrow", 500);      /* 0.2 % */
	add(FAMILY_SLICE, "runtime.growslice", 5000);  /* 2 % */
	add(FAMILY_CHANNEL, "runtime.makechan", 1000); /* 0.4 % */
	text = write_text(model, 1);
	cr_assert(strstr(text, "Predicted: 2.6 % of api's CPU"), "%s", text);
	cr_assert(strstr(text, "estimated: slices."), "%s", text);
	free(text);
	text = write_text(model, 0.5);
	cr_assert(strstr(text, "slices, channels."), "%s", text);
	free(text);
	text = write_text(model, 5);
	cr_assert(strstr(text, "all stay open"), "%s", text);
	free(text);
	model_free(model);
}

Test(dry_run, an_idle_target_has_no_percentage)
{
	struct model *model = model_of(0);
	char *text;

	add(FAMILY_SLICE, "runtime.growslice", 5000);
	text = write_text(model, 1);
	cr_assert(strstr(text, "api used too little CPU"), "%s", text);
	free(text);
	model_free(model);
}

Test(dry_run, a_program_that_has_ended_early_has_no_percentage)
{
	struct model *model = model_of(NSEC_PER_SEC / 50);
	struct event event = {.kind = EVENT_EXIT, .time_ns = 3 * NSEC_PER_SEC};
	char *text;

	add(FAMILY_SLICE, "runtime.growslice", 5000);
	text = write_text(model, 1);
	cr_assert_null(strstr(text, "too little"), "%s", text);
	free(text);
	cr_assert_eq(model_apply(model, &event), 0);
	text = write_text(model, 1);
	cr_assert(strstr(text, "api used too little CPU"), "%s", text);
	free(text);
	model_free(model);
}

Test(dry_run, without_probes_it_says_so)
{
	struct model *model = model_of(NSEC_PER_SEC);
	char *text = write_text(model, 1);

	cr_assert(strstr(text, "No probes"));
	free(text);
	model_free(model);
}

Test(dry_run, names_are_escaped_and_rows_bounded)
{
	struct model *model = model_of(NSEC_PER_SEC);
	char *text;

	for (int i = 0; i < 2 * DRY_RUN_MAX_PROBES; i++)
		add(FAMILY_MAP, "\033[2J.evil.name.that.is.rather.long.and.goes.on.and.on.and.on",
			1);
	cr_assert_eq(dry_run.count, DRY_RUN_MAX_PROBES);
	text = write_text(model, 1);
	cr_assert_not(strchr(text, '\033'));
	free(text);
	model_free(model);
}
