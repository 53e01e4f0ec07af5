/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uprobe_multi links by the raw system call: libbpf learnt it in 1.3, memtrace builds with 1.1.2.
 * One link holds any number of probes of one file: attached and detached as one, in ~50 ms.
 */
#ifndef MEMTRACE_TRACE_ATTACH_MULTI_H
#define MEMTRACE_TRACE_ATTACH_MULTI_H

#include <stddef.h>
#include <stdint.h>

/*
 * Creates a link on count file offsets. pid 0 = every process that maps the file. Returns a
 * descriptor (closing it detaches and blocks for a grace period) or -errno: -EINVAL where the kernel
 * has no uprobe_multi, -ESRCH where pid is gone.
 */
int attach_multi_create(int program_fd, const char *path, int pid, const uint64_t *offsets,
	const uint64_t *cookies, size_t count);

#endif
