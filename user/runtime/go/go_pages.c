/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go's page allocator from outside (runtime/mpagealloc.go, mpallocbits.go, go1.19 to go1.26): for each
 * 4 MiB of address space one bit a page of 8 KiB says whether it is allocated, another whether it has been
 * given back to the system ("scavenged"; so is what was never used).
 *
 * What was given back may be in RAM again: where the kernel uses huge pages, by itself or because Go up to
 * 1.20 asks for them (sysHugePage()), a fault in one page of the heap fills all 2 MiB around it, free pages
 * included, and Go's counters know nothing of it. Measured: up to 3.4 of 18.9 MB after a storm of
 * collections.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_heap.h"
#include "runtime/go/go_size.h"

#define CHUNK_SHIFT   22 /* runtime.logPallocChunkBytes */
#define CHUNK_BYTES   (1ull << CHUNK_SHIFT)
#define CHUNK_WORDS   8    /* of each bitmap */
#define L2_CHUNKS     8192 /* runtime.pallocChunksL2Bits, amd64 */
#define PAGES_PER_BIT (GO_PAGE_BYTES / TARGET_PAGE_BYTES)
#define PRESENT_PAGES (CHUNK_BYTES / TARGET_PAGE_BYTES)

/* runtime.pallocData */
struct chunk {
	uint64_t allocated[CHUNK_WORDS], given_back[CHUNK_WORDS];
};

/* Keeps the bits of pages that are free and given back. False where there are none. */
static bool read_chunk(struct runtime_process *process, uint64_t addr, uint64_t ret[CHUNK_WORDS])
{
	const struct go_layout *layout = &process->facts.layout;
	uint64_t index = (addr + GO_ARENA_BIAS) >> CHUNK_SHIFT, table, any = 0;
	uint64_t top = process->facts.mheap + layout->heap_pages + layout->pages_chunks;
	struct chunk chunk;

	if (target_mem_read_u64(process->live, top + index / L2_CHUNKS * 8, &table) || !table ||
		target_mem_read(process->live, table + index % L2_CHUNKS * sizeof(chunk), &chunk,
			sizeof(chunk)))
		return false;
	for (int i = 0; i < CHUNK_WORDS; i++)
		any |= ret[i] = chunk.given_back[i] & ~chunk.allocated[i];
	return any;
}

int go_pages_count_given_back(
	struct runtime_process *process, uint64_t start, uint64_t end, uint64_t *ret_bytes)
{
	const struct go_layout *layout = &process->facts.layout;
	uint64_t bits[CHUNK_WORDS], sum = 0, next;
	bool present[PRESENT_PAGES];

	if (layout->heap_pages == UINT16_MAX || layout->pages_chunks == UINT16_MAX)
		return -ENOTSUP;
	if (end > GO_MAX_BYTES)
		return -EINVAL;
	for (uint64_t at = start & ~(TARGET_PAGE_BYTES - 1); at < end; at = next) {
		uint64_t first = at % CHUNK_BYTES / TARGET_PAGE_BYTES;
		long r;

		next = MIN((at / CHUNK_BYTES + 1) * CHUNK_BYTES, end);
		if (!read_chunk(process, at, bits))
			continue;
		r = target_mem_resident(process->live, at, next - at, present);
		if (r < 0)
			return (int)r;
		for (uint64_t i = 0; r && i < (next - at) / TARGET_PAGE_BYTES; i++) {
			uint64_t page = (first + i) / PAGES_PER_BIT;

			if (present[i] && bits[page / 64] >> page % 64 & 1)
				sum += TARGET_PAGE_BYTES;
		}
	}
	*ret_bytes = sum;
	return 0;
}
