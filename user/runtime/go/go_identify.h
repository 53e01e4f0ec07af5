/* SPDX-License-Identifier: BSD-2-Clause */
/* Recognises Go executables: struct runtime's identify. Parser child only. */
#ifndef MEMTRACE_RUNTIME_GO_IDENTIFY_H
#define MEMTRACE_RUNTIME_GO_IDENTIFY_H

struct elf_file;
struct runtime_file;

/* 1 = Go, ret filled in; 0 = not Go; <0 = Go but broken. */
int go_identify(struct elf_file *elf, struct runtime_file *ret);

#endif
