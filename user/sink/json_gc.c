/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON of the garbage collector: pauses, marking, floor, and whose memory it has to look through. */
#include <json-c/json.h>
#include <stdlib.h>

#include "base/mem.h"
#include "sink/json_parts.h"
#include "sink/json_value.h"

#define MAX_TYPES  10
#define MAX_COUNTS 256

static struct json_object *pauses_of(const struct event_heap *heap)
{
	struct json_object *object = json_object_new_object();

	json_add_uint(object, "count", heap->pause_count);
	json_add_known(object, "min_ns", heap->pause_count, heap->pause_min_ns);
	json_add_known(object, "median_ns", heap->pause_count, heap->pause_median_ns);
	json_add_known(object, "max_ns", heap->pause_count, heap->pause_max_ns);
	return object;
}

static struct json_object *mark_of(const struct target *target)
{
	struct json_object *object = json_object_new_object();
	const struct gc_view *gc = &target->gc;

	json_add_uint(object, "cycles", gc->cycles);
	json_add_uint(object, "last_ns", target->heap.mark_ns);
	json_add_uint(object, "max_ns", gc->mark_max_ns);
	json_add_uint(object, "mean_ns", gc->cycles ? gc->mark_total_ns / gc->cycles : 0);
	json_add_uint(object, "cpu_ns", gc->mark_cpu_ns);
	if (gc->mark_cpu_ns)
		json_add_double(object, "assist_pct",
			100.0 * (double)gc->assist_cpu_ns / (double)gc->mark_cpu_ns);
	else
		json_add_null(object, "assist_pct");
	return object;
}

static struct json_object *floor_of(const struct target *target)
{
	struct json_object *object = json_object_new_object();
	const struct gc_view *gc = &target->gc;

	json_add_uint(object, "cycles", gc->cycles);
	json_add_known(object, "first_bytes", gc->cycles, gc->floor_first_bytes);
	json_add_known(object, "last_bytes", gc->cycles, gc->floor_last_bytes);
	json_add_known(object, "min_bytes", gc->cycles, gc->floor_min_bytes);
	json_add_known(object, "max_bytes", gc->cycles, gc->floor_max_bytes);
	json_add_double(object, "bytes_per_second", model_floor_slope(target));
	return object;
}

/* ---- scannable bytes by type ---- */

struct scanned {
	enum family family;
	uint32_t type;
	uint64_t bytes, containers;
};

static void count_container(
	struct scanned *list, size_t *count, const struct container *container, uint64_t bytes)
{
	size_t i = 0;

	while (i < *count &&
		(list[i].family != container->family || list[i].type != container->type))
		i++;
	if (i == MAX_COUNTS)
		return;
	if (i == *count)
		list[(*count)++] = (struct scanned){container->family, container->type, 0, 0};
	list[i].bytes += bytes;
	list[i].containers++;
}

static int larger_first(const void *a, const void *b)
{
	const struct scanned *x = a, *y = b;

	return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : 0;
}

static struct json_object *scannable_of(const struct model *model, const struct target *target)
{
	struct json_object *array = json_object_new_array();
	struct scanned list[MAX_COUNTS];
	size_t count = 0;

	for (size_t i = 0; i < model_container_count(model); i++) {
		const struct container *container = model_container(model, (uint32_t)i);

		if (container->target == target->id && !container->dead && container->looked &&
			container->look.scannable_bytes)
			count_container(list, &count, container, container->look.scannable_bytes);
	}
	qsort(list, count, sizeof(list[0]), larger_first);
	for (size_t i = 0; i < MIN(count, (size_t)MAX_TYPES); i++) {
		struct json_object *object = json_object_new_object();

		json_add_name(object, "family", family_name(list[i].family));
		json_add_name(object, "type", model_string(model, list[i].type));
		json_add_uint(object, "containers", list[i].containers);
		json_add_uint(object, "bytes", list[i].bytes);
		json_object_array_add(array, object);
	}
	return array;
}

void json_add_gc(struct json_object *gc, const struct model *model, const struct target *target)
{
	json_add(gc, "pauses", pauses_of(&target->heap));
	json_add(gc, "mark", mark_of(target));
	json_add(gc, "floor", floor_of(target));
	json_add_uint(gc, "scannable_bytes", target->heap.scannable_bytes);
	json_add(gc, "scannable", scannable_of(model, target));
}
