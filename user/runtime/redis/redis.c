/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Redis: the runtime's row. A dict grows by a second table, into which its entries are moved bit by bit, by
 * commands and by the server's own clock; until the last one has moved it has both. A table is an array of
 * pointers, of 2^exponent entries; the entries themselves are elsewhere.
 *
 *	0 type  8 table[2]  24 used[2]  40 rehashidx, -1 = not now  48 pauserehash  50 exponent[2], -1 = none
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"
#include "base/text.h"
#include "runtime/look_each.h"
#include "runtime/parser.h"
#include "runtime/redis/redis_identify.h"
#include "runtime/resident.h"
#include "runtime/runtime.h"
#include "target/mem.h"

#define MAX_EXPONENT 40
#define FEWEST       2 /* DICT_HT_INITIAL_EXP */

struct dict {
	uint64_t type, tables[2], used[2];
	int64_t rehashidx;
	int16_t pause;
	int8_t exponents[2];
};

struct runtime_process {
	struct target_mem *mem;
	struct parser *parser;
	uint32_t file_id;
	uint64_t slide;
};

static uint64_t table_bytes(int exponent)
{
	return exponent < 0 ? 0 : 8ull << exponent;
}

/* _dictNextExp(): the smallest power of two that is not smaller; -1 = more than can be. */
static int next_exponent(uint64_t size)
{
	for (int exponent = FEWEST; exponent <= MAX_EXPONENT; exponent++)
		if (1ull << exponent >= size)
			return exponent;
	return -1;
}

static int process_open(const struct runtime_file *file, struct target_mem *mem,
	struct parser *parser, uint32_t file_id, uint64_t slide, struct runtime_process **ret,
	char reason[160])
{
	struct runtime_process *process = xcalloc(1, sizeof(*process));

	(void)file;
	(void)reason;
	*process = (struct runtime_process){mem, parser, file_id, slide};
	*ret = process;
	return 0;
}

static void process_close(struct runtime_process *process)
{
	free(process);
}

static int decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret, uint64_t *ret_type)
{
	int8_t old = (int8_t)(record->val[1] >> 16);
	int now = next_exponent(record->val[0]);
	struct event_growth *growth = &ret->growth;

	(void)process;
	(void)probe;
	if (record->flags & MT_UNREAD)
		return -ENODATA;
	if (!record->addr || now < 0 || old < -1 || old > MAX_EXPONENT)
		return -EBADMSG;
	if (now == old ||
		(int64_t)record->val[2] != -1) /* refused: as large already, or rehashing */
		return -ENODATA;
	ret->kind = EVENT_GROWTH;
	growth->family = FAMILY_MAP;
	growth->key = growth->old_key = record->addr;
	growth->new_container = old < 0;
	growth->same_size = now < old;
	growth->capacity = 1ull << now;
	growth->allocated_bytes = table_bytes(now);
	growth->garbage_bytes = table_bytes(old);
	growth->held_bytes = table_bytes(now) + table_bytes(old);
	*ret_type = record->val[3];
	return 0;
}

/* dictType is a variable of its own for each use: "dbDictType" holds the keys of a database. */
static void type_name(struct runtime_process *process, uint64_t type, char *buf, size_t bytes)
{
	uint64_t offset;
	char name[128];

	text_copy(buf, bytes, "dict");
	if (parser_symbol(process->parser, process->file_id, type - process->slide, name,
		    sizeof(name), &offset) == 0 &&
		!offset)
		snprintf(buf, bytes, "dict %s", name);
}

static bool agrees(const struct dict *dict)
{
	bool rehashing = dict->rehashidx != -1;

	for (int i = 0; i < 2; i++)
		if (dict->exponents[i] < -1 || dict->exponents[i] > MAX_EXPONENT ||
			(dict->exponents[i] < 0) != !dict->tables[i])
			return false;
	if (!dict->type || dict->exponents[0] < 0 || rehashing != (dict->exponents[1] >= 0))
		return false;
	return !rehashing ||
	       (dict->rehashidx >= 0 && (uint64_t)dict->rehashidx <= 1ull << dict->exponents[0]);
}

static uint64_t need_bytes(uint64_t length)
{
	return table_bytes(next_exponent(length));
}

static void look_at(struct runtime_process *process, uint64_t type, enum family family,
	uint64_t key, uint64_t length_peak, bool deep, struct event_look *ret)
{
	struct dict dict;
	int newest;

	(void)type;
	*ret = (struct event_look){.family = family, .key = key, .liveness = LIVENESS_DEAD};
	if (target_mem_read(process->mem, key, &dict, sizeof(dict)) || !agrees(&dict))
		return;
	newest = dict.rehashidx != -1;
	ret->liveness = LIVENESS_ALLOCATED;
	ret->has_length = true;
	ret->length = dict.used[0] + dict.used[1];
	ret->capacity = ret->load_limit = 1ull << dict.exponents[newest];
	ret->held_bytes = table_bytes(dict.exponents[0]) + table_bytes(dict.exponents[1]);
	ret->old_bytes = newest ? table_bytes(dict.exponents[0]) : 0;
	ret->need_bytes = need_bytes(ret->length);
	ret->need_peak_bytes = need_bytes(MAX(length_peak, ret->length));
	ret->stamp = hash_bytes(0, &dict, sizeof(dict));
	if (!deep)
		return;
	ret->has_resident = true;
	ret->resident_bytes =
		resident_bytes(process->mem, dict.tables[0], table_bytes(dict.exponents[0]));
	ret->old_resident_bytes = newest ? ret->resident_bytes : 0;
	ret->resident_bytes +=
		resident_bytes(process->mem, dict.tables[1], table_bytes(dict.exponents[1]));
}

static int look(struct runtime_process *process, enum family family, const uint64_t *keys,
	const uint64_t *types, const uint64_t *length_peaks, size_t count, bool deep,
	struct event_look *ret)
{
	return look_each(look_at, process, family, keys, types, length_peaks, count, deep, ret);
}

const struct runtime runtime_redis = {
	.name = "redis",
	.identify = redis_identify,
	.process_open = process_open,
	.process_close = process_close,
	.decode = decode,
	.type_name = type_name,
	.look = look,
};
