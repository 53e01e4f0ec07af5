/* SPDX-License-Identifier: BSD-2-Clause */
/* Allocations of a Go program that keeps no profile, sampled by probes in its allocator. */
#ifndef MEMTRACE_RUNTIME_GO_SAMPLED_H
#define MEMTRACE_RUNTIME_GO_SAMPLED_H

#include "runtime/runtime.h"

struct go_samples;

/* What is allocated from now on counts. NULL where the allocator's own counts cannot be read. */
struct go_samples *go_sampled_open(struct runtime_process *process);
void go_sampled_close(struct go_samples *samples);

/* Takes a hit of GO_PROBE_ALLOC_LARGE or GO_PROBE_REFILL. 0, -EBADMSG where its numbers cannot be true. */
int go_sampled_take(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record);

/* As profile() of struct runtime. -ENODATA where nothing was sampled. */
int go_sampled_profile(struct runtime_process *process,
	void (*found)(const struct runtime_allocated *allocated, void *arg), void *arg,
	struct event_profile *ret);

#endif
