/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An opened Go executable: what go_identify() and all questions about it start from. Parser child
 * only.
 */
#ifndef MEMTRACE_RUNTIME_GO_FILE_H
#define MEMTRACE_RUNTIME_GO_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/go/go_buildinfo.h"
#include "runtime/go/go_facts.h"
#include "runtime/go/go_layout.h"
#include "runtime/go/go_pclntab.h"

struct elf_file;

struct go_file {
	struct elf_file *elf; /* the opener's */
	struct go_build build;
	struct go_pclntab table;
	bool has_table;
	bool has_module; /* text to enoptrbss and moduledata of facts are filled in */
	bool has_types;  /* types, etypes and gofunc too */
	struct go_facts facts;
	bool has_layout;        /* facts.layout is known, from a table or the binary's DWARF */
	bool has_module_layout; /* so is this: */
	struct go_module_layout module_layout;
	char layout_reason[96]; /* why there is no layout */
	uint64_t gofunc;        /* what FUNCDATA offsets count from */
	const uint8_t *types;   /* contents of [facts.types, facts.etypes); NULL = none */
	char source_root[256];  /* "/usr/lib/go-1.19/src/"; "" = built with -trimpath */
};

/* -ENOENT: not written in Go. -EBADMSG: its parts contradict each other. elf must outlive it. */
int go_file_open(struct elf_file *elf, struct go_file **ret);
void go_file_close(struct go_file *file);

#endif
