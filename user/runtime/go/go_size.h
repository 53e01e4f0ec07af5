/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many bytes Go's allocator takes for what: size classes, and what a make() of a container
 * allocates. Pure arithmetic, the same as the runtime's own (sources named in go_size.c).
 */
#ifndef MEMTRACE_RUNTIME_GO_SIZE_H
#define MEMTRACE_RUNTIME_GO_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/go/go_facts.h"

#define GO_MAP_HEADER_BYTES   48 /* runtime.hmap, internal/runtime/maps.Map: a size class itself */
#define GO_MAP_SLOTS          8  /* slots of a bucket or group */
#define GO_MAP_TABLE_BYTES    32 /* internal/runtime/maps.table */
#define GO_MAP_TABLE_CAPACITY 1024
#define GO_MAP_EXTRA_BYTES    24 /* runtime.mapextra */
#define GO_MAP_MAX_B          40
#define GO_MAP_EXTRA_B        4 /* from this B on buckets are preallocated, so there is a mapextra */
#define GO_MALLOC_HEADER      8
#define GO_MALLOC_HEADER_FROM 512   /* pointerful objects above this carry a header (1.22+) */
#define GO_SMALL_MAX          32768 /* largest size class */
#define GO_MAX_BYTES          (1ull << 47)

/* Size classes, the first of which (0) is that of large objects: runtime.class_to_size. */
#define GO_SIZE_CLASSES 68

/* Bytes of an object of class 1..; 0 = there is none such. */
uint64_t go_size_of_class(size_t size_class);

/* Bytes of the span slot that mallocgc(bytes) takes, the malloc header included. */
uint64_t go_size_alloc(const struct go_facts *facts, uint64_t bytes, bool has_pointers);

/* Buckets of a classic map's array of 2^b, the preallocated overflow buckets included. */
uint64_t go_size_buckets(
	const struct go_facts *facts, uint8_t b, uint64_t bucket_bytes, bool has_pointers);

/* Bytes of that array as allocated. */
uint64_t go_size_bucket_array(
	const struct go_facts *facts, uint8_t b, uint64_t bucket_bytes, bool has_pointers);

/* Bytes of the group array of a Swiss table with capacity slots as allocated. */
uint64_t go_size_table_groups(
	const struct go_facts *facts, uint64_t capacity, uint64_t group_bytes, bool has_pointers);

/* Entries that fit before a map grows. */
uint64_t go_size_load_limit(const struct go_facts *facts, uint8_t b);
uint64_t go_size_table_limit(uint64_t capacity);

/* Bytes of a map made for n entries: header and arrays, for a type's bucket or group. */
uint64_t go_size_need_map(
	const struct go_facts *facts, uint64_t n, uint64_t group_bytes, bool has_pointers);

/* Bytes of a channel of n slots. */
uint64_t go_size_need_channel(
	const struct go_facts *facts, uint64_t n, uint64_t elem_bytes, bool has_pointers);

#endif
