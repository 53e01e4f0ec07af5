/* SPDX-License-Identifier: BSD-2-Clause */
/* Sampled blocks: what they stand for, what of it is in use, and how far off that may be. */
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

struct world {
	struct model *model;
	struct target_mem *mem;
	struct blocks *blocks;
	uint32_t target, kept, gone;
	uint64_t last_id;
};

static uint32_t stack_of(struct world *w, const char *function)
{
	struct model_frame frame = {function, "/app/a.cc", 1, false, false, NULL, NULL};

	return model_add_stack(w->model, w->target, &frame, 1);
}

static struct world world_new(void)
{
	struct world w = {.model = model_new(), .mem = target_mem_new_image()};
	struct model_target_info info = {.pid = 1, .comm = "a", .runtime = "c++"};

	w.target = model_add_target(w.model, &info);
	w.kept = stack_of(&w, "keep");
	w.gone = stack_of(&w, "churn");
	w.blocks = blocks_new(w.model, w.target);
	blocks_window(w.blocks, true, START_NS);
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
	return HEAP + i * 4096 + 16;
}

/* Returns its number. */
static uint64_t add(struct world *w, uint64_t at_ns, uint64_t addr, uint64_t bytes, uint64_t rate,
	uint32_t stack)
{
	struct mt_record record = {.kind = MT_BLOCK,
		.time_ns = START_NS + at_ns,
		.addr = addr,
		.val = {bytes, rate, ++w->last_id}};

	blocks_add(w->blocks, &record, stack);
	return w->last_id;
}

static void end(struct world *w, uint64_t id)
{
	struct mt_record record = {.kind = MT_BLOCK_FREED, .val = {id}};

	blocks_end(w->blocks, &record);
}

static const struct event_allocated *told(struct world *w, uint32_t stack)
{
	const struct target *target = model_target(w->model, w->target);

	blocks_tell(w->blocks, w->mem, START_NS + NSEC_PER_SEC);
	for (size_t i = 0; i < target->allocated_count; i++)
		if (target->allocated[i].stack == stack)
			return &target->allocated[i];
	return NULL;
}

static const struct event_profile *profile(const struct world *w)
{
	return &model_target(w->model, w->target)->profile;
}

Test(blocks, what_is_as_large_as_the_rate_is_exact)
{
	struct world w = world_new();

	for (uint64_t i = 0; i < 100; i++) {
		add(&w, i, block(2 * i), 500, 500, w.kept);
		end(&w, add(&w, i, block(2 * i + 1), 700, 500, w.gone));
	}
	cr_assert_eq(told(&w, w.kept)->in_use_bytes, 50000);
	cr_assert_eq(told(&w, w.kept)->in_use_objects, 100);
	cr_assert_eq(told(&w, w.kept)->allocated_error_bytes, 0);
	cr_assert_eq(told(&w, w.gone)->allocated_bytes, 70000);
	cr_assert_eq(told(&w, w.gone)->in_use_bytes, 0);
	cr_assert(profile(&w)->sampled && profile(&w)->paired && profile(&w)->complete);
	cr_assert_not(profile(&w)->at_most);
	cr_assert_eq(profile(&w)->rate_bytes, 600);
	world_done(&w);
}

Test(blocks, nothing_without_a_sample)
{
	struct world w = world_new();

	cr_assert_null(told(&w, w.kept));
	cr_assert_not(profile(&w)->sampled);
	world_done(&w);
}

/* An end is that of a number: whatever has its address by now goes on. */
Test(blocks, an_end_that_comes_late)
{
	struct world w = world_new();
	uint64_t first = add(&w, 1, block(1), 500, 500, w.kept);

	end(&w, first);
	add(&w, 2, block(1), 600, 500, w.kept);
	end(&w, first);
	cr_assert_eq(told(&w, w.kept)->in_use_bytes, 600);
	cr_assert_not(profile(&w)->at_most);
	world_done(&w);
}

static void chunk(struct world *w, uint64_t i, uint64_t size, bool in_use)
{
	uint64_t word = size | 1, next = 64 | (in_use ? 1 : 0);

	target_mem_add_image(w->mem, block(i) - 8, &word, sizeof(word));
	target_mem_add_image(w->mem, block(i) - 8 + size, &next, sizeof(next));
}

Test(blocks, an_address_that_comes_again_was_given_back)
{
	struct world w = world_new();

	add(&w, 1, block(1), 500, 500, w.kept);
	add(&w, 2, block(1), 600, 500, w.gone);
	chunk(&w, 1, 608, true);
	cr_assert_eq(told(&w, w.kept)->in_use_bytes, 0);
	cr_assert_eq(told(&w, w.gone)->in_use_bytes, 600);
	cr_assert(profile(&w)->at_most, "an end was missed");
	world_done(&w);
}

/* What memory says is free by now is not in use; while each end is seen, nobody has to ask. */
Test(blocks, memory_knows_what_is_free)
{
	struct world w = world_new();

	for (uint64_t i = 0; i < 10; i++) {
		add(&w, i, block(i), 500, 500, w.kept);
		chunk(&w, i, i < 3 ? 64 : 512, i != 3);
	}
	cr_assert_eq(told(&w, w.kept)->in_use_bytes, 5000);
	blocks_window(w.blocks, false, START_NS + 100);
	cr_assert_eq(told(&w, w.kept)->in_use_bytes, 3000);
	cr_assert(profile(&w)->at_most);
	world_done(&w);
}

/* As block_is_sampled() of bpf/block.bpf.h. */
static bool is_sampled(uint64_t bytes, uint64_t rate, unsigned int *seed)
{
	uint64_t random = ((uint64_t)rand_r(seed) << 8 ^ (uint64_t)rand_r(seed)) & 0xffffffff;

	return bytes >= rate || random * rate >> 32 < bytes;
}

/*
 * Many sessions of one program, sampled each time anew: their figures are the truth on average, and differ by
 * as much as each says of itself.
 */
Test(blocks, estimates_are_right_on_average)
{
	const int sessions = 400, rounds = 3000;
	double sum = 0, squares = 0, objects = 0, in_use = 0, variance = 0, truth = 0, kept = 0;
	unsigned int seed = 7, size_seed;

	for (int session = 0; session < sessions; session++) {
		struct world w = world_new();

		size_seed = 99;
		truth = kept = 0;
		for (int i = 0; i < rounds; i++) {
			uint64_t bytes = 16 + (uint64_t)rand_r(&size_seed) % (i % 10 ? 200 : 9000);
			/* The rate changes on the way. */
			uint64_t rate = i < rounds / 2 ? 1024 : 4096, id = 0;

			truth += (double)bytes;
			kept += i % 3 ? 0 : (double)bytes;
			if (is_sampled(bytes, rate, &seed))
				id = add(&w, (uint64_t)i, block((uint64_t)i), bytes, rate, w.kept);
			if (id && i % 3)
				end(&w, id);
		}
		cr_assert_not_null(told(&w, w.kept));
		sum += (double)told(&w, w.kept)->allocated_bytes;
		squares += pow((double)told(&w, w.kept)->allocated_bytes - truth, 2);
		objects += (double)told(&w, w.kept)->allocated_objects;
		in_use += (double)told(&w, w.kept)->in_use_bytes;
		variance += pow((double)told(&w, w.kept)->allocated_error_bytes, 2);
		world_done(&w);
	}
	cr_assert_float_eq(sum / sessions, truth, truth * 0.01, "%g of %g", sum / sessions, truth);
	cr_assert_float_eq(
		in_use / sessions, kept, kept * 0.02, "%g of %g", in_use / sessions, kept);
	cr_assert_float_eq(objects / sessions, rounds, rounds * 0.02, "%g", objects / sessions);
	cr_assert_float_eq(sqrt(squares / variance), 1, 0.12, "off by %g times what they say",
		sqrt(squares / variance));
}

/* In one window a program does only this, in the next only that: two windows say little of a third. */
Test(blocks, windows_that_differ)
{
	struct world w = world_new();

	for (uint64_t i = 0; i < 100; i++)
		add(&w, i, block(i), 1000, 1000, w.kept);
	cr_assert_eq(told(&w, w.kept)->allocated_error_bytes, 0);
	world_done(&w);

	w = world_new();
	for (uint64_t i = 0; i < 100; i++)
		add(&w, i, block(i), 1000, 1000, w.kept);
	blocks_window(w.blocks, false, START_NS + 500);
	blocks_window(w.blocks, true, START_NS + 1000);
	for (uint64_t i = 0; i < 100; i++)
		add(&w, 1000 + i, block(1000 + i), 1000, 1000, w.gone);
	/* Its part is a half, but was 1 and 0: 100000 = sqrt(2 / 1 * 2 * (50000 * 50000)) */
	cr_assert_eq(told(&w, w.kept)->allocated_error_bytes, 100000);
	world_done(&w);

	w = world_new();
	for (uint64_t i = 0; i < 200; i++) {
		if (i == 100)
			blocks_window(w.blocks, true, START_NS + 100);
		add(&w, i, block(i), 1000, 1000, i % 2 ? w.kept : w.gone);
	}
	cr_assert_eq(told(&w, w.kept)->allocated_error_bytes, 0, "both windows are alike");
	world_done(&w);
}

Test(blocks, a_busy_program_is_sampled_less)
{
	struct world w = world_new();
	uint64_t now_ns = START_NS, rate, produced = 0;

	blocks_restart_rate(w.blocks, produced, now_ns);
	rate = blocks_rate(w.blocks, 100, produced, now_ns + NSEC_PER_MSEC);
	cr_assert_eq(blocks_rate(w.blocks, 100, produced + 100, now_ns + 2 * NSEC_PER_MSEC), rate);
	cr_assert_eq(blocks_rate(w.blocks, 100, produced += 5000, now_ns += 5 * NSEC_PER_MSEC),
		rate * 16);
	/* Enough, but not too many; then too few. */
	cr_assert_eq(
		blocks_rate(w.blocks, 100, produced += 1000, now_ns += NSEC_PER_SEC), rate * 16);
	cr_assert_eq(blocks_rate(w.blocks, 100, produced += 100, now_ns += NSEC_PER_SEC), rate * 8);
	for (int i = 0; i < 10; i++)
		blocks_rate(w.blocks, 100, produced, now_ns += NSEC_PER_SEC);
	cr_assert_eq(blocks_rate(w.blocks, 100, produced, now_ns), rate, "the least");
	cr_assert_gt(blocks_rate(w.blocks, 1 << 20, produced, now_ns), rate, "much may come");
	world_done(&w);
}

/* Each that waits for its end has a place in the kernel, of which there are so many. */
Test(blocks, what_waits_is_bounded)
{
	struct world w = world_new();
	uint64_t now_ns = START_NS, rate = 0;

	for (uint64_t i = 0; i < BLOCKS_MAX * 3 / 4; i++)
		add(&w, i, block(i), 1000, 1000, w.kept);
	rate = blocks_rate(w.blocks, 100, 0, now_ns);
	cr_assert_geq(rate, 1024 << 16);
	world_done(&w);
}
