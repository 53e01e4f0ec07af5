/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smaps would say how much of each mapping is in RAM, but walks it in one go with the address space
 * locked: 10 ms a GiB. pagemap is asked piece by piece instead: by PAGEMAP_SCAN (Linux 6.7), which returns
 * ranges, else word by word (Documentation/admin-guide/mm/pagemap.rst).
 */
#include "target/mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "target/pagemap.h"
#include "target/process.h"
#include "target/zeros.h"

#define MAX_RANGES   65536 /* the kernel's own default limit is 65,530 */
#define PAGE_BYTES   4096ull
#define PIECE_BYTES  (64ull << 20)
#define MAX_PIECE    (1ull << 36)
#define REGIONS      512
#define WORDS        512
#define WORD_PRESENT (1ull << 63)
#define WORD_FILE    (1ull << 61)

struct mappings {
	struct mapped_range *ranges;
	size_t count, cap;
	char **names; /* of the ranges; neighbours share one */
	size_t name_count, name_cap;
};

struct mappings *mappings_new(void)
{
	return xcalloc(1, sizeof(struct mappings));
}

static void clear(struct mappings *mappings)
{
	for (size_t i = 0; i < mappings->name_count; i++)
		free(mappings->names[i]);
	mappings->name_count = mappings->count = 0;
}

void mappings_free(struct mappings *mappings)
{
	if (!mappings)
		return;
	clear(mappings);
	free(mappings->ranges);
	free(mappings->names);
	free(mappings);
}

/* ---- reading maps ---- */

static bool starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

static bool is_shared_memory(const char *path)
{
	return starts_with(path, "/dev/zero") || starts_with(path, "/memfd:") ||
	       starts_with(path, "/SYSV") || starts_with(path, "/dev/shm/") ||
	       starts_with(path, "[anon_shmem:");
}

/* A program's .bss: anonymous, writable, right behind the last private page of its file. */
static bool follows_file(const struct mappings *mappings, const struct process_map *map)
{
	const struct mapped_range *last =
		mappings->count ? &mappings->ranges[mappings->count - 1] : NULL;

	return last && last->end == map->start && last->as == MAPPED_FILE && last->private &&
	       map->perms[1] == 'w' && *last->name == '/';
}

static enum mapped_as classify(const struct mappings *mappings, const struct process_map *map)
{
	if (is_shared_memory(map->path))
		return MAPPED_SHARED;
	if (!strcmp(map->path, "[heap]"))
		return MAPPED_BRK;
	if (!strcmp(map->path, "[stack]"))
		return MAPPED_STACK;
	if (map->path[0] == '/' || starts_with(map->path, "[v"))
		return MAPPED_FILE;
	if (map->perms[3] == 's')
		return MAPPED_SHARED;
	return !map->path[0] && follows_file(mappings, map) ? MAPPED_FILE : MAPPED_ANON;
}

static const char *keep_name(struct mappings *mappings, const char *name)
{
	if (!*name)
		return "";
	if (mappings->name_count && !strcmp(mappings->names[mappings->name_count - 1], name))
		return mappings->names[mappings->name_count - 1];
	array_reserve(mappings->names, mappings->name_count, mappings->name_cap);
	return mappings->names[mappings->name_count++] = xstrdup(name);
}

static int add_map(const struct process_map *map, void *arg)
{
	struct mappings *mappings = arg;
	enum mapped_as as = classify(mappings, map);

	if (mappings->count == MAX_RANGES)
		return 1;
	array_reserve(mappings->ranges, mappings->count, mappings->cap);
	mappings->ranges[mappings->count++] = (struct mapped_range){
		.start = map->start,
		.end = map->end,
		.as = as,
		.accessible = map->perms[0] != '-' || map->perms[1] != '-' || map->perms[2] != '-',
		.writable = map->perms[1] == 'w',
		/* [vdso], [vvar], [vsyscall]: the kernel's own pages. */
		.private = map->perms[3] != 's' && !starts_with(map->path, "[v"),
		.name = keep_name(mappings, map->path),
	};
	return 0;
}

int mappings_read(struct mappings *mappings, int pid)
{
	int r;

	clear(mappings);
	r = process_for_each_map(pid, add_map, mappings);
	if (r >= 0)
		return 0;
	clear(mappings);
	return r;
}

size_t mappings_count(const struct mappings *mappings)
{
	return mappings->count;
}

const struct mapped_range *mappings_at(const struct mappings *mappings, size_t i)
{
	return &mappings->ranges[i];
}

const struct mapped_range *mappings_find(const struct mappings *mappings, uint64_t addr)
{
	size_t low = 0, high = mappings->count;

	while (low < high) { /* the first range that ends above addr */
		size_t middle = (low + high) / 2;

		if (mappings->ranges[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < mappings->count && mappings->ranges[low].start <= addr ? &mappings->ranges[low]
									    : NULL;
}

/* ---- one address ---- */

/* include/uapi/linux/fs.h, Linux 6.11; older headers do not have it */
struct map_query {
	uint64_t size, flags, addr, start, end, map_flags, page_size, offset, inode;
	uint32_t dev_major, dev_minor, name_size, build_id_size;
	uint64_t name_addr, build_id_addr;
};

#define QUERY       _IOWR('f', 17, struct map_query)
#define QUERY_WRITE 2u
#define QUERY_SHARE 8u

/* 1 = it is, 0 = it is not, -errno */
static int ask_anonymous(int pid, uint64_t addr)
{
	struct map_query query = {.size = sizeof(query), .addr = addr};
	char path[64];
	int fd, r;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	r = ioctl(fd, QUERY, &query) ? -errno : 0;
	close(fd);
	if (r)
		return r == -ENOENT ? 0 : r;
	return query.map_flags & QUERY_WRITE && !(query.map_flags & QUERY_SHARE) && !query.inode;
}

struct address {
	uint64_t addr;
	bool anonymous;
};

static int compare_map(const struct process_map *map, void *arg)
{
	struct address *address = arg;

	if (map->end <= address->addr)
		return 0;
	address->anonymous = map->start <= address->addr && map->perms[1] == 'w' &&
			     map->perms[3] == 'p' && !map->inode;
	return 1;
}

bool mappings_is_anonymous(int pid, uint64_t addr)
{
	struct address address = {.addr = addr};
	int r = ask_anonymous(pid, addr);

	if (r >= 0)
		return r;
	return process_for_each_map(pid, compare_map, &address) >= 0 && address.anonymous;
}

/* ---- counting pages ---- */

static int scan_piece(int fd, uint64_t start, uint64_t end, uint64_t *bytes)
{
	struct pagemap_region regions[REGIONS];

	while (start < end) {
		int count = pagemap_scan(fd, &start, end, PAGEMAP_IS_PRESENT, 0,
			PAGEMAP_IS_FILE | PAGEMAP_IS_ZERO, regions, REGIONS);

		if (count < 0)
			return count;
		for (int i = 0; i < count; i++)
			*bytes += regions[i].end - regions[i].start;
	}
	return 0;
}

static int read_piece(int fd, uint64_t start, uint64_t end, struct zeros *zeros, uint64_t *bytes)
{
	uint64_t words[WORDS];

	for (uint64_t page = start / PAGE_BYTES; page < end / PAGE_BYTES;) {
		size_t want = MIN(end / PAGE_BYTES - page, (uint64_t)WORDS);
		ssize_t got = pread(fd, words, want * 8, (off_t)(page * 8));

		if (got <= 0)
			return got ? -errno : 0;
		for (size_t i = 0; i < (size_t)got / 8; i++)
			if (words[i] & WORD_PRESENT && !(words[i] & WORD_FILE) &&
				!zeros_have(zeros, words[i]))
				*bytes += PAGE_BYTES;
		page += (uint64_t)got / 8;
	}
	return 0;
}

int mappings_count_private(
	int pagemap_fd, uint64_t start, uint64_t end, uint64_t deadline_ns, uint64_t *ret_bytes)
{
	uint64_t bytes = 0, piece = PIECE_BYTES;
	struct zeros zeros = {0};
	bool scans = true;
	int r = 0;

	for (uint64_t at = start, next; !r && at < end; at = next) {
		uint64_t before = bytes;

		next = MIN(at + piece, end);
		r = scans ? scan_piece(pagemap_fd, at, next, &bytes) : -ENOTTY;
		if (r == -ENOTTY || r == -EINVAL) {
			scans = false;
			bytes = before;
			r = read_piece(pagemap_fd, at, next, &zeros, &bytes);
		}
		/* Large reservations are mostly empty: what has no page tables is walked quickly. */
		piece = scans && bytes == before ? MIN(piece * 2, MAX_PIECE) : PIECE_BYTES;
		if (!r && next < end && clock_mono_ns() >= deadline_ns)
			r = -ETIME;
	}
	if (!r)
		*ret_bytes = bytes;
	return r;
}
