/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Census: every map and channel of a Go heap, from outside, while the program runs.
 *
 * A map's header is an object of its own, 48 bytes with pointers; a channel's too (one slot with its
 * ring, or of the header's size class). So all slots of those classes are read, numbers that cannot
 * be filter nearly all, the arrays' span slots the rest, and what is left must be confirmed by its
 * arrays (go_map_check(), go_chan_check()) and be allocated. Slots are not asked first whether they
 * are free: that would be torn by the sweeper, and the few that survive are asked anyway.
 *
 * runtime/mheap.go: mheap.allspans lists every mspan there is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "runtime/go/go_arrays.h"
#include "runtime/go/go_census.h"
#include "runtime/go/go_chan.h"
#include "runtime/go/go_map_layout.h"
#include "runtime/go/go_placed.h"
#include "runtime/go/go_sync_map.h"

#define SPAN_BATCH       CENSUS_SPAN_BATCH
#define WHOLE_SLOTS      4096 /* larger slots: only their first bytes are read */
#define CHECK_BATCH      256
#define BATCH_PAGES      256 /* pages that one batch of candidates may read, roughly */
#define TABLE_PAGES      5   /* a Swiss table of 1,024 slots of 16 bytes */
#define TABLES_PER_PAGE  128
#define ENTRIES_PER_PAGE 64
#define MAX_ARRAY_PAGES  8
#define CHECK_ATTEMPTS   8
#define MAX_PAUSES       48 /* 0.4 s in all: a thread may be off its CPU for so long */
#define PAUSES_ALIKE     8  /* then twice as long, from the first to the last */
#define FIRST_PAUSE_NS   (1 * NSEC_PER_MSEC)
#define LAST_PAUSE_NS    (16 * NSEC_PER_MSEC)
#define EMIT_BATCH       128            /* finds that are looked at again at once */
#define MAX_PROFILED     1024           /* arrays of one container that are asked for their stack */
#define MAX_TABLE_BYTES  (264ull << 10) /* 128 groups of at most 2,056 bytes, as allocated */

struct candidate {
	enum family family;
	uint64_t key;
	union {
		struct go_map_header map;
		struct go_chan_header chan;
		struct go_trie_header trie;
	};
};

struct candidates {
	struct candidate *list;
	size_t count, capacity;
};

static void census_end_slice(struct census *census)
{
	uint64_t now_ns = clock_mono_ns();
	uint64_t slice_ns = now_ns - census->slice_ns;

	census->stats.longest_slice_ns = MAX(census->stats.longest_slice_ns, slice_ns);
	census->slice_ns = now_ns;
}

int census_progress(struct census *census, uint64_t bytes)
{
	const struct runtime_census_options *options = census->options;

	census_end_slice(census);
	census->done += bytes;
	census->stats.bytes += bytes;
	if (options->deadline_ns && clock_mono_ns() >= options->deadline_ns)
		return -ETIME;
	if (options->progress &&
		options->progress(MIN(census->done, census->total), census->total, options->arg))
		return -EINTR;
	return 0;
}

/* False where there was no more. Who wants to stop is heard by the next slice. */
static bool make_pause(struct census *census)
{
	uint64_t pause_ns;

	if (census->pauses == MAX_PAUSES || census_progress(census, 0))
		return false;
	pause_ns = FIRST_PAUSE_NS << census->pauses / PAUSES_ALIKE;
	census->pauses++;
	nanosleep(&(struct timespec){.tv_nsec = (long)MIN(pause_ns, LAST_PAUSE_NS)}, NULL);
	census->slice_ns = clock_mono_ns(); /* the target was left alone */
	return true;
}

int census_find_objects(struct census *census, struct go_object *objects, size_t count)
{
	int r = go_heap_find_objects(census->process, objects, count);

	for (size_t i = 0; i < count; i++)
		while (!r && objects[i].state == GO_OBJECT_UNREAD && make_pause(census))
			r = go_heap_find_objects(census->process, &objects[i], 1);
	return r;
}

/* Reads pages gathered so far; zeros where one is not present. */
static int read_pages(struct census *census)
{
	int r = target_mem_read_pieces(
		census->process->mem, census->pages, census->page_piece_count);

	for (size_t i = 0; r >= 0 && i < census->page_piece_count; i++)
		if (!census->pages[i].done)
			memset(census->pages[i].buf, 0, census->pages[i].bytes);
	census->page_piece_count = 0;
	return r < 0 ? r : 0;
}

static int add_pages(struct census *census, const struct target_piece *piece)
{
	uint64_t end = piece->addr + piece->bytes, next;
	int r = 0;

	for (uint64_t at = piece->addr; at < end && !r; at = next) {
		next = MIN((at / TARGET_PAGE_BYTES + 1) * TARGET_PAGE_BYTES, end);
		census->pages[census->page_piece_count++] = (struct target_piece){at,
			(uint8_t *)piece->buf + (at - piece->addr), (uint32_t)(next - at), false};
		if (census->page_piece_count == CENSUS_PAGES)
			r = read_pages(census);
	}
	return r;
}

int census_read(struct census *census, struct target_piece *pieces, size_t count)
{
	int r = 0;

	for (size_t i = 0; !r && i < count; i++)
		r = add_pages(census, &pieces[i]);
	return r ? r : read_pages(census);
}

/* ---- candidates ---- */

/* Bytes of the slot that starts at addr (or 8 bytes before it, behind a malloc header), 0 = none. */
static uint64_t slot_bytes(const struct census *census, uint64_t addr)
{
	const struct census_span *span = census_find_span(census, addr);
	uint64_t skip;

	if (!span)
		return 0;
	skip = (addr - span->start) % span->elemsize;
	return skip == 0 || skip == GO_MALLOC_HEADER ? span->elemsize : 0;
}

/* Do the slots that a header points to have possible sizes, and do they reach the floor? */
static bool map_possible(const struct census *census, const struct go_map_header *header)
{
	uint64_t bytes = header->array ? slot_bytes(census, header->array) : 0;

	if (!bytes)
		return false;
	if (header->tables)
		return header->tables * 8 <= bytes &&
		       header->tables * MAX_TABLE_BYTES >= census->options->floor_bytes;
	if (header->extra ? slot_bytes(census, header->extra) != GO_MAP_EXTRA_BYTES
			  : header->b >= GO_MAP_EXTRA_B)
		return false;
	if (header->old)
		bytes += slot_bytes(census, header->old);
	/* Overflow buckets are outside; a map rarely has as many of them as buckets. */
	return 2 * bytes + GO_MAP_HEADER_BYTES >= census->options->floor_bytes;
}

static void add_candidate(struct candidates *candidates, const struct candidate *candidate)
{
	array_reserve(candidates->list, candidates->count, candidates->capacity);
	candidates->list[candidates->count++] = *candidate;
}

static void try_map(struct census *census, uint64_t key, const uint8_t *raw, struct candidates *ret)
{
	struct go_map_header header;

	if (go_map_parse_numbers(census->process, raw, &header) && map_possible(census, &header))
		add_candidate(
			ret, &(struct candidate){.family = FAMILY_MAP, .key = key, .map = header});
}

static void try_channel(
	struct census *census, uint64_t key, const uint8_t *raw, struct candidates *ret)
{
	struct go_chan_header header;

	if (go_chan_parse(census->process, key, raw, &header))
		add_candidate(ret,
			&(struct candidate){.family = FAMILY_CHANNEL, .key = key, .chan = header});
}

/*
 * All that hangs at a root are nodes and entries, or lies in a span that is newer than our list of them. Other
 * objects of a node's size are many.
 */
static bool trie_possible(const struct census *census, const struct go_trie_header *header)
{
	bool known = false;

	for (int i = 0; i < GO_TRIE_CHILDREN; i++) {
		uint64_t bytes = header->children[i] ? slot_bytes(census, header->children[i]) : 0;

		if (bytes && bytes != census->trie_bytes && bytes != GO_TRIE_ENTRY_BYTES)
			return false;
		known |= bytes != 0;
	}
	return known;
}

static void try_trie(
	struct census *census, uint64_t key, const uint8_t *raw, struct candidates *ret)
{
	struct candidate candidate = {.family = FAMILY_SYNC_MAP, .key = key};

	if (go_trie_parse(census->process, raw, &candidate.trie) &&
		trie_possible(census, &candidate.trie))
		add_candidate(ret, &candidate);
}

/*
 * Since Go 1.22 a pointerful object of more than 512 bytes begins with its type (runtime/mbitmap.go
 * heapSetTypeSmallHeader()); in a free slot an old one may be left. Which of them are arrays is found later.
 */
static void try_typed(
	struct census *census, uint64_t key, const uint8_t *raw, struct candidates *ret)
{
	const struct go_facts *facts = &census->process->facts;
	uint64_t type;

	(void)ret;
	memcpy(&type, raw, sizeof(type));
	if (type < facts->types || type >= facts->etypes || census->typed_count == CENSUS_MAX_TYPED)
		return;
	array_reserve(census->typed, census->typed_count, census->typed_capacity);
	census->typed[census->typed_count++] = (struct census_typed){key, type};
}

typedef void try_fn(
	struct census *census, uint64_t key, const uint8_t *raw, struct candidates *ret);

static bool has_types(const struct census *census, const struct census_span *span)
{
	return census->options->arrays && census->process->facts.layout.malloc_headers &&
	       !(span->class & 1) && span->class >> 1 && span->elemsize > GO_MALLOC_HEADER_FROM;
}

/* What can start in the slots of a span, if anything. */
static try_fn *span_try(const struct census *census, const struct census_span *span)
{
	bool noscan = span->class & 1;
	uint64_t channel = census->channel_bytes;

	if (!noscan && span->elemsize == GO_MAP_HEADER_BYTES)
		return try_map;
	if (!noscan && span->elemsize == census->trie_bytes)
		return try_trie;
	if (!noscan && span->elemsize == channel)
		return try_channel;
	if (noscan && span->elemsize >= channel && span->elemsize >= census->options->floor_bytes)
		return try_channel;
	if (has_types(census, span))
		return try_typed;
	return NULL;
}

static void try_slots(struct census *census, const struct census_span *span, try_fn *try,
	const uint8_t *bytes, struct candidates *ret)
{
	for (uint32_t i = 0; i < span->nelems; i++)
		try(census, span->start + i * span->elemsize, bytes + i * span->elemsize, ret);
	census->stats.objects += span->nelems;
}

/* Spans of small slots, many in one gathered read. */
static int scan_small(struct census *census, const struct census_span **spans, size_t count,
	struct candidates *ret)
{
	struct target_piece pieces[SPAN_BATCH];
	uint64_t bytes = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		uint32_t span_bytes = spans[i]->pages * (uint32_t)GO_PAGE_BYTES;

		pieces[i] = (struct target_piece){
			spans[i]->start, census->buffer + bytes, span_bytes, false};
		bytes += span_bytes;
	}
	r = census_read(census, pieces, count);
	for (size_t i = 0; !r && i < count; i++)
		try_slots(census, spans[i], span_try(census, spans[i]), pieces[i].buf, ret);
	return r ? r : census_progress(census, bytes);
}

/* First bytes of slots too large to be read whole: a channel with its ring, or a type. */
static int scan_heads(struct census *census, const uint64_t *keys, try_fn *const *tries,
	size_t count, struct candidates *ret)
{
	struct target_piece pieces[SPAN_BATCH];
	uint8_t(*raw)[GO_CHAN_HEADER_BYTES] = (void *)census->buffer;
	int r;

	for (size_t i = 0; i < count; i++)
		pieces[i] = (struct target_piece){keys[i], raw[i], GO_CHAN_HEADER_BYTES, false};
	r = target_mem_read_pieces(census->process->mem, pieces, count);
	for (size_t i = 0; r >= 0 && i < count; i++)
		if (pieces[i].done)
			tries[i](census, keys[i], raw[i], ret);
	census->stats.objects += count;
	return r < 0 ? r : census_progress(census, count * GO_CHAN_HEADER_BYTES);
}

static bool is_read_whole(const struct census_span *span)
{
	return span->elemsize < WHOLE_SLOTS &&
	       span->pages * GO_PAGE_BYTES <= CENSUS_SLICE_BYTES / 4;
}

static enum census_scan choose_scan(const struct census *census, const struct census_span *span)
{
	if (!span_try(census, span))
		return CENSUS_SKIP;
	return is_read_whole(span) ? CENSUS_WHOLE : CENSUS_HEADS;
}

static int scan_large(struct census *census, const struct census_span **spans, size_t span_count,
	struct candidates *ret)
{
	uint64_t keys[SPAN_BATCH];
	try_fn *tries[SPAN_BATCH];
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < span_count && !r; i++) {
		const struct census_span *span = spans[i];
		try_fn *try = span_try(census, span);

		for (uint32_t slot = 0; slot < span->nelems && !r; slot++) {
			tries[count] = try;
			keys[count++] = span->start + slot * span->elemsize;
			if (count < SPAN_BATCH)
				continue;
			r = scan_heads(census, keys, tries, count, ret);
			count = 0;
		}
	}
	return r ? r : scan_heads(census, keys, tries, count, ret);
}

static int scan_spans(struct census *census, struct candidates *ret)
{
	const struct census_span *batch[SPAN_BATCH], **large = NULL, *span;
	size_t cursor = 0, count = 0, large_count = 0, large_capacity = 0;
	uint64_t bytes = 0;
	int r = 0;

	while (!r && (span = census_next_span(census, &cursor))) {
		uint64_t span_bytes = span->pages * GO_PAGE_BYTES;

		if (span->scan == CENSUS_HEADS) {
			array_reserve(large, large_count, large_capacity);
			large[large_count++] = span;
		}
		if (span->scan != CENSUS_WHOLE)
			continue;
		if (count == SPAN_BATCH || bytes + span_bytes > CENSUS_SLICE_BYTES) {
			r = scan_small(census, batch, count, ret);
			count = bytes = 0;
		}
		batch[count++] = span;
		bytes += span_bytes;
	}
	if (!r)
		r = scan_small(census, batch, count, ret);
	if (!r)
		r = scan_large(census, large, large_count, ret);
	free(large);
	return r;
}

/* ---- confirmation ---- */

/* A candidate is a map, a channel, or the root of a trie. */
static bool is_trie(const struct census *census, const struct candidate *candidate)
{
	return candidate->family == FAMILY_SYNC_MAP && go_sync_map_is_trie(census->process);
}

/* Reads a candidate's header again; false where it is none any more. */
static bool reread(struct census *census, struct candidate *candidate)
{
	struct runtime_process *process = census->process;
	uint8_t raw[MAX(GO_CHAN_HEADER_BYTES, GO_TRIE_NODE_BYTES)];
	bool trie = is_trie(census, candidate), channel = candidate->family == FAMILY_CHANNEL;

	if (target_mem_read(process->mem, candidate->key, raw,
		    trie      ? GO_TRIE_NODE_BYTES
		    : channel ? GO_CHAN_HEADER_BYTES
			      : GO_MAP_HEADER_BYTES))
		return false;
	if (trie)
		return go_trie_parse(process, raw, &candidate->trie);
	return channel ? go_chan_parse(process, candidate->key, raw, &candidate->chan)
		       : go_map_parse(process, raw, &candidate->map);
}

/*
 * The view is good for the first attempt. A map that is written to all the time never agrees with
 * itself: then its structure must do.
 */
static int confirm_map(struct census *census, struct candidate *candidate, struct go_map_guess *ret)
{
	struct runtime_process *process = census->process;
	int r = go_map_check(process, candidate->key, &candidate->map, NULL, ret);

	for (int i = 1; i < CHECK_ATTEMPTS && r == -EAGAIN; i++) {
		process->mem = process->live;
		if (!reread(census, candidate))
			return -ENOENT;
		r = go_map_check(process, candidate->key, &candidate->map, NULL, ret);
	}
	return r == -EAGAIN ? 0 : r;
}

static int walk_form(struct census *census, struct candidate *candidate,
	const struct go_map_guess *guess, struct go_shape *ret)
{
	struct runtime_process *process = census->process;
	int r;

	if (is_trie(census, candidate))
		return go_trie_walk(process, candidate->key, &candidate->trie, ret);
	if (candidate->family == FAMILY_CHANNEL)
		return go_chan_walk(process, candidate->key, &candidate->chan, ret);
	r = go_map_walk(process, candidate->key, &candidate->map, guess->group_bytes, ret);
	if (!r && candidate->family == FAMILY_SYNC_MAP)
		r = go_sync_map_count(process, &candidate->map, guess->group_bytes, ret);
	return r;
}

static int walk_candidate(struct census *census, struct candidate *candidate,
	const struct go_map_guess *guess, struct go_shape *ret)
{
	struct runtime_process *process = census->process;
	int r = -EFAULT;

	for (int i = 0; i < CHECK_ATTEMPTS && r == -EFAULT; i++) {
		if (i) {
			process->mem = process->live;
			if (!reread(census, candidate))
				return -EFAULT;
		}
		r = walk_form(census, candidate, guess, ret);
	}
	return r;
}

bool census_find_stack(struct census *census, uint64_t addr, uint64_t ret_pcs[CENSUS_PCS])
{
	return census->has_profile ? go_profile_find_stack(census->process, addr, ret_pcs)
				   : go_placed_find_stack(census->process, addr, ret_pcs);
}

/*
 * The stack of the largest array, or of any: of a Swiss map's many tables few are sampled. Its extents hold
 * small objects, too (tables, directory), which say nothing of where the map grew.
 */
static void find_stack(struct census *census, uint64_t largest, uint64_t *ret_pcs)
{
	const struct go_extents *extents = &census->process->extents;
	int asked = 0;

	if (largest && census_find_stack(census, largest, ret_pcs))
		return;
	for (size_t i = 0; i < extents->count && asked < MAX_PROFILED; i++) {
		if (extents->list[i].bytes <= GO_MALLOC_HEADER_FROM)
			continue;
		asked++;
		if (census_find_stack(census, extents->list[i].start, ret_pcs))
			return;
	}
}

/* Another container was known at this address, or may have been: what was proven of it says nothing here. */
static void forget_other(struct census *census, struct go_container *container,
	const struct candidate *candidate, const struct go_object *object)
{
	enum go_container_same same = go_container_is_same(container, object);
	bool trie = is_trie(census, candidate), channel = candidate->family == FAMILY_CHANNEL;

	if (!container->verified || object->state != GO_OBJECT_ALLOCATED)
		return;
	if (same == GO_CONTAINER_UNKNOWN)
		same = (trie             ? candidate->trie.first == container->array
			       : channel ? candidate->chan.ring == container->array
					 : candidate->map.seed == container->seed)
			       ? GO_CONTAINER_SAME
			       : GO_CONTAINER_OTHER;
	if (same == GO_CONTAINER_OTHER)
		go_container_reset(container);
}

static void remember(struct census *census, const struct candidate *candidate,
	const struct go_object *object, const struct go_map_guess *guess,
	const struct go_shape *shape)
{
	struct runtime_process *process = census->process;
	uint64_t type = candidate->family == FAMILY_CHANNEL ? candidate->chan.elem_type
			: guess->type_count == 1            ? guess->types[0]->type + process->slide
							    : 0;
	struct go_container *container = go_container_make(
		process, candidate->family, candidate->key, type, clock_mono_ns());
	struct census_find *find;

	forget_other(census, container, candidate, object);
	if (is_trie(census, candidate)) {
		go_container_set_trie(container, &candidate->trie);
	} else if (candidate->family != FAMILY_CHANNEL) {
		go_container_set_map(container, &candidate->map);
		container->group_bytes = guess->group_bytes;
		go_map_guess_name(guess, container->type_name, sizeof(container->type_name));
	} else {
		go_container_set_channel(container, &candidate->chan);
	}
	container->shape = *shape;
	container->walked = true;
	container->walked_ns = clock_mono_ns();
	container->walked_array = container->array;
	container->walked_count = candidate->family == FAMILY_CHANNEL || is_trie(census, candidate)
					  ? 0
					  : go_map_walk_mark(&candidate->map);
	if (object->state == GO_OBJECT_ALLOCATED)
		go_container_verify(container, object);
	if (!is_trie(census, candidate))
		go_container_set_arrays(process, container);
	array_reserve(census->finds, census->find_count, census->find_capacity);
	find = &census->finds[census->find_count++];
	*find = (struct census_find){
		.family = candidate->family, .key = candidate->key, .guess = *guess};
	if (census->has_profile || process->placed)
		find_stack(census, shape->largest, find->site_pcs);
}

/* The walk of a trie tells whether it is one. */
static int confirm_form(
	struct census *census, struct candidate *candidate, struct go_map_guess *ret)
{
	const struct go_type *type;
	int r;

	if (candidate->family == FAMILY_SYNC_MAP)
		return 0;
	if (candidate->family == FAMILY_CHANNEL)
		return go_chan_check(census->process, candidate->key, &candidate->chan);
	r = confirm_map(census, candidate, ret);
	type = r ? NULL : go_sync_map_find_type(census->process, &candidate->map, ret);
	if (type) {
		candidate->family = FAMILY_SYNC_MAP;
		ret->types[0] = type;
		ret->type_count = 1;
	}
	return r;
}

/*
 * A slot is taken first and cleared then: in between, and a thread may be stopped there, it still shows the
 * map that was freed. Another map would have drawn another seed.
 */
static bool is_last_words(const struct census *census, const struct candidate *candidate,
	const struct go_object *object)
{
	const struct go_container *container = go_container_find(census->process, candidate->key);

	return container && container->verified && container->family == candidate->family &&
	       candidate->family != FAMILY_CHANNEL && !is_trie(census, candidate) &&
	       object->state == GO_OBJECT_ALLOCATED &&
	       go_container_is_same(container, object) == GO_CONTAINER_OTHER &&
	       candidate->map.seed == container->seed;
}

static int confirm(
	struct census *census, struct candidate *candidate, const struct go_object *object)
{
	bool map = candidate->family == FAMILY_MAP;
	struct go_map_guess guess = {};
	struct go_shape shape = {};
	uint64_t seen;
	int r;

	/* Read again: of an object that was freed and taken since the scan, its old bytes say nothing */
	if (object->state == GO_OBJECT_NONE || object->state == GO_OBJECT_FREE ||
		!reread(census, candidate) || is_last_words(census, candidate, object))
		return 0;
	if (map && table_get(&census->array_seen, candidate->map.array, &seen))
		return 0;
	r = confirm_form(census, candidate, &guess);
	if (!r)
		r = walk_candidate(census, candidate, &guess, &shape);
	if (r == -ENOENT || r == -EFAULT)
		return 0;
	if (r < 0)
		return r;
	if (map)
		table_set(&census->array_seen, candidate->map.array, 1);
	census->stats.containers++;
	census->stats.maps += candidate->family != FAMILY_CHANNEL;
	census->stats.channels += candidate->family == FAMILY_CHANNEL;
	if (shape.held >= MAX(census->options->floor_bytes, census->options->keep_bytes))
		remember(census, candidate, object, &guess, &shape);
	return 0;
}

/* Reads ahead what confirming a batch will ask for. */
static int fetch_batch(struct census *census, const struct candidate *list, size_t count)
{
	const struct go_map_header *maps[CHECK_BATCH];
	uint64_t addrs[2 * CHECK_BATCH];
	size_t map_count = 0, addr_count = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		if (list[i].family == FAMILY_MAP) {
			maps[map_count++] = &list[i].map;
			continue;
		}
		addrs[addr_count++] = list[i].key;
		addrs[addr_count++] = list[i].chan.ring;
	}
	r = go_fetch_maps(census->process, maps, map_count, true);
	return r ? r : go_fetch_spans(census->process, addrs, addr_count);
}

static int confirm_batch(struct census *census, struct candidate *list, size_t count)
{
	struct runtime_process *process = census->process;
	struct go_object objects[CHECK_BATCH];
	int r;

	for (size_t i = 0; i < count; i++)
		objects[i].addr = list[i].key;
	r = census_find_objects(census, objects, count);
	if (r)
		return r;
	go_view_open(process);
	r = fetch_batch(census, list, count);
	for (size_t i = 0; i < count && !r; i++) {
		process->mem = process->view;
		r = confirm(census, &list[i], &objects[i]);
	}
	go_view_close(process);
	return r;
}

/* Pages that confirming a candidate may read: roughly, so that a batch takes a slice's time. */
static uint64_t weigh(const struct census *census, const struct candidate *candidate)
{
	if (candidate->family != FAMILY_MAP)
		return 1;
	if (candidate->map.tables)
		return 1 + candidate->map.tables / TABLES_PER_PAGE +
		       MIN(MIN(candidate->map.tables, (uint64_t)CHECKED_TABLES) * TABLE_PAGES,
			       candidate->map.length / ENTRIES_PER_PAGE);
	return 1 + MIN(slot_bytes(census, candidate->map.array) / TARGET_PAGE_BYTES,
			   (uint64_t)MAX_ARRAY_PAGES);
}

static int confirm_all(struct census *census, struct candidates *candidates)
{
	int r = 0;

	for (size_t start = 0, end = 0; start < candidates->count && !r; start = end) {
		uint64_t weight = 0;

		while (end < candidates->count && end - start < CHECK_BATCH &&
			(end == start || weight < BATCH_PAGES))
			weight += weigh(census, &candidates->list[end++]);
		r = confirm_batch(census, candidates->list + start, end - start);
		if (!r)
			r = census_progress(census, 0);
	}
	return r;
}

/* ---- report ---- */

/* A field's type is taken over where it is a map type whose groups have the size that we found. */
static bool owner_type_fits(struct census *census, const struct census_find *find)
{
	const struct go_type *type = go_typecache_get(census->process, find->owner_type);

	return find->family == FAMILY_MAP && type && type->group_size == find->guess.group_bytes;
}

/*
 * Where it is to be asked for whether it is rooted: by a look, for since the container was confirmed another
 * object may have come to its address. A root that was found earlier stays.
 */
static void set_root(
	struct census *census, struct go_container *container, const struct census_owner *owner)
{
	bool hop = owner->hop_global && census_is_pointer(census, owner->slot);

	if (owner->global)
		container->root = (struct go_root){.slot = owner->global, .value = container->key};
	else if (hop)
		container->root = (struct go_root){.slot = owner->hop_global,
			.value = owner->hop_value,
			.hop = owner->slot->addr};
}

static bool any_unread(struct runtime_process *process, const uint64_t *keys, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct go_container *container = go_container_find(process, keys[i]);

		if (container && container->unread)
			return true;
	}
	return false;
}

/* Are they still what was confirmed, and rooted? More may have been found than are remembered. */
static int look_again(struct census *census, const struct census_find *finds, size_t count)
{
	struct runtime_process *process = census->process;
	struct event_look looks[EMIT_BATCH];
	uint64_t keys[EMIT_BATCH];
	int r = 0;

	for (enum family family = FAMILY_NONE + 1; family < FAMILY_MAX && !r; family++) {
		size_t wanted = 0;

		for (size_t i = 0; i < count; i++) {
			if (finds[i].family != family)
				continue;
			set_root(census,
				go_container_make(
					process, family, finds[i].key, 0, clock_mono_ns()),
				&finds[i].owner);
			keys[wanted++] = finds[i].key;
		}
		if (!wanted)
			continue;
		do
			r = go_look(process, family, keys, NULL, NULL, wanted, false, looks);
		while (!r && any_unread(process, keys, wanted) && make_pause(census));
		/* Whoever asks whether they are quiet has not seen these looks. */
		for (size_t i = 0; i < wanted; i++)
			go_quiet_end(process, go_container_find(process, keys[i]));
	}
	return r;
}

static void take_iterators(
	struct census *census, const struct census_find *find, struct runtime_iterators *ret)
{
	const struct census_iterators *iterators = &find->iterators;
	struct go_extents *extents = &census->process->extents;
	uint64_t old;

	ret->event.on_heap = iterators->on_heap;
	ret->event.on_stacks = iterators->on_stacks;
	ret->event.others = iterators->others;
	ret->event.stamp = iterators->stamp;
	ret->event.old_bytes = iterators->array_bytes;
	memcpy(ret->site_pcs, iterators->pcs, sizeof(ret->site_pcs));
	if (!iterators->array_bytes)
		return;
	go_extents_clear(extents);
	go_extents_add(extents, iterators->array, iterators->array_bytes, false);
	go_extents_read_resident(
		census->process->mem, extents, &ret->event.old_resident_bytes, &old);
}

static void emit(struct census *census, const struct census_find *find,
	void (*found)(const struct runtime_container *container, void *arg))
{
	struct runtime_process *process = census->process;
	struct runtime_container out = {.family = find->family, .key = find->key};
	struct go_container *container = go_container_find(process, find->key);
	uint64_t tagged;

	if (!container || container->dead)
		return;
	census_name_owner(census, find, out.owner, sizeof(out.owner));
	if (!container->type && owner_type_fits(census, find))
		go_container_make(
			process, find->family, find->key, find->owner_type, clock_mono_ns());
	tagged = container->type | (uint64_t)find->family << GO_TYPE_FAMILY_SHIFT;
	out.type = container->type ? tagged : 0;
	go_typecache_name(process, out.type, out.type_name, sizeof(out.type_name));
	if (!out.type_name[0])
		text_copy(out.type_name, sizeof(out.type_name), container->type_name);
	go_container_fill(process, container, 0, &out.look);
	memcpy(out.site_pcs, find->site_pcs, sizeof(out.site_pcs));
	take_iterators(census, find, &out.iterators);
	found(&out, census->options->found_arg);
}

static int emit_all(
	struct census *census, void (*found)(const struct runtime_container *container, void *arg))
{
	int r = 0;

	for (size_t start = 0; start < census->find_count && !r; start += EMIT_BATCH) {
		size_t count = MIN(census->find_count - start, (size_t)EMIT_BATCH);

		r = look_again(census, census->finds + start, count);
		for (size_t i = start; i < start + count && !r; i++) {
			emit(census, &census->finds[i], found);
			census_end_slice(census);
		}
	}
	return r;
}

static void add_work(struct census *census)
{
	for (size_t i = 0; i < census->span_count; i++) { /* in any order */
		struct census_span *span = &census->spans[i];
		uint64_t bytes = span->pages * GO_PAGE_BYTES;

		census->stats.heap_objects += span->nelems;
		span->scan = choose_scan(census, span);
		if (span->scan == CENSUS_WHOLE)
			census->total += bytes;
		if (census->options->find_owners && !(span->class & 1))
			census->total += bytes;
	}
}

int go_census(struct runtime_process *process, const struct runtime_census_options *options,
	void (*found)(const struct runtime_container *container, void *arg),
	struct runtime_census_stats *ret_stats)
{
	struct census census = {.process = process, .options = options};
	uint64_t start_ns = clock_mono_ns();
	const struct go_type *types;
	struct candidates candidates = {};
	int r;

	census.buffer = xcalloc(1, CENSUS_SLICE_BYTES + GO_PAGE_BYTES);
	census.channel_bytes =
		go_size_alloc(&process->facts, process->facts.layout.chan_header, false);
	if (go_sync_map_is_trie(process))
		census.trie_bytes = go_size_alloc(&process->facts, GO_TRIE_NODE_BYTES, true);
	census.has_profile = go_profile_enabled(process);
	go_typecache_maps(
		process, &types); /* the parser's work, not the target's: before the first slice */
	census.slice_ns = clock_mono_ns();
	r = census_read_spans(&census);
	if (!r) {
		add_work(&census);
		r = scan_spans(&census, &candidates);
	}
	if (!r)
		r = confirm_all(&census, &candidates);
	if (!r)
		r = census_find_arrays(&census);
	if (!r && options->find_owners)
		r = census_find_owners(&census);
	if (!r && options->find_owners)
		census_find_sync_structs(&census);
	census.stats.complete = r == 0;
	if (r == -EINTR || r == -ETIME) /* what was found until then is still true */
		r = 0;
	if (!r)
		r = emit_all(&census, found);
	census.stats.duration_ns = clock_mono_ns() - start_ns;
	if (!r)
		*ret_stats = census.stats;
	table_done(&census.array_seen);
	free(candidates.list);
	free(census.finds);
	free(census.typed);
	free(census.page_span);
	free(census.spans);
	free(census.buffer);
	return r;
}
