/* SPDX-License-Identifier: BSD-2-Clause */
/* Which processes are wanted: real children of the test, asked about once, later, again after an exec. */
#include "trace/wanted.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ASKED 4096

static int asked[MAX_ASKED];
static size_t asked_count;
static enum wanted_answer answer;

static enum wanted_answer ask(const struct process_info *info, uint64_t since_ns, void *arg)
{
	cr_assert_eq(arg, &answer);
	cr_assert_gt(since_ns, 0);
	if (asked_count < MAX_ASKED)
		asked[asked_count++] = info->id.pid;
	return answer;
}

static size_t times_asked(int pid)
{
	size_t count = 0;

	for (size_t i = 0; i < asked_count; i++)
		count += asked[i] == pid;
	return count;
}

static void look(struct wanted *wanted, bool all)
{
	asked_count = 0;
	wanted_look(wanted, all, 1000, ask, &answer);
}

/* A child that waits to be killed. */
static int start_child(void)
{
	int pid = fork();

	if (pid)
		return pid;
	for (;;)
		pause();
}

static void end_child(int pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

Test(wanted, told_ones_are_asked_about_until_taken)
{
	struct wanted *wanted = wanted_new(&(struct wanted_rule){0});
	int child = start_child(), other = start_child();

	cr_expect_not(wanted_searches(wanted));
	wanted_add(wanted, child);
	wanted_add(wanted, child);
	answer = WANTED_LATER;
	look(wanted, true);
	cr_expect_eq(asked_count, 1);
	answer = WANTED_SEARCH; /* nobody searches: the same as later */
	look(wanted, false);
	cr_expect_eq(asked_count, 1);
	cr_expect_eq(wanted_waiting(wanted), 1);
	answer = WANTED_TAKEN;
	look(wanted, false);
	cr_expect_eq(times_asked(child), 1);
	cr_expect_eq(times_asked(other), 0);
	look(wanted, true);
	cr_expect_eq(asked_count, 0);
	cr_expect_eq(wanted_waiting(wanted), 0);
	/* Another program: told once is told for ever. One that nobody told of stays unwanted. */
	wanted_execed(wanted, child);
	wanted_execed(wanted, other);
	look(wanted, false);
	cr_expect_eq(times_asked(child), 1);
	cr_expect_eq(times_asked(other), 0);
	end_child(child);
	end_child(other);
	wanted_free(wanted);
}

Test(wanted, one_that_has_gone_is_forgotten)
{
	struct wanted *wanted = wanted_new(&(struct wanted_rule){0});
	int child = start_child();

	wanted_add(wanted, child);
	answer = WANTED_LATER;
	look(wanted, false);
	end_child(child);
	look(wanted, false);
	cr_expect_eq(asked_count, 0);
	cr_expect_eq(wanted_waiting(wanted), 0);
	wanted_add(wanted, child);
	cr_expect_eq(wanted_waiting(wanted), 0);
	wanted_free(wanted);
}

Test(wanted, a_name_is_searched_for)
{
	char comm[PROCESS_COMM_BYTES] = "wanted";
	struct process_info info = {0};
	struct wanted *wanted;
	int child = start_child();

	cr_assert_eq(process_look(child, &info), PROCESS_OK);
	strcpy(comm, info.comm);
	comm[strlen(comm) - 1] = '?';
	wanted = wanted_new(&(struct wanted_rule){.comm = comm});
	cr_expect(wanted_searches(wanted));
	answer = WANTED_TAKEN;
	look(wanted, false);
	cr_expect_eq(asked_count, 0);
	look(wanted, true);
	cr_expect_eq(times_asked(child), 1);
	cr_expect_eq(times_asked(1), 0);
	look(wanted, true);
	cr_expect_eq(times_asked(child), 0);
	wanted_execed(wanted, child);
	answer = WANTED_SEARCH;
	look(wanted, false);
	cr_expect_eq(times_asked(child), 1);
	look(wanted, false);
	cr_expect_eq(times_asked(child), 0);
	look(wanted, true);
	cr_expect_eq(times_asked(child), 1);
	end_child(child);
	wanted_free(wanted);
}

/* The child is in the same cgroup as the test; every spelling of it finds it, a neighbour's does not. */
Test(wanted, a_cgroup_in_every_spelling)
{
	static const char *const tops[] = {"", "/sys/fs/cgroup", "/sys/fs/cgroup/memory"};
	char path[PROCESS_PATH_BYTES * 2];
	struct process_info info = {0};
	struct wanted *wanted;
	int child = start_child();

	cr_assert_eq(process_look(child, &info), PROCESS_OK);
	answer = WANTED_TAKEN;
	for (size_t i = 0; i < sizeof(tops) / sizeof(tops[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", tops[i], info.cgroup);
		wanted = wanted_new(&(struct wanted_rule){.cgroup = path});
		look(wanted, true);
		cr_expect_eq(times_asked(child), 1, "%s", path);
		wanted_free(wanted);
	}
	snprintf(path, sizeof(path), "%s-x", info.cgroup);
	wanted = wanted_new(&(struct wanted_rule){.cgroup = path});
	look(wanted, true);
	cr_expect_eq(times_asked(child), 0);
	wanted_free(wanted);
	end_child(child);
}
