/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose code a frame of a native program is. What belongs to a standard library, a language runtime
 * or an allocator is never a site: its caller is. (Go says it for itself, go_lines.h.)
 */
#ifndef MEMTRACE_RUNTIME_LIBRARY_CODE_H
#define MEMTRACE_RUNTIME_LIBRARY_CODE_H

#include <stdbool.h>

/* By a function's readable name and its source file; either may be "". */
bool library_code_function(const char *function, const char *file);

/* By the name of the ELF file that holds the code, without its directory. */
bool library_code_dso(const char *name);

#endif
