/* SPDX-License-Identifier: BSD-2-Clause */
/* Allocation that does not fail: exit of memtrace detaches everything, so dying is safe. */
#ifndef MEMTRACE_BASE_MEM_H
#define MEMTRACE_BASE_MEM_H

#include <stddef.h>

void *xcalloc(size_t count, size_t bytes);
void *xreallocarray(void *old, size_t count, size_t bytes);
char *xstrdup(const char *s);

/* Makes room for one more element of *array (amortised doubling). */
#define array_reserve(array, count, cap)                                                           \
	do {                                                                                       \
		if ((count) >= (cap)) {                                                            \
			(cap) = (cap) ? (cap)*2 : 16;                                              \
			(array) = xreallocarray((array), (cap), sizeof(*(array)));                 \
		}                                                                                  \
	} while (0)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
