/* SPDX-License-Identifier: BSD-2-Clause */
/* One search of a file for the places where C++ containers grow. Parser child only. */
#ifndef MEMTRACE_RUNTIME_CXX_SEARCH_H
#define MEMTRACE_RUNTIME_CXX_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/binary/native_calls.h"
#include "runtime/binary/native_code.h"
#include "runtime/cxx/cxx_members.h"

#define CXX_MAX_INSNS     8192
#define CXX_MAX_FUNCTIONS 4096
#define CXX_MAX_INLINED   256

/* The symbol of probes where a vector of libc++ grows without a function of its own. */
#define CXX_LIBCXX_VECTOR "std::vector of libc++, inlined"

struct elf_file;
struct code;
struct runtime_file;
struct runtime_probe;

struct cxx_found {
	const struct cxx_member *member;
	char *name; /* mangled */
	struct native_function function;
};

struct cxx_search {
	struct elf_file *elf;
	struct runtime_file *file;
	struct native_callee new; /* operator new */
	bool has_new;
	struct cxx_found list[CXX_MAX_FUNCTIONS];
	size_t count;
	/* Functions that refer to a literal: */
	struct {
		uint32_t literals; /* a bit each */
		struct native_function function;
	} inlined[CXX_MAX_INLINED];
	size_t inlined_count;
	size_t dropped;         /* for want of room */
	size_t unseen;          /* growth code without a place for a probe */
	size_t without_header;  /* places whose container is not known */
	size_t unknown_headers; /* arrays that may be a vector's growth, or not */
	size_t unknown_tables;
};

bool cxx_search_has(const struct cxx_search *search, enum cxx_probe probe);

/* Whether it calls operator new there, with a size that is no constant: what is made is an array. */
bool cxx_search_makes_array(struct cxx_search *search, const struct code *code, size_t i);

/* Probes those calls in a function of a vector with a name, where its header can be told; -ENOENT, -ENOSPC. */
int cxx_search_add_calls(struct cxx_search *search, const struct native_function *function,
	const struct code *code, struct runtime_probe *row);

/*
 * Where the header of the vector lies for which an array is made at the call, found by the words that are read
 * before it and written after it: a register that has the same value at all these places, and bytes from there.
 * False where that cannot be said. See cxx_header.c.
 */
struct cxx_header {
	uint8_t reg; /* enum mt_reg */
	int16_t offset;
};

bool cxx_search_header(
	struct cxx_search *search, const struct code *code, size_t call, struct cxx_header *ret);

/* A probe at the call: the header's three words, and the bytes of the new array. */
struct mt_attachment cxx_search_attachment(const struct cxx_header *header);

/* Growth that was compiled into its callers, or has no name: cxx_inlined.c. */
void cxx_search_inlined(struct cxx_search *search);

/* Tables of libc++ where their own function has no name: cxx_primes.c. Returns how many places were found. */
size_t cxx_search_primes(struct cxx_search *search);

/* ---- bytes of an element: cxx_elements.c ---- */

/* As the instructions [from, to) limit the number of elements; 0 = they do not. */
uint32_t cxx_elements_in(const struct code *code, size_t from, size_t to, bool libcxx);

/* Of the container that a function with a name belongs to; type is its name. 0 = not known. */
uint32_t cxx_elements_of(struct cxx_search *search, const struct cxx_found *found,
	const struct code *code, const char *type);

#endif
