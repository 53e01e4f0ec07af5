/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abi.Type is the same from 1.19 to 1.26 (48 bytes): Size 0, PtrBytes 8, Hash 16, TFlag 20, Align
 * 21, FieldAlign 22, Kind 23, Equal 24, GCData 32, Str 40, PtrToThis 44. The kind's own fields
 * follow at 48. Str counts from moduledata.types; a name is a flag byte, a varint length and the
 * bytes.
 *
 * Classic map type: Key 48, Elem 56, Bucket 64, Hasher 72, KeySize u8 80, ValueSize u8 81,
 * BucketSize u16 82, Flags u32 84. Swiss map type: Key 48, Elem 56, Group 64, Hasher 72, GroupSize
 * 80, SlotSize 88, ElemOff 96, Flags u32 104.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/go/go_file.h"
#include "runtime/go/go_types.h"

#define TYPE_BYTES      48
#define KIND_MASK       0x1f
#define FLAG_EXTRA_STAR 2 /* TFlagExtraStar: the name is stored as that of the pointer type */
#define MAX_NAME_BYTES  8192
#define MAX_DEPTH       32
#define MAX_FIELDS      65536
#define FIELD_BYTES     24 /* abi.StructField: name, type, offset */

enum {
	TYPE_SIZE = 0,
	TYPE_PTR_BYTES = 8,
	TYPE_TFLAG = 20,
	TYPE_ALIGN = 21,
	TYPE_FIELD_ALIGN = 22,
	TYPE_KIND = 23,
	TYPE_EQUAL = 24,
	TYPE_STR = 40,
	TYPE_ELEM = 48, /* array, chan, pointer, slice */
	ARRAY_LEN = 64,
	MAP_KEY = 48,
	MAP_ELEM = 56,
	MAP_GROUP = 64,
	CLASSIC_BUCKET_SIZE = 82,
	CLASSIC_FLAGS = 84,
	SWISS_GROUP_SIZE = 80,
	SWISS_SLOT_SIZE = 88,
	SWISS_FLAGS = 104,
	STRUCT_FIELDS = 56,
	STRUCT_FIELD_COUNT = 64,
};

/* ---- reading ---- */

static const uint8_t *type_bytes(const struct go_file *file, uint64_t addr, uint64_t bytes)
{
	const struct go_facts *facts = &file->facts;

	if (!file->has_types || addr < facts->types || addr >= facts->etypes ||
		bytes > facts->etypes - addr)
		return NULL;
	return file->types + (addr - facts->types);
}

static uint64_t read_u64(const struct go_file *file, uint64_t addr)
{
	const uint8_t *at = type_bytes(file, addr, 8);
	uint64_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return value;
}

static uint32_t read_u32(const struct go_file *file, uint64_t addr)
{
	const uint8_t *at = type_bytes(file, addr, 4);
	uint32_t value = 0;

	if (at)
		memcpy(&value, at, sizeof(value));
	return value;
}

static uint16_t read_u16(const struct go_file *file, uint64_t addr)
{
	return (uint16_t)read_u32(file, addr);
}

static uint8_t read_u8(const struct go_file *file, uint64_t addr)
{
	const uint8_t *at = type_bytes(file, addr, 1);

	return at ? *at : 0;
}

/* abi.Name: flags (exported, tag, package path, embedded), varint length, bytes. */
static const char *read_name(const struct go_file *file, uint64_t addr, size_t *ret_bytes)
{
	uint32_t length = 0, shift = 0, at = 1;
	uint8_t byte;

	if (read_u8(file, addr) > 0x0f)
		return NULL;
	do {
		byte = read_u8(file, addr + at++);
		length |= (uint32_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80 && shift <= 14);
	if (!length || length > MAX_NAME_BYTES || !type_bytes(file, addr + at, length))
		return NULL;
	*ret_bytes = length;
	return (const char *)type_bytes(file, addr + at, length);
}

static const char *type_name(const struct go_file *file, uint64_t type, size_t *ret_bytes)
{
	const char *name =
		read_name(file, file->facts.types + read_u32(file, type + TYPE_STR), ret_bytes);

	if (!name || !(read_u8(file, type + TYPE_TFLAG) & FLAG_EXTRA_STAR))
		return name;
	if (name[0] != '*' || *ret_bytes < 2)
		return NULL;
	(*ret_bytes)--;
	return name + 1;
}

static bool is_power_of_two(uint8_t x)
{
	return x && !(x & (x - 1));
}

/* What every type descriptor satisfies; random bytes rarely do. */
static bool is_type(const struct go_file *file, uint64_t type)
{
	uint8_t kind = read_u8(file, type + TYPE_KIND) & KIND_MASK;
	size_t bytes;

	return type % 8 == 0 && type_bytes(file, type, TYPE_BYTES) && kind && kind <= GO_KIND_MAX &&
	       read_u64(file, type + TYPE_PTR_BYTES) <= read_u64(file, type + TYPE_SIZE) &&
	       is_power_of_two(read_u8(file, type + TYPE_ALIGN)) &&
	       read_u8(file, type + TYPE_ALIGN) <= 64 && type_name(file, type, &bytes);
}

static void copy_name(char *ret, size_t bytes, const char *name, size_t name_bytes)
{
	size_t count = MIN(bytes - 1, name_bytes);

	/* Cut between characters */
	while (count < name_bytes && count && ((uint8_t)name[count] & 0xc0) == 0x80)
		count--;
	memcpy(ret, name, count);
	ret[count] = 0;
}

/* ---- one type ---- */

static int read_map(const struct go_file *file, struct go_type *type)
{
	uint64_t at = type->type;

	type->key = read_u64(file, at + MAP_KEY);
	type->elem = read_u64(file, at + MAP_ELEM);
	type->group = read_u64(file, at + MAP_GROUP);
	if (!is_type(file, type->key) || !is_type(file, type->elem) || !is_type(file, type->group))
		return -ENOENT;
	type->key_size = read_u64(file, type->key + TYPE_SIZE);
	type->elem_size = read_u64(file, type->elem + TYPE_SIZE);
	type->group_has_pointers = read_u64(file, type->group + TYPE_PTR_BYTES) != 0;
	if (file->facts.swiss) {
		type->group_size = read_u64(file, at + SWISS_GROUP_SIZE);
		type->slot_size = read_u64(file, at + SWISS_SLOT_SIZE);
		type->map_flags = read_u32(file, at + SWISS_FLAGS);
	} else {
		type->group_size = read_u16(file, at + CLASSIC_BUCKET_SIZE);
		type->map_flags = read_u32(file, at + CLASSIC_FLAGS);
	}
	/* The runtime allocates arrays of this type: its size is the stride */
	return type->group_size == read_u64(file, type->group + TYPE_SIZE) ? 0 : -ENOENT;
}

static int read_elem(const struct go_file *file, struct go_type *type)
{
	type->elem = read_u64(file, type->type + TYPE_ELEM);
	if (!is_type(file, type->elem))
		return -ENOENT;
	type->elem_size = read_u64(file, type->elem + TYPE_SIZE);
	return 0;
}

int go_type_read(struct go_file *file, uint64_t addr, struct go_type *ret)
{
	struct go_type type = {.type = addr};
	const char *name;
	size_t bytes;
	int err = 0;

	if (!is_type(file, addr))
		return -ENOENT;
	type.kind = read_u8(file, addr + TYPE_KIND) & KIND_MASK;
	type.size = read_u64(file, addr + TYPE_SIZE);
	type.has_pointers = read_u64(file, addr + TYPE_PTR_BYTES) != 0;
	name = type_name(file, addr, &bytes);
	copy_name(type.name, sizeof(type.name), name, bytes);
	if (type.kind == GO_KIND_MAP)
		err = read_map(file, &type);
	else if (type.kind == GO_KIND_ARRAY || type.kind == GO_KIND_CHAN ||
		 type.kind == GO_KIND_POINTER || type.kind == GO_KIND_SLICE)
		err = read_elem(file, &type);
	if (!err)
		*ret = type;
	return err;
}

/* ---- all types of a kind ---- */

/*
 * moduledata.typelinks lists unnamed types only, so every place is tried. Maps and channels are one
 * pointer; maps cannot be compared, channels can.
 */
static bool is_candidate(const struct go_file *file, uint64_t type, uint8_t kind)
{
	return (read_u8(file, type + TYPE_KIND) & KIND_MASK) == kind &&
	       read_u64(file, type + TYPE_SIZE) == 8 &&
	       read_u64(file, type + TYPE_PTR_BYTES) == 8 &&
	       read_u8(file, type + TYPE_ALIGN) == 8 &&
	       read_u8(file, type + TYPE_FIELD_ALIGN) == 8 &&
	       !read_u64(file, type + TYPE_EQUAL) == (kind == GO_KIND_MAP);
}

size_t go_type_list(struct go_file *file, uint8_t kind, struct go_type *ret, size_t max)
{
	uint64_t addr = (file->facts.types + 7) & ~7ull;
	struct go_type type;
	size_t count = 0;

	if (!file->has_types || (kind != GO_KIND_MAP && kind != GO_KIND_CHAN))
		return 0;
	for (; addr + TYPE_BYTES <= file->facts.etypes; addr += 8) {
		if (!is_candidate(file, addr, kind) || go_type_read(file, addr, &type))
			continue;
		if (count < max)
			ret[count] = type;
		count++;
	}
	return count;
}

/* ---- fields ---- */

struct path {
	char *text;
	size_t bytes, used;
};

static void append(struct path *path, const char *text, size_t bytes)
{
	copy_name(path->text + path->used, path->bytes - path->used, text, bytes);
	path->used += strlen(path->text + path->used);
}

/*
 * Finds the field that holds *offset, appends its name, and returns its type; 0 = none (padding).
 */
static uint64_t descend_struct(
	const struct go_file *file, uint64_t type, uint64_t *offset, struct path *path)
{
	uint64_t fields = read_u64(file, type + STRUCT_FIELDS);
	uint64_t count = read_u64(file, type + STRUCT_FIELD_COUNT), i;

	for (i = 0; i < MIN(count, MAX_FIELDS); i++) {
		uint64_t field = fields + i * FIELD_BYTES;
		uint64_t field_type = read_u64(file, field + 8), start = read_u64(file, field + 16);
		const char *name;
		size_t bytes;

		if (!is_type(file, field_type) || *offset < start ||
			*offset - start >= read_u64(file, field_type + TYPE_SIZE))
			continue;
		name = read_name(file, read_u64(file, field), &bytes);
		if (!name)
			return 0;
		append(path, ".", 1);
		append(path, name, bytes);
		*offset -= start;
		return field_type;
	}
	return 0;
}

static uint64_t descend_array(
	const struct go_file *file, uint64_t type, uint64_t *offset, struct path *path)
{
	uint64_t elem = read_u64(file, type + TYPE_ELEM), size;

	if (!is_type(file, elem))
		return 0;
	size = read_u64(file, elem + TYPE_SIZE);
	if (!size || *offset / size >= read_u64(file, type + ARRAY_LEN))
		return 0;
	*offset %= size;
	append(path, "[]", 2);
	return elem;
}

int go_type_field(struct go_file *file, uint64_t type, uint64_t offset, char *name, size_t bytes,
	struct go_type *ret)
{
	struct path path = {name, bytes, 0};
	const char *first;
	size_t first_bytes = 0, depth;

	if (!bytes || !is_type(file, type) ||
		(read_u8(file, type + TYPE_KIND) & KIND_MASK) != GO_KIND_STRUCT)
		return -ENOENT;
	first = type_name(file, type, &first_bytes);
	append(&path, first, first_bytes);
	for (depth = 0; depth < MAX_DEPTH && type; depth++) {
		uint8_t kind = read_u8(file, type + TYPE_KIND) & KIND_MASK;

		if (kind == GO_KIND_STRUCT)
			type = descend_struct(file, type, &offset, &path);
		else if (kind == GO_KIND_ARRAY)
			type = descend_array(file, type, &offset, &path);
		else
			return go_type_read(file, type, ret);
	}
	return -ENOENT;
}
