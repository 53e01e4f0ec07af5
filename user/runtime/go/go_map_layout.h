/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to what reads Go's maps (go_map.c, go_map_check.c, go_fetch.c): where things are in them.
 */
#ifndef MEMTRACE_RUNTIME_GO_MAP_LAYOUT_H
#define MEMTRACE_RUNTIME_GO_MAP_LAYOUT_H

#include <string.h>

#include "runtime/go/go_map.h"

/* runtime.hmap, go1.18 to go1.23 */
enum {
	HMAP_COUNT = 0,
	HMAP_FLAGS = 8,
	HMAP_B = 9,
	HMAP_OVERFLOW = 10,
	HMAP_HASH0 = 12,
	HMAP_BUCKETS = 16,
	HMAP_OLD = 24,
	HMAP_EVACUATED = 32,
	HMAP_EXTRA = 40,
	HMAP_ITERATING = 1 | 2, /* flags iterator, oldIterator */
	HMAP_SAME_SIZE = 8,
	HMAP_FLAGS_ALL = 15,
};

/* internal/runtime/maps.Map, go1.24 to go1.26 */
enum {
	SWISS_USED = 0,
	SWISS_SEED = 8,
	SWISS_DIRECTORY = 16,
	SWISS_TABLES = 24,
	SWISS_DEPTH = 32,
	SWISS_SHIFT = 33,
	SWISS_WRITING = 34,
	SWISS_TOMBSTONE_POSSIBLE = 35, /* 1.26; padding before */
	SWISS_PADDING = 36,
	SWISS_CLEAR_SEQ = 40,
	SWISS_MAX_DEPTH = 24,
};

/* internal/runtime/maps.table */
enum {
	TABLE_USED = 0,
	TABLE_CAPACITY = 2,
	TABLE_GROWTH_LEFT = 4,
	TABLE_DEPTH = 6,
	TABLE_INDEX = 8,
	TABLE_GROUPS = 16,
	TABLE_MASK = 24,
};

#define BUCKET_MAX     2064 /* 8 tophash, 8 keys and 8 elems of 128 bytes, overflow pointer */
#define BUCKET_MIN     16
#define COUNTED_B      3 /* up to this B all cells are counted, above some are sampled */
#define CHECKED_TABLES 8 /* of a Swiss map, at most */

/* runtime.mapextra */
struct map_extra {
	uint64_t overflow, old_overflow; /* *[]*bmap, only where buckets hold no pointers */
	uint64_t next;                   /* next free preallocated overflow bucket */
};

struct table_info {
	uint64_t addr, groups, bytes; /* bytes: of the span slot of its groups */
	uint64_t index, run;          /* first directory entry, and how many repeat it */
	uint16_t used, capacity, growth_left;
	uint8_t depth;
	bool has_pointers;
};

struct tables {
	struct table_info *list;
	size_t count;
	uint64_t directory_bytes;
	uint64_t used;
};

static inline uint64_t load64(const uint8_t *raw)
{
	uint64_t value;

	memcpy(&value, raw, sizeof(value));
	return value;
}

static inline uint32_t load32(const uint8_t *raw)
{
	uint32_t value;

	memcpy(&value, raw, sizeof(value));
	return value;
}

static inline uint16_t load16(const uint8_t *raw)
{
	uint16_t value;

	memcpy(&value, raw, sizeof(value));
	return value;
}

static inline bool heap_pointer(uint64_t addr)
{
	return addr && addr % 8 == 0 && addr < GO_MAX_BYTES;
}

static inline uint8_t log2_of(uint64_t power)
{
	uint8_t log = 0;

	while (power >>= 1)
		log++;
	return log;
}

/* Where a slot's contents begin, as the program sees it. */
static inline uint64_t contents(
	const struct runtime_process *process, const struct go_object *object)
{
	return object->base + (go_span_has_headers(process, &object->span) ? GO_MALLOC_HEADER : 0);
}

static inline bool is_array(const struct runtime_process *process, const struct go_object *object)
{
	return object->state == GO_OBJECT_ALLOCATED &&
	       go_span_starts_at(process, &object->span, object->addr);
}

/* The distinct tables of a Swiss map's directory, their headers and span slots. */
int go_map_read_tables(
	struct runtime_process *process, const struct go_map_header *header, struct tables *ret);

#endif
