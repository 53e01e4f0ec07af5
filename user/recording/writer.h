/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows into a file, batch by batch: what SQLite has committed is there whatever happens next. One
 * thread at a time. After a failure nothing more is written; what was committed before stays.
 */
#ifndef MEMTRACE_RECORDING_WRITER_H
#define MEMTRACE_RECORDING_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "recording/recorder.h"

struct writer;

/* Replaces an old recording that nobody writes. 0, or -errno with one sentence in error. */
int writer_open(const char *path, struct writer **ret, char error[RECORDER_ERROR_BYTES]);

/* A batch: begin, rows of the tables of columns.h, commit. 0 or -errno; the batch is gone then. */
int writer_begin(struct writer *writer);
int writer_add(struct writer *writer, uint32_t table, const void *row);
int writer_commit(struct writer *writer);

int writer_set_lost(struct writer *writer, uint64_t lost);

uint64_t writer_rows(const struct writer *writer);     /* committed */
const char *writer_error(const struct writer *writer); /* of the first failure, "" = none */

/* whole: all rows are there. The file is marked so, and becomes one file where that is possible. */
void writer_close(struct writer *writer, bool whole);

#endif
