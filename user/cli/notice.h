/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What goes to stderr: errors, warnings, and on a terminal one line of progress that is rewritten in
 * place and gone in the end. Sentences may hold names from a target: they are escaped.
 */
#ifndef MEMTRACE_CLI_NOTICE_H
#define MEMTRACE_CLI_NOTICE_H

#include <stdbool.h>

struct notice {
	bool quiet, verbose;
	bool terminal; /* stderr can rewrite a line */
	bool shown;    /* a progress line stands there now */
	char last[160];
};

void notice_init(struct notice *notice, bool quiet, bool verbose);

/* share < 0 = unknown. On no terminal: with verbose, one line a step. */
void notice_progress(struct notice *notice, const char *what, double share);
void notice_clear(struct notice *notice);

void notice_error(struct notice *notice, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void notice_warn(struct notice *notice, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
