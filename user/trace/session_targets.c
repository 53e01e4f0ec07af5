/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who the targets of a session are: those that the options name, those that turn out to be wanted while it
 * runs, and what becomes of them: exec, exit, another process under an old number.
 *
 * A wanted process whose executable has a known runtime becomes a target at once. Of others the RSS is worth
 * showing where they stay and are not small: shells and their short-lived helpers would only take the places
 * of programs.
 */
#include "trace/session_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "runtime/parser.h"
#include "target/process.h"
#include "trace/launch.h"

#define LAUNCH_STEP_MS  100
#define STAYS_NS        NSEC_PER_SEC /* a program that has run so long is no launcher's first step */
#define LOOK_NS         (100 * NSEC_PER_MSEC)
#define SEARCH_NS       (5 * NSEC_PER_SEC)
#define FLOOR_BYTES     (16u << 20) /* without a known runtime, smaller ones are no targets */
#define EXITED_STAYS_NS (2 * NSEC_PER_SEC)
#define MAX_CHILDREN    64
#define NAMED_LEFT_OUT  5
#define MAX_DEPTH       8

#define TOO_MANY "there have been as many targets as a session takes"

int session_give_up(struct session *session, enum session_end end, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(session->result->error, sizeof(session->result->error), format, args);
	va_end(args);
	session->result->end = end;
	return -ECANCELED;
}

/* ---- named targets ---- */

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
			parts_make_known(file)) {
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
	model_add_skip(session->model, what,
		"no known runtime in its executable (known: Go, C++, Rust, Redis, Python, GLib)");
}

static struct session_slot *free_slot(struct session *session)
{
	for (size_t i = 0; i < session->slot_count; i++)
		if (!session->slots[i].reader)
			return &session->slots[i];
	if (session->slot_count == ARRAY_SIZE(session->slots))
		return NULL;
	return &session->slots[session->slot_count++];
}

static int give_up_opening(struct session *session, const struct process_info *info, int error)
{
	if (error == -ENOSPC)
		return session_give_up(
			session, SESSION_REFUSED, "more than %d targets", MODEL_MAX_TARGETS);
	if (error == -ESRCH || error == -ENOENT)
		return session_give_up(session, SESSION_REFUSED,
			"pid %d (%s) exited before it was attached", info->id.pid, info->comm);
	if (error == -EPERM || error == -EACCES)
		return session_give_up(session, SESSION_ENVIRONMENT,
			"may not read the memory of pid %d (%s): needs root, or the capabilities "
			"CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH",
			info->id.pid, info->comm);
	return session_give_up(session, SESSION_REFUSED,
		"the executable of pid %d (%s) cannot be parsed: %s", info->id.pid, info->comm,
		strerror(-error));
}

static int open_reader(
	struct session *session, const struct process_info *info, struct reader **ret)
{
	return reader_open(info, session->parser, session->debug_server, session->model,
		session->options->blocks, ret);
}

static int open_target(struct session *session, const struct process_info *info)
{
	struct session_slot *slot = free_slot(session);
	struct launcher launcher = {.session = session};
	struct reader *reader;
	int r = slot ? open_reader(session, info, &reader) : -ENOSPC;

	if (r < 0)
		return give_up_opening(session, info, r);
	if (!parts_known(reader_parts(reader)) && !session->options->launch &&
		!session->options->follow)
		look_below(&launcher, info->id.pid, 2);
	if (launcher.count) {
		reader_close(reader);
		return session_give_up(session, SESSION_REFUSED,
			"pid %d (%s) is a launcher; below it run %s: trace that with --pid, or all "
			"with --follow",
			info->id.pid, info->comm, launcher.found);
	}
	if (!parts_count(reader_parts(reader)))
		skip_containers(session, info);
	*slot = (struct session_slot){.reader = reader, .opened_ns = clock_mono_ns()};
	return 0;
}

static int open_pid(struct session *session, int pid)
{
	struct process_info info = {0};
	enum process_refusal refusal = process_look(pid, &info);

	char sentence[256];

	if (refusal == PROCESS_OK)
		return open_target(session, &info);
	return session_give_up(session,
		refusal == PROCESS_NOT_ALLOWED ? SESSION_ENVIRONMENT : SESSION_REFUSED, "%s",
		process_describe_refusal(refusal, &info, sentence, sizeof(sentence)));
}

static void add_descendants(struct session *session, int pid, int depth)
{
	int children[MAX_CHILDREN], count = process_list_children(pid, children, MAX_CHILDREN);

	for (int i = 0; i < MIN(count, MAX_CHILDREN); i++) {
		wanted_add(session->wanted, children[i]);
		if (depth)
			add_descendants(session, children[i], depth - 1);
	}
}

static int open_pids(struct session *session)
{
	int r = 0;

	for (size_t i = 0; i < session->options->pid_count && r == 0; i++) {
		r = open_pid(session, session->options->pids[i]);
		if (session->options->follow)
			add_descendants(session, session->options->pids[i], MAX_DEPTH);
	}
	return r;
}

void session_launch_over(struct session *session, int status)
{
	session->launch_ended = true;
	session->result->launched_exited = true;
	session->result->launched_status = status;
}

/* Which file does it run? Zeros where that cannot be said. */
static struct stat stat_exe(int pid)
{
	struct stat st = {0};
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return stat(path, &st) ? (struct stat){0} : st;
}

/* ptrace holds the first thread only: the exec of another one takes its place and stops for nobody. */
static bool execed_unseen(int pid, const struct stat *seen)
{
	struct stat now = stat_exe(pid);

	return now.st_ino && (now.st_ino != seen->st_ino || now.st_dev != seen->st_dev);
}

/*
 * Follows the child through its execs until a known runtime is about to start, or a program that can only
 * stay. A program that stays is what the user meant: of one without known runtime the RSS is worth showing,
 * and an exec that comes later is followed by the session.
 */
static int open_launched(struct session *session)
{
	struct launch *launch = session->options->launch;
	uint64_t exec_ns = clock_mono_ns();
	struct stat exe = {0};
	int status = 0;

	while (!session_stopped(session)) {
		switch (launch_wait(launch, LAUNCH_STEP_MS, &status)) {
		case LAUNCH_AT_EXEC:
			/* Its libraries must be there to be known, and none of its code have run. */
			launch_load(launch);
			if (parts_would_know(launch_pid(launch), session->parser) ||
				parts_stay(launch_pid(launch), session->parser))
				return open_pid(session, launch_pid(launch));
			/* All that comes of it is wanted: its probes must be there before it runs. */
			if (session->options->follow) {
				wanted_add(session->wanted, launch_pid(launch));
				return 0;
			}
			exe = stat_exe(launch_pid(launch));
			launch_continue(launch);
			exec_ns = clock_mono_ns();
			break;
		case LAUNCH_EXITED:
			session_launch_over(session, status);
			model_add_skip(session->model, "containers",
				"the command ended without running a known runtime");
			return 0;
		case LAUNCH_RUNNING:
			if (clock_mono_ns() - exec_ns >= STAYS_NS ||
				execed_unseen(launch_pid(launch), &exe))
				return open_pid(session, launch_pid(launch));
			break;
		}
	}
	return 0;
}

static bool cgroup_exists(const char *path)
{
	static const char *const tops[] = {"", "/sys/fs/cgroup", "/sys/fs/cgroup/memory"};
	char directory[PROCESS_PATH_BYTES * 2];
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(tops); i++) {
		snprintf(directory, sizeof(directory), "%s%s", tops[i], path);
		if ((i || !strncmp(path, tops[1], strlen(tops[1]))) && !stat(directory, &st) &&
			S_ISDIR(st.st_mode))
			return true;
	}
	return false;
}

int session_open_named(struct session *session)
{
	const struct session_options *options = session->options;
	struct wanted_rule rule = {
		.all = options->system, .cgroup = options->cgroup, .comm = options->comm};

	if (rule.cgroup && !cgroup_exists(rule.cgroup))
		return session_give_up(session, SESSION_REFUSED,
			"there is no cgroup %s: give its directory below /sys/fs/cgroup, or what "
			"/proc/PID/cgroup shows",
			rule.cgroup);
	if (rule.all || rule.cgroup || rule.comm || options->follow)
		session->wanted = wanted_new(&rule);
	return options->launch ? open_launched(session) : open_pids(session);
}

/* ---- wanted ones ---- */

static bool is_target(const struct session *session, const struct process_id *id)
{
	for (size_t i = 0; i < session->slot_count; i++) {
		const struct session_slot *slot = &session->slots[i];

		if (slot->reader && reader_info(slot->reader)->id.pid == id->pid &&
			reader_info(slot->reader)->id.start_time == id->start_time)
			return true;
	}
	return false;
}

static void leave_out(struct session *session, const struct process_info *info)
{
	char what[80];

	/* The first ones by name, all by number. */
	if (session->too_many++ >= NAMED_LEFT_OUT)
		return;
	snprintf(what, sizeof(what), "pid %d (%s)", info->id.pid, info->comm);
	model_add_skip(session->model, what, TOO_MANY);
}

static void take(struct session *session, const struct process_info *info)
{
	struct session_slot *slot = free_slot(session);
	struct reader *reader;
	int r = slot ? open_reader(session, info, &reader) : -ENOSPC;

	if (r == -ENOSPC)
		leave_out(session, info);
	if (r < 0)
		return;
	*slot = (struct session_slot){.reader = reader,
		.opened_ns = clock_mono_ns(),
		.census_due = session->prober != NULL};
	if (session->prober)
		prober_add(session->prober, reader, session->options->dry_run);
}

static enum wanted_answer ask(const struct process_info *info, uint64_t since_ns, void *arg)
{
	struct session *session = arg;
	struct process_usage usage = {0};
	uint64_t seen_ns = clock_mono_ns() - since_ns;
	struct process_info now;

	if (is_target(session, &info->id))
		return WANTED_TAKEN;
	if (!parts_would_know(info->id.pid, session->parser)) {
		if (!session->options->read_only && MIN(seen_ns, info->age_ns) < STAYS_NS)
			return WANTED_LATER;
		process_read_usage(info->id.pid, &usage);
		if (usage.rss_bytes < FLOOR_BYTES) {
			session->too_small++;
			return WANTED_SEARCH;
		}
	}
	/* What it was called may be older than what it runs. */
	if (process_look(info->id.pid, &now) != PROCESS_OK)
		return WANTED_LATER;
	take(session, &now);
	return WANTED_TAKEN;
}

void session_take_wanted(struct session *session, uint64_t now_ns)
{
	bool all = now_ns >= session->next_search_ns;

	if (!session->wanted)
		return;
	if (all)
		session->next_search_ns = now_ns + SEARCH_NS;
	/* Counted anew where all are asked again. */
	if (all || !wanted_searches(session->wanted))
		session->too_small = 0;
	wanted_look(session->wanted, all, now_ns, ask, session);
	session->next_look_ns = now_ns + LOOK_NS;
}

void session_process_came(struct session *session, const struct mt_record *record)
{
	if (!session->wanted)
		return;
	if (record->kind == MT_FORK)
		wanted_add(session->wanted, (int)record->val[0]);
	else if (record->kind == MT_EXEC)
		wanted_execed(session->wanted, (int)record->tgid);
	session->next_look_ns = 0;
}

void session_tell_left_out(struct session *session)
{
	char what[80];

	if (session->too_many > NAMED_LEFT_OUT) {
		snprintf(what, sizeof(what), "%llu more processes",
			(unsigned long long)session->too_many - NAMED_LEFT_OUT);
		model_add_skip(session->model, what, TOO_MANY);
	}
	if (!session->too_small)
		return;
	snprintf(what, sizeof(what), "%llu processes", (unsigned long long)session->too_small);
	model_add_skip(session->model, what, "no known runtime, and below 16 MiB of RSS");
}

/* ---- exec, exit ---- */

static struct session_slot *slot_of(struct session *session, const struct reader *reader)
{
	for (size_t i = 0; i < session->slot_count; i++)
		if (session->slots[i].reader == reader)
			return &session->slots[i];
	return NULL;
}

static void apply_plain(struct session *session, const struct reader *reader, enum event_kind kind,
	uint64_t time_ns, const struct event_exit *exit)
{
	struct event event = {.kind = kind, .target = reader_target(reader), .time_ns = time_ns};

	if (exit)
		event.exit = *exit;
	model_apply(session->model, &event);
}

/* status: as wait(2) gives it, NULL where nobody has told it. */
static void tell_exit(struct session *session, struct session_slot *slot, const int *status)
{
	struct event_exit exit = {.has_status = status != NULL, .oom = slot->oom};

	if (status)
		exit.status = *status;
	apply_plain(session, slot->reader, EVENT_EXIT, slot->exited_ns, &exit);
	slot->exit_told = true;
}

static void drop(struct session *session, struct session_slot *slot)
{
	if (slot->exited_ns && !slot->exit_told)
		tell_exit(session, slot, NULL);
	if (slot->unread)
		model_add_incomplete(session->model, "no census had time to read the whole heap");
	if (session->prober)
		prober_remove(session->prober, slot->reader);
	reader_close(slot->reader);
	*slot = (struct session_slot){0};
}

void session_target_chosen(struct session *session, const struct reader *reader)
{
	struct session_slot *slot = slot_of(session, reader);

	if (slot)
		slot->oom = true;
}

void session_target_exited(
	struct session *session, const struct reader *reader, const struct mt_record *record)
{
	struct session_slot *slot = slot_of(session, reader);
	int status = (int)record->val[0];

	if (!slot || slot->exit_told)
		return;
	slot->exited_ns = record->time_ns;
	reader_ended(
		slot->reader, record->time_ns, record->val[2] * (uint64_t)sysconf(_SC_PAGESIZE));
	tell_exit(session, slot, &status);
}

void session_tell_exits(struct session *session)
{
	for (size_t i = 0; i < session->slot_count; i++) {
		struct session_slot *slot = &session->slots[i];

		if (slot->reader && slot->exited_ns && !slot->exit_told)
			tell_exit(session, slot, NULL);
	}
}

void session_target_execed(struct session *session, const struct reader *reader, uint64_t time_ns)
{
	struct process_info info = *reader_info(reader);
	struct session_slot *slot = slot_of(session, reader);
	struct reader *fresh;

	/* A record on its way while the new program was found already. */
	if (!slot || time_ns < slot->opened_ns)
		return;
	apply_plain(session, reader, EVENT_EXEC, time_ns, NULL);
	drop(session, slot);
	if (process_look(info.id.pid, &info) != PROCESS_OK ||
		open_reader(session, &info, &fresh) < 0)
		return;
	*slot = (struct session_slot){.reader = fresh, .opened_ns = clock_mono_ns()};
	if (session->prober)
		prober_add(session->prober, fresh, session->options->dry_run);
}

/* May there be targets that are none yet? */
static bool expects_more(const struct session *session)
{
	if (!session->wanted)
		return false;
	return wanted_searches(session->wanted) || wanted_waiting(session->wanted) ||
	       (session->options->launch && !session->launch_ended);
}

bool session_any_alive(struct session *session, uint64_t now_ns)
{
	bool alive = false;

	for (size_t i = 0; i < session->slot_count; i++) {
		struct session_slot *slot = &session->slots[i];

		if (!slot->reader)
			continue;
		if (slot->exited_ns) {
			/* Its last records have come by now, and its place may be wanted. */
			if (session->wanted && now_ns > slot->exited_ns + EXITED_STAYS_NS)
				drop(session, slot);
		} else if (process_alive(&reader_info(slot->reader)->id)) {
			alive = true;
		} else {
			/* The record that knows how it ended is on its way. */
			slot->exited_ns = now_ns;
		}
	}
	return alive || expects_more(session);
}
