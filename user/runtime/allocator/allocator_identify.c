/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each malloc begins its complaints with its name: that text is among the constants of whatever it is
 * linked into, and stays there when the symbols are stripped. (Strings are cut here, so that memtrace does not
 * find itself.)
 */
#include "runtime/allocator/allocator_identify.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/binary/elf_file.h"
#include "runtime/binary/native_code.h"
#include "runtime/runtime.h"

#define MAX_VERSION 64

struct constants {
	const char *start;
	size_t bytes;
};

static const char *find(const struct constants *constants, const char *from, const char *text)
{
	size_t left = constants->bytes - (size_t)(from - constants->start);

	return memmem(from, left, text, strlen(text));
}

/* Copies digits and dots. */
static void copy_number(
	const struct constants *constants, const char *from, struct runtime_allocator *ret)
{
	size_t left = constants->bytes - (size_t)(from - constants->start), i = 0;

	while (i < left && i < sizeof(ret->version) - 1 &&
		(isdigit((unsigned char)from[i]) || from[i] == '.'))
		i++;
	while (i && from[i - 1] == '.')
		i--;
	memcpy(ret->version, from, i);
	ret->version[i] = 0;
}

/* "5.3.0-0-g54eaed1d8b56b1aa528be3bdd1877e59c56fa90c", a constant of its own */
static void jemalloc_version(
	struct elf_file *elf, const struct constants *constants, struct runtime_allocator *ret)
{
	const char *at = constants->start;

	(void)elf;
	while ((at = find(constants, at, "-g"))) {
		const char *begin = at;

		while (begin > constants->start && at - begin < MAX_VERSION && begin[-1])
			begin--;
		if (isdigit((unsigned char)*begin) && memchr(begin, '.', (size_t)(at - begin)) &&
			memchr(begin, '-', (size_t)(at - begin))) {
			copy_number(constants, begin, ret);
			return;
		}
		at++;
	}
}

static void tcmalloc_version(
	struct elf_file *elf, const struct constants *constants, struct runtime_allocator *ret)
{
	static const char before[] = "gperftools ";
	const char *at = find(constants, constants->start, before);

	(void)elf;
	if (at)
		copy_number(constants, at + sizeof(before) - 1, ret);
}

/* mi_version() is "mov $209, %eax; ret", with an endbr64 before it or not. */
static void mimalloc_version(
	struct elf_file *elf, const struct constants *constants, struct runtime_allocator *ret)
{
	static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
	struct native_function function;
	const uint8_t *code;
	uint32_t number;

	(void)constants;
	if (native_function_find(elf, "mi_version", &function))
		return;
	code = elf_file_bytes(elf, function.start, 10);
	if (!code)
		return;
	code += memcmp(code, endbr, sizeof(endbr)) ? 0 : sizeof(endbr);
	memcpy(&number, code + 1, sizeof(number));
	if (code[0] == 0xb8 && code[5] == 0xc3 && number >= 100 && number < 1000)
		snprintf(ret->version, sizeof(ret->version), "%u.%u.%u", number / 100,
			number / 10 % 10, number % 10);
}

static void glibc_version(
	struct elf_file *elf, const struct constants *constants, struct runtime_allocator *ret)
{
	static const char before[] = "release version ";
	const char *at = find(constants, constants->start, "GNU C Library (");

	(void)elf;
	at = at ? find(constants, at, before) : NULL;
	if (at)
		copy_number(constants, at + sizeof(before) - 1, ret);
}

static const struct known {
	const char *name;
	const char *begin, *end; /* of the text that tells */
	void (*version)(struct elf_file *elf, const struct constants *constants,
		struct runtime_allocator *ret);
	const char
		*function; /* by whose name it is known how its functions are prefixed; or NULL */
} all[] = {
	{"jemalloc", "<jemal", "loc>: ", jemalloc_version, "mallctl"},
	{"tcmalloc", "tcmalloc: allo", "cation failed", tcmalloc_version, NULL},
	{"mimalloc", "mimalloc: war", "ning: ", mimalloc_version, NULL},
	{"glibc", "malloc(): corrupted", " top size", glibc_version, NULL},
};

struct prefix {
	const char *function;
	char *ret;
	size_t bytes;
};

/* "je_mallctl": shortest wins, "mallctl" itself has none. */
static bool take_prefix(const char *name, uint64_t addr, uint64_t bytes, void *arg)
{
	struct prefix *prefix = arg;
	size_t length = strlen(name), tail = strlen(prefix->function);

	(void)addr;
	(void)bytes;
	if (length < tail || length - tail >= prefix->bytes ||
		strcmp(name + length - tail, prefix->function))
		return false;
	memcpy(prefix->ret, name, length - tail);
	prefix->ret[length - tail] = 0;
	return true;
}

static bool is_here(const struct constants *constants, const struct known *known)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%s", known->begin, known->end);
	return find(constants, constants->start, text) != NULL;
}

void allocator_identify(struct elf_file *elf, struct runtime_allocator *ret)
{
	struct constants constants = {0};
	size_t i = 0;

	*ret = (struct runtime_allocator){0};
	constants.start = (const char *)elf_file_section_bytes(elf, ".rodata", &constants.bytes);
	if (!constants.start)
		return;
	while (i < ARRAY_SIZE(all) && !is_here(&constants, &all[i]))
		i++;
	if (i == ARRAY_SIZE(all))
		return;
	text_copy(ret->name, sizeof(ret->name), all[i].name);
	all[i].version(elf, &constants, ret);
	if (all[i].function) {
		struct prefix prefix = {all[i].function, ret->prefix, sizeof(ret->prefix)};

		elf_file_each_function(elf, take_prefix, &prefix);
	}
}
