/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions of a Go executable as instructions, by libcapstone. Parser child only. */
#ifndef MEMTRACE_RUNTIME_GO_CODE_H
#define MEMTRACE_RUNTIME_GO_CODE_H

#include <capstone/capstone.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memtrace.h"
#include "runtime/go/go_pclntab.h"

struct go_file;

/* All instructions of one function, with operands; addresses as linked. */
struct go_code {
	struct go_func func;
	const uint8_t *bytes;
	csh handle;
	cs_insn *insns;
	size_t count;
};

/* -ENOENT: no such function. -EBADMSG: it cannot be decoded from start to end. */
int go_code_open(struct go_file *file, const char *name, struct go_code *ret);
int go_code_open_func(struct go_file *file, const struct go_func *func, struct go_code *ret);
void go_code_close(struct go_code *code);

/* True for "mnemonic dst, [base + disp]" without index; ret gets its registers and displacement. */
struct go_code_memory {
	x86_reg reg, base;
	int64_t disp;
};

bool go_code_is_load(const cs_insn *insn, struct go_code_memory *ret);
bool go_code_is_store(const cs_insn *insn, struct go_code_memory *ret);

/* True for "lea dst, [rip + x]"; ret_addr = what it points to. */
bool go_code_is_lea_address(const cs_insn *insn, x86_reg *ret_reg, uint64_t *ret_addr);

/* True for a direct call. */
bool go_code_is_call(const cs_insn *insn, uint64_t *ret_target);

/* True for a direct jump, conditional or not. */
bool go_code_is_jump(const cs_insn *insn, uint64_t *ret_target);

bool go_code_is_conditional_jump(const cs_insn *insn);

/* True where the instruction may change the 64-bit register reg or a part of it. */
bool go_code_writes(const struct go_code *code, const cs_insn *insn, x86_reg reg);

/* True where the kernel emulates the instruction under a uprobe instead of single-stepping it. */
bool go_code_is_emulated(const cs_insn *insn);

/* The 64-bit register that contains reg; X86_REG_INVALID where it is no general one. */
x86_reg go_code_full_register(x86_reg reg);

/* As the wire numbers it; -1 where it is no general register. */
int go_code_wire_register(x86_reg reg);

#endif
