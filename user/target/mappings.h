/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The address space of another process: what each address is mapped as, and how much of it is in RAM.
 * Read from /proc/PID/maps and pagemap; the process is not stopped and nothing of it is faulted in.
 */
#ifndef MEMTRACE_TARGET_MAPPINGS_H
#define MEMTRACE_TARGET_MAPPINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mapped_as {
	MAPPED_FILE,   /* a file, or the zeroed data that follows one */
	MAPPED_SHARED, /* tmpfs, memfd, System V, shared anonymous */
	MAPPED_BRK,
	MAPPED_STACK,
	MAPPED_ANON,
};

struct mapped_range {
	uint64_t start, end;
	enum mapped_as as;
	bool accessible; /* not PROT_NONE */
	bool writable;
	bool private;     /* has pages of its own */
	const char *name; /* path, or what the kernel or the program calls it; "" = nothing */
};

struct mappings;

struct mappings *mappings_new(void);
void mappings_free(struct mappings *mappings);

/* Replaces what is known by what is mapped now. 0, -ESRCH, -EACCES; on failure nothing is known. */
int mappings_read(struct mappings *mappings, int pid);

/* In address order. */
size_t mappings_count(const struct mappings *mappings);
const struct mapped_range *mappings_at(const struct mappings *mappings, size_t i);

/* The range that holds addr, or NULL. */
const struct mapped_range *mappings_find(const struct mappings *mappings, uint64_t addr);

/*
 * Whether addr lies in private, writable memory of no file: what was never written there is zero. Asks the
 * kernel for that one mapping (PROCMAP_QUERY, Linux 6.11; before, all of maps is read).
 */
bool mappings_is_anonymous(int pid, uint64_t addr);

/*
 * Bytes of [start, end) that are in RAM and belong to the process alone: neither a file's nor shared
 * memory's. The kernel's lock on the address space is held for 64 MiB at a time, and not at all
 * in between. pagemap_fd: /proc/PID/pagemap. 0, -ETIME once CLOCK_MONOTONIC passes deadline_ns, -errno.
 */
int mappings_count_private(
	int pagemap_fd, uint64_t start, uint64_t end, uint64_t deadline_ns, uint64_t *ret_bytes);

#endif
