/* SPDX-License-Identifier: BSD-2-Clause */
/* Vec, String, VecDeque, HashMap and HashSet of Rust: growth and looks. Tracer only. */
#ifndef MEMTRACE_RUNTIME_RUST_CONTAINERS_H
#define MEMTRACE_RUNTIME_RUST_CONTAINERS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/runtime.h"

struct target_mem;

/* How a container lies in memory. */
enum rust_shape {
	RUST_VEC,          /* two words, capacity and array in either order, then the length */
	RUST_VEC_OR_DEQUE, /* the same two words; what follows is not known */
	RUST_DEQUE,        /* capacity, array, index of the first, length */
	RUST_DEQUE_TAIL,   /* until Rust 1.66: first, behind the last, array, capacity */
	RUST_TABLE,        /* control bytes and mask in either order, room left, length */
};

/* One file of a process. */
struct runtime_process {
	struct target_mem *mem;
	const struct runtime_file *file;
	bool glibc_malloc; /* a block of it has been seen: those that are none are dead */
	/* By probe: bytes of an entry of its tables, found out; tries so far. */
	uint32_t entry_bytes[RUNTIME_MAX_PROBES];
	uint8_t tries[RUNTIME_MAX_PROBES];
};

/* The number of a type says all that a look has to know. */
uint64_t rust_type(uint32_t probe, enum rust_shape shape, uint64_t element_bytes);
void rust_type_name(struct runtime_process *process, uint64_t type, char *buf, size_t bytes);

int rust_decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret, uint64_t *ret_type);

void rust_look(struct runtime_process *process, uint64_t type, enum family family, uint64_t key,
	uint64_t length_peak, bool deep, struct event_look *ret);

#endif
