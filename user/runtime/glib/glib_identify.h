/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds GHashTable in the library of GLib. Parser child only. */
#ifndef MEMTRACE_RUNTIME_GLIB_IDENTIFY_H
#define MEMTRACE_RUNTIME_GLIB_IDENTIFY_H

#include <stdbool.h>

struct elf_file;
struct runtime_file;

/*
 * struct _GHashTable (glib/ghash.c, GLib 2.66 to 2.84):
 *
 *	0 size  8 mod  12 mask  16 nnodes  20 noccupied  24 big keys, big values  32 keys  40 hashes  48 values
 *	56 hash_func
 */
#define GLIB_TABLE_NODES  16
#define GLIB_TABLE_BIG    24
#define GLIB_TABLE_KEYS   32
#define GLIB_TABLE_HASHES 40
#define GLIB_TABLE_VALUES 48
#define GLIB_TABLE_HASH   56

/* As struct runtime's. */
bool glib_wants(const char *file_name);
int glib_identify(struct elf_file *elf, struct runtime_file *ret);

#endif
