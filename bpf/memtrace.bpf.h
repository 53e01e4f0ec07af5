/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the BPF files share: core.bpf.c owns maps and switches, the others meet it only through the
 * functions below. A record is written in place, in the ring. Per-CPU scratch would be corrupted:
 * on a preemptible kernel two programs interleave on one CPU.
 */
#ifndef MEMTRACE_BPF_H
#define MEMTRACE_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "memtrace.h"

#define STACK_BYTES (MT_STACK_FRAMES * sizeof(__u64))

/* A record with room for a stack: the verifier wants sizes that are constants. */
struct mt_stacked {
	struct mt_record record;
	__u64 stack[MT_STACK_FRAMES];
};

/* The same with room for a copy of the stack. */
struct mt_copied {
	struct mt_record record;
	__u64 regs[MT_COPY_REGS];
	__u8 bytes[MT_COPY_BYTES];
};

/* The same for hits: only the top of the stack. */
struct mt_copied_top {
	struct mt_record record;
	__u64 regs[MT_COPY_REGS];
	__u8 bytes[MT_COPY_HIT_BYTES];
};

/* Counters of a source on this CPU, or NULL. Add with __sync_fetch_and_add: see above. */
struct mt_counters *event_counters(__u32 source);

/* Parts of event_begin(). */
struct mt_record *event_reserve(void);
struct mt_stacked *event_reserve_stacked(void);
struct mt_copied *event_reserve_copied(void);
struct mt_copied_top *event_reserve_copied_top(void);
void event_fill(struct mt_record *record, __u32 source, __u8 kind, __u64 seq);

/*
 * Hands the record over. Wakes the reader only where a quarter of the ring is waiting. Returns whether
 * the ring is so full that whoever can wait should.
 */
int event_submit(struct mt_record *record);

/*
 * Reserves a record with room for a stack (event_begin_stacked) or none, counts it as produced and
 * fills in who and when. NULL where the ring is full: counted as lost. Whoever gets one submits it.
 *
 * Inline, so that the caller's check for NULL and this one become one: up to Linux 6.1 the verifier
 * forgets at a second check that the first has passed, and misses a submit on the impossible path.
 */
static __always_inline struct mt_record *event_begin(
	__u32 source, __u8 kind, struct mt_counters *counts)
{
	__u64 seq = __sync_fetch_and_add(&counts->produced, 1);
	struct mt_record *record = event_reserve();

	if (!record) {
		__sync_fetch_and_add(&counts->lost, 1);
		return NULL;
	}
	record->size = sizeof(*record);
	event_fill(record, source, kind, seq);
	return record;
}

static __always_inline struct mt_stacked *event_begin_stacked(
	__u32 source, __u8 kind, struct mt_counters *counts)
{
	__u64 seq = __sync_fetch_and_add(&counts->produced, 1);
	struct mt_stacked *stacked = event_reserve_stacked();

	if (!stacked) {
		__sync_fetch_and_add(&counts->lost, 1);
		return NULL;
	}
	stacked->record.size = sizeof(*stacked);
	event_fill(&stacked->record, source, kind, seq);
	return stacked;
}

static __always_inline struct mt_copied *event_begin_copied(
	__u32 source, __u8 kind, struct mt_counters *counts)
{
	__u64 seq = __sync_fetch_and_add(&counts->produced, 1);
	struct mt_copied *copied = event_reserve_copied();

	if (!copied) {
		__sync_fetch_and_add(&counts->lost, 1);
		return NULL;
	}
	copied->record.size = sizeof(*copied);
	event_fill(&copied->record, source, kind, seq);
	return copied;
}

static __always_inline struct mt_copied_top *event_begin_copied_top(
	__u32 source, __u8 kind, struct mt_counters *counts)
{
	__u64 seq = __sync_fetch_and_add(&counts->produced, 1);
	struct mt_copied_top *copied = event_reserve_copied_top();

	if (!copied) {
		__sync_fetch_and_add(&counts->lost, 1);
		return NULL;
	}
	copied->record.size = sizeof(*copied);
	event_fill(&copied->record, source, kind, seq);
	return copied;
}

/*
 * What can be read of MT_COPY_BYTES from addr on, page by page: the stack may end, or may not be there
 * yet, within them. One page less than they touch: with all of them they would have been read at once.
 */
static __always_inline __u64 copy_pages(__u8 *bytes, __u64 addr)
{
	__u64 first = 4096 - (addr & 4095);

	if (bpf_probe_read_user(bytes, first, (void *)addr))
		return 0;
	if (bpf_probe_read_user(bytes + first, 4096, (void *)(addr + first)))
		return first;
	if (bpf_probe_read_user(bytes + first + 4096, 4096, (void *)(addr + first + 4096)))
		return first + 4096;
	return first + 8192;
}

static __always_inline void event_copy_registers(
	__u64 copied[MT_COPY_REGS], const struct pt_regs *regs)
{
	copied[MT_COPY_IP] = regs->ip;
	copied[MT_COPY_SP] = regs->sp;
	copied[MT_COPY_BP] = regs->bp;
	copied[MT_COPY_BX] = regs->bx;
	copied[MT_COPY_R12] = regs->r12;
	copied[MT_COPY_R13] = regs->r13;
	copied[MT_COPY_R14] = regs->r14;
	copied[MT_COPY_R15] = regs->r15;
}

static __always_inline void event_copy_stack(struct mt_copied *copied, const struct pt_regs *regs)
{
	__u64 sp = regs->sp & ~7ull, bytes = MT_COPY_BYTES;

	event_copy_registers(copied->regs, regs);
	if (bpf_probe_read_user(copied->bytes, MT_COPY_BYTES, (void *)sp))
		bytes = copy_pages(copied->bytes, sp);
	copied->record.flags |= MT_HAS_COPY;
	copied->record.stack_bytes = sizeof(copied->regs) + bytes;
}

/* The stack may end within what is wanted, at a page's end. */
static __always_inline void event_copy_top(struct mt_copied_top *copied, const struct pt_regs *regs)
{
	__u64 sp = regs->sp & ~7ull, bytes = MT_COPY_HIT_BYTES;

	event_copy_registers(copied->regs, regs);
	if (bpf_probe_read_user(copied->bytes, MT_COPY_HIT_BYTES, (void *)sp)) {
		bytes = 4096 - (sp & 4095);
		if (bytes >= MT_COPY_HIT_BYTES ||
			bpf_probe_read_user(copied->bytes, bytes, (void *)sp))
			bytes = 0;
	}
	copied->record.flags |= MT_HAS_COPY;
	copied->record.stack_bytes = sizeof(copied->regs) + bytes;
}

/* Ends a record about the kernel: the registers are those with which the task entered it. */
static __always_inline int event_end_copied(struct mt_copied *copied)
{
	struct task_struct *task = bpf_get_current_task_btf();

	event_copy_stack(copied, (struct pt_regs *)bpf_task_pt_regs(task));
	event_submit(&copied->record);
	return 0;
}

/* Adds the user stack as the kernel walks it by frame pointers, and hands the record over. */
static __always_inline void event_end_stacked(void *ctx, struct mt_stacked *stacked)
{
	long bytes = bpf_get_stack(ctx, stacked->stack, STACK_BYTES, BPF_F_USER_STACK);

	if (bytes > 0) {
		stacked->record.stack_bytes = bytes;
		stacked->record.flags |= MT_HAS_STACK;
	}
	event_submit(&stacked->record);
}

/* Writes a record to the control ring, whose reader is woken at once. */
void control_report(__u8 kind, __u32 tgid, __u64 value, __u64 faults, __s64 pages);

/* Process and thread id of the current task in memtrace's pid namespace: tgid << 32 | tid. */
__u64 current_ids(void);

/* The process's entry in the targets map, or NULL. */
struct mt_target *target_find(__u32 tgid);

/* Where the RSS of a target is kept, or NULL of any other process. */
struct mt_rss *rss_of(__u32 tgid);

#endif
