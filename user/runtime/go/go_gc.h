/* SPDX-License-Identifier: BSD-2-Clause */
/* What Go's collector did: pauses, marking, and who did it. */
#ifndef MEMTRACE_RUNTIME_GO_GC_H
#define MEMTRACE_RUNTIME_GO_GC_H

#include "runtime/go/go_process.h"

/*
 * Adds pauses and marking of the completed cycles to heap, whose gc_cycles and gc_running are known. What
 * cannot be read stays 0. Reads only when a cycle has completed since it was called last.
 */
void go_gc_add_view(struct runtime_process *process, struct event_heap *heap);

#endif
