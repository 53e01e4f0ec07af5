/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each program has its own copy of a template. Where the compiler kept what makes it grow as a function, its
 * entry says all: the header that `this` points to, and what is about to be replaced.
 *
 *	std::vector	0 begin  8 end  16 end of capacity		(bits/stl_vector.h, libc++'s vector)
 *	std::string	0 data  8 length  16 capacity or local buffer	(bits/basic_string.h)
 *	  of libc++	0 bytes asked, or 1 for long  8 length  16 data	(string; a short one is in these words)
 *	std::deque	0 array of blocks  8 its size  16 start  48 finish (bits/stl_deque.h)
 *
 * Hash tables: see cxx_buckets.c and cxx_slots.c.
 */
#include "runtime/cxx/cxx_members.h"

#include <string.h>

#include "base/mem.h"

#define REG(r)      ((struct mt_source){MT_FROM_REG, MT_REG_##r, 0})
#define MEM(r, off) ((struct mt_source){MT_FROM_MEM, MT_REG_##r, off})

#define VECTOR        "_ZNSt6vectorI"
#define CONST_VECTOR  "_ZNKSt6vectorI"
#define STRING        "_ZNSt7__cxx1112basic_stringI"
#define DEQUE         "_ZNSt5dequeI"
#define LIBCXX_VECTOR "_ZNSt3__16vectorI"
#define LIBCXX_STRING "_ZNSt3__112basic_stringI"
#define LIBCXX_TABLE  "_ZNSt3__112__hash_tableI"
#define BOOST_TABLE   "_ZN5boost9unordered6detail5tableI"
#define BOOST_FLAT    "_ZN5boost9unordered6detail3foa5tableI"
#define BOOST_CORE    "_ZN5boost9unordered6detail3foa10table_coreI"

/* abseil's inline namespace is its version: what Debian and Ubuntu name so, and what abseil itself does */
#define ABSL_SET         "18container_internal12raw_hash_setI"
#define ABSL(name)       "_ZN4absl" name ABSL_SET
#define ABSL_RESIZE      "E6resizeEm"
#define ABSL_RESIZE_IMPL "E11resize_implERNS"
#define ABSL_RESIZE_WHAT "absl raw_hash_set::resize"

/* Those without a probe have the literal, too, and leave the growing to one of the others. */
static const struct cxx_member members[] = {
	{VECTOR, "E17_M_realloc_insertI", CXX_PROBE_VECTOR_TWICE, "std::vector::_M_realloc_insert",
		0},
	{VECTOR, "E17_M_realloc_appendI", CXX_PROBE_VECTOR_TWICE, "std::vector::_M_realloc_append",
		0},
	{VECTOR, "E17_M_default_appendEm", CXX_PROBE_VECTOR_NEW, "std::vector::_M_default_append",
		0},
	{VECTOR, "E14_M_fill_insertE", CXX_PROBE_VECTOR_NEW, "std::vector::_M_fill_insert", 0},
	{VECTOR, "E14_M_fill_appendE", CXX_PROBE_VECTOR_NEW, "std::vector::_M_fill_append", 0},
	{VECTOR, "E14_M_fill_assignE", CXX_PROBE_VECTOR_NEW, "std::vector::_M_fill_assign", 0},
	{VECTOR, "E15_M_range_insertI", CXX_PROBE_VECTOR_NEW, "std::vector::_M_range_insert", 0},
	{VECTOR, "E7reserveEm", CXX_PROBE_VECTOR_NEW, "std::vector::reserve", 0},
	{STRING, "E9_M_mutateEmmPK", CXX_PROBE_STRING, "std::string::_M_mutate", 0},
	{STRING, "E7reserveEm", CXX_PROBE_STRING_RESERVE, "std::string::reserve", 0},
	{DEQUE, "E17_M_reallocate_mapEmb", CXX_PROBE_DEQUE, "std::deque::_M_reallocate_map", 0},
	{CONST_VECTOR, "E12_M_check_lenEmPKc", CXX_PROBES, NULL, 0},
	{LIBCXX_VECTOR, "E21__push_back_slow_pathI", CXX_PROBE_VECTOR_TWICE,
		"std::vector::__push_back_slow_path", 0},
	{LIBCXX_VECTOR, "E24__emplace_back_slow_pathI", CXX_PROBE_VECTOR_TWICE,
		"std::vector::__emplace_back_slow_path", 0},
	{LIBCXX_VECTOR, "E8__appendEm", CXX_PROBE_VECTOR_NEW, "std::vector::__append", 0},
	{LIBCXX_VECTOR, "E6insertE", CXX_PROBE_VECTOR_NEW, "std::vector::insert", 0},
	{LIBCXX_VECTOR, "E6insertI", CXX_PROBE_VECTOR_NEW, "std::vector::insert", 0},
	{LIBCXX_VECTOR, "E18__insert_with_sizeI", CXX_PROBE_VECTOR_NEW, "std::vector::insert", 0},
	{LIBCXX_VECTOR, "E7emplaceI", CXX_PROBE_VECTOR_NEW, "std::vector::emplace", 0},
	{LIBCXX_VECTOR, "E6assignE", CXX_PROBE_VECTOR_NEW, "std::vector::assign", 0},
	{LIBCXX_VECTOR, "E6assignI", CXX_PROBE_VECTOR_NEW, "std::vector::assign", 0},
	{LIBCXX_VECTOR, "E18__assign_with_sizeI", CXX_PROBE_VECTOR_NEW, "std::vector::assign", 0},
	{LIBCXX_VECTOR, "E7reserveEm", CXX_PROBE_VECTOR_NEW, "std::vector::reserve", 0},
	{LIBCXX_STRING, "E9__grow_byE", CXX_PROBE_LIBCXX_STRING, "std::string::__grow_by", 0},
	{LIBCXX_STRING, "E21__grow_by_and_replaceE", CXX_PROBE_LIBCXX_STRING,
		"std::string::__grow_by_and_replace", 0},
	{LIBCXX_STRING, "E7reserveE", CXX_PROBE_LIBCXX_STRING_NEW, "std::string::reserve",
		CXX_PROBE_LIBCXX_STRING_RESERVE},
	{LIBCXX_STRING, "E9push_backE", CXX_PROBE_LIBCXX_STRING_NEW, "std::string::push_back", 0},
	{LIBCXX_STRING, "E6appendE", CXX_PROBE_LIBCXX_STRING_NEW, "std::string::append", 0},
	{LIBCXX_STRING, "E6appendI", CXX_PROBE_LIBCXX_STRING_NEW, "std::string::append", 0},
	{LIBCXX_STRING, "E6insertE", CXX_PROBE_LIBCXX_STRING_NEW, "std::string::insert", 0},
	{LIBCXX_STRING, "E6insertI", CXX_PROBE_LIBCXX_STRING_NEW, "std::string::insert", 0},
	{LIBCXX_STRING, "E6resizeE", CXX_PROBE_LIBCXX_STRING_NEW, "std::string::resize", 0},
	{LIBCXX_STRING, "E6assignE", CXX_PROBE_LIBCXX_STRING_NEW, "std::string::assign", 0},
	{LIBCXX_STRING, "E6assignI", CXX_PROBE_LIBCXX_STRING_NEW, "std::string::assign", 0},
	{LIBCXX_STRING, "E17__assign_no_aliasI", CXX_PROBE_LIBCXX_STRING_NEW,
		"std::string::__assign_no_alias", 0},
	{LIBCXX_STRING, "E17__assign_externalE", CXX_PROBE_LIBCXX_STRING_NEW,
		"std::string::__assign_external", 0},
	{LIBCXX_STRING, "E7replaceE", CXX_PROBE_LIBCXX_STRING_NEW, "std::string::replace", 0},
	{LIBCXX_STRING, "E7replaceI", CXX_PROBE_LIBCXX_STRING_NEW, "std::string::replace", 0},
	{LIBCXX_STRING, "E18__shrink_or_extendE", CXX_PROBE_LIBCXX_STRING_NEW,
		"std::string::__shrink_or_extend", 0},
	{LIBCXX_TABLE, "E8__rehashEm", CXX_PROBE_LIBCXX_TABLE, "std::__hash_table::__rehash", 0},
	{LIBCXX_TABLE, "E11__do_rehashILb", CXX_PROBE_LIBCXX_TABLE,
		"std::__hash_table::__do_rehash", 0},
	{BOOST_TABLE, "E11rehash_implEm", CXX_PROBE_BOOST_TABLE,
		"boost::unordered::detail::table::rehash_impl", 0},
	{BOOST_FLAT, "E16unchecked_rehashERNS", CXX_PROBE_BOOST_FLAT,
		"boost::unordered::detail::foa::table::unchecked_rehash", 0},
	{BOOST_CORE, "E16unchecked_rehashERNS", CXX_PROBE_BOOST_FLAT_CORE,
		"boost::unordered::detail::foa::table_core::unchecked_rehash", 0},
	{ABSL("7debian3"), ABSL_RESIZE, CXX_PROBE_ABSL_TABLE, ABSL_RESIZE_WHAT, 0},
	{ABSL("12lts_20220623"), ABSL_RESIZE, CXX_PROBE_ABSL_TABLE, ABSL_RESIZE_WHAT, 0},
	{ABSL("7debian7"), ABSL_RESIZE_IMPL, CXX_PROBE_ABSL_COMMON, ABSL_RESIZE_WHAT, 0},
	{ABSL("12lts_20240722"), ABSL_RESIZE_IMPL, CXX_PROBE_ABSL_COMMON, ABSL_RESIZE_WHAT, 0},
};

static const struct {
	enum cxx_probe probe;
	enum family family;
	struct mt_attachment attachment;
} entries[] = {
	{CXX_PROBE_VECTOR_TWICE, FAMILY_VECTOR,
		{.val = {MEM(DI, 0), MEM(DI, 8), MEM(DI, 16)},
			.floor = 1}}, /* the first array replaces nothing */
	{CXX_PROBE_STRING, FAMILY_VECTOR,
		{.val = {MEM(DI, 0), MEM(DI, 8), MEM(DI, 16), REG(DX), REG(R8)}, .floor = 1}},
	{CXX_PROBE_STRING_RESERVE, FAMILY_VECTOR,
		{.val = {MEM(DI, 0), MEM(DI, 8), MEM(DI, 16), REG(SI)}, .floor = 1}},
	{CXX_PROBE_DEQUE, FAMILY_VECTOR,
		{.val = {MEM(DI, 0), MEM(DI, 8), MEM(DI, 40), MEM(DI, 72), REG(SI)}, .floor = 1}},
	{CXX_PROBE_LIBCXX_STRING, FAMILY_VECTOR,
		{.val = {MEM(DI, 0), MEM(DI, 8), MEM(DI, 16), REG(SI), REG(DX), REG(CX)}}},
	{CXX_PROBE_LIBCXX_STRING_RESERVE, FAMILY_VECTOR,
		{.val = {MEM(DI, 0), MEM(DI, 8), MEM(DI, 16), REG(SI)}}},
	{CXX_PROBE_LIBCXX_TABLE, FAMILY_MAP, {.val = {REG(SI), MEM(DI, 8), MEM(DI, 24)}}},
	{CXX_PROBE_BOOST_TABLE, FAMILY_MAP, {.val = {REG(SI), MEM(DI, 40), MEM(DI, 8)}}},
	{CXX_PROBE_ABSL_TABLE, FAMILY_MAP, {.val = {REG(SI), MEM(DI, 24), MEM(DI, 16)}}},
	{CXX_PROBE_ABSL_COMMON, FAMILY_MAP, {.val = {REG(SI), MEM(DI, 0), MEM(DI, 8)}}},
	{CXX_PROBE_BOOST_FLAT, FAMILY_MAP,
		{.val = {MEM(SI, 8), MEM(SI, 16), MEM(SI, 24), MEM(DI, 16), MEM(DI, 32),
			 MEM(DI, 0)}}},
	{CXX_PROBE_BOOST_FLAT_CORE, FAMILY_MAP,
		{.val = {MEM(SI, 8), MEM(SI, 16), MEM(SI, 24), MEM(DI, 8), MEM(DI, 24),
			 MEM(DI, 40)}}},
};

static bool starts_with(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

const struct cxx_member *cxx_member_find(const char *name)
{
	/* Bits have no bytes; a name with a dot is a part of a function, or one with other arguments. */
	if (starts_with(name, VECTOR "bSaIbE") || starts_with(name, LIBCXX_VECTOR "bNS_") ||
		strchr(name, '.'))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (starts_with(name, members[i].class_prefix) && strstr(name, members[i].name))
			return &members[i];
	return NULL;
}

bool cxx_member_is_unknown_table(const char *name)
{
	return starts_with(name, "_ZN4absl") && strstr(name, ABSL_SET) &&
	       (strstr(name, ABSL_RESIZE) || strstr(name, ABSL_RESIZE_IMPL)) &&
	       !cxx_member_find(name);
}

struct mt_attachment cxx_member_attachment(enum cxx_probe probe)
{
	struct mt_attachment attachment = {0};

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		if (entries[i].probe == probe)
			attachment = entries[i].attachment;
	attachment.kind = MT_GROW;
	attachment.flags = MT_ATTACH_STACK;
	attachment.addr = REG(DI);
	return attachment;
}

enum family cxx_member_family(enum cxx_probe probe)
{
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		if (entries[i].probe == probe)
			return entries[i].family;
	return FAMILY_VECTOR;
}
