/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the report goes: stdout, or a file that appears only when it is complete. The file is made
 * before the session runs, so that a run of an hour does not end at an unwritable directory.
 */
#ifndef MEMTRACE_CLI_DESTINATION_H
#define MEMTRACE_CLI_DESTINATION_H

#include <stdio.h>

struct destination {
	FILE *file;
	const char *path; /* NULL = stdout */
	char *temporary;  /* NULL = written in place (stdout, a device, a pipe) */
};

/* path NULL = stdout. 0 or -errno: the path cannot be written. */
int destination_open(struct destination *ret, const char *path);

/*
 * Ends a report: flushes, and gives a file its name. 0 or -errno of whatever failed; the temporary
 * file is gone then.
 */
int destination_finish(struct destination *destination);

/* Throws away what was not finished. */
void destination_close(struct destination *destination);

#endif
