/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A page of text: lines that never pass the width, whatever names are in them. Everything added is
 * escaped here, in one place; colours are the only control bytes that leave.
 */
#ifndef MEMTRACE_SINK_PAGE_H
#define MEMTRACE_SINK_PAGE_H

#include <stdbool.h>

#include "sink/output.h"

enum style {
	STYLE_PLAIN,
	STYLE_BOLD,
	STYLE_DIM,
	STYLE_RED,
	STYLE_YELLOW,
	STYLE_CYAN,
};

#define PAGE_LINE_BYTES 4096
#define PAGE_TEXT_BYTES 1024 /* one addition, escaped */

struct page {
	struct output output;
	int width;
	bool color, ascii;
	char line[PAGE_LINE_BYTES];
	size_t bytes;
	int columns;
};

void page_init(struct page *page, FILE *out, int width, bool color, bool ascii);

/* Adds to the line, cut with ".." where the line would pass the width. */
void page_add(struct page *page, enum style style, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, cut to at most columns; from_left keeps the end, where the telling part of a path is. */
void page_add_cut(
	struct page *page, enum style style, int columns, bool from_left, const char *text);

/* Columns left on the line. */
int page_room(const struct page *page);

/* Spaces up to a column; none where the line is already there. */
void page_tab(struct page *page, int column);

/* Puts text at the right margin of the line, two columns away from what is there at least. */
void page_add_right(struct page *page, enum style style, const char *text);

/* Ends the line. */
void page_end(struct page *page);

/*
 * A paragraph: begins where the line is, goes on at indent, breaks at spaces. Ends the line. Text
 * longer than PAGE_TEXT_BYTES is cut.
 */
void page_wrap(struct page *page, enum style style, int indent, const char *text);

/* Columns that text takes once it is escaped. */
int page_columns(const struct page *page, const char *text);

#endif
