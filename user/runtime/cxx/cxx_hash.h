/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hash tables of C++ libraries: growth and looks. What differs from library to library is a row: how its
 * header reads, what a hit of its probe says, and what it would take for so many elements. Tracer only.
 */
#ifndef MEMTRACE_RUNTIME_CXX_HASH_H
#define MEMTRACE_RUNTIME_CXX_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/runtime.h"

#define CXX_MAX_BUCKETS (1ull << 40)

struct target_mem;

/* One file of a process. */
struct runtime_process {
	struct target_mem *mem;
	const struct runtime_file *file;
	struct cxx_facts facts;
	uint64_t slide;
	bool glibc_malloc; /* a block of it has been seen: those that are none are dead */
	/* By probe: bytes of a slot of its tables, found out. */
	uint32_t slot_bytes[RUNTIME_MAX_PROBES];
};

/* A block of memory for which so many bytes were asked; 0 bytes = there is none. */
struct cxx_block {
	uint64_t addr, bytes;
};

/* What the header of a table says of it now. */
struct cxx_table {
	struct cxx_block blocks[2];
	uint64_t length, capacity;
	uint64_t load_limit; /* elements before it grows */
	uint64_t tombstones;
	double max_load;     /* of tables with nodes: elements a bucket */
	uint64_t slot_bytes; /* of tables without: 0 = unknown */
	uint64_t stamp;      /* of all the words that were read */
};

/* What a hit of its probe says: capacities, and usable bytes of all its blocks. */
struct cxx_rehash {
	uint64_t old, now;
	uint64_t old_bytes, bytes;
	bool has_length;
	uint64_t length;
};

struct cxx_library {
	enum cxx_probe probe;
	uint8_t key_offset; /* from the table to the record's addr */
	/* False where the words at key contradict each other, or are those of a table that has no array. */
	bool (*read)(struct runtime_process *process, const struct runtime_probe *probe,
		uint64_t key, struct cxx_table *ret);
	/* 0, -ENODATA where nothing is replaced, -EBADMSG. */
	int (*rehash)(struct runtime_process *process, const struct runtime_probe *probe,
		const struct mt_record *record, struct cxx_rehash *ret);
	/* Usable bytes of a table that is made for so many elements. */
	uint64_t (*need)(const struct runtime_process *process, const struct cxx_table *table,
		uint64_t length);
};

/* One row each, in cxx_buckets.c and cxx_slots.c. */
extern const struct cxx_library cxx_libstdcxx_table, cxx_libcxx_table, cxx_libcxx_prime,
	cxx_boost_table;
extern const struct cxx_library cxx_absl_table, cxx_absl_common_table, cxx_boost_flat_table,
	cxx_boost_flat_core_table;

/* Whether the probe is one of a hash table. */
bool cxx_hash_is(const struct runtime_probe *probe);

int cxx_hash_decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret);

void cxx_hash_look(struct runtime_process *process, const struct runtime_probe *probe, uint64_t key,
	uint64_t length_peak, bool deep, struct event_look *ret);

/* Usable bytes of one block for which so many are asked; 0 for none. */
uint64_t cxx_hash_usable(uint64_t asked);

/* The number of buckets that libstdc++ would take where so many are wanted; 0 = more than it has. */
uint64_t cxx_next_buckets(const struct cxx_facts *facts, uint64_t wanted);

/* Where _M_next_bkt was called, as struct runtime's place(). */
size_t cxx_hash_place(struct runtime_process *process, const struct mt_record *record,
	uint64_t ret[RUNTIME_PLACE_PCS]);

#endif
