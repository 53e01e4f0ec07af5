/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the prober share: prober.c has its course and its targets, prober_links.c the
 * probes of a target, prober_govern.c what the governor decides, prober_report.c what it all came to.
 */
#ifndef MEMTRACE_TRACE_PROBER_PRIVATE_H
#define MEMTRACE_TRACE_PROBER_PRIVATE_H

#include "trace/attach.h"
#include "trace/bpf.h"
#include "trace/calibrate.h"
#include "trace/closer.h"
#include "trace/drain.h"
#include "trace/governor.h"
#include "trace/prober.h"

/* The probes of one family and runtime in one file. */
struct strand {
	struct attach_link *attach;
	size_t part; /* of the reader */
	struct runtime_probe probes[RUNTIME_MAX_PROBES];
	size_t probe_count;
	bool closing;        /* the closer has not reported yet */
	uint64_t dearest_ns; /* open price of its dearest probe */
	int64_t credit;      /* as last given */
	uint64_t cost_ns;    /* of its hits, as last read */
};

#define LINK_NOT_GOVERNED UINT32_MAX /* opened when asked, for a moment (FAMILY_ACCESS) */

/* All probes of one family in one target. */
struct link {
	struct strand *strands[PART_MAX];
	size_t strand_count; /* 0 = unused */
	enum family family;
	uint32_t governed; /* its number at the governor */
	bool open;
};

struct traced {
	struct reader *reader; /* NULL = unused */
	int pid;
	uint64_t number;  /* in the order of prober_add() */
	uint64_t next_ns; /* its governor's next tick */
	bool counts_only;
	struct governor *governor;
	struct link links[FAMILY_MAX];
	size_t parts_taken; /* so many of the reader's have their probes in links */
	struct feed {
		int governed; /* its number at the governor, < 0 = none */
		bool open;
	} faults, calls;
	uint64_t cost_ns; /* of links already freed */
};

/* Which probe an attachment id stands for. */
struct attached {
	struct traced *traced;
	size_t part;
	const struct runtime_probe *probe;
};

struct prober {
	struct model *model;
	struct prober_options options;
	struct trace_bpf *bpf;
	enum attach_mode mode;
	struct calibrate_prices prices;
	struct closer *closer;
	struct drain *drain;
	const char *fault_mode;
	struct traced traced[PROBER_MAX_TARGETS];
	struct attached attached[MT_MAX_ATTACHMENTS];
	enum family family_of[MT_MAX_ATTACHMENTS]; /* kept after detaching, for the counters */
	uint64_t added;                            /* targets so far */
	size_t traced_count;
	uint64_t begin_ns, attach_ns, detach_ns;
	uint64_t own_missed_calls; /* of calibrating */
	double price_sum_ns;       /* probe cost of targets that were removed */
	bool finished;
	uint64_t settle_until_ns; /* at most, from then on */
};

/* ---- prober_links.c ---- */

/* Links the probes of the parts that have come since the last call. 0, -ESRCH, -ENOSPC. */
int links_take_parts(struct prober *prober, struct traced *traced);

/* The link that the governor knows by this number; NULL where it is none (a feed). */
struct link *links_find(struct traced *traced, uint32_t governed);

/* 0; -ESRCH where the target has gone; the governor is told what came of it. */
int link_open(struct prober *prober, struct traced *traced, struct link *link);

/* The same, for hits of one address only, and no more of them than credit. -EBUSY while it is closing. */
int link_open_only(struct prober *prober, struct traced *traced, struct link *link, uint64_t addr,
	int64_t credit);

/* Closing takes its time: link_closed() tells when it is done. */
void link_close(struct prober *prober, struct link *link);
void link_closed(struct traced *traced, struct link *link, const struct closer_done *done);

/* What the hits so far have cost; link_measure_ns() asks only those strands that were hit since. */
uint64_t link_cost_ns(const struct prober *prober, const struct link *link);
uint64_t link_measure_ns(struct prober *prober, const struct traced *traced, struct link *link);

/* When the kernel has shut the first gate of an open link; 0 = it has not. */
uint64_t link_shut_ns(const struct prober *prober, const struct link *link);

/* Each of its strands may spend so much until the next call. */
void link_give_credit(struct prober *prober, struct link *link, double credit_ns);

/* Where it samples blocks: how many bytes one of them stands for. While it is open. */
void link_set_rate(
	struct prober *prober, const struct traced *traced, struct link *link, uint64_t now_ns);

/* Tells the model that a family of a target is traced from now on, or no more. */
void link_tell_share(struct prober *prober, const struct traced *traced, enum family family,
	bool open, uint64_t time_ns);

/* Closes and frees all links; their cost is kept. */
void links_free(struct prober *prober, struct traced *traced);

/* ---- prober_report.c ---- */

/* Whether every record that was produced has been handed out or counted as lost. */
bool prober_is_settled(struct prober *prober);

/* ---- prober_govern.c ---- */

/* Hands the governor what CPU and links have cost. */
void prober_measure(struct prober *prober, struct traced *traced, uint64_t now_ns);

/* Measures, lets the governor decide and does it. 0; -ESRCH where the target has gone. */
int prober_govern(struct prober *prober, struct traced *traced, uint64_t now_ns);

#endif
