/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first lines of a target's block: who it is, how RSS moves, whether the limit is in sight, and
 * what the findings amount to.
 */
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sink/screen.h"
#include "sink/summary.h"

#define TREND_LONG_NS  (30 * NSEC_PER_SEC)
#define TREND_SHORT_NS (10 * NSEC_PER_SEC)
/* A target is steady while its RSS moves by less than 1 % in 10 s. */
#define TREND_FLAT_SHARE_PER_SECOND 0.001
#define BUILD_ID_DIGITS             6

const char *screen_size(char buf[TEXT_NUMBER_BYTES], uint64_t bytes)
{
	char *dot, *space;

	text_bytes(buf, bytes);
	dot = strchr(buf, '.');
	space = strchr(buf, ' ');
	if (dot && space && dot - buf >= 3) {
		double value = (double)bytes;
		char unit[8];

		text_copy(unit, sizeof(unit), space + 1);
		while (value >= 1023.95)
			value /= 1024;
		snprintf(buf, TEXT_NUMBER_BYTES, "%.0f %s", value, unit);
	}
	return buf;
}

const char *screen_pct(char buf[TEXT_NUMBER_BYTES], double pct)
{
	if (pct <= 0)
		return "0 %";
	if (pct < 0.1)
		return "< 0.1 %";
	snprintf(buf, TEXT_NUMBER_BYTES, pct < 9.95 ? "%.1f %%" : "%.0f %%", pct);
	return buf;
}

const char *screen_many(char buf[64], uint64_t count, const char *noun)
{
	char number[TEXT_NUMBER_BYTES];

	snprintf(buf, 64, "%s %s%s", text_count(number, count), noun, count == 1 ? "" : "s");
	return buf;
}

/* ---- title ---- */

/* From the first look at this target to the end, or to its own. A look alone takes its time. */
static void when_text(
	const struct report *report, const struct target *target, char *buf, size_t bytes)
{
	uint64_t start, real, end, seen;
	char duration[TEXT_NUMBER_BYTES], clock[16];
	struct tm tm;
	time_t seconds;

	model_clock(report->model, &start, &real, &end);
	seen = summary_read_only(report->model) ? start : MAX(start, target->attach_ns);
	if (target->exited)
		end = MIN(end, target->last_ns);
	seconds = (time_t)((real + (seen - start)) / NSEC_PER_SEC);
	if (!localtime_r(&seconds, &tm) || !strftime(clock, sizeof(clock), "%H:%M:%S", &tm))
		text_copy(clock, sizeof(clock), "?");
	snprintf(buf, bytes, "%s%s from %s", text_duration(duration, end > seen ? end - seen : 0),
		report->snapshot ? " so far" : "", clock);
}

/* Where there are several. */
static void add_host(struct page *page, const struct report *report, const struct target *target)
{
	const char *host = summary_host(report->model, target->host);

	if (!*host)
		return;
	page_add(page, STYLE_PLAIN, " on ");
	page_add_cut(page, STYLE_PLAIN, 24, false, host);
}

void screen_title(struct page *page, const struct report *report, const struct target *target)
{
	char when[64], build[32];

	when_text(report, target, when, sizeof(when));
	page_add_cut(page, STYLE_BOLD, 32, false, target->comm);
	page_add(page, STYLE_PLAIN, "  pid %d", target->pid);
	add_host(page, report, target);
	for (size_t i = 0; i < target->runtime_count; i++)
		page_add(page, STYLE_PLAIN, "%s%.24s", i ? ", " : "  ",
			target->runtimes[i].version[0] ? target->runtimes[i].version
						       : target->runtimes[i].name);
	snprintf(build, sizeof(build), "  build %.*s", BUILD_ID_DIGITS, target->build_id);
	if (target->build_id[0] &&
		page_columns(page, build) + 2 + page_columns(page, when) <= page_room(page))
		page_add(page, STYLE_PLAIN, "%s", build);
	page_add_right(page, STYLE_DIM, when);
	page_end(page);
}

/* ---- RSS ---- */

/*
 * Bytes per second. A single jump tilts the slope for as long as it is in the window; what lasts
 * shows in a short window too, so the gentler of both counts, and none where they disagree.
 */
static double trend(const struct target *target)
{
	double lasting = model_rss_slope(target, TREND_LONG_NS);
	double recent = model_rss_slope(target, TREND_SHORT_NS);

	if ((lasting > 0) != (recent > 0))
		return 0;
	return fabs(lasting) < fabs(recent) ? lasting : recent;
}

static bool is_flat(const struct target *target)
{
	return fabs(trend(target)) < TREND_FLAT_SHARE_PER_SECOND * (double)target->rss_bytes;
}

static void add_trend(struct page *page, const struct target *target)
{
	char size[TEXT_NUMBER_BYTES];

	if (target->usage_count < 2 || target->exited)
		return;
	if (is_flat(target))
		page_add(page, STYLE_PLAIN, ", flat");
	else
		page_add(page, STYLE_PLAIN, ", %s %s/s", trend(target) > 0 ? "rising" : "falling",
			text_bytes(size, (uint64_t)fabs(trend(target))));
}

/* Time to the limit: what a finding projects, else what the slope of RSS says. 0 = none in sight. */
static uint64_t time_to_limit(const struct report *report, const struct target *target)
{
	uint64_t soonest = 0;
	double slope = trend(target);

	for (size_t i = 0; i < report->finding_count; i++) {
		const struct finding *finding = &report->findings[i];

		if (finding->target == target->id && finding->limit_ns &&
			(!soonest || finding->limit_ns < soonest))
			soonest = finding->limit_ns;
	}
	if (soonest || !target->has_limit || !target->steady_ns || is_flat(target) || slope <= 0 ||
		target->limit_bytes <= target->rss_bytes)
		return soonest;
	return (uint64_t)((double)(target->limit_bytes - target->rss_bytes) / slope * NSEC_PER_SEC);
}

/* A field of the line, on a line of its own where it does not fit. */
static void __attribute__((format(printf, 3, 4)))
add_field(struct page *page, enum style style, const char *format, ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (page_columns(page, text) + 3 > page_room(page))
		page_end(page);
	page_tab(page, page->columns + 3);
	page_add(page, style, "%s", text);
}

static void add_outlook(struct page *page, const struct report *report, const struct target *target)
{
	char duration[TEXT_NUMBER_BYTES];
	uint64_t left = time_to_limit(report, target);

	if (left && target->has_limit)
		add_field(page, STYLE_RED, "heading for an OOM kill in %s",
			text_duration(duration, left));
	else if (target->usage_count < 2 || !target->has_limit)
		return;
	else if (!target->steady_ns)
		add_field(page, STYLE_PLAIN, "still starting up");
	else
		add_field(page, STYLE_PLAIN, "not heading for an OOM kill");
}

static void add_exit(struct page *page, const struct target *target)
{
	int status = target->exit.status;

	if (!target->exit.has_status)
		add_field(page, STYLE_PLAIN, "exited");
	else if (target->exit.oom)
		add_field(page, STYLE_RED, "killed by the OOM killer");
	else if (WIFSIGNALED(status))
		add_field(page, STYLE_RED, "killed by signal %d", WTERMSIG(status));
	else
		add_field(page, STYLE_PLAIN, "exited with status %d", WEXITSTATUS(status));
}

static const char *unit_of(const char *size)
{
	const char *space = strchr(size, ' ');

	return space ? space : "";
}

static void add_peak(struct page *page, const struct target *target)
{
	char rss[TEXT_NUMBER_BYTES], peak[TEXT_NUMBER_BYTES];
	bool same_unit;

	if (!target->peak_bytes)
		return;
	screen_size(rss, target->rss_bytes);
	screen_size(peak, target->peak_bytes);
	same_unit = !strcmp(unit_of(rss), unit_of(peak));
	add_field(page, STYLE_PLAIN, "peak %.*s",
		same_unit ? (int)(unit_of(peak) - peak) : (int)strlen(peak), peak);
}

void screen_rss(struct page *page, const struct report *report, const struct target *target)
{
	char size[TEXT_NUMBER_BYTES], pct[TEXT_NUMBER_BYTES];

	if (!target->rss_bytes) {
		page_add(page, STYLE_PLAIN, "RSS unknown");
	} else {
		page_add(page, STYLE_PLAIN, "RSS %s", screen_size(size, target->rss_bytes));
		add_trend(page, target);
		add_peak(page, target);
	}
	if (!target->has_limit)
		add_field(page, STYLE_PLAIN, "no memory limit");
	else if (target->limit_bytes)
		add_field(page, STYLE_PLAIN, "limit %s (%s)",
			screen_size(size, target->limit_bytes),
			screen_pct(pct,
				100.0 * (double)target->rss_bytes / (double)target->limit_bytes));
	if (target->exited)
		add_exit(page, target);
	else
		add_outlook(page, report, target);
	page_end(page);
}

void screen_brief(struct page *page, const struct report *report, const struct target *target)
{
	char size[TEXT_NUMBER_BYTES];

	page_add_cut(page, STYLE_BOLD, 16, false, target->comm);
	page_tab(page, 17);
	page_add(page, STYLE_PLAIN, "pid %d", target->pid);
	add_host(page, report, target);
	add_field(page, STYLE_PLAIN, "RSS %s",
		target->rss_bytes ? screen_size(size, target->rss_bytes) : "unknown");
	add_trend(page, target);
	if (target->exited)
		add_exit(page, target);
	add_field(page, STYLE_PLAIN, target->runtime_count ? "nothing found" : "no known runtime");
	page_end(page);
}

/* ---- count ---- */

static size_t count_gating(const struct report *report, uint32_t target, size_t *ret_first_saving)
{
	size_t count = 0;

	*ret_first_saving = report->finding_count;
	for (size_t i = 0; i < report->finding_count; i++) {
		const struct finding *finding = &report->findings[i];

		if (finding->target != target || !summary_gates(finding))
			continue;
		count++;
		if (*ret_first_saving == report->finding_count && summary_gives_back(finding))
			*ret_first_saving = i;
	}
	return count;
}

void screen_count(struct page *page, const struct report *report, const struct target *target)
{
	char size[TEXT_NUMBER_BYTES], pct[TEXT_NUMBER_BYTES], many[64];
	size_t first, count = count_gating(report, target->id, &first);
	uint64_t saves;

	if (!count)
		return;
	page_add(page, STYLE_BOLD, "%s.", screen_many(many, count, "finding"));
	if (first < report->finding_count && target->rss_bytes) {
		saves = summary_gives_back(&report->findings[first]);
		page_add(page, STYLE_PLAIN, "  #%zu%s gives back %s (%s of RSS).", first + 1,
			count > 1 ? " alone" : "", text_bytes(size, saves),
			screen_pct(pct, 100.0 * (double)saves / (double)target->rss_bytes));
	}
	page_end(page);
}
