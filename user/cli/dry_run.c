/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The prediction is hits a second times the calibrated price of a hit with its record and stack, as
 * share of the CPU time that the target has used meanwhile: the sum that the governor keeps.
 */
#include "cli/dry_run.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "sink/page.h"
#include "sink/screen.h"

#define CPU_KNOWN_NS (100 * NSEC_PER_MSEC)

#define WIDTH         100
#define FAMILY_COLUMN 3
#define PROBE_COLUMN  12
#define KIND_COLUMN   50
#define NS_COLUMN     66
#define HITS_COLUMN   79
#define COST_COLUMN   91 /* where the numbers of these three end */

void dry_run_add(struct dry_run *dry_run, const struct prober_measured *measured)
{
	const struct runtime_probe *probe = measured->probe;
	struct dry_run_row *row;

	if (dry_run->count == ARRAY_SIZE(dry_run->rows))
		return;
	row = &dry_run->rows[dry_run->count++];
	*row = (struct dry_run_row){.target = measured->target,
		.family = (enum family)probe->family,
		.emulated = probe->emulated,
		.hit_ns = measured->hit_ns};
	snprintf(row->place, sizeof(row->place), "%s+%d", probe->symbol, probe->delta);
	if (measured->open_ns)
		row->hits_per_second =
			(double)measured->hits / (double)measured->open_ns * NSEC_PER_SEC;
}

/*
 * ns of CPU that the target uses in a second; 0 = none, or not known: it is read ten times a second,
 * so of a program that has ended by then there is no figure.
 */
static double cpu_rate(const struct target *target)
{
	uint64_t seen_ns = target->last_ns - target->attach_ns;
	uint64_t used_ns = target->cpu_ns - MIN(target->first_cpu_ns, target->cpu_ns);

	if (!seen_ns || used_ns < (target->exited ? CPU_KNOWN_NS : 1))
		return 0;
	return (double)used_ns / (double)seen_ns * NSEC_PER_SEC;
}

static double row_pct(const struct dry_run_row *row, const struct target *target)
{
	double rate = cpu_rate(target);

	return rate > 0 ? 100 * row->hits_per_second * (double)row->hit_ns / rate : 0;
}

static void put_number(struct page *page, int column, const char *text)
{
	page_tab(page, column - page_columns(page, text));
	page_add(page, STYLE_PLAIN, "%s", text);
}

static void put_row(struct page *page, const struct dry_run_row *row, const struct target *target)
{
	char number[TEXT_NUMBER_BYTES];

	page_tab(page, FAMILY_COLUMN);
	page_add(page, STYLE_PLAIN, "%s", family_name(row->family));
	page_tab(page, PROBE_COLUMN);
	page_add_cut(page, STYLE_PLAIN, KIND_COLUMN - PROBE_COLUMN - 2, false, row->place);
	page_tab(page, KIND_COLUMN);
	page_add(page, STYLE_PLAIN, "%s", row->emulated ? "emulated" : "stepped");
	put_number(page, NS_COLUMN, text_count(number, row->hit_ns));
	put_number(page, HITS_COLUMN, text_count(number, (uint64_t)(row->hits_per_second + 0.5)));
	put_number(page, COST_COLUMN,
		cpu_rate(target) > 0 ? screen_pct(number, row_pct(row, target)) : "?");
	page_end(page);
}

static void put_head(struct page *page)
{
	page_tab(page, FAMILY_COLUMN);
	page_add(page, STYLE_DIM, "family");
	page_tab(page, PROBE_COLUMN);
	page_add(page, STYLE_DIM, "probe");
	page_tab(page, KIND_COLUMN);
	page_add(page, STYLE_DIM, "by");
	put_number(page, NS_COLUMN, "ns a hit");
	put_number(page, HITS_COLUMN, "hits/s");
	put_number(page, COST_COLUMN, "of its CPU");
	page_end(page);
}

/* ---- what the governor would make of it ---- */

/* Closes the dearest families until the rest keeps the budget, as the governor does. */
static void find_closed(const double pct[FAMILY_MAX], double budget_pct, bool ret[FAMILY_MAX])
{
	double sum = 0;

	for (int family = 0; family < FAMILY_MAX; family++) {
		ret[family] = false;
		sum += pct[family];
	}
	while (sum > budget_pct) {
		int dearest = -1;

		for (int family = 0; family < FAMILY_MAX; family++)
			if (!ret[family] && (dearest < 0 || pct[family] > pct[dearest]))
				dearest = family;
		if (dearest < 0)
			break;
		ret[dearest] = true;
		sum -= pct[dearest];
	}
}

static void list_families(const struct dry_run *dry_run, uint32_t target,
	const bool closed[FAMILY_MAX], char *buf, size_t bytes)
{
	size_t used = 0;

	buf[0] = 0;
	for (int family = 0; family < FAMILY_MAX; family++) {
		bool has = false;

		for (size_t i = 0; i < dry_run->count; i++)
			has |= dry_run->rows[i].target == target &&
			       (int)dry_run->rows[i].family == family;
		if (has && closed[family] && used < bytes)
			used += (size_t)snprintf(buf + used, bytes - used, "%s%ss",
				used ? ", " : "", family_name((enum family)family));
	}
}

static void put_verdict(struct page *page, const struct dry_run *dry_run,
	const struct target *target, double budget_pct)
{
	double pct[FAMILY_MAX] = {0}, sum = 0;
	char number[TEXT_NUMBER_BYTES], families[96], text[PAGE_TEXT_BYTES];
	bool closed[FAMILY_MAX];

	for (size_t i = 0; i < dry_run->count; i++)
		if (dry_run->rows[i].target == target->id)
			pct[dry_run->rows[i].family] += row_pct(&dry_run->rows[i], target);
	for (int family = 0; family < FAMILY_MAX; family++)
		sum += pct[family];
	find_closed(pct, budget_pct, closed);
	list_families(dry_run, target->id, closed, families, sizeof(families));
	if (cpu_rate(target) <= 0)
		snprintf(text, sizeof(text), "%.64s used too little CPU to compare the cost with.",
			target->comm);
	else if (!families[0])
		snprintf(text, sizeof(text),
			"Predicted: %s of %.64s's CPU, within the budget of %g %%: all stay open, "
			"counts are exact.",
			screen_pct(number, sum), target->comm, budget_pct);
	else
		snprintf(text, sizeof(text),
			"Predicted: %s of %.64s's CPU if all stayed open. The budget is %g %%, so "
			"these would be open part of the time, their figures estimated: %s.",
			screen_pct(number, sum), target->comm, budget_pct, families);
	page_wrap(page, STYLE_PLAIN, 0, text);
}

/* ---- the whole ---- */

static void put_target(struct page *page, const struct dry_run *dry_run,
	const struct target *target, double budget_pct)
{
	size_t shown = 0;

	page_add_cut(page, STYLE_BOLD, 32, false, target->comm);
	page_add(page, STYLE_PLAIN, "  pid %d", target->pid);
	if (target->runtimes[0].version[0])
		page_add(page, STYLE_PLAIN, "  %.24s", target->runtimes[0].version);
	page_add_right(page, STYLE_DIM, "dry run: nothing was recorded");
	page_end(page);
	for (size_t i = 0; i < dry_run->count; i++) {
		if (dry_run->rows[i].target != target->id)
			continue;
		if (!shown++)
			put_head(page);
		put_row(page, &dry_run->rows[i], target);
	}
	if (shown)
		put_verdict(page, dry_run, target, budget_pct);
	else
		page_wrap(page, STYLE_PLAIN, 0,
			"No probes: only page faults, exec and exit would be seen.");
}

static void put_skips(struct page *page, const struct model *model)
{
	for (size_t i = 0; i < model_skip_count(model); i++) {
		const struct model_skip *skip = model_skip(model, i);
		char text[512];

		snprintf(text, sizeof(text), "Skipped: %.160s: %.300s", skip->what, skip->reason);
		page_wrap(page, STYLE_PLAIN, FAMILY_COLUMN, text);
	}
}

int dry_run_write(
	const struct dry_run *dry_run, const struct model *model, double budget_pct, FILE *out)
{
	struct page page;

	page_init(&page, out, WIDTH, false, true);
	for (uint32_t i = 0; i < model_target_count(model); i++)
		put_target(&page, dry_run, model_target(model, i), budget_pct);
	put_skips(&page, model);
	return output_finish(&page.output);
}
