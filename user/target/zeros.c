/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Documentation/admin-guide/mm/pagemap.rst: bits 0-54 of a word are the page frame, 56 = mapped once, 61 = not
 * anonymous; /proc/kpageflags has a word for each frame, bit 24 = KPF_ZERO_PAGE. fs/proc/task_mmu.c (Linux 6.1)
 * gives the page of 4 KiB neither 56 nor 61, that of 2 MiB 61: it is a page, but no anonymous one.
 */
#include "target/zeros.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_BYTES   4096
#define FRAME        ((1ull << 55) - 1)
#define MAPPED_ONCE  (1ull << 56)
#define NO_ANON      (1ull << 61)
#define FLAG_ZERO    (1ull << 24)
#define BLOCK_FRAMES 512

static uint64_t read_word(const char *path, uint64_t index)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, &word, sizeof(word), (off_t)(index * sizeof(word))) != sizeof(word))
		word = 0;
	close(fd);
	return word;
}

/* A page of our own that was only read. */
static uint64_t learn_frame(void)
{
	volatile char *page = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t word;

	if (page == MAP_FAILED)
		return 0;
	(void)page[0];
	word = read_word("/proc/self/pagemap", (uintptr_t)page / PAGE_BYTES);
	munmap((void *)page, PAGE_BYTES);
	return word & (MAPPED_ONCE | NO_ANON) ? 0 : word & FRAME;
}

/* All frames of the page of 2 MiB are in one block, and nothing else is. */
static bool is_huge(struct zeros *zeros, uint64_t frame)
{
	uint64_t block = frame / BLOCK_FRAMES + 1;

	if (block != zeros->block) {
		zeros->is_huge = read_word("/proc/kpageflags", frame) & FLAG_ZERO;
		zeros->block = block;
	}
	return zeros->is_huge;
}

bool zeros_have(struct zeros *zeros, uint64_t word)
{
	uint64_t frame = word & FRAME;

	if (!zeros->learned) {
		zeros->frame = learn_frame();
		zeros->learned = true;
	}
	if (!frame || word & MAPPED_ONCE)
		return false;
	return word & NO_ANON ? is_huge(zeros, frame) : frame == zeros->frame;
}
