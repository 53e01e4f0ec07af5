/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading memory: images, their files, and a live process (our own child, which waits in a pipe). */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "target/gather.h"
#include "target/mem.h"
#include "target/mem_ops.h"

#define BASE 0xc000000000ull

static struct target_mem *make_image(void)
{
	struct target_mem *mem = target_mem_new_image();
	uint8_t bytes[6000];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	cr_assert_eq(target_mem_add_image(mem, BASE + 100, bytes, sizeof(bytes)), 0);
	return mem;
}

static void check_image(struct target_mem *mem)
{
	uint8_t byte, bytes[6000];
	uint64_t word;
	uint32_t half;

	cr_expect_eq(target_mem_read(mem, BASE + 100, bytes, sizeof(bytes)), 0);
	for (size_t i = 0; i < sizeof(bytes); i++)
		cr_assert_eq(bytes[i], (uint8_t)(i * 7));
	cr_expect_eq(target_mem_read(mem, BASE, &byte, 1), 0);
	cr_expect_eq(byte, 0);
	cr_expect_eq(target_mem_read_u64(mem, BASE + 100, &word), 0);
	cr_expect_eq(word, 0x312a231c150e0700);
	cr_expect_eq(target_mem_read_u32(mem, BASE + 100, &half), 0);
	cr_expect_eq(half, 0x150e0700);
	cr_expect_eq(target_mem_read(mem, BASE + 8000, bytes, 300), -EFAULT);
	cr_expect_eq(target_mem_read(mem, BASE - 1, &byte, 1), -EFAULT);
	cr_expect_eq(target_mem_read(mem, UINT64_MAX, bytes, 2), -EFAULT);
}

Test(target_mem, image)
{
	struct target_mem *mem = make_image();

	check_image(mem);
	target_mem_close(mem);
}

Test(target_mem, pieces)
{
	struct target_mem *mem = make_image();
	uint8_t a[4], b[4], c[4];
	struct target_piece pieces[] = {{BASE + 102, a, 4, false}, {BASE + 8190, b, 4, true},
		{BASE + 100, c, 4, false}, {BASE, c, 0, true}};

	cr_expect_eq(target_mem_read_pieces(mem, pieces, ARRAY_SIZE(pieces)), 2);
	cr_expect(pieces[0].done && !pieces[1].done && pieces[2].done && !pieces[3].done);
	cr_expect_eq(a[0], 14);
	cr_expect_eq(c[1], 7);
	target_mem_close(mem);
}

Test(target_mem, present)
{
	struct target_mem *mem = make_image();
	bool present[4] = {};

	cr_expect_eq(target_mem_present(mem, BASE - 1, 3 * 4096, present), 2);
	cr_expect(!present[0] && present[1] && present[2] && !present[3]);
	cr_expect_eq(target_mem_present(mem, BASE, 0, NULL), 0);
	cr_expect_eq(target_mem_present(mem, BASE + 4095, 2, NULL), 2);
	target_mem_close(mem);
}

static void temp_name(char *path, size_t bytes)
{
	snprintf(path, bytes, "/tmp/memtrace-image-XXXXXX");
	close(mkstemp(path));
	unlink(path);
}

Test(target_mem, save_and_open)
{
	struct target_mem *mem = make_image(), *again = NULL;
	char path[64];

	temp_name(path, sizeof(path));
	cr_assert_eq(target_mem_save(mem, path), 0);
	cr_expect_eq(target_mem_save(mem, path), -EEXIST);
	cr_assert_eq(target_mem_open_image(path, &again), 0);
	check_image(again);
	target_mem_close(again);
	target_mem_close(mem);
	unlink(path);
}

/* A file that is no image, or a damaged one: the first page twice, half a page, an absurd number. */
Test(target_mem, damaged_image)
{
	const struct {
		const char *magic;
		uint64_t pages[2];
		size_t bytes;
	} files[] = {
		{"mtimage2", {1, 2}, 4096},
		{"mtimage1", {7, 7}, 4096},
		{"mtimage1", {1, 2}, 4000},
		{"mtimage1", {UINT64_MAX, 2}, 4096},
	};
	static const uint8_t page[4096];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct target_mem *mem = NULL;
		char path[64];
		FILE *file;

		temp_name(path, sizeof(path));
		file = fopen(path, "w");
		fwrite(files[i].magic, 8, 1, file);
		for (int j = 0; j < 2; j++) {
			fwrite(&files[i].pages[j], 8, 1, file);
			fwrite(page, files[i].bytes, 1, file);
		}
		fclose(file);
		cr_expect_eq(target_mem_open_image(path, &mem), -EBADMSG, "file %zu", i);
		cr_expect_null(mem);
		unlink(path);
	}
	cr_expect_eq(
		target_mem_open_image("/nonexistent/image", &(struct target_mem *){NULL}), -ENOENT);
}

/* ---- a live process ---- */

#define LIVE_PAGES 200

struct live {
	pid_t pid;
	int hold; /* the child ends when this is closed */
	uint8_t *memory;
};

/* The child inherits a mapping of which every second page has been written. */
static void start(struct live *live)
{
	int pipes[2];
	char byte;

	live->memory = mmap(NULL, LIVE_PAGES * 4096, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(live->memory, MAP_FAILED);
	for (int i = 0; i < LIVE_PAGES; i += 2)
		memset(live->memory + i * 4096, i + 1, 4096);
	cr_assert_eq(pipe(pipes), 0);
	live->pid = fork();
	if (!live->pid) {
		close(pipes[1]);
		_exit(read(pipes[0], &byte, 1) != 0);
	}
	close(pipes[0]);
	live->hold = pipes[1];
}

static void stop(struct live *live)
{
	close(live->hold);
	waitpid(live->pid, NULL, 0);
	munmap(live->memory, LIVE_PAGES * 4096);
}

Test(target_mem, live)
{
	uint64_t addr;
	struct target_piece pieces[LIVE_PAGES];
	uint8_t bytes[LIVE_PAGES][8], page[4096];
	bool present[LIVE_PAGES];
	uint8_t large[4097];
	struct target_mem *mem;
	struct live live;

	start(&live);
	addr = (uint64_t)live.memory;
	cr_assert_eq(target_mem_open(live.pid, &mem), 0);
	cr_expect_eq(target_mem_present(mem, addr, LIVE_PAGES * 4096, present), LIVE_PAGES / 2);
	for (int i = 0; i < LIVE_PAGES; i++) {
		cr_expect_eq(present[i], i % 2 == 0);
		/* backwards, so that they are not in order */
		pieces[i] = (struct target_piece){
			addr + (LIVE_PAGES - 1 - i) * 4096 + 8, bytes[i], 8, false};
	}
	cr_expect_eq(target_mem_read_pieces(mem, pieces, LIVE_PAGES), LIVE_PAGES / 2);
	for (int i = 0; i < LIVE_PAGES; i++) {
		cr_expect_eq(pieces[i].done, i % 2 == 1);
		if (pieces[i].done)
			cr_expect_eq(bytes[i][0], LIVE_PAGES - i);
	}
	cr_expect_eq(target_mem_read(mem, addr, page, sizeof(page)), 0);
	cr_expect_eq(target_mem_read(mem, addr + 4096, page, 200), -EFAULT);
	cr_expect_eq(target_mem_read(mem, addr + 4000, large, sizeof(large)), -EFAULT);
	cr_expect_eq(target_mem_present(mem, addr, LIVE_PAGES * 4096, NULL), LIVE_PAGES / 2,
		"reading made a page present");
	stop(&live);
	cr_expect_eq(target_mem_read(mem, addr, bytes, 8), -ESRCH);
	cr_expect_eq(target_mem_read_pieces(mem, pieces, 2), -ESRCH);
	target_mem_close(mem);
}

/* Page 0 is written, page 1 read, page 2 left alone: RSS counts the first, and the second can be read. */
static void check_zeros(bool no_scan)
{
	volatile uint8_t *memory =
		mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t addr = (uint64_t)memory;
	uint8_t page[4096];
	struct target_mem *mem;
	bool resident[3];

	cr_assert_neq(memory, MAP_FAILED);
	cr_assert_eq(madvise((void *)memory, 3 * 4096, MADV_NOHUGEPAGE), 0);
	memory[0] = 1;
	cr_assert_eq(memory[4096], 0);
	cr_assert_eq(target_mem_open(getpid(), &mem), 0);
	mem->no_scan = no_scan;
	cr_expect_eq(target_mem_present(mem, addr, 3 * 4096, NULL), 2);
	cr_expect_eq(target_mem_read(mem, addr + 4096, page, sizeof(page)), 0);
	if (geteuid() && target_mem_resident(mem, addr + 4096, 4096, NULL) == 1)
		cr_skip("this kernel tells its page of zeros from others only to root");
	cr_expect_eq(target_mem_resident(mem, addr, 3 * 4096, resident), 1);
	cr_expect(resident[0] && !resident[1] && !resident[2]);
	cr_expect_eq(target_mem_resident(mem, addr + 4096, 2 * 4096, NULL), 0);
	target_mem_close(mem);
	munmap((void *)memory, 3 * 4096);
}

Test(target_mem, page_of_zeros)
{
	check_zeros(false);
}

/* As before Linux 6.7. */
Test(target_mem, page_of_zeros_by_frames)
{
	check_zeros(true);
}

/* Read only, a huge page of them where the kernel likes; written, a page of our own. */
Test(target_mem, huge_page_of_zeros_by_frames)
{
	size_t bytes = 2ul << 20;
	uint8_t *memory =
		mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile uint8_t *block = (void *)(((uintptr_t)memory + bytes - 1) / bytes * bytes);
	struct target_mem *mem;

	cr_assert_neq(memory, MAP_FAILED);
	cr_assert_eq(target_mem_open(getpid(), &mem), 0);
	mem->no_scan = true;
	if (madvise((void *)block, bytes, MADV_HUGEPAGE) || block[0] ||
		target_mem_present(mem, (uint64_t)block, bytes, NULL) != 512)
		cr_skip("no huge page of zeros here");
	if (!geteuid())
		cr_expect_eq(target_mem_resident(mem, (uint64_t)block, bytes, NULL), 0);
	block[0] = 1;
	cr_expect_geq(target_mem_resident(mem, (uint64_t)block, bytes, NULL), 1);
	target_mem_close(mem);
	munmap(memory, 2 * bytes);
}

/* More pieces than one system call takes, and pieces larger than a slice. */
Test(target_mem, live_many)
{
	size_t count = 5000;
	struct target_piece *pieces = xcalloc(count, sizeof(*pieces));
	uint64_t *words = xcalloc(count, sizeof(*words));
	uint8_t *large = malloc(8 << 20), *copy = malloc(8 << 20);
	struct target_mem *mem;

	for (size_t i = 0; i < 8 << 20; i++)
		large[i] = (uint8_t)(i >> 12);
	for (size_t i = 0; i < count; i++)
		pieces[i] = (struct target_piece){
			(uint64_t)large + (i * 7919 * 8) % (8 << 20), &words[i], 8, false};
	cr_assert_eq(target_mem_open(getpid(), &mem), 0);
	cr_expect_eq(target_mem_read_pieces(mem, pieces, count), (int)count);
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(words[i], *(uint64_t *)pieces[i].addr);
	pieces[0] = (struct target_piece){(uint64_t)large, copy, 8 << 20, false};
	pieces[1] = (struct target_piece){(uint64_t)large + 8, &words[0], 8, false};
	cr_expect_eq(target_mem_read_pieces(mem, pieces, 2), 2);
	cr_expect_arr_eq(copy, large, 8 << 20);
	target_mem_close(mem);
	free(copy);
	free(large);
	free(words);
	free(pieces);
}

/*
 * Small pieces of the same pages, next to each other, apart, overlapping and twice, in and out of order; then
 * one page is present and cannot be read.
 */
Test(target_mem, live_pieces_of_one_page)
{
	size_t words = 32 * 512, count = 400;
	uint64_t(*copies)[4] = xcalloc(count, sizeof(*copies)), *memory;
	struct target_piece *pieces = xcalloc(count, sizeof(*pieces));
	struct target_mem *mem;

	memory = mmap(NULL, words * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(memory, MAP_FAILED);
	for (size_t i = 0; i < words; i++)
		memory[i] = i;
	for (size_t i = 0, word = 0; i < count; i++) {
		word = i < count / 2 ? word + i % 10 : i * 7919 % (words - 4);
		pieces[i] = (struct target_piece){
			(uint64_t)(memory + word), copies[i], 8 + (i % 4) * 8, false};
	}
	cr_assert_eq(target_mem_open(getpid(), &mem), 0);
	for (int lost = 0; lost < 2; lost++) {
		if (lost)
			cr_assert_eq(mprotect(memory + 512, 4096, PROT_NONE), 0);
		cr_expect_geq(target_mem_read_pieces(mem, pieces, count), 0);
		for (size_t i = 0; i < count; i++) {
			uint64_t word = (pieces[i].addr - (uint64_t)memory) / 8;
			uint64_t last = word + pieces[i].bytes / 8 - 1;
			bool readable = !lost || (word / 512 != 1 && last / 512 != 1);

			cr_assert_eq(pieces[i].done, readable, "piece %zu", i);
			for (uint64_t j = word; readable && j <= last; j++)
				cr_assert_eq(copies[i][j - word], j, "piece %zu", i);
		}
	}
	target_mem_close(mem);
	munmap(memory, words * 8);
	free(pieces);
	free(copies);
}

/*
 * What was never written is zero also where something else has been written before it, in the page before; but
 * of a file's memory nobody knows it, and what is not mapped is nothing.
 */
Test(target_mem, live_beside_untouched)
{
	static const struct {
		int protection, flags;
		bool file, readable;
	} memories[] = {
		{PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, false, true},
		{PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, false, false},
		{PROT_READ | PROT_WRITE, MAP_PRIVATE, true, false},
	};
	char path[64];
	int fd;

	temp_name(path, sizeof(path));
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	cr_assert_geq(fd, 0);
	unlink(path);
	for (int i = 0; i < 2 * 4096; i++)
		cr_assert_eq(write(fd, "x", 1), 1);
	for (size_t i = 0; i < ARRAY_SIZE(memories); i++) {
		uint8_t *memory = mmap(NULL, 4 * 4096, memories[i].protection, memories[i].flags,
			memories[i].file ? fd : -1, 0);
		uint64_t at = (uint64_t)memory + 4096;
		uint8_t words[4][16];
		struct target_piece pieces[] = {{at - 8, words[0], 16, false},
			{at, words[1], 16, false}, {at - 16, words[2], 16, false}};
		struct target_mem *mem, *view;
		int readable = memories[i].readable;

		cr_assert_neq(memory, MAP_FAILED);
		memset(memory, 'a', 4096);
		cr_assert_eq(target_mem_open(getpid(), &mem), 0);
		view = target_mem_new_view(mem);
		for (int viewed = 0; viewed < 2; viewed++) {
			struct target_mem *from = viewed ? view : mem;

			memset(words, 7, sizeof(words));
			cr_expect_eq(target_mem_read(from, at - 8, words[3], 16),
				readable ? 0 : -EFAULT, "memory %zu", i);
			cr_expect_eq(target_mem_read_pieces(from, pieces, ARRAY_SIZE(pieces)),
				1 + readable, "memory %zu", i);
			cr_expect_eq(pieces[0].done, readable, "memory %zu", i);
			cr_expect(!pieces[1].done && pieces[2].done, "memory %zu", i);
			for (int j = 0; j < 16 && readable; j++) {
				cr_expect_eq(words[0][j], j < 8 ? 'a' : 0);
				cr_expect_eq(words[3][j], j < 8 ? 'a' : 0);
			}
		}
		cr_expect_eq(target_mem_present(mem, (uint64_t)memory, 4 * 4096, NULL), 1,
			"memory %zu: nothing was touched", i);
		munmap(memory + 4096, 4096);
		cr_expect_eq(target_mem_read(mem, at - 8, words[3], 16), -EFAULT);
		target_mem_close(view);
		target_mem_close(mem);
		munmap(memory, 4 * 4096);
	}
	close(fd);
}

static uint64_t pages_moved(void)
{
	FILE *file = fopen("/proc/vmstat", "re");
	char line[128];
	uint64_t moved = 0;

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "pgmigrate_success %" SCNu64, &moved);
	if (file)
		fclose(file);
	return moved;
}

/* Makes the kernel move pages for a while. */
static pid_t start_moving(int fd)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setpriority(PRIO_PROCESS, 0, -20); /* who is stopped half way keeps its pages away */
	for (;;)
		if (write(fd, "1", 1) != 1)
			_exit(1);
}

/* While a page goes to another frame it is not there for a moment: that is no reason not to read it. */
Test(target_mem, live_pages_on_the_move, .timeout = 60)
{
	size_t pages = 8192, count = pages, wrong = 0, rounds = 0;
	struct target_piece *pieces = xcalloc(count, sizeof(*pieces));
	uint64_t *words = xcalloc(count, sizeof(*words)), moved = pages_moved();
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY | O_CLOEXEC);
	uint64_t *memory = mmap(
		NULL, 2 * pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct target_mem *mem;
	pid_t mover;

	if (fd < 0)
		cr_skip("nobody may ask this kernel to move pages");
	cr_assert_neq(memory, MAP_FAILED);
	madvise(memory, 2 * pages * 4096, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < 2 * pages; i++)
		memory[i * 512] = i;
	cr_assert_eq(target_mem_open(getpid(), &mem), 0);
	mover = start_moving(fd);
	for (uint64_t end_ns = clock_mono_ns() + 2 * NSEC_PER_SEC; clock_mono_ns() < end_ns;
		rounds++) {
		/* Every second page is given back and taken again, so that there is something to move. */
		for (size_t i = 0; i < pages; i++) {
			size_t at = (2 * i + 1) * 512;

			if (i % 64 == rounds % 64)
				madvise(memory + at, 4096, MADV_DONTNEED);
			pieces[i] = (struct target_piece){
				(uint64_t)(memory + 2 * i * 512), &words[i], 8, false};
		}
		cr_assert_geq(target_mem_read_pieces(mem, pieces, count), 0);
		for (size_t i = 0; i < count; i++)
			wrong += !pieces[i].done || words[i] != 2 * i;
		for (size_t i = rounds % 64; i < pages; i += 64)
			memory[(2 * i + 1) * 512] = 1;
	}
	kill(mover, SIGKILL);
	waitpid(mover, NULL, 0);
	moved = pages_moved() - moved;
	cr_expect_eq(wrong, 0, "%zu of %zu pieces were not read", wrong, rounds * count);
	if (!moved)
		cr_skip("this kernel had no page to move");
	target_mem_close(mem);
	munmap(memory, 2 * pages * 4096);
	close(fd);
	free(words);
	free(pieces);
}

/* ---- views ---- */

Test(target_mem, view_reads_the_same)
{
	struct target_mem *mem = make_image(), *view = target_mem_new_view(mem);
	uint8_t a[4], b[4];
	struct target_piece pieces[] = {
		{BASE + 102, a, 4, false}, {BASE + 8190, b, 4, true}, {BASE + 100, a, 0, true}};

	for (int i = 0; i < 2; i++) { /* copied, and kept */
		check_image(view);
		cr_expect_eq(target_mem_read_pieces(view, pieces, ARRAY_SIZE(pieces)), 1);
		cr_expect(pieces[0].done && !pieces[1].done && !pieces[2].done);
	}
	cr_expect_eq(target_mem_present(view, BASE - 1, 3 * 4096, NULL), 2);
	cr_expect(target_mem_is_untouched(view, BASE - 1) && !target_mem_is_untouched(view, BASE));
	target_mem_close(view);
	target_mem_close(mem);
}

/* What was read, and what was not there, stays so until it is dropped. */
Test(target_mem, view_is_a_snapshot)
{
	struct target_mem *mem = make_image(), *view = target_mem_new_view(mem);
	struct target_range ahead = {BASE + 4096, 1};
	uint64_t word, changed = 5;

	cr_assert_eq(target_mem_read_u64(view, BASE, &word), 0);
	cr_assert_eq(target_mem_fetch(view, &ahead, 1), 0);
	cr_expect_eq(target_mem_read_u64(view, BASE + 8192, &word), -EFAULT);
	for (int i = 0; i < 3; i++)
		target_mem_add_image(mem, BASE + (uint64_t)i * 4096, &changed, 8);
	cr_expect(!target_mem_read_u64(view, BASE, &word) && word != changed);
	cr_expect(!target_mem_read_u64(view, BASE + 4096, &word) && word != changed);
	cr_expect_eq(target_mem_read_u64(view, BASE + 8192, &word), -EFAULT);
	target_mem_drop(view);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(target_mem_read_u64(view, BASE + (uint64_t)i * 4096, &word), 0);
		cr_expect_eq(word, changed);
	}
	target_mem_close(view);
	target_mem_close(mem);
}

/* Far more than a view keeps, in every size of request. */
Test(target_mem, view_overflows)
{
	struct target_mem *mem = target_mem_new_image(), *view = target_mem_new_view(mem);
	enum { PAGES = 5000 };
	struct target_piece *pieces = xcalloc(PAGES, sizeof(*pieces));
	struct target_range all = {BASE, PAGES * 4096ull}, part = {BASE, 700 * 4096ull};
	uint64_t *words = xcalloc(PAGES, sizeof(*words)), *large = xcalloc(512, 100 * 8);

	for (uint64_t i = 0; i < PAGES; i++)
		target_mem_add_image(mem, BASE + i * 4096, &i, 8);
	for (size_t count = 1; count <= PAGES; count = count * 5 / 2 + 1) {
		for (size_t i = 0; i < count; i++)
			pieces[i] = (struct target_piece){
				BASE + (i * 7919 + count) % PAGES * 4096, &words[i], 8, false};
		cr_assert_eq(target_mem_read_pieces(view, pieces, count), (int)count);
		for (size_t i = 0; i < count; i++)
			cr_assert_eq(words[i], (i * 7919 + count) % PAGES);
	}
	cr_assert_eq(target_mem_fetch(view, &all, 1), 0);
	for (int i = 0; i < 4; i++, part.addr += part.bytes)
		cr_assert_eq(target_mem_fetch(view, &part, 1), 0);
	cr_assert_eq(target_mem_read(view, BASE + 4096, large, 100 * 4096), 0);
	cr_expect(large[0] == 1 && large[99 * 512] == 100);
	target_mem_close(view);
	target_mem_close(mem);
	free(large);
	free(words);
	free(pieces);
}

Test(target_mem, view_of_a_process)
{
	struct target_mem *mem, *view;
	struct live live;
	uint64_t addr, word;

	start(&live);
	addr = (uint64_t)live.memory;
	cr_assert_eq(target_mem_open(live.pid, &mem), 0);
	view = target_mem_new_view(mem);
	for (int i = 0; i < LIVE_PAGES; i++) {
		cr_assert_eq(target_mem_read_u64(view, addr + (uint64_t)i * 4096, &word),
			i % 2 ? -EFAULT : 0);
		if (i % 2 == 0)
			cr_expect_eq((uint8_t)word, i + 1);
	}
	cr_expect_eq(target_mem_present(mem, addr, LIVE_PAGES * 4096, NULL), LIVE_PAGES / 2,
		"reading made a page present");
	stop(&live);
	cr_expect_eq(target_mem_read_u64(view, addr, &word), 0, "what is kept stays");
	target_mem_drop(view);
	cr_expect_eq(target_mem_read_u64(view, addr, &word), -ESRCH);
	target_mem_close(view);
	target_mem_close(mem);
}

Test(target_mem, no_such_process)
{
	struct target_mem *mem = NULL;

	cr_expect_eq(target_mem_open(0x7fffffff, &mem), -ESRCH);
	cr_expect_null(mem);
	target_mem_close(NULL);
}

Test(target_mem, gathers_neighbours_in_one_piece)
{
	struct target_mem *mem = make_image();
	struct gather gather = {0};

	for (int round = 0; round < 2; round++) {
		gather_clear(&gather);
		for (uint64_t i = 0; i < 40; i++)
			gather_add(&gather, BASE + 100 + i * 48, 16);
		gather_add(&gather, BASE + 92, 12); /* not in order: a piece of its own */
		gather_add(&gather, BASE + 104, 8); /* right behind it */
		gather_add(&gather, BASE + 3 * 4096, 8);
		cr_assert_eq(gather.piece_count, 3);
		cr_assert_eq(gather_read(&gather, mem), 0);
		for (uint64_t i = 0; i < 40; i++) {
			const uint8_t *bytes = gather_get(&gather, i);

			cr_assert_not_null(bytes);
			for (uint64_t j = 0; j < 16; j++)
				cr_assert_eq(bytes[j], (uint8_t)((i * 48 + j) * 7));
		}
		cr_expect_eq(*(const uint8_t *)gather_get(&gather, 40), 0);
		cr_expect_eq(*(const uint8_t *)gather_get(&gather, 41), 28);
		cr_expect_null(gather_get(&gather, 42));
	}
	gather_clear(&gather);
	cr_expect_eq(gather_read(&gather, mem), 0);
	gather_done(&gather);
	target_mem_close(mem);
}
