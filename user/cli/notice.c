/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/notice.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

void notice_init(struct notice *notice, bool quiet, bool verbose)
{
	const char *term = getenv("TERM");

	memset(notice, 0, sizeof(*notice));
	notice->quiet = quiet;
	notice->verbose = verbose;
	notice->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

void notice_clear(struct notice *notice)
{
	if (notice->shown)
		fputs("\r\033[K", stderr);
	notice->shown = false;
	notice->last[0] = 0;
}

void notice_progress(struct notice *notice, const char *what, double share)
{
	char line[sizeof(notice->last)];

	if (notice->quiet)
		return;
	if (notice->terminal && share >= 0)
		snprintf(line, sizeof(line), "memtrace: %s %.0f %%", what, share * 100);
	else
		snprintf(line, sizeof(line), "memtrace: %s", what);
	if (!strcmp(line, notice->last))
		return;
	memcpy(notice->last, line, sizeof(notice->last));
	if (notice->terminal) {
		fprintf(stderr, "\r%s\033[K", line);
		notice->shown = true;
	} else if (notice->verbose) {
		fprintf(stderr, "%s\n", line);
	}
}

static void put_line(struct notice *notice, const char *kind, const char *format, va_list args)
{
	char text[1024], line[1024];

	vsnprintf(text, sizeof(text), format, args);
	notice_clear(notice);
	fprintf(stderr, "memtrace: %s%s\n", kind, text_escape(line, sizeof(line), text));
}

void notice_error(struct notice *notice, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_line(notice, "", format, args);
	va_end(args);
}

void notice_warn(struct notice *notice, const char *format, ...)
{
	va_list args;

	if (notice->quiet)
		return;
	va_start(args, format);
	put_line(notice, "warning: ", format, args);
	va_end(args);
}
