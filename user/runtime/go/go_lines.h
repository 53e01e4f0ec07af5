/* SPDX-License-Identifier: BSD-2-Clause */
/* Source frames of addresses, from the function table alone. Parser child only. */
#ifndef MEMTRACE_RUNTIME_GO_LINES_H
#define MEMTRACE_RUNTIME_GO_LINES_H

#include <stddef.h>
#include <stdint.h>

struct go_file;
struct parser_frame;

/*
 * The frames of one pc, inlined ones first; at most max. Returns how many; 0 where pc is in no Go
 * function. pc_index of the frames is left to the caller.
 */
size_t go_lines_find(struct go_file *file, uint64_t pc, struct parser_frame *ret, size_t max);

#endif
