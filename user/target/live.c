/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of a live process (mem.h). It is read with process_vm_readv, many pieces a call, or, where that is
 * refused (it checks capabilities at every call), through /proc/PID/mem, which was checked when it was opened.
 * Both descriptors belong to the address space that existed at the open: after an exit or an exec
 * pagemap gives nothing, so memory of a later owner of the pid is never read.
 *
 * pagemap: one word a page, bit 63 = present in RAM, 62 = swapped out (Documentation/admin-guide/mm/pagemap.rst), or ranges
 * (pagemap.h) where the kernel has them. Its answers are used within one call only; pages come and go.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "target/mappings.h"
#include "target/mem_ops.h"
#include "target/pagemap.h"

#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_SWAPPED (1ull << 62)
#define PAGEMAP_WORDS   512        /* words read from pagemap at once */
#define SCAN_REGIONS    64         /* ranges of present pages found at once */
#define PAGE_GAP        32         /* pages: cheaper to read over than to start anew */
#define SLICE_PIECES    1024       /* UIO_MAXIOV */
#define MAX_GAP         512        /* bytes: cheaper to read over than to look up a page */
#define SLICE_BYTES     (2u << 20) /* about 1 ms of copying: our share of the target's mmap_lock */
#define MOVE_WAITS      400        /* for pages on the move, before they count as not there */
#define MOVE_WAIT_NS    (100 * NSEC_PER_USEC)
#define MAX_VAIN_WAITS  8 /* after which nothing is waited for any more */
/*
 * include/linux/swap.h: the types of a swap entry from the top on are no swap files. 31 marks a page that is none,
 * below it are pages of devices and those that move, by number or kind of what the kernel was built with.
 */
#define SWAP_TYPE         0x1f
#define SWAP_TYPE_SPECIAL 23
#define SWAP_TYPE_MARKER  31
#define TASK_END          0x7ffffffff000ull /* x86_64, 4-level page tables: TASK_SIZE_MAX */

/*
 * Reads count pagemap words. Returns how many are there: less where the address space ends or a
 * hole is not accounted for; -ESRCH where the address space has gone.
 */
static long live_read_pagemap(struct target_mem *mem, uint64_t page, uint64_t *words, size_t count)
{
	ssize_t got = pread(mem->pagemap_fd, words, count * 8, (off_t)(page * 8));

	if (got < 0)
		return errno == EINVAL ? 0 : -errno; /* above the top of the address space */
	if (got == 0 && page < page_of(TASK_END))    /* no address space at all any more */
		return -ESRCH;
	return got / 8;
}

/* Word by word; zeros: NULL = pages of zeros count as well. */
static long read_present(
	struct target_mem *mem, uint64_t page, uint64_t pages, struct zeros *zeros, bool *ret)
{
	uint64_t words[PAGEMAP_WORDS];
	long present = 0;

	for (uint64_t done = 0; done < pages;) {
		size_t want = MIN(pages - done, (uint64_t)PAGEMAP_WORDS);
		long got = live_read_pagemap(mem, page + done, words, want);

		if (got < 0)
			return got;
		for (size_t i = 0; i < want; i++) {
			bool is = (long)i < got && words[i] & PAGEMAP_PRESENT &&
				  !(zeros && zeros_have(zeros, words[i]));

			present += is;
			mem->saw_swapped |= (long)i < got && words[i] & PAGEMAP_SWAPPED;
			if (ret)
				ret[done + i] = is;
		}
		done += want;
	}
	return present;
}

/* By ranges, without those that are is_not; ret holds false for all at first. What is swapped is only seen. */
static long scan_present(
	struct target_mem *mem, uint64_t page, uint64_t pages, uint64_t is_not, bool *ret)
{
	uint64_t start = page * TARGET_PAGE_BYTES, end = start + pages * TARGET_PAGE_BYTES;
	struct pagemap_region regions[SCAN_REGIONS];
	long present = 0;

	while (start < end) {
		int count = pagemap_scan(mem->pagemap_fd, &start, end, 0,
			PAGEMAP_IS_PRESENT | PAGEMAP_IS_SWAPPED, is_not, regions, SCAN_REGIONS);

		if (count < 0)
			return count;
		for (int i = 0; i < count; i++) {
			uint64_t first = page_of(regions[i].start) - page;
			uint64_t part = page_of(regions[i].end) - page - first;

			if (!(regions[i].categories & PAGEMAP_IS_PRESENT)) {
				mem->saw_swapped = true;
				continue;
			}
			if (ret)
				memset(ret + first, true, part);
			present += (long)part;
		}
	}
	return present;
}

/* Where a scan finds nothing, or fails, reading tells why: it knows of an address space that has gone. */
static long live_present(struct target_mem *mem, uint64_t page, uint64_t pages, bool *ret)
{
	long present = 0;

	if (!mem->no_scan && page + pages <= page_of(TASK_END)) {
		if (ret)
			memset(ret, false, pages);
		present = scan_present(mem, page, pages, 0, ret);
		mem->no_scan = present == -ENOTTY || present == -EINVAL;
	}
	return present > 0 ? present : read_present(mem, page, pages, NULL, ret);
}

static long live_resident(struct target_mem *mem, uint64_t page, uint64_t pages, bool *ret)
{
	long resident, any;

	if (mem->no_scan || page + pages > page_of(TASK_END))
		return read_present(mem, page, pages, &mem->zeros, ret);
	if (ret)
		memset(ret, false, pages);
	resident = scan_present(mem, page, pages, PAGEMAP_IS_ZERO, ret);
	mem->no_scan = resident == -ENOTTY || resident == -EINVAL;
	if (resident < 0)
		return read_present(mem, page, pages, &mem->zeros, ret);
	any = resident || !pages ? 0 : read_present(mem, page, 1, NULL, NULL);
	return any < 0 ? any : resident;
}

/* ---- pages on the move ---- */

/*
 * While the kernel moves a page (to make room for a huge one, to another NUMA node) it is not there for some
 * microseconds, or, where many are moved together, milliseconds. Shown to who may see frames.
 */
static bool is_moving(uint64_t word)
{
	uint64_t type = word & SWAP_TYPE;

	return word & PAGEMAP_SWAPPED && type >= SWAP_TYPE_SPECIAL && type < SWAP_TYPE_MARKER;
}

/* All pages of a range are there (by now), or will be. */
static bool will_be_present(struct target_mem *mem, uint64_t page, uint64_t pages)
{
	uint64_t words[PAGEMAP_WORDS];

	for (uint64_t done = 0; done < pages;) {
		long got = live_read_pagemap(
			mem, page + done, words, MIN(pages - done, (uint64_t)PAGEMAP_WORDS));

		if (got <= 0)
			return false;
		for (long i = 0; i < got; i++)
			if (!(words[i] & PAGEMAP_PRESENT) && !is_moving(words[i]))
				return false;
		done += (uint64_t)got;
	}
	return true;
}

/*
 * Between two attempts of reading, where the last one has met pages on the move: true where the next one is
 * worth making. What never arrives is something else, a device's page perhaps.
 */
static bool wait_for_move(struct target_mem *mem, bool moving, unsigned int *attempt)
{
	if (!moving && *attempt)
		mem->vain_waits = 0;
	if (!moving || mem->vain_waits == MAX_VAIN_WAITS)
		return false;
	if (*attempt == MOVE_WAITS) {
		mem->vain_waits++;
		return false;
	}
	++*attempt;
	clock_wait_ns(MOVE_WAIT_NS);
	return true;
}

/* ---- reading ---- */

static bool live_is_anonymous(struct target_mem *mem, uint64_t page)
{
	return mappings_is_anonymous(mem->pid, page * TARGET_PAGE_BYTES);
}

static bool live_is_untouched(struct target_mem *mem, uint64_t page)
{
	uint64_t word;

	return live_read_pagemap(mem, page, &word, 1) == 1 &&
	       !(word & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED));
}

static int live_copy(struct target_mem *mem, uint64_t addr, void *buf, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t got =
			pread(mem->mem_fd, (char *)buf + done, bytes - done, (off_t)(addr + done));

		if (got == 0)
			return -ESRCH;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno == EIO ? -EFAULT : -errno;
		done += (size_t)got;
	}
	return 0;
}

static int live_read(struct target_mem *mem, uint64_t addr, void *buf, size_t bytes)
{
	uint64_t pages = pages_of(addr, bytes);
	unsigned int attempt = 0;
	long present;
	bool moving;

	if (!bytes)
		return 0;
	if (!pages || pages > INT32_MAX || addr > INT64_MAX)
		return -EFAULT;
	do {
		mem->saw_swapped = false;
		present = live_present(mem, page_of(addr), pages, NULL);
		moving = present >= 0 && (uint64_t)present < pages && mem->saw_swapped &&
			 will_be_present(mem, page_of(addr), pages);
	} while (wait_for_move(mem, moving, &attempt));
	if (present < 0)
		return (int)present;
	return (uint64_t)present == pages ? live_copy(mem, addr, buf, bytes) : -EFAULT;
}

/* A piece's pages, for sorting. */
struct piece_pages {
	uint64_t first, last;
	struct target_piece *piece;
};

static int compare_pieces(const void *a, const void *b)
{
	const struct piece_pages *x = a, *y = b;

	return x->piece->addr < y->piece->addr ? -1 : x->piece->addr > y->piece->addr;
}

/* Sets done where all pages of a piece are present. Neighbouring pieces share a pagemap read. */
static int live_check_pieces(struct target_mem *mem, struct piece_pages *sorted, size_t count)
{
	bool present[PAGEMAP_WORDS];

	for (size_t i = 0; i < count;) {
		uint64_t first = sorted[i].first, last = sorted[i].last;
		size_t end = i + 1;
		long got;

		while (end < count && sorted[end].first <= last + PAGE_GAP &&
			MAX(last, sorted[end].last) - first < PAGEMAP_WORDS) {
			last = MAX(last, sorted[end].last);
			end++;
		}
		if (last - first >= PAGEMAP_WORDS) { /* one piece larger than the buffer */
			got = live_present(mem, first, last - first + 1, NULL);
			if (got < 0)
				return (int)got;
			sorted[i++].piece->done = (uint64_t)got == last - first + 1;
			continue;
		}
		got = live_present(mem, first, last - first + 1, present);
		if (got < 0)
			return (int)got;
		for (; i < end; i++) {
			bool all = true;

			for (uint64_t page = sorted[i].first; page <= sorted[i].last; page++)
				all = all && present[page - first];
			sorted[i].piece->done = all;
		}
	}
	return 0;
}

/* The same, waiting for pages on the move. */
static int live_mark_pieces(struct target_mem *mem, struct piece_pages *sorted, size_t count)
{
	unsigned int attempt = 0;
	bool moving;
	int r;

	do {
		mem->saw_swapped = moving = false;
		r = live_check_pieces(mem, sorted, count);
		for (size_t i = 0; !r && mem->saw_swapped && !moving && i < count; i++)
			moving = !sorted[i].piece->done &&
				 will_be_present(mem, sorted[i].first,
					 sorted[i].last - sorted[i].first + 1);
	} while (wait_for_move(mem, moving, &attempt));
	return r;
}

/*
 * Local and remote sides of one process_vm_readv; neighbours in memory are one. The kernel looks up the pages
 * of each remote vector anew, so that small pieces of one page are one, too: what lies between is read to
 * nowhere.
 */
struct vectors {
	struct iovec local[SLICE_PIECES], remote[SLICE_PIECES];
	size_t locals, remotes, bytes;
	uint8_t nowhere[MAX_GAP];
};

static void add_vector(struct iovec *list, size_t *count, void *start, size_t bytes, bool join)
{
	struct iovec *last = *count ? &list[*count - 1] : NULL;

	if (join && last && (uintptr_t)last->iov_base + last->iov_len == (uintptr_t)start)
		last->iov_len += bytes;
	else
		list[(*count)++] = (struct iovec){.iov_base = start, .iov_len = bytes};
}

/* Reads over what lies between two pieces, where that is cheaper and left vectors leave room for it. */
static void add_gap(struct vectors *vectors, const struct target_piece *before,
	const struct target_piece *next, size_t left)
{
	uint64_t end = before->addr + before->bytes, gap = next->addr - end;

	if (next->addr <= end || gap > MAX_GAP || page_of(end - 1) != page_of(next->addr) ||
		vectors->locals + left >= SLICE_PIECES)
		return;
	add_vector(vectors->local, &vectors->locals, vectors->nowhere, gap, false);
	vectors->remote[vectors->remotes - 1].iov_len += gap;
	vectors->bytes += gap;
}

static void set_vectors(
	struct vectors *vectors, struct target_piece **pieces, size_t count, bool join)
{
	vectors->locals = vectors->remotes = vectors->bytes = 0;
	for (size_t i = 0; i < count; i++) {
		if (join && i)
			add_gap(vectors, pieces[i - 1], pieces[i], count - i);
		add_vector(
			vectors->local, &vectors->locals, pieces[i]->buf, pieces[i]->bytes, join);
		add_vector(vectors->remote, &vectors->remotes, (void *)(uintptr_t)pieces[i]->addr,
			pieces[i]->bytes, join);
		vectors->bytes += pieces[i]->bytes;
	}
}

/*
 * Reads the pieces marked done in one go; unmarks those that failed after all. It stops at the first
 * vector that it cannot read (process_vm_readv(2)): which piece of joined ones that was is found by
 * reading on without joining.
 */
static int live_read_marked(struct target_mem *mem, struct target_piece **marked, size_t count)
{
	struct vectors vectors;
	bool join = true;
	size_t start = 0;

	while (start < count && !mem->no_vm_readv) {
		ssize_t got;

		set_vectors(&vectors, marked + start, count - start, join);
		got = process_vm_readv(mem->pid, vectors.local, vectors.locals, vectors.remote,
			vectors.remotes, 0);
		if (got < 0 && (errno == EPERM || errno == ENOSYS)) {
			mem->no_vm_readv = true;
			break;
		}
		if (got < 0 && errno != EFAULT)
			return -errno;
		if (got == (ssize_t)vectors.bytes)
			return 0;
		if (join) {
			join = false;
			continue;
		}
		for (got = MAX(got, 0); (size_t)got >= marked[start]->bytes; start++)
			got -= (ssize_t)marked[start]->bytes;
		marked[start++]->done = false;
	}
	for (; start < count; start++) {
		struct target_piece *piece = marked[start];
		int r = live_copy(mem, piece->addr, piece->buf, piece->bytes);

		if (r == -ESRCH)
			return r;
		piece->done = r == 0;
	}
	return 0;
}

/* One slice of at most SLICE_PIECES pieces. Returns the number done or -ESRCH. */
static int live_read_slice(struct target_mem *mem, struct target_piece *pieces, size_t count)
{
	struct piece_pages sorted[SLICE_PIECES];
	struct target_piece *marked[SLICE_PIECES];
	size_t usable = 0, marks = 0;
	bool in_order = true;
	int r, done = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t pages = pages_of(pieces[i].addr, pieces[i].bytes);
		uint64_t first = page_of(pieces[i].addr);

		pieces[i].done = false;
		if (!pages || pieces[i].addr > INT64_MAX)
			continue;
		in_order =
			in_order && (!usable || sorted[usable - 1].piece->addr <= pieces[i].addr);
		sorted[usable++] = (struct piece_pages){first, first + pages - 1, &pieces[i]};
	}
	if (!in_order)
		qsort(sorted, usable, sizeof(*sorted), compare_pieces);
	r = live_mark_pieces(mem, sorted, usable);
	if (r < 0)
		return r;
	for (size_t i = 0; i < usable; i++)
		if (sorted[i].piece->done)
			marked[marks++] = sorted[i].piece;
	r = live_read_marked(mem, marked, marks);
	if (r < 0)
		return r;
	for (size_t i = 0; i < marks; i++)
		done += marked[i]->done;
	return done;
}

static int live_read_pieces(struct target_mem *mem, struct target_piece *pieces, size_t count)
{
	int done = 0;

	for (size_t start = 0; start < count;) {
		size_t end = start, bytes = 0;
		int r;

		while (end < count && end - start < SLICE_PIECES &&
			(end == start || bytes + pieces[end].bytes <= SLICE_BYTES))
			bytes += pieces[end++].bytes;
		r = live_read_slice(mem, pieces + start, end - start);
		if (r < 0)
			return r;
		done += r;
		start = end;
	}
	return done;
}

static void live_close(struct target_mem *mem)
{
	if (mem->mem_fd >= 0)
		close(mem->mem_fd);
	if (mem->pagemap_fd >= 0)
		close(mem->pagemap_fd);
}

static const struct target_mem_ops live_ops = {
	.close = live_close,
	.read = live_read,
	.read_pieces = live_read_pieces,
	.present = live_present,
	.resident = live_resident,
	.is_untouched = live_is_untouched,
	.is_anonymous = live_is_anonymous,
};

static int open_proc(int pid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return fd;
}

int target_mem_open(int pid, struct target_mem **ret)
{
	struct target_mem *mem = xcalloc(1, sizeof(*mem));
	int r = 0;

	mem->ops = &live_ops;
	mem->pid = pid;
	mem->pagemap_fd = -1;
	mem->mem_fd = open_proc(pid, "mem");
	if (mem->mem_fd < 0) {
		r = mem->mem_fd;
		goto out;
	}
	mem->pagemap_fd = open_proc(pid, "pagemap");
	if (mem->pagemap_fd < 0) {
		r = mem->pagemap_fd;
		goto out;
	}
	*ret = mem;
	mem = NULL;
out:
	target_mem_close(mem);
	return r;
}
