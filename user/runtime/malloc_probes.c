/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * glibc's malloc, block by block: the only probes of memtrace that sit on what a program does all the time, so
 * only where they were asked for. A block's address is known where its function returns: each ret is probed
 * instead of the return address, which nobody may touch. free() and realloc() say at their entry what goes.
 *
 * Nothing is decoded here: who pairs blocks with their end needs whole stacks (trace/blocks.h).
 */
#include <capstone/capstone.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/elf_file.h"
#include "runtime/go_code.h"
#include "runtime/native_code.h"
#include "runtime/runtime.h"

#define MAX_INSNS 1024 /* of one function: the longest of glibc 2.31 to 2.41 has 400 */

#define REG(r)      ((struct mt_source){MT_FROM_REG, MT_REG_##r, 0})
#define MEM(r, off) ((struct mt_source){MT_FROM_MEM, MT_REG_##r, off})

/* aligned_alloc() and posix_memalign() are left out: their blocks are few, and nobody misses their end. */
static const char *const givers[] = {"malloc", "calloc", "realloc"};
static const char *const takers[] = {"free", "realloc"};

/* calloc() may end in a jump to memset(), whose first argument it returns as well. */
static bool leaves(const cs_insn *insn, const struct native_function *function)
{
	const cs_x86 *x86 = &insn->detail->x86;

	return insn->id == X86_INS_JMP && x86->operands[0].type == X86_OP_IMM &&
	       ((uint64_t)x86->operands[0].imm < function->start ||
		       (uint64_t)x86->operands[0].imm >= function->end);
}

static int add_ends(struct elf_file *elf, const char *name, struct runtime_file *ret)
{
	struct runtime_probe row = {
		.family = FAMILY_ALLOCATION,
		.attachment = {.kind = MT_BLOCK, .flags = MT_ATTACH_STACK},
	};
	uint32_t before = ret->probe_count;
	struct native_function function;
	struct go_code code;
	int r = native_function_find(elf, name, &function);

	if (!r)
		r = native_code_open(elf, &function, MAX_INSNS, &code);
	if (r)
		return r;
	text_copy(row.symbol, sizeof(row.symbol), name);
	for (size_t i = 0; i < code.count && !r; i++) {
		bool is_return = code.insns[i].id == X86_INS_RET;

		/* The word before a block is its chunk's size. */
		row.attachment.addr = is_return ? REG(AX) : REG(DI);
		row.attachment.val[0] = is_return ? MEM(AX, -8) : MEM(DI, -8);
		if (is_return || (!strcmp(name, "calloc") && leaves(&code.insns[i], &function)))
			r = native_probe_add_at(elf, &function, &code, i, &row, ret);
	}
	native_code_close(&code);
	return r ? r : ret->probe_count > before ? 0 : -ENOENT;
}

static int add_entry(struct elf_file *elf, const char *name, struct runtime_file *ret)
{
	struct runtime_probe row = {
		.family = FAMILY_ALLOCATION,
		.attachment = {.kind = MT_BLOCK_FREED, .addr = REG(DI)},
	};
	struct native_function function;
	int r = native_function_find(elf, name, &function);

	text_copy(row.symbol, sizeof(row.symbol), name);
	return r ? r : native_probe_add(elf, &function, &row, ret);
}

/* All of it or nothing: blocks whose end is not seen would look leaked. */
static int identify(struct elf_file *elf, struct runtime_file *ret)
{
	struct runtime_file found = {.runtime = "malloc", .version = "glibc"};
	struct native_function function;
	struct elf_section section;
	int r = 0;

	/* libc.so.6 alone exports this and has versions of its symbols. */
	if (native_function_find(elf, "gnu_get_libc_version", &function) ||
		!elf_file_section(elf, ".gnu.version_d", &section))
		return 0;
	native_describe(elf, &found);
	for (size_t i = 0; i < ARRAY_SIZE(givers) && !r; i++)
		r = add_ends(elf, givers[i], &found);
	for (size_t i = 0; i < ARRAY_SIZE(takers) && !r; i++)
		r = add_entry(elf, takers[i], &found);
	if (r) {
		found.probe_count = 0;
		native_add_skip(&found, "sampling of malloc", "its functions cannot be probed");
	}
	*ret = found;
	return 1;
}

static bool wants(const char *file_name)
{
	return !strncmp(file_name, "libc.so.", 8) || !strncmp(file_name, "libc-2.", 7);
}

const struct runtime runtime_malloc = {
	.name = "malloc",
	.optional = true,
	.wants = wants,
	.identify = identify,
};
