/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two levels. All units' address ranges are one sorted table, made when the file is opened. A unit's
 * functions and inlined calls become a second one when an address first falls into it: a row per
 * address range, sorted by start and depth, each with the row that encloses it. A look-up is a binary
 * search and a walk outwards. What frames say in words, many of them say: names and paths are made once.
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
#include "base/table.h"
#include "base/text.h"
#include "runtime/binary/demangle.h"
#include "runtime/binary/dwarf_entries.h"
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
	uint32_t die;   /* offset of its entry in the unit */
	uint32_t outer; /* the row around it, NO_ROW = none */
	uint16_t depth; /* of the entry in the tree */
	bool inlined;
};

/* A function's name or a file's path, cut as it is in a frame. */
struct words {
	char *text;    /* NULL = not made yet */
	bool internal; /* says that it is library code */
};

struct unit {
	Dwarf_Die die;
	struct dwarf_entries entries;
	struct row *rows;
	size_t count, capacity;
	Dwarf_Files *files;
	struct words *paths; /* of files */
	size_t file_count;
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
	struct dwarf_bytes bytes;
	struct words *names;
	size_t name_count, name_capacity;
	struct table names_by_entry; /* offset of the entry that is named -> index */
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

static void add_row(struct unit *unit, const struct row *row)
{
	if (!row->lo || row->hi <= row->lo || unit->count == MAX_ROWS)
		return;
	array_reserve(unit->rows, unit->count, unit->capacity);
	unit->rows[unit->count++] = *row;
}

static void add_rows(struct dwarf_lines *lines, struct unit *unit, uint64_t offset,
	const struct dwarf_entry *entry, unsigned depth)
{
	struct row row = {
		.lo = entry->lo,
		.hi = entry->hi,
		.die = offset - unit->entries.start,
		.outer = NO_ROW,
		.depth = depth,
		.inlined = entry->tag == DW_TAG_inlined_subroutine,
	};
	ptrdiff_t at = 0;
	Dwarf_Addr base;
	Dwarf_Die die;

	if (entry->one_range)
		add_row(unit, &row);
	if (!entry->other_ranges || !dwarf_offdie(lines->dwarf, offset, &die))
		return;
	while ((at = dwarf_ranges(&die, at, &base, &row.lo, &row.hi)) > 0)
		add_row(unit, &row);
}

/* hidden counts the lists of children around the entry that hold no function. */
static void add_entries(struct dwarf_lines *lines, struct unit *unit)
{
	unsigned depth = 0, hidden = 0;
	struct dwarf_entry entry;
	uint64_t at;

	if (dwarf_entries_read(&unit->entries, unit->entries.root, &entry) || !entry.has_children)
		return;
	for (at = entry.next; unit->count < MAX_ROWS; at = entry.next) {
		if (at - unit->entries.start > UINT32_MAX)
			return;
		if (dwarf_entries_pass(&unit->entries, at, &entry))
			return;
		if (!entry.tag) {
			if (!hidden && !depth)
				return;
			*(hidden ? &hidden : &depth) -= 1;
			continue;
		}
		if (!hidden && is_function(entry.tag))
			add_rows(lines, unit, at, &entry, depth);
		if (!entry.has_children)
			continue;
		if (!hidden && may_hold_functions(entry.tag) && depth < MAX_DEPTH)
			depth++;
		else if (entry.sibling > entry.next)
			entry.next = entry.sibling;
		else
			hidden++;
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

static void index_unit(struct dwarf_lines *lines, struct unit *unit)
{
	unit->indexed = true;
	if (!dwarf_getsrcfiles(&unit->die, &unit->files, &unit->file_count))
		unit->paths = xcalloc(unit->file_count, sizeof(*unit->paths));
	else
		unit->file_count = 0;
	if (!lines->bytes.info || dwarf_entries_open(&lines->bytes, &unit->die, &unit->entries))
		return;
	add_entries(lines, unit);
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

/* ---- names and paths ---- */

static const char *linkage_name(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;

	if (!dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) &&
		!dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute))
		return NULL;
	return dwarf_formstring(&attribute);
}

static struct words make_name(struct dwarf_lines *lines, uint64_t offset)
{
	char text[PARSER_FUNCTION_BYTES];
	const char *name = NULL;
	Dwarf_Die die;

	if (dwarf_offdie(lines->dwarf, offset, &die)) {
		name = linkage_name(&die);
		if (!name)
			name = dwarf_diename(&die);
	}
	demangle_name(name ? name : "", text, sizeof(text));
	return (struct words){xstrdup(text), library_code_function(text, "")};
}

/* Of all calls of one function the name is that of one entry, their origin. */
static const struct words *find_name(
	struct dwarf_lines *lines, uint64_t offset, const struct dwarf_entry *entry)
{
	uint64_t named = entry->origin && !entry->own_name ? entry->origin : offset, i;

	if (table_get(&lines->names_by_entry, named, &i))
		return &lines->names[i];
	array_reserve(lines->names, lines->name_count, lines->name_capacity);
	lines->names[lines->name_count] = make_name(lines, named);
	table_set(&lines->names_by_entry, named, lines->name_count);
	return &lines->names[lines->name_count++];
}

/* Names of folders in the tables are relative to the one that the compiler ran in. */
static struct words make_path(struct unit *unit, const char *path)
{
	char text[PARSER_FILE_BYTES];
	Dwarf_Attribute attribute;
	const char *folder;

	if (!path || path[0] == '/' || !dwarf_attr(&unit->die, DW_AT_comp_dir, &attribute)) {
		text_copy(text, sizeof(text), path ? path : "");
	} else {
		folder = dwarf_formstring(&attribute);
		snprintf(text, sizeof(text), "%s/%s", folder ? folder : "", path);
	}
	return (struct words){xstrdup(text), library_code_function("", text)};
}

static const struct words *find_path(struct unit *unit, uint64_t file)
{
	static const struct words none = {"", false};

	if (file >= unit->file_count)
		return &none;
	if (!unit->paths[file].text)
		unit->paths[file] = make_path(unit, dwarf_filesrc(unit->files, file, NULL, NULL));
	return &unit->paths[file];
}

/* ---- frames ---- */

/* Where something was called or an instruction is. */
struct place {
	uint64_t file; /* of the unit's, SIZE_MAX = none */
	uint32_t line;
};

static struct place find_line(struct unit *unit, uint64_t addr)
{
	struct place place = {.file = SIZE_MAX};
	Dwarf_Line *line = dwarf_getsrc_die(&unit->die, addr);
	Dwarf_Files *files;
	int number = 0;
	size_t file;

	if (!line || dwarf_line_file(line, &files, &file))
		return place;
	dwarf_lineno(line, &number);
	place.file = file;
	place.line = MAX(number, 0);
	return place;
}

/* name may be NULL. */
static void set_frame(
	struct parser_frame *frame, struct unit *unit, struct place place, const struct words *name)
{
	const struct words *path = find_path(unit, place.file);

	*frame = (struct parser_frame){.line = place.line};
	text_copy(frame->file, sizeof(frame->file), path->text);
	if (!name)
		return;
	text_copy(frame->function, sizeof(frame->function), name->text);
	frame->internal = name->internal || path->internal;
}

size_t dwarf_lines_find(
	struct dwarf_lines *lines, uint64_t addr, struct parser_frame *ret, size_t max)
{
	struct unit *unit = find_unit(lines, addr);
	struct place place;
	size_t count = 0;
	uint32_t row;

	if (!unit || !max)
		return 0;
	if (!unit->indexed)
		index_unit(lines, unit);
	place = find_line(unit, addr);
	row = find_row(unit, addr);
	if (row == NO_ROW)
		set_frame(&ret[0], unit, place, NULL);
	for (; row != NO_ROW; row = unit->rows[row].outer) {
		uint64_t offset = unit->entries.start + unit->rows[row].die;
		struct dwarf_entry entry;

		if (dwarf_entries_read(&unit->entries, offset, &entry))
			break;
		set_frame(&ret[count], unit, place, find_name(lines, offset, &entry));
		ret[count].inlined = unit->rows[row].inlined;
		count++;
		if (!unit->rows[row].inlined || count == MIN(max, MAX_FRAMES))
			break;
		/* The next frame is where this one was called. */
		place = (struct place){entry.call_file, entry.call_line};
	}
	return count;
}

/* ---- open, close ---- */

static void close_unit(struct unit *unit)
{
	for (size_t i = 0; i < unit->file_count; i++)
		free(unit->paths[i].text);
	free(unit->paths);
	free(unit->rows);
	dwarf_entries_close(&unit->entries);
}

int dwarf_lines_open(Dwarf *dwarf, struct dwarf_lines **ret)
{
	struct dwarf_lines *lines = xcalloc(1, sizeof(*lines));

	lines->dwarf = dwarf;
	dwarf_bytes_find(dwarf, &lines->bytes);
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
		close_unit(&lines->units[i]);
	for (size_t i = 0; i < lines->name_count; i++)
		free(lines->names[i].text);
	free(lines->names);
	table_done(&lines->names_by_entry);
	free(lines->units);
	free(lines->ranges);
	free(lines);
}

bool dwarf_lines_is_split(const struct dwarf_lines *lines)
{
	return lines->split;
}
