/* SPDX-License-Identifier: BSD-2-Clause */
/* Figures that several sinks show and that follow from the model: computed once, in one place. */
#ifndef MEMTRACE_SINK_SUMMARY_H
#define MEMTRACE_SINK_SUMMARY_H

#include "sink/sink.h"

/* Where a target's RSS is. The parts and the rest sum to rss_bytes exactly. */
enum waterfall_part {
	WATERFALL_KEPT,       /* what the findings would give back */
	WATERFALL_ENTRIES,    /* containers, as far as their entries need it */
	WATERFALL_OTHER_LIVE, /* live heap that no container explains */
	WATERFALL_GARBAGE,    /* allocated, not yet collected */
	WATERFALL_FREE_HEAP, /* spans kept for the next allocations, and the gaps inside used ones */
	WATERFALL_STACKS,    /* of goroutines and of the first thread */
	WATERFALL_RUNTIME,
	WATERFALL_NATIVE, /* the heap that brk(2) grows, and what else is known to be malloc's: in use, */
	WATERFALL_ALLOCATOR, /* and free */
	WATERFALL_ANON,      /* other anonymous memory: outside the heap of a known runtime */
	WATERFALL_FILES,     /* mapped files, data of programs and libraries */
	WATERFALL_SHARED,
	WATERFALL_PARTS,
};

struct waterfall {
	uint64_t rss_bytes;
	uint64_t bytes[WATERFALL_PARTS];
	int64_t unexplained_bytes; /* below 0 only where what was measured passes RSS */
};

/* False where RSS is unknown, or neither the state of the heap nor where RSS is mapped is known. */
bool summary_waterfall(
	const struct report *report, const struct target *target, struct waterfall *ret);

/* A finding that counts: no candidate, above INFO. */
bool summary_gates(const struct finding *finding);

/* Bytes of RSS that a finding's fix gives back, 0 for churn (its cost is time, not residence). */
uint64_t summary_gives_back(const struct finding *finding);

struct summary_events {
	uint64_t hits, produced, delivered, lost;
};
void summary_events(const struct model *model, struct summary_events *ret);

/* Probe cost as percent of the targets' CPU time; false where either is unknown. */
bool summary_cost_pct(const struct model *model, double *ret);

/* The name of a host in a report of several, else "". Hostile, as all names. */
const char *summary_host(const struct model *model, uint32_t host);

/*
 * "slices (7.7 % of the time), page faults (30 %) of api: figures are scaled." False where all probes were
 * open all the time.
 */
bool summary_estimated(
	const struct model *model, const struct target *target, char *buf, size_t bytes);

/* True where nothing was attached: the session only read. */
bool summary_read_only(const struct model *model);

/* "proven", "unproven", "dead": by the newest look, or by a write seen since the first one. */
const char *summary_alive(const struct container *container);

#endif
