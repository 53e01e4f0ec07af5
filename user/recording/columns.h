/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of a recording. A table has a row for each call of one kind that filled the model, a column
 * for each field of the struct that the call took. SQL, writing and replay are all made from this, so a
 * new event field is one line in columns.c, a new kind of event one table more.
 */
#ifndef MEMTRACE_RECORDING_COLUMNS_H
#define MEMTRACE_RECORDING_COLUMNS_H

#include <stddef.h>
#include <stdint.h>

#include "model/event.h"
#include "model/model.h"

/* How a field lies in memory, and what its number means to a replay. */
enum column_type {
	COLUMN_BOOL,
	COLUMN_U32,
	COLUMN_U64,
	COLUMN_I32,
	COLUMN_DOUBLE,
	COLUMN_TEXT,   /* const char *; NULL is "" */
	COLUMN_ENUM,   /* below column.max */
	COLUMN_TIME,   /* uint64_t, CLOCK_MONOTONIC: moves when recordings are merged */
	COLUMN_TARGET, /* uint32_t of this session: numbered anew in a replay, as the next three */
	COLUMN_STRING,
	COLUMN_SITE,
	COLUMN_STACK,
};

struct column {
	const char *name;
	enum column_type type;
	size_t offset;
	uint32_t max; /* ENUM: the first number that is none of its values */
};

#define TABLE_MAX_COLUMNS 40

struct table_shape {
	const char *name;                         /* in SQL */
	size_t bytes;                             /* of the struct that the offsets are of */
	struct column columns[TABLE_MAX_COLUMNS]; /* ends with name == NULL */
};

/* The first EVENT_KINDS tables are those of the events: rows are struct event. */
enum recording_table {
	TABLE_STRING = EVENT_KINDS,
	TABLE_TARGET,
	TABLE_RUNTIME,
	TABLE_SITE,
	TABLE_STACK,
	TABLE_FRAME,
	TABLE_CLOCK,
	TABLE_HOST,
	TABLE_CENSUS,
	TABLE_UNWOUND,
	TABLE_SOURCE,
	TABLE_OVERHEAD,
	TABLE_SKIP,
	TABLE_INCOMPLETE,
	TABLE_SETTING,
	TABLE_COUNT,
};

extern const struct table_shape recording_tables[TABLE_COUNT];

/* What the rows of the others are. */
struct string_row {
	uint32_t id;
	const char *text;
};

struct target_row {
	uint32_t id;
	struct model_target_info info;
};

struct runtime_row {
	uint32_t target;
	const char *name, *version;
};

struct site_row {
	uint32_t id, target;
	enum family family;
	uint32_t type;
	bool other; /* stands for all that did not fit */
};

struct stack_row {
	uint32_t id, target;
};

struct frame_row {
	uint32_t function, file; /* ids of strings */
	uint32_t line;
	bool internal, inlined;
	uint32_t module, build_id; /* ids of strings */
};

struct clock_row {
	uint64_t mono_ns, real_ns, end_mono_ns;
};

struct host_row {
	const char *name;
	const char *kernel;
	int cpus;
	const char *attach_mode;
};

struct census_row {
	uint32_t target;
	struct model_census census;
};

struct unwound_row {
	uint32_t target;
	struct model_unwound unwound;
};

/* TABLE_INCOMPLETE and TABLE_SETTING */
struct text_row {
	const char *text;
};

/* "CREATE TABLE name(seq INTEGER PRIMARY KEY, ...) STRICT", to be freed. */
char *table_create_sql(const struct table_shape *table);

/* "INSERT INTO name VALUES(?, ...)": seq, then every column. To be freed. */
char *table_insert_sql(const struct table_shape *table);

#endif
