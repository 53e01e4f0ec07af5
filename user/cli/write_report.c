/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The look of a report depends on where it goes: colours, width and drawing over the last one are for
 * terminals only.
 */
#include "cli/write_report.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/options.h"
#include "model/model.h"
#include "rules/rules.h"
#include "sink/sink.h"

#define MIN_WIDTH     60
#define DEFAULT_WIDTH 100

static bool wants_color(const struct options *options)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (options->color != COLOR_AUTO)
		return options->color == COLOR_ALWAYS;
	return !options->output && isatty(STDOUT_FILENO) && !(no_color && *no_color) && term &&
	       strcmp(term, "dumb") != 0;
}

static int find_width(const struct options *options)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	int width = 0;

	if (!options->output && isatty(STDOUT_FILENO) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		width = size.ws_col;
	if (columns && *columns)
		width = (int)strtol(columns, NULL, 10);
	if (width <= 0)
		return DEFAULT_WIDTH;
	return MAX(MIN(width, DEFAULT_WIDTH), MIN_WIDTH);
}

static bool is_ascii(void)
{
	setlocale(LC_CTYPE, "");
	return strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
}

static size_t count_gating(const struct findings *findings)
{
	size_t count = 0;

	for (size_t i = 0; i < findings->count - findings->candidates; i++)
		count += !findings->items[i].candidate &&
			 findings->items[i].severity >= SEVERITY_MEDIUM;
	return count;
}

/* Draws over the last report, where one stands on a terminal; false where none can. */
static bool clear_screen(const struct options *options, FILE *out)
{
	const char *term = getenv("TERM");

	if (out != stdout || !options->refresh_ns || !isatty(STDOUT_FILENO) || !term ||
		!strcmp(term, "dumb") || strcmp(options->sink->name, "text") != 0)
		return false;
	fputs("\033[H\033[2J", out);
	return true;
}

int write_report(const struct options *options, const struct model *model, FILE *out, bool snapshot,
	size_t *ret_gating)
{
	struct findings findings = {0};
	uint64_t begin_ns, real_ns, end_ns;
	struct report report;
	bool clear;
	int r;

	model_clock(model, &begin_ns, &real_ns, &end_ns);
	rules_run(model, options->thresholds, end_ns, &findings);
	*ret_gating = count_gating(&findings);
	report = (struct report){
		.model = model,
		.findings = findings.items,
		.finding_count = findings.count - findings.candidates,
		.candidate_count = findings.candidates,
		.saves_rss_bytes = findings.saves_rss_bytes,
		.top = options->top,
		.color = wants_color(options),
		.verbose = options->verbose,
		.width = find_width(options),
		.ascii = is_ascii(),
		.snapshot = snapshot,
		.sample_type = options->sample_type,
	};
	clear = clear_screen(options, out);
	r = options->sink->write(&report, out);
	/* What is not drawn over is told from the next one. */
	if (!r && snapshot && !clear && !strcmp(options->sink->name, "text") &&
		putc('\n', out) == EOF)
		r = -errno;
	if (!r && fflush(out))
		r = -errno;
	findings_done(&findings);
	return r;
}
