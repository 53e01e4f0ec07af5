/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/options.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_WORDS 16
#define SECOND    1000000000ull

static struct options options;
static enum options_use use;
static char error[OPTIONS_ERROR_BYTES];
static char line[512];
static char *words[MAX_WORDS + 1];

/* Splits at single spaces; "''" is an empty word. */
static int parse(const char *text)
{
	int count = 1;

	words[0] = "memtrace";
	cr_assert_lt(strlen(text), sizeof(line));
	strcpy(line, text);
	for (char *save = NULL, *word = strtok_r(line, " ", &save); word;
		word = strtok_r(NULL, " ", &save)) {
		cr_assert_lt(count, MAX_WORDS);
		words[count++] = strcmp(word, "''") ? word : "";
	}
	words[count] = NULL;
	options_done(&options);
	return options_parse(&options, use, count, words, error);
}

static void expect_error(const char *text, const char *sentence)
{
	cr_expect_eq(parse(text), -EINVAL, "%s", text);
	cr_expect(strstr(error, sentence), "%s: \"%s\" is not in \"%s\"", text, sentence, error);
}

Test(options, defaults)
{
	cr_assert_eq(parse("--pid 42"), 0);
	cr_expect_eq(options.pid_count, 1);
	cr_expect_eq(options.pids[0], 42);
	cr_expect_not(options.has_duration);
	cr_expect_eq(options.refresh_ns, 0);
	cr_expect_eq(options.top, 10);
	cr_expect_float_eq(options.max_overhead_pct, 1.0, 1e-9);
	cr_expect_str_eq(options.sink->name, "text");
	cr_expect_eq(options.color, COLOR_AUTO);
	cr_expect_eq(options.error_exitcode, 0);
	cr_expect_eq(options.ready_fd, -1);
	cr_expect_null(options.output);
	cr_expect_null(options.command);
	cr_expect_str_eq(error, "");
	options_done(&options);
}

Test(options, pids_in_all_spellings)
{
	static const int wanted[] = {3, 1, 2, 7, 9};

	cr_assert_eq(parse("--pid 3,1 -p 2 --pid=7 -p9 -p 3,3"), 0);
	cr_assert_eq(options.pid_count, 5);
	for (size_t i = 0; i < 5; i++)
		cr_expect_eq(options.pids[i], wanted[i]);
	options_done(&options);
}

Test(options, processes_that_are_searched)
{
	cr_assert_eq(parse("--pid 3 --follow"), 0);
	cr_expect(options.follow);
	cr_assert_eq(parse("-f -- true"), 0);
	cr_expect(options.follow);
	cr_assert_eq(parse("--cgroup /a/b --comm api*"), 0);
	cr_expect_str_eq(options.cgroup, "/a/b");
	cr_expect_str_eq(options.comm, "api*");
	cr_expect_not(options.system);
	cr_assert_eq(parse("--system -d 0"), 0);
	cr_expect(options.system);
	options_done(&options);
	expect_error("--cgroup a/b", "--cgroup wants a path that begins with /");
	expect_error("--comm ''", "--comm wants the name");
	expect_error("--system --pid 3", "find their processes: no --pid");
	expect_error("--comm x -- true", "find their processes: no --pid");
	expect_error("--follow", "say what to trace");
}

Test(options, bad_pids)
{
	static const char *const bad[] = {"''", "0", "-1", "x", "1x", "1,", ",1", "1,,2",
		"2147483648", "99999999999999999999", "0x10", "1.5", "+1"};
	char text[64];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "--pid %s", bad[i]);
		expect_error(text, "--pid wants process ids");
	}
	options_done(&options);
}

Test(options, durations)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {{"30", 30 * SECOND}, {"30s", 30 * SECOND}, {"1.5", 3 * SECOND / 2},
		{"5m", 300 * SECOND}, {"5min", 300 * SECOND}, {"2h", 7200 * SECOND},
		{"500ms", SECOND / 2}, {"0", 0}, {"0s", 0}};
	static const char *const bad[] = {"''", "-1", "x", "5x", "1e9", "inf", "nan", "0x10",
		"1..2", ".5", "9999999h", "99999999999999999999999999999999999", "5 m", "5mm",
		"0.0000000001"};
	char text[128];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(text, sizeof(text), "-p 1 -d %s", good[i].text);
		cr_expect_eq(parse(text), 0, "%s", text);
		cr_expect(options.has_duration);
		cr_expect_eq(options.duration_ns, good[i].ns, "%s", text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "-p 1 -d %s", bad[i]);
		cr_expect_eq(parse(text), -EINVAL, "%s", text);
	}
	expect_error("-p 1 -d soon", "--duration wants seconds");
	expect_error("-p 1 --snapshot-at 0", "--snapshot-at wants a size");
	expect_error("-p 1 --snapshot-at much", "--snapshot-at wants a size");
	expect_error("-p 1 --snapshot-at 1G --format json", "needs -o FILE");
	expect_error("-p 1 --snapshot-at 1G --dry-run", "--dry-run writes no reports");
	expect_error("-p 1 -i 0", "--interval wants 0.1 seconds or more");
	expect_error("-p 1 -i 0.05", "--interval wants 0.1 seconds or more");
	options_done(&options);
}

Test(options, numbers)
{
	cr_expect_eq(parse("-p 1 -n 3 --max-overhead 0.5% --error-exitcode=9 -i 2"), 0);
	cr_expect_eq(options.top, 3);
	cr_expect_float_eq(options.max_overhead_pct, 0.5, 1e-9);
	cr_expect_eq(options.error_exitcode, 9);
	cr_expect_eq(options.refresh_ns, 2 * SECOND);
	expect_error("-p 1 -n 0", "--top wants");
	expect_error("-p 1 -n 99999999999999999999", "--top wants");
	expect_error("-p 1 --max-overhead 0", "--max-overhead wants");
	expect_error("-p 1 --max-overhead 101", "--max-overhead wants");
	expect_error("-p 1 --max-overhead -1", "--max-overhead wants");
	expect_error("-p 1 --error-exitcode 0", "--error-exitcode wants");
	expect_error("-p 1 --error-exitcode 256", "--error-exitcode wants");
	expect_error("-p 1 --ready-fd 12345", "--ready-fd wants an open descriptor");
	options_done(&options);
}

Test(options, command_keeps_its_own_options)
{
	cr_assert_eq(parse("-q -- prog --pid 3 -x --"), 0);
	cr_expect(options.quiet);
	cr_expect_eq(options.pid_count, 0);
	cr_assert_not_null(options.command);
	cr_expect_str_eq(options.command[0], "prog");
	cr_expect_str_eq(options.command[1], "--pid");
	cr_expect_str_eq(options.command[4], "--");
	cr_expect_null(options.command[5]);
	options_done(&options);
}

Test(options, separator_as_a_value)
{
	/* The "--" is the name of the file; what follows is then no command. */
	expect_error("-p 1 -o -- prog", "unexpected \"prog\"");
	cr_expect_eq(parse("-o -- -- prog"), 0);
	cr_expect_str_eq(options.output, "--");
	cr_expect_str_eq(options.command[0], "prog");
	options_done(&options);
}

Test(options, what_to_trace)
{
	expect_error("", "--pid PID, or -- COMMAND");
	expect_error("-d 5", "--pid PID, or -- COMMAND");
	expect_error("--", "-- wants a command");
	expect_error("-p 1 -- prog", "exclude each other");
	expect_error("-d 0 -- prog", "only reads");
	expect_error("4711", "write --pid 4711");
	expect_error("prog", "write -- before it");
	expect_error("-p 1 doctor", "unexpected \"doctor\"");
	options_done(&options);
}

Test(options, unknown_names)
{
	expect_error("--durtion 5", "unknown option --durtion; did you mean --duration?");
	expect_error("--foramt=json", "did you mean --format?");
	expect_error("--record", "unknown option --record");
	expect_error("--listen", "unknown option --listen");
	expect_error("-x", "unknown option -x");
	expect_error("-qx", "unknown option -x");
	expect_error("--d 5", "--d may be --duration or --dry-run");
	expect_error("--quiet=1", "--quiet takes no value");
	expect_error("--pid", "--pid wants a value");
	expect_error("-o", "--output wants a value");
	expect_error("-p 1 -q -v", "exclude each other");
	expect_error("-p 1 --dry-run -d 0", "--dry-run tries the probes");
	expect_error("-p 1 --dry-run --format json", "--dry-run writes text only");
	expect_error("--\033[2J", "\\x1b[2J");
	options_done(&options);
}

Test(options, formats)
{
	static const struct {
		const char *text, *sink;
	} cases[] = {{"-p 1 -o a.json", "json"}, {"-p 1 -o a.jsonl", "jsonl"},
		{"-p 1 -o a.txt", "text"}, {"-p 1 -o a.csv", "text"}, {"-p 1 -o json", "text"},
		{"-p 1 -o a.json/b", "text"}, {"-p 1 --format json", "json"},
		{"-p 1 -o a.txt --format jsonl", "jsonl"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(parse(cases[i].text), 0);
		cr_expect_str_eq(options.sink->name, cases[i].sink, "%s", cases[i].text);
	}
	cr_assert_eq(parse("-p 1 -o -"), 0);
	cr_expect_null(options.output);
	expect_error("-p 1 --format yaml", "--format wants text, json, jsonl, folded or pprof");
	expect_error("-p 1 -o ''", "--output wants the name of a file");
	expect_error("-p 1 -i 1 --format json", "json is one document");
	expect_error("-p 1 --sample pink", "--sample wants one of held_bytes, retained_bytes");
	expect_error("-p 1 -i 1 --format folded", "folded is one document");
	cr_expect_eq(parse("-p 1 -o x.folded --sample growth_bytes"), 0);
	cr_expect_str_eq(options.sink->name, "folded");
	cr_expect_eq(options.sample_type, 2);
	cr_expect_eq(parse("-p 1 -o /tmp/x.pb.gz"), 0);
	cr_expect_str_eq(options.sink->name, "pprof");
	expect_error("-p 1 --color pink", "--color wants");
	options_done(&options);
}

Test(options, thresholds)
{
	cr_expect_eq(parse("-p 1 --set retained-buckets.seconds=2 --set over-hint.seconds=1"), 0);
	expect_error("-p 1 --set retained-buckets", "--set retained-buckets:");
	expect_error("-p 1 --set no-such.seconds=1", "no-such");
	expect_error("-p 1 --set retained-buckets.seconds=often", "often");
	options_done(&options);
}

Test(options, recording)
{
	cr_expect_eq(parse("-p 1 -o day.mtrace"), 0);
	cr_expect_str_eq(options.recording, "day.mtrace");
	cr_expect_null(options.output);
	cr_expect_eq(parse("-p 1 -o mtrace"), 0);
	cr_expect_null(options.recording);
	expect_error("-p 1 --dry-run -o day.mtrace", "nothing to record");
	use = OPTIONS_RECORD;
	cr_expect_eq(parse("-p 1 --set over-hint.seconds=1 -o day"), 0);
	cr_expect_str_eq(options.recording, "day");
	cr_expect_eq(options.setting_count, 1);
	cr_expect_str_eq(options.settings[0], "over-hint.seconds=1");
	expect_error("-p 1", "say where to");
	expect_error("-p 1 -o -", "say where to");
	expect_error("-p 1 -o day --format json", "memtrace record takes no --format");
	expect_error("-o day", "say what to trace");
	options_done(&options);
}

Test(options, report)
{
	use = OPTIONS_REPORT;
	cr_expect_eq(parse("--format json -n 3 a.mtrace b.mtrace"), 0);
	cr_expect_str_eq(options.files[0], "a.mtrace");
	cr_expect_str_eq(options.files[1], "b.mtrace");
	cr_expect_eq(options.file_count, 2);
	cr_expect_eq(parse("-- -odd.mtrace"), 0);
	cr_expect_str_eq(options.files[0], "-odd.mtrace");
	expect_error("", "say which recording");
	expect_error("-p 1 a.mtrace", "memtrace report takes no --pid");
	expect_error("-d 1 a.mtrace", "memtrace report takes no --duration");
	expect_error("-o b.mtrace a.mtrace", "a report is no recording");
	expect_error("--gate 1M a.mtrace", "memtrace report takes no --gate");
	options_done(&options);
}

Test(options, diff)
{
	use = OPTIONS_DIFF;
	cr_expect_eq(parse("--gate 64K -n 3 --format json a b"), 0);
	cr_expect_eq(options.file_count, 2);
	cr_expect(options.has_gate);
	cr_expect_eq(options.gate_bytes, 65536);
	expect_error("a", "say which two recordings");
	expect_error("a b c", "say which two recordings");
	expect_error("--gate much a b", "--gate wants a size");
	expect_error("--format folded a b", "diff writes text or json, not folded");
	expect_error("-p 1 a b", "memtrace diff takes no --pid");
	use = OPTIONS_TRACE;
	expect_error("--gate 1M -p 1", "memtrace takes no --gate");
	options_done(&options);
}

Test(options, help_and_version_need_nothing_else)
{
	cr_expect_eq(parse("--help"), 0);
	cr_expect(options.help);
	cr_expect_eq(parse("-V --nonsense"), 0);
	cr_expect(options.version);
	cr_expect_eq(parse("-h"), 0);
	options_done(&options);
}

Test(options, help_names_every_shown_option)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);

	options_print(out);
	fclose(out);
	cr_expect(strstr(text, "  -p, --pid PID[,PID...]"));
	cr_expect(strstr(text, "--error-exitcode N"));
	cr_expect(strstr(text, "  -h, --help"));
	cr_expect_null(strstr(text, "ready-fd"));
	for (const char *at = text; *at; at = strchr(at, '\n') + 1)
		cr_expect_leq(strcspn(at, "\n"), 100);
	free(text);
}

Test(options, nearest)
{
	static const char *const names[] = {"pid", "duration", "format"};

	cr_expect_str_eq(options_find_nearest("durations", names, 3), "duration");
	cr_expect_str_eq(options_find_nearest("pod", names, 3), "pid");
	cr_expect_null(options_find_nearest("something", names, 3));
	cr_expect_null(options_find_nearest("", names, 0));
}
