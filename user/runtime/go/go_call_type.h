/* SPDX-License-Identifier: BSD-2-Clause */
/* The type a piece of code passes to growslice. Parser child only. */
#ifndef MEMTRACE_RUNTIME_GO_CALL_TYPE_H
#define MEMTRACE_RUNTIME_GO_CALL_TYPE_H

#include <stdint.h>

struct go_file;
struct go_type;

/* return_pc: what the call of growslice pushed. -ENOENT where the code does not name a type. */
int go_call_type_find(struct go_file *file, uint64_t return_pc, struct go_type *ret);

#endif
