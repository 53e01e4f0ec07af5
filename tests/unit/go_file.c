/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is read from Go executables. The first tests make their own small files; the others need
 * real ones in the directory MEMTRACE_GO_BINARIES, of any version and build mode, and are skipped
 * without.
 */
#include "runtime/go/go_file.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/binary/elf_file.h"
#include "runtime/go/go_call_type.h"
#include "runtime/go/go_code.h"
#include "runtime/go/go_globals.h"
#include "runtime/go/go_identify.h"
#include "runtime/go/go_layout.h"
#include "runtime/go/go_lines.h"
#include "runtime/go/go_types.h"
#include "runtime/parser.h"

#define MAX_BINARIES 128

/* Criterion's runner itself loses 48 bytes where many tests are skipped. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libcriterion";
}

/* ---- files in memory ---- */

struct image {
	uint8_t *bytes;
	size_t count;
};

static int open_bytes(const void *bytes, size_t count)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, bytes, count), (ssize_t)count);
	return fd;
}

static struct image read_image(const char *path)
{
	struct image image;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(fstat(fd, &st), 0);
	image.count = st.st_size;
	image.bytes = xcalloc(1, image.count);
	cr_assert_eq(read(fd, image.bytes, image.count), (ssize_t)image.count);
	close(fd);
	return image;
}

/* As the child does: opens, identifies, asks a little of everything. */
static int identify_bytes(const void *bytes, size_t count, struct runtime_file *ret)
{
	int fd = open_bytes(bytes, count);
	struct elf_file *elf;
	int err = elf_file_open(fd, &elf);

	if (!err) {
		err = go_identify(elf, ret);
		elf_file_close(elf);
	}
	close(fd);
	return err;
}

struct section {
	const char *name;
	const void *bytes;
	size_t count;
};

/* An ELF file of one segment, linked at 0x400000, with these sections. */
static struct image build_elf(const struct section *sections, size_t count)
{
	static const char names_name[] = ".shstrtab";
	Elf64_Ehdr *header;
	Elf64_Phdr *segment;
	Elf64_Shdr *headers;
	struct image image = {xcalloc(1, 65536), 65536};
	size_t at = 1024, names = 32768, i;

	header = (Elf64_Ehdr *)image.bytes;
	segment = (Elf64_Phdr *)(header + 1);
	headers = (Elf64_Shdr *)(image.bytes + 49152);
	memcpy(header->e_ident, ELFMAG, SELFMAG);
	header->e_ident[EI_CLASS] = ELFCLASS64;
	header->e_ident[EI_DATA] = ELFDATA2LSB;
	header->e_ident[EI_VERSION] = EV_CURRENT;
	header->e_type = ET_EXEC;
	header->e_machine = EM_X86_64;
	header->e_version = EV_CURRENT;
	header->e_ehsize = sizeof(*header);
	header->e_phoff = sizeof(*header);
	header->e_phentsize = sizeof(*segment);
	header->e_phnum = 1;
	header->e_shoff = 49152;
	header->e_shentsize = sizeof(*headers);
	header->e_shnum = count + 2;
	header->e_shstrndx = count + 1;
	*segment = (Elf64_Phdr){
		PT_LOAD, PF_R | PF_X, 0, 0x400000, 0x400000, image.count, image.count, 4096};
	for (i = 0; i <= count; i++) {
		const char *name = i < count ? sections[i].name : names_name;
		Elf64_Shdr *section = &headers[i + 1];

		*section = (Elf64_Shdr){.sh_type = i < count ? SHT_PROGBITS : SHT_STRTAB};
		section->sh_name = names - 32768 + 1;
		strcpy((char *)image.bytes + names + 1, name);
		names += strlen(name) + 1;
		section->sh_offset = i < count ? at : 32768;
		section->sh_addr = 0x400000 + section->sh_offset;
		section->sh_size = i < count ? sections[i].count : 4096;
		if (i < count)
			memcpy(image.bytes + at, sections[i].bytes, sections[i].count);
		at += i < count ? (sections[i].count + 63) & ~63ull : 0;
	}
	return image;
}

static size_t make_buildinfo(uint8_t ret[256], const char *version)
{
	memset(ret, 0, 256);
	memcpy(ret, "\xff Go buildinf:\x08\x02", 16);
	ret[32] = strlen(version);
	strcpy((char *)ret + 33, version);
	return 256;
}

static struct elf_file *open_image(const struct image *image, int *ret_fd)
{
	struct elf_file *elf;

	*ret_fd = open_bytes(image->bytes, image->count);
	cr_assert_eq(elf_file_open(*ret_fd, &elf), 0);
	return elf;
}

/* ---- build information ---- */

static const struct {
	const char *text, *experiment;
	uint8_t minor;
	bool release, no_swiss;
} versions[] = {
	{"go1.19.8", "", 19, true, false},
	{"go1.24.4 X:noswissmap", "", 24, true, true},
	{"go1.24.4 X:synctest,noswissmap", "", 24, true, true},
	{"go1.26.0-X:jsonv2", "", 26, true, false},
	{"go1.26.0-X:jsonv2,nosuchthing", "nosuchthing", 26, true, false},
	{"go1.22.1 X:noallocheaders", "noallocheaders", 22, true, false},
	{"devel go1.27-0123456789 Mon Jan 5 2026", "", 27, false, false},
	{"go1.9999", "", 0, true, false},
	{"go1.", "", 0, true, false},
	{"unknown", "", 0, false, false},
};

Test(buildinfo, versions)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(versions); i++) {
		struct go_build build;
		struct image image;
		struct elf_file *elf;
		uint8_t info[256];
		int fd;

		image = build_elf((struct section[]){{".go.buildinfo", info,
					  make_buildinfo(info, versions[i].text)}},
			1);
		elf = open_image(&image, &fd);
		cr_assert_eq(go_build_read(elf, &build), 0);
		cr_expect_str_eq(build.version, versions[i].text);
		cr_expect_eq(build.minor, versions[i].minor, "%s", versions[i].text);
		cr_expect_eq(build.release, versions[i].release, "%s", versions[i].text);
		cr_expect_eq(build.no_swiss, versions[i].no_swiss, "%s", versions[i].text);
		cr_expect_str_eq(build.experiment, versions[i].experiment);
		go_build_done(&build);
		elf_file_close(elf);
		close(fd);
		free(image.bytes);
	}
}

Test(buildinfo, lengths_are_checked)
{
	static const uint8_t lengths[][5] = {{0xff, 0xff, 0xff, 0xff, 0x7f}, {0xff, 0x7f},
		{0x80, 0x80, 0x80, 0x80, 0x80}, {0xdf, 0x01}};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct go_build build;
		struct image image;
		struct elf_file *elf;
		uint8_t info[256];
		int fd;

		make_buildinfo(info, "go1.19");
		memcpy(info + 32, lengths[i], sizeof(lengths[i]));
		image = build_elf((struct section[]){{".go.buildinfo", info, sizeof(info)}}, 1);
		elf = open_image(&image, &fd);
		cr_expect_eq(go_build_read(elf, &build), -ENOENT, "%zu", i);
		elf_file_close(elf);
		close(fd);
		free(image.bytes);
	}
}

Test(file, go_without_a_function_table_says_so)
{
	static struct runtime_file facts;
	struct image image;
	uint8_t info[256];

	image = build_elf(
		(struct section[]){{".go.buildinfo", info, make_buildinfo(info, "go1.23.5")}}, 1);
	cr_assert_eq(identify_bytes(image.bytes, image.count, &facts), 1);
	cr_expect_str_eq(facts.runtime, "go");
	cr_expect_not(facts.reading);
	cr_expect_eq(facts.probe_count, 0);
	cr_assert_eq(facts.skip_count, 1);
	cr_expect_str_eq(facts.skips[0].reason, "go1.23.5: no function table of Go 1.18 or later");
	free(image.bytes);
}

Test(file, other_languages_are_not_ours)
{
	struct image image = read_image("/proc/self/exe");
	static struct runtime_file facts;

	cr_expect_eq(identify_bytes(image.bytes, image.count, &facts), 0);
	free(image.bytes);
}

/* ---- function table ---- */

/*
 * Two functions at text + 0x10 and + 0x40, up to + 0x80; the second one's lines: 7 up to + 0x48,
 * then 9.
 */
static size_t make_pclntab(uint8_t ret[1024], uint32_t magic)
{
	static const char names[] = "main.one\0main.two", files[] = "/src/one.go\0/src/two.go";
	static const uint32_t units[] = {0, 12}, functab[] = {0x10, 0x20, 0x40, 0x60, 0x80};
	static const uint8_t values[] = {0, 4, 0x30, 0, 2, 0x30, 0, 16, 8, 4, 0x38, 0};
	const uint64_t header[] = {2, 2, 0x401000, 128, 192, 256, 320, 384};

	memset(ret, 0, 1024);
	memcpy(ret, &magic, 4);
	ret[6] = 1;
	ret[7] = 8;
	memcpy(ret + 8, header, sizeof(header));
	memcpy(ret + 128, names, sizeof(names));
	memcpy(ret + 192, units, sizeof(units));
	memcpy(ret + 256, files, sizeof(files));
	memcpy(ret + 320, values, sizeof(values));
	memcpy(ret + 384, functab, sizeof(functab));
	/* _func of main.two: entry, name, args, deferreturn, pcsp, pcfile, pcln, npcdata, unit */
	memcpy(ret + 384 + 0x60, (uint32_t[]){0x40, 9, 0, 0, 0, 1, 7, 0, 0}, 36);
	memcpy(ret + 384 + 0x20, (uint32_t[]){0x10, 0, 0, 0, 0, 4, 1, 0, 0}, 36);
	return 1024;
}

static void check_pclntab(uint32_t magic)
{
	struct go_pclntab table;
	struct go_func func;
	struct image image;
	struct elf_file *elf;
	uint8_t bytes[1024];
	const char *path;
	uint32_t line;
	int fd;

	image = build_elf((struct section[]){{".gopclntab", bytes, make_pclntab(bytes, magic)}}, 1);
	elf = open_image(&image, &fd);
	cr_assert_eq(go_pclntab_open(elf, &table), 0);
	cr_expect_not(go_pclntab_find(&table, 0x40100f, &func));
	cr_expect_not(go_pclntab_find(&table, 0x401080, &func));
	cr_assert(go_pclntab_find(&table, 0x401010, &func));
	cr_expect_str_eq(func.name, "main.one");
	cr_assert(go_pclntab_find(&table, 0x40107f, &func));
	cr_expect_str_eq(func.name, "main.two");
	cr_assert(go_pclntab_find_name(&table, "main.two", &func));
	cr_expect_eq(func.entry, 0x401040);
	cr_expect_not(go_pclntab_find_name(&table, "main.three", &func));
	go_pclntab_line(&table, &func, 0x401047, &path, &line);
	cr_expect_str_eq(path, "/src/two.go");
	cr_expect_eq(line, 7);
	go_pclntab_line(&table, &func, 0x401048, &path, &line);
	cr_expect_eq(line, 9);
	go_pclntab_done(&table);
	elf_file_close(elf);
	close(fd);
	free(image.bytes);
}

Test(file, function_table_in_both_layouts)
{
	check_pclntab(0xfffffff0);
	check_pclntab(0xfffffff1);
}

Test(file, older_and_broken_function_tables_are_refused)
{
	static const struct {
		uint32_t offset, value;
		int err;
	} changes[] = {{0, 0xfffffffa, -ENOTSUP}, {0, 0x12345678, -EBADMSG},
		{4, 0x04010000, -EBADMSG}, {8, 0x7fffffff, -EBADMSG}, {8, 0, -EBADMSG},
		{32, 1024, -EBADMSG}, {64, 1020, -EBADMSG}};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		struct go_pclntab table;
		struct image image;
		struct elf_file *elf;
		uint8_t bytes[1024];
		int fd;

		make_pclntab(bytes, 0xfffffff1);
		memcpy(bytes + changes[i].offset, &changes[i].value, 4);
		image = build_elf((struct section[]){{".gopclntab", bytes, sizeof(bytes)}}, 1);
		elf = open_image(&image, &fd);
		cr_expect_eq(go_pclntab_open(elf, &table), changes[i].err, "%zu", i);
		elf_file_close(elf);
		close(fd);
		free(image.bytes);
	}
}

Test(file, unknown_versions_have_no_layout)
{
	cr_expect_null(go_layout_find(18));
	cr_expect_null(go_layout_find(20));
	cr_expect_null(go_layout_find(25));
	cr_expect_null(go_layout_find(27));
	cr_expect_eq(go_layout_find(19)->span_sweepgen, 88);
	cr_expect_eq(go_layout_find(26)->span_sweepgen, 88);
	cr_expect_eq(go_layout_find(21)->span_sweepgen, 96);
}

/* ---- types: struct main.Outer { name string; sub main.Inner } etc., laid out by hand ---- */

#define TYPES 0x500000ull

static uint8_t type_bytes[4096];

static void put(uint64_t at, uint64_t value, size_t bytes)
{
	memcpy(type_bytes + at, &value, bytes);
}

static void put_name(uint64_t at, const char *name)
{
	type_bytes[at] = 1;
	type_bytes[at + 1] = strlen(name);
	memcpy(type_bytes + at + 2, name, strlen(name));
}

static void put_type(uint64_t at, uint8_t kind, uint64_t size, uint32_t name)
{
	put(at, size, 8);
	put(at + 8, size, 8);
	put(at + 21, 8, 1);
	put(at + 22, 8, 1);
	put(at + 23, kind, 1);
	put(at + 40, name, 4);
}

static void put_field(uint64_t at, uint64_t name, uint64_t type, uint64_t offset)
{
	put(at, TYPES + name, 8);
	put(at + 8, TYPES + type, 8);
	put(at + 16, offset, 8);
}

/*
 * 0x100 int; 0x140 struct main.Inner { pad int; list []int }; 0x200 [3]main.Inner;
 * 0x280 struct main.Outer { first int; shards [3]main.Inner }; 0x340 []int
 */
static void make_types(struct go_file *ret)
{
	memset(type_bytes, 0, sizeof(type_bytes));
	put_name(0x800, "int");
	put_name(0x820, "main.Inner");
	put_name(0x840, "[3]main.Inner");
	put_name(0x860, "*main.Outer");
	put_name(0x880, "[]int");
	put_name(0x8a0, "pad");
	put_name(0x8b0, "list");
	put_name(0x8c0, "first");
	put_name(0x8d0, "shards");
	put_type(0x100, 2, 8, 0x800);
	put_type(0x140, 25, 32, 0x820);
	put(0x140 + 56, TYPES + 0x400, 8);
	put(0x140 + 64, 2, 8);
	put_field(0x400, 0x8a0, 0x100, 0);
	put_field(0x418, 0x8b0, 0x340, 8);
	put_type(0x200, 17, 96, 0x840);
	put(0x200 + 48, TYPES + 0x140, 8);
	put(0x200 + 64, 3, 8);
	put_type(0x280, 25, 104, 0x860);
	put(0x280 + 20, 2, 1); /* the name has a star too many */
	put(0x280 + 56, TYPES + 0x440, 8);
	put(0x280 + 64, 2, 8);
	put_field(0x440, 0x8c0, 0x100, 0);
	put_field(0x458, 0x8d0, 0x200, 8);
	put_type(0x340, 23, 24, 0x880);
	put(0x340 + 48, TYPES + 0x100, 8);
	ret->types = type_bytes;
	ret->has_types = true;
	ret->facts.types = TYPES;
	ret->facts.etypes = TYPES + sizeof(type_bytes);
}

Test(types, are_read)
{
	struct go_file file = {0};
	struct go_type type;

	make_types(&file);
	cr_assert_eq(go_type_read(&file, TYPES + 0x340, &type), 0);
	cr_expect_str_eq(type.name, "[]int");
	cr_expect_eq(type.kind, GO_KIND_SLICE);
	cr_expect_eq(type.elem, TYPES + 0x100);
	cr_expect_eq(type.elem_size, 8);
	cr_assert_eq(go_type_read(&file, TYPES + 0x280, &type), 0);
	cr_expect_str_eq(type.name, "main.Outer");
	cr_expect_eq(go_type_read(&file, TYPES + 0x104, &type), -ENOENT);
	cr_expect_eq(go_type_read(&file, TYPES, &type), -ENOENT);
	cr_expect_eq(go_type_read(&file, TYPES - 8, &type), -ENOENT);
	cr_expect_eq(go_type_read(&file, TYPES + sizeof(type_bytes) - 8, &type), -ENOENT);
	cr_expect_eq(go_type_read(&file, UINT64_MAX - 7, &type), -ENOENT);
}

static const struct {
	uint64_t offset;
	const char *name; /* NULL = none */
	uint64_t type;
} fields[] = {
	{0, "main.Outer.first", 0x100},
	{8, "main.Outer.shards[].pad", 0x100},
	{16, "main.Outer.shards[].list", 0x340},
	{24, "main.Outer.shards[].list", 0x340},
	{8 + 64 + 8, "main.Outer.shards[].list", 0x340},
	{104, NULL, 0},
	{UINT64_MAX, NULL, 0},
};

Test(types, fields_are_named)
{
	struct go_file file = {0};
	struct go_type type;
	char name[64];
	size_t i;

	make_types(&file);
	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		int err = go_type_field(
			&file, TYPES + 0x280, fields[i].offset, name, sizeof(name), &type);

		cr_expect_eq(err, fields[i].name ? 0 : -ENOENT, "%zu", i);
		if (err || !fields[i].name)
			continue;
		cr_expect_str_eq(name, fields[i].name);
		cr_expect_eq(type.type, TYPES + fields[i].type);
	}
	cr_assert_eq(go_type_field(&file, TYPES + 0x280, 16, name, 13, &type), 0);
	cr_expect_str_eq(name, "main.Outer.s");
	cr_expect_eq(go_type_field(&file, TYPES + 0x340, 0, name, sizeof(name), &type), -ENOENT);
}

/* A struct that holds itself, as no compiler writes it. */
Test(types, cycles_end)
{
	struct go_file file = {0};
	struct go_type type;
	char name[64];

	make_types(&file);
	put_field(0x400, 0x8a0, 0x140, 0);
	cr_expect_eq(go_type_field(&file, TYPES + 0x140, 0, name, sizeof(name), &type), -ENOENT);
	cr_expect_lt(strlen(name), sizeof(name));
}

/* ---- the type passed to growslice ---- */

/* Code of main.two at 0x401040 before its call of runtime.growslice. */
static const struct {
	const char *what;
	uint8_t code[24], count;
	bool believed;
} call_cases[] = {
	{"lea", {0x48, 0x8d, 0x35, 0, 0, 0, 0}, 7, true},
	{"lea, mov ebx", {0x48, 0x8d, 0x35, 0, 0, 0, 0, 0xbb, 1, 0, 0, 0}, 12, true},
	{"lea, mov rsi", {0x48, 0x8d, 0x35, 0, 0, 0, 0, 0x48, 0x89, 0xc6}, 10, false},
	{"lea, xor esi", {0x48, 0x8d, 0x35, 0, 0, 0, 0, 0x31, 0xf6}, 9, false},
	{"lea, call", {0x48, 0x8d, 0x35, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0}, 12, false},
	{"lea rdi", {0x48, 0x8d, 0x3d, 0, 0, 0, 0}, 7, false},
	{"je to the call, lea", {0x74, 7, 0x48, 0x8d, 0x35, 0, 0, 0, 0}, 9, false},
	{"lea, jne to the call", {0x48, 0x8d, 0x35, 0, 0, 0, 0, 0x75, 1, 0x90}, 10, false},
	{"lea, je back", {0x48, 0x8d, 0x35, 0, 0, 0, 0, 0x74, 0xf7}, 9, true},
	{"lea, jmp", {0x48, 0x8d, 0x35, 0, 0, 0, 0, 0xeb, 0x20}, 9, false},
};

/* Returns the address after the call. */
static uint64_t make_code(uint8_t ret[128], const uint8_t *before, size_t count)
{
	uint8_t *code = ret + 0x40;
	int32_t distance;
	size_t i;

	memset(ret, 0xcc, 128);
	memcpy(code, before, count);
	for (i = 0; i + 7 <= count; i++) {
		if (code[i] != 0x48 || code[i + 1] != 0x8d)
			continue;
		distance = (int32_t)(TYPES + 0x100 - (0x401040 + i + 7));
		memcpy(code + i + 3, &distance, 4);
	}
	code[count] = 0xe8;
	distance = (int32_t)(0x401010 - (0x401040 + count + 5));
	memcpy(code + count + 1, &distance, 4);
	return 0x401040 + count + 5;
}

static int find_call_type(const uint8_t *before, size_t count, struct go_type *ret)
{
	struct go_file file = {.has_table = true, .has_module = true, .facts.minor = 21};
	uint8_t table[1024], gap[2048] = {0}, code[128];
	uint64_t return_pc = make_code(code, before, count);
	struct image image;
	int fd, err;

	make_types(&file);
	make_pclntab(table, 0xfffffff1);
	strcpy((char *)table + 128 + 32, "runtime.growslice");
	table[384 + 0x20 + 4] = 32;
	image = build_elf((struct section[]){{".gopclntab", table, sizeof(table)},
				  {".gap", gap, sizeof(gap)}, {".text", code, sizeof(code)}},
		3);
	file.elf = open_image(&image, &fd);
	cr_assert_eq(go_pclntab_open(file.elf, &file.table), 0);
	err = go_call_type_find(&file, return_pc, ret);
	go_pclntab_done(&file.table);
	elf_file_close(file.elf);
	close(fd);
	free(image.bytes);
	return err;
}

Test(types, at_a_call_only_what_always_holds_is_believed)
{
	struct go_type type;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(call_cases); i++) {
		int err = find_call_type(call_cases[i].code, call_cases[i].count, &type);

		cr_expect_eq(err, call_cases[i].believed ? 0 : -ENOENT, "%s: %d",
			call_cases[i].what, err);
		if (!err)
			cr_expect_str_eq(type.name, "int");
	}
}

/* ---- real executables ---- */

struct binary {
	char path[512];
	int fd;
	struct elf_file *elf;
	struct go_file *file;
	struct runtime_file facts;
};

/* Calls check for every Go executable there is; skips the test where there is none. */
static void for_each_binary(void (*check)(struct binary *binary))
{
	const char *folder = getenv("MEMTRACE_GO_BINARIES");
	DIR *entries = folder ? opendir(folder) : NULL;
	struct binary *binary = xcalloc(1, sizeof(*binary));
	const struct dirent *entry;
	size_t count = 0;

	while (entries && (entry = readdir(entries)) && count < MAX_BINARIES) {
		snprintf(binary->path, sizeof(binary->path), "%s/%s", folder, entry->d_name);
		binary->fd = open(binary->path, O_RDONLY | O_CLOEXEC);
		if (binary->fd < 0)
			continue;
		if (!elf_file_open(binary->fd, &binary->elf)) {
			if (go_identify(binary->elf, &binary->facts) == 1) {
				cr_assert_eq(go_file_open(binary->elf, &binary->file), 0);
				check(binary);
				go_file_close(binary->file);
				count++;
			}
			elf_file_close(binary->elf);
		}
		close(binary->fd);
	}
	if (entries)
		closedir(entries);
	free(binary);
	if (!count)
		cr_skip_test("MEMTRACE_GO_BINARIES names no folder with Go executables");
}

static void check_identity(struct binary *binary)
{
	const struct runtime_file *facts = &binary->facts;

	cr_expect_eq(strncmp(facts->version, "go1.", 4), 0, "%s", binary->path);
	cr_expect_str_not_empty(facts->build_id, "%s", binary->path);
	cr_expect(facts->reading, "%s: %s", binary->path,
		facts->skip_count ? facts->skips[0].reason : "no reason");
	cr_expect_neq(facts->go.mem_profile_rate, 0, "%s", binary->path);
	cr_expect_neq(facts->go.disable_memory_profiling, 0, "%s", binary->path);
	cr_expect_neq(facts->go.mbuckets, 0, "%s", binary->path);
}

Test(binaries, are_identified, .timeout = 300)
{
	for_each_binary(check_identity);
}

static void check_probes(struct binary *binary)
{
	const struct runtime_file *facts = &binary->facts;
	bool seen[RUNTIME_MAX_PROBES] = {0};
	size_t i;

	for (i = 0; i < facts->probe_count; i++) {
		const struct runtime_probe *probe = &facts->probes[i];
		uint8_t code[RUNTIME_CODE_BYTES];
		struct go_func func;

		cr_expect(probe->emulated, "%s: %s", binary->path, probe->symbol);
		cr_expect_eq(pread(binary->fd, code, probe->code_bytes, probe->file_offset),
			probe->code_bytes);
		cr_expect_arr_eq(code, probe->code, probe->code_bytes, "%s", probe->symbol);
		cr_assert(go_pclntab_find(&binary->file->table, probe->vaddr, &func));
		cr_expect_str_eq(func.name, probe->symbol);
		cr_expect_eq(func.entry + probe->delta, probe->vaddr);
		seen[probe->probe] = true;
	}
	cr_expect_eq(facts->skip_count, 0, "%s", binary->path);
	cr_expect_eq(seen[GO_PROBE_HASH_GROW], !facts->go.swiss, "%s", binary->path);
	cr_expect_eq(seen[GO_PROBE_REHASH], facts->go.swiss, "%s", binary->path);
	cr_expect_eq(seen[GO_PROBE_GROW_TO_TABLE], facts->go.swiss, "%s", binary->path);
	cr_expect(seen[GO_PROBE_GROWSLICE], "%s", binary->path);
	cr_expect(seen[GO_PROBE_MAKECHAN], "%s", binary->path);
}

Test(binaries, have_probes_at_known_instructions, .timeout = 300)
{
	for_each_binary(check_probes);
}

/* Renames .symtab, so that the code alone must tell what the symbols told before. */
static void check_without_symbols(struct binary *binary)
{
	static struct runtime_file facts;
	struct image image;
	uint8_t *name;

	if (binary->facts.stripped)
		return;
	image = read_image(binary->path);
	name = memmem(image.bytes, image.count, "\0.symtab", 9);
	while (name) {
		memcpy(name, "\0.nosyms", 9);
		name = memmem(name, image.count - (name - image.bytes), "\0.symtab", 9);
	}
	cr_assert_eq(identify_bytes(image.bytes, image.count, &facts), 1);
	cr_expect(facts.stripped);
	facts.stripped = false;
	cr_expect_arr_eq(&facts, &binary->facts, sizeof(facts), "%s", binary->path);
	free(image.bytes);
}

Test(binaries, give_the_same_facts_without_symbols, .timeout = 300)
{
	for_each_binary(check_without_symbols);
}

static bool is_reading_refused(const struct runtime_file *facts, const char *reason)
{
	for (uint32_t i = 0; i < facts->skip_count; i++)
		if (!strcmp(facts->skips[i].what, "reading containers") &&
			!strcmp(facts->skips[i].reason, reason))
			return true;
	return false;
}

/*
 * A version that no table knows is read by its DWARF, with the layout that the table has for the version
 * it really is; without DWARF it is refused by name. Between two known versions its probes are placed all
 * the same (the code is checked anyway), after them only those that ask for no layout.
 */
static void check_unknown_version(struct binary *binary)
{
	static const char magic[] = "\xff Go buildinf:";
	static struct runtime_file facts;
	struct image image = read_image(binary->path);
	uint8_t *info = memmem(image.bytes, image.count, magic, sizeof(magic) - 1);

	cr_assert_not_null(info);
	memcpy(info + 33, "go1.25", 6);
	cr_assert_eq(identify_bytes(image.bytes, image.count, &facts), 1);
	cr_expect_eq(facts.reading, !binary->facts.stripped, "%s", binary->path);
	cr_expect_eq(is_reading_refused(
			     &facts, "Go 1.25 is not a known layout, and the binary has no DWARF"),
		binary->facts.stripped, "%s", binary->path);
	cr_expect(binary->facts.stripped ||
		  facts.go.layout.heap_arenas == binary->facts.go.layout.heap_arenas);
	cr_expect_geq(facts.probe_count, 3);
	memcpy(info + 33, "go1.31", 6);
	cr_assert_eq(identify_bytes(image.bytes, image.count, &facts), 1);
	for (uint32_t i = 0; i < facts.probe_count; i++)
		cr_expect_eq(facts.probes[i].family, FAMILY_ALLOCATION, "%s: %s", binary->path,
			facts.probes[i].symbol);
	cr_expect_eq(facts.reading, !binary->facts.stripped, "%s", binary->path);
	cr_expect_eq(is_reading_refused(
			     &facts, "Go 1.31 is not a known layout, and the binary has no DWARF"),
		binary->facts.stripped, "%s", binary->path);
	free(image.bytes);
}

Test(binaries, of_unknown_versions_are_read_by_dwarf_or_refused, .timeout = 300)
{
	for_each_binary(check_unknown_version);
}

static void check_types(struct binary *binary)
{
	struct go_type *types = xcalloc(20000, sizeof(*types)), type;
	size_t count = go_type_list(binary->file, GO_KIND_MAP, types, 20000), i, unnamed = 0;

	cr_assert(count > 0 && count <= 20000, "%s: %zu", binary->path, count);
	for (i = 0; i < count; i++) {
		unnamed += !strncmp(types[i].name, "map[", 4);
		cr_expect_eq(go_type_read(binary->file, types[i].type, &type), 0);
		cr_expect_arr_eq(&type, &types[i], sizeof(type));
		if (binary->facts.go.swiss)
			cr_expect_eq(type.group_size, 8 + 8 * type.slot_size, "%s", type.name);
		else
			cr_expect_gt(type.group_size, 16, "%s", type.name);
	}
	cr_expect_gt(unnamed, count / 2);
	count = go_type_list(binary->file, GO_KIND_CHAN, types, 20000);
	cr_expect_gt(count, 0);
	for (i = 0; i < MIN(count, 20000); i++)
		cr_expect_neq(types[i].elem, 0, "%s", types[i].name);
	free(types);
}

Test(binaries, have_map_and_channel_types, .timeout = 300)
{
	for_each_binary(check_types);
}

/* growslice's element type is named by nearly all of its callers. */
static void check_call_types(struct binary *binary)
{
	const struct go_pclntab *table = &binary->file->table;
	struct go_func growslice, func;
	size_t calls = 0, found = 0;
	uint32_t i;

	cr_assert(go_pclntab_find_name(&binary->file->table, "runtime.growslice", &growslice));
	for (i = 0; i < table->func_count && calls < 200; i++) {
		struct code code;
		uint64_t target;
		size_t at;

		if (!go_pclntab_func(table, i, &func) || strncmp(func.name, "runtime.", 8) ||
			go_code_open_func(binary->file, &func, &code))
			continue;
		for (at = 0; at < code.count; at++) {
			const cs_insn *insn = &code.insns[at];
			struct go_type type;

			if (!code_is_call(insn, &target) || target != growslice.entry)
				continue;
			calls++;
			found +=
				!go_call_type_find(binary->file, insn->address + insn->size, &type);
		}
		code_close(&code);
	}
	cr_expect_gt(calls, 5, "%s", binary->path);
	cr_expect_geq(found * 10, calls * 9, "%s: %zu of %zu", binary->path, found, calls);
}

Test(binaries, name_the_element_type_at_growslice, .timeout = 300)
{
	for_each_binary(check_call_types);
}

/* ---- lines, against llvm-symbolizer ---- */

struct expected {
	char function[512];
	char file[512];
	uint32_t line;
};

/* As our names are: "[...]" for type arguments, and without the ABI of assembly functions. */
static void simplify(char *name)
{
	char *open = strchr(name, '['), *close = strrchr(name, ']'), *abi = strstr(name, ".abi0");

	if (abi)
		*abi = 0;
	if (!open || !close || close < open)
		return;
	memmove(open + 5, close + 1, strlen(close + 1) + 1);
	memcpy(open, "[...]", 5);
}

/* One answer: function and file:line:column in turns, up to an empty line. */
static size_t read_expected(FILE *answers, struct expected *ret, size_t max)
{
	char text[1024], *colon;
	size_t count = 0;

	while (fgets(text, sizeof(text), answers) && text[0] != '\n') {
		text[strcspn(text, "\n")] = 0;
		simplify(text);
		snprintf(ret[count].function, sizeof(ret[count].function), "%s", text);
		if (!fgets(text, sizeof(text), answers))
			return 0;
		colon = strrchr(text, ':');
		if (colon)
			*colon = 0;
		colon = colon ? strrchr(text, ':') : NULL;
		ret[count].line = colon ? strtoul(colon + 1, NULL, 10) : 0;
		if (colon)
			*colon = 0;
		snprintf(ret[count].file, sizeof(ret[count].file), "%s", text);
		if (count + 1 < max)
			count++;
	}
	return count;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool same_frames(const struct parser_frame *frames, size_t frame_count,
	const struct expected *expected, size_t count)
{
	size_t i;

	if (frame_count != count)
		return false;
	for (i = 0; i < count; i++)
		if (strcmp(frames[i].function, expected[i].function) ||
			strcmp(base_name(frames[i].file), base_name(expected[i].file)) ||
			frames[i].line != expected[i].line)
			return false;
	return true;
}

#define LINE_SAMPLES 200

static FILE *ask_symbolizer(const struct binary *binary, const uint64_t *pcs, char pcs_path[64])
{
	char command[1024];
	FILE *file;
	size_t i;
	int fd;

	strcpy(pcs_path, "/tmp/memtrace-pcs-XXXXXX");
	fd = mkstemp(pcs_path);
	cr_assert_geq(fd, 0);
	file = fdopen(fd, "w");
	for (i = 0; i < LINE_SAMPLES; i++)
		fprintf(file, "0x%llx\n", (unsigned long long)pcs[i]);
	fclose(file);
	snprintf(command, sizeof(command),
		"llvm-symbolizer --inlining --no-demangle --output-style=LLVM -e '%s' <%s",
		binary->path, pcs_path);
	return popen(command, "r");
}

static void check_lines(struct binary *binary)
{
	const struct go_facts *facts = &binary->facts.go;
	uint64_t pcs[LINE_SAMPLES], random = 88172645463325252ull;
	size_t i, known = 0, same = 0;
	char pcs_path[64];
	FILE *answers;

	if (binary->facts.stripped)
		return;
	for (i = 0; i < LINE_SAMPLES; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		pcs[i] = facts->text + random % (facts->etext - facts->text);
	}
	answers = ask_symbolizer(binary, pcs, pcs_path);
	for (i = 0; i < LINE_SAMPLES; i++) {
		struct parser_frame frames[32];
		struct expected expected[32];
		size_t count = read_expected(answers, expected, 32);

		if (!count || !expected[0].line || !strcmp(expected[0].function, "??"))
			continue;
		known++;
		same += same_frames(
			frames, go_lines_find(binary->file, pcs[i], frames, 32), expected, count);
	}
	pclose(answers);
	unlink(pcs_path);
	cr_expect_gt(known, LINE_SAMPLES / 2, "%s", binary->path);
	/*
	 * The rest: names with a middle dot, call sites in cgo files of 1.19, which DWARF has wrong
	 */
	cr_expect_geq(same * 100, known * 98, "%s: %zu of %zu", binary->path, same, known);
}

Test(binaries, give_the_lines_that_dwarf_gives, .timeout = 300)
{
	if (system("command -v llvm-symbolizer >/dev/null 2>&1"))
		cr_skip_test("llvm-symbolizer is not installed");
	for_each_binary(check_lines);
}

/* Code of the program itself is a site, code of the runtime never. */
static void check_internal(struct binary *binary)
{
	struct parser_frame frames[32];
	struct go_func func;
	size_t count;

	cr_assert(go_pclntab_find_name(&binary->file->table, "main.main", &func));
	count = go_lines_find(binary->file, func.entry, frames, 32);
	cr_assert_eq(count, 1, "%s", binary->path);
	cr_expect_not(frames[0].internal, "%s: %s", binary->path, frames[0].file);
	cr_assert(go_pclntab_find_name(&binary->file->table, "runtime.growslice", &func));
	count = go_lines_find(binary->file, func.entry, frames, 32);
	cr_assert_geq(count, 1);
	cr_expect(frames[count - 1].internal, "%s: %s", binary->path, frames[count - 1].file);
	cr_expect_eq(go_lines_find(binary->file, binary->facts.go.text - 1, frames, 32), 0);
	cr_expect_eq(go_lines_find(binary->file, UINT64_MAX, frames, 32), 0);
}

Test(binaries, tell_program_from_library, .timeout = 300)
{
	for_each_binary(check_internal);
}

/* ---- damage ---- */

/* Everything the child can be asked, over whatever the file says. */
static void ask_everything(int fd)
{
	static struct runtime_file facts;
	struct parser_frame frames[8];
	struct elf_file *elf;
	struct go_file *file;
	struct go_type types[8], type;
	char name[64];
	uint64_t offset;
	size_t i;

	if (elf_file_open(fd, &elf))
		return;
	go_identify(elf, &facts);
	if (!go_file_open(elf, &file)) {
		size_t count = go_type_list(file, GO_KIND_MAP, types, ARRAY_SIZE(types));

		for (i = 0; i < MIN(count, ARRAY_SIZE(types)); i++) {
			go_type_read(file, types[i].elem, &type);
			go_type_field(file, types[i].elem, 8, name, sizeof(name), &type);
		}
		for (i = 0; i < 64; i++) {
			uint64_t pc = file->facts.text + i * 4099;

			go_lines_find(file, pc, frames, ARRAY_SIZE(frames));
			if (i % 16 == 0)
				go_call_type_find(file, pc, &type);
		}
		elf_file_data_symbol(elf, file->facts.data, &offset);
		go_file_close(file);
	}
	elf_file_close(elf);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Flips bits where it hurts: headers, tables, types, and moduledata. */
static void damage(const struct binary *binary, struct image *image, uint64_t *random)
{
	static const char *const names[] = {".gopclntab", ".data.rel.ro.gopclntab", ".go.buildinfo",
		".typelink", ".symtab", ".text"};
	uint64_t offset = 0, bytes = 1024, types;
	struct elf_section section;
	size_t choice = next_random(random) % (ARRAY_SIZE(names) + 4), flips;

	if (choice < ARRAY_SIZE(names) && elf_file_section(binary->elf, names[choice], &section)) {
		offset = section.offset;
		bytes = next_random(random) % 2 ? section.bytes : MIN(section.bytes, 128);
	} else if (choice == ARRAY_SIZE(names)) {
		elf_file_offset(binary->elf, binary->facts.go.moduledata, &offset);
		bytes = 600;
	} else if (choice == ARRAY_SIZE(names) + 1) {
		elf_file_offset(binary->elf, binary->facts.go.types, &types);
		offset = types;
		bytes = binary->facts.go.etypes - binary->facts.go.types;
	} else if (choice == ARRAY_SIZE(names) + 2) {
		bytes = 4096;
		offset = image->count - bytes;
	}
	for (flips = 1 + next_random(random) % 64; flips && bytes; flips--) {
		uint64_t at = offset + next_random(random) % bytes;

		if (at < image->count)
			image->bytes[at] ^= 1 << next_random(random) % 8;
	}
}

static void check_damage(struct binary *binary)
{
	static size_t binaries;
	struct image image;
	uint64_t random = 0x9e3779b97f4a7c15ull;
	size_t round, length;

	/* A few files are enough: each round parses a whole one */
	if (binaries++ >= 3)
		return;
	image = read_image(binary->path);
	for (round = 0; round < 40; round++) {
		struct image copy = {xcalloc(1, image.count), image.count};
		int fd;

		memcpy(copy.bytes, image.bytes, image.count);
		damage(binary, &copy, &random);
		fd = open_bytes(copy.bytes, copy.count);
		ask_everything(fd);
		close(fd);
		free(copy.bytes);
	}
	for (length = image.count; length > 64; length -= length / 8) {
		int fd = open_bytes(image.bytes, length - 1);

		ask_everything(fd);
		close(fd);
	}
	free(image.bytes);
}

Test(binaries, damaged_ones_do_no_harm, .timeout = 600)
{
	for_each_binary(check_damage);
}

/* A file that is cut while it is open: no SIGBUS, an error. */
static void check_shrinking(struct binary *binary)
{
	struct image image = read_image(binary->path);
	int fd = open_bytes(image.bytes, image.count);
	struct runtime_file facts;
	struct elf_file *elf;

	cr_assert_eq(elf_file_open(fd, &elf), 0);
	cr_assert_eq(ftruncate(fd, image.count / 4), 0);
	cr_expect_leq(go_identify(elf, &facts), 0, "%s", binary->path);
	elf_file_close(elf);
	close(fd);
	free(image.bytes);
}

Test(binaries, shrinking_ones_do_no_harm, .timeout = 300)
{
	for_each_binary(check_shrinking);
}

/* ---- through the child ---- */

static void check_through_child(struct binary *binary)
{
	static struct parser_frame frames[PARSER_MAX_FRAMES];
	struct go_type *types = xcalloc(20000, sizeof(*types)), type;
	struct runtime_file facts;
	uint64_t pcs[PARSER_MAX_PCS];
	struct parser *parser;
	uint32_t id;
	int count, i;

	cr_assert_eq(parser_open(&parser), 0);
	cr_assert_eq(parser_identify(parser, binary->fd, &id, &facts), 0);
	cr_expect_arr_eq(&facts, &binary->facts, sizeof(facts), "%s", binary->path);
	count = parser_types(parser, id, GO_KIND_MAP, types, 20000);
	cr_expect_eq((size_t)count, go_type_list(binary->file, GO_KIND_MAP, NULL, 0));
	cr_expect_eq(parser_types(parser, id, GO_KIND_MAP, types, 1), count);
	cr_assert_gt(count, 0);
	cr_expect_eq(parser_type(parser, id, types[0].type, &type), 0);
	cr_expect_str_eq(type.name, types[0].name);
	cr_expect_eq(parser_type(parser, id, facts.go.etypes, &type), -ENOENT);
	for (i = 0; i < PARSER_MAX_PCS; i++)
		pcs[i] = facts.go.text + i * 8191;
	count = parser_lines(parser, id, pcs, PARSER_MAX_PCS, frames, PARSER_MAX_FRAMES);
	cr_expect_gt(count, PARSER_MAX_PCS / 2);
	for (i = 1; i < count; i++)
		cr_expect_geq(frames[i].pc_index, frames[i - 1].pc_index);
	/* The file is handed over again without anybody noticing */
	kill(parser_pid(parser), SIGKILL);
	cr_expect_eq(
		parser_lines(parser, id, pcs, PARSER_MAX_PCS, frames, PARSER_MAX_FRAMES), count);
	kill(parser_pid(parser), SIGKILL);
	cr_expect_eq(parser_lines(parser, id, pcs, 1, frames, PARSER_MAX_FRAMES), -EBADMSG);
	cr_expect_eq(parser_type(parser, id, types[0].type, &type), -EBADMSG);
	parser_close(parser);
	free(types);
}

Test(binaries, answer_through_the_child, .timeout = 300)
{
	for_each_binary(check_through_child);
}
