/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pages of zeros that the kernel maps where memory was only read: one of 4 KiB, and one of 2 MiB for huge
 * pages. They are present, but nobody's: RSS does not count them. PAGEMAP_SCAN (pagemap.h) tells them apart; before
 * Linux 6.7 only their page frames do, which pagemap shows to CAP_SYS_ADMIN (else all are 0).
 */
#ifndef MEMTRACE_TARGET_ZEROS_H
#define MEMTRACE_TARGET_ZEROS_H

#include <stdbool.h>
#include <stdint.h>

/* What was learned so far; all 0 at first. */
struct zeros {
	bool learned;
	uint64_t frame; /* of the page of 4 KiB, 0 = unknown */
	uint64_t block; /* of 2 MiB, the last one that was asked, + 1 */
	bool is_huge;   /* that is the page of 2 MiB */
};

/*
 * Whether a word of pagemap, of private anonymous memory that is present, is of a page of zeros. False where it
 * cannot be known.
 */
bool zeros_have(struct zeros *zeros, uint64_t word);

#endif
