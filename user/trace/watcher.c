/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Watched containers have their headers read at every poll, in one batch per family; watch.h says when they
 * are walked. Those that have said nothing new for a while are asked all at once whether that is still so.
 */
#include "trace/watcher.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "trace/watch.h"

#define LOOK_BATCH 512
#define DEATH_NS   (300 * NSEC_PER_MSEC)

/* What is asked of one part's containers of one family at once. */
struct look_batch {
	const struct part *part;
	enum family family;
	bool deep;
	size_t count;
	struct watch *watches[LOOK_BATCH];
	uint64_t keys[LOOK_BATCH], types[LOOK_BATCH], peaks[LOOK_BATCH];
	struct event_look looks[LOOK_BATCH];
};

/* Who is asked whether they are still quiet. */
struct quiet_batch {
	size_t count;
	struct watch *watches[WATCH_MAX_CONTAINERS];
	uint64_t keys[WATCH_MAX_CONTAINERS];
	bool quiet[WATCH_MAX_CONTAINERS];
};

struct watcher {
	struct model *model;
	uint32_t target;
	const struct modules *modules;
	bool last; /* this poll is the last one: no record is on its way */
	struct watch_list list;
	struct look_batch batch;                     /* kept from poll to poll: it is large */
	struct quiet_batch quiet;                    /* the same, and of each poll: */
	struct watch *to_look[WATCH_MAX_CONTAINERS]; /* of the part it is the turn of */
	size_t to_look_count;
	const struct part *quiet_part; /* whose containers may be quiet; NULL = nobody's */
};

struct watcher *watcher_new(struct model *model, uint32_t target, const struct modules *modules)
{
	struct watcher *watcher = xcalloc(1, sizeof(*watcher));

	watcher->model = model;
	watcher->target = target;
	watcher->modules = modules;
	return watcher;
}

void watcher_free(struct watcher *watcher)
{
	if (!watcher)
		return;
	watch_list_done(&watcher->list);
	free(watcher);
}

static void apply_look(struct watcher *watcher, const struct event_look *look, uint64_t now_ns)
{
	struct event event = {
		.kind = EVENT_LOOK, .target = watcher->target, .time_ns = now_ns, .look = *look};

	model_apply(watcher->model, &event);
}

static void end_quiet(struct watcher *watcher, struct watch *watch)
{
	if (!watch->quiet)
		return;
	model_end_quiet(watcher->model, watcher->target, watch->family, watch->key);
	watch->quiet = false;
}

/* NULL is allowed. */
static void unwatch(struct watcher *watcher, struct watch *watch)
{
	if (watch)
		end_quiet(watcher, watch);
	watch_remove(&watcher->list, watch);
}

/* ---- what is told ---- */

/*
 * What a container holds after a growth, for the list. One that does not say (a Swiss map of many tables)
 * is put on it: the first look will tell.
 */
static uint64_t grown_held(const struct event_growth *growth)
{
	if (growth->held_bytes)
		return growth->held_bytes;
	return MAX(growth->allocated_bytes,
		growth->family == FAMILY_MAP ? (uint64_t)WATCH_FLOOR_BYTES : 0);
}

/*
 * A death that is not told yet (died()) is that of what was at the address then. What has grown, or was made, there
 * since is another one.
 */
static void apply_told(
	struct watcher *watcher, enum family family, uint64_t key, const struct event *event)
{
	struct watch *watch = watch_find(&watcher->list, family, key);
	const struct container *before;

	if (!watch || !watch->dead_ns) {
		model_apply(watcher->model, event);
		return;
	}
	if (event->time_ns > watch->dead_ns)
		apply_look(watcher, &(struct event_look){.family = family, .key = key},
			watch->dead_ns);
	before = model_find_container(watcher->model, watcher->target, family, key);
	model_apply(watcher->model, event);
	if (!before || model_find_container(watcher->model, watcher->target, family, key) != before)
		unwatch(watcher, watch);
}

static void take_growth(
	struct watcher *watcher, const struct part *part, const struct event *event, uint64_t type)
{
	const struct event_growth *growth = &event->growth;

	if (growth->old_key != growth->key)
		unwatch(watcher, watch_find(&watcher->list, growth->family, growth->old_key));
	apply_told(watcher, growth->family, growth->key, event);
	if (!(growth->key & EVENT_KEY_ON_STACK)) /* what moves with a stack cannot be looked at */
		watch_add(&watcher->list, part->number, growth->family, growth->key, type,
			grown_held(growth));
}

void watcher_take(
	struct watcher *watcher, const struct part *part, const struct event *event, uint64_t type)
{
	const struct event_create *create = &event->create;

	if (event->kind == EVENT_GROWTH) {
		take_growth(watcher, part, event, type);
		return;
	}
	apply_told(watcher, create->family, create->key, event);
	watch_add(&watcher->list, part->number, create->family, create->key, type,
		create->held_bytes);
}

/* The census has walked it: the next walks of all that it found are spread over the time between two. */
static void found_walked(struct watcher *watcher, const struct event_look *look, uint64_t now_ns)
{
	struct watch *watch = watch_find(&watcher->list, look->family, look->key);

	if (!watch)
		return;
	watch->stamp = look->stamp;
	watch_walked(watch, now_ns,
		WATCH_DEEP_NS / 2 + hash_bytes(0, &look->key, sizeof(look->key)) % WATCH_DEEP_NS);
}

void watcher_find(struct watcher *watcher, const struct part *part, const struct event *event,
	const struct runtime_container *found, uint64_t now_ns)
{
	model_apply(watcher->model, event);
	watch_add(&watcher->list, part->number, found->family, found->key, found->type,
		found->look.held_bytes);
	found_walked(watcher, &found->look, now_ns);
	apply_look(watcher, &found->look, now_ns);
}

/* ---- looks ---- */

/*
 * A slice that has grown a moment ago is dead under its old key before the record of that growth has come
 * through the ring: so death must last longer than a record can take.
 */
static void died(struct watcher *watcher, struct watch *watch, const struct event_look *look,
	uint64_t now_ns)
{
	if (!watch->dead_ns)
		watch->dead_ns = now_ns;
	if (now_ns - watch->dead_ns < DEATH_NS && !watcher->last)
		return;
	apply_look(watcher, look, watch->dead_ns);
	unwatch(watcher, watch);
}

static void begin_quiet(struct watcher *watcher, struct watch *watch)
{
	model_begin_quiet(watcher->model, watcher->target, watch->family, watch->key);
	watch->quiet = true;
}

static void looked(struct watcher *watcher, struct watch *watch, const struct event_look *look,
	uint64_t now_ns, bool deep)
{
	bool same;

	if (look->liveness == LIVENESS_DEAD) {
		died(watcher, watch, look, now_ns);
		return;
	}
	apply_look(watcher, look, now_ns);
	watch->dead_ns = 0;
	if (look->has_length)
		watch->length_peak = MAX(watch->length_peak, look->length);
	if (look->held_bytes)
		watch->held_bytes = look->held_bytes;
	same = watch_looked(watch, look->stamp);
	if (deep)
		watch_walked(watch, now_ns, WATCH_DEEP_NS);
	if (same && watcher->batch.part == watcher->quiet_part)
		begin_quiet(watcher, watch);
}

static void look_flush(struct watcher *watcher, struct look_batch *batch)
{
	uint64_t now_ns;
	int r;

	if (!batch->count)
		return;
	memset(batch->looks, 0, batch->count * sizeof(batch->looks[0]));
	r = batch->part->runtime->look(batch->part->process, batch->family, batch->keys,
		batch->types, batch->peaks, batch->count, batch->deep, batch->looks);
	/* After it was read: a growth in between would else seem to come after what was seen of it. */
	now_ns = clock_mono_ns();
	for (size_t i = 0; r >= 0 && i < batch->count; i++) {
		struct event_look *look = &batch->looks[i];

		/* A global variable lives as long as the program. */
		if (look->liveness == LIVENESS_ALLOCATED && watcher->modules &&
			modules_is_global(watcher->modules, look->key))
			look->liveness = LIVENESS_ROOTED;
		looked(watcher, batch->watches[i], look, now_ns, batch->deep);
	}
	batch->count = 0;
}

static void look_at_family(
	struct watcher *watcher, const struct part *part, enum family family, bool deep)
{
	struct look_batch *batch = &watcher->batch;

	if (!watcher->list.count_of[family])
		return;
	batch->part = part;
	batch->family = family;
	batch->deep = deep;
	for (size_t i = 0; i < watcher->to_look_count; i++) {
		struct watch *watch = watcher->to_look[i];

		/* A look of this poll may have shown that others are dead */
		if (!watch->used || watch->family != family || watch->deep != deep)
			continue;
		batch->watches[batch->count] = watch;
		batch->keys[batch->count] = watch->key;
		batch->types[batch->count] = watch->type;
		batch->peaks[batch->count++] = watch->length_peak;
		if (batch->count == LOOK_BATCH)
			look_flush(watcher, batch);
	}
	look_flush(watcher, batch);
}

static void end_all_quiet(struct watcher *watcher)
{
	model_end_all_quiet(watcher->model, watcher->target);
	for (size_t i = 0; i < watcher->list.end; i++)
		watcher->list.watches[i].quiet = false;
}

/*
 * Who is quiet, as far as is known. Either side may have lost some: the model makes room for others, so does the
 * list. Then all begin anew.
 */
static void collect_quiet(struct watcher *watcher, struct quiet_batch *batch)
{
	struct model_quiet known = model_quiet(watcher->model, watcher->target);
	uint64_t sum = 0;

	batch->count = 0;
	for (size_t i = 0; i < watcher->list.end; i++) {
		struct watch *watch = &watcher->list.watches[i];

		if (!watch->used || !watch->quiet)
			continue;
		sum += model_quiet_word(watch->family, watch->key);
		batch->watches[batch->count] = watch;
		batch->keys[batch->count++] = watch->key;
	}
	if (batch->count == known.count && sum == known.sum)
		return;
	end_all_quiet(watcher);
	batch->count = 0;
}

/* Whoever has said something new is looked at afterwards; so is who is to be walked. */
static void poll_quiet(struct watcher *watcher, const struct part *part)
{
	struct quiet_batch *batch = &watcher->quiet;
	uint64_t now_ns = clock_mono_ns();
	int r;

	collect_quiet(watcher, batch);
	if (!batch->count)
		return;
	r = part->runtime->quiet(part->process, batch->keys, batch->count, batch->quiet);
	for (size_t i = 0; i < batch->count; i++) {
		struct watch *watch = batch->watches[i];

		if (!r && batch->quiet[i] && !watch->deep && watch->part == part->number) {
			watch->was_quiet = true;
			continue;
		}
		watch->was_quiet |= !r && batch->quiet[i];
		end_quiet(watcher, watch);
		watch_end_quiet(watch);
	}
	model_apply_quiet(watcher->model, watcher->target, now_ns);
}

static void collect_to_look(struct watcher *watcher, const struct part *part)
{
	watcher->to_look_count = 0;
	for (size_t i = 0; i < watcher->list.end; i++) {
		struct watch *watch = &watcher->list.watches[i];

		if (watch->used && !watch->quiet && watch->part == part->number)
			watcher->to_look[watcher->to_look_count++] = watch;
	}
}

void watcher_begin_poll(
	struct watcher *watcher, const struct part *quiet_part, uint64_t now_ns, bool last)
{
	watcher->last = last;
	watcher->quiet_part = quiet_part;
	watch_choose_deep(&watcher->list, now_ns, last);
	if (!quiet_part && model_quiet(watcher->model, watcher->target).count)
		end_all_quiet(watcher);
}

void watcher_poll(struct watcher *watcher, const struct part *part)
{
	if (part == watcher->quiet_part)
		poll_quiet(watcher, part);
	collect_to_look(watcher, part);
	for (enum family family = FAMILY_MAP; part->runtime->look && family < FAMILY_MAX;
		family++) {
		look_at_family(watcher, part, family, false);
		look_at_family(watcher, part, family, true);
	}
}
