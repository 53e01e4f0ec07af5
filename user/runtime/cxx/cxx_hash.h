/* SPDX-License-Identifier: BSD-2-Clause */
/* std::unordered_{map,set,multimap,multiset} of libstdc++: growth and looks. Tracer only. */
#ifndef MEMTRACE_RUNTIME_CXX_HASH_H
#define MEMTRACE_RUNTIME_CXX_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/runtime.h"

struct target_mem;

/* One file of a process. */
struct runtime_process {
	struct target_mem *mem;
	const struct runtime_file *file;
	struct cxx_facts facts;
	uint64_t slide;
	bool glibc_malloc; /* a block of it has been seen: those that are none are dead */
};

/* The number of buckets that libstdc++ would take where so many are wanted; 0 = more than it has. */
uint64_t cxx_next_buckets(const struct cxx_facts *facts, uint64_t wanted);

int cxx_hash_decode(
	struct runtime_process *process, const struct mt_record *record, struct event *ret);

size_t cxx_hash_place(struct runtime_process *process, const struct mt_record *record,
	uint64_t ret[RUNTIME_PLACE_PCS]);

void cxx_hash_look(struct runtime_process *process, uint64_t key, uint64_t length_peak, bool deep,
	struct event_look *ret);

#endif
