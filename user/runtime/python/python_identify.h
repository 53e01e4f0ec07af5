/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds dict and set of CPython in its executable or library. Parser child only. */
#ifndef MEMTRACE_RUNTIME_PYTHON_IDENTIFY_H
#define MEMTRACE_RUNTIME_PYTHON_IDENTIFY_H

#include <stdbool.h>

struct elf_file;
struct runtime_file;

#define PYTHON_FEWEST_LOG2 8 /* tables of fewer slots (2^n) are not counted when they grow */

enum python_probe {
	/* in dictresize: log2 of the slots wanted, first words of the old keys, entries, "keys are text" */
	PYTHON_PROBE_DICT,
	PYTHON_PROBE_SET, /* set_table_resize: entries to have room for, mask, used, table */
};

/*
 * CPython 3.11 to 3.13 (Include/cpython/dictobject.h, Include/internal/pycore_dict.h, Include/cpython/setobject.h):
 *
 *	dict	16 used  24 version  32 keys  40 values
 *	keys	0 references  8 log2 of slots  9 log2 of the index's bytes  10 kind  16 usable  24 entries  32 index
 *	set	16 fill  24 used  32 mask  40 table  64 the table of small ones
 */
#define PYTHON_DICT_USED 16
#define PYTHON_DICT_KEYS 32
#define PYTHON_KEYS_LOG2 8
#define PYTHON_SET_USED  24
#define PYTHON_SET_MASK  32
#define PYTHON_SET_TABLE 40
#define PYTHON_SET_SMALL 64

/* As struct runtime's. */
bool python_wants(const char *file_name);
int python_identify(struct elf_file *elf, struct runtime_file *ret);

#endif
