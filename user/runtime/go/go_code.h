/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions of a Go executable as instructions. Parser child only. */
#ifndef MEMTRACE_RUNTIME_GO_CODE_H
#define MEMTRACE_RUNTIME_GO_CODE_H

#include "runtime/binary/code.h"
#include "runtime/go/go_pclntab.h"

struct go_file;

/*
 * The function table gives their bounds, so instruction boundaries are certain. -ENOENT: no such function.
 * -EBADMSG: it cannot be decoded from start to end. code_close() it.
 */
int go_code_open(struct go_file *file, const char *name, struct code *ret);
int go_code_open_func(struct go_file *file, const struct go_func *func, struct code *ret);

#endif
