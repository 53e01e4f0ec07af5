/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of C++ and Rust functions as people write them. Names are hostile: parser child only. */
#ifndef MEMTRACE_RUNTIME_DEMANGLE_H
#define MEMTRACE_RUNTIME_DEMANGLE_H

#include <stdbool.h>
#include <stddef.h>

/* Longer mangled names are left as they are. */
#define DEMANGLE_MAX_NAME 8192

/*
 * Writes the readable form of a mangled name (Itanium C++; Rust legacy and v0) to buf, without
 * parameters and return types, cut at bytes - 1. Any other name is copied. True where it was
 * mangled.
 */
bool demangle_name(const char *name, char *buf, size_t bytes);

#endif
