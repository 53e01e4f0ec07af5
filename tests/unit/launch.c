/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/launch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 20000 /* only reached where something is broken */

/* Starts with standard output going to a pipe; returns the end to read from. */
static int start_piped(char *const argv[], struct launch **ret)
{
	int ends[2], saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	dup2(ends[1], STDOUT_FILENO);
	close(ends[1]);
	cr_assert_eq(launch_start(argv, ret), 0);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	return ends[0];
}

static int wait_for_end(struct launch *launch)
{
	int status = -1;

	cr_assert_eq(launch_wait(launch, LIMIT_MS, &status), LAUNCH_EXITED);
	return status;
}

/* Name of the program that the child runs now. */
static const char *exe_name(const struct launch *launch)
{
	static char target[256];
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", launch_pid(launch));
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = 0;
	return strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
}

static int tracer_of(int pid)
{
	char path[64], line[256];
	int tracer = -1;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	in = fopen(path, "r");
	while (in && fgets(line, sizeof(line), in))
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	if (in)
		fclose(in);
	return tracer;
}

Test(launch, stops_before_the_first_instruction)
{
	char *argv[] = {"sh", "-c", "exit 7", NULL};
	struct launch *launch;
	int status;

	cr_assert_eq(launch_start(argv, &launch), 0);
	cr_expect_eq(launch_wait(launch, 0, NULL), LAUNCH_AT_EXEC);
	cr_expect_eq(launch_wait(launch, LIMIT_MS, NULL), LAUNCH_AT_EXEC);
	cr_expect_eq(tracer_of(launch_pid(launch)), getpid());
	cr_expect_eq(launch_release(launch), 0);
	cr_expect_eq(launch_release(launch), 0);
	status = wait_for_end(launch);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	launch_close(launch);
}

Test(launch, follows_a_chain_of_execs)
{
	char *argv[] = {"sh", "-c", "exec env exec_is_no_program= sh -c 'exec true'", NULL};
	const char *const wanted[] = {"env", "true"};
	struct launch *launch;
	int stops = 1;

	cr_assert_eq(launch_start(argv, &launch), 0);
	for (size_t i = 0; launch_wait(launch, LIMIT_MS, NULL) == LAUNCH_AT_EXEC;) {
		if (i < 2 && !strcmp(exe_name(launch), wanted[i]))
			i++;
		cr_assert_eq(launch_continue(launch), 0);
		stops++;
		if (stops == 5)
			cr_expect_eq(i, 2);
	}
	cr_expect_eq(stops, 5); /* sh, env, sh, true, and the end */
	cr_expect_eq(wait_for_end(launch), 0);
	launch_close(launch);
}

Test(launch, released_child_is_not_traced)
{
	char *argv[] = {"cat", NULL};
	struct launch *launch;
	int ends[2], saved = dup(STDIN_FILENO), status;

	/* cat ends when our end of its standard input is closed. */
	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	dup2(ends[0], STDIN_FILENO);
	cr_assert_eq(launch_start(argv, &launch), 0);
	dup2(saved, STDIN_FILENO);
	cr_assert_eq(launch_continue(launch), 0);
	cr_expect_eq(launch_wait(launch, 0, NULL), LAUNCH_RUNNING);
	/* Releasing a running child stops it for a moment. */
	cr_expect_eq(launch_release(launch), 0);
	cr_expect_eq(tracer_of(launch_pid(launch)), 0);
	cr_expect_eq(launch_wait(launch, 10, NULL), LAUNCH_RUNNING);
	close(ends[1]);
	status = wait_for_end(launch);
	cr_expect_eq(status, 0);
	launch_close(launch);
}

Test(launch, not_found_and_not_executable)
{
	char *missing[] = {"memtrace-no-such-program", NULL};
	char *directory[] = {"/tmp", NULL};
	char *file[] = {"/etc/passwd", NULL};
	struct launch *launch = NULL;

	cr_expect_eq(launch_start(missing, &launch), -ENOENT);
	cr_expect_eq(launch_start(directory, &launch), -EACCES);
	cr_expect_eq(launch_start(file, &launch), -EACCES);
	cr_expect_null(launch);
	cr_expect(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

Test(launch, signals_reach_the_child)
{
	char *trap[] = {"sh", "-c", "trap 'exit 9' TERM; kill -TERM $$; exit 1", NULL};
	char *killed[] = {"sh", "-c", "kill -KILL $$", NULL};
	struct launch *launch;
	int status;

	cr_assert_eq(launch_start(trap, &launch), 0);
	launch_continue(launch);
	status = wait_for_end(launch);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	launch_close(launch);
	cr_assert_eq(launch_start(killed, &launch), 0);
	launch_release(launch);
	status = wait_for_end(launch);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	launch_close(launch);
}

Test(launch, job_control_works_while_traced)
{
	char *argv[] = {"sh", "-c", "(kill -CONT $$) & kill -STOP $$; wait; exit 3", NULL};
	struct launch *launch;
	int status;

	/* The order of the two signals is open: send CONT until it has ended. */
	cr_assert_eq(launch_start(argv, &launch), 0);
	launch_continue(launch);
	while (launch_wait(launch, 20, &status) == LAUNCH_RUNNING)
		kill(launch_pid(launch), SIGCONT);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	launch_close(launch);
}

Test(launch, child_gets_default_signals)
{
	char *argv[] = {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL};
	struct launch *launch;
	char text[256] = "";
	unsigned long long blocked, ignored;
	sigset_t set;
	int fd;

	signal(SIGINT, SIG_DFL); /* a shell's background job has them ignored */
	signal(SIGQUIT, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); /* as nohup does: that one stays */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = start_piped(argv, &launch);
	launch_release(launch);
	cr_expect_eq(wait_for_end(launch), 0);
	cr_assert_gt(read(fd, text, sizeof(text) - 1), 0);
	cr_assert_eq(sscanf(text, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2, "%s", text);
	cr_expect_eq(blocked, 0, "%s", text);
	/* glibc's posix_spawn(), by which make starts us, leaves its own signal 32 ignored. */
	cr_expect_eq(ignored & 0x7fffffff, 1, "%s", text);
	close(fd);
	launch_close(launch);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* Whether a process maps a file whose path contains part. */
static bool maps_file(int pid, const char *part)
{
	char path[32], line[512];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	file = fopen(path, "r");
	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, part) != NULL;
	if (file)
		fclose(file);
	return found;
}

Test(launch, load_stops_when_the_libraries_are_there)
{
	char *argv[] = {"cat", "/proc/self/maps", NULL};
	struct launch *launch;
	char text[256] = "";
	int fd;

	fd = start_piped(argv, &launch);
	cr_expect(!maps_file(launch_pid(launch), "/libc.so"));
	cr_assert_eq(launch_load(launch), 0);
	cr_expect(maps_file(launch_pid(launch), "/libc.so"));
	cr_expect_eq(launch_wait(launch, 0, NULL), LAUNCH_AT_EXEC);
	launch_release(launch);
	cr_expect_eq(wait_for_end(launch), 0);
	cr_expect_gt(read(fd, text, sizeof(text) - 1), 0, "it did its work afterwards");
	close(fd);
	launch_close(launch);
}

Test(launch, a_stop_while_loading_lasts_until_it_is_continued)
{
	char *argv[] = {"true", NULL};
	struct launch *launch;
	pid_t helper;

	cr_assert_eq(launch_start(argv, &launch), 0);
	kill(launch_pid(launch), SIGSTOP);
	helper = fork();
	if (!helper) {
		/* As long as it is stopped by job control it does not load. */
		while (kill(launch_pid(launch), SIGCONT) == 0)
			poll(NULL, 0, 20);
		_exit(0);
	}
	cr_expect_eq(launch_load(launch), 0);
	cr_expect(maps_file(launch_pid(launch), "/libc.so"));
	launch_release(launch);
	cr_expect_eq(wait_for_end(launch), 0);
	launch_close(launch);
	kill(helper, SIGKILL);
	waitpid(helper, NULL, 0);
}

Test(launch, a_signal_of_ours_ends_loading)
{
	char *argv[] = {"true", NULL};
	struct launch *launch;
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval soon = {.it_value.tv_usec = 50000};

	cr_assert_eq(launch_start(argv, &launch), 0);
	kill(launch_pid(launch), SIGSTOP); /* nobody continues it */
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	cr_expect_eq(launch_load(launch), -EINTR);
	kill(launch_pid(launch), SIGCONT);
	launch_release(launch);
	cr_expect_eq(wait_for_end(launch), 0);
	launch_close(launch);
}

Test(launch, load_of_one_whose_library_is_missing)
{
	char *argv[] = {"/lib64/ld-linux-x86-64.so.2", "--argv0", "x", "/nonexistent", NULL};
	struct launch *launch;

	cr_assert_eq(launch_start(argv, &launch), 0);
	launch_load(launch); /* the loader is the program here: there is none to run through */
	launch_release(launch);
	cr_expect_eq(WEXITSTATUS(wait_for_end(launch)), 127);
	launch_close(launch);
}

Test(launch, load_of_one_that_runs_or_has_ended)
{
	char *argv[] = {"true", NULL};
	struct launch *launch;

	cr_assert_eq(launch_start(argv, &launch), 0);
	launch_continue(launch);
	cr_expect_eq(launch_load(launch), -ESRCH);
	cr_expect_eq(wait_for_end(launch), 0);
	cr_expect_eq(launch_load(launch), -ESRCH);
	launch_close(launch);
}

Test(launch, close_kills_what_was_not_released)
{
	char *argv[] = {"sleep", "1000", NULL};
	struct launch *launch;
	int pid;

	cr_assert_eq(launch_start(argv, &launch), 0);
	pid = launch_pid(launch);
	launch_close(launch);
	cr_expect_eq(kill(pid, 0), -1);
	cr_expect_eq(errno, ESRCH);
	launch_close(NULL);
}

Test(launch, descriptors_do_not_leak_into_the_child)
{
	char *argv[] = {"ls", "/proc/self/fd", NULL};
	struct launch *launch;
	char text[256] = "";
	int fd;

	/* The test framework's own would be inherited. */
	for (fd = 3; fd < 64; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	fd = start_piped(argv, &launch);
	launch_release(launch);
	cr_expect_eq(wait_for_end(launch), 0);
	cr_assert_gt(read(fd, text, sizeof(text) - 1), 0);
	cr_expect_str_eq(text, "0\n1\n2\n3\n"); /* 3 is ls reading the directory */
	close(fd);
	launch_close(launch);
}
