/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go: the runtime's row. File facts are found in the parser child (go_identify.c); the rest reads a
 * live process with them. Before anything is believed the layout is checked against the process:
 * numbers that must agree do, or the process is refused by name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/go/go_allocated.h"
#include "runtime/go/go_goroutines.h"
#include "runtime/go/go_heap.h"
#include "runtime/go/go_identify.h"
#include "runtime/go/go_map.h"
#include "runtime/go/go_placed.h"
#include "runtime/go/go_quiet.h"
#include "runtime/go/go_sampled.h"
#include "runtime/runtime.h"

#define REASON_BYTES  160
#define MAX_SPANS     (1u << 26)
#define CHECKED_SPANS 64
#define ENOUGH_SPANS  8 /* in use: a program that runs has dozens */

/* Of a program that has just been started, whose pages are not there yet: asked again later. */
static const char not_yet[] = "its heap is not set up yet";

static void add_slide(struct go_facts *facts, uint64_t slide)
{
	uint64_t *addresses[] = {&facts->text, &facts->etext, &facts->types, &facts->etypes,
		&facts->data, &facts->edata, &facts->bss, &facts->ebss, &facts->noptrdata,
		&facts->enoptrdata, &facts->noptrbss, &facts->enoptrbss, &facts->moduledata,
		&facts->mheap, &facts->gc_controller, &facts->memstats, &facts->gcphase,
		&facts->mbuckets, &facts->mem_profile_rate, &facts->disable_memory_profiling,
		&facts->allgs};

	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		if (*addresses[i])
			*addresses[i] += slide;
}

/* The collector's counters: sweepgen is 2 x cycles, also where a cycle has just ended. */
static const char *check_collector(struct runtime_process *process)
{
	struct event_heap heap;
	struct go_gc gc;

	if (go_heap_read_gc(process, &gc) || go_heap_read_state(process, &heap))
		return not_yet;
	if (gc.phase > 2 || gc.sweepgen % 2 || gc.sweepgen / 2 - heap.gc_cycles + 1 > 2)
		return "its garbage collector's counters contradict each other";
	return NULL;
}

/*
 * Spans say where they start; the arena table must lead from there back to them. runtime/mheap.go, initSpan():
 * a span is in use before it is in the table, so the first few of a program that starts may not be there yet.
 */
static const char *check_spans(struct runtime_process *process)
{
	uint64_t slice[3], mspans[CHECKED_SPANS], count, asked = 0, agreed = 0;

	if (target_mem_read(process->mem,
		    process->facts.mheap + process->facts.layout.heap_allspans, slice,
		    sizeof(slice)))
		return not_yet;
	if (!slice[1])
		return not_yet;
	if (slice[1] > slice[2] || slice[2] > MAX_SPANS)
		return "its list of spans is none";
	count = MIN(slice[1], (uint64_t)CHECKED_SPANS);
	if (target_mem_read(process->mem, slice[0], mspans, count * 8))
		return "its list of spans cannot be read";
	for (uint64_t i = 0; i < count; i++) {
		struct go_object object = {};
		uint8_t raw[GO_MSPAN_MAX];
		struct go_span span;

		if (target_mem_read(
			    process->mem, mspans[i], raw, process->facts.layout.mspan_size) ||
			!go_heap_parse_span(process, mspans[i], raw, &span) ||
			span.state != GO_SPAN_IN_USE)
			continue;
		asked++;
		object.addr = span.start;
		go_heap_find_spans(process, &object, 1);
		agreed += object.state == GO_OBJECT_ALLOCATED && object.span.addr == mspans[i];
	}
	if (!agreed && asked < ENOUGH_SPANS)
		return not_yet;
	return agreed ? NULL : "its spans are not where its arena table says";
}

static const char *check(struct runtime_process *process)
{
	const struct go_facts *facts = &process->facts;
	const char *reason;

	if (!facts->mheap || !facts->gcphase || !facts->memstats || !facts->gc_controller)
		return "its heap's address was not found in the file";
	if (facts->layout.mspan_size > GO_MSPAN_MAX)
		return "its span layout is impossible";
	if (target_mem_read_u64(
		    process->mem, facts->mheap + facts->layout.heap_arenas, &process->arenas) ||
		!process->arenas)
		return not_yet;
	reason = check_collector(process);
	return reason ? reason : check_spans(process);
}

static void process_close(struct runtime_process *process)
{
	if (!process)
		return;
	go_container_done(process);
	go_typecache_done(process);
	go_map_forget_guesses(process);
	table_done(&process->guesses_of);
	free(process->guesses);
	go_sampled_close(process->samples);
	go_placed_free(process->placed);
	table_done(&process->arena_of);
	table_done(&process->grown);
	table_done(&process->arrays_made);
	table_done(&process->appends);
	table_done(&process->span_of);
	free(process->spans);
	target_mem_close(process->view);
	target_mem_close(process->stage);
	free(process);
}

static int process_open(const struct runtime_file *file, struct target_mem *mem,
	struct parser *parser, uint32_t file_id, uint64_t slide, struct runtime_process **ret,
	char reason[REASON_BYTES])
{
	struct runtime_process *process;
	const char *refusal;

	if (!file->reading) {
		text_copy(reason, REASON_BYTES, "the layout of this version's heap is not known");
		return -ENOTSUP;
	}
	process = xcalloc(1, sizeof(*process));
	process->mem = process->live = mem;
	process->view = target_mem_new_view(mem);
	process->stage = target_mem_new_view(mem);
	process->parser = parser;
	process->file_id = file_id;
	process->slide = slide;
	process->facts = file->go;
	add_slide(&process->facts, slide);
	refusal = check(process);
	if (refusal) {
		text_copy(reason, REASON_BYTES, refusal);
		process_close(process);
		return refusal == not_yet ? -EAGAIN : -ENOTSUP;
	}
	if (!process->facts.profile_linked)
		process->samples = go_sampled_open(process);
	if (process->samples)
		process->placed = go_placed_new();
	*ret = process;
	return 0;
}

static int read_heap(struct runtime_process *process, struct event_heap *ret)
{
	go_placed_check(process);
	return go_heap_read_state(process, ret);
}

const struct runtime runtime_go = {
	.name = "go",
	.covers_malloc = true,
	.frame_pointers = true,
	.identify = go_identify,
	.process_open = process_open,
	.process_close = process_close,
	.decode = go_decode,
	.type_name = go_typecache_name,
	.census = go_census,
	.look = go_look,
	.quiet = go_quiet,
	.heap = read_heap,
	.owner_of = go_owner_of,
	.is_heap = go_heap_is_arena,
	.count_given_back = go_pages_count_given_back,
	.fills = go_fills,
	.goroutines = go_goroutines,
	.profile = go_allocated,
};
