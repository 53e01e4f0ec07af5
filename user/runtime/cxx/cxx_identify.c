/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libstdc++'s std::unordered_* ask one function for their next number of buckets, and only when they grow,
 * shrink or are made: _Prime_rehash_policy::_M_next_bkt. It is in libstdc++.so.6, or in the executable that
 * was linked with -static-libstdc++; where strip has taken its name, its table of primes is still there, and
 * it is the only function that points to it.
 *
 * Its argument `this` is the policy inside the table: std::_Hashtable (bits/hashtable.h, GCC 5 to 14) is
 *
 *	-32 buckets  -24 bucket count  -16 before_begin.next  -8 elements  0 max_load  8 next_resize
 */
#include "runtime/cxx/cxx_identify.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/cxx/cxx_functions.h"
#include "runtime/binary/elf_file.h"
#include "runtime/binary/native_code.h"
#include "runtime/runtime.h"

#define NEXT_BUCKETS "_ZNKSt8__detail20_Prime_rehash_policy11_M_next_bktEm"
#define NEED_REHASH  "_ZNKSt8__detail20_Prime_rehash_policy14_M_need_rehashEmmm"

#define REG(r)      ((struct mt_source){MT_FROM_REG, MT_REG_##r, 0})
#define MEM(r, off) ((struct mt_source){MT_FROM_MEM, MT_REG_##r, off})

/* How the table begins; it has the address of a 64-bit array and nothing else looks like it. */
static const uint64_t first_primes[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};

static int read_primes(struct elf_file *elf, struct cxx_facts *facts, uint64_t *ret_addr)
{
	uint64_t addr, count;
	const uint8_t *table;

	if (native_find_constant(elf, first_primes, sizeof(first_primes), &addr))
		return -ENOENT;
	count = MIN(elf_file_bytes_after(elf, addr) / 8, (uint64_t)CXX_MAX_PRIMES);
	table = elf_file_bytes(elf, addr, count * 8);
	if (!table)
		return -ENOENT;
	memcpy(facts->primes, table, count * 8);
	/* The last one is followed by something else, which is smaller or no number of buckets. */
	for (facts->prime_count = 1; facts->prime_count < count; facts->prime_count++)
		if (facts->primes[facts->prime_count] <= facts->primes[facts->prime_count - 1])
			break;
	*ret_addr = addr;
	return 0;
}

/* Without names: the function that points to the table; _M_need_rehash is the next one in its file. */
static int find_stripped(struct elf_file *elf, uint64_t primes, struct native_function *next,
	struct native_function *need)
{
	if (native_find_reference(elf, primes, primes + sizeof(first_primes), next))
		return -ENOENT;
	/* Functions begin at multiples of 16. */
	if (native_function_at(elf, (next->end + 15) & ~15ull, need))
		*need = (struct native_function){};
	return 0;
}

static int find_functions(struct elf_file *elf, uint64_t primes, struct native_function *next,
	struct native_function *need)
{
	if (native_function_find(elf, NEXT_BUCKETS, next))
		return elf_file_has_symbols(elf) ? -ENOENT : find_stripped(elf, primes, next, need);
	if (native_function_find(elf, NEED_REHASH, need))
		*need = (struct native_function){};
	return 0;
}

static int add_hash_probe(struct elf_file *elf, const struct native_function *next,
	const struct native_function *need, struct runtime_file *ret)
{
	struct runtime_probe row = {
		.probe = CXX_PROBE_NEXT_BUCKETS,
		.family = FAMILY_MAP,
		.symbol = "std::_Prime_rehash_policy::_M_next_bkt",
		.type = "std::unordered_map",
		.attachment =
			{
				.kind = MT_GROW,
				.addr = REG(DI),
				.val = {REG(SI), MEM(DI, -24)},
			},
	};
	int16_t frame;

	/* In a file of its own, or with names, it is known to be the library's, whoever calls it. */
	if (elf_file_has_symbols(elf) || elf_file_is_library(elf)) {
		row.attachment.flags = MT_ATTACH_STACK;
		return native_probe_add(elf, next, &row, ret);
	}
	/* Called by _M_need_rehash, whose own return address lies behind its frame. */
	row.attachment.val[2] = MEM(SP, 0);
	if (need->start && !native_frame_bytes(elf, need, &frame)) {
		row.attachment.val[3] = MEM(SP, 8 + frame);
		ret->cxx.need_rehash = need->start;
		ret->cxx.need_rehash_end = need->end;
	}
	return native_probe_add(elf, next, &row, ret);
}

/* 1 = it has them. */
static int find_hash_tables(struct elf_file *elf, struct runtime_file *ret)
{
	struct native_function next = {}, need = {};
	uint64_t primes;

	if (read_primes(elf, &ret->cxx, &primes) || find_functions(elf, primes, &next, &need))
		return 0;
	ret->reading = true;
	if (add_hash_probe(elf, &next, &need, ret))
		native_add_skip(
			ret, "growth of std::unordered containers", "_M_next_bkt cannot be probed");
	return 1;
}

static bool needs_library(struct elf_file *elf)
{
	return elf_file_needs(elf, "libstdc++.so") || elf_file_needs(elf, "libc++.so");
}

/* Linked with it, statically too, or the library itself. */
static bool uses_libcxx(struct elf_file *elf, const struct runtime_file *file)
{
	for (uint32_t i = 0; i < file->probe_count; i++)
		if (cxx_functions_is_libcxx(&file->probes[i]))
			return true;
	return elf_file_needs(elf, "libc++.so");
}

static void tell(struct elf_file *elf, struct runtime_file *file)
{
	if (elf_file_is_library(elf))
		return;
	if (uses_libcxx(elf, file))
		native_add_skip(file, "growth of std::deque", "of libc++ it is not followed");
	if (!elf_file_has_symbols(elf))
		native_add_skip(file, "hash tables of abseil and Boost",
			"known by the names of their functions, which this file does not have");
}

int cxx_identify(struct elf_file *elf, struct runtime_file *ret)
{
	struct runtime_file found = {.runtime = "c++"};
	bool tables = find_hash_tables(elf, &found), functions = cxx_functions_find(elf, &found);

	/* A Go program has its tables elsewhere, and C++ linked into it keeps its symbols with it. */
	if (!tables && !functions && !needs_library(elf))
		return 0;
	text_copy(found.version, sizeof(found.version),
		uses_libcxx(elf, &found) ? "C++ (libc++)" : "C++ (libstdc++)");
	native_describe(elf, &found);
	tell(elf, &found);
	if (found.probe_count)
		native_add_skip(&found, "C++ containers from before attach",
			"followed from their next growth: nothing lists those that are there");
	found.reading = true;
	*ret = found;
	return 1;
}
