/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Source frames of any ELF file: by its DWARF or that of its debug file, else by the names of its
 * symbol tables. Parser child only. Debug files are found and opened by the tracer; here it is only
 * checked that they belong to the file.
 *
 * Files are mapped: DWARF is large, little of it is needed, and what is mapped the kernel may take
 * back. A file that is cut short meanwhile costs the child its life, which the tracer is ready for.
 */
#ifndef MEMTRACE_RUNTIME_NATIVE_LINES_H
#define MEMTRACE_RUNTIME_NATIVE_LINES_H

#include <stddef.h>
#include <stdint.h>

struct function_symbols;
struct native_lines;
struct parser_debug;
struct parser_frame;
struct unwind_rule;

/* fd stays the caller's and must stay open. -ENOEXEC where it is no ELF file. */
int native_lines_open(int fd, struct native_lines **ret);
void native_lines_close(struct native_lines *lines);

/* What is there, and what could be added to it. */
void native_lines_describe(const struct native_lines *lines, struct parser_debug *ret);

/*
 * Adds the file with the debug information that was stripped from this one; fd as above. -ESTALE where
 * it belongs to another file, -ENOEXEC, -EEXIST where there is one already.
 */
int native_lines_add_debug(struct native_lines *lines, int fd);

/* Names of functions, those of the file with the debug information among them. */
const struct function_symbols *native_lines_names(const struct native_lines *lines);

/* Adds the file that several debug files share (dwz -m). Errors as above; -ENOENT: none is wanted. */
int native_lines_add_shared(struct native_lines *lines, int fd);

/*
 * The frames of an address as linked, innermost first, all but the last inlined; at most max. Returns
 * how many; 0 where no function holds it. pc_index is left to the caller.
 */
size_t native_lines_find(
	struct native_lines *lines, uint64_t addr, struct parser_frame *ret, size_t max);

/* How to step to the caller from an address as linked: -ENOENT, -ENOTSUP (call_frames.h). */
int native_lines_find_rule(struct native_lines *lines, uint64_t addr, struct unwind_rule *ret);

#endif
