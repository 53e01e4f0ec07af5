/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An allocator, block by block: the only probes of memtrace that sit on what a program does all the time, so
 * only where they were asked for. What is wanted is known at the entry of its functions, the block where
 * they return: every ret is probed that they may get to, also by jumping into another function, instead of the
 * return address, which nobody may touch.
 *
 * Of glibc the functions of C are probed: operator new of libstdc++ calls them. The others bring their own.
 */
#include <capstone/capstone.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/allocator/allocator_identify.h"
#include "runtime/binary/elf_file.h"
#include "runtime/binary/native_calls.h"
#include "runtime/binary/native_code.h"
#include "runtime/binary/code.h"
#include "runtime/runtime.h"

#define MAX_INSNS  8192 /* of one function: calloc() of jemalloc 5.3 has 2,200 */
#define MAX_JUMPED 64   /* functions that may be jumped into, of one file */

#define REG(r) ((struct mt_source){MT_FROM_REG, MT_REG_##r, 0})
#define NONE   ((struct mt_source){MT_FROM_NOTHING, 0, 0})

/* Where a function's arguments say what memtrace.h calls addr and val[] of MT_BLOCK_ASKED. */
struct giver {
	const char *name;
	struct mt_source old, bytes, count, slot;
};

static const struct giver givers[] = {
	{"malloc", NONE, REG(DI), NONE, NONE},
	{"calloc", NONE, REG(SI), REG(DI), NONE},
	{"realloc", REG(DI), REG(SI), NONE, NONE},
	{"memalign", NONE, REG(SI), NONE, NONE},
	{"aligned_alloc", NONE, REG(SI), NONE, NONE},
	{"posix_memalign", NONE, REG(DX), NONE, REG(DI)},
	{"valloc", NONE, REG(DI), NONE, NONE},
	{"pvalloc", NONE, REG(DI), NONE, NONE},
};

/* Of those that are not glibc: jemalloc's own, and C++'s (Itanium ABI, 5.1.5; with nothrow, with alignment). */
static const struct giver more_givers[] = {
	{"reallocarray", REG(DI), REG(DX), REG(SI), NONE},
	{"mallocx", NONE, REG(DI), NONE, NONE},
	{"rallocx", REG(DI), REG(SI), NONE, NONE},
	{"_Znwm", NONE, REG(DI), NONE, NONE},
	{"_Znam", NONE, REG(DI), NONE, NONE},
	{"_ZnwmRKSt9nothrow_t", NONE, REG(DI), NONE, NONE},
	{"_ZnamRKSt9nothrow_t", NONE, REG(DI), NONE, NONE},
	{"_ZnwmSt11align_val_t", NONE, REG(DI), NONE, NONE},
	{"_ZnamSt11align_val_t", NONE, REG(DI), NONE, NONE},
	{"_ZnwmSt11align_val_tRKSt9nothrow_t", NONE, REG(DI), NONE, NONE},
	{"_ZnamSt11align_val_tRKSt9nothrow_t", NONE, REG(DI), NONE, NONE},
};

static const char *const takers[] = {"free", "cfree"};

static const char *const more_takers[] = {"dallocx", "sdallocx", "free_sized", "free_aligned_sized",
	"_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm", "_ZdlPvRKSt9nothrow_t", "_ZdaPvRKSt9nothrow_t",
	"_ZdlPvSt11align_val_t", "_ZdaPvSt11align_val_t", "_ZdlPvmSt11align_val_t",
	"_ZdaPvmSt11align_val_t", "_ZdlPvSt11align_val_tRKSt9nothrow_t",
	"_ZdaPvSt11align_val_tRKSt9nothrow_t"};

#define FUNCTIONS_MAX                                                                              \
	(ARRAY_SIZE(givers) + ARRAY_SIZE(more_givers) + ARRAY_SIZE(takers) +                       \
		ARRAY_SIZE(more_takers))

struct found_function {
	const struct giver *giver; /* NULL = it takes */
	const char *name;
	struct native_function at; /* start 0 = not there */
};

struct search {
	struct elf_file *elf;
	struct runtime_allocator allocator;
	struct found_function functions[FUNCTIONS_MAX];
	size_t count;
	struct native_function jumped[MAX_JUMPED]; /* whose returns are probed */
	size_t jumped_count;
	const char *failed; /* the function that cannot be probed */
	struct runtime_file *file;
};

/* ---- functions ---- */

static void want(struct search *search, const struct giver *giver, const char *name)
{
	search->functions[search->count++] = (struct found_function){.giver = giver, .name = name};
}

static void want_all(struct search *search)
{
	for (size_t i = 0; i < ARRAY_SIZE(givers); i++)
		want(search, &givers[i], givers[i].name);
	for (size_t i = 0; i < ARRAY_SIZE(takers); i++)
		want(search, NULL, takers[i]);
	if (!search->allocator.name[0] || !strcmp(search->allocator.name, "glibc"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(more_givers); i++)
		want(search, &more_givers[i], more_givers[i].name);
	for (size_t i = 0; i < ARRAY_SIZE(more_takers); i++)
		want(search, NULL, more_takers[i]);
}

/* C++'s names have no prefix. */
static bool match_function(const char *name, uint64_t addr, uint64_t bytes, void *arg)
{
	struct search *search = arg;
	size_t length = strlen(search->allocator.prefix);

	if (!bytes)
		return false;
	if (strncmp(name, "_Z", 2) && !strncmp(name, search->allocator.prefix, length))
		name += length;
	for (size_t i = 0; i < search->count; i++)
		if (!strcmp(name, search->functions[i].name))
			search->functions[i].at = (struct native_function){addr, addr + bytes};
	return false;
}

static bool has(const struct search *search, const char *name)
{
	for (size_t i = 0; i < search->count; i++)
		if (!strcmp(search->functions[i].name, name))
			return search->functions[i].at.start;
	return false;
}

/* ---- places ---- */

static bool is_probed(const struct runtime_file *file, uint64_t vaddr)
{
	for (size_t i = 0; i < file->probe_count; i++)
		if (file->probes[i].vaddr == vaddr)
			return true;
	return false;
}

static struct runtime_probe probe_row(const char *name, uint8_t kind)
{
	struct runtime_probe row = {.family = FAMILY_ALLOCATION, .attachment = {.kind = kind}};

	text_copy(row.symbol, sizeof(row.symbol), name);
	return row;
}

/* Two names of one function are one. */
static int add_entry(struct search *search, const struct found_function *function)
{
	const struct giver *giver = function->giver;
	struct runtime_probe row =
		probe_row(function->name, giver ? MT_BLOCK_ASKED : MT_BLOCK_FREED);
	struct runtime_file *file = search->file;
	int r;

	row.attachment.addr = giver ? giver->old : REG(DI);
	if (giver) {
		row.attachment.val[0] = giver->bytes;
		row.attachment.val[1] = giver->count;
		row.attachment.val[2] = giver->slot;
	}
	r = native_probe_add(search->elf, &function->at, &row, file);
	if (!r && file->probe_count > 1) {
		uint64_t vaddr = file->probes[file->probe_count - 1].vaddr;

		file->probe_count--;
		file->probe_count += !is_probed(file, vaddr);
	}
	return r;
}

static int add_return(struct search *search, const struct native_function *function,
	const struct code *code, size_t i, const char *name, const struct mt_source *block)
{
	struct runtime_probe row = probe_row(name, MT_BLOCK);

	if (is_probed(search->file, code->insns[i].address))
		return 0;
	row.attachment.flags = MT_ATTACH_STACK;
	row.attachment.addr = *block;
	return native_probe_add_at(search->elf, function, code, i, &row, search->file);
}

static int add_jumped(struct search *search, uint64_t target)
{
	struct native_function function;

	for (size_t i = 0; i < search->jumped_count; i++)
		if (target >= search->jumped[i].start && target < search->jumped[i].end)
			return 0;
	if (search->jumped_count == MAX_JUMPED)
		return -ENOSPC;
	if (native_function_at(search->elf, target, &function))
		return -EBADMSG;
	search->jumped[search->jumped_count++] = function;
	return 0;
}

/* Where a jump, not a conditional one, goes through a slot of the GOT; 0 = it does not. */
static uint64_t jump_slot(const cs_insn *insn)
{
	const cs_x86_op *operand = &insn->detail->x86.operands[0];

	if (insn->id != X86_INS_JMP || operand->type != X86_OP_MEM ||
		operand->mem.base != X86_REG_RIP || operand->mem.index != X86_REG_INVALID)
		return 0;
	return insn->address + insn->size + (uint64_t)operand->mem.disp;
}

/*
 * How it leaves. calloc() may end in a jump to memset(), whose first argument it returns as well; whoever
 * else jumps into another file returns from where nobody knows.
 */
static int add_end(struct search *search, const struct native_function *function,
	const struct code *code, size_t i, const char *name)
{
	static const struct mt_source returned = REG(AX), first_argument = REG(DI);
	uint64_t slot = jump_slot(&code->insns[i]), target;
	int r = 0;

	if (code->insns[i].id == X86_INS_RET)
		return add_return(search, function, code, i, name, &returned);
	if (slot)
		r = native_slot_target(search->elf, slot, &target);
	else if (!code_is_jump(&code->insns[i], &target) ||
		 (target >= function->start && target < function->end))
		return 0;
	else
		r = native_plt_target(search->elf, target, &target);
	if (!r)
		return add_jumped(search, target);
	return strcmp(name, "calloc")
		       ? -EBADMSG
		       : add_return(search, function, code, i, name, &first_argument);
}

static int add_ends(struct search *search, const struct native_function *function, const char *name)
{
	struct code code;
	const cs_insn *last;
	int r = native_code_open(search->elf, function, MAX_INSNS, &code);

	if (r)
		return r;
	last = &code.insns[code.count - 1];
	if (last->address + last->size < function->end)
		r = -EBADMSG;
	for (size_t i = 0; i < code.count && !r; i++)
		r = add_end(search, function, &code, i, name);
	code_close(&code);
	return r;
}

/* All that it may jump into: the list grows while it is worked off. */
static int add_giver(struct search *search, const struct found_function *function)
{
	size_t next = search->jumped_count;
	int r = add_jumped(search, function->at.start);

	for (; next < search->jumped_count && !r; next++)
		r = add_ends(search, &search->jumped[next], function->name);
	return r ? r : add_entry(search, function);
}

/* All of it or nothing: blocks whose end is not seen would look leaked. */
static int add_all(struct search *search)
{
	int r = 0;

	for (size_t i = 0; i < search->count && !r; i++) {
		const struct found_function *function = &search->functions[i];

		if (!function->at.start)
			continue;
		r = function->giver ? add_giver(search, function) : add_entry(search, function);
		if (r)
			search->failed = function->name;
	}
	return r;
}

static int identify(struct elf_file *elf, struct runtime_file *ret)
{
	struct runtime_file found = {.runtime = "malloc"};
	struct search search = {.elf = elf, .file = &found};

	allocator_identify(elf, &search.allocator);
	want_all(&search);
	elf_file_each_function(elf, match_function, &search);
	if (!search.allocator.name[0] && (!has(&search, "malloc") || !has(&search, "free")))
		return 0;
	native_describe(elf, &found);
	text_copy(found.version, sizeof(found.version), search.allocator.name);
	if (!has(&search, "malloc") || !has(&search, "free")) {
		native_add_skip(&found, "sampling of malloc",
			"%s is in this file, but not the names of its functions",
			search.allocator.name);
	} else if (add_all(&search)) {
		found.probe_count = 0;
		native_add_skip(&found, "sampling of malloc",
			"%s: %s cannot be probed at all its ends", search.allocator.name,
			search.failed);
	}
	*ret = found;
	return 1;
}

static bool wants(const char *file_name)
{
	static const char *const names[] = {
		"libc.so.", "libc-2.", "libjemalloc", "libtcmalloc", "libmimalloc"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strncmp(file_name, names[i], strlen(names[i])))
			return true;
	return false;
}

const struct runtime runtime_malloc = {
	.name = "malloc",
	.optional = true,
	.wants = wants,
	.identify = identify,
};
