/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every site is a sample, from its own line outwards. What a container holds counts for its site; containers without one (made
 * before attach, of a program without an allocation profile) are gathered by type and owner. Stacks of the
 * runtime's own allocation profile are samples of their own: they count what the others hold a second time,
 * and so under names of their own.
 */
#include "sink/samples.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"

static uint64_t site_growth(const struct model *model, const struct site *site)
{
	return model_scale(model, site->target, site->family, site->allocated_bytes);
}

static uint64_t site_garbage(const struct model *model, const struct site *site)
{
	return model_scale(model, site->target, site->family, site->garbage_bytes);
}

static uint64_t site_faults(const struct model *model, const struct site *site)
{
	return model_scale_faults(model, site->target, site->fault_bytes);
}

static uint64_t container_held(const struct container *container)
{
	return container->held_bytes;
}

static uint64_t container_retained(const struct container *container)
{
	const struct event_look *look = &container->look;

	if (!container->looked || !look->has_length || look->need_bytes > container->held_bytes)
		return 0;
	return container->held_bytes - look->need_bytes;
}

static uint64_t in_use_space(const struct event_allocated *allocated)
{
	return allocated->in_use_bytes;
}

static uint64_t in_use_objects(const struct event_allocated *allocated)
{
	return allocated->in_use_objects;
}

static uint64_t allocated_space(const struct event_allocated *allocated)
{
	return allocated->allocated_bytes;
}

static uint64_t allocated_objects(const struct event_allocated *allocated)
{
	return allocated->allocated_objects;
}

static const struct sample_type types[] = {
	{"held_bytes", "bytes", NULL, container_held, NULL},
	{"retained_bytes", "bytes", NULL, container_retained, NULL},
	{"growth_bytes", "bytes", site_growth, NULL, NULL},
	{"garbage_bytes", "bytes", site_garbage, NULL, NULL},
	{"fault_bytes", "bytes", site_faults, NULL, NULL},
	/* The runtime's own profile, by the names that Go gives it */
	{"inuse_space", "bytes", NULL, NULL, in_use_space},
	{"inuse_objects", "count", NULL, NULL, in_use_objects},
	{"alloc_space", "bytes", NULL, NULL, allocated_space},
	{"alloc_objects", "count", NULL, NULL, allocated_objects},
};

const struct sample_type *sample_type_get(size_t i)
{
	return i < ARRAY_SIZE(types) ? &types[i] : NULL;
}

size_t sample_type_count(void)
{
	return ARRAY_SIZE(types);
}

/* ---- gathering ---- */

struct samples {
	const struct model *model;
	struct sample *items; /* [site - 1], then those without a site */
	size_t count, cap;
	struct table unplaced; /* hash of what they have in common -> index */
};

static struct sample *add(struct samples *samples)
{
	array_reserve(samples->items, samples->count, samples->cap);
	memset(&samples->items[samples->count], 0, sizeof(*samples->items));
	return &samples->items[samples->count++];
}

/* A stack begins in the user's code, as its site does: what lies inside is the same for all containers. */
static uint32_t first_frame(const struct site *site)
{
	for (uint32_t i = 0; i < site->frame_count; i++)
		if (!site->frames[i].internal)
			return i;
	return 0;
}

static void add_sites(struct samples *samples)
{
	const struct model *model = samples->model;

	for (uint32_t id = 1; id <= model_site_count(model); id++) {
		const struct site *site = model_site(model, id);
		struct sample *sample = add(samples);

		sample->target = site->target;
		sample->family = site->family;
		sample->type = model_string(model, site->type);
		sample->owner = "";
		sample->frames = site->frames + first_frame(site);
		sample->frame_count = site->frame_count - first_frame(site);
		for (size_t i = 0; i < ARRAY_SIZE(types); i++)
			if (types[i].of_site)
				sample->values[i] = types[i].of_site(model, site);
	}
}

static struct sample *find_unplaced(struct samples *samples, const struct container *container)
{
	const uint32_t key[] = {
		container->target, container->family, container->type, container->owner};
	uint64_t hash = hash_bytes(0, key, sizeof(key)), at;
	struct sample *sample;

	if (table_get(&samples->unplaced, hash, &at))
		return &samples->items[at];
	table_set(&samples->unplaced, hash, samples->count);
	sample = add(samples);
	sample->target = container->target;
	sample->family = container->family;
	sample->type = model_string(samples->model, container->type);
	sample->owner = model_string(samples->model, container->owner);
	return sample;
}

static void add_containers(struct samples *samples)
{
	const struct model *model = samples->model;

	for (uint32_t id = 0; id < model_container_count(model); id++) {
		const struct container *container = model_container(model, id);
		uint32_t site = container->sites[0].site;
		struct sample *sample;

		if (container->dead)
			continue;
		sample = site && site <= model_site_count(model)
				 ? &samples->items[site - 1]
				 : find_unplaced(samples, container);
		for (size_t i = 0; i < ARRAY_SIZE(types); i++)
			if (types[i].of_container)
				sample->values[i] += types[i].of_container(container);
	}
}

/* From the first frame of the user's code outwards, where there is one. */
static void add_allocated(struct samples *samples, const struct target *target)
{
	for (size_t i = 0; i < target->allocated_count; i++) {
		const struct event_allocated *allocated = &target->allocated[i];
		const struct model_stack *stack = model_stack(samples->model, allocated->stack);
		struct sample *sample = add(samples);

		sample->target = target->id;
		sample->type = sample->owner = "";
		if (stack) {
			uint32_t first = stack->place < stack->frame_count ? stack->place : 0;

			sample->frames = stack->frames + first;
			sample->frame_count = stack->frame_count - first;
		}
		for (size_t j = 0; j < ARRAY_SIZE(types); j++)
			if (types[j].of_allocated)
				sample->values[j] = types[j].of_allocated(allocated);
	}
}

static bool has_value(const struct sample *sample)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (sample->values[i])
			return true;
	return false;
}

void samples_each(
	const struct model *model, void (*emit)(const struct sample *sample, void *arg), void *arg)
{
	struct samples samples = {.model = model};

	add_sites(&samples);
	add_containers(&samples);
	for (uint32_t id = 0; id < model_target_count(model); id++)
		add_allocated(&samples, model_target(model, id));
	for (size_t i = 0; i < samples.count; i++)
		if (has_value(&samples.items[i]))
			emit(&samples.items[i], arg);
	table_done(&samples.unplaced);
	free(samples.items);
}
