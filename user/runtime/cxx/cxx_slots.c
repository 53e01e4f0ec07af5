/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables that are one block of slots, with some bits about each of them: absl::flat_hash_*, and its node_hash_*,
 * whose slots are addresses; boost::unordered_flat_* and unordered_node_*.
 *
 *	abseil	[ growth left ]  a byte for each slot, 16 more  slots
 *	boost	slots  groups of 15, 16 bytes each
 */
#include "runtime/cxx/cxx_hash.h"

#include <errno.h>
#include <math.h>

#include "base/mem.h"
#include "base/table.h"
#include "runtime/allocator/malloc_chunk.h"
#include "target/mem.h"

#define MAX_SLOT 4096 /* bytes */

/* ---- abseil: absl/container/internal/raw_hash_set.h ---- */

#define ABSL_MORE                                                                                  \
	16 /* control bytes beyond those of the slots: a sentinel, and the first ones again */
#define ABSL_ALIGNMENT   64 /* of a slot, at most */
#define ABSL_LOCAL       16 /* bytes of a slot within the table, at most */
#define ABSL_LEAST       63 /* slots of a table for which the bytes of one are tried */
#define ABSL_TRIES       64
#define ABSL_HAS_DELETED (1ull << 63)

struct absl_words {
	uint64_t control, slots, length, capacity, room;
	uint64_t head; /* bytes of the block before the control bytes */
};

/* Until 2023: control, slots, size, capacity, growth left. */
static bool absl_words_of_table(struct target_mem *mem, uint64_t key, struct absl_words *ret)
{
	*ret = (struct absl_words){0};
	return target_mem_read(mem, key, ret, offsetof(struct absl_words, head)) == 0;
}

/*
 * CommonFields, 2024: capacity, size times two, control, slots; growth left lies before the control bytes. A
 * capacity of 1 may be a slot within the table.
 */
static bool absl_words_of_common(struct target_mem *mem, uint64_t key, struct absl_words *ret)
{
	uint64_t words[4], room;

	if (target_mem_read(mem, key, words, sizeof(words)) || words[0] <= 1 ||
		target_mem_read_u64(mem, words[2] - 8, &room))
		return false;
	*ret = (struct absl_words){
		words[2], words[3], words[1] >> 1, words[0], room & ~ABSL_HAS_DELETED, 8};
	return true;
}

static uint64_t absl_limit(uint64_t capacity)
{
	return capacity - capacity / 8;
}

static bool is_absl_capacity(uint64_t capacity)
{
	return capacity && !(capacity & (capacity + 1)) && capacity < CXX_MAX_BUCKETS;
}

static bool absl_agrees(const struct absl_words *words)
{
	uint64_t offset = words->slots - words->control;

	return is_absl_capacity(words->capacity) && words->control && !(words->control & 7) &&
	       offset >= words->capacity + ABSL_MORE &&
	       offset - words->capacity - ABSL_MORE < ABSL_ALIGNMENT &&
	       words->length <= absl_limit(words->capacity) &&
	       words->room <= absl_limit(words->capacity) - words->length;
}

static struct cxx_block absl_block(const struct absl_words *words, uint64_t slot)
{
	return (struct cxx_block){words->control - words->head,
		words->head + words->slots - words->control + words->capacity * slot};
}

/* As malloc has it: what is asked for is rounded up, so the most round number of bytes is tried first. */
static uint64_t absl_slot_of_block(struct target_mem *mem, const struct absl_words *words)
{
	static const uint8_t steps[] = {8, 4, 2, 1};
	uint64_t most, size;

	if (target_mem_read_u64(mem, words->control - words->head - 8, &size))
		return 0;
	most = size / words->capacity;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		uint64_t slot = most - most % steps[i];

		for (int tries = 0; slot && slot <= MAX_SLOT && tries < ABSL_TRIES; tries++) {
			struct cxx_block block = absl_block(words, slot);

			if (malloc_chunk_is_of(mem, block.addr, block.bytes))
				return slot;
			slot -= steps[i];
		}
	}
	return 0;
}

/* 0 = not known. */
static uint64_t slot_bytes_of(struct runtime_process *process, const struct runtime_probe *probe,
	const struct absl_words *words)
{
	size_t i = 0;

	if (probe->element_bytes)
		return probe->element_bytes;
	while (i < process->file->probe_count && process->file->probes[i].vaddr != probe->vaddr)
		i++;
	if (i == RUNTIME_MAX_PROBES)
		return 0;
	if (!process->slot_bytes[i] && words && words->capacity >= ABSL_LEAST)
		process->slot_bytes[i] = (uint32_t)absl_slot_of_block(process->mem, words);
	return process->slot_bytes[i];
}

typedef bool absl_words_of(struct target_mem *mem, uint64_t key, struct absl_words *ret);

static bool absl_read_words(struct runtime_process *process, const struct runtime_probe *probe,
	uint64_t key, absl_words_of *words_of, struct cxx_table *ret)
{
	struct absl_words words;
	uint64_t slot;

	if (!words_of(process->mem, key, &words) || !absl_agrees(&words))
		return false;
	slot = slot_bytes_of(process, probe, &words);
	/* malloc cannot be asked about a block whose size is not known. */
	*ret = (struct cxx_table){
		.blocks = {slot ? absl_block(&words, slot) : (struct cxx_block){0}},
		.length = words.length,
		.capacity = words.capacity,
		.load_limit = absl_limit(words.capacity),
		.tombstones = absl_limit(words.capacity) - words.length - words.room,
		.slot_bytes = slot,
		.stamp = hash_bytes(0, &words, sizeof(words)),
	};
	return true;
}

static uint64_t absl_usable(uint64_t head, uint64_t capacity, uint64_t slot)
{
	uint64_t control = (capacity + ABSL_MORE + 7) & ~7ull;

	return capacity ? cxx_hash_usable(head + control + capacity * slot) : 0;
}

static int absl_rehash_words(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, absl_words_of *words_of, struct cxx_rehash *ret)
{
	uint64_t now = record->val[0], old = record->val[1], slot, head;
	struct absl_words words;
	bool common = words_of == absl_words_of_common;
	/* The table may have grown on since, which does not matter here. */
	bool known = words_of(process->mem, record->addr, &words) && absl_agrees(&words);

	if (!is_absl_capacity(now) || (old && !is_absl_capacity(old)))
		return -EBADMSG;
	slot = slot_bytes_of(process, probe, known ? &words : NULL);
	head = common ? 8 : 0;
	if (common && old == 1 && slot && slot <= ABSL_LOCAL)
		old = 0;
	*ret = (struct cxx_rehash){old, now, absl_usable(head, old, slot),
		absl_usable(head, now, slot), true, common ? record->val[2] >> 1 : record->val[2]};
	return 0;
}

static uint64_t absl_capacity_for(uint64_t length)
{
	uint64_t capacity = 1;

	while (absl_limit(capacity) < length && capacity < CXX_MAX_BUCKETS)
		capacity = 2 * capacity + 1;
	return capacity;
}

static bool absl_read(struct runtime_process *process, const struct runtime_probe *probe,
	uint64_t key, struct cxx_table *ret)
{
	return absl_read_words(process, probe, key, absl_words_of_table, ret);
}

static int absl_rehash(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct cxx_rehash *ret)
{
	return absl_rehash_words(process, probe, record, absl_words_of_table, ret);
}

static bool absl_common_read(struct runtime_process *process, const struct runtime_probe *probe,
	uint64_t key, struct cxx_table *ret)
{
	return absl_read_words(process, probe, key, absl_words_of_common, ret);
}

static int absl_common_rehash(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct cxx_rehash *ret)
{
	return absl_rehash_words(process, probe, record, absl_words_of_common, ret);
}

static uint64_t absl_need(
	const struct runtime_process *process, const struct cxx_table *table, uint64_t length)
{
	(void)process;
	return length ? absl_usable(0, absl_capacity_for(length), table->slot_bytes) : 0;
}

const struct cxx_library cxx_absl_table = {
	.probe = CXX_PROBE_ABSL_TABLE,
	.read = absl_read,
	.rehash = absl_rehash,
	.need = absl_need,
};

const struct cxx_library cxx_absl_common_table = {
	.probe = CXX_PROBE_ABSL_COMMON,
	.read = absl_common_read,
	.rehash = absl_common_rehash,
	.need = absl_need,
};

/* ---- boost: boost/unordered/detail/foa.hpp, since 1.82 foa/core.hpp ---- */

#define FLAT_GROUP       15 /* slots */
#define FLAT_GROUP_BYTES 16
#define FLAT_SMALL       (2 * FLAT_GROUP - 1) /* may be filled completely */

struct flat_arrays {
	uint64_t size_index, mask, groups, slots;
};

struct flat_words {
	struct flat_arrays arrays;
	uint64_t length, load_limit;
};

/* 1.81: size, arrays, limit */
static bool flat_words_of_table(struct target_mem *mem, uint64_t key, struct flat_words *ret)
{
	struct {
		uint64_t length;
		struct flat_arrays arrays;
		uint64_t load_limit;
	} table;

	if (target_mem_read(mem, key, &table, sizeof(table)))
		return false;
	*ret = (struct flat_words){table.arrays, table.length, table.load_limit};
	return true;
}

/* Since 1.82: arrays, limit, size */
static bool flat_words_of_core(struct target_mem *mem, uint64_t key, struct flat_words *ret)
{
	struct {
		struct flat_arrays arrays;
		uint64_t load_limit, length;
	} table;

	if (target_mem_read(mem, key, &table, sizeof(table)))
		return false;
	*ret = (struct flat_words){table.arrays, table.length, table.load_limit};
	return true;
}

static uint64_t flat_capacity(uint64_t groups)
{
	return groups * FLAT_GROUP - 1;
}

/* Groups come right behind the slots, at the next multiple of their size. 0 = they do not. */
static uint64_t flat_slot_bytes(uint64_t mask, uint64_t groups, uint64_t slots)
{
	uint64_t count = mask + 1, bytes = groups - slots, slot;

	if (!slots || slots > groups || count < 2 || count & mask || count > CXX_MAX_BUCKETS ||
		groups % FLAT_GROUP_BYTES)
		return 0;
	slot = bytes / flat_capacity(count);
	return slot <= MAX_SLOT && bytes - slot * flat_capacity(count) < FLAT_GROUP_BYTES ? slot
											  : 0;
}

static uint64_t flat_bytes(uint64_t count, uint64_t slot)
{
	uint64_t bytes = slot * flat_capacity(count) + FLAT_GROUP_BYTES * (count + 1) - 1;

	return slot ? (bytes + slot - 1) / slot * slot : 0;
}

typedef bool flat_words_of(struct target_mem *mem, uint64_t key, struct flat_words *ret);

static bool flat_read_words(struct runtime_process *process, uint64_t key, flat_words_of *words_of,
	struct cxx_table *ret)
{
	struct flat_words words;
	uint64_t slot, count;

	if (!words_of(process->mem, key, &words))
		return false;
	slot = flat_slot_bytes(words.arrays.mask, words.arrays.groups, words.arrays.slots);
	count = words.arrays.mask + 1;
	/* Position = hash >> size index */
	if (!slot || words.arrays.size_index > 63 ||
		count != 1ull << (64 - words.arrays.size_index) ||
		words.length > flat_capacity(count) || words.load_limit > flat_capacity(count))
		return false;
	*ret = (struct cxx_table){
		.blocks = {{words.arrays.slots, flat_bytes(count, slot)}},
		.length = words.length,
		.capacity = flat_capacity(count),
		.load_limit = words.load_limit,
		.slot_bytes = slot,
		.stamp = hash_bytes(0, &words, sizeof(words)),
	};
	return true;
}

/* unchecked_rehash(new arrays): they are there already. */
static int flat_rehash(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct cxx_rehash *ret)
{
	uint64_t mask = record->val[0], groups = record->val[1], slots = record->val[2];
	uint64_t old_mask = record->val[3], old_slots = record->val[4];
	uint64_t slot = flat_slot_bytes(mask, groups, slots);
	bool had = old_slots != 0;

	(void)process;
	(void)probe;
	if (!slots) /* gives its array back */
		return -ENODATA;
	if (!slot || old_mask > CXX_MAX_BUCKETS || old_mask & (old_mask + 1))
		return -EBADMSG;
	*ret = (struct cxx_rehash){
		.old = had ? flat_capacity(old_mask + 1) : 0,
		.now = flat_capacity(mask + 1),
		.old_bytes = had ? cxx_hash_usable(flat_bytes(old_mask + 1, slot)) : 0,
		.bytes = cxx_hash_usable(flat_bytes(mask + 1, slot)),
		.has_length = true,
		.length = record->val[5],
	};
	return 0;
}

static bool flat_read(struct runtime_process *process, const struct runtime_probe *probe,
	uint64_t key, struct cxx_table *ret)
{
	(void)probe;
	return flat_read_words(process, key, flat_words_of_table, ret);
}

static bool flat_core_read(struct runtime_process *process, const struct runtime_probe *probe,
	uint64_t key, struct cxx_table *ret)
{
	(void)probe;
	return flat_read_words(process, key, flat_words_of_core, ret);
}

/* reserve(): so many at a load of 7/8 */
static uint64_t flat_need(
	const struct runtime_process *process, const struct cxx_table *table, uint64_t length)
{
	uint64_t wanted = (uint64_t)ceil((double)length / 0.875), count = 2;

	(void)process;
	while (flat_capacity(count) < wanted && count < CXX_MAX_BUCKETS)
		count *= 2;
	return length ? cxx_hash_usable(flat_bytes(count, table->slot_bytes)) : 0;
}

const struct cxx_library cxx_boost_flat_table = {
	.probe = CXX_PROBE_BOOST_FLAT,
	.read = flat_read,
	.rehash = flat_rehash,
	.need = flat_need,
};

const struct cxx_library cxx_boost_flat_core_table = {
	.probe = CXX_PROBE_BOOST_FLAT_CORE,
	.read = flat_core_read,
	.rehash = flat_rehash,
	.need = flat_need,
};
