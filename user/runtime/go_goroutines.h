/* SPDX-License-Identifier: BSD-2-Clause */
/* Goroutines from outside: runtime.allgs, what each waits for, with which stack and message. */
#ifndef MEMTRACE_RUNTIME_GO_GOROUTINES_H
#define MEMTRACE_RUNTIME_GO_GOROUTINES_H

#include "runtime/runtime.h"

#define GO_MAX_GOROUTINES 200000 /* looked at; dead ones stay in allgs and count too */

int go_goroutines(struct runtime_process *process, uint64_t floor,
	void (*found)(const struct runtime_waiters *waiters, void *arg), void *arg,
	struct event_goroutines *ret);

#endif
