/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A recorder watches a model and writes every call that fills it to a file (schema.sql), in a thread
 * of its own: what it is told goes into a bounded queue, and only definitions ever wait for room.
 */
#ifndef MEMTRACE_RECORDING_RECORDER_H
#define MEMTRACE_RECORDING_RECORDER_H

#include <stdint.h>

struct model;
struct recorder;

#define RECORDER_ERROR_BYTES 256

/*
 * Creates the file, mode 0600, in the place of one that nobody writes, and starts the thread. 0, or
 * -errno with one sentence in error.
 */
int recorder_open(const char *path, struct recorder **ret, char error[RECORDER_ERROR_BYTES]);

/* From now on the recorder is the observer of this model, which must be empty and outlive it. */
void recorder_watch(struct recorder *recorder, struct model *model);

/* A threshold that the session was given, as --set takes it. */
void recorder_add_setting(struct recorder *recorder, const char *assignment);

struct recorder_result {
	uint64_t rows;
	uint64_t lost; /* events for which the disk was too slow */
	int error; /* 0, or -errno of what ended the recording early; what was committed before stays */
	char sentence[RECORDER_ERROR_BYTES]; /* of error */
};

/*
 * Stops watching, writes what waits, and makes the recording one file. ret may be NULL; recorder may be
 * NULL.
 */
void recorder_close(struct recorder *recorder, struct recorder_result *ret);

#endif
