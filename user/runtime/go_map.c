/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go maps from outside (go_map.h).
 *
 * Classic, runtime/map.go (1.19 to 1.23 alike): a header, 2^B buckets of 8 slots in one array with
 * preallocated overflow buckets behind them (from B = 4 on), further overflow buckets one by one, and
 * while a growth is unfinished the old array. Swiss, internal/runtime/maps (1.24, 1.26 alike): a
 * header, one group of 8 slots; from the 9th entry on a directory of pointers to tables of up to
 * 1024 slots, neighbouring entries repeating a table that is not split as far as the directory.
 *
 * Bytes come from the span slot in which an array lies, so size classes and malloc headers are in.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/go_map.h"

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

#define TOP_REST         0 /* tophash emptyRest: and nothing behind it in this bucket */
#define TOP_EVACUATED    2 /* evacuatedX, evacuatedY, evacuatedEmpty: 2, 3, 4 */
#define TOP_MIN          5 /* minTopHash: 5 and above are live cells */
#define CTRL_EMPTY       0x80
#define CTRL_DELETED     0xfe
#define BUCKET_MAX       2064 /* 8 tophash, 8 keys and 8 elems of 128 bytes, overflow pointer */
#define BUCKET_MIN       16
#define COUNTED_B        3  /* up to this B all cells are counted, above some are sampled */
#define EXACT_B          16 /* from this B on noverflow is an estimate (incrnoverflow) */
#define SAMPLED_BUCKETS  16
#define MAX_SAMPLED      1024
#define MAX_CHAIN        64
#define MAX_GUESSES      64
#define MAX_LENGTH       (1ull << 40)
#define KIND_STRUCT      25
#define CHECKED_TABLES   8
#define SAME_HASHES      5
#define BUCKET_TYPE_NAME "map.bucket["
#define GROUP_TYPE_NAME  "map.group["

static uint64_t load64(const uint8_t *raw)
{
	uint64_t value;

	memcpy(&value, raw, sizeof(value));
	return value;
}

static uint32_t load32(const uint8_t *raw)
{
	uint32_t value;

	memcpy(&value, raw, sizeof(value));
	return value;
}

static uint16_t load16(const uint8_t *raw)
{
	uint16_t value;

	memcpy(&value, raw, sizeof(value));
	return value;
}

static bool heap_pointer(uint64_t addr)
{
	return addr && addr % 8 == 0 && addr < GO_MAX_BYTES;
}

static uint8_t log2_of(uint64_t power)
{
	uint8_t log = 0;

	while (power >>= 1)
		log++;
	return log;
}

/* ---- header ---- */

static bool parse_classic(const uint8_t *raw, struct go_map_header *ret)
{
	*ret = (struct go_map_header){
		.length = load64(raw + HMAP_COUNT),
		.flags = raw[HMAP_FLAGS],
		.b = raw[HMAP_B],
		.overflow = load16(raw + HMAP_OVERFLOW),
		.seed = load32(raw + HMAP_HASH0),
		.array = load64(raw + HMAP_BUCKETS),
		.old = load64(raw + HMAP_OLD),
		.evacuated = load64(raw + HMAP_EVACUATED),
		.extra = load64(raw + HMAP_EXTRA),
	};
	if (ret->flags > HMAP_FLAGS_ALL || ret->b > GO_MAP_MAX_B || !ret->seed)
		return false;
	if (!ret->array)
		return !ret->length && !ret->b && !ret->old && !ret->extra;
	/* More than 16 a bucket would have grown long ago, an unfinished growth included. */
	return heap_pointer(ret->array) && ret->length <= 16ull << ret->b &&
	       (!ret->old || heap_pointer(ret->old)) && (!ret->extra || heap_pointer(ret->extra)) &&
	       ret->evacuated <= 1ull << ret->b;
}

static bool parse_swiss(const uint8_t *raw, struct go_map_header *ret)
{
	*ret = (struct go_map_header){
		.length = load64(raw + SWISS_USED),
		.seed = load64(raw + SWISS_SEED),
		.array = load64(raw + SWISS_DIRECTORY),
		.tables = load64(raw + SWISS_TABLES),
		.b = raw[SWISS_DEPTH],
		.flags = raw[SWISS_WRITING],
		.clear_seq = load64(raw + SWISS_CLEAR_SEQ),
	};
	if (ret->flags > 1 || raw[SWISS_TOMBSTONE_POSSIBLE] > 1 || load32(raw + SWISS_PADDING) ||
		ret->length > MAX_LENGTH || ret->clear_seq > MAX_LENGTH)
		return false;
	if (!ret->tables)
		return !ret->b && !raw[SWISS_SHIFT] && ret->length <= GO_MAP_SLOTS &&
		       (ret->array ? heap_pointer(ret->array) : !ret->length);
	return ret->b <= SWISS_MAX_DEPTH && ret->tables == 1ull << ret->b &&
	       raw[SWISS_SHIFT] == 64 - ret->b && heap_pointer(ret->array) &&
	       ret->length <= ret->tables * GO_MAP_TABLE_CAPACITY;
}

bool go_map_parse(const struct runtime_process *process, const uint8_t raw[GO_MAP_HEADER_BYTES],
	struct go_map_header *ret)
{
	uint8_t copy[GO_MAP_HEADER_BYTES];

	if (!(process->facts.swiss ? parse_swiss(raw, ret) : parse_classic(raw, ret)))
		return false;
	memcpy(copy, raw, sizeof(copy));
	if (!process->facts.swiss)
		copy[HMAP_FLAGS] &= (uint8_t)~HMAP_ITERATING;
	ret->stamp = hash_bytes(0, copy, sizeof(copy));
	return true;
}

/* ---- classic ---- */

/* Where a slot's contents begin, as the program sees it. */
static uint64_t contents(const struct runtime_process *process, const struct go_object *object)
{
	return object->base + (go_span_has_headers(process, &object->span) ? GO_MALLOC_HEADER : 0);
}

static bool is_array(const struct runtime_process *process, const struct go_object *object)
{
	return object->state == GO_OBJECT_ALLOCATED &&
	       go_span_starts_at(process, &object->span, object->addr);
}

/* runtime.mapextra */
struct map_extra {
	uint64_t overflow, old_overflow; /* *[]*bmap, only where buckets hold no pointers */
	uint64_t next;                   /* next free preallocated overflow bucket */
};

/* Length of a *[]*bmap and the bytes of its array, or 0. */
static uint64_t read_overflow_list(
	struct runtime_process *process, uint64_t slice, uint64_t *ret_bytes)
{
	struct go_object list;
	uint64_t words[3];

	*ret_bytes = 0;
	if (!heap_pointer(slice) || target_mem_read(process->mem, slice, words, sizeof(words)) ||
		!heap_pointer(words[0]) || words[1] > words[2])
		return 0;
	list.addr = words[0];
	if (go_heap_find_spans(process, &list, 1) || !is_array(process, &list) ||
		list.span.elemsize < words[1] * 8)
		return 0;
	*ret_bytes = list.span.elemsize + GO_MAP_EXTRA_BYTES; /* a slice header is 24 bytes too */
	return words[1];
}

/* One array of buckets, preallocated overflow buckets behind them. */
struct bucket_array {
	uint64_t addr, bytes, buckets, bucket_bytes;
};

/*
 * Overflow buckets that hang outside of an array: counted in up to 1,024 buckets, extrapolated from
 * there. Evacuated buckets have let go of theirs (evacuate() clears them where there are pointers).
 */
static uint64_t estimate_chained(struct runtime_process *process, const struct bucket_array *array)
{
	uint64_t sampled = MIN(array->buckets, (uint64_t)MAX_SAMPLED), outside = 0;
	struct target_piece pieces[MAX_SAMPLED];
	uint64_t next[MAX_SAMPLED];

	for (uint64_t i = 0; i < sampled; i++) {
		uint64_t bucket = i * array->buckets / sampled;

		pieces[i] = (struct target_piece){
			array->addr + (bucket + 1) * array->bucket_bytes - 8, &next[i], 8, false};
	}
	if (!sampled || target_mem_read_pieces(process->mem, pieces, sampled) <= 0)
		return 0;
	for (uint64_t i = 0; i < sampled; i++)
		outside += pieces[i].done && heap_pointer(next[i]) &&
			   next[i] - array->addr >= array->bytes;
	return outside * array->buckets / sampled;
}

/* Preallocated overflow buckets of an array of 2^b. */
static uint64_t preallocated(struct runtime_process *process, uint8_t b,
	const struct bucket_array *array, bool has_pointers)
{
	uint64_t total = go_size_buckets(&process->facts, b, array->bucket_bytes, has_pointers);

	return total - MIN(total, array->buckets);
}

/*
 * Bytes outside of the arrays: mapextra, lists, and overflow buckets beyond the preallocated ones.
 * Where buckets hold no pointers their number is known (lists keep them alive), else up to B = 15,
 * and always where a preallocated one is still free. The rest is estimated.
 */
static uint64_t outside_bytes(struct runtime_process *process, const struct go_map_header *header,
	const struct bucket_array *array, const struct bucket_array *old, bool has_pointers)
{
	uint64_t bytes = header->extra ? GO_MAP_EXTRA_BYTES : 0, list = 0, old_list = 0;
	uint64_t count = header->overflow, old_count, ready;
	struct map_extra extra = {};

	if (header->extra && target_mem_read(process->mem, header->extra, &extra, sizeof(extra)))
		extra = (struct map_extra){};
	ready = preallocated(process, header->b, array, has_pointers);
	if (extra.next)
		count = 0;
	else if (!has_pointers)
		count = read_overflow_list(process, extra.overflow, &list);
	else if (header->b >= EXACT_B)
		count = estimate_chained(process, array) + ready;
	count -= MIN(count, ready);
	if (extra.next && !has_pointers)
		read_overflow_list(process, extra.overflow, &list);
	if (has_pointers || !header->old) {
		old_count = header->old ? estimate_chained(process, old) : 0;
	} else {
		ready = preallocated(process, log2_of(old->buckets), old, has_pointers);
		old_count = read_overflow_list(process, extra.old_overflow, &old_list);
		old_count -= MIN(old_count, ready);
	}
	return bytes + list + old_list +
	       (count + old_count) *
		       go_size_alloc(&process->facts, array->bucket_bytes, has_pointers);
}

/* hmap.noldbuckets() */
static uint64_t old_buckets(const struct go_map_header *header)
{
	if (!header->old)
		return 0;
	return 1ull << (header->flags & HMAP_SAME_SIZE || !header->b ? header->b : header->b - 1);
}

static int walk_classic(struct runtime_process *process, const struct go_map_header *header,
	uint64_t group_bytes, struct go_shape *ret)
{
	struct go_object objects[2] = {{.addr = header->array}, {.addr = header->old}};
	size_t count = header->old ? 2 : 1;
	struct bucket_array arrays[2] = {{.addr = header->array, .buckets = 1ull << header->b},
		{.addr = header->old, .buckets = old_buckets(header)}};
	uint64_t buckets, outside;
	int r = go_heap_find_spans(process, objects, count);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		uint64_t bytes = objects[i].span.elemsize;

		if (!is_array(process, &objects[i]) || bytes < BUCKET_MIN * arrays[i].buckets)
			return -EFAULT;
		arrays[i].bytes = bytes;
		go_extents_add(&process->extents, objects[i].base, bytes, i);
		ret->held += bytes;
		ret->old += i ? bytes : 0;
	}
	ret->group_has_pointers = !go_span_noscan(&objects[0].span);
	buckets =
		header->b < 4 ? 1ull << header->b : (1ull << header->b) + (1ull << (header->b - 4));
	ret->group_bytes = group_bytes ? group_bytes : objects[0].span.elemsize / buckets / 8 * 8;
	arrays[0].bucket_bytes = arrays[1].bucket_bytes = ret->group_bytes;
	outside = outside_bytes(process, header, &arrays[0], &arrays[1], ret->group_has_pointers);
	/* Each has been written to, so it is resident; where they all are is not known. */
	ret->held += outside;
	ret->resident += outside;
	ret->capacity = (uint64_t)GO_MAP_SLOTS << header->b;
	ret->load_limit = go_size_load_limit(&process->facts, header->b);
	ret->largest = header->array;
	return 0;
}

/* ---- Swiss ---- */

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

static bool parse_table(const uint8_t *raw, uint8_t depth, struct table_info *table)
{
	table->used = load16(raw + TABLE_USED);
	table->capacity = load16(raw + TABLE_CAPACITY);
	table->growth_left = load16(raw + TABLE_GROWTH_LEFT);
	table->depth = raw[TABLE_DEPTH];
	table->groups = load64(raw + TABLE_GROUPS);
	return table->capacity >= GO_MAP_SLOTS && table->capacity <= GO_MAP_TABLE_CAPACITY &&
	       !(table->capacity & (table->capacity - 1)) &&
	       load64(raw + TABLE_MASK) + 1 == table->capacity / GO_MAP_SLOTS &&
	       table->used + table->growth_left <= go_size_table_limit(table->capacity) &&
	       table->depth <= depth && table->run == 1ull << (depth - table->depth) &&
	       load64(raw + TABLE_INDEX) == table->index && heap_pointer(table->groups);
}

/* The distinct tables of a directory. */
static int read_directory(
	struct runtime_process *process, const struct go_map_header *header, struct tables *ret)
{
	struct go_object directory = {.addr = header->array};
	uint64_t *entries = NULL;
	int r = go_heap_find_spans(process, &directory, 1);

	if (r < 0)
		return r;
	if (!is_array(process, &directory) ||
		directory.span.elemsize - (directory.addr - directory.base) < header->tables * 8)
		return -EFAULT;
	ret->directory_bytes = directory.span.elemsize;
	go_extents_add(&process->extents, directory.base, directory.span.elemsize, false);
	entries = xcalloc(header->tables, sizeof(*entries));
	ret->list = xcalloc(header->tables, sizeof(*ret->list));
	r = target_mem_read(process->mem, header->array, entries, header->tables * 8);
	if (r < 0)
		goto out;
	for (uint64_t i = 0; i < header->tables; i++) {
		if (!i || entries[i] != entries[i - 1])
			ret->list[ret->count++] =
				(struct table_info){.addr = entries[i], .index = i};
		ret->list[ret->count - 1].run++;
	}
out:
	free(entries);
	return r;
}

static int read_table_headers(
	struct runtime_process *process, const struct go_map_header *header, struct tables *tables)
{
	struct target_piece *pieces = xcalloc(tables->count, sizeof(*pieces));
	uint8_t(*raw)[GO_MAP_TABLE_BYTES] = xcalloc(tables->count, sizeof(*raw));
	int r;

	for (size_t i = 0; i < tables->count; i++)
		pieces[i] = (struct target_piece){
			tables->list[i].addr, raw[i], GO_MAP_TABLE_BYTES, false};
	r = target_mem_read_pieces(process->mem, pieces, tables->count);
	for (size_t i = 0; r >= 0 && i < tables->count; i++) {
		if (!pieces[i].done || !heap_pointer(tables->list[i].addr) ||
			!parse_table(raw[i], header->b, &tables->list[i]))
			r = -EFAULT;
		tables->used += tables->list[i].used;
	}
	free(raw);
	free(pieces);
	return r < 0 ? r : 0;
}

/* Span slots of the groups, and whether the tables are objects of a table's size. */
static int read_table_spans(struct runtime_process *process, struct tables *tables)
{
	struct go_object *objects = xcalloc(2 * tables->count, sizeof(*objects));
	int r;

	for (size_t i = 0; i < tables->count; i++) {
		objects[2 * i].addr = tables->list[i].groups;
		objects[2 * i + 1].addr = tables->list[i].addr;
	}
	r = go_heap_find_spans(process, objects, 2 * tables->count);
	for (size_t i = 0; r >= 0 && i < tables->count; i++) {
		const struct go_object *groups = &objects[2 * i], *table = &objects[2 * i + 1];

		if (!is_array(process, groups) || !is_array(process, table) ||
			table->span.elemsize != GO_MAP_TABLE_BYTES ||
			groups->span.elemsize < (uint64_t)tables->list[i].capacity)
			r = -EFAULT;
		tables->list[i].bytes = groups->span.elemsize;
		tables->list[i].has_pointers = !go_span_noscan(&groups->span);
		go_extents_add(&process->extents, groups->base, groups->span.elemsize, false);
		go_extents_add(&process->extents, table->base, GO_MAP_TABLE_BYTES, false);
	}
	free(objects);
	return r < 0 ? r : 0;
}

static int read_tables(
	struct runtime_process *process, const struct go_map_header *header, struct tables *ret)
{
	int r = read_directory(process, header, ret);

	if (!r)
		r = read_table_headers(process, header, ret);
	if (!r)
		r = read_table_spans(process, ret);
	return r;
}

static int walk_small(
	struct runtime_process *process, const struct go_map_header *header, struct go_shape *ret)
{
	struct go_object group = {.addr = header->array};
	int r;

	ret->capacity = ret->load_limit = GO_MAP_SLOTS;
	if (!header->array) /* made, and nothing put in yet */
		return 0;
	r = go_heap_find_spans(process, &group, 1);
	if (r < 0)
		return r;
	if (!is_array(process, &group))
		return -EFAULT;
	go_extents_add(&process->extents, group.base, group.span.elemsize, false);
	ret->held += group.span.elemsize;
	ret->group_has_pointers = !go_span_noscan(&group.span);
	ret->group_bytes = group.span.elemsize - (group.addr - group.base);
	ret->largest = header->array;
	return 0;
}

static int walk_swiss(
	struct runtime_process *process, const struct go_map_header *header, struct go_shape *ret)
{
	struct tables tables = {};
	uint64_t largest = 0;
	int r;

	if (!header->tables) {
		r = walk_small(process, header, ret);
		goto out;
	}
	r = read_tables(process, header, &tables);
	if (r < 0)
		goto out;
	ret->held += tables.directory_bytes;
	for (size_t i = 0; i < tables.count; i++) {
		const struct table_info *table = &tables.list[i];
		uint64_t limit = go_size_table_limit(table->capacity);

		ret->held += table->bytes + GO_MAP_TABLE_BYTES;
		ret->capacity += table->capacity;
		ret->load_limit += limit;
		ret->tombstones += limit - table->used - table->growth_left;
		if (table->bytes <= largest)
			continue;
		largest = table->bytes;
		ret->largest = table->groups;
		ret->group_has_pointers = table->has_pointers;
		ret->group_bytes = table->bytes / (table->capacity / GO_MAP_SLOTS) / 8 * 8;
	}
out:
	free(tables.list);
	return r;
}

int go_map_walk(struct runtime_process *process, uint64_t key, const struct go_map_header *header,
	uint64_t group_bytes, struct go_shape *ret)
{
	struct go_shape shape = {.held = GO_MAP_HEADER_BYTES};
	int r;

	go_extents_clear(&process->extents);
	go_extents_add(&process->extents, key, GO_MAP_HEADER_BYTES, false);
	if (process->facts.swiss)
		r = walk_swiss(process, header, &shape);
	else if (header->array)
		r = walk_classic(process, header, group_bytes, &shape);
	else
		r = 0;
	if (r)
		return r;
	if (group_bytes)
		shape.group_bytes = group_bytes;
	*ret = shape;
	return 0;
}

/* ---- what is the array made of? ---- */

static void add_type(struct go_map_guess *guess, const struct go_type *type)
{
	if (guess->type_count < GO_MAP_MAX_NAMES)
		guess->types[guess->type_count] = type;
	guess->type_count++;
}

/* Type of the array's elements as the allocator knows it, 0 = it does not (no pointers, or Go < 1.22). */
static uint64_t array_type(struct runtime_process *process, const struct go_object *array)
{
	uint64_t type = 0;

	if (go_span_has_headers(process, &array->span) && !array->span.large_type)
		target_mem_read_u64(process->mem, array->base, &type);
	return array->span.large_type ? array->span.large_type : type;
}

/* From the allocator's own word. 1 = known, 0 = it is no map's array. */
static size_t guess_by_type(
	struct runtime_process *process, uint64_t type, struct go_map_guess *ret)
{
	const struct go_type *maps, *group = go_typecache_get(process, type);
	const char *name = process->facts.swiss ? GROUP_TYPE_NAME : BUCKET_TYPE_NAME;
	size_t count = go_typecache_find_group(process, type, &maps);

	*ret = (struct go_map_guess){.has_pointers = true};
	for (size_t i = 0; i < count; i++)
		add_type(ret, &maps[i]);
	if (count)
		ret->group_bytes = maps->group_size;
	else if (group && group->kind == KIND_STRUCT && !strncmp(group->name, name, strlen(name)))
		ret->group_bytes = group->size;
	return ret->group_bytes != 0;
}

/* Bytes that an array of such groups takes: of 2^b buckets, or of a table of 2^b slots. */
static uint64_t array_bytes(
	const struct runtime_process *process, uint8_t b, uint64_t group_bytes, bool has_pointers)
{
	if (process->facts.swiss)
		return go_size_table_groups(&process->facts, 1ull << b, group_bytes, has_pointers);
	return go_size_bucket_array(&process->facts, b, group_bytes, has_pointers);
}

/* Map types of the file whose array would take just these bytes, by group size. */
static size_t guess_by_types(struct runtime_process *process, uint8_t b, const struct go_span *span,
	struct go_map_guess *ret)
{
	const struct go_type *maps;
	size_t total = go_typecache_maps(process, &maps), count = 0;
	bool pointers = !go_span_noscan(span);

	for (size_t i = 0; i < total; i++) {
		size_t at = 0;

		if (maps[i].group_has_pointers != pointers ||
			array_bytes(process, b, maps[i].group_size, pointers) != span->elemsize)
			continue;
		while (at < count && ret[at].group_bytes != maps[i].group_size)
			at++;
		if (at == MAX_GUESSES)
			continue;
		if (at == count)
			ret[count++] = (struct go_map_guess){
				.group_bytes = maps[i].group_size, .has_pointers = pointers};
		add_type(&ret[at], &maps[i]);
	}
	return count;
}

/* Any group size that fits: for types that the file does not list (made by reflection). */
static size_t guess_by_size(const struct runtime_process *process, uint8_t b,
	const struct go_span *span, struct go_map_guess *ret)
{
	bool pointers = !go_span_noscan(span);
	size_t count = 0;

	for (uint64_t bytes = BUCKET_MIN; bytes <= BUCKET_MAX && count < MAX_GUESSES; bytes += 8)
		if (array_bytes(process, b, bytes, pointers) == span->elemsize)
			ret[count++] = (struct go_map_guess){
				.group_bytes = bytes, .has_pointers = pointers};
	return count;
}

/* Fills at most 2 * MAX_GUESSES, best first. */
static size_t guess_groups(struct runtime_process *process, uint8_t b,
	const struct go_object *array, const struct go_type *type, struct go_map_guess *ret)
{
	uint64_t known = array_type(process, array);
	size_t count;

	if (type) {
		ret[0] = (struct go_map_guess){
			.group_bytes = type->group_size, .has_pointers = type->group_has_pointers};
		add_type(&ret[0], type);
		return 1;
	}
	if (known && process->parser)
		return guess_by_type(process, known, ret);
	count = guess_by_types(process, b, &array->span, ret);
	return count + guess_by_size(process, b, &array->span, ret + count);
}

/* ---- is it a map? ---- */

/* Live cells of a bucket of the current array, or -1 where no such bucket can be. */
static int count_cells(const uint8_t top[GO_MAP_SLOTS])
{
	bool rest = false;
	int live = 0;

	for (int i = 0; i < GO_MAP_SLOTS; i++) {
		if (rest && top[i] != TOP_REST)
			return -1;
		if (top[i] >= TOP_EVACUATED && top[i] < TOP_MIN)
			return -1;
		rest = top[i] == TOP_REST;
		live += top[i] >= TOP_MIN;
	}
	return live;
}

/* Live cells of one bucket and the overflow buckets chained to it, or -1. */
static int count_chain(struct runtime_process *process, uint64_t bucket, uint64_t bucket_bytes)
{
	int live = 0;

	for (int i = 0; bucket; i++) {
		uint8_t raw[BUCKET_MAX];
		int cells;

		if (i == MAX_CHAIN || !heap_pointer(bucket) || bucket_bytes > sizeof(raw) ||
			target_mem_read(process->mem, bucket, raw, bucket_bytes))
			return -1;
		cells = count_cells(raw);
		if (cells < 0)
			return -1;
		live += cells;
		bucket = load64(raw + bucket_bytes - 8); /* bmap.overflow: the last word */
	}
	return live;
}

/* Small maps: every live cell is counted. While a growth goes on some are still in the old array. */
static bool check_all_buckets(
	struct runtime_process *process, const struct go_map_header *header, uint64_t bucket_bytes)
{
	uint64_t live = 0;

	for (uint64_t i = 0; i < 1ull << header->b; i++) {
		int cells = count_chain(process, header->array + i * bucket_bytes, bucket_bytes);

		if (cells < 0)
			return false;
		live += (uint64_t)cells;
	}
	return header->old ? live <= header->length : live == header->length;
}

/* Large maps: buckets spread over the array, and as full as the count says, roughly. */
static bool check_some_buckets(
	struct runtime_process *process, const struct go_map_header *header, uint64_t bucket_bytes)
{
	uint8_t top[SAMPLED_BUCKETS][GO_MAP_SLOTS];
	struct target_piece pieces[SAMPLED_BUCKETS];
	uint64_t step = (1ull << header->b) / SAMPLED_BUCKETS;
	int read, live = 0;

	for (uint64_t i = 0; i < SAMPLED_BUCKETS; i++)
		pieces[i] =
			(struct target_piece){header->array + (i * step + i % step) * bucket_bytes,
				top[i], GO_MAP_SLOTS, false};
	read = target_mem_read_pieces(process->mem, pieces, SAMPLED_BUCKETS);
	for (int i = 0; i < SAMPLED_BUCKETS; i++) {
		int cells = pieces[i].done ? count_cells(top[i]) : 0;

		if (cells < 0)
			return false;
		live += cells;
	}
	/* A page that is not present was never written: its buckets are empty. */
	if (read < 0 || (!header->length && live))
		return false;
	return header->old || header->length < 4ull << header->b || live > 0;
}

/* makeBucketArray: from B = 4 on a mapextra points to the first free preallocated bucket. */
static bool check_extra(struct runtime_process *process, const struct go_map_header *header,
	const struct go_map_guess *guess)
{
	uint64_t total = go_size_buckets(
		&process->facts, header->b, guess->group_bytes, guess->has_pointers);
	uint64_t first = header->array + (guess->group_bytes << header->b);
	struct map_extra extra;

	if (total <= 1ull << header->b)
		return true;
	if (!header->extra || target_mem_read(process->mem, header->extra, &extra, sizeof(extra)))
		return false;
	if (!extra.next)
		return header->overflow > 0 || header->old;
	return extra.next >= first && (extra.next - first) % guess->group_bytes == 0 &&
	       extra.next < header->array + total * guess->group_bytes;
}

static bool is_object(
	const struct runtime_process *process, const struct go_object *object, uint64_t bytes)
{
	return is_array(process, object) && object->span.elemsize == bytes &&
	       !go_span_noscan(&object->span);
}

static int check_classic(struct runtime_process *process, const struct go_map_header *header,
	const struct go_type *type, struct go_map_guess *ret)
{
	struct go_object objects[3] = {{.addr = header->array}};
	struct go_map_guess guesses[2 * MAX_GUESSES];
	size_t count = 1, old, extra, guess_count;
	int r;

	old = count;
	if (header->old)
		objects[count++].addr = header->old;
	extra = count;
	if (header->extra)
		objects[count++].addr = header->extra;
	r = go_heap_find_spans(process, objects, count);
	if (r < 0)
		return r;
	if (!is_array(process, &objects[0]) || (header->old && !is_array(process, &objects[old])) ||
		(header->extra && !is_object(process, &objects[extra], GO_MAP_EXTRA_BYTES)))
		return -ENOENT;
	guess_count = guess_groups(process, header->b, &objects[0], type, guesses);
	for (size_t i = 0; i < guess_count; i++) {
		const struct go_map_guess *guess = &guesses[i];

		if (guess->has_pointers == go_span_noscan(&objects[0].span) ||
			array_bytes(process, header->b, guess->group_bytes, guess->has_pointers) !=
				objects[0].span.elemsize ||
			!check_extra(process, header, guess))
			continue;
		if (header->b <= COUNTED_B
				? !check_all_buckets(process, header, guess->group_bytes)
				: !check_some_buckets(process, header, guess->group_bytes))
			continue;
		*ret = *guess;
		return 0;
	}
	return -ENOENT;
}

/* Do the control bytes of a table's groups say what its used says? */
static bool check_ctrl(struct runtime_process *process, uint64_t groups, uint64_t capacity,
	uint64_t group_bytes, uint64_t used)
{
	uint8_t ctrl[GO_MAP_TABLE_CAPACITY / GO_MAP_SLOTS][GO_MAP_SLOTS];
	struct target_piece pieces[GO_MAP_TABLE_CAPACITY / GO_MAP_SLOTS];
	size_t count = capacity / GO_MAP_SLOTS;
	bool different = false;
	uint64_t full = 0;
	uint8_t first = 0;

	for (size_t i = 0; i < count; i++)
		pieces[i] = (struct target_piece){
			groups + i * group_bytes, ctrl[i], GO_MAP_SLOTS, false};
	if (target_mem_read_pieces(process->mem, pieces, count) < (int)count)
		return false;
	for (size_t i = 0; i < count * GO_MAP_SLOTS; i++) {
		uint8_t byte = ctrl[i / GO_MAP_SLOTS][i % GO_MAP_SLOTS];

		if (byte > CTRL_EMPTY && byte != CTRL_DELETED)
			return false;
		if (byte >= CTRL_EMPTY)
			continue;
		first = full++ ? first : byte;
		different = different || byte != first;
	}
	/* Seven bits of a hash each: five that agree are no hashes (memory full of zeros, say). */
	return full == used && (different || full < SAME_HASHES);
}

/* Finds the group size by the array of one table. */
static int check_groups(struct runtime_process *process, uint64_t groups, uint64_t capacity,
	uint64_t used, const struct go_type *type, struct go_map_guess *ret)
{
	struct go_map_guess guesses[2 * MAX_GUESSES];
	struct go_object array = {.addr = groups};
	size_t count;
	int r = go_heap_find_spans(process, &array, 1);

	if (r < 0)
		return r;
	if (!is_array(process, &array) || contents(process, &array) != groups)
		return -ENOENT;
	count = guess_groups(process, log2_of(capacity), &array, type, guesses);
	for (size_t i = 0; i < count; i++) {
		if (guesses[i].has_pointers == go_span_noscan(&array.span) ||
			array_bytes(process, log2_of(capacity), guesses[i].group_bytes,
				guesses[i].has_pointers) != array.span.elemsize ||
			!check_ctrl(process, groups, capacity, guesses[i].group_bytes, used))
			continue;
		*ret = guesses[i];
		return 0;
	}
	return -ENOENT;
}

static int check_swiss(struct runtime_process *process, const struct go_map_header *header,
	const struct go_type *type, struct go_map_guess *ret)
{
	struct tables tables = {};
	int r;

	if (!header->tables)
		return header->array ? check_groups(process, header->array, GO_MAP_SLOTS,
					       header->length, type, ret)
				     : -ENOENT;
	go_extents_clear(&process->extents);
	r = read_tables(process, header, &tables);
	if (!r && tables.used != header->length)
		r = -ENOENT;
	for (size_t i = 0; !r && i < MIN(tables.count, (size_t)CHECKED_TABLES); i++) {
		const struct table_info *table =
			&tables.list[i * tables.count / MIN(tables.count, (size_t)CHECKED_TABLES)];

		r = check_groups(process, table->groups, table->capacity, table->used,
			i && ret->type_count == 1 ? ret->types[0] : type, ret);
	}
	free(tables.list);
	return r == -EFAULT ? -ENOENT : r;
}

int go_map_check(struct runtime_process *process, uint64_t key, const struct go_map_header *header,
	const struct go_type *type, struct go_map_guess *ret_guess)
{
	struct go_map_guess guess = {};
	struct go_map_header after;
	uint8_t raw[GO_MAP_HEADER_BYTES];
	int r = -ENOENT;

	if (header->array)
		r = process->facts.swiss ? check_swiss(process, header, type, &guess)
					 : check_classic(process, header, type, &guess);
	if (!r)
		*ret_guess = guess;
	if (r != -ENOENT)
		return r;
	/* A map that is written to while we read contradicts itself, too; an imitation keeps still. */
	if (target_mem_read(process->mem, key, raw, sizeof(raw)) ||
		!go_map_parse(process, raw, &after))
		return -ENOENT;
	return after.stamp != header->stamp ? -EAGAIN : -ENOENT;
}

void go_map_guess_name(const struct go_map_guess *guess, char *buf, size_t bytes)
{
	size_t kept = MIN(guess->type_count, (size_t)GO_MAP_MAX_NAMES), used = 0;

	text_copy(buf, bytes, guess->type_count ? "" : "map");
	for (size_t i = 0; i < kept && used < bytes; i++)
		used += (size_t)snprintf(
			buf + used, bytes - used, "%s%s", i ? " or " : "", guess->types[i]->name);
	if (guess->type_count > kept && used < bytes)
		snprintf(buf + used, bytes - used, " or ...");
}
