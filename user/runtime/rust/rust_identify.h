/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds the containers of Rust's standard library in an executable. Parser child only. */
#ifndef MEMTRACE_RUNTIME_RUST_IDENTIFY_H
#define MEMTRACE_RUNTIME_RUST_IDENTIFY_H

struct elf_file;
struct runtime_file;

/* Rows of the probes. */
enum rust_probe {
	RUST_PROBE_VEC, /* call of finish_grow with capacities and the bytes of an element */
	RUST_PROBE_VEC_LAYOUT, /* the same with sizes in bytes and alignments before them: Rust 1.7x, 1.8x */
	RUST_PROBE_VEC_BYTES,   /* the same with alignments behind the sizes: Rust 1.6x */
	RUST_PROBE_DEQUE_BYTES, /* in VecDeque::grow of these */
	RUST_PROBE_TABLE,       /* RawTable::reserve_rehash */
};

/* As struct runtime's identify(). */
int rust_identify(struct elf_file *elf, struct runtime_file *ret);

#endif
