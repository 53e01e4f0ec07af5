/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names: interned strings, and the words for the enums of events and findings. A name comes from the
 * target, so there may be very many and very long ones: both are bounded.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "model/finding.h"
#include "model/private.h"

#define NAME_BYTES 1024

const char *names_get(const struct names *names, uint32_t id)
{
	return id && id < names->count ? names->strings[id] : "";
}

/* Two names with one hash: the second lives at the next free number, which is *ret_hash where none is found. */
static uint32_t look_up(const struct names *names, const char *name, uint64_t *ret_hash)
{
	uint64_t hash, id;

	for (hash = hash_string(0, name); table_get(&names->by_hash, hash, &id); hash++)
		if (!strcmp(names->strings[id], name))
			return (uint32_t)id;
	*ret_hash = hash;
	return 0;
}

uint32_t names_find(const struct names *names, const char *s)
{
	char name[NAME_BYTES];
	uint64_t hash;

	if (!s || !*s)
		return 0;
	text_copy(name, sizeof(name), s);
	return look_up(names, name, &hash);
}

uint32_t names_add(struct names *names, const char *s)
{
	char name[NAME_BYTES];
	uint64_t hash;
	uint32_t id;

	if (!s || !*s)
		return 0;
	text_copy(name, sizeof(name), s);
	id = look_up(names, name, &hash);
	if (id)
		return id;
	if (names->count >= MODEL_MAX_STRINGS)
		return 0;
	if (!names->count) {
		array_reserve(names->strings, names->count, names->cap);
		names->strings[names->count++] = xstrdup("");
	}
	array_reserve(names->strings, names->count, names->cap);
	names->strings[names->count] = xstrdup(name);
	table_set(&names->by_hash, hash, names->count);
	return (uint32_t)names->count++;
}

void names_done(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->strings[i]);
	free(names->strings);
	table_done(&names->by_hash);
}

#define NAME_OF(table, value) ((size_t)(value) < ARRAY_SIZE(table) ? (table)[value] : "")

const char *family_name(enum family family)
{
	static const char *const names[] = {"", "map", "slice", "channel", "buffer", "vector",
		"sync.Map", "allocation", "access", "array"};

	return NAME_OF(names, family);
}

bool family_is_container(enum family family)
{
	return family != FAMILY_NONE && family != FAMILY_ALLOCATION && family != FAMILY_ACCESS;
}

bool family_moves(enum family family)
{
	return family == FAMILY_SLICE || family == FAMILY_BUFFER || family == FAMILY_ARRAY;
}

bool family_tells_length(enum family family)
{
	return family == FAMILY_MAP || family == FAMILY_VECTOR;
}

enum family family_probed_as(enum family family)
{
	switch (family) {
	case FAMILY_BUFFER:
		return FAMILY_SLICE;
	case FAMILY_SYNC_MAP:
		return FAMILY_MAP;
	default:
		return family;
	}
}

const char *wait_name(enum wait wait)
{
	static const char *const names[] = {
		"running", "send", "receive", "select", "lock", "io", "sleep", "runtime"};

	return NAME_OF(names, wait);
}

const char *mapping_name(enum mapping mapping)
{
	static const char *const names[] = {
		"", "file", "shared", "heap", "stack", "runtime", "anonymous"};

	return NAME_OF(names, mapping);
}

const char *memory_call_name(enum memory_call call)
{
	static const char *const names[] = {
		"mmap", "munmap", "mremap", "brk", "mprotect", "madvise"};

	return NAME_OF(names, call);
}

const char *class_name(enum finding_class class)
{
	static const char *const names[] = {"growing", "held", "churn", "one-time"};

	return NAME_OF(names, class);
}

const char *severity_name(enum severity severity)
{
	static const char *const names[] = {"INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"};

	return NAME_OF(names, severity);
}

const char *confidence_name(enum confidence confidence)
{
	static const char *const names[] = {"exact", "estimated", "partial"};

	return NAME_OF(names, confidence);
}
