/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding a sink by its name, by a file's extension, or by number. */
#include "sink/sink.h"

#include <string.h>

#include "base/mem.h"
#include "sink/list.h"

const struct sink *sink_get(size_t i)
{
	return i < ARRAY_SIZE(sinks) ? sinks[i] : NULL;
}

const struct sink *sink_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(sinks); i++)
		if (!strcmp(sinks[i]->name, name))
			return sinks[i];
	return NULL;
}

const struct sink *sink_find_by_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t length = strlen(base);

	for (size_t i = 0; i < ARRAY_SIZE(sinks); i++) {
		size_t end = strlen(sinks[i]->extension);

		/* A name that is nothing but an extension has none. */
		if (length > end && !strcmp(base + length - end, sinks[i]->extension))
			return sinks[i];
	}
	return NULL;
}
