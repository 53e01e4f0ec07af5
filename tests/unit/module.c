/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/module.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child with our own mappings, which opens one more library when told so. */
struct child {
	pid_t pid;
	int to, from;
};

static struct parser *parser;
static struct child child;

static void run_child(int in, int out)
{
	char byte;

	while (read(in, &byte, 1) > 0) {
		if (!dlopen("libBrokenLocale.so.1", RTLD_NOW | RTLD_LOCAL))
			_exit(1);
		if (write(out, "", 1) < 0)
			_exit(1);
	}
	_exit(0);
}

static void start(void)
{
	int to[2], from[2];

	cr_assert_eq(parser_open(&parser), 0);
	cr_assert(!pipe(to) && !pipe(from));
	child.pid = fork();
	if (!child.pid) {
		close(to[1]);
		run_child(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	child.to = to[1];
	child.from = from[0];
}

static void end(void)
{
	close(child.to);
	close(child.from);
	waitpid(child.pid, NULL, 0);
	parser_close(parser);
}

TestSuite(module, .init = start, .fini = end);

static const struct module *find_named(const struct modules *modules, const char *name)
{
	for (size_t i = 0; i < modules_count(modules); i++)
		if (!strcmp(module_name(modules_get(modules, i)), name))
			return modules_get(modules, i);
	return NULL;
}

Test(module, lists_executable_and_libraries)
{
	const struct module *exe, *libc, *found;
	struct modules *modules;
	Dl_info info;

	cr_assert_eq(modules_open(child.pid, parser, &modules), 0);
	exe = modules_get(modules, 0);
	cr_expect_str_eq(module_name(exe), "module");
	cr_expect_geq(exe->fd, 0);
	libc = find_named(modules, "libc.so.6");
	cr_assert_not_null(libc);
	cr_expect_eq(libc->fd, -1, "opened only when asked for");
	cr_assert(dladdr((void *)getpid, &info));
	found = modules_find(modules, (uint64_t)(uintptr_t)getpid);
	cr_assert_eq(found, libc);
	cr_expect_geq(libc->fd, 0);
	cr_expect_eq(libc->slide, (uint64_t)(uintptr_t)info.dli_fbase);
	cr_expect_neq(libc->file_id, exe->file_id);
	cr_expect_eq(modules_find(modules, (uint64_t)(uintptr_t)find_named), exe);
	cr_expect_null(modules_find(modules, (uint64_t)(uintptr_t)&info), "the stack is no file");
	modules_close(modules);
}

Test(module, sees_a_library_that_comes_later)
{
	const struct module *exe, *late;
	struct modules *modules;
	size_t count;
	char byte;

	cr_assert_eq(modules_open(child.pid, parser, &modules), 0);
	exe = modules_get(modules, 0);
	cr_assert_null(find_named(modules, "libBrokenLocale.so.1"));
	count = modules_count(modules);
	cr_assert_eq(modules_refresh(modules), 0);
	cr_expect_eq(modules_count(modules), count, "known ones stay");
	cr_assert_eq(write(child.to, "", 1), 1);
	cr_assert_eq(read(child.from, &byte, 1), 1);
	cr_assert_eq(modules_refresh(modules), 0);
	cr_expect_eq(modules_get(modules, 0), exe);
	late = NULL;
	for (size_t i = count; i < modules_count(modules); i++)
		if (strstr(modules_get(modules, i)->path, "libBrokenLocale.so.1"))
			late = modules_get(modules, i);
	cr_assert_not_null(late);
	cr_expect_eq(modules_find(modules, late->start), late);
	modules_close(modules);
}

Test(module, a_process_that_is_gone)
{
	struct modules *modules;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	cr_expect_eq(modules_open(pid, parser, &modules), -ESRCH);
}
