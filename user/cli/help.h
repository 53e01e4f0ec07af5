/* SPDX-License-Identifier: BSD-2-Clause */
/* What --help and --version print on stdout. Both return an exit code. */
#ifndef MEMTRACE_CLI_HELP_H
#define MEMTRACE_CLI_HELP_H

int help_print(void);
int version_print(void);

#endif
