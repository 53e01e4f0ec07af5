/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The functions at which containers of C++ libraries grow, by name: one row each. Where there is no such
 * function, or the file has no names, see cxx_inlined.c. Parser child only.
 */
#ifndef MEMTRACE_RUNTIME_CXX_MEMBERS_H
#define MEMTRACE_RUNTIME_CXX_MEMBERS_H

#include "model/event.h"
#include "memtrace.h"
#include "runtime/cxx/cxx_facts.h"

struct cxx_member {
	const char *class_prefix; /* mangled */
	const char *name;         /* mangled, with the end of the class before it */
	enum cxx_probe probe;     /* CXX_PROBES = has none, but is known */
	const char *what;         /* of the symbol, in words */
	enum cxx_probe otherwise; /* where the call to probe is not found, at the entry; 0 = none */
};

/* The row of a function by its mangled name; NULL where it has none. */
const struct cxx_member *cxx_member_find(const char *name);

/* Whether a hash table grows there whose layout is not known: another version of its library. */
bool cxx_member_is_unknown_table(const char *name);

/* What a probe at the entry of such a function reads, and of which family its containers are. */
struct mt_attachment cxx_member_attachment(enum cxx_probe probe);
enum family cxx_member_family(enum cxx_probe probe);

#endif
