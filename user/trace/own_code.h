/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code of our own to try probes on: two functions whose first instructions are known, and where
 * they lie in our executable.
 */
#ifndef MEMTRACE_TRACE_OWN_CODE_H
#define MEMTRACE_TRACE_OWN_CODE_H

#include <stddef.h>
#include <stdint.h>

/* Starts with `push %rbp`, which the kernel emulates; with `mov %rsp,%rax`, which is single-stepped. */
void own_code_push(void);
void own_code_mov(void);

/* Calls function so many times, below depth more frames with frame pointers. */
void own_code_call(void (*function)(void), size_t times, size_t depth);

/* File offset of function in /proc/self/exe. -ENOENT where it is not mapped from there. */
int own_code_offset(void (*function)(void), uint64_t *ret);

#endif
