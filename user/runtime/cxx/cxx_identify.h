/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds C++ containers in an executable or library. Parser child only. */
#ifndef MEMTRACE_RUNTIME_CXX_IDENTIFY_H
#define MEMTRACE_RUNTIME_CXX_IDENTIFY_H

struct elf_file;
struct runtime_file;

/* As struct runtime's identify(). */
int cxx_identify(struct elf_file *elf, struct runtime_file *ret);

#endif
