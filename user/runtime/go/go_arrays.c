/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large arrays: every object above 32 KiB has a span of its own (runtime/mcache.go allocLarge), so its
 * size is known exactly and finding it reads no heap memory. With pointers, and since Go 1.22, the span
 * says its type (mspan.largeType, of an array its element type); without pointers nobody does: such an
 * array is so many bytes of unknown type. How much of it the program can still reach, a small slice or
 * all of it, cannot be seen from outside either.
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
#define MAX_ARRAYS 65536
#define MAX_GROUPS 64
#define MAX_ASKED  512 /* arrays that are asked for their stack */
#define MAX_STACKS 8   /* different ones of a group */

struct stack {
	uint64_t pcs[CENSUS_PCS];
	uint64_t count;
};

struct group {
	uint64_t elemsize, type;
	bool noscan;
	uint64_t count;
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
	size_t group_count;
	uint64_t asked;
};

/* Arrays of maps say so by their type, small ones too that are not remembered. */
static bool is_of_a_map(struct runtime_process *process, uint64_t type)
{
	const struct go_type *found = type ? go_typecache_get(process, type) : NULL;

	return found && (strstr(found->name, "map.bucket[") || strstr(found->name, "map.group["));
}

static struct group *find_group(struct arrays *arrays, const struct go_span *span)
{
	struct group *group = arrays->groups;

	for (size_t i = 0; i < arrays->group_count; i++, group++)
		if (group->elemsize == span->elemsize && group->type == span->large_type &&
			group->noscan == go_span_noscan(span))
			return group;
	if (arrays->group_count == MAX_GROUPS)
		return NULL;
	arrays->group_count++;
	group->elemsize = span->elemsize;
	group->type = span->large_type;
	group->noscan = go_span_noscan(span);
	return group;
}

static void add_stack(struct arrays *arrays, struct group *group, uint64_t addr)
{
	struct stack *stack = group->stacks;
	uint64_t pcs[CENSUS_PCS] = {0};
	size_t i = 0;

	if (!arrays->census->has_profile || arrays->asked == MAX_ASKED)
		return;
	arrays->asked++;
	if (!go_profile_find_stack(arrays->census->process, addr, pcs))
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

static void add_array(struct arrays *arrays, const struct go_object *object)
{
	struct runtime_process *process = arrays->census->process;
	struct group *group;

	if (object->state != GO_OBJECT_ALLOCATED || !object->survived ||
		go_owner_of(process, object->base) || is_of_a_map(process, object->span.large_type))
		return;
	group = find_group(arrays, &object->span);
	if (!group)
		return;
	group->count++;
	add_stack(arrays, group, object->base);
	array_reserve(arrays->list, arrays->count, arrays->capacity);
	arrays->list[arrays->count++] =
		(struct array){object->base, (uint16_t)(group - arrays->groups)};
}

static int add_batch(struct arrays *arrays, struct go_object *objects, size_t count)
{
	int r = go_heap_find_objects(arrays->census->process, objects, count);

	for (size_t i = 0; !r && i < count; i++)
		add_array(arrays, &objects[i]);
	return r;
}

static int find_all(struct arrays *arrays)
{
	const struct census *census = arrays->census;
	struct go_object objects[BATCH];
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < census->span_count && !r; i++) {
		if (census->spans[i].class >> 1 || arrays->count >= MAX_ARRAYS)
			continue;
		objects[count++] = (struct go_object){.addr = census->spans[i].start};
		if (count == BATCH) {
			r = add_batch(arrays, objects, count);
			count = 0;
		}
	}
	return r ? r : add_batch(arrays, objects, count);
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
	struct runtime_arrays out = {.event = {
					     .array_bytes = group->elemsize,
					     .count = group->count,
					     .has_pointers = !group->noscan,
				     }};
	uint64_t old;
	int r;

	go_extents_clear(&process->extents);
	for (size_t i = 0; i < arrays->count; i++)
		if (arrays->list[i].group == at)
			go_extents_add(
				&process->extents, arrays->list[i].start, group->elemsize, false);
	r = go_extents_read_resident(
		process->mem, &process->extents, &out.event.resident_bytes, &old);
	if (r < 0)
		return r;
	name_type(process, group, out.type_name, sizeof(out.type_name));
	if (stack)
		memcpy(out.site_pcs, stack->pcs, sizeof(out.site_pcs));
	arrays->census->options->arrays(&out, arrays->census->options->found_arg);
	return 0;
}

int census_find_arrays(struct census *census)
{
	struct arrays arrays = {.census = census};
	int r;

	if (!census->options->arrays)
		return 0;
	arrays.groups = xcalloc(MAX_GROUPS, sizeof(*arrays.groups));
	r = find_all(&arrays);
	for (size_t i = 0; !r && i < arrays.group_count; i++)
		r = tell(&arrays, i);
	free(arrays.list);
	free(arrays.groups);
	return r;
}
