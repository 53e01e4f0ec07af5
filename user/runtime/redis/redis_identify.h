/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds the dict of Redis in an executable. Parser child only. */
#ifndef MEMTRACE_RUNTIME_REDIS_IDENTIFY_H
#define MEMTRACE_RUNTIME_REDIS_IDENTIFY_H

struct elf_file;
struct runtime_file;

/* As struct runtime's identify(). */
int redis_identify(struct elf_file *elf, struct runtime_file *ret);

#endif
