/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/rust/rust_containers.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "runtime/allocator/malloc_chunk.h"
#include "runtime/rust/rust_identify.h"
#include "target/mem.h"

#define HEADER 0x10000ull
#define ARRAY  0x40010ull

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

static void start(void)
{
	file.probe_count = 5;
	for (uint32_t i = 0; i < file.probe_count; i++) {
		file.probes[i].probe = (uint16_t)i;
		file.probes[i].vaddr = 0x1000 + i;
	}
	process = (struct runtime_process){.mem = target_mem_new_image(), .file = &file};
}

static void end(void)
{
	target_mem_close(process.mem);
}

TestSuite(rust_containers, .init = start, .fini = end);

static const char *name_of(uint64_t type)
{
	static char name[32];

	rust_type_name(&process, type, name, sizeof(name));
	return name;
}

static struct event_look look(uint64_t type, enum family family)
{
	struct event_look ret;

	rust_look(&process, type, family, HEADER, 0, false, &ret);
	return ret;
}

Test(rust_containers, capacities_and_element)
{
	struct mt_record record = {.addr = HEADER, .val = {64, 128, 24, 64, 64, 7}};
	struct event event = {0};
	uint64_t type;

	cr_assert_eq(
		rust_decode(&process, &file.probes[RUST_PROBE_VEC], &record, &event, &type), 0);
	cr_expect_eq(event.growth.key, HEADER);
	cr_expect_eq(event.growth.capacity, 128);
	cr_expect_eq(event.growth.allocated_bytes, malloc_usable(128 * 24));
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(64 * 24));
	cr_expect_str_eq(name_of(type), "Vec");
	record.val[4] = 3; /* of a deque: index of the first, then the length */
	record.val[5] = 64;
	rust_decode(&process, &file.probes[RUST_PROBE_VEC], &record, &event, &type);
	cr_expect_str_eq(name_of(type), "VecDeque");
	record.val[3] = 63; /* that register is no header */
	rust_decode(&process, &file.probes[RUST_PROBE_VEC], &record, &event, &type);
	cr_expect_eq(event.growth.key, 0);
	record.val[2] = 1ull << 45;
	cr_expect_eq(rust_decode(&process, &file.probes[RUST_PROBE_VEC], &record, &event, &type),
		-EBADMSG);
}

Test(rust_containers, sizes_in_bytes)
{
	struct mt_record record = {.addr = HEADER, .val = {8, 1600, ARRAY, 3200, ARRAY, 200}};
	struct event event = {0};
	uint64_t type;

	cr_assert_eq(
		rust_decode(&process, &file.probes[RUST_PROBE_VEC_BYTES], &record, &event, &type),
		0);
	cr_expect_eq(event.growth.capacity, 400);
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(1600));
	record.val[4] = ARRAY + 8; /* another array */
	cr_assert_eq(
		rust_decode(&process, &file.probes[RUST_PROBE_VEC_BYTES], &record, &event, &type),
		0);
	cr_expect_eq(event.growth.key, 0);
	cr_expect_str_eq(name_of(type), "Vec or VecDeque");
}

Test(rust_containers, alignments_before_sizes)
{
	const struct runtime_probe *probe = &file.probes[RUST_PROBE_VEC_LAYOUT];
	struct mt_record record = {.addr = HEADER, .val = {8, 1600, 200, 3200, 200, 7}};
	struct event event = {0};
	uint64_t type;

	cr_assert_eq(rust_decode(&process, probe, &record, &event, &type), 0);
	cr_expect_eq(event.growth.key, HEADER);
	cr_expect_eq(event.growth.capacity, 400);
	cr_expect_str_eq(name_of(type), "Vec");
	record.val[4] = 7; /* of a deque: index of the first, then the length */
	record.val[5] = 200;
	cr_assert_eq(rust_decode(&process, probe, &record, &event, &type), 0);
	cr_expect_str_eq(name_of(type), "VecDeque");
	record.val[5] = 9; /* neither is full */
	cr_assert_eq(rust_decode(&process, probe, &record, &event, &type), 0);
	cr_expect_eq(event.growth.key, 0);
	cr_expect_str_eq(name_of(type), "Vec or VecDeque");
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(1600));
	record.val[2] = 3; /* that register is no header */
	cr_assert_eq(rust_decode(&process, probe, &record, &event, &type), 0);
	cr_expect_eq(event.growth.key, 0);
	record.val[1] = 0; /* there was no array */
	cr_expect_eq(rust_decode(&process, probe, &record, &event, &type), -EBADMSG);
}

Test(rust_containers, vec_in_either_order)
{
	uint64_t type = rust_type(0, RUST_VEC, 8), now[] = {1000, ARRAY, 10},
		 then[] = {ARRAY, 1000, 10};

	put_block(ARRAY, 8000);
	put(HEADER, now, sizeof(now));
	cr_expect_eq(look(type, FAMILY_VECTOR).length, 10);
	cr_expect_eq(look(type, FAMILY_VECTOR).held_bytes, malloc_usable(8000));
	put(HEADER, then, sizeof(then));
	cr_expect_eq(look(type, FAMILY_VECTOR).capacity, 1000);
	then[2] = 1001;
	put(HEADER, then, sizeof(then));
	cr_expect_eq(look(type, FAMILY_VECTOR).liveness, LIVENESS_DEAD);
	cr_expect_not(look(rust_type(0, RUST_VEC_OR_DEQUE, 8), FAMILY_VECTOR).has_length);
}

Test(rust_containers, deques)
{
	uint64_t now[] = {1024, ARRAY, 1000, 200}, then[] = {1000, 176, ARRAY, 1024};

	put_block(ARRAY, 8192);
	put(HEADER, now, sizeof(now));
	cr_expect_eq(look(rust_type(0, RUST_DEQUE, 8), FAMILY_VECTOR).length, 200);
	put(HEADER, then, sizeof(then));
	cr_expect_eq(look(rust_type(0, RUST_DEQUE_TAIL, 8), FAMILY_VECTOR).length, 200);
}

/* 128 slots of entries of 24 bytes, in a block that malloc knows. */
Test(rust_containers, bytes_of_an_entry_are_found_out)
{
	uint64_t table[] = {ARRAY + 128 * 24, 127, 12, 90};
	uint64_t type = rust_type(3, RUST_TABLE, 0);
	struct event_look found;

	put_block(ARRAY, 128 * 25 + 16);
	put(HEADER, table, sizeof(table));
	found = look(type, FAMILY_MAP);
	cr_expect_eq(process.entry_bytes[3], 24);
	cr_expect_eq(found.held_bytes, malloc_usable(128 * 25 + 16));
	cr_expect_eq(found.length, 90);
	cr_expect_eq(found.load_limit, 112);
	cr_expect_eq(found.tombstones, 10);
	cr_expect_eq(found.need_bytes, found.held_bytes);
	table[3] = 110; /* more than fit */
	put(HEADER, table, sizeof(table));
	cr_expect_eq(look(type, FAMILY_MAP).liveness, LIVENESS_DEAD);
}

Test(rust_containers, table_grows_or_is_cleaned_in_place)
{
	uint64_t table[] = {ARRAY + 128 * 24, 127, 0, 112}, type;
	struct mt_record record = {.addr = HEADER, .val = {56, table[0], 63, 0, 1}};
	struct event event = {0};

	put_block(ARRAY, 128 * 25 + 16);
	put(HEADER, table, sizeof(table));
	cr_assert_eq(
		rust_decode(&process, &file.probes[RUST_PROBE_TABLE], &record, &event, &type), 0);
	cr_expect_eq(event.growth.capacity, 128);
	cr_expect_eq(event.growth.allocated_bytes, malloc_usable(128 * 25 + 16));
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(64 * 25 + 16));
	cr_expect_str_eq(name_of(type), "HashMap");
	record.val[0] = 20; /* the rest are tombstones */
	event = (struct event){0};
	rust_decode(&process, &file.probes[RUST_PROBE_TABLE], &record, &event, &type);
	cr_expect(event.growth.same_size);
	cr_expect_eq(event.growth.garbage_bytes, 0);
	record.val[2] = 62; /* no number of slots */
	cr_expect_eq(rust_decode(&process, &file.probes[RUST_PROBE_TABLE], &record, &event, &type),
		-EBADMSG);
}
