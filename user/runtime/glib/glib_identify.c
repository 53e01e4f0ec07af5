/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GLib's library has no names but those of its interface. What makes a GHashTable larger or smaller ends in
 * one function of its own, realloc_arrays() (glib/ghash.c): g_realloc_n for the hashes, g_realloc for the keys
 * and for the values, and no other call. It is the only one like that which takes the three from where they
 * lie in the table. The layout is known by two functions of the interface: g_hash_table_size() says where
 * the number of entries is, g_hash_table_insert() where the function is that hashes a key.
 */
#include "runtime/glib/glib_identify.h"

#include <capstone/capstone.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "runtime/binary/elf_file.h"
#include "runtime/binary/native_calls.h"
#include "runtime/binary/native_code.h"
#include "runtime/binary/code.h"
#include "runtime/runtime.h"

#define MAX_INSNS 256

#define REG(r)      ((struct mt_source){MT_FROM_REG, MT_REG_##r, 0})
#define MEM(r, off) ((struct mt_source){MT_FROM_MEM, MT_REG_##r, off})
#define AT(r, off)  ((struct mt_source){MT_FROM_MEM, (uint8_t)(r), off})

struct search {
	struct elf_file *elf;
	struct native_callee renew, realloc;
	size_t found;
	struct native_function function;
	uint64_t call; /* of g_realloc_n */
};

/* ---- layout ---- */

static bool is_memory(const cs_x86_op *operand, int64_t disp)
{
	return operand->type == X86_OP_MEM && operand->mem.disp == disp &&
	       operand->mem.base != X86_REG_RIP && operand->mem.index == X86_REG_INVALID;
}

/* Whether the first instructions of a function load 32 bits from there, or call what is there. */
static bool uses(struct elf_file *elf, const char *name, unsigned int id, int64_t disp)
{
	struct native_function function;
	struct code code;
	bool does = false;

	if (native_function_find(elf, name, &function) ||
		native_code_open(elf, &function, MAX_INSNS, &code))
		return false;
	for (size_t i = 0; i < code.count && !does; i++) {
		const cs_x86 *x86 = &code.insns[i].detail->x86;

		does = code.insns[i].id == id && x86->op_count &&
		       is_memory(&x86->operands[x86->op_count - 1], disp);
	}
	code_close(&code);
	return does;
}

static bool has_known_layout(struct elf_file *elf)
{
	return uses(elf, "g_hash_table_size", X86_INS_MOV, GLIB_TABLE_NODES) &&
	       uses(elf, "g_hash_table_insert", X86_INS_CALL, GLIB_TABLE_HASH);
}

/* ---- realloc_arrays() ---- */

static bool stores_to(const struct code *code, int64_t disp)
{
	for (size_t i = 0; i < code->count; i++)
		if (code->insns[i].id == X86_INS_MOV &&
			is_memory(&code->insns[i].detail->x86.operands[0], disp))
			return true;
	return false;
}

/* Calls of the one, of the other, of anything. */
static void count_calls(const struct search *search, const struct code *code, size_t ret[3])
{
	for (size_t i = 0; i < code->count; i++) {
		if (code->insns[i].id != X86_INS_CALL)
			continue;
		ret[0] += native_calls(search->elf, code, i, &search->renew);
		ret[1] += native_calls(search->elf, code, i, &search->realloc);
		ret[2]++;
	}
}

static bool take_call(uint64_t pc, void *arg)
{
	struct search *search = arg;
	struct native_function function;
	size_t calls[3] = {0};
	struct code code;

	if (native_function_at(search->elf, pc, &function) ||
		native_code_open(search->elf, &function, MAX_INSNS, &code))
		return false;
	count_calls(search, &code, calls);
	if (calls[0] == 1 && calls[1] == 2 && calls[2] == 3 && stores_to(&code, GLIB_TABLE_KEYS) &&
		stores_to(&code, GLIB_TABLE_HASHES) && stores_to(&code, GLIB_TABLE_VALUES)) {
		search->found++;
		search->function = function;
		search->call = pc;
	}
	code_close(&code);
	return false;
}

static int find(struct search *search)
{
	if (native_callee_find(search->elf, "g_realloc_n", &search->renew) ||
		native_callee_find(search->elf, "g_realloc", &search->realloc))
		return -1;
	native_each_call(search->elf, search->renew.direct, take_call, search);
	return search->found == 1 ? 0 : -1;
}

/* At the call of g_realloc_n: RDI has the hashes as they were, before which malloc keeps their size. */
static int add_probe(const struct search *search, struct runtime_file *file)
{
	struct runtime_probe row = {.family = FAMILY_MAP, .symbol = "g_hash_table_resize"};
	struct code code;
	size_t call = 0;
	int home, err = -1;

	if (native_code_open(search->elf, &search->function, MAX_INSNS, &code))
		return -1;
	while (call < code.count && code.insns[call].address != search->call)
		call++;
	home = native_argument_home(&code);
	if (home >= 0 && call < code.count) {
		row.attachment = (struct mt_attachment){
			.kind = MT_GROW,
			.flags = MT_ATTACH_STACK,
			.addr = {MT_FROM_REG, (uint8_t)home, 0},
			.val = {AT(home, 0), MEM(DI, -8), AT(home, GLIB_TABLE_KEYS),
				AT(home, GLIB_TABLE_VALUES), AT(home, GLIB_TABLE_BIG),
				AT(home, GLIB_TABLE_NODES)},
		};
		err = native_probe_add_at(search->elf, &search->function, &code, call, &row, file);
	}
	code_close(&code);
	return err;
}

/* ---- the file ---- */

static int read_number(struct elf_file *elf, const char *name, uint32_t *ret)
{
	const uint8_t *bytes;
	uint64_t addr;

	if (elf_file_exported(elf, name, &addr))
		return -1;
	bytes = elf_file_bytes(elf, addr, sizeof(*ret));
	if (!bytes)
		return -1;
	memcpy(ret, bytes, sizeof(*ret));
	return 0;
}

bool glib_wants(const char *file_name)
{
	return !strncmp(file_name, "libglib-2.0.so.", 15);
}

int glib_identify(struct elf_file *elf, struct runtime_file *ret)
{
	struct runtime_file found = {.runtime = "glib", .version = "GLib"};
	struct search search = {.elf = elf};
	struct native_function function;
	uint32_t major, minor;

	if (native_function_find(elf, "g_hash_table_size", &function) ||
		native_function_find(elf, "g_hash_table_insert", &function))
		return 0;
	native_describe(elf, &found);
	if (!read_number(elf, "glib_major_version", &major) &&
		!read_number(elf, "glib_minor_version", &minor))
		snprintf(found.version, sizeof(found.version), "GLib %u.%u", major, minor);
	if (!has_known_layout(elf)) {
		native_add_skip(&found, "GHashTable",
			"the layout of this GLib's tables is not that of 2.66 to 2.84");
	} else if (find(&search) || add_probe(&search, &found)) {
		native_add_skip(&found, "GHashTable", "where its arrays grow is not found");
	} else {
		found.reading = true;
		native_add_skip(&found, "GHashTable from before attach",
			"followed from their next growth: nothing lists those that are there");
	}
	*ret = found;
	return 1;
}
