/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parser child learns about a Go executable, and what the tracer needs to read a process
 * that runs it. Addresses are as linked (add the slide). Offsets are bytes within the named struct
 * of Go's runtime package; they come from the table in go_layout.c, keyed by version.
 */
#ifndef MEMTRACE_RUNTIME_GO_FACTS_H
#define MEMTRACE_RUNTIME_GO_FACTS_H

#include <stdbool.h>
#include <stdint.h>

/* runtime structs, runtime/mheap.go, runtime/mstats.go, runtime/mgcpacer.go, runtime/chan.go */
struct go_layout {
	uint16_t mspan_size, span_start, span_npages, span_freeindex, span_nelems, span_alloc_bits,
		span_mark_bits, span_sweepgen, span_class, span_state, span_elemsize, span_limit,
		span_specials, span_alloc_count,
		span_large_type;  /* 0xffff = the version has no largeType */
	uint8_t span_index_bytes; /* width of freeindex and nelems: 8 or 2 */
	uint32_t heap_sweepgen, heap_allspans, heap_pages_in_use, heap_arenas;
	uint16_t heap_pages,
		pages_chunks; /* mheap.pages, in it pageAlloc.chunks; 0xffff = unknown */
	uint32_t arena_spans, arena_inline_marks; /* 0xffffffff = the version has none */
	uint16_t special_offset, special_offset_bytes, special_kind, special_bucket;
	uint8_t special_kind_profile;
	uint16_t stats_num_gc, stats_pause_total, stats_pause_ns, stats_last_gc_nanotime, stats_sys;
	uint16_t stats_delta; /* bytes of one of the three heapStatsDelta at the start of mstats */
	uint8_t stats_gc_words; /* in it, behind inStacks: what the collector uses */
	uint16_t gc_heap_live, gc_heap_marked, gc_heap_in_use, gc_heap_released, gc_heap_free,
		gc_total_alloc, gc_total_free, gc_goal, gc_scannable, gc_assist_time,
		gc_dedicated_time, gc_fractional_time, gc_idle_time, gc_mark_start;
	uint16_t chan_header, chan_elem_type, chan_sendx, chan_recvx;
	uint16_t g_goid;
	/* runtime.g, runtime.gobuf (g.sched) and runtime.sudog; 0xffff = the version has no such field */
	uint16_t g_sched, g_status, g_wait_since, g_wait_reason, g_waiting, g_created_by, gobuf_bp,
		sudog_elem, sudog_chan;
	bool malloc_headers;   /* 1.22+: pointerful objects > 512 bytes carry their *type first */
	bool inline_marks;     /* 1.26: mark bits at the end of the page (Green Tea GC) */
	bool slice_length_new; /* 1.21+: growslice returns the new length, before: the old one */
};

/* Row numbers of our probes (struct runtime_probe.probe); sources of each: go_probes.c. */
enum go_probe {
	GO_PROBE_HASH_GROW,     /* runtime.hashGrow */
	GO_PROBE_GROW_TO_TABLE, /* internal/runtime/maps.(*Map).growToTable */
	GO_PROBE_REHASH,        /* internal/runtime/maps.(*table).rehash */
	GO_PROBE_GROWSLICE,     /* runtime.growslice, at its call of memmove */
	GO_PROBE_BUFFER_GROW,   /* bytes.growSlice, at its call of memmove */
	GO_PROBE_BUILDER_GROW,  /* strings.(*Builder).grow, the same */
	GO_PROBE_MAKECHAN,      /* runtime.makechan, after the channel's fields are set */
	GO_PROBE_MAP_CLEAR,     /* runtime.mapclear, internal/runtime/maps.(*Map).Clear */
	GO_PROBE_ALLOC_LARGE,   /* runtime.(*mcache).allocLarge, when it has its span */
	GO_PROBE_REFILL,        /* runtime.(*mcache).refill, the same */
	GO_PROBE_MAP_ACCESS,    /* runtime.mapaccess1, mapassign and the like */
};

#define GO_MAX_WAIT_REASONS 64

struct go_facts {
	uint8_t minor;       /* go1.N */
	bool swiss;          /* maps are Swiss tables (1.24+ without X:noswissmap) */
	bool profile_linked; /* the binary can carry an allocation profile */
	struct go_layout layout;
	uint64_t text, etext; /* runtime.text, not .text */
	uint64_t types, etypes;
	uint64_t data, edata, bss, ebss, noptrdata, enoptrdata, noptrbss, enoptrbss;
	uint64_t moduledata;
	/* Globals; 0 = not found */
	uint64_t mheap, gc_controller, memstats, gcphase, mbuckets, mem_profile_rate,
		disable_memory_profiling, allgs;
	/* enum wait of each runtime.waitReason of this binary; 0 reasons = not found */
	uint8_t wait_reasons, waits[GO_MAX_WAIT_REASONS];
};

/* A type as the file describes it (abi.Type, abi.MapType, abi.ChanType). */
struct go_type {
	uint64_t type; /* as linked */
	uint8_t kind;  /* reflect.Kind: 17 array, 18 chan, 21 map, 23 slice, 25 struct.. */
	bool has_pointers;
	uint32_t map_flags; /* classic: 1 indirect key, 2 indirect elem; Swiss: 4, 8 */
	uint64_t size;
	uint64_t key, elem;           /* type addresses; chan, slice..: elem only */
	uint64_t key_size, elem_size; /* of key and elem types themselves */
	uint64_t slot_size;           /* Swiss: one key and element in a group */
	uint64_t group, group_size;   /* classic: of buckets; Swiss: of groups */
	bool group_has_pointers;
	char name[128];
};

#endif
