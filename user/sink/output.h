/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing that remembers its first failure, so that a full disk or a closed pipe is reported with
 * its own error and not found out by chance.
 */
#ifndef MEMTRACE_SINK_OUTPUT_H
#define MEMTRACE_SINK_OUTPUT_H

#include <stddef.h>
#include <stdio.h>

struct output {
	FILE *file;
	int error; /* 0 or -errno of the first failed write; nothing is written after it */
};

void output_write(struct output *output, const char *bytes, size_t count);
void output_put(struct output *output, const char *s);

/* Flushes. Returns 0 or -errno of the first failure. */
int output_finish(struct output *output);

#endif
