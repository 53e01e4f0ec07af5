/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON of memory by who allocated it: the targets' own allocation profiles (the sums with the target,
 * and one object for each stack), and large arrays that belong to no container. Keys and meanings: tests/schema.json.
 */
#include <json-c/json.h>

#include "sink/json_parts.h"
#include "sink/json_value.h"

/* Whoever only saw allocations does not know what was freed. */
static void add_figures(struct json_object *object, const struct target *target,
	const struct event_allocated *allocated)
{
	bool known = !target->profile.sampled, in_use = known || target->profile.paired;

	json_add_known(object, "in_use_bytes", in_use, allocated->in_use_bytes);
	json_add_known(object, "in_use_objects", in_use, allocated->in_use_objects);
	json_add_known(object, "recent_bytes", known, allocated->recent_bytes);
	json_add_known(object, "recent_objects", known, allocated->recent_objects);
	json_add_uint(object, "allocated_bytes", allocated->allocated_bytes);
	json_add_uint(object, "allocated_objects", allocated->allocated_objects);
	if (!target->profile.paired)
		return;
	json_add_uint(object, "in_use_error_bytes", allocated->in_use_error_bytes);
	json_add_uint(object, "allocated_error_bytes", allocated->allocated_error_bytes);
}

struct json_object *json_profile(const struct model *model, const struct target *target)
{
	struct json_object *object = json_object_new_object();
	struct event_allocated sum;

	if (target->profile.reason)
		json_add_text(object, "missing", model_string(model, target->profile.reason));
	if (target->profile.reason && !target->profile.sampled)
		return object;
	model_sum_allocated(target, &sum);
	json_add_uint(object, "rate_bytes", target->profile.rate_bytes);
	json_add_bool(object, "complete", target->profile.complete);
	json_add_bool(object, "sampled", target->profile.sampled);
	if (target->profile.sampled) {
		json_add_bool(object, "paired", target->profile.paired);
		json_add_double(object, "open_share",
			model_open_share(model, target->id, FAMILY_ALLOCATION));
	}
	if (target->profile.paired)
		json_add_bool(object, "in_use_at_most", target->profile.at_most);
	add_figures(object, target, &sum);
	return object;
}

static struct json_object *allocated_object(const struct model *model, const struct target *target,
	const struct event_allocated *allocated)
{
	const struct model_stack *stack = model_stack(model, allocated->stack);
	const struct model_frame *place =
		stack && stack->place < stack->frame_count ? &stack->frames[stack->place] : NULL;
	struct json_object *object = json_object_new_object();

	json_add_target(object, model, target->id);
	json_add_name(object, "function", place ? place->function : NULL);
	json_add_name(object, "file", place ? place->file : NULL);
	json_add_known(object, "line", place && place->line, place ? place->line : 0);
	add_figures(object, target, allocated);
	json_add(object, "stack",
		stack ? json_stack(stack->frames, stack->frame_count) : json_object_new_array());
	return object;
}

struct json_object *json_next_allocated(struct json_cursor *cursor)
{
	const struct model *model = cursor->report->model;

	for (; cursor->next < model_target_count(model); cursor->next++, cursor->inner = 0) {
		const struct target *target = model_target(model, (uint32_t)cursor->next);

		if (cursor->inner < target->allocated_count)
			return allocated_object(model, target, &target->allocated[cursor->inner++]);
	}
	return NULL;
}

struct json_object *json_large_arrays(const struct model *model, const struct target *target)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < target->array_count; i++) {
		const struct arrays *arrays = &target->arrays[i];
		const struct event_arrays *now = &arrays->now;
		struct json_object *object;

		if (arrays->last_ns != target->arrays_ns)
			continue;
		object = json_object_new_object();
		json_add_name(object, "type", model_string(model, now->type));
		json_add_bool(object, "has_pointers", now->has_pointers);
		json_add_uint(object, "array_bytes", now->array_bytes);
		json_add_uint(object, "count", now->count);
		json_add_uint(object, "live_bytes", now->count * now->array_bytes);
		json_add_uint(object, "resident_bytes", now->resident_bytes);
		json_add_known(object, "site", now->site, now->site);
		json_object_array_add(array, object);
	}
	return array;
}
