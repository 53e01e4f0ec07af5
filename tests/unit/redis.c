/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <errno.h>

#include "runtime/list.h"
#include "target/mem.h"

#define DICT 0x20000ull

/* As in redis.c. */
struct dict {
	uint64_t type, tables[2], used[2];
	int64_t rehashidx;
	int16_t pause;
	int8_t exponents[2];
};

static struct target_mem *mem;
static struct runtime_process *process;
static struct dict dict;

static void put(void)
{
	cr_assert_eq(target_mem_add_image(mem, DICT, &dict, sizeof(dict)), 0);
}

static void start(void)
{
	const struct runtime_file file = {.runtime = "redis", .reading = true};
	char reason[160];

	mem = target_mem_new_image();
	dict = (struct dict){0x1000, {0x40000, 0}, {300, 0}, -1, 0, {9, -1}};
	put();
	cr_assert_eq(runtime_redis.process_open(&file, mem, NULL, 0, 0x7000, &process, reason), 0);
}

static void end(void)
{
	runtime_redis.process_close(process);
	target_mem_close(mem);
}

TestSuite(redis, .init = start, .fini = end);

static struct event_look look(uint64_t peak)
{
	const uint64_t key = DICT, type = 0;
	struct event_look ret;

	cr_assert_eq(
		runtime_redis.look(process, FAMILY_MAP, &key, &type, &peak, 1, false, &ret), 0);
	return ret;
}

Test(redis, looks_at_a_dict)
{
	struct event_look found = look(1000);

	cr_expect_eq(found.liveness, LIVENESS_ALLOCATED);
	cr_expect_eq(found.length, 300);
	cr_expect_eq(found.capacity, 512);
	cr_expect_eq(found.held_bytes, 4096);
	cr_expect_eq(found.old_bytes, 0);
	cr_expect_eq(found.need_bytes, 4096);
	cr_expect_eq(found.need_peak_bytes, 8192);
}

Test(redis, holds_both_tables_while_rehashing)
{
	dict.tables[1] = 0x50000;
	dict.used[1] = 213;
	dict.exponents[1] = 10;
	dict.rehashidx = 100;
	put();
	cr_expect_eq(look(0).length, 513);
	cr_expect_eq(look(0).capacity, 1024);
	cr_expect_eq(look(0).held_bytes, 4096 + 8192);
	cr_expect_eq(look(0).old_bytes, 4096);
}

Test(redis, refuses_what_is_none)
{
	const struct dict good = dict;
	struct dict bad[7];

	for (size_t i = 0; i < 7; i++)
		bad[i] = good;
	bad[0].type = 0;
	bad[1].tables[0] = 0;
	bad[2].exponents[0] = 60;
	bad[3].exponents[1] = 4; /* a second table that is not there */
	bad[4].rehashidx = 3;    /* nothing to move to */
	bad[5].rehashidx = -2;
	bad[6].exponents[0] = -1;
	for (size_t i = 0; i < 7; i++) {
		dict = bad[i];
		put();
		cr_expect_eq(look(0).liveness, LIVENESS_DEAD, "%zu", i);
	}
}

static int decode(uint64_t size, int old, int64_t rehashidx, struct event *ret)
{
	const struct runtime_probe probe = {};
	struct mt_record record = {.addr = DICT};
	uint64_t type = 0;
	int r;

	record.val[0] = size;
	record.val[1] = (uint64_t)(uint8_t)old << 16;
	record.val[2] = (uint64_t)rehashidx;
	record.val[3] = 0x1000;
	*ret = (struct event){};
	r = runtime_redis.decode(process, &probe, &record, ret, &type);
	if (r == 0)
		cr_expect_eq(type, 0x1000);
	return r;
}

Test(redis, decodes_growth)
{
	struct event event;

	cr_assert_eq(decode(513, 9, -1, &event), 0);
	cr_expect_eq(event.growth.key, DICT);
	cr_expect_eq(event.growth.capacity, 1024);
	cr_expect_eq(event.growth.allocated_bytes, 8192);
	cr_expect_eq(event.growth.garbage_bytes, 4096);
	cr_expect_eq(event.growth.held_bytes, 8192 + 4096);
	cr_expect(!event.growth.new_container && !event.growth.same_size);
	cr_assert_eq(decode(4, -1, -1, &event), 0);
	cr_expect(event.growth.new_container);
	cr_assert_eq(decode(100, 9, -1, &event), 0);
	cr_expect(event.growth.same_size, "shrinking is no growth");
	cr_expect_eq(decode(512, 9, -1, &event), -ENODATA, "as large already");
	cr_expect_eq(decode(1024, 9, 5, &event), -ENODATA, "Redis refuses it while rehashing");
	cr_expect_eq(decode(UINT64_MAX, 9, -1, &event), -EBADMSG);
	cr_expect_eq(decode(1024, 99, -1, &event), -EBADMSG);
}
