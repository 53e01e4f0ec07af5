/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks of malloc, sampled: who allocated them, and which are still in use. One per target.
 */
#ifndef MEMTRACE_TRACE_BLOCKS_H
#define MEMTRACE_TRACE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memtrace.h"
#include "model/model.h"
#include "target/mem.h"

struct blocks;

/* model must outlive it. */
struct blocks *blocks_new(struct model *model, uint32_t target, uint64_t now_ns);
void blocks_free(struct blocks *blocks);

/* The probes deliver from time_ns on, or no longer do. */
void blocks_window(struct blocks *blocks, bool open, uint64_t time_ns);

/* A block was handed out (MT_BLOCK): stack as of symbolizer_stack(). */
void blocks_add(struct blocks *blocks, const struct mt_record *record, uint32_t stack);

/* A block was given back (MT_BLOCK_FREED). */
void blocks_end(struct blocks *blocks, const struct mt_record *record);

/* Tells the model what was allocated, and is in use, by stack; nothing where no probe was ever open. */
void blocks_tell(const struct blocks *blocks, struct target_mem *mem, uint64_t now_ns);

#endif
