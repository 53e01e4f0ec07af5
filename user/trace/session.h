/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session: from "these processes, so long" to a filled model. It opens the targets, reads their
 * containers, attaches the probes under the governor's budget, polls, and turns everything into
 * events for the model. It never prints; what the user should see while it runs goes through
 * callbacks, what went wrong comes back as a sentence.
 */
#ifndef MEMTRACE_TRACE_SESSION_H
#define MEMTRACE_TRACE_SESSION_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct launch;
struct model;
struct prober_measured;

struct session_options {
	const int *pids;
	size_t pid_count;
	bool follow;          /* the descendants of pids, or of launch, too */
	bool system;          /* every process, present and future */
	bool access_burst;    /* who uses large maps whose place is unknown, a moment each */
	bool debug_servers;   /* debuginfod may be asked for what files lack */
	bool memory_calls;    /* system calls that map memory, too: every process pays for it */
	bool blocks;          /* malloc and free, sampled */
	const char *cgroup;   /* every process in it and below; NULL = none */
	const char *comm;     /* of these, or of all, those of this name (fnmatch(3)); NULL = any */
	uint64_t duration_ns; /* 0 = until stop; ignored with read_only */
	bool read_only;       /* -d 0: nothing is loaded into the kernel */
	bool dry_run;         /* say what would be attached and what it would cost, then end */
	double max_overhead_pct;     /* budget for probes, percent of the target's CPU time */
	uint64_t refresh_ns;         /* call refresh so often; 0 = never */
	struct launch *launch;       /* -- COMMAND: our stopped child; NULL = none */
	volatile sig_atomic_t *stop; /* non-zero ends the session with a report; 2 = at once */
	volatile sig_atomic_t *wants_snapshot; /* raised by who wants one now; NULL = nobody does */
	uint64_t snapshot_bytes; /* one where the RSS of a target rises to so much; 0 = never */

	void (*attached)(void *arg); /* everything that will attach has attached */
	void (*progress)(const char *what, double share, void *arg); /* share < 0 = unknown */
	void (*refresh)(struct model *model, void *arg); /* the model is consistent here */
	/* Here, too: a snapshot, and what brought it about, as a sentence */
	void (*snapshot)(struct model *model, const char *why, void *arg);
	void (*warn)(const char *sentence, void *arg);
	/* dry_run: each probe and what it did, at the end; NULL = not asked for */
	void (*measured)(const struct prober_measured *measured, void *arg);
	void *arg;
};

enum session_end {
	SESSION_DONE,        /* ran; see the model for what it found and whether it is complete */
	SESSION_REFUSED,     /* a target cannot be traced: environment, exit code 3 */
	SESSION_ENVIRONMENT, /* kernel, privileges: exit code 3 */
	SESSION_ABORTED,     /* stopped twice */
};

struct session_result {
	enum session_end end;
	char error[512];      /* one sentence with the fix, "" where end is SESSION_DONE */
	bool launched_exited; /* -- COMMAND ended on its own */
	int launched_status;  /* as wait(2) gives it */
};

/*
 * Runs one session. model is empty and filled here, also where it ends early: whatever was gathered
 * stays. Returns 0 or a negative error of our own making (out of descriptors and the like).
 */
int session_run(
	const struct session_options *options, struct model *model, struct session_result *ret);

#endif
