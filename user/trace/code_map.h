/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a process may run code: walks along frame pointers that a program does not keep give numbers
 * that are no code at all, and code that is in no file has no name but "[anonymous]" or "[vdso]".
 */
#ifndef MEMTRACE_TRACE_CODE_MAP_H
#define MEMTRACE_TRACE_CODE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum code_kind {
	CODE_NONE, /* not executable, or nothing there */
	CODE_FILE,
	CODE_VDSO,
	CODE_ANONYMOUS, /* made at run time */
};

struct code_range {
	uint64_t start, end;
	enum code_kind kind;
};

/* A zeroed one is empty. */
struct code_map {
	struct code_range *ranges; /* in address order */
	size_t count, capacity;
};

/* Reads it anew; what was known stays where the process has gone. True where something is new. */
bool code_map_refresh(struct code_map *map, int pid);
void code_map_done(struct code_map *map);

enum code_kind code_map_find(const struct code_map *map, uint64_t addr);

#endif
