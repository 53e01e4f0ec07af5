/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is read and what records say becomes events: here what belongs to the process, its heap and its
 * goroutines; of its containers in watcher.c, of its RSS in attribution.c.
 */
#include "trace/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "target/cgroup.h"
#include "target/mem.h"
#include "trace/allocated.h"
#include "trace/allocators.h"
#include "trace/attribution.h"
#include "trace/blocks.h"
#include "trace/goroutines.h"
#include "trace/watch.h"
#include "trace/watcher.h"

#define MOVED_BYTES (1ull << 20)

struct reader {
	struct process_info info;
	struct model *model;
	uint32_t target;
	struct target_mem *mem;
	struct modules *modules;
	struct parts *parts;
	struct symbolizer *symbolizer;
	struct attribution *attribution;
	struct allocators *allocators;
	struct blocks *blocks; /* NULL = not asked for */
	struct unwinder *unwinder;
	struct model_unwound unwound; /* as last told */
	uint64_t goroutines_due_ns;   /* the next look at them; UINT64_MAX = cannot be read */
	struct watcher *watcher;
	struct event_usage usage; /* at the last look */
};

static int describe(struct reader *reader, const struct runtime_file *exe)
{
	const struct process_info *info = &reader->info;
	struct model_target_info target = {
		.pid = info->id.pid,
		.start_time = info->id.start_time,
		.comm = info->comm,
		.exe = info->exe,
		.cgroup = info->cgroup,
		.build_id = exe->build_id,
		.runtime = exe->runtime,
		.version = exe->version,
		.limit_bytes = info->limit_bytes,
		.has_limit = info->has_limit,
		.age_ns = info->age_ns,
	};

	reader->target = model_add_target(reader->model, &target);
	return reader->target == UINT32_MAX ? -ENOSPC : 0;
}

int reader_open(const struct process_info *process, struct parser *parser,
	struct debug_server *server, struct model *model, bool blocks, struct reader **ret)
{
	struct runtime_file *exe = xcalloc(1, sizeof(*exe));
	struct reader *reader = xcalloc(1, sizeof(*reader));
	int r;

	reader->info = *process;
	reader->model = model;
	r = modules_open(process->id.pid, parser, &reader->modules);
	if (r == 0)
		r = target_mem_open(process->id.pid, &reader->mem);
	if (r == 0)
		r = parser_runtime(parser, modules_get(reader->modules, 0)->file_id, 0, exe);
	if (r == 0)
		r = describe(reader, exe);
	if (r < 0)
		goto out;
	reader->parts =
		parts_new(parser, reader->modules, reader->mem, model, reader->target, blocks);
	if (blocks)
		reader->blocks = blocks_new(model, reader->target);
	reader->attribution = attribution_new(process->id.pid, model, reader->target,
		&(struct attribution_owners){
			parts_owner_of, parts_is_heap, parts_count_given_back, reader->parts});
	reader->watcher = watcher_new(model, reader->target, reader->modules);
	reader->allocators = allocators_new(
		process->id.pid, reader->mem, reader->modules, model, reader->target);
	reader->symbolizer = symbolizer_new(
		parser, reader->modules, process->id.pid, server, model, reader->target);
	reader->unwinder = unwinder_new(parser, reader->symbolizer);
	*ret = reader;
out:
	free(exe);
	if (r < 0)
		reader_close(reader);
	return r;
}

static void tell_unwound(struct reader *reader)
{
	struct model_unwound unwound = unwinder_counts(reader->unwinder);

	if (!memcmp(&unwound, &reader->unwound, sizeof(unwound)))
		return;
	reader->unwound = unwound;
	model_set_unwound(reader->model, reader->target, &unwound);
}

void reader_close(struct reader *reader)
{
	if (!reader)
		return;
	parts_free(reader->parts);
	attribution_free(reader->attribution);
	allocators_free(reader->allocators);
	blocks_free(reader->blocks);
	if (reader->unwinder)
		tell_unwound(reader);
	unwinder_free(reader->unwinder);
	symbolizer_free(reader->symbolizer);
	target_mem_close(reader->mem);
	modules_close(reader->modules);
	watcher_free(reader->watcher);
	free(reader);
}

struct parts *reader_parts(const struct reader *reader)
{
	return reader->parts;
}

struct symbolizer *reader_symbolizer(const struct reader *reader)
{
	return reader->symbolizer;
}

bool reader_keeps_frame_pointers(const struct reader *reader)
{
	for (size_t i = 0; i < parts_count(reader->parts); i++)
		if (parts_get(reader->parts, i)->runtime->frame_pointers)
			return true;
	return false;
}

struct target_mem *reader_mem(const struct reader *reader)
{
	return reader->mem;
}

uint32_t reader_target(const struct reader *reader)
{
	return reader->target;
}

const struct process_info *reader_info(const struct reader *reader)
{
	return &reader->info;
}

/* ---- events ---- */

static struct event event_new(const struct reader *reader, enum event_kind kind, uint64_t time_ns)
{
	return (struct event){.kind = kind, .target = reader->target, .time_ns = time_ns};
}

struct census_run {
	struct reader *reader;
	const struct part *part;
	uint64_t now_ns;
	bool before_attach;
};

/* What a growth has told of the type is certain; a census may only have inferred its name. */
static uint32_t census_type(struct reader *reader, const struct runtime_container *found)
{
	const struct container *known =
		model_find_container(reader->model, reader->target, found->family, found->key);

	if (known && known->type && !found->type)
		return known->type;
	return model_intern(reader->model, found->type_name);
}

static void census_site(struct reader *reader, const struct runtime_container *found, uint32_t type,
	uint32_t *ret_site)
{
	size_t count = 0;

	while (count < ARRAY_SIZE(found->site_pcs) && found->site_pcs[count])
		count++;
	*ret_site = symbolizer_site(
		reader->symbolizer, found->family, type, found->site_pcs, count, false);
}

/* In a coroutine of iter.Pull nothing is the user's: a site of the map's family is one of a library's frame. */
static void census_iterators(
	struct reader *reader, const struct runtime_container *found, uint64_t now_ns)
{
	struct event event = event_new(reader, EVENT_ITERATORS, now_ns);
	size_t count = 0;

	event.iterators = found->iterators.event;
	event.iterators.family = found->family;
	event.iterators.key = found->key;
	if (!event.iterators.on_heap && !event.iterators.on_stacks)
		return;
	while (count < ARRAY_SIZE(found->iterators.site_pcs) && found->iterators.site_pcs[count])
		count++;
	event.iterators.site = symbolizer_site(
		reader->symbolizer, found->family, 0, found->iterators.site_pcs, count, false);
	model_apply(reader->model, &event);
}

static void census_found(const struct runtime_container *found, void *arg)
{
	struct census_run *run = arg;
	struct reader *reader = run->reader;
	uint64_t now_ns = clock_mono_ns(); /* after all reading, as of a look */
	struct event event = event_new(reader, EVENT_CREATE, now_ns);

	event.create.family = found->family;
	event.create.key = found->key;
	event.create.runtime = run->part->name;
	event.create.type = census_type(reader, found);
	event.create.owner = model_intern(reader->model, found->owner);
	event.create.found = true;
	event.create.before_attach = run->before_attach;
	event.create.held_bytes = found->look.held_bytes;
	census_site(reader, found, event.create.type, &event.create.site);
	watcher_find(reader->watcher, run->part, &event, found, now_ns);
	census_iterators(reader, found, now_ns);
}

static void census_arrays(const struct runtime_arrays *arrays, void *arg)
{
	struct census_run *run = arg;
	struct reader *reader = run->reader;
	struct event event = event_new(reader, EVENT_ARRAYS, run->now_ns);
	size_t count = 0;

	while (count < ARRAY_SIZE(arrays->site_pcs) && arrays->site_pcs[count])
		count++;
	event.arrays = arrays->event;
	event.arrays.type = model_intern(reader->model, arrays->type_name);
	event.arrays.site = symbolizer_site(
		reader->symbolizer, FAMILY_NONE, event.arrays.type, arrays->site_pcs, count, false);
	if (!event.arrays.site) /* without a place; the type still tells them apart */
		event.arrays.site = model_add_site(
			reader->model, reader->target, FAMILY_NONE, event.arrays.type, NULL, 0);
	model_apply(reader->model, &event);
}

/* A reading of large arrays begins. */
static void begin_arrays(struct reader *reader, uint64_t now_ns)
{
	struct event event = event_new(reader, EVENT_ARRAYS, now_ns);

	model_apply(reader->model, &event);
}

int reader_census(struct reader *reader, uint64_t deadline_ns, bool before_attach,
	int (*progress)(uint64_t done, uint64_t total, void *arg), void *arg)
{
	struct census_run run = {
		.reader = reader, .before_attach = before_attach, .now_ns = clock_mono_ns()};
	struct runtime_census_options options = {
		.deadline_ns = deadline_ns,
		.find_owners = true,
		.keep_bytes = WATCH_FLOOR_BYTES,
		.progress = progress,
		.arg = arg,
		.arrays = census_arrays,
		.found_arg = &run,
	};
	struct model_census census = {.complete = true};
	int r = 0;

	for (size_t i = 0; r == 0 && i < parts_count(reader->parts); i++) {
		const struct part *part = parts_get(reader->parts, i);
		struct runtime_census_stats stats = {0};

		if (!part->process || !part->runtime->census)
			continue;
		run.part = part;
		begin_arrays(reader, run.now_ns);
		r = part->runtime->census(part->process, &options, census_found, &stats);
		census.done = true;
		census.complete &= stats.complete;
		census.objects += stats.objects;
		census.heap_objects += stats.heap_objects;
		census.unread += stats.unread;
		census.bytes += stats.bytes;
		census.maps += stats.maps;
		census.channels += stats.channels;
		census.duration_ns += stats.duration_ns;
		census.longest_slice_ns = MAX(census.longest_slice_ns, stats.longest_slice_ns);
	}
	if (r < 0 || !census.done)
		return r < 0 ? r : -ENOTSUP;
	model_set_census(reader->model, reader->target, &census);
	return 0;
}

/* The addresses of a record's stack, innermost first. */
static size_t record_stack(
	struct reader *reader, const struct mt_record *record, uint64_t ret[UNWINDER_MAX_FRAMES])
{
	size_t count = MIN(record->stack_bytes / sizeof(ret[0]), (size_t)UNWINDER_MAX_FRAMES);

	if (record->flags & MT_HAS_COPY)
		return unwinder_run(reader->unwinder, record, ret);
	if (!(record->flags & MT_HAS_STACK))
		return 0;
	memcpy(ret, record->stack, count * sizeof(ret[0]));
	return count;
}

static uint32_t record_site(
	struct reader *reader, const struct mt_record *record, enum family family, uint32_t type)
{
	uint64_t addrs[UNWINDER_MAX_FRAMES];
	size_t count = record_stack(reader, record, addrs);

	return symbolizer_site(reader->symbolizer, family, type, addrs, count, true);
}

/* Where it was done: what the runtime has read from the stack, else what the kernel has walked. */
static uint32_t probe_site(struct reader *reader, const struct part *part,
	const struct runtime_probe *probe, const struct mt_record *record, enum family family,
	uint32_t type)
{
	uint64_t pcs[RUNTIME_PLACE_PCS];
	size_t count =
		part->runtime->place ? part->runtime->place(part->process, probe, record, pcs) : 0;

	if (count)
		return symbolizer_site(reader->symbolizer, family, type, pcs, count, false);
	return record_site(reader, record, family, type);
}

/* A type without template arguments may have been told them by the functions that were called. */
static uint32_t grown_type(struct reader *reader, const struct part *part,
	const struct mt_record *record, uint64_t type)
{
	uint32_t known = part_intern_type(reader->parts, part, type), told;
	uint64_t addrs[UNWINDER_MAX_FRAMES];

	if (!part->runtime->type_of_function || strchr(model_string(reader->model, known), '<') ||
		!(record->flags & MT_HAS_COPY))
		return known;
	told = symbolizer_type(reader->symbolizer, part->runtime->type_of_function, addrs,
		record_stack(reader, record, addrs));
	return told ? told : known;
}

/*
 * A growing block may be the array of a container that another runtime has just told of, or one of its own
 * that it does not see growing. False: it is told already.
 */
static bool find_runtime(
	const struct reader *reader, const struct part *part, uint32_t type, uint32_t *ret)
{
	const char *name = model_string(reader->model, type);

	*ret = part->name;
	for (size_t i = 0; part->runtime->sees_malloc && i < parts_count(reader->parts); i++) {
		const struct part *other = parts_get(reader->parts, i);

		if (other->process && other->runtime->tells && other->runtime->tells(name))
			return false;
		if (other->runtime->owns && other->runtime->owns(name))
			*ret = other->name;
	}
	return true;
}

static void grown(struct reader *reader, const struct part *part, const struct runtime_probe *probe,
	struct event *event, uint64_t type, const struct mt_record *record)
{
	struct event_growth *growth = &event->growth;

	growth->type = grown_type(reader, part, record, type);
	if (!find_runtime(reader, part, growth->type, &growth->runtime))
		return;
	growth->site = probe_site(reader, part, probe, record, growth->family, growth->type);
	watcher_take(reader->watcher, part, event, type);
	if (family_moves(growth->family)) /* its key is the address of its array */
		attribution_add_array(reader->attribution, growth->key,
			MAX(growth->held_bytes, growth->allocated_bytes), growth->site);
}

static void created(struct reader *reader, const struct part *part,
	const struct runtime_probe *probe, struct event *event, uint64_t type,
	const struct mt_record *record)
{
	struct event_create *create = &event->create;

	create->runtime = part->name;
	create->type = part_intern_type(reader->parts, part, type);
	create->site = probe_site(reader, part, probe, record, create->family, create->type);
	watcher_take(reader->watcher, part, event, type);
}

/* The stack of an allocation begins in malloc itself: its caller is who allocates. */
static void take_block(struct reader *reader, const struct mt_record *record)
{
	uint64_t addrs[UNWINDER_MAX_FRAMES];
	size_t count;

	if (record->kind == MT_BLOCK_FREED) {
		blocks_end(reader->blocks, record);
		return;
	}
	count = record_stack(reader, record, addrs);
	blocks_add(reader->blocks, record,
		count > 1 ? symbolizer_stack(reader->symbolizer, addrs + 1, count - 1) : 0);
}

struct blocks *reader_blocks(const struct reader *reader)
{
	return reader->blocks;
}

void reader_record(struct reader *reader, size_t i, const struct runtime_probe *probe,
	const struct mt_record *record)
{
	struct event event = event_new(reader, EVENT_GROWTH, record->time_ns);
	struct part *part = parts_get(reader->parts, i);
	uint64_t type = 0;

	if (record->kind == MT_BLOCK || record->kind == MT_BLOCK_FREED) {
		if (reader->blocks)
			take_block(reader, record);
		return;
	}
	if (part_start_for_record(reader->parts, part) < 0) {
		part->too_early++;
		return;
	}
	if (part->runtime->decode(part->process, probe, record, &event, &type) < 0)
		return;
	event.target = reader->target;
	event.time_ns = record->time_ns;
	if (event.kind == EVENT_GROWTH)
		grown(reader, part, probe, &event, type, record);
	else if (event.kind == EVENT_CREATE)
		created(reader, part, probe, &event, type, record);
}

void reader_fault(struct reader *reader, const struct mt_record *record)
{
	uint64_t addrs[UNWINDER_MAX_FRAMES];
	size_t count = record_stack(reader, record, addrs);
	struct symbolizer_toucher toucher = symbolizer_toucher(reader->symbolizer, addrs, count);

	attribution_take_fault(reader->attribution, record, &toucher);
}

void reader_call(struct reader *reader, const struct mt_record *record)
{
	attribution_take_call(
		reader->attribution, record, record_site(reader, record, FAMILY_NONE, 0));
}

/* ---- polling ---- */

/* The first part that can tell: containers of one are counted in at once. */
static const struct part *find_quiet_part(const struct reader *reader)
{
	/* A recording has each look. */
	if (model_is_observed(reader->model))
		return NULL;
	for (size_t i = 0; i < parts_count(reader->parts); i++) {
		const struct part *part = parts_get(reader->parts, i);

		if (part->process && part->runtime->quiet)
			return part;
	}
	return NULL;
}

void reader_group(struct reader *reader, uint64_t now_ns)
{
	struct event event = event_new(reader, EVENT_GROUP, now_ns);
	struct cgroup_memory memory;

	if (cgroup_read_memory(reader->info.cgroup_directory, reader->info.cgroup_unified, &memory))
		return;
	event.group = (struct event_group){
		.usage_bytes = memory.usage_bytes,
		.inactive_file_bytes = memory.inactive_file_bytes,
		.limit_bytes = memory.limit_bytes,
		.high_bytes = memory.high_bytes,
		.oom_kills = memory.oom_kills,
		.has_pressure = memory.has_pressure,
		.some_us = memory.some_us,
		.full_us = memory.full_us,
	};
	model_apply(reader->model, &event);
}

void reader_usage(struct reader *reader, bool with_peak)
{
	struct event event = event_new(reader, EVENT_USAGE, 0);
	struct process_usage usage = {0};
	uint64_t moved;

	if (process_read_usage(reader->info.id.pid, &usage) < 0)
		return;
	/* Not the time of the poll: pages that came between the two are in the one and not the other. */
	event.time_ns = clock_mono_ns();
	event.usage.rss_bytes = usage.rss_bytes;
	event.usage.file_bytes = usage.file_bytes;
	event.usage.cpu_ns = usage.cpu_ns;
	/* Where it has moved, it may have been higher between two looks. */
	moved = MAX(usage.rss_bytes, reader->usage.rss_bytes) -
		MIN(usage.rss_bytes, reader->usage.rss_bytes);
	reader->usage = event.usage;
	if (with_peak || moved >= MOVED_BYTES)
		process_read_peak(reader->info.id.pid, &event.usage.peak_bytes);
	model_apply(reader->model, &event);
}

void reader_ended(struct reader *reader, uint64_t time_ns, uint64_t rss_bytes)
{
	struct event event = event_new(reader, EVENT_USAGE, time_ns);

	if (rss_bytes > reader->usage.rss_bytes) {
		event.usage = reader->usage;
		event.usage.rss_bytes = rss_bytes;
		model_apply(reader->model, &event);
	}
	attribution_settle(reader->attribution);
}

static void look_at_goroutines(struct reader *reader, const struct part *part)
{
	uint64_t begin_ns = clock_mono_ns(), rest_ns;
	int r = goroutines_read(part->runtime, part->process, reader->symbolizer, reader->model,
		reader->target, begin_ns);

	rest_ns = (clock_mono_ns() - begin_ns) * READER_GOROUTINES_REST;
	reader->goroutines_due_ns =
		r == -ENOTSUP || r == -EBADMSG
			? UINT64_MAX
			: begin_ns + MAX(READER_GOROUTINES_NS,
					     MIN(rest_ns, READER_GOROUTINES_SLOW_NS));
}

static bool goroutines_due(const struct reader *reader, uint64_t now_ns, bool at_once)
{
	return reader->goroutines_due_ns != UINT64_MAX &&
	       (at_once || now_ns >= reader->goroutines_due_ns);
}

static void poll_part(
	struct reader *reader, const struct part *part, uint64_t now_ns, bool all_deep)
{
	struct event event = event_new(reader, EVENT_HEAP, now_ns);

	if (part->runtime->heap && part->runtime->heap(part->process, &event.heap) == 0)
		model_apply(reader->model, &event);
	watcher_poll(reader->watcher, part);
	if (part->runtime->goroutines && goroutines_due(reader, now_ns, all_deep))
		look_at_goroutines(reader, part);
	if (all_deep && part->runtime->profile)
		allocated_read(part->runtime, part->process, reader->symbolizer, reader->model,
			reader->target, now_ns);
}

/* Only glibc's blocks say of themselves whether they are free. */
static struct target_mem *block_mem(const struct reader *reader)
{
	for (size_t i = 0; i < parts_count(reader->parts); i++) {
		const struct part *part = parts_get(reader->parts, i);

		if (part->runtime->optional && part->file->probe_count &&
			strcmp(part->file->version, "glibc") != 0)
			return NULL;
	}
	return reader->mem;
}

void reader_poll(struct reader *reader, uint64_t now_ns, bool all_deep)
{
	tell_unwound(reader);
	/* Where pages came, there may have been a peak between two looks. */
	reader_usage(reader, all_deep || attribution_is_waiting(reader->attribution));
	parts_start(reader->parts);
	watcher_begin_poll(reader->watcher, find_quiet_part(reader), now_ns, all_deep);
	for (size_t i = 0; i < parts_count(reader->parts); i++)
		if (parts_get(reader->parts, i)->process)
			poll_part(reader, parts_get(reader->parts, i), now_ns, all_deep);
	allocators_poll(reader->allocators, now_ns, all_deep);
	if (all_deep && reader->blocks)
		blocks_tell(reader->blocks, block_mem(reader), now_ns);
	attribution_settle(reader->attribution);
}

void reader_settle(struct reader *reader)
{
	attribution_settle(reader->attribution);
}

void reader_measure(struct reader *reader, uint64_t now_ns)
{
	int r = attribution_measure(reader->attribution, now_ns);

	if (r && r != -ESRCH)
		model_add_skip(reader->model, "where RSS is mapped",
			r == -ETIME ? "so much is mapped that counting it would take too long"
				    : strerror(-r));
	/* Its parts belong to the RSS of now: a collector gives memory back all the time. */
	if (!r)
		reader_usage(reader, false);
}
