/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A module is a run of mappings of one file in address order, beginning with its lowest offset, of
 * which at least one is executable. Only the kernel's own list says so; the file itself is opened
 * later and may be refused then.
 */
#include "trace/module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "trace/debug_files.h"

struct modules {
	int pid;
	struct parser *parser;
	struct module *list[MODULE_MAX];
	size_t count;
};

/* ---- the list ---- */

/* The run of mappings that is being read. */
struct listing {
	struct modules *modules;
	struct module run;
	bool executable;
};

static struct module *find_start(struct modules *modules, const struct module *run)
{
	for (size_t i = 0; i < modules->count; i++)
		if (modules->list[i]->start == run->start && modules->list[i]->inode == run->inode)
			return modules->list[i];
	return NULL;
}

static void end_run(struct listing *listing)
{
	struct modules *modules = listing->modules;
	struct module *known;

	if (!listing->executable || !listing->run.inode)
		return;
	known = find_start(modules, &listing->run);
	if (known) {
		known->end = listing->run.end;
	} else if (modules->count < MODULE_MAX) {
		known = xcalloc(1, sizeof(*known));
		*known = listing->run;
		modules->list[modules->count++] = known;
	}
}

static int list_map(const struct process_map *map, void *arg)
{
	struct listing *listing = arg;
	bool executable = map->perms[2] == 'x';

	if (!map->inode) /* .bss follows its file, and libraries may be apart by guard pages */
		return 0;
	if (map->inode == listing->run.inode && map->offset &&
		!strcmp(map->path, listing->run.path)) {
		listing->run.end = map->end;
		listing->executable |= executable;
		return 0;
	}
	end_run(listing);
	listing->run = (struct module){
		.start = map->start,
		.end = map->end,
		.first_end = map->end,
		.base = map->start - map->offset,
		.inode = map->inode,
		.fd = -1,
	};
	text_copy(listing->run.path, sizeof(listing->run.path), map->path);
	listing->executable = executable;
	return 0;
}

int modules_refresh(struct modules *modules)
{
	struct listing listing = {.modules = modules};
	int r = process_for_each_map(modules->pid, list_map, &listing);

	if (r < 0)
		return r;
	end_run(&listing);
	return 0;
}

/* ---- files ---- */

static int open_regular(const char *path, uint64_t inode)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (inode && st.st_ino != inode)) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

/* The mapping's own link needs CAP_CHECKPOINT_RESTORE; a path may lead to a newer file. */
static int open_mapped(const struct modules *modules, const struct module *module)
{
	char path[PROCESS_PATH_BYTES + 32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", modules->pid,
		(unsigned long long)module->start, (unsigned long long)module->first_end);
	fd = open_regular(path, 0);
	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/%d/root%s", modules->pid, module->path);
	fd = open_regular(path, module->inode);
	/* Of a process that has ended its last records may still come. */
	return fd == -ENOENT ? open_regular(module->path, module->inode) : fd;
}

static bool wants_names(const struct modules *modules, const struct module *module)
{
	struct runtime_file *file = xcalloc(1, sizeof(*file));
	bool wants = false;

	for (size_t i = 0; !wants; i++) {
		if (parser_runtime(modules->parser, module->file_id, i, file))
			break;
		wants = file->wants_names;
	}
	free(file);
	return wants;
}

/* What was stripped from the file may be on this machine: then it is known better. No server is waited for. */
static int add_names(
	const struct modules *modules, const struct module *module, struct runtime_file *ret)
{
	struct parser_debug debug;

	if (parser_keep(modules->parser, module->file_id, module->fd, &debug) == 0)
		debug_files_add(
			modules->parser, module->file_id, modules->pid, module->path, NULL, &debug);
	return parser_runtime(modules->parser, module->file_id, 0, ret);
}

static int identify(struct modules *modules, struct module *module)
{
	struct runtime_file *file = xcalloc(1, sizeof(*file));
	int r = parser_identify(modules->parser, module->fd, &module->file_id, file);

	if (r == 0 && wants_names(modules, module))
		r = add_names(modules, module, file);
	if (r == 0 && file->pie)
		module->slide = module->base - file->load_vaddr;
	if (r == 0) {
		module->data_start = file->data_start + module->slide;
		module->data_end = file->data_end + module->slide;
		module->allocator = file->allocator;
	}
	free(file);
	return r;
}

int modules_load(struct modules *modules, size_t i)
{
	struct module *module = modules->list[i];

	if (module->fd >= 0 || module->error)
		return module->error;
	module->fd = open_mapped(modules, module);
	if (module->fd < 0) {
		module->error = module->fd;
		module->fd = -1;
		return module->error;
	}
	module->error = identify(modules, module);
	if (module->error) {
		close(module->fd);
		module->fd = -1;
	}
	return module->error;
}

static int load_exe(struct modules *modules)
{
	struct module *exe = modules->list[0];

	exe->fd = process_open_exe(modules->pid);
	if (exe->fd < 0)
		return exe->fd;
	return identify(modules, exe);
}

/* ---- open, close, find ---- */

/* The executable comes first, wherever it lies. */
static int put_exe_first(struct modules *modules)
{
	struct module *exe;
	uint64_t base;
	size_t i;
	int r = process_find_exe_base(modules->pid, &base);
	if (r < 0)
		return r;
	for (i = 0; i < modules->count && modules->list[i]->base != base; i++)
		;
	if (i == modules->count)
		return -ENOENT;
	exe = modules->list[i];
	modules->list[i] = modules->list[0];
	modules->list[0] = exe;
	return 0;
}

int modules_open(int pid, struct parser *parser, struct modules **ret)
{
	struct modules *modules = xcalloc(1, sizeof(*modules));
	int r;

	modules->pid = pid;
	modules->parser = parser;
	r = modules_refresh(modules);
	if (r == 0)
		r = put_exe_first(modules);
	if (r == 0)
		r = load_exe(modules);
	if (r < 0)
		modules_close(modules);
	else
		*ret = modules;
	return r;
}

void modules_close(struct modules *modules)
{
	if (!modules)
		return;
	for (size_t i = 0; i < modules->count; i++) {
		if (modules->list[i]->fd >= 0)
			close(modules->list[i]->fd);
		free(modules->list[i]);
	}
	free(modules);
}

size_t modules_count(const struct modules *modules)
{
	return modules->count;
}

const struct module *modules_get(const struct modules *modules, size_t i)
{
	return modules->list[i];
}

const char *module_name(const struct module *module)
{
	const char *slash = strrchr(module->path, '/');

	return slash ? slash + 1 : module->path;
}

const struct module *modules_find(struct modules *modules, uint64_t addr)
{
	for (size_t i = 0; i < modules->count; i++)
		if (addr >= modules->list[i]->start && addr < modules->list[i]->end)
			return modules_load(modules, i) ? NULL : modules->list[i];
	return NULL;
}

bool modules_is_global(const struct modules *modules, uint64_t addr)
{
	for (size_t i = 0; i < modules->count; i++)
		if (addr >= modules->list[i]->data_start && addr < modules->list[i]->data_end)
			return true;
	return false;
}
