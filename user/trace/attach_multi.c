/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The attribute of BPF_LINK_CREATE as the kernel lays it out (union bpf_attr, link_create), declared
 * here because <linux/bpf.h> may be older than uprobe_multi. The kernel ignores nothing: a field it
 * does not know and that is not zero is an error, so all of it is initialised.
 */
#include "trace/attach_multi.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>

/* Linux 6.6, include/uapi/linux/bpf.h: younger than the headers this is built with. */
#define ATTACH_UPROBE_MULTI 48

struct multi_attr {
	uint32_t program_fd, target_fd, attach_type, flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t count, multi_flags, pid, zero;
};

int attach_multi_create(int program_fd, const char *path, int pid, const uint64_t *offsets,
	const uint64_t *cookies, size_t count)
{
	struct multi_attr attr = {
		.program_fd = program_fd,
		.attach_type = ATTACH_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offsets,
		.cookies = (uintptr_t)cookies,
		.count = count,
		.pid = pid,
	};
	int fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}
