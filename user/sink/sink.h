/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sink writes a report: one const struct at the end of one file, listed in list.h. All sinks are
 * views of the same model and findings. Names from a target are hostile: every sink escapes them.
 */
#ifndef MEMTRACE_SINK_SINK_H
#define MEMTRACE_SINK_SINK_H

#include <stdbool.h>
#include <stdio.h>

#include "model/finding.h"
#include "model/model.h"

struct report {
	const struct model *model;
	const struct finding *findings; /* ranked; candidates last */
	size_t finding_count;           /* without candidates */
	size_t candidate_count;
	uint64_t saves_rss_bytes;
	size_t top; /* findings to show in text (default 10) */
	bool color;
	bool verbose;       /* text: stacks, skips, sources */
	int width;          /* text: columns, 100 unless told */
	bool ascii;         /* no UTF-8 */
	bool snapshot;      /* a refresh, not the last report */
	size_t sample_type; /* sample_type_get(): folded writes it, pprof shows it first */
};

struct sink {
	const char *name;      /* "json": --format */
	const char *extension; /* ".json": -o FILE */
	bool single;           /* one report is a whole document: no refresh */
	bool binary;           /* not for terminals */
	/* Writes everything to out; 0 or -errno of the first failed write. */
	int (*write)(const struct report *report, FILE *out);
};

const struct sink *sink_find(const char *name);
const struct sink *sink_find_by_path(const char *path); /* by extension, NULL = unknown */
const struct sink *sink_get(size_t i);                  /* NULL at the end */

#endif
