/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks of glibc's malloc that realloc makes larger: growth and looks. Tracer only. */
#ifndef MEMTRACE_RUNTIME_C_ARRAYS_H
#define MEMTRACE_RUNTIME_C_ARRAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/runtime.h"

#define C_CALLS 256

/* One file of a process. */
struct runtime_process {
	struct target_mem *mem;
	/* Calls whose result is still to come, by thread; of two that share a place the later one. */
	struct c_call {
		uint32_t tid;
		uint64_t block, size;
	} calls[C_CALLS];
	bool glibc_malloc; /* a block of it has been seen: those that are none are dead */
};

/* As struct runtime's decode(); the type of an array is the number of bytes that were asked for. */
int c_arrays_decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret, uint64_t *ret_type);

/* asked: the bytes that were asked for it. */
void c_arrays_look(struct runtime_process *process, uint64_t key, uint64_t asked, bool deep,
	struct event_look *ret);

#endif
