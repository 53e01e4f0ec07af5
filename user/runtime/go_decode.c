/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records of Go's probes -> events. One row a probe; which values a record carries is written in
 * go_probes.c, what they mean here.
 *
 * Bytes are those that the allocator takes (go_size.c): the new array is not there yet when hashGrow,
 * growToTable and rehash are entered. Only the old array of a slice that grew by more than one
 * element may have to be looked up in the heap.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/go_heap.h"
#include "runtime/go_size.h"

#define MAX_GROWN        65536 /* headers whose last growth is remembered */
#define MAX_CALL_TYPES   65536
#define MAX_TABLE_DEPTH  40
#define OVERFLOW_EXACT_B 16 /* incrnoverflow(): from here on one in 2^(B-15) is counted */
#define POINTER_BYTES    8
#define MAX_ARRAYS_MADE  65536

typedef int decode_fn(struct runtime_process *process, const struct mt_record *record,
	struct event *ret, uint64_t *ret_type);

static uint64_t tag(enum family family, uint64_t type)
{
	return type ? type | (uint64_t)family << GO_TYPE_FAMILY_SHIFT : 0;
}

static const struct go_type *map_type(struct runtime_process *process, uint64_t type)
{
	const struct go_type *map = go_typecache_get(process, type);

	return map && map->group_size ? map : NULL;
}

static void init_growth(struct event *event, enum family family, uint64_t key, uint64_t old_key)
{
	*event = (struct event){
		.kind = EVENT_GROWTH, .growth = {.family = family, .key = key, .old_key = old_key}};
}

/* ---- classic maps ---- */

/* hmap.flags, B, noverflow, hash0: the second word of the header */
struct hmap_word {
	uint8_t b;
	uint16_t overflow;
};

/*
 * hashGrow can be entered twice for one growth (preempted before its frame stands, it starts again);
 * the header is then the same to the last bit, while a real second growth finds other buckets.
 */
static bool is_repeated(struct runtime_process *process, const struct mt_record *record)
{
	uint64_t now = hash_bytes(0, record->val, sizeof(record->val)), last;

	if (table_get(&process->grown, record->addr, &last) && last == now)
		return true;
	if (process->grown.count >= MAX_GROWN)
		table_done(&process->grown);
	table_set(&process->grown, record->addr, now);
	return false;
}

static uint64_t overflow_bytes(
	const struct go_facts *facts, const struct hmap_word *word, const struct go_type *type)
{
	uint64_t buckets =
		go_size_buckets(facts, word->b, type->group_size, type->group_has_pointers);
	uint64_t ready = buckets - MIN(buckets, 1ull << word->b), count = word->overflow;

	if (word->b >= OVERFLOW_EXACT_B)
		count <<= word->b - OVERFLOW_EXACT_B + 1;
	return (count - MIN(count, ready)) *
	       go_size_alloc(facts, type->group_size, type->group_has_pointers);
}

/* addr hmap, val: type, count, word, buckets */
static int decode_hash_grow(struct runtime_process *process, const struct mt_record *record,
	struct event *ret, uint64_t *ret_type)
{
	const struct go_type *type = map_type(process, record->val[0]);
	struct hmap_word word = {(uint8_t)(record->val[2] >> 8), (uint16_t)(record->val[2] >> 16)};
	const struct go_facts *facts = &process->facts;
	struct event_growth *growth = &ret->growth;
	uint64_t count = record->val[1], overflow, array;
	uint8_t new_b;

	if (word.b >= GO_MAP_MAX_B || count > 16ull << word.b || !record->val[3])
		return -EBADMSG;
	if (is_repeated(process, record))
		return -ENODATA;
	init_growth(ret, FAMILY_MAP, record->addr, record->addr);
	growth->same_size = count + 1 <= go_size_load_limit(facts, word.b);
	growth->has_length = true;
	growth->length = count;
	new_b = (uint8_t)(word.b + !growth->same_size);
	growth->capacity = (uint64_t)GO_MAP_SLOTS << new_b;
	*ret_type = tag(FAMILY_MAP, record->val[0]);
	if (!type)
		return 0;
	/* Overflow buckets were allocated one by one since the last growth; nobody else tells of them. */
	overflow = overflow_bytes(facts, &word, type);
	array = go_size_bucket_array(facts, new_b, type->group_size, type->group_has_pointers);
	growth->allocated_bytes = array + overflow;
	growth->garbage_bytes = overflow + go_size_bucket_array(facts, word.b, type->group_size,
						   type->group_has_pointers);
	growth->held_bytes = GO_MAP_HEADER_BYTES + array + growth->garbage_bytes;
	return 0;
}

/* ---- Swiss maps ---- */

static uint64_t table_bytes(
	const struct go_facts *facts, const struct go_type *type, uint64_t capacity)
{
	return GO_MAP_TABLE_BYTES +
	       go_size_table_groups(facts, capacity, type->group_size, type->group_has_pointers);
}

/* addr Map, val: type, used. The only group becomes a table of 16 slots. */
static int decode_grow_to_table(struct runtime_process *process, const struct mt_record *record,
	struct event *ret, uint64_t *ret_type)
{
	const struct go_type *type = map_type(process, record->val[0]);
	const struct go_facts *facts = &process->facts;
	struct event_growth *growth = &ret->growth;

	if (record->val[1] > GO_MAP_SLOTS)
		return -EBADMSG;
	init_growth(ret, FAMILY_MAP, record->addr, record->addr);
	growth->has_length = true;
	growth->length = record->val[1];
	growth->capacity = 2 * GO_MAP_SLOTS;
	*ret_type = tag(FAMILY_MAP, record->val[0]);
	if (!type)
		return 0;
	growth->allocated_bytes = table_bytes(facts, type, growth->capacity) +
				  go_size_alloc(facts, POINTER_BYTES, true);
	growth->garbage_bytes = go_size_alloc(facts, type->group_size, type->group_has_pointers);
	growth->held_bytes = GO_MAP_HEADER_BYTES + growth->allocated_bytes;
	return 0;
}

/* What a rehash does, in bytes. A full table of 1,024 slots splits, a smaller one doubles. */
static void size_rehash(const struct go_facts *facts, const struct go_type *type, uint64_t capacity,
	bool doubles_directory, uint8_t depth, struct event_growth *growth)
{
	if (2 * capacity <= GO_MAP_TABLE_CAPACITY)
		growth->allocated_bytes = table_bytes(facts, type, 2 * capacity);
	else
		growth->allocated_bytes = 2 * table_bytes(facts, type, GO_MAP_TABLE_CAPACITY);
	growth->garbage_bytes = table_bytes(facts, type, capacity);
	if (doubles_directory) {
		growth->allocated_bytes += go_size_alloc(facts, POINTER_BYTES << (depth + 1), true);
		growth->garbage_bytes += go_size_alloc(facts, POINTER_BYTES << depth, true);
	}
}

/* Of a map with one table everything is known. */
static void size_single(const struct go_facts *facts, const struct go_type *type, uint64_t capacity,
	struct event_growth *growth)
{
	bool splits = 2 * capacity > GO_MAP_TABLE_CAPACITY;

	growth->capacity = 2 * capacity;
	if (type)
		growth->held_bytes =
			GO_MAP_HEADER_BYTES +
			go_size_alloc(facts, splits ? 2 * POINTER_BYTES : POINTER_BYTES, true) +
			(splits ? 2 * table_bytes(facts, type, capacity)
				: table_bytes(facts, type, 2 * capacity));
}

/* addr Map, val: type, first word of the table (used, capacity, growthLeft, localDepth), Map.used, depth */
static int decode_rehash(struct runtime_process *process, const struct mt_record *record,
	struct event *ret, uint64_t *ret_type)
{
	const struct go_type *type = map_type(process, record->val[0]);
	uint64_t capacity = (uint16_t)(record->val[1] >> 16);
	uint8_t local = (uint8_t)(record->val[1] >> 48), depth = (uint8_t)record->val[3];
	bool splits = 2 * capacity > GO_MAP_TABLE_CAPACITY;
	struct event_growth *growth = &ret->growth;

	if (capacity < GO_MAP_SLOTS || capacity > GO_MAP_TABLE_CAPACITY ||
		capacity & (capacity - 1) || depth > MAX_TABLE_DEPTH || local > depth)
		return -EBADMSG;
	init_growth(ret, FAMILY_MAP, record->addr, record->addr);
	growth->has_length = true;
	growth->length = record->val[2];
	*ret_type = tag(FAMILY_MAP, record->val[0]);
	if (type)
		size_rehash(
			&process->facts, type, capacity, splits && local == depth, depth, growth);
	if (depth == 0)
		size_single(&process->facts, type, capacity, growth);
	return 0;
}

/* ---- slices ---- */

/* Element type that the caller of growslice passed, 0 = its code does not say. */
static uint64_t call_type(struct runtime_process *process, const struct mt_record *record)
{
	struct go_type found;
	uint64_t place, type = 0;

	if (!process->parser || !(record->flags & MT_HAS_STACK) || record->stack_bytes < 16)
		return 0;
	/* Frame 0 is the probed instruction itself. */
	place = hash_bytes(0, &record->stack[1], MIN(record->stack_bytes - 8u, 16u));
	if (table_get(&process->call_types, place, &type))
		return type;
	if (process->call_types.count >= MAX_CALL_TYPES)
		table_done(&process->call_types);
	/* Since 1.26 append may come through growsliceBuf: then the type is in the caller's caller. */
	for (size_t i = 1; i <= 2 && i < record->stack_bytes / 8 && !type; i++)
		if (!parser_call_type(process->parser, process->file_id,
			    record->stack[i] - process->slide, &found))
			type = found.type + process->slide;
	table_set(&process->call_types, place, type);
	return type;
}

struct slice_growth {
	uint64_t bytes, length, capacity; /* copied; as growslice returns them */
	uint64_t elem_bytes;              /* 0 = unknown */
	bool has_pointers;
};

/* Would growslice have rounded to this capacity, had the elements this size? */
static bool elem_size_fits(const struct runtime_process *process, const struct slice_growth *slice,
	uint64_t elem_bytes)
{
	uint64_t old_length = slice->bytes / elem_bytes;

	if (slice->bytes % elem_bytes || slice->capacity > GO_MAX_BYTES / elem_bytes)
		return false;
	return process->facts.layout.slice_length_new ? old_length < slice->length
						      : old_length == slice->length;
}

static bool rounds_to_itself(const struct runtime_process *process,
	const struct slice_growth *slice, uint64_t elem_bytes)
{
	uint64_t bytes = slice->capacity * elem_bytes;

	return go_size_alloc(&process->facts, bytes, false) / elem_bytes == slice->capacity;
}

/* Where the caller does not name the type: most appends add one element. */
static uint64_t infer_elem_size(
	const struct runtime_process *process, const struct slice_growth *slice)
{
	uint64_t old = slice->length - process->facts.layout.slice_length_new, elem_bytes;

	if (!old || !slice->bytes || slice->bytes % old)
		return 0;
	elem_bytes = slice->bytes / old;
	return elem_size_fits(process, slice, elem_bytes) &&
			       (!process->facts.layout.slice_length_new ||
				       rounds_to_itself(process, slice, elem_bytes))
		       ? elem_bytes
		       : 0;
}

/* Bytes of the span slot at addr, if they lie in [low, high]; else low. */
static uint64_t slot_bytes(
	struct runtime_process *process, uint64_t addr, uint64_t low, uint64_t high)
{
	struct go_object object = {.addr = addr};

	if (low >= high || go_heap_find_spans(process, &object, 1) ||
		object.state != GO_OBJECT_ALLOCATED || object.span.elemsize < low ||
		object.span.elemsize > high)
		return low;
	return object.span.elemsize;
}

/* One append of one goroutine: most often it grows the same slice again and again. */
static uint64_t append_id(const struct mt_record *record)
{
	uint64_t caller = record->stack_bytes >= 16 ? record->stack[1] : 0;

	return hash_bytes(record->goroutine, &caller, sizeof(caller));
}

static void remember_array(
	struct runtime_process *process, const struct mt_record *record, uint64_t bytes)
{
	if (process->arrays_made.count >= MAX_ARRAYS_MADE) {
		table_done(&process->arrays_made);
		table_done(&process->appends);
	}
	table_set(&process->arrays_made, record->addr, bytes);
	table_set(&process->appends, append_id(record), record->addr);
}

/*
 * The array that growslice replaces: one that we saw made, at its start, or, for a queue that drops its
 * head (s = s[1:]), the last one of the same append with the old pointer inside. The heap is no help
 * there: when we read the record, the old slot may long be in other hands.
 */
static bool find_made(struct runtime_process *process, const struct mt_record *record,
	uint64_t *ret_start, uint64_t *ret_bytes)
{
	uint64_t old = record->val[0], start = old;

	if (table_get(&process->arrays_made, old, ret_bytes))
		goto found;
	if (!table_get(&process->appends, append_id(record), &start) ||
		!table_get(&process->arrays_made, start, ret_bytes))
		return false;
	if (old < start || old - start + record->val[1] > *ret_bytes)
		return false;
found:
	*ret_start = start;
	return true;
}

/*
 * Bytes of the old array. Of one that was there before us: it held at least what was copied, and fewer
 * elements than the new length, otherwise it would not have grown.
 */
static uint64_t old_bytes(struct runtime_process *process, const struct mt_record *record,
	const struct slice_growth *slice, uint64_t *ret_start)
{
	const struct go_facts *facts = &process->facts;
	uint64_t low = go_size_alloc(facts, slice->bytes, slice->has_pointers), high;

	if (find_made(process, record, ret_start, &high))
		return high;
	if (!slice->elem_bytes)
		high = slice->bytes * 4;
	else if (facts->layout.slice_length_new)
		high = go_size_alloc(
			facts, (slice->length - 1) * slice->elem_bytes, slice->has_pointers);
	else
		high = go_size_alloc(
			facts, slice->capacity * slice->elem_bytes, slice->has_pointers);
	return slot_bytes(process, record->val[0], low, high);
}

/* No array at all: nil, or runtime.zerobase, where make([]T, 0) points to. */
static bool no_array(const struct runtime_process *process, uint64_t old, uint64_t bytes)
{
	const struct go_facts *facts = &process->facts;

	return !old || (!bytes && old >= facts->noptrbss && old < facts->enoptrbss);
}

/* A slice of a local array becomes no garbage when it moves to the heap. */
static bool on_stack(const struct mt_record *record, uint64_t addr)
{
	return addr >= record->stack_lo && addr < record->stack_hi;
}

/* Nor does a global array. */
static bool in_image(const struct go_facts *facts, uint64_t addr)
{
	return addr >= facts->text && addr < facts->enoptrbss;
}

/* The runtime's own lists, such as the overflow buckets that a map keeps alive: no container of the program. */
static bool is_own_list(const struct go_type *elem)
{
	return !strncmp(elem->name, "*runtime.", 9);
}

/* addr new array, val: old array, bytes copied, length, capacity */
static int decode_growslice(struct runtime_process *process, const struct mt_record *record,
	struct event *ret, uint64_t *ret_type)
{
	uint64_t type = call_type(process, record), old = record->val[0];
	const struct go_type *elem = go_typecache_get(process, type);
	struct slice_growth slice = {
		.bytes = record->val[1], .length = record->val[2], .capacity = record->val[3]};
	struct event_growth *growth = &ret->growth;

	if (!slice.capacity || slice.length > slice.capacity || slice.bytes > GO_MAX_BYTES ||
		slice.capacity > GO_MAX_BYTES ||
		(process->facts.layout.slice_length_new && !slice.length))
		return -EBADMSG;
	if (elem && is_own_list(elem))
		return -ENODATA;
	if (elem && elem->size && elem_size_fits(process, &slice, elem->size)) {
		slice.elem_bytes = elem->size;
		slice.has_pointers = elem->has_pointers;
		*ret_type = tag(FAMILY_SLICE, type);
	} else {
		slice.elem_bytes = infer_elem_size(process, &slice);
		*ret_type = 0;
	}
	init_growth(ret, FAMILY_SLICE, record->addr, old);
	growth->new_container = no_array(process, old, slice.bytes);
	growth->has_length = true;
	growth->length = slice.length;
	growth->capacity = slice.capacity;
	if (slice.elem_bytes)
		growth->allocated_bytes = go_size_alloc(
			&process->facts, slice.capacity * slice.elem_bytes, slice.has_pointers);
	else
		growth->allocated_bytes =
			slot_bytes(process, record->addr, slice.bytes, GO_MAX_BYTES);
	if (!growth->new_container && !on_stack(record, old) && !in_image(&process->facts, old))
		growth->garbage_bytes = old_bytes(process, record, &slice, &growth->old_key);
	remember_array(process, record, growth->allocated_bytes);
	growth->held_bytes = growth->allocated_bytes;
	return 0;
}

/* ---- channels, clear ---- */

/* addr hchan, val: element type, size, element size */
static int decode_makechan(struct runtime_process *process, const struct mt_record *record,
	struct event *ret, uint64_t *ret_type)
{
	(void)process;
	if (record->val[1] > GO_MAX_BYTES || record->val[2] > UINT16_MAX)
		return -EBADMSG;
	*ret = (struct event){.kind = EVENT_CREATE,
		.create = {.family = FAMILY_CHANNEL,
			.key = record->addr,
			.capacity = record->val[1],
			.held_bytes = record->val[1] * record->val[2]}};
	*ret_type = tag(FAMILY_CHANNEL, record->val[0]);
	return 0;
}

/* That a map is empty is seen by looking at it; clear() keeps its arrays, so there is no event. */
static int decode_clear(struct runtime_process *process, const struct mt_record *record,
	struct event *ret, uint64_t *ret_type)
{
	(void)process;
	(void)record;
	(void)ret;
	(void)ret_type;
	return -ENODATA;
}

static decode_fn *const decoders[] = {
	[GO_PROBE_HASH_GROW] = decode_hash_grow,
	[GO_PROBE_GROW_TO_TABLE] = decode_grow_to_table,
	[GO_PROBE_REHASH] = decode_rehash,
	[GO_PROBE_GROWSLICE] = decode_growslice,
	[GO_PROBE_MAKECHAN] = decode_makechan,
	[GO_PROBE_MAP_CLEAR] = decode_clear,
};

/* A map's header on a stack moves with it, but stays where it is below the stack's upper end. */
static void name_stack_map(const struct mt_record *record, struct event_growth *growth)
{
	uint64_t below = record->stack_hi - growth->key;

	if (on_stack(record, growth->key))
		growth->key = growth->old_key =
			EVENT_KEY_ON_STACK | hash_bytes(record->goroutine, &below, sizeof(below));
}

/*
 * What is remembered under a key that a probe names: an array or a channel has just been allocated
 * there, so it is another one. A map may be the same, grown, or a new one at an old address.
 */
static void renew(struct runtime_process *process, enum event_kind kind, const struct event *event)
{
	bool is_map = kind == EVENT_GROWTH && event->growth.family == FAMILY_MAP;
	uint64_t key = kind == EVENT_GROWTH ? event->growth.key : event->create.key;
	struct go_container *container = go_container_find(process, key);

	if (container && is_map)
		container->told = true;
	else if (container)
		go_container_remove(process, container);
}

int go_decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret, uint64_t *ret_type)
{
	struct event event = {};
	uint64_t type = 0;
	int r;

	if (probe->probe >= ARRAY_SIZE(decoders) || record->flags & MT_UNREAD || !record->addr)
		return -EBADMSG;
	r = decoders[probe->probe](process, record, &event, &type);
	if (r)
		return r;
	renew(process, event.kind, &event);
	if (event.kind == EVENT_GROWTH && event.growth.family == FAMILY_MAP)
		name_stack_map(record, &event.growth);
	*ret = event;
	*ret_type = type;
	return 0;
}
