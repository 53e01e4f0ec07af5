/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text report: one screen a target. A process in which nothing was found gets four lines that
 * say what was looked at, and notes only where something is missing.
 */
#include "base/mem.h"
#include "sink/page.h"
#include "sink/screen.h"
#include "sink/summary.h"

#define DEFAULT_WIDTH 100

/* Of more targets than so many, those without a finding get one line. */
#define MAX_WHOLE 4

static bool has_findings(const struct report *report, const struct target *target)
{
	for (size_t i = 0; i < report->finding_count; i++)
		if (report->findings[i].target == target->id && summary_gates(&report->findings[i]))
			return true;
	return false;
}

static bool is_brief(const struct report *report, size_t i)
{
	return model_target_count(report->model) > MAX_WHOLE && !report->verbose &&
	       !has_findings(report, model_target(report->model, (uint32_t)i));
}

static void put_target(struct page *page, const struct report *report, const struct target *target)
{
	bool found = has_findings(report, target);

	if (is_brief(report, target->id)) {
		screen_brief(page, report, target);
		return;
	}
	screen_title(page, report, target);
	screen_rss(page, report, target);
	screen_count(page, report, target);
	screen_findings(page, report, target);
	screen_last(page, report, target);
	screen_spikes(page, report, target);
	if (report->verbose || found) {
		screen_waterfall(page, report, target);
		screen_allocated(page, report, target);
		screen_gc(page, report, target);
	}
	if (found)
		screen_looked(page, report, target);
	else
		screen_nothing_found(page, report, target);
}

static int text_write(const struct report *report, FILE *out)
{
	size_t count = model_target_count(report->model);
	struct page page;

	page_init(&page, out, report->width > 0 ? report->width : DEFAULT_WIDTH, report->color,
		report->ascii);
	for (size_t i = 0; i < count; i++) {
		if (i && (!is_brief(report, i) || !is_brief(report, i - 1)))
			page_end(&page);
		put_target(&page, report, model_target(report->model, (uint32_t)i));
	}
	if (!count) {
		page_add(&page, STYLE_PLAIN, "No process was traced.");
		page_end(&page);
	}
	if (count > 1) {
		page_end(&page);
		screen_session(&page, report);
	}
	screen_notes(&page, report);
	return output_finish(&page.output);
}

const struct sink sink_text = {
	.name = "text",
	.extension = ".txt",
	.write = text_write,
};
