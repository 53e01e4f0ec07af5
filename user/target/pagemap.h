/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PAGEMAP_SCAN (Linux 6.7): which pages of a range are what, as ranges, where reading pagemap gives a word a
 * page. It also looks at fewer things of each page.
 */
#ifndef MEMTRACE_TARGET_PAGEMAP_H
#define MEMTRACE_TARGET_PAGEMAP_H

#include <stddef.h>
#include <stdint.h>

/* include/uapi/linux/fs.h: what a page is */
#define PAGEMAP_IS_FILE    (1ull << 2)
#define PAGEMAP_IS_PRESENT (1ull << 3)
#define PAGEMAP_IS_SWAPPED (1ull << 4) /* or on the way to another frame */
#define PAGEMAP_IS_ZERO    (1ull << 5) /* the one page of zeros that all share */

struct pagemap_region {
	uint64_t start, end, categories;
};

/*
 * Finds pages of [*start, end) that are all of is, one of any (0 = whatever) and none of is_not, as ranges of
 * neighbours that are the same of PRESENT and SWAPPED (categories). Moves *start to where the search came:
 * end, or less where count ranges were not enough. Returns how many were found;
 * an error (-ENOTTY, -EINVAL: this kernel cannot) means that pagemap has to be read. Of an address space
 * that has gone it finds nothing.
 */
int pagemap_scan(int fd, uint64_t *start, uint64_t end, uint64_t is, uint64_t any, uint64_t is_not,
	struct pagemap_region *regions, size_t count);

#endif
