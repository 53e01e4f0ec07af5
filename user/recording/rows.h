/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rows of a recording, one after the other over all its tables, in the order in which they were
 * written. What is not as columns.h says is an error with its place, never a wrong row.
 */
#ifndef MEMTRACE_RECORDING_ROWS_H
#define MEMTRACE_RECORDING_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "recording/columns.h"
#include "recording/file.h"
#include "recording/replay.h"

struct rows;

union any_row {
	struct event event;
	struct string_row string;
	struct target_row target;
	struct runtime_row runtime;
	struct site_row site;
	struct stack_row stack;
	struct frame_row frame;
	struct clock_row clock;
	struct host_row host;
	struct census_row census;
	struct unwound_row unwound;
	struct model_source source;
	struct model_overhead overhead;
	struct model_skip skip;
	struct text_row text;
};

struct rows_facts {
	struct file_look file;
	bool closed;
	uint64_t lost;     /* events not recorded */
	uint64_t end_ns;   /* the last time that is in it; 0 = none */
	char version[64];  /* of the memtrace that wrote it */
	char unknown[128]; /* a table or column that this memtrace does not know; "" = none */
	char missing[128]; /* one that it knows and the recording has not */
};

/* 0, or -errno with a sentence as replay_add() gives it. */
int rows_open(const char *path, struct rows **ret, char sentence[REPLAY_ERROR_BYTES]);
void rows_close(struct rows *rows);
const struct rows_facts *rows_facts(const struct rows *rows);

/*
 * 1 with a row of *ret_table, whose texts live until the next call; 0 at the end; -errno where the
 * recording is damaged: everything before has been returned.
 */
int rows_next(struct rows *rows, uint32_t *ret_table, union any_row *ret);

/* Number of the row returned last, and what is wrong behind it, after an error. */
uint64_t rows_number(const struct rows *rows);
const char *rows_error(const struct rows *rows);

#endif
