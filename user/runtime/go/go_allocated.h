/* SPDX-License-Identifier: BSD-2-Clause */
/* Go's allocation profile as a whole: struct runtime, profile(). */
#ifndef MEMTRACE_RUNTIME_GO_ALLOCATED_H
#define MEMTRACE_RUNTIME_GO_ALLOCATED_H

#include "runtime/runtime.h"

int go_allocated(struct runtime_process *process,
	void (*found)(const struct runtime_allocated *allocated, void *arg), void *arg,
	struct event_profile *ret, char reason[160]);

#endif
