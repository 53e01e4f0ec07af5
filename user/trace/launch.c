/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * -- COMMAND by ptrace(2), used as little as possible: PTRACE_SEIZE with TRACEEXEC stops the child
 * inside each successful execve, before the new program's first instruction, and nothing else of it
 * changes. launch_load() watches system calls from there for as long as the dynamic loader runs. EXITKILL only holds until launch_release(), so that our death before that leaves no
 * half-started program behind.
 *
 * The forked child waits on a pipe until it is seized, then execs. What execvp() could not do comes
 * back through a second, close-on-exec pipe.
 *
 * Every call must come from the thread that called launch_start(): the kernel takes ptrace requests
 * only from the tracing thread. SIGCHLD is blocked there from then on (threads made later inherit
 * it), which makes waiting with a timeout possible without missing a stop.
 */
#include "trace/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "target/process.h"

#define LOADER_MAX_CALLS 10000 /* some ten for each library */

/* A SIGCHLD taken by another thread costs this much, no more. */
#define WAIT_SLICE_NS (200 * NSEC_PER_MSEC)

struct launch {
	pid_t pid;
	bool stopped;  /* at an exec, waits for us */
	bool released; /* no ptrace any more */
	bool exited;   /* reaped */
	int status;
};

/* ---- child ---- */

/*
 * Default dispositions, but what nohup(1) or a shell without job control has set to ignored stays
 * so, as it would for a program that was started directly.
 */
static void reset_signals(void)
{
	struct sigaction now;
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++) {
		bool inherited = sig == SIGHUP || sig == SIGINT || sig == SIGQUIT;

		if (inherited && !sigaction(sig, NULL, &now) && now.sa_handler == SIG_IGN)
			continue;
		signal(sig, SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn)) run_child(char *const argv[], int go, int report)
{
	int error;
	ssize_t n;
	char byte;

	do
		n = read(go, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(127); /* the parent could not seize us, or has died */
	reset_signals();
	execvp(argv[0], argv);
	error = errno;
	if (write(report, &error, sizeof(error)) != sizeof(error))
		_exit(126);
	_exit(127);
}

/* ---- parent ---- */

static bool is_call_stop(int status)
{
	return WSTOPSIG(status) == (SIGTRAP | 0x80); /* PTRACE_O_TRACESYSGOOD */
}

/* The signal that made it stop and is to be passed on, or 0: events and system calls are ours alone. */
static long signal_of_stop(int status)
{
	return status >> 16 || is_call_stop(status) ? 0 : WSTOPSIG(status);
}

/*
 * A stop that is neither an exec nor the end: passes the signal on and lets the child run, as request
 * (PTRACE_CONT, PTRACE_SYSCALL) says; by job control it stays stopped till SIGCONT.
 */
static long resume_stop(struct launch *launch, enum __ptrace_request request, int status)
{
	if (status >> 16 == PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGTRAP)
		return ptrace(PTRACE_LISTEN, launch->pid, 0, 0);
	return ptrace(request, launch->pid, 0, signal_of_stop(status));
}

static void take_status(struct launch *launch, int status)
{
	if (!WIFSTOPPED(status)) {
		launch->exited = true;
		launch->status = status;
	} else if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8)) {
		launch->stopped = true;
	} else {
		resume_stop(launch, PTRACE_CONT, status);
	}
}

/* One look. Returns whether there was something. */
static bool take_event(struct launch *launch, int flags)
{
	int status;
	pid_t pid;

	do
		pid = waitpid(launch->pid, &status, flags | __WALL);
	while (pid < 0 && errno == EINTR);
	if (pid == launch->pid)
		take_status(launch, status);
	else if (pid < 0)
		launch->exited = true; /* reaped by someone else: nothing more will come */
	return pid != 0;
}

static enum launch_state get_state(const struct launch *launch)
{
	if (launch->exited)
		return LAUNCH_EXITED;
	return launch->stopped ? LAUNCH_AT_EXEC : LAUNCH_RUNNING;
}

static void close_pair(int pair[2])
{
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
}

/* errno of the failed exec, or 0 where the child just ended. */
static int read_exec_error(int report)
{
	int error;

	return read(report, &error, sizeof(error)) == sizeof(error) ? -error : -ECHILD;
}

static void block_sigchld(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int launch_start(char *const argv[], struct launch **ret)
{
	const long options = PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
	int go[2] = {-1, -1}, report[2] = {-1, -1}, r = 0;
	struct launch *launch = xcalloc(1, sizeof(*launch));

	if (pipe2(go, O_CLOEXEC) || pipe2(report, O_CLOEXEC)) {
		r = -errno;
		goto out;
	}
	block_sigchld();
	launch->pid = fork();
	if (launch->pid < 0) {
		r = -errno;
		goto out;
	}
	if (!launch->pid) {
		close(go[1]); /* else we would not see the parent's end */
		run_child(argv, go[0], report[1]);
	}
	close(report[1]);
	report[1] = -1;
	if (ptrace(PTRACE_SEIZE, launch->pid, 0, options) || write(go[1], "g", 1) != 1) {
		r = -errno;
		goto out;
	}
	while (!launch->stopped && !launch->exited)
		take_event(launch, 0);
	if (launch->exited)
		r = read_exec_error(report[0]);
out:
	close_pair(go);
	close_pair(report);
	if (r)
		launch_close(launch);
	else
		*ret = launch;
	return r;
}

int launch_pid(const struct launch *launch)
{
	return launch->pid;
}

/* Sleeps until a child changes or until, whichever is first; false where a signal cut it short. */
static bool wait_for_sigchld(uint64_t until_ns)
{
	uint64_t now = clock_mono_ns(), left = until_ns > now ? until_ns - now : 0;
	struct timespec timeout;
	sigset_t set;

	left = MIN(left, WAIT_SLICE_NS);
	timeout.tv_sec = (time_t)(left / NSEC_PER_SEC);
	timeout.tv_nsec = (long)(left % NSEC_PER_SEC);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	return sigtimedwait(&set, NULL, &timeout) >= 0 || errno != EINTR;
}

enum launch_state launch_wait(struct launch *launch, int timeout_ms, int *ret_status)
{
	uint64_t until = timeout_ms < 0 ? UINT64_MAX
					: clock_mono_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;

	while (!launch->stopped && !launch->exited) {
		if (take_event(launch, WNOHANG))
			continue;
		if (clock_mono_ns() >= until || !wait_for_sigchld(until))
			break;
	}
	if (launch->exited && ret_status)
		*ret_status = launch->status;
	return get_state(launch);
}

/* 1 = stopped at a system call that is not the loader's, 0 = at one of the loader's. */
static int left_loader(const struct launch *launch, uint64_t start, uint64_t end)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, launch->pid, sizeof(info), &info) < 0)
		return -errno;
	return info.op == PTRACE_SYSCALL_INFO_ENTRY &&
	       (info.instruction_pointer < start || info.instruction_pointer >= end);
}

/* Runs it to its next system call, its entry or its end; other stops pass. 0 = it is there. */
static int run_to_call(struct launch *launch)
{
	long r = ptrace(PTRACE_SYSCALL, launch->pid, 0, 0);
	int status;

	launch->stopped = false;
	while (r == 0) {
		/* A signal of ours may mean that nobody waits any more: it runs on, and is still traced. */
		if (waitpid(launch->pid, &status, __WALL) < 0)
			return -errno;
		if (!WIFSTOPPED(status)) {
			take_status(launch, status);
			return -ESRCH;
		}
		launch->stopped = is_call_stop(status);
		if (launch->stopped)
			return 0;
		r = resume_stop(launch, PTRACE_SYSCALL, status);
	}
	return -errno;
}

int launch_load(struct launch *launch)
{
	uint64_t start, end;
	unsigned calls = 0;
	int r;

	if (!launch->stopped || launch->exited)
		return -ESRCH;
	r = process_find_loader(launch->pid, &start, &end);
	if (r)
		return r == -ENOENT ? 0 : r;
	do {
		r = run_to_call(launch);
		if (r == 0)
			r = left_loader(launch, start, end);
	} while (r == 0 && ++calls < LOADER_MAX_CALLS);
	return MIN(r, 0);
}

int launch_continue(struct launch *launch)
{
	if (launch->exited || launch->released)
		return -ESRCH;
	if (!launch->stopped)
		return 0;
	launch->stopped = false;
	return ptrace(PTRACE_CONT, launch->pid, 0, 0) ? -errno : 0;
}

/*
 * PTRACE_DETACH wants a stopped child. One that runs is interrupted first; whatever stop comes then
 * will do, and a signal that made it stop is delivered by the detach.
 */
static int detach_running(struct launch *launch)
{
	int status;

	if (ptrace(PTRACE_INTERRUPT, launch->pid, 0, 0))
		return -errno;
	while (waitpid(launch->pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	if (!WIFSTOPPED(status)) {
		take_status(launch, status);
		return 0;
	}
	return ptrace(PTRACE_DETACH, launch->pid, 0, signal_of_stop(status)) ? -errno : 0;
}

int launch_release(struct launch *launch)
{
	int r;

	if (launch->released || launch->exited)
		return 0;
	r = launch->stopped ? (ptrace(PTRACE_DETACH, launch->pid, 0, 0) ? -errno : 0)
			    : detach_running(launch);
	launch->stopped = false;
	/* ESRCH: it is being killed, and waits to be reaped. */
	if (r == -ESRCH)
		r = 0;
	launch->released = !r;
	return r;
}

void launch_close(struct launch *launch)
{
	if (!launch)
		return;
	if (launch->pid > 0 && !launch->exited && !launch->released) {
		kill(launch->pid, SIGKILL);
		while (!launch->exited)
			take_event(launch, 0);
	}
	free(launch);
}
