/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sample that is in use waits in a table by its number, and by its address: the kernel gives each address to
 * one sample at a time, so one that comes again means that the end of the one before was missed.
 *
 * The variance of a sum of weights is the sum of (1 - p) (y / p)^2 over the samples, y = what a sample counts,
 * p = its chance; each is independent of all others.
 */
#include "trace/blocks.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/table.h"
#include "runtime/allocator/malloc_chunk.h"

#define MAX_STACKS 16384

/* Samples a second that are welcome: each one's stack costs some 20 us. */
#define MOST_SAMPLES  4000
#define LEAST_SAMPLES 500
#define BURST_SAMPLES 500 /* may come at once */
#define MIN_RATE      1024ull
#define MAX_RATE      (1ull << 30)

/* More hits than so many before the next look may make more records than the ring has room for. */
#define FEW_HITS  4000
#define BUSY_RATE 8192ull

/* From so many on that wait for their end, the rate rises with each so many more. */
#define CROWD      (BLOCKS_MAX / 2)
#define CROWD_STEP (BLOCKS_MAX / 64)

/* Below it no block has a mapping of its own, and the word before it tells its size. */
#define SMALL_BYTES (64ull << 10)

struct sum {
	double bytes, objects, variance;
};

/* Of the windows that have ended: window_bytes is what came in the one that has not. */
struct of_stack {
	uint32_t stack;
	struct sum allocated;
	double window_bytes;
	double squares,
		products; /* sums of its bytes of a window, with themselves and with all bytes of it */
};

struct sample {
	uint64_t addr, bytes, rate;
	uint32_t sums; /* index */
};

struct blocks {
	struct model *model;
	uint32_t target;
	struct table by_id, by_addr; /* number, address -> index into samples; -> number */
	struct sample *samples;
	size_t sample_count, sample_cap;
	uint32_t *unused; /* indices into samples */
	size_t unused_count, unused_cap;
	struct table stacks; /* stack -> index into sums */
	struct of_stack *sums;
	size_t sum_count, sum_cap;
	uint64_t taken;
	double bytes, window_bytes, window_squares; /* of all stacks */
	uint64_t *opened_ns;                        /* of each window */
	size_t opened_count, opened_cap, windows;   /* of them, windows have ended */
	bool missing;                               /* ends may have been missed */
	bool overflow;                              /* more stacks than are kept */
	uint64_t rate, rate_ns, rate_produced;
};

struct blocks *blocks_new(struct model *model, uint32_t target)
{
	struct blocks *blocks = xcalloc(1, sizeof(*blocks));

	blocks->model = model;
	blocks->target = target;
	blocks->rate = MIN_RATE;
	return blocks;
}

void blocks_free(struct blocks *blocks)
{
	if (!blocks)
		return;
	table_done(&blocks->by_id);
	table_done(&blocks->by_addr);
	table_done(&blocks->stacks);
	free(blocks->samples);
	free(blocks->unused);
	free(blocks->sums);
	free(blocks->opened_ns);
	free(blocks);
}

/* ---- windows ---- */

void blocks_window(struct blocks *blocks, bool open, uint64_t time_ns)
{
	if (!open) {
		blocks->missing = true;
		return;
	}
	array_reserve(blocks->opened_ns, blocks->opened_count, blocks->opened_cap);
	blocks->opened_ns[blocks->opened_count++] = time_ns;
}

static void end_window(struct blocks *blocks)
{
	double all = blocks->window_bytes;

	for (size_t i = 0; i < blocks->sum_count; i++) {
		struct of_stack *sums = &blocks->sums[i];

		sums->squares += sums->window_bytes * sums->window_bytes;
		sums->products += sums->window_bytes * all;
		sums->window_bytes = 0;
	}
	blocks->window_squares += all * all;
	blocks->window_bytes = 0;
	blocks->windows++;
}

/* Records come later than what happens to the windows that they are from. */
static void end_windows(struct blocks *blocks, uint64_t time_ns)
{
	while (blocks->windows + 1 < blocks->opened_count &&
		time_ns >= blocks->opened_ns[blocks->windows + 1])
		end_window(blocks);
}

/* A window is a sample of the program's time: the variance of a ratio of sums over them (Cochran, 6.4). */
static double window_variance(const struct blocks *blocks, const struct of_stack *sums)
{
	double part = sums->allocated.bytes / blocks->bytes, windows = (double)blocks->windows;
	double squares =
		sums->squares - 2 * part * sums->products + part * part * blocks->window_squares;

	return windows > 1 ? MAX(squares, 0.0) * windows / (windows - 1) : 0;
}

/* ---- samples ---- */

static void count(struct sum *sum, uint64_t bytes, uint64_t rate)
{
	double weight = bytes < rate ? (double)rate / (double)bytes : 1;

	sum->bytes += weight * (double)bytes;
	sum->objects += weight;
	sum->variance += (1 - 1 / weight) * (weight * (double)bytes) * (weight * (double)bytes);
}

static uint32_t find_sums(struct blocks *blocks, uint32_t stack)
{
	uint64_t i;

	if (table_get(&blocks->stacks, stack, &i))
		return (uint32_t)i;
	if (blocks->sum_count == MAX_STACKS) {
		blocks->overflow = true;
		return 0;
	}
	i = blocks->sum_count;
	array_reserve(blocks->sums, i, blocks->sum_cap);
	blocks->sums[i] = (struct of_stack){.stack = stack};
	table_set(&blocks->stacks, stack, i);
	blocks->sum_count++;
	return (uint32_t)i;
}

static uint32_t take_slot(struct blocks *blocks)
{
	if (blocks->unused_count)
		return blocks->unused[--blocks->unused_count];
	array_reserve(blocks->samples, blocks->sample_count, blocks->sample_cap);
	return (uint32_t)blocks->sample_count++;
}

static void end(struct blocks *blocks, uint64_t id)
{
	uint64_t i, of_addr;

	if (!table_get(&blocks->by_id, id, &i))
		return;
	table_remove(&blocks->by_id, id);
	if (table_get(&blocks->by_addr, blocks->samples[i].addr, &of_addr) && of_addr == id)
		table_remove(&blocks->by_addr, blocks->samples[i].addr);
	array_reserve(blocks->unused, blocks->unused_count, blocks->unused_cap);
	blocks->unused[blocks->unused_count++] = (uint32_t)i;
}

void blocks_add(struct blocks *blocks, const struct mt_record *record, uint32_t stack)
{
	uint64_t bytes = record->val[0], rate = record->val[1], id = record->val[2], before;
	uint32_t sums = find_sums(blocks, stack), i;

	if (!bytes)
		return;
	end_windows(blocks, record->time_ns);
	blocks->taken++;
	blocks->bytes += (double)MAX(bytes, rate);
	blocks->window_bytes += (double)MAX(bytes, rate);
	blocks->sums[sums].window_bytes += (double)MAX(bytes, rate);
	count(&blocks->sums[sums].allocated, bytes, rate);
	if (table_get(&blocks->by_addr, record->addr, &before)) {
		end(blocks, before);
		blocks->missing = true;
	}
	if (record->flags & MT_UNTRACKED)
		blocks->missing = true;
	i = take_slot(blocks);
	blocks->samples[i] = (struct sample){record->addr, bytes, rate, sums};
	table_set(&blocks->by_id, id, i);
	table_set(&blocks->by_addr, record->addr, id);
}

void blocks_end(struct blocks *blocks, const struct mt_record *record)
{
	end(blocks, record->val[0]);
}

/* ---- the rate ---- */

static uint64_t least_rate(const struct blocks *blocks)
{
	size_t live = blocks->by_id.count;

	return live > CROWD ? MIN_RATE << MIN((live - CROWD) / CROWD_STEP, 16) : MIN_RATE;
}

void blocks_restart_rate(struct blocks *blocks, uint64_t produced, uint64_t now_ns)
{
	blocks->rate_ns = now_ns;
	blocks->rate_produced = produced;
}

uint64_t blocks_rate(struct blocks *blocks, int64_t hits, uint64_t produced, uint64_t now_ns)
{
	double seconds = (double)(now_ns - blocks->rate_ns) / NSEC_PER_SEC;
	double came = (double)(produced - MIN(blocks->rate_produced, produced));
	double most = seconds * MOST_SAMPLES + BURST_SAMPLES;

	if (came > most) {
		do
			blocks->rate *= 2;
		while ((came /= 2) > most);
		blocks_restart_rate(blocks, produced, now_ns);
	} else if (seconds >= 1) {
		if (came < seconds * LEAST_SAMPLES)
			blocks->rate /= 2;
		blocks_restart_rate(blocks, produced, now_ns);
	}
	if (hits > FEW_HITS)
		blocks->rate = MAX(blocks->rate, BUSY_RATE);
	blocks->rate = MIN(MAX(blocks->rate, least_rate(blocks)), MAX_RATE);
	return blocks->rate;
}

/* ---- figures ---- */

/* False where memory says that it was given back, seen or not. */
static bool may_be_in_use(const struct sample *sample, struct target_mem *mem)
{
	uint64_t usable;

	switch (malloc_chunk_read(mem, sample->addr, sample->bytes, &usable)) {
	case MALLOC_CHUNK_IN_USE:
		return true;
	case MALLOC_CHUNK_NONE:
		return sample->bytes >= SMALL_BYTES;
	default:
		return false;
	}
}

/* By index of sums; the caller frees it. */
static struct sum *sum_in_use(const struct blocks *blocks, struct target_mem *mem)
{
	struct sum *in_use = xcalloc(blocks->sum_count + 1, sizeof(*in_use));
	uint64_t id, i;
	size_t cursor = 0;

	while (table_next(&blocks->by_id, &cursor, &id, &i)) {
		const struct sample *sample = &blocks->samples[i];

		if (!blocks->missing || !mem || may_be_in_use(sample, mem))
			count(&in_use[sample->sums], sample->bytes, sample->rate);
	}
	return in_use;
}

void blocks_tell(struct blocks *blocks, struct target_mem *mem, uint64_t now_ns)
{
	struct event event = {.kind = EVENT_PROFILE, .target = blocks->target, .time_ns = now_ns};
	struct sum *in_use;

	if (!blocks->taken)
		return;
	end_windows(blocks, now_ns);
	if (blocks->windows < blocks->opened_count)
		end_window(blocks);
	event.profile = (struct event_profile){.sampled = true,
		.paired = true,
		.at_most = blocks->missing,
		.complete = !blocks->overflow,
		.rate_bytes = (uint64_t)(blocks->bytes / (double)blocks->taken)};
	model_apply(blocks->model, &event);
	in_use = sum_in_use(blocks, mem);
	event.kind = EVENT_ALLOCATED;
	for (size_t i = 0; i < blocks->sum_count; i++) {
		const struct sum *allocated = &blocks->sums[i].allocated;

		event.allocated = (struct event_allocated){.stack = blocks->sums[i].stack,
			.in_use_bytes = (uint64_t)llround(in_use[i].bytes),
			.in_use_objects = (uint64_t)llround(in_use[i].objects),
			.in_use_error_bytes = (uint64_t)llround(sqrt(in_use[i].variance)),
			.allocated_bytes = (uint64_t)llround(allocated->bytes),
			.allocated_objects = (uint64_t)llround(allocated->objects),
			.allocated_error_bytes = (uint64_t)llround(sqrt(MAX(
				allocated->variance, window_variance(blocks, &blocks->sums[i]))))};
		model_apply(blocks->model, &event);
	}
	free(in_use);
}
