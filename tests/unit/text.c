/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/text.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

Test(text, bytes)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {{0, "0 B"}, {812, "812 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"},
		{4198, "4.1 KiB"}, {72ull << 20, "72.0 MiB"}, {1023ull << 20, "1023 MiB"},
		{(1ull << 30) - 1, "1.0 GiB"}, {1ull << 40, "1.0 TiB"}, {UINT64_MAX, "16.0 EiB"}};
	char buf[TEXT_NUMBER_BYTES];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_str_eq(text_bytes(buf, cases[i].bytes), cases[i].text);
}

Test(text, count)
{
	char buf[TEXT_NUMBER_BYTES];

	cr_expect_str_eq(text_count(buf, 0), "0");
	cr_expect_str_eq(text_count(buf, 999), "999");
	cr_expect_str_eq(text_count(buf, 1000), "1,000");
	cr_expect_str_eq(text_count(buf, 2097152), "2,097,152");
	cr_expect_str_eq(text_count(buf, UINT64_MAX), "18,446,744,073,709,551,615");
}

Test(text, duration)
{
	char buf[TEXT_NUMBER_BYTES];

	cr_expect_str_eq(text_duration(buf, 0), "0 us");
	cr_expect_str_eq(text_duration(buf, 850000), "850 us");
	cr_expect_str_eq(text_duration(buf, 17000000), "17 ms");
	cr_expect_str_eq(text_duration(buf, 1500000000), "1.5 s");
	cr_expect_str_eq(text_duration(buf, 30000000000), "30 s");
	cr_expect_str_eq(text_duration(buf, 240000000000), "4 min");
	cr_expect_str_eq(text_duration(buf, 7560000000000), "2.1 h");
	cr_expect_gt(strlen(text_duration(buf, UINT64_MAX)), 0);
}

Test(text, parse_bytes)
{
	static const struct {
		const char *text;
		int result;
		uint64_t bytes;
	} cases[] = {{"64", 0, 64}, {"64K", 0, 65536}, {"64KiB", 0, 65536}, {"1.5M", 0, 1572864},
		{"2g", 0, 2147483648}, {"7B", 0, 7}, {"0", 0, 0}, {"", -EINVAL, 0},
		{"-1", -EINVAL, 0}, {"+1", -EINVAL, 0}, {" 1", -EINVAL, 0}, {"1 M", -EINVAL, 0},
		{"M", -EINVAL, 0}, {"1Mx", -EINVAL, 0}, {"nan", -EINVAL, 0}, {"inf", -EINVAL, 0},
		{".", -EINVAL, 0}, {"99999999999T", -ERANGE, 0},
		{"18446744073709551616", -ERANGE, 0}, {"1e400", -EINVAL, 0}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = 0;

		cr_expect_eq(text_parse_bytes(cases[i].text, &bytes), cases[i].result, "%s",
			cases[i].text);
		cr_expect_eq(bytes, cases[i].bytes, "%s", cases[i].text);
	}
}

Test(text, escape_hostile_names)
{
	static const struct {
		const char *name, *safe;
	} cases[] = {{"main.(*Cache).Put", "main.(*Cache).Put"}, {"", ""},
		{"\033[2J\033]0;x\007", "\\x1b[2J\\x1b]0;x\\x07"},
		{"a\nb\tc\r", "a\\x0ab\\x09c\\x0d"}, {"\x7f", "\\x7f"},
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"\xc2\x9b"
		 "2J",
			"\\x9b2J"} /* C1: the one-byte form of ESC [ */,
		{"\xff", "\xef\xbf\xbd"}, {"\xc3", "\xef\xbf\xbd"},
		{"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"}, {"\xe2\x82\xac", "\xe2\x82\xac"},
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"} /* overlong "/" */,
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"} /* a surrogate */,
		{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"}};
	char buf[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_str_eq(text_escape(buf, sizeof(buf), cases[i].name), cases[i].safe);
}

Test(text, escape_cuts_between_characters)
{
	char buf[8];

	cr_expect_str_eq(text_escape(buf, 4, "ab\xe2\x82\xac"), "ab");
	cr_expect_str_eq(text_escape(buf, 6, "ab\xe2\x82\xac"), "ab\xe2\x82\xac");
	cr_expect_str_eq(text_escape(buf, 4, "\033x"), "");
	cr_expect_str_eq(text_escape(buf, 5, "\033x"), "\\x1b");
	cr_expect_str_eq(text_escape(buf, 1, "x"), "");
}

/* Whatever goes in: what comes out is terminated, fits, and holds no control byte. */
Test(text, escape_any_bytes)
{
	unsigned state = 12345;

	for (int round = 0; round < 20000; round++) {
		char name[48], *buf;
		size_t length = 0, room;

		while (length < sizeof(name) - 1) {
			state = state * 1103515245 + 12345;
			name[length] = (char)(state >> 16);
			if (!name[length])
				break;
			length++;
		}
		name[length] = 0;
		room = 1 + (state >> 8) % 64;
		buf = malloc(room); /* exact, so that ASan sees a byte too many */
		text_escape(buf, room, name);
		cr_assert_lt(strlen(buf), room);
		for (const char *p = buf; *p; p++)
			cr_assert((unsigned char)*p >= 0x20 && *p != 0x7f);
		free(buf);
	}
}

Test(text, copy)
{
	char buf[4];

	text_copy(buf, sizeof(buf), "abcdef");
	cr_expect_str_eq(buf, "abc");
	text_copy(buf, sizeof(buf), "");
	cr_expect_str_eq(buf, "");
}
