/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sites: places in the user's code where containers grow. A site is found by what names it (target,
 * family, type, function, file, line), counts everything that grows there, remembers the last minute
 * second by second, and remembers the containers that followed one another there.
 */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/private.h"

/* Smaller containers come and go by the thousand: only these are worth a place among 16. */
#define GENERATION_MIN_BYTES (64 << 10)

size_t frames_find_user(const struct model_frame *frames, size_t count)
{
	size_t i = 0;

	while (i < count && (frames[i].internal || !frames[i].function || !*frames[i].function))
		i++;
	return i;
}

static bool starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/*
 * Where no frame is the user's (the library runs goroutines of its own, or the stack was cut short): the
 * innermost function of Go's standard library, not of what grows things for it. Libraries of other languages
 * have no place: what is inlined there is as good as the container itself.
 */
static size_t find_library(const struct model_frame *frames, size_t count)
{
	size_t i = 0;

	for (; i < count; i++) {
		const char *function = frames[i].function, *file = frames[i].file;
		size_t length = file ? strlen(file) : 0;

		if (function && *function && length > 3 && !strcmp(file + length - 3, ".go") &&
			!starts_with(function, "runtime.") && !starts_with(function, "internal/") &&
			!starts_with(function, "reflect."))
			break;
	}
	return i;
}

struct place {
	uint32_t target;
	enum family family;
	uint32_t type, line;
	const char *function, *file;
};

static uint64_t place_key(const struct place *place)
{
	uint32_t numbers[] = {place->target, place->family, place->type, place->line};
	uint64_t hash = hash_bytes(0, numbers, sizeof(numbers));

	return hash_string(hash_string(hash, place->function), place->file);
}

static bool site_is(const struct site *site, const struct place *place)
{
	return site->target == place->target && site->family == place->family &&
	       site->type == place->type && site->line == place->line && !site->other &&
	       !strcmp(site->function, place->function) && !strcmp(site->file, place->file);
}

static const char *interned(struct model *model, const char *s)
{
	return model_string(model, model_intern(model, s));
}

static struct site *site_new(struct model *model, const struct place *place)
{
	struct target_state *target = model->targets[place->target];
	struct site *site = xcalloc(1, sizeof(*site));

	array_reserve(model->sites, model->site_count, model->site_cap);
	model->sites[model->site_count++] = site;
	site->id = (uint32_t)model->site_count;
	site->target = place->target;
	site->family = place->family;
	site->type = place->type;
	site->function = interned(model, place->function);
	site->file = interned(model, place->file);
	site->line = place->line;
	array_reserve(target->sites, target->site_count, target->site_cap);
	target->sites[target->site_count++] = site->id;
	return site;
}

struct model_frame *frames_copy(
	struct model *model, const struct model_frame *frames, size_t count, uint32_t *ret_count)
{
	struct model_frame *copy;

	count = MIN(count, (size_t)MODEL_MAX_FRAMES);
	copy = xcalloc(count, sizeof(*copy));
	for (size_t i = 0; i < count; i++) {
		copy[i] = frames[i];
		copy[i].function = interned(model, frames[i].function);
		copy[i].file = interned(model, frames[i].file);
		copy[i].module = interned(model, frames[i].module);
		copy[i].build_id = interned(model, frames[i].build_id);
	}
	*ret_count = (uint32_t)count;
	return copy;
}

static uint32_t site_other(struct model *model, struct target_state *target)
{
	struct place place = {.target = target->pub.id, .function = "", .file = ""};

	if (!target->other_site) {
		struct site *site = site_new(model, &place);

		site->other = true;
		target->other_site = site->id;
		model_tell(model, site, site);
	}
	return target->other_site;
}

uint32_t model_add_other_site(struct model *model, uint32_t target)
{
	return target < model->target_count ? site_other(model, model->targets[target]) : 0;
}

uint32_t model_add_site(struct model *model, uint32_t target, enum family family, uint32_t type,
	const struct model_frame *frames, size_t frame_count)
{
	size_t user = frames_find_user(frames, frame_count);
	bool library = user == frame_count && family != FAMILY_NONE;
	const struct model_frame *frame;
	struct place place = {target, family, type, 0, "", ""};
	struct site *site;
	uint64_t key, id;

	if (library)
		user = find_library(frames, frame_count);
	frame = user < frame_count ? &frames[user] : NULL;
	if (frame) {
		place.line = frame->line;
		place.function = frame->function;
		place.file = frame->file ? frame->file : "";
	}
	if (target >= model->target_count || family >= FAMILY_MAX)
		return 0;
	for (key = place_key(&place); table_get(&model->sites_by_key, key, &id); key++)
		if (site_is(model->sites[id - 1], &place))
			return (uint32_t)id;
	if (model->targets[target]->site_count + 1 >= MODEL_MAX_SITES)
		return site_other(model, model->targets[target]);
	site = site_new(model, &place);
	site->frames = frames_copy(model, frames, frame_count, &site->frame_count);
	site->library = library && frame;
	table_set(&model->sites_by_key, key, site->id);
	model_tell(model, site, site);
	return site->id;
}

struct site *site_find(struct model *model, uint32_t target, uint32_t id)
{
	struct site *site = id && id <= model->site_count ? model->sites[id - 1] : NULL;

	return site && site->target == target ? site : NULL;
}

struct site *site_find_grown(struct model *model, const struct target_state *target,
	enum family family, const struct site *place)
{
	struct site *found = NULL;

	for (size_t i = 0; i < target->site_count; i++) {
		struct site *site = model->sites[target->sites[i] - 1];

		/* Names are interned: the same one is the same pointer */
		if (site->line != place->line || site->function != place->function ||
			site->file != place->file || !site->family || !site->growths ||
			(family && site->family != family &&
				family_probed_as(site->family) != family))
			continue;
		if (!found || site->last_ns > found->last_ns)
			found = site;
	}
	return found;
}

/* The slot of a time, or NULL where the ring has already moved past it. */
struct rate_slot *rate_slot_at(struct rate_slot slots[MODEL_RATE_SLOTS], uint64_t time_ns)
{
	uint32_t second = (uint32_t)(time_ns / NSEC_PER_SEC);
	struct rate_slot *slot = &slots[second % MODEL_RATE_SLOTS];

	if (slot->second > second)
		return NULL;
	if (slot->second < second)
		*slot = (struct rate_slot){.second = second};
	return slot;
}

void rate_window(const struct rate_slot slots[MODEL_RATE_SLOTS], uint64_t from_ns, uint64_t to_ns,
	struct rate_slot *ret)
{
	uint64_t from = from_ns / NSEC_PER_SEC, to = to_ns / NSEC_PER_SEC;

	*ret = (struct rate_slot){.second = (uint32_t)from};
	for (size_t i = 0; i < MODEL_RATE_SLOTS; i++) {
		if (slots[i].second < from || slots[i].second > to)
			continue;
		ret->growths += slots[i].growths;
		ret->faults += slots[i].faults;
		ret->fault_bytes += slots[i].fault_bytes;
		ret->allocated_bytes += slots[i].allocated_bytes;
		ret->garbage_bytes += slots[i].garbage_bytes;
	}
}

void model_site_window(
	const struct site *site, uint64_t from_ns, uint64_t to_ns, struct rate_slot *ret)
{
	rate_window(site->rates, from_ns, to_ns, ret);
}

void site_count_growth(struct site *site, const struct event_growth *growth, uint64_t time_ns)
{
	struct rate_slot *slot = rate_slot_at(site->rates, time_ns);
	bool grew = !growth->same_size && !growth->new_container;

	site->growths += grew;
	site->same_size += growth->same_size;
	site->allocated_bytes += growth->allocated_bytes;
	site->garbage_bytes += growth->garbage_bytes;
	site->first_ns = site->first_ns ? MIN(site->first_ns, time_ns) : time_ns;
	site->last_ns = MAX(site->last_ns, time_ns);
	if (!slot)
		return;
	slot->growths += grew;
	slot->allocated_bytes += growth->allocated_bytes;
	slot->garbage_bytes += growth->garbage_bytes;
}

void site_add_length(struct site *site, uint64_t length)
{
	size_t i = length ? 63 - (size_t)__builtin_clzll(length) : 0;

	site->lengths[MIN(i, ARRAY_SIZE(site->lengths) - 1)]++;
	site->length_max = MAX(site->length_max, length);
}

static struct generation *generation_at(struct site *site, uint64_t i)
{
	return &site->generations[i % MODEL_GENERATIONS];
}

static void add_generation(struct site *site, const struct container *container)
{
	*generation_at(site, site->generation_count++) = (struct generation){
		.first_ns = container->first_ns,
		.last_ns = MAX(container->grown_ns, container->first_ns),
		.key = container->key,
		.peak_held_bytes = container->held_peak_bytes,
		.allocated_bytes = container->allocated_bytes,
		.garbage_bytes = container->garbage_bytes,
		.serial = container->serial,
		.ended = container->dead,
	};
}

/* A container that goes on growing after the next one began was no generation. */
static void drop_generation(struct site *site, const struct container *container)
{
	uint64_t kept = MIN(site->generation_count, (uint64_t)MODEL_GENERATIONS);
	uint64_t i = site->generation_count - kept;

	while (i < site->generation_count && generation_at(site, i)->serial != container->serial)
		i++;
	if (i == site->generation_count)
		return;
	for (; i + 1 < site->generation_count; i++)
		*generation_at(site, i) = *generation_at(site, i + 1);
	site->generation_count--;
	/* The oldest slot of a full ring is now unknown: an empty entry, never a stale one. */
	if (kept == MODEL_GENERATIONS)
		*generation_at(site, site->generation_count) = (struct generation){0};
}

static bool worth_a_generation(const struct site *site, const struct container *container)
{
	return container->sites[0].site == site->id &&
	       container->held_peak_bytes >= GENERATION_MIN_BYTES;
}

/* next has grown here. */
void site_follow(struct model *model, struct site *site, const struct container *next)
{
	const struct container *last =
		site->newest < model->container_count ? model->containers[site->newest] : NULL;

	if (site->newest_serial == next->serial)
		return;
	drop_generation(site, next);
	if (last && last->serial == site->newest_serial && worth_a_generation(site, last))
		add_generation(site, last);
	site->newest = next->id;
	site->newest_serial = next->serial;
}

/* The container is dead, or leaves the model. */
void site_end_generation(struct site *site, const struct container *container)
{
	if (site->newest_serial == container->serial) {
		site->newest_serial = 0;
		if (worth_a_generation(site, container))
			add_generation(site, container);
		return;
	}
	for (size_t i = 0; i < MODEL_GENERATIONS; i++)
		if (site->generations[i].serial == container->serial)
			site->generations[i].ended |= container->dead;
}
