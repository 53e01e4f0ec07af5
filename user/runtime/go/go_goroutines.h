/* SPDX-License-Identifier: BSD-2-Clause */
/* Goroutines from outside: runtime.allgs, what each waits for, with which stack and message. */
#ifndef MEMTRACE_RUNTIME_GO_GOROUTINES_H
#define MEMTRACE_RUNTIME_GO_GOROUTINES_H

#include "runtime/runtime.h"

#define GO_MAX_GOROUTINES 200000 /* looked at; dead ones stay in allgs and count too */

int go_goroutines(struct runtime_process *process, uint64_t floor,
	void (*found)(const struct runtime_waiters *waiters, void *arg), void *arg,
	struct event_goroutines *ret);

/* The stack of a goroutine that does not run: in use from sp up to hi. */
struct go_stack {
	uint64_t sp, hi;
	const void *state; /* for go_stack_walk() */
};

/* All of them, the last that ended left out. 0, -ENOTSUP, -ESRCH, or what stack() says. */
int go_goroutines_stacks(struct runtime_process *process,
	int (*stack)(const struct go_stack *stack, void *arg), void *arg);

/* Its frames, from the one that holds addr on, and, last, who started it; inside of stack() only. Returns how many. */
size_t go_stack_walk(
	const struct go_stack *stack, uint64_t addr, uint64_t ret_pcs[RUNTIME_WAIT_PCS]);

#endif
