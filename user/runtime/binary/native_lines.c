/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file itself, its debug file and the shared one are three libelf handles. Functions come from the
 * symbol tables of the first two and of .gnu_debugdata, lines from whichever of them has DWARF.
 * libdw inflates compressed sections as a whole: files whose sections would not fit are not opened.
 */
#include "runtime/binary/native_lines.h"

#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/binary/call_frames.h"
#include "runtime/binary/demangle.h"
#include "runtime/binary/dwarf_lines.h"
#include "runtime/binary/function_symbols.h"
#include "runtime/library_code.h"
#include "runtime/binary/mini_debug.h"
#include "runtime/parser.h"

#define MAX_INFLATED_BYTES (64ull << 20)
#define COMPRESSED_ZSTD    2 /* ELFCOMPRESS_ZSTD, younger than some <elf.h> */

struct native_lines {
	Elf *elf, *debug_elf, *shared_elf;
	Dwarf *dwarf, *shared_dwarf;
	struct dwarf_lines *lines;
	Dwarf_CFI *call_frames;
	struct mini_debug *mini;
	struct function_symbols symbols;
	char note[PARSER_NOTE_BYTES];
};

/* ---- DWARF of one handle ---- */

struct dwarf_size {
	bool found, zstd;
	uint64_t inflated_bytes;
};

static struct dwarf_size measure_dwarf(Elf *elf)
{
	struct dwarf_size size = {0};
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return size;
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		GElf_Chdr compression;
		const char *name;

		if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
			continue;
		name = elf_strptr(elf, names, header.sh_name);
		if (!name || (strncmp(name, ".debug_", 7) && strncmp(name, ".zdebug_", 8)))
			continue;
		size.found |= !strcmp(name, ".debug_info") || !strcmp(name, ".zdebug_info");
		if (name[1] == 'z') /* its size is inside; it hardly ever shrinks to a fifth */
			size.inflated_bytes += header.sh_size * 5;
		if (!(header.sh_flags & SHF_COMPRESSED) || !gelf_getchdr(section, &compression))
			continue;
		size.zstd |= compression.ch_type == COMPRESSED_ZSTD;
		size.inflated_bytes += MIN(compression.ch_size, 1ull << 40);
	}
	return size;
}

static void open_dwarf(struct native_lines *lines, Elf *elf)
{
	struct dwarf_size size = measure_dwarf(elf);

	if (!size.found)
		return;
	if (size.inflated_bytes > MAX_INFLATED_BYTES) {
		snprintf(lines->note, sizeof(lines->note),
			"its debug information is compressed and %llu MiB in full: functions only",
			(unsigned long long)(size.inflated_bytes >> 20));
		return;
	}
	lines->dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	if (!lines->dwarf) {
		snprintf(lines->note, sizeof(lines->note), "its debug information %s",
			size.zstd ? "is compressed with zstd, which this libdw cannot read"
				  : "cannot be read");
		return;
	}
	if (dwarf_lines_open(lines->dwarf, &lines->lines) < 0) {
		dwarf_end(lines->dwarf);
		lines->dwarf = NULL;
		text_copy(lines->note, sizeof(lines->note), "its debug information has no units");
		return;
	}
	text_copy(lines->note, sizeof(lines->note),
		dwarf_lines_is_split(lines->lines)
			? "its functions are in .dwo files (-gsplit-dwarf): no inlined calls"
			: "");
}

/* ---- files that belong to one another ---- */

static Elf *open_elf(int fd)
{
	Elf *elf = elf_version(EV_CURRENT) == EV_NONE ? NULL : elf_begin(fd, ELF_C_READ_MMAP, NULL);

	if (elf && elf_kind(elf) == ELF_K_ELF && gelf_getclass(elf) == ELFCLASS64)
		return elf;
	elf_end(elf);
	return NULL;
}

static int read_crc(int fd, uint32_t *ret)
{
	uint8_t buf[65536];
	uint32_t crc = 0;
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, buf, sizeof(buf), at)) > 0) {
		crc = crc32(crc, buf, (uInt)n);
		at += n;
	}
	*ret = crc;
	return n < 0 ? -errno : 0;
}

/* Build-ids decide; where one of the two has none, the checksum of the debug link does. */
static bool belongs_to(Elf *elf, Elf *debug, int debug_fd)
{
	const void *id, *debug_id;
	ssize_t bytes = dwelf_elf_gnu_build_id(elf, &id);
	ssize_t debug_bytes = dwelf_elf_gnu_build_id(debug, &debug_id);
	GElf_Word wanted;
	uint32_t crc;

	if (bytes > 0 && debug_bytes > 0)
		return bytes == debug_bytes && !memcmp(id, debug_id, bytes);
	return dwelf_elf_gnu_debuglink(elf, &wanted) && !read_crc(debug_fd, &crc) && crc == wanted;
}

int native_lines_add_debug(struct native_lines *lines, int fd)
{
	Elf *elf;

	if (lines->debug_elf)
		return -EEXIST;
	elf = open_elf(fd);
	if (!elf)
		return -ENOEXEC;
	if (!belongs_to(lines->elf, elf, fd)) {
		elf_end(elf);
		return -ESTALE;
	}
	lines->debug_elf = elf;
	function_symbols_add(&lines->symbols, elf);
	if (!lines->dwarf)
		open_dwarf(lines, elf);
	return 0;
}

const struct function_symbols *native_lines_names(const struct native_lines *lines)
{
	return &lines->symbols;
}

int native_lines_add_shared(struct native_lines *lines, int fd)
{
	const void *wanted, *id;
	const char *name;
	ssize_t bytes;

	if (lines->shared_elf)
		return -EEXIST;
	bytes = lines->dwarf ? dwelf_dwarf_gnu_debugaltlink(lines->dwarf, &name, &wanted) : 0;
	if (bytes <= 0)
		return -ENOENT;
	lines->shared_elf = open_elf(fd);
	if (!lines->shared_elf)
		return -ENOEXEC;
	if (dwelf_elf_gnu_build_id(lines->shared_elf, &id) == bytes && !memcmp(id, wanted, bytes) &&
		measure_dwarf(lines->shared_elf).inflated_bytes <= MAX_INFLATED_BYTES)
		lines->shared_dwarf = dwarf_begin_elf(lines->shared_elf, DWARF_C_READ, NULL);
	if (!lines->shared_dwarf) {
		elf_end(lines->shared_elf);
		lines->shared_elf = NULL;
		return -ESTALE;
	}
	dwarf_setalt(lines->dwarf, lines->shared_dwarf);
	return 0;
}

/* ---- describing ---- */

static void format_build_id(char *ret, size_t bytes, const uint8_t *id, ssize_t count)
{
	for (ssize_t i = 0; i < count && 2 * (size_t)i + 2 < bytes; i++)
		sprintf(ret + 2 * i, "%02x", id[i]);
}

void native_lines_describe(const struct native_lines *lines, struct parser_debug *ret)
{
	const void *id = NULL;
	const char *name;
	GElf_Word crc;
	ssize_t bytes;

	*ret = (struct parser_debug){.has_lines = lines->dwarf != NULL};
	bytes = dwelf_elf_gnu_build_id(lines->elf, &id);
	format_build_id(ret->build_id, sizeof(ret->build_id), id, bytes);
	text_copy(ret->note, sizeof(ret->note), lines->note);
	name = dwelf_elf_gnu_debuglink(lines->elf, &crc);
	text_copy(ret->link, sizeof(ret->link), name ? name : "");
	if (!lines->dwarf)
		return;
	bytes = dwelf_dwarf_gnu_debugaltlink(lines->dwarf, &name, &id);
	if (bytes <= 0 || lines->shared_elf)
		return;
	text_copy(ret->shared_link, sizeof(ret->shared_link), name);
	format_build_id(ret->shared_build_id, sizeof(ret->shared_build_id), id, bytes);
}

/* ---- frames ---- */

/* Of a method of a local class DWARF says "operator()"; its symbol says whose. */
static void name_by_symbol(
	struct native_lines *lines, uint64_t addr, struct parser_frame *frame, bool mangled_only)
{
	const struct function_symbol *symbol = function_symbols_find(&lines->symbols, addr);
	char name[PARSER_FUNCTION_BYTES];

	if (!symbol || (!demangle_name(symbol->name, name, sizeof(name)) && mangled_only))
		return;
	text_copy(frame->function, sizeof(frame->function), name);
	frame->internal = library_code_function(frame->function, frame->file);
}

size_t native_lines_find(
	struct native_lines *lines, uint64_t addr, struct parser_frame *ret, size_t max)
{
	size_t count;

	if (!max)
		return 0;
	ret[0] = (struct parser_frame){0};
	count = lines->lines ? dwarf_lines_find(lines->lines, addr, ret, max) : 0;
	if (!count) {
		name_by_symbol(lines, addr, &ret[0], false);
		return ret[0].function[0] || ret[0].line ? 1 : 0;
	}
	if (!ret[count - 1].inlined && !strchr(ret[count - 1].function, ':'))
		name_by_symbol(lines, addr, &ret[count - 1], true);
	return count;
}

/* ---- unwinding ---- */

int native_lines_find_rule(struct native_lines *lines, uint64_t addr, struct unwind_rule *ret)
{
	int err;

	if (!lines->call_frames)
		lines->call_frames = dwarf_getcfi_elf(lines->elf);
	err = call_frames_find(lines->call_frames, addr, ret);
	if (err == -ENOENT && lines->dwarf)
		err = call_frames_find(dwarf_getcfi(lines->dwarf), addr, ret);
	return err;
}

/* ---- open, close ---- */

static void add_mini_debug(struct native_lines *lines)
{
	lines->mini = mini_debug_open(lines->elf);
	if (lines->mini)
		function_symbols_add(&lines->symbols, mini_debug_elf(lines->mini));
}

int native_lines_open(int fd, struct native_lines **ret)
{
	Elf *elf = open_elf(fd);
	struct native_lines *lines;

	if (!elf)
		return -ENOEXEC;
	lines = xcalloc(1, sizeof(*lines));
	lines->elf = elf;
	function_symbols_add(&lines->symbols, elf);
	add_mini_debug(lines);
	open_dwarf(lines, elf);
	*ret = lines;
	return 0;
}

void native_lines_close(struct native_lines *lines)
{
	if (!lines)
		return;
	if (lines->call_frames)
		dwarf_cfi_end(lines->call_frames);
	dwarf_lines_close(lines->lines);
	dwarf_end(lines->dwarf);
	dwarf_end(lines->shared_dwarf);
	function_symbols_done(&lines->symbols);
	mini_debug_close(lines->mini);
	elf_end(lines->shared_elf);
	elf_end(lines->debug_elf);
	elf_end(lines->elf);
	free(lines);
}
