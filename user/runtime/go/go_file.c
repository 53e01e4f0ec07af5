/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opens a Go executable: build information, function table, and runtime.firstmoduledata, which says
 * where text, types and data are. Only that struct tells the truth about runtime.text: with cgo it
 * is not the start of .text, and since Go 1.26 the function table's header says 0.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/binary/elf_file.h"
#include "runtime/go/go_dwarf.h"
#include "runtime/go/go_file.h"
#include "runtime/go/go_layout.h"

/* Fields of runtime.moduledata that never moved (1.19 to 1.26). */
enum {
	MODULE_HEADER = 0,
	MODULE_MIN_PC = 160,
	MODULE_MAX_PC = 168,
	MODULE_TEXT = 176,
	MODULE_ETEXT = 184,
	MODULE_DATA = 192, /* noptrdata, enoptrdata, data, edata, bss, ebss, noptrbss, enoptrbss */
	MODULE_BYTES = 384,
};

#define MAX_TYPE_BYTES (64ull << 20)

/* Where linkers put moduledata: .go.module since 1.26, else among the data. */
static const char *const module_sections[] = {".go.module", ".noptrdata", ".data"};

static uint64_t load_u64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* ---- moduledata ---- */

static bool ranges_plausible(const struct go_file *file, const struct go_facts *facts)
{
	const uint64_t ranges[][2] = {
		{facts->noptrdata, facts->enoptrdata},
		{facts->data, facts->edata},
		{facts->bss, facts->ebss},
		{facts->noptrbss, facts->enoptrbss},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (ranges[i][0] > ranges[i][1])
			return false;
		if (ranges[i][0] < ranges[i][1] &&
			!elf_file_is_memory(file->elf, ranges[i][0], ranges[i][1] - ranges[i][0]))
			return false;
	}
	return true;
}

static bool read_module(struct go_file *file, const uint8_t *module, uint64_t vaddr)
{
	uint64_t min_pc = load_u64(module + MODULE_MIN_PC),
		 max_pc = load_u64(module + MODULE_MAX_PC);
	struct go_facts facts = file->facts;
	uint64_t *const fields[] = {&facts.noptrdata, &facts.enoptrdata, &facts.data, &facts.edata,
		&facts.bss, &facts.ebss, &facts.noptrbss, &facts.enoptrbss};
	size_t i;

	facts.moduledata = vaddr;
	facts.text = load_u64(module + MODULE_TEXT);
	facts.etext = load_u64(module + MODULE_ETEXT);
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		*fields[i] = load_u64(module + MODULE_DATA + i * 8);
	if (facts.text > min_pc || min_pc >= max_pc || max_pc > facts.etext ||
		!elf_file_is_code(file->elf, facts.text) || !ranges_plausible(file, &facts))
		return false;
	if (file->table.text && file->table.text != facts.text)
		return false;
	file->facts = facts;
	return true;
}

static void read_types(struct go_file *file, const uint8_t *module)
{
	const struct go_module_layout *layout = &file->module_layout;
	uint64_t start, end;

	if (!file->has_module_layout)
		return;
	start = load_u64(module + layout->types);
	end = load_u64(module + layout->types + 8);
	if (start >= end || end - start > MAX_TYPE_BYTES)
		return;
	file->types = elf_file_bytes(file->elf, start, end - start);
	if (!file->types)
		return;
	file->facts.types = start;
	file->facts.etypes = end;
	file->gofunc = load_u64(module + layout->gofunc);
	file->has_types = true;
}

static bool find_module_in(struct go_file *file, const struct elf_section *section)
{
	const uint8_t *bytes = elf_file_bytes(file->elf, section->addr, section->bytes);
	uint64_t at;

	if (!bytes)
		return false;
	for (at = 0; at + MODULE_BYTES <= section->bytes; at += 8) {
		if (load_u64(bytes + at + MODULE_HEADER) != file->table.vaddr ||
			!read_module(file, bytes + at, section->addr + at))
			continue;
		read_types(file, bytes + at);
		return true;
	}
	return false;
}

static void find_module(struct go_file *file)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(module_sections) && !file->has_module; i++) {
		struct elf_section section;

		if (elf_file_section(file->elf, module_sections[i], &section))
			file->has_module = find_module_in(file, &section);
	}
	if (file->has_module)
		go_pclntab_set_text(&file->table, file->facts.text);
}

/* ---- source root ---- */

/* runtime.main is in ROOT/src/runtime/proc.go, and with -trimpath in runtime/proc.go. */
static void find_source_root(struct go_file *file)
{
	static const char tail[] = "runtime/proc.go";
	struct go_func func;
	const char *path;
	size_t bytes;
	uint32_t line;

	if (!go_pclntab_find_name(&file->table, "runtime.main", &func))
		return;
	go_pclntab_line(&file->table, &func, func.entry, &path, &line);
	bytes = strlen(path);
	if (bytes <= sizeof(tail) - 1 || strcmp(path + bytes - (sizeof(tail) - 1), tail))
		return;
	text_copy(
		file->source_root, MIN(sizeof(file->source_root), bytes - sizeof(tail) + 2), path);
}

/* ---- open ---- */

/* A version or an experiment that no table knows: the binary may say it itself. */
static void take_dwarf(struct go_file *file)
{
	struct go_dwarf dwarf;

	if (go_dwarf_find(file->elf, &dwarf, file->layout_reason))
		return;
	file->facts.layout = dwarf.layout;
	file->facts.layout.slice_length_new = file->build.minor >= 21;
	file->facts.swiss = dwarf.swiss;
	file->module_layout = dwarf.module;
	file->has_layout = file->has_module_layout = true;
}

static void set_version(struct go_file *file)
{
	const struct go_layout *layout = go_layout_find(file->build.minor);
	const struct go_module_layout *module = go_layout_find_module(file->build.minor);

	file->facts.minor = file->build.minor;
	file->facts.swiss = file->build.minor >= 24 && !file->build.no_swiss;
	file->has_layout = layout && !file->build.experiment[0];
	file->has_module_layout = module;
	if (layout)
		file->facts.layout = *layout;
	if (module)
		file->module_layout = *module;
	if (!file->has_layout && file->build.release)
		take_dwarf(file);
	if (file->build.no_green_tea) {
		file->facts.layout.inline_marks = false;
		file->facts.layout.arena_inline_marks = UINT32_MAX;
	}
}

int go_file_open(struct elf_file *elf, struct go_file **ret)
{
	struct go_file *file = xcalloc(1, sizeof(*file));
	int build_err, table_err, err;

	file->elf = elf;
	build_err = go_build_read(elf, &file->build);
	table_err = go_pclntab_open(elf, &file->table);
	err = build_err && table_err == -ENOENT ? -ENOENT : 0;
	if (!err && table_err == -EBADMSG)
		err = -EBADMSG;
	if (err)
		goto out;
	set_version(file);
	file->has_table = !table_err;
	if (file->has_table)
		find_module(file);
	if (file->has_module)
		find_source_root(file);
out:
	if (err)
		go_file_close(file);
	else
		*ret = file;
	return err;
}

void go_file_close(struct go_file *file)
{
	if (!file)
		return;
	go_build_done(&file->build);
	go_pclntab_done(&file->table);
	free(file);
}
