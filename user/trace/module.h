/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ELF files that a process maps to run code from: its executable, first, and its libraries. All
 * are listed; a file is opened and parsed only when somebody asks about it, through the mapping
 * itself (/proc/PID/map_files), so a replaced or deleted file is still the right one.
 */
#ifndef MEMTRACE_TRACE_MODULE_H
#define MEMTRACE_TRACE_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/parser.h"
#include "target/process.h"

#define MODULE_MAX 256 /* per process; further ones are not looked at */

struct module {
	char path[PROCESS_PATH_BYTES]; /* as the kernel prints it */
	uint64_t start, end;           /* from its first to its last mapping */
	uint64_t first_end;            /* of its first mapping */
	uint64_t base;                 /* run-time address of file offset 0 */
	uint64_t inode;
	/* Once opened: */
	int fd;           /* -1 = not open */
	int error;        /* why it could not be opened, 0 = it was not asked for or is open */
	uint32_t file_id; /* its name at the parser */
	uint64_t slide;   /* run-time address - linked address */
	struct runtime_allocator allocator; /* that it brings */
	uint64_t data_start, data_end;      /* run-time addresses of its global variables */
};

struct modules;

/*
 * Lists what pid maps and opens its executable, module 0. 0, or what process_open_exe(),
 * process_find_exe_base() and parser_identify() say.
 */
int modules_open(int pid, struct parser *parser, struct modules **ret);
void modules_close(struct modules *modules);

/* Lists again: libraries may come at any time. Known ones keep their place. 0 or -errno. */
int modules_refresh(struct modules *modules);

size_t modules_count(const struct modules *modules);
const struct module *modules_get(const struct modules *modules, size_t i);

/* File name without the directory. */
const char *module_name(const struct module *module);

/* Opens and identifies module i; a second call answers the same. 0 or -errno. */
int modules_load(struct modules *modules, size_t i);

/* The module that holds a run-time address, opened; NULL where none does or it cannot be parsed. */
const struct module *modules_find(struct modules *modules, uint64_t addr);

/* True where a run-time address lies among the global variables of an opened module. */
bool modules_is_global(const struct modules *modules, uint64_t addr);

#endif
