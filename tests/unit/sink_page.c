/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of the text report: width, cuts, wraps, escapes, colours. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "sink/page.h"

struct fixture {
	struct page page;
	char *text;
	size_t bytes;
};

static void begin(struct fixture *fixture, int width, bool color, bool ascii)
{
	memset(fixture, 0, sizeof(*fixture));
	page_init(&fixture->page, open_memstream(&fixture->text, &fixture->bytes), width, color,
		ascii);
}

static void expect(struct fixture *fixture, const char *expected)
{
	cr_assert_eq(output_finish(&fixture->page.output), 0);
	fclose(fixture->page.output.file);
	cr_assert_str_eq(fixture->text, expected);
	free(fixture->text);
}

static const char sixty[] = "123456789012345678901234567890123456789012345678901234567890";

Test(sink_page, a_line_takes_exactly_its_width)
{
	struct fixture fixture;
	char expected[80];

	begin(&fixture, 60, false, false);
	page_add(&fixture.page, STYLE_PLAIN, "%s", sixty);
	cr_assert_eq(page_room(&fixture.page), 0);
	page_add(&fixture.page, STYLE_PLAIN, "more");
	page_end(&fixture.page);
	snprintf(expected, sizeof(expected), "%s\n", sixty);
	expect(&fixture, expected);
}

Test(sink_page, a_longer_one_is_cut_and_shows_it)
{
	struct fixture fixture;
	char expected[80];

	begin(&fixture, 60, false, false);
	page_add(&fixture.page, STYLE_PLAIN, "%sx", sixty);
	page_end(&fixture.page);
	snprintf(expected, sizeof(expected), "%.58s..\n", sixty);
	expect(&fixture, expected);
}

Test(sink_page, a_path_keeps_its_end)
{
	struct fixture fixture;

	begin(&fixture, 100, false, false);
	page_add_cut(&fixture.page, STYLE_PLAIN, 10, true, "/very/long/cache.go:42");
	page_add(&fixture.page, STYLE_PLAIN, "|");
	page_add_cut(&fixture.page, STYLE_PLAIN, 10, true, "cache.go:7");
	page_add(&fixture.page, STYLE_PLAIN, "|");
	page_add_cut(&fixture.page, STYLE_PLAIN, 1, true, "nothing of this");
	page_end(&fixture.page);
	expect(&fixture, "..he.go:42|cache.go:7|\n");
}

Test(sink_page, code_points_count_not_bytes)
{
	struct fixture fixture;

	begin(&fixture, 100, false, false);
	page_add_cut(&fixture.page, STYLE_PLAIN, 4, false, "äöüßé");
	page_tab(&fixture.page, 6);
	page_add(&fixture.page, STYLE_PLAIN, "|");
	cr_assert_eq(page_columns(&fixture.page, "ä\xff\x1b"), 6);
	page_end(&fixture.page);
	expect(&fixture, "äö..  |\n");
}

Test(sink_page, ascii_knows_no_other)
{
	struct fixture fixture;

	begin(&fixture, 100, false, true);
	page_add(&fixture.page, STYLE_PLAIN, "a\xc3\xa4\xf0\x9f\x90\xb9\xff");
	page_end(&fixture.page);
	expect(&fixture, "a???\n");
}

Test(sink_page, control_bytes_never_leave)
{
	struct fixture fixture;

	begin(&fixture, 100, false, false);
	page_add(&fixture.page, STYLE_RED, "\033[2J\n\r\t\b\x7f\xc2\x9b");
	page_end(&fixture.page);
	page_wrap(&fixture.page, STYLE_PLAIN, 0, "a\nb\033c");
	expect(&fixture, "\\x1b[2J\\x0a\\x0d\\x09\\x08\\x7f\\x9b\na\\x0ab\\x1bc\n");
}

Test(sink_page, colours_take_no_columns)
{
	struct fixture fixture;

	begin(&fixture, 60, true, false);
	page_add(&fixture.page, STYLE_RED, "HIGH");
	cr_assert_eq(fixture.page.columns, 4);
	page_add(&fixture.page, STYLE_PLAIN, " x");
	page_end(&fixture.page);
	expect(&fixture, "\033[1;31mHIGH\033[0m x\n");
}

Test(sink_page, right_margin_is_the_width)
{
	struct fixture fixture;
	char expected[80];

	begin(&fixture, 60, false, false);
	page_add(&fixture.page, STYLE_PLAIN, "left");
	page_add_right(&fixture.page, STYLE_PLAIN, "right");
	page_end(&fixture.page);
	snprintf(expected, sizeof(expected), "left%51s%s\n", "", "right");
	expect(&fixture, expected);
}

Test(sink_page, wraps_at_spaces_and_keeps_double_ones)
{
	struct fixture fixture;

	begin(&fixture, 60, false, false);
	page_add(&fixture.page, STYLE_PLAIN, "In code:   ");
	page_wrap(&fixture.page, STYLE_PLAIN, 11,
		"copy the survivors into a new map.  The old one goes with the next GC.");
	expect(&fixture, "In code:   copy the survivors into a new map.  The old one\n"
			 "           goes with the next GC.\n");
}

Test(sink_page, breaks_a_word_that_is_longer_than_a_line)
{
	struct fixture fixture;
	char word[131], expected[256];

	memset(word, 'w', 130);
	word[130] = 0;
	begin(&fixture, 60, false, false);
	page_wrap(&fixture.page, STYLE_PLAIN, 4, word);
	snprintf(expected, sizeof(expected), "%.60s\n    %.56s\n    %.14s\n", word, word, word);
	expect(&fixture, expected);
}

Test(sink_page, an_empty_paragraph_is_no_line)
{
	struct fixture fixture;

	begin(&fixture, 60, false, false);
	page_wrap(&fixture.page, STYLE_PLAIN, 4, "");
	expect(&fixture, "");
}

Test(sink_page, absurd_widths_are_brought_to_reason)
{
	struct page page;

	page_init(&page, NULL, -5, false, false);
	cr_assert_eq(page.width, 60);
	page_init(&page, NULL, 1 << 30, false, false);
	cr_assert_eq(page.width, 240);
}
