/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In assembly, because a compiler is free to choose first instructions and to drop frames.
 */
#include "trace/own_code.h"

#include <errno.h>

#include <unistd.h>

#include "target/process.h"

__asm__(".pushsection .text\n"
	".globl own_code_push\n"
	".type own_code_push, @function\n"
	"own_code_push:\n"
	"	push %rbp\n"
	"	mov %rsp, %rbp\n"
	"	pop %rbp\n"
	"	ret\n"
	".size own_code_push, . - own_code_push\n"
	".globl own_code_mov\n"
	".type own_code_mov, @function\n"
	"own_code_mov:\n"
	"	mov %rsp, %rax\n"
	"	ret\n"
	".size own_code_mov, . - own_code_mov\n"
	/* rdi function, rsi times, rdx depth; keeps the stack 16-aligned at each call. */
	".globl own_code_call\n"
	".type own_code_call, @function\n"
	"own_code_call:\n"
	"	push %rbp\n"
	"	mov %rsp, %rbp\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	test %rdx, %rdx\n"
	"	jz 1f\n"
	"	dec %rdx\n"
	"	call own_code_call\n"
	"	jmp 3f\n"
	"1:	mov %rdi, %rbx\n"
	"	mov %rsi, %r12\n"
	"2:	test %r12, %r12\n"
	"	jz 3f\n"
	"	call *%rbx\n"
	"	dec %r12\n"
	"	jmp 2b\n"
	"3:	pop %r12\n"
	"	pop %rbx\n"
	"	pop %rbp\n"
	"	ret\n"
	".size own_code_call, . - own_code_call\n"
	".popsection\n");

struct search {
	uint64_t addr, offset;
};

static int find_map(const struct process_map *map, void *arg)
{
	struct search *search = arg;

	if (search->addr < map->start || search->addr >= map->end)
		return 0;
	search->offset = search->addr - map->start + map->offset;
	return 1;
}

int own_code_offset(void (*function)(void), uint64_t *ret)
{
	struct search search = {.addr = (uintptr_t)function};
	int found = process_for_each_map(getpid(), find_map, &search);

	if (found != 1)
		return found < 0 ? found : -ENOENT;
	*ret = search.offset;
	return 0;
}
