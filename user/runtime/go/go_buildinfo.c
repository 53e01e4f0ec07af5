/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The .go.buildinfo section, as debug/buildinfo of Go 1.18+ reads it: a 16-byte magic line, 16
 * bytes of zeros, then two varint-length strings: the version and the module information, which
 * stands between two 16-byte sentinels. Experiments (GOEXPERIMENT) are part of the version:
 * " X:a,b", since 1.26 "-X:a,b".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/binary/elf_file.h"
#include "runtime/go/go_buildinfo.h"

#define MAGIC             "\xff Go buildinf:"
#define MAGIC_BYTES       14
#define FLAGS_OFFSET      15
#define FLAG_INLINE       2
#define STRINGS_OFFSET    32
#define SENTINEL_BYTES    16
#define MAX_VERSION_BYTES 256
#define MAX_MODULE_BYTES  (4 << 20)
#define MAX_MODULES       4096

/* Experiments that leave every struct in go_layout.c as it is. */
static const char *const harmless_experiments[] = {
	"noswissmap",
	"nogreenteagc",
	"loopvar",
	"rangefunc",
	"coverageredesign",
	"nocoverageredesign",
	"aliastypeparams",
	"noaliastypeparams",
	"boringcrypto",
	"jsonv2",
	"synctest",
	"regabiwrappers",
	"regabiargs",
	"strictfipsruntime",
};

static bool read_string(const uint8_t *bytes, size_t count, size_t *at, size_t max,
	const char **ret, size_t *ret_bytes)
{
	uint64_t length = 0;
	unsigned int shift = 0;

	do {
		if (*at >= count || shift > 28)
			return false;
		length |= (uint64_t)(bytes[*at] & 0x7f) << shift;
		shift += 7;
	} while (bytes[(*at)++] & 0x80);
	if (length > max || length > count - *at)
		return false;
	*ret = (const char *)bytes + *at;
	*ret_bytes = length;
	*at += length;
	return true;
}

static bool is_name(const char *text, size_t bytes, const char *name)
{
	return bytes == strlen(name) && !memcmp(text, name, bytes);
}

static bool is_harmless(const char *name, size_t bytes)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(harmless_experiments); i++)
		if (is_name(name, bytes, harmless_experiments[i]))
			return true;
	return false;
}

static void read_experiments(struct go_build *build)
{
	const char *at = strstr(build->version, "X:");

	if (!at)
		return;
	at += 2;
	while (*at) {
		size_t bytes = strcspn(at, ", ");

		if (is_name(at, bytes, "noswissmap"))
			build->no_swiss = true;
		if (is_name(at, bytes, "nogreenteagc"))
			build->no_green_tea = true;
		if (bytes && !is_harmless(at, bytes) && !build->experiment[0])
			text_copy(build->experiment, MIN(sizeof(build->experiment), bytes + 1), at);
		at += bytes;
		at += strspn(at, ", ");
	}
}

static void read_version(struct go_build *build, const char *version, size_t bytes)
{
	const char *at;
	unsigned long minor;
	char *end;

	text_copy(build->version, MIN(sizeof(build->version), bytes + 1), version);
	build->release = !strncmp(build->version, "go1.", 4);
	at = strstr(build->version, "go1.");
	if (!at)
		return;
	minor = strtoul(at + 4, &end, 10);
	if (end == at + 4 || minor > 255)
		return;
	build->minor = minor;
	read_experiments(build);
}

/* Lines "mod\tPATH\tVERSION.." and "dep\tPATH\t..". */
static void add_module(struct go_build *build, size_t *capacity, const char *line, size_t bytes)
{
	const char *path = line + 4, *end;
	char *copy;

	if (bytes < 5 || (memcmp(line, "mod\t", 4) && memcmp(line, "dep\t", 4)) ||
		build->module_count == MAX_MODULES)
		return;
	end = memchr(path, '\t', bytes - 4);
	if (!end)
		end = line + bytes;
	copy = xcalloc(1, end - path + 1);
	memcpy(copy, path, end - path);
	array_reserve(build->modules, build->module_count, *capacity);
	build->modules[build->module_count++] = copy;
}

static void read_modules(struct go_build *build, const char *text, size_t bytes)
{
	const char *end = text + bytes - SENTINEL_BYTES;
	size_t capacity = 0;

	if (bytes < 2 * SENTINEL_BYTES)
		return;
	text += SENTINEL_BYTES;
	while (text < end) {
		const char *line_end = memchr(text, '\n', end - text);

		if (!line_end)
			line_end = end;
		add_module(build, &capacity, text, line_end - text);
		text = line_end + 1;
	}
}

int go_build_read(struct elf_file *elf, struct go_build *ret)
{
	size_t bytes, at = STRINGS_OFFSET, text_bytes;
	const uint8_t *info = elf_file_section_bytes(elf, ".go.buildinfo", &bytes);
	const char *text;

	if (!info || bytes < STRINGS_OFFSET || memcmp(info, MAGIC, MAGIC_BYTES) ||
		!(info[FLAGS_OFFSET] & FLAG_INLINE))
		return -ENOENT;
	if (!read_string(info, bytes, &at, MAX_VERSION_BYTES, &text, &text_bytes))
		return -ENOENT;
	*ret = (struct go_build){0};
	read_version(ret, text, text_bytes);
	if (read_string(info, bytes, &at, MAX_MODULE_BYTES, &text, &text_bytes))
		read_modules(ret, text, text_bytes);
	return 0;
}

void go_build_done(struct go_build *build)
{
	size_t i;

	for (i = 0; i < build->module_count; i++)
		free(build->modules[i]);
	free(build->modules);
	*build = (struct go_build){0};
}
