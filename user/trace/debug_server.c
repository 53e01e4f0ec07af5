/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library is loaded when it is asked for, so that nobody else needs it: it brings libcurl. Its functions
 * are those of elfutils 0.188, debuginfod/debuginfod.h; the soname promises them.
 */
#include "trace/debug_server.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

#define LIBRARY "libdebuginfod.so.1"

typedef int progress_function(void *client, long done, long total);

struct debug_server {
	struct debug_server_options options;
	void *library, *client;
	void *(*begin)(void);
	void (*end)(void *client);
	int (*find)(void *client, const unsigned char *build_id, int build_id_bytes, char **path);
	void (*set_progress)(void *client, progress_function *function);
};

/* The library calls back from the fetch that this thread waits for, and hands over its own handle alone. */
static __thread const struct debug_server *waiting;

static int on_progress(void *client, long done, long total)
{
	const struct debug_server_options *options = &waiting->options;

	(void)client;
	if (!options->progress)
		return 0;
	return options->progress(total > 0 ? (double)done / (double)total : -1, options->arg);
}

/* dlsym() gives pointers to data; POSIX promises that they may be taken for functions. */
static bool load_functions(struct debug_server *server)
{
	const struct {
		const char *name;
		void *function;
	} rows[] = {
		{"debuginfod_begin", &server->begin},
		{"debuginfod_end", &server->end},
		{"debuginfod_find_debuginfo", &server->find},
		{"debuginfod_set_progressfn", &server->set_progress},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		*(void **)rows[i].function = dlsym(server->library, rows[i].name);
		if (!*(void **)rows[i].function)
			return false;
	}
	return true;
}

int debug_server_open(const struct debug_server_options *options, struct debug_server **ret)
{
	const char *urls = getenv("DEBUGINFOD_URLS");
	struct debug_server *server;

	if (!urls || !*urls)
		return -ENOENT;
	server = xcalloc(1, sizeof(*server));
	server->options = *options;
	server->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (server->library && load_functions(server))
		server->client = server->begin();
	if (!server->client) {
		debug_server_close(server);
		return -ENOPKG;
	}
	server->set_progress(server->client, on_progress);
	*ret = server;
	return 0;
}

void debug_server_close(struct debug_server *server)
{
	if (!server)
		return;
	if (server->client)
		server->end(server->client);
	if (server->library)
		dlclose(server->library);
	free(server);
}

int debug_server_fetch(struct debug_server *server, const char *build_id)
{
	int fd;

	waiting = server;
	/* A length of 0: in hex */
	fd = server->find(server->client, (const unsigned char *)build_id, 0, NULL);
	waiting = NULL;
	return fd;
}
