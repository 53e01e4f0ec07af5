/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A unit's abbreviations are read when it is opened; where none of an abbreviation's attributes has a
 * length of its own, its entries are passed by one addition.
 *
 * What is of no use is measured and left. Forms that this file does not know end the reading of the
 * unit: what follows them cannot be found.
 */
#include "runtime/binary/dwarf_entries.h"

#include <dwarf.h>
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAX_ABBREVIATIONS (1u << 16) /* of one unit */
#define MAX_ATTRIBUTES    (1u << 20)
#define VARIES            UINT32_MAX

struct dwarf_abbreviation {
	uint64_t code;
	uint32_t attribute, attribute_count; /* its first one, of those of the unit */
	uint32_t bytes;                      /* of an entry's attributes, or VARIES */
	uint16_t tag;
	bool has_children;
};

/* Those of no use that follow one another are one, where none of them varies. */
struct dwarf_attribute {
	uint16_t name, form; /* name 0 = of no use */
	uint32_t bytes;      /* or VARIES */
	int64_t constant;    /* of DW_FORM_implicit_const */
};

/* ---- bytes ---- */

struct cursor {
	const uint8_t *at, *end;
	bool bad; /* it went over the end */
};

static uint64_t take_fixed(struct cursor *cursor, size_t bytes)
{
	const uint8_t *at = cursor->at;
	uint64_t value = 0;

	if ((size_t)(cursor->end - at) < bytes) {
		cursor->at = cursor->end;
		cursor->bad = true;
		return 0;
	}
	cursor->at += bytes;
	if ((size_t)(cursor->end - at) < sizeof(value)) {
		memcpy(&value, at, MIN(bytes, sizeof(value)));
		return value;
	}
	/* One load of eight bytes, of which some are no part of it */
	memcpy(&value, at, sizeof(value));
	return bytes < sizeof(value) ? value & ((1ull << 8 * bytes) - 1) : value;
}

static uint64_t take_number(struct cursor *cursor, bool is_signed)
{
	uint64_t value = 0;

	if (cursor->at < cursor->end && *cursor->at < 0x40)
		return *cursor->at++;
	for (unsigned shift = 0; cursor->at < cursor->end; shift += 7) {
		uint8_t byte = *cursor->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		if (is_signed && byte & 0x40 && shift + 7 < 64)
			value |= ~0ull << (shift + 7);
		return value;
	}
	cursor->bad = true;
	return 0;
}

static void pass_bytes(struct cursor *cursor, uint64_t bytes)
{
	if (bytes > (uint64_t)(cursor->end - cursor->at)) {
		cursor->at = cursor->end;
		cursor->bad = true;
		return;
	}
	cursor->at += bytes;
}

static void pass_string(struct cursor *cursor)
{
	const uint8_t *end = memchr(cursor->at, 0, cursor->end - cursor->at);

	cursor->bad |= !end;
	cursor->at = end ? end + 1 : cursor->end;
}

/* ---- forms ---- */

/* How many bytes a form always has, or VARIES. */
static uint32_t form_bytes(const struct dwarf_entries *entries, unsigned form)
{
	switch (form) {
	case DW_FORM_flag_present:
	case DW_FORM_implicit_const:
		return 0;
	case DW_FORM_data1:
	case DW_FORM_ref1:
	case DW_FORM_flag:
	case DW_FORM_strx1:
	case DW_FORM_addrx1:
		return 1;
	case DW_FORM_data2:
	case DW_FORM_ref2:
	case DW_FORM_strx2:
	case DW_FORM_addrx2:
		return 2;
	case DW_FORM_strx3:
	case DW_FORM_addrx3:
		return 3;
	case DW_FORM_data4:
	case DW_FORM_ref4:
	case DW_FORM_ref_sup4:
	case DW_FORM_strx4:
	case DW_FORM_addrx4:
		return 4;
	case DW_FORM_data8:
	case DW_FORM_ref8:
	case DW_FORM_ref_sup8:
	case DW_FORM_ref_sig8:
		return 8;
	case DW_FORM_data16:
		return 16;
	case DW_FORM_addr:
		return entries->address_bytes;
	case DW_FORM_ref_addr:
		return entries->version < 3 ? entries->address_bytes : entries->offset_bytes;
	case DW_FORM_strp:
	case DW_FORM_sec_offset:
	case DW_FORM_line_strp:
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_GNU_strp_alt:
		return entries->offset_bytes;
	default:
		return VARIES;
	}
}

/* Those that vary. */
static void pass_form(struct cursor *cursor, unsigned form)
{
	switch (form) {
	case DW_FORM_sdata:
	case DW_FORM_udata:
	case DW_FORM_ref_udata:
	case DW_FORM_strx:
	case DW_FORM_addrx:
	case DW_FORM_loclistx:
	case DW_FORM_rnglistx:
	case DW_FORM_GNU_addr_index:
	case DW_FORM_GNU_str_index:
		take_number(cursor, false);
		return;
	case DW_FORM_string:
		pass_string(cursor);
		return;
	case DW_FORM_block1:
		pass_bytes(cursor, take_fixed(cursor, 1));
		return;
	case DW_FORM_block2:
		pass_bytes(cursor, take_fixed(cursor, 2));
		return;
	case DW_FORM_block4:
		pass_bytes(cursor, take_fixed(cursor, 4));
		return;
	case DW_FORM_block:
	case DW_FORM_exprloc:
		pass_bytes(cursor, take_number(cursor, false));
		return;
	default:
		cursor->bad = true;
	}
}

enum value_kind {
	VALUE_OTHER,
	VALUE_NUMBER,
	VALUE_ADDRESS,
	VALUE_ENTRY, /* an offset in .debug_info */
};

struct value {
	enum value_kind kind;
	uint64_t number;
};

static struct value take_value(const struct dwarf_entries *entries, struct cursor *cursor,
	const struct dwarf_attribute *attribute)
{
	unsigned form = attribute->form;
	uint32_t bytes = attribute->bytes;

	if (form == DW_FORM_indirect) {
		form = take_number(cursor, false);
		bytes = form_bytes(entries, form);
	}
	switch (form) {
	case DW_FORM_data1:
	case DW_FORM_data2:
	case DW_FORM_data4:
	case DW_FORM_data8:
		return (struct value){VALUE_NUMBER, take_fixed(cursor, bytes)};
	case DW_FORM_udata:
		return (struct value){VALUE_NUMBER, take_number(cursor, false)};
	case DW_FORM_sdata:
		return (struct value){VALUE_NUMBER, take_number(cursor, true)};
	case DW_FORM_implicit_const:
		return (struct value){VALUE_NUMBER, attribute->constant};
	case DW_FORM_addr:
		return (struct value){VALUE_ADDRESS, take_fixed(cursor, bytes)};
	case DW_FORM_ref1:
	case DW_FORM_ref2:
	case DW_FORM_ref4:
	case DW_FORM_ref8:
		return (struct value){VALUE_ENTRY, entries->start + take_fixed(cursor, bytes)};
	case DW_FORM_ref_udata:
		return (struct value){VALUE_ENTRY, entries->start + take_number(cursor, false)};
	case DW_FORM_ref_addr:
		return (struct value){VALUE_ENTRY, take_fixed(cursor, bytes)};
	default:
		if (bytes == VARIES)
			pass_form(cursor, form);
		else
			pass_bytes(cursor, bytes);
		return (struct value){VALUE_OTHER, 0};
	}
}

/* ---- abbreviations ---- */

static bool is_of_use(uint64_t name)
{
	switch (name) {
	case DW_AT_low_pc:
	case DW_AT_high_pc:
	case DW_AT_ranges:
	case DW_AT_sibling:
	case DW_AT_abstract_origin:
	case DW_AT_call_file:
	case DW_AT_call_line:
	case DW_AT_name:
	case DW_AT_linkage_name:
	case DW_AT_MIPS_linkage_name:
		return true;
	default:
		return false;
	}
}

static void add_attribute(struct dwarf_entries *entries, struct dwarf_abbreviation *abbreviation,
	const struct dwarf_attribute *attribute)
{
	struct dwarf_attribute *last;

	if (abbreviation->attribute_count && !attribute->name && attribute->bytes != VARIES) {
		last = &entries->attributes[entries->attribute_count - 1];
		if (!last->name && last->bytes != VARIES) {
			last->bytes += attribute->bytes;
			return;
		}
	}
	array_reserve(entries->attributes, entries->attribute_count, entries->attribute_capacity);
	entries->attributes[entries->attribute_count++] = *attribute;
	abbreviation->attribute_count++;
}

static void read_attributes(
	struct dwarf_entries *entries, struct cursor *cursor, struct dwarf_abbreviation *ret)
{
	uint64_t bytes = 0;
	bool varies = false;

	ret->attribute = entries->attribute_count;
	while (!cursor->bad && entries->attribute_count < MAX_ATTRIBUTES) {
		uint64_t name = take_number(cursor, false), form = take_number(cursor, false);
		struct dwarf_attribute attribute = {
			.name = is_of_use(name) ? name : 0, .form = MIN(form, UINT16_MAX)};

		if (!name && !form)
			break;
		if (form == DW_FORM_implicit_const)
			attribute.constant = take_number(cursor, true);
		attribute.bytes = form_bytes(entries, attribute.form);
		varies |= attribute.bytes == VARIES;
		bytes += attribute.bytes;
		add_attribute(entries, ret, &attribute);
	}
	ret->bytes = varies ? VARIES : MIN(bytes, VARIES);
}

static int compare_codes(const void *a, const void *b)
{
	const struct dwarf_abbreviation *x = a, *y = b;

	if (x->code != y->code)
		return x->code < y->code ? -1 : 1;
	return (x->attribute > y->attribute) - (x->attribute < y->attribute);
}

static void read_abbreviations(struct dwarf_entries *entries, struct cursor *cursor)
{
	bool in_order = true;

	while (entries->abbreviation_count < MAX_ABBREVIATIONS) {
		struct dwarf_abbreviation abbreviation = {.code = take_number(cursor, false)};
		uint64_t tag;

		if (!abbreviation.code)
			break;
		tag = take_number(cursor, false);
		abbreviation.tag = MIN(tag, UINT16_MAX);
		abbreviation.has_children = take_fixed(cursor, 1) == DW_CHILDREN_yes;
		read_attributes(entries, cursor, &abbreviation);
		if (cursor->bad)
			break;
		array_reserve(entries->abbreviations, entries->abbreviation_count,
			entries->abbreviation_capacity);
		entries->abbreviations[entries->abbreviation_count++] = abbreviation;
		in_order &= abbreviation.code == entries->abbreviation_count;
	}
	if (!in_order)
		qsort(entries->abbreviations, entries->abbreviation_count,
			sizeof(*entries->abbreviations), compare_codes);
}

/* Compilers count them from 1. */
static const struct dwarf_abbreviation *find_abbreviation(
	const struct dwarf_entries *entries, uint64_t code)
{
	size_t low = 0, high = entries->abbreviation_count;

	if (code <= high && entries->abbreviations[code - 1].code == code)
		return &entries->abbreviations[code - 1];
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (entries->abbreviations[mid].code < code)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == entries->abbreviation_count || entries->abbreviations[low].code != code)
		return NULL;
	return &entries->abbreviations[low];
}

/* ---- entries ---- */

/* What one attribute after the other says, until high_pc is put in relation to low_pc. */
struct range {
	struct value low, high;
	bool has_low, has_high, has_list;
};

static void take_attribute(const struct dwarf_attribute *attribute, struct value value,
	struct range *range, struct dwarf_entry *ret)
{
	switch (attribute->name) {
	case DW_AT_low_pc:
		range->low = value;
		range->has_low = true;
		break;
	case DW_AT_high_pc:
		range->high = value;
		range->has_high = true;
		break;
	case DW_AT_ranges:
		range->has_list = true;
		break;
	case DW_AT_sibling:
		ret->sibling = value.kind == VALUE_ENTRY ? value.number : 0;
		break;
	case DW_AT_abstract_origin:
		ret->origin = value.kind == VALUE_ENTRY ? value.number : 0;
		break;
	case DW_AT_call_file:
		ret->call_file = value.kind == VALUE_NUMBER ? value.number : 0;
		break;
	case DW_AT_call_line:
		ret->call_line = value.kind == VALUE_NUMBER ? value.number : 0;
		break;
	case DW_AT_name:
	case DW_AT_linkage_name:
	case DW_AT_MIPS_linkage_name:
		ret->own_name = true;
		break;
	default:
		break;
	}
}

static void set_range(const struct range *range, struct dwarf_entry *ret)
{
	if (range->has_low && range->has_high && range->low.kind == VALUE_ADDRESS &&
		range->high.kind != VALUE_OTHER && range->high.kind != VALUE_ENTRY) {
		ret->lo = range->low.number;
		ret->hi = range->high.number;
		if (range->high.kind == VALUE_NUMBER)
			ret->hi += ret->lo;
		ret->one_range = true;
		return;
	}
	ret->other_ranges = range->has_list || (range->has_low && range->has_high);
}

static void take_attributes(const struct dwarf_entries *entries,
	const struct dwarf_abbreviation *abbreviation, struct cursor *cursor,
	struct dwarf_entry *ret)
{
	const struct dwarf_attribute *attribute = entries->attributes + abbreviation->attribute;
	struct range range = {0};

	for (uint32_t i = 0; i < abbreviation->attribute_count; i++, attribute++) {
		if (!attribute->name && attribute->bytes != VARIES)
			pass_bytes(cursor, attribute->bytes);
		else
			take_attribute(
				attribute, take_value(entries, cursor, attribute), &range, ret);
	}
	set_range(&range, ret);
}

static bool is_function(int tag)
{
	return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
}

/* pass: that of what is no function and has no children need not be read. */
static int read_entry(
	const struct dwarf_entries *entries, uint64_t offset, bool pass, struct dwarf_entry *ret)
{
	const struct dwarf_abbreviation *abbreviation;
	struct cursor cursor;
	uint64_t code;

	if (offset < entries->root || offset >= entries->end)
		return -EBADMSG;
	cursor = (struct cursor){entries->info + offset, entries->info + entries->end, false};
	*ret = (struct dwarf_entry){0};
	code = take_number(&cursor, false);
	if (code) {
		abbreviation = find_abbreviation(entries, code);
		if (!abbreviation)
			return -EBADMSG;
		ret->tag = abbreviation->tag;
		ret->has_children = abbreviation->has_children;
		pass &= !ret->has_children && !is_function(ret->tag);
		if (pass && abbreviation->bytes != VARIES)
			pass_bytes(&cursor, abbreviation->bytes);
		else
			take_attributes(entries, abbreviation, &cursor, ret);
	}
	ret->next = cursor.at - entries->info;
	return cursor.bad ? -EBADMSG : 0;
}

int dwarf_entries_read(
	const struct dwarf_entries *entries, uint64_t offset, struct dwarf_entry *ret)
{
	return read_entry(entries, offset, false, ret);
}

int dwarf_entries_pass(
	const struct dwarf_entries *entries, uint64_t offset, struct dwarf_entry *ret)
{
	return read_entry(entries, offset, true, ret);
}

/* ---- units ---- */

static bool find_section(Elf *elf, const char *name, const uint8_t **ret, size_t *ret_bytes)
{
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return false;
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		Elf_Data *data;
		const char *found;

		if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
			continue;
		found = elf_strptr(elf, names, header.sh_name);
		/* ".zdebug_info" is what older tools call a compressed ".debug_info" */
		if (!found || found[0] != '.' || strcmp(found + 1 + (found[1] == 'z'), name))
			continue;
		data = elf_rawdata(section, NULL);
		if (!data || !data->d_buf)
			continue;
		*ret = data->d_buf;
		*ret_bytes = data->d_size;
		return true;
	}
	return false;
}

int dwarf_bytes_find(Dwarf *dwarf, struct dwarf_bytes *ret)
{
	Elf *elf = dwarf_getelf(dwarf);

	*ret = (struct dwarf_bytes){0};
	if (!elf || !find_section(elf, "debug_info", &ret->info, &ret->info_bytes) ||
		!find_section(elf, "debug_abbrev", &ret->abbreviations, &ret->abbreviation_bytes)) {
		*ret = (struct dwarf_bytes){0};
		return -ENODATA;
	}
	return 0;
}

int dwarf_entries_open(const struct dwarf_bytes *bytes, Dwarf_Die *root, struct dwarf_entries *ret)
{
	uint64_t start = dwarf_dieoffset(root) - dwarf_cuoffset(root), unit_bytes;
	struct dwarf_entries entries = {
		.info = bytes->info, .start = start, .root = dwarf_dieoffset(root)};
	struct cursor cursor;
	Dwarf_Off abbreviations;
	Dwarf_Die unit;

	if (!dwarf_cu_die(root->cu, &unit, &entries.version, &abbreviations, &entries.address_bytes,
		    &entries.offset_bytes, NULL, NULL))
		return -EBADMSG;
	if (start > bytes->info_bytes || abbreviations > bytes->abbreviation_bytes)
		return -EBADMSG;
	cursor = (struct cursor){bytes->info + start, bytes->info + bytes->info_bytes, false};
	unit_bytes = take_fixed(&cursor, 4);
	if (entries.offset_bytes == 8)
		unit_bytes = take_fixed(&cursor, 8);
	if (cursor.bad || unit_bytes > (uint64_t)(cursor.end - cursor.at))
		return -EBADMSG;
	entries.end = cursor.at - bytes->info + unit_bytes;
	cursor = (struct cursor){bytes->abbreviations + abbreviations,
		bytes->abbreviations + bytes->abbreviation_bytes, false};
	read_abbreviations(&entries, &cursor);
	*ret = entries;
	return 0;
}

void dwarf_entries_close(struct dwarf_entries *entries)
{
	free(entries->abbreviations);
	free(entries->attributes);
	*entries = (struct dwarf_entries){0};
}
