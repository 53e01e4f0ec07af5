/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Blocks of an allocator, sampled by bytes. A call is followed from its entry, where its size is known, to its
 * return, where the block is. Of calls within calls the outermost counts; inner ones have a deeper stack.
 *
 * A block of less than rate bytes is a sample with the chance bytes / rate, others always: each by a
 * random number of its own, so that whoever knows rate knows how many bytes a sample stands for. The address of
 * a sample is kept until it is given back, whatever thread does that. The end of any other block costs
 * one look into the map, and makes no record.
 */
#ifndef MEMTRACE_BLOCK_BPF_H
#define MEMTRACE_BLOCK_BPF_H

#include "memtrace.bpf.h"
#include "source.bpf.h"

#define BLOCK_THREADS 16384

/* Between the stack pointers of a call and of one within it; what is farther away was left by an unwinder. */
#define BLOCK_CALL_STACK 16384

/* The last call of a thread. */
struct mt_block_call {
	__u64 sp;     /* at its entry, and at its return */
	__u64 opened; /* the window it was made in */
	__u64 bytes;
	__u64 rate;        /* 0 = it is no sample */
	__u64 slot;        /* where the block's address will be; 0 = it is returned */
	__u64 old, old_id; /* the block that it replaces; its number, 0 = that is no sample */
	__u64 pending;     /* it has not returned */
};

/* What a record says: of MT_BLOCK_FREED only the number. */
struct mt_block_sample {
	__u64 addr, bytes, rate, id;
	__u8 flags;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, BLOCK_THREADS);
	__type(key, __u64);
	__type(value, struct mt_block_call);
} block_calls SEC(".maps");

/* Samples that are in use, and their numbers. User space makes room where blocks are wanted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct mt_block_key);
	__type(value, __u64);
} blocks SEC(".maps");

__u64 block_samples = 0;

/* Calls that were never seen to return. */
__u64 block_missed = 0;

static __always_inline int is_of_block(const struct mt_attachment *attachment)
{
	return attachment->kind >= MT_BLOCK_ASKED && attachment->kind <= MT_BLOCK_FREED;
}

static __always_inline void block_fill(
	struct mt_record *record, const struct mt_block_sample *sample)
{
	record->addr = sample->addr;
	record->flags |= sample->flags;
	if (record->kind == MT_BLOCK_FREED) {
		record->val[0] = sample->id;
		return;
	}
	record->val[0] = sample->bytes;
	record->val[1] = sample->rate;
	record->val[2] = sample->id;
}

static __always_inline int block_is_sampled(__u64 bytes, __u64 rate)
{
	return bytes >= rate || bpf_get_prandom_u32() * rate >> 32 < bytes;
}

/* Takes a sample out of the map: its number, 0 = it is none. */
static __always_inline __u64 block_take(__u64 addr, __u32 link)
{
	struct mt_block_key key = {.addr = addr, .link = link};
	__u64 *found = bpf_map_lookup_elem(&blocks, &key), id;

	if (!found)
		return 0;
	id = *found;
	return bpf_map_delete_elem(&blocks, &key) ? 0 : id;
}

static __always_inline int block_keep(__u64 addr, __u32 link, __u64 id)
{
	struct mt_block_key key = {.addr = addr, .link = link};

	return bpf_map_update_elem(&blocks, &key, &id, BPF_ANY);
}

static __always_inline int block_is_within(
	const struct mt_block_call *outer, __u64 sp, __u64 opened)
{
	return outer->pending && outer->opened == opened && sp < outer->sp &&
	       outer->sp - sp < BLOCK_CALL_STACK;
}

/*
 * A call that jumped to another one instead of calling it is that one's now. Any other was left by a way that
 * nobody knows of: its block is missing.
 */
static __always_inline void block_unreturned(
	const struct mt_block_call *before, struct mt_block_call *call)
{
	if (before->sp != call->sp)
		__sync_fetch_and_add(&block_missed, 1);
	if (before->sp != call->sp || call->old_id)
		return;
	call->old = before->old;
	call->old_id = before->old_id;
}

/* The old block is taken before the allocator can hand it to somebody else. */
static __always_inline int block_asked(
	struct pt_regs *ctx, const struct mt_attachment *attachment, const struct mt_gate *gate)
{
	struct mt_block_call call = {.sp = ctx->sp, .opened = gate->opened, .pending = 1};
	__u64 thread = bpf_get_current_pid_tgid(), rate = gate->rate;
	struct mt_block_call *outer = bpf_map_lookup_elem(&block_calls, &thread);

	if (outer && block_is_within(outer, call.sp, call.opened))
		return 0;
	call.bytes = read_one_source(ctx, &attachment->val[0]);
	if (attachment->val[1].from != MT_FROM_NOTHING)
		call.bytes *= read_one_source(ctx, &attachment->val[1]);
	call.slot = read_one_source(ctx, &attachment->val[2]);
	call.old = read_one_source(ctx, &attachment->addr);
	if (block_is_sampled(call.bytes, rate))
		call.rate = rate;
	if (call.old)
		call.old_id = block_take(call.old, attachment->link);
	if (outer && outer->pending && outer->opened == call.opened)
		block_unreturned(outer, &call);
	if (outer)
		*outer = call;
	else
		bpf_map_update_elem(&block_calls, &thread, &call, BPF_ANY);
	return 0;
}

static __always_inline __u64 block_returned(
	struct pt_regs *ctx, const struct mt_attachment *attachment, __u64 slot)
{
	__u64 addr = read_one_source(ctx, &attachment->addr);

	if (!slot)
		return addr;
	/* What is returned is an error number. */
	if ((__u32)addr || bpf_probe_read_user(&addr, sizeof(addr), (void *)slot))
		return 0;
	return addr;
}

/* What a call has replaced is gone, unless there was no room for the new block. */
static __always_inline void block_replaced(
	const struct mt_block_call *call, __u64 addr, __u32 id, __u32 link)
{
	struct mt_block_sample sample = {.addr = call->old, .id = call->old_id};
	struct mt_counters *counts = event_counters(id);
	struct mt_record *record;

	if (!call->old_id || !counts)
		return;
	if (!addr && call->bytes) {
		block_keep(call->old, link, call->old_id);
		return;
	}
	record = event_begin(id, MT_BLOCK_FREED, counts);
	if (!record)
		return;
	block_fill(record, &sample);
	event_submit(record);
}

static __always_inline int block_given(struct pt_regs *ctx, __u32 id,
	const struct mt_attachment *attachment, const struct mt_gate *gate,
	struct mt_block_sample *ret)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct mt_block_call *call = bpf_map_lookup_elem(&block_calls, &thread);

	if (!call || !call->pending || call->opened != gate->opened || call->sp != ctx->sp)
		return 0;
	call->pending = 0;
	ret->addr = block_returned(ctx, attachment, call->slot);
	block_replaced(call, ret->addr, id, attachment->link);
	if (!ret->addr || !call->rate)
		return 0;
	ret->bytes = call->bytes;
	ret->rate = call->rate;
	ret->id = __sync_fetch_and_add(&block_samples, 1) + 1;
	if (block_keep(ret->addr, attachment->link, ret->id))
		ret->flags = MT_UNTRACKED;
	return 1;
}

/* Returns whether a record is to be made of it. */
static __noinline int block_hit(struct pt_regs *ctx, __u32 id,
	const struct mt_attachment *attachment, const struct mt_gate *gate,
	struct mt_block_sample *ret)
{
	if (attachment->kind == MT_BLOCK_ASKED)
		return block_asked(ctx, attachment, gate);
	if (attachment->kind == MT_BLOCK)
		return block_given(ctx, id, attachment, gate, ret);
	ret->addr = read_one_source(ctx, &attachment->addr);
	ret->id = ret->addr ? block_take(ret->addr, attachment->link) : 0;
	return ret->id != 0;
}

#endif
