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
#include "target/process.h"
#include "trace/part.h"
#include "trace/symbolizer.h"
#include "trace/unwinder.h"

/* Between two looks at all goroutines: so many times as long as one takes, within these bounds. */
#define READER_GOROUTINES_REST    50
#define READER_GOROUTINES_NS      (1ull * 1000000000)
#define READER_GOROUTINES_SLOW_NS (10ull * 1000000000)

struct reader;
struct debug_server;

/*
 * Opens the memory and the files of a process and identifies its runtimes. server: asked for
 * debug information, NULL = none is; blocks: those of malloc are sampled. On success the reader owns everything
 * but parser, server and model, which must outlive it. 0; -ENOEXEC, -EBADMSG (the file cannot be parsed), -EACCES,
 * -ESRCH, -ENOSPC (the model has no room for another target).
 */
int reader_open(const struct process_info *process, struct parser *parser,
	struct debug_server *server, struct model *model, bool blocks, struct reader **ret);
void reader_close(struct reader *reader);

struct parts *reader_parts(const struct reader *reader);
struct symbolizer *reader_symbolizer(const struct reader *reader);

/* True where stacks can be walked; else they are to be copied, and are unwound here. */
bool reader_keeps_frame_pointers(const struct reader *reader);
struct target_mem *reader_mem(const struct reader *reader);
uint32_t reader_target(const struct reader *reader); /* its id in the model */
const struct process_info *reader_info(const struct reader *reader);

/*
 * Reads all containers of the heap until deadline_ns (monotonic); new ones are watched from now on.
 * progress may be NULL.
 */
int reader_census(struct reader *reader, uint64_t deadline_ns, bool before_attach,
	int (*progress)(uint64_t done, uint64_t total, void *arg), void *arg);

/* A record of a probe of part i: decodes it, applies the event, watches the container. */
void reader_record(struct reader *reader, size_t i, const struct runtime_probe *probe,
	const struct mt_record *record);

/* Blocks of malloc that were sampled; NULL where none are wanted. */
struct blocks *reader_blocks(const struct reader *reader);

/* A sampled page fault. */
void reader_fault(struct reader *reader, const struct mt_record *record);

/* A system call that has changed the address space. */
void reader_call(struct reader *reader, const struct mt_record *record);

/* Faults that wait for a look that will not come get their causes by what is known now. */
void reader_settle(struct reader *reader);

/* Measures where the RSS is mapped: up to 10 ms a GiB of our time, at start and end. */
void reader_measure(struct reader *reader, uint64_t now_ns);

/* It has ended with so much RSS (0 = not known): what came after the last look counts, too. */
void reader_ended(struct reader *reader, uint64_t time_ns, uint64_t rss_bytes);

/*
 * Looks at all watched containers, heap and usage. all_deep: leave no table and no page unread, and take
 * every death for certain: only while no record is on its way.
 */
void reader_poll(struct reader *reader, uint64_t now_ns, bool all_deep);

/* Memory of the process's cgroup, for all targets in it. */
void reader_group(struct reader *reader, uint64_t now_ns);

/* Usage (RSS, CPU) alone; with_peak also reads VmHWM. */
void reader_usage(struct reader *reader, bool with_peak);

#endif
