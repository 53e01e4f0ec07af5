/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files of one cgroup. They are small, and each is read at once: what one says of the other's moment is
 * off by microseconds.
 */
#include "target/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FILE_BYTES     8192
#define NO_LIMIT_BYTES (1ull << 62) /* version 1 writes a number near 2^63 */

/* Names of the same things. */
struct names {
	const char *usage, *inactive, *limit, *high, *events, *pressure;
};

static const struct names names_v1 = {"memory.usage_in_bytes", "total_inactive_file",
	"memory.limit_in_bytes", NULL, "memory.oom_control", NULL};
static const struct names names_v2 = {"memory.current", "inactive_file", "memory.max",
	"memory.high", "memory.events", "memory.pressure"};

static int read_file(const char *directory, const char *name, char buf[FILE_BYTES])
{
	char path[2048];
	size_t bytes;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "re");
	if (!file)
		return -ENOENT;
	bytes = fread(buf, 1, FILE_BYTES - 1, file);
	fclose(file);
	buf[bytes] = 0;
	return 0;
}

/* "max" and numbers that mean it are 0. */
static uint64_t read_number(const char *directory, const char *name)
{
	char text[FILE_BYTES];
	uint64_t number;

	if (!name || read_file(directory, name, text))
		return 0;
	number = strtoull(text, NULL, 10);
	return number < NO_LIMIT_BYTES ? number : 0;
}

/* The number behind a word at the beginning of a line, or behind "word=" within one; 0 = none. */
static uint64_t find_number(const char *text, const char *line, const char *key)
{
	size_t length = strlen(line);

	for (; text; text = strchr(text, '\n'), text += text != NULL) {
		const char *end = strchrnul(text, '\n'), *at;

		if (strncmp(text, line, length) != 0 || text[length] != ' ')
			continue;
		at = key ? strstr(text, key) : text + length;
		return at && at < end ? strtoull(at + (key ? strlen(key) : 0), NULL, 10) : 0;
	}
	return 0;
}

int cgroup_read_memory(const char *directory, bool unified, struct cgroup_memory *ret)
{
	const struct names *names = unified ? &names_v2 : &names_v1;
	char text[FILE_BYTES];

	if (!*directory || read_file(directory, names->usage, text))
		return -ENOENT;
	*ret = (struct cgroup_memory){.usage_bytes = strtoull(text, NULL, 10)};
	if (!read_file(directory, "memory.stat", text))
		ret->inactive_file_bytes = find_number(text, names->inactive, NULL);
	ret->limit_bytes = read_number(directory, names->limit);
	ret->high_bytes = read_number(directory, names->high);
	if (!read_file(directory, names->events, text))
		ret->oom_kills = find_number(text, "oom_kill", NULL);
	if (names->pressure && !read_file(directory, names->pressure, text)) {
		ret->has_pressure = true;
		ret->some_us = find_number(text, "some", "total=");
		ret->full_us = find_number(text, "full", "total=");
	}
	return 0;
}
