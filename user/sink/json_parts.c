/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON of targets, sites, containers, findings, spikes, skips. Keys and meanings: tests/schema.json.
 * Figures that were counted while the probes were open part of the time are scaled, and the
 * open_share beside them says so.
 */
#include "sink/json_parts.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sink/json_value.h"
#include "sink/summary.h"

/* ---- cursor ---- */

void json_cursor_init(struct json_cursor *cursor, const struct report *report)
{
	const struct model *model = report->model;
	size_t count = report->finding_count + report->candidate_count;

	memset(cursor, 0, sizeof(*cursor));
	cursor->report = report;
	merge_init(&cursor->merge, report);
	cursor->site_held = xcalloc(model_site_count(model) + 1, sizeof(*cursor->site_held));
	cursor->container_is_named =
		xcalloc(model_container_count(model) + 1, sizeof(*cursor->container_is_named));
	for (size_t i = 0; i < model_container_count(model); i++) {
		const struct container *container = model_container(model, (uint32_t)i);

		if (!container->dead && container->sites[0].site <= model_site_count(model))
			cursor->site_held[container->sites[0].site] += container->held_bytes;
	}
	for (size_t i = 0; i < count; i++) {
		int64_t id = report->findings[i].container;

		if (id >= 0 && (uint64_t)id < model_container_count(model))
			cursor->container_is_named[id] = true;
	}
}

void json_cursor_done(struct json_cursor *cursor)
{
	free(cursor->site_held);
	free(cursor->container_is_named);
	merge_done(&cursor->merge);
}

void json_cursor_rewind(struct json_cursor *cursor)
{
	cursor->next = 0;
	cursor->inner = 0;
}

static void add_family(struct json_object *object, enum family family)
{
	json_add_name(object, "family", family == FAMILY_NONE ? NULL : family_name(family));
}

void json_add_host(struct json_object *object, const struct model *model, uint32_t host)
{
	if (model_host_count(model) > 1)
		json_add_name(object, "host", model_host_at(model, host)->name);
}

void json_add_target(struct json_object *object, const struct model *model, uint32_t target_id)
{
	const struct target *target = model_target(model, target_id);

	json_add_uint(object, "target", target_id);
	json_add_int(object, "pid", target->pid);
}

static void add_runtime_of(
	struct json_object *object, const struct model *model, uint32_t target_id, uint32_t runtime)
{
	json_add_name(object, "runtime", model_runtime_name(model, target_id, runtime));
}

/* ---- targets ---- */

static const char *const waterfall_keys[WATERFALL_PARTS] = {
	[WATERFALL_KEPT] = "kept_by_findings",
	[WATERFALL_ENTRIES] = "entries_in_use",
	[WATERFALL_OTHER_LIVE] = "other_live_heap",
	[WATERFALL_GARBAGE] = "garbage",
	[WATERFALL_FREE_HEAP] = "free_heap",
	[WATERFALL_STACKS] = "stacks",
	[WATERFALL_RUNTIME] = "runtime",
	[WATERFALL_NATIVE] = "native_heap",
	[WATERFALL_ALLOCATOR] = "allocator_retained",
	[WATERFALL_ANON] = "other_anonymous",
	[WATERFALL_FILES] = "files",
	[WATERFALL_SHARED] = "shared",
};

static struct json_object *waterfall_of(const struct report *report, const struct target *target)
{
	struct waterfall waterfall;
	struct json_object *object;

	if (!summary_waterfall(report, target, &waterfall))
		return NULL;
	object = json_object_new_object();
	for (size_t i = 0; i < WATERFALL_PARTS; i++)
		json_add_uint(object, waterfall_keys[i], waterfall.bytes[i]);
	json_add_int(object, "unexplained", waterfall.unexplained_bytes);
	return object;
}

static struct json_object *gc_of(const struct model *model, const struct target *target)
{
	struct json_object *object;

	if (!target->has_heap)
		return NULL;
	object = json_object_new_object();
	json_add_uint(object, "cycles", target->heap.gc_cycles);
	json_add_uint(object, "cycles_since_attach",
		target->heap.gc_cycles - target->heap_first.gc_cycles);
	json_add_uint(object, "pause_total_ns", target->heap.pause_total_ns);
	json_add_uint(object, "live_bytes", target->heap.live_bytes);
	json_add_uint(object, "goal_bytes", target->heap.goal_bytes);
	json_add_gc(object, model, target);
	return object;
}

static struct json_object *heap_of(const struct target *target)
{
	const struct event_heap *heap = &target->heap;
	struct json_object *object;

	if (!target->has_heap)
		return NULL;
	object = json_object_new_object();
	json_add_uint(object, "allocated_bytes", heap->allocated_bytes);
	json_add_uint(object, "in_use_bytes", heap->in_use_bytes);
	json_add_uint(object, "idle_bytes", heap->free_bytes + heap->released_bytes);
	json_add_uint(object, "released_bytes", heap->released_bytes);
	json_add_uint(object, "stack_bytes", heap->stack_bytes);
	json_add_known(object, "runtime_bytes", heap->runtime_bytes, heap->runtime_bytes);
	return object;
}

static struct json_object *exit_of(const struct target *target)
{
	struct json_object *object = json_object_new_object();
	int status = target->exit.status;
	bool known = target->exit.has_status;

	json_add_known(object, "status", known && WIFEXITED(status), (uint64_t)WEXITSTATUS(status));
	json_add_known(object, "signal", known && WIFSIGNALED(status), (uint64_t)WTERMSIG(status));
	json_add_bool(object, "oom", target->exit.oom);
	return object;
}

static struct json_object *census_of(const struct model *model, const struct target *target)
{
	const struct model_census *census = model_census(model, target->id);
	struct json_object *object;

	if (!census || !census->done)
		return NULL;
	object = json_object_new_object();
	json_add_bool(object, "complete", census->complete);
	json_add_uint(object, "objects", census->objects);
	json_add_uint(object, "heap_objects", census->heap_objects);
	json_add_uint(object, "unread", census->unread);
	json_add_uint(object, "bytes", census->bytes);
	json_add_uint(object, "maps", census->maps);
	json_add_uint(object, "channels", census->channels);
	json_add_uint(object, "duration_ns", census->duration_ns);
	json_add_uint(object, "longest_slice_ns", census->longest_slice_ns);
	return object;
}

/* Absent where no stack was unwound: programs that keep frame pointers need none. */
static struct json_object *unwound_of(const struct model *model, const struct target *target)
{
	const struct model_unwound *unwound = model_unwound(model, target->id);
	struct json_object *object;

	if (!unwound || !(unwound->complete + unwound->truncated + unwound->lost))
		return NULL;
	object = json_object_new_object();
	json_add_uint(object, "complete", unwound->complete);
	json_add_uint(object, "truncated", unwound->truncated);
	json_add_uint(object, "lost", unwound->lost);
	return object;
}

static struct json_object *goroutines_of(const struct target *target)
{
	struct json_object *object = json_object_new_object();

	json_add_uint(object, "total", model_goroutine_count(target));
	for (int wait = WAIT_NONE; wait < WAIT_MAX; wait++)
		json_add_uint(object, wait_name(wait), target->goroutines.counts[wait]);
	json_add_uint(object, "stack_bytes", target->goroutines.stack_bytes);
	json_add_bool(object, "complete", target->goroutines.complete);
	return object;
}

static struct json_object *allocators_of(const struct model *model, const struct target *target)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < target->allocator_count; i++) {
		const struct event_allocator *now = &target->allocators[i].now;
		struct json_object *object = json_object_new_object();
		const struct {
			const char *key;
			uint64_t value;
		} figures[] = {
			{"arenas", now->arenas},
			{"system_bytes", now->system_bytes},
			{"mapped_bytes", now->mapped_bytes},
			{"free_bytes", now->free_bytes},
			{"cached_bytes", now->cached_bytes},
			{"free_page_bytes", now->page_bytes},
			{"retained_bytes", now->retained_bytes},
			{"retained_page_bytes", now->retained_page_bytes},
			{"trim_bytes", now->trim_bytes},
		};

		json_add_name(object, "name", model_string(model, now->name));
		json_add_name(object, "version", model_string(model, now->version));
		json_add_name(object, "unknown", model_string(model, now->reason));
		json_add_bool(object, "estimated", now->estimated);
		for (size_t j = 0; j < ARRAY_SIZE(figures); j++)
			json_add_known(object, figures[j].key, !now->reason, figures[j].value);
		json_add_uint(object, "lazy_bytes", now->lazy_bytes);
		json_object_array_add(array, object);
	}
	return array;
}

static struct json_object *runtimes_of(const struct target *target)
{
	struct json_object *array = json_object_new_array(), *runtime;

	for (size_t i = 0; i < target->runtime_count; i++) {
		runtime = json_object_new_object();
		json_add_name(runtime, "name", target->runtimes[i].name);
		json_add_name(runtime, "version", target->runtimes[i].version);
		json_object_array_add(array, runtime);
	}
	return array;
}

static struct json_object *seen_of(const struct target *target)
{
	struct json_object *object = json_object_new_object();

	/* Arrays of realloc are of programs that have no runtime of their own: absent in others. */
	for (enum family family = FAMILY_MAP; family < FAMILY_MAX; family++)
		if (family_is_container(family) &&
			(family != FAMILY_ARRAY || target->containers_seen[family]))
			json_add_uint(object, family_name(family), target->containers_seen[family]);
	json_add_uint(object, "dropped", target->containers_dropped);
	return object;
}

static struct json_object *recent_of(const struct model *model, const struct target *target)
{
	static const char *const kinds[RECENT_KINDS] = {
		[RECENT_GROWTH] = "growth", [RECENT_GC] = "gc", [RECENT_RETURNED] = "returned"};
	struct json_object *array = json_object_new_array();
	const struct recent *recent;

	for (size_t i = 0; (recent = model_recent(target, i)); i++) {
		struct json_object *object = json_object_new_object();

		json_add_name(object, "kind", kinds[recent->kind]);
		json_add_uint(object, "time_ns", recent->time_ns);
		json_add_uint(object, "count", recent->count);
		json_add_uint(object, "bytes", recent->bytes);
		json_add_known(object, "site", recent->site, recent->site);
		add_family(object, recent->family);
		json_add_name(object, "type", model_string(model, recent->type));
		json_add_known(object, "capacity", recent->capacity, recent->capacity);
		json_object_array_add(array, object);
	}
	return array;
}

/* Absent where no system call was traced. */
static struct json_object *memory_calls_of(const struct target *target)
{
	struct json_object *object = NULL;

	for (int call = 0; call < MEMORY_CALLS; call++) {
		const struct memory_total *total = &target->memory[call];
		struct json_object *one;

		if (!total->calls)
			continue;
		object = object ? object : json_object_new_object();
		one = json_object_new_object();
		json_add_uint(one, "calls", total->calls);
		json_add_uint(one, "mapped_bytes", total->mapped_bytes);
		json_add_uint(one, "unmapped_bytes", total->unmapped_bytes);
		json_add_uint(one, "returned_bytes", total->lost_bytes);
		json_add(object, memory_call_name((enum memory_call)call), one);
	}
	return object;
}

struct json_object *json_next_target(struct json_cursor *cursor)
{
	const struct model *model = cursor->report->model;
	const struct target *target;
	struct json_object *object;
	struct json_object *unwound, *calls;

	if (cursor->next >= model_target_count(model))
		return NULL;
	target = model_target(model, (uint32_t)cursor->next++);
	object = json_object_new_object();
	json_add_uint(object, "id", target->id);
	json_add_int(object, "pid", target->pid);
	json_add_host(object, model, target->host);
	json_add_uint(object, "start_time", target->start_time);
	json_add_name(object, "comm", target->comm);
	json_add_name(object, "exe", target->exe);
	json_add_name(object, "build_id", target->build_id);
	json_add(object, "runtimes", runtimes_of(target));
	json_add_name(object, "cgroup", target->cgroup);
	json_add_known(object, "rss_bytes", target->rss_bytes, target->rss_bytes);
	json_add_known(object, "rss_peak_bytes", target->peak_bytes, target->peak_bytes);
	json_add_known(object, "limit_bytes", target->has_limit, target->limit_bytes);
	if (target->exited)
		json_add(object, "exit", exit_of(target));
	json_add_uint(object, "execs", target->execs);
	json_add_uint(object, "growths", target->growths);
	json_add_uint(object, "faults", model_scale_faults(model, target->id, target->faults));
	json_add_double(
		object, "faults_open_share", model_open_share(model, target->id, FAMILY_NONE));
	calls = memory_calls_of(target);
	if (calls)
		json_add(object, "memory_calls", calls);
	if (target->recent_count)
		json_add(object, "recent", recent_of(model, target));
	json_add(object, "containers_seen", seen_of(target));
	json_add(object, "waterfall", waterfall_of(cursor->report, target));
	json_add(object, "gc", gc_of(model, target));
	json_add(object, "heap", heap_of(target));
	json_add(object, "census", census_of(model, target));
	unwound = unwound_of(model, target);
	if (unwound)
		json_add(object, "unwound", unwound);
	if (target->goroutines_ns)
		json_add(object, "goroutines", goroutines_of(target));
	if (target->allocator_count)
		json_add(object, "allocators", allocators_of(model, target));
	if (target->array_count)
		json_add(object, "large_arrays", json_large_arrays(model, target));
	if (target->profile_ns)
		json_add(object, "allocation_profile", json_profile(model, target));
	return object;
}

/* ---- sites ---- */

struct json_object *json_stack(const struct model_frame *frames, uint32_t count)
{
	struct json_object *stack = json_object_new_array();

	for (uint32_t i = 0; i < count; i++) {
		const struct model_frame *frame = &frames[i];
		struct json_object *object = json_object_new_object();

		json_add_name(object, "function", frame->function);
		json_add_name(object, "file", frame->file);
		json_add_known(object, "line", frame->line, frame->line);
		json_add_bool(object, "internal", frame->internal);
		json_add_bool(object, "inlined", frame->inlined);
		if (frame->module && *frame->module)
			json_add_name(object, "module", frame->module);
		json_object_array_add(stack, object);
	}
	return stack;
}

static void add_scaled(struct json_object *object, const char *key, const struct model *model,
	const struct site *site, uint64_t counted)
{
	json_add_uint(object, key, model_scale(model, site->target, site->family, counted));
}

static void add_place(struct json_object *object, const struct site *site)
{
	json_add_name(object, "function", site ? site->function : NULL);
	json_add_name(object, "file", site ? site->file : NULL);
	json_add_known(object, "line", site && site->line, site ? site->line : 0);
}

struct json_object *json_next_site(struct json_cursor *cursor)
{
	const struct model *model = cursor->report->model;
	const struct site *site;
	struct json_object *object;

	if (cursor->next >= model_site_count(model))
		return NULL;
	site = model_site(model, (uint32_t)++cursor->next);
	object = json_object_new_object();
	json_add_uint(object, "id", site->id);
	json_add_target(object, model, site->target);
	add_runtime_of(object, model, site->target, site->runtime);
	add_family(object, site->family);
	json_add_name(object, "type", model_string(model, site->type));
	add_place(object, site);
	if (site->other)
		json_add_bool(object, "other", true);
	json_add(object, "stack", json_stack(site->frames, site->frame_count));
	add_scaled(object, "growths", model, site, site->growths);
	add_scaled(object, "same_size", model, site, site->same_size);
	json_add_uint(object, "containers", site->containers);
	add_scaled(object, "allocated_bytes", model, site, site->allocated_bytes);
	add_scaled(object, "garbage_bytes", model, site, site->garbage_bytes);
	json_add_null(object, "uncollected_bytes"); /* needs a walk of the spans: not known yet */
	json_add_uint(object, "held_bytes", cursor->site_held[site->id]);
	json_add_uint(object, "faults", model_scale_faults(model, site->target, site->fault_count));
	json_add_uint(
		object, "fault_bytes", model_scale_faults(model, site->target, site->fault_bytes));
	json_add_double(object, "open_share", model_open_share(model, site->target, site->family));
	return object;
}

/* ---- containers ---- */

static void add_sizes(struct json_object *object, const struct container *container)
{
	const struct event_look *look = &container->look;
	bool looked = container->looked, counted = looked && look->has_length;
	uint64_t capacity = looked ? look->capacity : container->capacity_at_growth;
	uint64_t retained =
		look->held_bytes > look->need_bytes ? look->held_bytes - look->need_bytes : 0;

	json_add_known(object, "length", counted, look->length);
	if (family_moves(container->family) || container->has_length_at_growth)
		json_add_known(object, "length_at_growth", container->has_length_at_growth,
			container->length_at_growth);
	json_add_known(
		object, "length_peak", counted || container->length_peak, container->length_peak);
	json_add_known(object, "capacity", looked || capacity, capacity);
	json_add_known(
		object, "held_bytes", looked || container->held_bytes, container->held_bytes);
	json_add_known(object, "retained_bytes", counted, retained);
	json_add_known(
		object, "resident_bytes", looked && look->has_resident, look->resident_bytes);
	json_add_known(object, "scannable_bytes", looked, look->scannable_bytes);
	if (container->family == FAMILY_MAP || container->family == FAMILY_SYNC_MAP)
		json_add_known(object, "tombstones", looked, look->tombstones);
	if (container->family == FAMILY_SYNC_MAP) {
		json_add_known(object, "misses", look->has_misses, look->misses);
		json_add_known(object, "misses_needed", look->has_misses, look->misses_needed);
	}
}

static struct json_object *container_object(
	const struct model *model, const struct container *container)
{
	struct json_object *object = json_object_new_object();
	uint32_t site = container->sites[0].site;

	json_add_uint(object, "id", container->id);
	json_add_target(object, model, container->target);
	json_add_known(object, "site", site, site);
	json_add_address(object, "address", container->key);
	add_runtime_of(object, model, container->target, container->runtime);
	add_family(object, container->family);
	json_add_name(object, "type", model_string(model, container->type));
	json_add_name(object, "owner", model_string(model, container->owner));
	add_sizes(object, container);
	json_add_uint(object, "growths", container->growths);
	json_add_bool(object, "before_attach", container->before_attach);
	if (container->accessed)
		json_add_bool(object, "accessed", true);
	json_add_text(object, "alive", summary_alive(container));
	return object;
}

struct json_object *json_next_container(struct json_cursor *cursor)
{
	const struct model *model = cursor->report->model;

	while (cursor->next < model_container_count(model)) {
		const struct container *container = model_container(model, (uint32_t)cursor->next);

		if (!container->dead || cursor->container_is_named[cursor->next]) {
			cursor->next++;
			return container_object(model, container);
		}
		cursor->next++;
	}
	return NULL;
}

/* ---- findings ---- */

static struct json_object *evidence_of(const struct finding *finding)
{
	struct json_object *evidence = json_object_new_object();

	for (size_t i = 0; i < finding->evidence_count; i++) {
		const struct evidence *item = &finding->evidence[i];

		if (item->known)
			json_add_double(evidence, item->key, item->value);
		else
			json_add_null(evidence, item->key);
	}
	return evidence;
}

static void add_what(
	struct json_object *object, const struct model *model, const struct finding *finding)
{
	const struct container *container =
		finding->container < 0 ? NULL
				       : model_container(model, (uint32_t)finding->container);
	const struct site *site = model_site(model, finding->site);

	add_runtime_of(object, model, finding->target,
		container ? container->runtime
		: site    ? site->runtime
			  : 0);
	add_family(object, container ? container->family : site ? site->family : FAMILY_NONE);
	json_add_name(object, "type",
		model_string(model, container ? container->type
				    : site    ? site->type
					      : 0));
	if (container)
		json_add_name(object, "owner", model_string(model, container->owner));
	if (container && container->accessed)
		json_add_bool(object, "accessed", true);
	if (finding->allocator)
		json_add_name(object, "allocator", model_string(model, finding->allocator));
	add_place(object, site);
	json_add_known(object, "site", finding->site, finding->site);
	if (container)
		json_add_uint(object, "container", container->id);
}

/* What each process adds to a finding that several share, the dearest first. */
static struct json_object *processes_of(const struct merge *merge, size_t first)
{
	struct json_object *processes = json_object_new_array();
	const struct model *model = merge->report->model;

	for (size_t i = first; i != SIZE_MAX; i = merge_next(merge, i)) {
		struct json_object *process = json_object_new_object();
		const struct finding *finding = &merge->report->findings[i];

		json_add_target(process, model, finding->target);
		json_add_host(process, model, model_target(model, finding->target)->host);
		json_add_text(process, "severity", severity_name(finding->severity));
		if (finding->container >= 0)
			json_add_uint(process, "container", (uint64_t)finding->container);
		json_add_uint(process, "bytes", finding->bytes);
		json_add_uint(process, "saves_bytes", finding->saves_bytes);
		json_add_uint(process, "saves_rss_bytes", finding->saves_rss_bytes);
		json_object_array_add(processes, process);
	}
	return processes;
}

/* Of findings that processes of several hosts share. */
static struct json_object *hosts_of(const struct merge *merge, size_t first)
{
	const struct model *model = merge->report->model;
	struct json_object *hosts = json_object_new_array();

	for (uint32_t i = 0; i < model_host_count(model); i++) {
		struct merge_sum sum = merge_sum_of_host(merge, first, i);
		struct json_object *host;

		if (!sum.processes)
			continue;
		host = json_object_new_object();
		json_add_name(host, "host", model_host_at(model, i)->name);
		json_add_uint(host, "processes", sum.processes);
		json_add_uint(host, "bytes", sum.bytes);
		json_add_uint(host, "saves_bytes", sum.saves_bytes);
		json_add_uint(host, "saves_rss_bytes", sum.saves_rss_bytes);
		json_object_array_add(hosts, host);
	}
	return hosts;
}

static void add_pids(struct json_object *object, const struct merge *merge, size_t first)
{
	const struct report *report = merge->report;
	struct json_object *pids = json_object_new_array();

	for (size_t i = first; i != SIZE_MAX; i = merge_next(merge, i)) {
		uint32_t target = report->findings[i].target;

		json_object_array_add(
			pids, json_object_new_int(model_target(report->model, target)->pid));
	}
	json_add(object, "pids", pids);
}

/* Of candidates, which are behind the findings, each is alone. */
static struct json_object *finding_object(const struct merge *merge, size_t index)
{
	const struct model *model = merge->report->model;
	const struct finding *finding = &merge->report->findings[index];
	const struct target *target = model_target(model, finding->target);
	struct json_object *object = json_object_new_object();
	struct merge_sum sum = merge_sum(merge, index);

	json_add_hash(object, "id", finding->id);
	json_add_text(object, "kind", finding->kind);
	json_add_text(object, "class", class_name(finding->class));
	json_add_text(object, "severity", severity_name(finding->severity));
	json_add_text(object, "confidence", confidence_name(finding->confidence));
	json_add_target(object, model, finding->target);
	add_pids(object, merge, index);
	json_add_name(object, "comm", target->comm);
	add_what(object, model, finding);
	json_add_uint(object, "bytes", sum.bytes);
	json_add_uint(object, "saves_bytes", sum.saves_bytes);
	json_add_uint(object, "saves_rss_bytes", sum.saves_rss_bytes);
	if (finding->class == CLASS_CHURN || finding->class == CLASS_GROWING)
		json_add_uint(object, "bytes_per_second", sum.bytes_per_second);
	if (sum.processes > 1)
		json_add(object, "processes", processes_of(merge, index));
	if (sum.processes > 1 && model_host_count(model) > 1)
		json_add(object, "hosts", hosts_of(merge, index));
	if (finding->limit_ns)
		json_add_uint(object, "limit_ns", finding->limit_ns);
	json_add(object, "evidence", evidence_of(finding));
	json_add_text(object, "message", finding->message);
	json_add_text(object, "since", finding->since);
	if (finding->caveat[0])
		json_add_text(object, "caveat", finding->caveat);
	json_add_text(object, "in_code", finding->in_code);
	json_add_text(object, "right_now", finding->right_now);
	return object;
}

struct json_object *json_next_finding(struct json_cursor *cursor)
{
	while (cursor->next < cursor->report->finding_count &&
		!merge_is_first(&cursor->merge, cursor->next))
		cursor->next++;
	if (cursor->next >= cursor->report->finding_count)
		return NULL;
	return finding_object(&cursor->merge, cursor->next++);
}

struct json_object *json_next_candidate(struct json_cursor *cursor)
{
	const struct report *report = cursor->report;

	if (cursor->next >= report->candidate_count)
		return NULL;
	return finding_object(&cursor->merge, report->finding_count + cursor->next++);
}

/* ---- spikes, skips ---- */

static struct json_object *causes_of(const struct model *model, const struct spike *spike)
{
	struct json_object *causes = json_object_new_array();
	char what[256];

	for (uint32_t i = 0; i < spike->cause_count; i++) {
		const struct cause *cause = &spike->causes[i];
		struct json_object *object = json_object_new_object();

		model_describe_cause(model, cause, what, sizeof(what));
		json_add_name(object, "what", what);
		json_add_uint(object, "bytes", cause->bytes);
		json_add_known(object, "site", cause->site, cause->site);
		add_family(object, cause->family);
		json_add_name(object, "mapping", mapping_name(cause->mapping));
		json_add_name(object, "file", model_string(model, cause->name));
		json_add_known(object, "mapped_site", cause->mapped_site, cause->mapped_site);
		json_object_array_add(causes, object);
	}
	return causes;
}

static struct json_object *spike_object(
	const struct model *model, const struct target *target, const struct spike *spike)
{
	struct json_object *object = json_object_new_object();

	json_add_target(object, model, target->id);
	json_add_uint(object, "start_ns", spike->start_ns);
	json_add_uint(object, "end_ns", spike->end_ns);
	json_add_int(object, "delta_bytes", (int64_t)(spike->after_bytes - spike->before_bytes));
	json_add_uint(object, "explained_bytes", spike->explained_bytes);
	json_add_uint(object, "returned_bytes", spike->lost_bytes);
	json_add_uint(object, "sampled_bytes", spike->sampled_bytes);
	json_add_bool(object, "estimated", spike->estimated);
	json_add_uint(object, "avoidable_bytes", spike->avoidable_bytes);
	json_add_bool(object, "start_up", spike->start_up);
	json_add(object, "causes", causes_of(model, spike));
	return object;
}

struct json_object *json_next_spike(struct json_cursor *cursor)
{
	const struct model *model = cursor->report->model;

	for (; cursor->next < model_target_count(model); cursor->next++, cursor->inner = 0) {
		const struct target *target = model_target(model, (uint32_t)cursor->next);

		if (cursor->inner < target->spike_count)
			return spike_object(model, target, &target->spikes[cursor->inner++]);
	}
	return NULL;
}

struct json_object *json_next_skip(struct json_cursor *cursor)
{
	const struct model *model = cursor->report->model;
	const struct model_skip *skip;
	struct json_object *object;

	if (cursor->next >= model_skip_count(model))
		return NULL;
	skip = model_skip(model, cursor->next++);
	object = json_object_new_object();
	json_add_text(object, "what", skip->what);
	json_add_text(object, "reason", skip->reason);
	return object;
}
