/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Of jemalloc, tcmalloc and mimalloc it is known that they are there, whoever has linked them; what they
 * keep free is in lists that are theirs. glibc's malloc lies in libc.so.6, or in an executable that was linked
 * with all of it and has its texts. Its data is searched again where nothing was found: the program may not
 * have called malloc yet, or have no loader's work done.
 */
#include "trace/allocators.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/allocator/glibc_heap.h"
#include "target/mappings.h"
#include "target/process.h"

#define GLIBC        "glibc"
#define MAX_OTHERS   3
#define LAZY_RSS_MAX (4ull << 30) /* reading it takes 10 ms a GiB, with a lock held */
#define MAX_RANGES   16
#define LOOK_NS      (100 * NSEC_PER_MSEC) /* of the thread that also takes the records */
#define LAST_LOOK_NS (500 * NSEC_PER_MSEC)

struct allocators {
	int pid;
	struct target_mem *mem;
	struct modules *modules;
	size_t modules_asked;
	struct model *model;
	uint32_t target;
	uint32_t version; /* of glibc, interned; 0 = unknown */
	bool has_glibc;   /* a file of the process says that it is in it */
	struct event_allocator others[MAX_OTHERS];
	size_t other_count;
	struct glibc_heap *glibc; /* NULL = not found (yet) */
	uint64_t due_ns;
};

struct allocators *allocators_new(int pid, struct target_mem *mem, struct modules *modules,
	struct model *model, uint32_t target)
{
	struct allocators *allocators = xcalloc(1, sizeof(*allocators));

	allocators->pid = pid;
	allocators->mem = mem;
	allocators->modules = modules;
	allocators->model = model;
	allocators->target = target;
	return allocators;
}

void allocators_free(struct allocators *allocators)
{
	if (!allocators)
		return;
	glibc_heap_close(allocators->glibc);
	free(allocators);
}

static bool starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* "libc.so.6"; before glibc 2.34 a link to "libc-2.31.so". */
static bool is_libc(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	return starts_with(name, "libc.so.6") || starts_with(name, "libc-2.");
}

/* ---- whose they are ---- */

static const struct other {
	const char *name, *ask;
} others[] = {
	{"jemalloc", "malloc_stats_print(), or MALLOC_CONF=stats_print:true"},
	{"tcmalloc", "MallocExtension::GetStats(), or MALLOCSTATS=1"},
	{"mimalloc", "mi_stats_print(), or MIMALLOC_SHOW_STATS=1"},
};

static void skip_other(struct allocators *allocators, const struct module *module)
{
	const struct runtime_allocator *found = &module->allocator;
	char what[128], reason[192];
	size_t i = 0;

	while (i < ARRAY_SIZE(others) - 1 && strcmp(others[i].name, found->name))
		i++;
	snprintf(what, sizeof(what), "free memory of %s%s%s in %.60s", found->name,
		*found->version ? " " : "", found->version, module_name(module));
	snprintf(reason, sizeof(reason), "its lists are not read%s%s%s: ask it by %s",
		*found->prefix ? " (its functions begin with " : "", found->prefix,
		*found->prefix ? ")" : "", others[i].ask);
	model_add_skip(allocators->model, what, reason);
}

static void take(struct allocators *allocators, const struct module *module)
{
	const struct runtime_allocator *found = &module->allocator;
	uint32_t name = model_intern(allocators->model, found->name);
	uint32_t version = model_intern(allocators->model, found->version);

	if (!strcmp(found->name, GLIBC)) {
		allocators->version = version;
		allocators->has_glibc = true;
		return;
	}
	for (size_t i = 0; i < allocators->other_count; i++)
		if (allocators->others[i].name == name)
			return;
	if (!*found->name || allocators->other_count == MAX_OTHERS)
		return;
	allocators->others[allocators->other_count++] = (struct event_allocator){
		.name = name,
		.version = version,
		.reason = model_intern(allocators->model, "its lists are not read"),
	};
	skip_other(allocators, module);
}

/* The executable, libc, and libraries that are called after what they do. */
static void ask_modules(struct allocators *allocators)
{
	for (; allocators->modules_asked < modules_count(allocators->modules);
		allocators->modules_asked++) {
		size_t i = allocators->modules_asked;
		const struct module *module = modules_get(allocators->modules, i);

		if ((!i || is_libc(module->path) || strstr(module_name(module), "malloc")) &&
			!modules_load(allocators->modules, i))
			take(allocators, module);
	}
}

/* What of theirs the kernel knows to be free. */
static void tell_others(struct allocators *allocators, uint64_t now_ns, bool last)
{
	struct event event = {
		.kind = EVENT_ALLOCATOR, .target = allocators->target, .time_ns = now_ns};
	struct process_usage usage = {0};

	for (size_t i = 0; i < allocators->other_count; i++) {
		event.allocator = allocators->others[i];
		if (last && !i && !process_read_usage(allocators->pid, &usage) &&
			usage.rss_bytes <= LAZY_RSS_MAX)
			process_read_lazy(allocators->pid, &event.allocator.lazy_bytes);
		model_apply(allocators->model, &event);
	}
}

/* ---- glibc ---- */

/* Writable data of a file: its own pages, and the zeroed ones behind them, which have no name. */
static size_t find_data(const struct mappings *mappings, bool (*wanted)(const char *path),
	const char *exe, struct target_range *ret)
{
	const char *name = "";
	size_t count = 0;

	for (size_t i = 0; i < mappings_count(mappings) && count < MAX_RANGES; i++) {
		const struct mapped_range *range = mappings_at(mappings, i);

		if (range->as != MAPPED_FILE)
			continue;
		if (*range->name)
			name = range->name;
		if (range->writable && range->private &&
			(wanted ? wanted(name) : !strcmp(name, exe)))
			ret[count++] =
				(struct target_range){range->start, range->end - range->start};
	}
	return count;
}

static void search(struct allocators *allocators)
{
	struct mappings *mappings = mappings_new();
	struct target_range data[MAX_RANGES];
	size_t count;

	if (mappings_read(mappings, allocators->pid) == 0) {
		count = find_data(mappings, is_libc, NULL, data);
		if (!count)
			count = find_data(
				mappings, NULL, modules_get(allocators->modules, 0)->path, data);
		if (glibc_heap_open(allocators->mem, data, count, &allocators->glibc))
			allocators->glibc = NULL;
	}
	mappings_free(mappings);
}

void allocators_poll(struct allocators *allocators, uint64_t now_ns, bool last)
{
	struct event event = {
		.kind = EVENT_ALLOCATOR, .target = allocators->target, .time_ns = now_ns};
	uint64_t begin_ns = clock_mono_ns(), rest_ns;
	int r = -ENOENT;

	if (!last && now_ns < allocators->due_ns)
		return;
	ask_modules(allocators);
	tell_others(allocators, now_ns, last);
	if (!allocators->glibc && allocators->has_glibc)
		search(allocators);
	if (allocators->glibc)
		r = glibc_heap_read(allocators->glibc, begin_ns + (last ? LAST_LOOK_NS : LOOK_NS),
			&event.allocator);
	rest_ns = (clock_mono_ns() - begin_ns) * ALLOCATORS_REST;
	allocators->due_ns = now_ns + MAX(ALLOCATORS_NS, MIN(rest_ns, ALLOCATORS_SLOW_NS));
	if (r)
		return;
	event.allocator.name = model_intern(allocators->model, GLIBC);
	event.allocator.version = allocators->version;
	model_apply(allocators->model, &event);
}
