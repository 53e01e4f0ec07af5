/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The collector's own account of itself. runtime/mstats.go: memstats.pause_ns is a ring of the newest
 * 256 cycles; each entry is the sum of the cycle's two stops of the world, and the last one lies at
 * (numgc + 255) % 256. runtime/mgcpacer.go: gcController counts CPU time of marking by who did it, and
 * sets all to 0 when the next cycle starts; so between two cycles they are those of the last one.
 */
#include "runtime/go/go_gc.h"

#include <stdlib.h>

#include "base/mem.h"

#define PAUSES  256
#define MAX_CPU (1ull << 50) /* two weeks: no cycle takes so long */

static int smaller_first(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Minimum, median and maximum as debug.ReadGCStats() has them. */
static void read_pauses(struct runtime_process *process, uint32_t cycles, struct go_gc_view *view)
{
	uint64_t ring = process->facts.memstats + process->facts.layout.stats_pause_ns;
	uint32_t count = MIN(cycles, (uint32_t)PAUSES);
	uint64_t pauses[PAUSES];

	if (!count || target_mem_read(process->mem, ring, pauses, count * sizeof(pauses[0])))
		return;
	qsort(pauses, count, sizeof(pauses[0]), smaller_first);
	view->pause_count = count;
	view->pause_min_ns = pauses[0];
	view->pause_median_ns = pauses[count / 2];
	view->pause_max_ns = pauses[count - 1];
}

static void read_marking(struct runtime_process *process, struct go_gc_view *view)
{
	const struct go_layout *layout = &process->facts.layout;
	uint64_t gc = process->facts.gc_controller, started, ended, assist, cpu[3];
	struct target_piece pieces[] = {
		{gc + layout->gc_mark_start, &started, 8, false},
		{process->facts.memstats + layout->stats_last_gc_nanotime, &ended, 8, false},
		{gc + layout->gc_assist_time, &assist, 8, false},
		{gc + layout->gc_dedicated_time, &cpu[0], 8, false},
		{gc + layout->gc_fractional_time, &cpu[1], 8, false},
		{gc + layout->gc_idle_time, &cpu[2], 8, false},
	};

	if (target_mem_read_pieces(process->mem, pieces, ARRAY_SIZE(pieces)) <
		(int)ARRAY_SIZE(pieces))
		return;
	if (!started || started > ended || assist > MAX_CPU || cpu[0] > MAX_CPU ||
		cpu[1] > MAX_CPU || cpu[2] > MAX_CPU)
		return;
	view->mark_ns = ended - started;
	view->assist_cpu_ns = assist;
	view->mark_cpu_ns = assist + cpu[0] + cpu[1] + cpu[2];
}

void go_gc_add_view(struct runtime_process *process, struct event_heap *heap)
{
	struct go_gc_view *view = &process->gc_view;

	if (heap->gc_cycles && heap->gc_cycles != view->cycles && !heap->gc_running) {
		*view = (struct go_gc_view){.cycles = heap->gc_cycles};
		read_pauses(process, heap->gc_cycles, view);
		read_marking(process, view);
	}
	heap->pause_count = view->pause_count;
	heap->pause_min_ns = view->pause_min_ns;
	heap->pause_median_ns = view->pause_median_ns;
	heap->pause_max_ns = view->pause_max_ns;
	heap->mark_ns = view->mark_ns;
	heap->mark_cpu_ns = view->mark_cpu_ns;
	heap->assist_cpu_ns = view->assist_cpu_ns;
}
