/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Offsets of the fields we read, per Go version, taken from the DWARF of binaries that each version
 * built for linux/amd64 (runtime/mheap.go, mstats.go, mgcpacer.go, chan.go, runtime2.go,
 * symtab.go). A version is its minor number: no patch release of 1.19 to 1.26 moved one. A version
 * that is not here was not measured; its processes are not read.
 */
#include <stddef.h>

#include "base/mem.h"
#include "runtime/go/go_layout.h"

/* Since 1.22 freeindex and nelems are 16 bits wide and mspan has a largeType. */
#define SPAN_1_22                                                                                  \
	.mspan_size = 160, .span_start = 24, .span_npages = 32, .span_freeindex = 48,              \
	.span_nelems = 50, .span_alloc_bits = 64, .span_mark_bits = 72, .span_sweepgen = 88,       \
	.span_class = 98, .span_state = 99, .span_elemsize = 104, .span_limit = 112,               \
	.span_specials = 128, .span_alloc_count = 96, .span_large_type = 152,                      \
	.span_index_bytes = 2

/* mheap.pages follows its lock. */
#define PAGES_1_19 .heap_pages = 16, .pages_chunks = 120
#define PAGES_1_21 .heap_pages = 8, .pages_chunks = 120

#define STATS_1_19                                                                                 \
	.stats_num_gc = 7704, .stats_pause_total = 3600, .stats_pause_ns = 3608,                   \
	.stats_last_gc_nanotime = 7720, .stats_delta = 1176, .stats_gc_words = 2,                  \
	.stats_sys = 3544

#define PACER_1_21                                                                                 \
	.gc_heap_live = 104, .gc_heap_marked = 152, .gc_heap_in_use = 272,                         \
	.gc_heap_released = 280, .gc_heap_free = 288, .gc_total_alloc = 296, .gc_total_free = 304, \
	.gc_goal = 72, .gc_scannable = 112, .gc_assist_time = 192, .gc_dedicated_time = 200,       \
	.gc_fractional_time = 208, .gc_idle_time = 216, .gc_mark_start = 224

#define SPECIAL_1_19                                                                               \
	.special_offset = 8, .special_offset_bytes = 2, .special_kind = 10, .special_bucket = 16

/* special.offset became a uintptr. */
#define SPECIAL_1_24                                                                               \
	.special_offset = 8, .special_offset_bytes = 8, .special_kind = 16, .special_bucket = 24

#define CHAN_1_19 .chan_header = 96, .chan_elem_type = 32, .chan_sendx = 40, .chan_recvx = 48

/* hchan got a *timer. */
#define CHAN_1_23 .chan_elem_type = 40, .chan_sendx = 48, .chan_recvx = 56

#define SUDOG_1_19 .sudog_elem = 24, .sudog_chan = 80

#define G_1_19                                                                                     \
	.g_goid = 152, .g_sched = 56, .g_status = 144, .g_wait_since = 168, .g_wait_reason = 176,  \
	.g_waiting = 328, .g_created_by = 296, .gobuf_bp = 48, SUDOG_1_19

#define G_1_21                                                                                     \
	.g_goid = 152, .g_sched = 56, .g_status = 144, .g_wait_since = 168, .g_wait_reason = 176,  \
	.g_waiting = 312, .g_created_by = 280, .gobuf_bp = 48, SUDOG_1_19

/* g got a syscallbp. */
#define G_1_23                                                                                     \
	.g_goid = 160, .g_sched = 56, .g_status = 152, .g_wait_since = 176, .g_wait_reason = 184,  \
	.g_waiting = 320, .g_created_by = 288, .gobuf_bp = 48, SUDOG_1_19

/* gobuf lost its ret; sudog.elem and .c became pairs of which the second word is the "source of truth". */
#define G_1_26                                                                                     \
	.g_goid = 152, .g_sched = 56, .g_status = 144, .g_wait_since = 168, .g_wait_reason = 176,  \
	.g_waiting = 320, .g_created_by = 288, .gobuf_bp = 40, .sudog_elem = 32, .sudog_chan = 96

#define NO_INLINE_MARKS .arena_inline_marks = UINT32_MAX

static const struct {
	uint8_t minor;
	struct go_layout layout;
} layouts[] = {
	{19,
		{
			.mspan_size = 144,
			.span_start = 24,
			.span_npages = 32,
			.span_freeindex = 48,
			.span_nelems = 56,
			.span_alloc_bits = 72,
			.span_mark_bits = 80,
			.span_sweepgen = 88,
			.span_class = 98,
			.span_state = 99,
			.span_elemsize = 104,
			.span_limit = 112,
			.span_specials = 128,
			.span_alloc_count = 96,
			.span_large_type = UINT16_MAX,
			.span_index_bytes = 8,
			.heap_sweepgen = 65848,
			.heap_allspans = 65856,
			.heap_pages_in_use = 65880,
			.heap_arenas = 65936,
			PAGES_1_19,
			.arena_spans = 2097152,
			NO_INLINE_MARKS,
			SPECIAL_1_19,
			.special_kind_profile = 2,
			STATS_1_19,
			.gc_heap_live = 136,
			.gc_heap_marked = 184,
			.gc_heap_in_use = 304,
			.gc_heap_released = 312,
			.gc_heap_free = 320,
			.gc_total_alloc = 328,
			.gc_total_free = 336,
			.gc_goal = 104,
			.gc_scannable = 144,
			.gc_assist_time = 224,
			.gc_dedicated_time = 232,
			.gc_fractional_time = 240,
			.gc_idle_time = 248,
			.gc_mark_start = 256,
			CHAN_1_19,
			G_1_19,
		}},
	{21,
		{
			.mspan_size = 168,
			.span_start = 24,
			.span_npages = 32,
			.span_freeindex = 48,
			.span_nelems = 56,
			.span_alloc_bits = 72,
			.span_mark_bits = 80,
			.span_sweepgen = 96,
			.span_class = 106,
			.span_state = 107,
			.span_elemsize = 112,
			.span_limit = 120,
			.span_specials = 136,
			.span_alloc_count = 104,
			.span_large_type = UINT16_MAX,
			.span_index_bytes = 8,
			.heap_sweepgen = 65856,
			.heap_allspans = 65864,
			.heap_pages_in_use = 65888,
			.heap_arenas = 65944,
			PAGES_1_21,
			.arena_spans = 1064960,
			NO_INLINE_MARKS,
			SPECIAL_1_19,
			.special_kind_profile = 2,
			STATS_1_19,
			PACER_1_21,
			CHAN_1_19,
			G_1_21,
			.slice_length_new = true,
		}},
	{22,
		{
			SPAN_1_22,
			.heap_sweepgen = 65856,
			.heap_allspans = 65864,
			.heap_pages_in_use = 65888,
			.heap_arenas = 66008,
			PAGES_1_21,
			.arena_spans = 0,
			NO_INLINE_MARKS,
			SPECIAL_1_19,
			.special_kind_profile = 2,
			STATS_1_19,
			PACER_1_21,
			CHAN_1_19,
			G_1_21,
			.malloc_headers = true,
			.slice_length_new = true,
		}},
	{23,
		{
			SPAN_1_22,
			.heap_sweepgen = 65856,
			.heap_allspans = 65864,
			.heap_pages_in_use = 65888,
			.heap_arenas = 66008,
			PAGES_1_21,
			.arena_spans = 0,
			NO_INLINE_MARKS,
			SPECIAL_1_19,
			.special_kind_profile = 3,
			STATS_1_19,
			PACER_1_21,
			CHAN_1_23,
			.chan_header = 104,
			G_1_23,
			.malloc_headers = true,
			.slice_length_new = true,
		}},
	{24,
		{
			SPAN_1_22,
			.heap_sweepgen = 65856,
			.heap_allspans = 65864,
			.heap_pages_in_use = 65888,
			.heap_arenas = 66008,
			PAGES_1_21,
			.arena_spans = 0,
			NO_INLINE_MARKS,
			SPECIAL_1_24,
			.special_kind_profile = 3,
			STATS_1_19,
			PACER_1_21,
			CHAN_1_23,
			.chan_header = 104,
			G_1_23,
			.malloc_headers = true,
			.slice_length_new = true,
		}},
	{26,
		{
			SPAN_1_22,
			.heap_sweepgen = 65856,
			.heap_allspans = 65864,
			.heap_pages_in_use = 65888,
			.heap_arenas = 66008,
			PAGES_1_21,
			.arena_spans = 0,
			.arena_inline_marks = 68608,
			SPECIAL_1_24,
			.special_kind_profile = 4,
			.stats_num_gc = 7680,
			.stats_pause_total = 3576,
			.stats_pause_ns = 3584,
			.stats_last_gc_nanotime = 7696,
			.stats_delta = 1168,
			.stats_gc_words = 1,
			.stats_sys = 3520,
			PACER_1_21,
			CHAN_1_23,
			.chan_header = 112,
			G_1_26,
			.malloc_headers = true,
			.inline_marks = true,
			.slice_length_new = true,
		}},
};

static const struct {
	uint8_t first, last;
	struct go_module_layout layout;
} module_layouts[] = {
	{19, 19, {.types = 280, .gofunc = 304}},
	{20, 26, {.types = 296, .gofunc = 320}},
};

const struct go_layout *go_layout_find(uint8_t minor)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(layouts); i++)
		if (layouts[i].minor == minor)
			return &layouts[i].layout;
	return NULL;
}

const struct go_module_layout *go_layout_find_module(uint8_t minor)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(module_layouts); i++)
		if (minor >= module_layouts[i].first && minor <= module_layouts[i].last)
			return &module_layouts[i].layout;
	return NULL;
}
