/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * System calls that change the address space: seen where they return, when all is known. Their arguments
 * are still in the registers that the kernel saved on entry: nothing has to be remembered in between.
 *
 * An allocator may make thousands of small calls a second. Those below the floor count as hits only;
 * of the others, more than MAX_RECORDS in a tenth of a second do, too.
 */
#include "rss.bpf.h"

#include <bpf/bpf_tracing.h>

#define FLOOR_BYTES (64 << 10)
#define FLOOR_PAGES 16
#define WINDOW_NS   100000000
#define MAX_RECORDS 64

extern volatile __u32 fault_tgid;
extern volatile __u32 pid_level;

struct mt_call_slot call_slots[MT_FAULT_CPUS] __attribute__((aligned(64))) = {};

/* Others may count beside us: then a few records more or less are made. */
volatile __u64 memory_window_ns = 0;
volatile __u32 memory_records = 0;

static __always_inline bool has_room(__u64 now_ns)
{
	if (now_ns - memory_window_ns > WINDOW_NS) {
		memory_window_ns = now_ns;
		memory_records = 0;
	}
	return ++memory_records <= MAX_RECORDS;
}

static __always_inline __u64 take_lost(__u32 tgid)
{
	struct mt_rss *rss = rss_of(tgid);
	__s64 moved = rss ? rss_move(rss, rss_pages()) : 0;

	return moved < 0 ? -moved : 0;
}

struct call {
	__u64 addr, bytes, arg;
};

static __always_inline void fill(
	struct mt_record *record, __u32 number, const struct call *call, __u64 lost)
{
	record->addr = call->addr;
	record->val[0] = number;
	record->val[1] = call->bytes;
	record->val[2] = lost;
	record->val[3] = call->arg;
}

static __noinline int report_copied(__u32 number, struct call *call, __u64 lost)
{
	struct mt_counters *counts = event_counters(MT_SRC_MEMORY);
	struct mt_copied *copied;

	if (!counts || !call)
		return 0;
	copied = event_begin_copied(MT_SRC_MEMORY, MT_MEMORY, counts);
	if (!copied)
		return 0;
	fill(&copied->record, number, call, lost);
	return event_end_copied(copied);
}

static __noinline int report(void *ctx, __u32 number, struct call *call)
{
	struct mt_counters *counts = event_counters(MT_SRC_MEMORY);
	struct mt_target *target = target_find(current_ids() >> 32);
	struct mt_stacked *stacked;
	__u64 lost;

	if (!counts || !call)
		return 0;
	__sync_fetch_and_add(&counts->hits, 1);
	lost = take_lost(current_ids() >> 32);
	if (call->bytes < FLOOR_BYTES && call->arg < FLOOR_BYTES && lost < FLOOR_PAGES &&
		number != MT_CALL_BRK)
		return 0;
	if (!has_room(bpf_ktime_get_ns()))
		return 0;
	if (target && target->copy)
		return report_copied(number, call, lost);
	stacked = event_begin_stacked(MT_SRC_MEMORY, MT_MEMORY, counts);
	if (!stacked)
		return 0;
	fill(&stacked->record, number, call, lost);
	event_end_stacked(ctx, stacked);
	return 0;
}

/* arch/x86/entry/syscalls/syscall_64.tbl */
enum {
	NR_MMAP = 9,
	NR_MPROTECT = 10,
	NR_MUNMAP = 11,
	NR_BRK = 12,
	NR_MREMAP = 25,
	NR_MADVISE = 28,
};

#define WANTED                                                                                     \
	(1u << NR_MMAP | 1u << NR_MPROTECT | 1u << NR_MUNMAP | 1u << NR_BRK | 1u << NR_MREMAP |    \
		1u << NR_MADVISE)

static __noinline int report_call(void *ctx, struct pt_regs *regs, __s64 ret)
{
	struct call call = {.addr = regs->di, .bytes = regs->si, .arg = regs->dx};
	__u32 number;

	switch (regs->orig_ax) {
	case NR_MMAP:
		number = MT_CALL_MMAP;
		call.addr = ret;
		break;
	case NR_MUNMAP:
		number = MT_CALL_MUNMAP;
		call.arg = 0;
		break;
	case NR_MREMAP:
		number = MT_CALL_MREMAP;
		call = (struct call){ret, regs->dx, regs->si};
		break;
	case NR_BRK:
		number = MT_CALL_BRK;
		/* brk(0) asks where the end is. */
		if (!call.addr)
			return 0;
		call = (struct call){ret, 0, 0};
		break;
	case NR_MPROTECT:
		number = MT_CALL_MPROTECT;
		break;
	default:
		number = MT_CALL_MADVISE;
	}
	return report(ctx, number, &call);
}

static __always_inline void count_call(void)
{
	__u32 tgid = (pid_level ? current_ids() : bpf_get_current_pid_tgid()) >> 32;
	__u32 cpu = bpf_get_smp_processor_id() & (MT_FAULT_CPUS - 1);

	if (tgid == fault_tgid)
		call_slots[cpu].own++;
	else
		call_slots[cpu].others++;
}

/*
 * The one raw tracepoint of all system calls: it needs no tracefs, which containers do not have. Every
 * process passes here, so the number is looked at first.
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(mt_call, struct pt_regs *regs, long ret)
{
	unsigned long number = regs->orig_ax;

	count_call();
	if (number > NR_MADVISE || !(WANTED >> number & 1) || (unsigned long)ret >= -4095ul)
		return 0;
	if (!rss_of(current_ids() >> 32))
		return 0;
	return report_call(ctx, regs, ret);
}
