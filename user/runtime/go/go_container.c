/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Containers that are remembered between looks, and the proof that one is alive.
 *
 * An object that was there before a collection started and is allocated after it ended was found
 * reachable by it. So the first look notes the first cycle that can prove it: the next one, or,
 * while marking is going on (objects made then are born marked), the one after. Completed cycles are
 * counted by heap.sweepgen / 2: gcSweep() adds 2 at the end of each cycle's mark termination.
 *
 * Allocated is not enough: a slot that a cycle freed may hold the next object already, with the old one's
 * bytes still in it. What has survived a cycle has its bit (go_object.survived).
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/go/go_chan.h"
#include "runtime/go/go_quiet.h"
#include "runtime/go/go_sync_map.h"

struct go_container *go_container_find(struct runtime_process *process, uint64_t key)
{
	uint64_t index;

	return table_get(&process->container_of, key, &index) ? process->containers[index] : NULL;
}

void go_container_remove(struct runtime_process *process, struct go_container *container)
{
	uint64_t index;

	if (!table_get(&process->container_of, container->key, &index))
		return;
	go_quiet_forget(process, container);
	table_remove(&process->container_of, container->key);
	process->containers[index] = process->containers[--process->container_count];
	if (index < process->container_count)
		table_set(&process->container_of, process->containers[index]->key, index);
	free(container);
}

static uint64_t last_ns(const struct runtime_process *process, const struct go_container *container)
{
	return MAX(container->looked_ns, go_quiet_asked_ns(process, container));
}

static void evict_oldest(struct runtime_process *process)
{
	struct go_container *oldest = process->containers[0];

	for (size_t i = 1; i < process->container_count; i++)
		if (last_ns(process, process->containers[i]) < last_ns(process, oldest))
			oldest = process->containers[i];
	go_container_remove(process, oldest);
}

struct go_container *go_container_make(struct runtime_process *process, enum family family,
	uint64_t key, uint64_t type, uint64_t now_ns)
{
	struct go_container *container = go_container_find(process, key);
	const struct go_type *known;

	if (container && container->family != family) {
		go_container_remove(process, container);
		container = NULL;
	}
	if (!container) {
		if (process->container_count >= GO_MAX_CONTAINERS)
			evict_oldest(process);
		container = xcalloc(1, sizeof(*container));
		container->family = family;
		container->key = key;
		array_reserve(
			process->containers, process->container_count, process->container_capacity);
		table_set(&process->container_of, key, process->container_count);
		process->containers[process->container_count++] = container;
	}
	go_quiet_end(process, container);
	container->looked_ns = now_ns;
	type = GO_TYPE_ADDR(type);
	if (type && type != container->type) {
		container->type = type;
		known = go_typecache_get(process, type);
		container->group_bytes =
			known && known->group_size ? known->group_size : container->group_bytes;
	}
	return container;
}

void go_container_done(struct runtime_process *process)
{
	for (size_t i = 0; i < process->container_count; i++)
		free(process->containers[i]);
	free(process->containers);
	free(process->look_items);
	go_quiet_done(process);
	free(process->arrays);
	free(process->extents.list);
	table_done(&process->container_of);
}

void go_container_reset(struct go_container *container)
{
	struct go_container fresh = {.family = container->family,
		.key = container->key,
		.type = container->type,
		.group_bytes = container->group_bytes,
		.looked_ns = container->looked_ns,
		.quiet = container->quiet};

	*container = fresh;
}

enum go_container_same go_container_is_same(
	const struct go_container *container, const struct go_object *object)
{
	uint32_t cycles = (object->gc.sweepgen - container->sweepgen) / 2;

	if (!cycles)
		return GO_CONTAINER_SAME;
	if (!object->survived)
		return GO_CONTAINER_OTHER;
	return cycles == 1 ? GO_CONTAINER_SAME : GO_CONTAINER_UNKNOWN;
}

void go_container_verify(struct go_container *container, const struct go_object *object)
{
	uint32_t completed = object->gc.sweepgen / 2;

	if (!container->verified)
		container->proof_cycle = completed + (object->gc.phase == 0 ? 1 : 2);
	container->verified = true;
	container->dead = false;
	container->verified_ns = clock_mono_ns();
	container->sweepgen = object->gc.sweepgen;
	container->base = object->base;
	container->elemsize = object->span.elemsize;
}

void go_container_set_map(struct go_container *container, const struct go_map_header *header)
{
	container->length = header->length;
	container->seed = header->seed;
	container->array = header->array;
	container->clear_seq = header->clear_seq;
	container->stamp = header->stamp;
}

void go_container_set_channel(struct go_container *container, const struct go_chan_header *header)
{
	container->length = header->length;
	container->array = header->ring;
	container->stamp = header->stamp;
}

void go_container_set_trie(struct go_container *container, const struct go_trie_header *header)
{
	container->array = header->first;
	container->stamp = header->stamp;
}

/* ---- arrays, by address ---- */

static int compare_arrays(const void *a, const void *b)
{
	const struct go_array *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Drops what a later walk has replaced. */
static void sort_arrays(struct runtime_process *process)
{
	size_t kept = 0;

	for (size_t i = 0; i < process->array_count; i++) {
		const struct go_array *array = &process->arrays[i];
		const struct go_container *container = go_container_find(process, array->key);

		if (container && container->walk == array->walk)
			process->arrays[kept++] = *array;
	}
	process->array_count = kept;
	if (kept)
		qsort(process->arrays, kept, sizeof(*process->arrays), compare_arrays);
	process->arrays_sorted = true;
}

uint64_t go_owner_of(struct runtime_process *process, uint64_t addr)
{
	size_t low = 0, high;

	if (!process->arrays_sorted)
		sort_arrays(process);
	high = process->array_count;
	while (low < high) { /* the last array that starts at or below addr */
		size_t middle = (low + high) / 2;

		if (process->arrays[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low && addr < process->arrays[low - 1].end ? process->arrays[low - 1].key : 0;
}

int go_container_set_arrays(struct runtime_process *process, struct go_container *container)
{
	struct go_extents *extents = &process->extents;
	uint64_t bytes, old_bytes;
	int r = go_extents_read_resident(process->mem, extents, &bytes, &old_bytes);

	if (r < 0)
		return r;
	container->shape.resident += bytes;
	container->shape.old_resident = old_bytes;
	container->shape.has_resident = true;
	container->walk = ++process->walks;
	process->arrays_sorted = false;
	if (process->array_count + extents->count > GO_MAX_ARRAYS)
		sort_arrays(process);
	for (size_t i = 0; i < extents->count && process->array_count < GO_MAX_ARRAYS; i++) {
		const struct go_extent *extent = &extents->list[i];

		array_reserve(process->arrays, process->array_count, process->array_capacity);
		process->arrays[process->array_count++] = (struct go_array){extent->start,
			extent->start + extent->bytes, container->key, container->walk};
	}
	process->arrays_sorted = false;
	return 0;
}

/* ---- what is reported ---- */

/* Of a sync.Map those count that are not deleted: the header's number has them, a walk tells them apart. */
static uint64_t live_length(
	const struct runtime_process *process, const struct go_container *container)
{
	if (container->family != FAMILY_SYNC_MAP)
		return container->length;
	if (go_sync_map_is_trie(process))
		return container->shape.entries;
	return container->length - MIN(container->length, container->shape.tombstones);
}

/* A header of a sync.Map does not show what is written below it. */
static uint64_t stamp_of(const struct go_container *container)
{
	uint64_t seen[] = {container->stamp, container->shape.entries, container->shape.tombstones};

	return container->family == FAMILY_SYNC_MAP ? hash_words(seen, sizeof(seen))
						    : container->stamp;
}

static uint64_t need_bytes(const struct runtime_process *process,
	const struct go_container *container, uint64_t length)
{
	const struct go_shape *shape = &container->shape;

	if (container->family == FAMILY_MAP || container->family == FAMILY_SYNC_MAP)
		return go_size_need_map(
			&process->facts, length, shape->group_bytes, shape->group_has_pointers);
	if (container->family == FAMILY_CHANNEL)
		return go_size_need_channel(
			&process->facts, length, shape->group_bytes, shape->group_has_pointers);
	return shape->held; /* of a slice no length is known: nothing is claimed */
}

static void fill_misses(struct runtime_process *process, const struct go_container *container,
	struct event_look *ret)
{
	struct go_sync_struct found;

	if (!container->sync_struct ||
		go_sync_struct_read(process, container->sync_struct, container->key, &found))
		return;
	ret->has_misses = true;
	ret->misses = found.misses;
	ret->misses_needed = found.misses_needed;
}

void go_container_fill(struct runtime_process *process, const struct go_container *container,
	uint64_t length_peak, struct event_look *ret)
{
	const struct go_shape *shape = &container->shape;
	uint32_t completed = container->sweepgen / 2;
	uint64_t length = live_length(process, container);

	*ret = (struct event_look){
		.family = container->family,
		.key = container->key,
		.liveness = LIVENESS_ALLOCATED,
		.has_length = !family_moves(container->family) &&
			      (container->family != FAMILY_SYNC_MAP || container->walked),
		.length = length,
		.capacity = shape->capacity,
		.load_limit = shape->load_limit,
		.held_bytes = shape->held,
		.need_bytes = need_bytes(process, container, length),
		.need_peak_bytes = need_bytes(process, container, MAX(length_peak, length)),
		.has_resident = shape->has_resident,
		.resident_bytes = shape->resident,
		.tombstones = shape->tombstones,
		.old_bytes = shape->old,
		.old_resident_bytes = shape->old_resident,
		.scannable_bytes = shape->group_has_pointers ? shape->held : 0,
		.stamp = stamp_of(container),
	};
	fill_misses(process, container, ret);
	if (container->verified && completed >= container->proof_cycle)
		ret->marked_cycle = completed;
	if (container->rooted)
		ret->liveness = LIVENESS_ROOTED;
	else if (ret->marked_cycle)
		ret->liveness = LIVENESS_MARKED;
}
