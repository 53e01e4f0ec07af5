/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who refers to what in the code of C, C++ and Rust files: calls of one function, whichever way they go, and
 * references to strings, which stripping leaves. Parser child only.
 */
#ifndef MEMTRACE_RUNTIME_NATIVE_CALLS_H
#define MEMTRACE_RUNTIME_NATIVE_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/binary/native_code.h"

struct elf_file;
struct code;

/* A function as code reaches it: in this file, through the GOT, or both. 0 = not so. */
struct native_callee {
	uint64_t direct, slot;
};

/* By its (mangled) name; -ENOENT where the file neither has nor imports it. */
int native_callee_find(struct elf_file *elf, const char *name, struct native_callee *ret);

/* Whether the instruction is a call of it: direct, through the PLT or through the GOT. */
bool native_calls(struct elf_file *elf, const struct code *code, size_t i,
	const struct native_callee *callee);

/*
 * Where code gets to that jumps to addr, or through a slot of the GOT: for an entry of the PLT the function
 * that the file itself has for it; -ENOENT where that is another file's.
 */
int native_plt_target(struct elf_file *elf, uint64_t addr, uint64_t *ret);
int native_slot_target(struct elf_file *elf, uint64_t slot, uint64_t *ret);

/* Address of a string of .rodata, from its first to its last character; -ENOENT. */
int native_find_string(struct elf_file *elf, const char *text, uint64_t *ret_addr);

/*
 * Addresses that stand for a text without an end (Rust): its own, and those of the slices (address, length)
 * that hold it. Returns how many, at most max.
 */
size_t native_find_text(struct elf_file *elf, const char *text, uint64_t *ret_addrs, size_t max);

/* Calls found for each direct call of a function, or one through a word of the file, until it returns true. */
void native_each_call(
	struct elf_file *elf, uint64_t function, bool (*found)(uint64_t pc, void *arg), void *arg);

/* The same for each call of a callee, also through the PLT. */
void native_each_callee_call(struct elf_file *elf, const struct native_callee *callee,
	bool (*found)(uint64_t pc, void *arg), void *arg);

/*
 * Calls found for each place in .text that loads one of the addresses (which = its index), until it
 * returns true. pc is that of the instruction or a byte or two behind.
 */
void native_each_reference(struct elf_file *elf, const uint64_t *addrs, size_t count,
	bool (*found)(size_t which, uint64_t pc, void *arg), void *arg);

/*
 * The function whose code jumps into that one: compilers keep what is hardly ever run apart, under a
 * function of its own; -ENOENT.
 */
int native_find_jump_into(
	struct elf_file *elf, const struct native_function *cold, struct native_function *ret);

/*
 * The register in which a function keeps its first argument from its entry to the end: a callee-saved one
 * that it writes once. -1 where there is none; else as the wire numbers it.
 */
int native_argument_home(const struct code *code);

#endif
