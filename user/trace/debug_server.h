/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug information from debuginfod servers, by elfutils' client library. Only where the user asks for it:
 * it tells the servers which build-ids run here. What a server sends is a file like any other of the
 * target's: the parser child alone reads it, and takes it only where its build-id is the right one.
 */
#ifndef MEMTRACE_TRACE_DEBUG_SERVER_H
#define MEMTRACE_TRACE_DEBUG_SERVER_H

struct debug_server;

struct debug_server_options {
	/* share < 0 = unknown. Non-zero gives up. NULL = nobody is told. */
	int (*progress)(double share, void *arg);
	void *arg;
};

/*
 * Loads the client library; nothing is asked yet. $DEBUGINFOD_URLS names the servers. 0; -ENOENT: no
 * servers are named; -ENOPKG: the library is not installed, or is none that we know.
 */
int debug_server_open(const struct debug_server_options *options, struct debug_server **ret);
void debug_server_close(struct debug_server *server);

/*
 * The debug information of the file with this build-id (hex): a descriptor, the caller's, or -errno; -ENOENT
 * where no server has it. May take minutes: as long as the library waits ($DEBUGINFOD_TIMEOUT) or progress
 * says so.
 */
int debug_server_fetch(struct debug_server *server, const char *build_id);

#endif
