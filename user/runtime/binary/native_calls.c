/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/binary/native_calls.h"

#include <capstone/capstone.h>
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/binary/elf_file.h"
#include "runtime/binary/code.h"

#define PLT_ENTRY_BYTES 16

/* ---- callees ---- */

/* What the dynamic linker fills in: slots of one table of relocations, and their symbols. */
struct slots {
	const uint8_t *table, *symbols, *names;
	size_t bytes, symbol_bytes, name_bytes;
};

static bool slots_open(struct elf_file *elf, const char *relocations, struct slots *ret)
{
	ret->table = elf_file_section_bytes(elf, relocations, &ret->bytes);
	ret->symbols = elf_file_section_bytes(elf, ".dynsym", &ret->symbol_bytes);
	ret->names = elf_file_section_bytes(elf, ".dynstr", &ret->name_bytes);
	return ret->table && ret->symbols && ret->names && ret->name_bytes &&
	       !ret->names[ret->name_bytes - 1];
}

/* The slot at that place of the table, and its symbol; false where there is none. */
static bool slots_read(const struct slots *slots, size_t at, uint64_t *ret_slot, Elf64_Sym *ret)
{
	Elf64_Rela relocation;
	uint64_t kind, i;

	memcpy(&relocation, slots->table + at, sizeof(relocation));
	kind = ELF64_R_TYPE(relocation.r_info);
	i = ELF64_R_SYM(relocation.r_info);
	if ((kind != R_X86_64_JUMP_SLOT && kind != R_X86_64_GLOB_DAT) ||
		i >= slots->symbol_bytes / sizeof(*ret))
		return false;
	memcpy(ret, slots->symbols + i * sizeof(*ret), sizeof(*ret));
	*ret_slot = relocation.r_offset;
	return true;
}

/* The slot of the symbol; 0 = there is none in this table. */
static uint64_t find_slot(struct elf_file *elf, const char *relocations, const char *name)
{
	struct slots slots;
	Elf64_Sym symbol;
	uint64_t slot;

	if (!slots_open(elf, relocations, &slots))
		return 0;
	for (size_t at = 0; slots.bytes - at >= sizeof(Elf64_Rela); at += sizeof(Elf64_Rela))
		if (slots_read(&slots, at, &slot, &symbol) && symbol.st_name < slots.name_bytes &&
			!strcmp((const char *)slots.names + symbol.st_name, name))
			return slot;
	return 0;
}

static uint64_t find_of_slot(struct elf_file *elf, const char *relocations, uint64_t wanted)
{
	struct slots slots;
	Elf64_Sym symbol;
	uint64_t slot;

	if (!slots_open(elf, relocations, &slots))
		return 0;
	for (size_t at = 0; slots.bytes - at >= sizeof(Elf64_Rela); at += sizeof(Elf64_Rela))
		if (slots_read(&slots, at, &slot, &symbol) && slot == wanted)
			return symbol.st_value;
	return 0;
}

int native_slot_target(struct elf_file *elf, uint64_t slot, uint64_t *ret)
{
	uint64_t target = find_of_slot(elf, ".rela.plt", slot);

	if (!target)
		target = find_of_slot(elf, ".rela.dyn", slot);
	if (!target || !elf_file_is_code(elf, target))
		return -ENOENT;
	*ret = target;
	return 0;
}

int native_callee_find(struct elf_file *elf, const char *name, struct native_callee *ret)
{
	struct native_callee callee = {0};
	struct native_function function;

	if (native_function_find(elf, name, &function) == 0)
		callee.direct = function.start;
	callee.slot = find_slot(elf, ".rela.plt", name);
	if (!callee.slot)
		callee.slot = find_slot(elf, ".rela.dyn", name);
	if (!callee.direct && !callee.slot)
		return -ENOENT;
	*ret = callee;
	return 0;
}

/* A PLT entry is jmp *slot(%rip) (ff 25), behind endbr64 and a prefix where it is made for CET. */
static uint64_t slot_of_plt_entry(struct elf_file *elf, uint64_t addr)
{
	const uint8_t *code = elf_file_bytes(elf, addr, PLT_ENTRY_BYTES);
	int32_t distance;

	for (uint64_t i = 0; code && i + 6 <= PLT_ENTRY_BYTES; i++) {
		if (code[i] != 0xff || code[i + 1] != 0x25)
			continue;
		memcpy(&distance, code + i + 2, sizeof(distance));
		return addr + i + 6 + (int64_t)distance;
	}
	return 0;
}

int native_plt_target(struct elf_file *elf, uint64_t addr, uint64_t *ret)
{
	static const char *const names[] = {".plt", ".plt.sec", ".plt.got", ".iplt"};
	struct elf_section section;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (elf_file_section(elf, names[i], &section) && addr >= section.addr &&
			addr - section.addr < section.bytes)
			return native_slot_target(elf, slot_of_plt_entry(elf, addr), ret);
	*ret = addr;
	return 0;
}

/* call *slot(%rip) */
static bool calls_slot(const cs_insn *insn, uint64_t slot)
{
	const cs_x86_op *operand = &insn->detail->x86.operands[0];

	return insn->id == X86_INS_CALL && operand->type == X86_OP_MEM &&
	       operand->mem.base == X86_REG_RIP && operand->mem.index == X86_REG_INVALID &&
	       insn->address + insn->size + (uint64_t)operand->mem.disp == slot;
}

bool native_calls(
	struct elf_file *elf, const struct code *code, size_t i, const struct native_callee *callee)
{
	uint64_t target;

	if (!code_is_call(&code->insns[i], &target))
		return callee->slot && calls_slot(&code->insns[i], callee->slot);
	return (callee->direct && target == callee->direct) ||
	       (callee->slot && slot_of_plt_entry(elf, target) == callee->slot);
}

/* ---- references ---- */

/* Constants of another kind may lie just before it; a string that ends in it is the worse match. */
int native_find_string(struct elf_file *elf, const char *text, uint64_t *ret_addr)
{
	struct elf_section section;
	size_t size, bytes = strlen(text) + 1;
	const uint8_t *data = elf_file_section_bytes(elf, ".rodata", &size), *at = data;
	const uint8_t *best = NULL;

	if (!data || !elf_file_section(elf, ".rodata", &section))
		return -ENOENT;
	while ((at = memmem(at, size - (size_t)(at - data), text, bytes))) {
		bool whole = at == data || !at[-1];

		if (whole || !best)
			best = at;
		if (whole)
			break;
		at++;
	}
	if (!best)
		return -ENOENT;
	*ret_addr = section.addr + (uint64_t)(best - data);
	return 0;
}

static size_t find_slices(
	struct elf_file *elf, uint64_t text, uint64_t bytes, uint64_t *ret_addrs, size_t max)
{
	struct elf_section section;
	size_t count = 0;
	const uint8_t *words;

	if (!elf_file_section(elf, ".data.rel.ro", &section))
		return 0;
	words = elf_file_bytes(elf, section.addr, section.bytes);
	for (uint64_t at = 0; words && at + 16 <= section.bytes && count < max; at += 8) {
		uint64_t slice[2];

		memcpy(slice, words + at, sizeof(slice));
		if (slice[0] == text && slice[1] == bytes)
			ret_addrs[count++] = section.addr + at;
	}
	return count;
}

size_t native_find_text(struct elf_file *elf, const char *text, uint64_t *ret_addrs, size_t max)
{
	size_t size, bytes = strlen(text), count = 0;
	const uint8_t *data = elf_file_section_bytes(elf, ".rodata", &size), *at = data;
	struct elf_section section;

	if (!data || !elf_file_section(elf, ".rodata", &section))
		return 0;
	while (count + 1 < max && (at = memmem(at, size - (size_t)(at - data), text, bytes))) {
		uint64_t addr = section.addr + (uint64_t)(at - data);

		ret_addrs[count++] = addr;
		count += find_slices(elf, addr, bytes, ret_addrs + count, max - count);
		at++;
	}
	return count;
}

/* call rel32 (e8), or call *slot(%rip) (ff 15) where the file itself says what is in the slot. */
static uint64_t called(struct elf_file *elf, const uint8_t code[6], uint64_t addr)
{
	const uint8_t *slot;
	int32_t distance;
	uint64_t target;

	if (code[0] == 0xe8) {
		memcpy(&distance, code + 1, sizeof(distance));
		return addr + 5 + (int64_t)distance;
	}
	if (code[0] != 0xff || code[1] != 0x15)
		return 0;
	memcpy(&distance, code + 2, sizeof(distance));
	slot = elf_file_bytes(elf, addr + 6 + (int64_t)distance, sizeof(target));
	if (!slot)
		return 0;
	memcpy(&target, slot, sizeof(target));
	return target;
}

void native_each_call(
	struct elf_file *elf, uint64_t function, bool (*found)(uint64_t pc, void *arg), void *arg)
{
	struct elf_section text;
	size_t bytes;
	const uint8_t *code = elf_file_section_bytes(elf, ".text", &bytes);

	if (!code || !elf_file_section(elf, ".text", &text))
		return;
	for (size_t i = 0; i + 6 <= bytes; i++)
		if (called(elf, code + i, text.addr + i) == function && found(text.addr + i, arg))
			return;
}

/* The address of the PLT entry for that slot; 0 = there is none in this section. */
static uint64_t find_plt_entry(struct elf_file *elf, const char *name, uint64_t slot)
{
	struct elf_section section;

	if (!slot || !elf_file_section(elf, name, &section))
		return 0;
	for (uint64_t at = 0; at + PLT_ENTRY_BYTES <= section.bytes; at += PLT_ENTRY_BYTES)
		if (slot_of_plt_entry(elf, section.addr + at) == slot)
			return section.addr + at;
	return 0;
}

void native_each_callee_call(struct elf_file *elf, const struct native_callee *callee,
	bool (*found)(uint64_t pc, void *arg), void *arg)
{
	const uint64_t targets[] = {callee->direct, find_plt_entry(elf, ".plt", callee->slot),
		find_plt_entry(elf, ".plt.sec", callee->slot)};

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		if (targets[i])
			native_each_call(elf, targets[i], found, arg);
}

/* mov of a 32-bit constant (b8 to bf): how code of a fixed address loads one. */
static uint64_t constant_of(const uint8_t code[7])
{
	uint32_t number;

	if ((code[0] & 0xf8) != 0xb8)
		return 0;
	memcpy(&number, code + 1, sizeof(number));
	return number;
}

void native_each_reference(struct elf_file *elf, const uint64_t *addrs, size_t count,
	bool (*found)(size_t which, uint64_t pc, void *arg), void *arg)
{
	struct elf_section text;
	size_t bytes;
	const uint8_t *code = elf_file_section_bytes(elf, ".text", &bytes);

	if (!code || !elf_file_section(elf, ".text", &text))
		return;
	for (size_t i = 0; i + 7 <= bytes; i++) {
		uint64_t pointed = native_pointed_to(code + i, text.addr + i);
		uint64_t constant = pointed ? 0 : constant_of(code + i);

		for (size_t k = 0; (pointed || constant) && k < count; k++)
			if (addrs[k] && (addrs[k] == pointed || addrs[k] == constant) &&
				found(k, text.addr + i, arg))
				return;
	}
}

/* The target of jcc or jmp with four bytes of distance; 0 = it is none. */
static uint64_t jump_target(const uint8_t code[6], uint64_t addr)
{
	int32_t distance;

	if (code[0] == 0x0f && (code[1] & 0xf0) == 0x80) {
		memcpy(&distance, code + 2, sizeof(distance));
		return addr + 6 + (int64_t)distance;
	}
	if (code[0] != 0xe9)
		return 0;
	memcpy(&distance, code + 1, sizeof(distance));
	return addr + 5 + (int64_t)distance;
}

int native_find_jump_into(
	struct elf_file *elf, const struct native_function *cold, struct native_function *ret)
{
	struct elf_section text;
	size_t bytes;
	const uint8_t *code = elf_file_section_bytes(elf, ".text", &bytes);

	if (!code || !elf_file_section(elf, ".text", &text))
		return -ENOENT;
	for (size_t i = 0; i + 6 <= bytes; i++) {
		uint64_t pc = text.addr + i, target = jump_target(code + i, pc);

		if (target < cold->start || target >= cold->end ||
			(pc >= cold->start && pc < cold->end))
			continue;
		if (native_function_at(elf, pc, ret) == 0)
			return 0;
	}
	return -ENOENT;
}

/* ---- registers ---- */

/* Calls keep it. */
static bool writes_only_once(const struct code *code, size_t at, x86_reg reg)
{
	for (size_t i = 0; i < code->count; i++) {
		const cs_insn *insn = &code->insns[i];

		if (i != at && insn->id != X86_INS_POP && insn->id != X86_INS_CALL &&
			code_writes(code, insn, reg))
			return false;
	}
	return true;
}

int native_argument_home(const struct code *code)
{
	static const x86_reg kept[] = {
		X86_REG_RBX, X86_REG_RBP, X86_REG_R12, X86_REG_R13, X86_REG_R14, X86_REG_R15};

	for (size_t i = 0; i < code->count; i++) {
		const cs_insn *insn = &code->insns[i];
		const cs_x86_op *operands = insn->detail->x86.operands;

		if (insn->id == X86_INS_MOV && operands[0].type == X86_OP_REG &&
			operands[1].type == X86_OP_REG && operands[1].reg == X86_REG_RDI)
			for (size_t k = 0; k < ARRAY_SIZE(kept); k++)
				if (operands[0].reg == kept[k] &&
					writes_only_once(code, i, kept[k]))
					return code_wire_register(kept[k]);
		if (insn->id == X86_INS_CALL || code_writes(code, insn, X86_REG_RDI))
			break;
	}
	return -1;
}
