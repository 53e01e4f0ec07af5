/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which words of the global variables are pointers. The runtime's own hold numbers that look like some: where
 * its page allocator goes on searching (mheap_.pages.searchAddr) is the start of a page, and so may be a map.
 *
 * runtime/symtab.go: moduledata.gcdatamask and gcbssmask, next to each other, are two bitvector {n int32; bytedata
 * *uint8}, a bit for each word of data and of bss, as the collector reads them (runtime/mbitmap.go
 * progToPointerMask()). Where they stand differs between versions; that both counts agree with the sections is
 * true of one place only (1.19 to 1.26).
 */
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_census.h"

#define MODULE_BYTES   704 /* no moduledata is smaller, and all have the masks in them */
#define MODULE_FIRST   320 /* behind what has not moved (go_file.c) */
#define BITVECTOR      16
#define BITVECTOR_BITS 8 /* offset of bytedata */

static uint64_t load64(const uint8_t *raw)
{
	uint64_t value;

	memcpy(&value, raw, sizeof(value));
	return value;
}

/* The bits of a mask for so many words, 0 = there is none. */
static uint64_t bits_of(const uint8_t *raw, uint64_t words)
{
	return (load64(raw) & UINT32_MAX) == words ? load64(raw + BITVECTOR_BITS) : 0;
}

void census_find_masks(struct census *census)
{
	const struct go_facts *facts = &census->process->facts;
	uint64_t data_words = (facts->edata - facts->data) / 8;
	uint64_t bss_words = (facts->ebss - facts->bss) / 8;
	uint8_t raw[MODULE_BYTES];

	if (!facts->moduledata || !data_words ||
		target_mem_read(census->process->live, facts->moduledata, raw, sizeof(raw)))
		return;
	for (size_t at = MODULE_FIRST; at <= MODULE_BYTES - 2 * BITVECTOR; at += 8) {
		uint64_t data = bits_of(raw + at, data_words);
		uint64_t bss = bits_of(raw + at + BITVECTOR, bss_words);

		if (!data || !bss)
			continue;
		census->data_mask = data;
		census->bss_mask = bss;
		return;
	}
}

bool census_is_pointer_word(const struct census *census, uint64_t addr)
{
	const struct go_facts *facts = &census->process->facts;
	bool is_data = addr >= facts->data && addr < facts->edata;
	uint64_t mask = is_data ? census->data_mask : census->bss_mask;
	uint64_t word = (addr - (is_data ? facts->data : facts->bss)) / 8;
	uint8_t bits;

	return !mask || target_mem_read(census->process->live, mask + word / 8, &bits, 1) ||
	       bits >> word % 8 & 1;
}
