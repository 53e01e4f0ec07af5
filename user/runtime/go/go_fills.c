/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Functions of the runtime that touch arrays of containers. An array that lives for less than the time
 * between two looks, as all but the last of a growing map do, is known by them alone.
 */
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_process.h"

/* Beginnings of names; those of internal/runtime/maps are go1.24's Swiss tables. */
static const struct {
	const char *begins;
	enum family family;
} functions[] = {
	{"runtime.mapassign", FAMILY_MAP},
	{"runtime.mapdelete", FAMILY_MAP},
	{"runtime.makemap", FAMILY_MAP},
	{"runtime.hashGrow", FAMILY_MAP},
	{"runtime.growWork", FAMILY_MAP},
	{"runtime.evacuate", FAMILY_MAP},
	{"internal/runtime/maps.", FAMILY_MAP},
	{"runtime.growslice", FAMILY_SLICE},
	{"runtime.makechan", FAMILY_CHANNEL},
	{"runtime.chansend", FAMILY_CHANNEL},
};

enum family go_fills(const char *function)
{
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		if (!strncmp(function, functions[i].begins, strlen(functions[i].begins)))
			return functions[i].family;
	return FAMILY_NONE;
}
