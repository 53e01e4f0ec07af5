/* SPDX-License-Identifier: BSD-2-Clause */
/* One row of make bench's table: what was measured, its budget, the verdict, the figure. */
#ifndef MEMTRACE_BENCH_ROW_H
#define MEMTRACE_BENCH_ROW_H

#include <stdarg.h>
#include <stdio.h>

enum verdict {
	VERDICT_OK,
	VERDICT_MISSED,
	VERDICT_NONE, /* there is no budget for it */
};

/* Returns 1 where the budget was missed. */
__attribute__((format(printf, 4, 5))) static inline int bench_row(
	const char *what, const char *budget, enum verdict verdict, const char *figure, ...)
{
	static const char *const words[] = {"ok", "MISSED", "-"};
	va_list args;

	printf("%-46s %-22s %-7s ", what, budget, words[verdict]);
	va_start(args, figure);
	vprintf(figure, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	return verdict == VERDICT_MISSED;
}

static inline enum verdict bench_judge(int good)
{
	return good ? VERDICT_OK : VERDICT_MISSED;
}

#endif
