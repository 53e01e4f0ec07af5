/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Redis keeps its keys, and much else, in one hash table: struct dict (src/dict.h). Its executable exports its
 * functions (it is linked with -rdynamic for its modules), stripped or not. Of its layouts that of 7.0 and 7.2
 * is known; which one a file has is told by the code of _dictExpand itself, which first asks whether the
 * table is being rehashed.
 */
#include "runtime/redis/redis_identify.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/binary/elf_file.h"
#include "runtime/binary/native_code.h"
#include "runtime/runtime.h"

#define EXPAND "_dictExpand"
#define REHASH "dictRehash"

/* struct dict of Redis 7.0 and 7.2 */
#define DICT_REHASHIDX 40
#define DICT_EXPONENTS 48 /* of the 8 bytes there: two of pauserehash, then one each */

#define REG(r)      ((struct mt_source){MT_FROM_REG, MT_REG_##r, 0})
#define MEM(r, off) ((struct mt_source){MT_FROM_MEM, MT_REG_##r, off})

/* cmpq $-1, 0x28(register): 48 83 /7 with a displacement of one byte. */
static bool asks_for_rehashing(struct elf_file *elf, const struct native_function *function)
{
	uint64_t bytes = function->end - function->start;
	const uint8_t *code = elf_file_bytes(elf, function->start, bytes);

	for (uint64_t i = 0; code && i + 5 <= bytes; i++)
		if ((code[i] & 0xfe) == 0x48 && code[i + 1] == 0x83 &&
			(code[i + 2] & 0xf8) == 0x78 && code[i + 3] == DICT_REHASHIDX &&
			code[i + 4] == 0xff)
			return true;
	return false;
}

int redis_identify(struct elf_file *elf, struct runtime_file *ret)
{
	struct runtime_file found = {.runtime = "redis", .version = "Redis"};
	const struct runtime_probe row = {
		.probe = 0,
		.family = FAMILY_MAP,
		.symbol = EXPAND,
		.attachment =
			{
				.kind = MT_GROW,
				.flags = MT_ATTACH_STACK,
				.addr = REG(DI),
				.val = {REG(SI), MEM(DI, DICT_EXPONENTS), MEM(DI, DICT_REHASHIDX),
					MEM(DI, 0)},
			},
	};
	struct native_function expand, rehash;

	if (native_function_find(elf, EXPAND, &expand) ||
		native_function_find(elf, REHASH, &rehash))
		return 0;
	native_describe(elf, &found);
	if (!asks_for_rehashing(elf, &expand)) {
		native_add_skip(&found, "Redis dicts",
			"the layout of struct dict is not that of Redis 7.0 to 7.2");
	} else {
		found.reading = true;
		if (native_probe_add(elf, &expand, &row, &found))
			native_add_skip(
				&found, "growth of Redis dicts", EXPAND " cannot be probed");
		native_add_skip(&found, "Redis dicts from before attach",
			"followed from their next growth: nothing lists those that are there");
	}
	*ret = found;
	return 1;
}
