/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two levels. All units' address ranges are one sorted table, made when the file is opened. A unit's
 * functions and inlined calls become a second one when an address first falls into it: a row per
 * address range, sorted by start and depth, each with the row that encloses it. A look-up is a binary
 * search and a walk outwards.
 *
 * The tree has to be descended where nothing has an address: into namespaces, classes (local ones have
 * methods) and functions without ranges (whose nested functions have some). Code that the linker
 * discarded keeps address 0 and is left out.
 *
 * The data is hostile: depth, rows and entries are bounded, and entries that go backwards end a list.
 */
#include "runtime/binary/dwarf_lines.h"

#include <dwarf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/binary/demangle.h"
#include "runtime/library_code.h"
#include "runtime/parser.h"

#define MAX_UNITS       (1u << 20)
#define MAX_UNIT_RANGES (1u << 22)
#define MAX_ROWS        (1u << 22) /* of one unit */
#define MAX_DEPTH       200
#define MAX_FRAMES      64 /* of one address */
#define NO_ROW          UINT32_MAX

/* One address range of a function or of an inlined call. */
struct row {
	uint64_t lo, hi;
	uint64_t die;   /* offset of its entry */
	uint32_t outer; /* the row around it, NO_ROW = none */
	uint16_t depth; /* of the entry in the tree */
	bool inlined;
};

struct unit {
	Dwarf_Die die;
	struct row *rows;
	size_t count, capacity;
	bool indexed;
};

struct unit_range {
	uint64_t lo, hi;
	uint64_t reach; /* highest hi up to here */
	uint32_t unit;
};

struct dwarf_lines {
	Dwarf *dwarf;
	struct unit *units;
	size_t unit_count, unit_capacity;
	struct unit_range *ranges; /* sorted by lo */
	size_t range_count, range_capacity;
	bool split;
};

/* ---- units ---- */

static void add_unit_ranges(struct dwarf_lines *lines, Dwarf_Die *die, uint32_t unit)
{
	Dwarf_Addr base, lo, hi;
	ptrdiff_t at = 0;

	while ((at = dwarf_ranges(die, at, &base, &lo, &hi)) > 0) {
		if (!lo || hi <= lo || lines->range_count == MAX_UNIT_RANGES)
			continue;
		array_reserve(lines->ranges, lines->range_count, lines->range_capacity);
		lines->ranges[lines->range_count++] =
			(struct unit_range){.lo = lo, .hi = hi, .unit = unit};
	}
}

static void read_units(struct dwarf_lines *lines)
{
	Dwarf_CU *unit = NULL, *next;
	uint8_t type;
	Dwarf_Die die;

	/* Without room for a unit of another file, libdw looks for none. */
	while (lines->unit_count < MAX_UNITS &&
		!dwarf_get_units(lines->dwarf, unit, &next, NULL, &type, &die, NULL)) {
		unit = next;
		if (type != DW_UT_compile && type != DW_UT_skeleton)
			continue;
		lines->split |= type == DW_UT_skeleton || dwarf_hasattr(&die, DW_AT_GNU_dwo_name);
		array_reserve(lines->units, lines->unit_count, lines->unit_capacity);
		lines->units[lines->unit_count] = (struct unit){.die = die};
		add_unit_ranges(lines, &die, (uint32_t)lines->unit_count++);
	}
}

static int compare_unit_ranges(const void *a, const void *b)
{
	const struct unit_range *x = a, *y = b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

static void sort_unit_ranges(struct dwarf_lines *lines)
{
	uint64_t reach = 0;

	if (lines->range_count)
		qsort(lines->ranges, lines->range_count, sizeof(*lines->ranges),
			compare_unit_ranges);
	for (size_t i = 0; i < lines->range_count; i++) {
		reach = MAX(reach, lines->ranges[i].hi);
		lines->ranges[i].reach = reach;
	}
}

static struct unit *find_unit(struct dwarf_lines *lines, uint64_t addr)
{
	size_t low = 0, high = lines->range_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (lines->ranges[mid].lo <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low && lines->ranges[low - 1].reach > addr; low--)
		if (addr < lines->ranges[low - 1].hi)
			return &lines->units[lines->ranges[low - 1].unit];
	return NULL;
}

/* ---- rows of one unit ---- */

static bool is_function(int tag)
{
	return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
}

static bool may_hold_functions(int tag)
{
	switch (tag) {
	case DW_TAG_subprogram:
	case DW_TAG_inlined_subroutine:
	case DW_TAG_lexical_block:
	case DW_TAG_try_block:
	case DW_TAG_catch_block:
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_enumeration_type: /* Rust's have methods */
		return true;
	default:
		return false;
	}
}

static void add_rows(struct unit *unit, Dwarf_Die *die, int tag, unsigned depth)
{
	Dwarf_Addr base, lo, hi;
	ptrdiff_t at = 0;

	while ((at = dwarf_ranges(die, at, &base, &lo, &hi)) > 0) {
		if (!lo || hi <= lo || unit->count == MAX_ROWS)
			continue;
		array_reserve(unit->rows, unit->count, unit->capacity);
		unit->rows[unit->count++] = (struct row){
			.lo = lo,
			.hi = hi,
			.die = dwarf_dieoffset(die),
			.outer = NO_ROW,
			.depth = depth,
			.inlined = tag == DW_TAG_inlined_subroutine,
		};
	}
}

static void add_children(struct unit *unit, Dwarf_Die *parent, unsigned depth)
{
	Dwarf_Die die, next;
	int more = dwarf_child(parent, &die);

	while (!more && unit->count < MAX_ROWS) {
		int tag = dwarf_tag(&die);

		if (is_function(tag))
			add_rows(unit, &die, tag, depth);
		if (may_hold_functions(tag) && depth < MAX_DEPTH)
			add_children(unit, &die, depth + 1);
		more = dwarf_siblingof(&die, &next);
		if (!more && dwarf_dieoffset(&next) <= dwarf_dieoffset(&die))
			return;
		die = next;
	}
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->lo != y->lo)
		return x->lo < y->lo ? -1 : 1;
	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return (x->die > y->die) - (x->die < y->die);
}

/* Rows that enclose one another have rising depths; a row that fits nowhere is a function again. */
static void nest_rows(struct unit *unit)
{
	uint32_t open[MAX_DEPTH + 2];
	size_t top = 0;

	for (uint32_t i = 0; i < unit->count; i++) {
		struct row *row = &unit->rows[i];

		while (top && (unit->rows[open[top - 1]].hi <= row->lo ||
				      unit->rows[open[top - 1]].depth >= row->depth))
			top--;
		row->outer = top ? open[top - 1] : NO_ROW;
		open[top++] = i;
	}
}

static void index_unit(struct unit *unit)
{
	unit->indexed = true;
	add_children(unit, &unit->die, 0);
	if (!unit->count)
		return;
	qsort(unit->rows, unit->count, sizeof(*unit->rows), compare_rows);
	nest_rows(unit);
}

/* The innermost row that holds addr, or NO_ROW. */
static uint32_t find_row(const struct unit *unit, uint64_t addr)
{
	size_t low = 0, high = unit->count;
	uint32_t row;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (unit->rows[mid].lo <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	row = low ? (uint32_t)low - 1 : NO_ROW;
	while (row != NO_ROW && addr >= unit->rows[row].hi)
		row = unit->rows[row].outer;
	return row;
}

/* ---- frames ---- */

static const char *linkage_name(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;

	if (!dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) &&
		!dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute))
		return NULL;
	return dwarf_formstring(&attribute);
}

static void set_function(struct parser_frame *frame, Dwarf_Die *die)
{
	const char *name = linkage_name(die);

	if (!name)
		name = dwarf_diename(die);
	demangle_name(name ? name : "", frame->function, sizeof(frame->function));
}

static uint64_t attribute_number(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	if (!dwarf_attr(die, name, &attribute) || dwarf_formudata(&attribute, &value))
		return 0;
	return value;
}

/* Names of folders in the tables are relative to the one that the compiler ran in. */
static void set_path(struct parser_frame *frame, struct unit *unit, const char *path)
{
	Dwarf_Attribute attribute;
	const char *folder;

	if (!path || path[0] == '/' || !dwarf_attr(&unit->die, DW_AT_comp_dir, &attribute)) {
		text_copy(frame->file, sizeof(frame->file), path ? path : "");
		return;
	}
	folder = dwarf_formstring(&attribute);
	snprintf(frame->file, sizeof(frame->file), "%s/%s", folder ? folder : "", path);
}

/* Where the inlined function of die was called: the place of the next frame. */
static void set_call(struct parser_frame *frame, struct unit *unit, Dwarf_Die *die)
{
	uint64_t file = attribute_number(die, DW_AT_call_file);
	const char *path = NULL;
	Dwarf_Files *files;
	size_t count;

	frame->line = attribute_number(die, DW_AT_call_line);
	if (!dwarf_getsrcfiles(&unit->die, &files, &count) && file < count)
		path = dwarf_filesrc(files, file, NULL, NULL);
	set_path(frame, unit, path);
}

static void set_line(struct parser_frame *frame, struct unit *unit, uint64_t addr)
{
	Dwarf_Line *line = dwarf_getsrc_die(&unit->die, addr);
	const char *path = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
	int number = 0;

	if (path)
		dwarf_lineno(line, &number);
	frame->line = MAX(number, 0);
	set_path(frame, unit, path);
}

size_t dwarf_lines_find(
	struct dwarf_lines *lines, uint64_t addr, struct parser_frame *ret, size_t max)
{
	struct unit *unit = find_unit(lines, addr);
	size_t count = 0;
	uint32_t row;

	if (!unit || !max)
		return 0;
	if (!unit->indexed)
		index_unit(unit);
	ret[0] = (struct parser_frame){0};
	set_line(&ret[0], unit, addr);
	for (row = find_row(unit, addr); row != NO_ROW; row = unit->rows[row].outer) {
		Dwarf_Die die;

		if (!dwarf_offdie(lines->dwarf, unit->rows[row].die, &die))
			break;
		set_function(&ret[count], &die);
		ret[count].internal = library_code_function(ret[count].function, ret[count].file);
		ret[count].inlined = unit->rows[row].inlined;
		count++;
		if (!unit->rows[row].inlined || count == MIN(max, MAX_FRAMES))
			break;
		ret[count] = (struct parser_frame){0};
		set_call(&ret[count], unit, &die);
	}
	return count;
}

/* ---- open, close ---- */

int dwarf_lines_open(Dwarf *dwarf, struct dwarf_lines **ret)
{
	struct dwarf_lines *lines = xcalloc(1, sizeof(*lines));

	lines->dwarf = dwarf;
	read_units(lines);
	if (!lines->unit_count) {
		dwarf_lines_close(lines);
		return -ENODATA;
	}
	sort_unit_ranges(lines);
	*ret = lines;
	return 0;
}

void dwarf_lines_close(struct dwarf_lines *lines)
{
	if (!lines)
		return;
	for (size_t i = 0; i < lines->unit_count; i++)
		free(lines->units[i].rows);
	free(lines->units);
	free(lines->ranges);
	free(lines);
}

bool dwarf_lines_is_split(const struct dwarf_lines *lines)
{
	return lines->split;
}
