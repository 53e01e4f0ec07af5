/* SPDX-License-Identifier: BSD-2-Clause */
/* Go channels from outside: runtime.hchan and its ring (runtime/chan.go). */
#ifndef MEMTRACE_RUNTIME_GO_CHAN_H
#define MEMTRACE_RUNTIME_GO_CHAN_H

#include "runtime/go/go_heap.h"

#define GO_CHAN_HEADER_BYTES 64 /* what we read of it: up to recvx */

struct go_chan_header {
	uint64_t length, capacity;
	uint64_t ring;      /* in the same object where the elements hold no pointers */
	uint64_t elem_type; /* run-time address */
	uint64_t elem_bytes;
	uint64_t stamp; /* changes with every send, receive and close */
};

/* False where the numbers alone are impossible for a channel at key. */
bool go_chan_parse(const struct runtime_process *process, uint64_t key,
	const uint8_t raw[GO_CHAN_HEADER_BYTES], struct go_chan_header *ret);

/* 0 where the objects and the element type confirm the header, else -ENOENT or -ESRCH. */
int go_chan_check(
	struct runtime_process *process, uint64_t key, const struct go_chan_header *header);

/* As go_map_walk(). */
int go_chan_walk(struct runtime_process *process, uint64_t key, const struct go_chan_header *header,
	struct go_shape *ret);

#endif
