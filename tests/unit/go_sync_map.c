/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sync.Map, both forms, in memory that no sane program has: circles, fans, chains without an end, nodes that
 * another has taken, counts that cannot be, tables that change between two reads.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/clock.h"
#include "go_image.h"
#include "runtime/go/go_census.h"
#include "runtime/go/go_sync_map.h"

#define INT_TYPE   (TYPES + 0x300)
#define NODE_SLOT  160
#define ENTRY_SLOT 48
#define NOWHERE    0xdead0000ull

/* ---- from 1.24 on ---- */

/* A root with two nodes, each with three entries, and two entries of its own: eight. */
struct trie {
	struct heap heap;
	uint64_t nodes, entries, other; /* other: objects of another size */
};

static uint64_t node_at(const struct trie *trie, uint64_t i)
{
	return trie->nodes + i * NODE_SLOT;
}

static uint64_t entry_at(const struct trie *trie, uint64_t i)
{
	return trie->entries + i * ENTRY_SLOT;
}

static void set_parent(struct trie *trie, uint64_t node, uint64_t parent)
{
	put64(&trie->heap, node_at(trie, node) + 16, parent);
}

static void set_child(struct trie *trie, uint64_t node, int slot, uint64_t child)
{
	put64(&trie->heap, node_at(trie, node) + 24 + 8 * (uint64_t)slot, child);
}

static void add_entry(struct trie *trie, uint64_t node, int slot, uint64_t entry)
{
	uint64_t addr = entry_at(trie, entry);

	set_child(trie, node, slot, addr);
	put64(&trie->heap, addr, 1);
	put64(&trie->heap, addr + 16, INT_TYPE);
	put64(&trie->heap, addr + 24, trie->other);
	put64(&trie->heap, addr + 32, INT_TYPE);
	put64(&trie->heap, addr + 40, trie->other + 8);
}

static void add_int_type(struct heap *heap)
{
	add_type(heap, &(struct go_type){.type = INT_TYPE, .kind = 2, .size = 8, .name = "int"});
}

static void build_trie(struct trie *trie)
{
	uint64_t entry = 0;

	build(&trie->heap, 26);
	trie->nodes = add_span(&trie->heap, NODE_SLOT, 51, false);
	trie->entries = add_span(&trie->heap, ENTRY_SLOT, 170, false);
	trie->other = add_span(&trie->heap, 64, 128, false);
	for (uint64_t node = 1; node <= 2; node++) {
		set_child(trie, 0, (int)node * 3, node_at(trie, node));
		set_parent(trie, node, node_at(trie, 0));
		for (int slot = 0; slot < 3; slot++)
			add_entry(trie, node, 5 * slot, entry++);
	}
	add_entry(trie, 0, 0, entry++);
	add_entry(trie, 0, 15, entry++);
}

static struct event_look look_at_trie(struct trie *trie)
{
	return look(&trie->heap, FAMILY_SYNC_MAP, trie->nodes, true);
}

Test(go_sync_map, trie)
{
	struct event_look seen;
	struct trie trie;

	build_trie(&trie);
	open_heap(&trie.heap);
	add_int_type(&trie.heap);
	seen = look_at_trie(&trie);
	cr_expect(seen.has_length && seen.length == 8 && seen.capacity == 8 && !seen.tombstones);
	cr_expect_eq(seen.held_bytes, 3 * NODE_SLOT + 8 * ENTRY_SLOT);
	/* one group of map[int]int behind a header */
	cr_expect_eq(seen.need_bytes, 48 + 144, "%lu", seen.need_bytes);
	close_heap(&trie.heap);
}

/* What a delete far below does, the root does not show. */
Test(go_sync_map, trie_changes)
{
	struct event_look seen, after;
	struct trie trie;

	build_trie(&trie);
	open_heap(&trie.heap);
	seen = look_at_trie(&trie);
	set_child(&trie, 2, 5, 0);
	after = look_at_trie(&trie);
	cr_expect_eq(after.length, 7);
	cr_expect_neq(after.stamp, seen.stamp);
	seen = look_at_trie(&trie);
	cr_expect_eq(after.stamp, seen.stamp);
	close_heap(&trie.heap);
}

/* A look that may not take long leaves the walk to a later one. */
Test(go_sync_map, walks_rest)
{
	struct event_look seen;
	struct trie trie;

	build_trie(&trie);
	open_heap(&trie.heap);
	look_at_trie(&trie);
	set_child(&trie, 2, 5, 0);
	seen = look(&trie.heap, FAMILY_SYNC_MAP, trie.nodes, false);
	cr_expect_eq(seen.length, 8);
	close_heap(&trie.heap);
}

static void expect_no_trie(struct trie *trie, const char *what)
{
	struct event_look seen;
	uint64_t start_ns = clock_mono_ns();

	open_heap(&trie->heap);
	seen = look_at_trie(trie);
	cr_expect(!seen.has_length && !seen.held_bytes, "%s is believed", what);
	cr_expect_lt(clock_mono_ns() - start_ns, NSEC_PER_SEC, "%s takes long", what);
	close_heap(&trie->heap);
}

Test(go_sync_map, what_is_no_trie)
{
	static const struct {
		const char *what;
		uint64_t off, value; /* of an entry */
	} entries[] = {
		{"an entry that is none", 0, 0},
		{"an entry that is half of one", 0, 2},
		{"an entry of other keys (unique.Make has such)", 16, 0xc000001234},
		{"a key without a type", 16, 0},
		{"a key whose type is nowhere", 16, NOWHERE},
	};
	struct trie trie;

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		build_trie(&trie);
		put64(&trie.heap, entry_at(&trie, 2) + entries[i].off, entries[i].value);
		expect_no_trie(&trie, entries[i].what);
	}
	build_trie(&trie);
	set_child(&trie, 0, 7, NOWHERE);
	expect_no_trie(&trie, "a child outside of the heap");
	build_trie(&trie);
	set_child(&trie, 0, 7, trie.other);
	expect_no_trie(&trie, "a child of another size");
	build_trie(&trie);
	set_child(&trie, 0, 7, trie.other + 1);
	expect_no_trie(&trie, "a child at an odd address");
	build_trie(&trie);
	set_parent(&trie, 0, node_at(&trie, 1));
	expect_no_trie(&trie, "a root with a parent");
	build_trie(&trie);
	set_parent(&trie, 2, node_at(&trie, 1));
	expect_no_trie(&trie, "a node of another parent");
	build_trie(&trie);
	for (int slot = 0; slot < 16; slot++)
		set_child(&trie, 0, slot, 0);
	expect_no_trie(&trie, "a root without children");
}

Test(go_sync_map, circles)
{
	struct trie trie;

	build_trie(&trie);
	set_child(&trie, 1, 1, node_at(&trie, 0));
	expect_no_trie(&trie, "a root below itself");
	build_trie(&trie);
	set_child(&trie, 1, 1, node_at(&trie, 2));
	set_child(&trie, 2, 1, node_at(&trie, 1));
	expect_no_trie(&trie, "two nodes below each other");
	build_trie(&trie);
	set_child(&trie, 1, 1, node_at(&trie, 1));
	expect_no_trie(&trie, "a node below itself");
}

/* Sixteen ways to each next node, thirty nodes deep: followed, it would not end. */
Test(go_sync_map, fan)
{
	struct trie trie;

	build_trie(&trie);
	for (uint64_t node = 2; node < 30; node++) {
		for (int slot = 0; slot < 16; slot++)
			set_child(&trie, node, slot, node_at(&trie, node + 1));
		set_parent(&trie, node + 1, node_at(&trie, node));
	}
	expect_no_trie(&trie, "a fan");
}

/* A hash has 64 bits, and each level takes four. */
Test(go_sync_map, depth)
{
	for (uint64_t deepest = 14; deepest < 18; deepest++) {
		struct event_look seen;
		struct trie trie;

		build_trie(&trie);
		for (uint64_t node = 2; node <= deepest; node++) {
			set_child(&trie, node, 1, node_at(&trie, node + 1));
			set_parent(&trie, node + 1, node_at(&trie, node));
		}
		for (uint64_t i = 0; i < 100; i++) /* so that what is foreign is a small part */
			add_entry(&trie, 3 + i / 14, 2 + (int)(i % 14), 20 + i);
		open_heap(&trie.heap);
		seen = look_at_trie(&trie);
		cr_expect(seen.has_length && seen.length == 108);
		cr_expect_eq(seen.held_bytes,
			MIN(deepest + 2, 17ull) * NODE_SLOT + 108 * ENTRY_SLOT, "%lu", deepest);
		close_heap(&trie.heap);
	}
}

/* A node that was freed and taken while the trie was read: one of many does not make it none. */
Test(go_sync_map, torn_node)
{
	struct event_look seen;
	struct trie trie;

	build_trie(&trie);
	for (uint64_t i = 0; i < 24; i++)
		add_entry(&trie, 1 + i / 12, 1 + (int)(i % 12) + (i % 12 >= 4) + (i % 12 >= 8),
			20 + i);
	set_child(&trie, 1, 15, trie.other);
	open_heap(&trie.heap);
	seen = look_at_trie(&trie);
	cr_expect(seen.has_length && seen.length >= 28 && seen.length <= 32, "%lu", seen.length);
	/* and what was seen of it stands while it makes no sense */
	for (int slot = 0; slot < 16; slot++)
		set_child(&trie, 2, slot, trie.other + 64 * (uint64_t)slot);
	seen = look_at_trie(&trie);
	cr_expect(seen.has_length && seen.length >= 28);
	close_heap(&trie.heap);
}

static void count_found(const struct runtime_container *container, void *arg)
{
	(void)container;
	++*(int *)arg;
}

Test(go_sync_map, census)
{
	int found = 0;
	struct runtime_census_options options = {.found_arg = &found};
	struct runtime_census_stats stats;
	struct trie trie;

	build_trie(&trie);
	set_parent(&trie, 30, node_at(&trie, 0)); /* no root */
	set_child(&trie, 30, 3, entry_at(&trie, 0));
	set_child(&trie, 31, 3, trie.other); /* an object of that size */
	open_heap(&trie.heap);
	cr_assert_eq(runtime_go.census(trie.heap.process, &options, count_found, &stats), 0);
	cr_expect(stats.complete && found == 1);
	close_heap(&trie.heap);
}

/* ---- up to 1.23 ---- */

#define BUCKET       208
#define BUCKET_SLOT  896 /* four of them */
#define BUCKET_ELEMS (8 + 8 * 16)
#define EXPUNGED     (DATA + 0x800)

struct table_map {
	struct heap heap;
	uint64_t key, array, entries, values, extra_bucket;
};

static void set_cell(struct table_map *map, uint64_t bucket, uint64_t cell, uint64_t entry)
{
	put(&map->heap, bucket + cell, 5 + cell, 1);
	put64(&map->heap, bucket + 8 + 16 * cell, INT_TYPE);
	put64(&map->heap, bucket + 8 + 16 * cell + 8, map->values);
	put64(&map->heap, bucket + BUCKET_ELEMS + 8 * cell, entry);
}

/* Twenty keys in four buckets, each with a value. */
static void build_table(struct table_map *map)
{
	build(&map->heap, 21);
	map->key = add_span(&map->heap, 48, 170, false) + 48;
	map->array = add_span(&map->heap, BUCKET_SLOT, 9, false) + BUCKET_SLOT;
	map->extra_bucket = add_span(&map->heap, BUCKET, 39, false) + BUCKET;
	map->entries = add_span(&map->heap, 8, 1024, false) + 64;
	map->values = add_span(&map->heap, 16, 512, false) + 64;
	put64(&map->heap, map->key, 20);
	put64(&map->heap, map->key + 8, 2 << 8 | 0x1234567800000000);
	put64(&map->heap, map->key + 16, map->array);
	for (uint64_t i = 0; i < 20; i++) {
		set_cell(map, map->array + i / 5 * BUCKET, i % 5, map->entries + 8 * i);
		put64(&map->heap, map->entries + 8 * i, map->values + 16 * i);
		put64(&map->heap, map->values + 16 * i, INT_TYPE);
	}
}

static void open_table(struct table_map *map)
{
	open_heap(&map->heap);
	add_int_type(&map->heap);
	add_type(&map->heap, &(struct go_type){.type = MAP_TYPE,
				     .kind = 21,
				     .group_size = BUCKET,
				     .group_has_pointers = true,
				     .name = "map[interface {}]*sync.entry"});
}

static struct event_look look_at_table(struct table_map *map)
{
	uint64_t type = MAP_TYPE;
	struct event_look ret;

	memset(&ret, 0xff, sizeof(ret));
	cr_assert_eq(runtime_go.look(map->heap.process, FAMILY_SYNC_MAP, &map->key, &type, NULL, 1,
			     true, &ret),
		0);
	return ret;
}

static void delete_entry(struct table_map *map, uint64_t i, uint64_t value)
{
	put64(&map->heap, map->entries + 8 * i, value);
}

Test(go_sync_map, table)
{
	struct event_look seen;
	struct table_map map;

	build_table(&map);
	open_table(&map);
	seen = look_at_table(&map);
	cr_expect(seen.has_length && seen.length == 20 && !seen.tombstones);
	cr_expect_eq(seen.held_bytes, 48 + BUCKET_SLOT + 20 * (8 + 16), "%lu", seen.held_bytes);
	/* deleted is nil, or expunged like others; one that stands alone has a value */
	for (uint64_t i = 0; i < 6; i++)
		delete_entry(&map, i, 0);
	for (uint64_t i = 6; i < 9; i++)
		delete_entry(&map, i, EXPUNGED);
	seen = look_at_table(&map);
	cr_expect(
		seen.length == 11 && seen.tombstones == 9, "%lu %lu", seen.length, seen.tombstones);
	cr_expect_eq(seen.held_bytes, 48 + BUCKET_SLOT + 20 * 8 + 11 * 16);
	for (uint64_t i = 0; i < 20; i++)
		delete_entry(&map, i, EXPUNGED);
	seen = look_at_table(&map);
	cr_expect(seen.has_length && !seen.length && seen.tombstones == 20);
	close_heap(&map.heap);
}

/* Entries are followed to nowhere, buckets in circles; the count says what it likes. */
Test(go_sync_map, hostile_table)
{
	struct event_look seen;
	struct table_map map;

	build_table(&map);
	for (uint64_t i = 0; i < 20; i++)
		set_cell(&map, map.array + i / 5 * BUCKET, i % 5, NOWHERE + 8 * i * i);
	open_table(&map);
	seen = look_at_table(&map);
	cr_expect_leq(seen.length, 20);
	close_heap(&map.heap);

	build_table(&map);
	put64(&map.heap, map.array + BUCKET - 8, map.extra_bucket);
	put64(&map.heap, map.extra_bucket + BUCKET - 8, map.extra_bucket);
	set_cell(&map, map.extra_bucket, 0, map.entries);
	open_table(&map);
	seen = look_at_table(&map);
	cr_expect(seen.length + seen.tombstones <= 2 * 20 && seen.held_bytes < 1 << 20);
	close_heap(&map.heap);

	build_table(&map);
	put64(&map.heap, map.array + 8 + 16, NOWHERE); /* a key that is no interface */
	open_table(&map);
	seen = look_at_table(&map);
	cr_expect(!seen.has_length);
	close_heap(&map.heap);

	build_table(&map);
	put64(&map.heap, map.key, UINT64_MAX);
	open_table(&map);
	seen = look_at_table(&map);
	cr_expect(!seen.has_length);
	close_heap(&map.heap);
}

/* The program goes on between two reads: more keys than were read, fewer, an array that is being left. */
Test(go_sync_map, changing_table)
{
	struct event_look seen;
	struct table_map map;
	uint64_t old;

	build_table(&map);
	open_table(&map);
	look_at_table(&map);
	put64(&map.heap, map.key, 24); /* counted, not yet to be seen */
	seen = look_at_table(&map);
	cr_expect(seen.length == 24 && !seen.tombstones);
	put64(&map.heap, map.key, 3);
	for (uint64_t i = 0; i < 20; i++)
		delete_entry(&map, i, 0);
	seen = look_at_table(&map);
	cr_expect_eq(seen.length, 0); /* never below */
	close_heap(&map.heap);

	build_table(&map);
	old = add_span(&map.heap, BUCKET * 2, 19, false) + 2 * BUCKET;
	put64(&map.heap, map.key + 24, old);
	for (uint64_t i = 0; i < 5; i++)
		put(&map.heap, old + i, 2, 1); /* evacuated: what they hold is stale */
	set_cell(&map, old + BUCKET, 0, map.entries + 8 * 30);
	put64(&map.heap, map.key, 21);
	open_table(&map);
	seen = look_at_table(&map);
	cr_expect(
		seen.length == 20 && seen.tombstones == 1, "%lu %lu", seen.length, seen.tombstones);
	close_heap(&map.heap);
}

/* ---- the struct around them ---- */

#define STRUCT    (DATA + 0x1000)
#define READ_ONLY (DATA + 0x1100)

/* A sync.Map whose readers use map->key, with a dirty map of 20 keys, or none, and so many misses. */
static void put_struct(struct table_map *map, uint64_t at, uint64_t dirty, uint64_t misses)
{
	put64(&map->heap, STRUCT + at, READ_ONLY);
	put64(&map->heap, STRUCT + at + 8, dirty);
	put64(&map->heap, STRUCT + at + 16, misses);
	put64(&map->heap, READ_ONLY, map->key);
	put64(&map->heap, READ_ONLY + 8, dirty != 0);
}

Test(go_sync_map, misses)
{
	const struct {
		uint8_t minor;
		uint64_t at;
	} rows[] = {{19, 16}, {21, 8}, {23, 8}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct go_sync_struct found;
		struct runtime_process *process;
		struct table_map map;
		uint64_t other;

		build_table(&map);
		map.heap.file.go.minor = rows[i].minor;
		open_table(&map);
		process = map.heap.process;
		other = map.key + 48;
		put64(&map.heap, other, 20);
		put_struct(&map, rows[i].at, other, 7);
		cr_assert_eq(go_sync_struct_read(process, STRUCT, map.key, &found), 0);
		cr_expect(found.read == map.key && found.dirty == other && found.misses == 7 &&
			  found.misses_needed == 20);
		cr_expect_eq(go_sync_struct_read(process, STRUCT, other, &found), 0);
		cr_expect_eq(go_sync_struct_read(process, STRUCT, other + 48, &found), -ENOENT,
			"another map");
		cr_expect_eq(go_sync_struct_read(process, STRUCT + 4, map.key, &found), -ENOENT);
		cr_expect_eq(go_sync_struct_read(process, 0, map.key, &found), -ENOENT);
		cr_expect_eq(go_sync_struct_read(process, NOWHERE, map.key, &found), -ENOENT);
		put_struct(&map, rows[i].at, other, 21);
		cr_expect_eq(go_sync_struct_read(process, STRUCT, map.key, &found), -ENOENT,
			"more misses than there can be");
		put_struct(&map, rows[i].at, NOWHERE, 0);
		cr_expect_eq(go_sync_struct_read(process, STRUCT, map.key, &found), -ENOENT);
		put_struct(&map, rows[i].at, 0, 0);
		cr_assert_eq(go_sync_struct_read(process, STRUCT, map.key, &found), 0);
		cr_expect(!found.dirty && !found.misses && !found.misses_needed);
		put_struct(&map, rows[i].at, 0, 1);
		cr_expect_eq(go_sync_struct_read(process, STRUCT, map.key, &found), -ENOENT);
		put_struct(&map, rows[i].at, other, 7);
		put64(&map.heap, READ_ONLY + 8, 2);
		cr_expect_eq(go_sync_struct_read(process, STRUCT, map.key, &found), -ENOENT,
			"what is no bool");
		close_heap(&map.heap);
	}
}

/* Each census finds it for both maps, also where one of them was forgotten, or where it was is no struct any more. */
Test(go_sync_map, struct_is_found_again)
{
	struct census_find finds[2] = {{.family = FAMILY_SYNC_MAP}, {.family = FAMILY_SYNC_MAP}};
	struct census census = {.finds = finds, .find_count = ARRAY_SIZE(finds)};
	struct go_container *read, *dirty;
	struct table_map map;

	build_table(&map);
	put64(&map.heap, map.key + 48, 20);
	put_struct(&map, 8, map.key + 48, 7);
	open_table(&map);
	census.process = map.heap.process;
	finds[0].key = map.key;
	finds[1].key = map.key + 48;
	finds[1].owner.global = STRUCT + 16;
	read = go_container_make(census.process, FAMILY_SYNC_MAP, finds[0].key, 0, 1);
	dirty = go_container_make(census.process, FAMILY_SYNC_MAP, finds[1].key, 0, 1);
	census_find_sync_structs(&census);
	cr_expect(read->sync_struct == STRUCT && dirty->sync_struct == STRUCT);
	go_container_reset(read);
	census_find_sync_structs(&census);
	cr_expect(read->sync_struct == STRUCT && dirty->sync_struct == STRUCT);
	read->sync_struct = dirty->sync_struct = STRUCT + 0x400;
	census_find_sync_structs(&census);
	cr_expect(read->sync_struct == STRUCT && dirty->sync_struct == STRUCT);
	close_heap(&map.heap);
}
