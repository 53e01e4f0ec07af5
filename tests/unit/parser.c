/* SPDX-License-Identifier: BSD-2-Clause */
/* The parser child as its client sees it: files of all sorts, crashes, delays, signals. */
#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/parser.h"

static struct parser *parser;

static void start(void)
{
	cr_assert_eq(parser_open(&parser), 0);
}

static void stop(void)
{
	parser_close(parser);
}

TestSuite(parser, .init = start, .fini = stop, .timeout = 120);

static int open_self(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	return fd;
}

/* A file in memory with these bytes. */
static int open_bytes(const void *bytes, size_t count)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, bytes, count), (ssize_t)count);
	return fd;
}

static uint8_t *read_self(size_t *ret_bytes)
{
	int fd = open_self();
	struct stat st;
	uint8_t *bytes;

	cr_assert_eq(fstat(fd, &st), 0);
	bytes = xcalloc(1, st.st_size);
	cr_assert_eq(read(fd, bytes, st.st_size), st.st_size);
	close(fd);
	*ret_bytes = st.st_size;
	return bytes;
}

static int identify_bytes(const void *bytes, size_t count)
{
	struct runtime_file facts;
	int fd = open_bytes(bytes, count), err;
	uint32_t id;

	err = parser_identify(parser, fd, &id, &facts);
	close(fd);
	return err;
}

static int identify_self(struct runtime_file *ret)
{
	int fd = open_self(), err;
	uint32_t id;

	err = parser_identify(parser, fd, &id, ret);
	close(fd);
	return err;
}

Test(parser, file_of_no_known_runtime)
{
	struct runtime_file facts;
	struct parser_frame frame;
	struct go_type type;
	uint64_t pc = 0x401000;
	int fd = open_self();
	uint32_t id;

	cr_assert_eq(parser_identify(parser, fd, &id, &facts), 0);
	cr_expect_str_empty(facts.runtime);
	cr_expect_eq(facts.probe_count, 0);
	cr_expect_eq(parser_lines(parser, id, &pc, 1, &frame, 1), -ENOENT);
	cr_expect_eq(parser_type(parser, id, pc, &type), -ENOENT);
	cr_expect_eq(parser_type(parser, id + 1, pc, &type), -ENOENT);
	close(fd);
}

Test(parser, same_file_keeps_its_id)
{
	struct runtime_file facts;
	uint32_t first, second, other;
	int fd = open_self(), fd2 = open_self(), fd3 = open("/bin/sh", O_RDONLY);

	cr_assert_eq(parser_identify(parser, fd, &first, &facts), 0);
	cr_assert_eq(parser_identify(parser, fd3, &other, &facts), 0);
	cr_assert_eq(parser_identify(parser, fd2, &second, &facts), 0);
	cr_expect_eq(first, second);
	cr_expect_neq(first, other);
	close(fd);
	close(fd2);
	close(fd3);
}

/* A deploy while it runs: another file takes its name. What was changed since is refused. */
Test(parser, file_that_was_deleted_is_still_that_file)
{
	char path[] = "/tmp/memtrace-parser.XXXXXX";
	struct parser_debug debug;
	struct runtime_file facts;
	size_t count;
	uint8_t *bytes = read_self(&count);
	int fd = mkstemp(path);
	uint32_t id;

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, bytes, count), (ssize_t)count);
	cr_assert_eq(parser_identify(parser, fd, &id, &facts), 0);
	cr_assert_eq(unlink(path), 0);
	cr_expect_eq(parser_keep(parser, id, fd, &debug), 0);
	cr_expect(debug.has_lines);
	cr_assert_eq(write(fd, bytes, 1), 1);
	cr_expect_eq(parser_keep(parser, id, fd, &debug), -ENOENT);
	close(fd);
	free(bytes);
}

Test(parser, refuses_what_is_no_executable)
{
	int pipes[2], directory = open("/", O_RDONLY | O_DIRECTORY);
	struct runtime_file facts;
	uint32_t id;

	cr_expect_eq(identify_bytes("", 0), -ENOEXEC);
	cr_expect_eq(identify_bytes("#!/bin/sh\n", 10), -ENOEXEC);
	cr_assert_eq(pipe(pipes), 0);
	cr_expect_eq(parser_identify(parser, pipes[0], &id, &facts), -ENOEXEC);
	cr_expect_eq(parser_identify(parser, directory, &id, &facts), -ENOEXEC);
	cr_expect_eq(parser_identify(parser, -1, &id, &facts), -EBADF);
	close(pipes[0]);
	close(pipes[1]);
	close(directory);
}

Test(parser, refuses_other_machines)
{
	Elf64_Ehdr *header;
	size_t count;
	uint8_t *bytes = read_self(&count);

	header = (Elf64_Ehdr *)bytes;
	header->e_ident[EI_CLASS] = ELFCLASS32;
	cr_expect_eq(identify_bytes(bytes, count), -ENOEXEC);
	header->e_ident[EI_CLASS] = ELFCLASS64;
	header->e_machine = EM_AARCH64;
	cr_expect_eq(identify_bytes(bytes, count), -ENOEXEC);
	header->e_machine = EM_X86_64;
	header->e_type = ET_CORE;
	cr_expect_eq(identify_bytes(bytes, count), -ENOEXEC);
	free(bytes);
}

Test(parser, refuses_absurd_headers)
{
	Elf64_Phdr *segment;
	Elf64_Ehdr *header;
	size_t count;
	uint8_t *bytes = read_self(&count);

	header = (Elf64_Ehdr *)bytes;
	for (segment = (Elf64_Phdr *)(bytes + header->e_phoff); segment->p_type != PT_LOAD;)
		segment++;
	segment->p_filesz = UINT64_MAX;
	cr_expect_eq(identify_bytes(bytes, count), -EBADMSG);
	segment->p_filesz = count + 1;
	segment->p_memsz = count + 1;
	cr_expect_eq(identify_bytes(bytes, count), -EBADMSG);
	header->e_phnum = 0;
	cr_expect_eq(identify_bytes(bytes, count), -EBADMSG);
	header->e_phnum = 0xffff;
	cr_expect_eq(identify_bytes(bytes, count), -EBADMSG);
	free(bytes);
}

Test(parser, survives_truncation)
{
	size_t count, length;
	uint8_t *bytes = read_self(&count);

	for (length = 0; length < count; length += 1 + length / 3) {
		int err = identify_bytes(bytes, length);

		cr_expect(err == -ENOEXEC || err == -EBADMSG, "%zu bytes: %d", length, err);
	}
	free(bytes);
}

/* ---- the child's life ---- */

Test(parser, starts_child_again)
{
	struct runtime_file facts;
	int pid = parser_pid(parser);

	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_expect_eq(identify_self(&facts), 0);
	cr_expect_neq(parser_pid(parser), pid);
}

Test(parser, file_that_costs_two_children_is_bad)
{
	struct runtime_file facts;
	uint32_t id;
	int fd;

	/* No time at all: both children are given up while they work */
	parser_set_timeout(parser, 0);
	cr_expect_eq(identify_self(&facts), -EBADMSG);
	parser_set_timeout(parser, 60 * NSEC_PER_SEC);
	cr_expect_eq(identify_self(&facts), -EBADMSG);
	fd = open("/bin/sh", O_RDONLY);
	cr_expect_eq(parser_identify(parser, fd, &id, &facts), 0);
	close(fd);
}

Test(parser, gives_up_a_child_that_hangs)
{
	struct runtime_file facts;
	int pid = parser_pid(parser);
	uint64_t start_ns = clock_mono_ns();

	parser_set_timeout(parser, 2 * NSEC_PER_SEC);
	cr_assert_eq(kill(pid, SIGSTOP), 0);
	cr_expect_eq(identify_self(&facts), 0);
	cr_expect_neq(parser_pid(parser), pid);
	cr_expect_geq(clock_mono_ns() - start_ns, 2 * NSEC_PER_SEC);
	cr_expect_eq(kill(pid, 0), -1);
}

Test(parser, child_ignores_the_terminal)
{
	struct runtime_file facts;
	int pid = parser_pid(parser);

	/* It has set its signals before it answers */
	cr_assert_eq(identify_bytes("", 0), -ENOEXEC);
	kill(pid, SIGINT);
	kill(pid, SIGHUP);
	kill(pid, SIGTERM);
	cr_expect_eq(identify_self(&facts), 0);
	cr_expect_eq(parser_pid(parser), pid);
}

Test(parser, child_holds_no_other_descriptors)
{
	int secret = open("/etc/passwd", O_RDONLY), fd;
	struct parser *second;
	char path[64], target[256];

	cr_assert_eq(parser_open(&second), 0);
	parser_close(parser);
	parser = second;
	cr_assert_eq(identify_bytes("", 0), -ENOEXEC);
	for (fd = 0; fd < 64; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", parser_pid(parser), fd);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = 0;
		cr_expect(strncmp(target, "/etc/passwd", 11) != 0, "fd %d", fd);
		cr_expect_lt(fd, 4, "fd %d is %s", fd, target);
	}
	close(secret);
}

Test(parser, close_ends_the_child)
{
	int pid = parser_pid(parser);

	parser_close(parser);
	parser = NULL;
	cr_expect(kill(pid, 0) == -1 && errno == ESRCH);
}
