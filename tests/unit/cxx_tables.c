/* SPDX-License-Identifier: BSD-2-Clause */
/* Hash tables of libc++, abseil and Boost as they lie in memory, and memory that only looks like it. */
#include "runtime/cxx/cxx_hash.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/allocator/malloc_chunk.h"
#include "target/mem.h"

#define HEADER 0x10000ull
#define BLOCK  0x40010ull
#define GROUPS 0x80010ull

static struct runtime_file file;
static struct runtime_process process;

static void put(uint64_t addr, const void *words, size_t bytes)
{
	cr_assert_eq(target_mem_add_image(process.mem, addr, words, bytes), 0);
}

static void put_block(uint64_t block, uint64_t bytes)
{
	uint64_t chunk = malloc_usable(bytes) + 8, size = chunk | 1, next = 0x21;

	put(block - 8, &size, sizeof(size));
	put(block - 16 + chunk + 8, &next, sizeof(next));
}

/* The block is there, and no word before it tells its size. */
static void put_foreign_block(uint64_t block)
{
	const uint64_t word = 0;

	put(block - 8, &word, sizeof(word));
}

static void start(void)
{
	file.probe_count = 1;
	file.probes[0] = (struct runtime_probe){.vaddr = 0x1000};
	process = (struct runtime_process){.mem = target_mem_new_image(), .file = &file};
}

static void end(void)
{
	target_mem_close(process.mem);
}

TestSuite(cxx_tables, .init = start, .fini = end);

static struct event_look look(enum cxx_probe probe)
{
	struct event_look ret;

	file.probes[0].probe = (uint16_t)probe;
	cxx_hash_look(&process, &file.probes[0], HEADER, 0, false, &ret);
	return ret;
}

static int decode(enum cxx_probe probe, const struct mt_record *record, struct event *ret)
{
	*ret = (struct event){0};
	file.probes[0].probe = (uint16_t)probe;
	return cxx_hash_decode(&process, &file.probes[0], record, ret);
}

/* Each of the headers differs from a good one in one word, and is none. */
static void expect_dead(enum cxx_probe probe, const uint64_t *good, const uint64_t (*bad)[2],
	size_t count, size_t words)
{
	uint64_t header[8];

	for (size_t i = 0; i < count; i++) {
		memcpy(header, good, words * sizeof(*header));
		header[bad[i][0]] = bad[i][1];
		put(HEADER, header, words * sizeof(*header));
		cr_expect_eq(look(probe).liveness, LIVENESS_DEAD, "%zu", i);
	}
	put(HEADER, good, words * sizeof(*header));
	cr_expect_eq(look(probe).liveness, LIVENESS_ALLOCATED);
}

static uint64_t load_factor(float load)
{
	uint64_t word = 0;

	memcpy(&word, &load, sizeof(load));
	return word;
}

/* ---- libc++ ---- */

Test(cxx_tables, libcxx)
{
	const uint64_t header[] = {BLOCK, 1097, 0x50000, 100, load_factor(1)};
	struct event_look found;

	put(HEADER, header, sizeof(header));
	put_block(BLOCK, 1097 * 8);
	found = look(CXX_PROBE_LIBCXX_TABLE);
	cr_expect_eq(found.liveness, LIVENESS_ALLOCATED, "nothing proves that it lives");
	cr_expect_eq(found.length, 100);
	cr_expect_eq(found.capacity, 1097);
	cr_expect_eq(found.load_limit, 1097);
	cr_expect_eq(found.held_bytes, malloc_usable(1097 * 8));
	cr_expect_eq(found.need_bytes, malloc_usable(101 * 8), "the next prime");
}

Test(cxx_tables, libcxx_while_it_is_cleared)
{
	/* The nodes have gone, and the first of them with them; their number is what it was. */
	const uint64_t header[] = {BLOCK, 1097, 0, 100, load_factor(1)};

	put(HEADER, header, sizeof(header));
	put_block(BLOCK, 1097 * 8);
	cr_expect_eq(look(CXX_PROBE_LIBCXX_TABLE).liveness, LIVENESS_ALLOCATED);
}

Test(cxx_tables, libcxx_power_of_two)
{
	const uint64_t header[] = {BLOCK, 1024, 0, 0, load_factor(2)};
	struct event_look found;

	put(HEADER, header, sizeof(header));
	put_block(BLOCK, 1024 * 8);
	found = look(CXX_PROBE_LIBCXX_PRIME);
	cr_expect_eq(found.load_limit, 2048);
	cr_expect_eq(found.need_bytes, 0);
}

Test(cxx_tables, libcxx_refuses_what_is_none)
{
	const uint64_t header[] = {BLOCK, 1097, 0x50000, 100, load_factor(1)};
	const uint64_t bad[][2] = {{0, 0}, {0, HEADER}, {0, UINT64_MAX}, {1, 0}, {1, 1099},
		{1, 1103}, {1, UINT64_MAX}, {3, 1200}, {3, UINT64_MAX}, {4, 0},
		{4, 0x7fc00000 /* not a number */}, {4, load_factor(-1)}};

	put_block(BLOCK, 1097 * 8);
	process.glibc_malloc = true;
	expect_dead(CXX_PROBE_LIBCXX_TABLE, header, bad, ARRAY_SIZE(bad), 5);
}

Test(cxx_tables, libcxx_numbers_of_buckets)
{
	/* What looks like a prime to few bases, and what is one. */
	static const uint64_t counts[][2] = {{3215031751, 0},
		{3825123056546413051 % (1ull << 40), 0}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {9, 0},
		{211, 1}, {221, 0}, {1646237, 1}, {1000003, 1}, {1000001, 0}, {1099511627689, 1}};

	put_foreign_block(BLOCK);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		const uint64_t header[] = {BLOCK, counts[i][0], 0, 0, load_factor(1)};

		put(HEADER, header, sizeof(header));
		cr_expect_eq(look(CXX_PROBE_LIBCXX_TABLE).liveness,
			counts[i][1] ? LIVENESS_ALLOCATED : LIVENESS_DEAD, "%lu",
			(unsigned long)counts[i][0]);
	}
}

Test(cxx_tables, libcxx_growth)
{
	struct mt_record record = {.addr = HEADER, .val = {2197, 1097, 1098}};
	struct event event;

	cr_assert_eq(decode(CXX_PROBE_LIBCXX_TABLE, &record, &event), 0);
	cr_expect_eq(event.growth.key, HEADER);
	cr_expect_eq(event.growth.capacity, 2197);
	cr_expect_eq(event.growth.length, 1098);
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(1097 * 8));
	/* At the call of __next_prime the number is what is wanted, not what it will be. */
	record.val[0] = 2195;
	cr_assert_eq(decode(CXX_PROBE_LIBCXX_PRIME, &record, &event), 0);
	cr_expect_eq(event.growth.capacity, 2203);
	record.val[0] = 1000;
	cr_expect_eq(decode(CXX_PROBE_LIBCXX_PRIME, &record, &event), -ENODATA, "has more");
	record.val[0] = 0;
	cr_expect_eq(decode(CXX_PROBE_LIBCXX_TABLE, &record, &event), -ENODATA, "gives it back");
	record.val[0] = UINT64_MAX;
	cr_expect_eq(decode(CXX_PROBE_LIBCXX_TABLE, &record, &event), -EBADMSG);
	cr_expect_eq(decode(CXX_PROBE_LIBCXX_PRIME, &record, &event), -EBADMSG);
	record = (struct mt_record){.addr = HEADER, .val = {2, 0, 0}};
	cr_assert_eq(decode(CXX_PROBE_LIBCXX_TABLE, &record, &event), 0);
	cr_expect(event.growth.new_container, "its first array");
	record.flags = MT_UNREAD;
	cr_expect_eq(decode(CXX_PROBE_LIBCXX_TABLE, &record, &event), -ENODATA);
}

/* ---- boost::unordered_map ---- */

#define BUCKET_BYTES ((389 + 1) * 8)
#define GROUP_BYTES  ((389 / 64 + 1) * 32)

static const uint64_t boost_header[] = {0, 100, 0x3f800000 /* 1.0 */, 389, 5, 389, BLOCK, GROUPS};

Test(cxx_tables, boost)
{
	struct event_look found;

	put(HEADER, boost_header, sizeof(boost_header));
	put_block(BLOCK, BUCKET_BYTES);
	put_block(GROUPS, GROUP_BYTES);
	found = look(CXX_PROBE_BOOST_TABLE);
	cr_expect_eq(found.liveness, LIVENESS_ALLOCATED);
	cr_expect_eq(found.length, 100);
	cr_expect_eq(found.capacity, 389);
	cr_expect_eq(found.held_bytes, malloc_usable(BUCKET_BYTES) + malloc_usable(GROUP_BYTES));
	cr_expect_eq(found.need_bytes, malloc_usable(194 * 8) + malloc_usable(4 * 32));
}

Test(cxx_tables, boost_refuses_what_is_none)
{
	const uint64_t bad[][2] = {{1, 400}, {2, 0}, {4, 6}, {4, 37}, {4, UINT64_MAX}, {5, 388},
		{5, 0}, {6, 0}, {6, GROUPS}, {7, 0}, {7, HEADER}};

	put_block(BLOCK, BUCKET_BYTES);
	put_block(GROUPS, GROUP_BYTES);
	process.glibc_malloc = true;
	expect_dead(CXX_PROBE_BOOST_TABLE, boost_header, bad, ARRAY_SIZE(bad), 8);
}

Test(cxx_tables, boost_growth)
{
	struct mt_record record = {.addr = HEADER, .val = {390, 389, 389}};
	struct event event;

	cr_assert_eq(decode(CXX_PROBE_BOOST_TABLE, &record, &event), 0);
	cr_expect_eq(event.growth.capacity, 769);
	cr_expect_eq(event.growth.garbage_bytes,
		malloc_usable(BUCKET_BYTES) + malloc_usable(GROUP_BYTES));
	record.val[1] = 388; /* no number of buckets */
	cr_expect_eq(decode(CXX_PROBE_BOOST_TABLE, &record, &event), -EBADMSG);
	record.val[0] = 0;
	cr_expect_eq(decode(CXX_PROBE_BOOST_TABLE, &record, &event), -ENODATA);
	record = (struct mt_record){.addr = HEADER, .val = {UINT64_MAX, 0, 0}};
	cr_expect_neq(decode(CXX_PROBE_BOOST_TABLE, &record, &event), -ENODATA, "and no loop");
}

/* ---- abseil ---- */

#define ABSL_CONTROL 0x40010ull
#define ABSL_SLOTS   (ABSL_CONTROL + 1023 + 16 + 1) /* aligned to 8 */
#define ABSL_BYTES   (1040 + 1023 * 24)

static const uint64_t absl_header[] = {ABSL_CONTROL, ABSL_SLOTS, 100, 1023, 700};

Test(cxx_tables, absl)
{
	struct event_look found;

	put(HEADER, absl_header, sizeof(absl_header));
	put_block(ABSL_CONTROL, ABSL_BYTES);
	found = look(CXX_PROBE_ABSL_TABLE);
	cr_expect_eq(found.liveness, LIVENESS_ALLOCATED);
	cr_expect_eq(found.length, 100);
	cr_expect_eq(found.capacity, 1023);
	cr_expect_eq(found.load_limit, 896);
	cr_expect_eq(found.tombstones, 96, "neither full nor to be filled");
	cr_expect_eq(process.slot_bytes[0], 24, "as the block is so large");
	cr_expect_eq(found.held_bytes, malloc_usable(ABSL_BYTES));
	cr_expect_eq(found.need_bytes, malloc_usable(144 + 127 * 24));
}

/* Size and capacity change places, and growth left lies before the control bytes. */
Test(cxx_tables, absl_of_2024)
{
	const uint64_t header[] = {1023, 100 << 1 | 1, ABSL_CONTROL + 8, ABSL_SLOTS + 8};
	uint64_t room = 700 | 1ull << 63;

	put(HEADER, header, sizeof(header));
	put_block(ABSL_CONTROL, ABSL_BYTES + 8);
	put(ABSL_CONTROL, &room, sizeof(room));
	cr_expect_eq(look(CXX_PROBE_ABSL_COMMON).length, 100);
	cr_expect_eq(look(CXX_PROBE_ABSL_COMMON).tombstones, 96);
	cr_expect_eq(look(CXX_PROBE_ABSL_COMMON).held_bytes, malloc_usable(ABSL_BYTES + 8));
	room = 900;
	put(ABSL_CONTROL, &room, sizeof(room));
	cr_expect_eq(look(CXX_PROBE_ABSL_COMMON).liveness, LIVENESS_DEAD, "more than there are");
}

Test(cxx_tables, absl_refuses_what_is_none)
{
	const uint64_t bad[][2] = {{0, 0}, {0, ABSL_CONTROL + 1}, {0, UINT64_MAX - 7}, {1, 0},
		{1, ABSL_CONTROL}, {1, ABSL_SLOTS + 100}, {1, UINT64_MAX}, {2, 897},
		{2, UINT64_MAX}, {3, 0}, {3, 1024}, {3, 2047}, {3, UINT64_MAX}, {4, 900},
		{4, UINT64_MAX}};

	put_block(ABSL_CONTROL, ABSL_BYTES);
	expect_dead(CXX_PROBE_ABSL_TABLE, absl_header, bad, ARRAY_SIZE(bad), 5);
}

/* A slot's bytes are known from the type, or from a block of glibc, or not at all. */
Test(cxx_tables, absl_of_another_allocator)
{
	put(HEADER, absl_header, sizeof(absl_header));
	put_foreign_block(ABSL_CONTROL);
	cr_expect_eq(look(CXX_PROBE_ABSL_TABLE).liveness, LIVENESS_ALLOCATED);
	cr_expect_eq(look(CXX_PROBE_ABSL_TABLE).held_bytes, 0);
	file.probes[0].element_bytes = 24;
	cr_expect_eq(look(CXX_PROBE_ABSL_TABLE).held_bytes, ABSL_BYTES);
}

Test(cxx_tables, absl_growth)
{
	struct mt_record record = {.addr = HEADER, .val = {2047, 1023, 896}};
	struct event event;

	put(HEADER, absl_header, sizeof(absl_header));
	put_block(ABSL_CONTROL, ABSL_BYTES);
	cr_assert_eq(decode(CXX_PROBE_ABSL_TABLE, &record, &event), 0);
	cr_expect_eq(event.growth.capacity, 2047);
	cr_expect_eq(event.growth.length, 896);
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(ABSL_BYTES));
	cr_expect_eq(event.growth.allocated_bytes, malloc_usable(2064 + 2047 * 24));
	record.val[0] = 2048;
	cr_expect_eq(decode(CXX_PROBE_ABSL_TABLE, &record, &event), -EBADMSG);
	record.val[0] = UINT64_MAX; /* 2^64 - 1 slots */
	cr_expect_eq(decode(CXX_PROBE_ABSL_TABLE, &record, &event), -EBADMSG);
	record = (struct mt_record){.addr = HEADER, .val = {1, 0, 0}};
	cr_assert_eq(decode(CXX_PROBE_ABSL_TABLE, &record, &event), 0);
	cr_expect(event.growth.new_container);
	record = (struct mt_record){.addr = HEADER, .val = {3, 1, 2}};
	file.probes[0].element_bytes = 24;
	cr_assert_eq(decode(CXX_PROBE_ABSL_COMMON, &record, &event), 0);
	cr_expect_not(event.growth.new_container);
	file.probes[0].element_bytes = 16;
	cr_assert_eq(decode(CXX_PROBE_ABSL_COMMON, &record, &event), 0);
	cr_expect(event.growth.new_container, "one small slot is within the table");
	cr_expect_eq(event.growth.length, 1);
}

/* ---- boost::unordered_flat_map ---- */

#define FLAT_SLOTS  0x40010ull
#define FLAT_COUNT  16ull
#define FLAT_GROUPS ((FLAT_SLOTS + (FLAT_COUNT * 15 - 1) * 24 + 15) & ~15ull)
#define FLAT_BYTES  (((FLAT_COUNT * 15 - 1) * 24 + 16 * (FLAT_COUNT + 1) - 1 + 23) / 24 * 24)

static const uint64_t flat_header[] = {100, 60, FLAT_COUNT - 1, FLAT_GROUPS, FLAT_SLOTS, 209};
static const uint64_t core_header[] = {60, FLAT_COUNT - 1, FLAT_GROUPS, FLAT_SLOTS, 209, 100};

Test(cxx_tables, boost_flat)
{
	put_block(FLAT_SLOTS, FLAT_BYTES);
	for (int core = 0; core < 2; core++) {
		struct event_look found;

		put(HEADER, core ? core_header : flat_header, sizeof(flat_header));
		found = look(core ? CXX_PROBE_BOOST_FLAT_CORE : CXX_PROBE_BOOST_FLAT);
		cr_expect_eq(found.liveness, LIVENESS_ALLOCATED);
		cr_expect_eq(found.length, 100);
		cr_expect_eq(found.capacity, 239);
		cr_expect_eq(found.load_limit, 209);
		cr_expect_eq(found.held_bytes, malloc_usable(FLAT_BYTES));
		cr_expect_eq(
			found.need_bytes, malloc_usable((119 * 24 + 16 * 9 - 1 + 23) / 24 * 24));
	}
}

Test(cxx_tables, boost_flat_refuses_what_is_none)
{
	const uint64_t bad[][2] = {{0, 240}, {1, 59}, {1, 64}, {1, UINT64_MAX}, {2, 14}, {2, 0},
		{2, UINT64_MAX}, {3, FLAT_GROUPS + 8}, {3, FLAT_GROUPS + 16}, {3, 0},
		{3, UINT64_MAX & ~15ull}, {4, 0}, {4, UINT64_MAX}, {5, 240}};

	put_block(FLAT_SLOTS, FLAT_BYTES);
	process.glibc_malloc = true;
	expect_dead(CXX_PROBE_BOOST_FLAT, flat_header, bad, ARRAY_SIZE(bad), 6);
}

Test(cxx_tables, boost_flat_growth)
{
	struct mt_record record = {
		.addr = HEADER, .val = {FLAT_COUNT - 1, FLAT_GROUPS, FLAT_SLOTS, 7, 0x7000, 105}};
	struct event event;

	cr_assert_eq(decode(CXX_PROBE_BOOST_FLAT, &record, &event), 0);
	cr_expect_eq(event.growth.capacity, 239);
	cr_expect_eq(event.growth.allocated_bytes, malloc_usable(FLAT_BYTES));
	cr_expect_eq(
		event.growth.garbage_bytes, malloc_usable((119 * 24 + 16 * 9 - 1 + 23) / 24 * 24));
	record.val[3] = FLAT_COUNT - 1; /* the same size: what was erased may not come back */
	cr_assert_eq(decode(CXX_PROBE_BOOST_FLAT, &record, &event), 0);
	cr_expect(event.growth.same_size);
	record.val[4] = 0;
	cr_assert_eq(decode(CXX_PROBE_BOOST_FLAT, &record, &event), 0);
	cr_expect(event.growth.new_container);
	record.val[3] = 6;
	cr_expect_eq(decode(CXX_PROBE_BOOST_FLAT, &record, &event), -EBADMSG);
	record.val[2] = 0;
	cr_expect_eq(decode(CXX_PROBE_BOOST_FLAT, &record, &event), -ENODATA, "gives it back");
}

/* ---- all ---- */

/* A header in memory that is not there, or whose words all have any one value, is no table and no crash. */
Test(cxx_tables, any_memory)
{
	static const uint64_t values[] = {
		0, 1, 7, 15, 64, HEADER, BLOCK, 1ull << 40, INT64_MAX, 1ull << 63, UINT64_MAX};

	for (int probe = 0; probe < CXX_PROBES; probe++)
		cr_expect_eq(look(probe).liveness, LIVENESS_DEAD, "%d", probe);
	put_block(BLOCK, 1000);
	process.glibc_malloc = true;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		uint64_t header[9];

		for (size_t k = 0; k < ARRAY_SIZE(header); k++)
			header[k] = values[i];
		put(HEADER, header, sizeof(header));
		for (int probe = 0; probe < CXX_PROBES; probe++) {
			struct mt_record record = {.addr = HEADER};
			struct event event;

			memcpy(record.val, header, sizeof(record.val));
			cr_expect_eq(look(probe).liveness, LIVENESS_DEAD, "%d of %zu", probe, i);
			if (decode(probe, &record, &event) == 0)
				cr_expect_leq(event.growth.capacity, CXX_MAX_BUCKETS);
		}
	}
}
