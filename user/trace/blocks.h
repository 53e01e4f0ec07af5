/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blocks of malloc, sampled: who allocated them, and which are still in use. One per target.
 *
 * What is told is about the blocks that were allocated while the probes were open, and nothing else: nothing is
 * stretched over the time in which they were shut, because a program gets less done while they are
 * open, and nobody knows how much less. Each block was sampled by its bytes with a chance that is known
 * exactly, and stands for the inverse of it (Horvitz and Thompson), so sums are right on average whatever the
 * program does; how far off they may be follows from the same chances and is told as one standard error. Where
 * there were several windows it is how far a stack's part of all bytes varied between them, if that is more.
 *
 * In use is what was sampled and not given back. While the probes stay open each end is seen. Once they were
 * shut, ends may have been missed: then it is the most that can be in use, of which what memory itself
 * says is free by now has been taken off.
 */
#ifndef MEMTRACE_TRACE_BLOCKS_H
#define MEMTRACE_TRACE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memtrace.h"
#include "model/model.h"
#include "target/mem.h"

/* Samples of which the end is waited for, in all targets together. */
#define BLOCKS_MAX 65536

struct blocks;

/* model must outlive it. */
struct blocks *blocks_new(struct model *model, uint32_t target);
void blocks_free(struct blocks *blocks);

/* A sample (MT_BLOCK): stack as of symbolizer_stack(). */
void blocks_add(struct blocks *blocks, const struct mt_record *record, uint32_t stack);

/* A sample was given back (MT_BLOCK_FREED). */
void blocks_end(struct blocks *blocks, const struct mt_record *record);

/* The probes were opened, or shut: from then on ends may be missed. */
void blocks_window(struct blocks *blocks, bool open, uint64_t time_ns);

/*
 * How many bytes one sample is to stand for: hits = what may come until the next call, produced = records of samples so far, of this target. A program that
 * allocates much is sampled less, so that whoever takes the records keeps up.
 */
uint64_t blocks_rate(struct blocks *blocks, int64_t hits, uint64_t produced, uint64_t now_ns);

/* The probes were opened: what was produced per time before says nothing. */
void blocks_restart_rate(struct blocks *blocks, uint64_t produced, uint64_t now_ns);

/*
 * Tells the model what was allocated, and is in use, by stack; nothing where nothing was sampled. mem: of a
 * process whose malloc is glibc's, else NULL.
 */
void blocks_tell(struct blocks *blocks, struct target_mem *mem, uint64_t now_ns);

#endif
