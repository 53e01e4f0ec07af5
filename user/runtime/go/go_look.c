/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks at many containers at once. A round of 1,000 headers is one gathered read; whatever costs
 * more is done only where it can have changed:
 *
 * - An object found allocated stays so until the heap is swept again, so liveness is asked anew only
 *   after heap.sweepgen has moved on (and then, between deep looks, twice a second).
 * - Arrays are walked on deep looks and when the header points to other ones.
 * - What is in a sync.Map no header tells (a delete changes an entry or a node far below), so it is walked
 *   more often, as far as the time allows that this takes.
 *
 * An address is no identity: after a collection another map may live there. go_container_is_same()
 * knows where one cycle has passed at most; after more it is the same one if its seed is, or its array
 * is; a seed is legitimately drawn anew when a map becomes empty or is cleared (runtime/map.go
 * mapdelete, mapclear; maps.(*Map).Delete, Clear). Where neither tells, what is there is alive, but
 * nothing is proven any more: it may have been emptied, filled and grown, or be another one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/go/go_chan.h"
#include "runtime/go/go_quiet.h"
#include "runtime/go/go_sync_map.h"

#define LOOK_CHUNK       1024
#define HEADER_BYTES     GO_TRIE_NODE_BYTES /* the longest */
#define WALK_CHUNK       128                /* containers read ahead at once */
#define WALK_ATTEMPTS    3
#define SYNC_MAP_REST_NS NSEC_PER_SEC
#define SYNC_MAP_REST    100 /* times what a walk took: 1 % of a CPU for all of them */
#define MAX_DOUBTS       50  /* looks in a row that make no sense: it is no container of ours */

struct look_item {
	uint64_t key;
	struct go_container *container;
	int form; /* enum form */
	struct go_object object;
	uint8_t raw[HEADER_BYTES];
	uint64_t slot_value, hop_value; /* of the root */
	bool parsed;                    /* the header holds possible numbers */
	bool verify, dead;
	union {
		struct go_map_header map;
		struct go_chan_header chan;
		struct go_trie_header trie;
	};
};

/* ---- one family: what a header says ---- */

/* What is at a container's key. */
enum form {
	FORM_ARRAY, /* nothing but elements */
	FORM_MAP,
	FORM_CHANNEL,
	FORM_TRIE,
	FORM_MAX,
};

static const uint32_t header_bytes[FORM_MAX] = {
	[FORM_MAP] = GO_MAP_HEADER_BYTES,
	[FORM_CHANNEL] = GO_CHAN_HEADER_BYTES,
	[FORM_TRIE] = GO_TRIE_NODE_BYTES,
};

static enum form form_of(
	const struct runtime_process *process, const struct go_container *container)
{
	switch (container->family) {
	case FAMILY_MAP:
		return FORM_MAP;
	case FAMILY_CHANNEL:
		return FORM_CHANNEL;
	case FAMILY_SYNC_MAP:
		return go_sync_map_is_trie(process) ? FORM_TRIE : FORM_MAP;
	default:
		return FORM_ARRAY;
	}
}

static bool parse_header(struct runtime_process *process, struct look_item *item)
{
	switch (item->form) {
	case FORM_MAP:
		return go_map_parse(process, item->raw, &item->map);
	case FORM_CHANNEL:
		return go_chan_parse(process, item->container->key, item->raw, &item->chan);
	case FORM_TRIE:
		return go_trie_parse(process, item->raw, &item->trie);
	default:
		return true;
	}
}

static uint64_t stamp_of(const struct look_item *item)
{
	switch (item->form) {
	case FORM_MAP:
		return item->map.stamp;
	case FORM_CHANNEL:
		return item->chan.stamp;
	case FORM_TRIE:
		return item->trie.stamp;
	default:
		return 0;
	}
}

/* Does the header describe the container that we know, as far as a header can? */
static bool same_header(const struct look_item *item)
{
	const struct go_container *container = item->container;

	if (item->form == FORM_MAP)
		return item->map.seed == container->seed || item->map.array == container->array ||
		       !container->length || item->map.clear_seq > container->clear_seq;
	if (item->form == FORM_TRIE)
		return item->trie.first == container->array;
	if (item->form == FORM_CHANNEL)
		return item->chan.ring == container->array &&
		       item->chan.elem_type == container->type;
	return item->object.base == container->base &&
	       item->object.span.elemsize == container->elemsize;
}

/*
 * A map never gives its array back: one without is new, or no map (a slot of zeros looks like one). Within one
 * cycle, too: what was verified may have been the last words of a map in a slot that was taken again and not
 * yet cleared.
 */
static bool lost_array(const struct look_item *item)
{
	return item->form == FORM_MAP && item->parsed && item->container->array && !item->map.array;
}

static enum go_container_same is_same(const struct look_item *item)
{
	enum go_container_same same = go_container_is_same(item->container, &item->object);

	if (lost_array(item))
		return GO_CONTAINER_OTHER;
	if (same != GO_CONTAINER_UNKNOWN)
		return same;
	return same_header(item) ? GO_CONTAINER_SAME : same;
}

/* Is the object at the key of the right kind? */
static bool right_object(struct runtime_process *process, const struct look_item *item)
{
	const struct go_object *object = &item->object;

	if (object->state != GO_OBJECT_ALLOCATED ||
		!go_span_starts_at(process, &object->span, object->addr))
		return false;
	return item->form != FORM_MAP ||
	       (object->span.elemsize == GO_MAP_HEADER_BYTES && !go_span_noscan(&object->span));
}

/* A container that we were only told of: do its arrays agree? */
static bool check_new(struct runtime_process *process, struct look_item *item)
{
	struct go_container *container = item->container;
	const struct go_type *type = go_typecache_get(process, container->type);
	struct go_map_guess guess;
	int r;

	switch (item->form) {
	case FORM_MAP:
		if (!item->map.array)
			return true; /* nothing put in yet */
		r = go_map_check(process, container->key, &item->map, type, &guess);
		if (!r && !container->group_bytes) {
			container->group_bytes = guess.group_bytes;
			go_map_guess_name(
				&guess, container->type_name, sizeof(container->type_name));
		}
		return !r || r == -EAGAIN;
	case FORM_CHANNEL:
		container->type = item->chan.elem_type;
		return !go_chan_check(process, container->key, &item->chan);
	default:
		return true;
	}
}

static void take_header(struct look_item *item)
{
	if (item->form == FORM_MAP)
		go_container_set_map(item->container, &item->map);
	else if (item->form == FORM_TRIE)
		go_container_set_trie(item->container, &item->trie);
	else if (item->form == FORM_CHANNEL)
		go_container_set_channel(item->container, &item->chan);
}

/* ---- is it alive? ---- */

static bool needs_verify(const struct look_item *item, const struct go_gc *gc, bool deep)
{
	const struct go_container *container = item->container;

	if (!container->verified || container->told || container->dead || lost_array(item))
		return true;
	if (container->sweepgen == gc->sweepgen)
		return false;
	return deep || !item->parsed || stamp_of(item) != container->stamp ||
	       clock_mono_ns() - container->verified_ns >= GO_STALE_NS;
}

/*
 * What a header says counts only together with its object: of one that was freed meanwhile it may be the
 * last words. So it is read again after its slot was found allocated.
 */
static int reread_headers(struct runtime_process *process, struct look_item *items, size_t count)
{
	struct target_piece *pieces = xcalloc(count, sizeof(*pieces));
	size_t piece_count = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		struct go_container *container = items[i].container;

		if (items[i].verify && header_bytes[items[i].form])
			pieces[piece_count++] = (struct target_piece){
				container->key, items[i].raw, header_bytes[items[i].form], false};
	}
	r = target_mem_read_pieces(process->mem, pieces, piece_count);
	piece_count = 0;
	for (size_t i = 0; r >= 0 && i < count; i++)
		if (items[i].verify && header_bytes[items[i].form])
			items[i].parsed =
				pieces[piece_count++].done && parse_header(process, &items[i]);
	free(pieces);
	return r < 0 ? r : 0;
}

static int find_objects(struct runtime_process *process, struct look_item *items, size_t count)
{
	struct go_object *objects = xcalloc(count, sizeof(*objects));
	size_t wanted = 0, at = 0;
	int r = 0;

	for (size_t i = 0; i < count; i++)
		if (items[i].verify)
			objects[wanted++].addr = items[i].container->key;
	if (wanted)
		r = go_heap_find_objects(process, objects, wanted);
	for (size_t i = 0; i < count; i++)
		if (items[i].verify)
			items[i].object = objects[at++];
	free(objects);
	return r;
}

/*
 * The program writes while we read: a header that makes no sense is read in the middle of a growth far
 * more often than it is dead. Only the allocator's word is final; nonsense must last.
 */
static void doubt(struct look_item *item)
{
	item->parsed = false;
	if (++item->container->doubts >= MAX_DOUBTS)
		item->dead = true;
}

static void judge(struct runtime_process *process, struct look_item *item)
{
	struct go_container *container = item->container;

	if (container->dead && !container->told) {
		item->dead = true;
		return;
	}
	/* What was known before still stands, but whose header this is nobody knows: it is not taken over. */
	if (item->object.state == GO_OBJECT_UNREAD) {
		item->parsed = false;
		container->unread = true;
		return;
	}
	/* The allocator's word comes first: what has taken its place need not look like a container. */
	if (!right_object(process, item) ||
		(container->verified && !container->told &&
			go_container_is_same(container, &item->object) == GO_CONTAINER_OTHER)) {
		item->dead = true;
		return;
	}
	if (!item->parsed || (!container->verified && !check_new(process, item))) {
		doubt(item);
		return;
	}
	if (container->verified && is_same(item) != GO_CONTAINER_SAME) {
		item->dead = !container->told && is_same(item) == GO_CONTAINER_OTHER;
		if (item->dead)
			return;
		go_container_reset(container);
		if (!check_new(process, item)) {
			doubt(item);
			return;
		}
	}
	container->doubts = 0;
	container->told = false;
	go_container_verify(container, &item->object);
}

/* Most containers that one variable leads to (a slice, a struct) follow each other: it is read once for all. */
static bool same_slot(const struct look_item *items, size_t i)
{
	return i && items[i].container->root.slot == items[i - 1].container->root.slot;
}

/* Does the global variable still lead to it? Asked at every look: a map may be dropped between two. */
static int read_roots(struct runtime_process *process, struct look_item *items, size_t count)
{
	struct target_piece *pieces = xcalloc(2 * count, sizeof(*pieces));
	size_t piece_count = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		const struct go_root *root = &items[i].container->root;

		items[i].slot_value = items[i].hop_value = 0;
		if (!root->slot)
			continue;
		if (!same_slot(items, i))
			pieces[piece_count++] =
				(struct target_piece){root->slot, &items[i].slot_value, 8, false};
		if (root->hop)
			pieces[piece_count++] =
				(struct target_piece){root->hop, &items[i].hop_value, 8, false};
	}
	r = target_mem_read_pieces(process->mem, pieces, piece_count);
	for (size_t i = 0; r >= 0 && i < count; i++) {
		struct go_container *container = items[i].container;
		const struct go_root *root = &container->root;

		if (same_slot(items, i))
			items[i].slot_value = items[i - 1].slot_value;
		if (root->slot)
			container->rooted = items[i].slot_value == root->value &&
					    (root->hop ? items[i].hop_value
						       : items[i].slot_value) == container->key;
	}
	free(pieces);
	return r < 0 ? r : 0;
}

/* ---- what does it hold? ---- */

static int walk_slice(struct runtime_process *process, struct go_container *container)
{
	const struct go_type *elem = go_typecache_get(process, container->type);
	uint64_t usable = container->elemsize - (container->key - container->base);

	container->shape = (struct go_shape){.held = container->elemsize,
		.largest = container->key,
		.group_has_pointers =
			container->family == FAMILY_SLICE && elem && elem->has_pointers,
		.capacity = container->family == FAMILY_BUFFER ? usable
			    : elem && elem->size               ? usable / elem->size
							       : 0};
	go_extents_clear(&process->extents);
	go_extents_add(&process->extents, container->base, container->elemsize, false);
	return 0;
}

static bool needs_walk(
	const struct runtime_process *process, const struct look_item *item, bool deep)
{
	const struct go_container *container = item->container;

	if (deep || !container->walked)
		return true;
	if (container->family == FAMILY_SYNC_MAP)
		return clock_mono_ns() >=
		       MAX(process->sync_map_due_ns, container->walked_ns + SYNC_MAP_REST_NS);
	if (item->form == FORM_MAP)
		return item->map.array != container->walked_array ||
		       go_map_walk_mark(&item->map) != container->walked_count;
	return false;
}

static int walk_once(struct runtime_process *process, struct look_item *item)
{
	struct go_container *container = item->container;
	int r;

	switch (item->form) {
	case FORM_MAP:
		r = go_map_walk(process, container->key, &item->map, container->group_bytes,
			&container->shape);
		if (!r) {
			if (container->family == FAMILY_SYNC_MAP)
				r = go_sync_map_count(process, &item->map, container->group_bytes,
					&container->shape);
			container->walked_array = item->map.array;
			container->walked_count = go_map_walk_mark(&item->map);
		}
		return r;
	case FORM_CHANNEL:
		return go_chan_walk(process, container->key, &item->chan, &container->shape);
	case FORM_TRIE:
		r = go_trie_walk(process, container->key, &item->trie, &container->shape);
		return r == -ENOENT ? -EFAULT : r;
	default:
		return walk_slice(process, container);
	}
}

/* The program goes on meanwhile: where the arrays do not fit the header, it is read again. */
static int walk(struct runtime_process *process, struct look_item *item, bool deep)
{
	uint32_t bytes = header_bytes[item->form];
	bool sync_map = item->container->family == FAMILY_SYNC_MAP;
	uint64_t start_ns = sync_map ? clock_thread_cpu_ns() : 0;
	int r = walk_once(process, item);

	for (int i = 1; i < WALK_ATTEMPTS && r == -EFAULT && bytes; i++) {
		process->mem = process->live;
		if (target_mem_read(process->mem, item->container->key, item->raw, bytes) ||
			!parse_header(process, item))
			break;
		take_header(item);
		r = walk_once(process, item);
	}
	if (sync_map) {
		item->container->walked_ns = clock_mono_ns();
		process->sync_map_due_ns = item->container->walked_ns +
					   SYNC_MAP_REST * (clock_thread_cpu_ns() - start_ns);
	}
	if (r == -EFAULT)
		return 0;
	if (r < 0)
		return r;
	item->container->walked = true;
	if (item->form == FORM_TRIE ||
		(!deep && !sync_map)) /* a trie's parts are too many to be kept */
		return 0;
	return go_container_set_arrays(process, item->container);
}

/*
 * Another look would say the same as long as what go_quiet() asks for is the same. What a sync.Map holds no
 * header tells.
 */
static bool is_quiet(
	const struct runtime_process *process, const struct look_item *item, uint64_t stamp_before)
{
	const struct go_container *container = item->container;

	return item->parsed && container->verified && !container->told && !container->dead &&
	       !container->unread && !container->doubts && container->stamp == stamp_before &&
	       item->form != FORM_TRIE && container->family != FAMILY_SYNC_MAP &&
	       !container->sync_struct && !needs_walk(process, item, false);
}

static int finish(struct runtime_process *process, struct look_item *item, enum family family,
	bool deep, uint64_t length_peak, struct event_look *ret)
{
	struct go_container *container = item->container;
	uint64_t stamp_before = container->stamp;
	int r = 0;

	if (item->dead) {
		*ret = (struct event_look){.family = family, .key = item->key};
		container->dead = true;
		return 0;
	}
	if (item->parsed && container->verified) {
		take_header(item);
		if (needs_walk(process, item, deep))
			r = walk(process, item, deep);
	}
	go_container_fill(process, container, length_peak, ret);
	ret->has_length = ret->has_length && item->parsed;
	if (!r && is_quiet(process, item, stamp_before))
		go_quiet_begin(process, container, item->raw, header_bytes[item->form]);
	return r;
}

/* Reads ahead what walking those of them that need it will ask for. */
static int fetch(
	struct runtime_process *process, const struct look_item *items, size_t count, bool deep)
{
	const struct go_map_header *maps[WALK_CHUNK];
	uint64_t addrs[2 * WALK_CHUNK];
	size_t map_count = 0, addr_count = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		const struct look_item *item = &items[i];

		if (item->dead || !item->parsed || !item->container->verified ||
			!needs_walk(process, item, deep))
			continue;
		if (item->container->family == FAMILY_MAP) {
			maps[map_count++] = &item->map;
		} else if (item->container->family == FAMILY_CHANNEL) {
			addrs[addr_count++] = item->key;
			addrs[addr_count++] = item->chan.ring;
		}
	}
	r = go_fetch_maps(process, maps, map_count, false);
	return r ? r : go_fetch_spans(process, addrs, addr_count);
}

static int finish_all(struct runtime_process *process, enum family family, struct look_item *items,
	size_t count, bool deep, const uint64_t *length_peaks, struct event_look *ret)
{
	int r = 0;

	for (size_t start = 0; start < count && !r; start += WALK_CHUNK) {
		size_t end = MIN(start + WALK_CHUNK, count);

		go_view_open(process);
		r = fetch(process, items + start, end - start, deep);
		for (size_t i = start; i < end && !r; i++) {
			process->mem = process->view;
			r = finish(process, &items[i], family, deep,
				length_peaks ? length_peaks[i] : 0, &ret[i]);
		}
		go_view_close(process);
	}
	return r;
}

/* ---- many ---- */

static int read_headers(struct runtime_process *process, struct look_item *items, size_t count)
{
	struct target_piece *pieces = xcalloc(count, sizeof(*pieces));
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		struct go_container *container = items[i].container;

		pieces[i] = (struct target_piece){
			container->key, items[i].raw, header_bytes[items[i].form], false};
	}
	if (pieces[0].bytes)
		r = target_mem_read_pieces(process->mem, pieces, count);
	for (size_t i = 0; i < count; i++)
		items[i].parsed =
			(!pieces[i].bytes || pieces[i].done) && parse_header(process, &items[i]);
	free(pieces);
	return r < 0 ? r : 0;
}

/*
 * Who is asked before whom matters: a variable that led to an address leads to the container that was there
 * before and is still there after. One asked last may lead to what has taken its place.
 */
static int look_chunk(struct runtime_process *process, enum family family, struct look_item *items,
	size_t count, bool deep, const uint64_t *length_peaks, struct event_look *ret)
{
	struct go_gc gc;
	int r = read_roots(process, items, count);

	if (!r)
		r = go_heap_read_gc(process, &gc);
	if (!r)
		r = read_headers(process, items, count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		items[i].verify = needs_verify(&items[i], &gc, deep);
	r = find_objects(process, items, count);
	if (!r)
		r = reread_headers(process, items, count);
	for (size_t i = 0; !r && i < count; i++) {
		items[i].container->unread = false;
		if (items[i].verify)
			judge(process, &items[i]);
		if (!items[i].parsed)
			items[i].container->rooted = false;
	}
	return r ? r : finish_all(process, family, items, count, deep, length_peaks, ret);
}

/* What is only valid after it was read (raw, object, the header) is left as it is: 1,000 items are 450 KB. */
static void begin_item(struct look_item *item, const struct runtime_process *process,
	struct go_container *container)
{
	item->key = container->key;
	item->container = container;
	item->form = form_of(process, container);
	item->slot_value = item->hop_value = 0;
	item->parsed = item->verify = item->dead = false;
}

int go_look(struct runtime_process *process, enum family family, const uint64_t *keys,
	const uint64_t *types, const uint64_t *length_peaks, size_t count, bool deep,
	struct event_look *ret)
{
	struct look_item *items = process->look_items;
	int r = family > FAMILY_NONE && family < FAMILY_MAX ? 0 : -EINVAL;

	if (!items)
		items = process->look_items = xcalloc(LOOK_CHUNK, sizeof(*items));
	for (size_t start = 0; !r && start < count; start += LOOK_CHUNK) {
		size_t part = MIN(count - start, (size_t)LOOK_CHUNK);
		uint64_t now_ns = clock_mono_ns();

		for (size_t i = 0; i < part; i++)
			begin_item(&items[i], process,
				go_container_make(process, family, keys[start + i],
					types ? types[start + i] : 0, now_ns));
		r = look_chunk(process, family, items, part, deep,
			length_peaks ? length_peaks + start : NULL, ret + start);
	}
	return r;
}
