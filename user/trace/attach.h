/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attaching. A link is all probes of one family in one process: it is opened, closed and judged by
 * the governor as one. What the kernel offers is found once, by trying on ourselves; how a link was
 * attached is part of the report.
 *
 *	attach_choose_mode(bpf, &mode, why);
 *	attach_link_new(bpf, mode, pid, exe_fd, probes, count, &link);
 *	attach_link_open(link);                  probes deliver from here on
 *	attach_link_close(link, closer);         at once no more records; traps go in the background
 *	... closer_poll() tells attach_link_index(link) ...
 *	attach_link_open(link);                  again
 *	attach_link_free(link, closer);
 */
#ifndef MEMTRACE_TRACE_ATTACH_H
#define MEMTRACE_TRACE_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/runtime.h"

struct attach_link;
struct closer;
struct trace_bpf;

/* Perf uprobes cost one grace period each at detach: more than this are not attached. */
#define ATTACH_MAX_PERF 20

enum attach_mode {
	ATTACH_NONE,         /* the kernel offers no uprobes to us */
	ATTACH_MULTI,        /* uprobe_multi with the kernel's own pid filter (works from 6.10) */
	ATTACH_MULTI_FILTER, /* uprobe_multi for all who map the file, filtered in BPF (6.6 - 6.9) */
	ATTACH_PERF,         /* one perf event a probe */
};

/* True where a probe's records carry copies of the stack: its program keeps no frame pointers. */
bool attach_copies_stack(const struct mt_attachment *attachment);

/* "uprobe_multi", "uprobe_multi+filter", "perf", "none" */
const char *attach_mode_name(enum attach_mode mode);

/*
 * Finds the best mode in which a second thread's hits arrive: tries each on our own code. why gets
 * a reason where it is not the best one ("" otherwise). Uses TRACE_BPF_OWN_LINK; not while
 * calibrating. Returns ATTACH_NONE in *ret where nothing works (why says it), never an error then.
 */
int attach_choose_mode(struct trace_bpf *bpf, enum attach_mode *ret, char why[160]);

/*
 * For calibrating: attaches MT_SRC_CALIBRATE at offset of our own executable. Returns how many
 * descriptors it is, in fds, or -errno.
 */
#define ATTACH_OWN_FDS 2
int attach_own(struct trace_bpf *bpf, enum attach_mode mode, int exe_fd, uint64_t offset,
	int fds[ATTACH_OWN_FDS]);

/*
 * Is the code in memory what the probe was placed on? memory: bytes read at the probe's run-time
 * address. A breakpoint in it is that of another tracer: the kernel takes the instruction from the file,
 * and one place can have several uprobes (kernel/events/uprobes.c, alloc_uprobe()); a process that a debugger
 * holds was refused before.
 * -ESTALE where it differs, -ENODATA where fewer bytes were read than the probe carries.
 */
int attach_verify(const struct runtime_probe *probe, const void *memory, size_t bytes);

/*
 * Prepares a link: takes attachment ids and a gate, and writes the rows. exe_fd is the file the
 * probes are in (process_open_exe()); it is duplicated. Nothing is attached yet. -ENOSPC where ids
 * or gates have run out, -E2BIG for more than ATTACH_MAX_PERF perf uprobes, -EBUSY where the mode is
 * ATTACH_MULTI_FILTER, other processes run the same file and there are too many for perf.
 */
int attach_link_new(struct trace_bpf *bpf, enum attach_mode mode, int pid, int exe_fd,
	const struct runtime_probe *probes, size_t count, struct attach_link **ret);

/* While it is closed: from the next opening on only hits whose addr is this make records. 0 or -errno. */
int attach_link_set_only(
	struct attach_link *link, const struct runtime_probe *probes, uint64_t addr);

/* Attaches (about 10 ms) and opens the gate. -ESRCH where the process has gone; -EALREADY. */
int attach_link_open(struct attach_link *link);

/*
 * Shuts the gate at once and gives the descriptors to the closer with attach_link_index() as token.
 * Until the closer reports, the traps still cost. May be opened again only after that report.
 */
void attach_link_close(struct attach_link *link, struct closer *closer);

/* Closes where open, gives ids and gate back. Their counters must have been read before. */
void attach_link_free(struct attach_link *link, struct closer *closer);

bool attach_link_is_open(const struct attach_link *link);

/* The gate's number: 0 .. MT_MAX_LINKS - 2. */
uint32_t attach_link_index(const struct attach_link *link);

/* How this link attaches: may be ATTACH_PERF where the run's mode is ATTACH_MULTI_FILTER. */
enum attach_mode attach_link_mode(const struct attach_link *link);

/* Attachment id of its i-th probe, the number in mt_record.attachment and in the counters. */
size_t attach_link_count(const struct attach_link *link);
uint32_t attach_link_id(const struct attach_link *link, size_t i);

/* What detaching all of it will take, given one grace period. */
uint64_t attach_link_detach_ns(const struct attach_link *link, uint64_t grace_ns);

#endif
