/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where growth was compiled into its callers, or its name was stripped, the check of the length is still there:
 * it loads a literal to throw with ("vector::_M_realloc_insert"). In the function that refers to it the new array
 * is asked of operator new with its size in RDI, and the place of that call is the user's line. Where the vector's
 * header lies is found by cxx_header.c, or not.
 */
#include <capstone/capstone.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/cxx/cxx_search.h"
#include "runtime/binary/elf_file.h"
#include "runtime/binary/code.h"
#include "runtime/runtime.h"

#define MAX_NEW_BYTES   256
#define MAX_THROW_BYTES 64
#define SIZE_WINDOW     48 /* instructions between the check of the length and operator new */

#define REG(r) ((struct mt_source){MT_FROM_REG, MT_REG_##r, 0})

/*
 * What can be said of a call without its vector's header: growth by one doubles the array, so that half of it is
 * replaced. Other growth has any size, and constructors make arrays, too.
 */
struct literal {
	const char *text;
	enum cxx_probe probe;
	bool twice;    /* always to twice the size: no header is needed */
	bool doubtful; /* no growth where there is no header: a constructor has it, too */
	bool libcxx;
	const char *type, *what;
};

static const struct literal literals[] = {
	{"vector::_M_realloc_insert", CXX_PROBE_INLINED_NEW, true, false, false, "std::vector",
		"std::vector::_M_realloc_insert, inlined"},
	{"vector::_M_realloc_append", CXX_PROBE_INLINED_NEW, true, false, false, "std::vector",
		"std::vector::_M_realloc_append, inlined"},
	{"cannot create std::deque larger than max_size()", CXX_PROBE_DEQUE_NEW, true, false, false,
		"std::deque", "std::deque::_M_reallocate_map, inlined"},
	{"vector::_M_default_append", CXX_PROBE_VECTOR_NEW, false, false, false, "std::vector",
		"std::vector::_M_default_append, inlined"},
	{"vector::_M_fill_insert", CXX_PROBE_VECTOR_NEW, false, false, false, "std::vector",
		"std::vector::_M_fill_insert, inlined"},
	{"vector::_M_fill_append", CXX_PROBE_VECTOR_NEW, false, false, false, "std::vector",
		"std::vector::_M_fill_append, inlined"},
	{"vector::_M_range_insert", CXX_PROBE_VECTOR_NEW, false, false, false, "std::vector",
		"std::vector::_M_range_insert, inlined"},
	{"vector::reserve", CXX_PROBE_VECTOR_NEW, false, false, false, "std::vector",
		"std::vector::reserve, inlined"},
	{"cannot create std::vector larger than max_size()", CXX_PROBE_VECTOR_NEW, false, true,
		false, "std::vector", "std::vector::assign, inlined"},
	{"vector", CXX_PROBE_VECTOR_NEW, false, true, true, "std::vector", CXX_LIBCXX_VECTOR},
};

/* Of all literals of a function, the one that says least. */
static const struct literal *literal_of(uint32_t mask)
{
	const struct literal *found = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(literals); i++)
		if (mask & 1u << i && (!found || !literals[i].twice))
			found = &literals[i];
	return found;
}

/* ---- functions that refer to a literal ---- */

static bool has_name(const struct cxx_search *search, const struct native_function *function)
{
	for (size_t i = 0; i < search->count; i++)
		if (search->list[i].function.start == function->start)
			return true;
	return false;
}

/* False where there is no room for it. */
static bool add_function(
	struct cxx_search *search, const struct native_function *function, uint32_t mask)
{
	if (has_name(search, function))
		return true;
	for (size_t i = 0; i < search->inlined_count; i++) {
		if (search->inlined[i].function.start != function->start)
			continue;
		search->inlined[i].literals |= mask;
		return true;
	}
	if (search->inlined_count == CXX_MAX_INLINED)
		return false;
	search->inlined[search->inlined_count].literals = mask;
	search->inlined[search->inlined_count++].function = *function;
	return true;
}

static bool take_reference(size_t which, uint64_t pc, void *arg)
{
	struct cxx_search *search = arg;
	struct native_function function;

	return native_function_at(search->elf, pc, &function) == 0 &&
	       !add_function(search, &function, 1u << which);
}

struct callers {
	struct cxx_search *search;
	uint32_t literals;
};

static bool take_caller(uint64_t pc, void *arg)
{
	struct callers *callers = arg;
	struct native_function function;

	return native_function_at(callers->search->elf, pc, &function) == 0 &&
	       !add_function(callers->search, &function, callers->literals);
}

/* libc++ throws in a function of its own, which each vector's code calls. */
static void add_callers(struct cxx_search *search)
{
	size_t count = search->inlined_count;

	for (size_t i = 0; i < count; i++) {
		struct native_function function = search->inlined[i].function;
		struct callers callers = {search, search->inlined[i].literals};

		if (literal_of(callers.literals)->libcxx &&
			function.end - function.start <= MAX_THROW_BYTES)
			native_each_call(search->elf, function.start, take_caller, &callers);
	}
}

/* ---- calls of operator new ---- */

/* Several containers may grow in one function: the check of the length is not far from its call. */
static uint32_t element_of_call(const struct code *code, size_t call, bool libcxx)
{
	uint32_t bytes = cxx_elements_in(code, call - MIN(call, (size_t)SIZE_WINDOW), call, libcxx);

	return bytes ? bytes : cxx_elements_in(code, 0, code->count, libcxx);
}

static size_t count_calls(struct cxx_search *search, const struct code *code)
{
	size_t calls = 0;

	for (size_t i = 0; i < code->count; i++)
		calls += cxx_search_makes_array(search, code, i);
	return calls;
}

static struct mt_attachment attachment_without(uint32_t element_bytes)
{
	return (struct mt_attachment){
		.kind = MT_GROW,
		.flags = MT_ATTACH_STACK,
		.val = {REG(DI)},
		.floor = element_bytes + 1, /* the first array replaces nothing */
	};
}

static void add_call(struct cxx_search *search, const struct literal *literal,
	const struct native_function *function, const struct code *code, size_t call, size_t calls)
{
	struct runtime_probe row = {.probe = literal->probe, .family = FAMILY_VECTOR};
	bool vector = literal->probe != CXX_PROBE_DEQUE_NEW;
	struct cxx_header header;
	bool known = vector && cxx_search_header(search, code, call, &header);
	int err;

	if (vector)
		row.element_bytes = element_of_call(code, call, literal->libcxx);
	if (!known && (!literal->twice || (vector && !row.element_bytes && calls > 1))) {
		search->unknown_headers++;
		return;
	}
	text_copy(row.symbol, sizeof(row.symbol), literal->what);
	text_copy(row.type, sizeof(row.type), literal->type);
	row.attachment =
		known ? cxx_search_attachment(&header) : attachment_without(row.element_bytes);
	if (known && literal->twice)
		row.attachment.floor = 1;
	err = native_probe_add_at(search->elf, function, code, call, &row, search->file);
	search->dropped += err == -ENOSPC;
	search->without_header += !err && !known;
}

/* Returns how many calls of operator new there are. */
static size_t add_calls(struct cxx_search *search, const struct literal *literal,
	const struct native_function *function, const struct code *code)
{
	size_t calls = count_calls(search, code);

	for (size_t i = 0; i < code->count; i++)
		if (cxx_search_makes_array(search, code, i))
			add_call(search, literal, function, code, i, calls);
	return calls;
}

static bool is_known(const struct cxx_search *search, const struct native_function *function)
{
	for (size_t i = 0; i < search->inlined_count; i++)
		if (search->inlined[i].function.start == function->start)
			return true;
	return has_name(search, function);
}

static void add_inlined(struct cxx_search *search, const struct literal *literal,
	const struct native_function *function, bool again)
{
	struct native_function hot;
	struct code code;
	size_t calls;

	if (native_code_open(search->elf, function, CXX_MAX_INSNS, &code)) {
		search->unseen++;
		return;
	}
	calls = add_calls(search, literal, function, &code);
	code_close(&code);
	if (calls)
		return;
	if (again && native_find_jump_into(search->elf, function, &hot) == 0) {
		if (!is_known(search, &hot))
			add_inlined(search, literal, &hot, false);
		return;
	}
	/* A deque's own functions check the length and call the one that has the probe. */
	search->unseen += !literal->doubtful && (literal->probe != CXX_PROBE_DEQUE_NEW ||
							!cxx_search_has(search, CXX_PROBE_DEQUE));
}

/*
 * operator new of a static library without names (libsupc++/new_op.cc): never asks for 0 bytes, and calls a
 * handler by its address where malloc fails.
 */
static bool looks_like_new(struct elf_file *elf, uint64_t addr)
{
	struct native_function function;
	bool never_zero = false, handler = false;
	struct code code;

	if (native_function_at(elf, addr, &function) || function.start != addr ||
		function.end - function.start > MAX_NEW_BYTES ||
		native_code_open(elf, &function, CXX_MAX_INSNS, &code))
		return false;
	for (size_t i = 0; i < code.count; i++) {
		const cs_insn *insn = &code.insns[i];
		const cs_x86_op *operands = insn->detail->x86.operands;

		never_zero |= insn->id == X86_INS_CMOVNE && operands[1].type == X86_OP_REG &&
			      operands[1].reg == X86_REG_RDI;
		handler |= insn->id == X86_INS_CALL && operands[0].type == X86_OP_REG;
	}
	code_close(&code);
	return never_zero && handler;
}

static void find_nameless_new(struct cxx_search *search)
{
	struct code code;

	for (size_t i = 0; i < search->inlined_count && !search->has_new; i++) {
		uint64_t target;

		if (native_code_open(
			    search->elf, &search->inlined[i].function, CXX_MAX_INSNS, &code))
			continue;
		for (size_t k = 0; k < code.count && !search->has_new; k++) {
			search->has_new = code_is_call(&code.insns[k], &target) &&
					  looks_like_new(search->elf, target);
			if (search->has_new)
				search->new.direct = target;
		}
		code_close(&code);
	}
}

void cxx_search_inlined(struct cxx_search *search)
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
	add_callers(search);
	find_nameless_new(search);
	if (!search->has_new) {
		search->unseen += search->inlined_count;
		return;
	}
	for (size_t i = 0; i < search->inlined_count; i++) {
		if (search->file->probe_count == RUNTIME_MAX_PROBES)
			search->dropped++;
		else
			add_inlined(search, literal_of(search->inlined[i].literals),
				&search->inlined[i].function, true);
	}
}
