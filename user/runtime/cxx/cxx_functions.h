/* SPDX-License-Identifier: BSD-2-Clause */
/* Where containers grow whose code is a template: all but the tables of libstdc++. Parser child only. */
#ifndef MEMTRACE_RUNTIME_CXX_FUNCTIONS_H
#define MEMTRACE_RUNTIME_CXX_FUNCTIONS_H

#include <stdbool.h>

struct elf_file;
struct runtime_file;
struct runtime_probe;

/*
 * Adds their probes and, as skips, what cannot be seen. Returns whether there are any.
 */
bool cxx_functions_find(struct elf_file *elf, struct runtime_file *ret);

/* Whether it is a container of libc++ that grows there. */
bool cxx_functions_is_libcxx(const struct runtime_probe *probe);

#endif
