/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Watching: a container gets on the list when a census finds it or a growth shows it, and leaves it
 * when a look says it is dead or when 4,096 larger ones have come. Headers are read at every poll in
 * one batch per family; what the header does not say (tables, residency) is read when a container is
 * new, has grown, or has not been walked for ten seconds.
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

#define LOOK_BATCH 512
#define DEATH_NS   (300 * NSEC_PER_MSEC)

struct watch {
	enum family family;
	bool used;
	uint64_t key, type;
	uint64_t length_peak, held_bytes;
	uint64_t dead_ns;     /* first found dead then, 0 = alive at the last look */
	uint64_t deep_due_ns; /* walk it at the first poll after this; 0 = now */
};

struct reader {
	struct process_info info;
	struct parser *parser;
	struct model *model;
	uint32_t target;
	struct target_mem *mem;
	int exe_fd;
	struct runtime_file file;
	uint32_t file_id;
	uint64_t slide;
	const struct runtime *runtime;
	struct runtime_process *process;
	bool last;          /* this poll is the last one: no record is on its way */
	char not_yet[160];  /* why process_open() said later, the last time */
	uint64_t too_early; /* records that came while nothing could be read */
	bool refused;       /* process_open said never */
	struct symbolizer *symbolizer;
	uint64_t goroutines_due_ns; /* the next look at them; UINT64_MAX = cannot be read */

	struct watch watches[READER_MAX_CONTAINERS];
	size_t watch_end; /* watches in use lie below */
	size_t watch_count;
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
static void watch_add(
	struct reader *reader, enum family family, uint64_t key, uint64_t type, uint64_t held_bytes)
{
	struct watch *watch = watch_find(reader, family, key);

	if (!watch) {
		if (held_bytes < READER_FLOOR_BYTES)
			return;
		watch = watch_free_slot(reader, held_bytes);
		if (!watch)
			return;
		*watch = (struct watch){.family = family, .used = true, .key = key};
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

static int find_slide(struct reader *reader)
{
	uint64_t base;
	int r;

	if (!reader->file.pie)
		return 0;
	r = process_find_exe_base(reader->info.id.pid, &base);
	if (r < 0)
		return r;
	reader->slide = base - reader->file.load_vaddr;
	return 0;
}

static void describe(struct reader *reader)
{
	const struct process_info *info = &reader->info;
	struct model_target_info target = {
		.pid = info->id.pid,
		.start_time = info->id.start_time,
		.comm = info->comm,
		.exe = info->exe,
		.cgroup = info->cgroup,
		.build_id = reader->file.build_id,
		.runtime = reader->file.runtime,
		.version = reader->file.version,
		.limit_bytes = info->limit_bytes,
		.has_limit = info->has_limit,
		.age_ns = info->age_ns,
	};

	reader->target = model_add_target(reader->model, &target);
	for (uint32_t i = 0; i < reader->file.skip_count && i < RUNTIME_MAX_SKIPS; i++)
		model_add_skip(
			reader->model, reader->file.skips[i].what, reader->file.skips[i].reason);
}

int reader_open(const struct process_info *process, struct parser *parser, struct model *model,
	struct reader **ret)
{
	struct reader *reader = xcalloc(1, sizeof(*reader));
	int r;

	reader->info = *process;
	reader->parser = parser;
	reader->model = model;
	reader->exe_fd = process_open_exe(process->id.pid);
	if (reader->exe_fd < 0) {
		r = reader->exe_fd;
		goto out;
	}
	r = target_mem_open(process->id.pid, &reader->mem);
	if (r < 0)
		goto out;
	r = parser_identify(parser, reader->exe_fd, &reader->file_id, &reader->file);
	if (r < 0)
		goto out;
	reader->runtime = find_runtime(reader->file.runtime);
	r = find_slide(reader);
	if (r < 0)
		goto out;
	describe(reader);
	reader->symbolizer =
		symbolizer_new(parser, reader->file_id, reader->slide, model, reader->target);
	*ret = reader;
	return 0;
out:
	reader_close(reader);
	return r;
}

/* What was missed because the program could not be read, or only late. */
static void tell_missed(struct reader *reader)
{
	char reason[160];

	if (!reader->process)
		model_add_skip(reader->model, "reading containers", reader->not_yet);
	if (!reader->too_early)
		return;
	snprintf(reason, sizeof(reason), "%llu growths came before its heap could be read",
		(unsigned long long)reader->too_early);
	if (reader->process)
		model_add_skip(reader->model, "growths at its start", reason);
	else
		model_add_incomplete(reader->model, reason);
}

void reader_close(struct reader *reader)
{
	if (!reader)
		return;
	if (reader->file.reading && !reader->refused && reader->symbolizer)
		tell_missed(reader);
	if (reader->process)
		reader->runtime->process_close(reader->process);
	symbolizer_free(reader->symbolizer);
	target_mem_close(reader->mem);
	if (reader->exe_fd >= 0)
		close(reader->exe_fd);
	table_done(&reader->by_key);
	free(reader);
}

const struct runtime_file *reader_file(const struct reader *reader)
{
	return &reader->file;
}

const struct runtime *reader_runtime(const struct reader *reader)
{
	return reader->runtime;
}

struct runtime_process *reader_process(const struct reader *reader)
{
	return reader->process;
}

struct symbolizer *reader_symbolizer(const struct reader *reader)
{
	return reader->symbolizer;
}

struct target_mem *reader_mem(const struct reader *reader)
{
	return reader->mem;
}

uint32_t reader_target(const struct reader *reader)
{
	return reader->target;
}

uint64_t reader_slide(const struct reader *reader)
{
	return reader->slide;
}

int reader_exe_fd(const struct reader *reader)
{
	return reader->exe_fd;
}

const struct process_info *reader_info(const struct reader *reader)
{
	return &reader->info;
}

int reader_start(struct reader *reader)
{
	char reason[160] = "";
	int r;

	if (reader->process)
		return 0;
	if (!reader->runtime || !reader->file.reading || reader->refused)
		return -ENOTSUP;
	r = reader->runtime->process_open(&reader->file, reader->mem, reader->parser,
		reader->file_id, reader->slide, &reader->process, reason);
	if (r == -EAGAIN)
		text_copy(reader->not_yet, sizeof(reader->not_yet), reason);
	if (r < 0 && r != -EAGAIN) {
		reader->refused = true;
		model_add_skip(reader->model, "reading containers", reason);
	}
	return r;
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
static uint32_t intern_type(struct reader *reader, uint64_t type)
{
	char name[160] = "";

	if (type)
		reader->runtime->type_name(reader->process, type, name, sizeof(name));
	return model_intern(reader->model, name);
}

struct census_run {
	struct reader *reader;
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

static void census_found(const struct runtime_container *found, void *arg)
{
	struct census_run *run = arg;
	struct reader *reader = run->reader;
	struct event event = event_new(reader, EVENT_CREATE, run->now_ns);

	event.create.family = found->family;
	event.create.key = found->key;
	event.create.type = census_type(reader, found);
	event.create.owner = model_intern(reader->model, found->owner);
	event.create.found = true;
	event.create.before_attach = run->before_attach;
	event.create.held_bytes = found->look.held_bytes;
	census_site(reader, found, event.create.type, &event.create.site);
	model_apply(reader->model, &event);
	watch_add(reader, found->family, found->key, found->type, found->look.held_bytes);
	apply_look(reader, &found->look, run->now_ns);
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
	};
	struct runtime_census_stats stats = {0};
	struct model_census census;
	int r;

	if (!reader->process)
		return -ENOTSUP;
	options.found_arg = &run;
	r = reader->runtime->census(reader->process, &options, census_found, &stats);
	if (r < 0)
		return r;
	census = (struct model_census){
		.done = true,
		.complete = stats.complete,
		.objects = stats.objects,
		.bytes = stats.bytes,
		.maps = stats.maps,
		.channels = stats.channels,
		.duration_ns = stats.duration_ns,
	};
	model_set_census(reader->model, reader->target, &census);
	return 0;
}

static uint32_t record_site(
	struct reader *reader, const struct mt_record *record, enum family family, uint32_t type)
{
	uint64_t addrs[MT_STACK_FRAMES];
	size_t count = record->stack_bytes / sizeof(addrs[0]);

	if (!(record->flags & MT_HAS_STACK))
		return 0;
	count = MIN(count, ARRAY_SIZE(addrs));
	memcpy(addrs, record->stack, count * sizeof(addrs[0]));
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

static void grown(
	struct reader *reader, struct event *event, uint64_t type, const struct mt_record *record)
{
	struct event_growth *growth = &event->growth;

	growth->type = intern_type(reader, type);
	growth->site = record_site(reader, record, growth->family, growth->type);
	if (growth->old_key != growth->key)
		watch_remove(reader, watch_find(reader, growth->family, growth->old_key));
	model_apply(reader->model, event);
	if (!(growth->key & EVENT_KEY_ON_STACK)) /* what moves with a stack cannot be looked at */
		watch_add(reader, growth->family, growth->key, type, grown_held(growth));
}

static void created(
	struct reader *reader, struct event *event, uint64_t type, const struct mt_record *record)
{
	struct event_create *create = &event->create;

	create->type = intern_type(reader, type);
	create->site = record_site(reader, record, create->family, create->type);
	model_apply(reader->model, event);
	watch_add(reader, create->family, create->key, type, create->held_bytes);
}

void reader_record(
	struct reader *reader, const struct runtime_probe *probe, const struct mt_record *record)
{
	struct event event = event_new(reader, EVENT_GROWTH, record->time_ns);
	uint64_t type = 0;

	if (reader_start(reader) < 0) {
		reader->too_early++;
		return;
	}
	if (reader->runtime->decode(reader->process, probe, record, &event, &type) < 0)
		return;
	event.target = reader->target;
	event.time_ns = record->time_ns;
	if (event.kind == EVENT_GROWTH)
		grown(reader, &event, type, record);
	else if (event.kind == EVENT_CREATE)
		created(reader, &event, type, record);
}

void reader_fault(struct reader *reader, const struct mt_record *record)
{
	struct event event = event_new(reader, EVENT_FAULTS, record->time_ns);

	event.faults.addr = record->addr;
	event.faults.faults = record->val[0];
	event.faults.site = record_site(reader, record, FAMILY_NONE, 0);
	if (reader->process)
		event.faults.key = reader->runtime->owner_of(reader->process, record->addr);
	model_apply(reader->model, &event);
}

/* ---- polling ---- */

struct look_batch {
	enum family family;
	bool deep;
	size_t count;
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

static void looked(struct reader *reader, const struct event_look *look, uint64_t now_ns, bool deep)
{
	struct watch *watch = watch_find(reader, look->family, look->key);

	if (watch && look->liveness == LIVENESS_DEAD) {
		died(reader, watch, look, now_ns);
		return;
	}
	apply_look(reader, look, now_ns);
	if (!watch)
		return;
	watch->dead_ns = 0;
	if (look->has_length)
		watch->length_peak = MAX(watch->length_peak, look->length);
	if (look->held_bytes)
		watch->held_bytes = look->held_bytes;
	if (deep)
		watch->deep_due_ns = now_ns + READER_DEEP_NS;
}

static void look_flush(struct reader *reader, struct look_batch *batch, uint64_t now_ns)
{
	int r;

	if (!batch->count)
		return;
	memset(batch->looks, 0, batch->count * sizeof(batch->looks[0]));
	r = reader->runtime->look(reader->process, batch->family, batch->keys, batch->types,
		batch->peaks, batch->count, batch->deep, batch->looks);
	for (size_t i = 0; r >= 0 && i < batch->count; i++)
		looked(reader, &batch->looks[i], now_ns, batch->deep);
	batch->count = 0;
}

static void look_at_family(
	struct reader *reader, enum family family, bool deep, bool all_deep, uint64_t now_ns)
{
	struct look_batch *batch = xcalloc(1, sizeof(*batch));

	batch->family = family;
	batch->deep = deep;
	for (size_t i = 0; i < reader->watch_end; i++) {
		const struct watch *watch = &reader->watches[i];

		if (!watch->used || watch->family != family)
			continue;
		if ((all_deep || watch->deep_due_ns <= now_ns) != deep)
			continue;
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

static void look_at_goroutines(struct reader *reader, uint64_t now_ns)
{
	struct waiters_found found = {.now_ns = now_ns};
	struct event_goroutines goroutines = {0};
	uint64_t rest_ns;
	int r = reader->runtime->goroutines(
		reader->process, READER_WAITERS_FLOOR, waiters_found, &found, &goroutines);

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
	return reader->runtime->goroutines && reader->goroutines_due_ns != UINT64_MAX &&
	       (at_once || now_ns >= reader->goroutines_due_ns);
}

void reader_poll(struct reader *reader, uint64_t now_ns, bool all_deep)
{
	struct event event = event_new(reader, EVENT_HEAP, now_ns);

	reader->last = all_deep;
	reader_usage(reader, now_ns, all_deep);
	if (reader_start(reader) < 0)
		return;
	if (reader->runtime->heap(reader->process, &event.heap) == 0)
		model_apply(reader->model, &event);
	for (enum family family = FAMILY_MAP; family < FAMILY_MAX; family++) {
		if (!all_deep)
			look_at_family(reader, family, false, false, now_ns);
		look_at_family(reader, family, true, all_deep, now_ns);
	}
	if (goroutines_due(reader, now_ns, all_deep))
		look_at_goroutines(reader, clock_mono_ns());
}
