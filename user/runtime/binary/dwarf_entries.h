/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The entries of a unit in one pass over its bytes: libdw looks an entry's abbreviation up, takes locks
 * and walks its attributes anew for each thing it is asked, which is most of what an index costs.
 * Parser child only: the data is hostile.
 */
#ifndef MEMTRACE_RUNTIME_DWARF_ENTRIES_H
#define MEMTRACE_RUNTIME_DWARF_ENTRIES_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dwarf_abbreviation;
struct dwarf_attribute;

/* Sections as libdw has them: inflated. */
struct dwarf_bytes {
	const uint8_t *info, *abbreviations;
	size_t info_bytes, abbreviation_bytes;
};

/* One unit; a zeroed one has no entries. */
struct dwarf_entries {
	const uint8_t *info;
	uint64_t start, root, end; /* offsets in info: of its header, of its first entry */
	struct dwarf_abbreviation *abbreviations;
	size_t abbreviation_count, abbreviation_capacity;
	struct dwarf_attribute *attributes; /* of all abbreviations */
	size_t attribute_count, attribute_capacity;
	uint16_t version;
	uint8_t address_bytes, offset_bytes;
};

/* Offsets are those of .debug_info. */
struct dwarf_entry {
	int tag; /* 0 = this ends a list of children, and has a next one only */
	bool has_children;
	uint64_t next;    /* what follows in the bytes: its first child, where it has some */
	uint64_t sibling; /* 0 = not said */
	uint64_t lo, hi;  /* where it has one_range */
	bool one_range;
	bool other_ranges; /* it may have some, which libdw can tell */
	bool own_name;
	uint64_t origin;               /* the entry it is an instance of, 0 = none is said */
	uint64_t call_file, call_line; /* 0 = not said */
};

/* -ENODATA where one of them is missing. They live as long as dwarf. */
int dwarf_bytes_find(Dwarf *dwarf, struct dwarf_bytes *ret);

/* root is the unit's first entry. -EBADMSG where its header does not fit the sections. */
int dwarf_entries_open(const struct dwarf_bytes *bytes, Dwarf_Die *root, struct dwarf_entries *ret);
void dwarf_entries_close(struct dwarf_entries *entries);

/* -EBADMSG where no entry can be read at offset. */
int dwarf_entries_read(
	const struct dwarf_entries *entries, uint64_t offset, struct dwarf_entry *ret);

/* The same, in less time: of what is no function and has no children only where it ends is certain. */
int dwarf_entries_pass(
	const struct dwarf_entries *entries, uint64_t offset, struct dwarf_entry *ret);

#endif
