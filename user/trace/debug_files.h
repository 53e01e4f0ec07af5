/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds what was stripped from a program: the file below /usr/lib/debug that has its build-id, or the
 * one that its debug link names, in the process's own root first, then in ours, then from a server where the
 * user wants that. Whether a file belongs to the program is for the parser child to say; here it is only opened.
 */
#ifndef MEMTRACE_TRACE_DEBUG_FILES_H
#define MEMTRACE_TRACE_DEBUG_FILES_H

#include <stdint.h>

#include "runtime/parser.h"

struct debug_server;

/*
 * Adds to file id what debug (of parser_keep()) asks for. path is the program's own, as its process
 * sees it. server: NULL = none is asked. debug tells what there is then.
 */
void debug_files_add(struct parser *parser, uint32_t id, int pid, const char *path,
	struct debug_server *server, struct parser_debug *debug);

#endif
