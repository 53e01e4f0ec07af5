/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/go/go_code.h"

#include <errno.h>

#include "runtime/binary/elf_file.h"
#include "runtime/go/go_file.h"

#define MAX_FUNC_BYTES (4u << 20)

/* The gap up to the next function is filled with int3, which decodes. */
int go_code_open_func(struct go_file *file, const struct go_func *func, struct code *ret)
{
	uint64_t bytes = func->end - func->entry;
	const uint8_t *code_bytes;
	struct code code;
	int err;

	if (bytes > MAX_FUNC_BYTES)
		return -EBADMSG;
	code_bytes = elf_file_bytes(file->elf, func->entry, bytes);
	if (!code_bytes || !elf_file_is_code(file->elf, func->entry))
		return -EBADMSG;
	err = code_decode(code_bytes, bytes, func->entry, 0, &code);
	if (err)
		return err;
	if (code_end(&code) != func->end) {
		code_close(&code);
		return -EBADMSG;
	}
	*ret = code;
	return 0;
}

int go_code_open(struct go_file *file, const char *name, struct code *ret)
{
	struct go_func func;

	if (!file->has_module || !go_pclntab_find_name(&file->table, name, &func))
		return -ENOENT;
	return go_code_open_func(file, &func, ret);
}
