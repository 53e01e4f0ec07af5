/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Source frames of addresses by DWARF (2 to 5): an index of our own over libdw, because libdw alone
 * finds one level of inlining and takes milliseconds for it. Parser child only: the data is hostile.
 */
#ifndef MEMTRACE_RUNTIME_DWARF_LINES_H
#define MEMTRACE_RUNTIME_DWARF_LINES_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dwarf_lines;
struct parser_frame;

/*
 * Both handles stay the caller's and must outlive it. -ENODATA where there is no DWARF that libdw can
 * read. Nothing is indexed yet but which unit has which addresses.
 */
int dwarf_lines_open(Dwarf *dwarf, struct dwarf_lines **ret);
void dwarf_lines_close(struct dwarf_lines *lines);

/*
 * The frames of one address as linked, innermost first, all but the last inlined; at most max. The
 * first has the line of the line table, each other one that of the call it is in. Returns how many; 0
 * where no function of the DWARF holds addr, and then ret[0] may still have file and line.
 * pc_index is left to the caller.
 */
size_t dwarf_lines_find(
	struct dwarf_lines *lines, uint64_t addr, struct parser_frame *ret, size_t max);

/* True where some unit keeps its functions in a file of its own (-gsplit-dwarf): lines only there. */
bool dwarf_lines_is_split(const struct dwarf_lines *lines);

#endif
