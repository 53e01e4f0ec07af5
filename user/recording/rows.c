/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One SELECT a table, merged by seq. The file may have been made by anybody: SQLite is told to trust
 * nothing in it (no view, virtual table, trigger or generated column is ever looked at), and a number
 * that its column cannot hold ends the reading with its place.
 *
 * writable_schema=ON sounds like the contrary, but the file is opened for reading only: it is how SQLite
 * is made to read a file that is shorter than its header says, up to the first page that is missing.
 */
#include "recording/rows.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

#define APPLICATION_ID 1836348003
#define SCHEMA_VERSION 1
#define MAX_TIME_NS    (1ull << 62)
#define MAX_BYTES      (1 << 20) /* of a text, of a statement */

struct cursor {
	sqlite3_stmt *select; /* NULL = no such table, or no more rows */
	uint64_t seq;
	int at[TABLE_MAX_COLUMNS]; /* column of the SELECT; 0 = the table has none (0 is seq) */
};

struct rows {
	sqlite3 *db;
	struct cursor cursors[TABLE_COUNT];
	int last; /* cursor whose row was returned last, to be moved; -1 = none */
	uint64_t row;
	struct rows_facts facts;
	char error[REPLAY_ERROR_BYTES];
};

static int __attribute__((format(printf, 3, 4)))
fail(struct rows *rows, int r, const char *format, ...)
{
	char text[REPLAY_ERROR_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text_escape(rows->error, sizeof(rows->error), text);
	return r;
}

static int fail_sqlite(struct rows *rows, const char *table)
{
	int r = (sqlite3_errcode(rows->db) & 0xff) == SQLITE_NOMEM ? -ENOMEM : -EBADMSG;

	return fail(
		rows, r, "%s%s%s", table ? table : "", table ? ": " : "", sqlite3_errmsg(rows->db));
}

/* ---- one value ---- */

static int out_of_range(struct rows *rows, uint32_t table, const struct column *column)
{
	return fail(rows, -EBADMSG, "%s.%s is out of range", recording_tables[table].name,
		column->name);
}

static bool fits(const struct column *column, sqlite3_int64 value)
{
	switch (column->type) {
	case COLUMN_BOOL:
		return value == 0 || value == 1;
	case COLUMN_I32:
		return value >= INT_MIN && value <= INT_MAX;
	case COLUMN_ENUM:
		return value >= 0 && value < column->max;
	case COLUMN_TIME:
		return value >= 0 && (uint64_t)value < MAX_TIME_NS;
	case COLUMN_U64:
		return true;
	default:
		return value >= 0 && value <= UINT32_MAX;
	}
}

static void store(const struct column *column, sqlite3_int64 value, void *field)
{
	switch (column->type) {
	case COLUMN_BOOL:
		*(bool *)field = value;
		break;
	case COLUMN_I32:
		*(int *)field = (int)value;
		break;
	case COLUMN_U64:
	case COLUMN_TIME:
		*(uint64_t *)field = (uint64_t)value;
		break;
	default:
		*(uint32_t *)field = (uint32_t)value;
	}
}

static int read_value(
	struct rows *rows, uint32_t table, const struct column *column, int at, unsigned char *row)
{
	sqlite3_stmt *select = rows->cursors[table].select;
	void *field = row + column->offset;
	int type = sqlite3_column_type(select, at);
	const char *text;

	if (column->type == COLUMN_TEXT) {
		text = (const char *)sqlite3_column_text(select, at);
		if (type != SQLITE_TEXT || !text)
			return out_of_range(rows, table, column);
		memcpy(field, &text, sizeof(text));
		return 0;
	}
	if (column->type == COLUMN_DOUBLE) {
		double value = sqlite3_column_double(select, at);

		if ((type != SQLITE_FLOAT && type != SQLITE_INTEGER) || !isfinite(value))
			return out_of_range(rows, table, column);
		memcpy(field, &value, sizeof(value));
		return 0;
	}
	if (type != SQLITE_INTEGER || !fits(column, sqlite3_column_int64(select, at)))
		return out_of_range(rows, table, column);
	store(column, sqlite3_column_int64(select, at), field);
	return 0;
}

/* What the table does not have stays 0: unknown. */
static int read_row(struct rows *rows, uint32_t table, union any_row *ret)
{
	const struct column *columns = recording_tables[table].columns;
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	if (table < EVENT_KINDS)
		ret->event.kind = (enum event_kind)table;
	for (size_t i = 0; columns[i].name && !r; i++)
		if (rows->cursors[table].at[i])
			r = read_value(rows, table, &columns[i], rows->cursors[table].at[i],
				(unsigned char *)ret);
	return r;
}

/* ---- one table ---- */

static void cursor_end(struct cursor *cursor)
{
	sqlite3_finalize(cursor->select);
	cursor->select = NULL;
}

static int cursor_step(struct rows *rows, uint32_t table)
{
	struct cursor *cursor = &rows->cursors[table];
	int r = sqlite3_step(cursor->select);

	if (r == SQLITE_ROW) {
		cursor->seq = (uint64_t)sqlite3_column_int64(cursor->select, 0);
		return 0;
	}
	if (r != SQLITE_DONE)
		r = fail_sqlite(rows, recording_tables[table].name);
	else
		r = 0;
	cursor_end(cursor);
	return r;
}

static int prepare(struct rows *rows, const char *sql, sqlite3_stmt **ret)
{
	return sqlite3_prepare_v2(rows->db, sql, -1, ret, NULL) ? fail_sqlite(rows, NULL) : 0;
}

static size_t find_column(const struct table_shape *shape, const char *name)
{
	size_t i = 0;

	while (shape->columns[i].name && strcmp(shape->columns[i].name, name) != 0)
		i++;
	return i;
}

/* Which of the columns there are. hidden: it is no stored column, but computed. */
static int look_at_columns(struct rows *rows, uint32_t table, bool *ret_exists)
{
	const struct table_shape *shape = &recording_tables[table];
	struct cursor *cursor = &rows->cursors[table];
	sqlite3_stmt *info;
	int r = prepare(rows, "SELECT name, hidden FROM pragma_table_xinfo(?)", &info), count = 0;

	if (r)
		return r;
	sqlite3_bind_text(info, 1, shape->name, -1, SQLITE_STATIC);
	while (sqlite3_step(info) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(info, 0);
		size_t i = name ? find_column(shape, name) : 0;

		*ret_exists = true;
		if (!name || sqlite3_column_int(info, 1))
			r = fail(rows, -EBADMSG, "%s is no table of a recording", shape->name);
		else if (shape->columns[i].name)
			cursor->at[i] = ++count;
		else if (strcmp(name, "seq") != 0)
			snprintf(rows->facts.unknown, sizeof(rows->facts.unknown), "%s.%s",
				shape->name, name);
	}
	sqlite3_finalize(info);
	return r;
}

static int select_columns(struct rows *rows, uint32_t table)
{
	const struct table_shape *shape = &recording_tables[table];
	struct cursor *cursor = &rows->cursors[table];
	char *sql = NULL;
	size_t bytes;
	FILE *out = open_memstream(&sql, &bytes);
	int r, at = 0;

	if (!out)
		return -ENOMEM;
	fputs("SELECT seq", out);
	for (size_t i = 0; shape->columns[i].name; i++) {
		if (!cursor->at[i]) {
			snprintf(rows->facts.missing, sizeof(rows->facts.missing), "%s.%s",
				shape->name, shape->columns[i].name);
			continue;
		}
		cursor->at[i] = ++at;
		fprintf(out, ", %s", shape->columns[i].name);
	}
	fprintf(out, " FROM %s ORDER BY seq", shape->name);
	fclose(out);
	r = prepare(rows, sql, &cursor->select);
	free(sql);
	return r;
}

static int open_table(struct rows *rows, uint32_t table)
{
	bool exists = false;
	int r = look_at_columns(rows, table, &exists);

	if (r)
		return r;
	if (!exists) {
		snprintf(rows->facts.missing, sizeof(rows->facts.missing), "%s",
			recording_tables[table].name);
		return 0;
	}
	r = select_columns(rows, table);
	return r ? r : cursor_step(rows, table);
}

/* ---- the file ---- */

static int read_number(struct rows *rows, const char *sql, sqlite3_int64 *ret)
{
	sqlite3_stmt *select;
	int r = prepare(rows, sql, &select);

	if (r)
		return r;
	r = sqlite3_step(select);
	if (r == SQLITE_ROW)
		*ret = sqlite3_column_int64(select, 0);
	sqlite3_finalize(select);
	if (r == SQLITE_ROW || r == SQLITE_DONE)
		return 0;
	return fail_sqlite(rows, NULL);
}

static void take_fact(struct rows *rows, const char *key, const char *value)
{
	struct rows_facts *facts = &rows->facts;

	if (!strcmp(key, "memtrace"))
		text_escape(facts->version, sizeof(facts->version), value);
	else if (!strcmp(key, "closed"))
		facts->closed = !strcmp(value, "1");
	else if (!strcmp(key, "lost"))
		facts->lost = strtoull(value, NULL, 10);
}

/* Best effort: a recording that is damaged here may still have its rows. */
static void read_facts(struct rows *rows)
{
	sqlite3_stmt *select;

	if (prepare(rows, "SELECT key, value FROM recording LIMIT 64", &select))
		return;
	while (sqlite3_step(select) == SQLITE_ROW) {
		const char *key = (const char *)sqlite3_column_text(select, 0);
		const char *value = (const char *)sqlite3_column_text(select, 1);

		if (key && value)
			take_fact(rows, key, value);
	}
	sqlite3_finalize(select);
}

static void find_end(struct rows *rows)
{
	sqlite3_int64 end = 0;

	read_number(rows, "SELECT end_mono_ns FROM clock ORDER BY seq DESC LIMIT 1", &end);
	for (uint32_t table = 0; table < EVENT_KINDS; table++) {
		sqlite3_int64 last = 0;
		char sql[128];

		snprintf(sql, sizeof(sql), "SELECT time_ns FROM %s ORDER BY seq DESC LIMIT 1",
			recording_tables[table].name);
		if (rows->cursors[table].select && !read_number(rows, sql, &last))
			end = MAX(end, last);
	}
	if (end > 0 && (uint64_t)end < MAX_TIME_NS)
		rows->facts.end_ns = (uint64_t)end;
	rows->error[0] = 0;
}

/* Everything that has a name in it is a table that we know, and is a table. */
static int check_schema(struct rows *rows)
{
	sqlite3_stmt *select;
	int r = prepare(rows, "SELECT name, type, rootpage FROM sqlite_schema", &select), step;

	if (r)
		return r;
	while ((step = sqlite3_step(select)) == SQLITE_ROW && !r) {
		const char *name = (const char *)sqlite3_column_text(select, 0);
		const char *type = (const char *)sqlite3_column_text(select, 1);
		size_t i = 0;

		if (!name || !type || !strncmp(name, "sqlite_", 7))
			continue;
		while (i < TABLE_COUNT && strcmp(recording_tables[i].name, name) != 0)
			i++;
		if (i == TABLE_COUNT && !strcmp(type, "table") && strcmp(name, "recording") != 0)
			text_escape(rows->facts.unknown, sizeof(rows->facts.unknown), name);
		if (i < TABLE_COUNT &&
			(strcmp(type, "table") != 0 || sqlite3_column_int64(select, 2) <= 0))
			r = fail(rows, -EBADMSG, "%s is no table of a recording", name);
	}
	sqlite3_finalize(select);
	return r || step == SQLITE_DONE ? r : fail_sqlite(rows, NULL);
}

static int check_version(struct rows *rows)
{
	sqlite3_int64 application = 0, version = 0;
	int r = read_number(rows, "PRAGMA application_id", &application);

	r = r ? r : read_number(rows, "PRAGMA user_version", &version);
	if (r)
		return r;
	if (application != APPLICATION_ID || version < 1)
		return fail(rows, -EINVAL, "is no recording of memtrace");
	if (version > SCHEMA_VERSION)
		return fail(rows, -EPROTONOSUPPORT,
			"was written by a newer memtrace%s%s: its schema is %lld, this one knows "
			"%d",
			*rows->facts.version ? ", " : "", rows->facts.version, version,
			SCHEMA_VERSION);
	return 0;
}

/* As RFC 3986 wants it: a name may hold what means something in a URI. */
static char *uri_of(const char *path, bool immutable)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
	char *uri = xcalloc(1, 3 * strlen(path) + 32), *at = uri;

	at = stpcpy(at, *path == '/' ? "file://" : "file:");
	for (; *path; path++)
		if (strchr(plain, *path))
			*at++ = *path;
		else
			at += sprintf(at, "%%%02X", (unsigned char)*path);
	if (immutable)
		strcpy(at, "?immutable=1");
	return uri;
}

static int open_database(struct rows *rows, const char *path)
{
	static const char pragmas[] = "PRAGMA writable_schema=ON; PRAGMA trusted_schema=OFF;"
				      "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; BEGIN";
	char *uri = uri_of(path, !rows->facts.file.beside);
	int r = sqlite3_open_v2(
		uri, &rows->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);

	free(uri);
	if (r)
		return fail_sqlite(rows, NULL);
	sqlite3_limit(rows->db, SQLITE_LIMIT_LENGTH, MAX_BYTES);
	sqlite3_limit(rows->db, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_db_config(rows->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(rows->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	return sqlite3_exec(rows->db, pragmas, NULL, NULL, NULL) ? fail_sqlite(rows, NULL) : 0;
}

static int open_tables(struct rows *rows)
{
	int r = check_schema(rows);

	for (uint32_t i = 0; i < TABLE_COUNT && !r; i++)
		r = open_table(rows, i);
	return r;
}

int rows_open(const char *path, struct rows **ret, char sentence[REPLAY_ERROR_BYTES])
{
	struct rows *rows = xcalloc(1, sizeof(*rows));
	int r = file_look(path, &rows->facts.file, rows->error, sizeof(rows->error));

	rows->last = -1;
	r = r ? r : open_database(rows, path);
	if (!r)
		read_facts(rows);
	r = r ? r : check_version(rows);
	r = r ? r : open_tables(rows);
	if (r) {
		snprintf(sentence, REPLAY_ERROR_BYTES, "%s%s",
			r == -EBADMSG ? "is damaged from its start: " : "", rows->error);
		rows_close(rows);
		return r;
	}
	find_end(rows);
	*ret = rows;
	return 0;
}

void rows_close(struct rows *rows)
{
	if (!rows)
		return;
	for (size_t i = 0; i < TABLE_COUNT; i++)
		cursor_end(&rows->cursors[i]);
	sqlite3_close(rows->db);
	free(rows);
}

const struct rows_facts *rows_facts(const struct rows *rows)
{
	return &rows->facts;
}

int rows_next(struct rows *rows, uint32_t *ret_table, union any_row *ret)
{
	int next = -1, r = rows->last < 0 ? 0 : cursor_step(rows, (uint32_t)rows->last);

	rows->last = -1;
	if (r)
		return r;
	for (int i = 0; i < TABLE_COUNT; i++)
		if (rows->cursors[i].select &&
			(next < 0 || rows->cursors[i].seq < rows->cursors[next].seq))
			next = i;
	if (next < 0)
		return 0;
	r = read_row(rows, (uint32_t)next, ret);
	if (r)
		return r;
	rows->last = next;
	rows->row = rows->cursors[next].seq;
	*ret_table = (uint32_t)next;
	return 1;
}

uint64_t rows_number(const struct rows *rows)
{
	return rows->row;
}

const char *rows_error(const struct rows *rows)
{
	return rows->error;
}
