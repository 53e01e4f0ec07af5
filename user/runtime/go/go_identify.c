/* SPDX-License-Identifier: BSD-2-Clause */
/* Puts together what is known about a Go executable and says what is not. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"
#include "base/text.h"
#include "runtime/binary/elf_file.h"
#include "runtime/go/go_file.h"
#include "runtime/go/go_globals.h"
#include "runtime/go/go_identify.h"
#include "runtime/go/go_layout.h"
#include "runtime/go/go_probes.h"
#include "runtime/go/go_waits.h"
#include "runtime/runtime.h"

#define READING "reading containers"

/*
 * What keeps a heap profile in a binary: else the linker sets disableMemoryProfiling (cmd/link
 * lib.go).
 */
static const char *const profile_readers[] = {"runtime.MemProfile", "runtime.memProfileInternal"};

static const char *version_text(const struct go_file *file)
{
	return file->build.version[0] ? file->build.version : "unknown Go version";
}

static void set_build_id(struct elf_file *elf, struct runtime_file *ret)
{
	const char *id = elf_file_build_id(elf);
	const uint8_t *note;
	size_t bytes;

	if (id[0]) {
		text_copy(ret->build_id, sizeof(ret->build_id), id);
		return;
	}
	note = elf_file_section_bytes(elf, ".note.go.buildid", &bytes);
	if (note)
		snprintf(ret->build_id, sizeof(ret->build_id), "%016llx",
			(unsigned long long)hash_bytes(0, note, bytes));
}

static bool has_profile_reader(struct go_file *file)
{
	struct go_func func;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(profile_readers); i++)
		if (go_pclntab_find_name(&file->table, profile_readers[i], &func))
			return true;
	return false;
}

/* Everything that reading from outside stands on; the first thing missing is the reason. */
static bool check_reading(struct go_file *file, struct runtime_file *ret)
{
	const struct go_facts *facts = &file->facts;
	const struct {
		const char *name;
		bool found;
	} needed[] = {
		{"types", file->has_types},
		{"runtime.mheap_", facts->mheap},
		{"runtime.gcController", facts->gc_controller},
		{"runtime.memstats", facts->memstats},
		{"runtime.gcphase", facts->gcphase},
	};
	size_t i;

	if (!file->build.release) {
		go_probes_add_skip(ret, READING, "%s is no released version", version_text(file));
		return false;
	}
	if (!file->has_layout && file->build.experiment[0]) {
		go_probes_add_skip(ret, READING, "GOEXPERIMENT=%s may change layouts, and %s",
			file->build.experiment, file->layout_reason);
		return false;
	}
	if (!file->has_layout) {
		go_probes_add_skip(ret, READING, "Go 1.%u is not a known layout, and %s",
			facts->minor, file->layout_reason);
		return false;
	}
	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		if (needed[i].found)
			continue;
		go_probes_add_skip(ret, READING, "%s: not found in this binary", needed[i].name);
		return false;
	}
	return true;
}

static int find_facts(struct go_file *file, struct runtime_file *ret)
{
	const char *name;

	if (!file->has_module) {
		go_probes_add_skip(ret, "everything", "%s: no %s", version_text(file),
			file->has_table ? "moduledata found"
					: "function table of Go 1.18 or later");
		return 0;
	}
	file->facts.profile_linked = has_profile_reader(file);
	if (go_globals_find(file, &name))
		go_probes_add_skip(ret, READING, "%s: code and symbol table disagree", name);
	else
		ret->reading = check_reading(file, ret);
	go_waits_find(file);
	go_probes_place(file, ret);
	return 0;
}

int go_identify(struct elf_file *elf, struct runtime_file *ret)
{
	struct runtime_file found = {.runtime = "go"};
	struct go_file *file;
	int err;

	err = go_file_open(elf, &file);
	if (err)
		return err == -ENOENT ? 0 : err;
	text_copy(found.version, sizeof(found.version), file->build.version);
	set_build_id(elf, &found);
	found.pie = elf_file_is_pie(elf);
	found.stripped = !elf_file_has_symbols(elf);
	found.load_vaddr = elf_file_load_vaddr(elf);
	elf_file_data(elf, &found.data_start, &found.data_end);
	err = find_facts(file, &found);
	found.go = file->facts;
	go_file_close(file);
	if (err)
		return err;
	*ret = found;
	return 1;
}
