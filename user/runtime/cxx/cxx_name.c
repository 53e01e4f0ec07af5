/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/cxx/cxx_name.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

#define NAME_BYTES 2048

/* What comes as a further template argument and says nothing. */
static const char *const defaults[] = {"std::allocator<", "std::__1::allocator<",
	"std::char_traits<", "std::hash<", "std::equal_to<", "std::less<", "std::default_delete<",
	"std::__1::hash<", "std::__1::equal_to<", "std::__1::less<", "std::__1::char_traits<"};

static const struct {
	const char *longer, *name;
} shorter[] = {
	{"__cxx11::", ""},
	{"std::__1::", "std::"},
	{"std::__debug::", "std::"},
	{"basic_string<char>", "string"},
	{"basic_string<wchar_t>", "wstring"},
	{"basic_string<char8_t>", "u8string"},
	{"basic_string<char16_t>", "u16string"},
	{"basic_string<char32_t>", "u32string"},
};

/* Sizes of the Itanium ABI; of the library's own types, those of libstdc++ and of libc++. */
static const struct {
	const char *name;
	uint32_t bytes, libcxx;
} sizes[] = {
	{"char", 1, 1},
	{"signed char", 1, 1},
	{"unsigned char", 1, 1},
	{"std::byte", 1, 1},
	{"short", 2, 2},
	{"unsigned short", 2, 2},
	{"int", 4, 4},
	{"unsigned int", 4, 4},
	{"float", 4, 4},
	{"wchar_t", 4, 4},
	{"char8_t", 1, 1},
	{"char16_t", 2, 2},
	{"char32_t", 4, 4},
	{"long", 8, 8},
	{"unsigned long", 8, 8},
	{"long long", 8, 8},
	{"unsigned long long", 8, 8},
	{"double", 8, 8},
	{"long double", 16, 16},
	{"std::string", 32, 24},
	{"std::wstring", 32, 24},
};

static const struct {
	const char *prefix;
	uint32_t bytes, libcxx;
} templates[] = {
	{"std::vector<", 24, 24},
	{"std::unique_ptr<", 8, 8},
	{"std::shared_ptr<", 16, 16},
	{"std::weak_ptr<", 16, 16},
	{"std::deque<", 80, 48},
	{"std::unordered_", 56, 40},
	{"std::map<", 48, 24},
	{"std::set<", 48, 24},
	{"std::function<", 32, 48},
};

/* Behind the '>' that closes the '<' at text; NULL where there is none. */
static const char *behind_template(const char *text)
{
	int depth = 0;

	for (; *text; text++) {
		depth += *text == '<';
		depth -= *text == '>';
		if (!depth)
			return text + 1;
	}
	return NULL;
}

/* A further argument that is a default: what follows it; NULL = it is none. */
static const char *behind_default(const char *text)
{
	if (strncmp(text, ", ", 2))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		size_t length = strlen(defaults[i]);

		if (!strncmp(text + 2, defaults[i], length))
			return behind_template(text + 2 + length - 1);
	}
	return NULL;
}

/* In place: each pass makes it shorter. */
static void leave_out_defaults(char *name)
{
	char *to = name;

	for (const char *at = name; *at;) {
		const char *behind = behind_default(at);

		if (behind)
			at = behind;
		else if (at[0] == ' ' && at[1] == '>')
			at++;
		else
			*to++ = *at++;
	}
	*to = 0;
}

static void shorten(char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(shorter); i++) {
		size_t length = strlen(shorter[i].longer), kept = strlen(shorter[i].name);
		char *at = name;

		while ((at = strstr(at, shorter[i].longer))) {
			memcpy(at, shorter[i].name, kept);
			memmove(at + kept, at + length, strlen(at + length) + 1);
			at += kept;
		}
	}
}

void cxx_name_class(const char *function, char *buf, size_t bytes)
{
	const char *open = strchr(function, '<');
	const char *end = open ? behind_template(open) : NULL;
	char name[NAME_BYTES];

	text_copy(name, sizeof(name), function);
	if (end && (size_t)(end - function) < sizeof(name))
		name[end - function] = 0;
	leave_out_defaults(name);
	shorten(name);
	text_copy(buf, bytes, name);
}

/* The template argument that begins at text; returns what follows it, or NULL where there is none. */
static const char *read_argument(const char *text, char *buf, size_t bytes)
{
	int depth = 0;
	size_t used = 0;

	for (; *text && used < bytes - 1; text++) {
		if (!depth && (*text == ',' || *text == '>'))
			break;
		depth += *text == '<';
		depth -= *text == '>';
		buf[used++] = *text;
	}
	buf[used] = 0;
	return used ? text : NULL;
}

static bool first_argument(const char *class_name, char *buf, size_t bytes)
{
	const char *open = strchr(class_name, '<');

	return open && read_argument(open + 1, buf, bytes);
}

/* std::_Hashtable<K, V, ..., _Select1st or _Identity, ..., _Hashtable_traits<hashes kept, no multi, unique>> */
static bool name_table(const char *table, char *buf, size_t bytes)
{
	static const char pair[] = "std::pair<";
	const char *traits = strstr(table, "_Hashtable_traits<");
	const char *multi = traits && strstr(traits, ", false>") ? "multi" : "";
	char key[512], value[1024], mapped[512];
	const char *rest = read_argument(strchr(table, '<') + 1, key, sizeof(key));

	if (!rest || strncmp(rest, ", ", 2) || !read_argument(rest + 2, value, sizeof(value)))
		return false;
	if (!strstr(table, "_Select1st")) {
		snprintf(buf, bytes, "std::unordered_%sset<%s>", multi, key);
		return true;
	}
	if (strncmp(value, pair, sizeof(pair) - 1))
		return false;
	rest = read_argument(value + sizeof(pair) - 1, mapped, sizeof(mapped));
	if (!rest || strncmp(rest, ", ", 2) || !read_argument(rest + 2, mapped, sizeof(mapped)))
		return false;
	snprintf(buf, bytes, "std::unordered_%smap<%s, %s>", multi, key, mapped);
	return true;
}

/*
 * Classes that stand for containers: the first template argument begins with that name, and of the arguments
 * behind it some are the container's. NULL = it is itself the first of them.
 */
static const struct {
	const char *class, *argument, *name;
	int skip, take;
} stands_for[] = {
	{"std::__1::__hash_table<", "std::__1::__hash_value_type<", "std::unordered_map", 0, 2},
	{"std::__1::__hash_table<", NULL, "std::unordered_set", 0, 1},
	{"raw_hash_set<", "::FlatHashMapPolicy<", "absl::flat_hash_map", 0, 2},
	{"raw_hash_set<", "::FlatHashSetPolicy<", "absl::flat_hash_set", 0, 1},
	{"raw_hash_set<", "::NodeHashMapPolicy<", "absl::node_hash_map", 0, 2},
	{"raw_hash_set<", "::NodeHashSetPolicy<", "absl::node_hash_set", 0, 1},
	{"foa::table<", "::unordered_flat_map<", "boost::unordered_flat_map", 0, 2},
	{"foa::table<", "::unordered_flat_set<", "boost::unordered_flat_set", 0, 1},
	{"foa::table_core<", "::flat_map_types<", "boost::unordered_flat_map", 0, 2},
	{"foa::table_core<", "::flat_set_types<", "boost::unordered_flat_set", 0, 1},
	{"foa::table_core<", "::node_map_types<", "boost::unordered_node_map", 0, 2},
	{"foa::table_core<", "::node_set_types<", "boost::unordered_node_set", 0, 1},
	{"boost::unordered::detail::table<", "::map<", "boost::unordered_map", 1, 2},
	{"boost::unordered::detail::table<", "::set<", "boost::unordered_set", 1, 1},
};

/* text begins with a name that ends so, which is what its first '<' belongs to; behind it, or NULL. */
static const char *behind_name(const char *text, const char *end)
{
	const char *open = strchr(text, '<');
	size_t length = strlen(end);

	if (!open || (size_t)(open + 1 - text) < length || strncmp(open + 1 - length, end, length))
		return NULL;
	return open + 1;
}

/* "NAME<A, B>" of the arguments that begin at text; false where there are not so many. */
static bool name_arguments(
	const char *name, const char *text, int skip, int take, char *buf, size_t bytes)
{
	char argument[512], whole[NAME_BYTES];
	size_t used = (size_t)snprintf(whole, sizeof(whole), "%s<", name);

	for (int i = 0; i < skip + take; i++) {
		text = read_argument(text, argument, sizeof(argument));
		if (!text || (i + 1 < skip + take && strncmp(text, ", ", 2)))
			return false;
		text += 2;
		if (i >= skip && used < sizeof(whole))
			used += (size_t)snprintf(whole + used, sizeof(whole) - used, "%s%s",
				i > skip ? ", " : "", argument);
	}
	if (used + 1 >= sizeof(whole))
		return false;
	whole[used] = '>';
	whole[used + 1] = 0;
	cxx_name_class(whole, buf, bytes);
	return true;
}

void cxx_name_type(const char *function, char *buf, size_t bytes)
{
	for (size_t i = 0; i < ARRAY_SIZE(stands_for); i++) {
		const char *first = behind_name(function, stands_for[i].class);

		if (first && stands_for[i].argument)
			first = behind_name(first, stands_for[i].argument);
		if (first && name_arguments(stands_for[i].name, first, stands_for[i].skip,
				     stands_for[i].take, buf, bytes))
			return;
	}
	cxx_name_class(function, buf, bytes);
}

bool cxx_name_container(const char *function, char *buf, size_t bytes)
{
	static const char *const classes[] = {"std::vector<", "std::__1::vector<", "std::deque<",
		"std::__1::deque<", "std::__cxx11::basic_string<", "std::__1::basic_string<"};
	static const char table[] = "std::_Hashtable<";
	char name[NAME_BYTES];

	cxx_name_class(function, name, sizeof(name));
	if (!strncmp(function, table, sizeof(table) - 1))
		return name_table(name, buf, bytes);
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (!strncmp(function, classes[i], strlen(classes[i])) &&
			name[strlen(name) - 1] == (i < 4 ? '>' : 'g')) {
			text_copy(buf, bytes, name);
			return true;
		}
	return false;
}

static uint32_t type_bytes(const char *type, bool libcxx)
{
	size_t length = strlen(type);

	if (length && type[length - 1] == '*')
		return 8;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		if (!strcmp(type, sizes[i].name))
			return libcxx ? sizes[i].libcxx : sizes[i].bytes;
	for (size_t i = 0; length && i < ARRAY_SIZE(templates); i++)
		if (!strncmp(type, templates[i].prefix, strlen(templates[i].prefix)) &&
			type[length - 1] == '>')
			return libcxx ? templates[i].libcxx : templates[i].bytes;
	return 0;
}

uint32_t cxx_name_element_bytes(const char *class_name, bool libcxx)
{
	char element[256];

	return first_argument(class_name, element, sizeof(element)) ? type_bytes(element, libcxx)
								    : 0;
}

/* But for long double all types that are known here are aligned to 8 bytes at most. */
static uint32_t alignment_of(uint32_t bytes)
{
	return bytes % 8 == 0 ? 8 : bytes % 4 == 0 ? 4 : bytes % 2 ? 1 : 2;
}

uint32_t cxx_name_slot_bytes(const char *class_name, bool libcxx)
{
	const char *open = strchr(class_name, '<');
	char key[256], value[256];
	uint32_t first, second, alignment;

	if (strstr(class_name, "::node_hash_"))
		return 8;
	if (strstr(class_name, "long double"))
		return 0;
	open = open ? read_argument(open + 1, key, sizeof(key)) : NULL;
	first = open ? type_bytes(key, libcxx) : 0;
	if (!first || strncmp(open, ", ", 2))
		return first;
	if (!read_argument(open + 2, value, sizeof(value)))
		return 0;
	second = type_bytes(value, libcxx);
	if (!second)
		return 0;
	alignment = MAX(alignment_of(first), alignment_of(second));
	return (first + second + alignment - 1) / alignment * alignment;
}
