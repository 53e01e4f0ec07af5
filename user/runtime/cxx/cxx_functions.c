/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Growth by the names of functions, and what to tell of the rest. What is called is known only where it is
 * called from the function itself: operator new gets the size of the new array in RDI.
 */
#include "runtime/cxx/cxx_functions.h"

#include <capstone/capstone.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/cxx/cxx_name.h"
#include "runtime/cxx/cxx_search.h"
#include "runtime/binary/demangle.h"
#include "runtime/binary/elf_file.h"
#include "runtime/binary/code.h"
#include "runtime/runtime.h"

#define OPERATOR_NEW "_Znwm"

#define ARGUMENT_WINDOW 8 /* instructions between the last write of RDI and the call */

#define REG(r) ((struct mt_source){MT_FROM_REG, MT_REG_##r, 0})

/* ---- what there is ---- */

static bool take_function(const char *name, uint64_t addr, uint64_t bytes, void *arg)
{
	const struct cxx_member *member = cxx_member_find(name);
	struct cxx_search *search = arg;

	search->unknown_tables += cxx_member_is_unknown_table(name);
	if (!member || !bytes)
		return false;
	for (size_t i = 0; i < search->count; i++)
		if (search->list[i].function.start == addr)
			return false;
	if (search->count == CXX_MAX_FUNCTIONS)
		return true;
	search->list[search->count++] =
		(struct cxx_found){member, xstrdup(name), {addr, addr + bytes}};
	return false;
}

bool cxx_search_has(const struct cxx_search *search, enum cxx_probe probe)
{
	for (size_t i = 0; i < search->count; i++)
		if (search->list[i].member->probe == probe)
			return true;
	return false;
}

/* ---- operator new ---- */

/* RDI is a constant: what is made there is one object. */
static bool asks_for_constant(const struct code *code, size_t call)
{
	for (size_t i = call; i-- > 0 && call - i <= ARGUMENT_WINDOW;) {
		const cs_insn *insn = &code->insns[i];

		if (code_writes(code, insn, X86_REG_RDI))
			return insn->id == X86_INS_MOV &&
			       insn->detail->x86.operands[1].type == X86_OP_IMM;
	}
	return false;
}

bool cxx_search_makes_array(struct cxx_search *search, const struct code *code, size_t i)
{
	return search->has_new && native_calls(search->elf, code, i, &search->new) &&
	       !asks_for_constant(code, i);
}

struct mt_attachment cxx_search_attachment(const struct cxx_header *header)
{
	uint8_t reg = header->reg;
	int16_t offset = header->offset;

	return (struct mt_attachment){
		.kind = MT_GROW,
		.flags = MT_ATTACH_STACK,
		.addr = {MT_FROM_REG, reg, offset},
		.val = {{MT_FROM_MEM, reg, offset}, {MT_FROM_MEM, reg, (int16_t)(offset + 8)},
			{MT_FROM_MEM, reg, (int16_t)(offset + 16)}, REG(DI)},
	};
}

/* `this` is the header, wherever it is kept: of a vector, or of a string of libc++. */
int cxx_search_add_calls(struct cxx_search *search, const struct native_function *function,
	const struct code *code, struct runtime_probe *row)
{
	int home = native_argument_home(code), err = -ENOENT;

	for (size_t i = 0; i < code->count; i++) {
		struct cxx_header header = {(uint8_t)home, 0};

		if (!cxx_search_makes_array(search, code, i) ||
			(home < 0 && !cxx_search_header(search, code, i, &header)))
			continue;
		row->attachment = cxx_search_attachment(&header);
		err = native_probe_add_at(search->elf, function, code, i, row, search->file);
	}
	return err;
}

/* ---- functions with a name ---- */

static int add_entry(struct cxx_search *search, const struct native_function *function,
	struct runtime_probe *row)
{
	row->attachment = cxx_member_attachment(row->probe);
	return native_probe_add(search->elf, function, row, search->file);
}

static void add_named(struct cxx_search *search, const struct cxx_found *found)
{
	struct runtime_probe row = {
		.probe = found->member->probe, .family = cxx_member_family(found->member->probe)};
	char readable[2048];
	struct code code;
	int err;

	if (native_code_open(search->elf, &found->function, CXX_MAX_INSNS, &code)) {
		search->unseen++;
		return;
	}
	demangle_name(found->name, readable, sizeof(readable));
	cxx_name_type(readable, row.type, sizeof(row.type));
	row.element_bytes = cxx_elements_of(search, found, &code, row.type);
	text_copy(row.symbol, sizeof(row.symbol), found->member->what);
	if (row.probe == CXX_PROBE_VECTOR_NEW || row.probe == CXX_PROBE_LIBCXX_STRING_NEW)
		err = cxx_search_add_calls(search, &found->function, &code, &row);
	else
		err = add_entry(search, &found->function, &row);
	if (err == -ENOENT && found->member->otherwise) {
		row.probe = found->member->otherwise;
		err = add_entry(search, &found->function, &row);
	}
	search->dropped += err == -ENOSPC;
	/* A string's function may leave it to another one. */
	search->unseen += err && err != -ENOSPC && row.probe != CXX_PROBE_LIBCXX_STRING_NEW;
	code_close(&code);
}

static void add_all_named(struct cxx_search *search, enum family family)
{
	for (size_t i = 0; i < search->count; i++) {
		const struct cxx_found *found = &search->list[i];

		if (found->member->probe == CXX_PROBES ||
			cxx_member_family(found->member->probe) != family)
			continue;
		if (search->file->probe_count == RUNTIME_MAX_PROBES)
			search->dropped++;
		else
			add_named(search, found);
	}
}

/* ---- all of them ---- */

/* Code of the program's own that makes strings grow, by what it throws: of libstdc++, or of a static libc++. */
static bool has_own_strings(struct cxx_search *search)
{
	uint64_t literal;

	return native_find_string(search->elf, "basic_string::_M_create", &literal) == 0 ||
	       (native_find_string(search->elf, "basic_string", &literal) == 0 &&
		       !elf_file_needs(search->elf, "libc++.so"));
}

static void tell(struct cxx_search *search)
{
	if (search->dropped)
		native_add_skip(search->file, "growth of vectors, strings and deques",
			"%zu of %zu places are not probed: more than a file may have",
			search->dropped, search->dropped + search->file->probe_count);
	if (search->unseen)
		native_add_skip(search->file, "growth of vectors, strings and deques",
			"%zu functions that make them grow have no place for a probe%s",
			search->unseen, search->has_new ? "" : ": operator new has no name here");
	if (search->without_header)
		native_add_skip(search->file, "inlined vectors and deques",
			"%zu places: growth by push_back is counted without its container",
			search->without_header);
	if (search->unknown_headers)
		native_add_skip(search->file, "inlined vectors and deques",
			"%zu places are not seen: they may make a vector grow, but which one "
			"cannot be told",
			search->unknown_headers);
	if (search->unknown_tables)
		native_add_skip(search->file, "growth of absl hash tables",
			"of this version of abseil they are not known");
	if (has_own_strings(search) && !cxx_search_has(search, CXX_PROBE_STRING) &&
		!cxx_search_has(search, CXX_PROBE_LIBCXX_STRING))
		native_add_skip(search->file, "growth of std::string",
			"its functions were compiled into their callers or have no name here");
}

bool cxx_functions_is_libcxx(const struct runtime_probe *probe)
{
	return probe->probe == CXX_PROBE_LIBCXX_TABLE || probe->probe == CXX_PROBE_LIBCXX_PRIME ||
	       probe->probe == CXX_PROBE_LIBCXX_STRING || !strcmp(probe->symbol, CXX_LIBCXX_VECTOR);
}

bool cxx_functions_find(struct elf_file *elf, struct runtime_file *ret)
{
	struct cxx_search *search = xcalloc(1, sizeof(*search));
	size_t primes = 0;
	bool any;

	search->elf = elf;
	search->file = ret;
	search->has_new = native_callee_find(elf, OPERATOR_NEW, &search->new) == 0;
	elf_file_each_function(elf, take_function, search);
	/* Tables first: there are fewer of them, and a file may have so many probes only. */
	add_all_named(search, FAMILY_MAP);
	add_all_named(search, FAMILY_VECTOR);
	/* What libraries have for themselves is not the user's. */
	if (!elf_file_is_library(elf)) {
		primes = cxx_search_primes(search);
		cxx_search_inlined(search);
		tell(search);
	}
	any = search->count || search->inlined_count || primes;
	for (size_t i = 0; i < search->count; i++)
		free(search->list[i].name);
	free(search);
	return any;
}
