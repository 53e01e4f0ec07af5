/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process as the kernel describes it: who it is, what it runs, what it may use, what it uses.
 * Everything comes from /proc/PID; nothing is cached beyond the call.
 */
#ifndef MEMTRACE_TARGET_PROCESS_H
#define MEMTRACE_TARGET_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROCESS_COMM_BYTES 16
#define PROCESS_PATH_BYTES 512

/* Why a process cannot be traced. Each has one sentence, see process_refusal_text(). */
enum process_refusal {
	PROCESS_OK,
	PROCESS_GONE,          /* no such pid */
	PROCESS_IS_THREAD,     /* a thread id, not a process id */
	PROCESS_KERNEL_THREAD, /* has no user memory */
	PROCESS_ZOMBIE,        /* has ended and waits for its parent */
	PROCESS_TRACED,        /* a debugger holds it (TracerPid) */
	PROCESS_NOT_ALLOWED,   /* we may not read it: capability missing */
	PROCESS_NOT_ELF,       /* its executable is no ELF file */
	PROCESS_32_BIT,        /* 32-bit executable */
	PROCESS_X32,           /* x86_64 code with 32-bit pointers */
	PROCESS_OTHER_MACHINE, /* not x86_64 */
	PROCESS_SELF,          /* it is memtrace itself */
};

/* Identity: (pid, start_time) names one process for ever; pid alone is reused. */
struct process_id {
	int pid;
	uint64_t start_time; /* clock ticks since boot, /proc/PID/stat field 22 */
};

struct process_info {
	struct process_id id;
	int ppid;
	int tgid;       /* the process, where pid names a thread of it */
	int tracer_pid; /* who traces it, 0 = nobody */
	char state;     /* as in stat: 'R', 'S', 'Z', ... */
	const char *
		missing; /* PROCESS_NOT_ALLOWED: what we lack ("CAP_SYS_PTRACE"), a static string */
	char comm[PROCESS_COMM_BYTES];
	char exe[PROCESS_PATH_BYTES]; /* as the kernel prints it, " (deleted)" kept */
	char cgroup[PROCESS_PATH_BYTES];
	uint64_t age_ns;      /* since its start */
	uint64_t limit_bytes; /* smallest memory limit of its cgroups (v2 memory.max, v1
				 limit_in_bytes) on the way to the root; 0 = none */
	bool has_limit;
	char cgroup_directory[2 *
			      PROCESS_PATH_BYTES]; /* of its memory cgroup; "" = cannot be seen */
	bool cgroup_unified;                       /* version 2 */
};

/* One line of /proc/PID/maps. */
struct process_map {
	uint64_t start, end, offset, inode;
	uint32_t dev_major, dev_minor;
	char perms[5];
	char path[PROCESS_PATH_BYTES];
};

struct process_usage {
	uint64_t rss_bytes;  /* statm: may lag by up to 64 pages per CPU */
	uint64_t file_bytes; /* shared file and shmem part of rss_bytes */
	uint64_t peak_bytes; /* VmHWM; read only by process_read_peak() */
	uint64_t cpu_ns;     /* user + system of all threads */
};

const char *process_refusal_text(enum process_refusal refusal);

/*
 * The same as one sentence about this process, with names, numbers and the fix where there is one:
 * "cannot trace pid 41 (api): 41 is a thread of process 40; use --pid 40". Names are escaped.
 * Returns buf.
 */
const char *process_describe_refusal(
	enum process_refusal refusal, const struct process_info *info, char *buf, size_t bytes);

/*
 * Looks a process up. Always returns a verdict; ret is filled in as far as possible, also for a
 * refused one (comm and state help the message).
 */
enum process_refusal process_look(int pid, struct process_info *ret);

/* The identity of the process that has this pid now; -ESRCH where there is none, or it has ended. */
int process_identify(int pid, struct process_id *ret);

/*
 * True while a thread of the process that id names is still there. The first one may be a zombie while
 * others run, or die: what the kernel says of the end of a process comes with its last thread.
 */
bool process_alive(const struct process_id *id);

/*
 * Opens the executable through /proc/PID/exe (O_RDONLY|O_NONBLOCK|O_CLOEXEC, S_ISREG checked), so a
 * deleted or replaced file is still the right one. Returns a descriptor or a negative error.
 */
int process_open_exe(int pid);

/* Calls each for every mapping in address order, until it returns non-zero. Returns that, 0 or -errno. */
int process_for_each_map(int pid, int (*each)(const struct process_map *map, void *arg), void *arg);

/* Start of the mapping of file offset 0 of the executable (by inode); for the slide of a PIE. */
int process_find_exe_base(int pid, uint64_t *ret_start);

/*
 * The mappings of the dynamic loader, as the kernel placed it at exec (AT_BASE): from its first byte to
 * the end of its last mapping. -ENOENT where the program has none (static), or one that is its C library as
 * well (musl), or -errno.
 */
int process_find_loader(int pid, uint64_t *ret_start, uint64_t *ret_end);

int process_read_usage(int pid, struct process_usage *ret);

/* VmHWM and VmRSS exactly (status). */
int process_read_peak(int pid, uint64_t *ret_peak_bytes);

/* Shared memory in RSS (RssShmem): part of process_usage.file_bytes. */
int process_read_shared(int pid, uint64_t *ret_bytes);

/*
 * Memory that was given to the kernel (MADV_FREE) and that it has not taken yet: part of RSS. Walks the whole
 * address space, 10 ms a GiB of RSS, with its lock held.
 */
int process_read_lazy(int pid, uint64_t *ret_bytes);

/* Child processes, for "the pid is a launcher". Fills up to max pids; returns how many there are. */
int process_list_children(int pid, int *ret_pids, int max);

/* The directory of the memory cgroup, from the same texts as below; false and "" where there is none. */
bool process_find_cgroup(const char *cgroups, const char *mounts, char *ret_directory, size_t bytes,
	bool *ret_unified);

/*
 * The memory cgroup of a process and the smallest limit on the way to the root of what we can see;
 * 0 = none. Takes the texts /proc/PID/cgroup and /proc/self/mountinfo, so that tests can make their
 * own hierarchy.
 */
uint64_t process_find_limit(
	const char *cgroups, const char *mounts, char *ret_cgroup, size_t bytes);

#endif
