/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * WAL with synchronous=NORMAL: a commit is a write to FILE-wal, the disk is waited for at checkpoints
 * only, so the death of this process loses nothing that was committed and that of the machine a little.
 * There is no index but the primary key, which only ever grows: rows are appended.
 */
#include "recording/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "recording/columns.h"
#include "recording/file.h"

static const char schema[] =
#include "schema.sql.h"
	;

static const char pragmas[] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
			      "PRAGMA wal_autocheckpoint=4000;";

struct writer {
	sqlite3 *db;
	sqlite3_stmt *insert[TABLE_COUNT];
	uint64_t seq, committed;
	int error;
	char sentence[RECORDER_ERROR_BYTES];
};

/* The first failure is the one that is told. */
static int fail(struct writer *writer)
{
	int system = sqlite3_system_errno(writer->db);

	if (writer->error)
		return writer->error;
	switch (sqlite3_errcode(writer->db) & 0xff) {
	case SQLITE_FULL:
		writer->error = -ENOSPC;
		break;
	case SQLITE_NOMEM:
		writer->error = -ENOMEM;
		break;
	default:
		writer->error = system > 0 ? -system : -EIO;
	}
	text_escape(writer->sentence, sizeof(writer->sentence), sqlite3_errmsg(writer->db));
	return writer->error;
}

static int execute(struct writer *writer, const char *sql)
{
	return sqlite3_exec(writer->db, sql, NULL, NULL, NULL) ? fail(writer) : 0;
}

/* ---- rows ---- */

static int bind_text(sqlite3_stmt *insert, int at, const void *field)
{
	const char *text;

	memcpy(&text, field, sizeof(text));
	return sqlite3_bind_text(insert, at, text ? text : "", -1, SQLITE_STATIC);
}

static int bind_column(
	sqlite3_stmt *insert, int at, const struct column *column, const unsigned char *row)
{
	const void *field = row + column->offset;

	switch (column->type) {
	case COLUMN_BOOL:
		return sqlite3_bind_int(insert, at, *(const bool *)field);
	case COLUMN_I32:
		return sqlite3_bind_int(insert, at, *(const int *)field);
	case COLUMN_U64:
	case COLUMN_TIME:
		return sqlite3_bind_int64(insert, at, (sqlite3_int64) * (const uint64_t *)field);
	case COLUMN_DOUBLE:
		return sqlite3_bind_double(insert, at, *(const double *)field);
	case COLUMN_TEXT:
		return bind_text(insert, at, field);
	case COLUMN_U32:
	case COLUMN_ENUM:
	case COLUMN_TARGET:
	case COLUMN_STRING:
	case COLUMN_SITE:
	case COLUMN_STACK:
		break;
	}
	return sqlite3_bind_int64(insert, at, *(const uint32_t *)field);
}

int writer_begin(struct writer *writer)
{
	return writer->error ? writer->error : execute(writer, "BEGIN");
}

int writer_add(struct writer *writer, uint32_t table, const void *row)
{
	sqlite3_stmt *insert = writer->insert[table];
	int at = 1, r = sqlite3_bind_int64(insert, at++, (sqlite3_int64)++writer->seq);

	for (const struct column *column = recording_tables[table].columns; column->name; column++)
		r |= bind_column(insert, at++, column, row);
	if (r || sqlite3_step(insert) != SQLITE_DONE)
		r = fail(writer);
	sqlite3_reset(insert);
	if (r)
		sqlite3_exec(writer->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

int writer_commit(struct writer *writer)
{
	int r = execute(writer, "COMMIT");

	if (r)
		sqlite3_exec(writer->db, "ROLLBACK", NULL, NULL, NULL);
	else
		writer->committed = writer->seq;
	return r;
}

static int set_fact(struct writer *writer, const char *key, const char *value)
{
	char *sql = sqlite3_mprintf("INSERT OR REPLACE INTO recording VALUES(%Q, %Q)", key, value);
	int r = sql ? execute(writer, sql) : -ENOMEM;

	sqlite3_free(sql);
	return r;
}

int writer_set_lost(struct writer *writer, uint64_t lost)
{
	char number[24];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)lost);
	return set_fact(writer, "lost", number);
}

uint64_t writer_rows(const struct writer *writer)
{
	return writer->committed;
}

const char *writer_error(const struct writer *writer)
{
	return writer->sentence;
}

/* ---- opening and closing ---- */

static int __attribute__((format(printf, 3, 4)))
complain(char error[RECORDER_ERROR_BYTES], int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, RECORDER_ERROR_BYTES, format, args);
	va_end(args);
	return r;
}

/* What an earlier writer left beside the file belongs to the old one. */
static int remove_old(const char *path)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		char name[PATH_MAX + 16];

		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		if (unlink(name) && errno != ENOENT)
			return -errno;
	}
	return 0;
}

/* An empty file that is ours alone, for SQLite to open by its name. */
static int create(const char *path, char error[RECORDER_ERROR_BYTES])
{
	struct stat st;
	int fd, r, pid;

	if (strlen(path) >= PATH_MAX)
		return complain(error, -ENAMETOOLONG, "%s", strerror(ENAMETOOLONG));
	if (!lstat(path, &st) && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return complain(error, -EINVAL, "a recording has to be a regular file");
	pid = file_find_user(path);
	if (pid > 0)
		return complain(error, -EBUSY, "process %d uses it", pid);
	r = remove_old(path);
	if (r)
		return complain(error, r, "%s", strerror(-r));
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return complain(error, -errno, "%s", strerror(errno));
	close(fd);
	return 0;
}

static int create_tables(struct writer *writer)
{
	int r = execute(writer, schema);

	for (size_t i = 0; i < TABLE_COUNT && !r; i++) {
		char *sql = table_create_sql(&recording_tables[i]);

		r = execute(writer, sql);
		free(sql);
	}
	return r ? r : set_fact(writer, "memtrace", MEMTRACE_VERSION);
}

static int prepare_inserts(struct writer *writer)
{
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		char *sql = table_insert_sql(&recording_tables[i]);
		int r = sqlite3_prepare_v3(
			writer->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &writer->insert[i], NULL);

		free(sql);
		if (r)
			return fail(writer);
	}
	return 0;
}

static int set_up(struct writer *writer, const char *path)
{
	int r;

	if (sqlite3_open_v2(path, &writer->db,
		    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL))
		return fail(writer);
	sqlite3_extended_result_codes(writer->db, 1);
	r = execute(writer, pragmas);
	r = r ? r : execute(writer, "BEGIN");
	r = r ? r : create_tables(writer);
	r = r ? r : execute(writer, "COMMIT");
	return r ? r : prepare_inserts(writer);
}

static void writer_free(struct writer *writer)
{
	for (size_t i = 0; i < TABLE_COUNT; i++)
		sqlite3_finalize(writer->insert[i]);
	sqlite3_close(writer->db);
	free(writer);
}

int writer_open(const char *path, struct writer **ret, char error[RECORDER_ERROR_BYTES])
{
	struct writer *writer;
	int r = create(path, error);

	if (r)
		return r;
	writer = xcalloc(1, sizeof(*writer));
	r = set_up(writer, path);
	if (!r) {
		*ret = writer;
		return 0;
	}
	complain(error, r, "%s", writer->sentence);
	writer_free(writer);
	remove_old(path);
	return r;
}

void writer_close(struct writer *writer, bool whole)
{
	if (!writer)
		return;
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		sqlite3_finalize(writer->insert[i]);
		writer->insert[i] = NULL;
	}
	/* Where the disk is full the journal stays beside the file: both together are the recording. */
	if (whole && !set_fact(writer, "closed", "1"))
		execute(writer, "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode=DELETE");
	writer_free(writer);
}
