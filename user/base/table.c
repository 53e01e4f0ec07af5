/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 29;
}

static size_t find_slot(const struct table *table, uint64_t key)
{
	size_t mask = table->capacity - 1;
	size_t i = mix(key) & mask;

	while (table->slots[i].used && table->slots[i].key != key)
		i = (i + 1) & mask;
	return i;
}

static void grow(struct table *table)
{
	struct table old = *table;

	table->capacity = old.capacity ? old.capacity * 2 : 64;
	table->slots = xcalloc(table->capacity, sizeof(*table->slots));
	for (size_t i = 0; i < old.capacity; i++)
		if (old.slots[i].used)
			table->slots[find_slot(table, old.slots[i].key)] = old.slots[i];
	free(old.slots);
}

void table_done(struct table *table)
{
	free(table->slots);
	memset(table, 0, sizeof(*table));
}

void table_clear(struct table *table)
{
	if (table->count)
		memset(table->slots, 0, table->capacity * sizeof(*table->slots));
	table->count = 0;
}

bool table_get(const struct table *table, uint64_t key, uint64_t *ret)
{
	size_t i;

	if (!table->count)
		return false;
	i = find_slot(table, key);
	if (!table->slots[i].used)
		return false;
	if (ret)
		*ret = table->slots[i].value;
	return true;
}

void table_set(struct table *table, uint64_t key, uint64_t value)
{
	size_t i;

	if ((table->count + 1) * 4 > table->capacity * 3)
		grow(table);
	i = find_slot(table, key);
	if (!table->slots[i].used)
		table->count++;
	table->slots[i] = (struct table_slot){key, value, true};
}

bool table_remove(struct table *table, uint64_t key)
{
	size_t mask = table->capacity - 1, hole, i;

	if (!table->count)
		return false;
	hole = find_slot(table, key);
	if (!table->slots[hole].used)
		return false;
	/* Move back every later entry of the run that may live in the hole. */
	for (i = (hole + 1) & mask; table->slots[i].used; i = (i + 1) & mask) {
		size_t home = mix(table->slots[i].key) & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			table->slots[hole] = table->slots[i];
			hole = i;
		}
	}
	table->slots[hole].used = false;
	table->count--;
	return true;
}

bool table_next(const struct table *table, size_t *cursor, uint64_t *ret_key, uint64_t *ret_value)
{
	while (*cursor < table->capacity) {
		const struct table_slot *slot = &table->slots[(*cursor)++];

		if (!slot->used)
			continue;
		*ret_key = slot->key;
		*ret_value = slot->value;
		return true;
	}
	return false;
}

uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t count)
{
	const unsigned char *p = bytes;
	uint64_t hash = seed ? seed : 0xcbf29ce484222325ull;

	for (size_t i = 0; i < count; i++)
		hash = (hash ^ p[i]) * 0x100000001b3ull;
	return hash;
}

uint64_t hash_words(const void *bytes, size_t count)
{
	uint64_t hash = 0xcbf29ce484222325ull, word;

	for (size_t i = 0; i + sizeof(word) <= count; i += sizeof(word)) {
		memcpy(&word, (const char *)bytes + i, sizeof(word));
		hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 32;
	}
	return hash;
}

uint64_t hash_string(uint64_t seed, const char *s)
{
	/* The NUL separates fields, so that "ab","c" and "a","bc" differ. */
	return hash_bytes(seed, s, strlen(s) + 1);
}
