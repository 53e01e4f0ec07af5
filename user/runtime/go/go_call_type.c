/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * At growslice's own probe the element type is in no register any more, but the caller has put it
 * there with "lea type(%rip), %reg" shortly before: RAX in 1.19 (growslice(et, old, cap)), RSI
 * since 1.20 (growslice(oldPtr, newLen, oldCap, num, et)). Believed only where that lea always runs
 * before the call: nothing between them writes the register, nothing jumps in between.
 */
#include <errno.h>
#include <string.h>

#include "runtime/go/go_call_type.h"
#include "runtime/go/go_code.h"
#include "runtime/go/go_file.h"
#include "runtime/go/go_types.h"

/* growslice itself, and growsliceBuf, growsliceNoAlias.. of 1.26, which take the same registers. */
#define GROWSLICE    "runtime.growslice"
#define MAX_DISTANCE 48 /* instructions */

static bool calls_growslice(struct go_file *file, const cs_insn *insn)
{
	struct go_func func;
	uint64_t target;

	return code_is_call(insn, &target) && go_pclntab_find(&file->table, target, &func) &&
	       func.entry == target && !strncmp(func.name, GROWSLICE, sizeof(GROWSLICE) - 1);
}

static const cs_insn *find_call(const struct code *code, uint64_t return_pc, size_t *ret_index)
{
	size_t low = 0, high = code->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (code->insns[mid].address < return_pc)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || code->insns[low - 1].address + code->insns[low - 1].size != return_pc)
		return NULL;
	*ret_index = low - 1;
	return &code->insns[low - 1];
}

static bool is_jumped_into(const struct code *code, uint64_t after, uint64_t last)
{
	uint64_t target;
	size_t i;

	for (i = 0; i < code->count; i++)
		if (code_is_jump(&code->insns[i], &target) && target > after && target <= last)
			return true;
	return false;
}

/* The lea that sets reg for the call at index call. */
static const cs_insn *find_lea(
	const struct code *code, size_t call, x86_reg reg, uint64_t *ret_addr)
{
	size_t i;

	for (i = call; i-- > 0 && call - i <= MAX_DISTANCE;) {
		const cs_insn *insn = &code->insns[i];
		x86_reg written;

		if (code_is_lea_address(insn, &written, ret_addr) && written == reg)
			return insn;
		if (insn->id == X86_INS_JMP || insn->id == X86_INS_RET ||
			code_writes(code, insn, reg))
			return NULL;
	}
	return NULL;
}

int go_call_type_find(struct go_file *file, uint64_t return_pc, struct go_type *ret)
{
	x86_reg reg = file->facts.minor <= 19 ? X86_REG_RAX : X86_REG_RSI;
	const cs_insn *call, *lea = NULL;
	struct code code;
	struct go_func func;
	uint64_t type = 0;
	size_t index;

	if (!file->has_module || !go_pclntab_find(&file->table, return_pc - 1, &func) ||
		go_code_open_func(file, &func, &code))
		return -ENOENT;
	call = find_call(&code, return_pc, &index);
	if (call && calls_growslice(file, call))
		lea = find_lea(&code, index, reg, &type);
	if (lea && is_jumped_into(&code, lea->address, call->address))
		lea = NULL;
	code_close(&code);
	return lea ? go_type_read(file, type, ret) : -ENOENT;
}
