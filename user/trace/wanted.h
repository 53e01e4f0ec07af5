/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which processes a session wants besides those it was given by number: those of a cgroup, of a name, all,
 * or the descendants of its targets. It looks through /proc, or is told of a process by the kernel, and
 * remembers whom it has already been through.
 */
#ifndef MEMTRACE_TRACE_WANTED_H
#define MEMTRACE_TRACE_WANTED_H

#include <stdbool.h>
#include <stdint.h>

#include "target/process.h"

struct wanted_rule {
	bool all; /* every process */
	const char *
		cgroup; /* those in it and below: as in /proc/PID/cgroup, or its directory; NULL = any */
	const char *comm; /* those of this name, a pattern of fnmatch(3); NULL = any */
};

/* What becomes of a process that is wanted. */
enum wanted_answer {
	WANTED_TAKEN,  /* it is a target now, or never will be */
	WANTED_LATER,  /* ask again soon: it may still become something else */
	WANTED_SEARCH, /* as LATER, but where the rule searches only with the next search */
};

struct wanted;

struct wanted *wanted_new(const struct wanted_rule *rule);
void wanted_free(struct wanted *wanted);

/* Does a rule look for processes by itself, or only those that are told (wanted_add)? */
bool wanted_searches(const struct wanted *wanted);

/* A process that is wanted whatever the rule says: a descendant of a target. */
void wanted_add(struct wanted *wanted, int pid);

/* This process runs another program now: it is looked at anew. */
void wanted_execed(struct wanted *wanted, int pid);

/*
 * Asks about each wanted process that was not taken yet: those told before at every call, those of /proc
 * when all is set. since_ns (monotonic): when it was first seen.
 */
void wanted_look(struct wanted *wanted, bool all, uint64_t now_ns,
	enum wanted_answer (*ask)(const struct process_info *info, uint64_t since_ns, void *arg),
	void *arg);

/* Processes that still wait for an answer other than later. */
size_t wanted_waiting(const struct wanted *wanted);

#endif
