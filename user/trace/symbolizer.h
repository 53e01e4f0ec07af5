/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a stack of addresses to a site of the model: asks the parser child once per new stack and
 * remembers the answer. One per target and program image (an exec makes a new one). Code in files
 * gets function, file and line, or "libfoo.so.1+0x1234" with the build-id as its file; code made at
 * run time is "[anonymous]"; addresses that are no code are left out.
 */
#ifndef MEMTRACE_TRACE_SYMBOLIZER_H
#define MEMTRACE_TRACE_SYMBOLIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"
#include "runtime/parser.h"
#include "trace/module.h"

#define SYMBOLIZER_MAX_STACKS 16384

struct symbolizer;
struct debug_server;

/*
 * All arguments must outlive it; modules are those of pid. server: asked for what is missing, and at once
 * of the executable; NULL = none is.
 */
struct symbolizer *symbolizer_new(struct parser *parser, struct modules *modules, int pid,
	struct debug_server *server, struct model *model, uint32_t target);
void symbolizer_free(struct symbolizer *symbolizer);

/*
 * Site of a stack, innermost first. first_is_ip: addrs[0] is an instruction pointer; all others are
 * return addresses. Returns a site id, or 0 where nothing is known about any frame or the bound of
 * stacks is reached (counted).
 */
uint32_t symbolizer_site(struct symbolizer *symbolizer, enum family family, uint32_t type,
	const uint64_t *addrs, size_t count, bool first_is_ip);

/*
 * What the library's functions at the top of a stack say of the container (type_of: a runtime's
 * type_of_function()), interned; 0 = nothing.
 */
uint32_t symbolizer_type(struct symbolizer *symbolizer,
	bool (*type_of)(const char *function, char *buf, size_t bytes), const uint64_t *addrs,
	size_t count);

/* Who touched a page. */
struct symbolizer_toucher {
	uint32_t site;      /* as above */
	enum family family; /* whose containers a runtime's own code was filling, or NONE */
	bool direct;        /* the user's own code did it, or one function that it called */
};

struct symbolizer_toucher symbolizer_toucher(
	struct symbolizer *symbolizer, const uint64_t *addrs, size_t count);

/*
 * The whole stack in the model, from return addresses of which an inlined call has one of its own (as
 * Go's profiles keep them). Returns its id, or 0 as above.
 */
uint32_t symbolizer_stack(struct symbolizer *symbolizer, const uint64_t *addrs, size_t count);

/*
 * The module that runs code at a run-time address, its file kept at the parser; NULL where there is no
 * code or its file cannot be parsed.
 */
const struct module *symbolizer_find_module(struct symbolizer *symbolizer, uint64_t addr);

/* Stacks that found no room. */
uint64_t symbolizer_refused(const struct symbolizer *symbolizer);

#endif
