/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPython: the runtime's row. The keys object of a dict (Objects/dictobject.c) is an index of 2^n slots and an
 * array of entries for two thirds of them; entries are never used twice, so deletions leave holes until it
 * grows, and nothing makes it smaller but copying or clear(). A set (Objects/setobject.c) is one array of 2^n
 * entries. Keys and values are elsewhere. (A list grows by realloc and is seen there: user/runtime/c.)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"
#include "base/text.h"
#include "runtime/allocator/malloc_chunk.h"
#include "runtime/look_each.h"
#include "runtime/python/python_identify.h"
#include "runtime/resident.h"
#include "runtime/runtime.h"
#include "target/mem.h"

#define MAX_LOG2    40
#define FEWEST_LOG2 3
#define KEYS_BYTES  32 /* before the index */
#define SET_ENTRY   16
#define BYTE(n)     (8 * (n)) /* bits to shift a word by, to have that byte of it */

enum {
	TYPE_DICT = 1,
	TYPE_SET,
};

enum keys_kind {
	KEYS_GENERAL, /* entries of 24 bytes: hash, key, value */
	KEYS_TEXT,    /* of 16: all keys are str */
	KEYS_SPLIT,   /* shared by the instances of a class, values apart */
};

struct dict {
	int64_t references;
	uint64_t type, used, version, keys, values;
};

struct keys {
	int64_t references;
	uint8_t log2, log2_index, kind, unused;
	uint32_t version;
	uint64_t usable, entries;
};

struct set {
	int64_t references;
	uint64_t type, fill, used, mask, table;
};

struct runtime_process {
	struct target_mem *mem;
	bool glibc_malloc; /* a block of it has been seen: those that are none are dead */
};

static int process_open(const struct runtime_file *file, struct target_mem *mem,
	struct parser *parser, uint32_t file_id, uint64_t slide, struct runtime_process **ret,
	char reason[160])
{
	struct runtime_process *process = xcalloc(1, sizeof(*process));

	(void)file;
	(void)parser;
	(void)file_id;
	(void)slide;
	(void)reason;
	process->mem = mem;
	*ret = process;
	return 0;
}

static void process_close(struct runtime_process *process)
{
	free(process);
}

/* ---- dict ---- */

/* USABLE_FRACTION() */
static uint64_t room_of(unsigned int log2)
{
	return (2ull << log2) / 3;
}

static unsigned int index_log2(unsigned int log2)
{
	return log2 < 8 ? log2 : log2 < 16 ? log2 + 1 : log2 < 32 ? log2 + 2 : log2 + 3;
}

static uint64_t keys_bytes(unsigned int log2, enum keys_kind kind)
{
	return KEYS_BYTES + (1ull << index_log2(log2)) +
	       room_of(log2) * (kind == KEYS_GENERAL ? 24 : 16);
}

static uint64_t keys_usable(unsigned int log2, enum keys_kind kind)
{
	return malloc_usable(keys_bytes(log2, kind));
}

/* estimate_log2_keysize(): what a new dict for so many gets. */
static unsigned int log2_for(uint64_t entries)
{
	unsigned int log2 = FEWEST_LOG2;

	while (log2 < MAX_LOG2 && 1ull << log2 < (entries * 3 + 1) / 2)
		log2++;
	return log2;
}

static int decode_dict(const struct mt_record *record, struct event *ret)
{
	unsigned int now = record->val[0] & 0xff, old = record->val[1] & 0xff;
	enum keys_kind old_kind = record->val[1] >> BYTE(2) & 0xff;
	bool text = (uint32_t)record->val[3] && old_kind != KEYS_GENERAL;
	struct event_growth *growth = &ret->growth;

	if (now < PYTHON_FEWEST_LOG2)
		return -ENODATA;
	if (now > MAX_LOG2 || old > MAX_LOG2 || old_kind > KEYS_SPLIT)
		return -EBADMSG;
	growth->same_size = now <= old;
	growth->has_length = true;
	growth->length = record->val[2];
	growth->capacity = 1ull << now;
	growth->held_bytes = growth->allocated_bytes =
		keys_usable(now, text ? KEYS_TEXT : KEYS_GENERAL);
	growth->garbage_bytes = old_kind == KEYS_SPLIT ? 0 : keys_usable(old, old_kind);
	return 0;
}

static bool agrees(const struct dict *dict, const struct keys *keys)
{
	uint64_t room = keys->log2 <= MAX_LOG2 ? room_of(keys->log2) : 0;

	return dict->references > 0 && dict->type && !dict->values && keys->references > 0 &&
	       keys->log2 >= FEWEST_LOG2 && keys->log2_index == index_log2(keys->log2) &&
	       keys->kind < KEYS_SPLIT && keys->entries <= room &&
	       keys->usable <= room - keys->entries && dict->used <= keys->entries;
}

static void look_at_dict(struct runtime_process *process, uint64_t key, uint64_t length_peak,
	bool deep, struct event_look *ret)
{
	struct dict dict;
	struct keys keys;
	uint64_t bytes;

	if (target_mem_read(process->mem, key, &dict, sizeof(dict)) ||
		target_mem_read(process->mem, dict.keys, &keys, sizeof(keys)) ||
		!agrees(&dict, &keys))
		return;
	bytes = keys_bytes(keys.log2, keys.kind);
	if (!malloc_block_held(
		    process->mem, &process->glibc_malloc, dict.keys, bytes, &ret->held_bytes))
		return;
	ret->liveness = LIVENESS_ALLOCATED;
	ret->has_length = true;
	ret->length = dict.used;
	ret->capacity = 1ull << keys.log2;
	ret->load_limit = room_of(keys.log2);
	ret->tombstones = keys.entries - dict.used;
	ret->need_bytes = keys_usable(log2_for(dict.used), keys.kind);
	ret->need_peak_bytes = keys_usable(log2_for(MAX(length_peak, dict.used)), keys.kind);
	ret->stamp = hash_bytes(hash_bytes(0, &dict.used, 3 * sizeof(dict.used)), &keys.usable,
		2 * sizeof(keys.usable));
	if (!deep)
		return;
	ret->has_resident = true;
	ret->resident_bytes = resident_bytes(process->mem, dict.keys, bytes);
}

/* ---- set ---- */

/* set_table_resize(): the first power of two above. */
static uint64_t set_slots_for(uint64_t entries)
{
	uint64_t slots = 8;

	while (slots <= entries)
		slots *= 2;
	return slots;
}

static uint64_t set_usable(uint64_t slots)
{
	return malloc_usable(slots * SET_ENTRY);
}

static bool is_mask(uint64_t mask)
{
	return mask >= 7 && mask < 1ull << MAX_LOG2 && !(mask & (mask + 1));
}

static int decode_set(const struct mt_record *record, struct event *ret)
{
	bool small = record->val[3] == record->addr + PYTHON_SET_SMALL;
	uint64_t mask = record->val[1], now;
	struct event_growth *growth = &ret->growth;

	if (!is_mask(mask) || record->val[0] >= 1ull << MAX_LOG2)
		return -EBADMSG;
	now = set_slots_for(record->val[0]);
	growth->new_container = small;
	growth->same_size = !small && now <= mask + 1;
	growth->has_length = true;
	growth->length = record->val[2];
	growth->capacity = now;
	growth->held_bytes = growth->allocated_bytes = set_usable(now);
	growth->garbage_bytes = small ? 0 : set_usable(mask + 1);
	return 0;
}

static void look_at_set(struct runtime_process *process, uint64_t key, uint64_t length_peak,
	bool deep, struct event_look *ret)
{
	struct set set;
	uint64_t bytes;

	if (target_mem_read(process->mem, key, &set, sizeof(set)) || set.references <= 0 ||
		!set.type || !is_mask(set.mask) || set.used > set.fill || set.fill > set.mask ||
		set.table == key + PYTHON_SET_SMALL)
		return;
	bytes = (set.mask + 1) * SET_ENTRY;
	if (!malloc_block_held(
		    process->mem, &process->glibc_malloc, set.table, bytes, &ret->held_bytes))
		return;
	ret->liveness = LIVENESS_ALLOCATED;
	ret->has_length = true;
	ret->length = set.used;
	ret->capacity = set.mask + 1;
	ret->load_limit = set.mask * 3 / 5;
	ret->tombstones = set.fill - set.used;
	ret->need_bytes = set_usable(set_slots_for(set.used * 5 / 3));
	ret->need_peak_bytes = set_usable(set_slots_for(MAX(length_peak, set.used) * 5 / 3));
	ret->stamp = hash_bytes(0, &set, sizeof(set));
	if (!deep)
		return;
	ret->has_resident = true;
	ret->resident_bytes = resident_bytes(process->mem, set.table, bytes);
}

/* ---- both ---- */

static int decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret, uint64_t *ret_type)
{
	(void)process;
	if (record->flags & MT_UNREAD)
		return -ENODATA;
	if (!record->addr)
		return -EBADMSG;
	ret->kind = EVENT_GROWTH;
	ret->growth.family = FAMILY_MAP;
	ret->growth.key = ret->growth.old_key = record->addr;
	*ret_type = probe->probe == PYTHON_PROBE_SET ? TYPE_SET : TYPE_DICT;
	return probe->probe == PYTHON_PROBE_SET ? decode_set(record, ret)
						: decode_dict(record, ret);
}

static void type_name(struct runtime_process *process, uint64_t type, char *buf, size_t bytes)
{
	(void)process;
	text_copy(buf, bytes, type == TYPE_DICT ? "dict" : type == TYPE_SET ? "set" : "");
}

static bool owns(const char *type)
{
	return !strcmp(type, "list");
}

static void look_at(struct runtime_process *process, uint64_t type, enum family family,
	uint64_t key, uint64_t length_peak, bool deep, struct event_look *ret)
{
	*ret = (struct event_look){.family = family, .key = key, .liveness = LIVENESS_DEAD};
	if (type == TYPE_SET)
		look_at_set(process, key, length_peak, deep, ret);
	else
		look_at_dict(process, key, length_peak, deep, ret);
}

static int look(struct runtime_process *process, enum family family, const uint64_t *keys,
	const uint64_t *types, const uint64_t *length_peaks, size_t count, bool deep,
	struct event_look *ret)
{
	return look_each(look_at, process, family, keys, types, length_peaks, count, deep, ret);
}

const struct runtime runtime_python = {
	.name = "python",
	.launches = true,
	.wants = python_wants,
	.identify = python_identify,
	.process_open = process_open,
	.process_close = process_close,
	.decode = decode,
	.type_name = type_name,
	.owns = owns,
	.look = look,
};
