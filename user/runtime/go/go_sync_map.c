/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sync.Map from outside (go_sync_map.h).
 *
 * What a plain map would hold is said for the types of the first keys and values, where they agree; else
 * for map[any]any. Keys and values that are boxed are elsewhere and not in the bytes, as with any map of
 * pointers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_sync_map.h"

/* internal/sync.indirect[any, any] and entry[any, any], go1.24 to go1.26 */
enum {
	NODE_IS_ENTRY = 0,
	NODE_DEAD = 4,
	NODE_PARENT = 16,
	NODE_CHILDREN = 24,
	ENTRY_KEY = 16,
	ENTRY_VALUE = 32,
	ENTRY_BYTES = GO_TRIE_ENTRY_BYTES,
};

/* A bucket of map[any]*entry: 8 tophash, 8 keys, 8 pointers, overflow (runtime/map.go) */
enum {
	BUCKET_KEYS = 8,
	BUCKET_ELEMS = BUCKET_KEYS + GO_MAP_SLOTS * 16,
	BUCKET_OVERFLOW = BUCKET_ELEMS + GO_MAP_SLOTS * 8,
	BUCKET_BYTES = BUCKET_OVERFLOW + 8,
};

#define MIN_TOP_HASH    5 /* of a cell that is in use */
#define CLASSIC_ENTRY   8 /* sync.entry: one pointer */
#define INTERFACE_BYTES 16
#define INDIRECT_FROM   128 /* larger keys and elements are pointers in a map's bucket */
#define SAMPLES         32
#define BUCKETS         64  /* read at once */
#define PIECES          128 /* pages of entries, at once */
#define MAX_ENTRIES     (1u << 24)
#define NODES           512 /* read at once */
#define MAX_NODES       (1u << 22)
#define MAX_DEPTH       16 /* bits of a hash, 4 a level */
#define MAX_FOREIGN_PCT 5  /* what changes while it is read */

static uint64_t load64(const uint8_t *raw)
{
	uint64_t value;

	memcpy(&value, raw, sizeof(value));
	return value;
}

bool go_sync_map_is_trie(const struct runtime_process *process)
{
	return process->facts.swiss && process->facts.minor >= 24;
}

bool go_sync_map_is_type(const struct go_type *type)
{
	return type && !strcmp(type->name, "map[interface {}]*sync.entry");
}

/* ---- types of keys and values ---- */

/* Of the first entries: what all of them have, UINT64_MAX where they differ, 0 = none was seen. */
struct sample {
	uint64_t key, value;
	int count;
};

static void sample_one(uint64_t *type, uint64_t seen)
{
	*type = !*type || *type == seen ? seen : UINT64_MAX;
}

static void sample_add(struct sample *sample, uint64_t key, uint64_t value)
{
	sample_one(&sample->key, key);
	if (value)
		sample_one(&sample->value, value);
	sample->count++;
}

static uint64_t plain_bytes(struct runtime_process *process, uint64_t type, bool *has_pointers)
{
	const struct go_type *known = go_typecache_get(process, type);

	*has_pointers |= !known || known->has_pointers || known->size > INDIRECT_FROM;
	if (!known)
		return INTERFACE_BYTES;
	return known->size > INDIRECT_FROM ? 8 : known->size;
}

/* Bucket or group of a plain map of those types; a slot is padded to 8 bytes at most. */
static void set_plain(
	struct runtime_process *process, const struct sample *sample, struct go_shape *shape)
{
	bool has_pointers = false;
	uint64_t key = plain_bytes(process, sample->key, &has_pointers);
	uint64_t value = plain_bytes(process, sample->value, &has_pointers);

	shape->group_has_pointers = has_pointers;
	if (process->facts.swiss)
		shape->group_bytes = 8 + GO_MAP_SLOTS * ((key + value + 7) / 8 * 8);
	else
		shape->group_bytes = 8 + GO_MAP_SLOTS * (key + value) + 8;
}

static bool is_type(const struct runtime_process *process, uint64_t type)
{
	return type >= process->facts.types && type < process->facts.etypes;
}

/* ---- up to 1.23 ---- */

struct cells {
	uint64_t *entries; /* pointers to sync.entry */
	uint64_t *overflow;
	size_t count, capacity, overflow_count, overflow_capacity;
	uint64_t keys[SAMPLES]; /* types of the first keys */
	bool foreign;           /* a key is no interface */
};

static void take_bucket(
	const struct runtime_process *process, const uint8_t *raw, struct cells *cells)
{
	uint64_t next = load64(raw + BUCKET_OVERFLOW);

	for (int i = 0; i < GO_MAP_SLOTS; i++) {
		uint64_t key = load64(raw + BUCKET_KEYS + 16 * i);

		if (raw[i] < MIN_TOP_HASH || cells->count == MAX_ENTRIES)
			continue;
		cells->foreign |= !is_type(process, key);
		if (cells->count < SAMPLES)
			cells->keys[cells->count] = key;
		array_reserve(cells->entries, cells->count, cells->capacity);
		cells->entries[cells->count++] = load64(raw + BUCKET_ELEMS + 8 * i);
	}
	if (!next || cells->overflow_count == MAX_ENTRIES)
		return;
	array_reserve(cells->overflow, cells->overflow_count, cells->overflow_capacity);
	cells->overflow[cells->overflow_count++] = next;
}

/* Buckets one by one: what lies in a page that is not present is not known, or was never written. */
static int read_apart(
	struct target_mem *mem, uint64_t array, uint8_t raw[][BUCKET_BYTES], uint64_t count)
{
	struct target_piece pieces[BUCKETS];
	int r;

	for (uint64_t i = 0; i < count; i++)
		pieces[i] = (struct target_piece){
			array + i * BUCKET_BYTES, raw[i], BUCKET_BYTES, false};
	r = target_mem_read_pieces(mem, pieces, count);
	for (uint64_t i = 0; r >= 0 && i < count; i++)
		if (!pieces[i].done)
			memset(raw[i], 0, BUCKET_BYTES);
	return r < 0 ? r : 0;
}

static int read_array(
	struct runtime_process *process, uint64_t array, uint64_t buckets, struct cells *cells)
{
	uint8_t raw[BUCKETS][BUCKET_BYTES];
	int r = 0;

	for (uint64_t at = 0; at < buckets && !cells->foreign && !r; at += BUCKETS) {
		uint64_t count = MIN(buckets - at, (uint64_t)BUCKETS);
		uint64_t start = array + at * BUCKET_BYTES;

		r = target_mem_read(process->mem, start, raw, count * BUCKET_BYTES);
		if (r == -EFAULT)
			r = read_apart(process->mem, start, raw, count);
		for (uint64_t i = 0; !r && i < count; i++)
			take_bucket(process, raw[i], cells);
	}
	return r;
}

/* Chained buckets, and those chained to them; each is read once, and there are at most as many as cells. */
static int read_overflow(struct runtime_process *process, uint64_t most, struct cells *cells)
{
	uint8_t raw[BUCKET_BYTES];

	for (size_t i = 0; i < cells->overflow_count && i <= most && !cells->foreign; i++) {
		int r = target_mem_read(process->mem, cells->overflow[i], raw, sizeof(raw));

		if (r == -ESRCH)
			return r;
		if (!r)
			take_bucket(process, raw, cells);
	}
	return 0;
}

static int read_cells(struct runtime_process *process, const struct go_map_header *header,
	uint64_t most_buckets, struct cells *ret)
{
	uint64_t buckets = MIN(1ull << header->b, most_buckets);
	int r = read_array(process, header->array, buckets, ret);

	if (!r && header->old)
		r = read_array(process, header->old, MAX(buckets / 2, (uint64_t)1), ret);
	return r ? r : read_overflow(process, header->length, ret);
}

static void cells_done(struct cells *cells)
{
	free(cells->entries);
	free(cells->overflow);
}

const struct go_type *go_sync_map_find_type(struct runtime_process *process,
	const struct go_map_header *header, const struct go_map_guess *guess)
{
	const struct go_type *type = NULL;
	struct cells cells = {};
	bool fits;

	if (go_sync_map_is_trie(process) || guess->group_bytes != BUCKET_BYTES)
		return NULL;
	for (size_t i = 0; i < MIN(guess->type_count, (size_t)GO_MAP_MAX_NAMES); i++)
		if (go_sync_map_is_type(guess->types[i]))
			type = guess->types[i];
	if (!type || guess->type_count == 1)
		return type;
	fits = !read_cells(process, header, 64, &cells) && cells.count && !cells.foreign;
	cells_done(&cells);
	return fits ? type : NULL;
}

/* By bytes, lowest first: addresses differ in few of them. */
static void sort_words(uint64_t *words, size_t count)
{
	uint64_t *from = words, *to = xcalloc(count + 1, sizeof(*to)), *other = to;
	uint64_t all = UINT64_MAX, any = 0;

	for (size_t i = 0; i < count; i++) {
		all &= words[i];
		any |= words[i];
	}
	for (int shift = 0; shift < 64; shift += 8) {
		size_t at[257] = {};

		if (!((all ^ any) >> shift & 0xff))
			continue;
		for (size_t i = 0; i < count; i++)
			at[(from[i] >> shift & 0xff) + 1]++;
		for (int byte = 1; byte < 256; byte++)
			at[byte] += at[byte - 1];
		for (size_t i = 0; i < count; i++)
			to[at[from[i] >> shift & 0xff]++] = from[i];
		to = from;
		from = from == words ? other : words;
	}
	if (from != words)
		memcpy(words, from, count * sizeof(*words));
	free(other);
}

/*
 * Deleted is nil, or sync.expunged, where all such entries point. Every value that was stored has a place of
 * its own, so what two entries point to is expunged. values are sorted.
 */
static uint64_t count_deleted(const uint64_t *values, size_t count)
{
	uint64_t deleted = 0;

	for (size_t i = 0; i < count; i++)
		deleted += !values[i] || (i && values[i] == values[i - 1]) ||
			   (i + 1 < count && values[i] == values[i + 1]);
	return deleted;
}

/* Reads the words at sorted addresses: those that lie together, a page at most, as one piece. */
static int read_words(struct target_mem *mem, const uint64_t *addrs, size_t count, uint64_t *ret)
{
	uint8_t(*raw)[TARGET_PAGE_BYTES] = xcalloc(PIECES, sizeof(*raw));
	struct target_piece pieces[PIECES];
	size_t first[PIECES + 1];
	int r = 0;

	for (size_t at = 0; at < count && r >= 0;) {
		size_t used = 0;

		for (; at < count && used < PIECES; used++) {
			uint64_t start = addrs[at];

			for (first[used] = at;
				at < count &&
				addrs[at] - start <= TARGET_PAGE_BYTES - sizeof(*ret) &&
				!((addrs[at] + 7) / TARGET_PAGE_BYTES - start / TARGET_PAGE_BYTES);)
				at++;
			at = MAX(at, first[used] + 1); /* one that crosses the edge of a page */
			pieces[used] = (struct target_piece){start, raw[used],
				(uint32_t)(addrs[at - 1] - start + sizeof(*ret)), false};
		}
		first[used] = at;
		r = target_mem_read_pieces(mem, pieces, used);
		for (size_t i = 0; i < used && r >= 0; i++)
			for (size_t word = first[i]; word < first[i + 1] && pieces[i].done; word++)
				ret[word] = load64(raw[i] + (addrs[word] - pieces[i].addr));
	}
	free(raw);
	return r < 0 ? r : 0;
}

static void sample_cells(
	struct runtime_process *process, const struct cells *cells, struct sample *sample)
{
	for (size_t i = 0; i < MIN(cells->count, (size_t)SAMPLES); i++) {
		uint64_t value = 0, type = 0;

		if (!target_mem_read_u64(process->live, cells->entries[i], &value) && value)
			target_mem_read_u64(process->live, value, &type);
		sample_add(sample, cells->keys[i], type);
	}
}

int go_sync_map_count(struct runtime_process *process, const struct go_map_header *header,
	uint64_t group_bytes, struct go_shape *shape)
{
	struct cells cells = {};
	struct sample sample = {};
	uint64_t *values = NULL, bytes;
	int r;

	if (group_bytes != BUCKET_BYTES)
		return 0;
	r = read_cells(process, header, UINT64_MAX, &cells);
	values = xcalloc(cells.count + 1, sizeof(*values));
	if (!r && cells.foreign)
		r = -EFAULT;
	if (r)
		goto out;
	sample_cells(process, &cells, &sample);
	sort_words(cells.entries, cells.count);
	r = read_words(process->live, cells.entries, cells.count, values);
	if (r)
		goto out;
	sort_words(values, cells.count);
	set_plain(process, &sample, shape);
	shape->tombstones = count_deleted(values, cells.count);
	bytes = cells.count * CLASSIC_ENTRY + (cells.count - shape->tombstones) * INTERFACE_BYTES;
	shape->held += bytes;
	shape->resident += bytes; /* what is read is there */
out:
	free(values);
	cells_done(&cells);
	return r;
}

/* ---- from 1.24 on ---- */

bool go_trie_parse(const struct runtime_process *process, const uint8_t raw[GO_TRIE_NODE_BYTES],
	struct go_trie_header *ret)
{
	*ret = (struct go_trie_header){};
	if (!go_sync_map_is_trie(process) || load64(raw + NODE_IS_ENTRY) ||
		load64(raw + NODE_PARENT))
		return false;
	for (int i = 0; i < GO_TRIE_CHILDREN; i++) {
		uint64_t child = load64(raw + NODE_CHILDREN + 8 * i);

		if (child % 8 || child >= GO_MAX_BYTES)
			return false;
		ret->children[i] = child;
		ret->first = ret->first ? ret->first : child;
	}
	ret->stamp = hash_bytes(0, raw, GO_TRIE_NODE_BYTES);
	return ret->first != 0;
}

struct node {
	uint64_t addr, parent;
	uint32_t depth;
};

struct trie {
	struct runtime_process *process;
	struct node *nodes; /* found and not yet read */
	size_t count, capacity;
	struct table slot_of_page; /* span slots of a page, 0 = no heap */
	uint64_t entries, nodes_read, foreign, node_slot;
	struct sample sample;
	struct node children[NODES * GO_TRIE_CHILDREN]; /* of the nodes that are being read */
	struct go_object objects[NODES * GO_TRIE_CHILDREN];
	uint8_t raw[NODES][GO_TRIE_NODE_BYTES];
};

static int compare_nodes(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

/* children are sorted */
static int find_pages(struct trie *trie, const struct node *children, size_t count)
{
	struct go_object *objects = trie->objects;
	uint64_t last = 0, known;
	size_t wanted = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		uint64_t page = children[i].addr >> GO_PAGE_SHIFT;

		if ((i && page == last) || table_get(&trie->slot_of_page, page, &known))
			continue;
		objects[wanted++] = (struct go_object){.addr = children[i].addr};
		last = page;
	}
	r = wanted ? go_heap_find_spans(trie->process, objects, wanted) : 0;
	for (size_t i = 0; i < wanted && r >= 0; i++)
		table_set(&trie->slot_of_page, objects[i].addr >> GO_PAGE_SHIFT,
			objects[i].state == GO_OBJECT_ALLOCATED && !go_span_noscan(&objects[i].span)
				? objects[i].span.elemsize
				: 0);
	return r < 0 ? r : 0;
}

static bool take_entry(struct trie *trie, uint64_t entry)
{
	uint8_t raw[ENTRY_BYTES];

	if (trie->sample.count >= SAMPLES)
		return true;
	if (target_mem_read(trie->process->mem, entry, raw, sizeof(raw)) ||
		load64(raw + NODE_IS_ENTRY) != 1 ||
		!is_type(trie->process, load64(raw + ENTRY_KEY)))
		return false;
	sample_add(&trie->sample, load64(raw + ENTRY_KEY), load64(raw + ENTRY_VALUE));
	return true;
}

/* A child is a node or an entry; its size tells which. */
static int take_children(struct trie *trie, size_t count)
{
	struct node *children = trie->children;
	int r;

	qsort(children, count, sizeof(*children), compare_nodes);
	r = find_pages(trie, children, count);
	for (size_t i = 0; i < count && !r; i++) {
		uint64_t slot = 0;

		table_get(&trie->slot_of_page, children[i].addr >> GO_PAGE_SHIFT, &slot);
		if (slot == ENTRY_BYTES && take_entry(trie, children[i].addr)) {
			trie->entries++;
		} else if (slot == trie->node_slot && children[i].depth < MAX_DEPTH) {
			array_reserve(trie->nodes, trie->count, trie->capacity);
			trie->nodes[trie->count++] = children[i];
		} else {
			trie->foreign++;
		}
	}
	return r;
}

/* The children of a node, each of them once: what a node names twice is no trie's. */
static size_t list_children(
	struct trie *trie, const uint64_t *slots, uint64_t parent, uint32_t depth, struct node *ret)
{
	size_t count = 0;

	for (int i = 0; i < GO_TRIE_CHILDREN; i++) {
		bool again = false;

		for (int j = 0; j < i && !again && slots[i]; j++)
			again = slots[j] == slots[i];
		trie->foreign += again;
		if (slots[i] && !again)
			ret[count++] = (struct node){slots[i], parent, depth};
	}
	return count;
}

/*
 * The newest first, so that few wait. A node names its parent, so nothing is counted twice and there is no
 * way round in a circle.
 */
static int read_nodes(struct trie *trie)
{
	size_t count = MIN(trie->count, (size_t)NODES), child_count = 0;
	struct target_piece pieces[NODES];
	struct node *nodes;
	int r;

	trie->count -= count;
	trie->nodes_read += count;
	nodes = trie->nodes + trie->count;
	qsort(nodes, count, sizeof(*nodes), compare_nodes);
	for (size_t i = 0; i < count; i++)
		pieces[i] = (struct target_piece){
			nodes[i].addr, trie->raw[i], GO_TRIE_NODE_BYTES, false};
	r = target_mem_read_pieces(trie->process->live, pieces, count);
	for (size_t i = 0; i < count && r >= 0; i++) {
		const uint8_t *raw = trie->raw[i];
		uint64_t slots[GO_TRIE_CHILDREN];

		if (!pieces[i].done || raw[NODE_IS_ENTRY] ||
			load64(raw + NODE_PARENT) != nodes[i].parent) {
			trie->foreign++;
			continue;
		}
		memcpy(slots, raw + NODE_CHILDREN, sizeof(slots));
		child_count += list_children(trie, slots, nodes[i].addr, nodes[i].depth + 1,
			trie->children + child_count);
	}
	return r < 0 ? r : take_children(trie, child_count);
}

static bool is_foreign(const struct trie *trie)
{
	return trie->foreign * 100 > (trie->entries + trie->nodes_read) * MAX_FOREIGN_PCT;
}

static int walk_trie(struct trie *trie, uint64_t key, const struct go_trie_header *header)
{
	int r = take_children(trie, list_children(trie, header->children, key, 1, trie->children));

	while (!r && trie->count && trie->nodes_read < MAX_NODES && !is_foreign(trie))
		r = read_nodes(trie);
	return !r && (trie->count || !trie->entries || is_foreign(trie)) ? -ENOENT : r;
}

int go_trie_walk(struct runtime_process *process, uint64_t key, const struct go_trie_header *header,
	struct go_shape *ret)
{
	struct trie *trie = xcalloc(1, sizeof(*trie));
	struct go_shape shape = {};
	int r;

	trie->process = process;
	trie->node_slot = go_size_alloc(&process->facts, GO_TRIE_NODE_BYTES, true);
	r = walk_trie(trie, key, header);
	if (!r) {
		set_plain(process, &trie->sample, &shape);
		shape.entries = shape.capacity = shape.load_limit = trie->entries;
		shape.held = (trie->nodes_read + 1) * trie->node_slot + trie->entries * ENTRY_BYTES;
		shape.largest = key;
		go_extents_clear(&process->extents);
		*ret = shape;
	}
	table_done(&trie->slot_of_page);
	free(trie->nodes);
	free(trie);
	return r;
}
