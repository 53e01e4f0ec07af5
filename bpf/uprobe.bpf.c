/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * One program for every uprobe of every runtime. What a probe reads is data: the cookie names its
 * row in the attachments map, and the row says which registers and which words behind them make the
 * record. A new family is new rows; nothing is added here.
 *
 * Functions that call each other may use 512 bytes of stack together: what needs much of it is not inline.
 *
 * The same body is two programs, because the kernel fixes at load time whether a program belongs to
 * uprobe_multi links or to perf events.
 */
#include "block.bpf.h"
#include "memtrace.bpf.h"
#include "source.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MT_SRC_MAX);
	__type(key, __u32);
	__type(value, struct mt_attachment);
} attachments SEC(".maps");

/* One a link; user space writes them through the mapping of .bss. */
struct mt_gate gates[MT_MAX_LINKS] __attribute__((aligned(64))) = {};

/* True where a link fires in other processes too (no pid filter in the kernel). */
volatile __u8 filter_uprobes = 0;

/*
 * g starts with its stack's bounds (runtime/runtime2.go, every version). They are taken now: Go moves
 * stacks, and by the time the record is read a header that lay on this one may have a new address.
 */
static __always_inline void read_goroutine(struct mt_record *record, __u64 g)
{
	__u64 bounds[2];

	record->goroutine = g;
	if (bpf_probe_read_user(bounds, sizeof(bounds), (void *)g))
		return;
	record->stack_lo = bounds[0];
	record->stack_hi = bounds[1];
}

static __always_inline void read_sources(
	struct mt_record *record, const struct mt_attachment *attachment, struct pt_regs *ctx)
{
	__u64 regs[MT_REG_MAX];

	copy_registers(regs, ctx);
	record->addr = read_source(&record->flags, &attachment->addr, regs);
	record->val[0] = read_source(&record->flags, &attachment->val[0], regs);
	record->val[1] = read_source(&record->flags, &attachment->val[1], regs);
	record->val[2] = read_source(&record->flags, &attachment->val[2], regs);
	record->val[3] = read_source(&record->flags, &attachment->val[3], regs);
	record->val[4] = read_source(&record->flags, &attachment->val[4], regs);
	record->val[5] = read_source(&record->flags, &attachment->val[5], regs);
	if (attachment->flags & MT_ATTACH_GO)
		read_goroutine(record, ctx->r14);
}

static __noinline int fill_values(struct mt_record *record, const struct mt_attachment *attachment,
	struct pt_regs *ctx, const struct mt_block_sample *sample)
{
	if (is_of_block(attachment))
		block_fill(record, sample);
	else
		read_sources(record, attachment, ctx);
	return 0;
}

/*
 * Before a function has set up its frame, RBP is still its caller's, and the walk along frame
 * pointers steps over the direct caller: its address is only at [RSP]. Kernels since 6.11 repair
 * that at `push %rbp`, and only there; so compare, whatever the kernel.
 */
static __noinline int insert_caller(struct mt_stacked *stacked, struct pt_regs *ctx)
{
	__u64 caller;

	if (bpf_probe_read_user(&caller, sizeof(caller), (void *)ctx->sp))
		return 0;
	if (stacked->record.stack_bytes > sizeof(__u64) && stacked->stack[1] == caller)
		return 0;
#pragma unroll
	for (int i = MT_STACK_FRAMES - 1; i > 1; i--)
		stacked->stack[i] = stacked->stack[i - 1];
	stacked->stack[1] = caller;
	if (stacked->record.stack_bytes < STACK_BYTES)
		stacked->record.stack_bytes += sizeof(__u64);
	return 0;
}

static __always_inline void read_stack(struct mt_stacked *stacked, __u8 flags, struct pt_regs *ctx)
{
	long bytes = bpf_get_stack(ctx, stacked->stack, STACK_BYTES, BPF_F_USER_STACK);

	if (bytes <= 0) {
		/* No callchain to be had: the probed instruction itself is still known. */
		stacked->stack[0] = ctx->ip;
		bytes = sizeof(__u64);
	}
	stacked->record.stack_bytes = bytes;
	stacked->record.flags |= MT_HAS_STACK;
	if (flags & (MT_ATTACH_AT_ENTRY | MT_ATTACH_STACK_CHECK))
		insert_caller(stacked, ctx);
}

/* Returns whether the ring has room for the next one. */
static __always_inline int record_hit(struct pt_regs *ctx, __u32 id,
	const struct mt_attachment *attachment, struct mt_counters *counts,
	const struct mt_block_sample *sample)
{
	struct mt_stacked *stacked;
	struct mt_copied_top *copied;
	struct mt_record *record;

	if (!(attachment->flags & MT_ATTACH_STACK)) {
		record = event_begin(id, attachment->kind, counts);
		if (!record)
			return 0;
		fill_values(record, attachment, ctx, sample);
		return !event_submit(record);
	}
	if (attachment->flags & MT_ATTACH_STACK_COPY) {
		copied = event_begin_copied_top(id, attachment->kind, counts);
		if (!copied)
			return 0;
		fill_values(&copied->record, attachment, ctx, sample);
		event_copy_top(copied, ctx);
		return !event_submit(&copied->record);
	}
	stacked = event_begin_stacked(id, attachment->kind, counts);
	if (!stacked)
		return 0;
	fill_values(&stacked->record, attachment, ctx, sample);
	read_stack(stacked, attachment->flags, ctx);
	return !event_submit(&stacked->record);
}

/* The first one says when: records of other CPUs may still be under way, none begins after. */
static __always_inline int shut(struct mt_gate *gate)
{
	if (__sync_bool_compare_and_swap(&gate->open, 1, 0))
		gate->shut_ns = bpf_ktime_get_ns();
	return 0;
}

/* Unreadable counts as 0. */
static __always_inline int is_below_floor(
	const struct mt_attachment *attachment, struct pt_regs *ctx)
{
	return attachment->floor && read_one_source(ctx, &attachment->val[0]) < attachment->floor;
}

static __always_inline int is_of_another(
	const struct mt_attachment *attachment, struct pt_regs *ctx)
{
	return attachment->only && read_one_source(ctx, &attachment->addr) != attachment->only;
}

static __always_inline int hit(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct mt_block_sample sample = {};
	struct mt_attachment *attachment;
	struct mt_counters *counts;
	struct mt_gate *gate;
	__u32 id = cookie;

	if (cookie >= MT_SRC_MAX || (filter_uprobes && !target_find(current_ids() >> 32)))
		return 0;
	counts = event_counters(id);
	attachment = bpf_map_lookup_elem(&attachments, &id);
	if (!counts || !attachment)
		return 0;
	__sync_fetch_and_add(&counts->hits, 1);
	gate = &gates[attachment->link & (MT_MAX_LINKS - 1)];
	if (!*(volatile __u32 *)&gate->open)
		return 0;
	if (is_of_another(attachment, ctx))
		return 0;
	if (__sync_fetch_and_add(&gate->credit, -1) <= 0)
		return shut(gate);
	if (is_of_block(attachment) && !block_hit(ctx, id, attachment, gate, &sample))
		return 0;
	if (is_below_floor(attachment, ctx))
		return 0;
	/* CF or ZF: the jbe is taken, to morestack, which will come back here. */
	if (attachment->flags & MT_ATTACH_STACK_CHECK && ctx->flags & 0x41)
		return 0;
	if (!record_hit(ctx, id, attachment, counts, &sample))
		return shut(gate);
	return 0;
}

SEC("uprobe")
int mt_uprobe_multi(struct pt_regs *ctx)
{
	return hit(ctx);
}

SEC("uprobe")
int mt_uprobe_perf(struct pt_regs *ctx)
{
	return hit(ctx);
}
