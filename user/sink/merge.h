/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Findings of several processes that are one finding: the same rule at the same place of the same build. Each
 * stays what it is in its own process; together they are named once, with what each process adds.
 */
#ifndef MEMTRACE_SINK_MERGE_H
#define MEMTRACE_SINK_MERGE_H

#include "sink/sink.h"

struct merge {
	const struct report *report;
	size_t *first; /* by finding: the highest ranked one that is the same, often itself */
};

void merge_init(struct merge *merge, const struct report *report);
void merge_done(struct merge *merge);

/* Is it the one that stands for its group? Candidates always stand for themselves. */
bool merge_is_first(const struct merge *merge, size_t index);

/* Walks a group from its first one: the next member's index, SIZE_MAX at the end. */
size_t merge_next(const struct merge *merge, size_t index);

struct merge_sum {
	size_t processes;
	uint64_t bytes, saves_bytes, saves_rss_bytes, bytes_per_second;
};
struct merge_sum merge_sum(const struct merge *merge, size_t first);

/* What the processes of one host add to it. */
struct merge_sum merge_sum_of_host(const struct merge *merge, size_t first, uint32_t host);

#endif
