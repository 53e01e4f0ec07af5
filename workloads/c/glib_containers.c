/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A map and a set of GLib are filled, an array, a pointer array and a string beside them; then nearly all of
 * the map is removed, which makes it small again. (What is used of GLib is declared here: its headers need
 * not be there.)
 */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

#include "truth.h"

#define ENTRIES 200000
#define LEFT    1000
#define STAY()  __asm__ volatile("" ::: "memory") /* no jump in place of the call before it */
#define FLOOR   4096 /* smaller new sizes of arrays are not looked at */

typedef struct _GHashTable GHashTable;

typedef struct {
	char *data;
	unsigned int len;
} GArray;

typedef struct {
	void **data;
	unsigned int len;
} GPtrArray;

typedef struct {
	char *str;
	size_t len, allocated_len;
} GString;

GHashTable *g_hash_table_new(unsigned int (*hash)(const void *), int (*equal)(const void *, const void *));
int g_hash_table_insert(GHashTable *table, void *key, void *value);
int g_hash_table_add(GHashTable *table, void *key);
int g_hash_table_remove(GHashTable *table, const void *key);
unsigned int g_hash_table_size(GHashTable *table);
GArray *g_array_new(int zero, int clear, unsigned int element_bytes);
GArray *g_array_append_vals(GArray *array, const void *data, unsigned int count);
GPtrArray *g_ptr_array_new(void);
void g_ptr_array_add(GPtrArray *array, void *data);
GString *g_string_new(const char *text);
GString *g_string_append(GString *string, const char *text);

/* glib/ghash.c, GLib 2.66 to 2.84 */
struct table {
	size_t size;
	int mod, mask, nnodes, noccupied;
	long big;
	void *keys, *hashes, *values;
};

static struct table *see(GHashTable *table)
{
	return (struct table *)table;
}

static unsigned long held(const struct table *table)
{
	return malloc_usable_size(table->hashes) + malloc_usable_size(table->keys) +
	       (table->keys == table->values ? 0 : malloc_usable_size(table->values));
}

/* Keys that need eight bytes. */
static void *key_of(long i)
{
	return (void *)(uintptr_t)(i + (1l << 40));
}

static KEEP void put(GHashTable *map, long i)
{
	g_hash_table_insert(map, key_of(i), (void *)i); // PUT
	STAY();
}

static KEEP void add(GHashTable *set, long i)
{
	g_hash_table_add(set, key_of(i)); // ADD
	STAY();
}

static KEEP void append(GArray *array, long i)
{
	g_array_append_vals(array, &i, 1); // APPEND
	STAY();
}

static KEEP void push(GPtrArray *array, long i)
{
	g_ptr_array_add(array, (void *)i); // PUSH
	STAY();
}

static KEEP void write_text(GString *text)
{
	g_string_append(text, "some text; "); // WRITE
	STAY();
}

/* Growths by what malloc says of the array. */
struct tally {
	size_t usable;
	unsigned long growths;
};

static void count(struct tally *tally, void *array)
{
	size_t usable = array ? malloc_usable_size(array) : 0;

	tally->growths += tally->usable && usable > tally->usable && usable >= FLOOR;
	tally->usable = usable;
}

int main(void)
{
	GHashTable *map = g_hash_table_new(NULL, NULL), *set = g_hash_table_new(NULL, NULL);
	unsigned long map_growths = 0, set_growths = 0, full, set_held, before;
	unsigned long allocated = 0, garbage = 0;
	struct tally arrays = {0}, pointers = {0}, texts = {0};
	GArray *array = g_array_new(0, 0, sizeof(long));
	GPtrArray *list = g_ptr_array_new();
	GString *text = g_string_new("");

	ready();
	for (long i = 0; i < ENTRIES; i++) {
		size_t slots = see(map)->size, set_slots = see(set)->size;

		before = held(see(map));
		put(map, i);
		add(set, i);
		garbage += see(map)->size > slots ? before : 0;
		allocated += see(map)->size > slots ? held(see(map)) : 0;
		map_growths += see(map)->size > slots;
		set_growths += see(set)->size > set_slots;
		append(array, i);
		push(list, i);
		write_text(text);
		count(&arrays, array->data);
		count(&pointers, list->data);
		count(&texts, text->str);
	}
	full = see(map)->size;
	set_held = held(see(set));
	for (long i = LEFT; i < ENTRIES; i++)
		g_hash_table_remove(map, key_of(i));
	TRUTH({"growths", map_growths}, {"allocated", allocated}, {"garbage", garbage}, {"full", full}, {"length", g_hash_table_size(map)},
		{"slots", see(map)->size}, {"held", held(see(map))}, {"adds", set_growths},
		{"members", g_hash_table_size(set)}, {"set_slots", see(set)->size},
		{"set_held", set_held}, {"appends", arrays.growths}, {"pushes", pointers.growths},
		{"writes", texts.growths});
	obey();
	return 0;
}
