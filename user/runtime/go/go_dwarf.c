/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go's compiler describes every runtime struct by its name (DW_TAG_structure_type "runtime.mspan"), with
 * the offset of each field. Those that differ between versions are taken from there; those that have been
 * the same in all versions we know, and that the code relies on, must be so in this one too.
 */
#include "runtime/go/go_dwarf.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/binary/elf_file.h"

#define MAX_UNITS    65536
#define DELTA_STACKS 24 /* heapStatsDelta.inStacks */
#define SIZE         "" /* instead of a field: the size of the struct */

enum presence {
	REQUIRED,
	OPTIONAL, /* absent is all bits set */
};

/* Where a field's offset goes. */
struct wanted {
	const char *type, *field;
	size_t offset, bytes; /* in struct go_dwarf */
	enum presence presence;
};

#define AT(member) offsetof(struct go_dwarf, member), sizeof(((struct go_dwarf *)0)->member)

static const struct wanted wanted[] = {
	{"runtime.mspan", SIZE, AT(layout.mspan_size), REQUIRED},
	{"runtime.mspan", "startAddr", AT(layout.span_start), REQUIRED},
	{"runtime.mspan", "npages", AT(layout.span_npages), REQUIRED},
	{"runtime.mspan", "freeindex", AT(layout.span_freeindex), REQUIRED},
	{"runtime.mspan", "nelems", AT(layout.span_nelems), REQUIRED},
	{"runtime.mspan", "allocBits", AT(layout.span_alloc_bits), REQUIRED},
	{"runtime.mspan", "gcmarkBits", AT(layout.span_mark_bits), REQUIRED},
	{"runtime.mspan", "sweepgen", AT(layout.span_sweepgen), REQUIRED},
	{"runtime.mspan", "spanclass", AT(layout.span_class), REQUIRED},
	{"runtime.mspan", "state", AT(layout.span_state), REQUIRED},
	{"runtime.mspan", "elemsize", AT(layout.span_elemsize), REQUIRED},
	{"runtime.mspan", "limit", AT(layout.span_limit), REQUIRED},
	{"runtime.mspan", "specials", AT(layout.span_specials), REQUIRED},
	{"runtime.mspan", "allocCount", AT(layout.span_alloc_count), REQUIRED},
	{"runtime.mspan", "largeType", AT(layout.span_large_type), OPTIONAL},
	{"runtime.mheap", "sweepgen", AT(layout.heap_sweepgen), REQUIRED},
	{"runtime.mheap", "allspans", AT(layout.heap_allspans), REQUIRED},
	{"runtime.mheap", "pagesInUse", AT(layout.heap_pages_in_use), REQUIRED},
	{"runtime.mheap", "arenas", AT(layout.heap_arenas), REQUIRED},
	{"runtime.mheap", "pages", AT(layout.heap_pages), OPTIONAL},
	{"runtime.pageAlloc", "chunks", AT(layout.pages_chunks), OPTIONAL},
	{"runtime.heapArena", "spans", AT(layout.arena_spans), REQUIRED},
	{"runtime.heapArena", "pageUseSpanInlineMarkBits", AT(layout.arena_inline_marks), OPTIONAL},
	{"runtime.special", "offset", AT(layout.special_offset), REQUIRED},
	{"runtime.special", "kind", AT(layout.special_kind), REQUIRED},
	{"runtime.specialprofile", "b", AT(layout.special_bucket), REQUIRED},
	{"runtime.mstats", "numgc", AT(layout.stats_num_gc), REQUIRED},
	{"runtime.mstats", "pause_total_ns", AT(layout.stats_pause_total), REQUIRED},
	{"runtime.mstats", "pause_ns", AT(layout.stats_pause_ns), REQUIRED},
	{"runtime.mstats", "last_gc_nanotime", AT(layout.stats_last_gc_nanotime), REQUIRED},
	{"runtime.mstats", "stacks_sys", AT(layout.stats_sys), REQUIRED},
	{"runtime.heapStatsDelta", SIZE, AT(layout.stats_delta), REQUIRED},
	{"runtime.heapStatsDelta", "tinyAllocCount", AT(delta_allocated), REQUIRED},
	{"runtime.gcControllerState", "heapLive", AT(layout.gc_heap_live), REQUIRED},
	{"runtime.gcControllerState", "heapMarked", AT(layout.gc_heap_marked), REQUIRED},
	{"runtime.gcControllerState", "heapInUse", AT(layout.gc_heap_in_use), REQUIRED},
	{"runtime.gcControllerState", "heapReleased", AT(layout.gc_heap_released), REQUIRED},
	{"runtime.gcControllerState", "heapFree", AT(layout.gc_heap_free), REQUIRED},
	{"runtime.gcControllerState", "totalAlloc", AT(layout.gc_total_alloc), REQUIRED},
	{"runtime.gcControllerState", "totalFree", AT(layout.gc_total_free), REQUIRED},
	{"runtime.gcControllerState", "gcPercentHeapGoal", AT(layout.gc_goal), REQUIRED},
	{"runtime.gcControllerState", "heapScan", AT(layout.gc_scannable), REQUIRED},
	{"runtime.gcControllerState", "assistTime", AT(layout.gc_assist_time), REQUIRED},
	{"runtime.gcControllerState", "dedicatedMarkTime", AT(layout.gc_dedicated_time), REQUIRED},
	{"runtime.gcControllerState", "fractionalMarkTime", AT(layout.gc_fractional_time),
		REQUIRED},
	{"runtime.gcControllerState", "idleMarkTime", AT(layout.gc_idle_time), REQUIRED},
	{"runtime.gcControllerState", "markStartTime", AT(layout.gc_mark_start), REQUIRED},
	{"runtime.hchan", SIZE, AT(layout.chan_header), REQUIRED},
	{"runtime.hchan", "elemtype", AT(layout.chan_elem_type), REQUIRED},
	{"runtime.hchan", "sendx", AT(layout.chan_sendx), REQUIRED},
	{"runtime.hchan", "recvx", AT(layout.chan_recvx), REQUIRED},
	{"runtime.g", "goid", AT(layout.g_goid), REQUIRED},
	{"runtime.g", "sched", AT(layout.g_sched), OPTIONAL},
	{"runtime.g", "atomicstatus", AT(layout.g_status), OPTIONAL},
	{"runtime.g", "waitsince", AT(layout.g_wait_since), OPTIONAL},
	{"runtime.g", "waitreason", AT(layout.g_wait_reason), OPTIONAL},
	{"runtime.g", "waiting", AT(layout.g_waiting), OPTIONAL},
	{"runtime.g", "gopc", AT(layout.g_created_by), OPTIONAL},
	{"runtime.gobuf", "bp", AT(layout.gobuf_bp), OPTIONAL},
	{"runtime.sudog", "elem", AT(layout.sudog_elem), OPTIONAL},
	{"runtime.sudog", "c", AT(layout.sudog_chan), OPTIONAL},
	{"runtime.moduledata", "types", AT(module.types), REQUIRED},
	{"runtime.moduledata", "gofunc", AT(module.gofunc), REQUIRED},
};

/* What the code takes for granted. Structs of maps: of one of the two kinds. */
static const struct granted {
	const char *type, *field;
	uint64_t offset;
} granted[] = {
	{"runtime.g", "stack", 0},
	{"runtime.g", "m", 48},
	{"runtime.gobuf", "sp", 0},
	{"runtime.hchan", "qcount", 0},
	{"runtime.hchan", "dataqsiz", 8},
	{"runtime.hchan", "buf", 16},
	{"runtime.hchan", "elemsize", 24},
	{"runtime.hchan", "closed", 28},
	{"runtime.moduledata", "text", 176},
	{"runtime.moduledata", "noptrdata", 192},
	{"runtime.moduledata", "enoptrbss", 248},
	{"runtime.special", "next", 0},
	{"runtime.mstats", "heapStats", 0},
	{"runtime.consistentHeapStats", "stats", 0},
	{"runtime.heapStatsDelta", "inStacks", DELTA_STACKS},
	{"runtime.heapStatsDelta", "inWorkBufs", DELTA_STACKS + 8},
	{"runtime.pallocData", "scavenged", 64},
	{"runtime.bucket", "allnext", 8},
	{"runtime.bucket", "size", 32},
	{"runtime.bucket", "nstk", 40},
	{"runtime.hmap", "count", 0},
	{"runtime.hmap", "flags", 8},
	{"runtime.hmap", "B", 9},
	{"runtime.hmap", "noverflow", 10},
	{"runtime.hmap", "hash0", 12},
	{"runtime.hmap", "buckets", 16},
	{"runtime.hmap", "oldbuckets", 24},
	{"runtime.hmap", "nevacuate", 32},
	{"runtime.hmap", "extra", 40},
	{"internal/runtime/maps.Map", "used", 0},
	{"internal/runtime/maps.Map", "seed", 8},
	{"internal/runtime/maps.Map", "dirPtr", 16},
	{"internal/runtime/maps.Map", "dirLen", 24},
	{"internal/runtime/maps.Map", "globalDepth", 32},
	{"internal/runtime/maps.Map", "globalShift", 33},
	{"internal/runtime/maps.Map", "writing", 34},
	{"internal/runtime/maps.Map", "clearSeq", 40},
	{"internal/runtime/maps.table", "used", 0},
	{"internal/runtime/maps.table", "capacity", 2},
	{"internal/runtime/maps.table", "growthLeft", 4},
	{"internal/runtime/maps.table", "localDepth", 6},
	{"internal/runtime/maps.table", "index", 8},
	{"internal/runtime/maps.table", "groups", 16},
};

static const char classic_map[] = "runtime.hmap", swiss_map[] = "internal/runtime/maps.Map";

struct search {
	struct go_dwarf found;
	bool wanted_seen[ARRAY_SIZE(wanted)], granted_seen[ARRAY_SIZE(granted)];
	const struct granted *moved; /* the first that is not where it was */
	uint64_t index_bytes, offset_bytes, profile_kind;
};

/* ---- one struct ---- */

static bool find_member(
	Dwarf_Die *type, const char *name, uint64_t *ret_offset, uint64_t *ret_bytes)
{
	Dwarf_Attribute attribute;
	Dwarf_Die member, member_type;
	Dwarf_Word offset, bytes;

	if (dwarf_child(type, &member))
		return false;
	do {
		const char *found = dwarf_diename(&member);

		if (dwarf_tag(&member) != DW_TAG_member || !found || strcmp(found, name))
			continue;
		if (dwarf_formudata(
			    dwarf_attr(&member, DW_AT_data_member_location, &attribute), &offset))
			return false;
		*ret_offset = offset;
		if (dwarf_formref_die(dwarf_attr(&member, DW_AT_type, &attribute), &member_type) &&
			!dwarf_aggregate_size(&member_type, &bytes))
			*ret_bytes = bytes;
		return true;
	} while (!dwarf_siblingof(&member, &member));
	return false;
}

static void store(struct search *search, const struct wanted *row, uint64_t value)
{
	uint8_t *at = (uint8_t *)&search->found + row->offset;

	memcpy(at, &value, row->bytes); /* little-endian: its low bytes */
}

static void take_wanted(struct search *search, size_t i, Dwarf_Die *type)
{
	const struct wanted *row = &wanted[i];
	uint64_t offset, bytes = 0;
	int size = dwarf_bytesize(type);

	if (!row->field[0]) {
		offset = (uint64_t)size;
		search->wanted_seen[i] = size > 0 && size <= UINT16_MAX;
	} else {
		search->wanted_seen[i] = find_member(type, row->field, &offset, &bytes) &&
					 (row->bytes > 2 || offset < UINT16_MAX);
	}
	if (!search->wanted_seen[i])
		return;
	/* Since 1.26 a pair: what the collector traces, and a word that always says the address */
	if (!strcmp(row->type, "runtime.sudog") && bytes == 16)
		offset += 8;
	store(search, row, offset);
	if (!strcmp(row->field, "freeindex"))
		search->index_bytes = bytes;
	if (!strcmp(row->type, "runtime.special") && !strcmp(row->field, "offset"))
		search->offset_bytes = bytes;
}

static void take_granted(struct search *search, size_t i, Dwarf_Die *type)
{
	uint64_t offset, bytes;

	search->granted_seen[i] = find_member(type, granted[i].field, &offset, &bytes);
	if (!search->moved && (!search->granted_seen[i] || offset != granted[i].offset))
		search->moved = &granted[i];
}

static void take_struct(struct search *search, Dwarf_Die *type, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!search->wanted_seen[i] && !strcmp(wanted[i].type, name))
			take_wanted(search, i, type);
	for (size_t i = 0; i < ARRAY_SIZE(granted); i++)
		if (!search->granted_seen[i] && !strcmp(granted[i].type, name))
			take_granted(search, i, type);
}

/* ---- all of them ---- */

static void take_constant(struct search *search, Dwarf_Die *die, const char *name)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	if (!strcmp(name, "runtime._KindSpecialProfile") &&
		!dwarf_formudata(dwarf_attr(die, DW_AT_const_value, &attribute), &value))
		search->profile_kind = value;
}

static void take_unit(struct search *search, Dwarf_Die *unit)
{
	Dwarf_Die die;

	if (dwarf_child(unit, &die))
		return;
	do {
		int tag = dwarf_tag(&die);
		const char *name;

		if (tag != DW_TAG_structure_type && tag != DW_TAG_constant)
			continue;
		name = dwarf_diename(&die);
		if (!name ||
			(strncmp(name, "runtime.", 8) && strncmp(name, "internal/runtime/", 17)))
			continue;
		if (tag == DW_TAG_constant)
			take_constant(search, &die, name);
		else
			take_struct(search, &die, name);
	} while (!dwarf_siblingof(&die, &die));
}

static void take_all(struct search *search, Dwarf *dwarf)
{
	Dwarf_Off offset = 0, next;
	size_t header_bytes;
	Dwarf_Die unit;

	for (int i = 0; i < MAX_UNITS &&
			!dwarf_nextcu(dwarf, offset, &next, &header_bytes, NULL, NULL, NULL);
		i++) {
		if (dwarf_offdie(dwarf, offset + header_bytes, &unit))
			take_unit(search, &unit);
		if (next <= offset)
			break;
		offset = next;
	}
}

static bool has_struct(const struct search *search, const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(granted); i++)
		if (!strcmp(granted[i].type, type) && search->granted_seen[i])
			return true;
	return false;
}

static int refuse(char reason[96], const char *what, const char *type, const char *field)
{
	snprintf(reason, 96, "its DWARF %s %.40s%s%.24s", what, type, field[0] ? "." : "", field);
	return -ENOTSUP;
}

static int settle(struct search *search, char reason[96])
{
	struct go_layout *layout = &search->found.layout;

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (search->wanted_seen[i])
			continue;
		if (wanted[i].presence == REQUIRED)
			return refuse(reason, "does not describe", wanted[i].type, wanted[i].field);
		store(search, &wanted[i], UINT64_MAX);
	}
	if (search->moved)
		return refuse(reason, "has moved", search->moved->type, search->moved->field);
	search->found.swiss = has_struct(search, swiss_map);
	if (!search->found.swiss && !has_struct(search, classic_map))
		return refuse(reason, "does not describe", classic_map, "");
	if ((search->index_bytes != 2 && search->index_bytes != 8) ||
		(search->offset_bytes != 2 && search->offset_bytes != 8))
		return refuse(reason, "has a new width of", "runtime.mspan", "freeindex");
	layout->span_index_bytes = (uint8_t)search->index_bytes;
	layout->special_offset_bytes = (uint16_t)search->offset_bytes;
	layout->special_kind_profile = (uint8_t)search->profile_kind;
	/* 1.22 brought malloc headers and mspan.largeType together */
	layout->malloc_headers = layout->span_large_type != UINT16_MAX;
	layout->inline_marks = layout->arena_inline_marks != UINT32_MAX;
	/* Behind inStacks lies what the collector uses, then what the allocator counts */
	if (search->found.delta_allocated < DELTA_STACKS + 16 ||
		search->found.delta_allocated > DELTA_STACKS + 24)
		return refuse(reason, "has a new", "runtime.heapStatsDelta", "");
	layout->stats_gc_words = (uint8_t)((search->found.delta_allocated - DELTA_STACKS) / 8 - 1);
	return 0;
}

int go_dwarf_find(struct elf_file *elf, struct go_dwarf *ret, char reason[96])
{
	Dwarf *dwarf = dwarf_begin(elf_file_fd(elf), DWARF_C_READ);
	struct search search = {.profile_kind = 0};
	int r;

	if (!dwarf) {
		snprintf(reason, 96, "the binary has no DWARF");
		return -ENODATA;
	}
	take_all(&search, dwarf);
	dwarf_end(dwarf);
	r = settle(&search, reason);
	if (!r)
		*ret = search.found;
	return r;
}
