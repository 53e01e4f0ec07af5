/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks that were sampled in windows: what they stand for, and what of it is in use. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/model.h"
#include "target/mem.h"
#include "trace/blocks.h"

#define START_NS (1000 * NSEC_PER_SEC)
#define HEAP     0x555500000000ull
#define BYTES    56 /* usable, in a chunk of 64 */
#define MAX_AGE  200

struct world {
	struct model *model;
	struct target_mem *mem;
	struct blocks *blocks;
	uint32_t target, kept, gone;
};

static uint32_t stack_of(struct world *w, const char *function)
{
	struct model_frame frame = {function, "/app/a.cc", 1, false, false};

	return model_add_stack(w->model, w->target, &frame, 1);
}

static struct world world_new(void)
{
	struct world w = {.model = model_new(), .mem = target_mem_new_image()};
	struct model_target_info info = {.pid = 1, .comm = "a", .runtime = "c++"};

	w.target = model_add_target(w.model, &info);
	w.kept = stack_of(&w, "keep");
	w.gone = stack_of(&w, "churn");
	w.blocks = blocks_new(w.model, w.target, START_NS);
	return w;
}

static void world_done(struct world *w)
{
	blocks_free(w->blocks);
	target_mem_close(w->mem);
	model_free(w->model);
}

static uint64_t block(uint64_t i)
{
	return HEAP + i * 64 + 16;
}

static void add(struct world *w, uint64_t at_ns, uint64_t addr, uint32_t stack)
{
	struct mt_record record = {.kind = MT_BLOCK, .time_ns = START_NS + at_ns, .addr = addr};
	uint64_t size = 64 | 1;

	record.val[0] = size;
	target_mem_add_image(w->mem, addr - 8, &size, sizeof(size));
	target_mem_add_image(w->mem, addr + 56, &size, sizeof(size));
	blocks_add(w->blocks, &record, stack);
}

static void end(struct world *w, uint64_t at_ns, uint64_t addr)
{
	struct mt_record record = {
		.kind = MT_BLOCK_FREED, .time_ns = START_NS + at_ns, .addr = addr};

	blocks_end(w->blocks, &record);
}

static const struct event_allocated *told(struct world *w, uint64_t at_ns, uint32_t stack)
{
	const struct target *target = model_target(w->model, w->target);

	blocks_tell(w->blocks, w->mem, START_NS + at_ns);
	for (size_t i = 0; i < target->allocated_count; i++)
		if (target->allocated[i].stack == stack)
			return &target->allocated[i];
	return NULL;
}

Test(blocks, all_is_seen_while_the_probes_are_open)
{
	struct world w = world_new();

	blocks_window(w.blocks, true, START_NS);
	for (uint64_t i = 0; i < 100; i++) {
		add(&w, i * 1000, block(2 * i), w.kept);
		add(&w, i * 1000 + 1, block(2 * i + 1), w.gone);
		end(&w, i * 1000 + 500, block(2 * i + 1));
	}
	cr_assert_eq(told(&w, 100000, w.kept)->in_use_bytes, 100 * BYTES);
	cr_assert_eq(told(&w, 100000, w.kept)->in_use_objects, 100);
	cr_assert_eq(told(&w, 100000, w.gone)->allocated_bytes, 100 * BYTES);
	cr_assert_leq(told(&w, 100000, w.gone)->in_use_bytes, BYTES);
	cr_assert(model_target(w.model, w.target)->profile.paired);
	cr_assert(model_target(w.model, w.target)->profile.complete);
	world_done(&w);
}

Test(blocks, nothing_without_a_window)
{
	struct world w = world_new();

	add(&w, 10, block(1), w.kept);
	cr_assert_null(told(&w, 1000, w.kept));
	blocks_window(w.blocks, true, START_NS + 100);
	add(&w, 50, block(1), w.kept);
	cr_assert_null(told(&w, 1000, w.kept), "before its window");
	blocks_window(w.blocks, false, START_NS + 200);
	add(&w, 250, block(1), w.kept);
	cr_assert_null(told(&w, 1000, w.kept), "behind it");
	world_done(&w);
}

/* realloc() hands on what malloc() has given it; a block that comes again later is another one. */
Test(blocks, the_same_address_again)
{
	struct world w = world_new();

	blocks_window(w.blocks, true, START_NS);
	add(&w, 10, block(1), w.kept);
	add(&w, 11, block(1), w.gone);
	blocks_window(w.blocks, false, START_NS + 100);
	cr_assert_null(told(&w, 100, w.gone));
	blocks_window(w.blocks, true, START_NS + 1000);
	add(&w, 1010, block(1), w.gone);
	cr_assert_not_null(told(&w, 1100, w.gone));
	cr_assert_eq(told(&w, 1100, w.kept)->in_use_bytes, 0, "its address is another's now");
	world_done(&w);
}

/* What memory says is free by now is not in use, though nobody saw its end. */
Test(blocks, memory_knows_what_is_free)
{
	struct world w = world_new();
	uint64_t used = 64 | 1, is_free = 64;

	blocks_window(w.blocks, true, START_NS);
	for (uint64_t i = 0; i < 10; i++)
		add(&w, 10 + i, block(2 * i), w.kept);
	blocks_window(w.blocks, false, START_NS + 100);
	for (uint64_t i = 0; i < 4; i++)
		target_mem_add_image(w.mem, block(2 * i) + 56, &is_free, sizeof(is_free));
	(void)used;
	cr_assert_eq(told(&w, 1000, w.kept)->in_use_bytes, 6 * BYTES * 10);
	world_done(&w);
}

/*
 * A program that allocates every microsecond and frees each block after a time of its own, watched a tenth
 * of the time in windows at random: many sessions together must come to the truth.
 */
Test(blocks, estimates_are_right_on_average, .timeout = 60)
{
	double allocated = 0, in_use = 0;
	const int sessions = 4, rounds = 400000;
	unsigned int seed = 7;

	for (int session = 0; session < sessions; session++) {
		struct world w = world_new();
		bool open = false;

		for (int i = 0; i < rounds; i++) {
			uint64_t at = (uint64_t)i * 1000;

			if (i % 100 == 0 && open != (rand_r(&seed) % 10 == 0)) {
				open = !open;
				blocks_window(w.blocks, open, START_NS + at);
			}
			if (i >= MAX_AGE)
				end(&w, at + 10, block((uint64_t)i - (i % 2 ? MAX_AGE : 20)));
			add(&w, at + 20, block((uint64_t)i), w.kept);
		}
		blocks_window(w.blocks, false, START_NS + (uint64_t)rounds * 1000);
		told(&w, (uint64_t)rounds * 1000, w.kept);
		for (size_t i = 0; i < model_target(w.model, w.target)->allocated_count; i++) {
			allocated += (double)model_target(w.model, w.target)
					     ->allocated[i]
					     .allocated_objects;
			in_use += (double)model_target(w.model, w.target)
					  ->allocated[i]
					  .in_use_objects;
		}
		world_done(&w);
	}
	allocated /= sessions;
	in_use /= sessions;
	cr_assert_float_eq(allocated, rounds, rounds * 0.03, "%g of %d", allocated, rounds);
	/* Half of them end in another window, if seen: without their weight these would all seem to be in use. */
	cr_assert_leq(in_use, rounds * 0.2, "%g of them, of about 120", in_use);
}
