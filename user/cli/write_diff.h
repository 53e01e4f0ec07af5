/* SPDX-License-Identifier: BSD-2-Clause */
/* What diff writes: text for people, json for programs. */
#ifndef MEMTRACE_CLI_WRITE_DIFF_H
#define MEMTRACE_CLI_WRITE_DIFF_H

#include <stdio.h>

#include "cli/compare.h"

struct diff {
	const char *names[2]; /* of the files */
	struct side sides[2];
	struct changes findings, sites;
	size_t top;   /* lines a section */
	bool verbose; /* also what is as before */
};

/* Both: 0 or -errno of the first failed write. */
int write_diff_text(const struct diff *diff, FILE *out);
int write_diff_json(const struct diff *diff, FILE *out);

#endif
