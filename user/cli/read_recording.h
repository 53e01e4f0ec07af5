/* SPDX-License-Identifier: BSD-2-Clause */
/* What the commands that only read recordings share. */
#ifndef MEMTRACE_CLI_READ_RECORDING_H
#define MEMTRACE_CLI_READ_RECORDING_H

#include <stddef.h>

#include "cli/options.h"

struct model;
struct notice;

/*
 * Such a command from its arguments to its exit code: usage errors, help and version are dealt with, all
 * else is work's.
 */
int run_on_recordings(enum options_use use, int argc, char **argv,
	int (*work)(struct options *options, struct notice *notice));

/*
 * Replays count files into the model. Thresholds that the sessions were given are set, then, as they go
 * before, those of the options. One line on stderr for each file that cannot be read. Returns how many could.
 */
size_t read_recordings(struct options *options, char **files, size_t count, struct model *model,
	struct notice *notice);

#endif
