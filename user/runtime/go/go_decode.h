/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by what decodes records of Go's probes: go_decode.c (maps, channels) and go_decode_array.c
 * (slices, builders, buffers).
 */
#ifndef MEMTRACE_RUNTIME_GO_DECODE_H
#define MEMTRACE_RUNTIME_GO_DECODE_H

#include "runtime/go/go_process.h"

typedef int go_decode_fn(struct runtime_process *process, const struct mt_record *record,
	struct event *ret, uint64_t *ret_type);

/* A type for the model: see GO_TYPE_FAMILY_SHIFT. 0 stays 0. */
uint64_t go_decode_tag(enum family family, uint64_t type);

/* An event of growth in which nothing but the names is filled in. */
void go_decode_init_growth(struct event *event, enum family family, uint64_t key, uint64_t old_key);

/* Is addr on the stack of the goroutine that ran into the probe? */
bool go_decode_on_stack(const struct mt_record *record, uint64_t addr);

/* One for each GO_PROBE_ of theirs. */
go_decode_fn go_decode_growslice, go_decode_buffer_grow, go_decode_builder_grow;

#endif
