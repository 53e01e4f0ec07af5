/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/pagemap.h"

#include <errno.h>
#include <sys/ioctl.h>

/* include/uapi/linux/fs.h, Linux 6.7; older headers do not have it */
struct scan_args {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN _IOWR('f', 16, struct scan_args)

int pagemap_scan(int fd, uint64_t *start, uint64_t end, uint64_t is, uint64_t any, uint64_t is_not,
	struct pagemap_region *regions, size_t count)
{
	struct scan_args args = {
		.size = sizeof(args),
		.start = *start,
		.end = end,
		.vec = (uintptr_t)regions,
		.vec_len = count,
		.category_inverted = is_not,
		.category_mask = is | is_not,
		.category_anyof_mask = any,
		.return_mask = PAGEMAP_IS_PRESENT | PAGEMAP_IS_SWAPPED,
	};
	int found = ioctl(fd, SCAN, &args);

	if (found < 0)
		return -errno;
	if (args.walk_end <= args.start)
		return -EIO;
	*start = args.walk_end;
	return found;
}
