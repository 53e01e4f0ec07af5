/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The runtime's code is the symbol table of a stripped binary. A method call on a global is
 * "lea global(%rip), %rax; ...; call method": every such call in the runtime votes, and the votes
 * must be unanimous. The others are read from one instruction each, in a function where they are
 * the first or only variable used in that way. Where .symtab has the variable too, both must agree.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"
#include "runtime/binary/elf_file.h"
#include "runtime/go/go_file.h"
#include "runtime/go/go_globals.h"

/* The lea that sets the receiver is at most this far in front of the call. */
#define RECEIVER_DISTANCE 24
#define MAX_FUNC_BYTES    (1u << 20)

struct vote {
	uint64_t addr;
	unsigned int count;
	bool contradicted;
};

enum voted { VOTED_HEAP, VOTED_PACER, VOTED_STATS, VOTED_MAX };

struct method {
	const char *name;
	enum voted global;
};

/*
 * memstats.heapStats, the receiver of consistentHeapStats, is its first field (runtime/mstats.go)
 */
static const struct method methods[] = {
	{"runtime.(*mheap).init", VOTED_HEAP},
	{"runtime.(*mheap).alloc", VOTED_HEAP},
	{"runtime.(*mheap).allocManual", VOTED_HEAP},
	{"runtime.(*mheap).freeSpan", VOTED_HEAP},
	{"runtime.(*mheap).freeManual", VOTED_HEAP},
	{"runtime.(*gcControllerState).init", VOTED_PACER},
	{"runtime.(*gcControllerState).update", VOTED_PACER},
	{"runtime.(*gcControllerState).startCycle", VOTED_PACER},
	{"runtime.(*gcControllerState).endCycle", VOTED_PACER},
	{"runtime.(*gcControllerState).heapGoalInternal", VOTED_PACER},
	{"runtime.(*consistentHeapStats).acquire", VOTED_STATS},
	{"runtime.(*consistentHeapStats).release", VOTED_STATS},
};

/*
 * One instruction, by its bytes: pattern with wildcards (mask 0), rel32 at rel, instruction end at
 * end (rip-relative operands count from there).
 */
struct pattern {
	const char *functions[2];
	uint8_t bytes[32], mask[32];
	uint8_t count, rel, end;
};

#define ANY4 0, 0, 0, 0
#define YES  0xff

/* gcMarkDone: if !(gcphase == _GCmark ..): cmpl $1, gcphase(%rip) */
static const struct pattern gcphase_pattern = {
	{"runtime.gcMarkDone"}, {0x83, 0x3d, ANY4, 1}, {YES, YES, ANY4, YES}, 7, 2, 7};

/* for mp := mbuckets..: mov mbuckets(%rip), %reg */
static const struct pattern mbuckets_pattern = {
	{"runtime.mProf_FlushLocked", "runtime.mProf_Flush"}, {0x48, 0x8b, 0x05, ANY4},
	{YES, YES, 0xc7, ANY4}, 7, 3, 7};

/* 1.20+, schedinit: if disableMemoryProfiling { MemProfileRate = 0 }: cmpb; je; movq $0 */
static const struct pattern disable_pattern = {{"runtime.schedinit"},
	{0x80, 0x3d, ANY4, 0, 0x74, 0x0b, 0x48, 0xc7, 0x05, ANY4, ANY4},
	{YES, YES, ANY4, YES, YES, YES, YES, YES, YES, ANY4, YES, YES, YES, YES}, 20, 2, 7};
static const struct pattern rate_pattern = {{"runtime.schedinit"},
	{0x80, 0x3d, ANY4, 0, 0x74, 0x0b, 0x48, 0xc7, 0x05, ANY4, ANY4},
	{YES, YES, ANY4, YES, YES, YES, YES, YES, YES, ANY4, YES, YES, YES, YES}, 20, 12, 20};

/* 1.19, package initialiser: MemProfileRate = disableMemoryProfiling ? 0 : 512 KiB */
static const struct pattern old_disable_pattern = {{"runtime.init"},
	{0x0f, 0xb6, 0x05, ANY4, 0x48, 0x85, 0xc0, 0xb8, 0, 0, 8, 0},
	{YES, YES, YES, ANY4, YES, YES, YES, YES, YES, YES, YES, YES}, 15, 3, 7};
static const struct pattern old_rate_pattern = {{"runtime.init"},
	{0xb8, 0, 0, 8, 0, 0xb9, 0, 0, 0, 0, 0x48, 0x0f, 0x45, 0xc1, 0x48, 0x89, 0x05, ANY4},
	{YES, YES, YES, YES, YES, YES, YES, YES, YES, YES, YES, YES, YES, YES, YES, YES, YES, ANY4},
	21, 17, 21};

/* allgadd: if &allgs[0] != allgptr: mov allgs(%rip), %rbx; cmp %rbx, allgptr(%rip) */
static const struct pattern allgs_pattern = {{"runtime.allgadd"},
	{0x48, 0x8b, 0x1d, ANY4, 0x48, 0x39, 0x1d}, {YES, YES, YES, ANY4, YES, YES, YES}, 10, 3, 7};

/* 1.19: mov allgs(%rip), %rbx; cmpq $0, allgs+8(%rip) */
static const struct pattern old_allgs_pattern = {{"runtime.allgadd"},
	{0x48, 0x8b, 0x1d, ANY4, 0x48, 0x83, 0x3d, ANY4, 0},
	{YES, YES, YES, ANY4, YES, YES, YES, ANY4, YES}, 15, 3, 7};

static int32_t load_i32(const uint8_t *at)
{
	int32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static const uint8_t *func_bytes(struct go_file *file, const struct go_func *func)
{
	if (func->end - func->entry > MAX_FUNC_BYTES)
		return NULL;
	return elf_file_bytes(file->elf, func->entry, func->end - func->entry);
}

/* ---- votes ---- */

static void add_vote(struct vote *vote, uint64_t addr)
{
	if (vote->count++ && vote->addr != addr)
		vote->contradicted = true;
	vote->addr = addr;
}

/* Address in the lea (48 8d 05 rel32) closest before the call at offset call. */
static bool find_receiver(const uint8_t *bytes, uint64_t entry, uint64_t call, uint64_t *ret)
{
	uint64_t back;

	for (back = 7; back <= RECEIVER_DISTANCE && back <= call; back++) {
		const uint8_t *at = bytes + call - back;

		if (at[0] != 0x48 || at[1] != 0x8d || at[2] != 0x05)
			continue;
		*ret = entry + call - back + 7 + load_i32(at + 3);
		return true;
	}
	return false;
}

static void count_votes(struct go_file *file, const struct go_func *func,
	const struct table *targets, struct vote votes[VOTED_MAX])
{
	uint64_t size = func->end - func->entry, at, addr, global;
	const uint8_t *bytes = func_bytes(file, func);

	for (at = 0; bytes && at + 5 <= size; at++) {
		if (bytes[at] != 0xe8)
			continue;
		if (table_get(targets, func->entry + at + 5 + load_i32(bytes + at + 1), &global) &&
			find_receiver(bytes, func->entry, at, &addr))
			add_vote(&votes[global], addr);
	}
}

static void find_voted(struct go_file *file, uint64_t ret[VOTED_MAX])
{
	struct vote votes[VOTED_MAX] = {0};
	struct table targets = {0};
	struct go_func func;
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(methods); i++)
		if (go_pclntab_find_name(&file->table, methods[i].name, &func))
			table_set(&targets, func.entry, methods[i].global);
	for (i = 0; i < file->table.func_count; i++)
		if (go_pclntab_func(&file->table, i, &func) && !strncmp(func.name, "runtime.", 8))
			count_votes(file, &func, &targets, votes);
	table_done(&targets);
	for (i = 0; i < VOTED_MAX; i++)
		ret[i] = votes[i].count >= 2 && !votes[i].contradicted ? votes[i].addr : 0;
}

/* ---- patterns ---- */

static bool matches(const struct pattern *pattern, const uint8_t *bytes)
{
	size_t i;

	for (i = 0; i < pattern->count; i++)
		if ((bytes[i] ^ pattern->bytes[i]) & pattern->mask[i])
			return false;
	return true;
}

/* What the first match in the first function that exists refers to; 0 = none. */
static uint64_t find_pattern(struct go_file *file, const struct pattern *pattern)
{
	const uint8_t *bytes = NULL;
	struct go_func func;
	uint64_t at;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(pattern->functions) && pattern->functions[i] && !bytes; i++)
		if (go_pclntab_find_name(&file->table, pattern->functions[i], &func))
			bytes = func_bytes(file, &func);
	for (at = 0; bytes && at + pattern->count <= func.end - func.entry; at++)
		if (matches(pattern, bytes + at))
			return func.entry + at + pattern->end + load_i32(bytes + at + pattern->rel);
	return 0;
}

/* ---- all ---- */

/* 0 where the code's answer stands, the symbol's where the code has none. */
static int check_symbol(struct go_file *file, const char *name, uint64_t *addr)
{
	uint64_t symbol;

	if (*addr && !elf_file_is_memory(file->elf, *addr, 8))
		*addr = 0;
	if (elf_file_symbol(file->elf, name, &symbol))
		return 0;
	if (*addr && *addr != symbol)
		return -EBADMSG;
	if (elf_file_is_memory(file->elf, symbol, 8))
		*addr = symbol;
	return 0;
}

static void find_profile_switches(struct go_file *file)
{
	struct go_facts *facts = &file->facts;
	bool old = facts->minor == 19;

	facts->disable_memory_profiling =
		find_pattern(file, old ? &old_disable_pattern : &disable_pattern);
	facts->mem_profile_rate = find_pattern(file, old ? &old_rate_pattern : &rate_pattern);
}

int go_globals_find(struct go_file *file, const char **ret_name)
{
	struct go_facts *facts = &file->facts;
	uint64_t voted[VOTED_MAX];
	const struct {
		const char *name;
		uint64_t *addr;
	} globals[] = {
		{"runtime.mheap_", &facts->mheap},
		{"runtime.gcController", &facts->gc_controller},
		{"runtime.memstats", &facts->memstats},
		{"runtime.gcphase", &facts->gcphase},
		{"runtime.mbuckets", &facts->mbuckets},
		{"runtime.MemProfileRate", &facts->mem_profile_rate},
		{"runtime.disableMemoryProfiling", &facts->disable_memory_profiling},
		{"runtime.allgs", &facts->allgs},
	};
	size_t i;

	find_voted(file, voted);
	facts->mheap = voted[VOTED_HEAP];
	facts->gc_controller = voted[VOTED_PACER];
	facts->memstats = voted[VOTED_STATS];
	facts->gcphase = find_pattern(file, &gcphase_pattern);
	facts->mbuckets = find_pattern(file, &mbuckets_pattern);
	facts->allgs = find_pattern(file, facts->minor == 19 ? &old_allgs_pattern : &allgs_pattern);
	find_profile_switches(file);
	for (i = 0; i < ARRAY_SIZE(globals); i++) {
		int err = check_symbol(file, globals[i].name, globals[i].addr);

		if (!err)
			continue;
		*ret_name = globals[i].name;
		return err;
	}
	return 0;
}
