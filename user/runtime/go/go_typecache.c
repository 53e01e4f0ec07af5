/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Types of a Go process. Only the parser child reads them from the file; here their descriptions
 * are kept, because every container is asked for its type again and again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/go/go_process.h"

#define NO_TYPE       UINT64_MAX
#define KIND_MAP      21
#define MAX_MAP_TYPES 16384

/* What stands before the element type; a map has a type of its own. */
static const char *const family_prefixes[FAMILY_MAX] = {
	[FAMILY_NONE] = "",
	[FAMILY_MAP] = "",
	[FAMILY_SLICE] = "[]",
	[FAMILY_CHANNEL] = "chan ",
	[FAMILY_BUFFER] = "",
};

static const char *const buffer_names[] = {
	[GO_BUFFER_BUILDER] = "strings.Builder",
	[GO_BUFFER_BYTES] = "bytes.Buffer",
};

const struct go_type *go_typecache_get(struct runtime_process *process, uint64_t type)
{
	struct go_type found;
	uint64_t index;

	if (type < process->facts.types || type >= process->facts.etypes)
		return NULL;
	if (table_get(&process->type_of, type, &index))
		return index == NO_TYPE ? NULL : process->types[index];
	if (!process->parser)
		return NULL;
	index = NO_TYPE;
	if (process->type_count < GO_MAX_TYPES &&
		!parser_type(process->parser, process->file_id, type - process->slide, &found)) {
		array_reserve(process->types, process->type_count, process->type_capacity);
		index = process->type_count++;
		process->types[index] = xcalloc(1, sizeof(found));
		*process->types[index] = found;
	}
	table_set(&process->type_of, type, index);
	return index == NO_TYPE ? NULL : process->types[index];
}

static int compare_groups(const void *a, const void *b)
{
	const struct go_type *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return x->type < y->type ? -1 : x->type > y->type;
}

static void read_maps(struct runtime_process *process)
{
	struct go_type *types;
	int count;

	process->map_types_read = true;
	if (!process->parser)
		return;
	types = xcalloc(MAX_MAP_TYPES, sizeof(*types));
	count = parser_types(process->parser, process->file_id, KIND_MAP, types, MAX_MAP_TYPES);
	count = MIN(count, MAX_MAP_TYPES);
	if (count <= 0) {
		free(types);
		return;
	}
	qsort(types, (size_t)count, sizeof(*types), compare_groups);
	process->map_types = xreallocarray(types, (size_t)count, sizeof(*types));
	process->map_type_count = (size_t)count;
}

size_t go_typecache_maps(struct runtime_process *process, const struct go_type **ret)
{
	if (!process->map_types_read)
		read_maps(process);
	*ret = process->map_types;
	return process->map_type_count;
}

size_t go_typecache_find_group(
	struct runtime_process *process, uint64_t group, const struct go_type **ret)
{
	const struct go_type *maps;
	size_t count = go_typecache_maps(process, &maps), low = 0, high = count, end;

	group -= process->slide;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (maps[middle].group < group)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < count && maps[end].group == group;)
		end++;
	*ret = end > low ? &maps[low] : NULL;
	return end - low;
}

void go_typecache_name(struct runtime_process *process, uint64_t type, char *buf, size_t bytes)
{
	uint64_t family = type >> GO_TYPE_FAMILY_SHIFT;
	const struct go_type *found = go_typecache_get(process, GO_TYPE_ADDR(type));

	buf[0] = '\0';
	if (family == FAMILY_BUFFER && GO_TYPE_ADDR(type) - 1 < ARRAY_SIZE(buffer_names) - 1)
		text_copy(buf, bytes, buffer_names[GO_TYPE_ADDR(type)]);
	else if (found && family < FAMILY_MAX && family != FAMILY_SYNC_MAP)
		snprintf(buf, bytes, "%s%s", family_prefixes[family], found->name);
}

void go_typecache_done(struct runtime_process *process)
{
	for (size_t i = 0; i < process->type_count; i++)
		free(process->types[i]);
	free(process->types);
	free(process->map_types);
	table_done(&process->type_of);
	table_done(&process->call_types);
	table_done(&process->callers);
}
