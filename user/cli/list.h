/* SPDX-License-Identifier: BSD-2-Clause */
/* All subcommands, in the order of --help. The first one runs where no other is named. */
#ifndef MEMTRACE_CLI_LIST_H
#define MEMTRACE_CLI_LIST_H

#include "cli/command.h"

extern const struct command command_trace, command_record, command_report, command_diff,
	command_doctor, command_probes, command_help, command_version;

static const struct command *const commands[] = {&command_trace, &command_record, &command_report,
	&command_diff, &command_doctor, &command_probes, &command_help, &command_version};

#endif
