/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser child: the only code that parses target files (ELF, gopclntab, types, instructions).
 *
 * One per run, forked before any target file is opened. Talks over a SOCK_SEQPACKET pair; the file
 * descriptor travels with the first request. Replies are length-limited. A request that takes
 * longer than five seconds, or that kills the child, restarts the child and repeats the request; a
 * second time marks the file as bad: all further requests for it return -EBADMSG.
 *
 * Addresses in requests and replies are as linked (run-time address - slide).
 */
#ifndef MEMTRACE_RUNTIME_PARSER_H
#define MEMTRACE_RUNTIME_PARSER_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/runtime.h"
#include "runtime/binary/unwind.h"

struct parser;

#define PARSER_FUNCTION_BYTES 192
#define PARSER_FILE_BYTES     256
#define PARSER_MAX_PCS        64
#define PARSER_MAX_FRAMES     128

/*
 * One source frame of a pc; inlined frames come innermost first, each with inlined set but the
 * last.
 */
struct parser_frame {
	uint16_t pc_index; /* which pc of the request */
	bool inlined;
	bool internal; /* part of the language's runtime or standard library: never a site */
	uint32_t line; /* 0 = unknown */
	char function[PARSER_FUNCTION_BYTES]; /* "main.(*Cache).Put" */
	char file[PARSER_FILE_BYTES];         /* full path as the compiler wrote it */
};

#define PARSER_NOTE_BYTES 160

/* What a file says of its debug information, and what could be added to it. */
struct parser_debug {
	bool has_lines;
	char build_id[72];            /* GNU build-id in hex; "" = none */
	char note[PARSER_NOTE_BYTES]; /* why lines or inlined calls are missing; "" = no reason */
	char link[128];               /* .gnu_debuglink: name of its debug file */
	char shared_link[256];        /* file that several debug files share, still to be added */
	char shared_build_id[72];
};

enum parser_debug_kind {
	PARSER_DEBUG_OWN,    /* what was stripped from the file */
	PARSER_DEBUG_SHARED, /* what several debug files share (dwz -m) */
	PARSER_DEBUG_KINDS,
};

int parser_open(struct parser **ret);

/* For tests: another time limit per request than five seconds. */
void parser_set_timeout(struct parser *parser, uint64_t timeout_ns);

void parser_close(struct parser *parser);

/* For tests: the child's pid. */
int parser_pid(const struct parser *parser);

/*
 * Hands over an executable or library (fd stays the caller's) and identifies it. ret_id names the
 * file in further requests; ret tells of its first runtime, by the order of list.h, and of the file
 * itself. ret->runtime is "" where no runtime is known (not an error). -ENOEXEC where it
 * is not an ELF file of this machine; -EBADMSG where its parts contradict each other.
 */
int parser_identify(struct parser *parser, int fd, uint32_t *ret_id, struct runtime_file *ret);

/*
 * The runtimes of an identified file, i from 0: the first is what parser_identify() gave. -ENOENT
 * where there are no more.
 */
int parser_runtime(const struct parser *parser, uint32_t id, size_t i, struct runtime_file *ret);

/*
 * Keeps a file at hand for parser_lines(), whatever its runtime (without one, parser_identify() lets go
 * of it), and tells of its debug information. fd is that of parser_identify() again.
 */
int parser_keep(struct parser *parser, uint32_t id, int fd, struct parser_debug *ret);

/*
 * Adds a file of debug information; fd stays the caller's. A file one of whose runtimes wants_names is
 * identified anew with it (parser_runtime()). -ESTALE where it belongs to another file,
 * -ENOEXEC, -ENOENT (no shared file is wanted), -EEXIST. ret tells what the file says now.
 */
int parser_add_debug(struct parser *parser, uint32_t id, enum parser_debug_kind kind, int fd,
	struct parser_debug *ret);

/*
 * Source frames of up to PARSER_MAX_PCS pcs. A pc that is a return address must be passed as pc -
 * 1. Fills at most max frames; returns how many. A pc without a line gives a frame with the
 * function or nothing.
 */
int parser_lines(struct parser *parser, uint32_t id, const uint64_t *pcs, size_t count,
	struct parser_frame *ret, size_t max);

/*
 * Rules of unwinding for up to PARSER_MAX_PCS pcs of a kept file, ret[i] for pcs[i]; hi = 0 where there
 * is none. A pc that is a return address must be passed as pc - 1.
 */
int parser_rules(struct parser *parser, uint32_t id, const uint64_t *pcs, size_t count,
	struct unwind_rule *ret);

/* Describes the type at an address of the file's types section. -ENOENT where none is there. */
int parser_type(struct parser *parser, uint32_t id, uint64_t type, struct go_type *ret);

/*
 * All map types and all channel types of the file, up to max (kind 21 or 18). Returns how many
 * there are in all, which may be more.
 */
int parser_types(struct parser *parser, uint32_t id, uint8_t kind, struct go_type *ret, size_t max);

/*
 * The type that the code before a call passes in a register (lea type(%rip),%reg): for growslice,
 * whose element type is in no register at our probe. return_pc is the return address of the call.
 * -ENOENT where the code does not say it in that way.
 */
int parser_call_type(struct parser *parser, uint32_t id, uint64_t return_pc, struct go_type *ret);

/*
 * Name of the data symbol that holds an address ("main.cache"), with the offset into it; -ENOENT.
 */
int parser_symbol(struct parser *parser, uint32_t id, uint64_t addr, char *name, size_t bytes,
	uint64_t *ret_offset);

/*
 * Field of a struct type that holds offset, nested structs and arrays descended: "main.Cache.m",
 * "main.Cache.shards[].m", and the field's type; -ENOENT.
 */
int parser_field(struct parser *parser, uint32_t id, uint64_t type, uint64_t offset, char *name,
	size_t bytes, struct go_type *ret_field_type);

#endif
