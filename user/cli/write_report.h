/* SPDX-License-Identifier: BSD-2-Clause */
/* From a model to a report: the rules, and the sink that the options name. Live or replayed. */
#ifndef MEMTRACE_CLI_WRITE_REPORT_H
#define MEMTRACE_CLI_WRITE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct model;
struct options;

/*
 * Writes and flushes. A snapshot is one of several: on a terminal it is drawn over the last. *ret_gating:
 * findings of MEDIUM or above. 0 or -errno.
 */
int write_report(const struct options *options, const struct model *model, FILE *out, bool snapshot,
	size_t *ret_gating);

#endif
