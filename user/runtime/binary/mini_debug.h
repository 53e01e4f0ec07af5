/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * .gnu_debugdata: an ELF file with nothing but a symbol table, xz-compressed, that some distributions
 * leave in stripped programs. Parser child only.
 */
#ifndef MEMTRACE_RUNTIME_MINI_DEBUG_H
#define MEMTRACE_RUNTIME_MINI_DEBUG_H

#include <libelf.h>

struct mini_debug;

/* NULL where elf has none that can be read. */
struct mini_debug *mini_debug_open(Elf *elf);
void mini_debug_close(struct mini_debug *mini);

Elf *mini_debug_elf(const struct mini_debug *mini);

#endif
