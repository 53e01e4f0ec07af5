/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names come from the target's files: they are resolved below a root, links of /proc are not
 * followed, and nothing but a regular file is handed on.
 */
#include "trace/debug_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "trace/debug_server.h"

#define DEBUG_ROOT "/usr/lib/debug"

/* One search: for which file, below which root. */
struct search {
	struct parser *parser;
	uint32_t id;
	int root;
	struct parser_debug *debug;
	char found[PATH_MAX]; /* path of the debug file */
};

static int open_below(int root, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}

static bool add(struct search *search, enum parser_debug_kind kind, const char *path)
{
	int fd = open_below(search->root, path), err;

	if (fd < 0)
		return false;
	err = parser_add_debug(search->parser, search->id, kind, fd, search->debug);
	close(fd);
	if (!err && kind == PARSER_DEBUG_OWN)
		text_copy(search->found, sizeof(search->found), path);
	return !err;
}

static bool add_by_build_id(
	struct search *search, enum parser_debug_kind kind, const char *build_id)
{
	char path[PATH_MAX];

	if (strlen(build_id) < 3)
		return false;
	snprintf(path, sizeof(path), DEBUG_ROOT "/.build-id/%.2s/%s.debug", build_id, build_id + 2);
	return add(search, kind, path);
}

static size_t folder_bytes(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

/* Where gdb looks for a debug link, too: beside the file, in .debug there, below the debug root. */
static bool add_by_link(struct search *search, const char *program)
{
	static const char *const formats[] = {"%.*s/%s", "%.*s/.debug/%s", DEBUG_ROOT "%.*s/%s"};
	int folder = (int)folder_bytes(program);
	char link[sizeof(search->debug->link)], path[PATH_MAX];

	text_copy(link, sizeof(link), search->debug->link);
	if (!link[0] || strchr(link, '/'))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		snprintf(path, sizeof(path), formats[i], folder, program, link);
		if (strcmp(path, program) && add(search, PARSER_DEBUG_OWN, path))
			return true;
	}
	return false;
}

/* The link is relative to the file that has it. */
static bool add_shared(struct search *search)
{
	char link[sizeof(search->debug->shared_link)], path[PATH_MAX];

	text_copy(link, sizeof(link), search->debug->shared_link);
	if (!link[0])
		return false;
	if (link[0] == '/')
		text_copy(path, sizeof(path), link);
	else
		snprintf(path, sizeof(path), "%.*s/%s", (int)folder_bytes(search->found),
			search->found, link);
	return add(search, PARSER_DEBUG_SHARED, path) ||
	       add_by_build_id(search, PARSER_DEBUG_SHARED, search->debug->shared_build_id);
}

static void search_root(struct search *search, const char *root, const char *program)
{
	search->root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (search->root < 0)
		return;
	if (!search->debug->has_lines && !search->debug->note[0] &&
		!add_by_build_id(search, PARSER_DEBUG_OWN, search->debug->build_id))
		add_by_link(search, program);
	add_shared(search);
	close(search->root);
}

static void add_from_server(struct search *search, struct debug_server *server,
	enum parser_debug_kind kind, const char *build_id)
{
	char wanted[sizeof(search->debug->build_id)];
	int fd;

	text_copy(wanted, sizeof(wanted), build_id); /* debug is filled anew */
	fd = wanted[0] ? debug_server_fetch(server, wanted) : -ENOENT;
	if (fd < 0)
		return;
	parser_add_debug(search->parser, search->id, kind, fd, search->debug);
	close(fd);
}

void debug_files_add(struct parser *parser, uint32_t id, int pid, const char *path,
	struct debug_server *server, struct parser_debug *debug)
{
	struct search search = {.parser = parser, .id = id, .debug = debug};
	char root[64];

	/* The program may have its shared part itself. */
	text_copy(search.found, sizeof(search.found), path);
	snprintf(root, sizeof(root), "/proc/%d/root", pid);
	search_root(&search, root, path);
	search_root(&search, "/", path);
	if (server && !debug->has_lines && !debug->note[0])
		add_from_server(&search, server, PARSER_DEBUG_OWN, debug->build_id);
	if (server && debug->shared_link[0])
		add_from_server(&search, server, PARSER_DEBUG_SHARED, debug->shared_build_id);
}
