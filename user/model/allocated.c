/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The runtime's own allocation profile, stack by stack. A reading replaces the one before: its
 * figures are totals, nothing is added up over time.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/private.h"

/* ---- stacks ---- */

static uint64_t stack_key(uint32_t target, const struct model_frame *frames, size_t count)
{
	uint64_t hash = hash_bytes(0, &target, sizeof(target));

	for (size_t i = 0; i < count; i++) {
		hash = hash_string(hash, frames[i].function ? frames[i].function : "");
		hash = hash_string(hash, frames[i].file ? frames[i].file : "");
		hash = hash_bytes(hash, &frames[i].line, sizeof(frames[i].line));
	}
	return hash;
}

static bool text_is(const char *ours, const char *theirs)
{
	return !strcmp(ours, theirs ? theirs : "");
}

static bool stack_is(const struct model_stack *stack, uint32_t target,
	const struct model_frame *frames, size_t count)
{
	if (stack->target != target || stack->frame_count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (stack->frames[i].line != frames[i].line ||
			!text_is(stack->frames[i].function, frames[i].function) ||
			!text_is(stack->frames[i].file, frames[i].file))
			return false;
	return true;
}

uint32_t model_add_stack(
	struct model *model, uint32_t target, const struct model_frame *frames, size_t frame_count)
{
	size_t count = MIN(frame_count, (size_t)MODEL_MAX_FRAMES);
	struct model_stack *stack;
	uint64_t key, id;

	if (target >= model->target_count || !count)
		return 0;
	for (key = stack_key(target, frames, count); table_get(&model->stacks_by_key, key, &id);
		key++)
		if (stack_is(model->stacks[id - 1], target, frames, count))
			return (uint32_t)id;
	if (model->targets[target]->stack_count == MODEL_MAX_STACKS)
		return 0;
	model->targets[target]->stack_count++;
	stack = xcalloc(1, sizeof(*stack));
	stack->target = target;
	stack->frames = frames_copy(model, frames, count, &stack->frame_count);
	stack->place = (uint32_t)frames_find_user(stack->frames, stack->frame_count);
	array_reserve(model->stacks, model->stack_count, model->stack_cap);
	model->stacks[model->stack_count++] = stack;
	stack->id = (uint32_t)model->stack_count;
	table_set(&model->stacks_by_key, key, stack->id);
	model_tell(model, stack, stack);
	return stack->id;
}

size_t model_stack_count(const struct model *model)
{
	return model->stack_count;
}

const struct model_stack *model_stack(const struct model *model, uint32_t id)
{
	return id && id <= model->stack_count ? model->stacks[id - 1] : NULL;
}

void stacks_done(struct model *model)
{
	for (size_t i = 0; i < model->stack_count; i++) {
		free(model->stacks[i]->frames);
		free(model->stacks[i]);
	}
	free(model->stacks);
	table_done(&model->stacks_by_key);
}

/* ---- what was allocated with them ---- */

void allocated_end(struct target_state *target)
{
	target->pub.profile_ns = 0;
	target->pub.allocated_count = 0;
	table_done(&target->allocated_at);
}

void allocated_apply_profile(
	struct model *model, struct target_state *target, const struct event *event)
{
	(void)model;
	allocated_end(target);
	target->pub.profile = event->profile;
	target->pub.profile_ns = event->time_ns;
}

/* Of sums of what was sampled independently. */
static uint64_t add_errors(uint64_t a, uint64_t b)
{
	return (uint64_t)llround(hypot((double)a, (double)b));
}

static void add_up(struct event_allocated *sum, const struct event_allocated *more)
{
	sum->in_use_bytes += more->in_use_bytes;
	sum->in_use_objects += more->in_use_objects;
	sum->recent_bytes += more->recent_bytes;
	sum->recent_objects += more->recent_objects;
	sum->allocated_bytes += more->allocated_bytes;
	sum->allocated_objects += more->allocated_objects;
	sum->in_use_error_bytes = add_errors(sum->in_use_error_bytes, more->in_use_error_bytes);
	sum->allocated_error_bytes =
		add_errors(sum->allocated_error_bytes, more->allocated_error_bytes);
}

void allocated_apply(struct model *model, struct target_state *target, const struct event *event)
{
	const struct model_stack *stack = model_stack(model, event->allocated.stack);
	struct event_allocated allocated = event->allocated;
	struct target *pub = &target->pub;
	uint64_t i;

	if (!pub->profile_ns)
		return;
	if (!stack || stack->target != pub->id)
		allocated.stack = 0;
	if (table_get(&target->allocated_at, allocated.stack, &i)) {
		add_up(&pub->allocated[i], &allocated);
		return;
	}
	array_reserve(pub->allocated, pub->allocated_count, target->allocated_cap);
	table_set(&target->allocated_at, allocated.stack, pub->allocated_count);
	pub->allocated[pub->allocated_count++] = allocated;
}

void model_sum_allocated(const struct target *target, struct event_allocated *ret)
{
	struct event_allocated sum = {0};

	for (size_t i = 0; i < target->allocated_count; i++)
		add_up(&sum, &target->allocated[i]);
	*ret = sum;
}
