/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The RSS of the current process, in pages, as its faults and system calls see it move. Faults are no
 * bytes: one of them may bring 512 pages, or none.
 *
 * mm->rss_stat was four atomics until Linux 6.1 and is four percpu_counters since; what the CPUs hold
 * back (batches of 32 and more pages) is not in it yet.
 */
#ifndef MEMTRACE_RSS_BPF_H
#define MEMTRACE_RSS_BPF_H

#include "memtrace.bpf.h"

#include <bpf/bpf_core_read.h>

/* Noise of the counters, which the kernel keeps per CPU in batches of 32 and more pages. */
#define LOST_PAGES 64

/* The offset of an array's element is relocated only where its index is a constant. */
static __always_inline __s64 rss_pages(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (bpf_core_type_exists(struct mm_rss_stat)) {
		struct mm_struct___6_1 *mm = (void *)BPF_CORE_READ(task, mm);

		return BPF_CORE_READ(mm, rss_stat.count[0].counter) +
		       BPF_CORE_READ(mm, rss_stat.count[1].counter) +
		       BPF_CORE_READ(mm, rss_stat.count[3].counter);
	}
	return task->mm->rss_stat[0].count + task->mm->rss_stat[1].count +
	       task->mm->rss_stat[3].count;
}

/*
 * RSS has moved. Every page gained is counted once, whichever CPU sees it first; a small step back is
 * another CPU's older view. Returns what was gained.
 */
static __always_inline __s64 rss_move(struct mt_rss *rss, __s64 pages)
{
	__s64 gained = pages - rss->last;

	if (gained < 0 && gained > -LOST_PAGES)
		return 0;
	gained = pages - (__s64)__sync_lock_test_and_set(&rss->last, pages);
	if (gained == pages || !gained)
		return 0;
	__sync_fetch_and_add(gained > 0 ? &rss->gained : &rss->lost, gained > 0 ? gained : -gained);
	return gained;
}

#endif
