/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MEMTRACE_RUNTIME_RESIDENT_H
#define MEMTRACE_RUNTIME_RESIDENT_H

#include <stdint.h>

struct target_mem;

/* Bytes of [addr, addr + bytes) that lie in pages that are present; 0 where nobody can say. */
uint64_t resident_bytes(struct target_mem *mem, uint64_t addr, uint64_t bytes);

#endif
