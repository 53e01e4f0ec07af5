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

/* Sizes of the Itanium ABI and of libstdc++. */
static const struct {
	const char *name;
	uint32_t bytes;
} sizes[] = {
	{"char", 1},
	{"signed char", 1},
	{"unsigned char", 1},
	{"std::byte", 1},
	{"short", 2},
	{"unsigned short", 2},
	{"int", 4},
	{"unsigned int", 4},
	{"float", 4},
	{"wchar_t", 4},
	{"char8_t", 1},
	{"char16_t", 2},
	{"char32_t", 4},
	{"long", 8},
	{"unsigned long", 8},
	{"long long", 8},
	{"unsigned long long", 8},
	{"double", 8},
	{"long double", 16},
	{"std::string", 32},
	{"std::wstring", 32},
};

static const struct {
	const char *prefix;
	uint32_t bytes;
} templates[] = {
	{"std::vector<", 24},
	{"std::unique_ptr<", 8},
	{"std::shared_ptr<", 16},
	{"std::weak_ptr<", 16},
	{"std::deque<", 80},
	{"std::unordered_", 56},
	{"std::map<", 48},
	{"std::set<", 48},
	{"std::function<", 32},
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

bool cxx_name_container(const char *function, char *buf, size_t bytes)
{
	static const char *const classes[] = {
		"std::vector<", "std::deque<", "std::__cxx11::basic_string<"};
	static const char table[] = "std::_Hashtable<";
	char name[NAME_BYTES];

	cxx_name_class(function, name, sizeof(name));
	if (!strncmp(function, table, sizeof(table) - 1))
		return name_table(name, buf, bytes);
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (!strncmp(function, classes[i], strlen(classes[i])) &&
			name[strlen(name) - 1] == (i < 2 ? '>' : 'g')) {
			text_copy(buf, bytes, name);
			return true;
		}
	return false;
}

uint32_t cxx_name_element_bytes(const char *class_name)
{
	char element[256];

	if (!first_argument(class_name, element, sizeof(element)))
		return 0;
	if (element[strlen(element) - 1] == '*')
		return 8;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		if (!strcmp(element, sizes[i].name))
			return sizes[i].bytes;
	for (size_t i = 0; i < ARRAY_SIZE(templates); i++)
		if (!strncmp(element, templates[i].prefix, strlen(templates[i].prefix)) &&
			element[strlen(element) - 1] == '>')
			return templates[i].bytes;
	return 0;
}
