/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/cxx/cxx_name.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct {
	const char *function, *name;
	uint32_t element_bytes;
} cases[] = {
	{"std::vector<int, std::allocator<int> >::push_back", "std::vector<int>", 4},
	{"std::vector<long*, std::allocator<long*> >::f", "std::vector<long*>", 8},
	{"std::vector<std::vector<int, std::allocator<int> >, "
	 "std::allocator<std::vector<int, std::allocator<int> > > >::_M_realloc_insert<int>",
		"std::vector<std::vector<int>>", 24},
	{"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >::_M_"
	 "mutate",
		"std::string", 0},
	{"std::vector<std::__cxx11::basic_string<char, std::char_traits<char>, "
	 "std::allocator<char> >, std::allocator<std::__cxx11::basic_string<char, "
	 "std::char_traits<char>, std::allocator<char> > > >::f",
		"std::vector<std::string>", 32},
	{"std::unordered_map<int, long, std::hash<int>, std::equal_to<int>, "
	 "std::allocator<std::pair<int const, long> > >::operator[]",
		"std::unordered_map<int, long>", 4},
	{"std::vector<Mine, MyAllocator<Mine> >::f", "std::vector<Mine, MyAllocator<Mine>>", 0},
	{"std::vector<int", "std::vector<int", 4},
	{"main", "main", 0},
	{"", "", 0},
};

Test(cxx_name, class_of_a_member)
{
	char name[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cxx_name_class(cases[i].function, name, sizeof(name));
		cr_expect_str_eq(name, cases[i].name);
		cr_expect_eq(
			cxx_name_element_bytes(name, false), cases[i].element_bytes, "%s", name);
	}
}

#define TRAITS(multi)                                                                              \
	"std::__detail::_Mod_range_hashing, std::__detail::_Default_ranged_hash, "                 \
	"std::__detail::_Prime_rehash_policy, std::__detail::_Hashtable_traits<false, "            \
	"false, " multi

static const struct {
	const char *function, *name;
} containers[] = {
	{"std::_Hashtable<int, std::pair<int const, long>, std::allocator<std::pair<int const, "
	 "long> "
	 ">, std::__detail::_Select1st, std::equal_to<int>, std::hash<int>, " TRAITS(
		 "true> >::_M_rehash"),
		"std::unordered_map<int, long>"},
	{"std::_Hashtable<int, std::pair<int const, std::vector<long, std::allocator<long> > >, "
	 "std::allocator<int>, std::__detail::_Select1st, std::equal_to<int>, "
	 "std::hash<int>, " TRAITS("false> >::_M_insert_multi_node"),
		"std::unordered_multimap<int, std::vector<long>>"},
	{"std::_Hashtable<long, long, std::allocator<long>, std::__detail::_Identity, "
	 "std::equal_to<long>, std::hash<long>, " TRAITS("true> >::_M_rehash"),
		"std::unordered_set<long>"},
	{"std::vector<int, std::allocator<int> >::push_back", "std::vector<int>"},
	{"std::__1::vector<int, std::__1::allocator<int> >::push_back", "std::vector<int>"},
	{"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >::append",
		"std::string"},
	{"std::_Hashtable<int", ""},
	{"std::__new_allocator<long>::allocate", ""},
	{"process<std::vector<int> >", ""},
	{"", ""},
};

Test(cxx_name, container_of_a_member)
{
	for (size_t i = 0; i < sizeof(containers) / sizeof(*containers); i++) {
		char name[160] = "";

		cr_expect_eq(cxx_name_container(containers[i].function, name, sizeof(name)),
			*containers[i].name != 0);
		cr_expect_str_eq(name, containers[i].name);
	}
}

#define ABSL "absl::debian3::container_internal::"

static const struct {
	const char *function, *name;
	uint32_t slot_bytes;
} types[] = {
	{"std::__1::__hash_table<std::__1::__hash_value_type<int, long>, "
	 "std::__1::__unordered_map_hasher<int, std::__1::__hash_value_type<int, long>, "
	 "std::__1::hash<int>, std::__1::equal_to<int>, true> >::__rehash",
		"std::unordered_map<int, long>", 16},
	{"std::__1::__hash_table<std::__1::basic_string<char, std::__1::char_traits<char>, "
	 "std::__1::allocator<char> >, std::__1::hash<int> >::__do_rehash<true>",
		"std::unordered_set<std::string>", 24},
	{ABSL "raw_hash_set<" ABSL "FlatHashMapPolicy<int, long>, absl::Hash<int>, "
	      "std::equal_to<int>, std::allocator<int> >::resize",
		"absl::flat_hash_map<int, long>", 16},
	{ABSL "raw_hash_set<" ABSL "FlatHashMapPolicy<char, int>, absl::Hash<char> >::resize",
		"absl::flat_hash_map<char, int>", 8},
	{ABSL "raw_hash_set<" ABSL "FlatHashSetPolicy<short>, absl::Hash<short> >::resize",
		"absl::flat_hash_set<short>", 2},
	{ABSL "raw_hash_set<" ABSL "FlatHashSetPolicy<Mine>, absl::Hash<Mine> >::resize",
		"absl::flat_hash_set<Mine>", 0},
	{ABSL "raw_hash_set<" ABSL "FlatHashMapPolicy<int, Mine>, absl::Hash<int> >::resize",
		"absl::flat_hash_map<int, Mine>", 0},
	{ABSL "raw_hash_set<" ABSL "FlatHashSetPolicy<long double>, absl::Hash<int> >::resize",
		"absl::flat_hash_set<long double>", 0},
	{ABSL "raw_hash_set<" ABSL "NodeHashMapPolicy<int, Mine>, absl::Hash<int> >::resize",
		"absl::node_hash_map<int, Mine>", 8},
	{"boost::unordered::detail::foa::table<boost::unordered::unordered_flat_map<int, "
	 "std::vector<long, std::allocator<long> >, boost::hash<int>, std::equal_to<int> "
	 ">::map_types, boost::hash<int> >::unchecked_rehash",
		"boost::unordered_flat_map<int, std::vector<long>>", 32},
	{"boost::unordered::detail::foa::table_core<boost::unordered::detail::foa::flat_set_types"
	 "<long>, boost::unordered::detail::foa::group15>::unchecked_rehash",
		"boost::unordered_flat_set<long>", 8},
	{"boost::unordered::detail::table<boost::unordered::detail::map<std::allocator<std::pair"
	 "<int const, long> >, int, long, boost::hash<int> > >::rehash_impl",
		"boost::unordered_map<int, long>", 16},
	{"boost::unordered::detail::table<boost::unordered::detail::set<std::allocator<long>, "
	 "long, boost::hash<long> > >::rehash_impl",
		"boost::unordered_set<long>", 8},
	/* What is cut off, or is no table, is itself. */
	{ABSL "raw_hash_set<" ABSL "FlatHashMapPolicy<int",
		ABSL "raw_hash_set<" ABSL "FlatHashMapPolicy<int", 0},
	{"std::vector<int, std::allocator<int> >::reserve", "std::vector<int>", 4},
	{"std::__1::__hash_table<", "std::__hash_table<", 0},
	{"", "", 0},
};

Test(cxx_name, container_that_a_class_stands_for)
{
	char name[160];

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		bool libcxx = strstr(types[i].function, "std::__1::") != NULL;

		cxx_name_type(types[i].function, name, sizeof(name));
		cr_expect_str_eq(name, types[i].name);
		cr_expect_eq(cxx_name_slot_bytes(name, libcxx), types[i].slot_bytes, "%s", name);
	}
}

Test(cxx_name, the_library_has_sizes_of_its_own)
{
	cr_expect_eq(cxx_name_element_bytes("std::vector<std::string>", false), 32);
	cr_expect_eq(cxx_name_element_bytes("std::vector<std::string>", true), 24);
	cr_expect_eq(cxx_name_element_bytes("std::vector<std::deque<int>>", true), 48);
	cr_expect_eq(cxx_name_element_bytes("std::vector<long>", true), 8);
}
