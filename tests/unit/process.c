/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/process.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/cgroup.h"

/* A child that runs a program from a file and waits until its end of the pipe is closed. */
struct child {
	pid_t pid;
	int pipe;
};

static struct child start_waiting(void)
{
	struct child child;
	int ends[2];
	char byte;

	cr_assert_eq(pipe(ends), 0);
	child.pid = fork();
	if (!child.pid) {
		close(ends[1]);
		while (read(ends[0], &byte, 1) > 0)
			;
		_exit(0);
	}
	close(ends[0]);
	child.pipe = ends[1];
	return child;
}

static void stop_waiting(struct child *child)
{
	close(child->pipe);
	waitpid(child->pid, NULL, 0);
}

static const char *describe(enum process_refusal refusal, const struct process_info *info)
{
	static char text[512];

	return process_describe_refusal(refusal, info, text, sizeof(text));
}

Test(look, child_is_fine)
{
	struct child child = start_waiting();
	struct process_info info;
	struct process_usage usage;
	uint64_t peak;
	char exe[PROCESS_PATH_BYTES] = "";

	cr_expect_eq(process_look(child.pid, &info), PROCESS_OK);
	cr_expect_eq(info.id.pid, child.pid);
	cr_expect_eq(info.tgid, child.pid);
	cr_expect_eq(info.ppid, getpid());
	cr_expect_gt(info.id.start_time, 0);
	cr_expect_lt(info.age_ns, 600ull * 1000000000);
	cr_assert_gt(readlink("/proc/self/exe", exe, sizeof(exe) - 1), 0);
	cr_expect_str_eq(info.exe, exe);
	cr_expect(process_alive(&info.id));
	cr_expect_eq(process_read_usage(child.pid, &usage), 0);
	cr_expect_gt(usage.rss_bytes, 0);
	cr_expect_leq(usage.file_bytes, usage.rss_bytes);
	cr_expect_eq(process_read_peak(child.pid, &peak), 0);
	cr_expect_gt(peak, 0);
	stop_waiting(&child);
	cr_expect_not(process_alive(&info.id));
	cr_expect_eq(process_look(child.pid, &info), PROCESS_GONE);
	cr_expect_eq(process_read_usage(child.pid, &usage), -ESRCH);
	cr_expect_eq(process_read_peak(child.pid, &peak), -ESRCH);
}

Test(look, other_start_time_is_another_process)
{
	struct child child = start_waiting();
	struct process_info info;

	process_look(child.pid, &info);
	info.id.start_time++;
	cr_expect_not(process_alive(&info.id));
	stop_waiting(&child);
}

Test(look, nonexistent)
{
	static const int pids[] = {0, -1, INT32_MAX, INT32_MIN};
	struct process_info info;

	for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++)
		cr_expect_eq(process_look(pids[i], &info), PROCESS_GONE);
	cr_expect_str_eq(describe(PROCESS_GONE, &info),
		"cannot trace pid -2147483648: there is no such process");
}

Test(look, self_and_own_thread)
{
	struct process_info info;

	cr_expect_eq(process_look(getpid(), &info), PROCESS_SELF);
	cr_expect(strstr(describe(PROCESS_SELF, &info), "memtrace itself"));
}

Test(look, init)
{
	struct process_info info;
	enum process_refusal refusal = process_look(1, &info);
	char comm[64] = "";
	FILE *in = fopen("/proc/1/comm", "r");

	cr_assert(in && fgets(comm, sizeof(comm), in));
	fclose(in);
	comm[strcspn(comm, "\n")] = 0;
	cr_expect_str_eq(info.comm, comm);
	cr_expect_eq(info.ppid, 0);
	/* Some sandboxes keep even root away from it; that must then be what we say. */
	cr_expect(refusal == PROCESS_OK || refusal == PROCESS_NOT_ALLOWED);
}

Test(look, kernel_thread)
{
	struct process_info info;
	char comm[64] = "";
	FILE *in = fopen("/proc/2/comm", "r");

	if (!in || !fgets(comm, sizeof(comm), in) || strcmp(comm, "kthreadd\n"))
		cr_skip_test("pid 2 is not kthreadd here (a container)");
	fclose(in);
	cr_expect_eq(process_look(2, &info), PROCESS_KERNEL_THREAD);
	cr_expect_str_eq(describe(PROCESS_KERNEL_THREAD, &info),
		"cannot trace pid 2 (kthreadd): it is a kernel thread and has no memory of its "
		"own");
}

Test(look, zombie)
{
	struct process_info info;
	siginfo_t ended;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT), 0);
	cr_expect_eq(process_look(pid, &info), PROCESS_ZOMBIE);
	cr_expect_eq(info.state, 'Z');
	cr_expect_not(process_alive(&info.id));
	waitpid(pid, NULL, 0);
}

static void *outlive_leader(void *arg)
{
	int *ends = arg;
	char byte;

	while (read(ends[0], &byte, 1) > 0)
		;
	_exit(0);
}

/* Its threads die in any order: nobody knows how it ended before the last one has gone. */
Test(look, leader_has_gone_before_the_others)
{
	struct process_usage usage;
	struct process_info info;
	pthread_t thread;
	int ends[2];
	pid_t pid;

	cr_assert(!pipe(ends));
	pid = fork();
	if (!pid) {
		close(ends[1]);
		pthread_create(&thread, NULL, outlive_leader, ends);
		pthread_exit(NULL);
	}
	close(ends[0]);
	while (process_look(pid, &info) != PROCESS_ZOMBIE)
		sched_yield();
	cr_expect(process_alive(&info.id));
	cr_expect_eq(process_read_usage(pid, &usage), -ESRCH, "an RSS of %llu",
		(unsigned long long)usage.rss_bytes);
	close(ends[1]);
	cr_expect_eq(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	cr_expect_not(process_alive(&info.id));
	waitpid(pid, NULL, 0);
}

static void *tell_tid(void *arg)
{
	pid_t tid = (pid_t)syscall(SYS_gettid);
	int *ends = arg;
	char byte;

	if (write(ends[1], &tid, sizeof(tid)) == sizeof(tid))
		while (read(ends[2], &byte, 1) > 0)
			;
	return NULL;
}

Test(look, thread_of_another_process)
{
	struct process_info info;
	int out[2], in[2];
	pid_t pid, tid;
	char wanted[64];

	cr_assert(!pipe(out) && !pipe(in));
	pid = fork();
	if (!pid) {
		int ends[3] = {out[0], out[1], in[0]};
		pthread_t thread;

		close(in[1]);
		pthread_create(&thread, NULL, tell_tid, ends);
		pthread_join(thread, NULL);
		_exit(0);
	}
	cr_assert_eq(read(out[0], &tid, sizeof(tid)), (ssize_t)sizeof(tid));
	cr_expect_neq(tid, pid);
	cr_expect_eq(process_look(tid, &info), PROCESS_IS_THREAD);
	cr_expect_eq(info.tgid, pid);
	snprintf(wanted, sizeof(wanted), "thread of process %d; use --pid %d", pid, pid);
	cr_expect(strstr(describe(PROCESS_IS_THREAD, &info), wanted));
	close(in[1]);
	waitpid(pid, NULL, 0);
}

Test(look, traced_by_another)
{
	struct child child = start_waiting();
	struct process_info info;
	int ready[2], done[2];
	pid_t debugger;
	char byte = 0;

	cr_assert(!pipe(ready) && !pipe(done));
	debugger = fork();
	if (!debugger) {
		close(done[1]);
		close(child.pipe);
		byte = ptrace(PTRACE_SEIZE, child.pid, 0, 0) ? 'n' : 'y';
		if (write(ready[1], &byte, 1) != 1 || read(done[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	if (byte == 'y') {
		cr_expect_eq(process_look(child.pid, &info), PROCESS_TRACED);
		cr_expect_eq(info.tracer_pid, debugger);
	}
	close(done[1]);
	waitpid(debugger, NULL, 0);
	/* Traced by ourselves is how -- COMMAND starts a program. */
	if (!ptrace(PTRACE_SEIZE, child.pid, 0, 0))
		cr_expect_eq(process_look(child.pid, &info), PROCESS_OK);
	stop_waiting(&child);
	cr_assert_eq(byte, 'y', "ptrace is forbidden here");
}

Test(look, i386_program_is_refused_by_name)
{
	/* ELF32, i386: pause() in a loop; int 0x80, eax = 29. */
	static const unsigned char program[] = {0x7f, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 2, 0, 3, 0, 1, 0, 0, 0, 0x54, 0x80, 4, 8, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0x34, 0, 0x20, 0, 1, 0, 0, 0, 0, 0, 0, 0, /* program header */ 1, 0, 0, 0, 0, 0,
		0, 0, 0, 0x80, 4, 8, 0, 0x80, 4, 8, 0x5d, 0, 0, 0, 0x5d, 0, 0, 0, 5, 0, 0, 0, 0,
		0x10, 0, 0, /* code */ 0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7};
	char path[] = "/tmp/memtrace-unit-XXXXXX";
	int fd = mkstemp(path), errors[2], error = 0;
	struct process_info info;
	pid_t pid;

	cr_assert(!pipe2(errors, O_CLOEXEC));
	cr_assert_eq(write(fd, program, sizeof(program)), (ssize_t)sizeof(program));
	fchmod(fd, 0755);
	close(fd);
	pid = fork();
	if (!pid) {
		execl(path, path, NULL);
		error = errno;
		_exit(write(errors[1], &error, sizeof(error)) < 0);
	}
	close(errors[1]);
	if (read(errors[0], &error, sizeof(error)) > 0) {
		waitpid(pid, NULL, 0);
		unlink(path);
		cr_skip_test("this kernel runs no 32-bit programs: %s", strerror(error));
	}
	cr_expect_eq(process_look(pid, &info), PROCESS_32_BIT);
	cr_expect(strstr(describe(PROCESS_32_BIT, &info), "32-bit"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
}

Test(look, hostile_name_is_escaped)
{
	struct process_info info = {.id.pid = 7, .comm = "a\033[2J) R"};

	cr_expect_str_eq(describe(PROCESS_ZOMBIE, &info),
		"cannot trace pid 7 (a\\x1b[2J) R): it has ended and only waits for its parent");
}

Test(look, missing_capability_is_named)
{
	struct process_info info = {.id.pid = 7, .missing = "CAP_SYS_PTRACE"};

	cr_expect(strstr(describe(PROCESS_NOT_ALLOWED, &info), "CAP_SYS_PTRACE"));
	for (int refusal = PROCESS_OK; refusal <= PROCESS_SELF; refusal++)
		cr_expect_gt(strlen(process_refusal_text((enum process_refusal)refusal)), 5);
}

Test(look, comm_that_imitates_stat)
{
	struct process_info info;

	prctl(PR_SET_NAME, ") Z 1 (x) R 2");
	cr_expect_eq(process_look(getpid(), &info), PROCESS_SELF);
	cr_expect_str_eq(info.comm, ") Z 1 (x) R 2");
	cr_expect_eq(info.ppid, getppid());
	cr_expect_eq(info.state, 'R');
}

/* ---- maps, usage, children ---- */

struct found {
	uint64_t addr, last;
	bool hit, ordered;
	size_t count;
};

static int find_addr(const struct process_map *map, void *arg)
{
	struct found *found = arg;

	found->ordered &= map->start >= found->last && map->end > map->start;
	found->last = map->end;
	found->count++;
	if (found->addr >= map->start && found->addr < map->end)
		found->hit = !strcmp(map->perms, "rw-p") && !map->inode;
	return 0;
}

static int stop_at_third(const struct process_map *map, void *arg)
{
	(void)map;
	return ++*(int *)arg == 3 ? 42 : 0;
}

Test(maps, walk)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct found found = {.addr = (uintptr_t)page, .ordered = true};
	int calls = 0;

	cr_expect_eq(process_for_each_map(getpid(), find_addr, &found), 0);
	cr_expect(found.hit);
	cr_expect(found.ordered);
	cr_expect_eq(process_for_each_map(getpid(), stop_at_third, &calls), 42);
	cr_expect_eq(calls, 3);
	cr_expect_eq(process_for_each_map(INT32_MAX, find_addr, &found), -ESRCH);
}

Test(maps, exe_base_is_where_our_elf_header_is)
{
	extern const char __ehdr_start[] __attribute__((visibility("hidden")));
	uint64_t base = 0;

	cr_expect_eq(process_find_exe_base(getpid(), &base), 0);
	cr_expect_eq(base, (uintptr_t)__ehdr_start);
}

Test(usage, cpu_and_memory_follow)
{
	const size_t bytes = 32 << 20;
	struct process_usage before, after;
	char *memory;

	cr_assert_eq(process_read_usage(getpid(), &before), 0);
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	memset(memory, 1, bytes);
	cr_assert_eq(process_read_usage(getpid(), &after), 0);
	/* statm may lag by 64 pages per CPU; 8 MiB is far above it. */
	cr_expect_geq(after.rss_bytes, before.rss_bytes + bytes - (8 << 20));
	cr_expect_gt(after.cpu_ns, before.cpu_ns);
}

Test(children, found_by_parent)
{
	struct child one = start_waiting(), two = start_waiting();
	int pids[8] = {0}, count = process_list_children(getpid(), pids, 8);

	cr_expect_eq(count, 2);
	cr_expect((pids[0] == one.pid && pids[1] == two.pid) ||
		  (pids[0] == two.pid && pids[1] == one.pid));
	cr_expect_eq(process_list_children(getpid(), pids, 1), 2);
	/* The second holds a copy of the first one's pipe, so it must end first. */
	stop_waiting(&two);
	stop_waiting(&one);
	cr_expect_eq(process_list_children(getpid(), pids, 8), 0);
}

/* ---- limits, against hierarchies of our own ---- */

struct hierarchy_dir {
	char root[64];
};

static struct hierarchy_dir make_hierarchy(void)
{
	struct hierarchy_dir dir = {"/tmp/memtrace-cgroup-XXXXXX"};
	char path[128];

	cr_assert(mkdtemp(dir.root));
	snprintf(path, sizeof(path), "%s/a", dir.root);
	cr_assert_eq(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/a/b", dir.root);
	cr_assert_eq(mkdir(path, 0755), 0);
	return dir;
}

static void set_limit(const struct hierarchy_dir *dir, const char *where, const char *text)
{
	char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s%s", dir->root, where);
	out = fopen(path, "w");
	cr_assert(out);
	fprintf(out, "%s\n", text);
	fclose(out);
}

static void remove_hierarchy(const struct hierarchy_dir *dir)
{
	static const char *const names[] = {"/a/b/memory.current", "/a/b/memory.stat",
		"/a/b/memory.high", "/a/b/memory.events", "/a/b/memory.pressure",
		"/a/b/memory.usage_in_bytes", "/a/b/memory.oom_control", "/a/b/memory.max",
		"/a/memory.max", "/memory.max", "/a/b/memory.limit_in_bytes",
		"/a/memory.limit_in_bytes", "/memory.limit_in_bytes", "/a/b", "/a", ""};
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", dir->root, names[i]);
		remove(path);
	}
}

static uint64_t find_limit(
	const struct hierarchy_dir *dir, const char *cgroups, const char *mount_format)
{
	char mounts[512], cgroup[PROCESS_PATH_BYTES];

	snprintf(mounts, sizeof(mounts), mount_format, dir->root);
	return process_find_limit(cgroups, mounts, cgroup, sizeof(cgroup));
}

#define V2_MOUNT                                                                                   \
	"22 1 0:1 / / rw - ext4 /dev/vda rw\n41 31 0:38 / %s rw,relatime - cgroup2 cgroup2 rw\n"
#define V1_MOUNT                                                                                   \
	"35 31 0:32 / /nowhere rw - cgroup cgroup rw,cpu\n35 31 0:32 / %s rw shared:3 - cgroup c " \
	"rw,memory\n"

Test(limit, smallest_on_the_way_up_v2)
{
	struct hierarchy_dir dir = make_hierarchy();

	cr_expect_eq(find_limit(&dir, "0::/a/b\n", V2_MOUNT), 0);
	set_limit(&dir, "/a/b/memory.max", "max");
	cr_expect_eq(find_limit(&dir, "0::/a/b\n", V2_MOUNT), 0);
	set_limit(&dir, "/a/memory.max", "268435456");
	cr_expect_eq(find_limit(&dir, "0::/a/b\n", V2_MOUNT), 268435456);
	set_limit(&dir, "/a/b/memory.max", "536870912");
	cr_expect_eq(find_limit(&dir, "0::/a/b\n", V2_MOUNT), 268435456);
	set_limit(&dir, "/a/b/memory.max", "1048576");
	cr_expect_eq(find_limit(&dir, "0::/a/b\n", V2_MOUNT), 1048576);
	/* A container sees its own cgroup as "/", and that one may have a limit. */
	set_limit(&dir, "/memory.max", "4096");
	cr_expect_eq(find_limit(&dir, "0::/\n", V2_MOUNT), 4096);
	remove_hierarchy(&dir);
}

Test(limit, v1)
{
	struct hierarchy_dir dir = make_hierarchy();
	static const char cgroups[] = "9:name=systemd:/\n4:cpu,memory:/a/b\n1:cpuset:/x\n0::/\n";

	set_limit(&dir, "/memory.limit_in_bytes", "9223372036854771712");
	cr_expect_eq(find_limit(&dir, cgroups, V1_MOUNT), 0);
	set_limit(&dir, "/a/b/memory.limit_in_bytes", "67108864");
	cr_expect_eq(find_limit(&dir, cgroups, V1_MOUNT), 67108864);
	remove_hierarchy(&dir);
}

Test(limit, mount_that_shows_a_part)
{
	struct hierarchy_dir dir = make_hierarchy();
	char cgroup[PROCESS_PATH_BYTES], mounts[256];

	set_limit(&dir, "/a/memory.max", "8192");
	snprintf(mounts, sizeof(mounts), "41 31 0:38 /docker/c1 %s rw - cgroup2 cgroup2 rw\n",
		dir.root);
	cr_expect_eq(process_find_limit("0::/docker/c1/a\n", mounts, cgroup, sizeof(cgroup)), 8192);
	cr_expect_str_eq(cgroup, "/docker/c1/a");
	cr_expect_eq(process_find_limit("0::/docker/c11/a\n", mounts, cgroup, sizeof(cgroup)), 0);
	cr_expect_eq(process_find_limit("0::/../other\n", mounts, cgroup, sizeof(cgroup)), 0);
	remove_hierarchy(&dir);
}

/* As the kernel writes them, of a version 2 hierarchy with pressure. */
Test(cgroup, memory_v2)
{
	struct hierarchy_dir dir = make_hierarchy();
	char mounts[512], directory[2 * PROCESS_PATH_BYTES];
	struct cgroup_memory memory;
	bool unified;

	snprintf(mounts, sizeof(mounts), V2_MOUNT, dir.root);
	cr_assert(process_find_cgroup("0::/a/b\n", mounts, directory, sizeof(directory), &unified));
	cr_assert(unified);
	cr_expect_eq(cgroup_read_memory(directory, true, &memory), -ENOENT, "no controller");
	set_limit(&dir, "/a/b/memory.current", "851443712\n");
	set_limit(&dir, "/a/b/memory.stat",
		"anon 700000000\nfile 150000000\nactive_file 50000000\ninactive_file 100000000\n");
	set_limit(&dir, "/a/b/memory.max", "1073741824\n");
	set_limit(&dir, "/a/b/memory.high", "max\n");
	set_limit(&dir, "/a/b/memory.events", "low 0\nhigh 0\nmax 12\noom 1\noom_kill 3\n");
	set_limit(&dir, "/a/b/memory.pressure",
		"some avg10=0.00 avg60=0.12 avg300=0.05 total=123456\n"
		"full avg10=0.00 avg60=0.00 avg300=0.00 total=7890\n");
	cr_assert_eq(cgroup_read_memory(directory, true, &memory), 0);
	cr_expect_eq(memory.usage_bytes, 851443712);
	cr_expect_eq(memory.inactive_file_bytes, 100000000);
	cr_expect_eq(memory.limit_bytes, 1073741824);
	cr_expect_eq(memory.high_bytes, 0);
	cr_expect_eq(memory.oom_kills, 3);
	cr_expect(memory.has_pressure);
	cr_expect_eq(memory.some_us, 123456);
	cr_expect_eq(memory.full_us, 7890);
	remove_hierarchy(&dir);
	cr_expect_eq(cgroup_read_memory(directory, true, &memory), -ENOENT, "it was removed");
}

Test(cgroup, memory_v1)
{
	struct hierarchy_dir dir = make_hierarchy();
	char mounts[512], directory[2 * PROCESS_PATH_BYTES];
	struct cgroup_memory memory;
	bool unified;

	snprintf(mounts, sizeof(mounts), V1_MOUNT, dir.root);
	cr_assert(process_find_cgroup(
		"4:cpu,memory:/a/b\n", mounts, directory, sizeof(directory), &unified));
	cr_assert_not(unified);
	set_limit(&dir, "/a/b/memory.usage_in_bytes", "52428800\n");
	set_limit(&dir, "/a/b/memory.stat",
		"inactive_file 1\ntotal_cache 4096\ntotal_inactive_file 2097152\n");
	set_limit(&dir, "/a/b/memory.limit_in_bytes", "9223372036854771712\n");
	set_limit(&dir, "/a/b/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
	cr_assert_eq(cgroup_read_memory(directory, false, &memory), 0);
	cr_expect_eq(memory.usage_bytes, 52428800);
	cr_expect_eq(memory.inactive_file_bytes, 2097152);
	cr_expect_eq(memory.limit_bytes, 0);
	cr_expect_eq(memory.oom_kills, 2);
	cr_expect_not(memory.has_pressure);
	remove_hierarchy(&dir);
}

Test(limit, nonsense)
{
	static const char *const texts[] = {
		"", "\n", ":", "::", "0:", "0::", "4:memory", "x:memory:", "0::a/b\n"};
	char cgroup[PROCESS_PATH_BYTES];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cr_expect_eq(process_find_limit(texts[i], "", cgroup, sizeof(cgroup)), 0);
		cr_expect_eq(
			process_find_limit(texts[i], "1 2 3 - cgroup2\n- - -\n", cgroup, 4), 0);
	}
}
