/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel says of the memory of a cgroup, of version 1 or 2. */
#ifndef MEMTRACE_TARGET_CGROUP_H
#define MEMTRACE_TARGET_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

struct cgroup_memory {
	uint64_t usage_bytes;
	uint64_t inactive_file_bytes;     /* of it the page cache that goes first: no working set */
	uint64_t limit_bytes, high_bytes; /* of this directory; 0 = none. Version 1 has no high */
	uint64_t oom_kills;
	bool has_pressure; /* version 2, where the kernel was built for it */
	uint64_t
		some_us; /* time in which at least one task waited for memory, since the cgroup is there */
	uint64_t full_us; /* and all of them */
};

/* 0, or -ENOENT where the directory is no memory cgroup, or no longer there. */
int cgroup_read_memory(const char *directory, bool unified, struct cgroup_memory *ret);

#endif
