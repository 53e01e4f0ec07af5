/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command that runs where no other is named: attach or start, trace, report.
 *
 * Signals: SIGINT, SIGHUP or SIGTERM once ends the session with a report, twice aborts it with what
 * there is, a third time kills us (the kernel then detaches everything); SIGUSR1 wants a report now. One that was sent to memtrace alone is passed
 * on to a COMMAND; one from the terminal reaches it anyway, as it is in our process group.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/destination.h"
#include "cli/dry_run.h"
#include "cli/help.h"
#include "cli/notice.h"
#include "cli/options.h"
#include "cli/write_report.h"
#include "recording/recorder.h"
#include "trace/launch.h"
#include "trace/session.h"

#define DEFAULT_DURATION_NS (30 * NSEC_PER_SEC)
#define DRY_RUN_NS          NSEC_PER_SEC

struct run {
	struct options options;
	struct notice notice;
	struct destination destination;
	struct model *model;
	struct launch *launch;
	struct session_result result;
	struct dry_run *dry_run;   /* NULL = not asked for */
	struct recorder *recorder; /* NULL = not asked for */
	struct recorder_result recorded;
	size_t gating; /* findings of MEDIUM or above in the last report */
	int write_error;
	unsigned snapshots; /* written beside the report */
};

/* A signal handler reaches nothing else. */
static struct {
	volatile sig_atomic_t stop;      /* signals so far */
	volatile sig_atomic_t last;      /* the last one */
	volatile sig_atomic_t child;     /* pid of the COMMAND, 0 = none */
	volatile sig_atomic_t snapshots; /* asked for so far */
} signals;

/* ---- signals ---- */

static void take_signal(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	signals.stop++;
	signals.last = sig;
	if (signals.child && info->si_code != SI_KERNEL)
		kill((pid_t)signals.child, sig);
	if (signals.stop > 2) {
		signal(sig, SIG_DFL);
		raise(sig);
	}
	errno = saved;
}

static void ask_for_snapshot(int sig)
{
	(void)sig;
	signals.snapshots++;
}

/* What nohup(1) or a shell made ignored stays ignored. */
static void catch_signals(void)
{
	static const int caught[] = {SIGINT, SIGHUP, SIGTERM};
	struct sigaction action = {.sa_sigaction = take_signal, .sa_flags = SA_SIGINFO}, old;

	for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
		if (!sigaction(caught[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(caught[i], &action, NULL);
	sigaction(SIGUSR1,
		&(struct sigaction){.sa_handler = ask_for_snapshot, .sa_flags = SA_RESTART}, NULL);
	signal(SIGPIPE, SIG_IGN); /* a reader that has gone is an error of write(2) */
}

/* ---- the report ---- */

static int put_report(struct run *run, FILE *out, bool snapshot)
{
	const struct options *options = &run->options;

	if (run->dry_run)
		return dry_run_write(run->dry_run, run->model, options->max_overhead_pct, out);
	return write_report(options, run->model, out, snapshot, &run->gating);
}

/* A reader that has gone (head, less) needs no message. */
static void complain_stdout(struct run *run, int error)
{
	if (error != -EPIPE)
		notice_error(&run->notice, "cannot write the report: %s", strerror(-error));
}

/* Where the file fails, stdout gets the report: nothing that was gathered is lost. */
static void report_to_stdout(struct run *run)
{
	int r = put_report(run, stdout, false);

	if (r)
		complain_stdout(run, r);
}

static void report_at_end(struct run *run)
{
	const char *path = run->destination.path;
	int r = run->write_error, finished;

	notice_clear(&run->notice);
	if (!r)
		r = put_report(run, run->destination.file, false);
	finished = r ? 0 : destination_finish(&run->destination);
	r = r ? r : finished;
	destination_close(&run->destination);
	run->write_error = r;
	if (!r)
		return;
	if (!path) {
		complain_stdout(run, r);
		return;
	}
	notice_error(
		&run->notice, "cannot write %s: %s; the report goes to stdout", path, strerror(-r));
	report_to_stdout(run);
}

/* ---- the recording ---- */

static int start_recording(struct run *run)
{
	const struct options *options = &run->options;
	char error[RECORDER_ERROR_BYTES];

	if (!options->recording)
		return 0;
	if (recorder_open(options->recording, &run->recorder, error)) {
		notice_error(&run->notice, "cannot write %s: %s", options->recording, error);
		return -1;
	}
	recorder_watch(run->recorder, run->model);
	for (size_t i = 0; i < options->setting_count; i++)
		recorder_add_setting(run->recorder, options->settings[i]);
	return 0;
}

static void end_recording(struct run *run)
{
	const char *path = run->options.recording;
	char rows[TEXT_NUMBER_BYTES];

	if (!run->recorder)
		return;
	recorder_close(run->recorder, &run->recorded);
	run->recorder = NULL;
	notice_clear(&run->notice);
	text_count(rows, run->recorded.rows);
	if (run->recorded.error)
		notice_error(&run->notice, "cannot write %s: %s; its first %s rows are there", path,
			run->recorded.sentence, rows);
	else if (run->recorded.lost)
		notice_warn(&run->notice, "%s lacks %llu events: the disk was too slow for them",
			path, (unsigned long long)run->recorded.lost);
	else if (run->options.use == OPTIONS_RECORD && !run->options.quiet)
		notice_error(
			&run->notice, "%s holds %s rows; memtrace report shows it", path, rows);
}

/* ---- what the session tells ---- */

static void on_attached(void *arg)
{
	struct run *run = arg;
	int fd = run->options.ready_fd;

	if (fd < 0)
		return;
	if (write(fd, "r", 1) != 1)
		notice_warn(&run->notice, "cannot write to descriptor %d: %s", fd, strerror(errno));
	close(fd);
	run->options.ready_fd = -1;
}

static void on_progress(const char *what, double share, void *arg)
{
	struct run *run = arg;

	notice_progress(&run->notice, what, share);
}

static void on_warning(const char *sentence, void *arg)
{
	struct run *run = arg;

	notice_warn(&run->notice, "%s", sentence);
}

/* A snapshot ends now. */
static void end_now(struct model *model)
{
	uint64_t begin_ns, real_ns, end_ns;

	model_clock(model, &begin_ns, &real_ns, &end_ns);
	model_set_clock(model, begin_ns, real_ns, clock_mono_ns());
}

/* "dir/report.pb.gz" becomes "dir/report-2.pb.gz"; a name without an ending gets the number at its end. */
static char *snapshot_path(const char *path, unsigned number)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	const char *dot = *name ? strchr(name + 1, '.') : NULL;
	char *made = NULL;

	if (asprintf(&made, "%.*s-%u%s", (int)(dot ? dot - path : (ptrdiff_t)strlen(path)), path,
		    number, dot ? dot : "") < 0)
		abort();
	return made;
}

static int write_beside(struct run *run, const char *path)
{
	struct destination beside = {0};
	int r = destination_open(&beside, path);

	if (!r)
		r = put_report(run, beside.file, false);
	if (!r)
		r = destination_finish(&beside);
	destination_close(&beside);
	return r;
}

/* Beside the file of the last report, whose name it will have; without one, before it on stdout. */
static void on_snapshot(struct model *model, const char *why, void *arg)
{
	struct run *run = arg;
	const char *output = run->options.output;
	char *path = output ? snapshot_path(output, ++run->snapshots) : NULL;
	int r;

	end_now(model);
	notice_clear(&run->notice);
	if (!path && run->options.sink->single) {
		notice_warn(&run->notice, "%s: %s is one document, a snapshot needs -o FILE", why,
			run->options.sink->name);
		return;
	}
	r = path ? write_beside(run, path) : put_report(run, stdout, true);
	if (r)
		notice_error(&run->notice, "cannot write a snapshot%s%s: %s", path ? " to " : "",
			path ? path : "", strerror(-r));
	else if (!run->options.quiet)
		notice_error(
			&run->notice, "%s: report%s%s", why, path ? " in " : "", path ? path : "");
	free(path);
}

static void on_refresh(struct model *model, void *arg)
{
	struct run *run = arg;

	if (run->write_error)
		return;
	end_now(model);
	notice_clear(&run->notice);
	run->write_error = put_report(run, run->destination.file, true);
	/* Nobody will see the rest: end, but with what the file could not take. */
	if (run->write_error && !signals.stop)
		signals.stop = 1;
}

static void on_measured(const struct prober_measured *measured, void *arg)
{
	struct run *run = arg;

	dry_run_add(run->dry_run, measured);
}

/* ---- exit codes ---- */

static int code_of_status(int status)
{
	return WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

static int code_of_session(const struct run *run)
{
	switch (run->result.end) {
	case SESSION_REFUSED:
	case SESSION_ENVIRONMENT:
		return EXIT_ENVIRONMENT;
	case SESSION_ABORTED:
		return EXIT_SIGNAL + (signals.last ? (int)signals.last : SIGINT);
	case SESSION_DONE:
		break;
	}
	if ((run->write_error && run->write_error != -EPIPE) || run->recorded.error)
		return EXIT_ENVIRONMENT;
	return model_complete(run->model) && !run->recorded.lost ? EXIT_RAN : EXIT_INCOMPLETE;
}

/* The COMMAND's own status goes before ours, but not before a failure of ours. */
static int code_of_run(struct run *run, bool has_status, int status)
{
	int code = code_of_session(run);

	if (run->options.error_exitcode && run->gating && run->result.end == SESSION_DONE)
		return run->options.error_exitcode;
	if (!run->options.command)
		return code;
	if (code == EXIT_ENVIRONMENT)
		return EXIT_OWN_FAILURE;
	return has_status ? code_of_status(status) : code;
}

/* ---- the run ---- */

static int start_command(struct run *run)
{
	int r = launch_start(run->options.command, &run->launch);

	if (!r) {
		signals.child = launch_pid(run->launch);
		return 0;
	}
	notice_error(&run->notice, "cannot run %s: %s", run->options.command[0], strerror(-r));
	if (r == -ENOENT)
		return EXIT_NOT_FOUND;
	return r == -EACCES || r == -ENOEXEC ? EXIT_NOT_EXECUTABLE : EXIT_OWN_FAILURE;
}

/* The report is out; a COMMAND that still runs is waited for, untraced. */
static bool wait_for_command(struct run *run, int *ret_status)
{
	int before = signals.stop;

	*ret_status = run->result.launched_status;
	if (!run->launch || run->result.launched_exited)
		return run->launch != NULL;
	if (run->result.end != SESSION_DONE)
		return false;
	launch_release(run->launch);
	notice_progress(&run->notice, "waiting for the command to end", -1);
	while (signals.stop < before + 2)
		if (launch_wait(run->launch, 1000, ret_status) == LAUNCH_EXITED)
			break;
	notice_clear(&run->notice);
	return launch_wait(run->launch, 0, ret_status) == LAUNCH_EXITED;
}

static uint64_t choose_duration(const struct options *options)
{
	if (options->has_duration)
		return options->duration_ns;
	if (options->dry_run)
		return DRY_RUN_NS;
	return options->command || isatty(STDERR_FILENO) ? 0 : DEFAULT_DURATION_NS;
}

static int run_session(struct run *run)
{
	const struct options *options = &run->options;
	struct session_options session = {
		.pids = options->pids,
		.pid_count = options->pid_count,
		.follow = options->follow,
		.system = options->system,
		.debug_servers = options->debuginfod,
		.memory_calls = options->memory_calls,
		.access_burst = options->access_burst,
		.blocks = options->blocks,
		.cgroup = options->cgroup,
		.comm = options->comm,
		.duration_ns = choose_duration(options),
		.read_only = options->has_duration && !options->duration_ns,
		.dry_run = options->dry_run,
		.max_overhead_pct = options->max_overhead_pct,
		.refresh_ns = options->dry_run ? 0 : options->refresh_ns,
		.launch = run->launch,
		.stop = &signals.stop,
		.wants_snapshot = &signals.snapshots,
		.snapshot_bytes = options->snapshot_bytes,
		.attached = on_attached,
		.progress = on_progress,
		.refresh = on_refresh,
		.snapshot = options->dry_run ? NULL : on_snapshot,
		.warn = on_warning,
		.measured = run->dry_run ? on_measured : NULL,
		.arg = run,
	};
	int r = session_run(&session, run->model, &run->result);

	if (r < 0) {
		run->result.end = SESSION_ENVIRONMENT;
		snprintf(run->result.error, sizeof(run->result.error), "%s", strerror(-r));
	}
	return run->result.end;
}

static int trace(struct run *run)
{
	bool has_status;
	int status, code;

	if (run->options.command) {
		code = start_command(run);
		if (code)
			return code;
	}
	if (run_session(run) == SESSION_ABORTED)
		model_add_incomplete(
			run->model, "aborted by a second signal, before the last look");
	else if (run->result.end != SESSION_DONE)
		notice_error(&run->notice, "%s", run->result.error);
	end_recording(run);
	/* A session that was refused early has nothing to tell; one that was not, at least that. */
	if (run->options.use == OPTIONS_TRACE &&
		(run->result.end == SESSION_DONE || model_target_count(run->model)))
		report_at_end(run);
	has_status = wait_for_command(run, &status);
	return code_of_run(run, has_status, status);
}

static int fail_usage(struct run *run, const char *error)
{
	notice_error(&run->notice, "%s", error);
	fputs("Try 'memtrace --help'.\n", stderr);
	return EXIT_USAGE;
}

static int run_checked(struct run *run)
{
	const char *path = run->options.output;
	int r, code;

	r = destination_open(&run->destination, path);
	if (r) {
		notice_error(&run->notice, "cannot write %s: %s", path, strerror(-r));
		return run->options.command ? EXIT_OWN_FAILURE : EXIT_ENVIRONMENT;
	}
	catch_signals();
	run->model = model_new();
	if (run->options.dry_run)
		run->dry_run = xcalloc(1, sizeof(*run->dry_run));
	if (start_recording(run))
		code = run->options.command ? EXIT_OWN_FAILURE : EXIT_ENVIRONMENT;
	else
		code = trace(run);
	end_recording(run);
	notice_clear(&run->notice);
	signals.child = 0;
	launch_close(run->launch);
	model_free(run->model);
	free(run->dry_run);
	destination_close(&run->destination);
	return code;
}

static int run_as(enum options_use use, int argc, char **argv)
{
	char error[OPTIONS_ERROR_BYTES];
	struct run run = {0};
	int r = options_parse(&run.options, use, argc, argv, error);
	int code;

	notice_init(&run.notice, run.options.quiet, run.options.verbose);
	if (r)
		code = fail_usage(&run, error);
	else if (run.options.help)
		code = help_print();
	else if (run.options.version)
		code = version_print();
	else
		code = run_checked(&run);
	options_done(&run.options);
	return code;
}

static int run_trace(int argc, char **argv)
{
	return run_as(OPTIONS_TRACE, argc, argv);
}

static int run_record(int argc, char **argv)
{
	return run_as(OPTIONS_RECORD, argc, argv);
}

const struct command command_trace = {"", NULL, "attach or start, trace, report", run_trace};
const struct command command_record = {
	"record", "[OPTIONS] -o FILE ...", "trace as above, into a recording", run_record};
