/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables that are an array of buckets, with their elements in nodes: std::unordered_* of libstdc++ and of
 * libc++, boost::unordered_*. A table of no elements may have no array, or one bucket within its header.
 */
#include "runtime/cxx/cxx_hash.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"
#include "target/mem.h"

static bool is_load_factor(float load)
{
	return load > 0.001F && load < 1000000;
}

/* Buckets for so many elements, more than which nobody has. */
static uint64_t buckets_for(uint64_t length, double max_load)
{
	return (uint64_t)MIN(ceil((double)length / max_load), (double)CXX_MAX_BUCKETS);
}

static uint64_t array_bytes(uint64_t buckets)
{
	return cxx_hash_usable(buckets * 8);
}

/* ---- libstdc++: bits/hashtable.h ---- */

#define POLICY_OFFSET 32 /* of the rehash policy in the table */

/* std::_Hashtable from &_M_buckets on */
struct std_header {
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
static uint64_t std_array_bytes(uint64_t buckets)
{
	return buckets > 1 ? array_bytes(buckets) : 0;
}

/* next_resize is rounded down or up by version, and 0 after max_load_factor(). */
static bool is_limit_of(const struct std_header *header, uint64_t buckets)
{
	double limit = (double)buckets * (double)header->max_load;

	return !header->next_resize || fabs((double)header->next_resize - limit) <= 1 + limit / 1e6;
}

/*
 * While the elements are moved to a new array, which may take long, the threshold is the new one already and
 * the list of elements is being relinked.
 */
static bool is_being_rehashed(const struct cxx_facts *facts, const struct std_header *header)
{
	uint64_t wanted = (uint64_t)floor((double)header->next_resize / (double)header->max_load);

	return !is_limit_of(header, header->count) &&
	       (is_limit_of(header, cxx_next_buckets(facts, wanted)) ||
		       is_limit_of(header, cxx_next_buckets(facts, wanted - MIN(wanted, 2ull))));
}

/*
 * The number of buckets is one of libstdc++'s primes, the resize threshold follows from it and from the load
 * factor, and there are not more elements than that.
 */
static bool std_agrees(const struct cxx_facts *facts, const struct std_header *header, uint64_t key)
{
	double limit = (double)header->count * (double)header->max_load;

	if (!header->buckets || header->count < 2 || header->count > CXX_MAX_BUCKETS ||
		header->buckets == key + offsetof(struct std_header, single) ||
		cxx_next_buckets(facts, header->count) != header->count ||
		!is_load_factor(header->max_load))
		return false;
	if (is_being_rehashed(facts, header))
		return true;
	return is_limit_of(header, header->count) &&
	       (double)header->elements <= MAX((double)header->next_resize, limit) + 1 &&
	       !header->first == !header->elements;
}

static bool std_read(struct runtime_process *process, const struct runtime_probe *probe,
	uint64_t key, struct cxx_table *ret)
{
	struct std_header header;

	(void)probe;
	if (target_mem_read(process->mem, key, &header, sizeof(header)) ||
		!std_agrees(&process->facts, &header, key))
		return false;
	*ret = (struct cxx_table){
		.blocks = {{header.buckets, header.count * 8}},
		.length = header.elements,
		.capacity = header.count,
		.load_limit = header.next_resize
				      ? header.next_resize
				      : (uint64_t)((double)header.count * (double)header.max_load),
		.max_load = (double)header.max_load,
		.stamp = hash_bytes(0, &header, sizeof(header)),
	};
	return true;
}

static int std_rehash(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct cxx_rehash *ret)
{
	uint64_t old = record->val[1], wanted = record->val[0];
	uint64_t now = cxx_next_buckets(&process->facts, wanted);
	struct std_header header;

	(void)probe;
	if (!old || !now)
		return -EBADMSG;
	if (now == old) /* reserve() of what is there already */
		return -ENODATA;
	*ret = (struct cxx_rehash){old, now, std_array_bytes(old), std_array_bytes(now), false, 0};
	/* An insertion asks for twice as many, and does so when the load factor is reached. */
	if (old > 1 && wanted == 2 * old &&
		target_mem_read(
			process->mem, record->addr - POLICY_OFFSET, &header, sizeof(header)) == 0 &&
		is_load_factor(header.max_load)) {
		ret->has_length = true;
		ret->length = (uint64_t)((double)old * (double)header.max_load);
	}
	return 0;
}

static uint64_t std_need(
	const struct runtime_process *process, const struct cxx_table *table, uint64_t length)
{
	return std_array_bytes(
		cxx_next_buckets(&process->facts, buckets_for(length + 1, table->max_load)));
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

const struct cxx_library cxx_libstdcxx_table = {
	.probe = CXX_PROBE_NEXT_BUCKETS,
	.key_offset = POLICY_OFFSET,
	.read = std_read,
	.rehash = std_rehash,
	.need = std_need,
};

/* ---- libc++: __hash_table, LLVM 3.x to 19 ---- */

struct libcxx_header {
	uint64_t buckets, count, first, elements;
	float max_load;
	uint32_t pad;
};

static uint64_t power(uint64_t base, uint64_t exponent, uint64_t modulus)
{
	unsigned __int128 square = base % modulus, result = 1;

	for (; exponent; exponent >>= 1) {
		if (exponent & 1)
			result = result * square % modulus;
		square = square * square % modulus;
	}
	return (uint64_t)result;
}

/* Miller and Rabin's test, to which these bases always give the right answer below 341,550,071,728,321. */
static bool is_witness(uint64_t number, uint64_t base)
{
	uint64_t odd = number - 1, rest;
	int halves = 0;

	for (; !(odd & 1); odd >>= 1)
		halves++;
	rest = power(base, odd, number);
	if (rest == 1 || rest == number - 1)
		return false;
	while (--halves > 0) {
		rest = power(rest, 2, number);
		if (rest == number - 1)
			return false;
	}
	return true;
}

static bool is_prime(uint64_t number)
{
	static const uint8_t bases[] = {2, 3, 5, 7, 11, 13, 17};

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		if (number % bases[i] == 0)
			return number == bases[i];
		if (is_witness(number, bases[i]))
			return false;
	}
	return number > 1;
}

/* 2, a power of two as it was wanted, or a prime. */
static bool is_libcxx_count(uint64_t count)
{
	return count && count <= CXX_MAX_BUCKETS && (!(count & (count - 1)) || is_prime(count));
}

static bool libcxx_read(struct runtime_process *process, const struct runtime_probe *probe,
	uint64_t key, struct cxx_table *ret)
{
	struct libcxx_header header;
	double limit;

	(void)probe;
	if (target_mem_read(process->mem, key, &header, sizeof(header)) || !header.buckets ||
		!is_libcxx_count(header.count) || !is_load_factor(header.max_load))
		return false;
	/*
	 * The first element says nothing: while a table is cleared it has gone long before their number is 0. An
	 * insertion may be one ahead.
	 */
	limit = (double)header.count * (double)header.max_load;
	if ((double)header.elements > limit * (1 + 1e-6) + 1)
		return false;
	*ret = (struct cxx_table){
		.blocks = {{header.buckets, header.count * 8}},
		.length = header.elements,
		.capacity = header.count,
		.load_limit = (uint64_t)limit,
		.max_load = (double)header.max_load,
		.stamp = hash_bytes(0, &header, sizeof(header)),
	};
	return true;
}

/* rehash() */
static uint64_t libcxx_next_buckets(uint64_t wanted)
{
	wanted = MAX(wanted, 2ull);
	while (!is_libcxx_count(wanted) && wanted < CXX_MAX_BUCKETS)
		wanted++;
	return wanted;
}

/* __rehash(), __do_rehash(): so many buckets, whatever was there before. */
static int libcxx_rehash(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct cxx_rehash *ret)
{
	uint64_t now = record->val[0], old = record->val[1];

	(void)process;
	(void)probe;
	if (now > CXX_MAX_BUCKETS || old > CXX_MAX_BUCKETS)
		return -EBADMSG;
	if (!now) /* gives its array back */
		return -ENODATA;
	*ret = (struct cxx_rehash){
		old, now, array_bytes(old), array_bytes(now), true, record->val[2]};
	return 0;
}

/* rehash(wanted): grows where that is more than there are; what else it does then is not to be seen there. */
static int libcxx_prime(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct cxx_rehash *ret)
{
	struct mt_record rehash = *record;

	if (record->val[0] > CXX_MAX_BUCKETS || record->val[1] > CXX_MAX_BUCKETS)
		return -EBADMSG;
	rehash.val[0] = libcxx_next_buckets(record->val[0]);
	if (rehash.val[0] <= record->val[1])
		return -ENODATA;
	return libcxx_rehash(process, probe, &rehash, ret);
}

static uint64_t libcxx_need(
	const struct runtime_process *process, const struct cxx_table *table, uint64_t length)
{
	(void)process;
	if (!length)
		return 0;
	return array_bytes(libcxx_next_buckets(buckets_for(length, table->max_load)));
}

const struct cxx_library cxx_libcxx_table = {
	.probe = CXX_PROBE_LIBCXX_TABLE,
	.read = libcxx_read,
	.rehash = libcxx_rehash,
	.need = libcxx_need,
};

const struct cxx_library cxx_libcxx_prime = {
	.probe = CXX_PROBE_LIBCXX_PRIME,
	.read = libcxx_read,
	.rehash = libcxx_prime,
	.need = libcxx_need,
};

/* ---- boost::unordered_*: boost/unordered/detail/{implementation,fca}.hpp, since 1.80 ---- */

#define BOOST_GROUP       64 /* buckets of a group */
#define BOOST_GROUP_BYTES 32

struct boost_header {
	uint64_t functions, elements;
	float max_load;
	uint32_t pad;
	uint64_t load_limit;
	uint64_t size_index, count, buckets, groups;
};

/* prime_fmod.hpp */
static const uint64_t boost_sizes[] = {13, 29, 53, 97, 193, 389, 769, 1543, 3079, 6151, 12289,
	24593, 49157, 98317, 196613, 393241, 786433, 1572869, 3145739, 6291469, 12582917, 25165843,
	50331653, 100663319, 201326611, 402653189, 805306457, 1610612741, 3221225473,
	(1ull << 32) + 2147483643, (3ull << 32) + 5, (5ull << 32) + 4294967271,
	(11ull << 32) + 4294967295, (24ull << 32) + 7, (48ull << 32) + 1, (96ull << 32) + 25,
	(191ull << 32) + 4294967295};

static uint64_t boost_next_buckets(uint64_t wanted)
{
	for (size_t i = 0; i < ARRAY_SIZE(boost_sizes); i++)
		if (boost_sizes[i] >= wanted)
			return boost_sizes[i];
	return boost_sizes[ARRAY_SIZE(boost_sizes) - 1];
}

/* One more than there are, behind the last; and as many groups as it takes for them all. */
static struct cxx_block boost_buckets(uint64_t addr, uint64_t count)
{
	return (struct cxx_block){addr, count ? (count + 1) * 8 : 0};
}

static struct cxx_block boost_groups(uint64_t addr, uint64_t count)
{
	return (struct cxx_block){addr, count ? (count / BOOST_GROUP + 1) * BOOST_GROUP_BYTES : 0};
}

static uint64_t boost_usable(uint64_t count)
{
	return cxx_hash_usable(boost_buckets(0, count).bytes) +
	       cxx_hash_usable(boost_groups(0, count).bytes);
}

static bool boost_read(struct runtime_process *process, const struct runtime_probe *probe,
	uint64_t key, struct cxx_table *ret)
{
	struct boost_header header;

	(void)probe;
	if (target_mem_read(process->mem, key, &header, sizeof(header)) || !header.buckets ||
		!header.groups || header.size_index >= ARRAY_SIZE(boost_sizes) ||
		boost_sizes[header.size_index] != header.count || header.count > CXX_MAX_BUCKETS ||
		!is_load_factor(header.max_load) || header.elements > header.load_limit + 1)
		return false;
	*ret = (struct cxx_table){
		.blocks = {boost_buckets(header.buckets, header.count),
			boost_groups(header.groups, header.count)},
		.length = header.elements,
		.capacity = header.count,
		.load_limit = header.load_limit,
		.max_load = (double)header.max_load,
		.stamp = hash_bytes(0, &header, sizeof(header)),
	};
	return true;
}

static int boost_rehash(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct cxx_rehash *ret)
{
	uint64_t now = boost_next_buckets(record->val[0]), old = record->val[1];

	(void)process;
	(void)probe;
	if (!record->val[0]) /* gives its array back */
		return -ENODATA;
	if (old && boost_next_buckets(old) != old)
		return -EBADMSG;
	*ret = (struct cxx_rehash){
		old, now, boost_usable(old), boost_usable(now), true, record->val[2]};
	return 0;
}

static uint64_t boost_need(
	const struct runtime_process *process, const struct cxx_table *table, uint64_t length)
{
	(void)process;
	return length ? boost_usable(boost_next_buckets(buckets_for(length, table->max_load))) : 0;
}

const struct cxx_library cxx_boost_table = {
	.probe = CXX_PROBE_BOOST_TABLE,
	.read = boost_read,
	.rehash = boost_rehash,
	.need = boost_need,
};
