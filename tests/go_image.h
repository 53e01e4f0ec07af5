/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A Go heap built by hand in an image of memory, with the layouts of real versions: spans, the collector's
 * state, types. For tests of what reads a process.
 */
#ifndef MEMTRACE_TESTS_GO_IMAGE_H
#define MEMTRACE_TESTS_GO_IMAGE_H

#include <criterion/criterion.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_heap.h"
#include "runtime/go/go_layout.h"
#include "runtime/list.h"

#define UNUSED     __attribute__((unused))
#define MHEAP      0x600000ull
#define CONTROLLER 0x640000ull
#define STATS      0x650000ull
#define PHASE      0x660000ull
#define TYPES      0x700000ull
#define DATA       0x800000ull
#define L2         0x7f0000000000ull
#define ARENA      0x7e0000000000ull
#define SPANS      0x7d0000000000ull
#define BITS       0x7c0000000000ull
#define HEAP       0xc000000000ull
#define MAP_TYPE   (TYPES + 0x100)
#define ELEM_TYPE  (TYPES + 0x200)

/* A heap under construction. */
struct heap {
	struct runtime_file file;
	struct target_mem *mem;
	struct runtime_process *process;
	uint64_t pages, spans; /* so far */
};

static UNUSED void put(struct heap *heap, uint64_t addr, uint64_t value, size_t bytes)
{
	cr_assert_eq(target_mem_add_image(heap->mem, addr, &value, bytes), 0);
}

static UNUSED void put64(struct heap *heap, uint64_t addr, uint64_t value)
{
	put(heap, addr, value, 8);
}

static UNUSED void set_gc(struct heap *heap, uint32_t cycles, uint32_t phase)
{
	put(heap, MHEAP + heap->file.go.layout.heap_sweepgen, 2 * cycles, 4);
	put(heap, STATS + heap->file.go.layout.stats_num_gc, cycles, 4);
	put(heap, PHASE, phase, 4);
}

static UNUSED uint64_t mspan(uint64_t index)
{
	return SPANS + 0x1000 + index * 256;
}

static UNUSED uint64_t alloc_bits(uint64_t index)
{
	return BITS + index * 0x1000;
}

static UNUSED uint64_t mark_bits(uint64_t index)
{
	return BITS + index * 0x1000 + 0x800;
}

static UNUSED void set_slot(struct heap *heap, uint64_t bits, uint64_t slot, bool on)
{
	uint8_t byte = 0;

	target_mem_read(heap->mem, bits + slot / 8, &byte, 1);
	byte = (uint8_t)(on ? byte | 1u << slot % 8 : byte & ~(1u << slot % 8));
	put(heap, bits + slot / 8, byte, 1);
}

/* A span, all slots of it allocated. Returns where it starts. */
static UNUSED uint64_t add_span(struct heap *heap, uint64_t elemsize, uint64_t slots, bool noscan)
{
	const struct go_layout *layout = &heap->file.go.layout;
	uint64_t index = heap->spans++, addr = mspan(index), pages, start;
	uint64_t zero[GO_PAGE_BYTES / 8] = {};

	pages = (elemsize * slots + GO_PAGE_BYTES - 1) / GO_PAGE_BYTES;
	start = HEAP + heap->pages * GO_PAGE_BYTES;
	target_mem_add_image(heap->mem, addr, zero, 256);
	put64(heap, addr + layout->span_start, start);
	put64(heap, addr + layout->span_npages, pages);
	put64(heap, addr + layout->span_elemsize, elemsize);
	put(heap, addr + layout->span_nelems, slots, layout->span_index_bytes);
	put64(heap, addr + layout->span_alloc_bits, alloc_bits(index));
	put64(heap, addr + layout->span_mark_bits, mark_bits(index));
	put(heap, addr + layout->span_class, (elemsize <= 32768) * 2 + noscan, 1);
	put(heap, addr + layout->span_state, GO_SPAN_IN_USE, 1);
	target_mem_add_image(heap->mem, BITS + index * 0x1000, zero, 0x1000);
	for (uint64_t i = 0; i < slots; i++)
		set_slot(heap, alloc_bits(index), i, true);
	for (uint64_t i = 0; i < pages; i++) {
		target_mem_add_image(heap->mem, start + i * GO_PAGE_BYTES, zero, sizeof(zero));
		put64(heap, ARENA + layout->arena_spans + 8 * (heap->pages + i), addr);
	}
	heap->pages += pages;
	put64(heap, SPANS + 8 * index, addr);
	put64(heap, MHEAP + layout->heap_allspans + 8, heap->spans);
	put64(heap, MHEAP + layout->heap_allspans + 16, 512);
	return start;
}

static UNUSED void set_sweepgen(struct heap *heap, uint64_t index, uint32_t sweepgen)
{
	put(heap, mspan(index) + heap->file.go.layout.span_sweepgen, sweepgen, 4);
}

static UNUSED void sweep_all(struct heap *heap, uint32_t cycles)
{
	for (uint64_t i = 0; i < heap->spans; i++)
		set_sweepgen(heap, i, 2 * cycles);
}

static UNUSED void build(struct heap *heap, uint8_t minor)
{
	const struct go_layout *layout = go_layout_find(minor);
	static const uint8_t zero[0x12000];

	cr_assert_not_null(layout);
	*heap = (struct heap){.mem = target_mem_new_image()};
	heap->file = (struct runtime_file){.reading = true};
	heap->file.go = (struct go_facts){.minor = minor,
		.swiss = minor >= 24,
		.layout = *layout,
		.text = 0x400000,
		.etext = 0x500000,
		.types = TYPES,
		.etypes = TYPES + 0x10000,
		.data = DATA,
		.edata = DATA + 0x1000,
		.bss = DATA + 0x1000,
		.ebss = DATA + 0x1000,
		.noptrbss = DATA + 0x1000,
		.enoptrbss = DATA + 0x2000,
		.mheap = MHEAP,
		.gc_controller = CONTROLLER,
		.memstats = STATS,
		.gcphase = PHASE};
	target_mem_add_image(heap->mem, MHEAP, zero, sizeof(zero));
	target_mem_add_image(heap->mem, CONTROLLER, zero, 0x1000);
	target_mem_add_image(heap->mem, STATS, zero, 0x4000);
	target_mem_add_image(heap->mem, DATA, zero, 0x2000);
	target_mem_add_image(heap->mem, SPANS, zero, 0x1000);
	put64(heap, MHEAP + layout->heap_arenas, L2);
	put64(heap, MHEAP + layout->heap_allspans, SPANS);
	put64(heap, L2 + 8 * ((HEAP + 0x800000000000) >> GO_ARENA_SHIFT), ARENA);
	set_gc(heap, 0, 0);
}

static UNUSED void open_heap(struct heap *heap)
{
	char reason[160] = "";

	cr_assert_eq(
		runtime_go.process_open(&heap->file, heap->mem, NULL, 0, 0, &heap->process, reason),
		0, "%s", reason);
}

static UNUSED void close_heap(struct heap *heap)
{
	runtime_go.process_close(heap->process);
	target_mem_close(heap->mem);
}

/* Makes a type known, as the parser would. */
static UNUSED void add_type(struct heap *heap, const struct go_type *type)
{
	struct runtime_process *process = heap->process;

	array_reserve(process->types, process->type_count, process->type_capacity);
	process->types[process->type_count] = xcalloc(1, sizeof(*type));
	*process->types[process->type_count] = *type;
	table_set(&process->type_of, type->type, process->type_count++);
}

static UNUSED void add_map_type(struct heap *heap, uint64_t group_size, bool has_pointers)
{
	struct go_type type = {.type = MAP_TYPE,
		.kind = 21,
		.group_size = group_size,
		.group_has_pointers = has_pointers,
		.name = "map[int]int"};

	add_type(heap, &type);
}

static UNUSED struct event_look look(struct heap *heap, enum family family, uint64_t key, bool deep)
{
	struct event_look ret;
	uint64_t type = 0;

	memset(&ret, 0xff, sizeof(ret));
	cr_assert_eq(runtime_go.look(heap->process, family, &key, &type, NULL, 1, deep, &ret), 0);
	cr_assert_eq(ret.key, key);
	return ret;
}

#endif
