/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds glibc's realloc, in its library or where it was linked in. Parser child only. */
#ifndef MEMTRACE_RUNTIME_C_IDENTIFY_H
#define MEMTRACE_RUNTIME_C_IDENTIFY_H

#include <stdbool.h>

struct elf_file;
struct runtime_file;

#define C_FLOOR_BYTES (4u << 10) /* smaller new sizes are not looked at */

/* Rows of the probes. Values: bytes asked for, old address, size of the old chunk. */
enum c_probe {
	C_PROBE_HEAP, /* behind a call of _int_realloc, addr = its result; NULL: failed */
	C_PROBE_MAPPED, /* behind the call of mremap, addr = its result: the chunk, 16 before the block */
	C_PROBE_SIZE, /* at a call of _int_realloc behind which the size is not known; no result yet */
	C_PROBE_RESULT, /* behind that: all but the size */
};

/* As struct runtime's. */
bool c_wants(const char *file_name);
int c_identify(struct elf_file *elf, struct runtime_file *ret);

#endif
