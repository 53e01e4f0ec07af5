/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The course of a session:
 *
 *	open targets -> first census -> attach -> { drain, govern, poll, census } -> last look -> detach
 *
 * Reading alone stops after the first census. A target that starts another program (exec) is closed
 * and opened again: what was learned of the old program stays in the model under its own target.
 */
#include "trace/session.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/model.h"
#include "runtime/parser.h"
#include "target/process.h"
#include "trace/launch.h"
#include "trace/prober.h"
#include "trace/reader.h"

#define SESSION_MAX_TARGETS   64
#define POLL_NS               (100 * NSEC_PER_MSEC)
#define START_POLL_NS         (5 * NSEC_PER_MSEC)
#define CENSUS_NS             (10 * NSEC_PER_SEC)
#define CENSUS_SHARE          50 /* a census may take one part in so many of our own time */
#define FIRST_CENSUS_LIMIT_NS (1500 * NSEC_PER_MSEC)
#define LAUNCH_STEP_MS        100
#define LAUNCH_STAYS_NS       NSEC_PER_SEC
#define DRAIN_NS              (2 * NSEC_PER_MSEC)
#define DRAIN_CHECK           16 /* records between two looks at the clock */

struct session {
	const struct session_options *options;
	struct model *model;
	struct session_result *result;
	struct parser *parser;
	struct prober *prober;                       /* NULL while only reading */
	struct reader *readers[SESSION_MAX_TARGETS]; /* NULL = gone */
	bool unread[SESSION_MAX_TARGETS];            /* no census has read its whole heap */
	bool exited
		[SESSION_MAX_TARGETS]; /* nothing more to read, but its last records may be on their way */
	size_t reader_count;
	uint64_t begin_ns, next_poll_ns, next_census_ns, next_refresh_ns, next_tick_ns;
	bool launch_ended;
};

static bool stopped(const struct session *session)
{
	return session->options->stop && *session->options->stop;
}

static bool aborted(const struct session *session)
{
	return session->options->stop && *session->options->stop > 1;
}

static void progress(struct session *session, const char *what, double share)
{
	if (session->options->progress)
		session->options->progress(what, share, session->options->arg);
}

/* Ends the session with a sentence; what was gathered stays in the model. Returns -ECANCELED. */
static int give_up(struct session *session, enum session_end end, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(session->result->error, sizeof(session->result->error), format, args);
	va_end(args);
	session->result->end = end;
	return -ECANCELED;
}

/* ---- targets ---- */

struct launcher {
	struct session *session;
	char found[256];
	int count;
};

/* Adds "4712 (api, go1.23.5)" for each process below pid whose runtime is known. */
static void look_below(struct launcher *launcher, int pid, int depth)
{
	int children[32], count = process_list_children(pid, children, ARRAY_SIZE(children));

	for (int i = 0; i < MIN(count, (int)ARRAY_SIZE(children)); i++) {
		struct runtime_file *file = xcalloc(1, sizeof(*file));
		size_t used = strlen(launcher->found);
		struct process_info info;
		uint32_t id;
		int fd = process_open_exe(children[i]);

		if (fd >= 0 && process_look(children[i], &info) == PROCESS_OK &&
			parser_identify(launcher->session->parser, fd, &id, file) == 0 &&
			file->runtime[0]) {
			launcher->count++;
			snprintf(launcher->found + used, sizeof(launcher->found) - used,
				"%s%d (%s, %s)", used ? ", " : "", children[i], info.comm,
				file->version);
		} else if (depth) {
			look_below(launcher, children[i], depth - 1);
		}
		if (fd >= 0)
			close(fd);
		free(file);
	}
}

static void skip_containers(struct session *session, const struct process_info *info)
{
	char what[80];

	snprintf(what, sizeof(what), "containers of pid %d (%s)", info->id.pid, info->comm);
	model_add_skip(session->model, what, "no known runtime in its executable (known: Go)");
}

static int open_target(struct session *session, const struct process_info *info)
{
	struct launcher launcher = {.session = session};
	struct reader *reader;
	int r;

	if (session->reader_count == SESSION_MAX_TARGETS)
		return give_up(session, SESSION_REFUSED, "more than %d targets at once",
			SESSION_MAX_TARGETS);
	r = reader_open(info, session->parser, session->model, &reader);
	if (r == -ESRCH || r == -ENOENT)
		return give_up(session, SESSION_REFUSED,
			"pid %d (%s) exited before it was attached", info->id.pid, info->comm);
	if (r == -EPERM || r == -EACCES)
		return give_up(session, SESSION_ENVIRONMENT,
			"may not read the memory of pid %d (%s): needs root, or the capabilities "
			"CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH",
			info->id.pid, info->comm);
	if (r < 0)
		return give_up(session, SESSION_REFUSED,
			"the executable of pid %d (%s) cannot be parsed: %s", info->id.pid,
			info->comm, strerror(-r));
	if (!reader_part_count(reader) && !session->options->launch)
		look_below(&launcher, info->id.pid, 2);
	if (launcher.count) {
		reader_close(reader);
		return give_up(session, SESSION_REFUSED,
			"pid %d (%s) is a launcher; below it run %s: trace that with --pid",
			info->id.pid, info->comm, launcher.found);
	}
	if (!reader_part_count(reader))
		skip_containers(session, info);
	session->readers[session->reader_count++] = reader;
	return 0;
}

static int open_pid(struct session *session, int pid)
{
	struct process_info info = {0};
	enum process_refusal refusal = process_look(pid, &info);

	char sentence[256];

	if (refusal == PROCESS_OK)
		return open_target(session, &info);
	return give_up(session,
		refusal == PROCESS_NOT_ALLOWED ? SESSION_ENVIRONMENT : SESSION_REFUSED, "%s",
		process_describe_refusal(refusal, &info, sentence, sizeof(sentence)));
}

static int open_pids(struct session *session)
{
	int r = 0;

	for (size_t i = 0; i < session->options->pid_count && r == 0; i++)
		r = open_pid(session, session->options->pids[i]);
	return r;
}

/* Is the program that the launched child is about to run one whose runtime we know? */
static bool launched_known(struct session *session, int pid)
{
	struct runtime_file *file = xcalloc(1, sizeof(*file));
	int fd = process_open_exe(pid);
	bool known = false;
	uint32_t id;

	if (fd >= 0 && parser_identify(session->parser, fd, &id, file) == 0)
		known = file->runtime[0] != 0;
	if (fd >= 0)
		close(fd);
	free(file);
	return known;
}

static void launch_over(struct session *session, int status)
{
	session->launch_ended = true;
	session->result->launched_exited = true;
	session->result->launched_status = status;
}

/*
 * Follows the child through its execs until a known runtime is about to start. A program that stays is
 * what the user meant: of one without known runtime the RSS is worth showing, and an exec that comes
 * later is followed by the session.
 */
static int open_launched(struct session *session)
{
	struct launch *launch = session->options->launch;
	uint64_t exec_ns = clock_mono_ns();
	int status = 0;

	while (!stopped(session)) {
		switch (launch_wait(launch, LAUNCH_STEP_MS, &status)) {
		case LAUNCH_AT_EXEC:
			if (launched_known(session, launch_pid(launch)))
				return open_pid(session, launch_pid(launch));
			launch_continue(launch);
			exec_ns = clock_mono_ns();
			break;
		case LAUNCH_EXITED:
			launch_over(session, status);
			model_add_skip(session->model, "containers",
				"the command ended without running a known runtime");
			return 0;
		case LAUNCH_RUNNING:
			if (clock_mono_ns() - exec_ns >= LAUNCH_STAYS_NS)
				return open_pid(session, launch_pid(launch));
			break;
		}
	}
	return 0;
}

/* ---- reading ---- */

struct census_progress {
	struct session *session;
	uint64_t told_ns;
};

static int census_progress(uint64_t done, uint64_t total, void *arg)
{
	struct census_progress *state = arg;
	uint64_t now_ns = clock_mono_ns();

	if (now_ns - state->told_ns >= POLL_NS) {
		state->told_ns = now_ns;
		progress(state->session, "reading the heap",
			total ? (double)done / (double)total : -1);
	}
	return aborted(state->session);
}

static bool is_census_complete(const struct session *session, const struct reader *reader)
{
	const struct model_census *census = model_census(session->model, reader_target(reader));

	return census && census->complete;
}

static void first_census(struct session *session, size_t i)
{
	struct census_progress state = {.session = session};
	struct reader *reader = session->readers[i];
	uint64_t now_ns = clock_mono_ns();
	int r;

	if (reader_start(reader) < 0 || !reader_has_census(reader))
		return;
	r = reader_census(reader, now_ns + FIRST_CENSUS_LIMIT_NS, true, census_progress, &state);
	if (r < 0)
		model_add_skip(session->model, "census", strerror(-r));
	else
		session->unread[i] = !is_census_complete(session, reader);
}

static void read_first(struct session *session)
{
	for (size_t i = 0; i < session->reader_count; i++) {
		first_census(session, i);
		reader_poll(session->readers[i], clock_mono_ns(), true);
	}
}

static void census_all(struct session *session, uint64_t now_ns)
{
	uint64_t begin_ns = clock_mono_ns(), took_ns;

	for (size_t i = 0; i < session->reader_count; i++) {
		if (!session->readers[i] || session->exited[i] ||
			reader_start(session->readers[i]) < 0 ||
			!reader_has_census(session->readers[i]))
			continue;
		reader_census(
			session->readers[i], begin_ns + FIRST_CENSUS_LIMIT_NS, false, NULL, NULL);
		if (is_census_complete(session, session->readers[i]))
			session->unread[i] = false;
	}
	took_ns = clock_mono_ns() - begin_ns;
	session->next_census_ns = now_ns + MAX(CENSUS_NS, took_ns * CENSUS_SHARE);
}

static void poll_all(struct session *session, uint64_t now_ns, bool all_deep)
{
	bool waiting = false;

	for (size_t i = 0; i < session->reader_count; i++) {
		if (!session->readers[i] || session->exited[i])
			continue;
		if (!all_deep && reader_refresh(session->readers[i], now_ns) && session->prober)
			prober_update(session->prober, session->readers[i]);
		reader_poll(session->readers[i], now_ns, all_deep);
		waiting |= reader_start(session->readers[i]) == -EAGAIN;
	}
	/* A program that has just been started is asked often: it may be over soon. */
	session->next_poll_ns = now_ns + (waiting ? START_POLL_NS : POLL_NS);
}

/* ---- tracing ---- */

static size_t reader_index(const struct session *session, const struct reader *reader)
{
	size_t i = 0;

	while (i < session->reader_count && session->readers[i] != reader)
		i++;
	return i;
}

static void apply_plain(struct session *session, const struct reader *reader, enum event_kind kind,
	uint64_t time_ns, const struct event_exit *exit)
{
	struct event event = {.kind = kind, .target = reader_target(reader), .time_ns = time_ns};

	if (exit)
		event.exit = *exit;
	model_apply(session->model, &event);
}

static void drop_reader(struct session *session, size_t i)
{
	if (session->prober)
		prober_remove(session->prober, session->readers[i]);
	reader_close(session->readers[i]);
	session->readers[i] = NULL;
}

/* record: what the kernel said of it, NULL where we only found it gone. */
static void target_exited(struct session *session, struct reader *reader, uint64_t time_ns,
	const struct mt_record *record)
{
	struct event_exit exit = {.has_status = record != NULL};
	size_t i = reader_index(session, reader);

	/* We may have found it gone before the record came that knows how it ended. */
	if (session->exited[i] && !record)
		return;
	session->exited[i] = true;

	if (record)
		exit.status = (int)record->val[0];
	apply_plain(session, reader, EVENT_EXIT, time_ns, &exit);
}

/* Another program runs under the same pid: a new target, in the place of the old one. */
static void target_execed(struct session *session, struct reader *reader, uint64_t time_ns)
{
	struct process_info info = *reader_info(reader);
	size_t i = reader_index(session, reader);
	struct reader *fresh;

	apply_plain(session, reader, EVENT_EXEC, time_ns, NULL);
	drop_reader(session, i);
	if (process_look(info.id.pid, &info) != PROCESS_OK ||
		reader_open(&info, session->parser, session->model, &fresh) < 0)
		return;
	session->readers[i] = fresh;
	if (session->prober)
		prober_add(session->prober, fresh, session->options->dry_run);
}

static void take_record(struct session *session, const struct prober_record *taken)
{
	const struct mt_record *record = taken->record;

	if (!taken->reader)
		return;
	switch (record->kind) {
	case MT_FAULT:
		reader_fault(taken->reader, record);
		break;
	case MT_EXEC:
		target_execed(session, taken->reader, record->time_ns);
		break;
	case MT_EXIT:
		target_exited(session, taken->reader, record->time_ns, record);
		break;
	default:
		if (taken->probe)
			reader_record(taken->reader, taken->part, taken->probe, record);
	}
}

/*
 * Takes what waits, at most for limit_ns (0 = to the last): a storm of records must not keep the governor,
 * who can end it, from deciding.
 */
static void drain(struct session *session, uint64_t limit_ns)
{
	uint64_t begin_ns = clock_mono_ns();
	struct prober_record taken;

	for (unsigned i = 1; !aborted(session) && prober_next(session->prober, &taken); i++) {
		take_record(session, &taken);
		if (limit_ns && i % DRAIN_CHECK == 0 && clock_mono_ns() - begin_ns >= limit_ns)
			break;
	}
}

static uint64_t target_cpu_ns(const struct session *session)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < model_target_count(session->model); i++) {
		const struct target *target = model_target(session->model, (uint32_t)i);

		sum += target->cpu_ns - target->first_cpu_ns;
	}
	return sum;
}

static bool any_alive(struct session *session, uint64_t now_ns)
{
	bool alive = false;

	for (size_t i = 0; i < session->reader_count; i++) {
		struct reader *reader = session->readers[i];

		if (!reader || session->exited[i])
			continue;
		if (process_alive(&reader_info(reader)->id))
			alive = true;
		else
			target_exited(session, reader, now_ns, NULL);
	}
	return alive;
}

static int attach(struct session *session)
{
	char error[256] = "";
	int r;

	progress(session, "attaching", -1);
	/* On a busy machine the governor must not wait for its turn while probes are open; best effort. */
	setpriority(PRIO_PROCESS, 0, -5);
	r = prober_open(
		session->options->max_overhead_pct, session->model, &session->prober, error);
	if (r < 0)
		return give_up(session, SESSION_ENVIRONMENT, "%s", error);
	for (size_t i = 0; i < session->reader_count; i++) {
		r = prober_add(session->prober, session->readers[i], session->options->dry_run);
		if (r == -ESRCH)
			return give_up(session, SESSION_REFUSED,
				"pid %d (%s) exited while attaching",
				reader_info(session->readers[i])->id.pid,
				reader_info(session->readers[i])->comm);
		if (r < 0)
			return give_up(session, SESSION_ENVIRONMENT, "cannot attach to pid %d: %s",
				reader_info(session->readers[i])->id.pid, strerror(-r));
	}
	return 0;
}

static void launch_check(struct session *session)
{
	int status;

	if (session->options->launch && !session->launch_ended &&
		launch_wait(session->options->launch, 0, &status) == LAUNCH_EXITED)
		launch_over(session, status);
}

static void wait_for_work(struct session *session, uint64_t end_ns)
{
	uint64_t now_ns = clock_mono_ns();
	uint64_t until_ns = MIN(session->next_poll_ns, session->next_tick_ns);
	struct pollfd fd = {.fd = prober_fd(session->prober), .events = POLLIN};

	if (end_ns)
		until_ns = MIN(until_ns, end_ns);
	if (until_ns > now_ns)
		poll(&fd, 1, (int)((until_ns - now_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC));
}

/* ---- what a report says of the session itself ---- */

static void describe_host(struct session *session)
{
	struct model_host host = {.cpus = (int)sysconf(_SC_NPROCESSORS_ONLN)};
	struct utsname name;

	if (uname(&name) == 0)
		text_copy(host.kernel, sizeof(host.kernel), name.release);
	text_copy(host.attach_mode, sizeof(host.attach_mode),
		session->prober ? prober_mode(session->prober) : "none (reading only)");
	model_set_host(session->model, &host);
}

/* What all this has cost the targets and this machine. */
static void report_cost(struct session *session)
{
	struct model_overhead overhead = {
		.target_cpu_ns = target_cpu_ns(session),
		.tracer_cpu_ns = clock_process_cpu_ns(),
		.budget_pct = session->options->max_overhead_pct,
	};
	struct rusage usage;

	if (session->prober)
		prober_report(session->prober, &overhead);
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		overhead.tracer_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
	if (session->parser)
		process_read_peak(parser_pid(session->parser), &overhead.parser_rss_bytes);
	model_set_overhead(session->model, &overhead);
}

/* ---- the loop ---- */

static void step(struct session *session, uint64_t now_ns)
{
	if (now_ns >= session->next_tick_ns)
		session->next_tick_ns = prober_tick(session->prober, now_ns);
	if (now_ns >= session->next_poll_ns)
		poll_all(session, now_ns, false);
	if (now_ns >= session->next_census_ns)
		census_all(session, now_ns);
	if (session->options->refresh_ns && now_ns >= session->next_refresh_ns) {
		describe_host(session);
		report_cost(session);
		session->options->refresh(session->model, session->options->arg);
		session->next_refresh_ns = now_ns + session->options->refresh_ns;
	}
}

static void loop(struct session *session)
{
	uint64_t duration_ns = session->options->duration_ns, end_ns, now_ns = clock_mono_ns();

	end_ns = duration_ns ? now_ns + duration_ns : 0;
	session->next_census_ns = now_ns + CENSUS_NS;
	session->next_refresh_ns = now_ns + session->options->refresh_ns;
	while (!stopped(session) && (!end_ns || now_ns < end_ns)) {
		wait_for_work(session, end_ns);
		drain(session, DRAIN_NS);
		now_ns = clock_mono_ns();
		step(session, now_ns);
		launch_check(session);
		if (!any_alive(session, now_ns))
			break;
		if (duration_ns)
			progress(session, "tracing",
				1 - (double)(end_ns - MIN(now_ns, end_ns)) / (double)duration_ns);
		else
			progress(session, "tracing, Ctrl-C ends with a report", -1);
	}
}

/* The last look at targets that are still there: nothing stays unwalked. */
static void last_look(struct session *session)
{
	uint64_t now_ns = clock_mono_ns();

	if (aborted(session))
		return;
	progress(session, "last look", -1);
	if (now_ns + CENSUS_NS > session->next_census_ns + POLL_NS)
		census_all(session, now_ns);
	poll_all(session, clock_mono_ns(), true);
}

static int trace(struct session *session)
{
	int r = attach(session);

	if (r == 0) {
		if (session->options->attached)
			session->options->attached(session->options->arg);
		if (session->options->launch)
			launch_release(session->options->launch);
		loop(session);
	}
	if (session->prober) {
		if (session->options->measured)
			prober_each(
				session->prober, session->options->measured, session->options->arg);
		progress(session, "detaching", -1);
		prober_finish(session->prober);
		drain(session, 0);
	}
	/* After the last record: what is dead now is dead, and not only renamed by a growth on its way. */
	if (r == 0)
		last_look(session);
	return r;
}

/* ---- the whole ---- */

static int run(struct session *session)
{
	int r = parser_open(&session->parser);

	if (r < 0)
		return give_up(session, SESSION_ENVIRONMENT, "cannot start the parser child: %s",
			strerror(-r));
	r = session->options->launch ? open_launched(session) : open_pids(session);
	if (r < 0)
		return r;
	read_first(session);
	if (session->options->read_only) {
		if (session->options->attached)
			session->options->attached(session->options->arg);
		return 0;
	}
	return session->reader_count ? trace(session) : 0;
}

static void finish(struct session *session, uint64_t real_ns)
{
	model_set_clock(session->model, session->begin_ns, real_ns, clock_mono_ns());
	describe_host(session);
	report_cost(session);
	for (size_t i = 0; i < session->reader_count; i++) {
		if (session->unread[i])
			model_add_incomplete(
				session->model, "no census had time to read the whole heap");
		reader_close(session->readers[i]);
	}
	prober_close(session->prober);
	parser_close(session->parser);
}

int session_run(
	const struct session_options *options, struct model *model, struct session_result *ret)
{
	struct session *session = xcalloc(1, sizeof(*session));
	uint64_t real_ns = clock_real_ns();
	int r;

	memset(ret, 0, sizeof(*ret));
	session->options = options;
	session->model = model;
	session->result = ret;
	session->begin_ns = clock_mono_ns();
	model_set_clock(model, session->begin_ns, real_ns, session->begin_ns);
	r = run(session);
	finish(session, real_ns);
	if (aborted(session) && ret->end == SESSION_DONE)
		ret->end = SESSION_ABORTED;
	free(session);
	return r == -ECANCELED ? 0 : r;
}
