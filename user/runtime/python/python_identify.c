/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPython says which version it is (Py_Version, since 3.11), stripped or not. What makes a dict or a set grow
 * are functions of its own, whose names are gone from distributions' builds and come back with their debug
 * files (python3-dbg). Link-time optimisation adds a number to them: "dictresize.lto_priv.0".
 *
 * A set says all where its function is entered. The keys of a dict, which it is about to replace, are behind
 * a pointer: so the probe is where dictresize has it in a register, and its arguments still are.
 */
#include "runtime/python/python_identify.h"

#include <capstone/capstone.h>
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/binary/elf_file.h"
#include "runtime/binary/native_code.h"
#include "runtime/binary/code.h"
#include "runtime/runtime.h"

#define FIRST_KNOWN 0x030b /* 3.11 */
#define LAST_KNOWN  0x030d /* 3.13 */

#define LTO          ".lto_priv."
#define BITS_OF_SIZE 63 /* of a size_t, less one: what dictresize compares its argument with */

#define MAX_INSNS 64

#define REG(r)      ((struct mt_source){MT_FROM_REG, MT_REG_##r, 0})
#define MEM(r, off) ((struct mt_source){MT_FROM_MEM, MT_REG_##r, off})

struct search {
	struct native_function dict, set;
};

/* ---- names ---- */

static bool is_named(const char *name, const char *wanted, const char *suffix)
{
	size_t length = strlen(wanted);

	if (strncmp(name, wanted, length))
		return false;
	name += length;
	if (!*name)
		return true;
	if (strncmp(name, suffix, strlen(suffix)))
		return false;
	name += strlen(suffix);
	while (isdigit((unsigned char)*name))
		name++;
	return !*name;
}

static bool take_name(const char *name, uint64_t addr, uint64_t bytes, void *arg)
{
	struct search *search = arg;

	/* The arguments of a dict's are found in its code: some may have been taken out. */
	if (bytes && (is_named(name, "dictresize", LTO) || is_named(name, "dictresize", ".isra.")))
		search->dict = (struct native_function){addr, addr + bytes};
	else if (bytes && is_named(name, "set_table_resize", LTO))
		search->set = (struct native_function){addr, addr + bytes};
	return false;
}

/* ---- dict ---- */

/* Registers that hold a value, as the code goes on. */
struct holders {
	x86_reg list[4];
	size_t count;
};

static bool is_held(const struct holders *holders, x86_reg reg)
{
	for (size_t i = 0; i < holders->count; i++)
		if (holders->list[i] == reg)
			return true;
	return false;
}

static void follow(const struct code *code, const cs_insn *insn, struct holders *holders)
{
	const cs_x86_op *operands = insn->detail->x86.operands;
	bool copies = (insn->id == X86_INS_MOV || insn->id == X86_INS_MOVZX) &&
		      operands[0].type == X86_OP_REG && operands[1].type == X86_OP_REG &&
		      is_held(holders, code_full_register(operands[1].reg));
	x86_reg to = copies ? code_full_register(operands[0].reg) : X86_REG_INVALID;

	for (size_t i = 0; i < holders->count;)
		if (code_writes(code, insn, holders->list[i]))
			holders->list[i] = holders->list[--holders->count];
		else
			i++;
	if (copies && holders->count < ARRAY_SIZE(holders->list))
		holders->list[holders->count++] = to;
}

/* mov 32(dict), reg: the keys. */
static x86_reg loaded_keys(const cs_insn *insn, const struct holders *dict)
{
	const cs_x86_op *operands = insn->detail->x86.operands;

	return insn->id == X86_INS_MOV && operands[0].type == X86_OP_REG &&
			       operands[1].type == X86_OP_MEM &&
			       operands[1].mem.disp == PYTHON_DICT_KEYS &&
			       operands[1].mem.index == X86_REG_INVALID &&
			       is_held(dict, operands[1].mem.base)
		       ? operands[0].reg
		       : X86_REG_INVALID;
}

static struct mt_source in(const struct holders *holders)
{
	return (struct mt_source){MT_FROM_REG, (uint8_t)code_wire_register(holders->list[0]), 0};
}

static struct mt_source behind(const struct holders *holders, int16_t offset)
{
	return (struct mt_source){
		MT_FROM_MEM, (uint8_t)code_wire_register(holders->list[0]), offset};
}

/*
 * Its arguments are the dict, log2 of the slots wanted and "keys are text"; 3.12 has the interpreter before them,
 * compilers may take that out again. The second one is compared with the bits of a size_t.
 */
static int find_arguments(const struct code *code, x86_reg ret[3])
{
	static const x86_reg arguments[] = {X86_REG_RDI, X86_REG_RSI, X86_REG_RDX, X86_REG_RCX};

	for (size_t i = 0; i < code->count; i++) {
		const cs_x86_op *operands = code->insns[i].detail->x86.operands;

		if (code->insns[i].id != X86_INS_CMP || operands[0].type != X86_OP_REG ||
			operands[1].type != X86_OP_IMM || operands[1].imm != BITS_OF_SIZE)
			continue;
		for (size_t k = 1; k + 1 < ARRAY_SIZE(arguments); k++)
			if (code_full_register(operands[0].reg) == arguments[k]) {
				memcpy(ret, &arguments[k - 1], 3 * sizeof(ret[0]));
				return 0;
			}
	}
	return -1;
}

static int add_dict_at(struct elf_file *elf, const struct native_function *function,
	const struct code *code, struct runtime_file *file)
{
	struct runtime_probe row = {
		.probe = PYTHON_PROBE_DICT, .family = FAMILY_MAP, .symbol = "dictresize"};
	struct holders dict = {.count = 1}, log2 = dict, text = dict, keys = {.count = 0};
	x86_reg arguments[3];

	if (find_arguments(code, arguments))
		return -1;
	dict.list[0] = arguments[0];
	log2.list[0] = arguments[1];
	text.list[0] = arguments[2];
	for (size_t i = 0; i < code->count; i++) {
		const cs_insn *insn = &code->insns[i];
		x86_reg loaded = loaded_keys(insn, &dict);

		if (keys.count && code_is_emulated(insn) && dict.count && log2.count &&
			text.count) {
			row.attachment = (struct mt_attachment){
				.kind = MT_GROW,
				.flags = MT_ATTACH_STACK,
				.addr = in(&dict),
				.val = {in(&log2), behind(&keys, PYTHON_KEYS_LOG2),
					behind(&dict, PYTHON_DICT_USED), in(&text)},
				.floor = PYTHON_FEWEST_LOG2,
			};
			return native_probe_add_at(elf, function, code, i, &row, file);
		}
		follow(code, insn, &dict);
		follow(code, insn, &log2);
		follow(code, insn, &text);
		follow(code, insn, &keys);
		if (loaded != X86_REG_INVALID)
			keys = (struct holders){{loaded}, 1};
	}
	return -1;
}

static int add_dict(
	struct elf_file *elf, const struct native_function *function, struct runtime_file *file)
{
	struct code code;
	int err;

	if (!function->start || native_code_open(elf, function, MAX_INSNS, &code))
		return -1;
	err = add_dict_at(elf, function, &code, file);
	code_close(&code);
	return err;
}

/* ---- set ---- */

static int add_set(
	struct elf_file *elf, const struct native_function *function, struct runtime_file *file)
{
	const struct runtime_probe row = {
		.probe = PYTHON_PROBE_SET,
		.family = FAMILY_MAP,
		.symbol = "set_table_resize",
		.attachment =
			{
				.kind = MT_GROW,
				.flags = MT_ATTACH_STACK,
				.addr = REG(DI),
				.val = {REG(SI), MEM(DI, PYTHON_SET_MASK), MEM(DI, PYTHON_SET_USED),
					MEM(DI, PYTHON_SET_TABLE)},
				.floor = 1u
					 << (PYTHON_FEWEST_LOG2 - 1), /* it takes the next power */
			},
	};

	return function->start ? native_probe_add(elf, function, &row, file) : -1;
}

/* ---- the file ---- */

/* 0x030b02f0 is 3.11.2, final. */
static int read_version(struct elf_file *elf, uint32_t *ret)
{
	const uint8_t *bytes;
	uint64_t addr;

	if (elf_file_exported(elf, "Py_Version", &addr))
		return -1;
	bytes = elf_file_bytes(elf, addr, sizeof(*ret));
	if (!bytes)
		return -1;
	memcpy(ret, bytes, sizeof(*ret));
	return 0;
}

static void add_probes(struct elf_file *elf, struct runtime_file *file)
{
	struct search search = {{0}, {0}};

	elf_file_each_name(elf, take_name, &search);
	if (!search.dict.start && !search.set.start) {
		file->wants_names = true;
		native_add_skip(file, "dict and set of Python",
			"%s without symbols: they are not seen one by one (python3-dbg has them)",
			file->version);
		return;
	}
	if (add_dict(elf, &search.dict, file))
		native_add_skip(file, "growth of dict", "dictresize cannot be probed");
	if (add_set(elf, &search.set, file))
		native_add_skip(file, "growth of set", "set_table_resize cannot be probed");
	file->reading = file->probe_count > 0;
	native_add_skip(file, "dict and set from before attach",
		"followed from their next growth to %u slots or more: nothing lists those that are "
		"there",
		1u << PYTHON_FEWEST_LOG2);
}

bool python_wants(const char *file_name)
{
	return !strncmp(file_name, "libpython3.", 11);
}

int python_identify(struct elf_file *elf, struct runtime_file *ret)
{
	struct runtime_file found = {.runtime = "python", .version = "Python"};
	uint32_t version = 0;
	uint64_t addr;

	if (elf_file_exported(elf, "PyDict_Type", &addr) ||
		elf_file_exported(elf, "Py_GetVersion", &addr))
		return 0;
	native_describe(elf, &found);
	if (!read_version(elf, &version))
		snprintf(found.version, sizeof(found.version), "Python %u.%u.%u", version >> 24,
			version >> 16 & 0xff, version >> 8 & 0xff);
	if (version >> 16 >= FIRST_KNOWN && version >> 16 <= LAST_KNOWN)
		add_probes(elf, &found);
	else
		native_add_skip(&found, "dict and set of Python",
			"their layout in %s is not known, only that of 3.11 to 3.13",
			version ? found.version : "a Python before 3.11");
	*ret = found;
	return 1;
}
