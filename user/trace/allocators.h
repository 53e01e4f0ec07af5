/* SPDX-License-Identifier: BSD-2-Clause */
/* What malloc keeps for itself, from the target's memory into the model. */
#ifndef MEMTRACE_TRACE_ALLOCATORS_H
#define MEMTRACE_TRACE_ALLOCATORS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/model.h"
#include "target/mem.h"
#include "trace/module.h"

/* Between two looks: so many times as long as one takes, within these bounds. */
#define ALLOCATORS_REST    200
#define ALLOCATORS_NS      (10ull * 1000000000)
#define ALLOCATORS_SLOW_NS (60ull * 1000000000)

struct allocators;

/* Everything that is handed over must outlive them. */
struct allocators *allocators_new(int pid, struct target_mem *mem, struct modules *modules,
	struct model *model, uint32_t target);
void allocators_free(struct allocators *allocators);

/* Looks where it is time to; last: in any case, and as thoroughly as it takes. */
void allocators_poll(struct allocators *allocators, uint64_t now_ns, bool last);

#endif
