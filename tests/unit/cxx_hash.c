/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/cxx/cxx_hash.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/allocator/malloc_chunk.h"
#include "target/mem.h"

#define HEADER  0x10000ull
#define BUCKETS 0x40010ull

/* std::_Hashtable as it lies in memory. */
struct header {
	uint64_t buckets, count, first, elements;
	float max_load;
	uint32_t pad;
	uint64_t next_resize, single;
};

static const uint64_t primes[] = {2, 3, 5, 7, 11, 13, 17, 29, 59, 127, 257, 541, 1109, 2357};

static const struct runtime_probe probe = {.probe = CXX_PROBE_NEXT_BUCKETS};
static struct runtime_process process;
static struct header header;

static void put(void)
{
	cr_assert_eq(target_mem_add_image(process.mem, HEADER, &header, sizeof(header)), 0);
}

static void put_word(uint64_t addr, uint64_t word)
{
	cr_assert_eq(target_mem_add_image(process.mem, addr, &word, sizeof(word)), 0);
}

/* A table of 541 buckets with 100 elements, its array in a block of glibc. */
static void start(void)
{
	uint64_t chunk = (541 * 8 + 8 + 15) & ~15ull;

	process = (struct runtime_process){.mem = target_mem_new_image()};
	memcpy(process.facts.primes, primes, sizeof(primes));
	process.facts.prime_count = ARRAY_SIZE(primes);
	header = (struct header){.buckets = BUCKETS,
		.count = 541,
		.first = 0x50000,
		.elements = 100,
		.max_load = 1,
		.next_resize = 541};
	put();
	put_word(BUCKETS - 8, chunk | 1);
	put_word(BUCKETS - 16 + chunk + 8, 0x21);
}

static void end(void)
{
	target_mem_close(process.mem);
}

TestSuite(cxx_hash, .init = start, .fini = end);

static struct event_look look(void)
{
	struct event_look ret;

	cxx_hash_look(&process, &probe, HEADER, 500, true, &ret);
	return ret;
}

Test(cxx_hash, looks_at_a_table)
{
	struct event_look found = look();

	cr_expect_eq(found.liveness, LIVENESS_ALLOCATED, "nothing proves that it lives");
	cr_expect_eq(found.length, 100);
	cr_expect_eq(found.capacity, 541);
	cr_expect_eq(found.load_limit, 541);
	cr_expect_eq(found.held_bytes, malloc_usable(541 * 8));
	cr_expect_eq(found.need_bytes, malloc_usable(127 * 8));
	cr_expect_eq(found.need_peak_bytes, malloc_usable(541 * 8));
}

Test(cxx_hash, stamp_shows_writes)
{
	uint64_t stamp = look().stamp;

	cr_expect_eq(look().stamp, stamp);
	header.elements = 99;
	put();
	cr_expect_neq(look().stamp, stamp);
}

Test(cxx_hash, load_factor_counts)
{
	header.max_load = 2.5F;
	header.next_resize = 1352;
	header.elements = 1300;
	put();
	cr_expect_eq(look().load_limit, 1352);
	cr_expect_eq(look().need_bytes, malloc_usable(541 * 8));
	header.next_resize = 0; /* max_load_factor() was called since */
	put();
	cr_expect_eq(look().load_limit, 1352);
}

/* Each word that contradicts the others makes it no table. */
Test(cxx_hash, refuses_what_is_none)
{
	const struct header good = header;
	struct header bad[10];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = good;
	bad[0].count = 540;
	bad[1].count = 1; /* moved from: the bucket within the header */
	bad[2].buckets = 0;
	bad[3].buckets = HEADER + offsetof(struct header, single);
	bad[4].elements = 1000;
	bad[5].next_resize = 600;
	bad[6].max_load = 0;
	bad[7].first = 0; /* elements, but no first one */
	bad[8].elements = 0;
	bad[9].count = UINT64_MAX;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		header = bad[i];
		put();
		cr_expect_eq(look().liveness, LIVENESS_DEAD, "%zu", i);
	}
	header = good;
	put();
	cr_expect_eq(look().liveness, LIVENESS_ALLOCATED);
}

Test(cxx_hash, is_no_other_one_while_it_is_rehashed)
{
	header.next_resize = 1109;
	header.first = 0;
	put();
	cr_expect_eq(look().liveness, LIVENESS_ALLOCATED);
	cr_expect_eq(look().length, 100);
	header.next_resize = 1100; /* no number of buckets has this limit */
	put();
	cr_expect_eq(look().liveness, LIVENESS_DEAD);
}

Test(cxx_hash, a_block_given_back_is_dead)
{
	uint64_t chunk = (541 * 8 + 8 + 15) & ~15ull;

	put_word(BUCKETS - 16 + chunk + 8, 0x20);
	cr_expect_eq(look().liveness, LIVENESS_DEAD);
}

/* Until a block of glibc has been seen there may be another allocator. */
Test(cxx_hash, another_allocator_has_no_size_word)
{
	put_word(BUCKETS - 8, 0);
	cr_expect_eq(look().liveness, LIVENESS_ALLOCATED);
	cr_expect_eq(look().held_bytes, 541 * 8);
	process.glibc_malloc = true;
	cr_expect_eq(look().liveness, LIVENESS_DEAD);
}

static struct mt_record record_of(uint64_t wanted, uint64_t old)
{
	return (struct mt_record){.addr = HEADER + 32, .val = {wanted, old}};
}

Test(cxx_hash, decodes_growth)
{
	struct mt_record record = record_of(514, 257);
	struct event event = {};

	cr_assert_eq(cxx_hash_decode(&process, &probe, &record, &event), 0);
	cr_expect_eq(event.kind, EVENT_GROWTH);
	cr_expect_eq(event.growth.key, HEADER);
	cr_expect_eq(event.growth.capacity, 541);
	cr_expect_eq(event.growth.allocated_bytes, malloc_usable(541 * 8));
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(257 * 8));
	cr_expect(!event.growth.new_container && !event.growth.same_size);
	cr_expect(event.growth.has_length);
	cr_expect_eq(event.growth.length, 257);
}

Test(cxx_hash, decodes_what_is_no_growth)
{
	struct mt_record first = record_of(100, 1), same = record_of(530, 541),
			 less = record_of(11, 541), none = record_of(1ull << 50, 541);
	struct event event = {};

	cr_assert_eq(cxx_hash_decode(&process, &probe, &first, &event), 0);
	cr_expect(event.growth.new_container);
	cr_expect_eq(event.growth.garbage_bytes, 0);
	event = (struct event){};
	cr_expect_eq(cxx_hash_decode(&process, &probe, &same, &event), -ENODATA);
	cr_assert_eq(cxx_hash_decode(&process, &probe, &less, &event), 0);
	cr_expect(event.growth.same_size, "rehash(0) is no growth");
	cr_expect_eq(event.growth.held_bytes, malloc_usable(11 * 8));
	cr_expect_eq(cxx_hash_decode(&process, &probe, &none, &event), -EBADMSG);
	first.flags = MT_UNREAD;
	cr_expect_eq(cxx_hash_decode(&process, &probe, &first, &event), -ENODATA);
}

Test(cxx_hash, place_is_behind_the_library)
{
	struct mt_record record = {.val = {0, 0, 0x7010, 0x8888}};
	uint64_t pcs[RUNTIME_PLACE_PCS];

	process.slide = 0x6000;
	process.facts.need_rehash = 0x1000;
	process.facts.need_rehash_end = 0x1040;
	cr_assert_eq(cxx_hash_place(&process, &record, pcs), 1);
	cr_expect_eq(pcs[0], 0x8888);
	record.val[2] = 0x9999; /* reserve() asks directly */
	cr_assert_eq(cxx_hash_place(&process, &record, pcs), 1);
	cr_expect_eq(pcs[0], 0x9999);
}

/* libstdc++ 12: the first 14 come from a table of their own. */
Test(cxx_hash, next_number_of_buckets)
{
	static const uint64_t wanted[][2] = {{0, 1}, {1, 2}, {3, 3}, {8, 11}, {12, 13}, {13, 13},
		{14, 17}, {17, 17}, {18, 29}, {2357, 2357}, {2358, 0}};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		cr_expect_eq(
			cxx_next_buckets(&process.facts, wanted[i][0]), wanted[i][1], "%zu", i);
}
