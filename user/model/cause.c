/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What brought bytes into RSS, and when. Every sample of page faults stands for bytes and names one
 * cause: the container whose array was touched, else the site that touched it, else the mapping.
 * Neighbouring samples of one cause become one slot; the slots are a ring, the oldest are forgotten.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/private.h"

#define MERGE_NS    (50 * NSEC_PER_MSEC)
#define MERGE_SLOTS 16 /* that are compared with, newest first */

bool cause_is_same(const struct cause *a, const struct cause *b)
{
	return a->site == b->site && a->family == b->family && a->mapping == b->mapping &&
	       a->name == b->name && a->mapped_site == b->mapped_site;
}

/* A site of which not even a function is known explains nothing. */
static bool says_where(const struct site *site)
{
	return site && !site->other && (*site->function || site->type);
}

bool cause_is_named(const struct model *model, const struct cause *cause)
{
	return cause->mapping != MAPPING_UNKNOWN || says_where(model_site(model, cause->site));
}

static struct cause_slot *slot_at(struct target_state *target, uint64_t i)
{
	return &target->causes[i % MODEL_CAUSE_SLOTS];
}

static struct cause_slot *slot_add(struct target_state *target)
{
	if (target->cause_count < MODEL_CAUSE_SLOTS)
		array_reserve(target->causes, target->cause_count, target->cause_cap);
	return slot_at(target, target->cause_count++);
}

static struct cause_slot *slot_of(
	struct target_state *target, const struct cause *cause, uint64_t time_ns)
{
	uint64_t kept = MIN(target->cause_count, (uint64_t)MERGE_SLOTS);

	for (uint64_t i = 1; i <= kept; i++) {
		struct cause_slot *slot = slot_at(target, target->cause_count - i);

		if (time_ns >= slot->first_ns && time_ns - slot->first_ns < MERGE_NS &&
			cause_is_same(&slot->cause, cause))
			return slot;
	}
	return NULL;
}

static void add(struct target_state *target, const struct cause *cause, uint64_t lost_bytes,
	uint64_t time_ns)
{
	struct cause_slot *slot = slot_of(target, cause, time_ns);

	if (slot) {
		slot->cause.bytes += cause->bytes;
		slot->lost_bytes += lost_bytes;
		slot->last_ns = MAX(slot->last_ns, time_ns);
		return;
	}
	*slot_add(target) = (struct cause_slot){time_ns, time_ns, *cause, lost_bytes};
}

/*
 * The array may be gone again before anybody has looked; but where the runtime's own code filled a
 * container, and such containers grow at the same place, it was one of them. So it was where the user's
 * line itself wrote to the heap: append stores its element there, and an assignment to a map its value.
 */
static struct site *filled_site(
	struct model *model, struct target_state *target, const struct event_faults *faults)
{
	struct site *site = site_find(model, target->pub.id, faults->site);

	if ((!faults->family && !faults->direct) || faults->mapping != MAPPING_RUNTIME ||
		!says_where(site))
		return NULL;
	return site_find_grown(model, target, faults->family, site);
}

/* The growth that made the array explains its pages, not who touched them first. */
static struct cause cause_of(
	struct model *model, struct target_state *target, const struct event_faults *faults)
{
	struct site *grown = container_site(model, target, faults->key);
	struct cause cause = {.bytes = faults->bytes};

	if (!grown)
		grown = site_find(model, target->pub.id, faults->grown_site);
	if (!grown)
		grown = filled_site(model, target, faults);
	if (grown) {
		cause.site = grown->id;
		cause.family = grown->family;
		return cause;
	}
	cause.mapped_site = faults->mapped_site;
	if (says_where(site_find(model, target->pub.id, faults->site))) {
		cause.site = faults->site;
		return cause;
	}
	cause.mapping = faults->mapping;
	cause.name = faults->name;
	return cause;
}

void cause_apply_faults(struct model *model, struct target_state *target, const struct event *event)
{
	const struct event_faults *faults = &event->faults;
	struct site *site = site_find(model, target->pub.id, faults->site);
	struct cause cause = cause_of(model, target, faults);
	struct rate_slot *rate;

	target->pub.faults += faults->faults;
	target->pub.fault_bytes += faults->bytes;
	target->pub.lost_bytes += faults->lost_bytes;
	if (site)
		site->fault_count += faults->faults;
	site = cause.site ? site_find(model, target->pub.id, cause.site) : NULL;
	rate = site ? rate_slot_at(site->rates, event->time_ns) : NULL;
	if (rate) {
		rate->faults += (uint32_t)faults->faults;
		rate->fault_bytes += faults->bytes;
	}
	if (site)
		site->fault_bytes += faults->bytes;
	if (faults->bytes || faults->lost_bytes)
		add(target, &cause, faults->lost_bytes, event->time_ns);
	spike_take_late(model, target, event->time_ns);
}

void cause_apply_memory(struct model *model, struct target_state *target, const struct event *event)
{
	const struct event_memory *memory = &event->memory;
	struct memory_total *total = &target->pub.memory[memory->call];

	(void)model;
	total->calls++;
	total->mapped_bytes += memory->mapped_bytes;
	total->unmapped_bytes += memory->unmapped_bytes;
	total->lost_bytes += memory->lost_bytes;
	target->pub.lost_bytes += memory->lost_bytes;
	if (memory->lost_bytes)
		add(target, &(struct cause){.site = memory->site}, memory->lost_bytes,
			event->time_ns);
}

void cause_apply_resident(
	struct model *model, struct target_state *target, const struct event *event)
{
	(void)model;
	if (!target->pub.resident_ns)
		target->pub.resident_first = event->resident;
	target->pub.resident = event->resident;
	target->pub.resident_ns = event->time_ns;
}

/* ---- reading ---- */

static void describe_place(const struct site *site, char *buf, size_t bytes)
{
	const char *slash = site ? strrchr(site->file, '/') : NULL;

	if (!site || (!*site->file && !*site->function))
		buf[0] = 0;
	else if (site->line)
		snprintf(buf, bytes, "%s:%u", slash ? slash + 1 : site->file, site->line);
	else
		snprintf(buf, bytes, "%s", site->function);
}

static void describe_mapping(
	const struct model *model, const struct cause *cause, char *buf, size_t bytes)
{
	static const char *const words[MAPPING_MAX] = {
		[MAPPING_UNKNOWN] = "unknown memory",
		[MAPPING_FILE] = "pages of files",
		[MAPPING_SHARED] = "shared memory",
		[MAPPING_BRK] = "heap",
		[MAPPING_STACK] = "stack",
		[MAPPING_RUNTIME] = "the runtime's heap",
		[MAPPING_ANON] = "anonymous memory",
	};
	const char *name = model_string(model, cause->name), *slash = strrchr(name, '/');

	if (cause->mapping == MAPPING_FILE && *name)
		snprintf(buf, bytes, "pages of %s", slash ? slash + 1 : name);
	else
		snprintf(buf, bytes, "%s", words[cause->mapping]);
}

void model_describe_cause(
	const struct model *model, const struct cause *cause, char *buf, size_t bytes)
{
	const struct site *site = model_site(model, cause->site);
	char what[80], place[120], mapped[120];

	describe_place(site, place, sizeof(place));
	describe_place(model_site(model, cause->mapped_site), mapped, sizeof(mapped));
	if (cause->family)
		snprintf(what, sizeof(what), "%ss", family_name(cause->family));
	else if (site)
		snprintf(what, sizeof(what), "page faults");
	else
		describe_mapping(model, cause, what, sizeof(what));
	snprintf(buf, bytes, "%s%s%s%s%s", what, place[0] ? " at " : "", place,
		mapped[0] ? ", mapped at " : "", mapped);
}

static int larger_first(const void *a, const void *b)
{
	const struct cause *x = a, *y = b;

	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

struct sum {
	struct cause *items;
	size_t count, cap;
	uint64_t lost_bytes;
};

static void sum_add(struct sum *sum, const struct cause_slot *slot)
{
	size_t i = 0;

	sum->lost_bytes += slot->lost_bytes;
	if (!slot->cause.bytes)
		return;
	while (i < sum->count && !cause_is_same(&sum->items[i], &slot->cause))
		i++;
	if (i == sum->count) {
		array_reserve(sum->items, sum->count, sum->cap);
		sum->items[sum->count++] = slot->cause;
	} else {
		sum->items[i].bytes += slot->cause.bytes;
	}
}

/* What has no room becomes one unknown cause, in the last place. */
static size_t cut(struct sum *sum, size_t max)
{
	if (sum->count <= max || !max)
		return MIN(sum->count, max);
	for (size_t i = max; i < sum->count; i++)
		sum->items[max - 1].bytes += sum->items[i].bytes;
	sum->items[max - 1] = (struct cause){.bytes = sum->items[max - 1].bytes};
	return max;
}

size_t model_causes(const struct model *model, uint32_t target, uint64_t from_ns, uint64_t to_ns,
	struct cause *ret, size_t max, uint64_t *ret_lost)
{
	struct target_state *state = target < model->target_count ? model->targets[target] : NULL;
	uint64_t kept = state ? MIN(state->cause_count, (uint64_t)MODEL_CAUSE_SLOTS) : 0;
	struct sum sum = {0};
	size_t count;

	for (uint64_t i = 0; i < kept; i++) {
		const struct cause_slot *slot = slot_at(state, state->cause_count - kept + i);

		if (slot->last_ns > from_ns && slot->first_ns <= to_ns)
			sum_add(&sum, slot);
	}
	if (sum.count)
		qsort(sum.items, sum.count, sizeof(*sum.items), larger_first);
	count = cut(&sum, max);
	if (count)
		memcpy(ret, sum.items, count * sizeof(*ret));
	*ret_lost = sum.lost_bytes;
	free(sum.items);
	return count;
}
