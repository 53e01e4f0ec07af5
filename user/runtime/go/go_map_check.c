/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is it a map at all, and of what type? (go_map.h) Any 48 bytes can look like a header. A map's arrays
 * agree with it: they start at span slots of just the size that some type's buckets or groups would
 * take, and their cells are as many as the header counts.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/go/go_map_layout.h"

#define TOP_REST         0 /* tophash emptyRest: and nothing behind it in this bucket */
#define TOP_EVACUATED    2 /* evacuatedX, evacuatedY, evacuatedEmpty: 2, 3, 4 */
#define TOP_MIN          5 /* minTopHash: 5 and above are live cells */
#define CTRL_EMPTY       0x80
#define CTRL_DELETED     0xfe
#define SAMPLED_BUCKETS  16
#define MAX_CHAIN        64
#define MAX_GUESSES      64
#define MAX_READ_WHOLE   4096
#define MAX_GUESS_LISTS  1024
#define KIND_STRUCT      25
#define SAME_HASHES      5
#define BUCKET_TYPE_NAME "map.bucket["
#define GROUP_TYPE_NAME  "map.group["

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

void go_map_forget_guesses(struct runtime_process *process)
{
	for (size_t i = 0; i < process->guess_count; i++)
		free(process->guesses[i].list);
	process->guess_count = 0;
	table_clear(&process->guesses_of);
}

/* Guesses by sizes alone, best first. A heap has few sizes of arrays, and thousands of each. */
static const struct go_map_guesses *guess_by_sizes(
	struct runtime_process *process, uint8_t b, const struct go_span *span)
{
	uint64_t key = span->elemsize << 8 | (uint64_t)b << 1 | go_span_noscan(span), index;
	struct go_map_guess list[2 * MAX_GUESSES];
	struct go_map_guesses *guesses;

	if (table_get(&process->guesses_of, key, &index))
		return &process->guesses[index];
	if (process->guess_count == MAX_GUESS_LISTS)
		go_map_forget_guesses(process);
	array_reserve(process->guesses, process->guess_count, process->guess_capacity);
	guesses = &process->guesses[process->guess_count];
	guesses->count = guess_by_types(process, b, span, list);
	guesses->count += guess_by_size(process, b, span, list + guesses->count);
	guesses->list = xcalloc(guesses->count, sizeof(*list));
	memcpy(guesses->list, list, guesses->count * sizeof(*list));
	table_set(&process->guesses_of, key, process->guess_count++);
	return guesses;
}

/* What an array may be made of, best first. ret_one is room for the case that only one is possible. */
static struct go_map_guesses guess_groups(struct runtime_process *process, uint8_t b,
	const struct go_object *array, const struct go_type *type, struct go_map_guess *ret_one)
{
	uint64_t known = array_type(process, array);

	if (type) {
		*ret_one = (struct go_map_guess){
			.group_bytes = type->group_size, .has_pointers = type->group_has_pointers};
		add_type(ret_one, type);
		return (struct go_map_guesses){ret_one, 1};
	}
	if (known && process->parser)
		return (struct go_map_guesses){ret_one, guess_by_type(process, known, ret_one)};
	return *guess_by_sizes(process, b, &array->span);
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
	size_t count = 1, old, extra;
	struct go_map_guesses guesses;
	struct go_map_guess one;
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
	guesses = guess_groups(process, header->b, &objects[0], type, &one);
	for (size_t i = 0; i < guesses.count; i++) {
		const struct go_map_guess *guess = &guesses.list[i];

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

/*
 * The control bytes of a table's groups. Of a small array all that lies between them is read, too: it is in
 * the same pages.
 */
static bool read_ctrl(struct runtime_process *process, uint64_t groups, size_t count,
	uint64_t group_bytes, uint8_t ctrl[][GO_MAP_SLOTS])
{
	struct target_piece pieces[GO_MAP_TABLE_CAPACITY / GO_MAP_SLOTS];
	uint64_t bytes = group_bytes * (count - 1) + GO_MAP_SLOTS;
	uint8_t raw[MAX_READ_WHOLE];

	if (bytes <= sizeof(raw)) {
		if (target_mem_read(process->mem, groups, raw, bytes))
			return false;
		for (size_t i = 0; i < count; i++)
			memcpy(ctrl[i], raw + i * group_bytes, GO_MAP_SLOTS);
		return true;
	}
	for (size_t i = 0; i < count; i++)
		pieces[i] = (struct target_piece){
			groups + i * group_bytes, ctrl[i], GO_MAP_SLOTS, false};
	return target_mem_read_pieces(process->mem, pieces, count) == (int)count;
}

/* Do the control bytes of a table's groups say what its used says? */
static bool check_ctrl(struct runtime_process *process, uint64_t groups, uint64_t capacity,
	uint64_t group_bytes, uint64_t used)
{
	uint8_t ctrl[GO_MAP_TABLE_CAPACITY / GO_MAP_SLOTS][GO_MAP_SLOTS];
	size_t count = capacity / GO_MAP_SLOTS;
	bool different = false;
	uint64_t full = 0;
	uint8_t first = 0;

	if (!read_ctrl(process, groups, count, group_bytes, ctrl))
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
	struct go_object array = {.addr = groups};
	struct go_map_guesses guesses;
	struct go_map_guess one;
	int r = go_heap_find_spans(process, &array, 1);

	if (r < 0)
		return r;
	if (!is_array(process, &array) || contents(process, &array) != groups)
		return -ENOENT;
	guesses = guess_groups(process, log2_of(capacity), &array, type, &one);
	for (size_t i = 0; i < guesses.count; i++) {
		const struct go_map_guess *guess = &guesses.list[i];

		if (guess->has_pointers == go_span_noscan(&array.span) ||
			array_bytes(process, log2_of(capacity), guess->group_bytes,
				guess->has_pointers) != array.span.elemsize ||
			!check_ctrl(process, groups, capacity, guess->group_bytes, used))
			continue;
		*ret = *guess;
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
	r = go_map_read_tables(process, header, &tables);
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
	if (target_mem_read(process->live, key, raw, sizeof(raw)) ||
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
