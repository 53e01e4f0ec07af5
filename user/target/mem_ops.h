/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to target/mem.c and the implementations: what stands behind a struct target_mem. */
#ifndef MEMTRACE_TARGET_MEM_OPS_H
#define MEMTRACE_TARGET_MEM_OPS_H

#include "base/table.h"
#include "target/mem.h"
#include "target/zeros.h"

struct target_mem_ops {
	void (*close)(struct target_mem *mem);
	int (*read)(struct target_mem *mem, uint64_t addr, void *buf, size_t bytes);
	int (*read_pieces)(struct target_mem *mem, struct target_piece *pieces, size_t count);
	long (*present)(struct target_mem *mem, uint64_t page, uint64_t pages, bool *ret);
	long (*resident)(struct target_mem *mem, uint64_t page, uint64_t pages, bool *ret);
	bool (*is_untouched)(struct target_mem *mem, uint64_t page);
	/* Private and no file's: what was never written there is zero. */
	bool (*is_anonymous)(struct target_mem *mem, uint64_t page);
};

struct view;

struct target_mem {
	const struct target_mem_ops *ops;
	/* live */
	int pid, mem_fd, pagemap_fd;
	bool no_vm_readv, no_scan;
	bool saw_swapped;        /* the last search for present pages met some that are elsewhere */
	unsigned int vain_waits; /* for pages on the move, one after the other */
	struct zeros zeros;
	/* image */
	struct table pages; /* page number -> index into page_bytes */
	uint8_t (*page_bytes)[TARGET_PAGE_BYTES];
	size_t page_count, page_capacity;
	/* view */
	struct view *view;
};

static inline uint64_t page_of(uint64_t addr)
{
	return addr / TARGET_PAGE_BYTES;
}

/* Pages touched by [addr, addr + bytes); 0 where it is empty or wraps around. */
static inline uint64_t pages_of(uint64_t addr, uint64_t bytes)
{
	if (!bytes || addr + (bytes - 1) < addr)
		return 0;
	return page_of(addr + (bytes - 1)) - page_of(addr) + 1;
}

#endif
