/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files and capability bits are read, everything else is done once for real: load, attach to our own
 * code from a second thread, measure, detach.
 */
#include "trace/capability.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "trace/attach.h"
#include "trace/bpf.h"
#include "trace/calibrate.h"

#define BTF_PATH "/sys/kernel/btf/vmlinux"

struct named_capability {
	const char *name, *without;
	int number;
	bool needed; /* nothing can be traced without it */
};

/* CAP_SYS_ADMIN stands for all but CAP_SYS_PTRACE. */
static const struct named_capability wanted[] = {
	{"CAP_BPF", "no BPF program can be loaded", CAP_BPF, true},
	{"CAP_PERFMON", "no BPF program can be loaded", CAP_PERFMON, true},
	{"CAP_SYS_PTRACE", "processes of other users cannot be read", CAP_SYS_PTRACE, false},
	{"CAP_DAC_READ_SEARCH", "files of other users cannot be read", CAP_DAC_READ_SEARCH, false},
	{"CAP_CHECKPOINT_RESTORE", "deleted libraries cannot be opened", CAP_CHECKPOINT_RESTORE,
		false},
};

struct check_list {
	struct capability_check *checks;
	size_t count;
};

static struct capability_check *add(
	struct check_list *list, const char *name, enum capability_verdict verdict)
{
	struct capability_check *check = &list->checks[list->count++];

	*check = (struct capability_check){.name = name, .verdict = verdict};
	return check;
}

static uint64_t effective_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &header, data))
		return 0;
	return (uint64_t)data[1].effective << 32 | data[0].effective;
}

static bool has(uint64_t caps, const struct named_capability *capability)
{
	if (caps >> capability->number & 1)
		return true;
	return capability->number != CAP_SYS_PTRACE && caps >> CAP_SYS_ADMIN & 1;
}

static void check_kernel(struct check_list *list)
{
	struct capability_check *check = add(list, "kernel", CAPABILITY_OK);
	struct utsname name;

	if (!uname(&name))
		snprintf(check->detail, sizeof(check->detail), "%s %s, libbpf %s", name.sysname,
			name.release, libbpf_version_string());
}

/* What perf_event_open(2) allows without CAP_PERFMON; Debian has a level 3: nothing. */
static void check_paranoid(struct check_list *list)
{
	struct capability_check *check = add(list, "perf_event_paranoid", CAPABILITY_OK);
	FILE *file = fopen("/proc/sys/kernel/perf_event_paranoid", "re");
	int level;

	if (!file || fscanf(file, "%d", &level) != 1)
		snprintf(check->detail, sizeof(check->detail), "unknown");
	else
		snprintf(check->detail, sizeof(check->detail),
			"%d; does not matter with CAP_PERFMON", level);
	if (file)
		fclose(file);
}

/* Only said where the user may count on it. */
static void check_debuginfod(struct check_list *list)
{
	const char *urls = getenv("DEBUGINFOD_URLS");
	struct capability_check *check;

	if (!urls || !urls[0])
		return;
	check = add(list, "debuginfod", CAPABILITY_LESS);
	text_copy(check->detail, sizeof(check->detail),
		"not asked, though DEBUGINFOD_URLS is set: install debug packages instead");
}

static void check_btf(struct check_list *list)
{
	bool there = capability_has_btf();
	struct capability_check *check =
		add(list, "BTF", there ? CAPABILITY_OK : CAPABILITY_MISSING);

	snprintf(check->detail, sizeof(check->detail), "%s%s", BTF_PATH,
		there ? "" : " is missing: the kernel needs CONFIG_DEBUG_INFO_BTF");
}

static void check_capabilities(struct check_list *list)
{
	uint64_t caps = effective_capabilities();

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		bool there = has(caps, &wanted[i]);
		struct capability_check *check = add(list, wanted[i].name,
			there              ? CAPABILITY_OK
			: wanted[i].needed ? CAPABILITY_MISSING
					   : CAPABILITY_LESS);

		snprintf(
			check->detail, sizeof(check->detail), "%s", there ? "" : wanted[i].without);
	}
}

static bool check_uprobes(struct check_list *list, struct trace_bpf *bpf, enum attach_mode *ret)
{
	struct capability_check *check = add(list, "uprobes", CAPABILITY_OK);
	char why[160] = "";
	int err = attach_choose_mode(bpf, ret, why);

	if (err)
		snprintf(why, sizeof(why), "self-test: %s", strerror(-err));
	if (err || *ret == ATTACH_NONE)
		check->verdict = CAPABILITY_MISSING;
	else if (*ret != ATTACH_MULTI)
		check->verdict = CAPABILITY_LESS;
	snprintf(check->detail, sizeof(check->detail), "%s%s%s", err ? "" : attach_mode_name(*ret),
		why[0] && !err ? ": " : "", why);
	return check->verdict != CAPABILITY_MISSING;
}

static void check_faults(struct check_list *list, struct trace_bpf *bpf)
{
	struct capability_check *check = add(list, "kernel events", CAPABILITY_OK);
	const char *mode;
	int err = trace_bpf_attach_kernel(bpf, true, &mode);

	trace_bpf_detach_kernel(bpf);
	if (err || strcmp(mode, "tp_btf"))
		check->verdict = CAPABILITY_LESS;
	snprintf(check->detail, sizeof(check->detail), "exec, exit, fork: %s; page faults: %s",
		err ? strerror(-err) : "tp_btf", mode);
}

static void print_price(char *buf, size_t bytes, const struct calibrate_price *price)
{
	snprintf(buf, bytes, "%.2f/%.2f/%.2f us", price->count_ns / 1e3, price->record_ns / 1e3,
		price->stack_ns / 1e3);
}

static void check_prices(struct check_list *list, struct trace_bpf *bpf, enum attach_mode mode)
{
	struct capability_check *check = add(list, "cost per hit", CAPABILITY_OK);
	struct calibrate_prices prices;
	char emulated[48], stepped[48];
	int err = calibrate_run(bpf, mode, &prices);

	if (err) {
		check->verdict = CAPABILITY_LESS;
		snprintf(check->detail, sizeof(check->detail), "not measured: %s", strerror(-err));
		return;
	}
	print_price(emulated, sizeof(emulated), &prices.emulated);
	print_price(stepped, sizeof(stepped), &prices.stepped);
	snprintf(check->detail, sizeof(check->detail),
		"count/record/stack %s placed, %s single-stepped; a page fault %lu ns; detach "
		"%.0f ms",
		emulated, stepped, (unsigned long)prices.fault.count_ns, prices.grace_ns / 1e6);
}

void capability_missing(char *buf, size_t bytes)
{
	uint64_t caps = effective_capabilities();
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(wanted) && used < bytes; i++)
		if (wanted[i].needed && !has(caps, &wanted[i]))
			used += snprintf(buf + used, bytes - used, "%s%s", used ? " and " : "",
				wanted[i].name);
}

bool capability_has_btf(void)
{
	return !access(BTF_PATH, R_OK);
}

size_t capability_check_all(struct capability_check checks[CAPABILITY_MAX_CHECKS])
{
	struct check_list list = {.checks = checks};
	struct trace_bpf_options options = {0};
	struct capability_check *loading;
	struct trace_bpf *bpf;
	enum attach_mode mode;
	char error[256];
	int err;

	check_kernel(&list);
	check_btf(&list);
	check_capabilities(&list);
	check_paranoid(&list);
	check_debuginfod(&list);
	err = trace_bpf_load(&options, &bpf, error);
	loading = add(&list, "BPF programs", err ? CAPABILITY_MISSING : CAPABILITY_OK);
	snprintf(loading->detail, sizeof(loading->detail), "%.190s", err ? error : "loaded");
	if (err)
		return list.count;
	if (check_uprobes(&list, bpf, &mode))
		check_prices(&list, bpf, mode);
	check_faults(&list, bpf);
	trace_bpf_close(bpf);
	return list.count;
}
