/* SPDX-License-Identifier: BSD-2-Clause */
/* The section says nothing of its size: room is doubled until it fits or is absurd. */
#include "runtime/binary/mini_debug.h"

#include <gelf.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAX_BYTES     (32u << 20)
#define MAX_WORKSPACE (64u << 20)

struct mini_debug {
	Elf *elf;
	uint8_t *bytes;
};

static Elf_Data *find_section(Elf *elf)
{
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return NULL;
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		const char *name;

		if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
			continue;
		name = elf_strptr(elf, names, header.sh_name);
		if (name && !strcmp(name, ".gnu_debugdata"))
			return elf_rawdata(section, NULL);
	}
	return NULL;
}

/* NULL where it is not xz or too large. */
static uint8_t *inflate(const Elf_Data *data, size_t *ret_bytes)
{
	lzma_ret status = LZMA_BUF_ERROR;
	uint8_t *bytes = NULL;

	for (size_t room = data->d_size * 4; status == LZMA_BUF_ERROR && room <= MAX_BYTES;
		room *= 2) {
		uint64_t workspace = MAX_WORKSPACE;
		size_t in = 0, out = 0;

		bytes = xreallocarray(bytes, room, 1);
		status = lzma_stream_buffer_decode(
			&workspace, 0, NULL, data->d_buf, &in, data->d_size, bytes, &out, room);
		*ret_bytes = out;
	}
	if (status == LZMA_OK)
		return bytes;
	free(bytes);
	return NULL;
}

struct mini_debug *mini_debug_open(Elf *elf)
{
	Elf_Data *data = find_section(elf);
	struct mini_debug *mini;
	uint8_t *bytes;
	size_t count;

	if (!data || !data->d_buf || !data->d_size)
		return NULL;
	bytes = inflate(data, &count);
	if (!bytes)
		return NULL;
	mini = xcalloc(1, sizeof(*mini));
	mini->bytes = bytes;
	mini->elf = elf_memory((char *)bytes, count);
	if (mini->elf)
		return mini;
	mini_debug_close(mini);
	return NULL;
}

void mini_debug_close(struct mini_debug *mini)
{
	if (!mini)
		return;
	elf_end(mini->elf);
	free(mini->bytes);
	free(mini);
}

Elf *mini_debug_elf(const struct mini_debug *mini)
{
	return mini->elf;
}
