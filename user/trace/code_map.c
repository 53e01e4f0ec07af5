/* SPDX-License-Identifier: BSD-2-Clause */
/* The executable lines of /proc/PID/maps. */
#include "trace/code_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "target/process.h"

#define MAX_RANGES 8192 /* a JIT may have many */

static enum code_kind kind_of(const struct process_map *map)
{
	if (map->inode)
		return CODE_FILE;
	return strcmp(map->path, "[vdso]") ? CODE_ANONYMOUS : CODE_VDSO;
}

static int add(const struct process_map *map, void *arg)
{
	struct code_map *ranges = arg;

	if (map->perms[2] != 'x')
		return 0;
	if (ranges->count == MAX_RANGES)
		return 1;
	array_reserve(ranges->ranges, ranges->count, ranges->capacity);
	ranges->ranges[ranges->count++] = (struct code_range){map->start, map->end, kind_of(map)};
	return 0;
}

static bool same(const struct code_map *a, const struct code_map *b)
{
	return a->count == b->count && !memcmp(a->ranges, b->ranges, a->count * sizeof(*a->ranges));
}

bool code_map_refresh(struct code_map *map, int pid)
{
	struct code_map fresh = {0};
	bool changed;

	if (process_for_each_map(pid, add, &fresh) < 0 || !fresh.count) {
		code_map_done(&fresh);
		return false;
	}
	changed = !map->count || !same(map, &fresh);
	code_map_done(map);
	*map = fresh;
	return changed;
}

void code_map_done(struct code_map *map)
{
	free(map->ranges);
	*map = (struct code_map){0};
}

enum code_kind code_map_find(const struct code_map *map, uint64_t addr)
{
	size_t low = 0, high = map->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (map->ranges[mid].start <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || addr >= map->ranges[low - 1].end)
		return CODE_NONE;
	return map->ranges[low - 1].kind;
}
