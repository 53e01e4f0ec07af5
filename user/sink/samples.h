/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Samples: what a model says of stacks, for the formats that know stacks and numbers only. One table
 * names the kinds of numbers; folded takes one of them, pprof all.
 */
#ifndef MEMTRACE_SINK_SAMPLES_H
#define MEMTRACE_SINK_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

#define SAMPLE_MAX_TYPES 16

struct sample_type {
	const char *name; /* "held_bytes" */
	const char *unit; /* "bytes", "count" */
	/* What a site, a living container or a stack of the allocation profile adds; NULL = nothing */
	uint64_t (*of_site)(const struct model *model, const struct site *site);
	uint64_t (*of_container)(const struct container *container);
	uint64_t (*of_allocated)(const struct event_allocated *allocated);
};

/* The kinds in the order of sample.values; NULL at the end. The first is the default. */
const struct sample_type *sample_type_get(size_t i);
size_t sample_type_count(void);

/* One stack, or containers whose stack is unknown and that have type and owner in common. */
struct sample {
	uint32_t target;
	enum family family;
	const char *type, *owner;         /* "" = unknown; hostile, as all names */
	const struct model_frame *frames; /* innermost first */
	size_t frame_count;               /* 0 = the place is unknown */
	uint64_t values[SAMPLE_MAX_TYPES];
};

/* Calls emit for each sample that has a value above 0, in the order of their sites. */
void samples_each(
	const struct model *model, void (*emit)(const struct sample *sample, void *arg), void *arg);

#endif
