/* SPDX-License-Identifier: BSD-2-Clause */
/* A program's own allocation profile, from the runtime into the model. */
#ifndef MEMTRACE_TRACE_ALLOCATED_H
#define MEMTRACE_TRACE_ALLOCATED_H

#include "model/model.h"
#include "runtime/runtime.h"
#include "trace/symbolizer.h"

/*
 * Reads the whole profile of a target and applies it; one reading replaces the one before. Where there
 * is none, the model is told why.
 */
void allocated_read(const struct runtime *runtime, struct runtime_process *process,
	struct symbolizer *symbolizer, struct model *model, uint32_t target, uint64_t now_ns);

#endif
