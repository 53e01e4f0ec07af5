/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <errno.h>

#include "runtime/list.h"
#include "runtime/python/python_identify.h"
#include "target/mem.h"

#define DICT  0x20000ull
#define SET   0x21000ull
#define KEYS  0x40010ull
#define TABLE 0x50010ull

/* As in python.c. */
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

enum { TYPE_DICT = 1, TYPE_SET };

static struct target_mem *mem;
static struct runtime_process *process;
static struct dict dict;
static struct keys keys;
static struct set set;

/* A block of malloc in use, what it begins with, and the word behind it. */
static void put_block(uint64_t block, uint64_t asked, const void *start, size_t bytes)
{
	uint64_t size = (asked + 8 + 15) & ~15ull;
	const uint64_t head[2] = {0, size | 1}, next[2] = {0, 1};

	target_mem_add_image(mem, block - 16, head, sizeof(head));
	target_mem_add_image(mem, block - 16 + size, next, sizeof(next));
	if (bytes)
		target_mem_add_image(mem, block, start, bytes);
}

static void put(void)
{
	cr_assert_eq(target_mem_add_image(mem, DICT, &dict, sizeof(dict)), 0);
	cr_assert_eq(target_mem_add_image(mem, SET, &set, sizeof(set)), 0);
	put_block(KEYS, 32 + 2048 + 682 * 24, &keys, sizeof(keys));
	put_block(TABLE, 1024 * 16, NULL, 0);
}

static void start(void)
{
	const struct runtime_file file = {.runtime = "python", .reading = true};
	char reason[160];

	mem = target_mem_new_image();
	dict = (struct dict){1, 0x1000, 100, 7, KEYS, 0};
	keys = (struct keys){1, 10, 11, 0, 0, 0, 82, 600};
	set = (struct set){1, 0x1000, 520, 500, 1023, TABLE};
	put();
	cr_assert_eq(runtime_python.process_open(&file, mem, NULL, 0, 0, &process, reason), 0);
}

static void end(void)
{
	runtime_python.process_close(process);
	target_mem_close(mem);
}

TestSuite(python, .init = start, .fini = end);

static struct event_look look(uint64_t key, uint64_t type, uint64_t peak)
{
	struct event_look ret;

	cr_assert_eq(
		runtime_python.look(process, FAMILY_MAP, &key, &type, &peak, 1, false, &ret), 0);
	return ret;
}

Test(python, looks_at_a_dict)
{
	struct event_look found = look(DICT, TYPE_DICT, 600);

	cr_expect_eq(found.liveness, LIVENESS_ALLOCATED);
	cr_expect_eq(found.length, 100);
	cr_expect_eq(found.capacity, 1024);
	cr_expect_eq(found.load_limit, 682);
	cr_expect_eq(found.tombstones, 500);
	cr_expect_eq(found.held_bytes, 32 + 2048 + 682 * 24 + 8);
	cr_expect_eq(found.need_bytes, 32 + 512 + 170 * 24 + 8, "256 slots for 100");
	cr_expect_eq(found.need_peak_bytes, found.held_bytes);
}

Test(python, keys_that_are_text_are_smaller)
{
	keys.kind = 1;
	put_block(KEYS, 32 + 2048 + 682 * 16, &keys, sizeof(keys));
	cr_expect_eq(look(DICT, TYPE_DICT, 0).held_bytes, 32 + 2048 + 682 * 16 + 8);
}

Test(python, looks_at_a_set)
{
	struct event_look found = look(SET, TYPE_SET, 0);

	cr_expect_eq(found.liveness, LIVENESS_ALLOCATED);
	cr_expect_eq(found.length, 500);
	cr_expect_eq(found.capacity, 1024);
	cr_expect_eq(found.tombstones, 20);
	cr_expect_eq(found.held_bytes, 1024 * 16 + 8);
	set.table = SET + PYTHON_SET_SMALL;
	put();
	cr_expect_eq(look(SET, TYPE_SET, 0).liveness, LIVENESS_DEAD, "it has no table of its own");
}

Test(python, refuses_what_is_none)
{
	const struct dict good = dict;
	const struct keys good_keys = keys;

	for (size_t i = 0; i < 8; i++) {
		dict = good;
		keys = good_keys;
		dict.references = i == 0 ? 0 : 1;
		dict.type = i == 1 ? 0 : 1;
		dict.used = i == 2 ? 601 : 100;
		dict.values = i == 3;
		keys.log2 = i == 4 ? 60 : 10;
		keys.log2_index = i == 5 ? 10 : 11;
		keys.entries = i == 6 ? 683 : 600;
		keys.kind = i == 7 ? 2 : 0;
		put();
		cr_expect_eq(look(DICT, TYPE_DICT, 0).liveness, LIVENESS_DEAD, "%zu", i);
	}
	dict = good;
	keys = good_keys;
	put();
	cr_expect_eq(look(DICT, TYPE_DICT, 0).liveness, LIVENESS_ALLOCATED);
}

static int decode(
	enum python_probe number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, struct event *ret)
{
	const struct runtime_probe probe = {.probe = number};
	const struct mt_record record = {.addr = DICT, .val = {a, b, c, d}};
	uint64_t type = 0;

	*ret = (struct event){};
	return runtime_python.decode(process, &probe, &record, ret, &type);
}

Test(python, decodes_growth_of_a_dict)
{
	const uint64_t general = 9 | 10 << 8, text = 9 | 10 << 8 | 1 << 16;
	struct event event;

	/* What is above the byte of an argument says nothing. */
	cr_assert_eq(decode(PYTHON_PROBE_DICT, 0x700 | 10, general, 341, 1, &event), 0);
	cr_expect_eq(event.growth.key, DICT);
	cr_expect_eq(event.growth.length, 341);
	cr_expect_eq(event.growth.capacity, 1024);
	cr_expect_eq(event.growth.allocated_bytes, 32 + 2048 + 682 * 24 + 8);
	cr_expect_eq(event.growth.garbage_bytes, 32 + 1024 + 341 * 24);
	cr_expect_not(event.growth.same_size);
	cr_assert_eq(decode(PYTHON_PROBE_DICT, 10, text, 341, 1, &event), 0);
	cr_expect_eq(event.growth.allocated_bytes, 32 + 2048 + 682 * 16 + 8);
	cr_assert_eq(decode(PYTHON_PROBE_DICT, 9, general, 100, 0, &event), 0);
	cr_expect(event.growth.same_size, "its holes are closed");
	cr_expect_eq(decode(PYTHON_PROBE_DICT, 7, general, 1, 0, &event), -ENODATA, "too small");
	cr_expect_eq(decode(PYTHON_PROBE_DICT, 60, general, 1, 0, &event), -EBADMSG);
}

Test(python, decodes_growth_of_a_set)
{
	struct event event;

	cr_assert_eq(decode(PYTHON_PROBE_SET, 1228, 511, 307, TABLE, &event), 0);
	cr_expect_eq(event.growth.capacity, 2048);
	cr_expect_eq(event.growth.allocated_bytes, 2048 * 16 + 8);
	cr_expect_eq(event.growth.garbage_bytes, 512 * 16 + 8);
	cr_expect_eq(event.growth.length, 307);
	cr_assert_eq(decode(PYTHON_PROBE_SET, 1000, 7, 4, DICT + PYTHON_SET_SMALL, &event), 0);
	cr_expect(event.growth.new_container, "it had no table of its own");
	cr_expect_eq(decode(PYTHON_PROBE_SET, 1000, 500, 4, TABLE, &event), -EBADMSG);
}
