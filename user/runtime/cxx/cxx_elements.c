/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How large an element is, where its name does not say: the most elements that a vector may have are compared
 * with in its code. A vector of libstdc++ has at most PTRDIFF_MAX bytes, one of libc++ SIZE_MAX.
 */
#include <capstone/capstone.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/cxx/cxx_name.h"
#include "runtime/cxx/cxx_search.h"
#include "runtime/binary/elf_file.h"
#include "runtime/binary/code.h"

#define MAX_ELEMENT (1u << 20)

static uint32_t element_of_limit(uint64_t limit, uint64_t most)
{
	uint64_t bytes = limit ? most / limit : 0;

	return bytes && bytes <= MAX_ELEMENT && most / bytes == limit ? (uint32_t)bytes : 0;
}

/*
 * movabs $limit, reg. Other limits are derived from it. Those of libstdc++ are larger (twice as many elements would
 * be too many for a size_t), so the largest element is right; libc++ compares with half of it, too.
 */
uint32_t cxx_elements_in(const struct code *code, size_t from, size_t to, bool libcxx)
{
	uint32_t found = 0;

	for (size_t i = from; i < to; i++) {
		const cs_x86 *x86 = &code->insns[i].detail->x86;
		uint32_t element;

		if (x86->op_count != 2 || x86->operands[1].type != X86_OP_IMM ||
			x86->operands[1].size != 8)
			continue;
		element = element_of_limit(
			(uint64_t)x86->operands[1].imm, libcxx ? UINT64_MAX : INT64_MAX);
		if (element && (!found || (element < found) == libcxx))
			found = element;
	}
	return found;
}

struct limit_search {
	const char *prefix;
	size_t length;
	struct native_function found;
};

/* Without optimisation the limit is in a function of its own, of the same class. */
static bool take_limit(const char *name, uint64_t addr, uint64_t bytes, void *arg)
{
	struct limit_search *limit = arg;

	if (strncmp(name, limit->prefix, limit->length) ||
		strncmp(name + limit->length, "E11_S_max_size", sizeof("E11_S_max_size") - 1))
		return false;
	limit->found = (struct native_function){addr, addr + bytes};
	return true;
}

static uint32_t element_of_class(struct cxx_search *search, const struct cxx_found *found)
{
	struct limit_search limit = {
		found->name, (size_t)(strstr(found->name, found->member->name) - found->name), {0}};
	struct code code;
	uint32_t bytes;

	elf_file_each_function(search->elf, take_limit, &limit);
	if (!limit.found.start || native_code_open(search->elf, &limit.found, CXX_MAX_INSNS, &code))
		return 0;
	bytes = cxx_elements_in(&code, 0, code.count, false);
	code_close(&code);
	return bytes;
}

uint32_t cxx_elements_of(struct cxx_search *search, const struct cxx_found *found,
	const struct code *code, const char *type)
{
	static const struct {
		const char *type;
		uint32_t bytes;
	} strings[] = {{"std::string", 1}, {"std::u8string", 1}, {"std::u16string", 2},
		{"std::u32string", 4}, {"std::wstring", 4}};
	bool libcxx = strstr(found->name, "St3__1") != NULL;
	uint32_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		if (!strcmp(type, strings[i].type))
			return strings[i].bytes;
	if (cxx_member_family(found->member->probe) == FAMILY_MAP)
		return cxx_name_slot_bytes(type, libcxx);
	bytes = cxx_name_element_bytes(type, libcxx);
	/* A deque's limit is that of its array. */
	if (bytes || strncmp(type, "std::vector<", 12))
		return bytes;
	bytes = cxx_elements_in(code, 0, code->count, libcxx);
	return bytes ? bytes : element_of_class(search, found);
}
