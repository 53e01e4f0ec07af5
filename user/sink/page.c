/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines of at most width columns. A column is a code point: names are escaped first, so what is
 * counted is valid UTF-8 without control bytes (or ASCII, where the terminal knows no other).
 */
#include "sink/page.h"

#include <stdarg.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

#define PAGE_MIN_WIDTH 60
#define PAGE_MAX_WIDTH 240

static const char *const style_codes[] = {
	[STYLE_PLAIN] = "",
	[STYLE_BOLD] = "\033[1m",
	[STYLE_DIM] = "\033[2m",
	[STYLE_RED] = "\033[1;31m",
	[STYLE_YELLOW] = "\033[33m",
	[STYLE_CYAN] = "\033[36m",
};

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static int count_columns(const char *text)
{
	int columns = 0;

	for (; *text; text++)
		columns += !is_continuation(*text);
	return columns;
}

/* The byte at which column begins. */
static const char *at_column(const char *text, int column)
{
	for (; *text; text++)
		if (!is_continuation(*text) && column-- == 0)
			break;
	return text;
}

static void fold_to_ascii(char *text)
{
	char *out = text;

	for (; *text; text++)
		if (!is_continuation(*text))
			*out++ = (unsigned char)*text < 0x80 ? *text : '?';
	*out = 0;
}

static void make_safe(const struct page *page, char safe[PAGE_TEXT_BYTES], const char *text)
{
	text_escape(safe, PAGE_TEXT_BYTES, text);
	if (page->ascii)
		fold_to_ascii(safe);
}

/* Room is kept for a colour and its end, and for the newline. */
static void line_append(struct page *page, const char *text, size_t bytes)
{
	if (page->bytes + bytes + 16 > sizeof(page->line))
		return;
	memcpy(page->line + page->bytes, text, bytes);
	page->bytes += bytes;
}

static void add_styled(struct page *page, enum style style, const char *text, size_t bytes)
{
	bool colored = page->color && style != STYLE_PLAIN;

	if (colored)
		line_append(page, style_codes[style], strlen(style_codes[style]));
	line_append(page, text, bytes);
	if (colored)
		line_append(page, "\033[0m", 4);
}

void page_init(struct page *page, FILE *out, int width, bool color, bool ascii)
{
	memset(page, 0, sizeof(*page));
	page->output.file = out;
	page->width = MAX(PAGE_MIN_WIDTH, MIN(width, PAGE_MAX_WIDTH));
	page->color = color;
	page->ascii = ascii;
}

int page_room(const struct page *page)
{
	return MAX(0, page->width - page->columns);
}

int page_columns(const struct page *page, const char *text)
{
	char safe[PAGE_TEXT_BYTES];

	make_safe(page, safe, text);
	return count_columns(safe);
}

/* Adds safe text, cut to columns. */
static void add_safe(struct page *page, enum style style, int columns, bool from_left, char *safe)
{
	int have = count_columns(safe);
	const char *start = safe;
	char cut[PAGE_TEXT_BYTES];

	columns = MIN(columns, page_room(page));
	if (have > columns && columns < 2)
		return;
	if (have > columns && from_left) {
		snprintf(cut, sizeof(cut), "..%s", at_column(safe, have - columns + 2));
		start = cut;
	} else if (have > columns) {
		size_t bytes = (size_t)(at_column(safe, columns - 2) - safe);

		snprintf(cut, sizeof(cut), "%.*s..", (int)bytes, safe);
		start = cut;
	}
	page->columns += MIN(have, columns);
	add_styled(page, style, start, strlen(start));
}

void page_add_cut(
	struct page *page, enum style style, int columns, bool from_left, const char *text)
{
	char safe[PAGE_TEXT_BYTES];

	make_safe(page, safe, text);
	add_safe(page, style, columns, from_left, safe);
}

void page_add(struct page *page, enum style style, const char *format, ...)
{
	char text[PAGE_TEXT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	page_add_cut(page, style, page->width, false, text);
}

void page_tab(struct page *page, int column)
{
	while (page->columns < MIN(column, page->width)) {
		line_append(page, " ", 1);
		page->columns++;
	}
}

void page_add_right(struct page *page, enum style style, const char *text)
{
	int columns = page_columns(page, text);

	if (page->columns)
		page_tab(page, page->columns + 2);
	page_tab(page, page->width - columns);
	page_add_cut(page, style, columns, false, text);
}

void page_end(struct page *page)
{
	while (page->bytes && page->line[page->bytes - 1] == ' ')
		page->bytes--;
	page->line[page->bytes++] = '\n';
	output_write(&page->output, page->line, page->bytes);
	page->bytes = 0;
	page->columns = 0;
}

/* A number stays with its unit and its sign: "614.4 KiB", "< 0.1 %". */
static bool is_within_number(const char *text, const char *space)
{
	static const char *const units[] = {
		"B", "KiB", "MiB", "GiB", "%", "s", "ms", "us", "min", "h"};
	size_t bytes = strcspn(space + 1, " ,.;:)/");

	if (space > text && space[-1] == '<')
		return true;
	if (space == text || space[-1] < '0' || space[-1] > '9')
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (bytes == strlen(units[i]) && !memcmp(space + 1, units[i], bytes))
			return true;
	return false;
}

/*
 * How many bytes of text go on a line of columns: up to the last space that fits, all of it where
 * it fits, and a hard break inside a word that is longer than a line.
 */
static size_t wrap_bytes(const char *text, int columns, bool line_is_empty)
{
	const char *end = at_column(text, columns);
	const char *space = end;

	if (!*end)
		return (size_t)(end - text);
	while (space > text && (*space != ' ' || is_within_number(text, space)))
		space--;
	if (space > text || !line_is_empty)
		return (size_t)(space - text);
	return (size_t)(end - text);
}

void page_wrap(struct page *page, enum style style, int indent, const char *text)
{
	char safe[PAGE_TEXT_BYTES];
	const char *rest = safe;

	make_safe(page, safe, text);
	while (*rest) {
		size_t bytes = wrap_bytes(rest, page_room(page), page->columns <= indent);
		size_t shown = bytes;

		while (shown && rest[shown - 1] == ' ')
			shown--;
		add_styled(page, style, rest, shown);
		rest += bytes;
		rest += strspn(rest, " ");
		page_end(page);
		if (*rest)
			page_tab(page, indent);
	}
	if (page->columns)
		page_end(page);
}
