/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C++ with libstdc++, libc++, abseil and Boost: the runtime's row. Containers are learned from their growth, there is no list of them
 * and no collector that would tell which are alive.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/cxx/cxx_hash.h"
#include "runtime/cxx/cxx_identify.h"
#include "runtime/cxx/cxx_name.h"
#include "runtime/cxx/cxx_vector.h"
#include "runtime/look_each.h"
#include "runtime/runtime.h"

static bool wants(const char *file_name)
{
	static const char *const names[] = {"libstdc++.so.", "libc++.so."};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strncmp(file_name, names[i], strlen(names[i])))
			return true;
	return false;
}

static int process_open(const struct runtime_file *file, struct target_mem *mem,
	struct parser *parser, uint32_t file_id, uint64_t slide, struct runtime_process **ret,
	char reason[160])
{
	struct runtime_process *process = xcalloc(1, sizeof(*process));

	(void)parser;
	(void)file_id;
	(void)reason;
	process->mem = mem;
	process->file = file;
	process->facts = file->cxx;
	process->slide = slide;
	*ret = process;
	return 0;
}

static void process_close(struct runtime_process *process)
{
	free(process);
}

/* The address of the probe is the number of the type: of most it knows the template arguments. */
static int decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret, uint64_t *ret_type)
{
	*ret_type = probe->vaddr;
	return cxx_hash_is(probe) ? cxx_hash_decode(process, probe, record, ret)
				  : cxx_vector_decode(process, probe, record, ret);
}

/* Where there is no copy of the stack: the library's code has no name to tell it from the user's. */
static size_t place(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, uint64_t ret[RUNTIME_PLACE_PCS])
{
	return probe->attachment.flags & MT_ATTACH_STACK ? 0 : cxx_hash_place(process, record, ret);
}

static const struct runtime_probe *probe_of_type(
	const struct runtime_process *process, uint64_t type)
{
	for (uint32_t i = 0; i < process->file->probe_count; i++)
		if (process->file->probes[i].vaddr == type)
			return &process->file->probes[i];
	return NULL;
}

static void type_name(struct runtime_process *process, uint64_t type, char *buf, size_t bytes)
{
	const struct runtime_probe *probe = probe_of_type(process, type);

	text_copy(buf, bytes, probe ? probe->type : "");
}

static void look_at(struct runtime_process *process, uint64_t type, enum family family,
	uint64_t key, uint64_t length_peak, bool deep, struct event_look *ret)
{
	const struct runtime_probe *probe = probe_of_type(process, type);

	if (!probe)
		*ret = (struct event_look){.family = family, .key = key, .liveness = LIVENESS_DEAD};
	else if (cxx_hash_is(probe))
		cxx_hash_look(process, probe, key, length_peak, deep, ret);
	else
		cxx_vector_look(process, probe, key, length_peak, deep, ret);
}

static int look(struct runtime_process *process, enum family family, const uint64_t *keys,
	const uint64_t *types, const uint64_t *length_peaks, size_t count, bool deep,
	struct event_look *ret)
{
	return look_each(look_at, process, family, keys, types, length_peaks, count, deep, ret);
}

const struct runtime runtime_cxx = {
	.name = "c++",
	.wants = wants,
	.identify = cxx_identify,
	.process_open = process_open,
	.process_close = process_close,
	.decode = decode,
	.place = place,
	.type_of_function = cxx_name_container,
	.type_name = type_name,
	.look = look,
};
