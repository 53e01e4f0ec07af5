/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The option table and what reads it. Each row names an option, its argument, its line of help and
 * the function that takes it in; getopt_long()'s arrays are made from the rows. Parsing stops at the
 * first word that is no option ("+"), so a command's own options are never taken for ours.
 */
#include "cli/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "sink/samples.h"

#define DEFAULT_TOP          10
#define DEFAULT_OVERHEAD_PCT 1.0
#define MAX_DURATION_S       (366.0 * 86400)
#define MIN_REFRESH_NS       (100 * NSEC_PER_MSEC)

/* Values that getopt_long() returns for rows without a letter: above any character. */
#define LONG_ONLY 256

struct parse {
	struct options *options;
	char *error; /* OPTIONS_ERROR_BYTES */
};

struct option_row {
	const char *name;
	char letter;
	const char *argument; /* NULL = takes none */
	const char *help;     /* NULL = not shown */
	int (*take)(struct parse *parse, const char *value);
};

static int __attribute__((format(printf, 2, 3))) fail(struct parse *parse, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text_escape(parse->error, OPTIONS_ERROR_BYTES, text);
	return -EINVAL;
}

/* ---- values ---- */

/* Plain decimal only: no sign, no space, no hex, no "inf", and at most one point. */
static int parse_number(const char *s, double *ret, const char **ret_end)
{
	size_t length = strspn(s, "0123456789.");
	char digits[32], *end;

	if (!length || length >= sizeof(digits) || s[0] == '.')
		return -EINVAL;
	text_copy(digits, length + 1, s);
	*ret = strtod(digits, &end);
	if (*end)
		return -EINVAL;
	*ret_end = s + length;
	return 0;
}

static int parse_integer(const char *s, long min, long max, long *ret)
{
	char *end;
	long value;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	errno = 0;
	value = strtol(s, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || value < min || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

/* "30", "30s", "1.5m", "2h", "500ms": seconds where no unit is given. */
static int parse_duration(const char *s, uint64_t *ret_ns)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = {{"", 1}, {"s", 1}, {"ms", 0.001}, {"m", 60}, {"min", 60}, {"h", 3600}};
	const char *end;
	double value;

	if (parse_number(s, &value, &end))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].name))
			continue;
		value *= units[i].seconds;
		if (value > MAX_DURATION_S)
			return -ERANGE;
		*ret_ns = (uint64_t)(value * NSEC_PER_SEC);
		/* 0 means "read only": never by rounding. */
		return value > 0 && !*ret_ns ? -ERANGE : 0;
	}
	return -EINVAL;
}

/* ---- one function a row ---- */

static void add_pid(struct options *options, int pid)
{
	for (size_t i = 0; i < options->pid_count; i++)
		if (options->pids[i] == pid)
			return;
	array_reserve(options->pids, options->pid_count, options->pid_cap);
	options->pids[options->pid_count++] = pid;
}

static int take_pid(struct parse *parse, const char *value)
{
	const char *at = value;

	for (;;) {
		size_t length = strcspn(at, ",");
		char number[16];
		long pid;

		text_copy(number, MIN(length + 1, sizeof(number)), at);
		if (length >= sizeof(number) || parse_integer(number, 1, INT_MAX, &pid))
			return fail(parse, "--pid wants process ids above 0, not \"%s\"", value);
		add_pid(parse->options, (int)pid);
		if (!at[length])
			return 0;
		at += length + 1;
	}
}

static int take_follow(struct parse *parse, const char *value)
{
	(void)value;
	parse->options->follow = true;
	return 0;
}

static int take_malloc(struct parse *parse, const char *value)
{
	(void)value;
	parse->options->blocks = true;
	return 0;
}

static int take_memory_calls(struct parse *parse, const char *value)
{
	(void)value;
	parse->options->memory_calls = true;
	return 0;
}

static int take_access_burst(struct parse *parse, const char *value)
{
	(void)value;
	parse->options->access_burst = true;
	return 0;
}

static int take_debuginfod(struct parse *parse, const char *value)
{
	(void)value;
	parse->options->debuginfod = true;
	return 0;
}

static int take_system(struct parse *parse, const char *value)
{
	(void)value;
	parse->options->system = true;
	return 0;
}

static int take_cgroup(struct parse *parse, const char *value)
{
	if (value[0] != '/')
		return fail(parse, "--cgroup wants a path that begins with /, not \"%s\"", value);
	parse->options->cgroup = value;
	return 0;
}

static int take_comm(struct parse *parse, const char *value)
{
	if (!*value)
		return fail(parse, "--comm wants the name of a process");
	parse->options->comm = value;
	return 0;
}

static int take_duration(struct parse *parse, const char *value)
{
	uint64_t ns;

	if (parse_duration(value, &ns))
		return fail(parse,
			"--duration wants seconds up to a year (30, 30s, 5m, 2h, 500ms; 0 only "
			"reads), not "
			"\"%s\"",
			value);
	parse->options->has_duration = true;
	parse->options->duration_ns = ns;
	return 0;
}

static int take_interval(struct parse *parse, const char *value)
{
	uint64_t ns;

	if (parse_duration(value, &ns) || ns < MIN_REFRESH_NS)
		return fail(parse, "--interval wants 0.1 seconds or more, not \"%s\"", value);
	parse->options->refresh_ns = ns;
	return 0;
}

static int take_snapshot_at(struct parse *parse, const char *value)
{
	if (text_parse_bytes(value, &parse->options->snapshot_bytes) ||
		!parse->options->snapshot_bytes)
		return fail(
			parse, "--snapshot-at wants a size (512M, 2G) above 0, not \"%s\"", value);
	return 0;
}

static int take_top(struct parse *parse, const char *value)
{
	long number;

	if (parse_integer(value, 1, 1000000, &number))
		return fail(parse, "--top wants a number from 1 to 1000000, not \"%s\"", value);
	parse->options->top = (size_t)number;
	return 0;
}

static int take_max_overhead(struct parse *parse, const char *value)
{
	const char *end;
	double pct;

	if (parse_number(value, &pct, &end) || (*end && strcmp(end, "%")) || pct <= 0 || pct > 100)
		return fail(parse, "--max-overhead wants percent above 0 and up to 100, not \"%s\"",
			value);
	parse->options->max_overhead_pct = pct;
	return 0;
}

static int take_dry_run(struct parse *parse, const char *value)
{
	(void)value;
	parse->options->dry_run = true;
	return 0;
}

static int take_set(struct parse *parse, const char *value)
{
	char error[160] = "";

	struct options *options = parse->options;

	if (thresholds_set(options->thresholds, value, error))
		return fail(parse, "--set %s: %s", value, error);
	array_reserve(options->settings, options->setting_count, options->setting_cap);
	options->settings[options->setting_count++] = value;
	return 0;
}

static int take_output(struct parse *parse, const char *value)
{
	if (!*value)
		return fail(parse, "--output wants the name of a file");
	parse->options->output = strcmp(value, "-") ? value : NULL;
	return 0;
}

/* "text, json or jsonl" */
static void list_formats(char *buf, size_t bytes)
{
	size_t used = 0;

	buf[0] = 0;
	for (size_t i = 0; sink_get(i) && used < bytes; i++) {
		const char *separator = !i ? "" : sink_get(i + 1) ? ", " : " or ";

		used += (size_t)snprintf(
			buf + used, bytes - used, "%s%s", separator, sink_get(i)->name);
	}
}

static int take_format(struct parse *parse, const char *value)
{
	char formats[128];

	parse->options->sink = sink_find(value);
	if (parse->options->sink)
		return 0;
	list_formats(formats, sizeof(formats));
	return fail(parse, "--format wants %s, not \"%s\"", formats, value);
}

static int take_sample(struct parse *parse, const char *value)
{
	char types[160] = "";

	for (size_t i = 0; sample_type_get(i); i++) {
		const char *name = sample_type_get(i)->name;
		size_t used = strlen(types);

		if (!strcmp(name, value)) {
			parse->options->sample_type = i;
			return 0;
		}
		snprintf(types + used, sizeof(types) - used, "%s%s", i ? ", " : "", name);
	}
	return fail(parse, "--sample wants one of %s, not \"%s\"", types, value);
}

static int take_color(struct parse *parse, const char *value)
{
	static const char *const modes[] = {
		[COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never"};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(value, modes[i]))
			continue;
		parse->options->color = (enum color_mode)i;
		return 0;
	}
	return fail(parse, "--color wants auto, always or never, not \"%s\"", value);
}

static int take_error_exitcode(struct parse *parse, const char *value)
{
	long code;

	if (parse_integer(value, 1, 255, &code))
		return fail(
			parse, "--error-exitcode wants a number from 1 to 255, not \"%s\"", value);
	parse->options->error_exitcode = (int)code;
	return 0;
}

static int take_gate(struct parse *parse, const char *value)
{
	if (text_parse_bytes(value, &parse->options->gate_bytes))
		return fail(parse, "--gate wants a size (64K, 1M, 2G), not \"%s\"", value);
	parse->options->has_gate = true;
	return 0;
}

static int take_ready_fd(struct parse *parse, const char *value)
{
	long fd;

	if (parse_integer(value, 0, INT_MAX, &fd) || fcntl((int)fd, F_GETFD) < 0)
		return fail(parse, "--ready-fd wants an open descriptor, not \"%s\"", value);
	parse->options->ready_fd = (int)fd;
	return 0;
}

static int take_quiet(struct parse *parse, const char *value)
{
	(void)value;
	parse->options->quiet = true;
	return 0;
}

static int take_verbose(struct parse *parse, const char *value)
{
	(void)value;
	parse->options->verbose = true;
	return 0;
}

static int take_version(struct parse *parse, const char *value)
{
	(void)value;
	parse->options->version = true;
	return 0;
}

static int take_help(struct parse *parse, const char *value)
{
	(void)value;
	parse->options->help = true;
	return 0;
}

static const struct option_row rows[] = {
	{"pid", 'p', "PID[,PID...]", "attach to these processes; may be repeated", take_pid},
	{"follow", 'f', NULL, "their children, too, and what those start", take_follow},
	{"cgroup", 0, "PATH", "every process in this cgroup and below, also those to come",
		take_cgroup},
	{"comm", 0, "NAME", "every process of this name (may have * and ?), also those to come",
		take_comm},
	{"system", 0, NULL, "every process, also those to come", take_system},
	{"duration", 'd', "TIME",
		"how long: 30, 30s, 5m, 2h; 0 only reads (default: until Ctrl-C on a\n"
		"terminal, else 30 s; a COMMAND: until it ends)",
		take_duration},
	{"interval", 'i', "TIME", "report every TIME while running, not only at the end",
		take_interval},
	{"snapshot-at", 0, "SIZE",
		"also report when the RSS of a process rises to SIZE, and go on;\n"
		"SIGUSR1 does so at any time. Beside FILE: FILE-1, FILE-2 ...",
		take_snapshot_at},
	{"top", 'n', "N", "findings to show in the text report (default 10)", take_top},
	{"max-overhead", 0, "PCT",
		"budget for probes, percent of the target's CPU time (default 1)",
		take_max_overhead},
	{"memory-calls", 0, NULL,
		"mmap(2), brk(2), madvise(2) and the like, too; meanwhile every system\n"
		"call of every process of the machine costs some 80 ns more",
		take_memory_calls},
	{"access-burst", 0, NULL,
		"where nothing tells where a large map comes from: who uses it, seen\n"
		"for 100 ms; meanwhile every use of a map costs 0.6 us more",
		take_access_burst},
	{"malloc", 0, NULL,
		"sample what malloc and operator new give, and what stays in use;\n"
		"within the budget: for moments where a program allocates much",
		take_malloc},
	{"dry-run", 0, NULL, "say what would be attached and what it would cost, then end",
		take_dry_run},
	{"debuginfod", 0, NULL,
		"fetch debug information that is missing here from $DEBUGINFOD_URLS,\n"
		"which learn by it what runs here",
		take_debuginfod},
	{"set", 0, "KIND.FIELD=VALUE", "change a threshold of a finding; may be repeated",
		take_set},
	{"output", 'o', "FILE",
		"write the report there; .txt .json .jsonl .folded .pb.gz: its format;\n"
		".mtrace: record the session there, and the report goes to stdout",
		take_output},
	{"format", 0, "FORMAT", "text, json, jsonl, folded or pprof (default: by FILE, else text)",
		take_format},
	{"sample", 0, "TYPE",
		"what folded writes and pprof shows first: held_bytes (default),\n"
		"growth_bytes, inuse_space, alloc_space ...: memtrace(1) has them all",
		take_sample},
	{"color", 0, "WHEN", "auto, always or never", take_color},
	{"error-exitcode", 0, "N", "exit with N where there is a finding of MEDIUM or above",
		take_error_exitcode},
	{"gate", 0, "SIZE", "diff: exit with 1 where something got worse by more than SIZE",
		take_gate},
	{"quiet", 'q', NULL, "no progress and no warnings", take_quiet},
	{"verbose", 'v', NULL, "say more, in the report and while running", take_verbose},
	{"version", 'V', NULL, "print the version and end", take_version},
	{"help", 'h', NULL, "print this help and end", take_help},
	{"ready-fd", 0, "N", NULL, take_ready_fd},
};

/* ---- who takes what ---- */

/* The options of a command: only those, or all but those. */
static const struct use {
	const char *command;
	bool only;
	const char *names[16];
} uses[] = {
	[OPTIONS_TRACE] = {"", false, {"gate"}},
	[OPTIONS_RECORD] = {"record", false,
		{"interval", "top", "dry-run", "format", "sample", "color", "error-exitcode",
			"gate"}},
	[OPTIONS_REPORT] = {"report", true,
		{"top", "set", "output", "format", "sample", "color", "error-exitcode", "quiet",
			"verbose", "version", "help"}},
	[OPTIONS_DIFF] = {"diff", true,
		{"top", "set", "output", "format", "gate", "quiet", "verbose", "version", "help"}},
};

static int check_use(struct parse *parse, const struct option_row *row)
{
	const struct use *use = &uses[parse->options->use];
	bool named = false;

	for (size_t i = 0; i < ARRAY_SIZE(use->names) && use->names[i]; i++)
		named |= !strcmp(use->names[i], row->name);
	if (named == use->only)
		return 0;
	return fail(parse, "memtrace%s%s takes no --%s", *use->command ? " " : "", use->command,
		row->name);
}

/* ---- parsing ---- */

static int row_value(size_t i)
{
	return rows[i].letter ? rows[i].letter : LONG_ONLY + (int)i;
}

static const struct option_row *find_row(int value)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (row_value(i) == value)
			return &rows[i];
	return NULL;
}

static void make_getopt_arrays(struct option *ret_long, char *ret_short)
{
	/* "+": stop at the first word; ":": tell a missing argument from an unknown option. */
	ret_short += sprintf(ret_short, "+:");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ret_long[i] = (struct option){rows[i].name,
			rows[i].argument ? required_argument : no_argument, NULL, row_value(i)};
		if (rows[i].letter)
			ret_short += sprintf(
				ret_short, "%c%s", rows[i].letter, rows[i].argument ? ":" : "");
	}
	ret_long[ARRAY_SIZE(rows)] = (struct option){0};
}

/* Damerau's distance is not needed: the plain edit distance finds the usual slips. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[64], length = strlen(b);

	if (strlen(a) >= ARRAY_SIZE(row) || length >= ARRAY_SIZE(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			size_t change = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[length];
}

const char *options_find_nearest(const char *name, const char *const *names, size_t count)
{
	size_t limit = MAX(strlen(name) / 3, (size_t)1), best = limit + 1;
	const char *nearest = NULL;

	for (size_t i = 0; i < count; i++) {
		size_t distance = edit_distance(name, names[i]);

		if (distance >= best)
			continue;
		best = distance;
		nearest = names[i];
	}
	return nearest;
}

static int fail_unknown_name(struct parse *parse, const char *word)
{
	const char *names[ARRAY_SIZE(rows)], *nearest, *first = NULL;
	size_t length = strcspn(word, "="), count = 0;
	char name[64];

	text_copy(name, MIN(length + 1, sizeof(name)), word);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].help)
			continue;
		if (!strncmp(rows[i].name, name, strlen(name))) {
			if (first)
				return fail(parse, "--%s may be --%s or --%s", name, first,
					rows[i].name);
			first = rows[i].name;
		}
		names[count++] = rows[i].name;
	}
	nearest = options_find_nearest(name, names, count);
	if (nearest)
		return fail(parse, "unknown option --%s; did you mean --%s?", name, nearest);
	return fail(parse, "unknown option --%s", name);
}

/* getopt_long() said '?' or ':'; optopt and the word it looked at last say why. */
static int fail_option(struct parse *parse, int result, char **argv)
{
	const struct option_row *row = find_row(optopt);

	if (result == ':' && row)
		return fail(parse, "--%s wants a value: %s", row->name, row->argument);
	if (row)
		return fail(parse, "--%s takes no value", row->name);
	if (optopt)
		return fail(parse, "unknown option -%c", optopt);
	return fail_unknown_name(parse, argv[optind - 1] + 2);
}

static int take_files(struct parse *parse, int argc, char **argv)
{
	struct options *options = parse->options;

	options->files = argv + optind;
	options->file_count = (size_t)(argc - optind);
	if (options->use == OPTIONS_DIFF && options->file_count != 2)
		return fail(parse, "say which two recordings: memtrace diff [OPTIONS] A B");
	if (!options->file_count)
		return fail(parse, "say which recording: memtrace report [OPTIONS] FILE...");
	return 0;
}

/* What is left behind the options: files, nothing, or "--" and a command. */
static int take_rest(struct parse *parse, int argc, char **argv, bool separated)
{
	struct options *options = parse->options;

	if (options->use == OPTIONS_REPORT || options->use == OPTIONS_DIFF)
		return take_files(parse, argc, argv);
	if (separated && optind == argc)
		return fail(parse, "-- wants a command: memtrace [OPTIONS] -- COMMAND [ARG...]");
	if (separated) {
		options->command = argv + optind;
		return 0;
	}
	if (optind == argc)
		return 0;
	if (strspn(argv[optind], "0123456789") == strlen(argv[optind]) && *argv[optind])
		return fail(parse, "to attach to a process, write --pid %s", argv[optind]);
	return fail(
		parse, "unexpected \"%s\"; to start a program, write -- before it", argv[optind]);
}

static int check_reading(struct parse *parse)
{
	const struct options *options = parse->options;
	const char *format = options->sink->name;

	if (options->recording)
		return fail(parse, "a report is no recording: not %s", options->recording);
	if (options->use == OPTIONS_DIFF && strcmp(format, "text") != 0 &&
		strcmp(format, "json") != 0)
		return fail(parse, "memtrace diff writes text or json, not %s", format);
	return 0;
}

static int check_together(struct parse *parse)
{
	struct options *options = parse->options;
	bool searches = options->system || options->cgroup || options->comm;

	if (options->quiet && options->verbose)
		return fail(parse, "--quiet and --verbose exclude each other");
	if (options->sink->binary && !options->output && isatty(STDOUT_FILENO))
		return fail(parse, "%s is nothing for a terminal: -o FILE%s", options->sink->name,
			options->sink->extension);
	if (options->use == OPTIONS_REPORT || options->use == OPTIONS_DIFF)
		return check_reading(parse);
	if (options->use == OPTIONS_RECORD && !options->recording)
		return fail(parse, "say where to: memtrace record -o FILE ...");
	if (options->dry_run && options->recording)
		return fail(parse, "--dry-run has nothing to record");
	if (options->command && options->pid_count)
		return fail(parse, "--pid and -- COMMAND exclude each other");
	if (searches && (options->command || options->pid_count))
		return fail(parse, "--system, --cgroup and --comm find their processes: no --pid "
				   "and no -- COMMAND beside them");
	if (!options->command && !options->pid_count && !searches)
		return fail(parse, "say what to trace: --pid PID, or -- COMMAND");
	if (options->command && options->has_duration && !options->duration_ns)
		return fail(parse, "--duration 0 only reads, and a COMMAND that has just started "
				   "has nothing to read");
	if (options->dry_run && options->has_duration && !options->duration_ns)
		return fail(parse, "--dry-run tries the probes, and --duration 0 has none");
	if (options->dry_run && strcmp(options->sink->name, "text") != 0)
		return fail(parse, "--dry-run writes text only");
	if (options->snapshot_bytes && options->dry_run)
		return fail(parse, "--dry-run writes no reports");
	if (options->snapshot_bytes && options->sink->single && !options->output)
		return fail(parse, "--snapshot-at needs -o FILE: %s is one document",
			options->sink->name);
	if (options->refresh_ns && options->sink->single)
		return fail(parse, "--interval needs --format jsonl or text: %s is one document",
			options->sink->name);
	return 0;
}

/* A name that ends in .mtrace is a recording, and so is whatever record writes; the report goes to stdout. */
static void choose_recording(struct options *options)
{
	const char *dot = options->output ? strrchr(options->output, '.') : NULL;

	if (options->use != OPTIONS_RECORD && (!dot || strcmp(dot, ".mtrace") != 0))
		return;
	options->recording = options->output;
	options->output = NULL;
}

static void choose_sink(struct options *options)
{
	if (!options->sink && options->output)
		options->sink = sink_find_by_path(options->output);
	if (!options->sink)
		options->sink = sink_get(0);
}

static int take_all(struct parse *parse, int argc, char **argv)
{
	struct option long_options[ARRAY_SIZE(rows) + 1];
	char short_options[2 * ARRAY_SIZE(rows) + 3];
	int result, r, next;

	make_getopt_arrays(long_options, short_options);
	optind = 0; /* GNU: start anew */
	opterr = 0;
	for (next = 1;; next = optind) {
		result = getopt_long(argc, argv, short_options, long_options, NULL);
		if (result < 0)
			break;
		if (result == '?' || result == ':')
			return fail_option(parse, result, argv);
		r = check_use(parse, find_row(result));
		if (r)
			return r;
		r = find_row(result)->take(parse, optarg);
		if (r || parse->options->help || parse->options->version)
			return r;
	}
	/* A "--" that was an option's value does not count. */
	return take_rest(parse, argc, argv, optind == next + 1 && !strcmp(argv[next], "--"));
}

int options_parse(struct options *ret, enum options_use use, int argc, char **argv,
	char error[OPTIONS_ERROR_BYTES])
{
	struct parse parse = {.options = ret, .error = error};
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->use = use;
	ret->top = DEFAULT_TOP;
	ret->max_overhead_pct = DEFAULT_OVERHEAD_PCT;
	ret->ready_fd = -1;
	ret->thresholds = thresholds_new();
	error[0] = 0;
	r = take_all(&parse, argc, argv);
	choose_recording(ret);
	choose_sink(ret);
	if (r || ret->help || ret->version)
		return r;
	return check_together(&parse);
}

void options_done(struct options *options)
{
	free(options->pids);
	free(options->settings);
	thresholds_free(options->thresholds);
	memset(options, 0, sizeof(*options));
}

void options_print(FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *help = rows[i].help, *end;
		char left[64];

		if (!help)
			continue;
		snprintf(left, sizeof(left), "%c%c%c --%s%s%s", rows[i].letter ? '-' : ' ',
			rows[i].letter ? rows[i].letter : ' ', rows[i].letter ? ',' : ' ',
			rows[i].name, rows[i].argument ? " " : "",
			rows[i].argument ? rows[i].argument : "");
		end = strchrnul(help, '\n');
		fprintf(out, "  %-28s %.*s\n", left, (int)(end - help), help);
		if (*end)
			fprintf(out, "  %-28s %s\n", "", end + 1);
	}
}
