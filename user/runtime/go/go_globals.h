/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses of the runtime's global variables, found without symbols. Parser child only. */
#ifndef MEMTRACE_RUNTIME_GO_GLOBALS_H
#define MEMTRACE_RUNTIME_GO_GLOBALS_H

#include <stddef.h>

struct go_file;

/*
 * Fills the globals of file->facts. What cannot be found stays 0. Returns 0, or -EBADMSG where code
 * and symbol table disagree; ret_name is then the variable.
 */
int go_globals_find(struct go_file *file, const char **ret_name);

#endif
