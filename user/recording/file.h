/* SPDX-License-Identifier: BSD-2-Clause */
/* A recording as a file, before SQLite sees it. */
#ifndef MEMTRACE_RECORDING_FILE_H
#define MEMTRACE_RECORDING_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_look {
	bool journaled;      /* WAL mode: whoever wrote it has not closed it */
	bool beside;         /* a journal lies beside it */
	int user;            /* pid of a process that has it open, 0 = none */
	uint64_t size_bytes; /* of the file */
	uint64_t said_bytes; /* what its header says; 0 = nothing */
};

/* The pid of another process that has this database open, 0 = none, or none that can be seen. */
int file_find_user(const char *path);

/* 0, or -errno with one sentence in error where this can be no recording. Never waits (FIFO, device). */
int file_look(const char *path, struct file_look *ret, char *error, size_t error_bytes);

#endif
