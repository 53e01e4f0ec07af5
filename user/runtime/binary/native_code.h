/* SPDX-License-Identifier: BSD-2-Clause */
/* Functions of C, C++ and Rust files: where they are, and where to probe them. Parser child only. */
#ifndef MEMTRACE_RUNTIME_NATIVE_CODE_H
#define MEMTRACE_RUNTIME_NATIVE_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_file;
struct code;
struct runtime_file;
struct runtime_probe;

struct native_function {
	uint64_t start, end; /* as linked */
};

/* The function of that (mangled) name; -ENOENT. */
int native_function_find(struct elf_file *elf, const char *name, struct native_function *ret);

/* The function that holds pc, by the file's unwind table, which stripping leaves; -ENOENT. */
int native_function_at(struct elf_file *elf, uint64_t pc, struct native_function *ret);

/*
 * The first max instructions of a function, with operands; the caller closes them. -EBADMSG where they
 * cannot be decoded.
 */
int native_code_open(
	struct elf_file *elf, const struct native_function *function, size_t max, struct code *ret);

/*
 * Chooses the instruction: the first one that the kernel emulates, reached by every call, with all that
 * ret->attachment reads still where it was at the entry; else the entry, single-stepped. Fills in vaddr,
 * file_offset, code, emulated and delta of ret. -EBADMSG where the code cannot be decoded.
 */
int native_probe_place(
	struct elf_file *elf, const struct native_function *function, struct runtime_probe *ret);

/* The same, appended to the file's probes; -ENOSPC where there are too many. */
int native_probe_add(struct elf_file *elf, const struct native_function *function,
	const struct runtime_probe *row, struct runtime_file *file);

/* The same at that instruction of its code. */
int native_probe_add_at(struct elf_file *elf, const struct native_function *function,
	const struct code *code, size_t i, const struct runtime_probe *row,
	struct runtime_file *file);

/*
 * Bytes between the stack pointer and the return address at a function's first call: what it pushed and
 * made room for on the straight way there. -ENOENT where there is no call.
 */
int native_frame_bytes(struct elf_file *elf, const struct native_function *function, int16_t *ret);

/* The function of whose code the first rip-relative operand points into [start, end); -ENOENT. */
int native_find_reference(
	struct elf_file *elf, uint64_t start, uint64_t end, struct native_function *ret);

/* What an instruction with REX.W, seven bytes long, points to; 0 = nothing. */
uint64_t native_pointed_to(const uint8_t code[7], uint64_t addr);

/* Address of the first such bytes among the constants (.rodata), aligned to 8; -ENOENT. */
int native_find_constant(struct elf_file *elf, const void *bytes, size_t count, uint64_t *ret_addr);

/* Appends one skip, printf style; dropped where there are too many already. */
__attribute__((format(printf, 3, 4))) void native_add_skip(
	struct runtime_file *file, const char *what, const char *format, ...);

/* What a file is, whoever's it is: build_id, pie, stripped, load_vaddr, data, execs. */
void native_describe(struct elf_file *elf, struct runtime_file *ret);

#endif
