/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The probes are open in windows. An allocation is seen with the chance that a window is open: it stands for the
 * inverse of that. An allocation and its end are both seen where both fall into one window, which the length of
 * the windows says of moments so far apart, or each into another, which happens with the square of that
 * chance; the inverse of both together is what such a pair stands for (Horvitz and Thompson). So bytes in use are all
 * that was allocated without all that was given back, each in its own weight: no block is taken for leaked because
 * its end came while nobody looked. Estimates of small numbers may come out below 0: that is 0.
 *
 * What windows cannot show is the end of a block that lives longer than they do and not so long as the pause
 * between two of them. There memory itself helps: it says of many a sampled block that it is free by now, and no
 * more can be in use than the others stand for. A block that was freed and handed out anew in the same size looks
 * like the one that was sampled, so what is in use may come out too high.
 *
 * Pairs are kept by stack and by the distance of their moments, in steps of an eighth of a doubling.
 */
#include "trace/blocks.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/table.h"
#include "runtime/malloc_chunk.h"

#define MAX_LIVE    65536
#define MAX_PAIRS   65536
#define MAX_STACKS  16384
#define MAX_WINDOWS 4096
#define STEPS       8 /* of a doubling */
#define SIZE_FLAGS  7ull
#define MAPPED      2ull
#define MAX_BYTES   (1ull << 47)

struct window {
	uint64_t start_ns, end_ns; /* end 0 = still open */
};

/* A sampled block that has not been given back, as far as seen. */
struct live {
	uint64_t time_ns, bytes;
	uint32_t stack, window;
};

struct sum {
	double bytes, objects;
};

struct pairs {
	uint32_t stack;
	double bytes, objects, distance_ns; /* sums */
};

struct blocks {
	struct model *model;
	uint32_t target;
	uint64_t begin_ns;
	struct window windows[MAX_WINDOWS];
	size_t window_count;
	struct table by_addr; /* block -> index into live */
	struct live *live;
	size_t live_count, live_capacity;
	uint32_t *unused; /* indices into live */
	size_t unused_count, unused_capacity;
	struct table stacks; /* stack -> index into sums */
	struct sum *sums;
	uint32_t *sum_stacks;
	size_t sum_count, sum_capacity, stack_capacity;
	struct table by_distance; /* stack and step -> index into pairs */
	struct pairs *pairs;
	size_t pair_count, pair_capacity;
	uint64_t samples;
	bool overflow;
};

struct blocks *blocks_new(struct model *model, uint32_t target, uint64_t now_ns)
{
	struct blocks *blocks = xcalloc(1, sizeof(*blocks));

	blocks->model = model;
	blocks->target = target;
	blocks->begin_ns = now_ns;
	return blocks;
}

void blocks_free(struct blocks *blocks)
{
	if (!blocks)
		return;
	table_done(&blocks->by_addr);
	table_done(&blocks->stacks);
	table_done(&blocks->by_distance);
	free(blocks->live);
	free(blocks->unused);
	free(blocks->sums);
	free(blocks->sum_stacks);
	free(blocks->pairs);
	free(blocks);
}

/* ---- windows ---- */

void blocks_window(struct blocks *blocks, bool open, uint64_t time_ns)
{
	struct window *last =
		blocks->window_count ? &blocks->windows[blocks->window_count - 1] : NULL;
	bool is_open = last && !last->end_ns;

	if (open == is_open)
		return;
	if (!open) {
		last->end_ns = MAX(time_ns, last->start_ns + 1);
	} else if (blocks->window_count == MAX_WINDOWS) {
		blocks->overflow = true;
	} else {
		blocks->windows[blocks->window_count++] = (struct window){.start_ns = time_ns};
	}
}

/* The window that time_ns lies in, or -1: a record may come before its window is told. */
static int find_window(const struct blocks *blocks, uint64_t time_ns)
{
	for (size_t i = blocks->window_count; i-- > 0;) {
		const struct window *window = &blocks->windows[i];

		if (time_ns >= window->start_ns)
			return !window->end_ns || time_ns <= window->end_ns ? (int)i : -1;
	}
	return -1;
}

static uint64_t end_of(const struct window *window, uint64_t now_ns)
{
	return window->end_ns ? window->end_ns : MAX(now_ns, window->start_ns);
}

static double open_ns(const struct blocks *blocks, uint64_t now_ns)
{
	double sum = 0;

	for (size_t i = 0; i < blocks->window_count; i++)
		sum += (double)(end_of(&blocks->windows[i], now_ns) - blocks->windows[i].start_ns);
	return sum;
}

/* Of all moments, those that lie in a window and have one so far behind them that lies in the same. */
static double same_open_ns(const struct blocks *blocks, double distance_ns, uint64_t now_ns)
{
	double sum = 0;

	for (size_t i = 0; i < blocks->window_count; i++)
		sum += MAX((double)(end_of(&blocks->windows[i], now_ns) -
				    blocks->windows[i].start_ns) -
				   distance_ns,
			0.0);
	return sum;
}

/* ---- blocks ---- */

static struct sum *find_sum(struct blocks *blocks, uint32_t stack)
{
	uint64_t i;

	if (table_get(&blocks->stacks, stack, &i))
		return &blocks->sums[i];
	if (blocks->sum_count == MAX_STACKS)
		return find_sum(blocks, 0);
	i = blocks->sum_count;
	array_reserve(blocks->sums, i, blocks->sum_capacity);
	array_reserve(blocks->sum_stacks, i, blocks->stack_capacity);
	blocks->sums[i] = (struct sum){0, 0};
	blocks->sum_stacks[i] = stack;
	table_set(&blocks->stacks, stack, i);
	blocks->sum_count++;
	return &blocks->sums[i];
}

static uint32_t take_slot(struct blocks *blocks)
{
	if (blocks->unused_count)
		return blocks->unused[--blocks->unused_count];
	array_reserve(blocks->live, blocks->live_count, blocks->live_capacity);
	return (uint32_t)blocks->live_count++;
}

void blocks_add(struct blocks *blocks, const struct mt_record *record, uint32_t stack)
{
	uint64_t bytes = record->val[0] & ~SIZE_FLAGS, i;
	int window = find_window(blocks, record->time_ns);
	bool known = table_get(&blocks->by_addr, record->addr, &i);
	struct sum *sum;

	if (!record->addr || record->flags & MT_UNREAD || window < 0 || bytes > MAX_BYTES)
		return;
	/* realloc() has called malloc(), and hands on what that has given. */
	if (known && blocks->live[i].window == (uint32_t)window)
		return;
	if (!known && blocks->by_addr.count == MAX_LIVE) {
		blocks->overflow = true;
		return;
	}
	bytes -= MIN(bytes, record->val[0] & MAPPED ? 16u : 8u);
	sum = find_sum(blocks, stack);
	sum->bytes += (double)bytes;
	sum->objects++;
	blocks->samples++;
	/* One known from another window was given back while nobody looked: other pairs stand for it. */
	if (!known)
		i = take_slot(blocks);
	blocks->live[i] = (struct live){record->time_ns, bytes, stack, (uint32_t)window};
	table_set(&blocks->by_addr, record->addr, i);
}

static struct pairs *find_pairs(struct blocks *blocks, uint32_t stack, uint64_t distance_ns)
{
	uint64_t step = (uint64_t)(log2((double)distance_ns + 1) * STEPS), i;
	uint64_t key = (uint64_t)stack << 16 | step;

	if (table_get(&blocks->by_distance, key, &i))
		return &blocks->pairs[i];
	if (blocks->pair_count == MAX_PAIRS)
		return NULL;
	array_reserve(blocks->pairs, blocks->pair_count, blocks->pair_capacity);
	table_set(&blocks->by_distance, key, blocks->pair_count);
	blocks->pairs[blocks->pair_count] = (struct pairs){.stack = stack};
	return &blocks->pairs[blocks->pair_count++];
}

void blocks_end(struct blocks *blocks, const struct mt_record *record)
{
	const struct live *live;
	struct pairs *pairs;
	uint64_t i;

	if (find_window(blocks, record->time_ns) < 0 ||
		!table_get(&blocks->by_addr, record->addr, &i))
		return;
	live = &blocks->live[i];
	if (record->time_ns < live->time_ns)
		return;
	pairs = find_pairs(blocks, live->stack, record->time_ns - live->time_ns);
	if (pairs) {
		pairs->bytes += (double)live->bytes;
		pairs->objects++;
		pairs->distance_ns += (double)(record->time_ns - live->time_ns);
	} else {
		blocks->overflow = true;
	}
	table_remove(&blocks->by_addr, record->addr);
	array_reserve(blocks->unused, blocks->unused_count, blocks->unused_capacity);
	blocks->unused[blocks->unused_count++] = (uint32_t)i;
}

/* ---- figures ---- */

/* Moments that are closer together than any two windows lie in one or are not both seen. */
static double shortest_pause_ns(const struct blocks *blocks)
{
	double shortest = INFINITY;

	for (size_t i = 1; i < blocks->window_count; i++)
		shortest = MIN(shortest,
			(double)(blocks->windows[i].start_ns - blocks->windows[i - 1].end_ns));
	return shortest;
}

/* How many of its kind a pair stands for, where the session and its windows are so long together. */
static double weight_of(const struct blocks *blocks, const struct pairs *pairs, double all_ns,
	double open, uint64_t now_ns)
{
	double distance_ns = pairs->distance_ns / pairs->objects;
	double moments_ns = MAX(all_ns - distance_ns, open / 100);
	double same = same_open_ns(blocks, distance_ns, now_ns) / moments_ns;
	double part = open / all_ns, other = 0;

	if (distance_ns > shortest_pause_ns(blocks))
		other = part * part * (1 - MIN(same, 1.0));
	return 1 / MIN(MAX(same + other, part * part), 1.0);
}

static uint64_t at_least_zero(double value)
{
	return value > 0 ? (uint64_t)llround(value) : 0;
}

/* Sampled blocks that may be in use: whose chunk is not free and has the size that it had. */
static struct sum *find_possible(const struct blocks *blocks, struct target_mem *mem)
{
	struct sum *possible = xcalloc(blocks->sum_count + 1, sizeof(*possible));
	uint64_t addr, i, sum, usable;
	size_t cursor = 0;

	while (table_next(&blocks->by_addr, &cursor, &addr, &i)) {
		const struct live *live = &blocks->live[i];

		if (!table_get(&blocks->stacks, live->stack, &sum) ||
			malloc_chunk_read(mem, addr, live->bytes, &usable) != MALLOC_CHUNK_IN_USE ||
			usable != live->bytes)
			continue;
		possible[sum].bytes += (double)live->bytes;
		possible[sum].objects++;
	}
	return possible;
}

/* What was allocated with each stack and not given back. */
static struct sum *find_in_use(const struct blocks *blocks, struct target_mem *mem, double all_ns,
	double open, uint64_t now_ns)
{
	struct sum *in_use = xcalloc(blocks->sum_count + 1, sizeof(*in_use));
	struct sum *possible = find_possible(blocks, mem);
	double weight = all_ns / open;

	for (size_t i = 0; i < blocks->sum_count; i++)
		in_use[i] = (struct sum){
			blocks->sums[i].bytes * weight, blocks->sums[i].objects * weight};
	for (size_t i = 0; i < blocks->pair_count; i++) {
		const struct pairs *pairs = &blocks->pairs[i];
		double stands_for = weight_of(blocks, pairs, all_ns, open, now_ns);
		uint64_t sum;

		if (!table_get(&blocks->stacks, pairs->stack, &sum))
			continue;
		in_use[sum].bytes -= pairs->bytes * stands_for;
		in_use[sum].objects -= pairs->objects * stands_for;
	}
	for (size_t i = 0; i < blocks->sum_count; i++) {
		in_use[i].bytes = MIN(in_use[i].bytes, possible[i].bytes * weight);
		in_use[i].objects = MIN(in_use[i].objects, possible[i].objects * weight);
	}
	free(possible);
	return in_use;
}

void blocks_tell(const struct blocks *blocks, struct target_mem *mem, uint64_t now_ns)
{
	double all_ns = (double)(now_ns - MIN(blocks->begin_ns, now_ns));
	double open = open_ns(blocks, now_ns), bytes = 0;
	struct event event = {.kind = EVENT_PROFILE, .target = blocks->target, .time_ns = now_ns};
	struct sum *in_use;

	if (open <= 0 || all_ns <= 0 || !blocks->samples)
		return;
	all_ns = MAX(all_ns, open);
	for (size_t i = 0; i < blocks->sum_count; i++)
		bytes += blocks->sums[i].bytes;
	event.profile = (struct event_profile){.sampled = true,
		.paired = true,
		.complete = !blocks->overflow,
		.rate_bytes = at_least_zero(bytes * (all_ns / open) / (double)blocks->samples)};
	model_apply(blocks->model, &event);
	in_use = find_in_use(blocks, mem, all_ns, open, now_ns);
	event.kind = EVENT_ALLOCATED;
	for (size_t i = 0; i < blocks->sum_count; i++) {
		event.allocated = (struct event_allocated){.stack = blocks->sum_stacks[i],
			.in_use_bytes = at_least_zero(in_use[i].bytes),
			.in_use_objects = at_least_zero(in_use[i].objects),
			.allocated_bytes = at_least_zero(blocks->sums[i].bytes * (all_ns / open)),
			.allocated_objects =
				at_least_zero(blocks->sums[i].objects * (all_ns / open))};
		model_apply(blocks->model, &event);
	}
	free(in_use);
}
