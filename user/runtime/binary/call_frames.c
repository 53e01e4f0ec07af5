/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libdw interprets the table up to the address; what it gives are DWARF expressions. Nearly all are
 * "CFA + number". The others that compilers and libraries write are known by their shape: a register
 * saved at a distance from another one, a CFA kept in memory (signal frames, functions that realign
 * their stack), and the entries of a PLT.
 */
#include "runtime/binary/call_frames.h"

#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

/* DW_OP_bregN and bregx say the same; number is the offset then. */
static bool is_reg_plus(const Dwarf_Op *op, uint8_t *ret_reg, int64_t *ret_offset)
{
	uint64_t reg;

	if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31) {
		reg = op->atom - DW_OP_breg0;
		*ret_offset = (int64_t)op->number;
	} else if (op->atom == DW_OP_bregx) {
		reg = op->number;
		*ret_offset = (int64_t)op->number2;
	} else {
		return false;
	}
	*ret_reg = (uint8_t)reg;
	return reg < UNWIND_REGS;
}

static bool fits(int64_t offset)
{
	return offset >= INT16_MIN && offset <= INT16_MAX;
}

/* rsp + 8, and 8 more where rip & 15 >= N: the second half of a PLT entry has pushed its number. */
static bool is_plt(const Dwarf_Op *ops, size_t count)
{
	static const uint8_t tail[] = {
		DW_OP_lit15, DW_OP_and, 0, DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus};

	if (count != 2 + ARRAY_SIZE(tail) || ops[0].atom != DW_OP_breg0 + UNWIND_RSP ||
		ops[1].atom != DW_OP_breg0 + UNWIND_RIP)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(tail); i++)
		if (tail[i] && ops[2 + i].atom != tail[i])
			return false;
	return ops[4].atom >= DW_OP_lit0 && ops[4].atom <= DW_OP_lit15;
}

static int read_cfa(Dwarf_Frame *frame, struct unwind_rule *ret)
{
	int64_t offset;
	size_t count;
	Dwarf_Op *ops;

	if (dwarf_frame_cfa(frame, &ops, &count) || !count)
		return -ENOTSUP;
	if (is_plt(ops, count)) {
		ret->cfa = UNWIND_CFA_PLT;
		ret->cfa_reg = UNWIND_RSP;
		ret->cfa_offset = (int32_t)ops[0].number;
		ret->cfa_extra = ops[4].atom - DW_OP_lit0;
		return 0;
	}
	if (!is_reg_plus(&ops[0], &ret->cfa_reg, &offset) || offset < INT32_MIN ||
		offset > INT32_MAX)
		return -ENOTSUP;
	ret->cfa_offset = (int32_t)offset;
	ret->cfa = count == 1 ? UNWIND_CFA_REG : UNWIND_CFA_MEM;
	if (count == 1)
		return 0;
	if (ops[1].atom != DW_OP_deref || count > 3)
		return -ENOTSUP;
	if (count == 3 && ops[2].atom != DW_OP_plus_uconst)
		return -ENOTSUP;
	ret->cfa_extra = count == 3 ? (int32_t)ops[2].number : 0;
	return 0;
}

/* A register's expression starts with the CFA pushed; one that goes on to a register ignores it. */
static struct unwind_place read_place(const Dwarf_Op *ops, size_t count)
{
	struct unwind_place place = {.how = UNWIND_UNKNOWN};
	bool value = count && ops[count - 1].atom == DW_OP_stack_value;
	int64_t offset = 0;

	count -= value;
	if (!count || ops[0].atom != DW_OP_call_frame_cfa)
		return place;
	if (count == 2 && !value && is_reg_plus(&ops[1], &place.reg, &offset) && fits(offset)) {
		place.how = UNWIND_AT_REG;
		place.offset = (int16_t)offset;
		return place;
	}
	if (count == 2 && ops[1].atom == DW_OP_plus_uconst)
		offset = (int64_t)ops[1].number;
	else if (count != 1)
		return place;
	if (!fits(offset))
		return place;
	place.how = value ? UNWIND_IS_CFA : UNWIND_AT_CFA;
	place.offset = (int16_t)offset;
	return place;
}

static void read_regs(Dwarf_Frame *frame, struct unwind_rule *ret)
{
	for (int reg = 0; reg < UNWIND_REGS; reg++) {
		Dwarf_Op room[3], *ops;
		size_t count;

		ret->regs[reg].how = UNWIND_UNKNOWN;
		if (dwarf_frame_register(frame, reg, room, &ops, &count))
			continue;
		if (!count)
			ret->regs[reg].how = ops ? UNWIND_UNKNOWN : UNWIND_SAME;
		else
			ret->regs[reg] = read_place(ops, count);
	}
}

int call_frames_find(Dwarf_CFI *frames, uint64_t addr, struct unwind_rule *ret)
{
	struct unwind_rule rule = {0};
	Dwarf_Frame *frame;
	Dwarf_Addr lo, hi;
	int err;

	if (!frames || dwarf_cfi_addrframe(frames, addr, &frame))
		return -ENOENT;
	err = dwarf_frame_info(frame, &lo, &hi, &rule.signal) == UNWIND_RIP ? 0 : -ENOTSUP;
	rule.lo = lo;
	rule.hi = hi;
	if (!err)
		err = read_cfa(frame, &rule);
	if (!err)
		read_regs(frame, &rule);
	free(frame);
	if (!err)
		*ret = rule;
	return err;
}
