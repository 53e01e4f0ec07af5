/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rust promises no layout; but an address is larger than any number of elements, so the order of the two does
 * not matter. A header may be anything else by now: its words must agree with each other and with the block of
 * malloc that they point to, and nothing here proves that a container is alive.
 *
 * A table is one block: its entries, then one control byte each, 16 of them twice. The bytes of an entry are
 * nowhere to be read; but its address is that of the control bytes less them all, and malloc says how large the
 * block is: one number fits.
 */
#include "runtime/rust/rust_containers.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"
#include "base/text.h"
#include "runtime/allocator/malloc_chunk.h"
#include "runtime/resident.h"
#include "runtime/rust/rust_identify.h"
#include "target/mem.h"

#define MAX_BYTES    (1ull << 46)
#define GROUP        16   /* control bytes that are there twice, and the alignment of a table */
#define MAX_ENTRY    4096 /* bytes of an entry that are tried */
#define LEAST_SLOTS  64   /* of a table for which they are */
#define MAX_TRIES    8
#define MAX_ARGUMENT (1ull << 40) /* a number of entries; above it is an address */

struct type {
	uint32_t probe;
	enum rust_shape shape;
	uint64_t element_bytes;
};

uint64_t rust_type(uint32_t probe, enum rust_shape shape, uint64_t element_bytes)
{
	return (uint64_t)(probe + 1) | (uint64_t)shape << 16 | element_bytes << 20;
}

static struct type type_of(uint64_t number)
{
	return (struct type){
		(uint32_t)(number & 0xffff) - 1, number >> 16 & 0xf, MAX(number >> 20, 1ull)};
}

void rust_type_name(struct runtime_process *process, uint64_t number, char *buf, size_t bytes)
{
	struct type type = type_of(number);
	bool deque = type.shape == RUST_DEQUE || type.shape == RUST_DEQUE_TAIL;

	(void)process;
	text_copy(buf, bytes,
		!number                    ? ""
		: type.shape == RUST_TABLE ? "HashMap"
		: deque                    ? "VecDeque"
		: !(number >> 20)          ? "Vec or VecDeque"
		: type.element_bytes == 1  ? "String or Vec<u8>"
					   : "Vec");
}

/* ---- tables: hashbrown/src/raw ---- */

static uint64_t load_limit(uint64_t slots)
{
	return slots <= 8 ? slots - 1 : slots / 8 * 7;
}

static uint64_t slots_for(uint64_t entries)
{
	uint64_t slots = 16;

	if (entries < 8)
		return entries < 4 ? 4 : 8;
	while (load_limit(slots) < entries)
		slots *= 2;
	return slots;
}

static uint64_t entries_bytes(uint64_t slots, uint64_t entry_bytes)
{
	return (slots * entry_bytes + GROUP - 1) & ~(uint64_t)(GROUP - 1);
}

static uint64_t table_bytes(uint64_t slots, uint64_t entry_bytes)
{
	return slots > 1 ? entries_bytes(slots, entry_bytes) + slots + GROUP : 0;
}

static uint64_t table_usable(uint64_t slots, uint64_t entry_bytes)
{
	return slots > 1 ? malloc_usable(table_bytes(slots, entry_bytes)) : 0;
}

struct table_header {
	uint64_t control, slots, room, length;
};

static bool read_table(const uint64_t words[4], struct table_header *ret)
{
	*ret = (struct table_header){
		MAX(words[0], words[1]), MIN(words[0], words[1]) + 1, words[2], words[3]};
	return ret->slots && !(ret->slots & (ret->slots - 1)) && ret->slots <= MAX_ARGUMENT &&
	       ret->room <= ret->slots && ret->length <= ret->slots;
}

/* 0 = not known. */
static uint64_t entry_bytes_of(
	struct runtime_process *process, uint32_t probe, const struct table_header *table)
{
	if (probe >= RUNTIME_MAX_PROBES)
		return 0;
	if (process->entry_bytes[probe] || table->slots < LEAST_SLOTS ||
		process->tries[probe] == MAX_TRIES)
		return process->entry_bytes[probe];
	process->tries[probe]++;
	for (uint32_t bytes = 1; bytes <= MAX_ENTRY; bytes++)
		if (malloc_chunk_is_of(process->mem,
			    table->control - entries_bytes(table->slots, bytes),
			    table_bytes(table->slots, bytes)))
			return process->entry_bytes[probe] = bytes;
	return 0;
}

/* reserve_rehash(): in place where half of it would do, else as many slots as are wanted or more. */
static int decode_table(struct runtime_process *process, uint32_t probe,
	const struct mt_record *record, struct event *ret, uint64_t *ret_type)
{
	const uint64_t words[4] = {record->val[1], record->val[2], record->val[3], record->val[0]};
	uint64_t more = record->val[4] < MAX_ARGUMENT ? MAX(record->val[4], 1ull) : 1;
	struct event_growth *growth = &ret->growth;
	struct table_header old, now;
	uint64_t current[4], entry, slots, wanted;

	if (!read_table(words, &old))
		return -EBADMSG;
	wanted = old.length + more;
	slots = wanted <= load_limit(old.slots) / 2
			? old.slots
			: slots_for(MAX(wanted, load_limit(old.slots) + 1));
	/* The table may have grown on since, which does not matter here. */
	entry = target_mem_read(process->mem, record->addr, current, sizeof(current)) == 0 &&
				read_table(current, &now)
			? entry_bytes_of(process, probe, &now)
			: process->entry_bytes[probe];
	*ret_type = rust_type(probe, RUST_TABLE, 0);
	ret->kind = EVENT_GROWTH;
	growth->family = FAMILY_MAP;
	growth->key = growth->old_key = record->addr;
	growth->new_container = old.slots == 1;
	growth->same_size = slots == old.slots;
	growth->has_length = true;
	growth->length = old.length;
	growth->capacity = slots;
	growth->held_bytes = table_usable(slots, entry);
	if (growth->same_size)
		return 0;
	growth->allocated_bytes = growth->held_bytes;
	growth->garbage_bytes = table_usable(old.slots, entry);
	return 0;
}

static uint64_t rust_table_need(uint64_t length, uint64_t entry_bytes)
{
	return length ? table_usable(slots_for(length), entry_bytes) : 0;
}

static void look_at_table(struct runtime_process *process, uint32_t probe, uint64_t key,
	uint64_t length_peak, bool deep, struct event_look *ret)
{
	struct table_header table;
	uint64_t words[4], entry, block;

	if (target_mem_read(process->mem, key, words, sizeof(words)) ||
		!read_table(words, &table) || table.slots < 4 || table.control % GROUP ||
		table.length + table.room > load_limit(table.slots))
		return;
	entry = entry_bytes_of(process, probe, &table);
	block = table.control - entries_bytes(table.slots, entry);
	ret->held_bytes = table_bytes(table.slots, entry);
	if (entry && !malloc_block_held(process->mem, &process->glibc_malloc, block,
			     table_bytes(table.slots, entry), &ret->held_bytes))
		return;
	ret->liveness = LIVENESS_ALLOCATED;
	ret->has_length = true;
	ret->length = table.length;
	ret->capacity = table.slots;
	ret->load_limit = load_limit(table.slots);
	ret->tombstones = ret->load_limit - table.length - table.room;
	ret->need_bytes = rust_table_need(table.length, entry);
	ret->need_peak_bytes = rust_table_need(MAX(length_peak, table.length), entry);
	ret->stamp = hash_bytes(0, words, sizeof(words));
	if (!deep)
		return;
	ret->has_resident = true;
	ret->resident_bytes = resident_bytes(process->mem, block, table_bytes(table.slots, entry));
}

/* ---- vectors: alloc/src/raw_vec, vec, collections/vec_deque ---- */

static int fill(struct event *ret, uint64_t key, uint64_t old, uint64_t now)
{
	struct event_growth *growth = &ret->growth;

	if (!old || !now || old > MAX_BYTES || now > MAX_BYTES || now < old)
		return -EBADMSG;
	ret->kind = EVENT_GROWTH;
	growth->family = FAMILY_VECTOR;
	growth->key = growth->old_key = key;
	growth->allocated_bytes = growth->held_bytes = malloc_usable(now);
	growth->garbage_bytes = malloc_usable(old);
	return 0;
}

/* push finds all room taken, so one of the words behind the two is the capacity. */
static enum rust_shape shape_of(const struct mt_record *record)
{
	if (record->val[4] == record->val[0])
		return RUST_VEC;
	if (record->val[5] == record->val[0])
		return RUST_DEQUE;
	return record->val[2] == 1 ? RUST_VEC : RUST_VEC_OR_DEQUE;
}

static int decode_vec(
	uint32_t probe, const struct mt_record *record, struct event *ret, uint64_t *ret_type)
{
	uint64_t old = record->val[0], now = record->val[1], element = record->val[2];
	bool known = !(record->flags & MT_UNREAD) && record->val[3] == old;

	if (element > MAX_BYTES ||
		(element && (old > MAX_BYTES / element || now > MAX_BYTES / element)))
		return -EBADMSG;
	*ret_type = rust_type(probe, known ? shape_of(record) : RUST_VEC_OR_DEQUE, element);
	ret->growth.capacity = now;
	return fill(ret, known ? record->addr : 0, old * element, now * element);
}

static int decode_layout(
	uint32_t probe, const struct mt_record *record, struct event *ret, uint64_t *ret_type)
{
	uint64_t old = record->val[1], now = record->val[3], capacity = record->val[2];
	bool fits = !(record->flags & MT_UNREAD) && capacity && old >= capacity &&
		    old % capacity == 0 && now % (old / capacity) == 0;
	uint64_t element = fits ? old / capacity : 0;
	enum rust_shape shape = RUST_VEC_OR_DEQUE;

	/* push finds all room taken; of bytes there are no deques to speak of. */
	if (fits && (record->val[4] == capacity || element == 1))
		shape = RUST_VEC;
	else if (fits && record->val[5] == capacity)
		shape = RUST_DEQUE;
	if (shape == RUST_VEC_OR_DEQUE)
		element = 0;
	*ret_type = rust_type(probe, shape, element);
	ret->growth.capacity = element ? now / element : 0;
	return fill(ret, element ? record->addr : 0, old, now);
}

static int decode_bytes(uint32_t probe, enum rust_shape shape, const struct mt_record *record,
	struct event *ret, uint64_t *ret_type)
{
	uint64_t old = record->val[1], now = record->val[3], capacity = record->val[5];
	bool known = !(record->flags & MT_UNREAD) && record->val[4] == record->val[2] && capacity &&
		     old % capacity == 0;
	uint64_t element = known ? old / capacity : 0;

	*ret_type = rust_type(probe, known ? shape : RUST_VEC_OR_DEQUE, element);
	ret->growth.capacity = element ? now / element : 0;
	return fill(ret, known ? record->addr : 0, old, now);
}

struct vec {
	uint64_t array, capacity, length;
	bool has_length;
};

static bool read_vec(struct target_mem *mem, uint64_t key, enum rust_shape shape, struct vec *ret)
{
	uint64_t words[4];
	bool behind = shape == RUST_DEQUE || shape == RUST_DEQUE_TAIL;

	if (target_mem_read(mem, key, words, behind ? sizeof(words) : 3 * sizeof(words[0])))
		return false;
	*ret = (struct vec){MAX(words[0], words[1]), MIN(words[0], words[1]), words[2],
		shape != RUST_VEC_OR_DEQUE};
	if (shape == RUST_DEQUE)
		ret->length = words[3];
	if (shape == RUST_DEQUE_TAIL) {
		*ret = (struct vec){words[2], words[3], words[1] - words[0], true};
		ret->length &= ret->capacity - 1; /* a power of two */
	}
	return ret->capacity && (!ret->has_length || ret->length <= ret->capacity);
}

static void look_at_vec(struct runtime_process *process, const struct type *type, uint64_t key,
	uint64_t length_peak, bool deep, struct event_look *ret)
{
	struct vec vec;
	uint64_t bytes;

	if (!read_vec(process->mem, key, type->shape, &vec) ||
		vec.capacity > MAX_BYTES / type->element_bytes)
		return;
	bytes = vec.capacity * type->element_bytes;
	if (!malloc_block_held(
		    process->mem, &process->glibc_malloc, vec.array, bytes, &ret->held_bytes))
		return;
	ret->liveness = LIVENESS_ALLOCATED;
	ret->capacity = vec.capacity;
	ret->stamp = hash_bytes(0, &vec, sizeof(vec));
	if (vec.has_length) {
		ret->has_length = true;
		ret->length = vec.length;
		ret->load_limit = vec.capacity;
		ret->need_bytes = vec.length ? malloc_usable(vec.length * type->element_bytes) : 0;
		ret->need_peak_bytes =
			malloc_usable(MAX(length_peak, vec.length) * type->element_bytes);
	}
	if (!deep)
		return;
	ret->has_resident = true;
	ret->resident_bytes = resident_bytes(process->mem, vec.array, bytes);
}

/* ---- all ---- */

int rust_decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret, uint64_t *ret_type)
{
	uint32_t number = 0;

	while (number < process->file->probe_count &&
		process->file->probes[number].vaddr != probe->vaddr)
		number++;
	if (number == process->file->probe_count)
		return -EBADMSG;
	switch (probe->probe) {
	case RUST_PROBE_VEC:
		return decode_vec(number, record, ret, ret_type);
	case RUST_PROBE_VEC_LAYOUT:
		return decode_layout(number, record, ret, ret_type);
	case RUST_PROBE_VEC_BYTES:
		return decode_bytes(number, RUST_VEC, record, ret, ret_type);
	case RUST_PROBE_DEQUE_BYTES:
		return decode_bytes(number, RUST_DEQUE_TAIL, record, ret, ret_type);
	case RUST_PROBE_TABLE:
		return record->flags & MT_UNREAD
			       ? -ENODATA
			       : decode_table(process, number, record, ret, ret_type);
	default:
		return -EBADMSG;
	}
}

void rust_look(struct runtime_process *process, uint64_t number, enum family family, uint64_t key,
	uint64_t length_peak, bool deep, struct event_look *ret)
{
	struct type type = type_of(number);

	*ret = (struct event_look){.family = family, .key = key, .liveness = LIVENESS_DEAD};
	if (family == FAMILY_MAP)
		look_at_table(process, type.probe, key, length_peak, deep, ret);
	else
		look_at_vec(process, &type, key, length_peak, deep, ret);
}
