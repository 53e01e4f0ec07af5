/* SPDX-License-Identifier: BSD-2-Clause */
/* Recordings into a model, with one line on stderr for each that cannot be read. */
#ifndef MEMTRACE_CLI_READ_RECORDING_H
#define MEMTRACE_CLI_READ_RECORDING_H

#include <stddef.h>

struct model;
struct notice;
struct options;

/*
 * Replays count files into the model. Thresholds that the sessions were given are set, then, as they go
 * before, those of the options. Returns how many files could be read.
 */
size_t read_recordings(struct options *options, char **files, size_t count, struct model *model,
	struct notice *notice);

#endif
