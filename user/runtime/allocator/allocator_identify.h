/* SPDX-License-Identifier: BSD-2-Clause */
/* Which malloc an executable or library brings, whoever linked it. Parser child only. */
#ifndef MEMTRACE_RUNTIME_ALLOCATOR_IDENTIFY_H
#define MEMTRACE_RUNTIME_ALLOCATOR_IDENTIFY_H

struct elf_file;
struct runtime_allocator;

/* An empty name where it brings none. */
void allocator_identify(struct elf_file *elf, struct runtime_allocator *ret);

#endif
