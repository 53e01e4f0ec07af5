/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/cxx/cxx_name.h"

#include <criterion/criterion.h>

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
		cr_expect_eq(cxx_name_element_bytes(name), cases[i].element_bytes, "%s", name);
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
