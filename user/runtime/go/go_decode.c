/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records of Go's probes -> events. One row a probe; which values a record carries is written in
 * go_probes.c, what they mean here.
 *
 * Bytes are those that the allocator takes (go_size.c): the new array is not there yet when hashGrow,
 * growToTable and rehash are entered.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_decode.h"
#include "runtime/go/go_sampled.h"
#include "runtime/go/go_size.h"
#include "runtime/go/go_sync_map.h"

#define MAX_GROWN        65536 /* headers whose last growth is remembered */
#define MAX_TABLE_DEPTH  40
#define OVERFLOW_EXACT_B 16 /* incrnoverflow(): from here on one in 2^(B-15) is counted */
#define POINTER_BYTES    8

uint64_t go_decode_tag(enum family family, uint64_t type)
{
	return type ? type | (uint64_t)family << GO_TYPE_FAMILY_SHIFT : 0;
}

static const struct go_type *map_type(struct runtime_process *process, uint64_t type)
{
	const struct go_type *map = go_typecache_get(process, type);

	return map && map->group_size ? map : NULL;
}

void go_decode_init_growth(struct event *event, enum family family, uint64_t key, uint64_t old_key)
{
	*event = (struct event){
		.kind = EVENT_GROWTH, .growth = {.family = family, .key = key, .old_key = old_key}};
}

bool go_decode_on_stack(const struct mt_record *record, uint64_t addr)
{
	return addr >= record->stack_lo && addr < record->stack_hi;
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
	go_decode_init_growth(ret, FAMILY_MAP, record->addr, record->addr);
	growth->same_size = count + 1 <= go_size_load_limit(facts, word.b);
	growth->has_length = true;
	growth->length = count;
	new_b = (uint8_t)(word.b + !growth->same_size);
	growth->capacity = (uint64_t)GO_MAP_SLOTS << new_b;
	*ret_type = go_decode_tag(FAMILY_MAP, record->val[0]);
	if (!type)
		return 0;
	if (go_sync_map_is_type(type)) {
		growth->family = FAMILY_SYNC_MAP;
		*ret_type = go_decode_tag(FAMILY_SYNC_MAP, record->val[0]);
	}
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
	go_decode_init_growth(ret, FAMILY_MAP, record->addr, record->addr);
	growth->has_length = true;
	growth->length = record->val[1];
	growth->capacity = 2 * GO_MAP_SLOTS;
	*ret_type = go_decode_tag(FAMILY_MAP, record->val[0]);
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
	go_decode_init_growth(ret, FAMILY_MAP, record->addr, record->addr);
	growth->has_length = true;
	growth->length = record->val[2];
	*ret_type = go_decode_tag(FAMILY_MAP, record->val[0]);
	if (type)
		size_rehash(
			&process->facts, type, capacity, splits && local == depth, depth, growth);
	if (depth == 0)
		size_single(&process->facts, type, capacity, growth);
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
	*ret_type = go_decode_tag(FAMILY_CHANNEL, record->val[0]);
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

static go_decode_fn *const decoders[] = {
	[GO_PROBE_HASH_GROW] = decode_hash_grow,
	[GO_PROBE_GROW_TO_TABLE] = decode_grow_to_table,
	[GO_PROBE_REHASH] = decode_rehash,
	[GO_PROBE_GROWSLICE] = go_decode_growslice,
	[GO_PROBE_BUFFER_GROW] = go_decode_buffer_grow,
	[GO_PROBE_BUILDER_GROW] = go_decode_builder_grow,
	[GO_PROBE_MAKECHAN] = decode_makechan,
	[GO_PROBE_MAP_CLEAR] = decode_clear,
};

/* What has no container: it is counted with others of its stack, and told by profile(). */
static int take_sample(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record)
{
	int r = go_sampled_take(process, probe, record);

	return r ? r : -ENODATA;
}

/* A map's header on a stack moves with it, but stays where it is below the stack's upper end. */
static void name_stack_map(const struct mt_record *record, struct event_growth *growth)
{
	uint64_t below = record->stack_hi - growth->key;

	if (go_decode_on_stack(record, growth->key))
		growth->key = growth->old_key =
			EVENT_KEY_ON_STACK | hash_bytes(record->goroutine, &below, sizeof(below));
}

/*
 * What is remembered under a key that a probe names: an array or a channel has just been allocated
 * there, so it is another one. A map may be the same, grown, or a new one at an old address.
 */
static void renew(struct runtime_process *process, enum event_kind kind, const struct event *event)
{
	bool is_map = kind == EVENT_GROWTH && !family_moves(event->growth.family);
	uint64_t key = kind == EVENT_GROWTH ? event->growth.key : event->create.key;
	struct go_container *container = go_container_find(process, key);

	if (container && is_map)
		go_quiet_end(process, container);
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

	if (record->flags & MT_UNREAD || !record->addr)
		return -EBADMSG;
	if (probe->probe == GO_PROBE_ALLOC_LARGE || probe->probe == GO_PROBE_REFILL)
		return take_sample(process, probe, record);
	if (probe->probe >= ARRAY_SIZE(decoders))
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
