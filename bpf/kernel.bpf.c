/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the kernel itself knows: page faults (counted always, sampled with a stack), exec, exit, fork
 * and the OOM killer's choice. Tracepoints only; the four used here have had the same arguments at
 * the places we read since Linux 5.10.
 */
#include "rss.bpf.h"

#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

extern struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct mt_target);
} targets SEC(".maps");

__u32 task_tgid(struct task_struct *task);

/* Faults of a process that make one sample, on average. */
volatile __u32 fault_period = 64;

/*
 * The short way: faults are the most frequent event there is, and most sessions have one target. Its
 * tgid (0 = none has it) is compared before any map is asked, and each CPU counts by itself. Plain
 * additions are enough: the kernel never runs a program twice at a time on one CPU.
 */
volatile __u32 fault_tgid = 0;
volatile __u8 fault_others = 0; /* there have been targets besides */
volatile __u64 fault_base = 0;  /* sum of all slots when the target was added */
struct mt_fault_slot fault_slots[MT_FAULT_CPUS] __attribute__((aligned(64))) = {};
struct mt_rss fault_rss __attribute__((aligned(64))) = {};

/* Exec is told of every process: there are more to come whose numbers nobody knows yet. */
volatile __u8 all_execs = 0;

/* Set by identify_self(), core.bpf.c. */
extern volatile __u32 pid_level;

/* A single fault that gains as much has got a huge page: it is worth a sample of its own. */
#define HUGE_PAGES 256

/* What a record stands for is taken with it. */
static __always_inline void take_rss(struct mt_rss *rss, struct mt_record *record)
{
	record->val[1] = __sync_lock_test_and_set(&rss->gained, 0);
	record->val[2] = __sync_lock_test_and_set(&rss->lost, 0);
}

/*
 * The next threshold is spread over half to one and a half periods: programs touch memory in strides,
 * and a fixed step would always meet the same line.
 */
static __always_inline __u64 spread(__u64 period)
{
	return period / 2 + bpf_get_prandom_u32() % (period + 1);
}

/*
 * Takes all faults that no sample stands for yet, or 0 where another CPU was quicker. What a failed
 * sample would have stood for stays, for the next one.
 */
static __always_inline __u64 take_unsampled(struct mt_target *target, __u64 faults)
{
	__u64 sampled = target->sampled;

	if (faults <= sampled || !__sync_bool_compare_and_swap(&target->sampled, sampled, faults))
		return 0;
	return faults - sampled;
}

static __always_inline struct mt_stacked *begin_sample(__u64 addr)
{
	struct mt_counters *counts = event_counters(MT_SRC_FAULT);
	struct mt_stacked *stacked;

	if (!counts)
		return NULL;
	stacked = event_begin_stacked(MT_SRC_FAULT, MT_FAULT, counts);
	if (stacked)
		stacked->record.addr = addr;
	return stacked;
}

static __always_inline bool wants_copy(void)
{
	struct mt_target *target = target_find(current_ids() >> 32);

	return target && target->copy;
}

static __always_inline struct mt_copied *begin_copied(__u64 addr)
{
	struct mt_counters *counts = event_counters(MT_SRC_FAULT);
	struct mt_copied *copied;

	if (!counts)
		return NULL;
	copied = event_begin_copied(MT_SRC_FAULT, MT_FAULT, counts);
	if (copied)
		copied->record.addr = addr;
	return copied;
}

static __noinline int sample_slot(void *ctx, struct mt_fault_slot *slot, __u64 addr)
{
	struct mt_stacked *stacked;
	struct mt_copied *copied;

	if (!slot)
		return 0;
	slot->threshold = slot->faults + spread(fault_period);
	if (wants_copy()) {
		copied = begin_copied(addr);
		if (!copied)
			return 0;
		copied->record.val[0] = slot->faults - slot->sampled;
		take_rss(&fault_rss, &copied->record);
		slot->sampled = slot->faults;
		return event_end_copied(copied);
	}
	stacked = begin_sample(addr);
	if (!stacked)
		return 0;
	stacked->record.val[0] = slot->faults - slot->sampled;
	take_rss(&fault_rss, &stacked->record);
	slot->sampled = slot->faults;
	event_end_stacked(ctx, stacked);
	return 0;
}

static __noinline int sample_target(void *ctx, struct mt_target *target, __u64 addr, __u64 faults)
{
	struct mt_stacked *stacked;
	struct mt_copied *copied;

	target->threshold = faults + spread(fault_period);
	if (target->copy) {
		copied = begin_copied(addr);
		if (!copied)
			return 0;
		copied->record.val[0] = take_unsampled(target, faults);
		take_rss(&target->rss, &copied->record);
		return event_end_copied(copied);
	}
	stacked = begin_sample(addr);
	if (!stacked)
		return 0;
	stacked->record.val[0] = take_unsampled(target, faults);
	take_rss(&target->rss, &stacked->record);
	event_end_stacked(ctx, stacked);
	return 0;
}

static __noinline int fault_of_other(void *ctx, __u32 tgid, __u64 addr, __u64 count)
{
	struct mt_counters *counts = event_counters(MT_SRC_FAULT);
	struct mt_target *target = target_find(tgid);
	__u64 faults;
	__s64 gained, pages;

	if (!target || !counts)
		return 0;
	__sync_fetch_and_add(&counts->hits, count);
	faults = __sync_fetch_and_add(&target->faults, count) + count;
	pages = rss_pages();
	gained = pages == target->rss.last ? 0 : rss_move(&target->rss, pages);
	if (faults >= target->threshold || gained >= HUGE_PAGES)
		sample_target(ctx, target, addr, faults);
	return 0;
}

__hidden struct mt_rss *rss_of(__u32 tgid)
{
	struct mt_target *target;

	if (tgid == fault_tgid)
		return &fault_rss;
	target = target_find(tgid);
	return target ? &target->rss : NULL;
}

static __always_inline int fault(void *ctx, __u64 addr, __u64 count)
{
	__u32 tgid = (pid_level ? current_ids() : bpf_get_current_pid_tgid()) >> 32;
	__u32 cpu = bpf_get_smp_processor_id();
	struct mt_fault_slot *slot;
	__s64 gained, pages;
	__u64 before;

	if (tgid != fault_tgid || cpu >= MT_FAULT_CPUS)
		return tgid == fault_tgid || fault_others ? fault_of_other(ctx, tgid, addr, count)
							  : 0;
	slot = &fault_slots[cpu];
	slot->faults += count;
	before = slot->addr;
	slot->addr = addr;
	pages = rss_pages();
	gained = pages == fault_rss.last ? 0 : rss_move(&fault_rss, pages);
	/* This fault has gained nothing yet: a huge page was got by the one before. */
	if (gained >= HUGE_PAGES)
		sample_slot(ctx, slot, before);
	else if (slot->faults >= slot->threshold)
		sample_slot(ctx, slot, addr);
	return 0;
}

SEC("tp_btf/page_fault_user")
int BPF_PROG(mt_fault, unsigned long addr)
{
	return fault(ctx, addr, 1);
}

/* Stands in where tp_btf is refused: a software event per CPU, one overflow for every period. */
SEC("perf_event")
int mt_fault_perf(struct bpf_perf_event_data *ctx)
{
	return fault(ctx, ctx->addr, ctx->sample_period);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(mt_exec, struct task_struct *task)
{
	__u32 tgid = task_tgid(task);

	if (all_execs || target_find(tgid))
		control_report(MT_EXEC, tgid, 0, 0, 0);
	return 0;
}

/* The child is a target before it runs its first instruction. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(mt_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 tgid = task_tgid(parent), child_tgid = task_tgid(child);
	struct mt_target *target = target_find(tgid);
	struct mt_target fresh;

	if (!target || !target->follow || tgid == child_tgid)
		return 0;
	__builtin_memset(&fresh, 0, sizeof(fresh));
	fresh.follow = 1;
	fresh.copy = target->copy;
	fault_others = 1;
	bpf_map_update_elem(&targets, &child_tgid, &fresh, BPF_ANY);
	control_report(MT_FORK, tgid, child_tgid, 0, 0);
	return 0;
}

/* As wait(2) will give it: kernel/exit.c, wait_task_zombie(). */
static __always_inline __u64 exit_status(struct task_struct *task)
{
	if (BPF_CORE_READ(task, signal, flags) & SIGNAL_GROUP_EXIT)
		return BPF_CORE_READ(task, signal, group_exit_code);
	return BPF_CORE_READ(task, group_leader, exit_code);
}

/* All faults of a target; after this it has no short way any more. */
static __noinline __u64 take_faults(__u32 tgid, __u64 faults)
{
	if (tgid != fault_tgid)
		return faults;
	fault_tgid = 0;
	faults -= fault_base;
	for (int i = 0; i < MT_FAULT_CPUS; i++)
		faults += fault_slots[i].faults;
	return faults;
}

/* Only since Linux 6.16 is the memory still there when a thread says that it leaves. */
static __noinline __s64 rss_of_exiting(struct task_struct *task)
{
	return BPF_CORE_READ(task, mm) ? rss_pages() : 0;
}

/*
 * do_exit() has counted this thread out of signal->live before the tracepoint, in every kernel: a
 * thread that reads 0 is the last, or one of the last: several may get here together. The one that
 * removes the target reports. (The leader may leave first: pid == tgid says nothing.)
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(mt_exit, struct task_struct *task)
{
	__u32 tgid = task_tgid(task);
	struct mt_target *target = target_find(tgid);
	__u64 faults;

	if (!target || BPF_CORE_READ(task, signal, live.counter))
		return 0;
	faults = target->faults;
	/* The number may be given to another process before memtrace reads this record. */
	if (bpf_map_delete_elem(&targets, &tgid))
		return 0;
	if (BPF_CORE_READ(task, signal, oom_mm))
		control_report(MT_OOM, tgid, 0, 0, 0);
	control_report(
		MT_EXIT, tgid, exit_status(task), take_faults(tgid, faults), rss_of_exiting(task));
	return 0;
}
