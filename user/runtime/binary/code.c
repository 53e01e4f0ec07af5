/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/binary/code.h"

#include <errno.h>

#include "base/mem.h"

static const struct {
	x86_reg full;
	x86_reg parts[4];
	enum mt_reg wire;
} registers[] = {
	{X86_REG_RAX, {X86_REG_EAX, X86_REG_AX, X86_REG_AL, X86_REG_AH}, MT_REG_AX},
	{X86_REG_RBX, {X86_REG_EBX, X86_REG_BX, X86_REG_BL, X86_REG_BH}, MT_REG_BX},
	{X86_REG_RCX, {X86_REG_ECX, X86_REG_CX, X86_REG_CL, X86_REG_CH}, MT_REG_CX},
	{X86_REG_RDX, {X86_REG_EDX, X86_REG_DX, X86_REG_DL, X86_REG_DH}, MT_REG_DX},
	{X86_REG_RSI, {X86_REG_ESI, X86_REG_SI, X86_REG_SIL}, MT_REG_SI},
	{X86_REG_RDI, {X86_REG_EDI, X86_REG_DI, X86_REG_DIL}, MT_REG_DI},
	{X86_REG_R8, {X86_REG_R8D, X86_REG_R8W, X86_REG_R8B}, MT_REG_R8},
	{X86_REG_R9, {X86_REG_R9D, X86_REG_R9W, X86_REG_R9B}, MT_REG_R9},
	{X86_REG_R10, {X86_REG_R10D, X86_REG_R10W, X86_REG_R10B}, MT_REG_R10},
	{X86_REG_R11, {X86_REG_R11D, X86_REG_R11W, X86_REG_R11B}, MT_REG_R11},
	{X86_REG_R12, {X86_REG_R12D, X86_REG_R12W, X86_REG_R12B}, MT_REG_R12},
	{X86_REG_R13, {X86_REG_R13D, X86_REG_R13W, X86_REG_R13B}, MT_REG_R13},
	{X86_REG_R14, {X86_REG_R14D, X86_REG_R14W, X86_REG_R14B}, MT_REG_R14},
	{X86_REG_R15, {X86_REG_R15D, X86_REG_R15W, X86_REG_R15B}, MT_REG_R15},
	{X86_REG_RSP, {X86_REG_ESP, X86_REG_SP, X86_REG_SPL}, MT_REG_SP},
	{X86_REG_RBP, {X86_REG_EBP, X86_REG_BP, X86_REG_BPL}, MT_REG_BP},
};

static int find_register(x86_reg reg)
{
	size_t i, j;

	if (reg == X86_REG_INVALID)
		return -1;
	for (i = 0; i < ARRAY_SIZE(registers); i++) {
		if (registers[i].full == reg)
			return (int)i;
		for (j = 0; j < ARRAY_SIZE(registers[i].parts); j++)
			if (registers[i].parts[j] == reg)
				return (int)i;
	}
	return -1;
}

x86_reg code_full_register(x86_reg reg)
{
	int i = find_register(reg);

	return i < 0 ? X86_REG_INVALID : registers[i].full;
}

int code_wire_register(x86_reg reg)
{
	int i = find_register(reg);

	return i < 0 ? -1 : (int)registers[i].wire;
}

/* ---- open ---- */

int code_decode(
	const uint8_t *bytes, size_t byte_count, uint64_t addr, size_t max, struct code *ret)
{
	struct code code = {.bytes = bytes};

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &code.handle) != CS_ERR_OK)
		return -ENOMEM;
	cs_option(code.handle, CS_OPT_DETAIL, CS_OPT_ON);
	code.count = cs_disasm(code.handle, bytes, byte_count, addr, max, &code.insns);
	if (!code.count) {
		code_close(&code);
		return -EBADMSG;
	}
	*ret = code;
	return 0;
}

void code_close(struct code *code)
{
	if (code->insns)
		cs_free(code->insns, code->count);
	if (code->handle)
		cs_close(&code->handle);
	*code = (struct code){0};
}

uint64_t code_end(const struct code *code)
{
	const cs_insn *last = &code->insns[code->count - 1];

	return last->address + last->size;
}

/* ---- instructions ---- */

static bool is_plain_memory(const cs_x86_op *op)
{
	return op->type == X86_OP_MEM && op->mem.index == X86_REG_INVALID &&
	       op->mem.segment == X86_REG_INVALID && op->mem.base != X86_REG_INVALID;
}

bool code_is_load(const cs_insn *insn, struct code_memory *ret)
{
	const cs_x86 *x86 = &insn->detail->x86;

	if (insn->id != X86_INS_MOV || x86->op_count != 2 || x86->operands[0].type != X86_OP_REG ||
		!is_plain_memory(&x86->operands[1]))
		return false;
	*ret = (struct code_memory){
		x86->operands[0].reg, x86->operands[1].mem.base, x86->operands[1].mem.disp};
	return true;
}

bool code_is_store(const cs_insn *insn, struct code_memory *ret)
{
	const cs_x86 *x86 = &insn->detail->x86;

	if (insn->id != X86_INS_MOV || x86->op_count != 2 || x86->operands[1].type != X86_OP_REG ||
		!is_plain_memory(&x86->operands[0]))
		return false;
	*ret = (struct code_memory){
		x86->operands[1].reg, x86->operands[0].mem.base, x86->operands[0].mem.disp};
	return true;
}

bool code_is_lea_address(const cs_insn *insn, x86_reg *ret_reg, uint64_t *ret_addr)
{
	const cs_x86 *x86 = &insn->detail->x86;

	if (insn->id != X86_INS_LEA || x86->op_count != 2 || !is_plain_memory(&x86->operands[1]) ||
		x86->operands[1].mem.base != X86_REG_RIP)
		return false;
	*ret_reg = x86->operands[0].reg;
	*ret_addr = insn->address + insn->size + x86->operands[1].mem.disp;
	return true;
}

static bool direct_target(const cs_insn *insn, uint64_t *ret)
{
	const cs_x86 *x86 = &insn->detail->x86;

	if (x86->op_count != 1 || x86->operands[0].type != X86_OP_IMM)
		return false;
	*ret = (uint64_t)x86->operands[0].imm;
	return true;
}

static bool in_group(const cs_insn *insn, uint8_t group)
{
	size_t i;

	for (i = 0; i < insn->detail->groups_count; i++)
		if (insn->detail->groups[i] == group)
			return true;
	return false;
}

bool code_is_call(const cs_insn *insn, uint64_t *ret_target)
{
	return insn->id == X86_INS_CALL && direct_target(insn, ret_target);
}

bool code_is_jump(const cs_insn *insn, uint64_t *ret_target)
{
	return in_group(insn, X86_GRP_JUMP) && direct_target(insn, ret_target);
}

bool code_is_conditional_jump(const cs_insn *insn)
{
	return in_group(insn, X86_GRP_JUMP) && insn->id != X86_INS_JMP;
}

bool code_writes(const struct code *code, const cs_insn *insn, x86_reg reg)
{
	cs_regs reads, writes;
	uint8_t read_count, write_count, i;

	if (insn->id == X86_INS_CALL)
		return true;
	if (cs_regs_access(code->handle, insn, reads, &read_count, writes, &write_count))
		return true;
	for (i = 0; i < write_count; i++)
		if (code_full_register(writes[i]) == reg)
			return true;
	return false;
}

/* arch/x86/kernel/uprobes.c: branch_setup_ops() and push_setup_ops(). */
bool code_is_emulated(const cs_insn *insn)
{
	const uint8_t *code = insn->bytes;

	if (code[0] == 0x41)
		return (code[1] & 0xf8) == 0x50;
	if (code[0] == 0x0f)
		return (code[1] & 0xf0) == 0x80;
	return (code[0] & 0xf8) == 0x50 || (code[0] & 0xf0) == 0x70 || code[0] == 0xeb ||
	       code[0] == 0xe9 || code[0] == 0xe8 || code[0] == 0x90;
}
