/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads .gopclntab. A header names five subtables: function names, file numbers per compilation
 * unit, file names, pc-value tables, and the functions. The last is a sorted array of (entry,
 * offset) pairs closed by an end address, followed by one runtime._func per function.
 *
 * A pc-value table is a list of (zigzag varint value change, varint pc change), 0 ends it; the
 * value starts at -1 at the function's entry.
 */
#include <errno.h>
#include <string.h>

#include "runtime/binary/elf_file.h"
#include "runtime/go/go_pclntab.h"

#define MAGIC_1_18      0xfffffff0u /* 1.18, 1.19 */
#define MAGIC_1_20      0xfffffff1u /* 1.20 and later */
#define HEADER_BYTES    72
#define FUNC_BYTES      40 /* of runtime._func before its variable part; 44 since 1.20 */
#define MAX_NAME_BYTES  65536
#define MAX_FUNCS       (4u << 20)
#define MAX_VALUE_STEPS (1u << 20)

/* Fields of runtime._func (runtime/runtime2.go) */
enum {
	FUNC_NAME = 4,
	FUNC_PCFILE = 20,
	FUNC_PCLN = 24,
	FUNC_NPCDATA = 28,
	FUNC_UNIT = 32,
	FUNC_NFUNCDATA = 39, /* 4 more since 1.20 */
};

static uint32_t load_u32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t load_u64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static bool read_u32(const struct go_pclntab *table, uint64_t offset, uint32_t *ret)
{
	if (offset > table->size || table->size - offset < 4)
		return false;
	*ret = load_u32(table->bytes + offset);
	return true;
}

static const char *read_text(const struct go_pclntab *table, uint64_t offset)
{
	uint64_t max;

	if (offset >= table->size)
		return NULL;
	max = table->size - offset;
	if (!memchr(table->bytes + offset, 0, max < MAX_NAME_BYTES ? max : MAX_NAME_BYTES))
		return NULL;
	return (const char *)table->bytes + offset;
}

/* ---- open ---- */

static int read_header(struct go_pclntab *table)
{
	const uint8_t *b = table->bytes;
	uint64_t count;

	if (table->size < HEADER_BYTES)
		return -EBADMSG;
	if (load_u32(b) != MAGIC_1_18 && load_u32(b) != MAGIC_1_20)
		return load_u32(b) >> 8 == 0xffffff ? -ENOTSUP : -EBADMSG;
	/* Two zero bytes, instruction quantum 1, pointer size 8: this machine */
	if (b[4] || b[5] || b[6] != 1 || b[7] != 8)
		return -EBADMSG;
	table->has_start_lines = load_u32(b) == MAGIC_1_20;
	count = load_u64(b + 8);
	table->text = load_u64(b + 24);
	table->names = load_u64(b + 32);
	table->units = load_u64(b + 40);
	table->files = load_u64(b + 48);
	table->values = load_u64(b + 56);
	table->funcs = load_u64(b + 64);
	if (!count || count > MAX_FUNCS || table->names >= table->size ||
		table->units >= table->size || table->files >= table->size ||
		table->values >= table->size || table->funcs >= table->size ||
		table->size - table->funcs < count * 8 + 4)
		return -EBADMSG;
	table->func_count = count;
	return 0;
}

static int read_at(struct elf_file *elf, uint64_t vaddr, uint64_t bytes, struct go_pclntab *ret)
{
	struct go_pclntab table = {.vaddr = vaddr, .size = bytes};
	int err;

	table.bytes = elf_file_bytes(elf, vaddr, bytes);
	if (!table.bytes)
		return -EBADMSG;
	err = read_header(&table);
	if (!err)
		*ret = table;
	return err;
}

/*
 * An external linker merges .data.rel.ro.gopclntab into .data.rel.ro (cgo with -buildmode=pie,
 * before 1.26): the header is recognised by its first eight bytes.
 */
static int search(struct elf_file *elf, const struct elf_section *section, struct go_pclntab *ret)
{
	const uint8_t *bytes = elf_file_bytes(elf, section->addr, section->bytes);
	uint64_t at;

	for (at = 0; bytes && at + HEADER_BYTES <= section->bytes; at += 8) {
		uint32_t magic = load_u32(bytes + at);

		if ((magic == MAGIC_1_18 || magic == MAGIC_1_20) &&
			!read_at(elf, section->addr + at, section->bytes - at, ret))
			return 0;
	}
	return -ENOENT;
}

int go_pclntab_open(struct elf_file *elf, struct go_pclntab *ret)
{
	struct elf_section section;

	if (elf_file_section(elf, ".gopclntab", &section) ||
		elf_file_section(elf, ".data.rel.ro.gopclntab", &section))
		return read_at(elf, section.addr, section.bytes, ret);
	if (elf_file_section(elf, ".data.rel.ro", &section))
		return search(elf, &section, ret);
	return -ENOENT;
}

void go_pclntab_done(struct go_pclntab *table)
{
	table_done(&table->by_name);
	*table = (struct go_pclntab){0};
}

void go_pclntab_set_text(struct go_pclntab *table, uint64_t text)
{
	table->text = text;
}

/* ---- functions ---- */

static uint32_t func_entry(const struct go_pclntab *table, uint32_t index)
{
	return load_u32(table->bytes + table->funcs + (uint64_t)index * 8);
}

const char *go_pclntab_name(const struct go_pclntab *table, uint32_t offset)
{
	return read_text(table, table->names + offset);
}

bool go_pclntab_func(const struct go_pclntab *table, uint32_t index, struct go_func *ret)
{
	struct go_func func;
	uint32_t name;

	if (index >= table->func_count)
		return false;
	func.entry = table->text + func_entry(table, index);
	func.end = table->text + func_entry(table, index + 1);
	func.offset =
		table->funcs + load_u32(table->bytes + table->funcs + (uint64_t)index * 8 + 4);
	if (func.end < func.entry || func.offset > table->size ||
		table->size - func.offset < FUNC_BYTES + 4)
		return false;
	name = load_u32(table->bytes + func.offset + FUNC_NAME);
	func.name = go_pclntab_name(table, name);
	if (!func.name)
		return false;
	*ret = func;
	return true;
}

bool go_pclntab_find(const struct go_pclntab *table, uint64_t pc, struct go_func *ret)
{
	uint64_t offset = pc - table->text;
	uint32_t low = 0, high = table->func_count;

	if (pc < table->text || offset >= func_entry(table, table->func_count))
		return false;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (func_entry(table, mid) <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low && go_pclntab_func(table, low - 1, ret) && pc < ret->end;
}

static void read_names(struct go_pclntab *table)
{
	struct go_func func;
	uint32_t i;

	table->by_name_read = true;
	/* Backwards, so that the first of several functions with one name wins */
	for (i = table->func_count; i-- > 0;)
		if (go_pclntab_func(table, i, &func))
			table_set(&table->by_name, hash_string(0, func.name), i);
}

bool go_pclntab_find_name(struct go_pclntab *table, const char *name, struct go_func *ret)
{
	struct go_func func;
	uint64_t index;

	if (!table->by_name_read)
		read_names(table);
	if (!table_get(&table->by_name, hash_string(0, name), &index) ||
		!go_pclntab_func(table, index, &func) || strcmp(func.name, name))
		return false;
	*ret = func;
	return true;
}

/* ---- pc-value tables ---- */

static bool read_varint(const struct go_pclntab *table, uint64_t *at, uint32_t *ret)
{
	uint32_t value = 0, shift = 0;
	uint8_t byte;

	do {
		if (*at >= table->size || shift > 28)
			return false;
		byte = table->bytes[(*at)++];
		value |= (uint32_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	*ret = value;
	return true;
}

static int32_t value_at(
	const struct go_pclntab *table, const struct go_func *func, uint32_t offset, uint64_t pc)
{
	uint64_t at = table->values + offset, end = func->entry;
	uint32_t change, distance, steps, value = -1;

	if (!offset)
		return -1;
	for (steps = 0; steps < MAX_VALUE_STEPS; steps++) {
		if (!read_varint(table, &at, &change) || (!change && steps))
			return -1;
		value += change & 1 ? ~(change >> 1) : change >> 1;
		if (!read_varint(table, &at, &distance))
			return -1;
		end += distance;
		if (pc < end)
			return (int32_t)value;
	}
	return -1;
}

const char *go_pclntab_file(
	const struct go_pclntab *table, const struct go_func *func, int32_t number)
{
	uint32_t unit = load_u32(table->bytes + func->offset + FUNC_UNIT), offset;

	if (number < 0 || unit == UINT32_MAX ||
		!read_u32(table, table->units + ((uint64_t)unit + number) * 4, &offset) ||
		offset == UINT32_MAX)
		return NULL;
	return read_text(table, table->files + offset);
}

void go_pclntab_line(const struct go_pclntab *table, const struct go_func *func, uint64_t pc,
	const char **ret_file, uint32_t *ret_line)
{
	const uint8_t *fields = table->bytes + func->offset;
	int32_t line = value_at(table, func, load_u32(fields + FUNC_PCLN), pc);
	const char *file = go_pclntab_file(
		table, func, value_at(table, func, load_u32(fields + FUNC_PCFILE), pc));

	*ret_file = file ? file : "";
	*ret_line = line > 0 ? line : 0;
}

/* ---- per-function data ---- */

static uint32_t pcdata_count(const struct go_pclntab *table, const struct go_func *func)
{
	return load_u32(table->bytes + func->offset + FUNC_NPCDATA);
}

static uint64_t pcdata_offset(const struct go_pclntab *table, const struct go_func *func)
{
	return func->offset + FUNC_BYTES + (table->has_start_lines ? 4 : 0);
}

int32_t go_pclntab_pcdata(
	const struct go_pclntab *table, const struct go_func *func, uint32_t which, uint64_t pc)
{
	uint32_t offset;

	if (which >= pcdata_count(table, func) ||
		!read_u32(table, pcdata_offset(table, func) + which * 4ull, &offset))
		return -1;
	return value_at(table, func, offset, pc);
}

bool go_pclntab_funcdata(
	const struct go_pclntab *table, const struct go_func *func, uint32_t which, uint32_t *ret)
{
	uint32_t count =
		table->bytes[func->offset + FUNC_NFUNCDATA + (table->has_start_lines ? 4 : 0)];
	uint64_t at = pcdata_offset(table, func) + pcdata_count(table, func) * 4ull + which * 4ull;
	uint32_t offset;

	if (which >= count || !read_u32(table, at, &offset) || offset == UINT32_MAX)
		return false;
	*ret = offset;
	return true;
}
