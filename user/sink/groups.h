/* SPDX-License-Identifier: BSD-2-Clause */
/* The targets of a report by their cgroups: what they share is one memory, with one limit. */
#ifndef MEMTRACE_SINK_GROUPS_H
#define MEMTRACE_SINK_GROUPS_H

#include "model/model.h"

#define GROUP_MAX_CLUSTERS 8

/* Steps of several processes at the same time. */
struct group_cluster {
	uint64_t start_ns, end_ns;
	uint64_t delta_bytes; /* all of them together */
	size_t processes;
};

struct group {
	const char *cgroup;
	uint32_t host;                /* whose it is */
	uint32_t first;               /* its first target */
	size_t targets;               /* those that were traced */
	uint64_t rss_bytes;           /* of those that are still there */
	uint64_t limit_bytes;         /* the smallest on the way up; 0 = none */
	const struct target *reading; /* the one that was asked last; NULL = none */
	uint64_t working_set_bytes, working_set_peak_bytes;
	size_t cluster_count; /* the largest first */
	struct group_cluster clusters[GROUP_MAX_CLUSTERS];
};

/* The i-th group, in the order of their first targets; false where there are no more. */
bool group_get(const struct model *model, size_t i, struct group *ret);

/* Is the process in it? */
bool group_has(const struct group *group, const struct target *target);

#endif
