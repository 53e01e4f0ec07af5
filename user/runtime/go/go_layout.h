/* SPDX-License-Identifier: BSD-2-Clause */
/* Layouts of Go's runtime structs, by version. */
#ifndef MEMTRACE_RUNTIME_GO_LAYOUT_H
#define MEMTRACE_RUNTIME_GO_LAYOUT_H

#include <stdint.h>

#include "runtime/go/go_facts.h"

/* Offsets within runtime.moduledata that moved between versions. */
struct go_module_layout {
	uint16_t types, gofunc;
};

/* The layout of go1.minor; NULL = not measured, and never guessed. */
const struct go_layout *go_layout_find(uint8_t minor);

/* The same for moduledata; also known for versions between two that agree. NULL = unknown. */
const struct go_module_layout *go_layout_find_module(uint8_t minor);

#endif
