/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vec, String, VecDeque: whatever makes them grow ends in a call of finish_grow (alloc/src/raw_vec), which gets
 * the old array and the new size in registers, so the probes are at the calls of it. HashMap and HashSet:
 * RawTable::reserve_rehash (hashbrown/src/raw) is entered when a table is full.
 *
 * Stripped files keep the texts of the panics. The one of hashbrown is used by one function, whose callers are the
 * instances of reserve_rehash; that of Vec by one whose callers, or theirs, call finish_grow and then compare
 * the result on their stack.
 *
 *	finish_grow, now:	RSI old capacity  RDX old array  RCX new capacity  R8 alignment  R9 bytes of an element
 *	finish_grow, 1.85:	RSI alignment  RDX new bytes  RCX -> { old array, alignment or 0, old bytes }
 *	finish_grow, 1.63:	RSI new bytes  RDX alignment  RCX -> { old array, old bytes, alignment or 0 }
 */
#include "runtime/rust/rust_identify.h"

#include <capstone/capstone.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/binary/elf_file.h"
#include "runtime/binary/code.h"
#include "runtime/binary/native_calls.h"
#include "runtime/binary/native_code.h"
#include "runtime/runtime.h"

#define VEC_TEXT   "capacity overflow"
#define TABLE_TEXT "Hash table capacity overflow"

#define MAX_INSNS     8192
#define MAX_TARGETS   64
#define MAX_FUNCTIONS 512
#define MAX_CALLER    1024 /* bytes of a function that does nothing but grow a vector */

#define REG(r)      ((struct mt_source){MT_FROM_REG, MT_REG_##r, 0})
#define MEM(r, off) ((struct mt_source){MT_FROM_MEM, MT_REG_##r, off})
#define AT(r, off)  ((struct mt_source){MT_FROM_MEM, (uint8_t)(r), off})

struct functions {
	struct native_function list[MAX_FUNCTIONS];
	size_t count;
};

struct search {
	struct elf_file *elf;
	struct runtime_file *file;
	struct functions finish, tables, deques, callers;
	bool layout; /* the finish_grow whose calls are taken has alignments before sizes */
	size_t dropped, unseen;
};

static bool has(const struct functions *functions, uint64_t start)
{
	for (size_t i = 0; i < functions->count; i++)
		if (functions->list[i].start == start)
			return true;
	return false;
}

static void add(struct functions *functions, const struct native_function *function)
{
	if (functions->count < MAX_FUNCTIONS && !has(functions, function->start))
		functions->list[functions->count++] = *function;
}

/* ---- by name, of either mangling ---- */

static bool take_function(const char *name, uint64_t addr, uint64_t bytes, void *arg)
{
	const struct native_function function = {addr, addr + bytes};
	struct search *search = arg;

	if (!bytes || (name[1] != 'R' && name[1] != 'Z'))
		return false;
	if (strstr(name, "11finish_grow") && strstr(name, "raw_vec"))
		add(&search->finish, &function);
	else if (strstr(name, "14reserve_rehash") && strstr(name, "hashbrown"))
		add(&search->tables, &function);
	else if (strstr(name, "VecDeque") && strstr(name, "4grow"))
		add(&search->deques, &function);
	return false;
}

/* ---- by the texts of panics ---- */

static bool take_reference(size_t which, uint64_t pc, void *arg)
{
	struct search *search = arg;
	struct native_function function;

	(void)which;
	if (native_function_at(search->elf, pc, &function) == 0)
		add(&search->callers, &function);
	return false;
}

static bool take_caller(uint64_t pc, void *arg)
{
	return take_reference(0, pc, arg);
}

static void find_users(struct search *search, const char *text)
{
	uint64_t addrs[8];
	size_t count = native_find_text(search->elf, text, addrs, ARRAY_SIZE(addrs));

	search->callers.count = 0;
	native_each_reference(search->elf, addrs, count, take_reference, search);
}

/* Replaces the functions found last by their callers. */
static void find_callers(struct search *search)
{
	struct functions *called = xcalloc(1, sizeof(*called));

	*called = search->callers;
	search->callers.count = 0;
	for (size_t i = 0; i < called->count; i++)
		native_each_call(search->elf, called->list[i].start, take_caller, search);
	free(called);
}

/* cmp $0 or $1, (stack): what finish_grow has returned. */
static bool checks_result(const cs_insn *insn)
{
	const cs_x86_op *operands = insn->detail->x86.operands;

	return insn->id == X86_INS_CMP && operands[0].type == X86_OP_MEM &&
	       (operands[0].mem.base == X86_REG_RSP || operands[0].mem.base == X86_REG_RBP) &&
	       operands[1].type == X86_OP_IMM && (operands[1].imm == 0 || operands[1].imm == 1);
}

static void find_finish_in(struct search *search, const struct native_function *caller)
{
	struct native_function function;
	struct code code;
	uint64_t target;

	if (caller->end - caller->start > MAX_CALLER ||
		native_code_open(search->elf, caller, MAX_INSNS, &code))
		return;
	for (size_t i = 0; i + 1 < code.count; i++)
		if (code_is_call(&code.insns[i], &target) && checks_result(&code.insns[i + 1]) &&
			native_function_at(search->elf, target, &function) == 0 &&
			function.start == target)
			add(&search->finish, &function);
	code_close(&code);
}

static void find_stripped(struct search *search)
{
	find_users(search, TABLE_TEXT);
	find_callers(search);
	search->tables = search->callers;
	find_users(search, VEC_TEXT);
	for (int level = 0; level < 2 && !search->finish.count; level++) {
		find_callers(search);
		for (size_t i = 0; i < search->callers.count; i++)
			find_finish_in(search, &search->callers.list[i]);
	}
}

/* ---- probes ---- */

static struct mt_attachment vec_attachment(int home)
{
	struct mt_attachment attachment = {
		.kind = MT_GROW,
		.flags = MT_ATTACH_STACK,
		.val = {REG(SI), REG(CX), REG(R9)},
		.floor = 1, /* the first array replaces nothing */
	};

	if (home >= 0) {
		attachment.addr = (struct mt_source){MT_FROM_REG, (uint8_t)home, 0};
		attachment.val[3] = AT(home, 0);
		attachment.val[4] = AT(home, 16);
		attachment.val[5] = AT(home, 24);
	}
	return attachment;
}

static struct mt_attachment bytes_attachment(int home, int16_t offset)
{
	struct mt_attachment attachment = {
		.kind = MT_GROW,
		.flags = MT_ATTACH_STACK,
		.val = {MEM(CX, 16), MEM(CX, 8), MEM(CX, 0), REG(SI)},
		.floor = 1,
	};

	if (home >= 0) {
		attachment.addr = (struct mt_source){MT_FROM_REG, (uint8_t)home, 0};
		attachment.val[4] = AT(home, offset);
		attachment.val[5] = AT(home, offset + 8);
	}
	return attachment;
}

/* A vector is { capacity, array, length }, a deque { capacity, array, first, length }. */
static struct mt_attachment layout_attachment(int home)
{
	struct mt_attachment attachment = {
		.kind = MT_GROW,
		.flags = MT_ATTACH_STACK,
		.val = {MEM(CX, 8), MEM(CX, 16), {0}, REG(DX)},
		.floor = 1,
	};

	if (home >= 0) {
		attachment.addr = (struct mt_source){MT_FROM_REG, (uint8_t)home, 0};
		attachment.val[2] = AT(home, 0);
		attachment.val[4] = AT(home, 16);
		attachment.val[5] = AT(home, 24);
	}
	return attachment;
}

/* cmp $0, 8(%rcx) or 16(%rcx): was there an array? That is where finish_grow looks for its alignment. */
static bool alignment_comes_first(struct elf_file *elf, const struct native_function *finish)
{
	struct code code;
	bool first = false;

	if (native_code_open(elf, finish, MAX_INSNS, &code))
		return false;
	for (size_t i = 0; i < code.count && !first; i++) {
		const cs_x86_op *operands = code.insns[i].detail->x86.operands;

		if (code.insns[i].id != X86_INS_CMP || operands[0].type != X86_OP_MEM ||
			operands[0].mem.base != X86_REG_RCX || operands[1].type != X86_OP_IMM)
			continue;
		first = operands[0].mem.disp == 8;
		break;
	}
	code_close(&code);
	return first;
}

/* The bytes of an element are passed in R9: nothing was in 1.63. */
static bool passes_element(const struct code *code, size_t call)
{
	for (size_t i = 0; i < call; i++)
		if (code->insns[i].id != X86_INS_CALL &&
			code_writes(code, &code->insns[i], X86_REG_R9))
			return true;
	return false;
}

static bool take_growth(uint64_t pc, void *arg)
{
	struct runtime_probe row = {.family = FAMILY_VECTOR, .symbol = "finish_grow, call of"};
	struct search *search = arg;
	struct native_function function;
	struct code code;
	size_t call = 0;
	int home, err = -1;

	if (native_function_at(search->elf, pc, &function) ||
		native_code_open(search->elf, &function, MAX_INSNS, &code)) {
		search->unseen++;
		return false;
	}
	while (call < code.count && code.insns[call].address != pc)
		call++;
	home = native_argument_home(&code);
	text_copy(row.type, sizeof(row.type), "Vec");
	if (search->layout) {
		row.probe = RUST_PROBE_VEC_LAYOUT;
		row.attachment = layout_attachment(home);
	} else if (passes_element(&code, MIN(call, code.count))) {
		row.probe = RUST_PROBE_VEC;
		row.attachment = vec_attachment(home);
	} else if (has(&search->deques, function.start)) {
		row.probe = RUST_PROBE_DEQUE_BYTES;
		row.attachment = bytes_attachment(home, 16);
		text_copy(row.type, sizeof(row.type), "VecDeque");
	} else {
		row.probe = RUST_PROBE_VEC_BYTES;
		row.attachment = bytes_attachment(home, 0);
	}
	if (call < code.count)
		err = native_probe_add_at(search->elf, &function, &code, call, &row, search->file);
	search->dropped += err != 0;
	code_close(&code);
	return false;
}

static void add_table(struct search *search, const struct native_function *function)
{
	const struct runtime_probe row = {
		.probe = RUST_PROBE_TABLE,
		.family = FAMILY_MAP,
		.symbol = "RawTable::reserve_rehash",
		.type = "HashMap",
		.attachment =
			{
				.kind = MT_GROW,
				.flags = MT_ATTACH_STACK,
				.addr = REG(DI),
				.val = {MEM(DI, 24), MEM(DI, 0), MEM(DI, 8), MEM(DI, 16), REG(SI)},
			},
	};

	search->dropped += native_probe_add(search->elf, function, &row, search->file) != 0;
}

static void place(struct search *search)
{
	for (size_t i = 0; i < search->tables.count; i++)
		add_table(search, &search->tables.list[i]);
	for (size_t i = 0; i < search->finish.count; i++) {
		search->layout = alignment_comes_first(search->elf, &search->finish.list[i]);
		native_each_call(search->elf, search->finish.list[i].start, take_growth, search);
	}
	if (!search->finish.count)
		native_add_skip(search->file, "growth of Vec, String and VecDeque",
			"finish_grow, in which it ends, is not found");
	if (!search->tables.count)
		native_add_skip(search->file, "growth of HashMap and HashSet",
			"reserve_rehash is not found: the program may have none");
	if (search->dropped)
		native_add_skip(search->file, "growth of Rust containers",
			"%zu places are not probed: more than a file may have", search->dropped);
	native_add_skip(search->file, "Rust containers from before attach",
		"followed from their next growth: nothing lists those that are there");
}

/* Sources of the standard library are named in its panics, stripped or not; and in what looks for them. */
static bool is_rust(struct elf_file *elf)
{
	static const char path[] = "library/core/src/";
	size_t bytes;
	const uint8_t *data = elf_file_section_bytes(elf, ".rodata", &bytes);

	return data && memmem(data, bytes, path, sizeof(path) - 1);
}

int rust_identify(struct elf_file *elf, struct runtime_file *ret)
{
	struct runtime_file found = {.runtime = "rust", .version = "Rust"};
	struct search *search;
	bool any;

	if (!is_rust(elf))
		return 0;
	search = xcalloc(1, sizeof(*search));
	search->elf = elf;
	search->file = &found;
	native_describe(elf, &found);
	elf_file_each_function(elf, take_function, search);
	if (!search->finish.count && !search->tables.count)
		find_stripped(search);
	any = search->finish.count || search->tables.count;
	if (any) {
		place(search);
		found.reading = true;
		*ret = found;
	}
	free(search);
	return any;
}
