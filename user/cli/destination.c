/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A regular file is written under a name of our own beside it (O_EXCL: nobody can have put a link
 * there) and then renamed over it, so that a reader sees the old report or the new one, never half
 * of one. What is no regular file, such as /dev/stderr or a named pipe, is written in place.
 */
#include "cli/destination.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static int open_in_place(struct destination *destination)
{
	/* A pipe without a reader must not hang us: O_NONBLOCK makes that an error. */
	int fd = open(destination->path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	fcntl(fd, F_SETFL, 0);
	destination->file = fdopen(fd, "w");
	return 0;
}

static int open_temporary(struct destination *destination)
{
	const char *path = destination->path, *slash = strrchr(path, '/');
	int length = slash ? (int)(slash + 1 - path) : 0;
	mode_t mask = umask(0);
	int fd;

	umask(mask);
	if (asprintf(&destination->temporary, "%.*s.memtrace-XXXXXX", length, path) < 0)
		return -ENOMEM;
	fd = mkostemp(destination->temporary, O_CLOEXEC);
	if (fd < 0) {
		free(destination->temporary);
		destination->temporary = NULL;
		return -errno;
	}
	fchmod(fd, 0644 & ~mask); /* mkostemp() made it 0600; what fails here stays so */
	destination->file = fdopen(fd, "w");
	return 0;
}

int destination_open(struct destination *ret, const char *path)
{
	struct stat st;
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->path = path;
	if (!path) {
		ret->file = stdout;
		return 0;
	}
	if (stat(path, &st))
		r = errno == ENOENT ? open_temporary(ret) : -errno;
	else if (S_ISDIR(st.st_mode))
		r = -EISDIR;
	else
		r = S_ISREG(st.st_mode) ? open_temporary(ret) : open_in_place(ret);
	return r;
}

int destination_finish(struct destination *destination)
{
	FILE *file = destination->file;
	int r = 0;

	destination->file = NULL;
	if (!file)
		return -EBADF;
	if (fflush(file))
		r = -errno;
	else if (ferror(file))
		r = -EIO;
	if (!destination->path)
		return r;
	/* Some file systems only find out here that they are full. */
	if (!r && destination->temporary && fsync(fileno(file)))
		r = -errno;
	if (fclose(file) && !r)
		r = -errno;
	if (!r && destination->temporary && rename(destination->temporary, destination->path))
		r = -errno;
	if (!r) {
		free(destination->temporary);
		destination->temporary = NULL;
	}
	destination_close(destination);
	return r;
}

void destination_close(struct destination *destination)
{
	if (destination->file && destination->path)
		fclose(destination->file);
	if (destination->temporary)
		unlink(destination->temporary);
	free(destination->temporary);
	destination->temporary = NULL;
	destination->file = NULL;
}
