/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/cxx_name.h"

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
