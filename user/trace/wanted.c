/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two tables by pid: who waits for an answer, and who has had one. A number is used again, so what is
 * remembered of a process is its start time, too. Reading one process of /proc takes some microseconds,
 * therefore all of them are read rarely, and the kernel's word (fork, exec) covers the time between.
 */
#include "trace/wanted.h"

#include <ctype.h>
#include <dirent.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"

#define MAX_WAITING 4096
#define CGROUP_ROOT "/sys/fs/cgroup"

struct waiting {
	int pid;
	bool told; /* by wanted_add(): the rule does not matter */
	uint64_t since_ns;
};

struct wanted {
	struct wanted_rule rule;
	struct waiting *waiting;
	size_t waiting_count, waiting_cap;
	struct table done; /* pid -> start time */
	struct table told; /* the same, of those that wanted_add() told of */
};

/* ---- rules ---- */

/* "/sys/fs/cgroup/memory/a" and "/sys/fs/cgroup/a" name what /proc/PID/cgroup calls "/a". */
static bool is_below(const char *cgroup, const char *top)
{
	size_t length = strlen(top);

	while (length > 1 && top[length - 1] == '/')
		length--;
	if (length == 1)
		return true;
	return !strncmp(cgroup, top, length) && (!cgroup[length] || cgroup[length] == '/');
}

static bool in_cgroup(const char *cgroup, const char *wanted)
{
	size_t root = strlen(CGROUP_ROOT);
	const char *next;

	if (is_below(cgroup, wanted))
		return true;
	if (strncmp(wanted, CGROUP_ROOT, root) || wanted[root] != '/')
		return false;
	wanted += root;
	next = strchr(wanted + 1, '/');
	return is_below(cgroup, wanted) || (next && is_below(cgroup, next));
}

static bool matches(const struct wanted_rule *rule, const struct process_info *info)
{
	if (rule->cgroup && !in_cgroup(info->cgroup, rule->cgroup))
		return false;
	if (rule->comm && fnmatch(rule->comm, info->comm, 0))
		return false;
	return rule->all || rule->cgroup || rule->comm;
}

bool wanted_searches(const struct wanted *wanted)
{
	return wanted->rule.all || wanted->rule.cgroup || wanted->rule.comm;
}

/* ---- the two tables ---- */

struct wanted *wanted_new(const struct wanted_rule *rule)
{
	struct wanted *wanted = xcalloc(1, sizeof(*wanted));

	wanted->rule = *rule;
	return wanted;
}

void wanted_free(struct wanted *wanted)
{
	if (!wanted)
		return;
	free(wanted->waiting);
	table_done(&wanted->done);
	table_done(&wanted->told);
	free(wanted);
}

static struct waiting *find_waiting(struct wanted *wanted, int pid)
{
	for (size_t i = 0; i < wanted->waiting_count; i++)
		if (wanted->waiting[i].pid == pid)
			return &wanted->waiting[i];
	return NULL;
}

/* Storms of processes: those that do not fit are found by the next look through /proc, if they live. */
static void wait_for(struct wanted *wanted, int pid, bool told)
{
	struct waiting *waiting = find_waiting(wanted, pid);

	if (!waiting) {
		if (wanted->waiting_count == MAX_WAITING)
			return;
		array_reserve(wanted->waiting, wanted->waiting_count, wanted->waiting_cap);
		waiting = &wanted->waiting[wanted->waiting_count++];
		*waiting = (struct waiting){.pid = pid};
	}
	waiting->told |= told;
}

static bool is_known(const struct table *table, const struct process_id *id)
{
	uint64_t start_time;

	return table_get(table, (uint64_t)id->pid, &start_time) && start_time == id->start_time;
}

void wanted_add(struct wanted *wanted, int pid)
{
	struct process_id id;

	if (process_identify(pid, &id) < 0)
		return;
	table_set(&wanted->told, (uint64_t)pid, id.start_time);
	table_remove(&wanted->done, (uint64_t)pid);
	wait_for(wanted, pid, true);
}

void wanted_execed(struct wanted *wanted, int pid)
{
	struct process_id id;
	bool told = process_identify(pid, &id) == 0 && is_known(&wanted->told, &id);

	table_remove(&wanted->done, (uint64_t)pid);
	if (told || wanted_searches(wanted))
		wait_for(wanted, pid, told);
}

size_t wanted_waiting(const struct wanted *wanted)
{
	return wanted->waiting_count;
}

/* ---- looking ---- */

static void search(struct wanted *wanted)
{
	DIR *proc = opendir("/proc");
	struct process_id id;
	struct dirent *entry;

	if (!proc)
		return;
	while ((entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		id.pid = (int)strtol(entry->d_name, NULL, 10);
		if (process_identify(id.pid, &id) == 0 && !is_known(&wanted->done, &id))
			wait_for(wanted, id.pid, false);
	}
	closedir(proc);
}

typedef enum wanted_answer ask_function(
	const struct process_info *info, uint64_t since_ns, void *arg);

/* Returns whether it waits no longer. */
static bool settle(struct wanted *wanted, struct waiting *waiting, uint64_t now_ns,
	ask_function *ask, void *arg)
{
	struct process_info info = {0};
	enum process_refusal refusal = process_look(waiting->pid, &info);
	enum wanted_answer answer = WANTED_TAKEN;

	if (refusal == PROCESS_GONE) {
		table_remove(&wanted->told, (uint64_t)waiting->pid);
		return true;
	}
	if (!waiting->since_ns)
		waiting->since_ns = now_ns;
	if (refusal == PROCESS_OK && (waiting->told || matches(&wanted->rule, &info)))
		answer = ask(&info, waiting->since_ns, arg);
	if (answer == WANTED_SEARCH && wanted_searches(wanted))
		return true;
	if (answer != WANTED_TAKEN)
		return false;
	table_set(&wanted->done, (uint64_t)info.id.pid, info.id.start_time);
	return true;
}

void wanted_look(struct wanted *wanted, bool all, uint64_t now_ns, ask_function *ask, void *arg)
{
	size_t kept = 0;

	if (all && wanted_searches(wanted))
		search(wanted);
	for (size_t i = 0; i < wanted->waiting_count; i++) {
		struct waiting waiting = wanted->waiting[i];

		if (!settle(wanted, &waiting, now_ns, ask, arg))
			wanted->waiting[kept++] = waiting;
	}
	wanted->waiting_count = kept;
}
