/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A part is one runtime in one file of a process: what can be probed and read there. A process has as
 * many as its files have runtimes; libraries that are mapped later bring more.
 */
#ifndef MEMTRACE_TRACE_PART_H
#define MEMTRACE_TRACE_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"
#include "runtime/parser.h"
#include "runtime/runtime.h"
#include "target/mem.h"
#include "trace/module.h"

#define PART_MAX 32 /* per process */

/* Between two looks for new libraries: a fraction of the age since attach, within these bounds. */
#define PARTS_REFRESH_FRACTION 4
#define PARTS_REFRESH_NS       (5ull * 1000000)
#define PARTS_REFRESH_SLOW_NS  (10ull * 1000000000)

/*
 * A running program changes what is read of it, and where its thread is stopped half way it stays torn for a
 * while: only what contradicts itself for so long is no heap that we know.
 */
#define PART_REFUSAL_NS (200ull * 1000000)

/* A record proves that its program has come far enough to be read: so long is waited for that, in all. */
#define PART_PATIENCE_NS (300ull * 1000000)

struct part {
	const struct runtime *runtime;
	const struct module *module;
	struct runtime_file *file;
	uint8_t number;                  /* among the parts of its process */
	uint32_t name;                   /* of the runtime, interned */
	struct runtime_process *process; /* NULL = cannot be read (yet) */
	bool refused;                    /* process_open() has said never for PART_REFUSAL_NS */
	uint64_t refused_since_ns;       /* it says never since then; 0 = it does not */
	uint64_t waited_ns;              /* by part_start_for_record() */
	char not_yet[160];               /* why it said later, the last time */
	uint64_t too_early;              /* records that came while nothing could be read */
};

struct parts;

/* Does a process run a program, or map a library, of a runtime that makes it a known one? */
bool parts_would_know(int pid, struct parser *parser);

/* Whether the first runtime of a file does. */
bool parts_make_known(const struct runtime_file *file);

/* Does it stay what it is, of which at least malloc is seen? A launcher runs another program in its place. */
bool parts_stay(int pid, struct parser *parser);

/*
 * Finds the parts of a target that the model knows; optional: those of optional runtimes, too. Everything
 * that is handed over must outlive them.
 */
struct parts *parts_new(struct parser *parser, struct modules *modules, struct target_mem *mem,
	struct model *model, uint32_t target, bool optional);

/* What could not be read, or only late, becomes a skip of the model. */
void parts_free(struct parts *parts);

/* Whether one of them makes the program a known one. */
bool parts_known(const struct parts *parts);

/* Parts keep their number and place; new ones come last. */
size_t parts_count(const struct parts *parts);
struct part *parts_get(struct parts *parts, size_t i);

/*
 * Looks for libraries that were mapped since, now and then. Returns true where they have brought new
 * parts.
 */
bool parts_refresh(struct parts *parts, uint64_t now_ns);

/*
 * Starts reading a part. 0; -EAGAIN: later, a program that has just been started has no heap yet;
 * anything else: never (a skip was added).
 */
int part_start(struct parts *parts, struct part *part);

/* The same where a record has come: what cannot be read yet is waited for, at most PART_PATIENCE_NS in all. */
int part_start_for_record(struct parts *parts, struct part *part);

/* Starts all. 0; -EAGAIN: some part later; anything else: none ever. */
int parts_start(struct parts *parts);

/* True where a census would find containers: not every runtime has one. */
bool parts_have_census(const struct parts *parts);

/* For struct attribution_owners; arg is the struct parts. */
uint64_t parts_owner_of(void *arg, uint64_t addr);
bool parts_is_heap(void *arg, uint64_t addr);
uint64_t parts_count_given_back(void *arg, uint64_t start, uint64_t end);

/* The runtime's type pointer of an event becomes the model's name. */
uint32_t part_intern_type(struct parts *parts, const struct part *part, uint64_t type);

#endif
