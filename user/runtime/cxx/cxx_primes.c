/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table of libc++ that is to grow asks std::__1::__next_prime(wanted), which is a function of libc++.so, and
 * compares with the buckets that it has:
 *
 *	call __next_prime	mov %rax, ...	mov 8(table), ...	cmp
 *
 * So at the call, in the program's own code, a register that calls keep holds the address of the table. Without
 * names (-static, stripped) the function is the one that refers to libc++'s table of small primes.
 */
#include <capstone/capstone.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/cxx/cxx_search.h"
#include "runtime/binary/elf_file.h"
#include "runtime/binary/code.h"
#include "runtime/runtime.h"

#define NEXT_PRIME "_ZNSt3__112__next_primeEm"

#define COUNT_OFFSET 8  /* of the number of buckets in std::__1::__hash_table */
#define SIZE_OFFSET  24 /* of the number of elements */
#define LOAD_WINDOW  3  /* instructions between the call and the load of the number of buckets */

/* src/hash.cpp */
static const uint32_t small_primes[] = {0, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47};

static bool find_callee(struct elf_file *elf, struct native_callee *ret)
{
	struct native_function function;
	uint64_t addr;

	if (native_callee_find(elf, NEXT_PRIME, ret) == 0)
		return true;
	if (native_find_constant(elf, small_primes, sizeof(small_primes), &addr) ||
		native_find_reference(elf, addr, addr + sizeof(small_primes), &function))
		return false;
	*ret = (struct native_callee){.direct = function.start};
	return true;
}

static bool calls_keep(x86_reg reg)
{
	return reg == X86_REG_RBX || reg == X86_REG_RBP || reg == X86_REG_R12 ||
	       reg == X86_REG_R13 || reg == X86_REG_R14 || reg == X86_REG_R15;
}

/* The register with the table; -1 where the number of buckets is not asked for next. */
static int table_behind(const struct code *code, size_t call)
{
	for (size_t i = call + 1; i < code->count && i <= call + LOAD_WINDOW; i++) {
		struct code_memory memory;

		if (code_is_load(&code->insns[i], &memory) && memory.disp == COUNT_OFFSET &&
			calls_keep(memory.base))
			return code_wire_register(memory.base);
		if (code->insns[i].id != X86_INS_MOV)
			break;
	}
	return -1;
}

struct places {
	struct cxx_search *search;
	size_t count;
};

static bool take_call(uint64_t pc, void *arg)
{
	struct places *places = arg;
	struct cxx_search *search = places->search;
	struct runtime_probe row = {.probe = CXX_PROBE_LIBCXX_PRIME,
		.family = FAMILY_MAP,
		.symbol = "std::__next_prime, call of",
		.type = "std::unordered_map"};
	struct native_function function;
	struct code code;
	size_t call = 0;
	int table;

	if (native_function_at(search->elf, pc, &function) ||
		native_code_open(search->elf, &function, CXX_MAX_INSNS, &code))
		return false;
	while (call < code.count && code.insns[call].address != pc)
		call++;
	table = table_behind(&code, call);
	if (call < code.count && table >= 0) {
		row.attachment = (struct mt_attachment){
			.kind = MT_GROW,
			.flags = MT_ATTACH_STACK,
			.addr = {MT_FROM_REG, (uint8_t)table, 0},
			.val = {{MT_FROM_REG, MT_REG_DI, 0},
				{MT_FROM_MEM, (uint8_t)table, COUNT_OFFSET},
				{MT_FROM_MEM, (uint8_t)table, SIZE_OFFSET}},
		};
		search->dropped += native_probe_add_at(search->elf, &function, &code, call, &row,
					   search->file) != 0;
		places->count++;
	}
	code_close(&code);
	return false;
}

size_t cxx_search_primes(struct cxx_search *search)
{
	struct places places = {.search = search};
	struct native_callee callee;

	if (cxx_search_has(search, CXX_PROBE_LIBCXX_TABLE) || !find_callee(search->elf, &callee))
		return 0;
	native_each_callee_call(search->elf, &callee, take_call, &places);
	return places.count;
}
