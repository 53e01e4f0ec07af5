/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hash table from a 64-bit key to a 64-bit value (a number or an index). Open addressing, grows
 * by doubling, deletes by backward shift, so it never fills up with tombstones.
 */
#ifndef MEMTRACE_BASE_TABLE_H
#define MEMTRACE_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table {
	struct table_slot *slots;
	size_t count, capacity;
};

struct table_slot {
	uint64_t key, value;
	bool used;
};

/* A zeroed struct table is an empty one. */
void table_done(struct table *table);
void table_clear(struct table *table); /* empties it, keeps its room */
bool table_get(const struct table *table, uint64_t key, uint64_t *ret);
void table_set(struct table *table, uint64_t key, uint64_t value);
bool table_remove(struct table *table, uint64_t key);

/* Walks all entries in no order: start with *cursor = 0; false at the end. No changes meanwhile. */
bool table_next(const struct table *table, size_t *cursor, uint64_t *ret_key, uint64_t *ret_value);

/* FNV-1a, for keys made of bytes; seed with 0. Stable over runs: finding ids depend on it. */
uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t count);
uint64_t hash_string(uint64_t seed, const char *s);

/* For what changes all the time: eight bytes at once (what is left of them is not hashed). Of this run only. */
uint64_t hash_words(const void *bytes, size_t count);

#endif
