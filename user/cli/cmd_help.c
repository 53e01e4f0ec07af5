/* SPDX-License-Identifier: BSD-2-Clause */
/* help and version. The text is made from the tables of options, commands and rules. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/help.h"
#include "cli/list.h"
#include "cli/options.h"
#include "rules/rules.h"

/* Fields in lines of at most 100 columns, below each other. */
static void print_thresholds(const struct rule *rule)
{
	int column = printf("  %-20s", rule->kind);

	for (size_t i = 0; i < RULE_MAX_THRESHOLDS && rule->thresholds[i].field; i++) {
		const char *field = rule->thresholds[i].field;
		bool more = i + 1 < RULE_MAX_THRESHOLDS && rule->thresholds[i + 1].field;

		if (column + 1 + (int)strlen(field) + more > 100)
			column = printf("\n%22s", "") - 1;
		column += printf(" %s%s", field, more ? "," : "");
	}
	putchar('\n');
}

static int finish(void)
{
	return fflush(stdout) || ferror(stdout) ? EXIT_ENVIRONMENT : EXIT_RAN;
}

int help_print(void)
{
	puts("memtrace: which container, grown at which line, holds a process's memory\n\nUsage:");
	puts("  memtrace [OPTIONS] --pid PID[,PID...]   attach to running processes");
	puts("  memtrace [OPTIONS] --system             find them: --cgroup PATH, --comm NAME, "
	     "all");
	puts("  memtrace [OPTIONS] -- COMMAND [ARG...]  start a program and trace it");
	for (size_t i = 1; i < ARRAY_SIZE(commands); i++) {
		char left[64];

		snprintf(left, sizeof(left), "%s%s%s", commands[i]->name,
			commands[i]->arguments ? " " : "",
			commands[i]->arguments ? commands[i]->arguments : "");
		printf("  memtrace %-30s %s\n", left, commands[i]->help);
	}
	puts("\nOptions:");
	options_print(stdout);
	puts("\nThresholds for --set:");
	for (size_t i = 0; rules_get(i); i++)
		print_thresholds(rules_get(i));
	puts("\nExit codes: 0 ran, 1 a gate failed, 2 usage, 3 environment, 4 data incomplete; "
	     "with -- COMMAND its\n"
	     "own status, or 125 where memtrace failed. See memtrace(1).");
	return finish();
}

int version_print(void)
{
	puts("memtrace " MEMTRACE_VERSION);
	return finish();
}

static int run_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return help_print();
}

static int run_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return version_print();
}

const struct command command_help = {"help", NULL, "print this help", run_help};
const struct command command_version = {"version", NULL, "print the version", run_version};
