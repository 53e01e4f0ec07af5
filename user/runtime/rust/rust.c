/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rust: the runtime's row. Containers are learned from their growth, there is no list of them and no collector
 * that would tell which are alive.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "runtime/look_each.h"
#include "runtime/runtime.h"
#include "runtime/rust/rust_containers.h"
#include "runtime/rust/rust_identify.h"

static int process_open(const struct runtime_file *file, struct target_mem *mem,
	struct parser *parser, uint32_t file_id, uint64_t slide, struct runtime_process **ret,
	char reason[160])
{
	struct runtime_process *process = xcalloc(1, sizeof(*process));

	(void)parser;
	(void)file_id;
	(void)slide;
	(void)reason;
	process->mem = mem;
	process->file = file;
	*ret = process;
	return 0;
}

static void process_close(struct runtime_process *process)
{
	free(process);
}

static int look(struct runtime_process *process, enum family family, const uint64_t *keys,
	const uint64_t *types, const uint64_t *length_peaks, size_t count, bool deep,
	struct event_look *ret)
{
	return look_each(rust_look, process, family, keys, types, length_peaks, count, deep, ret);
}

const struct runtime runtime_rust = {
	.name = "rust",
	.covers_malloc = true,
	.identify = rust_identify,
	.process_open = process_open,
	.process_close = process_close,
	.decode = rust_decode,
	.type_name = rust_type_name,
	.look = look,
};
