/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads ELF executables. libelf finds sections and symbols; segments are read here.
 *
 * Each PT_LOAD has a buffer of anonymous memory as large as its file part, filled in 64 KiB chunks
 * on demand, so pointers stay valid and only what is used is read. Linkers need not store the
 * addend of a relocation in place (lld does not), therefore R_X86_64_RELATIVE is applied to each
 * chunk.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/binary/elf_file.h"
#include "runtime/binary/function_symbols.h"

#define ELF_FILE_MAX_BYTES          (4ull << 30)
#define ELF_FILE_MAX_SEGMENTS       16
#define ELF_FILE_MAX_SEGMENT_BYTES  (512ull << 20)
#define ELF_FILE_MAX_SECTION_BYTES  (512ull << 20)
#define ELF_FILE_MAX_HEADERS        64
#define ELF_FILE_MAX_NOTE_BYTES     65536
#define ELF_FILE_CHUNK_BYTES        65536
#define ELF_FILE_BUILD_ID_MAX_BYTES 32

struct elf_segment {
	uint64_t vaddr, offset, file_bytes, memory_bytes;
	bool executable, writable;
	uint8_t *bytes;  /* file_bytes of anonymous memory, NULL = not yet */
	uint8_t *loaded; /* per chunk: 1 = read, 2 = cannot be read */
};

struct elf_relocation {
	uint64_t vaddr, value;
};

struct elf_symbol {
	uint64_t addr, bytes;
	const char *name;
};

struct elf_file {
	int fd;
	Elf *elf;
	uint64_t file_bytes;
	bool pie;
	struct elf_segment segments[ELF_FILE_MAX_SEGMENTS];
	size_t segment_count;
	struct elf_relocation *relocations; /* sorted by vaddr */
	size_t relocation_count;
	bool relocations_read;
	struct elf_symbol *objects; /* data symbols, sorted by addr */
	size_t object_count;
	bool objects_read;
	const struct function_symbols *names; /* lent, NULL = none */
	char build_id[ELF_FILE_BUILD_ID_MAX_BYTES * 2 + 1];
};

static bool range_within(uint64_t start, uint64_t bytes, uint64_t limit)
{
	return start <= limit && bytes <= limit - start;
}

static int read_exactly(int fd, void *buf, size_t bytes, uint64_t offset)
{
	uint8_t *at = buf;

	while (bytes) {
		ssize_t n = pread(fd, at, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -EBADMSG;
		at += n;
		offset += n;
		bytes -= n;
	}
	return 0;
}

/* ---- headers ---- */

static int check_header(int fd, struct elf_file *elf)
{
	Elf64_Ehdr header;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOEXEC;
	elf->file_bytes = st.st_size;
	if (elf->file_bytes > ELF_FILE_MAX_BYTES)
		return -EFBIG;
	if (elf->file_bytes < sizeof(header) || read_exactly(fd, &header, sizeof(header), 0))
		return -ENOEXEC;
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) || header.e_ident[EI_CLASS] != ELFCLASS64 ||
		header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != EM_X86_64)
		return -ENOEXEC;
	if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
		return -ENOEXEC;
	if (header.e_phentsize != sizeof(Elf64_Phdr) || !header.e_phnum ||
		header.e_phnum > ELF_FILE_MAX_HEADERS)
		return -EBADMSG;
	elf->pie = header.e_type == ET_DYN;
	return 0;
}

static int add_segment(struct elf_file *elf, const GElf_Phdr *header)
{
	struct elf_segment *segment;

	if (!range_within(header->p_offset, header->p_filesz, elf->file_bytes) ||
		header->p_filesz > header->p_memsz || header->p_memsz > 1ull << 46 ||
		header->p_vaddr > 1ull << 47)
		return -EBADMSG;
	if (header->p_filesz > ELF_FILE_MAX_SEGMENT_BYTES)
		return -EFBIG;
	if (elf->segment_count == ELF_FILE_MAX_SEGMENTS)
		return -EBADMSG;
	segment = &elf->segments[elf->segment_count++];
	segment->vaddr = header->p_vaddr;
	segment->offset = header->p_offset;
	segment->file_bytes = header->p_filesz;
	segment->memory_bytes = header->p_memsz;
	segment->executable = header->p_flags & PF_X;
	segment->writable = header->p_flags & PF_W;
	return 0;
}

static int read_segments(struct elf_file *elf)
{
	size_t count, i;

	if (elf_getphdrnum(elf->elf, &count) || !count || count > ELF_FILE_MAX_HEADERS)
		return -EBADMSG;
	for (i = 0; i < count; i++) {
		GElf_Phdr header;
		int err;

		if (!gelf_getphdr(elf->elf, (int)i, &header))
			return -EBADMSG;
		if (header.p_type != PT_LOAD)
			continue;
		err = add_segment(elf, &header);
		if (err)
			return err;
	}
	return elf->segment_count ? 0 : -EBADMSG;
}

/* Section headers may be absent (stripped with sstrip) but must not point outside the file. */
static int check_sections(struct elf_file *elf)
{
	GElf_Ehdr header;

	if (!gelf_getehdr(elf->elf, &header))
		return -EBADMSG;
	if (!range_within(
		    header.e_shoff, (uint64_t)header.e_shnum * sizeof(Elf64_Shdr), elf->file_bytes))
		return -EBADMSG;
	return 0;
}

/* ---- build-id ---- */

static void format_hex(char *ret, const uint8_t *bytes, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		sprintf(ret + 2 * i, "%02x", bytes[i]);
}

static void find_build_id(struct elf_file *elf, const uint8_t *notes, size_t bytes)
{
	size_t at = 0;

	while (bytes - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		uint64_t name_bytes, desc_bytes;

		memcpy(&note, notes + at, sizeof(note));
		at += sizeof(note);
		name_bytes = ((uint64_t)note.n_namesz + 3) & ~3ull;
		desc_bytes = ((uint64_t)note.n_descsz + 3) & ~3ull;
		if (name_bytes > bytes - at || desc_bytes > bytes - at - name_bytes)
			return;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
			!memcmp(notes + at, "GNU", 4) &&
			note.n_descsz <= ELF_FILE_BUILD_ID_MAX_BYTES) {
			format_hex(elf->build_id, notes + at + name_bytes, note.n_descsz);
			return;
		}
		at += name_bytes + desc_bytes;
	}
}

static void read_build_id(struct elf_file *elf)
{
	size_t count = 0, i;

	elf_getphdrnum(elf->elf, &count);
	for (i = 0; i < count && !elf->build_id[0]; i++) {
		GElf_Phdr header;
		uint8_t *notes;

		if (!gelf_getphdr(elf->elf, (int)i, &header) || header.p_type != PT_NOTE ||
			header.p_filesz > ELF_FILE_MAX_NOTE_BYTES)
			continue;
		notes = xcalloc(1, header.p_filesz + 1);
		if (!read_exactly(elf->fd, notes, header.p_filesz, header.p_offset))
			find_build_id(elf, notes, header.p_filesz);
		free(notes);
	}
}

/* ---- sections ---- */

static Elf_Scn *find_section(struct elf_file *elf, const char *name, GElf_Shdr *ret)
{
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf->elf, &names))
		return NULL;
	while ((section = elf_nextscn(elf->elf, section))) {
		const char *found;

		if (!gelf_getshdr(section, ret))
			continue;
		found = elf_strptr(elf->elf, names, ret->sh_name);
		if (found && !strcmp(found, name))
			return section;
	}
	return NULL;
}

bool elf_file_section(struct elf_file *elf, const char *name, struct elf_section *ret)
{
	GElf_Shdr header;

	if (!find_section(elf, name, &header) || header.sh_size > ELF_FILE_MAX_SECTION_BYTES)
		return false;
	if (header.sh_type != SHT_NOBITS &&
		!range_within(header.sh_offset, header.sh_size, elf->file_bytes))
		return false;
	*ret = (struct elf_section){header.sh_addr, header.sh_offset, header.sh_size};
	return true;
}

const uint8_t *elf_file_section_bytes(struct elf_file *elf, const char *name, size_t *ret_bytes)
{
	GElf_Shdr header;
	Elf_Scn *section = find_section(elf, name, &header);
	Elf_Data *data;

	if (!section || header.sh_type == SHT_NOBITS ||
		header.sh_size > ELF_FILE_MAX_SECTION_BYTES ||
		!range_within(header.sh_offset, header.sh_size, elf->file_bytes))
		return NULL;
	data = elf_rawdata(section, NULL);
	if (!data || !data->d_buf)
		return NULL;
	*ret_bytes = data->d_size;
	return data->d_buf;
}

/* ---- relocations ---- */

static int compare_relocations(const void *a, const void *b)
{
	const struct elf_relocation *x = a, *y = b;

	return (x->vaddr > y->vaddr) - (x->vaddr < y->vaddr);
}

static void read_relocations(struct elf_file *elf)
{
	size_t bytes, count, i;
	const uint8_t *rela;

	elf->relocations_read = true;
	rela = elf_file_section_bytes(elf, ".rela.dyn", &bytes);
	if (!rela)
		rela = elf_file_section_bytes(elf, ".rela", &bytes);
	if (!rela)
		return;
	count = bytes / sizeof(Elf64_Rela);
	elf->relocations = xcalloc(count + 1, sizeof(*elf->relocations));
	for (i = 0; i < count; i++) {
		Elf64_Rela entry;

		memcpy(&entry, rela + i * sizeof(entry), sizeof(entry));
		if (ELF64_R_TYPE(entry.r_info) != R_X86_64_RELATIVE || entry.r_offset % 8)
			continue;
		elf->relocations[elf->relocation_count++] =
			(struct elf_relocation){entry.r_offset, (uint64_t)entry.r_addend};
	}
	qsort(elf->relocations, elf->relocation_count, sizeof(*elf->relocations),
		compare_relocations);
}

static size_t find_relocation(const struct elf_file *elf, uint64_t vaddr)
{
	size_t low = 0, high = elf->relocation_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (elf->relocations[mid].vaddr < vaddr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/*
 * A word may straddle two chunks only where the segment is not 8-aligned; such words stay as they
 * are.
 */
static void relocate(
	struct elf_file *elf, const struct elf_segment *segment, uint64_t start, uint64_t bytes)
{
	uint64_t first = segment->vaddr + start;
	size_t i;

	if (!elf->relocations_read)
		read_relocations(elf);
	for (i = find_relocation(elf, first); i < elf->relocation_count; i++) {
		uint64_t at = elf->relocations[i].vaddr - first;

		if (at >= bytes || bytes - at < 8)
			break;
		memcpy(segment->bytes + start + at, &elf->relocations[i].value, 8);
	}
}

/* ---- segments ---- */

static struct elf_segment *find_segment(const struct elf_file *elf, uint64_t vaddr)
{
	size_t i;

	for (i = 0; i < elf->segment_count; i++) {
		const struct elf_segment *segment = &elf->segments[i];

		if (vaddr >= segment->vaddr && vaddr - segment->vaddr < segment->memory_bytes)
			return (struct elf_segment *)segment;
	}
	return NULL;
}

static bool map_segment(struct elf_segment *segment)
{
	void *bytes;

	if (segment->bytes)
		return true;
	bytes = mmap(NULL, segment->file_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bytes == MAP_FAILED)
		return false;
	segment->bytes = bytes;
	segment->loaded = xcalloc(segment->file_bytes / ELF_FILE_CHUNK_BYTES + 1, 1);
	return true;
}

static bool load_chunk(struct elf_file *elf, struct elf_segment *segment, uint64_t chunk)
{
	uint64_t start = chunk * ELF_FILE_CHUNK_BYTES;
	uint64_t bytes = MIN(segment->file_bytes - start, ELF_FILE_CHUNK_BYTES);

	if (!segment->loaded[chunk]) {
		bool ok = !read_exactly(
			elf->fd, segment->bytes + start, bytes, segment->offset + start);

		segment->loaded[chunk] = ok ? 1 : 2;
		if (ok && elf->pie)
			relocate(elf, segment, start, bytes);
	}
	return segment->loaded[chunk] == 1;
}

const uint8_t *elf_file_bytes(struct elf_file *elf, uint64_t vaddr, uint64_t bytes)
{
	struct elf_segment *segment = find_segment(elf, vaddr);
	uint64_t start, chunk;

	if (!segment || !bytes || !range_within(vaddr - segment->vaddr, bytes, segment->file_bytes))
		return NULL;
	if (!map_segment(segment))
		return NULL;
	start = vaddr - segment->vaddr;
	for (chunk = start / ELF_FILE_CHUNK_BYTES;
		chunk <= (start + bytes - 1) / ELF_FILE_CHUNK_BYTES; chunk++)
		if (!load_chunk(elf, segment, chunk))
			return NULL;
	return segment->bytes + start;
}

uint64_t elf_file_bytes_after(const struct elf_file *elf, uint64_t vaddr)
{
	const struct elf_segment *segment = find_segment(elf, vaddr);

	if (!segment || vaddr - segment->vaddr >= segment->file_bytes)
		return 0;
	return segment->file_bytes - (vaddr - segment->vaddr);
}

int elf_file_offset(const struct elf_file *elf, uint64_t vaddr, uint64_t *ret)
{
	const struct elf_segment *segment = find_segment(elf, vaddr);

	if (!segment || vaddr - segment->vaddr >= segment->file_bytes)
		return -ENOENT;
	*ret = segment->offset + (vaddr - segment->vaddr);
	return 0;
}

bool elf_file_is_code(const struct elf_file *elf, uint64_t vaddr)
{
	const struct elf_segment *segment = find_segment(elf, vaddr);

	return segment && segment->executable;
}

bool elf_file_is_memory(const struct elf_file *elf, uint64_t vaddr, uint64_t bytes)
{
	const struct elf_segment *segment = find_segment(elf, vaddr);

	return segment && range_within(vaddr - segment->vaddr, bytes, segment->memory_bytes);
}

bool elf_file_data(const struct elf_file *elf, uint64_t *ret_start, uint64_t *ret_end)
{
	uint64_t start = UINT64_MAX, end = 0;

	for (size_t i = 0; i < elf->segment_count; i++) {
		const struct elf_segment *segment = &elf->segments[i];

		if (!segment->writable)
			continue;
		start = MIN(start, segment->vaddr);
		end = MAX(end, segment->vaddr + segment->memory_bytes);
	}
	if (start >= end)
		return false;
	*ret_start = start;
	*ret_end = end;
	return true;
}

/* ---- symbols ---- */

/* Calls each for every symbol of a table that has an address, until it returns true. */
static void for_each_in(struct elf_file *elf, const char *table, const char *strings,
	bool (*each)(struct elf_file *elf, const Elf64_Sym *symbol, const char *name, void *arg),
	void *arg)
{
	size_t symbol_bytes, name_bytes, at;
	const uint8_t *symbols = elf_file_section_bytes(elf, table, &symbol_bytes);
	const uint8_t *names = elf_file_section_bytes(elf, strings, &name_bytes);

	if (!symbols || !names || !name_bytes || names[name_bytes - 1])
		return;
	for (at = 0; symbol_bytes - at >= sizeof(Elf64_Sym); at += sizeof(Elf64_Sym)) {
		Elf64_Sym symbol;

		memcpy(&symbol, symbols + at, sizeof(symbol));
		if (symbol.st_shndx == SHN_UNDEF || symbol.st_name >= name_bytes)
			continue;
		if (each(elf, &symbol, (const char *)names + symbol.st_name, arg))
			return;
	}
}

static void for_each_symbol(struct elf_file *elf,
	bool (*each)(struct elf_file *elf, const Elf64_Sym *symbol, const char *name, void *arg),
	void *arg)
{
	for_each_in(elf, ".symtab", ".strtab", each, arg);
}

struct symbol_search {
	const char *name;
	bool found;
	uint64_t addr;
};

static bool match_symbol(struct elf_file *elf, const Elf64_Sym *symbol, const char *name, void *arg)
{
	struct symbol_search *search = arg;

	(void)elf;
	if (strcmp(name, search->name))
		return false;
	search->found = true;
	search->addr = symbol->st_value;
	return true;
}

int elf_file_symbol(struct elf_file *elf, const char *name, uint64_t *ret)
{
	struct symbol_search search = {.name = name};

	for_each_symbol(elf, match_symbol, &search);
	if (!search.found)
		return -ENOENT;
	*ret = search.addr;
	return 0;
}

int elf_file_exported(struct elf_file *elf, const char *name, uint64_t *ret)
{
	struct symbol_search search = {.name = name};

	for_each_in(elf, ".dynsym", ".dynstr", match_symbol, &search);
	if (!search.found)
		return -ENOENT;
	*ret = search.addr;
	return 0;
}

bool elf_file_imports(struct elf_file *elf, const char *const *names, size_t count)
{
	size_t symbol_bytes, text_bytes;
	const uint8_t *symbols = elf_file_section_bytes(elf, ".dynsym", &symbol_bytes);
	const uint8_t *texts = elf_file_section_bytes(elf, ".dynstr", &text_bytes);

	if (!symbols || !texts || !text_bytes || texts[text_bytes - 1])
		return false;
	for (size_t at = 0; symbol_bytes - at >= sizeof(Elf64_Sym); at += sizeof(Elf64_Sym)) {
		Elf64_Sym symbol;

		memcpy(&symbol, symbols + at, sizeof(symbol));
		if (symbol.st_shndx != SHN_UNDEF || symbol.st_name >= text_bytes)
			continue;
		for (size_t i = 0; i < count; i++)
			if (!strcmp((const char *)texts + symbol.st_name, names[i]))
				return true;
	}
	return false;
}

struct function_walk {
	bool (*each)(const char *name, uint64_t addr, uint64_t bytes, void *arg);
	void *arg;
};

static bool walk_function(
	struct elf_file *elf, const Elf64_Sym *symbol, const char *name, void *arg)
{
	const struct function_walk *walk = arg;

	(void)elf;
	if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC)
		return false;
	return walk->each(name, symbol->st_value, symbol->st_size, walk->arg);
}

void elf_file_each_function(struct elf_file *elf,
	bool (*each)(const char *name, uint64_t addr, uint64_t bytes, void *arg), void *arg)
{
	struct function_walk walk = {each, arg};

	if (elf_file_has_symbols(elf))
		for_each_symbol(elf, walk_function, &walk);
	else
		for_each_in(elf, ".dynsym", ".dynstr", walk_function, &walk);
}

void elf_file_lend_names(struct elf_file *elf, const struct function_symbols *names)
{
	elf->names = names;
}

void elf_file_each_name(struct elf_file *elf,
	bool (*each)(const char *name, uint64_t addr, uint64_t bytes, void *arg), void *arg)
{
	if (!elf->names) {
		elf_file_each_function(elf, each, arg);
		return;
	}
	for (size_t i = 0; i < elf->names->count; i++) {
		const struct function_symbol *symbol = &elf->names->list[i];

		if (each(symbol->name, symbol->addr, symbol->bytes, arg))
			return;
	}
}

/* The name that a dynamic entry of that kind gives and that begins so; NULL = there is none. */
static const char *dynamic_name(struct elf_file *elf, int64_t kind, const char *begin)
{
	size_t dynamic_bytes, name_bytes;
	const uint8_t *dynamic = elf_file_section_bytes(elf, ".dynamic", &dynamic_bytes);
	const char *names = (const char *)elf_file_section_bytes(elf, ".dynstr", &name_bytes);

	if (!dynamic || !names || !name_bytes || names[name_bytes - 1])
		return NULL;
	for (size_t at = 0; dynamic_bytes - at >= sizeof(Elf64_Dyn); at += sizeof(Elf64_Dyn)) {
		Elf64_Dyn entry;

		memcpy(&entry, dynamic + at, sizeof(entry));
		if (entry.d_tag == kind && entry.d_un.d_val < name_bytes &&
			!strncmp(names + entry.d_un.d_val, begin, strlen(begin)))
			return names + entry.d_un.d_val;
	}
	return NULL;
}

bool elf_file_needs(struct elf_file *elf, const char *library)
{
	return dynamic_name(elf, DT_NEEDED, library);
}

bool elf_file_is_library(struct elf_file *elf)
{
	return dynamic_name(elf, DT_SONAME, "");
}

static bool add_object(struct elf_file *elf, const Elf64_Sym *symbol, const char *name, void *arg)
{
	size_t *capacity = arg;

	if (ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT || !symbol->st_size || !name[0])
		return false;
	array_reserve(elf->objects, elf->object_count, *capacity);
	elf->objects[elf->object_count++] =
		(struct elf_symbol){symbol->st_value, symbol->st_size, name};
	return false;
}

static int compare_objects(const void *a, const void *b)
{
	const struct elf_symbol *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

static void read_objects(struct elf_file *elf)
{
	size_t capacity = 0;

	elf->objects_read = true;
	if (elf_file_has_symbols(elf))
		for_each_symbol(elf, add_object, &capacity);
	else
		for_each_in(elf, ".dynsym", ".dynstr", add_object, &capacity);
	if (elf->object_count)
		qsort(elf->objects, elf->object_count, sizeof(*elf->objects), compare_objects);
}

const char *elf_file_data_symbol(struct elf_file *elf, uint64_t addr, uint64_t *ret_offset)
{
	size_t low = 0, high;

	if (!elf->objects_read)
		read_objects(elf);
	high = elf->object_count;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (elf->objects[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || addr - elf->objects[low - 1].addr >= elf->objects[low - 1].bytes)
		return NULL;
	*ret_offset = addr - elf->objects[low - 1].addr;
	return elf->objects[low - 1].name;
}

/* ---- the file ---- */

bool elf_file_is_pie(const struct elf_file *elf)
{
	return elf->pie;
}

bool elf_file_has_symbols(const struct elf_file *elf)
{
	GElf_Shdr header;

	return find_section((struct elf_file *)elf, ".symtab", &header);
}

uint64_t elf_file_load_vaddr(const struct elf_file *elf)
{
	return elf->segments[0].vaddr - elf->segments[0].offset;
}

const char *elf_file_build_id(const struct elf_file *elf)
{
	return elf->build_id;
}

int elf_file_fd(const struct elf_file *elf)
{
	return elf->fd;
}

int elf_file_open(int fd, struct elf_file **ret)
{
	struct elf_file *elf = xcalloc(1, sizeof(*elf));
	int err;

	elf->fd = fd;
	err = check_header(fd, elf);
	if (err)
		goto out;
	err = -EBADMSG;
	if (elf_version(EV_CURRENT) == EV_NONE)
		goto out;
	elf->elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf->elf || elf_kind(elf->elf) != ELF_K_ELF)
		goto out;
	err = check_sections(elf);
	if (!err)
		err = read_segments(elf);
	if (!err)
		read_build_id(elf);
out:
	if (err)
		elf_file_close(elf);
	else
		*ret = elf;
	return err;
}

void elf_file_close(struct elf_file *elf)
{
	size_t i;

	if (!elf)
		return;
	for (i = 0; i < elf->segment_count; i++) {
		if (elf->segments[i].bytes)
			munmap(elf->segments[i].bytes, elf->segments[i].file_bytes);
		free(elf->segments[i].loaded);
	}
	elf_end(elf->elf);
	free(elf->relocations);
	free(elf->objects);
	free(elf);
}
