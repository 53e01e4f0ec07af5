/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * -- COMMAND: starts a program so that we are there before its first instruction, and follow it
 * through every exec until a known runtime runs.
 *
 * The child is seized with ptrace and stops at each successful exec, before the new program's first
 * instruction. The caller looks at /proc/PID/exe and either waits for the next exec (launch_continue)
 * or attaches and lets go for good (launch_release). After that no ptrace remains.
 */
#ifndef MEMTRACE_TRACE_LAUNCH_H
#define MEMTRACE_TRACE_LAUNCH_H

#include <stdbool.h>

struct launch;

enum launch_state {
	LAUNCH_AT_EXEC, /* stopped at an exec, or after launch_load() */
	LAUNCH_RUNNING, /* released or between execs */
	LAUNCH_EXITED,  /* has ended; status as wait(2) */
};

/*
 * Starts argv[0] (searched in PATH) with our standard streams and environment, default signal
 * dispositions (SIGHUP, SIGINT, SIGQUIT stay ignored where nohup or a shell made them so) and an
 * empty mask. Returns 0, -ENOENT where it is not found, -EACCES where it cannot be
 * executed (exit codes 127 and 126 of env(1)), other negative errors.
 */
int launch_start(char *const argv[], struct launch **ret);
int launch_pid(const struct launch *launch);

/*
 * Waits up to timeout_ms for the next exec or the end (-1 = for ever, 0 = only look). Signals that
 * arrive meanwhile are passed on to the child; one that this thread catches ends the wait early.
 */
enum launch_state launch_wait(struct launch *launch, int timeout_ms, int *ret_status);

/*
 * Lets a child that is stopped at its exec run through its dynamic loader, to the first system call that
 * is not the loader's: its libraries are mapped then, and none of the program's own code has run, but
 * constructors of libraries may have. It stays stopped. Nothing is done to a program without a loader of
 * its own (process_find_loader()). 0; -ESRCH where it is not stopped at an exec or ends meanwhile; -EINTR
 * where a signal came that this thread catches (it runs on, until launch_release()); or another -errno.
 */
int launch_load(struct launch *launch);

/* Lets it run to its next exec. */
int launch_continue(struct launch *launch);

/* Detaches; the child runs on untraced. Safe to call more than once. */
int launch_release(struct launch *launch);

/* Kills it where it still runs and was never released, reaps it, frees. */
void launch_close(struct launch *launch);

#endif
