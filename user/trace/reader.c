/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is read and what records say becomes events. Watched containers have their headers read at every
 * poll, in one batch per family; watch.h says when they are walked.
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

#define LOOK_BATCH  512
#define DEATH_NS    (300 * NSEC_PER_MSEC)
#define MOVED_BYTES (1ull << 20)

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

struct reader {
	struct process_info info;
	struct model *model;
	uint32_t target;
	struct target_mem *mem;
	struct modules *modules;
	struct parts *parts;
	bool last; /* this poll is the last one: no record is on its way */
	struct symbolizer *symbolizer;
	struct attribution *attribution;
	struct allocators *allocators;
	struct blocks *blocks; /* NULL = not asked for */
	struct unwinder *unwinder;
	struct model_unwound unwound; /* as last told */
	uint64_t goroutines_due_ns;   /* the next look at them; UINT64_MAX = cannot be read */
	struct watch_list watched;
	struct look_batch batch;                     /* kept from poll to poll: it is large */
	struct quiet_batch quiet;                    /* the same, and of each poll: */
	struct watch *to_look[WATCH_MAX_CONTAINERS]; /* of the part it is the turn of */
	size_t to_look_count;
	const struct part *quiet_part; /* whose containers may be quiet; NULL = nobody's */
	struct event_usage usage;      /* at the last look */
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
	watch_list_done(&reader->watched);
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

static void apply_look(struct reader *reader, const struct event_look *look, uint64_t now_ns)
{
	struct event event = event_new(reader, EVENT_LOOK, now_ns);

	event.look = *look;
	model_apply(reader->model, &event);
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

/* The census has walked it: the next walks of all that it found are spread over the time between two. */
static void census_walked(struct reader *reader, const struct event_look *look, uint64_t now_ns)
{
	struct watch *watch = watch_find(&reader->watched, look->family, look->key);

	if (!watch)
		return;
	watch->stamp = look->stamp;
	watch_walked(watch, now_ns,
		WATCH_DEEP_NS / 2 + hash_bytes(0, &look->key, sizeof(look->key)) % WATCH_DEEP_NS);
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
	uint64_t now_ns = clock_mono_ns(); /* after all reading, as in looked() */
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
	model_apply(reader->model, &event);
	watch_add(&reader->watched, run->part->number, found->family, found->key, found->type,
		found->look.held_bytes);
	census_walked(reader, &found->look, now_ns);
	apply_look(reader, &found->look, now_ns);
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

static void end_quiet(struct reader *reader, struct watch *watch)
{
	if (!watch->quiet)
		return;
	model_end_quiet(reader->model, reader->target, watch->family, watch->key);
	watch->quiet = false;
}

/* NULL is allowed. */
static void unwatch(struct reader *reader, struct watch *watch)
{
	if (watch)
		end_quiet(reader, watch);
	watch_remove(&reader->watched, watch);
}

/*
 * A death that is not told yet (died()) is that of what was at the address then. What has grown, or was made, there
 * since is another one.
 */
static void apply_told(
	struct reader *reader, enum family family, uint64_t key, const struct event *event)
{
	struct watch *watch = watch_find(&reader->watched, family, key);
	const struct container *before;

	if (!watch || !watch->dead_ns) {
		model_apply(reader->model, event);
		return;
	}
	if (event->time_ns > watch->dead_ns)
		apply_look(
			reader, &(struct event_look){.family = family, .key = key}, watch->dead_ns);
	before = model_find_container(reader->model, reader->target, family, key);
	model_apply(reader->model, event);
	if (!before || model_find_container(reader->model, reader->target, family, key) != before)
		unwatch(reader, watch);
}

static void grown(struct reader *reader, const struct part *part, const struct runtime_probe *probe,
	struct event *event, uint64_t type, const struct mt_record *record)
{
	struct event_growth *growth = &event->growth;

	growth->type = grown_type(reader, part, record, type);
	if (!find_runtime(reader, part, growth->type, &growth->runtime))
		return;
	growth->site = probe_site(reader, part, probe, record, growth->family, growth->type);
	if (growth->old_key != growth->key)
		unwatch(reader, watch_find(&reader->watched, growth->family, growth->old_key));
	apply_told(reader, growth->family, growth->key, event);
	if (family_moves(growth->family)) /* its key is the address of its array */
		attribution_add_array(reader->attribution, growth->key,
			MAX(growth->held_bytes, growth->allocated_bytes), growth->site);
	if (!(growth->key & EVENT_KEY_ON_STACK)) /* what moves with a stack cannot be looked at */
		watch_add(&reader->watched, part->number, growth->family, growth->key, type,
			grown_held(growth));
}

static void created(struct reader *reader, const struct part *part,
	const struct runtime_probe *probe, struct event *event, uint64_t type,
	const struct mt_record *record)
{
	struct event_create *create = &event->create;

	create->runtime = part->name;
	create->type = part_intern_type(reader->parts, part, type);
	create->site = probe_site(reader, part, probe, record, create->family, create->type);
	apply_told(reader, create->family, create->key, event);
	watch_add(&reader->watched, part->number, create->family, create->key, type,
		create->held_bytes);
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

/*
 * A slice that has grown a moment ago is dead under its old key before the record of that growth has come
 * through the ring: so death must last longer than a record can take.
 */
static void died(
	struct reader *reader, struct watch *watch, const struct event_look *look, uint64_t now_ns)
{
	if (!watch->dead_ns)
		watch->dead_ns = now_ns;
	if (now_ns - watch->dead_ns < DEATH_NS && !reader->last)
		return;
	apply_look(reader, look, watch->dead_ns);
	unwatch(reader, watch);
}

static void begin_quiet(struct reader *reader, struct watch *watch)
{
	model_begin_quiet(reader->model, reader->target, watch->family, watch->key);
	watch->quiet = true;
}

static void looked(struct reader *reader, struct watch *watch, const struct event_look *look,
	uint64_t now_ns, bool deep)
{
	bool same;

	if (look->liveness == LIVENESS_DEAD) {
		died(reader, watch, look, now_ns);
		return;
	}
	apply_look(reader, look, now_ns);
	watch->dead_ns = 0;
	if (look->has_length)
		watch->length_peak = MAX(watch->length_peak, look->length);
	if (look->held_bytes)
		watch->held_bytes = look->held_bytes;
	same = watch_looked(watch, look->stamp);
	if (deep)
		watch_walked(watch, now_ns, WATCH_DEEP_NS);
	if (same && reader->batch.part == reader->quiet_part)
		begin_quiet(reader, watch);
}

static void look_flush(struct reader *reader, struct look_batch *batch)
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
		if (look->liveness == LIVENESS_ALLOCATED &&
			modules_is_global(reader->modules, look->key))
			look->liveness = LIVENESS_ROOTED;
		looked(reader, batch->watches[i], look, now_ns, batch->deep);
	}
	batch->count = 0;
}

static void look_at_family(
	struct reader *reader, const struct part *part, enum family family, bool deep)
{
	struct look_batch *batch = &reader->batch;

	if (!reader->watched.count_of[family])
		return;
	batch->part = part;
	batch->family = family;
	batch->deep = deep;
	for (size_t i = 0; i < reader->to_look_count; i++) {
		struct watch *watch = reader->to_look[i];

		/* A look of this poll may have shown that others are dead */
		if (!watch->used || watch->family != family || watch->deep != deep)
			continue;
		batch->watches[batch->count] = watch;
		batch->keys[batch->count] = watch->key;
		batch->types[batch->count] = watch->type;
		batch->peaks[batch->count++] = watch->length_peak;
		if (batch->count == LOOK_BATCH)
			look_flush(reader, batch);
	}
	look_flush(reader, batch);
}

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

static void end_all_quiet(struct reader *reader)
{
	model_end_all_quiet(reader->model, reader->target);
	for (size_t i = 0; i < reader->watched.end; i++)
		reader->watched.watches[i].quiet = false;
}

/*
 * Who is quiet, as far as is known. Either side may have lost some: the model makes room for others, so does the
 * list. Then all begin anew.
 */
static void collect_quiet(struct reader *reader, struct quiet_batch *batch)
{
	struct model_quiet known = model_quiet(reader->model, reader->target);
	uint64_t sum = 0;

	batch->count = 0;
	for (size_t i = 0; i < reader->watched.end; i++) {
		struct watch *watch = &reader->watched.watches[i];

		if (!watch->used || !watch->quiet)
			continue;
		sum += model_quiet_word(watch->family, watch->key);
		batch->watches[batch->count] = watch;
		batch->keys[batch->count++] = watch->key;
	}
	if (batch->count == known.count && sum == known.sum)
		return;
	end_all_quiet(reader);
	batch->count = 0;
}

/* Whoever has said something new is looked at afterwards; so is who is to be walked. */
static void poll_quiet(struct reader *reader, const struct part *part)
{
	struct quiet_batch *batch = &reader->quiet;
	uint64_t now_ns = clock_mono_ns();
	int r;

	collect_quiet(reader, batch);
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
		end_quiet(reader, watch);
		watch_end_quiet(watch);
	}
	model_apply_quiet(reader->model, reader->target, now_ns);
}

static void collect_to_look(struct reader *reader, const struct part *part)
{
	reader->to_look_count = 0;
	for (size_t i = 0; i < reader->watched.end; i++) {
		struct watch *watch = &reader->watched.watches[i];

		if (watch->used && !watch->quiet && watch->part == part->number)
			reader->to_look[reader->to_look_count++] = watch;
	}
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

static void poll_part(struct reader *reader, const struct part *part, uint64_t now_ns)
{
	struct event event = event_new(reader, EVENT_HEAP, now_ns);
	bool all_deep = reader->last;

	if (part->runtime->heap && part->runtime->heap(part->process, &event.heap) == 0)
		model_apply(reader->model, &event);
	if (part == reader->quiet_part)
		poll_quiet(reader, part);
	collect_to_look(reader, part);
	for (enum family family = FAMILY_MAP; part->runtime->look && family < FAMILY_MAX;
		family++) {
		look_at_family(reader, part, family, false);
		look_at_family(reader, part, family, true);
	}
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
	reader->last = all_deep;
	/* Where pages came, there may have been a peak between two looks. */
	reader_usage(reader, all_deep || attribution_is_waiting(reader->attribution));
	parts_start(reader->parts);
	watch_choose_deep(&reader->watched, now_ns, all_deep);
	reader->quiet_part = find_quiet_part(reader);
	if (!reader->quiet_part && model_quiet(reader->model, reader->target).count)
		end_all_quiet(reader);
	for (size_t i = 0; i < parts_count(reader->parts); i++)
		if (parts_get(reader->parts, i)->process)
			poll_part(reader, parts_get(reader->parts, i), now_ns);
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
