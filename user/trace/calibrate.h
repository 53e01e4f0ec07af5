/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one hit costs on this machine: measured at start-up on code of our own, because it differs
 * twenty-fold between instructions and several-fold between machines.
 */
#ifndef MEMTRACE_TRACE_CALIBRATE_H
#define MEMTRACE_TRACE_CALIBRATE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/runtime.h"
#include "trace/attach.h"

struct trace_bpf;

/* CPU nanoseconds a hit, the bare call subtracted. */
struct calibrate_price {
	uint64_t count_ns;  /* gate shut: the trap and the count */
	uint64_t record_ns; /* a record without stack */
	uint64_t stack_ns;  /* a record with a stack, walked along frame pointers */
	uint64_t copy_ns;   /* a record with a copy of the stack */
	uint64_t block_ns;  /* a call of an allocator: no record, but what waits for its return */
};

/* CPU nanoseconds a user page fault of a target; 0 where faults are not traced by tp_btf. */
struct calibrate_fault_price {
	uint64_t count_ns;  /* counting it */
	uint64_t sample_ns; /* a sample of it, besides */
};

struct calibrate_prices {
	struct calibrate_price emulated; /* probes on instructions that the kernel emulates */
	struct calibrate_price stepped;  /* on any other */
	struct calibrate_fault_price fault;
	uint64_t call_ns;  /* any system call of any process, while they are traced: see below */
	uint64_t grace_ns; /* closing one descriptor */
};

/*
 * Measures, in about 0.3 s, on the calling thread. Before drain_start(): the records made are thrown
 * away here. Before trace_bpf_attach_kernel(), too. Uses TRACE_BPF_OWN_LINK and MT_SRC_CALIBRATE.
 */
int calibrate_run(struct trace_bpf *bpf, enum attach_mode mode, struct calibrate_prices *ret);

/* Measures prices->call_ns, for which system calls are traced for some milliseconds: only where asked for. */
void calibrate_calls(struct trace_bpf *bpf, struct calibrate_prices *prices);

/* What a hit on this probe costs while its gate is open, and while it is shut. */
uint64_t calibrate_open_ns(
	const struct calibrate_prices *prices, const struct runtime_probe *probe);
uint64_t calibrate_shut_ns(
	const struct calibrate_prices *prices, const struct runtime_probe *probe);

/*
 * What a probe has cost so far by its counters: produced records at the open price, others shut; those of
 * allocators as if their gate had been open all the time.
 */
uint64_t calibrate_cost_ns(const struct calibrate_prices *prices, const struct runtime_probe *probe,
	const struct mt_counters *counters);

/* What counting and sampling faults has cost so far, by the counters of MT_SRC_FAULT. */
uint64_t calibrate_fault_cost_ns(
	const struct calibrate_prices *prices, const struct mt_counters *counters);

#endif
