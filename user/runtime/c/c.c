/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C: the runtime's row. What grows is a block of malloc; whose it is tells the function that had realloc
 * called, where that is one of a library we know.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/c/c_arrays.h"
#include "runtime/c/c_identify.h"
#include "runtime/look_each.h"
#include "runtime/runtime.h"

static int process_open(const struct runtime_file *file, struct target_mem *mem,
	struct parser *parser, uint32_t file_id, uint64_t slide, struct runtime_process **ret,
	char reason[160])
{
	struct runtime_process *process = xcalloc(1, sizeof(*process));

	(void)file;
	(void)parser;
	(void)file_id;
	(void)slide;
	(void)reason;
	process->mem = mem;
	*ret = process;
	return 0;
}

static void process_close(struct runtime_process *process)
{
	free(process);
}

/* A block has no type. */
static void type_name(struct runtime_process *process, uint64_t type, char *buf, size_t bytes)
{
	(void)process;
	(void)type;
	text_copy(buf, bytes, "");
}

/* GLib: glib/garray.c, gstring.c, ghash.c. CPython: Objects/listobject.c */
static bool type_of_function(const char *function, char *buf, size_t bytes)
{
	static const struct {
		const char *prefix, *type;
	} known[] = {{"list_resize", "list"}, {"PyList_", "list"}, {"_PyList_", "list"},
		{"g_array_", "GArray"}, {"g_ptr_array_", "GPtrArray"}, {"g_byte_array_", "GArray"},
		{"g_string_", "GString"}, {"g_hash_table_", "GHashTable"}};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strncmp(function, known[i].prefix, strlen(known[i].prefix))) {
			text_copy(buf, bytes, known[i].type);
			return true;
		}
	return false;
}

static void look_at(struct runtime_process *process, uint64_t type, enum family family,
	uint64_t key, uint64_t length_peak, bool deep, struct event_look *ret)
{
	(void)family;
	(void)length_peak;
	c_arrays_look(process, key, type, deep, ret);
}

static int look(struct runtime_process *process, enum family family, const uint64_t *keys,
	const uint64_t *types, const uint64_t *length_peaks, size_t count, bool deep,
	struct event_look *ret)
{
	return look_each(look_at, process, family, keys, types, length_peaks, count, deep, ret);
}

const struct runtime runtime_c = {
	.name = "c",
	.sees_malloc = true,
	.wants = c_wants,
	.identify = c_identify,
	.process_open = process_open,
	.process_close = process_close,
	.decode = c_arrays_decode,
	.type_of_function = type_of_function,
	.type_name = type_name,
	.look = look,
};
