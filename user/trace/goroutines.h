/* SPDX-License-Identifier: BSD-2-Clause */
/* The goroutines of a program, from the runtime into the model. */
#ifndef MEMTRACE_TRACE_GOROUTINES_H
#define MEMTRACE_TRACE_GOROUTINES_H

#include "model/model.h"
#include "runtime/runtime.h"
#include "trace/symbolizer.h"

#define GOROUTINES_FLOOR 16 /* fewer with one stack are counted only */

/*
 * Reads all goroutines of a target and applies them. 0; -ENOTSUP where this binary never tells (a skip was
 * added); anything else: not this time.
 */
int goroutines_read(const struct runtime *runtime, struct runtime_process *process,
	struct symbolizer *symbolizer, struct model *model, uint32_t target, uint64_t now_ns);

#endif
