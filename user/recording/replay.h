/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replay: recordings into a model, by the calls that filled the models of their sessions, so that rules
 * and sinks say the same. Needs no privileges. A recording is hostile input: every number is checked
 * before the model sees it.
 *
 * Several recordings become one model: the ends of their sessions are laid on one another, so that each
 * process is judged as it was when its own session ended.
 */
#ifndef MEMTRACE_RECORDING_REPLAY_H
#define MEMTRACE_RECORDING_REPLAY_H

#include <stdint.h>

struct model;
struct replayer;

#define REPLAY_ERROR_BYTES 320

/* model: empty, and the caller's; setting takes the thresholds that a session was given. */
struct replayer *replay_new(
	struct model *model, void (*setting)(const char *assignment, void *arg), void *arg);
void replay_free(struct replayer *replay);

/*
 * Adds one recording. 0: it is in the model, or as much of it as can be read, and then the model is told
 * why it is incomplete. -errno: nothing of it can be used; sentence says why, from the verb on ("is
 * empty"). Where it is 0 and sentence is not empty, it is worth a warning.
 */
int replay_add(struct replayer *replay, const char *path, char sentence[REPLAY_ERROR_BYTES]);

#endif
