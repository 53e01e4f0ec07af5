/* SPDX-License-Identifier: BSD-2-Clause */
/* look() of runtimes whose containers are looked at one by one. */
#ifndef MEMTRACE_RUNTIME_LOOK_EACH_H
#define MEMTRACE_RUNTIME_LOOK_EACH_H

#include "runtime/runtime.h"

typedef void look_one(struct runtime_process *process, uint64_t type, enum family family,
	uint64_t key, uint64_t length_peak, bool deep, struct event_look *ret);

/* The rest as struct runtime's look(). */
int look_each(look_one *look, struct runtime_process *process, enum family family,
	const uint64_t *keys, const uint64_t *types, const uint64_t *length_peaks, size_t count,
	bool deep, struct event_look *ret);

#endif
