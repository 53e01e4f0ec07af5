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
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_map_layout.h"

#define EXACT_B     16 /* from this B on noverflow is an estimate (incrnoverflow) */
#define MAX_SAMPLED 1024
#define MAX_LENGTH  (1ull << 40)

/* ---- header ---- */

static bool parse_classic(const uint8_t *raw, struct go_map_header *ret)
{
	if (raw[HMAP_FLAGS] > HMAP_FLAGS_ALL || raw[HMAP_B] > GO_MAP_MAX_B)
		return false;
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
	if (!ret->seed)
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
	if (raw[SWISS_WRITING] > 1 || raw[SWISS_TOMBSTONE_POSSIBLE] > 1 ||
		raw[SWISS_DEPTH] > SWISS_MAX_DEPTH || load32(raw + SWISS_PADDING))
		return false;
	*ret = (struct go_map_header){
		.length = load64(raw + SWISS_USED),
		.seed = load64(raw + SWISS_SEED),
		.array = load64(raw + SWISS_DIRECTORY),
		.tables = load64(raw + SWISS_TABLES),
		.b = raw[SWISS_DEPTH],
		.flags = raw[SWISS_WRITING],
		.clear_seq = load64(raw + SWISS_CLEAR_SEQ),
	};
	if (ret->length > MAX_LENGTH || ret->clear_seq > MAX_LENGTH)
		return false;
	if (!ret->tables)
		return !ret->b && !raw[SWISS_SHIFT] && ret->length <= GO_MAP_SLOTS &&
		       (ret->array ? heap_pointer(ret->array) : !ret->length);
	return ret->tables == 1ull << ret->b && raw[SWISS_SHIFT] == 64 - ret->b &&
	       heap_pointer(ret->array) && ret->length <= ret->tables * GO_MAP_TABLE_CAPACITY;
}

bool go_map_parse_numbers(const struct runtime_process *process,
	const uint8_t raw[GO_MAP_HEADER_BYTES], struct go_map_header *ret)
{
	return process->facts.swiss ? parse_swiss(raw, ret) : parse_classic(raw, ret);
}

bool go_map_parse(const struct runtime_process *process, const uint8_t raw[GO_MAP_HEADER_BYTES],
	struct go_map_header *ret)
{
	uint8_t copy[GO_MAP_HEADER_BYTES];

	if (!go_map_parse_numbers(process, raw, ret))
		return false;
	memcpy(copy, raw, sizeof(copy));
	if (!process->facts.swiss)
		copy[HMAP_FLAGS] &= (uint8_t)~HMAP_ITERATING;
	ret->stamp = hash_words(copy, sizeof(copy));
	return true;
}

/* ---- classic ---- */

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

int go_map_read_tables(
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
	r = go_map_read_tables(process, header, &tables);
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
