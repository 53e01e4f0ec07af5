/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the first hundred bytes and the locks say. SQLite's file format, section 1.3: "SQLite format 3",
 * page size at 16 (big-endian, 1 = 65536), read version at 19 (2 = WAL), pages at 28, valid where the
 * change counters at 24 and 92 agree. Whoever has a database in WAL mode open holds a shared lock on the
 * 510 bytes from 0x40000002 on.
 */
#include "recording/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES 100
#define LOCK_START   0x40000002
#define LOCK_BYTES   510

static int user_of(int fd)
{
	struct flock lock = {.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = LOCK_START,
		.l_len = LOCK_BYTES};

	if (fcntl(fd, F_GETLK, &lock) || lock.l_type == F_UNLCK)
		return 0;
	return lock.l_pid;
}

int file_find_user(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int pid = fd < 0 ? 0 : user_of(fd);

	if (fd >= 0)
		close(fd);
	return pid;
}

static uint32_t big_endian(const unsigned char *bytes, size_t count)
{
	uint32_t value = 0;

	for (size_t i = 0; i < count; i++)
		value = value << 8 | bytes[i];
	return value;
}

static int refuse(char *error, size_t bytes, int r, const char *sentence)
{
	snprintf(error, bytes, "%s", sentence);
	return r;
}

static int check_header(int fd, struct file_look *ret, char *error, size_t bytes)
{
	unsigned char header[HEADER_BYTES] = {0};
	ssize_t length = pread(fd, header, sizeof(header), 0);
	uint32_t page;

	if (length < 0)
		return refuse(error, bytes, -errno, strerror(errno));
	if (!length)
		return refuse(error, bytes, -ENODATA, "is empty");
	if (memcmp(header, "SQLite format 3", 16) != 0 || length < HEADER_BYTES)
		return refuse(error, bytes, -EINVAL, "is no recording of memtrace");
	page = big_endian(header + 16, 2);
	page = page == 1 ? 65536 : page;
	ret->journaled = header[19] == 2;
	if (!memcmp(header + 24, header + 92, 4))
		ret->said_bytes = (uint64_t)page * big_endian(header + 28, 4);
	return 0;
}

static bool has_journal(const char *path)
{
	static const char *const suffixes[] = {"-wal", "-journal"};
	char name[PATH_MAX + 16];
	struct stat st;

	for (size_t i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		if (!stat(name, &st) && st.st_size)
			return true;
	}
	return false;
}

int file_look(const char *path, struct file_look *ret, char *error, size_t error_bytes)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	int r;

	memset(ret, 0, sizeof(*ret));
	if (fd < 0)
		return refuse(error, error_bytes, -errno, strerror(errno));
	if (fstat(fd, &st))
		r = refuse(error, error_bytes, -errno, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		r = refuse(error, error_bytes, -EISDIR, "is a directory");
	else if (!S_ISREG(st.st_mode))
		r = refuse(error, error_bytes, -EINVAL, "is no regular file");
	else
		r = check_header(fd, ret, error, error_bytes);
	ret->size_bytes = r ? 0 : (uint64_t)st.st_size;
	ret->user = r ? 0 : user_of(fd);
	ret->beside = !r && has_journal(path);
	close(fd);
	return r;
}
