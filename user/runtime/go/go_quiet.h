/* SPDX-License-Identifier: BSD-2-Clause */
/* Go containers that say at each look what they said before: see go_quiet.c. */
#ifndef MEMTRACE_RUNTIME_GO_QUIET_H
#define MEMTRACE_RUNTIME_GO_QUIET_H

#include "runtime/go/go_process.h"

#define GO_QUIET_BYTES 64 /* of a header, the longest */

/* The look at a container that has just ended said what the one before did; its header was these bytes. */
void go_quiet_begin(struct runtime_process *process, struct go_container *container,
	const uint8_t *raw, uint32_t bytes);

/* runtime.h, quiet */
int go_quiet(struct runtime_process *process, const uint64_t *keys, size_t count, bool *ret);

void go_quiet_done(struct runtime_process *process);

#endif
