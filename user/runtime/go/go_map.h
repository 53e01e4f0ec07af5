/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go maps from outside, both kinds: runtime.hmap (buckets with overflow chains, Go <= 1.23) and
 * internal/runtime/maps.Map (Swiss tables, Go >= 1.24). Both headers are 48 bytes and objects of
 * their own.
 */
#ifndef MEMTRACE_RUNTIME_GO_MAP_H
#define MEMTRACE_RUNTIME_GO_MAP_H

#include "runtime/go/go_heap.h"
#include "runtime/go/go_size.h"

#define GO_MAP_MAX_NAMES 3

/* A header of either kind. What a kind does not have is 0. */
struct go_map_header {
	uint64_t length;
	uint64_t seed;
	uint64_t array;     /* buckets; directory or, where tables is 0, the only group */
	uint64_t old;       /* classic: the array being evacuated */
	uint64_t extra;     /* classic: mapextra */
	uint64_t evacuated; /* classic */
	uint64_t tables;    /* Swiss: entries of the directory */
	uint64_t clear_seq; /* Swiss */
	uint64_t stamp;     /* changes with every write that the header shows, not with iterating */
	uint32_t overflow;  /* classic: overflow buckets, approximate from B = 16 on */
	uint8_t b;          /* classic: log2 of buckets; Swiss: log2 of tables */
	uint8_t flags;      /* classic: flags; Swiss: writing */
};

/* What a map's array could be made of. */
struct go_map_guess {
	uint64_t group_bytes;
	bool has_pointers;
	size_t type_count; /* may be more than names are kept for */
	const struct go_type *types[GO_MAP_MAX_NAMES];
};

/* Guesses for one size of array, best first. */
struct go_map_guesses {
	struct go_map_guess *list;
	size_t count;
};

/* False where the numbers alone are impossible. Without the stamp: for many slots, few of them maps. */
bool go_map_parse_numbers(const struct runtime_process *process,
	const uint8_t raw[GO_MAP_HEADER_BYTES], struct go_map_header *ret);

/* As above, and the header's stamp, which differs where the program has written to it. */
bool go_map_parse(const struct runtime_process *process, const uint8_t raw[GO_MAP_HEADER_BYTES],
	struct go_map_header *ret);

/* With the array's address: differs where a walk would find other arrays. */
static inline uint64_t go_map_walk_mark(const struct go_map_header *header)
{
	return header->tables + header->old;
}

/*
 * Walks arrays: fills ret (without residency) and the process's scratch extents.
 * group_bytes is the size of a bucket or group, 0 = unknown: then it is estimated. -EFAULT where they do not hang together (perhaps changed under our hands), -ESRCH.
 */
int go_map_walk(struct runtime_process *process, uint64_t key, const struct go_map_header *header,
	uint64_t group_bytes, struct go_shape *ret);

/*
 * Asks the arrays whether the header at key really is a map's: 0, -ENOENT where it is none, -EAGAIN
 * where it changed meanwhile. type may be NULL; ret_guess gets what the array is made of.
 */
int go_map_check(struct runtime_process *process, uint64_t key, const struct go_map_header *header,
	const struct go_type *type, struct go_map_guess *ret_guess);

/* Frees what the checks so far have learned of sizes of arrays. */
void go_map_forget_guesses(struct runtime_process *process);

/* "map[string]int" or "map[int]int or map[int]uint"; "map" where nothing is known. */
void go_map_guess_name(const struct go_map_guess *guess, char *buf, size_t bytes);

#endif
