/* SPDX-License-Identifier: BSD-2-Clause */
/* A subcommand: one const struct at the end of one cmd_*.c, listed in list.h. */
#ifndef MEMTRACE_CLI_COMMAND_H
#define MEMTRACE_CLI_COMMAND_H

enum exit_code {
	EXIT_RAN = 0,
	EXIT_GATE = 1, /* a gate failed */
	EXIT_USAGE = 2,
	EXIT_ENVIRONMENT =
		3, /* kernel, privileges, a target that cannot be traced, unwritable output */
	EXIT_INCOMPLETE = 4, /* ran, but data was lost: inconclusive */
	/* -- COMMAND, as env(1) */
	EXIT_OWN_FAILURE = 125,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
	EXIT_SIGNAL = 128, /* + number of the signal */
};

struct command {
	const char *name; /* "" = what runs where no name is given */
	const char *arguments;
	const char *help; /* one line */
	/* argv[0] is the command's name. Returns memtrace's exit code. */
	int (*run)(int argc, char **argv);
};

#endif
