/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The BPF object: loaded once a run, its maps and switches as plain functions. Everything is bound
 * to descriptors of this process: whenever and however memtrace ends, the kernel is clean.
 *
 * After trace_bpf_load() all capabilities may go: reading, switching, detaching and new uprobe_multi
 * links keep working. Not thread-safe, except trace_bpf_set_gate() and trace_bpf_read_counters().
 */
#ifndef MEMTRACE_TRACE_BPF_H
#define MEMTRACE_TRACE_BPF_H

#include <stdbool.h>
#include <stdint.h>

#include "memtrace.h"

struct trace_bpf;

struct trace_bpf_options {
	uint32_t ring_bytes; /* a power of two >= 4096; 0 = 4 MiB */
	bool no_kernel;      /* uprobes only: no faults, exec, exit, fork */
	uint32_t blocks;     /* sampled blocks that may be in use; 0 = none are sampled */
};

/* The last gate belongs to memtrace itself: self-test and calibration. */
#define TRACE_BPF_OWN_LINK (MT_MAX_LINKS - 1)

/*
 * Opens and loads. Where tp_btf is refused, the object is loaded without the kernel's own events. On
 * failure error says in one sentence what is missing and what helps.
 */
int trace_bpf_load(
	const struct trace_bpf_options *options, struct trace_bpf **ret, char error[256]);
void trace_bpf_close(struct trace_bpf *bpf);

/*
 * Attaches exec, exit, fork and, with faults, page faults; nothing is reported until a target is
 * added. Returns 0 or -errno; ret_fault_mode is "tp_btf", "perf" or "none".
 */
int trace_bpf_attach_kernel(struct trace_bpf *bpf, bool faults, const char **ret_fault_mode);
void trace_bpf_detach_kernel(struct trace_bpf *bpf);

/*
 * One more, or one less, wants page faults: they are attached while there is anybody, and cost nothing
 * while there is not. What happened meanwhile is in no count. -EOPNOTSUPP where there is no way to.
 */
int trace_bpf_want_faults(struct trace_bpf *bpf, bool wanted);

/*
 * The same for the system calls that change address spaces. While anybody wants them, every system call
 * of every process takes the kernel's slower way. Returns 0 or -errno.
 */
int trace_bpf_want_calls(struct trace_bpf *bpf, bool wanted);

/* System calls that paid for it so far: of the first target, and of everybody else. */
void trace_bpf_read_calls(struct trace_bpf *bpf, uint64_t *ret_own, uint64_t *ret_others);

/* Whose kernel events are wanted (pid: in our namespace); follow: its children's too. */
int trace_bpf_add_target(struct trace_bpf *bpf, int pid, bool follow);

/*
 * Samples of a target that was just added carry copies of its stack (MT_HAS_COPY) instead of return
 * addresses; those of children that are followed, too.
 */
int trace_bpf_copy_stacks(struct trace_bpf *bpf, int pid);
int trace_bpf_remove_target(struct trace_bpf *bpf, int pid);

/* MT_EXEC comes from every process of the machine from now on, not only from targets. */
void trace_bpf_want_all_execs(struct trace_bpf *bpf);

/* User page faults of a target since it was added; after its exit: val[1] of its MT_EXIT. -ENOENT. */
int trace_bpf_read_faults(struct trace_bpf *bpf, int pid, uint64_t *ret);

/* Uprobes fire only in targets from now on: for links that the kernel does not filter by pid. */
void trace_bpf_filter_uprobes(struct trace_bpf *bpf, bool on);

/* One fault sample per so many faults of a process; at the start: */
#define TRACE_BPF_FAULT_PERIOD 64
void trace_bpf_set_fault_period(struct trace_bpf *bpf, uint32_t faults);

/*
 * The period at which so many faults a second make TRACE_BPF_FAULT_SAMPLES samples, at least the first
 * one; and setting it by the faults of the last second: call it as often as you like.
 */
#define TRACE_BPF_FAULT_SAMPLES 200
uint32_t trace_bpf_fault_period(double faults_per_s);
void trace_bpf_adapt_fault_period(struct trace_bpf *bpf, uint64_t now_ns);

/* Forgets what was counted of MT_SRC_FAULT; while there are no targets. */
void trace_bpf_clear_faults(struct trace_bpf *bpf);

/*
 * Numbers for a new attachment (its counters start at 0) and a new link's gate (shut). They go
 * round, so that a number is not used again while records of its last owner may be queued. -ENOSPC.
 */
int trace_bpf_take_attachment(struct trace_bpf *bpf);
void trace_bpf_give_attachment(struct trace_bpf *bpf, uint32_t id);
int trace_bpf_take_link(struct trace_bpf *bpf);
void trace_bpf_give_link(struct trace_bpf *bpf, uint32_t link);

/* Row of an attachment (0 .. MT_MAX_ATTACHMENTS - 1, or MT_SRC_CALIBRATE); before attaching. */
int trace_bpf_set_attachment(
	struct trace_bpf *bpf, uint32_t id, const struct mt_attachment *attachment);

/* Lets the probes of a link deliver, or not: takes effect at once, their traps stay. */
void trace_bpf_set_gate(struct trace_bpf *bpf, uint32_t link, bool open);

/*
 * How many records a link may deliver from now on, until it is said again (at first: any number). Where
 * they, or the room in the ring, have run out, BPF shuts the gate itself and notes when (CLOCK_MONOTONIC);
 * that is 0 again once trace_bpf_set_gate() was called. While a gate has been open, its credit is lower by
 * every hit of its probes.
 */
void trace_bpf_set_credit(struct trace_bpf *bpf, uint32_t link, int64_t records);
int64_t trace_bpf_read_credit(const struct trace_bpf *bpf, uint32_t link);
uint64_t trace_bpf_read_shut_ns(const struct trace_bpf *bpf, uint32_t link);

/* MT_BLOCK: bytes that one sample of a link stands for from now on, at least; 1 .. 2^31 - 1. */
void trace_bpf_set_rate(struct trace_bpf *bpf, uint32_t link, uint64_t bytes);

/* Calls of allocators that were never seen to return. */
uint64_t trace_bpf_read_missed_calls(const struct trace_bpf *bpf);

/* Forgets the sampled blocks of a link that is closed and will not be opened again. */
void trace_bpf_forget_blocks(struct trace_bpf *bpf, uint32_t link);

/* Sum over all CPUs. source: an attachment's id or enum mt_source_id. Hits of MT_SRC_FAULT: all faults. */
int trace_bpf_read_counters(struct trace_bpf *bpf, uint32_t source, struct mt_counters *ret);

/* Runs that the kernel skipped because a program was already running on that CPU: loss, too. */
uint64_t trace_bpf_read_misses(struct trace_bpf *bpf);

/* Descriptors, owned by bpf. The programs are -1 where the kernel did not take them. */
int trace_bpf_ring_fd(const struct trace_bpf *bpf);
int trace_bpf_control_fd(const struct trace_bpf *bpf);
int trace_bpf_multi_fd(const struct trace_bpf *bpf);
int trace_bpf_perf_fd(const struct trace_bpf *bpf);

#endif
