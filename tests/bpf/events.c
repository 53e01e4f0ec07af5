/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The BPF side on the running kernel: what each program writes for a known cause, and that nothing
 * disappears unseen. Needs root; each test loads its own object and watches its own children.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "trace/attach.h"
#include "trace/bpf.h"
#include "trace/calibrate.h"
#include "trace/closer.h"
#include "trace/drain.h"
#include "trace/own_code.h"

#define PATIENCE_MS 5000
#define TOUCH_PAGES 2000

struct rig {
	struct trace_bpf *bpf;
	struct drain *drain;
	struct closer *closer;
};

static void rig_open(struct rig *rig, const struct trace_bpf_options *options, uint32_t queue)
{
	char error[256] = "";

	cr_assert(eq(int, trace_bpf_load(options, &rig->bpf, error), 0), "%s", error);
	cr_assert(eq(int, drain_start(rig->bpf, queue, &rig->drain), 0));
	cr_assert(eq(int, closer_start(&rig->closer), 0));
}

static void rig_close(struct rig *rig)
{
	closer_stop(rig->closer);
	drain_stop(rig->drain);
	trace_bpf_close(rig->bpf);
}

/* The next record, waiting for it. */
static const struct mt_record *next(struct rig *rig)
{
	struct pollfd wait = {.fd = drain_event_fd(rig->drain), .events = POLLIN};
	const struct mt_record *record;

	while (!(record = drain_next(rig->drain)))
		cr_assert(eq(int, poll(&wait, 1, PATIENCE_MS), 1), "no record came");
	return record;
}

static void expect_control(struct rig *rig, enum mt_kind kind, int pid, uint64_t value)
{
	const struct mt_record *record = next(rig);

	cr_expect(eq(int, record->kind, (int)kind));
	cr_expect(eq(int, record->attachment, MT_SRC_CONTROL));
	cr_expect(eq(int, record->tgid, pid));
	cr_expect(eq(u64, record->val[0], value));
}

/* ---- children that wait for a byte, then do something ---- */

struct child {
	int pid, go;
};

static struct child start(void (*act)(void))
{
	int pipe_fds[2];
	struct child child;
	char byte;

	cr_assert(eq(int, pipe2(pipe_fds, O_CLOEXEC), 0));
	child.pid = fork();
	cr_assert(ge(int, child.pid, 0));
	if (!child.pid) {
		close(pipe_fds[1]);
		if (read(pipe_fds[0], &byte, 1) == 1)
			act();
		_exit(99);
	}
	close(pipe_fds[0]);
	child.go = pipe_fds[1];
	return child;
}

static void let_go(struct child *child)
{
	cr_assert(eq(int, write(child->go, "x", 1), 1));
	close(child->go);
}

static void fork_and_exec(void)
{
	int pid = fork();

	if (!pid) {
		execl("/bin/true", "true", NULL);
		_exit(98);
	}
	waitpid(pid, NULL, 0);
	_exit(7);
}

static void *leave_later(void *arg)
{
	pthread_join(*(pthread_t *)arg, NULL);
	_exit(5);
}

static void leader_leaves_first(void)
{
	static pthread_t leader;
	pthread_t thread;

	leader = pthread_self();
	pthread_create(&thread, NULL, leave_later, &leader);
	pthread_exit(NULL);
}

static void touch_and_exit(void)
{
	size_t bytes = TOUCH_PAGES * 4096;
	volatile char *p =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise((void *)p, bytes, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < bytes; i += 4096)
		p[i] = 1;
	_exit(0);
}

Test(control, fork_exec_and_exit_of_a_followed_target)
{
	struct child child = start(fork_and_exec);
	const struct mt_record *record;
	const char *faults;
	struct rig rig;
	int grandchild;

	rig_open(&rig, &(struct trace_bpf_options){0}, 0);
	cr_assert(eq(int, trace_bpf_attach_kernel(rig.bpf, false, &faults), 0));
	cr_assert(eq(int, trace_bpf_add_target(rig.bpf, child.pid, true), 0));
	let_go(&child);
	record = next(&rig);
	cr_assert(eq(int, record->kind, MT_FORK));
	cr_assert(eq(int, record->tgid, child.pid));
	grandchild = record->val[0];
	expect_control(&rig, MT_EXEC, grandchild, 0);
	expect_control(&rig, MT_EXIT, grandchild, 0);
	expect_control(&rig, MT_EXIT, child.pid, 7 << 8);
	waitpid(child.pid, NULL, 0);
	rig_close(&rig);
}

Test(control, only_the_last_thread_is_the_exit)
{
	struct child child = start(leader_leaves_first);
	struct mt_counters counters;
	const char *faults;
	struct rig rig;

	rig_open(&rig, &(struct trace_bpf_options){0}, 0);
	cr_assert(eq(int, trace_bpf_attach_kernel(rig.bpf, false, &faults), 0));
	cr_assert(eq(int, trace_bpf_add_target(rig.bpf, child.pid, false), 0));
	let_go(&child);
	waitpid(child.pid, NULL, 0);
	expect_control(&rig, MT_EXIT, child.pid, 5 << 8);
	drain_flush(rig.drain);
	cr_assert(eq(ptr, (void *)drain_next(rig.drain), NULL));
	cr_assert(eq(int, trace_bpf_read_counters(rig.bpf, MT_SRC_CONTROL, &counters), 0));
	cr_assert(eq(u64, counters.produced, 1));
	rig_close(&rig);
}

/* Where the kernel lets a program see it: what came after the last look of memtrace. */
Test(control, exit_tells_rss)
{
	struct child child = start(touch_and_exit);
	const struct mt_record *record;
	const char *faults;
	int major, minor;
	struct utsname name;
	struct rig rig;

	cr_assert(uname(&name) == 0 && sscanf(name.release, "%d.%d", &major, &minor) == 2);
	rig_open(&rig, &(struct trace_bpf_options){0}, 0);
	cr_assert(eq(int, trace_bpf_attach_kernel(rig.bpf, false, &faults), 0));
	cr_assert(eq(int, trace_bpf_add_target(rig.bpf, child.pid, false), 0));
	let_go(&child);
	record = next(&rig);
	while (record->kind != MT_EXIT)
		record = next(&rig);
	if (record->val[2] || major > 6 || (major == 6 && minor >= 16)) {
		cr_expect(ge(u64, record->val[2], TOUCH_PAGES));
		cr_expect(le(u64, record->val[2], TOUCH_PAGES + 4096));
	}
	waitpid(child.pid, NULL, 0);
	rig_close(&rig);
}

Test(control, death_by_signal)
{
	struct child child = start(touch_and_exit);
	const char *faults;
	struct rig rig;

	rig_open(&rig, &(struct trace_bpf_options){0}, 0);
	cr_assert(eq(int, trace_bpf_attach_kernel(rig.bpf, false, &faults), 0));
	cr_assert(eq(int, trace_bpf_add_target(rig.bpf, child.pid, false), 0));
	kill(child.pid, SIGKILL);
	expect_control(&rig, MT_EXIT, child.pid, SIGKILL);
	waitpid(child.pid, NULL, 0);
	rig_close(&rig);
}

static void eat_memory(void)
{
	size_t bytes = 64 << 20;
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(p, 1, bytes);
	_exit(0);
}

static bool write_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return done;
}

/* A cgroup with 16 MiB and pid in it, v1 or v2; "" where there is none to be had. */
static void confine(int pid, char dir[64])
{
	static const char *const roots[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};
	static const char *const limits[] = {"memory.limit_in_bytes", "memory.max"};
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		snprintf(dir, 64, "%s/memtrace-test-%d", roots[i], pid);
		if (!mkdir(dir, 0700) && write_file(dir, limits[i], "16777216") &&
			write_file(dir, "cgroup.procs", text))
			return;
		rmdir(dir);
	}
	dir[0] = '\0';
}

Test(control, choice_of_the_oom_killer)
{
	struct child child = start(eat_memory);
	const char *faults;
	struct rig rig;
	char dir[64];

	confine(child.pid, dir);
	if (!dir[0]) {
		kill(child.pid, SIGKILL);
		cr_skip_test("no memory cgroup can be made here");
	}
	rig_open(&rig, &(struct trace_bpf_options){0}, 0);
	cr_assert(eq(int, trace_bpf_attach_kernel(rig.bpf, false, &faults), 0));
	cr_assert(eq(int, trace_bpf_add_target(rig.bpf, child.pid, false), 0));
	let_go(&child);
	expect_control(&rig, MT_OOM, child.pid, 0);
	expect_control(&rig, MT_EXIT, child.pid, SIGKILL);
	waitpid(child.pid, NULL, 0);
	rmdir(dir);
	rig_close(&rig);
}

/* Samples stand for all faults but those since the last one. */
static uint64_t sum_samples(struct rig *rig, int pid, uint64_t *total)
{
	const struct mt_record *record;
	uint64_t sum = 0;

	drain_flush(rig->drain);
	while ((record = drain_next(rig->drain))) {
		if (record->kind == MT_EXIT)
			*total = record->val[1];
		if (record->kind != MT_FAULT)
			continue;
		cr_expect(eq(int, record->tgid, pid));
		cr_expect(ne(u64, record->addr, 0));
		cr_expect(ne(int, record->flags &MT_HAS_STACK, 0));
		cr_expect(ge(int, record->stack_bytes, 8));
		sum += record->val[0];
	}
	return sum;
}

Test(faults, counted_exactly_and_sampled)
{
	struct child child = start(touch_and_exit);
	struct mt_counters counters;
	uint64_t sum, total = 0;
	const char *faults;
	struct rig rig;

	rig_open(&rig, &(struct trace_bpf_options){0}, 0);
	cr_assert(eq(int, trace_bpf_attach_kernel(rig.bpf, true, &faults), 0));
	cr_assert(eq(str, (char *)faults, "tp_btf"));
	cr_assert(eq(int, trace_bpf_add_target(rig.bpf, child.pid, false), 0));
	let_go(&child);
	waitpid(child.pid, NULL, 0);
	sum = sum_samples(&rig, child.pid, &total);
	cr_assert(eq(int, trace_bpf_read_counters(rig.bpf, MT_SRC_FAULT, &counters), 0));
	cr_assert(ge(u64, total, TOUCH_PAGES));
	cr_assert(le(u64, total, TOUCH_PAGES + 500));
	cr_assert(le(u64, sum, total));
	cr_assert(gt(u64, sum + 97, total));
	cr_assert(ge(u64, counters.produced, 15));
	rig_close(&rig);
}

#define HUGE_BYTES (2ul << 20)

/* Huge pages where the kernel gives some, then small ones. */
static void touch_huge_and_exit(void)
{
	size_t bytes = 9 * HUGE_BYTES;
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *first = (char *)(((uintptr_t)p + HUGE_BYTES - 1) & -HUGE_BYTES);

	madvise(p, bytes, MADV_HUGEPAGE);
	for (size_t i = 0; i < 8 * HUGE_BYTES; i += HUGE_BYTES)
		first[i] = 1;
	touch_and_exit();
}

struct gains {
	uint64_t pages, faults, largest;
};

static struct gains sum_gains(struct rig *rig)
{
	const struct mt_record *record;
	struct gains gains = {0};

	drain_flush(rig->drain);
	while ((record = drain_next(rig->drain))) {
		if (record->kind != MT_FAULT)
			continue;
		gains.pages += record->val[1];
		gains.faults += record->val[0];
		gains.largest = MAX(gains.largest, record->val[1]);
	}
	return gains;
}

static struct gains gains_of(void (*body)(void))
{
	struct child child = start(body);
	struct gains gains;
	const char *faults;
	struct rig rig;

	rig_open(&rig, &(struct trace_bpf_options){0}, 0);
	cr_assert(eq(int, trace_bpf_attach_kernel(rig.bpf, true, &faults), 0));
	cr_assert(eq(int, trace_bpf_add_target(rig.bpf, child.pid, false), 0));
	let_go(&child);
	waitpid(child.pid, NULL, 0);
	gains = sum_gains(&rig);
	rig_close(&rig);
	return gains;
}

/* What the CPUs hold back of the counters, and what the last sample was too early for. */
#define PAGES_OPEN 240

Test(faults, samples_stand_for_the_pages_that_rss_gained)
{
	struct gains gains = gains_of(touch_and_exit);

	cr_assert(gt(u64, gains.pages + PAGES_OPEN, TOUCH_PAGES));
	cr_assert(lt(u64, gains.pages, TOUCH_PAGES + PAGES_OPEN));
}

Test(faults, a_huge_page_has_a_sample_of_its_own)
{
	struct gains gains = gains_of(touch_huge_and_exit);

	if (gains.faults > 8 * 512)
		cr_skip("the kernel gave no huge pages");
	cr_assert(ge(u64, gains.largest, 512));
	cr_assert(lt(u64, gains.largest, 2 * 512), "never two in one sample");
	cr_assert(gt(u64, gains.pages + PAGES_OPEN, 8 * 512 + TOUCH_PAGES));
	cr_assert(lt(u64, gains.pages, 8 * 512 + TOUCH_PAGES + PAGES_OPEN));
}

#define CALL_BYTES (1ul << 20)

static void call_and_exit(void)
{
	char *p =
		mmap(NULL, CALL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < CALL_BYTES; i += 4096)
		p[i] = 1;
	madvise(p, CALL_BYTES / 2, MADV_DONTNEED);
	mprotect(p, 4096, PROT_READ); /* too small to matter */
	mprotect(p, CALL_BYTES, PROT_READ);
	p = mremap(p, CALL_BYTES, 2 * CALL_BYTES, MREMAP_MAYMOVE);
	munmap(p, 2 * CALL_BYTES);
	munmap(p + 1, CALL_BYTES); /* refused: not a page */
	sbrk(128 << 10);
	_exit(0);
}

static const struct mt_record *next_call(struct rig *rig, enum mt_call call)
{
	const struct mt_record *record = next(rig);

	while (record->kind != MT_MEMORY)
		record = next(rig);
	cr_assert(eq(u64, record->val[0], call));
	return record;
}

/* Half a megabyte, as far as the counters are up to date. */
static bool is_half(uint64_t pages)
{
	return pages + 64 >= CALL_BYTES / 2 / 4096 && pages <= CALL_BYTES / 2 / 4096 + 64;
}

Test(memory, calls_are_told_with_what_they_gave_back)
{
	struct child child = start(call_and_exit);
	const struct mt_record *record;
	const char *faults;
	struct rig rig;
	uint64_t addr;

	rig_open(&rig, &(struct trace_bpf_options){0}, 0);
	cr_assert(eq(int, trace_bpf_attach_kernel(rig.bpf, true, &faults), 0));
	cr_assert(eq(int, trace_bpf_want_calls(rig.bpf, true), 0));
	cr_assert(eq(int, trace_bpf_add_target(rig.bpf, child.pid, false), 0));
	let_go(&child);
	record = next_call(&rig, MT_CALL_MMAP);
	addr = record->addr;
	cr_assert(eq(u64, record->val[1], CALL_BYTES));
	cr_assert(ne(int, record->flags &MT_HAS_STACK, 0));
	record = next_call(&rig, MT_CALL_MADVISE);
	cr_assert(eq(u64, record->addr, addr));
	cr_assert(eq(u64, record->val[3], MADV_DONTNEED));
	cr_assert(is_half(record->val[2]), "%llu pages", record->val[2]);
	record = next_call(&rig, MT_CALL_MPROTECT);
	cr_assert(eq(u64, record->val[1], CALL_BYTES));
	record = next_call(&rig, MT_CALL_MREMAP);
	cr_assert(eq(u64, record->val[1], 2 * CALL_BYTES));
	cr_assert(eq(u64, record->val[3], CALL_BYTES));
	addr = record->addr;
	record = next_call(&rig, MT_CALL_MUNMAP);
	cr_assert(eq(u64, record->addr, addr));
	cr_assert(is_half(record->val[2]), "%llu pages", record->val[2]);
	next_call(&rig, MT_CALL_BRK); /* sbrk() asks first: that is no record */
	waitpid(child.pid, NULL, 0);
	cr_assert(eq(int, trace_bpf_want_calls(rig.bpf, false), 0));
	rig_close(&rig);
}

/* Faults that its exit reports. */
static uint64_t faults_until_exit(struct rig *rig, int pid)
{
	const struct mt_record *record = next(rig);

	while (record->kind != MT_EXIT || (int)record->tgid != pid)
		record = next(rig);
	return record->val[1];
}

/* Only the first target has the short way. */
Test(faults, every_target_is_counted)
{
	struct child children[] = {
		start(touch_and_exit), start(touch_and_exit), start(touch_and_exit)};
	struct mt_counters counters;
	uint64_t sum = 0;
	const char *faults;
	struct rig rig;

	rig_open(&rig, &(struct trace_bpf_options){0}, 0);
	cr_assert(eq(int, trace_bpf_attach_kernel(rig.bpf, true, &faults), 0));
	for (size_t i = 0; i < ARRAY_SIZE(children); i++)
		cr_assert(eq(int, trace_bpf_add_target(rig.bpf, children[i].pid, false), 0));
	/* The second, which has the long way, then the first, then the third. */
	for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
		struct child *child = &children[(i + 1) % ARRAY_SIZE(children)];
		uint64_t total;

		let_go(child);
		total = faults_until_exit(&rig, child->pid);
		waitpid(child->pid, NULL, 0);
		cr_assert(ge(u64, total, TOUCH_PAGES));
		cr_assert(le(u64, total, TOUCH_PAGES + 500));
		sum += total;
	}
	cr_assert(eq(int, trace_bpf_read_counters(rig.bpf, MT_SRC_FAULT, &counters), 0));
	cr_assert(eq(u64, counters.hits, sum));
	rig_close(&rig);
}

Test(faults, cost_nothing_while_nobody_wants_them)
{
	struct child child = start(touch_and_exit);
	struct mt_counters counters;
	const char *faults;
	struct rig rig;

	rig_open(&rig, &(struct trace_bpf_options){0}, 0);
	cr_assert(eq(int, trace_bpf_attach_kernel(rig.bpf, true, &faults), 0));
	cr_assert(eq(int, trace_bpf_want_faults(rig.bpf, true), 0));
	cr_assert(eq(int, trace_bpf_want_faults(rig.bpf, false), 0));
	cr_assert(eq(int, trace_bpf_add_target(rig.bpf, child.pid, false), 0));
	let_go(&child);
	cr_assert(eq(u64, faults_until_exit(&rig, child.pid), 0));
	waitpid(child.pid, NULL, 0);
	child = start(touch_and_exit);
	cr_assert(eq(int, trace_bpf_want_faults(rig.bpf, true), 0));
	cr_assert(eq(int, trace_bpf_add_target(rig.bpf, child.pid, false), 0));
	let_go(&child);
	cr_assert(ge(u64, faults_until_exit(&rig, child.pid), TOUCH_PAGES));
	waitpid(child.pid, NULL, 0);
	trace_bpf_clear_faults(rig.bpf);
	cr_assert(eq(int, trace_bpf_read_counters(rig.bpf, MT_SRC_FAULT, &counters), 0));
	cr_assert(eq(u64, counters.hits + counters.produced, 0));
	rig_close(&rig);
}

Test(faults, period_follows_the_rate)
{
	cr_assert(eq(u32, trace_bpf_fault_period(0), TRACE_BPF_FAULT_PERIOD));
	cr_assert(eq(u32, trace_bpf_fault_period(TRACE_BPF_FAULT_SAMPLES * 64.0), 64));
	cr_assert(eq(u32, trace_bpf_fault_period(1e6), 5001));
	cr_assert(eq(u32, trace_bpf_fault_period(1e12), 1000000));
}

Test(faults, perf_stands_in)
{
	struct child child = start(touch_and_exit);
	uint64_t sum, total = 0;
	const char *faults;
	struct rig rig;

	rig_open(&rig, &(struct trace_bpf_options){.no_kernel = true}, 0);
	trace_bpf_attach_kernel(rig.bpf, true, &faults);
	cr_assert(eq(str, (char *)faults, "perf"));
	cr_assert(eq(int, trace_bpf_add_target(rig.bpf, child.pid, false), 0));
	let_go(&child);
	waitpid(child.pid, NULL, 0);
	sum = sum_samples(&rig, child.pid, &total);
	cr_assert(eq(int, trace_bpf_read_faults(rig.bpf, child.pid, &total), 0));
	cr_assert(eq(u64, sum, total));
	cr_assert(ge(u64, sum, TOUCH_PAGES * 3 / 4));
	cr_assert(le(u64, sum, TOUCH_PAGES * 5 / 4));
	rig_close(&rig);
}

/* ---- uprobes, on our own code ---- */

static struct attach_link *attach_own_code(
	struct rig *rig, void (*function)(void), const struct mt_attachment *row)
{
	struct runtime_probe probe = {.emulated = true, .attachment = *row};
	struct attach_link *link;
	enum attach_mode mode;
	char why[160];
	int fd;

	cr_assert(eq(int, attach_choose_mode(rig->bpf, &mode, why), 0));
	cr_assert(ne(int, mode, ATTACH_NONE), "%s", why);
	cr_assert(eq(int, trace_bpf_add_target(rig->bpf, getpid(), false), 0));
	cr_assert(eq(int, own_code_offset(function, &probe.file_offset), 0));
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	cr_assert(eq(int, attach_link_new(rig->bpf, mode, getpid(), fd, &probe, 1, &link), 0));
	close(fd);
	cr_assert(eq(int, attach_link_open(link), 0));
	return link;
}

static struct mt_counters read_link(struct rig *rig, const struct attach_link *link)
{
	struct mt_counters counters;

	cr_assert(
		eq(int, trace_bpf_read_counters(rig->bpf, attach_link_id(link, 0), &counters), 0));
	return counters;
}

Test(uprobe, sources_are_read_as_the_row_says)
{
	/* own_code_call() keeps the function in RBX and the calls left in R12. */
	struct mt_attachment row = {
		.kind = MT_CREATE,
		.addr = {MT_FROM_REG, MT_REG_BX, 0},
		.val = {{MT_FROM_REG, MT_REG_R12, 0}, {MT_FROM_MEM, MT_REG_BX, 0},
			{MT_FROM_NOTHING, 0, 0}, {MT_FROM_MEM, MT_REG_R12, 8},
			{MT_FROM_REG, MT_REG_R12, 24}, {MT_FROM_REG, MT_REG_R12, -1}},
	};
	const struct mt_record *record;
	struct attach_link *link;
	struct rig rig;

	rig_open(&rig, &(struct trace_bpf_options){.no_kernel = true}, 0);
	link = attach_own_code(&rig, own_code_push, &row);
	own_code_call(own_code_push, 2, 0);
	record = next(&rig);
	cr_assert(eq(int, record->kind, MT_CREATE));
	cr_assert(eq(int, record->attachment, (int)attach_link_id(link, 0)));
	cr_assert(eq(int, record->tgid, getpid()));
	cr_assert(eq(u64, record->addr, (uintptr_t)own_code_push));
	cr_assert(eq(u64, record->val[0], 2));
	/* push %rbp; mov %rsp,%rbp; pop %rbp; ret; whether or not the first byte is a breakpoint. */
	cr_assert(eq(u64, record->val[1] >> 8 & 0xffffffffff, 0xc35de58948));
	cr_assert(eq(u64, record->val[2], 0));
	cr_assert(eq(u64, record->val[4], 2 + 24));
	cr_assert(eq(u64, record->val[5], 1));
	cr_assert(eq(u64, record->val[3], 0));
	cr_assert(eq(int, record->flags, MT_UNREAD));
	record = next(&rig);
	cr_assert(eq(u64, record->val[0], 1));
	attach_link_free(link, rig.closer);
	rig_close(&rig);
}

/* At a first instruction that is no push the kernel's own stack lacks the direct caller. */
Test(uprobe, direct_caller_is_in_the_stack)
{
	static void (*const functions[])(void) = {own_code_push, own_code_mov};
	struct mt_attachment row = {.kind = MT_GROW, .flags = MT_ATTACH_STACK | MT_ATTACH_AT_ENTRY};

	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		const struct mt_record *record;
		struct attach_link *link;
		struct rig rig;

		rig_open(&rig, &(struct trace_bpf_options){.no_kernel = true}, 0);
		link = attach_own_code(&rig, functions[i], &row);
		own_code_call(functions[i], 1, 3);
		record = next(&rig);
		cr_assert(eq(int, record->flags, MT_HAS_STACK));
		cr_assert(ge(int, record->stack_bytes, 6 * 8));
		cr_expect(eq(u64, record->stack[0], (uintptr_t)functions[i]));
		for (int frame = 1; frame < 5; frame++) {
			cr_expect(gt(u64, record->stack[frame], (uintptr_t)own_code_call));
			cr_expect(lt(u64, record->stack[frame], (uintptr_t)own_code_call + 64));
		}
		/* One frame of the loop, three of the recursion, then us. */
		cr_expect(ne(u64, record->stack[1], record->stack[2]));
		cr_expect(eq(u64, record->stack[2], record->stack[4]));
		attach_link_free(link, rig.closer);
		rig_close(&rig);
	}
}

/* The registers at the probe, and memory from the stack pointer on: the return address comes first. */
Test(uprobe, stack_is_copied_where_no_frame_pointers_are_kept)
{
	struct mt_attachment row = {.kind = MT_GROW,
		.flags = MT_ATTACH_STACK,
		.addr = {MT_FROM_REG, MT_REG_SP, 0},
		.val = {{MT_FROM_REG, MT_REG_BP, 0}, {MT_FROM_REG, MT_REG_BX, 0},
			{MT_FROM_REG, MT_REG_R12, 0}, {MT_FROM_MEM, MT_REG_SP, 24}}};
	const struct mt_stack_copy *copy;
	const struct mt_record *record;
	struct attach_link *link;
	uint64_t words[4];
	size_t bytes;
	struct rig rig;

	rig_open(&rig, &(struct trace_bpf_options){.no_kernel = true}, 0);
	link = attach_own_code(&rig, own_code_push, &row);
	own_code_call(own_code_push, 1, 3);
	record = next(&rig);
	cr_assert(eq(int, record->flags, MT_HAS_COPY));
	copy = (const void *)record->stack;
	bytes = record->stack_bytes - sizeof(copy->regs);
	cr_expect(eq(u64, copy->regs[MT_COPY_IP], (uintptr_t)own_code_push));
	cr_expect(eq(u64, copy->regs[MT_COPY_SP], record->addr));
	cr_expect(eq(u64, copy->regs[MT_COPY_BP], record->val[0]));
	cr_expect(eq(u64, copy->regs[MT_COPY_BX], record->val[1]));
	cr_expect(eq(u64, copy->regs[MT_COPY_R12], record->val[2]));
	memcpy(words, copy->bytes, sizeof(words));
	cr_expect(gt(u64, words[0], (uintptr_t)own_code_call));
	cr_expect(lt(u64, words[0], (uintptr_t)own_code_call + 64));
	cr_expect(eq(u64, words[3], record->val[3]));
	/* All of it, or up to the page at which this stack ends. */
	cr_expect(bytes == MT_COPY_HIT_BYTES || (bytes && (record->addr + bytes) % 4096 == 0));
	attach_link_free(link, rig.closer);
	rig_close(&rig);
}

Test(uprobe, shut_gate_counts_and_is_silent)
{
	struct mt_attachment row = {.kind = MT_GROW};
	struct attach_link *link;
	struct mt_counters counters;
	struct rig rig;

	rig_open(&rig, &(struct trace_bpf_options){.no_kernel = true}, 0);
	link = attach_own_code(&rig, own_code_push, &row);
	own_code_call(own_code_push, 10, 0);
	trace_bpf_set_gate(rig.bpf, attach_link_index(link), false);
	own_code_call(own_code_push, 100, 0);
	counters = read_link(&rig, link);
	cr_assert(eq(u64, counters.hits, 110));
	cr_assert(eq(u64, counters.produced, 10));
	attach_link_close(link, rig.closer);
	closer_flush(rig.closer);
	own_code_call(own_code_push, 1000, 0);
	cr_assert(eq(u64, read_link(&rig, link).hits, 110));
	cr_assert(eq(int, attach_link_open(link), 0));
	own_code_call(own_code_push, 1, 0);
	cr_assert(eq(u64, read_link(&rig, link).produced, 11));
	attach_link_free(link, rig.closer);
	rig_close(&rig);
}

/* One grace period after the other would take the sum of what each took. */
Test(closer, links_are_closed_side_by_side)
{
	struct mt_attachment row = {.kind = MT_GROW};
	struct attach_link *links[12];
	struct closer_done done;
	uint64_t start_ns, took_ns, sum_ns = 0;
	size_t count = 0;
	struct rig rig;

	rig_open(&rig, &(struct trace_bpf_options){.no_kernel = true}, 0);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		links[i] = attach_own_code(&rig, own_code_push, &row);
	start_ns = clock_mono_ns();
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		attach_link_close(links[i], rig.closer);
	closer_flush(rig.closer);
	took_ns = clock_mono_ns() - start_ns;
	for (; closer_poll(rig.closer, &done); count++)
		sum_ns += done.duration_ns;
	cr_assert(eq(sz, count, ARRAY_SIZE(links)));
	/* Four at a time would give four. */
	cr_assert(gt(u64, sum_ns, took_ns * 6));
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		attach_link_free(links[i], rig.closer);
	rig_close(&rig);
}

/* own_code_call() keeps the calls left in R12: of ten calls one has the address that is asked for. */
Test(uprobe, hits_of_others_cost_no_credit)
{
	struct mt_attachment row = {.kind = MT_ACCESS,
		.flags = MT_ATTACH_STACK,
		.addr = {MT_FROM_REG, MT_REG_R12, 0},
		.only = 7};
	struct attach_link *link;
	struct mt_counters counters;
	uint32_t index;
	struct rig rig;

	rig_open(&rig, &(struct trace_bpf_options){.no_kernel = true}, 0);
	link = attach_own_code(&rig, own_code_push, &row);
	index = attach_link_index(link);
	trace_bpf_set_credit(rig.bpf, index, 3);
	own_code_call(own_code_push, 10, 0);
	own_code_call(own_code_push, 10, 0);
	counters = read_link(&rig, link);
	cr_assert(eq(u64, counters.hits, 20));
	cr_assert(eq(u64, counters.produced, 2));
	cr_assert(eq(i64, trace_bpf_read_credit(rig.bpf, index), 1));
	attach_link_free(link, rig.closer);
	rig_close(&rig);
}

/* Credit ends deliveries in the kernel; hits go on being counted. */
Test(uprobe, spent_credit_shuts_the_gate)
{
	struct mt_attachment row = {.kind = MT_GROW, .flags = MT_ATTACH_STACK};
	uint64_t begin_ns = clock_mono_ns(), shut_ns;
	struct attach_link *link;
	struct mt_counters counters;
	uint32_t index;
	struct rig rig;

	rig_open(&rig, &(struct trace_bpf_options){.no_kernel = true}, 0);
	link = attach_own_code(&rig, own_code_push, &row);
	index = attach_link_index(link);
	trace_bpf_set_credit(rig.bpf, index, 25);
	own_code_call(own_code_push, 20, 0);
	cr_assert(eq(i64, trace_bpf_read_credit(rig.bpf, index), 5));
	cr_assert(eq(u64, trace_bpf_read_shut_ns(rig.bpf, index), 0));
	own_code_call(own_code_push, 80, 0);
	counters = read_link(&rig, link);
	cr_assert(eq(u64, counters.hits, 100));
	cr_assert(eq(u64, counters.produced, 25));
	shut_ns = trace_bpf_read_shut_ns(rig.bpf, index);
	cr_assert(gt(u64, shut_ns, begin_ns));
	cr_assert(lt(u64, shut_ns, clock_mono_ns()));
	/* New credit alone opens nothing. */
	trace_bpf_set_credit(rig.bpf, index, 10);
	own_code_call(own_code_push, 5, 0);
	cr_assert(eq(u64, read_link(&rig, link).produced, 25));
	trace_bpf_set_gate(rig.bpf, index, true);
	own_code_call(own_code_push, 5, 0);
	cr_assert(eq(u64, read_link(&rig, link).produced, 30));
	cr_assert(eq(u64, trace_bpf_read_shut_ns(rig.bpf, index), 0));
	attach_link_free(link, rig.closer);
	rig_close(&rig);
}

/*
 * The gate is shut before anything is lost. late: the thread that empties the ring is started after all
 * calls, since it may well keep up with them; otherwise it is there, and its queue is what is full.
 */
static void expect_shut(struct rig *rig, uint32_t ring, uint32_t queue, bool late, uint8_t flags)
{
	struct trace_bpf_options options = {.no_kernel = true, .ring_bytes = ring};
	char error[256] = "";
	struct mt_attachment row = {.kind = MT_GROW, .flags = flags};
	struct attach_link *link;
	struct mt_counters counters;
	uint64_t taken = 0;
	bool left;

	cr_assert(eq(int, trace_bpf_load(&options, &rig->bpf, error), 0), "%s", error);
	cr_assert(eq(int, closer_start(&rig->closer), 0));
	if (!late)
		cr_assert(eq(int, drain_start(rig->bpf, queue, &rig->drain), 0));
	link = attach_own_code(rig, own_code_push, &row);
	for (int i = 0; i < 100; i++) {
		own_code_call(own_code_push, 30, 0);
		if (!late)
			drain_flush(rig->drain);
	}
	if (late)
		cr_assert(eq(int, drain_start(rig->bpf, queue, &rig->drain), 0));
	cr_assert(gt(u64, trace_bpf_read_shut_ns(rig->bpf, attach_link_index(link)), 0));
	do {
		left = drain_flush(rig->drain);
		while (drain_next(rig->drain))
			taken++;
	} while (left);
	counters = read_link(rig, link);
	cr_assert(eq(u64, counters.hits, 3000));
	cr_assert(lt(u64, counters.produced, 3000));
	cr_assert(eq(u64, taken, counters.produced));
	cr_assert(eq(u64, counters.lost, 0));
	cr_assert(eq(u64, drain_read_counts(rig->drain, attach_link_id(link, 0)).lost, 0));
	attach_link_free(link, rig->closer);
	rig_close(rig);
}

Test(uprobe, full_ring_shuts_the_gate)
{
	struct rig rig;

	expect_shut(&rig, 4096, 1 << 20, true, 0);
}

/* The queue passes on that it is full: the ring is no longer emptied. */
Test(uprobe, full_queue_shuts_the_gate)
{
	struct rig rig;

	expect_shut(&rig, 4096, 64 << 10, false, 0);
}

/* The same with records that are much longer: what has no room is left in the ring, not lost. */
Test(uprobe, full_queue_of_stacks_shuts_the_gate)
{
	struct rig rig;

	expect_shut(&rig, 64 << 10, 256 << 10, false, MT_ATTACH_STACK | MT_ATTACH_STACK_COPY);
}

/* Who opens the gate of a full ring again and again loses records, and they are counted. */
Test(loss, full_ring_is_counted)
{
	struct mt_attachment row = {.kind = MT_GROW};
	struct attach_link *link;
	struct mt_counters counters;
	struct drain_counts counts;
	uint64_t taken = 0;
	struct rig rig;

	rig_open(&rig, &(struct trace_bpf_options){.no_kernel = true, .ring_bytes = 4096}, 0);
	link = attach_own_code(&rig, own_code_push, &row);
	for (int i = 0; i < 3000; i++) {
		trace_bpf_set_gate(rig.bpf, attach_link_index(link), true);
		own_code_call(own_code_push, 1, 0);
	}
	drain_flush(rig.drain);
	while (drain_next(rig.drain))
		taken++;
	counters = read_link(&rig, link);
	counts = drain_read_counts(rig.drain, attach_link_id(link, 0));
	cr_assert(eq(u64, counters.produced, 3000));
	cr_assert(eq(u64, taken, counts.delivered));
	cr_assert(eq(u64, counters.produced, taken + counts.lost + counters.lost));
	cr_assert(gt(u64, counts.lost + counters.lost, 0));
	attach_link_free(link, rig.closer);
	rig_close(&rig);
}

Test(calibrate, a_placed_hit_is_cheaper_and_a_stack_dearer)
{
	struct calibrate_prices prices;
	struct trace_bpf_options options = {.no_kernel = true};
	struct trace_bpf *bpf;
	enum attach_mode mode;
	char text[256];

	cr_assert(eq(int, trace_bpf_load(&options, &bpf, text), 0), "%s", text);
	cr_assert(eq(int, attach_choose_mode(bpf, &mode, text), 0));
	cr_assert(eq(int, calibrate_run(bpf, mode, &prices), 0));
	cr_assert(gt(u64, prices.emulated.count_ns, 50));
	cr_assert(gt(u64, prices.emulated.stack_ns, prices.emulated.count_ns));
	cr_assert(gt(u64, prices.stepped.count_ns, prices.emulated.count_ns));
	cr_assert(gt(u64, prices.grace_ns, 0));
	trace_bpf_close(bpf);
}

static void *touch_pages(void *arg)
{
	const atomic_bool *stop = arg;
	size_t bytes = 64 * 4096;
	char *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	while (!atomic_load(stop)) {
		for (size_t at = 0; at < bytes; at += 4096)
			*(volatile char *)(memory + at) = 1;
		madvise(memory, bytes, MADV_DONTNEED);
	}
	munmap(memory, bytes);
	return NULL;
}

/* What came between its last batch and the end of its tracing, from any thread. */
Test(calibrate, leaves_no_fault_in_the_ring)
{
	struct trace_bpf_options options = {0};
	struct calibrate_prices prices;
	atomic_bool stop = false;
	struct trace_bpf *bpf;
	struct drain *drain;
	enum attach_mode mode;
	pthread_t thread;
	char text[256];

	cr_assert(eq(int, trace_bpf_load(&options, &bpf, text), 0), "%s", text);
	cr_assert(eq(int, attach_choose_mode(bpf, &mode, text), 0));
	cr_assert(eq(int, pthread_create(&thread, NULL, touch_pages, &stop), 0));
	cr_assert(eq(int, calibrate_run(bpf, mode, &prices), 0));
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	cr_assert(eq(int, drain_start(bpf, 0, &drain), 0));
	drain_flush(drain);
	while (drain_next(drain))
		;
	cr_assert(eq(u64, drain_read_counts(drain, MT_SRC_FAULT).delivered, 0));
	drain_stop(drain);
	trace_bpf_close(bpf);
}

static const char code[] = {0x55, 0x48, 0x5d};

Test(attach, changed_code_is_not_probed)
{
	struct runtime_probe probe = {.code = {0x55, 0x48, 0x5d}, .code_bytes = 3};
	char other[] = {0x55, 0x48, 0x5e}, shared[] = {(char)0xcc, 0x48, 0x5d};
	char inside[] = {0x55, (char)0xcc, 0x5d};

	cr_assert(eq(int, attach_verify(&probe, code, 3), 0));
	cr_assert(eq(int, attach_verify(&probe, other, 3), -ESTALE));
	cr_assert(eq(int, attach_verify(&probe, shared, 3), 0), "another tracer's uprobe");
	cr_assert(eq(int, attach_verify(&probe, inside, 3), 0), "another place of it");
	cr_assert(eq(int, attach_verify(&probe, code, 2), -ENODATA));
}
