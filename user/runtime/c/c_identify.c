/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C has no containers of its own, but what makes them grow: realloc. Where it is entered its result is not
 * known yet, and a probe on its return would be dear. But within it, right behind the call that does the
 * work, all is in registers: the result in RAX, the arguments and the size of the old chunk in those that a
 * callee keeps. glibc (malloc/malloc.c, __libc_realloc) has three such calls, of which each growth passes one:
 *
 *	_int_realloc(arena, old chunk, its size, new size)	twice, with and without a lock
 *	mremap(old mapping, its bytes, new bytes, MREMAP_MAYMOVE)	a block that has a mapping of its own
 *
 * Where the size is in a register that a callee may use (static builds), it is taken at the call itself, by a
 * probe of its own. Most calls are for a few bytes: those make no record, and cost the hit alone.
 */
#include "runtime/c/c_identify.h"

#include <capstone/capstone.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/allocator/allocator_identify.h"
#include "runtime/binary/native_code.h"
#include "runtime/binary/code.h"
#include "runtime/runtime.h"

#define REALLOC  "realloc"
#define MAY_MOVE 1 /* MREMAP_MAYMOVE */

#define MAX_INSNS       1024
#define ARGUMENT_WINDOW 10 /* instructions between the first argument's and the call */
#define RESULT_WINDOW   8  /* between the call and the probe */

static const x86_reg kept[] = {
	X86_REG_RBX, X86_REG_RBP, X86_REG_R12, X86_REG_R13, X86_REG_R14, X86_REG_R15};

static bool is_kept(x86_reg reg)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (kept[i] == reg)
			return true;
	return false;
}

static bool is_move(const cs_insn *insn, x86_reg *ret_to, x86_reg *ret_from)
{
	const cs_x86_op *operands = insn->detail->x86.operands;

	if (insn->id != X86_INS_MOV || operands[0].type != X86_OP_REG ||
		operands[1].type != X86_OP_REG)
		return false;
	*ret_to = operands[0].reg;
	*ret_from = operands[1].reg;
	return true;
}

/* The register into which the function has moved its argument, and that nothing writes up to the call. */
static x86_reg home_of(const struct code *code, x86_reg argument, size_t call)
{
	x86_reg home = X86_REG_INVALID, to, from;

	for (size_t i = 0; i < call; i++) {
		const cs_insn *insn = &code->insns[i];

		if (home != X86_REG_INVALID) {
			if (insn->id != X86_INS_POP && insn->id != X86_INS_CALL &&
				code_writes(code, insn, home))
				return X86_REG_INVALID;
		} else if (is_move(insn, &to, &from) && from == argument && is_kept(to)) {
			home = to;
		} else if (code_writes(code, insn, argument)) {
			break;
		}
	}
	return home;
}

/* What writes an argument of the call, in its own block; NULL. */
static const cs_insn *setter_of(const struct code *code, size_t call, x86_reg argument)
{
	for (size_t i = call; i-- > 0 && call - i <= ARGUMENT_WINDOW;) {
		const cs_insn *insn = &code->insns[i];
		uint64_t target;

		if (insn->id == X86_INS_CALL || code_is_jump(insn, &target))
			break;
		if (code_writes(code, insn, argument))
			return insn;
	}
	return NULL;
}

/* The register that an argument of the call is a copy of. */
static x86_reg source_of(const struct code *code, size_t call, x86_reg argument)
{
	const cs_insn *insn = setter_of(code, call, argument);
	x86_reg to, from;

	return insn && is_move(insn, &to, &from) && to == argument ? from : X86_REG_INVALID;
}

static bool is_constant(const struct code *code, size_t call, x86_reg argument, int64_t value)
{
	const cs_insn *insn = setter_of(code, call, argument);

	return insn && insn->id == X86_INS_MOV &&
	       insn->detail->x86.operands[1].type == X86_OP_IMM &&
	       insn->detail->x86.operands[1].imm == value;
}

/* Where the kernel emulates an instruction and the call's result is still in a register: its index. */
static int place_behind(const struct code *code, size_t call, size_t *ret_at, x86_reg *ret_holder)
{
	x86_reg copy = X86_REG_INVALID, to, from;
	bool in_rax = true;

	for (size_t i = call + 1; i < code->count && i <= call + RESULT_WINDOW; i++) {
		const cs_insn *insn = &code->insns[i];

		if (!in_rax && copy == X86_REG_INVALID)
			break;
		if (code_is_emulated(insn)) {
			*ret_at = i;
			*ret_holder = in_rax ? X86_REG_RAX : copy;
			return 0;
		}
		if (insn->id == X86_INS_CALL || insn->id == X86_INS_RET)
			break;
		if (in_rax && is_move(insn, &to, &from) && from == X86_REG_RAX && is_kept(to))
			copy = to;
		else if (copy != X86_REG_INVALID && code_writes(code, insn, copy))
			copy = X86_REG_INVALID;
		in_rax &= !code_writes(code, insn, X86_REG_RAX);
	}
	return -ENOENT;
}

static struct mt_source in(x86_reg reg)
{
	return (struct mt_source){MT_FROM_REG, (uint8_t)code_wire_register(reg), 0};
}

/* Is it one of the three, and of which register is the size of the old chunk a copy? */
static bool does_the_work(
	const struct code *code, size_t call, enum c_probe *ret_probe, x86_reg *ret_size)
{
	x86_reg second = source_of(code, call, X86_REG_RSI);
	x86_reg third = source_of(code, call, X86_REG_RDX);

	if (code->insns[call].id != X86_INS_CALL || !is_kept(second))
		return false;
	if (is_kept(source_of(code, call, X86_REG_RCX)) && third != X86_REG_INVALID) {
		*ret_probe = is_kept(third) ? C_PROBE_HEAP : C_PROBE_RESULT;
		*ret_size = third;
		return true;
	}
	*ret_probe = C_PROBE_MAPPED;
	*ret_size = second;
	return is_constant(code, call, X86_REG_RCX, MAY_MOVE);
}

static int add_call(struct elf_file *elf, const struct native_function *function,
	const struct code *code, size_t call, struct runtime_file *file)
{
	struct runtime_probe row = {.family = FAMILY_ARRAY, .symbol = REALLOC};
	x86_reg size, old = home_of(code, X86_REG_RDI, call), holder;
	x86_reg asked = home_of(code, X86_REG_RSI, call);
	enum c_probe probe;
	size_t at;
	int err = 0;

	if (!does_the_work(code, call, &probe, &size))
		return 0;
	if (old == X86_REG_INVALID || asked == X86_REG_INVALID ||
		place_behind(code, call, &at, &holder))
		return -ENOENT;
	row.attachment = (struct mt_attachment){
		.kind = MT_GROW,
		.val = {in(asked), in(old), in(size)},
		.floor = C_FLOOR_BYTES,
	};
	if (probe == C_PROBE_RESULT) {
		row.probe = C_PROBE_SIZE;
		row.attachment.val[2] = in(X86_REG_RDX);
		err = native_probe_add_at(elf, function, code, call, &row, file);
		row.attachment.val[2] = (struct mt_source){0};
	}
	row.probe = probe;
	row.attachment.addr = in(holder);
	row.attachment.flags = MT_ATTACH_STACK;
	return err ? err : native_probe_add_at(elf, function, code, at, &row, file);
}

/* All three, or none: counts that leave something out would be no counts. */
static void add_probes(
	struct elf_file *elf, const struct native_function *function, struct runtime_file *file)
{
	size_t heap = 0, mapped = 0;
	struct code code;
	int err = native_code_open(elf, function, MAX_INSNS, &code);

	if (!err) {
		for (size_t i = 0; i < code.count && !err; i++)
			err = add_call(elf, function, &code, i, file);
		code_close(&code);
	}
	for (uint32_t i = 0; i < file->probe_count; i++) {
		mapped += file->probes[i].probe == C_PROBE_MAPPED;
		heap += file->probes[i].probe == C_PROBE_HEAP ||
			file->probes[i].probe == C_PROBE_RESULT;
	}
	if (!err && heap == 2 && mapped == 1) {
		native_add_skip(file, "arrays that grow by realloc",
			"below %u KiB, and where malloc is not glibc's, they are not seen",
			C_FLOOR_BYTES >> 10);
		return;
	}
	file->probe_count = 0;
	native_add_skip(file, "arrays that grow by realloc",
		"the code of this glibc's " REALLOC " is not what is known of it");
}

bool c_wants(const char *file_name)
{
	return !strncmp(file_name, "libc.so.6", 9) || !strncmp(file_name, "libc-2.", 7);
}

int c_identify(struct elf_file *elf, struct runtime_file *ret)
{
	struct runtime_file found = {.runtime = "c"};
	struct runtime_allocator allocator;
	struct native_function function;

	if (native_function_find(elf, REALLOC, &function))
		return 0;
	allocator_identify(elf, &allocator);
	if (strcmp(allocator.name, "glibc"))
		return 0;
	native_describe(elf, &found);
	snprintf(found.version, sizeof(found.version), "C (glibc %s)", allocator.version);
	found.reading = true;
	add_probes(elf, &function, &found);
	*ret = found;
	return 1;
}
