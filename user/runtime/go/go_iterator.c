/* SPDX-License-Identifier: BSD-2-Clause */
/* Iterators over maps, both kinds (go_iterator.h). */
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_iterator.h"

#define KIND_MAP 21

/* runtime.hiter, go1.19 to go1.23 */
enum {
	HITER_BUCKETS = 32,
	HITER_START = 64,
	HITER_OFFSET = 72,
	HITER_WRAPPED = 73,
	HITER_B = 74,
	HITER_I = 75,
	HITER_BUCKET = 80,
};

/* internal/runtime/maps.Iter, go1.24 to go1.26 */
enum {
	ITER_CLEAR_SEQ = 48,
	ITER_DEPTH = 56,
	ITER_DIR_INDEX = 64,
	ITER_TABLE = 72,
	ITER_ENTRY = 88,
};

/* Both begin so. */
enum {
	KEY = 0,
	TYPE = 16,
};

/* internal/runtime/maps.table */
enum {
	TABLE_INDEX = 8,
	TABLE_GROUPS = 16,
	TABLE_BYTES = 32,
};

#define TABLE_STALE     UINT64_MAX /* its index once it has been split or replaced */
#define MAX_TABLE_SLOTS 1024

static uint64_t load64(const uint8_t *raw)
{
	uint64_t value;

	memcpy(&value, raw, sizeof(value));
	return value;
}

static bool parse_classic(
	const uint8_t *raw, const struct go_map_header *header, struct go_iterator *ret)
{
	uint64_t buckets = load64(raw + HITER_BUCKETS);
	uint8_t b = raw[HITER_B];

	if (!buckets || b > header->b || raw[HITER_OFFSET] >= GO_MAP_SLOTS ||
		raw[HITER_WRAPPED] > 1 || raw[HITER_I] > GO_MAP_SLOTS ||
		load64(raw + HITER_START) >> b || load64(raw + HITER_BUCKET) > 1ull << b)
		return false;
	ret->array = buckets == header->array || buckets == header->old ? 0 : buckets;
	return true;
}

static bool parse_swiss(struct runtime_process *process, const uint8_t *raw,
	const struct go_map_header *header, struct go_iterator *ret)
{
	uint64_t table = load64(raw + ITER_TABLE);
	uint8_t words[TABLE_BYTES];

	if (load64(raw + ITER_CLEAR_SEQ) > header->clear_seq || raw[ITER_DEPTH] > header->b ||
		load64(raw + ITER_DIR_INDEX) + 1 > MAX(header->tables, (uint64_t)1) + 1 ||
		load64(raw + ITER_ENTRY) > MAX_TABLE_SLOTS || table % 8)
		return false;
	if (table && !target_mem_read(process->mem, table, words, sizeof(words)) &&
		load64(words + TABLE_INDEX) == TABLE_STALE)
		ret->array = load64(words + TABLE_GROUPS);
	return true;
}

bool go_iterator_parse(struct runtime_process *process, const uint8_t raw[GO_ITERATOR_BYTES],
	const struct go_map_header *header, struct go_iterator *ret)
{
	const struct go_type *type = go_typecache_get(process, load64(raw + TYPE));

	*ret = (struct go_iterator){
		.ended = !load64(raw + KEY), .stamp = hash_words(raw, GO_ITERATOR_BYTES)};
	if (!type || type->kind != KIND_MAP)
		return false;
	return process->facts.swiss ? parse_swiss(process, raw, header, ret)
				    : parse_classic(raw, header, ret);
}
