/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions differ in length, so what is counted since attach (garbage) is compared per second, and what
 * is there (held bytes) as it is.
 */
#include "cli/compare.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/table.h"
#include "sink/samples.h"

#define SAME_PCT   5
#define SAME_BYTES (64 << 10)

static double seconds_of(const struct model *model)
{
	uint64_t begin_ns, real_ns, end_ns;

	model_clock(model, &begin_ns, &real_ns, &end_ns);
	return end_ns > begin_ns ? (double)(end_ns - begin_ns) / NSEC_PER_SEC : 0;
}

void compare_load(const struct side *side, struct load *ret)
{
	const struct model *model = side->model;
	double growth_bytes = 0, cpu_ns = 0;

	*ret = (struct load){.seconds = seconds_of(model)};
	for (uint32_t id = 1; id <= model_site_count(model); id++) {
		const struct site *site = model_site(model, id);

		ret->growths += model_scale(model, site->target, site->family, site->growths);
		growth_bytes += (double)model_scale(
			model, site->target, site->family, site->allocated_bytes);
	}
	for (uint32_t id = 0; id < model_target_count(model); id++) {
		const struct target *target = model_target(model, id);

		cpu_ns += (double)(target->cpu_ns - target->first_cpu_ns);
		ret->rss_bytes += target->rss_bytes;
	}
	if (ret->seconds <= 0)
		return;
	ret->cpu_cores = cpu_ns / NSEC_PER_SEC / ret->seconds;
	ret->growths_per_second = (double)ret->growths / ret->seconds;
	ret->growth_bytes_per_second = growth_bytes / ret->seconds;
}

/* ---- one change ---- */

int64_t change_delta(const struct change *change)
{
	return (int64_t)(change->b - change->a);
}

enum verdict change_verdict(const struct change *change)
{
	uint64_t more = MAX(change->a, change->b), less = MIN(change->a, change->b);

	if (more - less < MAX(more / 100 * SAME_PCT, (uint64_t)SAME_BYTES))
		return VERDICT_SAME;
	return change->b > change->a ? VERDICT_WORSE : VERDICT_BETTER;
}

static int compare_changes(const void *x, const void *y)
{
	const struct change *a = x, *b = y;
	uint64_t p = MAX(a->a, a->b) - MIN(a->a, a->b), q = MAX(b->a, b->b) - MIN(b->a, b->b);

	if (p != q)
		return p < q ? 1 : -1;
	return strcmp(a->function, b->function);
}

static void add_value(struct change *change, bool is_b, uint64_t value)
{
	if (is_b)
		change->b += value;
	else
		change->a += value;
	change->in_a |= !is_b;
	change->in_b |= is_b;
}

/* ---- findings ---- */

static struct change *find_finding(
	struct changes *changes, size_t *cap, const struct model *model, const struct finding *f)
{
	const struct site *site = model_site(model, f->site);
	const struct container *container =
		f->container < 0 ? NULL : model_container(model, (uint32_t)f->container);
	uint32_t type = container ? container->type : site ? site->type : 0;
	struct change *change;

	for (size_t i = 0; i < changes->count; i++)
		if (changes->items[i].id == f->id)
			return &changes->items[i];
	array_reserve(changes->items, changes->count, *cap);
	change = &changes->items[changes->count++];
	*change = (struct change){
		.kind = f->kind,
		.id = f->id,
		.family = container ? container->family
			  : site    ? site->family
				    : FAMILY_NONE,
		.type = model_string(model, type),
		.owner = container ? model_string(model, container->owner) : "",
		.function = site ? site->function : "",
		.file = site ? site->file : "",
		.line = site ? site->line : 0,
		.per_second = f->class == CLASS_CHURN,
	};
	return change;
}

static void add_findings(struct changes *changes, size_t *cap, const struct side *side, bool is_b)
{
	for (size_t i = 0; i < side->findings->count; i++) {
		const struct finding *f = &side->findings->items[i];
		struct change *change;

		if (f->candidate || f->severity == SEVERITY_INFO)
			continue;
		change = find_finding(changes, cap, side->model, f);
		add_value(change, is_b, change->per_second ? f->bytes_per_second : f->bytes);
	}
}

static void finish(struct changes *changes)
{
	if (changes->count)
		qsort(changes->items, changes->count, sizeof(*changes->items), compare_changes);
	for (size_t i = 0; i < changes->count; i++) {
		const struct change *change = &changes->items[i];

		if (change->per_second)
			continue;
		if (change_verdict(change) == VERDICT_WORSE)
			changes->worse_bytes += change->b - change->a;
		else if (change_verdict(change) == VERDICT_BETTER)
			changes->better_bytes += change->a - change->b;
	}
}

void compare_findings(const struct side *a, const struct side *b, struct changes *ret)
{
	size_t cap = 0;

	memset(ret, 0, sizeof(*ret));
	add_findings(ret, &cap, a, false);
	add_findings(ret, &cap, b, true);
	finish(ret);
}

/* ---- places ---- */

struct places {
	struct changes *changes;
	size_t cap;
	struct table by_key;
	const struct model *model;
	double seconds;
	bool is_b;
	size_t held, garbage; /* sample types */
};

static size_t find_type(const char *name)
{
	size_t i = 0;

	while (strcmp(sample_type_get(i)->name, name) != 0)
		i++;
	return i;
}

static void add_place(
	struct places *places, const struct sample *sample, bool per_second, uint64_t value)
{
	static const struct model_frame unknown = {.function = "", .file = ""};
	const struct model_frame *frame = sample->frame_count ? sample->frames : &unknown;
	uint32_t numbers[] = {sample->family, per_second};
	uint64_t key = hash_bytes(0, numbers, sizeof(numbers)), at;

	if (!value)
		return;
	key = hash_string(hash_string(key, sample->type), frame->function);
	key = hash_string(key, sample->frame_count ? "" : sample->owner);
	if (!table_get(&places->by_key, key, &at)) {
		at = places->changes->count;
		table_set(&places->by_key, key, at);
		array_reserve(places->changes->items, places->changes->count, places->cap);
		places->changes->items[places->changes->count++] = (struct change){
			.family = sample->family,
			.type = sample->type,
			.owner = sample->owner,
			.function = frame->function,
			.file = frame->file,
			.line = frame->line,
			.per_second = per_second,
		};
	}
	add_value(&places->changes->items[at], places->is_b, value);
}

static void on_sample(const struct sample *sample, void *arg)
{
	struct places *places = arg;

	add_place(places, sample, false, sample->values[places->held]);
	if (places->seconds > 0)
		add_place(places, sample, true,
			(uint64_t)((double)sample->values[places->garbage] / places->seconds));
}

void compare_sites(const struct side *a, const struct side *b, struct changes *ret)
{
	struct places places = {.changes = ret,
		.held = find_type("held_bytes"),
		.garbage = find_type("garbage_bytes")};

	memset(ret, 0, sizeof(*ret));
	for (int is_b = 0; is_b < 2; is_b++) {
		places.is_b = is_b;
		places.model = (is_b ? b : a)->model;
		places.seconds = seconds_of(places.model);
		samples_each(places.model, on_sample, &places);
	}
	table_done(&places.by_key);
	finish(ret);
}

void changes_done(struct changes *changes)
{
	free(changes->items);
	memset(changes, 0, sizeof(*changes));
}
