/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large arrays of no container. Every object above 32 KiB has a span of its own (runtime/mcache.go
 * allocLarge), so its size is known exactly and finding it reads no heap memory. With pointers, and since
 * Go 1.22, the span says its type (mspan.largeType, of an array its element type); smaller ones, of more
 * than 512 bytes, begin with it, and the scan for containers has noted it. Without pointers nobody says
 * it: such an array is so many bytes of unknown type, and of 32 KiB or less nothing is known at all. How
 * much of an array the program can still reach, a small slice or all of it, cannot be seen from outside
 * either.
 *
 * Where the program keeps an allocation profile, some of the arrays have their stack. Arrays of one size
 * and type are told together; their stack is that of most of them, where most agree.
 */
#include "runtime/go/go_arrays.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/go/go_size.h"

#define BATCH      256
#define MAX_ARRAYS 65536 /* of which residency is counted */
#define MAX_GROUPS 4096
#define MAX_TOLD   64  /* those with most bytes */
#define MAX_ASKED  512 /* arrays that are asked for their stack */
#define MAX_STACKS 8   /* different ones of a group */

struct stack {
	uint64_t pcs[CENSUS_PCS];
	uint64_t count;
};

struct group {
	uint64_t elemsize, type;
	bool noscan;
	uint64_t count, listed;
	struct stack stacks[MAX_STACKS];
	size_t stack_count;
	uint64_t sampled;
};

struct array {
	uint64_t start;
	uint16_t group;
};

struct arrays {
	struct census *census;
	struct array *list;
	size_t count, capacity;
	struct group *groups;
	size_t group_count, group_capacity;
	struct table group_of;   /* hash of size and type -> index */
	struct table element_of; /* type -> size where it can be an array's element, else 0 */
	uint64_t asked;
};

/* Arrays of maps say so by their type, small ones too that are not remembered. */
static bool is_of_a_map(const struct go_type *type)
{
	return strstr(type->name, "map.bucket[") || strstr(type->name, "map.group[");
}

/* Bytes of an element of that type, 0 where it is none of an array that we tell. */
static uint64_t element_bytes(struct arrays *arrays, uint64_t type)
{
	const struct go_type *found;
	uint64_t bytes;

	if (table_get(&arrays->element_of, type, &bytes))
		return bytes;
	found = go_typecache_get(arrays->census->process, type);
	bytes = found && !is_of_a_map(found) ? found->size : 0;
	table_set(&arrays->element_of, type, bytes);
	return bytes;
}

static struct group *find_group(struct arrays *arrays, const struct go_span *span, uint64_t type)
{
	uint64_t key[] = {span->elemsize, type, go_span_noscan(span)}, index;
	uint64_t hash = hash_words(key, sizeof(key));

	if (table_get(&arrays->group_of, hash, &index))
		return &arrays->groups[index];
	if (arrays->group_count == MAX_GROUPS)
		return NULL;
	array_reserve(arrays->groups, arrays->group_count, arrays->group_capacity);
	table_set(&arrays->group_of, hash, arrays->group_count);
	arrays->groups[arrays->group_count] = (struct group){
		.elemsize = span->elemsize, .type = type, .noscan = go_span_noscan(span)};
	return &arrays->groups[arrays->group_count++];
}

static void add_stack(struct arrays *arrays, struct group *group, uint64_t addr)
{
	struct stack *stack = group->stacks;
	uint64_t pcs[CENSUS_PCS] = {0};
	size_t i = 0;

	if (arrays->asked == MAX_ASKED)
		return;
	arrays->asked++;
	if (!census_find_stack(arrays->census, addr, pcs))
		return;
	group->sampled++;
	while (i < group->stack_count && memcmp(stack[i].pcs, pcs, sizeof(pcs)))
		i++;
	if (i == MAX_STACKS)
		return;
	if (i == group->stack_count)
		memcpy(stack[group->stack_count++].pcs, pcs, sizeof(pcs));
	stack[i].count++;
}

/* type: what the allocator says of it, 0 = nothing */
static void add_array(struct arrays *arrays, const struct go_object *object, uint64_t type)
{
	struct runtime_process *process = arrays->census->process;
	bool header = go_span_has_headers(process, &object->span);
	struct group *group;

	arrays->census->stats.unread += object->state == GO_OBJECT_UNREAD;
	if (object->state != GO_OBJECT_ALLOCATED || !object->survived ||
		go_owner_of(process, object->base + (header ? GO_MALLOC_HEADER : 0)))
		return;
	group = find_group(arrays, &object->span, type);
	if (!group)
		return;
	group->count++;
	add_stack(arrays, group, object->base);
	/* What fits in a page is there: the allocator has written its header, and neighbours share pages */
	if (arrays->count == MAX_ARRAYS || object->span.elemsize <= TARGET_PAGE_BYTES)
		return;
	group->listed++;
	array_reserve(arrays->list, arrays->count, arrays->capacity);
	arrays->list[arrays->count++] =
		(struct array){object->base, (uint16_t)(group - arrays->groups)};
}

/* types: of small ones, by the object; NULL: their spans say them. */
static int add_batch(
	struct arrays *arrays, struct go_object *objects, const uint64_t *types, size_t count)
{
	int r = census_find_objects(arrays->census, objects, count);

	for (size_t i = 0; !r && i < count; i++) {
		uint64_t type = types ? types[i] : objects[i].span.large_type;
		const struct go_type *known =
			type && !types ? go_typecache_get(arrays->census->process, type) : NULL;

		if (!known || !is_of_a_map(known))
			add_array(arrays, &objects[i], type);
	}
	return r;
}

static int find_large(struct arrays *arrays)
{
	const struct census *census = arrays->census;
	struct go_object objects[BATCH];
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < census->span_count && !r; i++) {
		if (census->spans[i].class >> 1)
			continue;
		objects[count++] = (struct go_object){.addr = census->spans[i].start};
		if (count == BATCH) {
			r = add_batch(arrays, objects, NULL, count);
			count = 0;
		}
	}
	return r ? r : add_batch(arrays, objects, NULL, count);
}

/* An array has two elements at least: what is as large as its slot is a struct, say. */
static bool is_array(struct arrays *arrays, const struct census_typed *typed)
{
	const struct census_span *span = census_find_span(arrays->census, typed->slot);
	uint64_t bytes = element_bytes(arrays, typed->type);

	return span && bytes && bytes * 2 <= span->elemsize - GO_MALLOC_HEADER;
}

static int find_small(struct arrays *arrays)
{
	struct census *census = arrays->census;
	struct go_object objects[BATCH];
	uint64_t types[BATCH];
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < census->typed_count && !r; i++) {
		const struct census_typed *typed = &census->typed[i];

		if (!is_array(arrays, typed))
			continue;
		types[count] = typed->type;
		objects[count++] = (struct go_object){.addr = typed->slot};
		if (count < BATCH)
			continue;
		r = add_batch(arrays, objects, types, count);
		if (!r)
			r = census_progress(census, 0);
		count = 0;
	}
	return r ? r : add_batch(arrays, objects, types, count);
}

/* ---- what is told ---- */

/* "[]main.row"; "main.table" where one is as large as all; "" = no pointers in it, so not known. */
static void name_type(
	struct runtime_process *process, const struct group *group, char *buf, size_t bytes)
{
	const struct go_type *type = group->type ? go_typecache_get(process, group->type) : NULL;

	if (type)
		snprintf(buf, bytes, "%s%s", type->size * 2 <= group->elemsize ? "[]" : "",
			type->name);
}

static const struct stack *common_stack(const struct group *group)
{
	for (size_t i = 0; i < group->stack_count; i++)
		if (group->stacks[i].count * 2 > group->sampled)
			return &group->stacks[i];
	return NULL;
}

static int tell(struct arrays *arrays, size_t at)
{
	struct runtime_process *process = arrays->census->process;
	const struct group *group = &arrays->groups[at];
	const struct stack *stack = common_stack(group);
	uint64_t resident, old;
	struct runtime_arrays out = {.event = {
					     .array_bytes = group->elemsize,
					     .count = group->count,
					     .has_pointers = !group->noscan,
				     }};
	int r;

	go_extents_clear(&process->extents);
	for (size_t i = 0; i < arrays->count; i++)
		if (arrays->list[i].group == at)
			go_extents_add(
				&process->extents, arrays->list[i].start, group->elemsize, false);
	r = go_extents_read_resident(process->mem, &process->extents, &resident, &old);
	if (r < 0)
		return r;
	/* Those that were not listed are like the others */
	out.event.resident_bytes = group->listed
					   ? (uint64_t)((double)resident * (double)group->count /
							(double)group->listed)
					   : group->count * group->elemsize;
	name_type(process, group, out.type_name, sizeof(out.type_name));
	if (stack)
		memcpy(out.site_pcs, stack->pcs, sizeof(out.site_pcs));
	arrays->census->options->arrays(&out, arrays->census->options->found_arg);
	return 0;
}

struct place {
	uint64_t bytes;
	size_t group;
};

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static int tell_largest(struct arrays *arrays)
{
	struct place *places = xcalloc(arrays->group_count + 1, sizeof(*places));
	int r = 0;

	for (size_t i = 0; i < arrays->group_count; i++)
		places[i] = (struct place){arrays->groups[i].count * arrays->groups[i].elemsize, i};
	qsort(places, arrays->group_count, sizeof(*places), compare_places);
	for (size_t i = 0; i < MIN(arrays->group_count, (size_t)MAX_TOLD) && !r; i++)
		r = tell(arrays, places[i].group);
	free(places);
	return r;
}

int census_find_arrays(struct census *census)
{
	struct arrays arrays = {.census = census};
	int r;

	if (!census->options->arrays)
		return 0;
	r = find_large(&arrays);
	if (!r)
		r = find_small(&arrays);
	if (!r)
		r = tell_largest(&arrays);
	table_done(&arrays.group_of);
	table_done(&arrays.element_of);
	free(arrays.list);
	free(arrays.groups);
	return r;
}
