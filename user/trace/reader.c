/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Watching: a container gets on the list when a census finds it or a growth shows it, and leaves it
 * when a look says it is dead or when 4,096 larger ones have come. Headers are read at every poll in
 * one batch per family; what the header does not say (tables, residency) is read when a container is
 * new or has grown, every ten seconds where it was written to, and every minute where it was not.
 */
#include "trace/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/table.h"
#include "base/text.h"
#include "runtime/list.h"
#include "target/mem.h"
#include "trace/allocated.h"
#include "trace/attribution.h"

#define LOOK_BATCH 512
#define DEATH_NS   (300 * NSEC_PER_MSEC)

struct watch {
	enum family family;
	uint8_t part; /* whose it is */
	bool used;
	bool deep; /* it is to be walked at this poll */
	uint64_t key, type;
	uint64_t length_peak, held_bytes;
	uint64_t dead_ns;     /* first found dead then, 0 = alive at the last look */
	uint64_t deep_due_ns; /* walk it at the first poll after this; 0 = now */
	uint64_t deep_ns;     /* when that was done last */
	uint64_t stamp,
		deep_stamp; /* of the last look, and of the last one that walked it; 0 = it has none */
};

struct reader {
	struct process_info info;
	struct parser *parser;
	struct model *model;
	uint32_t target;
	struct target_mem *mem;
	struct modules *modules;
	size_t modules_asked; /* so many of them were asked for parts */
	uint64_t open_ns, refresh_due_ns;
	struct reader_part parts[READER_MAX_PARTS];
	size_t part_count;
	bool last; /* this poll is the last one: no record is on its way */
	struct symbolizer *symbolizer;
	struct attribution *attribution;
	struct unwinder *unwinder;
	struct model_unwound unwound; /* as last told */
	uint64_t goroutines_due_ns;   /* the next look at them; UINT64_MAX = cannot be read */

	struct watch watches[READER_MAX_CONTAINERS];
	size_t watch_end; /* watches in use lie below */
	size_t watch_count;
	size_t deep_next;    /* where the next choice of whom to walk begins */
	struct table by_key; /* watch_hash -> index */
};

static uint64_t watch_hash(enum family family, uint64_t key)
{
	return key ^ (uint64_t)family << 60;
}

/* ---- the list ---- */

static struct watch *watch_find(struct reader *reader, enum family family, uint64_t key)
{
	uint64_t i;

	return table_get(&reader->by_key, watch_hash(family, key), &i) ? &reader->watches[i] : NULL;
}

static void watch_remove(struct reader *reader, struct watch *watch)
{
	if (!watch)
		return;
	table_remove(&reader->by_key, watch_hash(watch->family, watch->key));
	watch->used = false;
	reader->watch_count--;
	while (reader->watch_end && !reader->watches[reader->watch_end - 1].used)
		reader->watch_end--;
}

static struct watch *watch_smallest(struct reader *reader)
{
	struct watch *smallest = &reader->watches[0];

	for (size_t i = 1; i < reader->watch_end; i++)
		if (reader->watches[i].held_bytes < smallest->held_bytes)
			smallest = &reader->watches[i];
	return smallest;
}

static struct watch *watch_free_slot(struct reader *reader, uint64_t held_bytes)
{
	if (reader->watch_count == READER_MAX_CONTAINERS) {
		struct watch *smallest = watch_smallest(reader);

		if (smallest->held_bytes >= held_bytes)
			return NULL;
		watch_remove(reader, smallest);
	}
	for (size_t i = 0; i < reader->watch_end; i++)
		if (!reader->watches[i].used)
			return &reader->watches[i];
	return &reader->watches[reader->watch_end++];
}

/* Watches a container, or remembers that a watched one has grown. */
static void watch_add(struct reader *reader, const struct reader_part *part, enum family family,
	uint64_t key, uint64_t type, uint64_t held_bytes)
{
	struct watch *watch = watch_find(reader, family, key);

	if (!watch) {
		if (held_bytes < READER_FLOOR_BYTES)
			return;
		watch = watch_free_slot(reader, held_bytes);
		if (!watch)
			return;
		*watch = (struct watch){.family = family, .used = true, .key = key};
		watch->part = (uint8_t)(part - reader->parts);
		table_set(&reader->by_key, watch_hash(family, key),
			(uint64_t)(watch - reader->watches));
		reader->watch_count++;
	}
	if (type)
		watch->type = type;
	watch->held_bytes = held_bytes;
	watch->deep_due_ns = 0;
}

/* ---- open, close ---- */

static const struct runtime *find_runtime(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(runtimes); i++)
		if (!strcmp(runtimes[i]->name, name))
			return runtimes[i];
	return NULL;
}

static bool is_wanted(const struct module *module)
{
	for (size_t i = 0; i < ARRAY_SIZE(runtimes); i++)
		if (runtimes[i]->wants && runtimes[i]->wants(module_name(module)))
			return true;
	return false;
}

static void tell_skips(struct reader *reader, const struct runtime_file *file)
{
	for (uint32_t i = 0; i < file->skip_count && i < RUNTIME_MAX_SKIPS; i++)
		model_add_skip(reader->model, file->skips[i].what, file->skips[i].reason);
}

/* One part for each runtime of a module. The model must know the target. */
static void add_parts(struct reader *reader, const struct module *module)
{
	struct runtime_file *file = xcalloc(1, sizeof(*file));

	for (size_t i = 0; parser_runtime(reader->parser, module->file_id, i, file) == 0; i++) {
		const struct runtime *runtime = find_runtime(file->runtime);
		struct reader_part *part = &reader->parts[reader->part_count];

		tell_skips(reader, file);
		if (!runtime)
			continue;
		if (reader->part_count == READER_MAX_PARTS) {
			model_add_skip(reader->model, module_name(module),
				"more libraries than are followed in one process");
			break;
		}
		*part = (struct reader_part){.runtime = runtime, .module = module};
		part->name = model_intern(reader->model, runtime->name);
		part->file = xcalloc(1, sizeof(*file));
		*part->file = *file;
		reader->part_count++;
		model_add_runtime(reader->model, reader->target, file->runtime, file->version);
	}
	free(file);
}

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

/* Asks the modules that have come since for parts. */
static void take_modules(struct reader *reader)
{
	bool late = reader->modules_asked > 0;

	for (; reader->modules_asked < modules_count(reader->modules); reader->modules_asked++) {
		const struct module *module = modules_get(reader->modules, reader->modules_asked);

		if (reader->modules_asked && !is_wanted(module))
			continue;
		if (late)
			model_add_skip(reader->model, module_name(module),
				"was mapped while the program ran: growth before it was noticed "
				"is not counted");
		if (modules_load(reader->modules, reader->modules_asked) == 0)
			add_parts(reader, module);
		else
			model_add_skip(reader->model, module_name(module),
				"this library cannot be opened or parsed");
	}
}

bool reader_refresh(struct reader *reader, uint64_t now_ns)
{
	size_t before = reader->part_count;
	uint64_t age_ns = now_ns - reader->open_ns;

	if (now_ns < reader->refresh_due_ns)
		return false;
	reader->refresh_due_ns = now_ns + MIN(MAX(age_ns / READER_REFRESH_PART, READER_REFRESH_NS),
						  READER_REFRESH_SLOW_NS);
	if (modules_refresh(reader->modules) == 0)
		take_modules(reader);
	return reader->part_count > before;
}

bool reader_would_know(int pid, struct parser *parser)
{
	struct runtime_file *file = xcalloc(1, sizeof(*file));
	struct modules *modules = NULL;
	bool known = false;

	if (modules_open(pid, parser, &modules) < 0)
		goto out;
	for (size_t i = 0; i < modules_count(modules) && !known; i++) {
		if (i && (!is_wanted(modules_get(modules, i)) || modules_load(modules, i)))
			continue;
		known = parser_runtime(parser, modules_get(modules, i)->file_id, 0, file) == 0 &&
			file->runtime[0];
	}
out:
	modules_close(modules);
	free(file);
	return known;
}

static uint64_t owner_of(void *arg, uint64_t addr)
{
	struct reader *reader = arg;
	uint64_t key = 0;

	for (size_t i = 0; i < reader->part_count && !key; i++) {
		const struct reader_part *part = &reader->parts[i];

		if (part->process && part->runtime->owner_of)
			key = part->runtime->owner_of(part->process, addr);
	}
	return key;
}

static bool is_heap(void *arg, uint64_t addr)
{
	struct reader *reader = arg;
	bool is = false;

	for (size_t i = 0; i < reader->part_count && !is; i++) {
		const struct reader_part *part = &reader->parts[i];

		if (part->process && part->runtime->is_heap)
			is = part->runtime->is_heap(part->process, addr);
	}
	return is;
}

int reader_open(const struct process_info *process, struct parser *parser, struct model *model,
	struct reader **ret)
{
	struct runtime_file *exe = xcalloc(1, sizeof(*exe));
	struct reader *reader = xcalloc(1, sizeof(*reader));
	int r;

	reader->info = *process;
	reader->parser = parser;
	reader->model = model;
	reader->open_ns = clock_mono_ns();
	r = modules_open(process->id.pid, parser, &reader->modules);
	if (r == 0)
		r = target_mem_open(process->id.pid, &reader->mem);
	if (r == 0)
		r = parser_runtime(parser, modules_get(reader->modules, 0)->file_id, 0, exe);
	if (r == 0)
		r = describe(reader, exe);
	if (r < 0)
		goto out;
	take_modules(reader);
	reader->attribution = attribution_new(process->id.pid, model, reader->target,
		&(struct attribution_owners){owner_of, is_heap, reader});
	reader->symbolizer =
		symbolizer_new(parser, reader->modules, process->id.pid, model, reader->target);
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

/* What was missed because the program could not be read, or only late. */
static void tell_missed(struct reader *reader, const struct reader_part *part)
{
	char reason[160];

	if (!part->file->reading || part->refused)
		return;
	if (!part->process)
		model_add_skip(reader->model, "reading containers", part->not_yet);
	if (!part->too_early)
		return;
	snprintf(reason, sizeof(reason), "%llu growths came before its heap could be read",
		(unsigned long long)part->too_early);
	if (part->process)
		model_add_skip(reader->model, "growths at its start", reason);
	else
		model_add_incomplete(reader->model, reason);
}

void reader_close(struct reader *reader)
{
	if (!reader)
		return;
	for (size_t i = 0; i < reader->part_count; i++) {
		struct reader_part *part = &reader->parts[i];

		tell_missed(reader, part);
		if (part->process)
			part->runtime->process_close(part->process);
		free(part->file);
	}
	attribution_free(reader->attribution);
	if (reader->unwinder)
		tell_unwound(reader);
	unwinder_free(reader->unwinder);
	symbolizer_free(reader->symbolizer);
	target_mem_close(reader->mem);
	modules_close(reader->modules);
	table_done(&reader->by_key);
	free(reader);
}

size_t reader_part_count(const struct reader *reader)
{
	return reader->part_count;
}

const struct reader_part *reader_part(const struct reader *reader, size_t i)
{
	return &reader->parts[i];
}

struct symbolizer *reader_symbolizer(const struct reader *reader)
{
	return reader->symbolizer;
}

bool reader_keeps_frame_pointers(const struct reader *reader)
{
	for (size_t i = 0; i < reader->part_count; i++)
		if (reader->parts[i].runtime->frame_pointers)
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

static int start_part(struct reader *reader, struct reader_part *part)
{
	char reason[160] = "";
	int r;

	if (part->process)
		return 0;
	if (!part->file->reading || part->refused)
		return -ENOTSUP;
	r = part->runtime->process_open(part->file, reader->mem, reader->parser,
		part->module->file_id, part->module->slide, &part->process, reason);
	if (r == -EAGAIN)
		text_copy(part->not_yet, sizeof(part->not_yet), reason);
	if (r < 0 && r != -EAGAIN) {
		part->refused = true;
		model_add_skip(reader->model, "reading containers", reason);
	}
	return r;
}

int reader_start(struct reader *reader)
{
	int result = -ENOTSUP;

	for (size_t i = 0; i < reader->part_count; i++) {
		int r = start_part(reader, &reader->parts[i]);

		if (r == -EAGAIN || (r == 0 && result != -EAGAIN))
			result = r;
	}
	return result;
}

bool reader_has_census(const struct reader *reader)
{
	for (size_t i = 0; i < reader->part_count; i++)
		if (reader->parts[i].runtime->census)
			return true;
	return false;
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

/* The runtime's type pointer of an event becomes the model's name. */
static uint32_t intern_type(struct reader *reader, const struct reader_part *part, uint64_t type)
{
	char name[160] = "";

	if (type)
		part->runtime->type_name(part->process, type, name, sizeof(name));
	return model_intern(reader->model, name);
}

struct census_run {
	struct reader *reader;
	const struct reader_part *part;
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

static void walked(struct watch *watch, uint64_t now_ns, uint64_t rest_ns)
{
	watch->deep_stamp = watch->stamp;
	watch->deep_ns = now_ns;
	watch->deep_due_ns = now_ns + rest_ns;
}

/* The census has walked it: the next walks of all that it found are spread over the time between two. */
static void census_walked(struct reader *reader, const struct event_look *look, uint64_t now_ns)
{
	struct watch *watch = watch_find(reader, look->family, look->key);

	if (!watch)
		return;
	watch->stamp = look->stamp;
	walked(watch, now_ns,
		READER_DEEP_NS / 2 + hash_bytes(0, &look->key, sizeof(look->key)) % READER_DEEP_NS);
}

static void census_found(const struct runtime_container *found, void *arg)
{
	struct census_run *run = arg;
	struct reader *reader = run->reader;
	struct event event = event_new(reader, EVENT_CREATE, run->now_ns);

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
	watch_add(
		reader, run->part, found->family, found->key, found->type, found->look.held_bytes);
	census_walked(reader, &found->look, run->now_ns);
	apply_look(reader, &found->look, run->now_ns);
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
		.keep_bytes = READER_FLOOR_BYTES,
		.progress = progress,
		.arg = arg,
		.arrays = census_arrays,
		.found_arg = &run,
	};
	struct model_census census = {.complete = true};
	int r = 0;

	for (size_t i = 0; r == 0 && i < reader->part_count; i++) {
		const struct reader_part *part = &reader->parts[i];
		struct runtime_census_stats stats = {0};

		if (!part->process || !part->runtime->census)
			continue;
		run.part = part;
		begin_arrays(reader, run.now_ns);
		r = part->runtime->census(part->process, &options, census_found, &stats);
		census.done = true;
		census.complete &= stats.complete;
		census.objects += stats.objects;
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

static uint32_t record_site(
	struct reader *reader, const struct mt_record *record, enum family family, uint32_t type)
{
	uint64_t addrs[UNWINDER_MAX_FRAMES];
	size_t count = record->stack_bytes / sizeof(addrs[0]);

	if (record->flags & MT_HAS_COPY) {
		count = unwinder_run(reader->unwinder, record, addrs);
	} else if (record->flags & MT_HAS_STACK) {
		count = MIN(count, ARRAY_SIZE(addrs));
		memcpy(addrs, record->stack, count * sizeof(addrs[0]));
	} else {
		return 0;
	}
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
		growth->family == FAMILY_MAP ? (uint64_t)READER_FLOOR_BYTES : 0);
}

/* Where it was done: what the runtime has read from the stack, else what the kernel has walked. */
static uint32_t probe_site(struct reader *reader, const struct reader_part *part,
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

static void grown(struct reader *reader, const struct reader_part *part,
	const struct runtime_probe *probe, struct event *event, uint64_t type,
	const struct mt_record *record)
{
	struct event_growth *growth = &event->growth;

	growth->runtime = part->name;
	growth->type = intern_type(reader, part, type);
	growth->site = probe_site(reader, part, probe, record, growth->family, growth->type);
	if (growth->old_key != growth->key)
		watch_remove(reader, watch_find(reader, growth->family, growth->old_key));
	model_apply(reader->model, event);
	if (family_moves(growth->family)) /* its key is the address of its array */
		attribution_add_array(
			reader->attribution, growth->key, growth->allocated_bytes, growth->site);
	if (!(growth->key & EVENT_KEY_ON_STACK)) /* what moves with a stack cannot be looked at */
		watch_add(reader, part, growth->family, growth->key, type, grown_held(growth));
}

static void created(struct reader *reader, const struct reader_part *part,
	const struct runtime_probe *probe, struct event *event, uint64_t type,
	const struct mt_record *record)
{
	struct event_create *create = &event->create;

	create->runtime = part->name;
	create->type = intern_type(reader, part, type);
	create->site = probe_site(reader, part, probe, record, create->family, create->type);
	model_apply(reader->model, event);
	watch_add(reader, part, create->family, create->key, type, create->held_bytes);
}

void reader_record(struct reader *reader, size_t i, const struct runtime_probe *probe,
	const struct mt_record *record)
{
	struct event event = event_new(reader, EVENT_GROWTH, record->time_ns);
	struct reader_part *part = &reader->parts[i];
	uint64_t type = 0;

	if (start_part(reader, part) < 0) {
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
	attribution_take_fault(
		reader->attribution, record, record_site(reader, record, FAMILY_NONE, 0));
}

void reader_call(struct reader *reader, const struct mt_record *record)
{
	attribution_take_call(
		reader->attribution, record, record_site(reader, record, FAMILY_NONE, 0));
}

/* ---- polling ---- */

struct look_batch {
	const struct reader_part *part;
	enum family family;
	bool deep;
	size_t count;
	struct watch *watches[LOOK_BATCH];
	uint64_t keys[LOOK_BATCH], types[LOOK_BATCH], peaks[LOOK_BATCH];
	struct event_look looks[LOOK_BATCH];
};

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
	apply_look(reader, look, now_ns);
	watch_remove(reader, watch);
}

static void looked(struct reader *reader, struct watch *watch, const struct event_look *look,
	uint64_t now_ns, bool deep)
{
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
	watch->stamp = look->stamp;
	if (deep)
		walked(watch, now_ns, READER_DEEP_NS);
}

static void look_flush(struct reader *reader, struct look_batch *batch, uint64_t now_ns)
{
	int r;

	if (!batch->count)
		return;
	memset(batch->looks, 0, batch->count * sizeof(batch->looks[0]));
	r = batch->part->runtime->look(batch->part->process, batch->family, batch->keys,
		batch->types, batch->peaks, batch->count, batch->deep, batch->looks);
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

/* What nobody has written to has the same tables, and loses pages slowly if at all. */
static bool deep_due(const struct watch *watch, uint64_t now_ns)
{
	if (now_ns < watch->deep_due_ns)
		return false;
	return !watch->deep_due_ns || !watch->stamp || watch->stamp != watch->deep_stamp ||
	       now_ns - watch->deep_ns >= READER_DEEP_REST_NS;
}

/* Chooses who is walked at this poll, so that no poll is long: what is left is due at the next one. */
static void choose_deep(struct reader *reader, uint64_t now_ns)
{
	size_t left = reader->last ? SIZE_MAX : READER_DEEP_AT_ONCE, end = reader->watch_end;

	for (size_t n = 0; n < end; n++) {
		size_t i = (reader->deep_next + n) % end;
		struct watch *watch = &reader->watches[i];

		watch->deep = watch->used && left && (reader->last || deep_due(watch, now_ns));
		left -= watch->deep;
		if (watch->deep && !left)
			reader->deep_next = i + 1;
	}
}

static void look_at_family(struct reader *reader, const struct reader_part *part,
	enum family family, bool deep, uint64_t now_ns)
{
	struct look_batch *batch = xcalloc(1, sizeof(*batch));

	batch->part = part;
	batch->family = family;
	batch->deep = deep;
	for (size_t i = 0; i < reader->watch_end; i++) {
		struct watch *watch = &reader->watches[i];

		if (!watch->used || watch->family != family || watch->deep != deep ||
			&reader->parts[watch->part] != part)
			continue;
		batch->watches[batch->count] = watch;
		batch->keys[batch->count] = watch->key;
		batch->types[batch->count] = watch->type;
		batch->peaks[batch->count++] = watch->length_peak;
		if (batch->count == LOOK_BATCH)
			look_flush(reader, batch, now_ns);
	}
	look_flush(reader, batch, now_ns);
	free(batch);
}

void reader_usage(struct reader *reader, uint64_t now_ns, bool with_peak)
{
	struct event event = event_new(reader, EVENT_USAGE, now_ns);
	struct process_usage usage = {0};

	if (process_read_usage(reader->info.id.pid, &usage) < 0)
		return;
	event.usage.rss_bytes = usage.rss_bytes;
	event.usage.file_bytes = usage.file_bytes;
	event.usage.cpu_ns = usage.cpu_ns;
	if (with_peak)
		process_read_peak(reader->info.id.pid, &event.usage.peak_bytes);
	model_apply(reader->model, &event);
}

/* ---- goroutines ---- */

#define MAX_WAITERS 4096

/* The groups of one look, until its totals have been told. */
struct waiters_found {
	uint64_t now_ns;
	struct runtime_waiters *list;
	size_t count, capacity;
};

static void waiters_found(const struct runtime_waiters *waiters, void *arg)
{
	struct waiters_found *found = arg;

	if (found->count == MAX_WAITERS)
		return;
	array_reserve(found->list, found->count, found->capacity);
	found->list[found->count++] = *waiters;
}

static void apply_goroutines(struct reader *reader, const struct event_goroutines *goroutines,
	const struct waiters_found *found)
{
	struct event event = event_new(reader, EVENT_GOROUTINES, found->now_ns);

	event.goroutines = *goroutines;
	model_apply(reader->model, &event);
	event = event_new(reader, EVENT_WAITERS, found->now_ns);
	for (size_t i = 0; i < found->count; i++) {
		const struct runtime_waiters *waiters = &found->list[i];

		event.waiters = waiters->event;
		event.waiters.site = symbolizer_site(
			reader->symbolizer, FAMILY_NONE, 0, waiters->pcs, waiters->pc_count, false);
		if (event.waiters.site)
			model_apply(reader->model, &event);
	}
}

static void look_at_goroutines(
	struct reader *reader, const struct reader_part *part, uint64_t now_ns)
{
	struct waiters_found found = {.now_ns = now_ns};
	struct event_goroutines goroutines = {0};
	uint64_t rest_ns;
	int r = part->runtime->goroutines(
		part->process, READER_WAITERS_FLOOR, waiters_found, &found, &goroutines);

	rest_ns = (clock_mono_ns() - now_ns) * READER_GOROUTINES_REST;
	reader->goroutines_due_ns =
		now_ns + MAX(READER_GOROUTINES_NS, MIN(rest_ns, READER_GOROUTINES_SLOW_NS));
	if (r == -ENOTSUP) {
		reader->goroutines_due_ns = UINT64_MAX;
		model_add_skip(reader->model, "goroutines",
			"this binary does not tell where they are or what they wait for");
	}
	if (r == 0)
		apply_goroutines(reader, &goroutines, &found);
	free(found.list);
}

static bool goroutines_due(const struct reader *reader, uint64_t now_ns, bool at_once)
{
	return reader->goroutines_due_ns != UINT64_MAX &&
	       (at_once || now_ns >= reader->goroutines_due_ns);
}

static void poll_part(struct reader *reader, const struct reader_part *part, uint64_t now_ns)
{
	struct event event = event_new(reader, EVENT_HEAP, now_ns);
	bool all_deep = reader->last;

	if (part->runtime->heap && part->runtime->heap(part->process, &event.heap) == 0)
		model_apply(reader->model, &event);
	for (enum family family = FAMILY_MAP; part->runtime->look && family < FAMILY_MAX;
		family++) {
		look_at_family(reader, part, family, false, now_ns);
		look_at_family(reader, part, family, true, now_ns);
	}
	if (part->runtime->goroutines && goroutines_due(reader, now_ns, all_deep))
		look_at_goroutines(reader, part, clock_mono_ns());
	if (all_deep && part->runtime->profile)
		allocated_read(part->runtime, part->process, reader->symbolizer, reader->model,
			reader->target, now_ns);
}

void reader_poll(struct reader *reader, uint64_t now_ns, bool all_deep)
{
	tell_unwound(reader);
	reader->last = all_deep;
	reader_usage(reader, now_ns, all_deep);
	reader_start(reader);
	choose_deep(reader, now_ns);
	for (size_t i = 0; i < reader->part_count; i++)
		if (reader->parts[i].process)
			poll_part(reader, &reader->parts[i], now_ns);
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
		model_add_skip(reader->model, "where RSS is mapped", strerror(-r));
}
