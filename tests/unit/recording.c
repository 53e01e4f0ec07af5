/* SPDX-License-Identifier: BSD-2-Clause */
/* Recordings: what is written comes back as it was; what is damaged says where, and never more. */
#include "model_events.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recording/columns.h"
#include "recording/recorder.h"
#include "recording/replay.h"
#include "recording/rows.h"
#include "recording/writer.h"
#include "sink/sink.h"

static char folder[] = "/tmp/memtrace-recording-XXXXXX";
static char path[64];

static void enter_folder(void)
{
	cr_assert(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/a.mtrace", folder);
}

static void leave_folder(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	cr_assert_eq(system(command), 0);
}

TestSuite(recording, .init = enter_folder, .fini = leave_folder, .timeout = 120);

/* ---- helpers ---- */

static struct recorder *record(const char *file)
{
	char error[RECORDER_ERROR_BYTES] = "";
	struct recorder *recorder = NULL;

	cr_assert_eq(recorder_open(file, &recorder, error), 0, "%s", error);
	return recorder;
}

static void end(struct recorder *recorder)
{
	struct recorder_result result;

	recorder_close(recorder, &result);
	cr_assert_eq(result.error, 0, "%s", result.sentence);
	cr_assert_eq(result.lost, 0);
}

/* A session with something of everything, told to an observer. */
static struct world live(struct recorder *recorder, int pid)
{
	struct world w = {.model = model_new(), .thresholds = thresholds_new(), .now_ns = START_NS};
	struct model_target_info info = {.pid = pid,
		.comm = "a\033\xff",
		.exe = "/app/api",
		.runtime = "go",
		.version = "go1.23.5",
		.age_ns = 3600 * NSEC_PER_SEC};

	recorder_watch(recorder, w.model);
	model_set_clock(w.model, START_NS, 1700000000 * NSEC_PER_SEC, START_NS);
	w.target = model_add_target(w.model, &info);
	info.limit_bytes = MIB(256);
	info.has_limit = true;
	model_update_target(w.model, w.target, &info);
	model_add_runtime(w.model, w.target, "c++", "libstdc++");
	w.type = model_intern(w.model, "map[int]main.session");
	w.site = world_site(&w, FAMILY_MAP, "map[int]main.session", "main.(*Cache).Put", 42);
	w.rss_bytes = MIB(100);
	open_all(&w);
	apply(&w, (struct event){.kind = EVENT_PROFILE, .profile = {.rate_bytes = 524288}});
	apply(&w, (struct event){.kind = EVENT_ALLOCATED,
			  .allocated = {.stack = model_add_stack(w.model, w.target,
						model_site(w.model, w.site)->frames, 3),
				  .in_use_bytes = MIB(7)}});
	find_map(&w, 0x5000);
	fill_map(&w, w.site, EVENT_KEY_ON_STACK | 0x1000, 1 << 20);
	for (int i = 0; i < 1200; i++) {
		wait_ms(&w, 100);
		w.gc_cycles += i % 100 == 0;
		usage(&w);
		heap(&w);
		look(&w, 0x5000, 100, 1 << 20);
	}
	return w;
}

static void finish(struct world *w)
{
	struct model_overhead overhead = {.probe_hits = 30, .ns_per_hit = 612.5};
	struct model_host host = {.kernel = "6.1", .cpus = 2, .attach_mode = "uprobe_multi"};
	struct model_census census = {.done = true, .complete = true, .maps = 7};

	model_set_census(w->model, w->target, &census);
	model_add_skip(w->model, "slices", "no code");
	model_set_source(w->model, "map", 5, 5, 5, 0);
	model_set_host(w->model, &host);
	model_set_overhead(w->model, &overhead);
	model_set_clock(w->model, START_NS, 1700000000 * NSEC_PER_SEC, w->now_ns);
}

static char *report_text(struct world *w, const char *format)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	uint64_t begin, real;
	struct report report = {.model = w->model, .top = 10, .width = 100, .verbose = true};

	model_clock(w->model, &begin, &real, &w->now_ns);
	run(w);
	report.findings = w->findings.items;
	report.finding_count = w->findings.count - w->findings.candidates;
	report.candidate_count = w->findings.candidates;
	report.saves_rss_bytes = w->findings.saves_rss_bytes;
	cr_assert_eq(sink_find(format)->write(&report, out), 0);
	fclose(out);
	return text;
}

static void ignore_setting(const char *assignment, void *arg)
{
	(void)assignment;
	(void)arg;
}

static char sentence[REPLAY_ERROR_BYTES];

/* 0 or what replay_add() said of the last file; the model is in *ret. */
static int replay_files(struct world *ret, const char *const *files)
{
	struct replayer *replay;
	int r = 0;

	*ret = (struct world){.model = model_new(), .thresholds = thresholds_new()};
	replay = replay_new(ret->model, ignore_setting, NULL);
	for (; *files; files++)
		r = replay_add(replay, *files, sentence);
	replay_free(replay);
	return r;
}

static int replay_file(struct world *ret)
{
	return replay_files(ret, (const char *const[]){path, NULL});
}

static void make_recording(void)
{
	struct recorder *recorder = record(path);
	struct world w = live(recorder, 4711);

	finish(&w);
	end(recorder);
	world_done(&w);
}

static void sql(const char *statement)
{
	char *error = NULL;
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, statement, NULL, NULL, &error), SQLITE_OK, "%s: %s",
		statement, error);
	sqlite3_close(db);
}

static void copy_file(const char *from, const char *to)
{
	char command[256];

	snprintf(command, sizeof(command), "cp %s %s", from, to);
	cr_assert_eq(system(command), 0);
}

static void expect_refused(int r, const char *words)
{
	struct world w;

	cr_expect_eq(replay_file(&w), r, "%s: %s", words, sentence);
	cr_expect(strstr(sentence, words), "\"%s\" is not in \"%s\"", words, sentence);
	cr_expect_eq(model_target_count(w.model), 0);
	world_done(&w);
}

/* Something of it can be shown, and the model says what is wrong. */
static void expect_incomplete(const char *words)
{
	bool said = false;
	struct world w;

	cr_expect_eq(replay_file(&w), 0, "%s: %s", words, sentence);
	cr_expect_not(model_complete(w.model));
	for (size_t i = 0; i < model_incomplete_count(w.model); i++)
		said |= strstr(model_incomplete(w.model, i), words) != NULL;
	cr_expect(said, "\"%s\" is not said, but \"%s\"", words,
		model_incomplete_count(w.model) ? model_incomplete(w.model, 0) : "");
	world_done(&w);
}

/* ---- tables ---- */

Test(recording, every_kind_of_event_has_a_table)
{
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		const struct table_shape *table = &recording_tables[i];

		cr_assert(table->name, "kind %zu has none", i);
		cr_expect(table->columns[0].name, "%s has no columns", table->name);
		cr_expect_eq(!strncmp(table->name, "event_", 6), i < EVENT_KINDS);
		cr_expect_eq(table->columns[TABLE_MAX_COLUMNS - 1].name, NULL);
		if (i < EVENT_KINDS) {
			cr_expect_str_eq(table->columns[0].name, "target");
			cr_expect_str_eq(table->columns[1].name, "time_ns");
		}
	}
}

Test(recording, every_table_is_explained)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = fopen("user/recording/schema.sql", "r");

	cr_assert(file);
	cr_assert_gt(getdelim(&text, &bytes, 0, file), 0);
	fclose(file);
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		char line[64];

		snprintf(line, sizeof(line), "\n--   %s ", recording_tables[i].name);
		cr_expect(strstr(text, line), "%s is not", recording_tables[i].name);
	}
	free(text);
}

/* A number that is not that of another column, as large as its column can hold. */
static void fill_column(const struct column *column, size_t i, void *row)
{
	static const char *const texts[] = {"", "a", "\xff'\"\n"};
	void *field = (char *)row + column->offset;

	switch (column->type) {
	case COLUMN_BOOL:
		*(bool *)field = true;
		break;
	case COLUMN_I32:
		*(int *)field = INT32_MIN + (int)i;
		break;
	case COLUMN_U64:
		*(uint64_t *)field = UINT64_MAX - i;
		break;
	case COLUMN_TIME:
		*(uint64_t *)field = START_NS + i;
		break;
	case COLUMN_DOUBLE:
		*(double *)field = 0.5 + (double)i;
		break;
	case COLUMN_TEXT:
		memcpy(field, &texts[i % 3], sizeof(char *));
		break;
	case COLUMN_ENUM:
		*(uint32_t *)field = column->max - 1;
		break;
	default:
		*(uint32_t *)field = UINT32_MAX - (uint32_t)i;
	}
}

static void check_column(const struct column *column, const void *wanted, const void *is)
{
	size_t bytes = column->type == COLUMN_BOOL ? 1
		       : column->type == COLUMN_U64 || column->type == COLUMN_TIME ||
				       column->type == COLUMN_DOUBLE
			       ? 8
			       : 4;
	const char *a, *b;

	wanted = (const char *)wanted + column->offset;
	is = (const char *)is + column->offset;
	if (column->type != COLUMN_TEXT) {
		cr_expect_arr_eq(is, wanted, bytes, "%s", column->name);
		return;
	}
	memcpy(&a, wanted, sizeof(a));
	memcpy(&b, is, sizeof(b));
	cr_expect_str_eq(a, b);
}

Test(recording, every_column_comes_back_as_it_was)
{
	struct writer *writer;
	struct rows *rows;
	union any_row wanted[TABLE_COUNT], row;
	char error[RECORDER_ERROR_BYTES];
	uint32_t table;

	cr_assert_eq(writer_open(path, &writer, error), 0, "%s", error);
	cr_assert_eq(writer_begin(writer), 0);
	memset(wanted, 0, sizeof(wanted));
	for (uint32_t i = 0; i < TABLE_COUNT; i++) {
		for (size_t j = 0; recording_tables[i].columns[j].name; j++)
			fill_column(&recording_tables[i].columns[j], j, &wanted[i]);
		cr_assert_eq(writer_add(writer, i, &wanted[i]), 0, "%s", writer_error(writer));
	}
	cr_assert_eq(writer_commit(writer), 0);
	writer_close(writer, true);

	cr_assert_eq(rows_open(path, &rows, sentence), 0, "%s", sentence);
	for (uint32_t i = 0; i < TABLE_COUNT; i++) {
		cr_assert_eq(rows_next(rows, &table, &row), 1, "%s", rows_error(rows));
		cr_assert_eq(table, i);
		cr_assert_eq(rows_number(rows), i + 1);
		for (size_t j = 0; recording_tables[i].columns[j].name; j++)
			check_column(&recording_tables[i].columns[j], &wanted[i], &row);
	}
	cr_assert_eq(rows_next(rows, &table, &row), 0);
	cr_assert(rows_facts(rows)->closed);
	rows_close(rows);
}

/* ---- there and back ---- */

Test(recording, the_report_of_a_recording_is_that_of_its_session)
{
	static const char *const formats[] = {"text", "json", "jsonl"};
	struct recorder *recorder = record(path);
	struct world w = live(recorder, 4711), again;
	struct stat st;
	char beside[80];

	finish(&w);
	end(recorder);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	snprintf(beside, sizeof(beside), "%s-wal", path);
	cr_expect_eq(access(beside, F_OK), -1);
	cr_assert_eq(replay_file(&again), 0, "%s", sentence);
	cr_expect_str_empty(sentence);
	cr_expect(model_complete(again.model));
	run(&w);
	cr_expect_gt(w.findings.count, 0);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		char *a = report_text(&w, formats[i]), *b = report_text(&again, formats[i]);

		cr_expect_str_eq(b, a);
		free(a);
		free(b);
	}
	world_done(&w);
	world_done(&again);
}

Test(recording, settings_of_the_session_come_first)
{
	struct recorder *recorder = record(path);
	struct rows *rows;
	union any_row row;
	uint32_t table;

	recorder_add_setting(recorder, "over-hint.seconds=1");
	end(recorder);
	cr_assert_eq(rows_open(path, &rows, sentence), 0);
	cr_assert_eq(rows_next(rows, &table, &row), 1);
	cr_assert_eq(table, TABLE_SETTING);
	cr_assert_str_eq(row.text.text, "over-hint.seconds=1");
	rows_close(rows);
}

Test(recording, several_become_one_model)
{
	char other[80];
	struct world one, both;
	const char *files[] = {path, other, NULL};

	make_recording();
	snprintf(other, sizeof(other), "%s/b.mtrace", folder);
	copy_file(path, other);
	/* The other machine has been up for longer, and its session began at another time. */
	cr_assert_eq(replay_file(&one), 0);
	strcpy(path, other);
	for (size_t i = 0; i < EVENT_KINDS; i++) {
		char statement[128];

		snprintf(statement, sizeof(statement),
			"UPDATE %s SET time_ns = time_ns + 123456789", recording_tables[i].name);
		sql(statement);
	}
	sql("UPDATE clock SET mono_ns = mono_ns + 123456789, "
	    "end_mono_ns = end_mono_ns + 123456789; UPDATE target SET pid = 4712");
	snprintf(path, sizeof(path), "%s/a.mtrace", folder);
	cr_assert_eq(replay_files(&both, files), 0, "%s", sentence);
	cr_expect(model_complete(both.model));
	cr_assert_eq(model_target_count(both.model), 2);
	cr_expect_eq(model_target(both.model, 1)->pid, 4712);
	cr_expect_eq(
		model_target(both.model, 0)->attach_ns, model_target(both.model, 1)->attach_ns);
	cr_expect_eq(model_source(both.model, 0)->produced, 10);
	cr_expect_eq(model_overhead(both.model)->probe_hits, 60);
	cr_expect_eq(model_site_count(both.model), 2 * model_site_count(one.model));
	free(report_text(&one, "text"));
	free(report_text(&both, "text"));
	cr_expect_gt(one.findings.count, 0);
	cr_expect_eq(both.findings.count, 2 * one.findings.count);
	world_done(&one);
	world_done(&both);
}

/* ---- what was not closed ---- */

/* Runs in a child that dies without closing, once it has been told that a batch is there. */
static void die_while_recording(void)
{
	struct recorder *recorder = record(path);
	struct world w = live(recorder, 4711);
	struct rows *rows;
	union any_row row;
	uint32_t table;
	size_t count = 0;

	(void)w;
	/* The last batch is written within 250 ms */
	while (count < 3000) {
		count = 0;
		cr_assert_eq(rows_open(path, &rows, sentence), 0, "%s", sentence);
		while (rows_next(rows, &table, &row) > 0)
			count++;
		rows_close(rows);
	}
	kill(getpid(), SIGKILL);
}

Test(recording, the_death_of_the_writer_leaves_what_was_committed)
{
	pid_t child = fork();
	struct world w;
	int status;

	if (!child)
		die_while_recording();
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	expect_incomplete("was not closed");
	cr_assert_eq(replay_file(&w), 0);
	cr_expect_gt(model_target(w.model, 0)->usage_count, 900);
	free(report_text(&w, "text"));
	cr_expect_gt(w.findings.count, 0);
	world_done(&w);
}

Test(recording, a_growing_recording_is_shown_and_not_replaced)
{
	char error[RECORDER_ERROR_BYTES] = "";
	struct recorder *other = NULL;
	struct world closed;
	int ready[2], go[2];
	pid_t child;
	char byte;

	cr_assert_eq(pipe(ready) | pipe(go), 0);
	child = fork();
	if (!child) {
		struct recorder *recorder = record(path);
		struct world w = live(recorder, 4711);

		cr_assert_eq(write(ready[1], "r", 1), 1);
		cr_assert_eq(read(go[0], &byte, 1), 1);
		finish(&w);
		end(recorder);
		_exit(0);
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	expect_incomplete("is still being written, by process");
	cr_expect_eq(recorder_open(path, &other, error), -EBUSY);
	cr_expect(strstr(error, "uses it"), "%s", error);
	cr_assert_eq(write(go[1], "g", 1), 1);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_assert_eq(replay_file(&closed), 0);
	cr_expect_str_empty(sentence);
	world_done(&closed);
}

/* The disk, here the largest file allowed, is full: what was there before stays. */
Test(recording, a_full_disk_ends_the_recording_with_what_is_there)
{
	struct rlimit limit = {200 << 10, 200 << 10};
	struct recorder_result result;
	struct recorder *recorder;
	struct world w;

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	recorder = record(path);
	w = live(recorder, 4711);
	for (int i = 0; i < 30000; i++)
		usage(&w);
	recorder_close(recorder, &result);
	cr_expect_lt(result.error, 0);
	cr_expect_str_not_empty(result.sentence);
	world_done(&w);
	expect_incomplete("was not closed");
}

Test(recording, files_that_cannot_be_written)
{
	char error[RECORDER_ERROR_BYTES] = "", name[96];
	struct recorder *recorder = NULL;

	snprintf(name, sizeof(name), "%s/no/such", folder);
	cr_expect_eq(recorder_open(name, &recorder, error), -ENOENT);
	cr_expect_eq(recorder_open(folder, &recorder, error), -EINVAL);
	cr_expect(strstr(error, "regular file"));
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_expect_eq(recorder_open(path, &recorder, error), -EINVAL);
	unlink(path);
	/* A link is replaced, not followed. */
	cr_assert_eq(symlink("/etc/passwd", path), 0);
	end(record(path));
	cr_expect_eq(readlink(path, name, sizeof(name)), -1);
}

/* ---- what is no recording ---- */

static void write_file(const char *bytes, size_t count)
{
	FILE *file = fopen(path, "w");

	cr_assert(file);
	cr_assert_eq(fwrite(bytes, 1, count, file), count);
	fclose(file);
}

Test(recording, what_is_no_recording_is_refused_with_a_reason)
{
	expect_refused(-ENOENT, "No such file");
	cr_assert_eq(mkfifo(path, 0600), 0);
	expect_refused(-EINVAL, "is no regular file");
	unlink(path);
	cr_assert_eq(mkdir(path, 0700), 0);
	expect_refused(-EISDIR, "is a directory");
	rmdir(path);
	write_file("", 0);
	expect_refused(-ENODATA, "is empty");
	write_file("{\"schema_version\": 1}\n", 22);
	expect_refused(-EINVAL, "is no recording");
	write_file("SQLite format 3", 16);
	expect_refused(-EINVAL, "is no recording");
	unlink(path);
	sql("CREATE TABLE event_growth(a)");
	expect_refused(-EINVAL, "is no recording");
}

Test(recording, a_newer_schema_is_refused)
{
	make_recording();
	sql("PRAGMA user_version=2; UPDATE recording SET value='9.9' WHERE key='memtrace'");
	expect_refused(-EPROTONOSUPPORT, "newer memtrace, 9.9: its schema is 2, this one knows 1");
}

/* New tables and columns do not misread. */
Test(recording, what_a_newer_memtrace_adds_is_left_out_and_said)
{
	make_recording();
	sql("ALTER TABLE event_look ADD COLUMN color INTEGER DEFAULT 3");
	expect_incomplete("event_look.color is left out");
	make_recording();
	sql("CREATE TABLE event_dream(seq INTEGER PRIMARY KEY)");
	expect_incomplete("event_dream is left out");
}

Test(recording, what_an_older_memtrace_lacked_is_unknown)
{
	struct world w;

	make_recording();
	sql("DROP TABLE event_waiters; ALTER TABLE event_look DROP COLUMN tombstones");
	cr_assert_eq(replay_file(&w), 0, "%s", sentence);
	cr_expect(strstr(sentence, "is of an older memtrace"), "%s", sentence);
	cr_expect(model_complete(w.model));
	free(report_text(&w, "text"));
	cr_expect_gt(w.findings.count, 0);
	world_done(&w);
}

/* ---- hostile numbers ---- */

Test(recording, numbers_that_cannot_be_are_named_with_their_place)
{
	static const struct {
		const char *statement, *words;
	} cases[] = {
		{"UPDATE event_growth SET family = 99", "event_growth.family is out of range"},
		{"UPDATE event_growth SET family = 0", "event_growth makes no sense"},
		{"UPDATE event_growth SET site = 4000000000", "event_growth.site 4000000000"},
		{"UPDATE event_growth SET type = 9999", "event_growth.type 9999 has not"},
		{"UPDATE event_look SET target = 1", "event_look.target 1 has not been defined"},
		{"UPDATE event_look SET liveness = 4", "event_look.liveness is out"},
		{"UPDATE event_look SET liveness = -1", "event_look.liveness is out"},
		{"UPDATE event_look SET has_length = 2", "event_look.has_length is out"},
		{"UPDATE event_usage SET time_ns = -5", "event_usage.time_ns is out"},
		{"UPDATE site SET id = 7", "site 7 comes where 1 has to"},
		{"UPDATE string SET id = id + 1", "string 2 comes where 1 has to"},
		{"UPDATE stack SET id = 3", "stack 3 comes where 1 has to"},
		{"UPDATE event_allocated SET stack = 2", "event_allocated.stack 2 has not"},
		{"UPDATE frame SET function = 100000", "frame.function 100000 has not"},
		{"UPDATE target SET pid = 99999999999", "target.pid is out of range"},
		{"UPDATE overhead SET ns_per_hit = 9e999", "overhead.ns_per_hit is out"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_recording();
		sql(cases[i].statement);
		expect_incomplete(cases[i].words);
	}
}

Test(recording, what_is_before_the_damage_is_shown)
{
	struct world w;

	make_recording();
	sql("UPDATE event_usage SET time_ns = -1 WHERE seq = "
	    "(SELECT max(seq) FROM event_usage)");
	cr_assert_eq(replay_file(&w), 0);
	cr_expect_gt(model_target(w.model, 0)->usage_count, 1100);
	free(report_text(&w, "text"));
	cr_expect_gt(w.findings.count, 0);
	world_done(&w);
}

Test(recording, only_tables_are_read)
{
	make_recording();
	sql("DROP TABLE event_exit; CREATE VIEW event_exit AS WITH RECURSIVE n(seq) AS "
	    "(SELECT 1 UNION ALL SELECT seq + 1 FROM n) SELECT * FROM n");
	expect_refused(-EBADMSG, "event_exit is no table");
	make_recording();
	sql("DROP TABLE event_exit; CREATE TABLE event_exit(seq INTEGER PRIMARY KEY, "
	    "target AS (hex(zeroblob(900000000))))");
	expect_refused(-EBADMSG, "event_exit is no table");
}

/* ---- broken bytes ---- */

static unsigned char *bytes_of(size_t *ret_count)
{
	FILE *file = fopen(path, "r");
	unsigned char *bytes;
	struct stat st;

	cr_assert(file && !fstat(fileno(file), &st));
	bytes = malloc((size_t)st.st_size);
	*ret_count = fread(bytes, 1, (size_t)st.st_size, file);
	fclose(file);
	return bytes;
}

/* Whatever it is, it is read without harm, and a report of it is written. */
static void read_anything(void)
{
	struct world w;

	if (!replay_file(&w))
		free(report_text(&w, "json"));
	world_done(&w);
}

Test(recording, a_file_that_is_cut_off_shows_its_beginning)
{
	size_t count, shown = 0;
	unsigned char *bytes;

	make_recording();
	bytes = bytes_of(&count);
	for (size_t length = count - 1; length > count / 40; length -= count / 40) {
		struct world w;

		write_file((char *)bytes, length);
		if (replay_file(&w)) {
			cr_expect(strstr(sentence, "is damaged from its start"), "%s", sentence);
		} else {
			shown++;
			cr_expect_not(model_complete(w.model));
			cr_expect(strstr(model_incomplete(w.model, 0), "is damaged behind row") ||
				  strstr(model_incomplete(w.model, 0), "is cut off"));
		}
		world_done(&w);
	}
	cr_expect_gt(shown, 10);
	free(bytes);
}

Test(recording, broken_bytes_do_no_harm)
{
	unsigned int seed = 1;
	unsigned char *bytes, *copy;
	size_t count;

	make_recording();
	bytes = bytes_of(&count);
	copy = malloc(count);
	for (int round = 0; round < 150; round++) {
		size_t at = (size_t)rand_r(&seed) % count;

		memcpy(copy, bytes, count);
		/* The schema, which is in the first pages, as often as the rest */
		for (int i = 0; i <= round % 8; i++)
			copy[round % 2 ? at : at % 8192] ^=
				(unsigned char)(1 + rand_r(&seed) % 255);
		write_file((char *)copy, count);
		read_anything();
	}
	free(bytes);
	free(copy);
}
