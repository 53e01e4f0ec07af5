/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One step up a native stack. Where a caller's registers are is said by the call frame information of
 * the code (.eh_frame), which only the parser child reads: it makes a rule of fixed size of it for an
 * address (call_frames.h). Applying rules to registers and a copy of the stack is done here and needs no
 * file: both are hostile, and no rule may read outside the copy.
 *
 * Registers have their DWARF numbers (System V ABI for x86_64, table 3.36).
 */
#ifndef MEMTRACE_RUNTIME_UNWIND_H
#define MEMTRACE_RUNTIME_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNWIND_RBX  3
#define UNWIND_RBP  6
#define UNWIND_RSP  7
#define UNWIND_R12  12
#define UNWIND_RIP  16
#define UNWIND_REGS 17

/* The canonical frame address: the stack pointer of the caller, before it called. */
enum unwind_cfa {
	UNWIND_CFA_REG, /* register + offset */
	UNWIND_CFA_MEM, /* the word at register + offset, + extra: signal frames, realigned stacks */
	UNWIND_CFA_PLT, /* rsp + offset, and 8 more from byte extra of a 16-byte entry on */
};

enum unwind_how {
	UNWIND_SAME,    /* this frame has not touched it */
	UNWIND_UNKNOWN, /* lost; of the return address: there is no caller */
	UNWIND_AT_CFA,  /* saved at CFA + offset */
	UNWIND_IS_CFA,  /* CFA + offset itself */
	UNWIND_AT_REG,  /* saved at register + offset */
};

struct unwind_place {
	uint8_t how; /* enum unwind_how */
	uint8_t reg;
	int16_t offset;
};

/* For all addresses from lo to hi of one file, as linked. Crosses the socket as it is. */
struct unwind_rule {
	uint64_t lo, hi; /* hi = 0: nothing is known there */
	uint8_t cfa;     /* enum unwind_cfa */
	uint8_t cfa_reg;
	bool signal; /* the caller was interrupted: its address is no return address */
	int32_t cfa_offset, cfa_extra;
	struct unwind_place regs[UNWIND_REGS];
};

struct unwind_regs {
	uint64_t value[UNWIND_REGS];
	uint32_t known; /* a bit a register */
};

/* A part of the stack: bytes from addr on. */
struct unwind_stack {
	uint64_t addr;
	const uint8_t *bytes;
	size_t count;
};

/*
 * Replaces the registers by the caller's. 0; -ENOENT: there is no caller, the stack is complete;
 * -ENODATA: what it needs is not in the copy; -EBADMSG: rule and registers lead nowhere.
 */
int unwind_step(
	const struct unwind_rule *rule, const struct unwind_stack *stack, struct unwind_regs *regs);

/* The same for code without a rule that keeps frame pointers. */
int unwind_step_frame_pointer(const struct unwind_stack *stack, struct unwind_regs *regs);

#endif
