/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <errno.h>

#include "runtime/list.h"
#include "target/mem.h"

#define TABLE  0x20000ull
#define HASHES 0x40010ull
#define KEYS   0x50010ull
#define VALUES 0x60010ull

/* As in glib.c. */
struct table_header {
	uint64_t slots;
	uint32_t mod, mask, nodes, occupied;
	uint64_t big, keys, hashes, values, hash;
};

static struct target_mem *mem;
static struct runtime_process *process;
static struct table_header table;

static void put(void)
{
	cr_assert_eq(target_mem_add_image(mem, TABLE, &table, sizeof(table)), 0);
}

/* A block of malloc in use, and the word behind it. */
static void put_block(uint64_t block, uint64_t asked)
{
	uint64_t size = (asked + 8 + 15) & ~15ull;
	const uint64_t head[2] = {0, size | 1}, next[2] = {0, 1};

	target_mem_add_image(mem, block - 16, head, sizeof(head));
	target_mem_add_image(mem, block - 16 + size, next, sizeof(next));
}

static void start(void)
{
	const struct runtime_file file = {.runtime = "glib", .reading = true};
	char reason[160];

	mem = target_mem_new_image();
	table = (struct table_header){512, 509, 511, 300, 310, 3, KEYS, HASHES, VALUES, 0x1000};
	put();
	put_block(HASHES, 4 * 512);
	put_block(KEYS, 8 * 512);
	put_block(VALUES, 8 * 512);
	cr_assert_eq(runtime_glib.process_open(&file, mem, NULL, 0, 0, &process, reason), 0);
}

static void end(void)
{
	runtime_glib.process_close(process);
	target_mem_close(mem);
}

TestSuite(glib, .init = start, .fini = end);

static struct event_look look(uint64_t peak)
{
	const uint64_t key = TABLE, type = 1;
	struct event_look ret;

	cr_assert_eq(runtime_glib.look(process, FAMILY_MAP, &key, &type, &peak, 1, false, &ret), 0);
	return ret;
}

Test(glib, looks_at_a_map)
{
	struct event_look found = look(1000);

	cr_expect_eq(found.liveness, LIVENESS_ALLOCATED);
	cr_expect_eq(found.length, 300);
	cr_expect_eq(found.capacity, 512);
	cr_expect_eq(found.tombstones, 10);
	cr_expect_eq(found.held_bytes, 2056 + 2 * 4104);
	cr_expect_eq(found.need_bytes, 2056 + 2 * 4104, "300 entries need as many slots");
	cr_expect_eq(found.need_peak_bytes, 8200 + 2 * 16392, "1000 * 1.333 need 2048");
}

Test(glib, keys_of_a_set_are_its_values)
{
	table.values = KEYS;
	put();
	cr_expect_eq(look(0).held_bytes, 2056 + 4104);
}

Test(glib, small_keys_take_four_bytes)
{
	table.big = 2;
	put();
	put_block(KEYS, 4 * 512);
	cr_expect_eq(look(0).held_bytes, 2056 + 2056 + 4104);
}

Test(glib, refuses_what_is_none)
{
	const struct table_header good = table;
	struct table_header bad[7];

	for (size_t i = 0; i < 7; i++)
		bad[i] = good;
	bad[0].slots = 500;
	bad[1].mask = 255;
	bad[2].occupied = 299;
	bad[3].occupied = 512;
	bad[4].keys = 0;
	bad[5].mod = 1000;
	bad[6].hash = 0;
	for (size_t i = 0; i < 7; i++) {
		table = bad[i];
		put();
		cr_expect_eq(look(0).liveness, LIVENESS_DEAD, "%zu", i);
	}
	table = good;
	put();
	cr_expect_eq(look(0).liveness, LIVENESS_ALLOCATED);
	target_mem_add_image(mem, HASHES - 16 + 2064, &(uint64_t[2]){0, 0}, 16);
	cr_expect_eq(look(0).liveness, LIVENESS_DEAD, "its hashes are free");
}

static int decode(uint64_t slots, uint64_t word, struct event *ret)
{
	const struct runtime_probe probe = {};
	const struct mt_record record = {
		.addr = TABLE, .val = {slots, word, KEYS, VALUES, 3, 300ull | 310ull << 32}};
	uint64_t type = 0;
	int r;

	*ret = (struct event){};
	r = runtime_glib.decode(process, &probe, &record, ret, &type);
	if (r == 0)
		cr_expect_eq(type, 1);
	return r;
}

Test(glib, decodes_growth)
{
	struct event event;

	cr_assert_eq(decode(512, 1040 | 1, &event), 0);
	cr_expect_eq(event.growth.key, TABLE);
	cr_expect_eq(event.growth.length, 300);
	cr_expect_eq(event.growth.allocated_bytes, 2056 + 2 * 4104);
	cr_expect_eq(event.growth.garbage_bytes, 1032 + 2 * 2056);
	cr_expect_not(event.growth.same_size);
	cr_assert_eq(decode(256, 2064 | 1, &event), 0);
	cr_expect(event.growth.same_size, "it shrinks");
	cr_expect_eq(decode(512, 2064 | 1, &event), -EBADMSG, "no change");
	cr_expect_eq(decode(500, 1040 | 1, &event), -EBADMSG);
	cr_expect_eq(decode(512, 14000 | 1, &event), -EBADMSG, "no such array");
}

Test(glib, tells_of_its_tables_alone)
{
	cr_expect(runtime_glib.tells("GHashTable"));
	cr_expect_not(runtime_glib.tells("GArray"));
	cr_expect_not(runtime_glib.tells(""));
}
