/* SPDX-License-Identifier: BSD-2-Clause */
/* All runtimes, asked in this order: one that sees_malloc comes last. The only place that names them. */
#ifndef MEMTRACE_RUNTIME_LIST_H
#define MEMTRACE_RUNTIME_LIST_H

#include "runtime/runtime.h"

extern const struct runtime runtime_go;
extern const struct runtime runtime_cxx;
extern const struct runtime runtime_rust;
extern const struct runtime runtime_redis;
extern const struct runtime runtime_python;
extern const struct runtime runtime_glib;
extern const struct runtime runtime_c;
extern const struct runtime runtime_malloc;

static const struct runtime *const runtimes[] = {&runtime_go, &runtime_cxx, &runtime_rust,
	&runtime_redis, &runtime_python, &runtime_glib, &runtime_c, &runtime_malloc};

#endif
