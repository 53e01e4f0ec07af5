/* SPDX-License-Identifier: BSD-2-Clause */
/* Where std::vector, std::string and std::deque of libstdc++ grow. Parser child only. */
#ifndef MEMTRACE_RUNTIME_CXX_SEQUENCES_H
#define MEMTRACE_RUNTIME_CXX_SEQUENCES_H

#include <stdbool.h>

struct elf_file;
struct runtime_file;

/*
 * Adds their probes and, as skips, what cannot be seen. Returns whether there are any.
 */
bool cxx_sequences_find(struct elf_file *elf, struct runtime_file *ret);

#endif
