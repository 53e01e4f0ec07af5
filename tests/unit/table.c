/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/table.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A model too simple to be wrong: every key of a small universe has a cell. */
#define UNIVERSE 600

static uint64_t universe[UNIVERSE];
static bool present[UNIVERSE];
static uint64_t values[UNIVERSE];

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Keys as they come in practice: addresses at equal distances, small numbers, extremes. */
static void make_universe(uint64_t *random)
{
	for (size_t i = 0; i < UNIVERSE; i++) {
		switch (i % 4) {
		case 0:
			universe[i] = 0xc000000000ull + i * 8192;
			break;
		case 1:
			universe[i] = i;
			break;
		case 2:
			universe[i] = i << 32 | i;
			break;
		default:
			universe[i] = next_random(random) | 1ull << 63;
		}
		present[i] = false;
	}
	universe[0] = 0;
	universe[3] = UINT64_MAX;
}

static void check_all(const struct table *table)
{
	uint64_t key, value;
	size_t cursor = 0, seen = 0, wanted = 0;

	for (size_t i = 0; i < UNIVERSE; i++) {
		bool found = table_get(table, universe[i], &value);

		wanted += present[i];
		cr_assert_eq(found, present[i]);
		if (found)
			cr_assert_eq(value, values[i]);
	}
	cr_assert_eq(table->count, wanted);
	while (table_next(table, &cursor, &key, &value)) {
		size_t i = 0;

		while (i < UNIVERSE && universe[i] != key)
			i++;
		cr_assert_lt(i, UNIVERSE);
		cr_assert(present[i]);
		cr_assert_eq(value, values[i]);
		seen++;
	}
	cr_assert_eq(seen, wanted);
}

static void churn(uint64_t seed, unsigned remove_share)
{
	struct table table = {0};
	uint64_t random = seed;

	make_universe(&random);
	for (int step = 0; step < 20000; step++) {
		size_t i = next_random(&random) % UNIVERSE;

		if (next_random(&random) % 100 < remove_share) {
			cr_assert_eq(table_remove(&table, universe[i]), present[i]);
			present[i] = false;
		} else {
			values[i] = next_random(&random);
			table_set(&table, universe[i], values[i]);
			present[i] = true;
		}
		if (step % 500 == 0)
			check_all(&table);
	}
	check_all(&table);
	table_done(&table);
	cr_assert_eq(table.count, 0);
	cr_assert_not(table_get(&table, universe[0], NULL));
}

Test(table, agrees_with_the_model)
{
	for (uint64_t seed = 1; seed <= 5; seed++) {
		churn(seed * 0x9e3779b97f4a7c15ull, 20);
		churn(seed * 0x9e3779b97f4a7c15ull, 50);
		churn(seed * 0x9e3779b97f4a7c15ull, 80);
	}
}

Test(table, removing_everything_leaves_no_tombstones)
{
	struct table table = {0};
	size_t capacity;

	for (uint64_t key = 0; key < 40; key++)
		table_set(&table, key * 4096, key);
	capacity = table.capacity;
	for (uint64_t key = 0; key < 100000; key++) {
		cr_assert(table_remove(&table, key * 4096));
		table_set(&table, (key + 40) * 4096, key);
	}
	cr_assert_eq(table.count, 40);
	cr_assert_eq(table.capacity, capacity);
	table_done(&table);
}

Test(table, empty)
{
	struct table table = {0};
	uint64_t key = 1, value = 2;
	size_t cursor = 0;

	cr_assert_not(table_get(&table, 0, &value));
	cr_assert_not(table_remove(&table, 0));
	cr_assert_not(table_next(&table, &cursor, &key, &value));
	cr_assert_eq(value, 2);
	table_done(&table);
}

Test(table, hash_is_stable)
{
	/* FNV-1a of "a" and the published offset basis; finding ids depend on them. */
	cr_assert_eq(hash_bytes(0, "", 0), 0xcbf29ce484222325ull);
	cr_assert_eq(hash_bytes(0, "a", 1), 0xaf63dc4c8601ec8cull);
	cr_assert_neq(
		hash_string(hash_string(0, "ab"), "c"), hash_string(hash_string(0, "a"), "bc"));
}

Test(table, every_byte_of_words_counts)
{
	uint8_t bytes[48] = {0};
	uint64_t hash = hash_words(bytes, sizeof(bytes));

	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = 1;
		cr_expect_neq(hash_words(bytes, sizeof(bytes)), hash, "byte %zu", i);
		bytes[i] = 0;
	}
	cr_expect_eq(hash_words(bytes, sizeof(bytes)), hash);
}

Test(table, clear_keeps_room)
{
	struct table table = {0};

	table_clear(&table); /* of nothing */
	for (uint64_t i = 0; i < 1000; i++)
		table_set(&table, i * 48, i);
	for (int round = 0; round < 2; round++) {
		size_t capacity = table.capacity;

		table_clear(&table);
		cr_expect(!table.count && table.capacity == capacity);
		cr_expect(!table_get(&table, 48, NULL));
		table_set(&table, 48, 7);
	}
	table_done(&table);
}
