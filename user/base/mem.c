/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p)
{
	if (!p) {
		fputs("memtrace: out of memory\n", stderr);
		_Exit(125);
	}
	return p;
}

void *xcalloc(size_t count, size_t bytes)
{
	return checked(calloc(count ? count : 1, bytes ? bytes : 1));
}

void *xreallocarray(void *old, size_t count, size_t bytes)
{
	return checked(reallocarray(old, count ? count : 1, bytes ? bytes : 1));
}

char *xstrdup(const char *s)
{
	return checked(strdup(s));
}
