/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Maps, switches and the way of a record into the ring. No wake-up per record: that would triple
 * its cost. The reader drains on a timer, and is woken when a quarter of the ring is waiting.
 *
 * Every attempt to write a record is counted as produced, and as lost where the ring had no room, so
 * produced == delivered + lost can be checked at the end of a run.
 */
#include "memtrace.bpf.h"

#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 10);
} control_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MT_SRC_MAX);
	__type(key, __u32);
	__type(value, struct mt_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct mt_target);
} targets SEC(".maps");

/* Set before load: bytes of the ring. */
const volatile __u32 ring_bytes = 4 << 20;

/* Set by identify_self(): depth of memtrace's pid namespace, 0 = the first one. */
volatile __u32 pid_level = 0;

__hidden struct mt_counters *event_counters(__u32 source)
{
	return bpf_map_lookup_elem(&counters, &source);
}

/*
 * The kernel counts processes from the outermost namespace; user space knows them by the numbers
 * of its own. numbers[] has a run-time index: its stride is taken from the running kernel, CO-RE
 * would not relocate it.
 */
static __always_inline int task_number(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	char *numbers;
	int nr = 0;

	if (!pid || BPF_CORE_READ(pid, level) < pid_level)
		return 0;
	numbers = (char *)pid + bpf_core_field_offset(struct pid, numbers);
	numbers += pid_level * bpf_core_type_size(struct upid);
	bpf_probe_read_kernel(&nr, sizeof(nr), numbers + bpf_core_field_offset(struct upid, nr));
	return nr;
}

__hidden __u64 current_ids(void)
{
	struct task_struct *task;

	if (!pid_level)
		return bpf_get_current_pid_tgid();
	task = (struct task_struct *)bpf_get_current_task();
	return (__u64)task_number(BPF_CORE_READ(task, group_leader)) << 32 | task_number(task);
}

__hidden __u32 task_tgid(struct task_struct *task)
{
	return pid_level ? task_number(BPF_CORE_READ(task, group_leader))
			 : BPF_CORE_READ(task, tgid);
}

__hidden struct mt_target *target_find(__u32 tgid)
{
	return bpf_map_lookup_elem(&targets, &tgid);
}

__hidden struct mt_record *event_reserve(void)
{
	return bpf_ringbuf_reserve(&ring, sizeof(struct mt_record), 0);
}

__hidden struct mt_stacked *event_reserve_stacked(void)
{
	return bpf_ringbuf_reserve(&ring, sizeof(struct mt_stacked), 0);
}

__hidden struct mt_copied *event_reserve_copied(void)
{
	return bpf_ringbuf_reserve(&ring, sizeof(struct mt_copied), 0);
}

__hidden struct mt_copied_top *event_reserve_copied_top(void)
{
	return bpf_ringbuf_reserve(&ring, sizeof(struct mt_copied_top), 0);
}

__hidden void event_fill(struct mt_record *record, __u32 source, __u8 kind, __u64 seq)
{
	__u64 ids = current_ids();

	record->kind = kind;
	record->flags = 0;
	record->attachment = source;
	record->stack_bytes = 0;
	record->time_ns = bpf_ktime_get_ns();
	record->tgid = ids >> 32;
	record->tid = ids;
	record->seq = seq;
	record->goroutine = 0;
	record->stack_lo = record->stack_hi = 0;
	record->addr = 0;
	record->val[0] = record->val[1] = record->val[2] = 0;
	record->val[3] = record->val[4] = record->val[5] = 0;
}

__hidden int event_submit(struct mt_record *record)
{
	__u64 waiting = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);

	bpf_ringbuf_submit(
		record, waiting >= ring_bytes / 4 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
	/* What is left is for those who cannot wait: faults, and hits under way on other CPUs. */
	return waiting >= ring_bytes - ring_bytes / 8;
}

__hidden void control_report(__u8 kind, __u32 tgid, __u64 value, __u64 faults, __s64 pages)
{
	struct mt_counters *counts = event_counters(MT_SRC_CONTROL);
	struct mt_record *record;
	__u64 seq;

	if (!counts)
		return;
	__sync_fetch_and_add(&counts->hits, 1);
	seq = __sync_fetch_and_add(&counts->produced, 1);
	record = bpf_ringbuf_reserve(&control_ring, sizeof(*record), 0);
	if (!record) {
		__sync_fetch_and_add(&counts->lost, 1);
		return;
	}
	record->size = sizeof(*record);
	event_fill(record, MT_SRC_CONTROL, kind, seq);
	record->tgid = tgid;
	record->val[0] = value;
	record->val[1] = faults;
	record->val[2] = pages > 0 ? pages : 0;
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
}

/* Run once by memtrace itself (BPF_PROG_TEST_RUN), so the current task is memtrace. */
SEC("raw_tp")
int identify_self(void *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	pid_level = BPF_CORE_READ(task, thread_pid, level);
	return 0;
}
