/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reading half of one target: everything that is learned without a probe. It keeps the list of
 * containers worth watching, looks at them, at heap, GC and RSS, and turns what it sees into events.
 */
#ifndef MEMTRACE_TRACE_READER_H
#define MEMTRACE_TRACE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "model/model.h"
#include "runtime/parser.h"
#include "runtime/runtime.h"
#include "target/process.h"
#include "trace/symbolizer.h"
#include "trace/unwinder.h"

#define READER_FLOOR_BYTES    (64 << 10)           /* smaller containers are not watched */
#define READER_MAX_CONTAINERS 4096                 /* watched at once; the smallest make room */
#define READER_DEEP_NS        (10ull * 1000000000) /* walk tables and residency again after */
#define READER_DEEP_REST_NS   (60ull * 1000000000) /* the same where nobody has written to it */
#define READER_DEEP_AT_ONCE   256                  /* walks of one poll, at most */

/* Between two looks for new libraries: a part of the age since attach, within these bounds. */
#define READER_REFRESH_PART    4
#define READER_REFRESH_NS      (5ull * 1000000)
#define READER_REFRESH_SLOW_NS (10ull * 1000000000)

#define READER_MAX_PARTS 32

#define READER_WAITERS_FLOOR 16 /* fewer goroutines with one stack are counted only */

/* Between two looks at all goroutines: so many times as long as one takes, within these bounds. */
#define READER_GOROUTINES_REST    50
#define READER_GOROUTINES_NS      (1ull * 1000000000)
#define READER_GOROUTINES_SLOW_NS (10ull * 1000000000)

/*
 * One runtime in one file of the process: what can be probed and read there. A process has as many
 * as its files have runtimes.
 */
struct reader_part {
	const struct runtime *runtime;
	const struct module *module;
	struct runtime_file *file;
	uint32_t name;                   /* of the runtime, interned */
	struct runtime_process *process; /* NULL = cannot be read (yet) */
	bool refused;                    /* process_open() said never */
	char not_yet[160];               /* why it said later, the last time */
	uint64_t too_early;              /* records that came while nothing could be read */
};

struct reader;

/* Does a process run a program, or map a library, of a runtime that we know? */
bool reader_would_know(int pid, struct parser *parser);

/*
 * Opens the memory and the files of a process and identifies its runtimes. On success the
 * reader owns everything but parser and model, which must outlive it. 0; -ENOEXEC, -EBADMSG (the file
 * cannot be parsed), -EACCES, -ESRCH, -ENOSPC (the model has no room for another target).
 */
int reader_open(const struct process_info *process, struct parser *parser, struct model *model,
	struct reader **ret);
void reader_close(struct reader *reader);

/* Parts keep their number and place until reader_close(); new ones come last. */
size_t reader_part_count(const struct reader *reader);
const struct reader_part *reader_part(const struct reader *reader, size_t i);
struct symbolizer *reader_symbolizer(const struct reader *reader);

/* True where stacks can be walked; else they are to be copied, and are unwound here. */
bool reader_keeps_frame_pointers(const struct reader *reader);
struct target_mem *reader_mem(const struct reader *reader);
uint32_t reader_target(const struct reader *reader); /* its id in the model */
const struct process_info *reader_info(const struct reader *reader);

/*
 * Looks for libraries that were mapped since, now and then: what a runtime wants of them becomes new
 * parts. Returns true where there are some.
 */
bool reader_refresh(struct reader *reader, uint64_t now_ns);

/*
 * Starts reading containers: called again at every tick until it succeeds, since a program that has
 * just been started has no heap yet. 0; -EAGAIN: some part later; anything else: never (a skip was
 * added).
 */
int reader_start(struct reader *reader);

/* True where a census would find containers: not every runtime has one. */
bool reader_has_census(const struct reader *reader);

/*
 * Reads all containers of the heap until deadline_ns (monotonic); new ones are watched from now on.
 * progress may be NULL.
 */
int reader_census(struct reader *reader, uint64_t deadline_ns, bool before_attach,
	int (*progress)(uint64_t done, uint64_t total, void *arg), void *arg);

/* A record of a probe of part i: decodes it, applies the event, watches the container. */
void reader_record(struct reader *reader, size_t i, const struct runtime_probe *probe,
	const struct mt_record *record);

/* A sampled page fault. */
void reader_fault(struct reader *reader, const struct mt_record *record);

/* A system call that has changed the address space. */
void reader_call(struct reader *reader, const struct mt_record *record);

/* Faults that wait for a look that will not come get their causes by what is known now. */
void reader_settle(struct reader *reader);

/* Measures where the RSS is mapped: up to 10 ms a GiB of our time, at start and end. */
void reader_measure(struct reader *reader, uint64_t now_ns);

/*
 * Looks at all watched containers, heap and usage. all_deep: leave no table and no page unread, and take
 * every death for certain: only while no record is on its way.
 */
void reader_poll(struct reader *reader, uint64_t now_ns, bool all_deep);

/* Usage (RSS, CPU) alone; with_peak also reads VmHWM. */
void reader_usage(struct reader *reader, uint64_t now_ns, bool with_peak);

#endif
