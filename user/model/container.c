/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Containers: one entry per map, slice or channel that was seen growing, made or in the heap.
 *
 * Address is not identity. A slice is its array, so its name moves with each growth (old array -> new
 * array); an address that turns up as something that its last owner cannot have become (a smaller map, a
 * new array) belongs to a new container, and the old one has ended. A dead container keeps its entry
 * until the place is needed, so that it can be counted, but nobody finds it by address any more.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/private.h"

#define FIRST_SLOT_NS 250000000ull
#define BLOCK_SLACK   (4096 + 64)

/* ---- eviction: dead ones first, then the smallest, of equals the one silent for longest ---- */

static bool goes_before(const struct victim *a, const struct victim *b)
{
	if (a->dead != b->dead)
		return a->dead;
	if (!a->dead && a->held_bytes != b->held_bytes)
		return a->held_bytes < b->held_bytes;
	return a->last_ns < b->last_ns;
}

static int compare_victims(const void *a, const void *b)
{
	return goes_before(b, a) - goes_before(a, b);
}

static void pick_victims(const struct model *model, struct target_state *target)
{
	struct victim *all = xcalloc(target->container_count, sizeof(*all));

	for (size_t i = 0; i < target->container_count; i++) {
		struct container *container = model->containers[target->containers[i]];

		container_settle(target, container);
		all[i] = (struct victim){container->id, container->dead, container->serial,
			container->held_bytes, container->last_ns};
	}
	qsort(all, target->container_count, sizeof(*all), compare_victims);
	target->victim_count = MIN(target->container_count, (size_t)VICTIMS);
	for (size_t i = 0; i < target->victim_count; i++)
		target->victims[i] = all[target->victim_count - 1 - i];
	free(all);
}

/* ---- quiet ones ---- */

uint64_t model_quiet_word(enum family family, uint64_t key)
{
	return key ^ (uint64_t)family << 60;
}

static void end_quiet(struct target_state *target, struct container *container)
{
	if (!container->quiet)
		return;
	container_settle(target, container);
	container->quiet = false;
	target->quiet.count--;
	target->quiet.sum -= model_quiet_word(container->family, container->key);
}

/* ---- entries ---- */

/* Still what it was when it was picked. */
static bool is_victim(const struct container *container, const struct victim *victim)
{
	return container->serial == victim->serial && container->last_ns == victim->last_ns &&
	       container->dead == victim->dead;
}

static struct site *first_site(struct model *model, const struct container *container)
{
	return site_find(model, container->target, container->sites[0].site);
}

static void close_sites(struct model *model, const struct container *container)
{
	uint64_t length = MAX(container->length_peak, container->length_at_growth);
	struct site *first = first_site(model, container);

	if (first && (container->looks_known || container->has_length_at_growth))
		site_add_length(first, length);
	for (size_t i = 0; i < MODEL_CONTAINER_SITES; i++) {
		struct site *site = site_find(model, container->target, container->sites[i].site);

		if (site)
			site_end_generation(site, container);
	}
}

static void container_end(struct model *model, struct target_state *target,
	struct container *container, uint64_t time_ns)
{
	if (container->dead)
		return;
	end_quiet(target, container);
	container->dead = true;
	container->dead_ns = time_ns;
	table_remove(&target->keys[container->family], container->key);
	table_set(&target->ended[container->family], container->key, container->id);
	close_sites(model, container);
	free(container->slots);
	container->slots = NULL;
	container->slot_count = 0;
}

static struct victim *next_victim(const struct model *model, struct target_state *target)
{
	for (;;) {
		struct victim *victim;

		if (!target->victim_count)
			pick_victims(model, target);
		victim = &target->victims[target->victim_count - 1];
		container_settle(target, model->containers[victim->id]);
		if (is_victim(model->containers[victim->id], victim))
			return victim;
		target->victim_count--;
	}
}

static void forget_ended(struct target_state *target, const struct container *container)
{
	struct table *ended = &target->ended[container->family];
	uint64_t id;

	if (table_get(ended, container->key, &id) && id == container->id)
		table_remove(ended, container->key);
}

/* An entry for one more container, or NULL where all that are there hold more than held_bytes. */
static struct container *make_room(
	struct model *model, struct target_state *target, uint64_t held_bytes)
{
	struct container *container = model->containers[next_victim(model, target)->id];

	if (container->dead) {
		target->victim_count--;
		forget_ended(target, container);
		return container;
	}
	target->pub.containers_dropped++;
	if (container->held_bytes > held_bytes)
		return NULL;
	target->victim_count--;
	end_quiet(target, container);
	table_remove(&target->keys[container->family], container->key);
	close_sites(model, container);
	return container;
}

static struct container *new_entry(struct model *model, struct target_state *target)
{
	struct container *container = xcalloc(1, sizeof(*container));

	array_reserve(model->containers, model->container_count, model->container_cap);
	array_reserve(target->containers, target->container_count, target->container_cap);
	container->id = (uint32_t)model->container_count;
	model->containers[model->container_count++] = container;
	target->containers[target->container_count++] = container->id;
	return container;
}

static struct container *container_new(struct model *model, struct target_state *target,
	enum family family, uint64_t key, uint64_t held_bytes, uint64_t time_ns)
{
	struct container *container = target->container_count < MODEL_MAX_CONTAINERS
					      ? new_entry(model, target)
					      : make_room(model, target, held_bytes);
	uint32_t id;

	target->pub.containers_seen[family]++;
	if (!container)
		return NULL;
	id = container->id;
	free(container->slots);
	memset(container, 0, sizeof(*container));
	container->id = id;
	container->target = target->pub.id;
	container->serial = ++model->serial;
	container->family = family;
	container->key = key;
	container->first_ns = container->last_ns = time_ns;
	container->slot_ns = FIRST_SLOT_NS;
	table_set(&target->keys[family], key, id);
	return container;
}

static struct container *find(const struct model *model, const struct target_state *target,
	enum family family, uint64_t key)
{
	uint64_t id;

	if (!table_get(&target->keys[family], key, &id))
		return NULL;
	container_settle(target, model->containers[id]);
	return model->containers[id];
}

/* ---- what events say ---- */

static void touch(struct target_state *target, struct container *container, uint64_t time_ns)
{
	end_quiet(target, container);
	container->first_ns = MIN(container->first_ns, time_ns);
	container->last_ns = MAX(container->last_ns, time_ns);
}

static void set_held(struct container *container, uint64_t held_bytes, uint64_t time_ns)
{
	if (held_bytes != container->held_bytes)
		container->held_changed_ns = time_ns;
	container->held_bytes = held_bytes;
	container->held_peak_bytes = MAX(container->held_peak_bytes, held_bytes);
}

static size_t site_index(struct container *container, uint32_t site)
{
	size_t i = 0;

	while (i < MODEL_CONTAINER_SITES && container->sites[i].site != site &&
		container->sites[i].site)
		i++;
	/* All taken: the one with the fewest bytes, which is the last, makes room. */
	return MIN(i, (size_t)MODEL_CONTAINER_SITES - 1);
}

static void swap_sites(struct container *container, size_t i, size_t j)
{
	uint32_t site = container->sites[i].site;
	uint64_t bytes = container->sites[i].bytes;

	container->sites[i] = container->sites[j];
	container->sites[j].site = site;
	container->sites[j].bytes = bytes;
}

/* largest: what the site just made is now the container's largest array. */
static void add_site(struct container *container, struct site *site, uint64_t bytes, bool largest)
{
	size_t i = site_index(container, site->id);

	if (container->sites[i].site != site->id) {
		container->sites[i].site = site->id;
		container->sites[i].bytes = 0;
		site->containers++;
	}
	container->sites[i].bytes += bytes;
	for (; i && (largest || container->sites[i].bytes > container->sites[i - 1].bytes); i--)
		swap_sites(container, i, i - 1);
}

/*
 * Where realloc leaves a block where it is nothing is replaced: it was as large as is left of the new one. What
 * malloc gave may be known to the page only.
 */
static bool is_next_block(const struct container *container, const struct event_growth *growth)
{
	uint64_t before = growth->garbage_bytes ? growth->garbage_bytes
						: growth->held_bytes - MIN(growth->allocated_bytes,
									       growth->held_bytes);

	return MAX(before, container->held_bytes) - MIN(before, container->held_bytes) <=
	       BLOCK_SLACK;
}

/* A slice's array is replaced only by growth, so what is replaced now must be what was made last. */
static bool is_next_array(const struct container *container, const struct event_growth *growth)
{
	if (container->type && growth->type && container->type != growth->type)
		return false;
	if (growth->family == FAMILY_ARRAY)
		return is_next_block(container, growth);
	return !container->array_bytes || !growth->garbage_bytes ||
	       container->array_bytes == growth->garbage_bytes;
}

/*
 * Maps never shrink: one of half the size at the same address is another map. What was looked at after
 * this growth says nothing here: records come late, and the map has grown on since.
 */
static bool is_same_header(
	const struct container *container, const struct event_growth *growth, uint64_t time_ns)
{
	bool later = time_ns >= container->look_ns;
	uint64_t capacity =
		MAX(container->capacity_at_growth, later ? container->look.capacity : 0);

	if (container->type && growth->type && container->type != growth->type)
		return false;
	if (capacity && growth->capacity && growth->capacity <= capacity / 2)
		return false;
	return !later || !container->held_bytes || !growth->held_bytes ||
	       growth->held_bytes > container->held_bytes / 2;
}

static void rename_container(struct target_state *target, struct container *container, uint64_t key)
{
	end_quiet(target, container);
	table_remove(&target->keys[container->family], container->key);
	container->key = key;
	table_set(&target->keys[container->family], key, container->id);
}

static struct container *chain(struct model *model, struct target_state *target,
	const struct event_growth *growth, uint64_t time_ns)
{
	struct container *old =
		growth->new_container ? NULL : find(model, target, growth->family, growth->old_key);
	struct container *there = find(model, target, growth->family, growth->key);

	if (old && !is_next_array(old, growth)) {
		container_end(model, target, old, time_ns);
		there = there == old ? NULL : there;
		old = NULL;
	}
	if (there && there != old)
		container_end(model, target, there, time_ns);
	if (old)
		rename_container(target, old, growth->key);
	return old;
}

static struct container *same_header(struct model *model, struct target_state *target,
	const struct event_growth *growth, uint64_t time_ns)
{
	struct container *container = find(model, target, growth->family, growth->key);

	if (container && (growth->new_container || !is_same_header(container, growth, time_ns))) {
		container_end(model, target, container, time_ns);
		container = NULL;
	}
	return container;
}

/* Records wait in queues: what has grown then may have been found dead before this one is read. */
static struct container *find_ended(const struct model *model, const struct target_state *target,
	const struct event_growth *growth, uint64_t time_ns)
{
	struct container *container;
	uint64_t id;

	if (growth->new_container || family_moves(growth->family) ||
		!table_get(&target->ended[growth->family], growth->key, &id))
		return NULL;
	container = model->containers[id];
	return time_ns < container->dead_ns && is_same_header(container, growth, time_ns)
		       ? container
		       : NULL;
}

static void grow(struct container *container, const struct event_growth *growth, uint64_t time_ns)
{
	uint64_t held_bytes = growth->held_bytes;

	/* A map of many tables does not say; followed from its first growth, it holds what was not replaced. */
	if (!held_bytes)
		held_bytes =
			container->held_bytes + growth->allocated_bytes -
			MIN(growth->garbage_bytes, container->held_bytes + growth->allocated_bytes);
	if (growth->type)
		container->type = growth->type;
	container->runtime = growth->runtime;
	container->growths += !growth->same_size && !growth->new_container;
	container->same_size += growth->same_size;
	container->allocated_bytes += growth->allocated_bytes;
	container->garbage_bytes += growth->garbage_bytes;
	container->array_bytes = growth->allocated_bytes;
	container->overlap_peak_bytes =
		MAX(container->overlap_peak_bytes, growth->allocated_bytes + growth->garbage_bytes);
	container->grown_ns = MAX(container->grown_ns, time_ns);
	if (growth->has_length) {
		container->has_length_at_growth = true;
		container->length_at_growth = growth->length;
	}
	if (growth->capacity)
		container->capacity_at_growth = growth->capacity;
	/* What it got and was not replaced since, it holds; also where no look has ever seen it so large. */
	container->held_peak_bytes = MAX(container->held_peak_bytes,
		container->allocated_bytes -
			MIN(container->garbage_bytes, container->allocated_bytes));
	/* A growth may arrive after a look that already saw its result. */
	if (held_bytes && time_ns >= container->look_ns)
		set_held(container, held_bytes, time_ns);
}

void container_apply_growth(
	struct model *model, struct target_state *target, const struct event *event)
{
	const struct event_growth *growth = &event->growth;
	struct site *site = site_find(model, target->pub.id, growth->site);
	bool moves = family_moves(growth->family);
	struct container *container;

	target->pub.growths += !growth->same_size && !growth->new_container;
	if (site) {
		site->runtime = growth->runtime;
		site_count_growth(site, growth, event->time_ns);
	}
	if (!growth->key)
		return;
	container = moves ? chain(model, target, growth, event->time_ns)
			  : same_header(model, target, growth, event->time_ns);
	if (!container)
		container = find_ended(model, target, growth, event->time_ns);
	if (!container)
		container = container_new(model, target, growth->family, growth->key,
			growth->held_bytes ? growth->held_bytes : growth->allocated_bytes,
			event->time_ns);
	if (!container)
		return;
	touch(target, container, event->time_ns);
	grow(container, growth, event->time_ns);
	if (!site)
		return;
	container->accessed = false;
	add_site(container, site, growth->allocated_bytes,
		moves || growth->allocated_bytes >= container->held_bytes / 2);
	if (!container->dead)
		site_follow(model, site, container);
}

void container_apply_create(
	struct model *model, struct target_state *target, const struct event *event)
{
	const struct event_create *create = &event->create;
	bool found = create->found || create->before_attach;
	struct site *site = site_find(model, target->pub.id, create->site);
	struct container *container = find(model, target, create->family, create->key);

	/* What is made now explains RSS as growth does; the census finds what had been there. */
	if (site)
		site->runtime = create->runtime;
	if (site && !found)
		site_count_growth(site,
			&(struct event_growth){
				.new_container = true, .allocated_bytes = create->held_bytes},
			event->time_ns);
	/* Made under our eyes, or of another type: the address has a new owner. */
	if (container &&
		(!found || (create->type && container->type && create->type != container->type))) {
		container_end(model, target, container, event->time_ns);
		container = NULL;
	}
	if (!container) {
		container = container_new(model, target, create->family, create->key,
			create->held_bytes, event->time_ns);
		if (!container)
			return;
		container->before_attach = create->before_attach;
	}
	touch(target, container, event->time_ns);
	container->iterators.on_heap = container->iterators.on_stacks = 0;
	if (create->held_bytes && !container->looked)
		set_held(container, create->held_bytes, event->time_ns);
	container->runtime = create->runtime;
	container->type = create->type ? create->type : container->type;
	container->owner = create->owner ? create->owner : container->owner;
	container->created_capacity =
		create->capacity ? create->capacity : container->created_capacity;
	if (site && !container->sites[0].site) {
		add_site(container, site, 0, false);
		container->accessed = create->accessed;
	}
}

void container_apply_iterators(
	struct model *model, struct target_state *target, const struct event *event)
{
	const struct event_iterators *iterators = &event->iterators;
	struct container *container = find(model, target, iterators->family, iterators->key);

	if (!container)
		return;
	if (!container->iterators_since_ns || iterators->stamp != container->iterators.stamp) {
		container->iterators_moved = container->iterators_since_ns;
		container->iterators_since_ns = event->time_ns;
	}
	container->iterators = *iterators;
	container->iterators_seen_ns = event->time_ns;
}

/* ---- looks and their history ---- */

/* 64 slots become 32 of twice the width. */
static void widen_slots(struct container *container)
{
	for (uint32_t i = 0; i < MODEL_SLOTS / 2; i++) {
		const struct length_slot *a = &container->slots[2 * i], *b = a + 1;

		container->slots[i] = (struct length_slot){
			.start_ns = a->start_ns,
			.min = MIN(a->min, b->min),
			.max = MAX(a->max, b->max),
			.last = b->last,
			.gc_cycles = a->gc_cycles,
			.gc_running = a->gc_running,
		};
	}
	container->slot_count = MODEL_SLOTS / 2;
	container->slot_ns *= 2;
}

static void add_to_history(
	struct container *container, const struct look_round *round, uint64_t length)
{
	uint64_t time_ns = round->time_ns;
	uint32_t last = container->slot_count - 1;
	struct length_slot *slot = container->slot_count ? &container->slots[last] : NULL;

	if (slot && time_ns < slot->start_ns + container->slot_ns) {
		slot->min = MIN(slot->min, length);
		slot->max = MAX(slot->max, length);
		slot->last = length;
		return;
	}
	if (!container->slots)
		container->slots = xcalloc(MODEL_SLOTS, sizeof(*container->slots));
	if (container->slot_count == MODEL_SLOTS)
		widen_slots(container);
	container->slots[container->slot_count++] = (struct length_slot){
		time_ns, length, length, length, round->gc_cycles, round->gc_running};
}

/* A shallow look reads the header alone: what only a deep one knows stays as it was. */
static struct event_look merge_looks(const struct event_look *old, const struct event_look *new)
{
	struct event_look look = *new;

	if (!new->capacity)
		look.capacity = old->capacity;
	if (!new->load_limit)
		look.load_limit = old->load_limit;
	if (!new->held_bytes)
		look.held_bytes = old->held_bytes;
	if (!new->need_bytes &&new->length)
		look.need_bytes = old->need_bytes;
	look.need_peak_bytes = MAX(old->need_peak_bytes, new->need_peak_bytes);
	if (!new->has_resident && old->has_resident) {
		look.has_resident = true;
		look.resident_bytes = MIN(old->resident_bytes, look.held_bytes);
		look.old_resident_bytes = MIN(old->old_resident_bytes, look.old_bytes);
	}
	return look;
}

static void first_look(struct container *container, const struct event_look *look, uint64_t time_ns)
{
	container->looked = true;
	container->look = *look;
	container->first_look_ns = container->written_ns = time_ns;
	container->peak_ns = container->capacity_changed_ns = time_ns;
	container->length_peak = look->has_length ? look->length : 0;
}

static void next_look(struct container *container, const struct event_look *new, uint64_t time_ns)
{
	struct event_look look = merge_looks(&container->look, new);

	if (look.stamp != container->look.stamp) {
		container->written_ns = time_ns;
		container->writes++;
	}
	if (look.capacity != container->look.capacity)
		container->capacity_changed_ns = time_ns;
	if (look.has_length && look.length > container->length_peak) {
		container->length_peak = look.length;
		container->peak_ns = time_ns;
	}
	container->look = look;
}

static struct look_round round_at(const struct event_heap *heap, uint64_t time_ns)
{
	return (struct look_round){time_ns, heap->gc_cycles, heap->gc_running};
}

/* What was taken over from the newest look is so still. */
static void look_again(struct container *container, const struct look_round *round)
{
	const struct event_look *look = &container->look;

	container->looks++;
	container->looks_known += look->has_length;
	container->look_ns = MAX(container->look_ns, round->time_ns);
	if (container->look_held_bytes)
		set_held(container, container->look_held_bytes, round->time_ns);
	if (look->has_length)
		add_to_history(container, round, look->length);
}

/* One that says what the last one said changes nothing in what was taken over from that. */
static void look_at(struct container *container, const struct event_heap *heap,
	const struct event_look *look, uint64_t time_ns)
{
	struct look_round round = round_at(heap, time_ns);
	uint64_t hash = hash_words(look, sizeof(*look));

	if (!container->looked)
		first_look(container, look, time_ns);
	else if (hash != container->look_hash)
		next_look(container, look, time_ns);
	if (hash != container->look_hash)
		container->look_held_bytes = container->look.held_bytes;
	container->look_hash = hash;
	look_again(container, &round);
}

void container_settle(const struct target_state *target, struct container *container)
{
	while (container->quiet && container->rounds < target->round_count) {
		const struct look_round *round =
			&target->rounds[container->rounds++ % QUIET_ROUNDS];

		if (round->time_ns < container->look_ns)
			continue;
		container->last_ns = MAX(container->last_ns, round->time_ns);
		look_again(container, round);
	}
}

void container_begin_quiet(
	struct model *model, struct target_state *target, enum family family, uint64_t key)
{
	struct container *container = find(model, target, family, key);

	if (!container || !container->looked || container->quiet)
		return;
	container->quiet = true;
	container->rounds = target->round_count;
	target->quiet.count++;
	target->quiet.sum += model_quiet_word(family, key);
}

void container_end_quiet(
	struct model *model, struct target_state *target, enum family family, uint64_t key)
{
	struct container *container = find(model, target, family, key);

	if (container)
		end_quiet(target, container);
}

void container_end_all_quiet(struct model *model, struct target_state *target)
{
	for (size_t i = 0; i < target->container_count; i++)
		end_quiet(target, model->containers[target->containers[i]]);
}

static void settle_all(const struct model *model, const struct target_state *target)
{
	for (size_t i = 0; i < target->container_count; i++)
		container_settle(target, model->containers[target->containers[i]]);
}

void container_apply_quiet(struct model *model, struct target_state *target, uint64_t time_ns)
{
	target->rounds[target->round_count++ % QUIET_ROUNDS] = round_at(&target->pub.heap, time_ns);
	if (target->round_count % QUIET_ROUNDS == 0)
		settle_all(model, target);
}

void container_apply_look(
	struct model *model, struct target_state *target, const struct event *event)
{
	const struct event_look *look = &event->look;
	struct container *container = find(model, target, look->family, look->key);

	if (look->liveness == LIVENESS_DEAD) {
		if (container)
			container_end(model, target, container, event->time_ns);
		return;
	}
	if (!container) {
		container = container_new(
			model, target, look->family, look->key, look->held_bytes, event->time_ns);
		if (!container)
			return;
		container->before_attach = true;
	}
	/* Looks come in order from one thread; one from the past would rewrite the history. */
	if (event->time_ns < container->look_ns)
		return;
	touch(target, container, event->time_ns);
	look_at(container, &target->pub.heap, look, event->time_ns);
}

/* The site of the living container with that key, whatever its family; NULL = none is known. */
struct site *container_site(struct model *model, struct target_state *target, uint64_t key)
{
	struct container *container = NULL;

	for (enum family family = FAMILY_NONE + 1; family < FAMILY_MAX && key; family++)
		container = container ? container : find(model, target, family, key);
	return container ? first_site(model, container) : NULL;
}

void container_end_all(struct model *model, struct target_state *target, uint64_t time_ns)
{
	for (size_t i = 0; i < target->container_count; i++)
		container_end(model, target, model->containers[target->containers[i]], time_ns);
}

/* ---- reading ---- */

const struct container *model_find_container(
	const struct model *model, uint32_t target, enum family family, uint64_t key)
{
	if (target >= model->target_count || family >= FAMILY_MAX)
		return NULL;
	return find(model, model->targets[target], family, key);
}

/*
 * How often the GC must have completed by the end of the first cycle that began at or after t0_ns. The
 * sample must not be older than t0_ns, else a cycle that ended before would count. False: not known yet.
 */
static bool cycle_after(const struct target *target, uint64_t t0_ns, uint64_t *ret)
{
	uint64_t cycles = target->heap.gc_cycles;
	bool running = target->heap.gc_running;

	if (!target->has_heap || target->heap_ns < t0_ns)
		return false;
	for (size_t i = 0; i < target->heap_count; i++) {
		if (target->heap_samples[i].time_ns < t0_ns)
			continue;
		cycles = target->heap_samples[i].gc_cycles;
		running = target->heap_samples[i].gc_running;
		break;
	}
	*ret = cycles + 1 + running;
	return true;
}

bool model_container_alive_since(
	const struct model *model, const struct container *container, uint64_t t0_ns)
{
	const struct target *target = model_target(model, container->target);
	uint64_t cycle;

	if (container->dead || !target)
		return false;
	if (container->looked && container->look.liveness == LIVENESS_ROOTED &&
		container->look_ns >= t0_ns)
		return true;
	if (container->writes && container->written_ns > t0_ns)
		return true;
	if (container->grown_ns > t0_ns)
		return true;
	return container->looked && container->look.liveness >= LIVENESS_MARKED &&
	       cycle_after(target, t0_ns, &cycle) && container->look.marked_cycle >= cycle;
}
