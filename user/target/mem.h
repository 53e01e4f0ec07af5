/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory of another process, read without stopping it and without changing it.
 *
 * Three implementations: a live process (/proc/PID/mem and pagemap, opened once and kept), a saved
 * image (tests), and a view of either that remembers pages for a moment. A read never touches a page that is not present: such a page would be faulted in
 * and the target's RSS would grow because we looked. One that the kernel is moving to another frame is
 * waited for.
 *
 * Whatever comes back is hostile input: check counts, bounds and cycles before use.
 */
#ifndef MEMTRACE_TARGET_MEM_H
#define MEMTRACE_TARGET_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TARGET_PAGE_BYTES 4096ull

struct target_mem;

/* One piece of a gathered read. done is set to true where all bytes were read. */
struct target_piece {
	uint64_t addr;
	void *buf;
	uint32_t bytes;
	bool done;
};

struct target_range {
	uint64_t addr, bytes;
};

/* Opens the memory of a live process. pid is in our pid namespace. -ESRCH, -EACCES, -EPERM. */
int target_mem_open(int pid, struct target_mem **ret);

/* Opens a saved image (target_mem_save()). -EBADMSG where it is not one. */
int target_mem_open_image(const char *path, struct target_mem **ret);

/* An image built in memory, page by page; for tests. */
struct target_mem *target_mem_new_image(void);
int target_mem_add_image(struct target_mem *mem, uint64_t addr, const void *bytes, size_t count);

/* Writes an image to a new file. -EINVAL where mem is a live process, -EEXIST. */
int target_mem_save(struct target_mem *mem, const char *path);

/*
 * A view of mem, which must outlive it. Pages are copied whole when they are first read, all that one
 * call needs in one go, and kept until target_mem_drop(): what lies close together is read once. So its
 * answers are a snapshot, each page of its own moment, and a page that was not there stays so. Whatever is
 * read twice to see whether it changed has to be read from mem. Large reads and questions of presence
 * are passed on. Presence is checked in the call that copies, as ever: keeping pages touches none.
 */
struct target_mem *target_mem_new_view(struct target_mem *mem);

/* Forgets all pages of a view. */
void target_mem_drop(struct target_mem *view);

/*
 * Copies ahead what will be asked of a view soon, in one go; more than fits is left for later. 0 or
 * -ESRCH.
 */
int target_mem_fetch(struct target_mem *view, const struct target_range *ranges, size_t count);

void target_mem_close(struct target_mem *mem);

/*
 * Reads exactly bytes at addr into buf. 0, or -EFAULT where any of it is not mapped or not present
 * (swapped out counts as not present), -ESRCH after the target's exit. buf is untouched on failure
 * only in the sense that its contents are then undefined. Where at most a page's bytes lie on two pages of
 * a live process, one of which is anonymous memory that was never written, that part of them is zeros.
 */
int target_mem_read(struct target_mem *mem, uint64_t addr, void *buf, size_t bytes);

/* As target_mem_read() of one little-endian word. */
int target_mem_read_u64(struct target_mem *mem, uint64_t addr, uint64_t *ret);
int target_mem_read_u32(struct target_mem *mem, uint64_t addr, uint32_t *ret);

/*
 * Reads many pieces in as few system calls as possible; checks presence once per page range. Each
 * piece says for itself whether it was read, as by target_mem_read(). Returns the number of pieces done, or -ESRCH.
 */
int target_mem_read_pieces(struct target_mem *mem, struct target_piece *pieces, size_t count);

/*
 * Which pages of [addr, addr + bytes) are present in RAM: ret[i] for page i, counted from the page
 * that holds addr. Reads pagemap only. Returns the number of present pages or a negative error.
 */
long target_mem_present(struct target_mem *mem, uint64_t addr, uint64_t bytes, bool *ret);

/*
 * The same, of private anonymous memory and of pages that RSS counts: where something was only read, the kernel maps
 * its page of zeros (with huge pages, 2 MiB of them), which belongs to nobody. Before Linux 6.7 it cannot be told from
 * others without CAP_SYS_ADMIN.
 */
long target_mem_resident(struct target_mem *mem, uint64_t addr, uint64_t bytes, bool *ret);

/*
 * True where the page that holds addr is neither in RAM nor in swap: anonymous memory that was never
 * written, and so holds zeros.
 */
bool target_mem_is_untouched(struct target_mem *mem, uint64_t addr);

#endif
