/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * State of a Go heap: the numbers that runtime.ReadMemStats() would say, read without stopping the world
 * (runtime/mstats.go readmemstats_m(), runtime/mgcpacer.go gcControllerState). What the allocator counts
 * once a span goes back is late by what the processors hold: a few spans each.
 *
 * Bytes of stacks and of the collector's buffers are kept as three deltas whose sum counts
 * (consistentHeapStats); a reading while two of them are merged is wrong once, not for long.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_gc.h"
#include "runtime/go/go_heap.h"
#include "runtime/go/go_size.h"

#define DELTAS 3
#define DELTA_STACKS                                                                               \
	24 /* heapStatsDelta.inStacks; inWorkBufs and, up to 1.24, inPtrScalarBits follow */
#define MAX_DELTA_WORDS 3
#define SYS_WORDS                                                                                  \
	6 /* mstats.stacks_sys, mspan_sys, mcache_sys, buckhash_sys, gcMiscSys, other_sys */

int go_heap_read_words(
	struct runtime_process *process, uint64_t addr, uint64_t *words, size_t count)
{
	int r = target_mem_read(process->mem, addr, words, count * 8);

	if (r != -EFAULT)
		return r;
	for (size_t i = 0; i < count; i++) {
		r = target_mem_read_u64(process->mem, addr + 8 * i, &words[i]);
		if (r == -EFAULT && target_mem_is_untouched(process->mem, addr + 8 * i))
			r = words[i] = 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* Goroutine stacks, and what the runtime has from the system for itself. */
static int read_own(struct runtime_process *process, struct event_heap *heap)
{
	const struct go_layout *layout = &process->facts.layout;
	uint64_t stats = process->facts.memstats, sys[SYS_WORDS];
	size_t words = 1 + layout->stats_gc_words;
	uint64_t sums[MAX_DELTA_WORDS] = {};
	int r = go_heap_read_words(process, stats + layout->stats_sys, sys, SYS_WORDS);

	for (uint64_t i = 0; i < DELTAS && !r; i++) {
		uint64_t delta[MAX_DELTA_WORDS] = {};

		r = go_heap_read_words(
			process, stats + i * layout->stats_delta + DELTA_STACKS, delta, words);
		for (size_t j = 0; j < words; j++)
			sums[j] += delta[j];
	}
	if (r < 0)
		return r;
	heap->runtime_bytes = 0;
	for (size_t i = 0; i < SYS_WORDS; i++)
		heap->runtime_bytes += sys[i];
	for (size_t i = 1; i < words; i++)
		heap->runtime_bytes += sums[i];
	heap->stack_bytes = sums[0];
	if (heap->stack_bytes > GO_MAX_BYTES || heap->runtime_bytes > GO_MAX_BYTES)
		heap->stack_bytes = heap->runtime_bytes = 0; /* merged under our hands */
	return 0;
}

int go_heap_read_state(struct runtime_process *process, struct event_heap *ret)
{
	const struct go_layout *layout = &process->facts.layout;
	uint64_t gc = process->facts.gc_controller, stats = process->facts.memstats;
	struct event_heap heap = {};
	uint64_t total_free = 0;
	uint32_t phase = 0, sweepgen = 0;
	/* Cleared by the kernel and written by the first collection: before it, their page may not be there. */
	struct target_piece counts[] = {
		{stats + layout->stats_num_gc, &heap.gc_cycles, 4, false},
		{stats + layout->stats_pause_total, &heap.pause_total_ns, 8, false},
	};
	struct target_piece pieces[] = {
		{gc + layout->gc_heap_marked, &heap.live_bytes, 8, false},
		{gc + layout->gc_heap_in_use, &heap.in_use_bytes, 8, false},
		{gc + layout->gc_heap_released, &heap.released_bytes, 8, false},
		{gc + layout->gc_heap_free, &heap.free_bytes, 8, false},
		{gc + layout->gc_total_alloc, &heap.total_alloc_bytes, 8, false},
		{gc + layout->gc_total_free, &total_free, 8, false},
		{gc + layout->gc_goal, &heap.goal_bytes, 8, false},
		{gc + layout->gc_scannable, &heap.scannable_bytes, 8, false},
		{process->facts.mheap + layout->heap_sweepgen, &sweepgen, 4, false},
		{process->facts.gcphase, &phase, 4, false},
	};
	int r = target_mem_read_pieces(process->mem, pieces, ARRAY_SIZE(pieces));

	if (r < 0)
		return r;
	if (r < (int)ARRAY_SIZE(pieces))
		return -EFAULT;
	r = target_mem_read_pieces(process->mem, counts, ARRAY_SIZE(counts));
	if (r < 0)
		return r;
	if (r < (int)ARRAY_SIZE(counts) && sweepgen > 2)
		return -EFAULT;
	r = read_own(process, &heap);
	if (r < 0)
		return r;
	heap.allocated_bytes = heap.total_alloc_bytes - MIN(total_free, heap.total_alloc_bytes);
	heap.gc_running = phase != 0;
	/* memstats.pause_ns is a ring of 256; the last one is at (numgc + 255) % 256 */
	if (heap.gc_cycles)
		target_mem_read_u64(process->mem,
			stats + layout->stats_pause_ns + 8 * ((heap.gc_cycles + 255) % 256),
			&heap.pause_last_ns);
	go_gc_add_view(process, &heap);
	*ret = heap;
	return 0;
}
