/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of a session share: session.c has its course, session_targets.c who its targets are.
 */
#ifndef MEMTRACE_TRACE_SESSION_PRIVATE_H
#define MEMTRACE_TRACE_SESSION_PRIVATE_H

#include "memtrace.h"
#include "model/model.h"
#include "trace/debug_server.h"
#include "trace/prober.h"
#include "trace/reader.h"
#include "trace/session.h"
#include "trace/wanted.h"

/* One target. Its number is used again when nothing more can come from it. */
struct session_slot {
	struct reader *reader; /* NULL = unused */
	bool unread;           /* no census has read its whole heap */
	bool census_due;       /* it came while tracing, and has had none */
	uint64_t opened_ns;
	bool oom;       /* the OOM killer has chosen it */
	bool high;      /* its RSS has brought about a snapshot and not fallen since */
	bool exit_told; /* to the model */
	uint64_t
		exited_ns; /* not 0: nothing more to read, but its last records may be on their way */
};

/* Who uses a map, for a moment: session_burst.c. */
struct session_burst_place {
	uint64_t addrs[MT_STACK_FRAMES]; /* of its first hit */
	size_t count;
	uint64_t hits, writes;
};

struct session_burst {
	enum { BURST_NONE, BURST_OPEN, BURST_SETTLES } state;
	uint64_t due_ns;   /* of its next step */
	uint64_t tried[5]; /* serials of containers */
	size_t tried_count;
	uint32_t target, type, runtime, owner;
	uint64_t key;
	struct session_burst_place places[16];
	size_t place_count;
};

struct session {
	const struct session_options *options;
	struct model *model;
	struct session_result *result;
	struct parser *parser;
	struct debug_server *debug_server; /* NULL = not asked for */
	struct prober *prober;             /* NULL while only reading */
	struct wanted *wanted;             /* NULL = only those that are named */
	struct session_slot slots[MODEL_MAX_TARGETS];
	size_t slot_count; /* those in use lie below */
	uint64_t begin_ns, next_poll_ns, next_census_ns, next_refresh_ns, next_tick_ns;
	uint64_t next_alive_ns, next_group_ns;
	uint64_t next_look_ns, next_search_ns; /* at wanted processes: those told, all of /proc */
	uint64_t too_many, too_small;          /* wanted processes that did not become targets */
	bool launch_ended;
	sig_atomic_t snapshots; /* of those that were wanted */
	struct session_burst burst;
};

static inline bool session_stopped(const struct session *session)
{
	return session->options->stop && *session->options->stop;
}

static inline bool session_aborted(const struct session *session)
{
	return session->options->stop && *session->options->stop > 1;
}

/* Ends the session with a sentence; what was gathered stays in the model. Returns -ECANCELED. */
int __attribute__((format(printf, 3, 4)))
session_give_up(struct session *session, enum session_end end, const char *format, ...);

/* Opens what the options name: --pid or -- COMMAND (which may end first: no target then). */
int session_open_named(struct session *session);

/* Takes in wanted processes that are there now. When tracing, they are attached at once. */
void session_take_wanted(struct session *session, uint64_t now_ns);

void session_launch_over(struct session *session, int status);

/* ---- session_burst.c: only where options->access_burst ---- */

void session_burst_step(struct session *session, uint64_t now_ns);
void session_burst_take(
	struct session *session, struct reader *reader, const struct mt_record *record);

/* At the end: what was seen so far counts. */
void session_burst_over(struct session *session);

/* ---- what happens to targets while tracing ---- */

/* The OOM killer has chosen it: its exit comes next. */
void session_target_chosen(struct session *session, const struct reader *reader);

/* What the kernel said of it. */
void session_target_exited(
	struct session *session, const struct reader *reader, const struct mt_record *record);

/* No record comes any more: those that were only found gone have ended, nobody knows how. */
void session_tell_exits(struct session *session);

/* Another program runs under the same pid: a new target, in the place of the old one. */
void session_target_execed(struct session *session, const struct reader *reader, uint64_t time_ns);

/* A fork or exec of a process that is no target. */
void session_process_came(struct session *session, const struct mt_record *record);

/* Finds out who has gone and gives up those from whom nothing more can come. Is there anybody to wait for? */
bool session_any_alive(struct session *session, uint64_t now_ns);

/* Says in the model which processes were left out. */
void session_tell_left_out(struct session *session);

#endif
