/* SPDX-License-Identifier: BSD-2-Clause */
/* Machine code (x86_64) as instructions, by libcapstone. Parser child only. */
#ifndef MEMTRACE_RUNTIME_BINARY_CODE_H
#define MEMTRACE_RUNTIME_BINARY_CODE_H

#include <capstone/capstone.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memtrace.h"

/* Instructions in a row, with operands; addresses as linked. */
struct code {
	const uint8_t *bytes; /* lent: they must outlive it */
	csh handle;
	cs_insn *insns;
	size_t count;
};

/*
 * Decodes what stands at addr: all of it, or the first max instructions (0 = all). It may end early, where
 * something cannot be decoded. 0, -ENOMEM, -EBADMSG (not even the first).
 */
int code_decode(
	const uint8_t *bytes, size_t byte_count, uint64_t addr, size_t max, struct code *ret);
void code_close(struct code *code);

/* Behind its last instruction. */
uint64_t code_end(const struct code *code);

/* True for "mnemonic dst, [base + disp]" without index; ret gets its registers and displacement. */
struct code_memory {
	x86_reg reg, base;
	int64_t disp;
};

bool code_is_load(const cs_insn *insn, struct code_memory *ret);
bool code_is_store(const cs_insn *insn, struct code_memory *ret);

/* True for "lea dst, [rip + x]"; ret_addr = what it points to. */
bool code_is_lea_address(const cs_insn *insn, x86_reg *ret_reg, uint64_t *ret_addr);

/* True for a direct call. */
bool code_is_call(const cs_insn *insn, uint64_t *ret_target);

/* True for a direct jump, conditional or not. */
bool code_is_jump(const cs_insn *insn, uint64_t *ret_target);

bool code_is_conditional_jump(const cs_insn *insn);

/* True where the instruction may change the 64-bit register reg or a part of it. */
bool code_writes(const struct code *code, const cs_insn *insn, x86_reg reg);

/* True where the kernel emulates the instruction under a uprobe instead of single-stepping it. */
bool code_is_emulated(const cs_insn *insn);

/* The 64-bit register that contains reg; X86_REG_INVALID where it is no general one. */
x86_reg code_full_register(x86_reg reg);

/* As the wire numbers it; -1 where it is no general register. */
int code_wire_register(x86_reg reg);

#endif
