/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes by /proc (proc(5)). A verdict about a process is built from the cheap to the dear:
 * stat and status say what it is, opening exe and mem says whether we may look (that is the
 * kernel's ptrace access check), and the first bytes of exe say whether we understand its code.
 * Nothing else of a target's file is read here: parsing is for the parser child.
 */
#include "target/process.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

/* A small file of /proc at once; stat, status, cgroup are all far below it, mountinfo has its own. */
#define PROC_TEXT_BYTES 8192

#define PF_KTHREAD 0x00200000 /* linux/sched.h; field 9 of stat */

/* Limits above this are the kernel's way to say "none" (v1: LONG_MAX rounded down to a page). */
#define NO_LIMIT_BYTES (1ull << 62)

/* The fields of /proc/PID/stat that we use, with their numbers in proc(5). */
struct stat_fields {
	char comm[PROCESS_COMM_BYTES]; /* 2 */
	char state;                    /* 3 */
	int ppid;                      /* 4 */
	unsigned long flags;           /* 9 */
	long threads;                  /* 20 */
	uint64_t start_time;           /* 22 */
};

static int open_proc(int pid, const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Reads a text file whole (cut at bytes - 1). Returns its length or a negative error. */
static ssize_t read_text(int pid, const char *name, char *buf, size_t bytes)
{
	int fd = open_proc(pid, name, O_RDONLY);
	size_t used = 0;
	ssize_t n = 0;

	if (fd < 0)
		return fd;
	while (used < bytes - 1) {
		n = read(fd, buf + used, bytes - 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	if (n < 0)
		n = -errno;
	close(fd);
	buf[used] = 0;
	return n < 0 ? n : (ssize_t)used;
}

static int parse_stat(char *text, struct stat_fields *ret)
{
	char *open = strchr(text, '('), *close = strrchr(text, ')');

	/* comm may hold anything, ") R 1" too: it ends at the last parenthesis. */
	if (!open || !close || close < open)
		return -EBADMSG;
	*close = 0;
	text_copy(ret->comm, sizeof(ret->comm), open + 1);
	if (sscanf(close + 1,
		    " %c %d %*d %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d "
		    "%" SCNu64,
		    &ret->state, &ret->ppid, &ret->flags, &ret->threads, &ret->start_time) != 5)
		return -EBADMSG;
	return 0;
}

static int read_stat(int pid, struct stat_fields *ret)
{
	char text[PROC_TEXT_BYTES];
	ssize_t n = read_text(pid, "stat", text, sizeof(text));

	if (n < 0)
		return n == -ENOENT ? -ESRCH : (int)n;
	return parse_stat(text, ret);
}

/* The number behind "name:" of a status text. */
static bool find_status(const char *text, const char *name, uint64_t *ret)
{
	size_t length = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, length) && line[length] == ':') {
			*ret = strtoull(line + length + 1, NULL, 10);
			return true;
		}
	}
	return false;
}

static bool has_ended(char state)
{
	return state == 'Z' || state == 'X' || state == 'x';
}

/* ptrace reports the tracing thread, not its process. */
static bool is_own_thread(int tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d", tid);
	return !access(path, F_OK);
}

static bool have_capability(int number)
{
	char text[PROC_TEXT_BYTES];
	const char *line;

	if (read_text(getpid(), "status", text, sizeof(text)) < 0)
		return false;
	line = strstr(text, "\nCapEff:");
	return line && (strtoull(line + 8, NULL, 16) >> number & 1);
}

/* What keeps us out, after the kernel's ptrace access check said no. */
static const char *name_missing_access(void)
{
	const int cap_sys_ptrace = 19; /* linux/capability.h */

	return have_capability(cap_sys_ptrace) ? "" : "CAP_SYS_PTRACE";
}

static enum process_refusal refuse_by_errno(int error, struct process_info *info)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
		info->missing = name_missing_access();
		return PROCESS_NOT_ALLOWED;
	default:
		return PROCESS_GONE;
	}
}

static enum process_refusal judge_header(const unsigned char *head, ssize_t bytes)
{
	uint16_t machine;

	if (bytes < 20 || memcmp(head, ELFMAG, SELFMAG))
		return PROCESS_NOT_ELF;
	if (head[EI_DATA] != ELFDATA2LSB)
		return PROCESS_OTHER_MACHINE;
	memcpy(&machine, head + 18, sizeof(machine)); /* e_machine, at 18 in both classes */
	if (head[EI_CLASS] == ELFCLASS32)
		return machine == EM_X86_64 ? PROCESS_X32 : PROCESS_32_BIT;
	if (head[EI_CLASS] != ELFCLASS64)
		return PROCESS_NOT_ELF;
	return machine == EM_X86_64 ? PROCESS_OK : PROCESS_OTHER_MACHINE;
}

static enum process_refusal judge_exe(int pid, struct process_info *info)
{
	unsigned char head[20];
	int fd = process_open_exe(pid);
	ssize_t n;

	if (fd == -EINVAL)
		return PROCESS_NOT_ELF;
	if (fd < 0 && info->exe[0]) {
		/* The link could be read, so the ptrace check passed: it is the file's own mode. */
		info->missing = "CAP_DAC_READ_SEARCH";
		return fd == -EACCES || fd == -EPERM ? PROCESS_NOT_ALLOWED : PROCESS_GONE;
	}
	if (fd < 0)
		return refuse_by_errno(fd, info);
	n = pread(fd, head, sizeof(head), 0);
	close(fd);
	return judge_header(head, n);
}

/* Reading memory needs more than reading exe (PTRACE_MODE_ATTACH: Yama has a say). */
static enum process_refusal judge_access(int pid, struct process_info *info)
{
	int fd = open_proc(pid, "mem", O_RDONLY);

	if (fd < 0)
		return refuse_by_errno(fd, info);
	close(fd);
	return PROCESS_OK;
}

static void read_exe_link(int pid, struct process_info *info)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, info->exe, sizeof(info->exe) - 1);
	info->exe[n > 0 ? n : 0] = 0;
}

static void read_identity(int pid, const struct stat_fields *stat, struct process_info *info)
{
	uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK), now = clock_boot_ns(), start;
	char text[PROC_TEXT_BYTES];
	uint64_t value;

	start = stat->start_time * (NSEC_PER_SEC / ticks);
	info->id.start_time = stat->start_time;
	info->age_ns = now > start ? now - start : 0;
	info->ppid = stat->ppid;
	info->state = stat->state;
	memcpy(info->comm, stat->comm, sizeof(info->comm));
	if (read_text(pid, "status", text, sizeof(text)) < 0)
		return;
	if (find_status(text, "Tgid", &value))
		info->tgid = (int)value;
	if (find_status(text, "TracerPid", &value))
		info->tracer_pid = (int)value;
}

/* mountinfo may be long; read it in growing steps. */
static char *read_mounts(void)
{
	size_t bytes = 1 << 16;
	char *text = xcalloc(1, bytes);

	for (;;) {
		ssize_t n = read_text(getpid(), "mountinfo", text, bytes);

		if (n < 0) {
			free(text);
			return NULL;
		}
		if ((size_t)n < bytes - 1)
			return text;
		bytes *= 2;
		text = xreallocarray(text, bytes, 1);
	}
}

static void read_cgroup(int pid, struct process_info *info)
{
	char cgroups[PROC_TEXT_BYTES];
	char *mounts;

	if (read_text(pid, "cgroup", cgroups, sizeof(cgroups)) < 0)
		return;
	mounts = read_mounts();
	process_find_cgroup(cgroups, mounts ? mounts : "", info->cgroup_directory,
		sizeof(info->cgroup_directory), &info->cgroup_unified);
	info->limit_bytes = process_find_limit(
		cgroups, mounts ? mounts : "", info->cgroup, sizeof(info->cgroup));
	info->has_limit = info->limit_bytes != 0;
	free(mounts);
}

/* ---- memory limit ---- */

/* One of the two kinds of cgroup hierarchy that know about memory. */
struct hierarchy {
	bool unified;
	const char *file;
};

static const struct hierarchy hierarchy_v1 = {false, "memory.limit_in_bytes"};
static const struct hierarchy hierarchy_v2 = {true, "memory.max"};

static bool list_has(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += length)
		if ((at == list || at[-1] == ',') && (!at[length] || at[length] == ','))
			return true;
	return false;
}

/* Finds "N:controllers:path"; v1 with the memory controller wins, as the kernel accounts there. */
static const struct hierarchy *find_cgroup(const char *cgroups, char *ret_path, size_t bytes)
{
	const struct hierarchy *found = NULL;
	char *copy = xstrdup(cgroups), *save = NULL;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = 0;
		controllers++;
		if (list_has(controllers, "memory")) {
			text_copy(ret_path, bytes, path);
			found = &hierarchy_v1;
			break;
		}
		if (!strncmp(line, "0:", 2) && !*controllers) {
			text_copy(ret_path, bytes, path);
			found = &hierarchy_v2;
		}
	}
	free(copy);
	return found;
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void decode_octal(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
			s[3] >= '0' && s[3] <= '7') {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = 0;
}

static bool is_mount_of(const char *type, const char *options, const struct hierarchy *hierarchy)
{
	if (hierarchy->unified)
		return !strcmp(type, "cgroup2");
	return !strcmp(type, "cgroup") && list_has(options, "memory");
}

/*
 * The directory of cgroup path: a mount shows the hierarchy from its root on (a container sees only
 * its own part). Sets ret_top to the length of the mount point, where the way up ends.
 */
static bool find_directory(const char *mounts, const struct hierarchy *hierarchy, const char *path,
	char *ret, size_t bytes, size_t *ret_top)
{
	char *copy = xstrdup(mounts), *save = NULL;
	bool found = false;

	for (char *line = strtok_r(copy, "\n", &save); line && !found;
		line = strtok_r(NULL, "\n", &save)) {
		char root[PROCESS_PATH_BYTES], point[PROCESS_PATH_BYTES], type[32], options[256];
		char *tail = strstr(line, " - ");
		size_t length;

		if (!tail || sscanf(line, "%*d %*d %*s %511s %511s", root, point) != 2 ||
			sscanf(tail + 3, "%31s %*s %255s", type, options) != 2 ||
			!is_mount_of(type, options, hierarchy))
			continue;
		decode_octal(root);
		decode_octal(point);
		length = strcmp(root, "/") ? strlen(root) : 0;
		if (strncmp(path, root, length) || (path[length] && path[length] != '/'))
			continue;
		*ret_top = strlen(point);
		found = (size_t)snprintf(ret, bytes, "%s%s", point, path + length) < bytes;
	}
	free(copy);
	return found;
}

/* The limit in one directory; 0 = none there ("max", or the root, which has no such file). */
static uint64_t read_limit(const char *directory, const char *file)
{
	char path[PROCESS_PATH_BYTES * 2 + 32], text[64] = "";
	uint64_t limit;
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	in = fopen(path, "re");
	if (!in)
		return 0;
	if (!fgets(text, sizeof(text), in))
		text[0] = 0;
	fclose(in);
	limit = strtoull(text, NULL, 10);
	return limit < NO_LIMIT_BYTES ? limit : 0;
}

/* ---- public ---- */

static const struct {
	const char *what, *fix;
} refusals[] = {
	[PROCESS_OK] = {"it can be traced", ""},
	[PROCESS_GONE] = {"there is no such process", ""},
	[PROCESS_IS_THREAD] = {"it is a thread, not a process", "use the process id"},
	[PROCESS_KERNEL_THREAD] = {"it is a kernel thread and has no memory of its own", ""},
	[PROCESS_ZOMBIE] = {"it has ended and only waits for its parent", ""},
	[PROCESS_TRACED] = {"a debugger holds it", "detach the debugger first"},
	[PROCESS_NOT_ALLOWED] = {"we may not look into it", "run memtrace as root"},
	[PROCESS_NOT_ELF] = {"its executable is not an ELF file", ""},
	[PROCESS_32_BIT] = {"it is a 32-bit program, only 64-bit ones are supported", ""},
	[PROCESS_X32] = {"it is an x32 program (32-bit pointers), only 64-bit ones are supported",
		""},
	[PROCESS_OTHER_MACHINE] = {"its executable is not for x86_64", ""},
	[PROCESS_SELF] = {"it is memtrace itself", "name another process"},
};

const char *process_refusal_text(enum process_refusal refusal)
{
	return refusals[refusal].what;
}

static void describe_reason(
	enum process_refusal refusal, const struct process_info *info, char *buf, size_t bytes)
{
	const char *fix = refusals[refusal].fix;

	if (refusal == PROCESS_IS_THREAD)
		snprintf(buf, bytes, "it is a thread of process %d; use --pid %d", info->tgid,
			info->tgid);
	else if (refusal == PROCESS_TRACED)
		snprintf(buf, bytes, "process %d traces it; detach that debugger first",
			info->tracer_pid);
	else if (refusal == PROCESS_NOT_ALLOWED && info->missing && info->missing[0])
		snprintf(buf, bytes,
			"reading it needs %s; run memtrace as root or add that capability",
			info->missing);
	else if (refusal == PROCESS_NOT_ALLOWED)
		snprintf(buf, bytes,
			"the kernel denies it although we have CAP_SYS_PTRACE (a parent user "
			"namespace, or "
			"a security module such as SELinux or AppArmor)");
	else
		snprintf(buf, bytes, "%s%s%s", refusals[refusal].what, fix[0] ? "; " : "", fix);
}

const char *process_describe_refusal(
	enum process_refusal refusal, const struct process_info *info, char *buf, size_t bytes)
{
	char comm[PROCESS_COMM_BYTES * 4], reason[256];

	describe_reason(refusal, info, reason, sizeof(reason));
	text_escape(comm, sizeof(comm), info->comm);
	if (comm[0])
		snprintf(buf, bytes, "cannot trace pid %d (%s): %s", info->id.pid, comm, reason);
	else
		snprintf(buf, bytes, "cannot trace pid %d: %s", info->id.pid, reason);
	return buf;
}

enum process_refusal process_look(int pid, struct process_info *ret)
{
	enum process_refusal refusal;
	struct stat_fields stat;

	memset(ret, 0, sizeof(*ret));
	ret->id.pid = pid;
	ret->tgid = pid;
	if (pid <= 0 || read_stat(pid, &stat))
		return PROCESS_GONE;
	read_identity(pid, &stat, ret);
	if (ret->tgid != pid)
		return is_own_thread(pid) ? PROCESS_SELF : PROCESS_IS_THREAD;
	if (pid == getpid())
		return PROCESS_SELF;
	if (stat.flags & PF_KTHREAD)
		return PROCESS_KERNEL_THREAD;
	if (has_ended(stat.state))
		return PROCESS_ZOMBIE;
	read_cgroup(pid, ret);
	if (ret->tracer_pid && !is_own_thread(ret->tracer_pid))
		return PROCESS_TRACED;
	read_exe_link(pid, ret);
	refusal = judge_exe(pid, ret);
	if (refusal != PROCESS_OK)
		return refusal;
	return judge_access(pid, ret);
}

int process_identify(int pid, struct process_id *ret)
{
	struct stat_fields stat;

	if (read_stat(pid, &stat) || has_ended(stat.state))
		return -ESRCH;
	*ret = (struct process_id){pid, stat.start_time};
	return 0;
}

bool process_alive(const struct process_id *id)
{
	struct stat_fields stat;

	if (read_stat(id->pid, &stat) || stat.start_time != id->start_time)
		return false;
	return !has_ended(stat.state) || stat.threads > 1;
}

int process_open_exe(int pid)
{
	int fd = open_proc(pid, "exe", O_RDONLY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

static bool parse_map(const char *line, struct process_map *ret)
{
	int path = 0;

	memset(ret, 0, sizeof(*ret));
	if (sscanf(line,
		    "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %" SCNx32 ":%" SCNx32 " %" SCNu64
		    " %n",
		    &ret->start, &ret->end, ret->perms, &ret->offset, &ret->dev_major,
		    &ret->dev_minor, &ret->inode, &path) != 7 ||
		!path)
		return false;
	text_copy(ret->path, sizeof(ret->path), line + path);
	return true;
}

int process_for_each_map(int pid, int (*each)(const struct process_map *map, void *arg), void *arg)
{
	int fd = open_proc(pid, "maps", O_RDONLY);
	FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
	struct process_map map;
	char *line = NULL;
	size_t cap = 0, lines = 0;
	ssize_t n;
	int r = 0;

	if (!in)
		return fd < 0 ? (fd == -ENOENT ? -ESRCH : fd) : -errno;
	while (!r && (n = getline(&line, &cap, in)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = 0;
		if (!parse_map(line, &map)) {
			r = -EBADMSG;
			break;
		}
		lines++;
		r = each(&map, arg);
	}
	/* An exited process still opens, and has no lines. */
	if (!r && (ferror(in) || !lines))
		r = -ESRCH;
	free(line);
	fclose(in);
	return r;
}

struct base_search {
	struct stat st;
	char exe[PROCESS_PATH_BYTES];
	int score;
	uint64_t start;
};

/*
 * The same inode number on another file system is another file, and overlayfs shows in maps an inode
 * that stat does not know: so the path decides, the inode confirms.
 */
static int match_base(const struct process_map *map, void *arg)
{
	struct base_search *search = arg;
	int score;

	if (map->offset || !map->inode)
		return 0;
	score = 2 * !strcmp(map->path, search->exe) + (map->inode == search->st.st_ino);
	if (score > search->score) {
		search->score = score;
		search->start = map->start;
	}
	return 0;
}

int process_find_exe_base(int pid, uint64_t *ret_start)
{
	struct base_search search = {0};
	struct process_info info = {0};
	int fd = process_open_exe(pid), r = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, &search.st))
		r = -errno;
	close(fd);
	if (r)
		return r;
	read_exe_link(pid, &info);
	memcpy(search.exe, info.exe, sizeof(search.exe));
	r = process_for_each_map(pid, match_base, &search);
	if (r)
		return r;
	if (!search.score)
		return -ENOENT;
	*ret_start = search.start;
	return 0;
}

/* A value of the auxiliary vector that the kernel gave the program; 0 = not in it. */
static uint64_t read_auxv(int pid, uint64_t type)
{
	uint64_t pairs[64][2] = {0}; /* the kernel makes about twenty */
	ssize_t n = read_text(pid, "auxv", (char *)pairs, sizeof(pairs));

	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(pairs[0]); i++)
		if (pairs[i][0] == type)
			return pairs[i][1];
	return 0;
}

struct loader_search {
	uint64_t base, start, end, inode;
};

static int match_loader(const struct process_map *map, void *arg)
{
	struct loader_search *search = arg;

	if (map->start == search->base && !strstr(map->path, "/ld-musl-")) {
		search->start = map->start;
		search->inode = map->inode;
	}
	if (search->inode && map->inode == search->inode)
		search->end = map->end;
	return 0;
}

int process_find_loader(int pid, uint64_t *ret_start, uint64_t *ret_end)
{
	struct loader_search search = {.base = read_auxv(pid, AT_BASE)};
	int r;

	if (!search.base)
		return -ENOENT;
	r = process_for_each_map(pid, match_loader, &search);
	if (r)
		return r;
	if (!search.end)
		return -ENOENT;
	*ret_start = search.start;
	*ret_end = search.end;
	return 0;
}

int process_read_usage(int pid, struct process_usage *ret)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), size, resident, shared;
	char text[PROC_TEXT_BYTES];
	struct timespec cpu;
	clockid_t clock;

	if (read_text(pid, "statm", text, sizeof(text)) < 0 ||
		sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &size, &resident, &shared) != 3)
		return -ESRCH;
	/* The first thread has left the memory behind already: that is no RSS of 0. */
	if (!size)
		return -ESRCH;
	/* The process's CPU clock: nanoseconds, where stat only counts ticks of 10 ms. */
	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &cpu))
		return -ESRCH;
	memset(ret, 0, sizeof(*ret));
	ret->rss_bytes = resident * page;
	ret->file_bytes = shared * page;
	ret->cpu_ns = (uint64_t)cpu.tv_sec * NSEC_PER_SEC + (uint64_t)cpu.tv_nsec;
	return 0;
}

/* A process that has ended still has a status, without the memory lines. */
static int read_status_bytes(int pid, const char *file, const char *name, uint64_t *ret_bytes)
{
	char text[PROC_TEXT_BYTES];
	uint64_t kib;

	if (read_text(pid, file, text, sizeof(text)) < 0 || !find_status(text, name, &kib))
		return -ESRCH;
	*ret_bytes = kib << 10;
	return 0;
}

int process_read_peak(int pid, uint64_t *ret_peak_bytes)
{
	return read_status_bytes(pid, "status", "VmHWM", ret_peak_bytes);
}

int process_read_shared(int pid, uint64_t *ret_bytes)
{
	return read_status_bytes(pid, "status", "RssShmem", ret_bytes);
}

int process_read_lazy(int pid, uint64_t *ret_bytes)
{
	return read_status_bytes(pid, "smaps_rollup", "LazyFree", ret_bytes);
}

int process_list_children(int pid, int *ret_pids, int max)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	if (!proc)
		return -errno;
	while ((entry = readdir(proc))) {
		struct stat_fields stat;
		int child = (int)strtol(entry->d_name, NULL, 10);

		if (child <= 0 || read_stat(child, &stat) || stat.ppid != pid ||
			has_ended(stat.state))
			continue;
		if (count < max)
			ret_pids[count] = child;
		count++;
	}
	closedir(proc);
	return count;
}

bool process_find_cgroup(const char *cgroups, const char *mounts, char *ret_directory, size_t bytes,
	bool *ret_unified)
{
	char path[PROCESS_PATH_BYTES] = "";
	const struct hierarchy *hierarchy = find_cgroup(cgroups, path, sizeof(path));
	size_t top;

	ret_directory[0] = 0;
	*ret_unified = hierarchy && hierarchy->unified;
	if (hierarchy && strncmp(path, "/..", 3) != 0 &&
		find_directory(mounts, hierarchy, path, ret_directory, bytes, &top))
		return true;
	ret_directory[0] = 0;
	return false;
}

uint64_t process_find_limit(const char *cgroups, const char *mounts, char *ret_cgroup, size_t bytes)
{
	char path[PROCESS_PATH_BYTES] = "", directory[PROCESS_PATH_BYTES * 2];
	const struct hierarchy *hierarchy = find_cgroup(cgroups, path, sizeof(path));
	uint64_t smallest = 0;
	size_t top;

	text_copy(ret_cgroup, bytes, path);
	/* "/.." leads out of our cgroup namespace: its limits are not visible from here. */
	if (!hierarchy || !strncmp(path, "/..", 3) ||
		!find_directory(mounts, hierarchy, path, directory, sizeof(directory), &top))
		return 0;
	for (;;) {
		uint64_t limit = read_limit(directory, hierarchy->file);
		char *slash = strrchr(directory, '/');

		if (limit && (!smallest || limit < smallest))
			smallest = limit;
		if (strlen(directory) <= top || !slash)
			return smallest;
		*slash = 0;
	}
}
