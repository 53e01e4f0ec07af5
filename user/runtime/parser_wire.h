/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tracer and its parser child say to each other. One request, then its reply in packets.
 */
#ifndef MEMTRACE_RUNTIME_PARSER_WIRE_H
#define MEMTRACE_RUNTIME_PARSER_WIRE_H

#include <stdint.h>

#include "runtime/parser.h"

#define PARSER_PACKET_BYTES 32768
#define PARSER_REPLY_BYTES  (16u << 20) /* more is cut */

enum parser_op {
	PARSER_OP_TAKE,       /* a file descriptor comes along; nothing is parsed yet */
	PARSER_OP_DROP,       /* forget the file */
	PARSER_OP_TAKE_DEBUG, /* the descriptor of its debug file comes along; number = its kind */
	PARSER_OP_DEBUG,
	PARSER_OP_IDENTIFY,
	PARSER_OP_LINES,
	PARSER_OP_RULES,
	PARSER_OP_TYPE,
	PARSER_OP_TYPES,
	PARSER_OP_CALL_TYPE,
	PARSER_OP_SYMBOL,
	PARSER_OP_FIELD,
	PARSER_OP_MAX,
};

/* addr: type, return pc or data address; number: offset, kind or count of pcs. */
struct parser_request {
	uint32_t op, file;
	uint64_t addr, number;
	uint32_t max; /* how many items the caller has room for */
	uint64_t pcs[PARSER_MAX_PCS];
};

/* status counts for the whole reply; left = bytes that follow this packet's. */
struct parser_reply {
	int32_t status;
	uint32_t bytes, left;
	uint8_t payload[PARSER_PACKET_BYTES];
};

#define PARSER_REPLY_HEAD offsetof(struct parser_reply, payload)

struct parser_symbol_reply {
	uint64_t offset;
	char name[256];
};

struct parser_field_reply {
	struct go_type type;
	char name[256];
};

/* The child's whole life; serves requests from socket until it closes. */
void parser_child_run(int socket, int parent_pid) __attribute__((noreturn));

#endif
