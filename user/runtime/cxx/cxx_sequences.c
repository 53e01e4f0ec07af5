/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Containers whose code is a template: each program has its own copy of what makes them grow.
 *
 * Where the compiler kept that as a function and the file has its name, its entry says all: the header that
 * `this` points to, and the array that is about to be replaced. Where it was compiled into its callers, or
 * the name was stripped, the check of the length is still there: it loads a literal to throw with
 * ("vector::_M_realloc_insert"). In the function that refers to it, the new array is asked of operator new
 * with its size in RDI, and the place of that call is the user's line.
 *
 *	std::vector	0 begin  8 end  16 end of capacity		(bits/stl_vector.h)
 *	std::string	0 data  8 length  16 capacity or local buffer	(bits/basic_string.h)
 *	std::deque	0 array of blocks  8 its size  16 start  48 finish (bits/stl_deque.h)
 */
#include "runtime/cxx/cxx_sequences.h"

#include <capstone/capstone.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/cxx/cxx_name.h"
#include "runtime/binary/demangle.h"
#include "runtime/binary/elf_file.h"
#include "runtime/go/go_code.h"
#include "runtime/binary/native_calls.h"
#include "runtime/binary/native_code.h"
#include "runtime/runtime.h"

#define OPERATOR_NEW "_Znwm"

#define MAX_INSNS        8192
#define MAX_FUNCTIONS    4096
#define MAX_INLINED      256
#define MAX_ELEMENT      (1u << 20)
#define MAX_NEW_BYTES    256
#define SIZE_WINDOW      48 /* instructions between the check of the length and operator new */
#define ARGUMENT_WINDOW  8  /* between the last write of RDI and the call */
#define MAX_VECTOR_BYTES INT64_MAX

#define REG(r)      ((struct mt_source){MT_FROM_REG, MT_REG_##r, 0})
#define MEM(r, off) ((struct mt_source){MT_FROM_MEM, MT_REG_##r, off})

/* ---- what there is ---- */

struct member {
	const char *class_prefix; /* mangled */
	const char *name;         /* mangled, with the end of the class before it */
	enum cxx_probe probe;
	const char *what; /* of the symbol, in words */
};

#define VECTOR       "_ZNSt6vectorI"
#define CONST_VECTOR "_ZNKSt6vectorI"
#define STRING       "_ZNSt7__cxx1112basic_stringI"
#define DEQUE        "_ZNSt5dequeI"

/* Those without a probe have the literal, too, and leave the growing to one of the others. */
static const struct member members[] = {
	{VECTOR, "E17_M_realloc_insertI", CXX_PROBE_VECTOR_TWICE, "std::vector::_M_realloc_insert"},
	{VECTOR, "E17_M_realloc_appendI", CXX_PROBE_VECTOR_TWICE, "std::vector::_M_realloc_append"},
	{VECTOR, "E17_M_default_appendEm", CXX_PROBE_VECTOR_NEW, "std::vector::_M_default_append"},
	{VECTOR, "E14_M_fill_insertE", CXX_PROBE_VECTOR_NEW, "std::vector::_M_fill_insert"},
	{VECTOR, "E14_M_fill_appendE", CXX_PROBE_VECTOR_NEW, "std::vector::_M_fill_append"},
	{VECTOR, "E14_M_fill_assignE", CXX_PROBE_VECTOR_NEW, "std::vector::_M_fill_assign"},
	{VECTOR, "E15_M_range_insertI", CXX_PROBE_VECTOR_NEW, "std::vector::_M_range_insert"},
	{VECTOR, "E7reserveEm", CXX_PROBE_VECTOR_NEW, "std::vector::reserve"},
	{STRING, "E9_M_mutateEmmPK", CXX_PROBE_STRING, "std::string::_M_mutate"},
	{STRING, "E7reserveEm", CXX_PROBE_STRING_RESERVE, "std::string::reserve"},
	{DEQUE, "E17_M_reallocate_mapEmb", CXX_PROBE_DEQUE, "std::deque::_M_reallocate_map"},
	{CONST_VECTOR, "E12_M_check_lenEmPKc", CXX_PROBES, NULL},
};

struct literal {
	const char *text;
	enum cxx_probe probe;
	const char *type, *what;
};

static const struct literal literals[] = {
	{"vector::_M_realloc_insert", CXX_PROBE_INLINED_NEW, "std::vector",
		"std::vector::_M_realloc_insert, inlined"},
	{"vector::_M_realloc_append", CXX_PROBE_INLINED_NEW, "std::vector",
		"std::vector::_M_realloc_append, inlined"},
	{"cannot create std::deque larger than max_size()", CXX_PROBE_DEQUE_NEW, "std::deque",
		"std::deque::_M_reallocate_map, inlined"},
};

struct found {
	const struct member *member;
	char *name; /* mangled */
	struct native_function function;
};

struct search {
	struct elf_file *elf;
	struct runtime_file *file;
	struct native_callee new;
	bool has_new;
	struct found list[MAX_FUNCTIONS];
	size_t count;
	/* Functions that refer to a literal: */
	struct {
		size_t literal;
		struct native_function function;
	} inlined[MAX_INLINED];
	size_t inlined_count;
	size_t dropped; /* for want of room */
	size_t unseen;  /* growth code without a place for a probe */
	size_t inlined_seen;
};

static const struct member *find_member(const char *name)
{
	/* Bits have no bytes; a name with a dot is a part of a function, or one with other arguments. */
	if (!strncmp(name, VECTOR "bSaIbE", sizeof(VECTOR "bSaIbE") - 1) || strchr(name, '.'))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (!strncmp(name, members[i].class_prefix, strlen(members[i].class_prefix)) &&
			strstr(name, members[i].name))
			return &members[i];
	return NULL;
}

static bool take_function(const char *name, uint64_t addr, uint64_t bytes, void *arg)
{
	const struct member *member = find_member(name);
	struct search *search = arg;

	if (!member || !bytes)
		return false;
	for (size_t i = 0; i < search->count; i++)
		if (search->list[i].function.start == addr)
			return false;
	if (search->count == MAX_FUNCTIONS)
		return true;
	search->list[search->count++] = (struct found){member, xstrdup(name), {addr, addr + bytes}};
	return false;
}

/* ---- bytes of an element ---- */

/* A vector has at most PTRDIFF_MAX bytes: the most elements that the code allows say how large one is. */
static uint32_t element_of_limit(int64_t limit)
{
	int64_t bytes = limit > 0 ? MAX_VECTOR_BYTES / limit : 0;

	return bytes && bytes <= MAX_ELEMENT && MAX_VECTOR_BYTES / bytes == limit ? (uint32_t)bytes
										  : 0;
}

/*
 * movabs $limit, reg. Other limits are derived from it and larger (twice as many elements would be too many
 * for a size_t), so the largest element is right.
 */
static uint32_t element_in(const struct go_code *code, size_t from, size_t to)
{
	uint32_t largest = 0;

	for (size_t i = from; i < to; i++) {
		const cs_x86 *x86 = &code->insns[i].detail->x86;

		if (x86->op_count == 2 && x86->operands[1].type == X86_OP_IMM &&
			x86->operands[1].size == 8)
			largest = MAX(largest, element_of_limit(x86->operands[1].imm));
	}
	return largest;
}

struct limit_search {
	const char *prefix;
	size_t length;
	struct native_function found;
};

/* Without optimisation the limit is in a function of its own, of the same class. */
static bool take_limit(const char *name, uint64_t addr, uint64_t bytes, void *arg)
{
	struct limit_search *limit = arg;

	if (strncmp(name, limit->prefix, limit->length) ||
		strncmp(name + limit->length, "E11_S_max_size", sizeof("E11_S_max_size") - 1))
		return false;
	limit->found = (struct native_function){addr, addr + bytes};
	return true;
}

static uint32_t element_of_class(struct search *search, const struct found *found)
{
	struct limit_search limit = {
		found->name, (size_t)(strstr(found->name, found->member->name) - found->name), {0}};
	struct go_code code;
	uint32_t bytes;

	elf_file_each_function(search->elf, take_limit, &limit);
	if (!limit.found.start || native_code_open(search->elf, &limit.found, MAX_INSNS, &code))
		return 0;
	bytes = element_in(&code, 0, code.count);
	native_code_close(&code);
	return bytes;
}

static uint32_t element_bytes(struct search *search, const struct found *found,
	const struct go_code *code, const char *type)
{
	uint32_t bytes = cxx_name_element_bytes(type);

	/* A string's limit is half as large, and a deque's is that of its array. */
	if (!bytes && !strncmp(type, "std::vector<", 12)) {
		bytes = element_in(code, 0, code->count);
		bytes = bytes ? bytes : element_of_class(search, found);
	}
	if (!strcmp(type, "std::string") || !strcmp(type, "std::u8string"))
		return 1;
	if (!strcmp(type, "std::u16string"))
		return 2;
	return !strcmp(type, "std::wstring") || !strcmp(type, "std::u32string") ? 4 : bytes;
}

/* ---- functions with a name ---- */

static struct mt_attachment entry_attachment(enum cxx_probe probe)
{
	struct mt_attachment attachment = {
		.kind = MT_GROW,
		.flags = MT_ATTACH_STACK,
		.addr = REG(DI),
		.val = {MEM(DI, 0), MEM(DI, 8), MEM(DI, 16)},
		.floor = 1, /* the first array replaces nothing */
	};

	if (probe == CXX_PROBE_STRING) {
		attachment.val[3] = REG(DX);
		attachment.val[4] = REG(R8);
	} else if (probe == CXX_PROBE_STRING_RESERVE) {
		attachment.val[3] = REG(SI);
	} else if (probe == CXX_PROBE_DEQUE) {
		attachment.val[2] = MEM(DI, 40);
		attachment.val[3] = MEM(DI, 72);
		attachment.val[4] = REG(SI);
	}
	return attachment;
}

/* RDI is a constant: what is made there is one object. */
static bool asks_for_constant(const struct go_code *code, size_t call)
{
	for (size_t i = call; i-- > 0 && call - i <= ARGUMENT_WINDOW;) {
		const cs_insn *insn = &code->insns[i];

		if (go_code_writes(code, insn, X86_REG_RDI))
			return insn->id == X86_INS_MOV &&
			       insn->detail->x86.operands[1].type == X86_OP_IMM;
	}
	return false;
}

/* Probes the calls of operator new in the function of a vector's header, where that stays in one register. */
static int add_calls(struct search *search, const struct found *found, const struct go_code *code,
	struct runtime_probe *row)
{
	int home = native_argument_home(code), err = -ENOENT;

	if (!search->has_new || home < 0)
		return -ENOENT;
	row->attachment = (struct mt_attachment){
		.kind = MT_GROW,
		.flags = MT_ATTACH_STACK,
		.addr = {MT_FROM_REG, (uint8_t)home, 0},
		.val = {{MT_FROM_MEM, (uint8_t)home, 0}, {MT_FROM_MEM, (uint8_t)home, 8},
			{MT_FROM_MEM, (uint8_t)home, 16}, REG(DI)},
	};
	for (size_t i = 0; i < code->count; i++)
		if (native_calls(search->elf, code, i, &search->new) && !asks_for_constant(code, i))
			err = native_probe_add_at(
				search->elf, &found->function, code, i, row, search->file);
	return err;
}

static void add_named(struct search *search, const struct found *found)
{
	struct runtime_probe row = {.probe = found->member->probe, .family = FAMILY_VECTOR};
	char readable[2048];
	struct go_code code;
	int err;

	if (native_code_open(search->elf, &found->function, MAX_INSNS, &code)) {
		search->unseen++;
		return;
	}
	demangle_name(found->name, readable, sizeof(readable));
	cxx_name_class(readable, row.type, sizeof(row.type));
	row.element_bytes = element_bytes(search, found, &code, row.type);
	text_copy(row.symbol, sizeof(row.symbol), found->member->what);
	if (row.probe == CXX_PROBE_VECTOR_NEW) {
		err = add_calls(search, found, &code, &row);
	} else {
		row.attachment = entry_attachment(row.probe);
		err = native_probe_add(search->elf, &found->function, &row, search->file);
	}
	search->dropped += err == -ENOSPC;
	search->unseen += err && err != -ENOSPC;
	native_code_close(&code);
}

/* ---- inlined, or without a name ---- */

static bool is_known(const struct search *search, const struct native_function *function)
{
	for (size_t i = 0; i < search->count; i++)
		if (search->list[i].function.start == function->start)
			return true;
	for (size_t i = 0; i < search->inlined_count; i++)
		if (search->inlined[i].function.start == function->start)
			return true;
	return false;
}

static bool take_reference(size_t which, uint64_t pc, void *arg)
{
	struct search *search = arg;
	struct native_function function;

	if (native_function_at(search->elf, pc, &function) || is_known(search, &function))
		return false;
	if (search->inlined_count == MAX_INLINED)
		return true;
	search->inlined[search->inlined_count].literal = which;
	search->inlined[search->inlined_count++].function = function;
	return false;
}

/* Several containers may grow in one function: the check of the length is not far from its call. */
static bool size_of_call(const struct go_code *code, size_t call, size_t calls, uint32_t *ret)
{
	*ret = element_in(code, call - MIN(call, (size_t)SIZE_WINDOW), call);
	if (!*ret)
		*ret = element_in(code, 0, code->count);
	return *ret || calls == 1;
}

static bool has_probe(const struct search *search, enum cxx_probe probe)
{
	for (size_t i = 0; i < search->count; i++)
		if (search->list[i].member->probe == probe)
			return true;
	return false;
}

static size_t count_calls(struct search *search, const struct go_code *code)
{
	size_t calls = 0;

	for (size_t i = 0; i < code->count; i++)
		calls += native_calls(search->elf, code, i, &search->new) &&
			 !asks_for_constant(code, i);
	return calls;
}

static int add_inlined_calls(struct search *search, const struct literal *literal,
	const struct native_function *function, const struct go_code *code)
{
	size_t calls = count_calls(search, code);
	int err = -ENOENT;

	for (size_t i = 0; i < code->count; i++) {
		struct runtime_probe row = {.probe = literal->probe, .family = FAMILY_VECTOR};

		if (!native_calls(search->elf, code, i, &search->new) || asks_for_constant(code, i))
			continue;
		if (literal->probe == CXX_PROBE_INLINED_NEW &&
			!size_of_call(code, i, calls, &row.element_bytes))
			continue;
		text_copy(row.symbol, sizeof(row.symbol), literal->what);
		text_copy(row.type, sizeof(row.type), literal->type);
		row.attachment = (struct mt_attachment){
			.kind = MT_GROW,
			.flags = MT_ATTACH_STACK,
			.val = {REG(DI)},
			.floor = row.element_bytes + 1, /* the first array replaces nothing */
		};
		err = native_probe_add_at(search->elf, function, code, i, &row, search->file);
		search->dropped += err == -ENOSPC;
	}
	return err;
}

static void add_inlined(struct search *search, const struct literal *literal,
	const struct native_function *function, bool again)
{
	struct native_function hot;
	struct go_code code;
	int err;

	if (native_code_open(search->elf, function, MAX_INSNS, &code)) {
		search->unseen++;
		return;
	}
	err = add_inlined_calls(search, literal, function, &code);
	native_code_close(&code);
	search->inlined_seen += !err;
	if (err != -ENOENT)
		return;
	if (again && native_find_jump_into(search->elf, function, &hot) == 0) {
		if (!is_known(search, &hot))
			add_inlined(search, literal, &hot, false);
		return;
	}
	/* A deque's own functions check the length and call the one that has the probe. */
	search->unseen +=
		literal->probe != CXX_PROBE_DEQUE_NEW || !has_probe(search, CXX_PROBE_DEQUE);
}

/*
 * operator new of a static library without names (libsupc++/new_op.cc): never asks for 0 bytes, and calls a
 * handler by its address where malloc fails.
 */
static bool looks_like_new(struct elf_file *elf, uint64_t addr)
{
	struct native_function function;
	bool never_zero = false, handler = false;
	struct go_code code;

	if (native_function_at(elf, addr, &function) || function.start != addr ||
		function.end - function.start > MAX_NEW_BYTES ||
		native_code_open(elf, &function, MAX_INSNS, &code))
		return false;
	for (size_t i = 0; i < code.count; i++) {
		const cs_insn *insn = &code.insns[i];
		const cs_x86_op *operands = insn->detail->x86.operands;

		never_zero |= insn->id == X86_INS_CMOVNE && operands[1].type == X86_OP_REG &&
			      operands[1].reg == X86_REG_RDI;
		handler |= insn->id == X86_INS_CALL && operands[0].type == X86_OP_REG;
	}
	native_code_close(&code);
	return never_zero && handler;
}

static void find_nameless_new(struct search *search)
{
	struct go_code code;

	for (size_t i = 0; i < search->inlined_count && !search->has_new; i++) {
		uint64_t target;

		if (native_code_open(search->elf, &search->inlined[i].function, MAX_INSNS, &code))
			continue;
		for (size_t k = 0; k < code.count && !search->has_new; k++) {
			search->has_new = go_code_is_call(&code.insns[k], &target) &&
					  looks_like_new(search->elf, target);
			if (search->has_new)
				search->new.direct = target;
		}
		native_code_close(&code);
	}
}

static void find_inlined(struct search *search)
{
	uint64_t addrs[ARRAY_SIZE(literals)];
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(literals); i++) {
		if (native_find_string(search->elf, literals[i].text, &addrs[i]))
			addrs[i] = 0;
		any |= addrs[i] != 0;
	}
	if (!any)
		return;
	native_each_reference(search->elf, addrs, ARRAY_SIZE(literals), take_reference, search);
	find_nameless_new(search);
	if (!search->has_new) {
		search->unseen += search->inlined_count;
		return;
	}
	for (size_t i = 0; i < search->inlined_count; i++)
		add_inlined(search, &literals[search->inlined[i].literal],
			&search->inlined[i].function, true);
}

/* ---- all of them ---- */

static void tell(struct search *search)
{
	uint64_t literal;

	if (search->dropped)
		native_add_skip(search->file, "growth of vectors, strings and deques",
			"%zu of %zu places are not probed: more than a file may have",
			search->dropped, search->dropped + search->file->probe_count);
	if (search->unseen)
		native_add_skip(search->file, "growth of vectors, strings and deques",
			"%zu functions that make them grow have no place for a probe%s",
			search->unseen, search->has_new ? "" : ": operator new has no name here");
	if (search->inlined_seen)
		native_add_skip(search->file, "inlined vectors and deques",
			"%zu functions: growth by push_back is counted without its container; that "
			"by resize, reserve and insert is not seen there",
			search->inlined_seen);
	if (native_find_string(search->elf, "basic_string::_M_create", &literal) == 0 &&
		!has_probe(search, CXX_PROBE_STRING))
		native_add_skip(search->file, "growth of std::string",
			"its functions were compiled into their callers or have no name here");
}

bool cxx_sequences_find(struct elf_file *elf, struct runtime_file *ret)
{
	struct search *search = xcalloc(1, sizeof(*search));
	bool any;

	search->elf = elf;
	search->file = ret;
	search->has_new = native_callee_find(elf, OPERATOR_NEW, &search->new) == 0;
	elf_file_each_function(elf, take_function, search);
	for (size_t i = 0; i < search->count; i++)
		if (search->list[i].member->probe != CXX_PROBES)
			add_named(search, &search->list[i]);
	/* What libraries have for themselves is not the user's. */
	if (!elf_file_is_library(elf)) {
		find_inlined(search);
		tell(search);
	}
	any = search->count || search->inlined_count;
	for (size_t i = 0; i < search->count; i++)
		free(search->list[i].name);
	free(search);
	return any;
}
