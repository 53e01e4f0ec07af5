/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model's outside: targets, dispatch of events, and what a report says besides (skips, sources,
 * overhead). The parts: names.c, site.c, container.c, timeline.c, spike.c,
 * goroutines.c, allocated.c.
 */
#include "model/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/private.h"

static char *copy_string(const char *s)
{
	return xstrdup(s ? s : "");
}

static void free_target(struct target_state *target)
{
	struct target *pub = &target->pub;

	for (size_t i = 0; i < FAMILY_MAX; i++) {
		table_done(&target->keys[i]);
		table_done(&target->ended[i]);
	}
	free(target->containers);
	free(target->sites);
	free(target->causes);
	free(pub->comm);
	free(pub->exe);
	free(pub->cgroup);
	free(pub->build_id);
	for (size_t i = 0; i < MODEL_MAX_RUNTIMES; i++) {
		free(pub->runtimes[i].name);
		free(pub->runtimes[i].version);
	}
	free(pub->usage);
	free(pub->heap_samples);
	free(pub->spikes);
	free(pub->waiters);
	free(pub->allocated);
	table_done(&target->allocated_at);
	free(target);
}

struct model *model_new(void)
{
	return xcalloc(1, sizeof(struct model));
}

static void free_notes(struct model *model)
{
	for (size_t i = 0; i < model->skip_count; i++) {
		free(model->skips[i].what);
		free(model->skips[i].reason);
	}
	for (size_t i = 0; i < model->incomplete_count; i++)
		free(model->incomplete[i]);
	free(model->skips);
	free(model->incomplete);
	free(model->sources);
	free(model->hosts);
}

void model_free(struct model *model)
{
	if (!model)
		return;
	for (size_t i = 0; i < model->target_count; i++)
		free_target(model->targets[i]);
	for (size_t i = 0; i < model->site_count; i++) {
		free(model->sites[i]->frames);
		free(model->sites[i]);
	}
	for (size_t i = 0; i < model->container_count; i++) {
		free(model->containers[i]->slots);
		free(model->containers[i]);
	}
	free(model->targets);
	free(model->sites);
	free(model->containers);
	table_done(&model->sites_by_key);
	stacks_done(model);
	free_notes(model);
	names_done(&model->names);
	free(model);
}

void model_set_observer(struct model *model, const struct model_observer *observer, void *arg)
{
	model->observer = observer;
	model->observer_arg = arg;
}

uint32_t model_intern(struct model *model, const char *s)
{
	size_t before = model->names.count;
	uint32_t id = names_add(&model->names, s);

	if (model->names.count != before)
		model_tell(model, string, id, model_string(model, id));
	return id;
}

uint32_t model_find_string(const struct model *model, const char *s)
{
	return names_find(&model->names, s);
}

const char *model_string(const struct model *model, uint32_t id)
{
	return names_get(&model->names, id);
}

static void replace(char **string, const char *new)
{
	char *copy = copy_string(new);

	free(*string);
	*string = copy;
}

static void describe(struct target *target, const struct model_target_info *info)
{
	target->pid = info->pid;
	target->start_time = info->start_time;
	replace(&target->comm, info->comm);
	replace(&target->exe, info->exe);
	replace(&target->cgroup, info->cgroup);
	replace(&target->build_id, info->build_id);
	replace(&target->runtimes[0].name, info->runtime);
	replace(&target->runtimes[0].version, info->version);
	if (!target->runtime_count && info->runtime && *info->runtime)
		target->runtime_count = 1;
	target->limit_bytes = info->limit_bytes;
	target->has_limit = info->has_limit;
	target->age_ns = info->age_ns;
}

uint32_t model_add_target(struct model *model, const struct model_target_info *info)
{
	struct target_state *target;

	if (model->target_count == MODEL_MAX_TARGETS)
		return UINT32_MAX;
	target = xcalloc(1, sizeof(*target));
	target->pub.id = (uint32_t)model->target_count;
	describe(&target->pub, info);
	array_reserve(model->targets, model->target_count, model->target_cap);
	model->targets[model->target_count++] = target;
	model_tell(model, target, target->pub.id, info);
	return target->pub.id;
}

void model_update_target(struct model *model, uint32_t target, const struct model_target_info *info)
{
	if (target >= model->target_count)
		return;
	describe(&model->targets[target]->pub, info);
	model_tell(model, target, target, info);
}

void model_add_runtime(struct model *model, uint32_t target, const char *name, const char *version)
{
	struct target *pub = target < model->target_count ? &model->targets[target]->pub : NULL;
	size_t i;

	if (!pub)
		return;
	for (i = 0; i < pub->runtime_count && strcmp(pub->runtimes[i].name, name); i++)
		;
	if (i == MODEL_MAX_RUNTIMES)
		return;
	if (i == pub->runtime_count) {
		replace(&pub->runtimes[i].name, name);
		pub->runtime_count++;
	}
	if (!pub->runtimes[i].version || !*pub->runtimes[i].version)
		replace(&pub->runtimes[i].version, version);
	model_tell(model, runtime, target, name, version);
}

const char *model_runtime_name(const struct model *model, uint32_t target, uint32_t runtime)
{
	return runtime ? model_string(model, runtime)
		       : model->targets[target]->pub.runtimes[0].name;
}

/* ---- events ---- */

static void apply_exec(struct model *model, struct target_state *target, const struct event *event)
{
	container_end_all(model, target, event->time_ns);
	target->pub.execs++;
	target->pub.epoch_ns = event->time_ns;
	target->pub.age_ns = 0;
	target->pub.steady_ns = 0;
	target->pub.has_heap = false;
	target->pub.heap_count = 0;
	target->pub.gc = (struct gc_view){0};
	goroutines_end(&target->pub);
	allocated_end(target);
	arrays_end(&target->pub);
	target->peak_read_bytes = 0;
	allocator_end(&target->pub);
	target->spike_open = false;
	target->spike_floor_ns = event->time_ns;
}

static void apply_exit(struct model *model, struct target_state *target, const struct event *event)
{
	spike_end(model, target);
	target->pub.exited = true;
	target->pub.exit = event->exit;
	target->pub.exit_ns = event->time_ns;
}

static void apply_group(struct model *model, struct target_state *target, const struct event *event)
{
	const struct event_group *group = &event->group;
	struct target *pub = &target->pub;

	(void)model;
	if (!pub->group_first_ns) {
		pub->group_first = *group;
		pub->group_first_ns = event->time_ns;
	}
	pub->group = *group;
	pub->group_ns = event->time_ns;
	pub->working_set_peak_bytes = MAX(pub->working_set_peak_bytes,
		group->usage_bytes - MIN(group->usage_bytes, group->inactive_file_bytes));
}

static void apply_heap(struct model *model, struct target_state *target, const struct event *event)
{
	(void)model;
	timeline_apply_heap(target, event);
}

static void apply_share(struct model *model, struct target_state *target, const struct event *event)
{
	(void)model;
	timeline_apply_share(target, event);
}

static void (*const apply[EVENT_KINDS])(
	struct model *model, struct target_state *target, const struct event *event) = {
	[EVENT_GROWTH] = container_apply_growth,
	[EVENT_CREATE] = container_apply_create,
	[EVENT_LOOK] = container_apply_look,
	[EVENT_ITERATORS] = container_apply_iterators,
	[EVENT_FAULTS] = cause_apply_faults,
	[EVENT_MEMORY] = cause_apply_memory,
	[EVENT_RESIDENT] = cause_apply_resident,
	[EVENT_HEAP] = apply_heap,
	[EVENT_USAGE] = timeline_apply_usage,
	[EVENT_SHARE] = apply_share,
	[EVENT_GOROUTINES] = goroutines_apply,
	[EVENT_WAITERS] = goroutines_apply_waiters,
	[EVENT_PROFILE] = allocated_apply_profile,
	[EVENT_ALLOCATED] = allocated_apply,
	[EVENT_ARRAYS] = arrays_apply,
	[EVENT_GROUP] = apply_group,
	[EVENT_ALLOCATOR] = allocator_apply,
	[EVENT_EXEC] = apply_exec,
	[EVENT_EXIT] = apply_exit,
};

static bool is_container_family(enum family family)
{
	return family > FAMILY_NONE && family < FAMILY_MAX;
}

static bool is_valid(const struct model *model, const struct event *event)
{
	if ((size_t)event->kind >= EVENT_KINDS || event->target >= model->target_count)
		return false;
	switch (event->kind) {
	case EVENT_GROWTH:
		return is_container_family(event->growth.family);
	case EVENT_CREATE:
		return is_container_family(event->create.family) && event->create.key;
	case EVENT_LOOK:
		return is_container_family(event->look.family) && event->look.key;
	case EVENT_ITERATORS:
		return is_container_family(event->iterators.family) && event->iterators.key;
	case EVENT_SHARE:
		return event->share.family < FAMILY_MAX;
	case EVENT_FAULTS:
		return event->faults.mapping < MAPPING_MAX;
	case EVENT_MEMORY:
		return event->memory.call < MEMORY_CALLS;
	case EVENT_WAITERS:
		return event->waiters.wait > WAIT_NONE && event->waiters.wait < WAIT_MAX;
	default:
		return true;
	}
}

static void see_time(struct target *pub, uint64_t time_ns)
{
	if (!pub->last_ns) {
		pub->attach_ns = pub->epoch_ns = time_ns;
	} else if (time_ns < pub->attach_ns) {
		/* Records and looks come from two threads: the first event need not be the oldest. */
		pub->epoch_ns = pub->epoch_ns == pub->attach_ns ? time_ns : pub->epoch_ns;
		pub->attach_ns = time_ns;
	}
	pub->last_ns = MAX(pub->last_ns, time_ns);
	timeline_settle(pub, pub->last_ns);
}

int model_apply(struct model *model, const struct event *event)
{
	struct target_state *target;

	if (!is_valid(model, event)) {
		model->invalid_events++;
		return -EINVAL;
	}
	model_tell(model, event, event);
	target = model->targets[event->target];
	see_time(&target->pub, event->time_ns);
	recent_apply(target, event);
	apply[event->kind](model, target, event);
	return 0;
}

void model_begin_quiet(struct model *model, uint32_t target, enum family family, uint64_t key)
{
	if (target < model->target_count && is_container_family(family) && !model->observer)
		container_begin_quiet(model, model->targets[target], family, key);
}

void model_end_quiet(struct model *model, uint32_t target, enum family family, uint64_t key)
{
	if (target < model->target_count && is_container_family(family))
		container_end_quiet(model, model->targets[target], family, key);
}

void model_end_all_quiet(struct model *model, uint32_t target)
{
	if (target < model->target_count)
		container_end_all_quiet(model, model->targets[target]);
}

void model_apply_quiet(struct model *model, uint32_t target, uint64_t time_ns)
{
	if (target >= model->target_count || !model->targets[target]->quiet.count)
		return;
	see_time(&model->targets[target]->pub, time_ns);
	container_apply_quiet(model, model->targets[target], time_ns);
}

struct model_quiet model_quiet(const struct model *model, uint32_t target)
{
	return target < model->target_count ? model->targets[target]->quiet
					    : (struct model_quiet){0};
}

bool model_is_observed(const struct model *model)
{
	return model->observer;
}

/* ---- what else a report says ---- */

static bool has_skip(const struct model *model, const char *what, const char *reason)
{
	for (size_t i = 0; i < model->skip_count; i++)
		if (!strcmp(model->skips[i].what, what) && !strcmp(model->skips[i].reason, reason))
			return true;
	return false;
}

void model_add_skip(struct model *model, const char *what, const char *reason)
{
	if (model->skip_count == MODEL_MAX_SKIPS || has_skip(model, what, reason))
		return;
	array_reserve(model->skips, model->skip_count, model->skip_cap);
	model->skips[model->skip_count++] =
		(struct model_skip){copy_string(what), copy_string(reason)};
	model_tell(model, skip, &model->skips[model->skip_count - 1]);
}

void model_set_source(struct model *model, const char *name, uint64_t hits, uint64_t produced,
	uint64_t delivered, uint64_t lost)
{
	const char *interned = model_string(model, model_intern(model, name));
	size_t i = 0;

	while (i < model->source_count && model->sources[i].name != interned)
		i++;
	if (i == model->source_count) {
		array_reserve(model->sources, model->source_count, model->source_cap);
		model->source_count++;
	}
	model->sources[i] = (struct model_source){interned, hits, produced, delivered, lost};
	model_tell(model, source, &model->sources[i]);
}

void model_set_overhead(struct model *model, const struct model_overhead *overhead)
{
	model->overhead = *overhead;
	model_tell(model, overhead, overhead);
}

void model_set_host(struct model *model, const struct model_host *host)
{
	model->host = *host;
	model_tell(model, host, host);
}

uint32_t model_add_host(struct model *model, const struct model_host *host)
{
	for (uint32_t i = 0; i < model_host_count(model); i++)
		if (!strcmp(model_host_at(model, i)->name, host->name))
			return i;
	array_reserve(model->hosts, model->host_count, model->host_cap);
	model->hosts[model->host_count++] = *host;
	return (uint32_t)model->host_count;
}

void model_set_target_host(struct model *model, uint32_t target, uint32_t host)
{
	if (target < model->target_count && host < model_host_count(model))
		model->targets[target]->pub.host = host;
}

void model_set_census(struct model *model, uint32_t target, const struct model_census *census)
{
	if (target >= model->target_count)
		return;
	model->targets[target]->census = *census;
	model_tell(model, census, target, census);
}

void model_set_unwound(struct model *model, uint32_t target, const struct model_unwound *unwound)
{
	if (target >= model->target_count)
		return;
	model->targets[target]->unwound = *unwound;
	model_tell(model, unwound, target, unwound);
}

void model_set_clock(struct model *model, uint64_t mono_ns, uint64_t real_ns, uint64_t end_mono_ns)
{
	model->mono_ns = mono_ns;
	model->real_ns = real_ns;
	model->end_mono_ns = end_mono_ns;
	model_tell(model, clock, mono_ns, real_ns, end_mono_ns);
	for (size_t i = 0; end_mono_ns && i < model->target_count; i++) {
		struct target_state *target = model->targets[i];

		if (target->spike_open)
			spike_count_causes(
				model, target, &target->pub.spikes[target->pub.spike_count - 1]);
	}
}

void model_add_incomplete(struct model *model, const char *reason)
{
	for (size_t i = 0; i < model->incomplete_count; i++)
		if (!strcmp(model->incomplete[i], reason))
			return;
	if (model->incomplete_count == MODEL_MAX_SKIPS)
		return;
	array_reserve(model->incomplete, model->incomplete_count, model->incomplete_cap);
	model->incomplete[model->incomplete_count++] = copy_string(reason);
	model_tell(model, incomplete, reason);
}

/* ---- reading ---- */

size_t model_target_count(const struct model *model)
{
	return model->target_count;
}

const struct target *model_target(const struct model *model, uint32_t id)
{
	return id < model->target_count ? &model->targets[id]->pub : NULL;
}

size_t model_site_count(const struct model *model)
{
	return model->site_count;
}

const struct site *model_site(const struct model *model, uint32_t id)
{
	return id && id <= model->site_count ? model->sites[id - 1] : NULL;
}

size_t model_container_count(const struct model *model)
{
	return model->container_count;
}

const struct container *model_container(const struct model *model, uint32_t id)
{
	struct container *container = id < model->container_count ? model->containers[id] : NULL;

	if (container && container->quiet)
		container_settle(model->targets[container->target], container);
	return container;
}

size_t model_skip_count(const struct model *model)
{
	return model->skip_count;
}

const struct model_skip *model_skip(const struct model *model, size_t i)
{
	return i < model->skip_count ? &model->skips[i] : NULL;
}

size_t model_source_count(const struct model *model)
{
	return model->source_count;
}

const struct model_source *model_source(const struct model *model, size_t i)
{
	return i < model->source_count ? &model->sources[i] : NULL;
}

const struct model_overhead *model_overhead(const struct model *model)
{
	return &model->overhead;
}

const struct model_host *model_host(const struct model *model)
{
	return &model->host;
}

size_t model_host_count(const struct model *model)
{
	return model->host_count + 1;
}

const struct model_host *model_host_at(const struct model *model, uint32_t host)
{
	return host && host <= model->host_count ? &model->hosts[host - 1] : &model->host;
}

const struct model_census *model_census(const struct model *model, uint32_t target)
{
	return target < model->target_count ? &model->targets[target]->census : NULL;
}

const struct model_unwound *model_unwound(const struct model *model, uint32_t target)
{
	return target < model->target_count ? &model->targets[target]->unwound : NULL;
}

void model_clock(const struct model *model, uint64_t *ret_mono_ns, uint64_t *ret_real_ns,
	uint64_t *ret_end_mono_ns)
{
	*ret_mono_ns = model->mono_ns;
	*ret_real_ns = model->real_ns;
	*ret_end_mono_ns = model->end_mono_ns;
}

size_t model_incomplete_count(const struct model *model)
{
	return model->incomplete_count;
}

const char *model_incomplete(const struct model *model, size_t i)
{
	return i < model->incomplete_count ? model->incomplete[i] : NULL;
}

bool model_complete(const struct model *model)
{
	if (model->incomplete_count)
		return false;
	for (size_t i = 0; i < model->source_count; i++) {
		const struct model_source *source = &model->sources[i];

		if (source->lost || source->produced != source->delivered + source->lost)
			return false;
	}
	return true;
}

uint64_t model_invalid_events(const struct model *model)
{
	return model->invalid_events;
}
