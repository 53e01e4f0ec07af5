/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whole stacks from registers and a copy of the stack's top, for programs that keep no frame pointers.
 * The parser child is asked for each address once; its rules are remembered. One per process image.
 */
#ifndef MEMTRACE_TRACE_UNWINDER_H
#define MEMTRACE_TRACE_UNWINDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memtrace.h"
#include "runtime/parser.h"
#include "trace/symbolizer.h"

#define UNWINDER_MAX_FRAMES 128

struct unwinder;

/* Both must outlive it. */
struct unwinder *unwinder_new(struct parser *parser, struct symbolizer *symbolizer);
void unwinder_free(struct unwinder *unwinder);

/*
 * Unwinds a record with MT_HAS_COPY: ret gets the probed address and then return addresses, innermost
 * first. Returns how many, at least 1; 0 where the record has no copy.
 */
size_t unwinder_run(struct unwinder *unwinder, const struct mt_record *record,
	uint64_t ret[UNWINDER_MAX_FRAMES]);

/* How the stacks of samples ended so far; those of hits are cut short on purpose. */
struct model_unwound unwinder_counts(const struct unwinder *unwinder);

#endif
