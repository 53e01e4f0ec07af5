/* SPDX-License-Identifier: BSD-2-Clause */
/* Layouts of Go's runtime structs from the binary's own DWARF: for versions that no table knows. */
#ifndef MEMTRACE_RUNTIME_GO_DWARF_H
#define MEMTRACE_RUNTIME_GO_DWARF_H

#include <stdbool.h>

#include "runtime/go/go_facts.h"
#include "runtime/go/go_layout.h"

struct elf_file;

struct go_dwarf {
	struct go_layout layout; /* all but slice_length_new, which is no layout but a convention */
	struct go_module_layout module;
	bool swiss; /* maps are Swiss tables */
	uint16_t
		delta_allocated; /* heapStatsDelta.tinyAllocCount: where the allocator's counts begin */
};

/*
 * Parser child only. 0; -ENODATA where the binary has no DWARF; -ENOTSUP where its structs are none that we
 * can read (reason names the first).
 */
int go_dwarf_find(struct elf_file *elf, struct go_dwarf *ret, char reason[96]);

#endif
