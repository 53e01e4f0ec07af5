/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loading and switching the BPF object through its skeleton. libbpf's own messages are silent: what
 * a user needs is one sentence, made here from what the kernel answered.
 */
#include "trace/bpf.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "base/mem.h"
#include "memtrace.skel.h"
#include "trace/capability.h"

/* BPF_TRACE_UPROBE_MULTI: Linux 6.6, younger than the headers this is built with. */
#define ATTACH_UPROBE_MULTI 48

#define FAULT_PERIOD_MAX 1000000
#define LOG_BYTES        (256 << 10)

/* Which of count numbers are taken; next is where the search begins. */
struct numbers {
	bool taken[MT_MAX_ATTACHMENTS];
	uint32_t count, next;
};

struct trace_bpf {
	struct memtrace_bpf *skel;
	struct bpf_link *exec, *exit, *fork, *fault, *call;
	struct bpf_link **cpu_faults; /* perf fallback: one a CPU */
	int cpus;
	int faults_wanted, calls_wanted;
	bool has_kernel;
	uint64_t adapted_ns, adapted_hits; /* when the fault period was last adapted */
	struct numbers attachments, links;
};

static int numbers_take(struct numbers *numbers)
{
	for (uint32_t i = 0; i < numbers->count; i++) {
		uint32_t number = (numbers->next + i) % numbers->count;

		if (numbers->taken[number])
			continue;
		numbers->taken[number] = true;
		numbers->next = number + 1;
		return number;
	}
	return -ENOSPC;
}

static void numbers_give(struct numbers *numbers, uint32_t number)
{
	if (number < numbers->count)
		numbers->taken[number] = false;
}

static int print_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

/* Needed only before 5.11, where maps counted against it; later kernels let the failure pass. */
static void raise_memlock(void)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
}

/* What the verifier objected to: the last line of its log that is no statistics. Cuts the log up. */
static const char *verifier_reason(char *log)
{
	const char *reason = NULL;
	char *rest;

	for (char *line = strtok_r(log, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (strncmp(line, "processed ", 10))
			reason = line;
	return reason;
}

static void explain(int err, char *log, char error[256])
{
	const char *reason = verifier_reason(log);
	char missing[96];

	capability_missing(missing, sizeof(missing));
	if (missing[0])
		snprintf(error, 256, "loading BPF programs needs %s: run as root or grant it",
			missing);
	else if (!capability_has_btf())
		snprintf(error, 256,
			"this kernel does not describe itself: /sys/kernel/btf/vmlinux "
			"is missing (CONFIG_DEBUG_INFO_BTF)");
	else if (err == -EPERM)
		snprintf(error, 256,
			"the kernel refused to load BPF programs (lockdown, a security "
			"module or a container's seccomp filter)");
	else
		snprintf(error, 256, "the kernel refused the BPF programs: %s%s%.160s",
			strerror(-err), reason ? ": " : "", reason ? reason : "");
}

struct load_choice {
	bool multi, kernel;
};

static void choose_programs(struct memtrace_bpf *skel, const struct load_choice *choice)
{
	bpf_program__set_autoload(skel->progs.mt_uprobe_multi, choice->multi);
	bpf_program__set_expected_attach_type(skel->progs.mt_uprobe_multi, ATTACH_UPROBE_MULTI);
	bpf_program__set_autoload(skel->progs.mt_fault, choice->kernel);
	bpf_program__set_autoload(skel->progs.mt_exec, choice->kernel);
	bpf_program__set_autoload(skel->progs.mt_exit, choice->kernel);
	bpf_program__set_autoload(skel->progs.mt_fork, choice->kernel);
	bpf_program__set_autoload(skel->progs.mt_call, choice->kernel);
}

static int load_once(const struct trace_bpf_options *options, const struct load_choice *choice,
	char *log, struct memtrace_bpf **ret)
{
	LIBBPF_OPTS(bpf_object_open_opts, open_options, .kernel_log_buf = log,
		.kernel_log_size = LOG_BYTES);
	struct memtrace_bpf *skel = memtrace_bpf__open_opts(&open_options);
	int err;

	if (!skel)
		return -errno;
	choose_programs(skel, choice);
	err = options->blocks ? bpf_map__set_max_entries(skel->maps.blocks, options->blocks) : 0;
	if (err)
		goto out;
	if (options->ring_bytes) {
		skel->rodata->ring_bytes = options->ring_bytes;
		err = bpf_map__set_max_entries(skel->maps.ring, options->ring_bytes);
		if (err)
			goto out;
	}
	err = memtrace_bpf__load(skel);
	if (!err)
		*ret = skel;
out:
	if (err)
		memtrace_bpf__destroy(skel);
	return err;
}

/* From the most to the least: a kernel may refuse the type of uprobe_multi, or tp_btf. */
static int load_any(const struct trace_bpf_options *options, struct trace_bpf *bpf, char *log)
{
	static const struct load_choice choices[] = {
		{true, true}, {false, true}, {true, false}, {false, false}};
	int err = -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
		if (options->no_kernel && choices[i].kernel)
			continue;
		err = load_once(options, &choices[i], log, &bpf->skel);
		bpf->has_kernel = choices[i].kernel;
		if (!err || err == -EPERM || err == -EACCES || err == -ENOMEM)
			break;
	}
	return err;
}

static int identify_self(struct trace_bpf *bpf)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);

	return bpf_prog_test_run_opts(bpf_program__fd(bpf->skel->progs.identify_self), &run);
}

static int attach(struct bpf_program *program, struct bpf_link **ret)
{
	struct bpf_link *link = bpf_program__attach(program);

	if (!link)
		return -errno;
	*ret = link;
	return 0;
}

static int attach_cpu_fault(struct trace_bpf *bpf, int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_PAGE_FAULTS,
		.size = sizeof(attr),
		.sample_period = TRACE_BPF_FAULT_PERIOD,
		.exclude_kernel = 1,
	};
	int fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return errno == ENODEV ? 0 : -errno; /* a CPU that is offline */
	bpf->cpu_faults[cpu] = bpf_program__attach_perf_event(bpf->skel->progs.mt_fault_perf, fd);
	if (bpf->cpu_faults[cpu])
		return 0;
	close(fd);
	return -errno;
}

static void detach_cpu_faults(struct trace_bpf *bpf)
{
	for (int cpu = 0; bpf->cpu_faults && cpu < bpf->cpus; cpu++)
		bpf_link__destroy(bpf->cpu_faults[cpu]);
	free(bpf->cpu_faults);
	bpf->cpu_faults = NULL;
}

static int attach_cpu_faults(struct trace_bpf *bpf)
{
	int err = 0;

	bpf->cpu_faults = xcalloc(bpf->cpus, sizeof(*bpf->cpu_faults));
	/* Every overflow already stands for a period of faults. */
	bpf->skel->data->fault_period = 1;
	for (int cpu = 0; !err && cpu < bpf->cpus; cpu++)
		err = attach_cpu_fault(bpf, cpu);
	if (err)
		detach_cpu_faults(bpf);
	return err;
}

static const char *attach_faults(struct trace_bpf *bpf)
{
	if (bpf->has_kernel && !attach(bpf->skel->progs.mt_fault, &bpf->fault))
		return "tp_btf";
	return attach_cpu_faults(bpf) ? "none" : "perf";
}

int trace_bpf_load(const struct trace_bpf_options *options, struct trace_bpf **ret, char error[256])
{
	struct trace_bpf *bpf = xcalloc(1, sizeof(*bpf));
	char *log = xcalloc(1, LOG_BYTES);
	int err;

	libbpf_set_print(print_nothing);
	raise_memlock();
	bpf->attachments.count = MT_MAX_ATTACHMENTS;
	bpf->links.count = TRACE_BPF_OWN_LINK;
	bpf->cpus = libbpf_num_possible_cpus();
	err = bpf->cpus < 0 ? bpf->cpus : load_any(options, bpf, log);
	if (!err) {
		trace_bpf_set_credit(bpf, TRACE_BPF_OWN_LINK, MT_CREDIT_UNLIMITED);
		err = identify_self(bpf);
	}
	if (err) {
		explain(err, log, error);
		trace_bpf_close(bpf);
	} else {
		*ret = bpf;
	}
	free(log);
	/* The kernel's BTF has been read and is not needed again: megabytes, most of them in pieces. */
	malloc_trim(0);
	return err;
}

void trace_bpf_close(struct trace_bpf *bpf)
{
	if (!bpf)
		return;
	trace_bpf_detach_kernel(bpf);
	memtrace_bpf__destroy(bpf->skel);
	free(bpf);
}

int trace_bpf_attach_kernel(struct trace_bpf *bpf, bool faults, const char **ret_fault_mode)
{
	int err;

	*ret_fault_mode = faults ? attach_faults(bpf) : "none";
	if (!bpf->has_kernel)
		return -EOPNOTSUPP;
	err = attach(bpf->skel->progs.mt_exec, &bpf->exec);
	if (!err)
		err = attach(bpf->skel->progs.mt_exit, &bpf->exit);
	if (!err)
		err = attach(bpf->skel->progs.mt_fork, &bpf->fork);
	return err;
}

static void detach_faults(struct trace_bpf *bpf)
{
	bpf_link__destroy(bpf->fault);
	bpf->fault = NULL;
	detach_cpu_faults(bpf);
}

int trace_bpf_want_faults(struct trace_bpf *bpf, bool wanted)
{
	bool attached = bpf->fault || bpf->cpu_faults;

	bpf->faults_wanted += wanted ? 1 : -1;
	if (!bpf->faults_wanted)
		detach_faults(bpf);
	if (!bpf->faults_wanted || attached)
		return 0;
	/* What RSS gained while nobody looked belongs to no fault that comes now. */
	bpf->skel->bss->fault_rss.last = 0;
	return strcmp(attach_faults(bpf), "none") ? 0 : -EOPNOTSUPP;
}

int trace_bpf_want_calls(struct trace_bpf *bpf, bool wanted)
{
	bpf->calls_wanted += wanted ? 1 : -1;
	if (!bpf->calls_wanted) {
		bpf_link__destroy(bpf->call);
		bpf->call = NULL;
	}
	if (!bpf->calls_wanted || bpf->call)
		return 0;
	return bpf->has_kernel ? attach(bpf->skel->progs.mt_call, &bpf->call) : -EOPNOTSUPP;
}

void trace_bpf_read_calls(struct trace_bpf *bpf, uint64_t *ret_own, uint64_t *ret_others)
{
	*ret_own = *ret_others = 0;
	for (int cpu = 0; cpu < MIN(bpf->cpus, MT_FAULT_CPUS); cpu++) {
		*ret_own += bpf->skel->bss->call_slots[cpu].own;
		*ret_others += bpf->skel->bss->call_slots[cpu].others;
	}
}

void trace_bpf_detach_kernel(struct trace_bpf *bpf)
{
	struct bpf_link **links[] = {&bpf->exec, &bpf->exit, &bpf->fork, &bpf->call};

	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		bpf_link__destroy(*links[i]);
		*links[i] = NULL;
	}
	detach_faults(bpf);
}

/* Each CPU has its slot: of those beyond the table, and of other targets, the map's entry counts. */
static uint64_t sum_slots(const struct trace_bpf *bpf)
{
	uint64_t sum = 0;

	for (int cpu = 0; cpu < MIN(bpf->cpus, MT_FAULT_CPUS); cpu++)
		sum += bpf->skel->bss->fault_slots[cpu].faults;
	return sum;
}

/* The first one gets the short way, while nobody has it. */
static void shorten_way(struct trace_bpf *bpf, int pid)
{
	struct memtrace_bpf__bss *bss = bpf->skel->bss;

	if (bss->fault_tgid && bss->fault_tgid != (__u32)pid) {
		bss->fault_others = 1;
		return;
	}
	bss->fault_base = sum_slots(bpf);
	for (int cpu = 0; cpu < MIN(bpf->cpus, MT_FAULT_CPUS); cpu++) {
		struct mt_fault_slot *slot = &bss->fault_slots[cpu];

		slot->sampled = slot->faults;
		slot->threshold = slot->faults + TRACE_BPF_FAULT_PERIOD;
	}
	bss->fault_rss = (struct mt_rss){0};
	bss->fault_tgid = pid;
}

int trace_bpf_add_target(struct trace_bpf *bpf, int pid, bool follow)
{
	struct mt_target target = {.threshold = TRACE_BPF_FAULT_PERIOD, .follow = follow};
	__u32 key = pid;
	int err = bpf_map__update_elem(
		bpf->skel->maps.targets, &key, sizeof(key), &target, sizeof(target), BPF_ANY);

	if (!err)
		shorten_way(bpf, pid);
	return err;
}

/* What it has counted since it was added, a moment ago, may be lost. */
int trace_bpf_copy_stacks(struct trace_bpf *bpf, int pid)
{
	struct bpf_map *targets = bpf->skel->maps.targets;
	struct mt_target target;
	__u32 key = pid;
	int err = bpf_map__lookup_elem(targets, &key, sizeof(key), &target, sizeof(target), 0);

	if (err)
		return err;
	target.copy = 1;
	return bpf_map__update_elem(targets, &key, sizeof(key), &target, sizeof(target), BPF_EXIST);
}

int trace_bpf_remove_target(struct trace_bpf *bpf, int pid)
{
	__u32 key = pid;

	if (bpf->skel->bss->fault_tgid == key)
		bpf->skel->bss->fault_tgid = 0;
	return bpf_map__delete_elem(bpf->skel->maps.targets, &key, sizeof(key), 0);
}

void trace_bpf_want_all_execs(struct trace_bpf *bpf)
{
	bpf->skel->bss->all_execs = 1;
}

int trace_bpf_read_faults(struct trace_bpf *bpf, int pid, uint64_t *ret)
{
	struct mt_target target;
	__u32 key = pid;
	int err = bpf_map__lookup_elem(
		bpf->skel->maps.targets, &key, sizeof(key), &target, sizeof(target), 0);

	if (err)
		return err;
	*ret = target.faults;
	if (bpf->skel->bss->fault_tgid == key)
		*ret += sum_slots(bpf) - bpf->skel->bss->fault_base;
	return 0;
}

void trace_bpf_filter_uprobes(struct trace_bpf *bpf, bool on)
{
	bpf->skel->bss->filter_uprobes = on;
}

void trace_bpf_set_fault_period(struct trace_bpf *bpf, uint32_t faults)
{
	struct memtrace_bpf__bss *bss = bpf->skel->bss;

	if (bpf->cpu_faults)
		return;
	bpf->skel->data->fault_period = MAX(faults, 1u);
	/* A threshold of a longer period would outlast it. */
	for (int cpu = 0; cpu < MIN(bpf->cpus, MT_FAULT_CPUS); cpu++)
		bss->fault_slots[cpu].threshold =
			MIN(bss->fault_slots[cpu].threshold, bss->fault_slots[cpu].faults + faults);
}

uint32_t trace_bpf_fault_period(double faults_per_s)
{
	double period = faults_per_s / TRACE_BPF_FAULT_SAMPLES;

	if (!(period > TRACE_BPF_FAULT_PERIOD))
		return TRACE_BPF_FAULT_PERIOD;
	return period < FAULT_PERIOD_MAX ? (uint32_t)period + 1 : FAULT_PERIOD_MAX;
}

void trace_bpf_adapt_fault_period(struct trace_bpf *bpf, uint64_t now_ns)
{
	struct mt_counters counters;
	uint64_t dt = now_ns - bpf->adapted_ns;

	if (dt < NSEC_PER_SEC || trace_bpf_read_counters(bpf, MT_SRC_FAULT, &counters))
		return;
	if (bpf->adapted_ns)
		trace_bpf_set_fault_period(bpf,
			trace_bpf_fault_period(
				(double)(counters.hits - bpf->adapted_hits) / dt * NSEC_PER_SEC));
	bpf->adapted_ns = now_ns;
	bpf->adapted_hits = counters.hits;
}

static int clear_counters(struct trace_bpf *bpf, uint32_t source)
{
	struct mt_counters *zero = xcalloc(bpf->cpus, sizeof(*zero));
	int err = bpf_map__update_elem(bpf->skel->maps.counters, &source, sizeof(source), zero,
		bpf->cpus * sizeof(*zero), BPF_ANY);

	free(zero);
	return err;
}

void trace_bpf_clear_faults(struct trace_bpf *bpf)
{
	struct memtrace_bpf__bss *bss = bpf->skel->bss;

	clear_counters(bpf, MT_SRC_FAULT);
	memset(bss->fault_slots, 0, MIN(bpf->cpus, MT_FAULT_CPUS) * sizeof(bss->fault_slots[0]));
}

int trace_bpf_take_attachment(struct trace_bpf *bpf)
{
	int id = numbers_take(&bpf->attachments), err;

	if (id < 0)
		return id;
	err = clear_counters(bpf, id);
	if (!err)
		return id;
	numbers_give(&bpf->attachments, id);
	return err;
}

void trace_bpf_give_attachment(struct trace_bpf *bpf, uint32_t id)
{
	numbers_give(&bpf->attachments, id);
}

int trace_bpf_take_link(struct trace_bpf *bpf)
{
	int link = numbers_take(&bpf->links);

	if (link >= 0) {
		trace_bpf_set_gate(bpf, link, false);
		trace_bpf_set_credit(bpf, link, MT_CREDIT_UNLIMITED);
	}
	return link;
}

void trace_bpf_give_link(struct trace_bpf *bpf, uint32_t link)
{
	numbers_give(&bpf->links, link);
}

int trace_bpf_set_attachment(
	struct trace_bpf *bpf, uint32_t id, const struct mt_attachment *attachment)
{
	if (id >= MT_SRC_MAX)
		return -EINVAL;
	return bpf_map__update_elem(bpf->skel->maps.attachments, &id, sizeof(id), attachment,
		sizeof(*attachment), BPF_ANY);
}

void trace_bpf_set_gate(struct trace_bpf *bpf, uint32_t link, bool open)
{
	struct mt_gate *gate = &bpf->skel->bss->gates[link];

	if (link >= MT_MAX_LINKS)
		return;
	__atomic_store_n(&gate->shut_ns, 0, __ATOMIC_RELEASE);
	if (open)
		__atomic_store_n(&gate->opened, gate->opened + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&gate->open, open, __ATOMIC_RELEASE);
}

void trace_bpf_set_rate(struct trace_bpf *bpf, uint32_t link, uint64_t bytes)
{
	if (link < MT_MAX_LINKS)
		__atomic_store_n(&bpf->skel->bss->gates[link].rate, bytes, __ATOMIC_RELAXED);
}

uint64_t trace_bpf_read_missed_calls(const struct trace_bpf *bpf)
{
	return __atomic_load_n(&bpf->skel->bss->block_missed, __ATOMIC_RELAXED);
}

/* An element that is deleted under the cursor sends it back to the first. */
void trace_bpf_forget_blocks(struct trace_bpf *bpf, uint32_t link)
{
	int map = bpf_map__fd(bpf->skel->maps.blocks);
	struct mt_block_key key, next;
	bool more = !bpf_map_get_next_key(map, NULL, &next);

	while (more) {
		key = next;
		more = !bpf_map_get_next_key(map, &key, &next);
		if (key.link == link)
			bpf_map_delete_elem(map, &key);
	}
}

void trace_bpf_set_credit(struct trace_bpf *bpf, uint32_t link, int64_t records)
{
	if (link < MT_MAX_LINKS)
		__atomic_store_n(&bpf->skel->bss->gates[link].credit, records, __ATOMIC_RELAXED);
}

int64_t trace_bpf_read_credit(const struct trace_bpf *bpf, uint32_t link)
{
	if (link >= MT_MAX_LINKS)
		return 0;
	return __atomic_load_n(&bpf->skel->bss->gates[link].credit, __ATOMIC_RELAXED);
}

uint64_t trace_bpf_read_shut_ns(const struct trace_bpf *bpf, uint32_t link)
{
	if (link >= MT_MAX_LINKS)
		return 0;
	return __atomic_load_n(&bpf->skel->bss->gates[link].shut_ns, __ATOMIC_ACQUIRE);
}

int trace_bpf_read_counters(struct trace_bpf *bpf, uint32_t source, struct mt_counters *ret)
{
	size_t bytes = bpf->cpus * sizeof(*ret);
	struct mt_counters *per_cpu = xcalloc(bpf->cpus, sizeof(*ret)), sum = {0};
	int err = bpf_map__lookup_elem(
		bpf->skel->maps.counters, &source, sizeof(source), per_cpu, bytes, 0);

	for (int cpu = 0; !err && cpu < bpf->cpus; cpu++) {
		sum.hits += per_cpu[cpu].hits;
		sum.produced += per_cpu[cpu].produced;
		sum.lost += per_cpu[cpu].lost;
	}
	free(per_cpu);
	if (source == MT_SRC_FAULT)
		sum.hits += sum_slots(bpf);
	if (!err)
		*ret = sum;
	return err;
}

uint64_t trace_bpf_read_misses(struct trace_bpf *bpf)
{
	struct bpf_program *program;
	uint64_t misses = 0;

	bpf_object__for_each_program(program, bpf->skel->obj)
	{
		struct bpf_prog_info info = {0};
		__u32 bytes = sizeof(info);
		int fd = bpf_program__fd(program);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &bytes))
			misses += info.recursion_misses;
	}
	return misses;
}

int trace_bpf_ring_fd(const struct trace_bpf *bpf)
{
	return bpf_map__fd(bpf->skel->maps.ring);
}

int trace_bpf_control_fd(const struct trace_bpf *bpf)
{
	return bpf_map__fd(bpf->skel->maps.control_ring);
}

static int program_fd(const struct bpf_program *program)
{
	int fd = bpf_program__fd(program);

	return fd < 0 ? -1 : fd;
}

int trace_bpf_multi_fd(const struct trace_bpf *bpf)
{
	return program_fd(bpf->skel->progs.mt_uprobe_multi);
}

int trace_bpf_perf_fd(const struct trace_bpf *bpf)
{
	return program_fd(bpf->skel->progs.mt_uprobe_perf);
}
