/* SPDX-License-Identifier: BSD-2-Clause */
/* How much of an array is in RAM, its first and last page counted as far as they belong to it. */
#include "runtime/resident.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "target/mem.h"

#define BATCH_PAGES 16384

uint64_t resident_bytes(struct target_mem *mem, uint64_t addr, uint64_t bytes)
{
	bool *present = xcalloc(BATCH_PAGES, sizeof(*present));
	uint64_t sum = 0, end = addr + bytes;

	while (addr < end) {
		uint64_t page = addr - addr % TARGET_PAGE_BYTES;
		uint64_t part = MIN(end, page + BATCH_PAGES * TARGET_PAGE_BYTES) - addr;

		if (target_mem_resident(mem, addr, part, present) < 0)
			break;
		for (uint64_t i = 0; page < addr + part; i++, page += TARGET_PAGE_BYTES)
			if (present[i])
				sum += MIN(page + TARGET_PAGE_BYTES, addr + part) - MAX(page, addr);
		addr += part;
	}
	free(present);
	return sum;
}
