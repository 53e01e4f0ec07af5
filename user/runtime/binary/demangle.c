/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libiberty does it, through its callback interface: nothing is allocated for the result, and a
 * name that unfolds without end (a short one may mean gigabytes) is left as soon as it has filled the
 * buffer. Its limit of recursion stays on.
 */
#include <setjmp.h>
#include <string.h>

#include <libiberty/demangle.h>
#undef ARRAY_SIZE /* libiberty.h has its own, the same */

#include "base/mem.h"
#include "base/text.h"
#include "runtime/binary/demangle.h"

/* A prefix that only one of the two writes: the library tries no other way then. */
struct mangling {
	const char *prefix;
	int (*demangle)(const char *name, int options, demangle_callbackref callback, void *arg);
};

/* Rust first: its legacy names are valid C++ names, too, with a hash at the end. */
static const struct mangling manglings[] = {
	{"_R", rust_demangle_callback},
	{"_ZN", rust_demangle_callback},
	{"_Z", cplus_demangle_v3_callback},
};

struct output {
	char *buf;
	size_t used, bytes;
	jmp_buf full;
};

static void take(const char *text, size_t length, void *arg)
{
	struct output *out = arg;
	size_t room = out->bytes - 1 - out->used;

	memcpy(out->buf + out->used, text, MIN(length, room));
	out->used += MIN(length, room);
	if (length > room)
		longjmp(out->full, 1);
}

static bool unfold(const struct mangling *mangling, const char *name, struct output *out)
{
	out->used = 0;
	if (setjmp(out->full))
		return true;
	return mangling->demangle(name, DMGL_ANSI, take, out) && out->used;
}

bool demangle_name(const char *name, char *buf, size_t bytes)
{
	struct output out = {.buf = buf, .bytes = bytes};

	text_copy(buf, bytes, name);
	if (strnlen(name, DEMANGLE_MAX_NAME) == DEMANGLE_MAX_NAME)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(manglings); i++) {
		if (strncmp(name, manglings[i].prefix, strlen(manglings[i].prefix)))
			continue;
		if (unfold(&manglings[i], name, &out)) {
			buf[out.used] = 0;
			return true;
		}
	}
	text_copy(buf, bytes, name);
	return false;
}
