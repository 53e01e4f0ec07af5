/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table is known by the address of its header: some words that must agree with each other, whenever they are
 * looked at, and with the blocks of malloc that they point to. A table that was moved, swapped or destroyed
 * fails one of these, or is taken for the empty one that it looks like; so nothing here proves that a table is
 * alive.
 *
 * Of tables with nodes only the array of buckets is counted: the nodes are blocks of their own and go with
 * their elements.
 */
#include "runtime/cxx/cxx_hash.h"

#include <errno.h>

#include "base/mem.h"
#include "runtime/allocator/malloc_chunk.h"
#include "runtime/resident.h"

static const struct cxx_library *const libraries[] = {
	&cxx_libstdcxx_table,
	&cxx_libcxx_table,
	&cxx_libcxx_prime,
	&cxx_boost_table,
	&cxx_absl_table,
	&cxx_absl_common_table,
	&cxx_boost_flat_table,
	&cxx_boost_flat_core_table,
};

static const struct cxx_library *library_of(const struct runtime_probe *probe)
{
	for (size_t i = 0; i < ARRAY_SIZE(libraries); i++)
		if (libraries[i]->probe == probe->probe)
			return libraries[i];
	return NULL;
}

bool cxx_hash_is(const struct runtime_probe *probe)
{
	return library_of(probe) != NULL;
}

uint64_t cxx_hash_usable(uint64_t asked)
{
	return asked ? malloc_usable(asked) : 0;
}

int cxx_hash_decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret)
{
	const struct cxx_library *library = library_of(probe);
	struct event_growth *growth = &ret->growth;
	struct cxx_rehash rehash = {0};
	int err;

	if (record->flags & MT_UNREAD)
		return -ENODATA;
	if (!library || !record->addr)
		return -EBADMSG;
	err = library->rehash(process, probe, record, &rehash);
	if (err)
		return err;
	if (rehash.old > CXX_MAX_BUCKETS || rehash.now > CXX_MAX_BUCKETS)
		return -EBADMSG;
	ret->kind = EVENT_GROWTH;
	growth->family = FAMILY_MAP;
	growth->key = growth->old_key = record->addr - library->key_offset;
	growth->new_container = !rehash.old_bytes;
	growth->same_size = rehash.now <= rehash.old;
	growth->capacity = rehash.now;
	growth->allocated_bytes = growth->held_bytes = rehash.bytes;
	growth->garbage_bytes = rehash.old_bytes;
	growth->has_length = rehash.has_length;
	growth->length = rehash.length;
	return 0;
}

/* All of its blocks, or none. */
static bool are_held(
	struct runtime_process *process, const struct cxx_table *table, uint64_t *ret_bytes)
{
	uint64_t bytes = 0, held;

	for (size_t i = 0; i < ARRAY_SIZE(table->blocks); i++) {
		const struct cxx_block *block = &table->blocks[i];

		if (!block->bytes)
			continue;
		if (!malloc_block_held(
			    process->mem, &process->glibc_malloc, block->addr, block->bytes, &held))
			return false;
		bytes += held;
	}
	*ret_bytes = bytes;
	return true;
}

void cxx_hash_look(struct runtime_process *process, const struct runtime_probe *probe, uint64_t key,
	uint64_t length_peak, bool deep, struct event_look *ret)
{
	const struct cxx_library *library = library_of(probe);
	struct cxx_table table = {0};

	*ret = (struct event_look){.family = FAMILY_MAP, .key = key, .liveness = LIVENESS_DEAD};
	if (!library || !library->read(process, probe, key, &table) ||
		!are_held(process, &table, &ret->held_bytes))
		return;
	ret->liveness = LIVENESS_ALLOCATED;
	ret->has_length = true;
	ret->length = table.length;
	ret->capacity = table.capacity;
	ret->load_limit = table.load_limit;
	ret->tombstones = table.tombstones;
	ret->need_bytes = library->need(process, &table, table.length);
	ret->need_peak_bytes = library->need(process, &table, MAX(length_peak, table.length));
	ret->stamp = table.stamp;
	if (!deep)
		return;
	ret->has_resident = true;
	for (size_t i = 0; i < ARRAY_SIZE(table.blocks); i++)
		ret->resident_bytes +=
			resident_bytes(process->mem, table.blocks[i].addr, table.blocks[i].bytes);
}
