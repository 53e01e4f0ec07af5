/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files are named to the kernel as /proc/self/fd/N: the inode that was read and checked, whatever
 * has happened to its path since. Order when opening: attach, then the gate, so all probes of a link
 * begin to deliver together; when closing: the gate, then the traps.
 */
#include "trace/attach.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/mem.h"
#include "trace/attach_multi.h"
#include "trace/bpf.h"
#include "trace/closer.h"
#include "trace/own_code.h"

#define UPROBE_PMU "/sys/bus/event_source/devices/uprobe/type"

/* x86_64: push %rbp, int3 */
#define OPCODE_PUSH_BP    0x55
#define OPCODE_BREAKPOINT 0xcc

#define SELF_TEST_CALLS 10

struct attach_link {
	struct trace_bpf *bpf;
	enum attach_mode mode;
	int pid, exe_fd;
	uint32_t index;
	size_t count;
	uint64_t offsets[RUNTIME_MAX_PROBES], cookies[RUNTIME_MAX_PROBES];
	int fds[2 * ATTACH_MAX_PERF];
	size_t fd_count; /* > 0: open */
};

static const char *const mode_names[] = {
	[ATTACH_NONE] = "none",
	[ATTACH_MULTI] = "uprobe_multi",
	[ATTACH_MULTI_FILTER] = "uprobe_multi+filter",
	[ATTACH_PERF] = "perf",
};

/* ---- one link's descriptors ---- */

static void close_all(struct attach_link *link)
{
	while (link->fd_count)
		close(link->fds[--link->fd_count]);
}

static int read_pmu_type(void)
{
	FILE *file = fopen(UPROBE_PMU, "re");
	int type;

	if (!file)
		return -errno;
	if (fscanf(file, "%d", &type) != 1)
		type = -EINVAL;
	fclose(file);
	return type;
}

static int open_perf_probe(struct attach_link *link, const char *path, int pmu, size_t i)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .perf_event.bpf_cookie = link->cookies[i]);
	struct perf_event_attr attr = {
		.type = pmu,
		.size = sizeof(attr),
		.config1 = (uintptr_t)path,
		.config2 = link->offsets[i],
	};
	int event = syscall(SYS_perf_event_open, &attr, link->pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	int fd;

	if (event < 0)
		return -errno;
	fd = bpf_link_create(trace_bpf_perf_fd(link->bpf), event, BPF_PERF_EVENT, &options);
	if (fd < 0) {
		close(event);
		return fd;
	}
	link->fds[link->fd_count++] = fd;
	link->fds[link->fd_count++] = event;
	return 0;
}

static int open_perf(struct attach_link *link, const char *path)
{
	int pmu = read_pmu_type(), err = MIN(pmu, 0);

	for (size_t i = 0; !err && i < link->count; i++)
		err = open_perf_probe(link, path, pmu, i);
	if (err)
		close_all(link);
	return err;
}

static int open_multi(struct attach_link *link, const char *path)
{
	int fd = attach_multi_create(trace_bpf_multi_fd(link->bpf), path,
		link->mode == ATTACH_MULTI ? link->pid : 0, link->offsets, link->cookies,
		link->count);

	if (fd < 0)
		return fd;
	link->fds[link->fd_count++] = fd;
	return 0;
}

static int open_fds(struct attach_link *link)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", link->exe_fd);
	return link->mode == ATTACH_PERF ? open_perf(link, path) : open_multi(link, path);
}

/* ---- the self-test: which mode delivers a second thread's hits? ---- */

static void *call_probed(void *arg)
{
	(void)arg;
	own_code_call(own_code_push, SELF_TEST_CALLS, 0);
	return NULL;
}

static int count_second_thread(struct trace_bpf *bpf, uint64_t *ret_hits)
{
	struct mt_counters before, after;
	pthread_t thread;
	int err = trace_bpf_read_counters(bpf, MT_SRC_CALIBRATE, &before);

	if (err)
		return err;
	err = -pthread_create(&thread, NULL, call_probed, NULL);
	if (err)
		return err;
	pthread_join(thread, NULL);
	err = trace_bpf_read_counters(bpf, MT_SRC_CALIBRATE, &after);
	if (!err)
		*ret_hits = after.hits - before.hits;
	return err;
}

static struct attach_link own_link(
	struct trace_bpf *bpf, enum attach_mode mode, int exe_fd, uint64_t offset)
{
	return (struct attach_link){
		.bpf = bpf,
		.mode = mode,
		.pid = getpid(),
		.exe_fd = exe_fd,
		.count = 1,
		.offsets = {offset},
		.cookies = {MT_SRC_CALIBRATE},
	};
}

/* 0 = it works, -EIO = attached but hits were missing, else why it did not attach. */
static int try_mode(struct trace_bpf *bpf, enum attach_mode mode, int exe_fd, uint64_t offset)
{
	struct attach_link link = own_link(bpf, mode, exe_fd, offset);
	uint64_t hits = 0;
	int err = open_fds(&link);

	if (err)
		return err;
	err = count_second_thread(bpf, &hits);
	close_all(&link);
	if (err)
		return err;
	return hits == SELF_TEST_CALLS ? 0 : -EIO;
}

static int try_filtered(struct trace_bpf *bpf, int exe_fd, uint64_t offset)
{
	int err = trace_bpf_add_target(bpf, getpid(), false);

	if (err)
		return err;
	trace_bpf_filter_uprobes(bpf, true);
	err = try_mode(bpf, ATTACH_MULTI_FILTER, exe_fd, offset);
	trace_bpf_remove_target(bpf, getpid());
	if (err)
		trace_bpf_filter_uprobes(bpf, false);
	return err;
}

static const char *multi_reason(int err)
{
	if (err == -EIO)
		return "uprobe_multi with a pid loses other threads' hits on this kernel";
	return err == -EINVAL ? "this kernel has no uprobe_multi (6.6)" : strerror(-err);
}

static enum attach_mode choose(struct trace_bpf *bpf, int exe_fd, uint64_t offset, char why[160])
{
	struct mt_attachment row = {.kind = MT_GROW, .link = TRACE_BPF_OWN_LINK};
	int multi, perf = trace_bpf_set_attachment(bpf, MT_SRC_CALIBRATE, &row);

	why[0] = '\0';
	if (perf)
		goto none;
	multi = trace_bpf_multi_fd(bpf) < 0 ? -EINVAL : try_mode(bpf, ATTACH_MULTI, exe_fd, offset);
	if (!multi)
		return ATTACH_MULTI;
	snprintf(why, 160, "%s", multi_reason(multi));
	if (multi == -EIO && !try_filtered(bpf, exe_fd, offset))
		return ATTACH_MULTI_FILTER;
	perf = try_mode(bpf, ATTACH_PERF, exe_fd, offset);
	if (!perf)
		return ATTACH_PERF;
none:
	if (perf == -EACCES || perf == -EPERM)
		snprintf(why, 160, "perf uprobes need CAP_SYS_ADMIN, and there is no uprobe_multi");
	else
		snprintf(why, 160, "uprobes do not work here: %s",
			perf == -EIO ? "hits were missing" : strerror(-perf));
	return ATTACH_NONE;
}

int attach_choose_mode(struct trace_bpf *bpf, enum attach_mode *ret, char why[160])
{
	uint64_t offset;
	int exe_fd, err = own_code_offset(own_code_push, &offset);

	if (err)
		return err;
	exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (exe_fd < 0)
		return -errno;
	*ret = choose(bpf, exe_fd, offset, why);
	close(exe_fd);
	return 0;
}

int attach_own(struct trace_bpf *bpf, enum attach_mode mode, int exe_fd, uint64_t offset,
	int fds[ATTACH_OWN_FDS])
{
	struct attach_link link = own_link(bpf, mode, exe_fd, offset);
	int err = open_fds(&link);

	if (err)
		return err;
	memcpy(fds, link.fds, link.fd_count * sizeof(*fds));
	return link.fd_count;
}

/* ---- who else runs this file? ---- */

static bool runs_file(const char *pid, const struct stat *file)
{
	struct stat other;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%.20s/exe", pid);
	return !stat(path, &other) && other.st_dev == file->st_dev && other.st_ino == file->st_ino;
}

/* A process may start right after: BPF filters by tgid all the same, this is about its traps. */
static bool others_run(int exe_fd, int pid)
{
	struct dirent *entry;
	struct stat file;
	bool found = false;
	DIR *proc;

	if (fstat(exe_fd, &file))
		return true;
	proc = opendir("/proc");
	if (!proc)
		return true;
	while (!found && (entry = readdir(proc)))
		found = isdigit((unsigned char)entry->d_name[0]) && atoi(entry->d_name) != pid &&
			runs_file(entry->d_name, &file);
	closedir(proc);
	return found;
}

/* ---- links ---- */

/* Only Go promises frame pointers; whoever says AT_ENTRY counts on them, too. */
bool attach_copies_stack(const struct mt_attachment *attachment)
{
	const uint8_t walked = MT_ATTACH_GO | MT_ATTACH_AT_ENTRY;

	return (attachment->flags & (MT_ATTACH_STACK | walked)) == MT_ATTACH_STACK;
}

static struct mt_attachment make_row(const struct runtime_probe *probe, uint32_t index)
{
	struct mt_attachment row = probe->attachment;

	row.link = index;
	/* Go opens every frame with push %rbp, nothing is pushed before it (cmd/internal/obj/x86). */
	if (row.flags & MT_ATTACH_GO && probe->code_bytes && probe->code[0] == OPCODE_PUSH_BP)
		row.flags |= MT_ATTACH_AT_ENTRY;
	if (attach_copies_stack(&row))
		row.flags |= MT_ATTACH_STACK_COPY;
	return row;
}

static int add_probe(struct attach_link *link, const struct runtime_probe *probe)
{
	struct mt_attachment row = make_row(probe, link->index);
	int id = trace_bpf_take_attachment(link->bpf);

	if (id < 0)
		return id;
	link->cookies[link->count] = id;
	link->offsets[link->count++] = probe->file_offset;
	return trace_bpf_set_attachment(link->bpf, id, &row);
}

int attach_link_set_only(
	struct attach_link *link, const struct runtime_probe *probes, uint64_t addr)
{
	int r = 0;

	for (size_t i = 0; i < link->count && !r; i++) {
		struct mt_attachment row = make_row(&probes[i], link->index);

		row.only = addr;
		r = trace_bpf_set_attachment(link->bpf, (uint32_t)link->cookies[i], &row);
	}
	return r;
}

static int take_index(struct attach_link *link)
{
	int index = trace_bpf_take_link(link->bpf);

	if (index < 0)
		return index;
	link->index = index;
	return 0;
}

static int fall_back(struct attach_link *link, size_t count)
{
	if (link->mode == ATTACH_MULTI_FILTER && others_run(link->exe_fd, link->pid)) {
		link->mode = ATTACH_PERF;
		if (count > ATTACH_MAX_PERF)
			return -EBUSY;
	}
	return link->mode == ATTACH_PERF && count > ATTACH_MAX_PERF ? -E2BIG : 0;
}

const char *attach_mode_name(enum attach_mode mode)
{
	return (size_t)mode < ARRAY_SIZE(mode_names) ? mode_names[mode] : "none";
}

int attach_verify(const struct runtime_probe *probe, const void *memory, size_t bytes)
{
	const uint8_t *bytes_seen = memory;

	if (!probe->code_bytes || bytes < probe->code_bytes ||
		probe->code_bytes > sizeof(probe->code))
		return -ENODATA;
	for (size_t i = 0; i < probe->code_bytes; i++)
		if (bytes_seen[i] != probe->code[i] && bytes_seen[i] != OPCODE_BREAKPOINT)
			return -ESTALE;
	return 0;
}

int attach_link_new(struct trace_bpf *bpf, enum attach_mode mode, int pid, int exe_fd,
	const struct runtime_probe *probes, size_t count, struct attach_link **ret)
{
	struct attach_link *link;
	int err;

	if (mode == ATTACH_NONE || !count || count > RUNTIME_MAX_PROBES)
		return -EINVAL;
	link = xcalloc(1, sizeof(*link));
	*link = (struct attach_link){.bpf = bpf, .mode = mode, .pid = pid};
	link->index = TRACE_BPF_OWN_LINK;
	link->exe_fd = fcntl(exe_fd, F_DUPFD_CLOEXEC, 3);
	err = link->exe_fd < 0 ? -errno : fall_back(link, count);
	if (!err)
		err = take_index(link);
	for (size_t i = 0; !err && i < count; i++)
		err = add_probe(link, &probes[i]);
	if (err)
		attach_link_free(link, NULL);
	else
		*ret = link;
	return err;
}

int attach_link_open(struct attach_link *link)
{
	int err;

	if (link->fd_count)
		return -EALREADY;
	err = open_fds(link);
	if (!err)
		trace_bpf_set_gate(link->bpf, link->index, true);
	return err;
}

void attach_link_close(struct attach_link *link, struct closer *closer)
{
	if (!link->fd_count)
		return;
	trace_bpf_set_gate(link->bpf, link->index, false);
	closer_submit(closer, link->index, link->fds, link->fd_count);
	link->fd_count = 0;
}

void attach_link_free(struct attach_link *link, struct closer *closer)
{
	if (!link)
		return;
	attach_link_close(link, closer);
	for (size_t i = 0; i < link->count; i++)
		trace_bpf_give_attachment(link->bpf, link->cookies[i]);
	trace_bpf_give_link(link->bpf, link->index);
	if (link->exe_fd >= 0)
		close(link->exe_fd);
	free(link);
}

bool attach_link_is_open(const struct attach_link *link)
{
	return link->fd_count;
}

uint32_t attach_link_index(const struct attach_link *link)
{
	return link->index;
}

enum attach_mode attach_link_mode(const struct attach_link *link)
{
	return link->mode;
}

size_t attach_link_count(const struct attach_link *link)
{
	return link->count;
}

uint32_t attach_link_id(const struct attach_link *link, size_t i)
{
	return link->cookies[i];
}

uint64_t attach_link_detach_ns(const struct attach_link *link, uint64_t grace_ns)
{
	return link->mode == ATTACH_PERF ? link->count * grace_ns : grace_ns;
}
