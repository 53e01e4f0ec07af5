/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules of unwinding from a file's .eh_frame (else .debug_frame). Parser child only. */
#ifndef MEMTRACE_RUNTIME_CALL_FRAMES_H
#define MEMTRACE_RUNTIME_CALL_FRAMES_H

#include <elfutils/libdw.h>
#include <stdint.h>

#include "runtime/binary/unwind.h"

/* The rule for an address as linked. -ENOENT where there is none, -ENOTSUP where it is no fixed one. */
int call_frames_find(Dwarf_CFI *frames, uint64_t addr, struct unwind_rule *ret);

#endif
