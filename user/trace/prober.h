/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The probing half of a session: BPF, links, the ring and the governor behind one small interface.
 * Every target's probes are attached family by family, one link each; the governor opens and closes
 * whole links so that the budget holds, and the model is told when.
 */
#ifndef MEMTRACE_TRACE_PROBER_H
#define MEMTRACE_TRACE_PROBER_H

#include <stdbool.h>
#include <stdint.h>

#include "model/model.h"
#include "trace/reader.h"

#define PROBER_MAX_TARGETS MODEL_MAX_TARGETS

struct prober;

struct prober_record {
	const struct mt_record *record;    /* valid until the next call of prober_next() */
	const struct runtime_probe *probe; /* NULL for faults and control records */
	struct reader *reader;             /* whose it is; NULL where record->tgid is no target */
	size_t part;                       /* probe's */
};

struct prober_options {
	double budget_pct; /* percent of each target's CPU time */
	bool follow;       /* children of targets are told (MT_FORK), and their execs and exits */
	bool memory_calls; /* MT_MEMORY is told; every system call of the machine pays for it */
	bool all_execs;    /* MT_EXEC is told of every process of the machine */
	bool access_burst; /* prober_open_burst() is wanted */
	bool blocks;       /* malloc is sampled where the reader's parts have probes for it */
};

/*
 * Loads BPF, finds out how this kernel attaches, measures what a hit costs here. error says in one
 * sentence what is missing.
 */
int prober_open(const struct prober_options *options, struct model *model, struct prober **ret,
	char error[256]);

/* Detaches and closes everything; a no-op after prober_finish(). */
void prober_close(struct prober *prober);

/* "uprobe_multi" ... : for the report. */
const char *prober_mode(const struct prober *prober);

/*
 * Starts tracing a target: kernel events at once, uprobes under the governor's trial. What cannot be
 * attached becomes a skip of the model, with its reason. counts_only: dry run, no record is written.
 * -ESRCH where it has gone, -ENOSPC where there are PROBER_MAX_TARGETS.
 */
int prober_add(struct prober *prober, struct reader *reader, bool counts_only);

/* Attaches what the reader's new parts have; what cannot be attached becomes a skip. */
void prober_update(struct prober *prober, struct reader *reader);

/* What one probe of a target did so far. Valid during the call that hands it out. */
struct prober_measured {
	uint32_t target; /* of the model */
	const struct runtime_probe *probe;
	uint64_t hits, open_ns; /* in so much time */
	uint64_t hit_ns;        /* what a hit with record and stack costs */
};

/* Hands out all probes, before prober_finish(). */
void prober_each(struct prober *prober,
	void (*measured)(const struct prober_measured *measured, void *arg), void *arg);

/* Has children, execs and exit of a process told that is no target (yet). Fails where it has gone. */
int prober_follow(struct prober *prober, int pid);

/* Ends tracing of a target (it has exited, or runs another program now). */
void prober_remove(struct prober *prober, struct reader *reader);

/* Lets the governors decide. Returns when they want to be called again (CLOCK_MONOTONIC). */
uint64_t prober_tick(struct prober *prober, uint64_t now_ns);

/*
 * For a moment, beside the budget: who uses the map at addr (MT_ACCESS, MT_WRITE), up to so many hits. -ENOENT
 * where the target's code has no place to see it, -EBUSY where the burst before is still being closed.
 */
int prober_open_burst(struct prober *prober, struct reader *reader, uint64_t addr, int64_t hits);

/* Whether it is open and has hits left to take. */
bool prober_burst_goes_on(struct prober *prober, struct reader *reader);
void prober_close_burst(struct prober *prober, struct reader *reader);

/* The next waiting record; false where there is none now. */
bool prober_next(struct prober *prober, struct prober_record *ret);

/* Readable when records wait: for poll(2). */
int prober_fd(const struct prober *prober);

/*
 * Detaches all probes; what is still on its way can then be taken with prober_next() until that
 * returns false. Call prober_report() after that.
 */
void prober_finish(struct prober *prober);

/*
 * Writes counters and loss to the model (produced == delivered + lost is checked there) and what probing
 * has cost to overhead; the other fields are left alone.
 */
void prober_report(struct prober *prober, struct model_overhead *overhead);

#endif
