/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Layouts from DWARF: of every Go executable there is, they must be those of the table, which were
 * measured apart; and what is no Go executable, or has no DWARF, is refused by name.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/binary/elf_file.h"
#include "runtime/go/go_buildinfo.h"
#include "runtime/go/go_dwarf.h"

#define FIELD(name)                                                                                \
	{                                                                                          \
#name, offsetof(struct go_layout, name), sizeof(((struct go_layout *)0)->name)     \
	}

/* All but slice_length_new, which no DWARF tells. */
static const struct {
	const char *name;
	size_t offset, bytes;
} fields[] = {
	FIELD(mspan_size),
	FIELD(span_start),
	FIELD(span_npages),
	FIELD(span_freeindex),
	FIELD(span_nelems),
	FIELD(span_alloc_bits),
	FIELD(span_mark_bits),
	FIELD(span_sweepgen),
	FIELD(span_class),
	FIELD(span_state),
	FIELD(span_elemsize),
	FIELD(span_limit),
	FIELD(span_specials),
	FIELD(span_alloc_count),
	FIELD(stats_sys),
	FIELD(stats_delta),
	FIELD(stats_gc_words),
	FIELD(span_large_type),
	FIELD(span_index_bytes),
	FIELD(heap_sweepgen),
	FIELD(heap_allspans),
	FIELD(heap_pages_in_use),
	FIELD(heap_arenas),
	FIELD(heap_pages),
	FIELD(pages_chunks),
	FIELD(arena_spans),
	FIELD(arena_inline_marks),
	FIELD(special_offset),
	FIELD(special_offset_bytes),
	FIELD(special_kind),
	FIELD(special_bucket),
	FIELD(special_kind_profile),
	FIELD(stats_num_gc),
	FIELD(stats_pause_total),
	FIELD(stats_pause_ns),
	FIELD(stats_last_gc_nanotime),
	FIELD(gc_heap_live),
	FIELD(gc_heap_marked),
	FIELD(gc_heap_in_use),
	FIELD(gc_heap_released),
	FIELD(gc_heap_free),
	FIELD(gc_total_alloc),
	FIELD(gc_total_free),
	FIELD(gc_goal),
	FIELD(gc_scannable),
	FIELD(gc_assist_time),
	FIELD(gc_dedicated_time),
	FIELD(gc_fractional_time),
	FIELD(gc_idle_time),
	FIELD(gc_mark_start),
	FIELD(chan_header),
	FIELD(chan_elem_type),
	FIELD(chan_sendx),
	FIELD(chan_recvx),
	FIELD(g_goid),
	FIELD(g_sched),
	FIELD(g_status),
	FIELD(g_wait_since),
	FIELD(g_wait_reason),
	FIELD(g_waiting),
	FIELD(g_created_by),
	FIELD(gobuf_bp),
	FIELD(sudog_elem),
	FIELD(sudog_chan),
	FIELD(malloc_headers),
	FIELD(inline_marks),
};

static void check_same(const char *path, const struct go_dwarf *dwarf, const struct go_build *build)
{
	const struct go_layout *table = go_layout_find(build->minor);
	const struct go_module_layout *module = go_layout_find_module(build->minor);

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		cr_expect_eq(memcmp((const char *)&dwarf->layout + fields[i].offset,
				     (const char *)table + fields[i].offset, fields[i].bytes),
			0, "%s: %s", path, fields[i].name);
	cr_expect_eq(dwarf->module.types, module->types, "%s", path);
	cr_expect_eq(dwarf->module.gofunc, module->gofunc, "%s", path);
	cr_expect_eq(dwarf->swiss, build->minor >= 24, "%s", path);
}

/* 1 = compared, 0 = has no DWARF and says so. */
static int check_binary(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r;
	struct go_dwarf dwarf;
	struct go_build build;
	struct elf_file *elf;
	char reason[96] = "";

	cr_assert_eq(elf_file_open(fd, &elf), 0);
	cr_assert_eq(go_build_read(elf, &build), 0);
	r = go_dwarf_find(elf, &dwarf, reason);
	if (!r)
		check_same(path, &dwarf, &build);
	else
		cr_expect_neq(strstr(path, "-stripped"), NULL, "%s: %s", path, reason);
	go_build_done(&build);
	elf_file_close(elf);
	close(fd);
	return !r;
}

Test(go_dwarf, says_what_the_table_says, .timeout = 120)
{
	const char *folder = getenv("MEMTRACE_GO_BINARIES");
	DIR *entries = folder ? opendir(folder) : NULL;
	const struct dirent *entry;
	int compared = 0;

	while (entries && (entry = readdir(entries))) {
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (entry->d_name[0] != '.')
			compared += check_binary(path);
	}
	if (entries)
		closedir(entries);
	if (!compared)
		cr_skip_test("MEMTRACE_GO_BINARIES names no folder with Go executables");
}

/* This test itself: C, with DWARF of other structs. */
Test(go_dwarf, other_languages_are_refused)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), r;
	struct go_dwarf dwarf;
	struct elf_file *elf;
	char reason[96] = "";

	cr_assert_eq(elf_file_open(fd, &elf), 0);
	r = go_dwarf_find(elf, &dwarf, reason);
	cr_assert(r == -ENOTSUP || r == -ENODATA);
	cr_assert_str_not_empty(reason);
	elf_file_close(elf);
	close(fd);
}
