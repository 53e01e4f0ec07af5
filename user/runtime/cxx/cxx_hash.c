/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table is known by the address of its header: six words that must agree with each other, whenever they
 * are looked at. The number of buckets is one of libstdc++'s primes, the resize threshold follows from it
 * and from the load factor, there are not more elements than that, and the bucket array is a block of
 * malloc of that size. A table that was moved, swapped or destroyed fails one of these, or is taken for
 * the empty one that it looks like; so nothing here proves that a table is alive.
 *
 * Only the array of buckets is counted. The nodes are blocks of their own and go with their elements.
 */
#include "runtime/cxx/cxx_hash.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"
#include "runtime/allocator/malloc_chunk.h"
#include "runtime/resident.h"
#include "target/mem.h"

#define POLICY_OFFSET 32 /* of the rehash policy in the table */
#define MAX_BUCKETS   (1ull << 40)

/* std::_Hashtable from &_M_buckets on (bits/hashtable.h) */
struct header {
	uint64_t buckets, count, first, elements;
	float max_load;
	uint32_t pad;
	uint64_t next_resize, single;
};

/* _Prime_rehash_policy::_M_next_bkt (src/c++11/hashtable_c++0x.cc) */
uint64_t cxx_next_buckets(const struct cxx_facts *facts, uint64_t wanted)
{
	static const uint8_t few[] = {1, 2, 2, 3, 5, 5, 7, 7, 11, 11, 11, 11, 13, 13};
	uint32_t low = 0, high = facts->prime_count;

	if (wanted < ARRAY_SIZE(few))
		return few[wanted];
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (facts->primes[middle] < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return low < facts->prime_count ? facts->primes[low] : 0;
}

/* 1 is the bucket within the header: no array. */
static uint64_t array_bytes(uint64_t buckets)
{
	return buckets > 1 ? malloc_usable(buckets * 8) : 0;
}

static bool is_prime_of(const struct cxx_facts *facts, uint64_t count)
{
	return cxx_next_buckets(facts, count) == count;
}

static bool is_load_factor(float load)
{
	return load > 0.001F && load < 1000000;
}

/* next_resize is rounded down or up by version, and 0 after max_load_factor(). */
static bool is_limit_of(const struct header *header, uint64_t buckets)
{
	double limit = (double)buckets * (double)header->max_load;

	return !header->next_resize || fabs((double)header->next_resize - limit) <= 1 + limit / 1e6;
}

/*
 * While the elements are moved to a new array, which may take long, the threshold is the new one already and
 * the list of elements is being relinked.
 */
static bool is_being_rehashed(const struct cxx_facts *facts, const struct header *header)
{
	uint64_t wanted = (uint64_t)floor((double)header->next_resize / (double)header->max_load);

	return !is_limit_of(header, header->count) &&
	       (is_limit_of(header, cxx_next_buckets(facts, wanted)) ||
		       is_limit_of(header, cxx_next_buckets(facts, wanted - MIN(wanted, 2ull))));
}

static bool agrees(const struct cxx_facts *facts, const struct header *header, uint64_t key)
{
	double limit = (double)header->count * (double)header->max_load;

	if (!header->buckets || header->count < 2 || header->count > MAX_BUCKETS ||
		header->buckets == key + offsetof(struct header, single) ||
		!is_prime_of(facts, header->count) || !is_load_factor(header->max_load))
		return false;
	if (is_being_rehashed(facts, header))
		return true;
	return is_limit_of(header, header->count) &&
	       (double)header->elements <= MAX((double)header->next_resize, limit) + 1 &&
	       !header->first == !header->elements;
}

int cxx_hash_decode(
	struct runtime_process *process, const struct mt_record *record, struct event *ret)
{
	uint64_t old = record->val[1], wanted = record->val[0];
	uint64_t now = cxx_next_buckets(&process->facts, wanted);
	struct event_growth *growth = &ret->growth;
	struct header header;

	if (record->flags & MT_UNREAD)
		return -ENODATA;
	if (!record->addr || !old || !now || old > MAX_BUCKETS || now > MAX_BUCKETS)
		return -EBADMSG;
	if (now == old) /* reserve() of what is there already */
		return -ENODATA;
	ret->kind = EVENT_GROWTH;
	growth->family = FAMILY_MAP;
	growth->key = growth->old_key = record->addr - POLICY_OFFSET;
	growth->new_container = old == 1;
	growth->same_size = now < old;
	growth->capacity = now;
	growth->allocated_bytes = array_bytes(now);
	growth->garbage_bytes = array_bytes(old);
	growth->held_bytes = growth->allocated_bytes;
	/* An insertion asks for twice as many, and does so when the load factor is reached. */
	if (old > 1 && wanted == 2 * old &&
		target_mem_read(process->mem, growth->key, &header, sizeof(header)) == 0 &&
		is_load_factor(header.max_load)) {
		growth->has_length = true;
		growth->length = (uint64_t)((double)old * (double)header.max_load);
	}
	return 0;
}

size_t cxx_hash_place(struct runtime_process *process, const struct mt_record *record,
	uint64_t ret[RUNTIME_PLACE_PCS])
{
	uint64_t caller = record->val[2] - process->slide;
	const struct cxx_facts *facts = &process->facts;
	bool called_by_library = caller >= facts->need_rehash && caller < facts->need_rehash_end;

	ret[0] = called_by_library ? record->val[3] : record->val[2];
	return ret[0] != 0;
}

/* ---- looking ---- */

static uint64_t need_bytes(
	const struct runtime_process *process, const struct header *header, uint64_t length)
{
	double wanted = ceil((double)(length + 1) / (double)header->max_load);

	return array_bytes(cxx_next_buckets(&process->facts, (uint64_t)wanted));
}

void cxx_hash_look(struct runtime_process *process, uint64_t key, uint64_t length_peak, bool deep,
	struct event_look *ret)
{
	struct header header;

	*ret = (struct event_look){.family = FAMILY_MAP, .key = key, .liveness = LIVENESS_DEAD};
	if (target_mem_read(process->mem, key, &header, sizeof(header)) ||
		!agrees(&process->facts, &header, key) ||
		!malloc_block_held(process->mem, &process->glibc_malloc, header.buckets,
			header.count * 8, &ret->held_bytes))
		return;
	ret->liveness = LIVENESS_ALLOCATED;
	ret->has_length = true;
	ret->length = header.elements;
	ret->capacity = header.count;
	ret->load_limit = header.next_resize
				  ? header.next_resize
				  : (uint64_t)((double)header.count * (double)header.max_load);
	ret->need_bytes = need_bytes(process, &header, header.elements);
	ret->need_peak_bytes = need_bytes(process, &header, MAX(length_peak, header.elements));
	ret->stamp = hash_bytes(0, &header, sizeof(header));
	if (!deep)
		return;
	ret->has_resident = true;
	ret->resident_bytes = resident_bytes(process->mem, header.buckets, header.count * 8);
}
