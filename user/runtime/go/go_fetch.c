/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading ahead for many maps at once (go_process.h). Checking and walking one map asks for its arrays'
 * spans, then for what lies in them, then for what that points to: a few hundred bytes in ten places.
 * Here all maps of a batch are asked stage by stage, so that a stage is a handful of system calls; the
 * code that checks and walks finds its bytes in the view.
 *
 * Nothing is concluded here, so nothing is checked but what bounds the work: a wrong address costs a
 * page that nobody asks for.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "runtime/go/go_map_layout.h"

#define MAX_CONTENTS   (32ull << 10) /* of one array; larger ones are sampled */
#define DIRECTORY_PART 512           /* entries of a directory: bytes of one page */

/* What the next stage asks for. */
struct stage {
	struct runtime_process *process;
	bool contents;
	struct go_object *objects;
	size_t object_count, object_capacity;
	struct target_range *ranges;
	size_t range_count, range_capacity;
};

static void add_object(struct stage *stage, uint64_t addr)
{
	if (!addr)
		return;
	array_reserve(stage->objects, stage->object_count, stage->object_capacity);
	stage->objects[stage->object_count++] = (struct go_object){.addr = addr};
}

static void add_range(struct stage *stage, uint64_t addr, uint64_t bytes)
{
	if (!heap_pointer(addr))
		return;
	array_reserve(stage->ranges, stage->range_count, stage->range_capacity);
	stage->ranges[stage->range_count++] = (struct target_range){addr, bytes};
}

static int read_stage(struct stage *stage)
{
	int r = 0;

	if (stage->object_count)
		r = go_heap_find_spans(stage->process, stage->objects, stage->object_count);
	if (!r && stage->range_count)
		r = target_mem_fetch(stage->process->view, stage->ranges, stage->range_count);
	stage->object_count = stage->range_count = 0;
	return r;
}

/* The arrays that headers point to. */
static void add_arrays(struct stage *stage, const struct go_map_header *map)
{
	add_object(stage, map->array);
	add_object(stage, map->old);
	add_object(stage, map->extra);
	add_range(stage, map->extra, GO_MAP_EXTRA_BYTES);
	if (map->tables)
		add_range(stage, map->array, MIN(map->tables, (uint64_t)DIRECTORY_PART) * 8);
	else if (stage->contents && (stage->process->facts.swiss || map->b <= COUNTED_B))
		add_range(stage, map->array, (uint64_t)BUCKET_MIN << map->b);
}

/* The slots of small arrays, now that their sizes are known. */
static void add_contents(struct stage *stage, size_t object_count)
{
	for (size_t i = 0; i < object_count; i++) {
		const struct go_object *object = &stage->objects[i];

		if (object->state == GO_OBJECT_ALLOCATED && object->span.elemsize <= MAX_CONTENTS)
			add_range(stage, object->base, object->span.elemsize);
	}
}

/* Calls add for distinct tables of a map's directory: for all or, of more, for most spread over it. */
static void for_tables(struct stage *stage, const struct go_map_header *map, size_t most,
	void (*add)(struct stage *stage, uint64_t table))
{
	uint64_t tables[DIRECTORY_PART], count = MIN(map->tables, (uint64_t)DIRECTORY_PART);
	size_t distinct = 0;

	if (!count || target_mem_read(stage->process->mem, map->array, tables, count * 8))
		return;
	for (uint64_t i = 0; i < count; i++)
		if (!i || tables[i] != tables[distinct - 1])
			tables[distinct++] = tables[i];
	most = MIN(most, distinct);
	for (size_t i = 0; i < most; i++)
		add(stage, tables[i * distinct / most]);
}

static void add_table(struct stage *stage, uint64_t table)
{
	add_object(stage, table);
	add_range(stage, table, GO_MAP_TABLE_BYTES);
}

static void add_groups(struct stage *stage, uint64_t table)
{
	uint64_t groups;

	if (!target_mem_read_u64(stage->process->mem, table + TABLE_GROUPS, &groups))
		add_object(stage, groups);
}

/* One stage for the tables of all maps; with contents also the slots that are found in it. */
static int read_tables(struct stage *stage, const struct go_map_header *const *maps, size_t count,
	size_t most, void (*add)(struct stage *stage, uint64_t table), bool contents)
{
	size_t objects;
	int r;

	for (size_t i = 0; i < count; i++)
		for_tables(stage, maps[i], most, add);
	objects = stage->object_count;
	r = read_stage(stage);
	if (r || !contents)
		return r;
	add_contents(stage, objects);
	return read_stage(stage);
}

int go_fetch_maps(struct runtime_process *process, const struct go_map_header *const *maps,
	size_t count, bool contents)
{
	struct stage stage = {.process = process, .contents = contents};
	size_t objects;
	int r;

	for (size_t i = 0; i < count; i++)
		add_arrays(&stage, maps[i]);
	objects = stage.object_count;
	r = read_stage(&stage);
	if (!r && contents) {
		add_contents(&stage, objects);
		r = read_stage(&stage);
	}
	if (!r)
		r = read_tables(&stage, maps, count, DIRECTORY_PART, add_table, false);
	if (!r) /* contents: of those that go_map_check() chooses */
		r = read_tables(&stage, maps, count, contents ? CHECKED_TABLES : DIRECTORY_PART,
			add_groups, contents);
	free(stage.objects);
	free(stage.ranges);
	return r;
}

int go_fetch_spans(struct runtime_process *process, const uint64_t *addrs, size_t count)
{
	struct stage stage = {.process = process};
	int r;

	for (size_t i = 0; i < count; i++)
		add_object(&stage, addrs[i]);
	r = read_stage(&stage);
	free(stage.objects);
	return r;
}

void go_view_open(struct runtime_process *process)
{
	target_mem_drop(process->view);
	go_heap_forget_spans(process);
	process->mem = process->view;
}

void go_view_close(struct runtime_process *process)
{
	process->mem = process->live;
}
