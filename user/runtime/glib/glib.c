/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GLib: the runtime's row. A GHashTable (glib/ghash.c) has three arrays of as many slots as it has room for:
 * hashes, keys, values; in a set the keys are the values as well. Keys and values take four bytes each until
 * one is larger. A table shrinks by itself when less than a quarter of it is in use and an entry is removed.
 * (GArray and its like are seen where realloc is: user/runtime/c.)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"
#include "base/text.h"
#include "runtime/allocator/malloc_chunk.h"
#include "runtime/glib/glib_identify.h"
#include "runtime/look_each.h"
#include "runtime/resident.h"
#include "runtime/runtime.h"
#include "target/mem.h"

#define FEWEST_SLOTS 8
#define MAX_SLOTS    (1ull << 31)
#define SIZE_FLAGS   7
#define TYPE_NAME    "GHashTable"

enum {
	TYPE_TABLE = 1,
};

struct table_header {
	uint64_t slots;
	uint32_t mod, mask, nodes, occupied;
	uint64_t big; /* bit 0: keys, bit 1: values */
	uint64_t keys, hashes, values, hash;
};

struct runtime_process {
	struct target_mem *mem;
	bool glibc_malloc; /* a block of it has been seen: those that are none are dead */
};

/* What decides how large its arrays are. */
struct shape {
	bool set, big_keys, big_values;
};

static struct shape shape_of(uint64_t keys, uint64_t values, uint64_t big)
{
	return (struct shape){keys == values, big & 1, big & 2};
}

static uint64_t hashes_bytes(uint64_t slots)
{
	return 4 * slots;
}

static uint64_t keys_bytes(const struct shape *shape, uint64_t slots)
{
	return (shape->big_keys ? 8 : 4) * slots;
}

static uint64_t values_bytes(const struct shape *shape, uint64_t slots)
{
	return shape->set ? 0 : (shape->big_values ? 8 : 4) * slots;
}

static uint64_t table_usable(const struct shape *shape, uint64_t slots)
{
	uint64_t values = values_bytes(shape, slots);

	return malloc_usable(hashes_bytes(slots)) + malloc_usable(keys_bytes(shape, slots)) +
	       (values ? malloc_usable(values) : 0);
}

/* g_hash_table_set_shift_from_size(nnodes * 1.333) */
static uint64_t slots_for(uint64_t nodes)
{
	uint64_t wanted = (uint64_t)((double)nodes * 1.333), slots = FEWEST_SLOTS;

	while (slots <= wanted)
		slots *= 2;
	return slots;
}

static bool are_slots(uint64_t slots)
{
	return slots >= FEWEST_SLOTS && slots <= MAX_SLOTS && !(slots & (slots - 1));
}

/* Of hashes that malloc has put into a chunk of that size: there is one power of two that fits. */
static uint64_t slots_in(uint64_t word)
{
	uint64_t bytes = word & ~(uint64_t)SIZE_FLAGS, slots = FEWEST_SLOTS;

	while (slots < MAX_SLOTS && hashes_bytes(2 * slots) + 8 <= bytes)
		slots *= 2;
	return hashes_bytes(slots) + 8 <= bytes &&
			       bytes <= hashes_bytes(slots) + TARGET_PAGE_BYTES + 32
		       ? slots
		       : 0;
}

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

static int decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret, uint64_t *ret_type)
{
	struct shape shape = shape_of(record->val[2], record->val[3], record->val[4]);
	uint64_t now = record->val[0], old = slots_in(record->val[1]);
	struct event_growth *growth = &ret->growth;

	(void)process;
	(void)probe;
	if (record->flags & MT_UNREAD)
		return -ENODATA;
	if (!record->addr || !are_slots(now) || !old || now == old)
		return -EBADMSG;
	*ret_type = TYPE_TABLE;
	ret->kind = EVENT_GROWTH;
	growth->family = FAMILY_MAP;
	growth->key = growth->old_key = record->addr;
	growth->same_size = now < old;
	growth->has_length = true;
	growth->length = record->val[5] & UINT32_MAX;
	growth->capacity = now;
	growth->held_bytes = growth->allocated_bytes = table_usable(&shape, now);
	growth->garbage_bytes = table_usable(&shape, old);
	return 0;
}

static void type_name(struct runtime_process *process, uint64_t type, char *buf, size_t bytes)
{
	(void)process;
	text_copy(buf, bytes, type == TYPE_TABLE ? TYPE_NAME : "");
}

static bool tells(const char *type)
{
	return !strcmp(type, TYPE_NAME);
}

static bool agrees(const struct table_header *table)
{
	return are_slots(table->slots) && table->mask == table->slots - 1 && table->mod &&
	       table->mod <= table->slots && table->nodes <= table->occupied &&
	       table->occupied < table->slots && !(table->big & 0xfffffffc) && table->keys &&
	       table->hashes && table->values && table->hash;
}

/* All of its arrays must be blocks of malloc in use. */
static bool read_held(struct runtime_process *process, const struct table_header *table,
	const struct shape *shape, uint64_t *ret)
{
	uint64_t values = values_bytes(shape, table->slots), part, sum = 0;

	if (!malloc_block_held(process->mem, &process->glibc_malloc, table->hashes,
		    hashes_bytes(table->slots), &part))
		return false;
	sum += part;
	if (!malloc_block_held(process->mem, &process->glibc_malloc, table->keys,
		    keys_bytes(shape, table->slots), &part))
		return false;
	sum += part;
	if (values && !malloc_block_held(
			      process->mem, &process->glibc_malloc, table->values, values, &part))
		return false;
	*ret = sum + (values ? part : 0);
	return true;
}

static void look_at(struct runtime_process *process, uint64_t type, enum family family,
	uint64_t key, uint64_t length_peak, bool deep, struct event_look *ret)
{
	struct table_header table;
	struct shape shape;

	(void)type;
	*ret = (struct event_look){.family = family, .key = key, .liveness = LIVENESS_DEAD};
	if (target_mem_read(process->mem, key, &table, sizeof(table)) || !agrees(&table))
		return;
	shape = shape_of(table.keys, table.values, table.big);
	if (!read_held(process, &table, &shape, &ret->held_bytes))
		return;
	ret->liveness = LIVENESS_ALLOCATED;
	ret->has_length = true;
	ret->length = table.nodes;
	ret->capacity = table.slots;
	ret->load_limit = table.slots - table.slots / 16;
	ret->tombstones = table.occupied - table.nodes;
	ret->need_bytes = table_usable(&shape, slots_for(table.nodes));
	ret->need_peak_bytes =
		table_usable(&shape, slots_for(MAX(length_peak, (uint64_t)table.nodes)));
	ret->stamp = hash_bytes(0, &table, sizeof(table));
	if (!deep)
		return;
	ret->has_resident = true;
	ret->resident_bytes =
		resident_bytes(process->mem, table.hashes, hashes_bytes(table.slots)) +
		resident_bytes(process->mem, table.keys, keys_bytes(&shape, table.slots)) +
		resident_bytes(process->mem, table.values, values_bytes(&shape, table.slots));
}

static int look(struct runtime_process *process, enum family family, const uint64_t *keys,
	const uint64_t *types, const uint64_t *length_peaks, size_t count, bool deep,
	struct event_look *ret)
{
	return look_each(look_at, process, family, keys, types, length_peaks, count, deep, ret);
}

const struct runtime runtime_glib = {
	.name = "glib",
	.wants = glib_wants,
	.identify = glib_identify,
	.process_open = process_open,
	.process_close = process_close,
	.decode = decode,
	.type_name = type_name,
	.tells = tells,
	.look = look,
};
