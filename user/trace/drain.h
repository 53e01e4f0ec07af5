/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The drain: a thread that empties the kernel's rings into a bounded queue, so that a slow main
 * thread costs nothing in the kernel. What the queue has no room for waits in the ring.
 *
 * One thread calls drain_next(); drain_event_fd() tells it when there is something.
 */
#ifndef MEMTRACE_TRACE_DRAIN_H
#define MEMTRACE_TRACE_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "memtrace.h"

struct drain;
struct trace_bpf;

#define DRAIN_QUEUE_BYTES (8u << 20)

struct drain_counts {
	uint64_t delivered; /* handed out by drain_next() */
	uint64_t lost;      /* no room for a control record, or the record made no sense */
};

/* Starts the thread on both rings. queue_bytes: a power of two >= 64 KiB, 0 = DRAIN_QUEUE_BYTES. */
int drain_start(struct trace_bpf *bpf, uint32_t queue_bytes, struct drain **ret);

/* Readable (poll) while records wait, or may wait. drain_next() resets it once the queue is empty. */
int drain_event_fd(const struct drain *drain);

/*
 * The next record, or NULL. Valid until the next call. size is the bytes of this copy: stack_bytes
 * have been checked against it, kind and attachment are within their enums. Records of different
 * CPUs and of the control ring come nearly, not exactly, in the order of time_ns.
 */
const struct mt_record *drain_next(struct drain *drain);

/*
 * Empties the rings now and returns when everything written before the call is in the queue, or the
 * queue is full: then true, records are left; take those that are there and flush again. At the end of a
 * run: shut all gates, close all links, drain_flush(), then drain_next() to the last; then
 * produced == delivered + lost holds for each source.
 */
bool drain_flush(struct drain *drain);

/* What happened to a source's records on this side of the ring. */
struct drain_counts drain_read_counts(struct drain *drain, uint32_t source);

void drain_stop(struct drain *drain);

#endif
