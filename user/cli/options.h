/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the user asked for. All options are rows of one table in options.c: parsing, --help and the
 * guesses for misspelt names come from it.
 */
#ifndef MEMTRACE_CLI_OPTIONS_H
#define MEMTRACE_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "rules/rules.h"
#include "sink/sink.h"

#define OPTIONS_ERROR_BYTES 256

enum color_mode {
	COLOR_AUTO,
	COLOR_ALWAYS,
	COLOR_NEVER,
};

/* What the options are for: the commands take different ones. */
enum options_use {
	OPTIONS_TRACE,
	OPTIONS_RECORD,
	OPTIONS_REPORT,
	OPTIONS_DIFF,
};

struct options {
	enum options_use use;
	int *pids; /* each once, in the order given */
	bool follow, system, memory_calls, access_burst, debuginfod, blocks;
	const char *cgroup, *comm; /* NULL = not given */
	size_t pid_count, pid_cap;
	char **command; /* what follows "--", NULL-terminated; NULL = none */
	bool has_duration;
	uint64_t duration_ns;    /* 0 with has_duration = read only */
	uint64_t refresh_ns;     /* 0 = no refresh */
	uint64_t snapshot_bytes; /* a report when RSS rises to so much; 0 = none */
	size_t top;
	double max_overhead_pct;
	bool dry_run;
	struct thresholds *thresholds; /* with every --set */
	const char **settings;         /* every --set, in order */
	size_t setting_count, setting_cap;
	const char *output;    /* of the report; NULL = stdout */
	const char *recording; /* where the session is recorded; NULL = nowhere */
	char **files;          /* REPORT, DIFF: the recordings */
	size_t file_count;
	bool has_gate;
	uint64_t gate_bytes;     /* DIFF: fail where something got worse by more */
	const struct sink *sink; /* never NULL after parsing */
	size_t sample_type;      /* sample_type_get() */
	enum color_mode color;
	int error_exitcode; /* 0 = not asked for */
	int ready_fd;       /* -1 = none */
	bool quiet, verbose, help, version;
};

/*
 * Parses argv[1] .. and fills *ret, which options_done() must free, also on failure. 0, or -EINVAL
 * with one sentence in error. With help or version set, the rest is not checked.
 */
int options_parse(struct options *ret, enum options_use use, int argc, char **argv,
	char error[OPTIONS_ERROR_BYTES]);
void options_done(struct options *options);

/* The list of options for --help, one line each. */
void options_print(FILE *out);

/* Of count names the one most like name, or NULL where none is near. */
const char *options_find_nearest(const char *name, const char *const *names, size_t count);

#endif
