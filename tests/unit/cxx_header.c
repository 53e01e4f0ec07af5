/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a vector's header is told to be, in code as compilers write it. */
#include "runtime/cxx/cxx_search.h"

#include <capstone/capstone.h>
#include <criterion/criterion.h>
#include <string.h>

#include "memtrace.h"
#include "runtime/binary/code.h"

/* Instructions of x86_64 */
#define PUSH_RBX           0x53
#define POP_RBX            0x5b
#define RET                0xc3
#define MOV_RDI_RBX        0x48, 0x89, 0xfb
#define MOV_RAX_RBX        0x48, 0x89, 0xc3
#define LOAD_RDI_R12(off)  0x4c, 0x8b, 0x67, off /* mov off(%rdi), %r12 */
#define LOAD_RBX_R12(off)  0x4c, 0x8b, 0x63, off
#define LOAD_RSP_R12(off)  0x4c, 0x8b, 0x64, 0x24, off
#define LOAD_RSP_RBX(off)  0x48, 0x8b, 0x5c, 0x24, off
#define CALL               0xe8, 0, 0, 0, 0
#define STORE_RBX(off)     0x48, 0x89, 0x43, off /* mov %rax, off(%rbx) */
#define STORE_RAX(off)     0x48, 0x89, 0x40, off /* mov %rax, off(%rax) */
#define STORE_RSP(off)     0x48, 0x89, 0x44, 0x24, off
#define STORE_RBX_TWO(off) 0x0f, 0x11, 0x43, off /* movups %xmm0, off(%rbx) */
#define CLEAR_RSP_TWO(off) 0x0f, 0x11, 0x44, 0x24, off
#define CLEAR_RSP(off)     0x48, 0xc7, 0x44, 0x24, off, 0, 0, 0, 0
#define JMP(bytes)         0xeb, (uint8_t)(bytes)

static struct cxx_search search;

/* Looks from the first call; -1 = nothing is told, else 1000 x register + offset. */
static int find(const uint8_t *bytes, size_t count)
{
	struct code code = {.bytes = bytes};
	struct cxx_header header;
	size_t call = 0;
	int found = -1;

	cr_assert_eq(cs_open(CS_ARCH_X86, CS_MODE_64, &code.handle), 0);
	cs_option(code.handle, CS_OPT_DETAIL, CS_OPT_ON);
	code.count = cs_disasm(code.handle, bytes, count, 0x1000, 0, &code.insns);
	cr_assert_gt(code.count, 0);
	while (code.insns[call].id != X86_INS_CALL)
		call++;
	if (cxx_search_header(&search, &code, call, &header))
		found = header.reg * 1000 + header.offset;
	cs_free(code.insns, code.count);
	cs_close(&code.handle);
	return found;
}

#define FIND(...)       find((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define AT(reg, offset) (MT_REG_##reg * 1000 + (offset))

Test(cxx_header, member_of_an_object)
{
	cr_expect_eq(FIND(PUSH_RBX, MOV_RDI_RBX, LOAD_RDI_R12(24), CALL, STORE_RBX(24),
			     STORE_RBX(32), STORE_RBX(40), POP_RBX, RET),
		AT(BX, 24));
	cr_expect_eq(FIND(PUSH_RBX, MOV_RDI_RBX, LOAD_RBX_R12(24), CALL, STORE_RBX_TWO(24),
			     STORE_RBX(40), POP_RBX, RET),
		AT(BX, 24));
	cr_expect_eq(FIND(PUSH_RBX, MOV_RDI_RBX, LOAD_RBX_R12(0), CALL, STORE_RBX(0),
			     STORE_RBX_TWO(8), POP_RBX, RET),
		AT(BX, 0));
}

Test(cxx_header, what_was_not_read_is_made)
{
	cr_expect_eq(FIND(PUSH_RBX, MOV_RDI_RBX, CALL, STORE_RBX(24), STORE_RBX(32), STORE_RBX(40),
			     POP_RBX, RET),
		-1);
	/* Read afterwards only */
	cr_expect_eq(FIND(PUSH_RBX, MOV_RDI_RBX, CALL, STORE_RBX(24), STORE_RBX(40),
			     LOAD_RBX_R12(24), POP_RBX, RET),
		-1);
}

Test(cxx_header, all_of_it_is_written)
{
	/* Only one word: nobody knows which of a vector it would be. */
	cr_expect_eq(
		FIND(PUSH_RBX, MOV_RDI_RBX, LOAD_RBX_R12(24), CALL, STORE_RBX(40), POP_RBX, RET),
		-1);
}

Test(cxx_header, register_is_another_afterwards)
{
	cr_expect_eq(FIND(PUSH_RBX, MOV_RDI_RBX, LOAD_RBX_R12(24), CALL, MOV_RAX_RBX, STORE_RBX(24),
			     STORE_RBX(40), POP_RBX, RET),
		-1);
	cr_expect_eq(FIND(PUSH_RBX, MOV_RDI_RBX, LOAD_RBX_R12(24), CALL, LOAD_RSP_RBX(8),
			     STORE_RBX(24), STORE_RBX(40), POP_RBX, RET),
		-1);
	/* One that calls do not keep */
	cr_expect_eq(FIND(LOAD_RDI_R12(24), CALL, STORE_RAX(24), STORE_RAX(40), RET), -1);
}

/* The code that writes it may lie before the call. */
Test(cxx_header, goes_the_way_of_the_code)
{
	cr_expect_eq(FIND(PUSH_RBX, MOV_RDI_RBX, LOAD_RBX_R12(24), JMP(12), STORE_RBX(24),
			     STORE_RBX(40), POP_RBX, RET, RET, RET, CALL, JMP(-19)),
		AT(BX, 24));
	/* Behind the end of the function comes what is not reached. */
	cr_expect_eq(FIND(PUSH_RBX, MOV_RDI_RBX, LOAD_RBX_R12(24), CALL, POP_RBX, RET,
			     STORE_RBX(24), STORE_RBX(40)),
		-1);
	/* Out of the function, and round in a circle */
	cr_expect_eq(FIND(PUSH_RBX, MOV_RDI_RBX, LOAD_RBX_R12(24), CALL, JMP(100)), -1);
	cr_expect_eq(FIND(PUSH_RBX, MOV_RDI_RBX, LOAD_RBX_R12(24), CALL, JMP(-2)), -1);
}

Test(cxx_header, on_the_stack)
{
	cr_expect_eq(FIND(CLEAR_RSP_TWO(16), CLEAR_RSP(32), LOAD_RSP_R12(16), CALL, STORE_RSP(16),
			     STORE_RSP(24), STORE_RSP(32), RET),
		AT(SP, 16));
	/* Registers that are saved there look like it. */
	cr_expect_eq(FIND(STORE_RSP(16), CLEAR_RSP(24), STORE_RSP(32), LOAD_RSP_R12(16), CALL,
			     STORE_RSP(16), STORE_RSP(24), STORE_RSP(32), RET),
		-1);
}
