/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Placing probes in code of which we know nothing but its ABI (System V x86_64). A function's entry is
 * rarely a good place: endbr64, mov, sub and test are single-stepped by the kernel, 20 times the cost of
 * push or a jump. So the entry block is walked to the first instruction that the kernel emulates; no
 * argument register may be written and the stack pointer may not have moved before it. A five-byte nop is
 * passed over: the kernel would turn it into a call, which needs stack that a leaf function may be using.
 */
#include "runtime/binary/native_code.h"

#include <capstone/capstone.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/binary/elf_file.h"
#include "runtime/binary/code.h"
#include "runtime/runtime.h"

#define MAX_ENTRY_INSNS 16
#define MAX_FRAME_INSNS 192 /* GCC 14: 105 before the first call */
#define MAX_INSN_BYTES  15

/* ---- functions ---- */

struct function_search {
	const char *name;
	struct native_function found;
};

static bool match_function(const char *name, uint64_t addr, uint64_t bytes, void *arg)
{
	struct function_search *search = arg;

	if (!bytes || strcmp(name, search->name))
		return false;
	search->found = (struct native_function){addr, addr + bytes};
	return true;
}

int native_function_find(struct elf_file *elf, const char *name, struct native_function *ret)
{
	struct function_search search = {.name = name};

	elf_file_each_function(elf, match_function, &search);
	if (!search.found.start)
		return -ENOENT;
	*ret = search.found;
	return 0;
}

/*
 * One entry of .eh_frame (Linux Standard Base, Core, 10.6.1): its length, the distance to its CIE (0: it is
 * one), start and length of the code. Addresses are 32-bit and relative to where they stand: what GCC and
 * clang write for all code models but the large one; others are not found.
 */
struct unwind_entry {
	uint32_t bytes, cie;
	int32_t start;
	uint32_t code_bytes;
};

int native_function_at(struct elf_file *elf, uint64_t pc, struct native_function *ret)
{
	struct elf_section section;
	struct unwind_entry entry;
	size_t bytes;
	const uint8_t *table = elf_file_section_bytes(elf, ".eh_frame", &bytes);

	if (!table || !elf_file_section(elf, ".eh_frame", &section))
		return -ENOENT;
	for (size_t at = 0; bytes - at >= sizeof(entry);) {
		uint64_t start;

		memcpy(&entry, table + at, sizeof(entry));
		if (!entry.bytes || entry.bytes > bytes - at - sizeof(entry.bytes))
			break;
		start = section.addr + at + offsetof(struct unwind_entry, start) +
			(int64_t)entry.start;
		if (entry.cie && pc >= start && pc - start < entry.code_bytes) {
			*ret = (struct native_function){start, start + entry.code_bytes};
			return elf_file_is_code(elf, start) ? 0 : -ENOENT;
		}
		at += sizeof(entry.bytes) + entry.bytes;
	}
	return -ENOENT;
}

/* ---- instructions ---- */

int native_code_open(
	struct elf_file *elf, const struct native_function *function, size_t max, struct code *ret)
{
	uint64_t bytes = MIN(function->end - function->start, max * MAX_INSN_BYTES);
	const uint8_t *code = elf_file_bytes(elf, function->start, bytes);

	return code && !code_decode(code, bytes, function->start, max, ret) ? 0 : -EBADMSG;
}

static bool reads(const struct mt_attachment *attachment, int reg)
{
	if (attachment->addr.from != MT_FROM_NOTHING && attachment->addr.reg == reg)
		return true;
	for (size_t i = 0; i < MT_VALUES; i++)
		if (attachment->val[i].from != MT_FROM_NOTHING && attachment->val[i].reg == reg)
			return true;
	return false;
}

/* The stack pointer counts always: what is on top of the stack tells who called. */
static bool writes_what_is_read(
	const struct code *code, const cs_insn *insn, const struct mt_attachment *attachment)
{
	static const x86_reg arguments[] = {
		X86_REG_RDI, X86_REG_RSI, X86_REG_RDX, X86_REG_RCX, X86_REG_R8, X86_REG_R9};

	for (size_t i = 0; i < ARRAY_SIZE(arguments); i++)
		if (reads(attachment, code_wire_register(arguments[i])) &&
			code_writes(code, insn, arguments[i]))
			return true;
	return code_writes(code, insn, X86_REG_RSP);
}

static const cs_insn *choose(const struct code *code, const struct mt_attachment *attachment)
{
	for (size_t i = 0; i < code->count; i++) {
		const cs_insn *insn = &code->insns[i];

		if (code_is_emulated(insn))
			return insn;
		if (writes_what_is_read(code, insn, attachment) || insn->id == X86_INS_RET)
			break;
	}
	return &code->insns[0];
}

static int put_at(struct elf_file *elf, const struct native_function *function,
	const struct code *code, const cs_insn *insn, struct runtime_probe *ret)
{
	uint64_t bytes = MIN((uint64_t)RUNTIME_CODE_BYTES, function->end - insn->address);

	ret->vaddr = insn->address;
	ret->delta = (int32_t)(insn->address - function->start);
	ret->emulated = code_is_emulated(insn);
	ret->code_bytes = (uint8_t)bytes;
	memcpy(ret->code, code->bytes + ret->delta, bytes);
	return elf_file_offset(elf, ret->vaddr, &ret->file_offset);
}

int native_probe_place(
	struct elf_file *elf, const struct native_function *function, struct runtime_probe *ret)
{
	struct code code;
	int err = native_code_open(elf, function, MAX_ENTRY_INSNS, &code);

	if (err)
		return err;
	err = put_at(elf, function, &code, choose(&code, &ret->attachment), ret);
	code_close(&code);
	return err;
}

int native_probe_add_at(struct elf_file *elf, const struct native_function *function,
	const struct code *code, size_t i, const struct runtime_probe *row,
	struct runtime_file *file)
{
	struct runtime_probe probe = *row;
	int err;

	if (file->probe_count == RUNTIME_MAX_PROBES)
		return -ENOSPC;
	err = put_at(elf, function, code, &code->insns[i], &probe);
	if (!err)
		file->probes[file->probe_count++] = probe;
	return err;
}

int native_probe_add(struct elf_file *elf, const struct native_function *function,
	const struct runtime_probe *row, struct runtime_file *file)
{
	struct runtime_probe probe = *row;
	int err;

	if (file->probe_count == RUNTIME_MAX_PROBES)
		return -ENOSPC;
	err = native_probe_place(elf, function, &probe);
	if (!err)
		file->probes[file->probe_count++] = probe;
	return err;
}

int native_frame_bytes(struct elf_file *elf, const struct native_function *function, int16_t *ret)
{
	struct code code;
	int bytes = 0, err = native_code_open(elf, function, MAX_FRAME_INSNS, &code);

	if (err)
		return err;
	err = -ENOENT;
	for (size_t i = 0; i < code.count; i++) {
		const cs_insn *insn = &code.insns[i];
		const cs_x86 *x86 = &insn->detail->x86;

		if (insn->id == X86_INS_CALL) {
			*ret = (int16_t)bytes;
			err = 0;
			break;
		}
		if (insn->id == X86_INS_PUSH)
			bytes += 8;
		else if (insn->id == X86_INS_SUB && x86->operands[0].type == X86_OP_REG &&
			 x86->operands[0].reg == X86_REG_RSP && x86->operands[1].type == X86_OP_IMM)
			bytes += (int)x86->operands[1].imm;
		if (bytes < 0 || bytes > 1024)
			break;
	}
	code_close(&code);
	return err;
}

/* ---- what survives strip ---- */

int native_find_constant(struct elf_file *elf, const void *bytes, size_t count, uint64_t *ret_addr)
{
	struct elf_section section;
	size_t size;
	const uint8_t *data = elf_file_section_bytes(elf, ".rodata", &size), *at = data;

	if (!data || !elf_file_section(elf, ".rodata", &section))
		return -ENOENT;
	while ((at = memmem(at, size - (size_t)(at - data), bytes, count))) {
		if ((section.addr + (uint64_t)(at - data)) % 8 == 0) {
			*ret_addr = section.addr + (uint64_t)(at - data);
			return 0;
		}
		at++;
	}
	return -ENOENT;
}

/*
 * lea or mov with a rip-relative operand (8d or 8b, mod 00, r/m 101), or mov of a constant (c7 /0), which
 * linkers make of a load from the GOT where the file has a fixed address.
 */
uint64_t native_pointed_to(const uint8_t code[7], uint64_t addr)
{
	int32_t number;

	memcpy(&number, code + 3, sizeof(number));
	if ((code[0] & 0xf8) != 0x48)
		return 0;
	if ((code[1] == 0x8d || code[1] == 0x8b) && (code[2] & 0xc7) == 0x05)
		return addr + 7 + (int64_t)number;
	return code[1] == 0xc7 && (code[2] & 0xf8) == 0xc0 ? (uint64_t)(int64_t)number : 0;
}

int native_find_reference(
	struct elf_file *elf, uint64_t start, uint64_t end, struct native_function *ret)
{
	struct elf_section text;
	size_t bytes;
	const uint8_t *code = elf_file_section_bytes(elf, ".text", &bytes);

	if (!code || !elf_file_section(elf, ".text", &text))
		return -ENOENT;
	for (size_t i = 0; i + 7 <= bytes; i++) {
		uint64_t target = native_pointed_to(code + i, text.addr + i);

		if (target >= start && target < end)
			return native_function_at(elf, text.addr + i, ret);
	}
	return -ENOENT;
}

/* ---- facts of any file ---- */

void native_add_skip(struct runtime_file *file, const char *what, const char *format, ...)
{
	struct runtime_skip *skip = &file->skips[file->skip_count];
	va_list args;

	if (file->skip_count == RUNTIME_MAX_SKIPS)
		return;
	file->skip_count++;
	text_copy(skip->what, sizeof(skip->what), what);
	va_start(args, format);
	vsnprintf(skip->reason, sizeof(skip->reason), format, args);
	va_end(args);
}

void native_describe(struct elf_file *elf, struct runtime_file *ret)
{
	static const char *const execs[] = {"execve", "execv", "execvp", "execvpe", "execl",
		"execlp", "execle", "fexecve", "execveat", "syscall"};

	ret->execs = elf_file_imports(elf, execs, ARRAY_SIZE(execs));
	text_copy(ret->build_id, sizeof(ret->build_id), elf_file_build_id(elf));
	ret->pie = elf_file_is_pie(elf);
	ret->stripped = !elf_file_has_symbols(elf);
	ret->load_vaddr = elf_file_load_vaddr(elf);
	if (!elf_file_data(elf, &ret->data_start, &ret->data_end))
		ret->data_start = ret->data_end = 0;
}
