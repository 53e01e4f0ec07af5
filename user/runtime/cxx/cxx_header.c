/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Growth of a vector that was compiled into its caller:
 *
 *	mov 24(%rbx), %r12	begin
 *	...			how many, how many more, are they too many
 *	call operator new
 *	...			elements are moved
 *	mov %rax, 24(%rbx)	begin
 *	mov %r13, 40(%rbx)	end of capacity
 *
 * The end of the capacity is written by nothing but growth, and the call leads there: so the header is at 24(%rbx),
 * where the register is not written on the way. A constructor has not read the begin before. The addresses of global
 * variables are in no register.
 */
#include <capstone/capstone.h>
#include <stdlib.h>

#include "base/mem.h"
#include "runtime/cxx/cxx_search.h"
#include "runtime/binary/code.h"

#define LIMIT_OFFSET 16   /* of the end of the capacity in the header */
#define MAX_STEPS    1024 /* instructions from the call to where it is written */

struct access {
	x86_reg base;
	int64_t offset;
	uint8_t bytes;
	bool write;
};

/* Its one operand in memory, which has no index. */
static bool access_of(const cs_insn *insn, struct access *ret)
{
	const cs_x86 *x86 = &insn->detail->x86;

	if (insn->id == X86_INS_LEA || insn->id == X86_INS_NOP)
		return false;
	for (int i = 0; i < x86->op_count; i++) {
		const cs_x86_op *operand = &x86->operands[i];

		if (operand->type != X86_OP_MEM || operand->mem.index != X86_REG_INVALID ||
			operand->mem.segment != X86_REG_INVALID ||
			code_wire_register(operand->mem.base) < 0)
			continue;
		/* capstone 4 does not say it of vector registers. */
		*ret = (struct access){operand->mem.base, operand->mem.disp, operand->size,
			i == 0 && x86->op_count == 2 && insn->id != X86_INS_CMP &&
				insn->id != X86_INS_TEST};
		return true;
	}
	return false;
}

/* ---- registers ---- */

static bool calls_keep(x86_reg reg)
{
	return reg == X86_REG_RBX || reg == X86_REG_RBP || reg == X86_REG_R12 ||
	       reg == X86_REG_R13 || reg == X86_REG_R14 || reg == X86_REG_R15 || reg == X86_REG_RSP;
}

/* The register that it has got its value from, once before the call; X86_REG_INVALID = none. */
static x86_reg copied_from(const struct code *code, size_t call, x86_reg reg)
{
	x86_reg from = X86_REG_INVALID;

	for (size_t i = 0; i < call; i++) {
		const cs_insn *insn = &code->insns[i];
		const cs_x86_op *operands = insn->detail->x86.operands;

		if (insn->id == X86_INS_MOV && operands[0].type == X86_OP_REG &&
			operands[0].reg == reg && operands[1].type == X86_OP_REG)
			from = operands[1].reg;
	}
	return from;
}

/* ---- words ---- */

static bool covers(const struct access *access, x86_reg base, int64_t offset)
{
	return access->base == base && access->offset <= offset &&
	       access->offset + access->bytes >= offset + 8;
}

static bool is_written(const struct code *code, x86_reg base, int64_t offset)
{
	struct access access;

	for (size_t i = 0; i < code->count; i++)
		if (access_of(&code->insns[i], &access) && access.write &&
			covers(&access, base, offset))
			return true;
	return false;
}

/* Whether all its words are made 0 somewhere, one by one or several at once. */
static bool is_made_empty(const struct code *code, x86_reg base, int64_t offset)
{
	bool empty[3] = {false};

	for (size_t i = 0; i < code->count; i++) {
		const cs_x86_op *operands = code->insns[i].detail->x86.operands;
		struct access access;

		if (!access_of(&code->insns[i], &access) || !access.write ||
			(access.bytes == 8 &&
				(operands[1].type != X86_OP_IMM || operands[1].imm != 0)))
			continue;
		for (int64_t word = 0; word < 3; word++)
			empty[word] |= covers(&access, base, offset + 8 * word);
	}
	return empty[0] && empty[1] && empty[2];
}

/* Whether the instruction has the address of the word in a register, to read it from there. */
static bool takes_address(const cs_insn *insn, x86_reg base, int64_t offset)
{
	const cs_x86_op *operands = insn->detail->x86.operands;

	return insn->id == X86_INS_LEA && base != X86_REG_RSP && operands[1].mem.base == base &&
	       operands[1].mem.index == X86_REG_INVALID && operands[1].mem.disp == offset;
}

/* Before the call, by the register or by what it is a copy of. */
static bool is_read_before(const struct code *code, size_t call, x86_reg base, int64_t offset)
{
	x86_reg from = copied_from(code, call, base);
	struct access access;

	for (size_t i = 0; i < call; i++) {
		if (takes_address(&code->insns[i], base, offset))
			return true;
		if (access_of(&code->insns[i], &access) && !access.write &&
			(covers(&access, base, offset) || covers(&access, from, offset)))
			return true;
	}
	return false;
}

/* Whether the end of the capacity of a vector that has grown is written there. */
static bool is_end_of_growth(
	const struct code *code, size_t call, size_t i, struct cxx_header *ret, x86_reg *ret_base)
{
	struct access access;
	int64_t offset;

	if (!access_of(&code->insns[i], &access) || !access.write || access.bytes < 8 ||
		!calls_keep(access.base))
		return false;
	/* The last word: two may be written at once. */
	offset = access.offset + access.bytes - 8 - LIMIT_OFFSET;
	if (offset != (int16_t)offset || !is_written(code, access.base, offset) ||
		!is_read_before(code, call, access.base, offset))
		return false;
	/* On the stack registers are saved, too; a vector begins there as an empty one. */
	if (access.base == X86_REG_RSP && !is_made_empty(code, access.base, offset))
		return false;
	*ret = (struct cxx_header){(uint8_t)code_wire_register(access.base), (int16_t)offset};
	*ret_base = access.base;
	return true;
}

/* ---- the way from the call ---- */

static size_t index_of(const struct code *code, uint64_t addr)
{
	size_t low = 0, high = code->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (code->insns[middle].address < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < code->count && code->insns[low].address == addr ? low : code->count;
}

/* Breadth first: instructions to come, each once. */
struct way {
	size_t list[MAX_STEPS];
	size_t count;
	bool *seen;
};

static void go_to(struct way *way, const struct code *code, size_t i)
{
	if (i >= code->count || way->seen[i] || way->count == MAX_STEPS)
		return;
	way->seen[i] = true;
	way->list[way->count++] = i;
}

/* Whether any instruction up to there writes the register. */
static bool writes(const struct way *way, const struct code *code, size_t count, x86_reg reg)
{
	for (size_t i = 0; i < count; i++) {
		const cs_insn *insn = &code->insns[way->list[i]];

		if (insn->id != X86_INS_CALL && code_writes(code, insn, reg))
			return true;
	}
	return false;
}

static void step(struct way *way, const struct code *code, size_t i)
{
	const cs_insn *insn = &code->insns[i];
	uint64_t target;

	if (code_is_jump(insn, &target))
		go_to(way, code, index_of(code, target));
	if (insn->id != X86_INS_JMP && insn->id != X86_INS_RET && insn->id != X86_INS_UD2)
		go_to(way, code, i + 1);
}

bool cxx_search_header(
	struct cxx_search *search, const struct code *code, size_t call, struct cxx_header *ret)
{
	struct way way = {.seen = xcalloc(code->count, sizeof(bool))};
	struct cxx_header header;
	bool found = false;
	x86_reg base;

	go_to(&way, code, call + 1);
	for (size_t i = 0; i < way.count && !found; i++) {
		/* What comes then belongs to another array. */
		if (cxx_search_makes_array(search, code, way.list[i]))
			continue;
		found = is_end_of_growth(code, call, way.list[i], &header, &base) &&
			!writes(&way, code, i, base);
		if (!found)
			step(&way, code, way.list[i]);
	}
	if (found)
		*ret = header;
	free(way.seen);
	return found;
}
