/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go's own function and line table, present in stripped binaries too (the runtime needs it for
 * tracebacks). Layout since Go 1.18: runtime/symtab.go, cmd/link/internal/ld/pcln.go. Parser child
 * only: every offset in it is hostile.
 */
#ifndef MEMTRACE_RUNTIME_GO_PCLNTAB_H
#define MEMTRACE_RUNTIME_GO_PCLNTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/table.h"

struct elf_file;

struct go_pclntab {
	const uint8_t *bytes;
	uint64_t size;
	uint64_t vaddr; /* of the header, what moduledata.pcHeader points to */
	uint64_t text;  /* runtime.text; 0 until go_pclntab_set_text() where the header has none */
	bool has_start_lines; /* 1.20+: _func is 4 bytes longer */
	uint32_t func_count;
	uint64_t names, units, files, values, funcs; /* offsets of the subtables */
	struct table by_name;                        /* hash of name -> index */
	bool by_name_read;
};

/* One function. end is the start of the next one. */
struct go_func {
	uint64_t entry, end;
	uint64_t offset; /* of its _func in the table */
	const char *name;
};

/* -ENOENT: no such section. -EBADMSG: contradicts itself. -ENOTSUP: a format before Go 1.18. */
int go_pclntab_open(struct elf_file *elf, struct go_pclntab *ret);
void go_pclntab_done(struct go_pclntab *table);

/* Takes runtime.text from moduledata; pcHeader.textStart is 0 since Go 1.26. */
void go_pclntab_set_text(struct go_pclntab *table, uint64_t text);

bool go_pclntab_func(const struct go_pclntab *table, uint32_t index, struct go_func *ret);

/* The function that holds pc. */
bool go_pclntab_find(const struct go_pclntab *table, uint64_t pc, struct go_func *ret);

/* By full name, as the linker wrote it. */
bool go_pclntab_find_name(struct go_pclntab *table, const char *name, struct go_func *ret);

/* A function name by its offset in the name table; NULL = none. */
const char *go_pclntab_name(const struct go_pclntab *table, uint32_t offset);

/* File and line of a pc in func. file is "" and line 0 where unknown. */
void go_pclntab_line(const struct go_pclntab *table, const struct go_func *func, uint64_t pc,
	const char **ret_file, uint32_t *ret_line);

/* A file name by its number in func's compilation unit; NULL = none. */
const char *go_pclntab_file(
	const struct go_pclntab *table, const struct go_func *func, int32_t number);

/* Value of a PCDATA table at pc; -1 where there is none. */
int32_t go_pclntab_pcdata(
	const struct go_pclntab *table, const struct go_func *func, uint32_t which, uint64_t pc);

/* Offset of a FUNCDATA object from moduledata.gofunc; false where there is none. */
bool go_pclntab_funcdata(
	const struct go_pclntab *table, const struct go_func *func, uint32_t which, uint32_t *ret);

#endif
