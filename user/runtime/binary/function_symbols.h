/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which function holds an address, by the symbol tables of one or more ELF files of the same code
 * (the loaded one, its debug file, its .gnu_debugdata). Parser child only.
 */
#ifndef MEMTRACE_RUNTIME_FUNCTION_SYMBOLS_H
#define MEMTRACE_RUNTIME_FUNCTION_SYMBOLS_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct function_symbol {
	uint64_t addr, bytes; /* 0 bytes: up to the next symbol */
	const char *name;     /* as in the file, mangled */
};

/* A zeroed one is empty. */
struct function_symbols {
	struct function_symbol *list; /* sorted once asked */
	size_t count, capacity;
	bool sorted;
};

/* Adds .symtab and .dynsym of elf, which must outlive the table. */
void function_symbols_add(struct function_symbols *symbols, Elf *elf);
void function_symbols_done(struct function_symbols *symbols);

/* NULL where none holds addr. */
const struct function_symbol *function_symbols_find(
	struct function_symbols *symbols, uint64_t addr);

#endif
