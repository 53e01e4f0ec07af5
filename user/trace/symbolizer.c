/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks are hashed whole together with family and type; the answer is a site id. The parser child
 * is asked once per new stack and file in it, so a hot site costs one table look-up per record.
 *
 * An address is first looked up in what the process may run: what is no code is left out (stacks of
 * programs without frame pointers are full of it). What the process maps is read again when an address
 * is not known, ever more rarely while that brings nothing new.
 */
#include "trace/symbolizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/table.h"
#include "base/text.h"
#include "runtime/library_code.h"
#include "runtime/list.h"
#include "trace/code_map.h"
#include "trace/debug_files.h"

/* What is known of a stack besides its site, in one number. */
#define FAMILY_SHIFT 32
#define DIRECT_SHIFT 40

#define REFRESH_MIN_NS (50 * NSEC_PER_MSEC)
#define REFRESH_MAX_NS (2 * NSEC_PER_SEC)

/* A file whose lines were asked for. */
struct known_file {
	struct parser_debug debug;
	int error; /* of parser_keep(): no lines, no functions */
};

struct symbolizer {
	struct parser *parser;
	struct modules *modules;
	struct model *model;
	uint32_t target;
	struct debug_server *server;
	int pid;
	struct code_map code;
	uint64_t refreshed_ns, refresh_ns; /* the last time; until the next one */
	struct known_file *files;
	size_t file_count, file_capacity;
	struct table files_by_id; /* the parser's number -> index */
	struct table sites; /* stack hash -> site id, above it family and directness of a toucher */
	struct table stacks; /* stack hash -> id of a whole stack */
	struct table types;  /* stack hash -> name of what grows there */
	uint64_t refused;
	struct parser_frame answer[PARSER_MAX_FRAMES];
};

/* The frames of one stack while they are gathered. */
struct gathered {
	bool first_is_ip;
	bool innermost; /* of each pc only that one: those it was inlined into have pcs of their own */
	struct model_frame frames[MODEL_MAX_FRAMES];
	size_t count;
};

void symbolizer_free(struct symbolizer *symbolizer)
{
	if (!symbolizer)
		return;
	code_map_done(&symbolizer->code);
	table_done(&symbolizer->files_by_id);
	table_done(&symbolizer->sites);
	table_done(&symbolizer->stacks);
	table_done(&symbolizer->types);
	free(symbolizer->files);
	free(symbolizer);
}

/* ---- what the process maps ---- */

static void refresh(struct symbolizer *symbolizer)
{
	uint64_t now_ns = clock_mono_ns();

	if (symbolizer->refreshed_ns && now_ns - symbolizer->refreshed_ns < symbolizer->refresh_ns)
		return;
	symbolizer->refreshed_ns = now_ns;
	symbolizer->refresh_ns = MIN(symbolizer->refresh_ns * 2, REFRESH_MAX_NS);
	if (!code_map_refresh(&symbolizer->code, symbolizer->pid))
		return;
	symbolizer->refresh_ns = REFRESH_MIN_NS;
	modules_refresh(symbolizer->modules);
}

static enum code_kind find_code(struct symbolizer *symbolizer, uint64_t addr)
{
	enum code_kind kind = code_map_find(&symbolizer->code, addr);

	if (kind != CODE_NONE)
		return kind;
	refresh(symbolizer);
	return code_map_find(&symbolizer->code, addr);
}

/* ---- files ---- */

/* What no finding can then have, in words for the report; of libraries nobody expects it. */
static void tell_missing_lines(
	struct symbolizer *symbolizer, const struct module *module, const struct known_file *file)
{
	const char *reason = file->debug.note;
	char what[64];

	if (library_code_dso(module_name(module)) || (file->debug.has_lines && !reason[0]))
		return;
	if (file->error)
		reason = "the file cannot be parsed";
	else if (!reason[0])
		reason = "no debug information: functions by name, else module+offset";
	snprintf(what, sizeof(what), "lines of %s", module_name(module));
	model_add_skip(symbolizer->model, what, reason);
}

static const struct known_file *know_file(
	struct symbolizer *symbolizer, const struct module *module)
{
	struct known_file file = {0};
	uint64_t i;

	if (table_get(&symbolizer->files_by_id, module->file_id, &i))
		return &symbolizer->files[i];
	file.error = parser_keep(symbolizer->parser, module->file_id, module->fd, &file.debug);
	if (!file.error)
		debug_files_add(symbolizer->parser, module->file_id, symbolizer->pid, module->path,
			library_code_dso(module_name(module)) ? NULL : symbolizer->server,
			&file.debug);
	tell_missing_lines(symbolizer, module, &file);
	table_set(&symbolizer->files_by_id, module->file_id, symbolizer->file_count);
	array_reserve(symbolizer->files, symbolizer->file_count, symbolizer->file_capacity);
	symbolizer->files[symbolizer->file_count] = file;
	return &symbolizer->files[symbolizer->file_count++];
}

struct symbolizer *symbolizer_new(struct parser *parser, struct modules *modules, int pid,
	struct debug_server *server, struct model *model, uint32_t target)
{
	struct symbolizer *symbolizer = xcalloc(1, sizeof(*symbolizer));

	symbolizer->parser = parser;
	symbolizer->modules = modules;
	symbolizer->pid = pid;
	symbolizer->server = server;
	symbolizer->model = model;
	symbolizer->target = target;
	symbolizer->refresh_ns = REFRESH_MIN_NS;
	/* Now: the records of a short program may be read when it is no more. */
	refresh(symbolizer);
	/* A server is slow, and nothing is lost yet. */
	if (server)
		know_file(symbolizer, modules_get(modules, 0));
	return symbolizer;
}

const struct module *symbolizer_find_module(struct symbolizer *symbolizer, uint64_t addr)
{
	const struct module *module;

	if (find_code(symbolizer, addr) != CODE_FILE)
		return NULL;
	module = modules_find(symbolizer->modules, addr);
	return module && !know_file(symbolizer, module)->error ? module : NULL;
}

/* ---- frames ---- */

/* The parser's answer is overwritten by the next one: only interned names stay. */
static const char *intern(struct symbolizer *symbolizer, const char *name)
{
	return model_string(symbolizer->model, model_intern(symbolizer->model, name));
}

/* module: NULL = code of no file. */
static void add_frame(struct symbolizer *symbolizer, struct gathered *gathered,
	const struct parser_frame *frame, const struct module *module, bool library)
{
	bool other = module && module->file_id != modules_get(symbolizer->modules, 0)->file_id;

	if (gathered->count == MODEL_MAX_FRAMES)
		return;
	gathered->frames[gathered->count++] = (struct model_frame){
		.function = intern(symbolizer, frame->function),
		.file = intern(symbolizer, frame->file),
		.line = frame->line,
		.internal = frame->internal || library,
		.inlined = frame->inlined,
		.module = intern(symbolizer, other ? module->path : ""),
		.build_id = intern(
			symbolizer, other ? know_file(symbolizer, module)->debug.build_id : ""),
	};
}

static void add_unmapped(
	struct symbolizer *symbolizer, struct gathered *gathered, enum code_kind kind)
{
	struct parser_frame frame = {0};

	if (kind == CODE_NONE)
		return;
	text_copy(frame.function, sizeof(frame.function),
		kind == CODE_VDSO ? "[vdso]" : "[anonymous]");
	add_frame(symbolizer, gathered, &frame, NULL, kind == CODE_VDSO);
}

/* Code without a name: "libfoo.so.1+0x1234", which addr2line and gdb take, of that very build. */
static void add_nameless(struct symbolizer *symbolizer, struct gathered *gathered,
	const struct module *module, const struct known_file *file, uint64_t pc)
{
	struct parser_frame frame = {0};

	snprintf(frame.function, sizeof(frame.function), "%s+0x%llx", module_name(module),
		(unsigned long long)pc);
	if (file->debug.build_id[0])
		snprintf(frame.file, sizeof(frame.file), "build-id %s", file->debug.build_id);
	add_frame(symbolizer, gathered, &frame, module, library_code_dso(module_name(module)));
}

static void add_answer(struct symbolizer *symbolizer, struct gathered *gathered,
	const struct module *module, const uint64_t *pcs, size_t count)
{
	const struct known_file *file = know_file(symbolizer, module);
	bool library = library_code_dso(module_name(module));
	int found = -1, at = 0;

	if (!file->error)
		found = parser_lines(symbolizer->parser, module->file_id, pcs, count,
			symbolizer->answer, ARRAY_SIZE(symbolizer->answer));
	for (size_t i = 0; i < count; i++) {
		int first = at;

		for (; at < found && symbolizer->answer[at].pc_index == i; at++)
			if (at == first || !gathered->innermost)
				add_frame(symbolizer, gathered, &symbolizer->answer[at], module,
					library);
		if (at == first && found < PARSER_MAX_FRAMES)
			add_nameless(symbolizer, gathered, module, file, pcs[i]);
	}
}

/* Frames of the addresses that follow each other in one module. Returns how many addresses. */
static size_t add_addrs(struct symbolizer *symbolizer, struct gathered *gathered,
	const uint64_t *addrs, size_t count, bool first_is_ip)
{
	enum code_kind kind = find_code(symbolizer, addrs[0]);
	const struct module *module = NULL;
	uint64_t pcs[PARSER_MAX_PCS];
	size_t asked = 0;

	if (kind == CODE_FILE)
		module = modules_find(symbolizer->modules, addrs[0]);
	if (!module) {
		add_unmapped(symbolizer, gathered, kind);
		return 1;
	}
	count = MIN(count, (size_t)PARSER_MAX_PCS);
	while (asked < count && addrs[asked] >= module->start && addrs[asked] < module->end &&
		code_map_find(&symbolizer->code, addrs[asked]) == CODE_FILE) {
		/* A return address may already belong to the next line: step back into the call. */
		pcs[asked] = addrs[asked] - module->slide - (asked || !first_is_ip);
		asked++;
	}
	add_answer(symbolizer, gathered, module, pcs, asked);
	return asked;
}

static void gather(struct symbolizer *symbolizer, struct gathered *gathered, const uint64_t *addrs,
	size_t count)
{
	for (size_t i = 0; i < count && gathered->count < MODEL_MAX_FRAMES;)
		i += add_addrs(
			symbolizer, gathered, addrs + i, count - i, !i && gathered->first_is_ip);
}

/* Of the innermost frames, which are the runtime's own, the last that says it: what was asked for. */
static enum family filled_family(const struct gathered *gathered)
{
	enum family found = FAMILY_NONE;

	for (size_t i = 0; i < gathered->count && gathered->frames[i].internal; i++)
		for (size_t r = 0; r < ARRAY_SIZE(runtimes); r++) {
			enum family family =
				runtimes[r]->fills
					? runtimes[r]->fills(gathered->frames[i].function)
					: FAMILY_NONE;

			found = family ? family : found;
		}
	return found;
}

/*
 * The user's own line did it, or one leaf function for it: of a leaf without a frame of its own (memmove) the
 * caller is missing, which for append is the function that grows.
 */
static bool is_direct(const struct gathered *gathered)
{
	return !gathered->frames[0].internal ||
	       (gathered->count > 1 && !gathered->frames[1].internal);
}

static uint64_t ask_site(struct symbolizer *symbolizer, enum family family, uint32_t type,
	const uint64_t *addrs, size_t count, bool first_is_ip)
{
	struct gathered gathered = {.first_is_ip = first_is_ip};

	gather(symbolizer, &gathered, addrs, count);
	if (!gathered.count)
		return 0;
	return (uint64_t)is_direct(&gathered) << DIRECT_SHIFT |
	       (uint64_t)filled_family(&gathered) << FAMILY_SHIFT |
	       model_add_site(symbolizer->model, symbolizer->target, family, type, gathered.frames,
		       gathered.count);
}

static uint32_t ask_stack(struct symbolizer *symbolizer, const uint64_t *addrs, size_t count)
{
	struct gathered gathered = {.innermost = true};

	gather(symbolizer, &gathered, addrs, count);
	return model_add_stack(
		symbolizer->model, symbolizer->target, gathered.frames, gathered.count);
}

static uint64_t find_site(struct symbolizer *symbolizer, enum family family, uint32_t type,
	const uint64_t *addrs, size_t count, bool first_is_ip)
{
	uint64_t hash, site;

	if (!count)
		return 0;
	hash = hash_bytes(0, addrs, count * sizeof(*addrs));
	hash = hash_bytes(hash, &type, sizeof(type));
	hash ^= (uint64_t)family << 1 | first_is_ip;
	if (table_get(&symbolizer->sites, hash, &site))
		return site;
	if (symbolizer->sites.count >= SYMBOLIZER_MAX_STACKS) {
		symbolizer->refused++;
		return 0;
	}
	site = ask_site(symbolizer, family, type, addrs, count, first_is_ip);
	table_set(&symbolizer->sites, hash, site);
	return site;
}

uint32_t symbolizer_site(struct symbolizer *symbolizer, enum family family, uint32_t type,
	const uint64_t *addrs, size_t count, bool first_is_ip)
{
	return (uint32_t)find_site(symbolizer, family, type, addrs, count, first_is_ip);
}

struct symbolizer_toucher symbolizer_toucher(
	struct symbolizer *symbolizer, const uint64_t *addrs, size_t count)
{
	uint64_t found = find_site(symbolizer, FAMILY_NONE, 0, addrs, count, true);

	return (struct symbolizer_toucher){.site = (uint32_t)found,
		.family = (enum family)(found >> FAMILY_SHIFT & 0xff),
		.direct = found >> DIRECT_SHIFT & 1};
}

uint32_t symbolizer_type(struct symbolizer *symbolizer,
	bool (*type_of)(const char *function, char *buf, size_t bytes), const uint64_t *addrs,
	size_t count)
{
	uint64_t hash = hash_bytes(0, addrs, count * sizeof(*addrs)), type = 0;
	struct gathered gathered = {.first_is_ip = true};
	char name[160];

	if (!count || table_get(&symbolizer->types, hash, &type))
		return (uint32_t)type;
	if (symbolizer->types.count >= SYMBOLIZER_MAX_STACKS)
		return 0;
	gather(symbolizer, &gathered, addrs, count);
	for (size_t i = 0; i < gathered.count && gathered.frames[i].internal && !type; i++)
		if (type_of(gathered.frames[i].function, name, sizeof(name)))
			type = model_intern(symbolizer->model, name);
	table_set(&symbolizer->types, hash, type);
	return (uint32_t)type;
}

uint32_t symbolizer_stack(struct symbolizer *symbolizer, const uint64_t *addrs, size_t count)
{
	uint64_t hash, stack;

	if (!count)
		return 0;
	hash = hash_bytes(0, addrs, count * sizeof(*addrs));
	if (table_get(&symbolizer->stacks, hash, &stack))
		return (uint32_t)stack;
	if (symbolizer->stacks.count >= SYMBOLIZER_MAX_STACKS) {
		symbolizer->refused++;
		return 0;
	}
	stack = ask_stack(symbolizer, addrs, count);
	table_set(&symbolizer->stacks, hash, stack);
	return (uint32_t)stack;
}

uint64_t symbolizer_refused(const struct symbolizer *symbolizer)
{
	return symbolizer->refused;
}
