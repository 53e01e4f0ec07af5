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
#include "trace/session_private.h"

#define POLL_NS               (100 * NSEC_PER_MSEC)
#define START_POLL_NS         (5 * NSEC_PER_MSEC)
#define START_PATIENCE_NS     (300 * NSEC_PER_MSEC)
#define GROUP_NS              NSEC_PER_SEC
#define CENSUS_NS             (10 * NSEC_PER_SEC)
#define BURST_DELAY_NS        (500 * NSEC_PER_MSEC) /* a growth may still tell */
#define CENSUS_SHARE          50 /* a census may take one part in so many of our own time */
#define POLL_SHARE            10 /* as may polling */
#define FIRST_CENSUS_LIMIT_NS (1500 * NSEC_PER_MSEC)
#define DRAIN_NS              (2 * NSEC_PER_MSEC)
#define DRAIN_CHECK           16 /* records between two looks at the clock */

static void progress(struct session *session, const char *what, double share)
{
	if (session->options->progress)
		session->options->progress(what, share, session->options->arg);
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
	return session_aborted(state->session);
}

static bool is_census_complete(const struct session *session, const struct reader *reader)
{
	const struct model_census *census = model_census(session->model, reader_target(reader));

	return census && census->complete;
}

/* Who only reads has no second look: it waits until what it sees is whole, or refused. */
static int start_parts(const struct session *session, struct parts *parts)
{
	uint64_t end_ns = clock_mono_ns() + START_PATIENCE_NS;
	int r = parts_start(parts);

	while (r == -EAGAIN && session->options->read_only && !session_stopped(session) &&
		clock_mono_ns() < end_ns) {
		clock_wait_ns(START_POLL_NS);
		r = parts_start(parts);
	}
	return r;
}

static void first_census(struct session *session, struct session_slot *slot)
{
	struct census_progress state = {.session = session};
	int r;

	if (start_parts(session, reader_parts(slot->reader)) < 0 ||
		!parts_have_census(reader_parts(slot->reader)))
		return;
	slot->census_due = false;
	r = reader_census(slot->reader, clock_mono_ns() + FIRST_CENSUS_LIMIT_NS, true,
		census_progress, &state);
	if (r < 0)
		model_add_skip(session->model, "census", strerror(-r));
	else
		slot->unread = !is_census_complete(session, slot->reader);
}

/* There is something to read, as far as we know. */
static bool is_there(const struct session_slot *slot)
{
	return slot->reader && !slot->exited_ns;
}

static void measure_all(struct session *session)
{
	for (size_t i = 0; i < session->slot_count; i++)
		if (is_there(&session->slots[i]))
			reader_measure(session->slots[i].reader, clock_mono_ns());
}

/* One of each cgroup is asked for it. */
static bool is_first_of_group(const struct session *session, size_t index)
{
	const char *directory = reader_info(session->slots[index].reader)->cgroup_directory;

	for (size_t i = 0; i < index; i++)
		if (is_there(&session->slots[i]) &&
			!strcmp(reader_info(session->slots[i].reader)->cgroup_directory, directory))
			return false;
	return true;
}

static void read_groups(struct session *session, uint64_t now_ns)
{
	for (size_t i = 0; i < session->slot_count; i++)
		if (is_there(&session->slots[i]) && is_first_of_group(session, i))
			reader_group(session->slots[i].reader, now_ns);
	session->next_group_ns = now_ns + GROUP_NS;
}

static void read_first(struct session *session)
{
	for (size_t i = 0; i < session->slot_count; i++) {
		first_census(session, &session->slots[i]);
		reader_poll(session->slots[i].reader, clock_mono_ns(), true);
	}
	read_groups(session, clock_mono_ns());
	measure_all(session);
}

static void census_all(struct session *session, uint64_t now_ns)
{
	uint64_t begin_ns = clock_mono_ns(), took_ns;

	for (size_t i = 0; i < session->slot_count; i++) {
		struct session_slot *slot = &session->slots[i];

		if (!is_there(slot) || parts_start(reader_parts(slot->reader)) < 0 ||
			!parts_have_census(reader_parts(slot->reader)))
			continue;
		reader_census(
			slot->reader, clock_mono_ns() + FIRST_CENSUS_LIMIT_NS, false, NULL, NULL);
		if (is_census_complete(session, slot->reader))
			slot->unread = false;
	}
	took_ns = clock_mono_ns() - begin_ns;
	session->next_census_ns = now_ns + MAX(CENSUS_NS, took_ns * CENSUS_SHARE);
}

static void poll_one(struct session *session, struct session_slot *slot, uint64_t now_ns, bool deep)
{
	if (!deep && parts_refresh(reader_parts(slot->reader), now_ns) && session->prober)
		prober_update(session->prober, slot->reader);
	if (slot->census_due)
		first_census(session, slot);
	reader_poll(slot->reader, now_ns, deep);
}

static void poll_all(struct session *session, uint64_t now_ns, bool all_deep)
{
	uint64_t begin_ns = clock_mono_ns(), pause_ns = POLL_NS;

	for (size_t i = 0; i < session->slot_count; i++) {
		struct session_slot *slot = &session->slots[i];

		if (!is_there(slot))
			continue;
		poll_one(session, slot, now_ns, all_deep);
		/* A program that has just been started is asked often: it may be over soon. */
		if (parts_start(reader_parts(slot->reader)) == -EAGAIN)
			pause_ns = START_POLL_NS;
	}
	if (all_deep || now_ns >= session->next_group_ns)
		read_groups(session, now_ns);
	/* Hundreds of targets are asked less often. */
	session->next_poll_ns = now_ns + MAX(pause_ns, (clock_mono_ns() - begin_ns) * POLL_SHARE);
}

/* ---- tracing ---- */

static void take_record(struct session *session, const struct prober_record *taken)
{
	const struct mt_record *record = taken->record;

	if (record->kind == MT_FORK || (record->kind == MT_EXEC && !taken->reader))
		session_process_came(session, record);
	if (!taken->reader)
		return;
	switch (record->kind) {
	case MT_FAULT:
		reader_fault(taken->reader, record);
		break;
	case MT_MEMORY:
		reader_call(taken->reader, record);
		break;
	case MT_ACCESS:
	case MT_WRITE:
		session_burst_take(session, taken->reader, record);
		break;
	case MT_EXEC:
		session_target_execed(session, taken->reader, record->time_ns);
		break;
	case MT_OOM:
		session_target_chosen(session, taken->reader);
		break;
	case MT_EXIT:
		session_target_exited(session, taken->reader, record);
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

	for (unsigned i = 1; !session_aborted(session) && prober_next(session->prober, &taken);
		i++) {
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

static int attach_reader(struct session *session, struct reader *reader)
{
	const struct process_info *info = reader_info(reader);
	int r = prober_add(session->prober, reader, session->options->dry_run);

	/* Of many that were found one may always have gone. */
	if (r == -ESRCH && session->wanted)
		return 0;
	if (r == -ESRCH)
		return session_give_up(session, SESSION_REFUSED,
			"pid %d (%s) exited while attaching", info->id.pid, info->comm);
	if (r < 0)
		return session_give_up(session, SESSION_ENVIRONMENT, "cannot attach to pid %d: %s",
			info->id.pid, strerror(-r));
	return 0;
}

static int attach(struct session *session)
{
	struct prober_options prober = {
		.budget_pct = session->options->max_overhead_pct,
		.follow = session->options->follow,
		.memory_calls = session->options->memory_calls,
		.access_burst = session->options->access_burst,
		.blocks = session->options->blocks,
		.all_execs = session->wanted && wanted_searches(session->wanted),
	};
	char error[256] = "";
	int r;

	progress(session, "attaching", -1);
	/* On a busy machine the governor must not wait for its turn while probes are open; best effort. */
	setpriority(PRIO_PROCESS, 0, -5);
	r = prober_open(&prober, session->model, &session->prober, error);
	if (r < 0)
		return session_give_up(session, SESSION_ENVIRONMENT, "%s", error);
	for (size_t i = 0; i < session->slot_count && r == 0; i++)
		r = attach_reader(session, session->slots[i].reader);
	/* The command has no target of its own yet: its children and execs are waited for. */
	if (r == 0 && prober.follow && session->options->launch)
		prober_follow(session->prober, launch_pid(session->options->launch));
	return r;
}

static void launch_check(struct session *session)
{
	int status;

	if (session->options->launch && !session->launch_ended &&
		launch_wait(session->options->launch, 0, &status) == LAUNCH_EXITED)
		session_launch_over(session, status);
}

static void wait_for_work(struct session *session, uint64_t end_ns)
{
	uint64_t now_ns = clock_mono_ns();
	uint64_t until_ns = MIN(session->next_poll_ns, session->next_tick_ns);
	struct pollfd fd = {.fd = prober_fd(session->prober), .events = POLLIN};

	if (end_ns)
		until_ns = MIN(until_ns, end_ns);
	if (session->options->access_burst)
		until_ns = MIN(until_ns, MAX(session->burst.due_ns, now_ns + NSEC_PER_MSEC));
	if (until_ns > now_ns)
		poll(&fd, 1, (int)((until_ns - now_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC));
}

/* ---- what a report says of the session itself ---- */

static void describe_host(struct session *session)
{
	struct model_host host = {.cpus = (int)sysconf(_SC_NPROCESSORS_ONLN)};
	struct utsname name;

	if (uname(&name) == 0) {
		text_copy(host.kernel, sizeof(host.kernel), name.release);
		text_copy(host.name, sizeof(host.name), name.nodename);
	}
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

/* ---- snapshots ---- */

static void describe_now(struct session *session)
{
	describe_host(session);
	report_cost(session);
}

static void take_snapshot(struct session *session, const char *why)
{
	poll_all(session, clock_mono_ns(), false);
	measure_all(session);
	describe_now(session);
	session->options->snapshot(session->model, why, session->options->arg);
}

/* A target has risen so high: once, until it has fallen by a tenth. NULL = none has. */
static const struct target *find_risen(struct session *session)
{
	uint64_t limit = session->options->snapshot_bytes;
	const struct target *found = NULL;

	for (size_t i = 0; limit && i < session->slot_count; i++) {
		struct session_slot *slot = &session->slots[i];
		const struct target *target =
			is_there(slot) ? model_target(session->model, reader_target(slot->reader))
				       : NULL;

		if (!target)
			continue;
		if (target->rss_bytes >= limit && !slot->high)
			found = found ? found : target;
		if (target->rss_bytes >= limit || target->rss_bytes < limit - limit / 10)
			slot->high = target->rss_bytes >= limit;
	}
	return found;
}

static void look_for_snapshots(struct session *session)
{
	const struct target *risen = find_risen(session);
	char why[160], rss[TEXT_NUMBER_BYTES];

	if (risen) {
		snprintf(why, sizeof(why), "%s (pid %d) has %s of RSS", risen->comm, risen->pid,
			text_bytes(rss, risen->rss_bytes));
		take_snapshot(session, why);
	}
	if (!session->options->wants_snapshot ||
		*session->options->wants_snapshot == session->snapshots)
		return;
	session->snapshots = *session->options->wants_snapshot;
	take_snapshot(session, "SIGUSR1");
}

/* ---- the loop ---- */

static void step(struct session *session, uint64_t now_ns)
{
	if (now_ns >= session->next_tick_ns)
		session->next_tick_ns = prober_tick(session->prober, now_ns);
	if (now_ns >= session->next_look_ns)
		session_take_wanted(session, now_ns);
	if (now_ns >= session->next_poll_ns)
		poll_all(session, now_ns, false);
	if (now_ns >= session->next_census_ns)
		census_all(session, now_ns);
	if (session->options->access_burst)
		session_burst_step(session, now_ns);
	if (session->options->snapshot)
		look_for_snapshots(session);
	if (session->options->refresh_ns && now_ns >= session->next_refresh_ns) {
		describe_now(session);
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
	session->burst.due_ns = now_ns + BURST_DELAY_NS;
	while (!session_stopped(session) && (!end_ns || now_ns < end_ns)) {
		wait_for_work(session, end_ns);
		drain(session, DRAIN_NS);
		now_ns = clock_mono_ns();
		step(session, now_ns);
		launch_check(session);
		if (now_ns >= session->next_alive_ns) {
			if (!session_any_alive(session, now_ns))
				break;
			session->next_alive_ns = now_ns + session->slot_count * NSEC_PER_MSEC;
		}
		if (duration_ns)
			progress(session, "tracing",
				1 - (double)(end_ns - MIN(now_ns, end_ns)) / (double)duration_ns);
		else
			progress(session, "tracing, Ctrl-C ends with a report", -1);
	}
	session_burst_over(session);
}

/* The last look at targets that are still there: nothing stays unwalked. */
static void last_look(struct session *session)
{
	uint64_t now_ns = clock_mono_ns();

	if (session_aborted(session))
		return;
	progress(session, "last look", -1);
	if (now_ns + CENSUS_NS > session->next_census_ns + POLL_NS)
		census_all(session, now_ns);
	poll_all(session, clock_mono_ns(), true);
	measure_all(session);
}

static int trace(struct session *session)
{
	int r = attach(session);

	if (r == 0) {
		/* A recording says it even where its end is missing. */
		describe_host(session);
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
		session_tell_exits(session);
	}
	/* After the last record: what is dead now is dead, and not only renamed by a growth on its way. */
	if (r == 0)
		last_look(session);
	return r;
}

/* ---- the whole ---- */

static int fetch_progress(double share, void *arg)
{
	struct session *session = arg;

	progress(session, "fetching debug information", share);
	return session_stopped(session);
}

static int open_debug_servers(struct session *session)
{
	const struct debug_server_options options = {fetch_progress, session};
	int r = session->options->debug_servers
			? debug_server_open(&options, &session->debug_server)
			: 0;

	if (r == -ENOENT)
		return session_give_up(session, SESSION_ENVIRONMENT,
			"--debuginfod needs servers: set DEBUGINFOD_URLS (sudo passes it on with "
			"--preserve-env=DEBUGINFOD_URLS)");
	if (r < 0)
		return session_give_up(session, SESSION_ENVIRONMENT,
			"--debuginfod needs libdebuginfod.so.1 (Debian: package libdebuginfod1)");
	return 0;
}

static int run(struct session *session)
{
	int r = parser_open(&session->parser);

	if (r < 0)
		return session_give_up(session, SESSION_ENVIRONMENT,
			"cannot start the parser child: %s", strerror(-r));
	r = open_debug_servers(session);
	if (r < 0)
		return r;
	r = session_open_named(session);
	if (r < 0)
		return r;
	session_take_wanted(session, clock_mono_ns());
	read_first(session);
	if (session->options->read_only) {
		if (session->options->attached)
			session->options->attached(session->options->arg);
		return session->slot_count ? 0
					   : session_give_up(session, SESSION_REFUSED,
						     "no process of these can be read");
	}
	return session->slot_count || session->wanted ? trace(session) : 0;
}

static void finish(struct session *session, uint64_t real_ns)
{
	model_set_clock(session->model, session->begin_ns, real_ns, clock_mono_ns());
	describe_host(session);
	report_cost(session);
	session_tell_left_out(session);
	for (size_t i = 0; i < session->slot_count; i++) {
		if (session->slots[i].unread)
			model_add_incomplete(
				session->model, "no census had time to read the whole heap");
		if (session->slots[i].reader)
			reader_settle(session->slots[i].reader);
		reader_close(session->slots[i].reader);
	}
	wanted_free(session->wanted);
	prober_close(session->prober);
	debug_server_close(session->debug_server);
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
	if (session_aborted(session) && ret->end == SESSION_DONE)
		ret->end = SESSION_ABORTED;
	free(session);
	return r == -ECANCELED ? 0 : r;
}
