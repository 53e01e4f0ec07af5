/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An ELF executable of this machine, read through its descriptor. For the parser child only: the
 * file is hostile.
 *
 * Contents are read with pread() into anonymous memory, 64 KiB at a time, when first asked for. The
 * file is never mapped: truncating it under our hands would raise SIGBUS. All returned pointers
 * stay valid until elf_file_close().
 */
#ifndef MEMTRACE_RUNTIME_ELF_FILE_H
#define MEMTRACE_RUNTIME_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_file;
struct function_symbols;

struct elf_section {
	uint64_t addr, offset, bytes;
};

/*
 * Opens an executable; fd stays the caller's and must stay open. -ENOEXEC where it is no ELF file
 * of this machine (32-bit and x32 included), -EBADMSG where its headers contradict the file.
 */
int elf_file_open(int fd, struct elf_file **ret);
void elf_file_close(struct elf_file *elf);

/* The descriptor it was opened with, still the opener's. */
int elf_file_fd(const struct elf_file *elf);

bool elf_file_is_pie(const struct elf_file *elf);
bool elf_file_has_symbols(const struct elf_file *elf);

/* p_vaddr - p_offset of the first PT_LOAD. */
uint64_t elf_file_load_vaddr(const struct elf_file *elf);

/* GNU build-id in hex; "" = none. */
const char *elf_file_build_id(const struct elf_file *elf);

/* False where there is no such section or it does not lie within the file. */
bool elf_file_section(struct elf_file *elf, const char *name, struct elf_section *ret);

/* A section's bytes, which need not be part of a segment (notes). NULL where there are none. */
const uint8_t *elf_file_section_bytes(struct elf_file *elf, const char *name, size_t *ret_bytes);

/*
 * The bytes at [vaddr, vaddr + bytes), all within the file part of one PT_LOAD, with
 * R_X86_64_RELATIVE relocations of a PIE applied as if it were loaded at 0. NULL where there are
 * none.
 */
const uint8_t *elf_file_bytes(struct elf_file *elf, uint64_t vaddr, uint64_t bytes);

/* How many bytes follow vaddr in the file part of its PT_LOAD; 0 = none. */
uint64_t elf_file_bytes_after(const struct elf_file *elf, uint64_t vaddr);

/* -ENOENT where vaddr is not in the file. */
int elf_file_offset(const struct elf_file *elf, uint64_t vaddr, uint64_t *ret);

/* True where vaddr lies in an executable PT_LOAD. */
bool elf_file_is_code(const struct elf_file *elf, uint64_t vaddr);

/* True where [vaddr, vaddr + bytes) lies in the memory (with .bss) of one PT_LOAD. */
bool elf_file_is_memory(const struct elf_file *elf, uint64_t vaddr, uint64_t bytes);

/* Address of a symbol of .symtab; -ENOENT. */
int elf_file_symbol(struct elf_file *elf, const char *name, uint64_t *ret);

/* Address of a symbol of .dynsym; -ENOENT. */
int elf_file_exported(struct elf_file *elf, const char *name, uint64_t *ret);

/*
 * Calls each for every function with an address, of .symtab or, in a stripped file, of .dynsym, until it
 * returns true.
 */
void elf_file_each_function(struct elf_file *elf,
	bool (*each)(const char *name, uint64_t addr, uint64_t bytes, void *arg), void *arg);

/*
 * Names of functions that were stripped from the file and came back with its debug information; they must
 * outlive it, or be taken back with NULL.
 */
void elf_file_lend_names(struct elf_file *elf, const struct function_symbols *names);

/* As elf_file_each_function(), of those that were lent where some were. */
void elf_file_each_name(struct elf_file *elf,
	bool (*each)(const char *name, uint64_t addr, uint64_t bytes, void *arg), void *arg);

/* True where the file asks another one for a function of one of these names. */
bool elf_file_imports(struct elf_file *elf, const char *const *names, size_t count);

/* True where the file is a library: it has a name to be loaded by (DT_SONAME). */
bool elf_file_is_library(struct elf_file *elf);

/* True where a library whose name begins so is loaded with the file (DT_NEEDED). */
bool elf_file_needs(struct elf_file *elf, const char *library);

/* Addresses of the writable data of the file, .bss included; false where it has none. */
bool elf_file_data(const struct elf_file *elf, uint64_t *ret_start, uint64_t *ret_end);

/* The data symbol of .symtab or, in a stripped file, of .dynsym that holds addr; NULL = none. */
const char *elf_file_data_symbol(struct elf_file *elf, uint64_t addr, uint64_t *ret_offset);

#endif
