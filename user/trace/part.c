/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/part.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "runtime/list.h"

#define RECORD_WAIT_NS NSEC_PER_MSEC

#define STAY_MAX_MODULES 12 /* asking more would keep a program waiting */

struct parts {
	struct parser *parser;
	struct modules *modules;
	struct target_mem *mem;
	struct model *model;
	uint32_t target;
	bool optional;        /* those that are optional, too */
	size_t modules_asked; /* so many of them were asked for parts */
	uint64_t open_ns, refresh_due_ns;
	struct part parts[PART_MAX];
	size_t count;
};

static const struct runtime *find_runtime(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(runtimes); i++)
		if (!strcmp(runtimes[i]->name, name))
			return runtimes[i];
	return NULL;
}

static bool sees_more(const struct runtime *runtime)
{
	return !runtime->sees_malloc;
}

static bool makes_known(const struct runtime *runtime)
{
	return !runtime->sees_malloc && !runtime->launches;
}

bool parts_make_known(const struct runtime_file *file)
{
	const struct runtime *runtime = find_runtime(file->runtime);

	return runtime && makes_known(runtime);
}

/* By a runtime of which that holds; NULL = by any, also by an optional one where these are wanted. */
static bool is_wanted(
	const struct module *module, bool (*holds)(const struct runtime *runtime), bool optional)
{
	for (size_t i = 0; i < ARRAY_SIZE(runtimes); i++)
		if (runtimes[i]->wants && (!holds || holds(runtimes[i])) &&
			(optional || !runtimes[i]->optional) &&
			runtimes[i]->wants(module_name(module)))
			return true;
	return false;
}

static void tell_skips(struct parts *parts, const struct runtime_file *file)
{
	for (uint32_t i = 0; i < file->skip_count && i < RUNTIME_MAX_SKIPS; i++)
		model_add_skip(parts->model, file->skips[i].what, file->skips[i].reason);
}

static bool is_covered(const struct parts *parts, const struct runtime *runtime)
{
	for (size_t i = 0; runtime->sees_malloc && i < parts->count; i++)
		if (parts->parts[i].runtime->covers_malloc)
			return true;
	return false;
}

/* What a program's own profile says, samples of malloc would be added to. */
static void prefer_profile(struct parts *parts)
{
	parts->optional = false;
	model_add_skip(parts->model, "malloc",
		"not sampled: the allocations of a Go program are told without it, those of C "
		"code in it are not");
}

/* One part for each runtime of a module. The model must know the target. */
static void add_parts(struct parts *parts, const struct module *module)
{
	struct runtime_file *file = xcalloc(1, sizeof(*file));

	for (size_t i = 0; parser_runtime(parts->parser, module->file_id, i, file) == 0; i++) {
		const struct runtime *runtime = find_runtime(file->runtime);
		struct part *part = &parts->parts[parts->count];

		if (runtime &&
			(is_covered(parts, runtime) || (runtime->optional && !parts->optional)))
			continue;
		if (runtime && runtime->profile && parts->optional)
			prefer_profile(parts);
		tell_skips(parts, file);
		if (!runtime)
			continue;
		if (parts->count == PART_MAX) {
			model_add_skip(parts->model, module_name(module),
				"more libraries than are followed in one process");
			break;
		}
		*part = (struct part){.runtime = runtime, .module = module};
		part->number = (uint8_t)parts->count;
		part->name = model_intern(parts->model, runtime->name);
		part->file = xcalloc(1, sizeof(*file));
		*part->file = *file;
		parts->count++;
		if (!runtime->optional)
			model_add_runtime(
				parts->model, parts->target, file->runtime, file->version);
	}
	free(file);
}

static void take_module(struct parts *parts, size_t i, bool late)
{
	const struct module *module = modules_get(parts->modules, i);

	if (late)
		model_add_skip(parts->model, module_name(module),
			"was mapped while the program ran: growth before it was noticed "
			"is not counted");
	if (modules_load(parts->modules, i) == 0)
		add_parts(parts, module);
	else
		model_add_skip(parts->model, module_name(module),
			"this library cannot be opened or parsed");
}

/* Asks the modules that have come since for parts: those that only see malloc come last. */
static void take_modules(struct parts *parts)
{
	size_t first = parts->modules_asked, end = modules_count(parts->modules);

	for (int malloc = 0; malloc < 2; malloc++)
		for (size_t i = first; i < end; i++) {
			const struct module *module = modules_get(parts->modules, i);
			bool wanted = !i || is_wanted(module, sees_more, false);

			if (malloc ? !wanted && is_wanted(module, NULL, parts->optional) : wanted)
				take_module(parts, i, first > 0);
		}
	parts->modules_asked = end;
}

static bool has_optional(const struct parts *parts)
{
	for (size_t i = 0; i < parts->count; i++)
		if (parts->parts[i].runtime->optional)
			return true;
	return false;
}

struct parts *parts_new(struct parser *parser, struct modules *modules, struct target_mem *mem,
	struct model *model, uint32_t target, bool optional)
{
	struct parts *parts = xcalloc(1, sizeof(*parts));

	*parts = (struct parts){.parser = parser,
		.modules = modules,
		.mem = mem,
		.model = model,
		.target = target,
		.optional = optional,
		.open_ns = clock_mono_ns()};
	take_modules(parts);
	if (parts->optional && !has_optional(parts))
		model_add_skip(model, "malloc",
			"not sampled: no allocator is known in the program and its libraries");
	return parts;
}

bool parts_refresh(struct parts *parts, uint64_t now_ns)
{
	size_t before = parts->count;
	uint64_t age_ns = now_ns - parts->open_ns;

	if (now_ns < parts->refresh_due_ns)
		return false;
	parts->refresh_due_ns = now_ns + MIN(MAX(age_ns / PARTS_REFRESH_FRACTION, PARTS_REFRESH_NS),
						 PARTS_REFRESH_SLOW_NS);
	if (modules_refresh(parts->modules) == 0)
		take_modules(parts);
	return parts->count > before;
}

bool parts_would_know(int pid, struct parser *parser)
{
	struct runtime_file *file = xcalloc(1, sizeof(*file));
	struct modules *modules = NULL;
	bool known = false;

	if (modules_open(pid, parser, &modules) < 0)
		goto out;
	for (size_t i = 0; i < modules_count(modules) && !known; i++) {
		if (i && (!is_wanted(modules_get(modules, i), makes_known, false) ||
				 modules_load(modules, i)))
			continue;
		known = parser_runtime(parser, modules_get(modules, i)->file_id, 0, file) == 0 &&
			parts_make_known(file);
	}
out:
	modules_close(modules);
	free(file);
	return known;
}

/* What a file says of itself: with its first runtime, or without one. */
static bool may_exec(struct parser *parser, struct modules *modules, size_t i, bool *ret_seen)
{
	struct runtime_file *file = xcalloc(1, sizeof(*file));
	uint32_t id = modules_get(modules, i)->file_id;
	bool execs = true;

	for (size_t n = 0; !parser_runtime(parser, id, n, file); n++) {
		execs = file->execs;
		*ret_seen |= file->probe_count > 0;
	}
	free(file);
	return execs;
}

bool parts_stay(int pid, struct parser *parser)
{
	struct modules *modules = NULL;
	bool execs = false, seen = false;
	size_t count;

	if (modules_open(pid, parser, &modules) < 0)
		return false;
	count = modules_count(modules);
	for (size_t i = 0; i < count && count <= STAY_MAX_MODULES && !execs; i++)
		execs = (i && modules_load(modules, i)) || may_exec(parser, modules, i, &seen);
	modules_close(modules);
	return seen && !execs && count <= STAY_MAX_MODULES;
}

uint64_t parts_owner_of(void *arg, uint64_t addr)
{
	struct parts *parts = arg;
	uint64_t key = 0;

	for (size_t i = 0; i < parts->count && !key; i++) {
		const struct part *part = &parts->parts[i];

		if (part->process && part->runtime->owner_of)
			key = part->runtime->owner_of(part->process, addr);
	}
	return key;
}

bool parts_is_heap(void *arg, uint64_t addr)
{
	struct parts *parts = arg;
	bool is = false;

	for (size_t i = 0; i < parts->count && !is; i++) {
		const struct part *part = &parts->parts[i];

		if (part->process && part->runtime->is_heap)
			is = part->runtime->is_heap(part->process, addr);
	}
	return is;
}

uint64_t parts_count_given_back(void *arg, uint64_t start, uint64_t end)
{
	struct parts *parts = arg;
	uint64_t sum = 0;

	for (size_t i = 0; i < parts->count; i++) {
		const struct part *part = &parts->parts[i];
		uint64_t bytes;

		if (part->process && part->runtime->count_given_back &&
			!part->runtime->count_given_back(part->process, start, end, &bytes))
			sum += bytes;
	}
	return sum;
}

/* What was missed because the program could not be read, or only late. */
static void tell_missed(struct parts *parts, const struct part *part)
{
	char reason[160];

	if (!part->file->reading || part->refused)
		return;
	if (!part->process)
		model_add_skip(parts->model, "reading containers", part->not_yet);
	if (!part->too_early)
		return;
	snprintf(reason, sizeof(reason), "%llu growths came before its heap could be read",
		(unsigned long long)part->too_early);
	if (part->process)
		model_add_skip(parts->model, "growths at its start", reason);
	else
		model_add_incomplete(parts->model, reason);
}

void parts_free(struct parts *parts)
{
	if (!parts)
		return;
	for (size_t i = 0; i < parts->count; i++) {
		struct part *part = &parts->parts[i];

		tell_missed(parts, part);
		if (part->process)
			part->runtime->process_close(part->process);
		free(part->file);
	}
	free(parts);
}

bool parts_known(const struct parts *parts)
{
	for (size_t i = 0; i < parts->count; i++)
		if (makes_known(parts->parts[i].runtime))
			return true;
	return false;
}

size_t parts_count(const struct parts *parts)
{
	return parts->count;
}

struct part *parts_get(struct parts *parts, size_t i)
{
	return &parts->parts[i];
}

/* Says never since now, or for so long that it is believed? */
static bool refusal_lasts(struct part *part)
{
	uint64_t now_ns = clock_mono_ns();

	if (!part->refused_since_ns)
		part->refused_since_ns = now_ns;
	return now_ns - part->refused_since_ns >= PART_REFUSAL_NS;
}

int part_start(struct parts *parts, struct part *part)
{
	char reason[160] = "";
	int r;

	if (part->process)
		return 0;
	if (!part->file->reading || part->refused)
		return -ENOTSUP;
	r = part->runtime->process_open(part->file, parts->mem, parts->parser,
		part->module->file_id, part->module->slide, &part->process, reason);
	if (r == 0)
		return 0;
	text_copy(part->not_yet, sizeof(part->not_yet), reason);
	if (r == -EAGAIN) {
		part->refused_since_ns = 0;
		return r;
	}
	if (!refusal_lasts(part))
		return -EAGAIN;
	part->refused = true;
	model_add_skip(parts->model, "reading containers", reason);
	return r;
}

int part_start_for_record(struct parts *parts, struct part *part)
{
	int r = part_start(parts, part);

	while (r == -EAGAIN && part->waited_ns < PART_PATIENCE_NS) {
		clock_wait_ns(RECORD_WAIT_NS);
		part->waited_ns += RECORD_WAIT_NS;
		r = part_start(parts, part);
	}
	return r;
}

int parts_start(struct parts *parts)
{
	int result = -ENOTSUP;

	for (size_t i = 0; i < parts->count; i++) {
		int r = part_start(parts, &parts->parts[i]);

		if (r == -EAGAIN || (r == 0 && result != -EAGAIN))
			result = r;
	}
	return result;
}

bool parts_have_census(const struct parts *parts)
{
	for (size_t i = 0; i < parts->count; i++)
		if (parts->parts[i].runtime->census)
			return true;
	return false;
}

uint32_t part_intern_type(struct parts *parts, const struct part *part, uint64_t type)
{
	char name[160] = "";

	if (type)
		part->runtime->type_name(part->process, type, name, sizeof(name));
	return model_intern(parts->model, name);
}
