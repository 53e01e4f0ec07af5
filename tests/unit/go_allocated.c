/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go's allocation profile, from buckets built by hand in an image of memory: which of the counts mean
 * what, how they are weighed, and what no well-behaved program shows. That the layout is right is
 * tested against live programs.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_allocated.h"
#include "runtime/go/go_layout.h"
#include "runtime/go/go_process.h"

#define GLOBALS 0x600000ull
#define RATE    GLOBALS
#define HEAD    (GLOBALS + 8)
#define STATS   0x610000ull
#define PACER   0x620000ull
#define PHASE   0x630000ull
#define HEAP    0x640000ull
#define BUCKETS 0xc000100000ull
#define STRIDE  0x4000ull
#define SAMPLE  (512ull << 10)

struct counts {
	uint64_t allocs, frees, alloc_bytes, free_bytes;
};

struct program {
	struct runtime_process process;
	uint64_t count;
};

static struct {
	struct event_allocated list[16];
	uint64_t pcs[16][4];
	size_t pc_counts[16];
	size_t count;
} found;

static void put(struct program *p, uint64_t addr, uint64_t value, size_t bytes)
{
	cr_assert_eq(target_mem_add_image(p->process.mem, addr, &value, bytes), 0);
}

static uint64_t bucket_of(uint64_t i)
{
	return BUCKETS + i * STRIDE;
}

static void build(struct program *p, uint32_t gc_cycles)
{
	static const uint8_t zero[0x20000];

	*p = (struct program){.count = 0};
	p->process.mem = target_mem_new_image();
	p->process.facts = (struct go_facts){
		.minor = 23,
		.layout = *go_layout_find(23),
		.profile_linked = true,
		.mbuckets = HEAD,
		.mem_profile_rate = RATE,
		.memstats = STATS,
		.gc_controller = PACER,
		.gcphase = PHASE,
		.mheap = HEAP,
	};
	target_mem_add_image(p->process.mem, GLOBALS, zero, 4096);
	target_mem_add_image(p->process.mem, STATS, zero, 0x8000);
	target_mem_add_image(p->process.mem, PACER, zero, 4096);
	target_mem_add_image(p->process.mem, PHASE, zero, 4096);
	target_mem_add_image(p->process.mem, HEAP, zero, sizeof(zero));
	put(p, RATE, SAMPLE, 8);
	put(p, STATS + p->process.facts.layout.stats_num_gc, gc_cycles, 4);
}

/* A bucket with two frames and what its four sets of counts say: active, then the future ones. */
static uint64_t add(struct program *p, uint64_t pc, uint64_t size, const struct counts counts[4])
{
	static const uint8_t zero[STRIDE];
	uint64_t addr = bucket_of(p->count++), next = 0;

	target_mem_read_u64(p->process.mem, HEAD, &next);
	target_mem_add_image(p->process.mem, addr, zero, sizeof(zero));
	put(p, addr + 8, next, 8);
	put(p, addr + 16, 1, 8);
	put(p, addr + 32, size, 8);
	put(p, addr + 40, 2, 8);
	put(p, addr + 48, pc, 8);
	put(p, addr + 56, pc + 0x100, 8);
	target_mem_add_image(p->process.mem, addr + 64, counts, 4 * sizeof(*counts));
	put(p, HEAD, addr, 8);
	return addr;
}

static void keep(const struct runtime_allocated *allocated, void *arg)
{
	(void)arg;
	cr_assert_lt(found.count, ARRAY_SIZE(found.list));
	found.pc_counts[found.count] = allocated->pc_count;
	memcpy(found.pcs[found.count], allocated->pcs, MIN(allocated->pc_count, 4u) * 8);
	found.list[found.count++] = allocated->event;
}

static int look(struct program *p, struct event_profile *ret)
{
	char reason[160] = "";
	int r;

	found.count = 0;
	r = go_allocated(&p->process, keep, NULL, ret, reason);
	cr_assert_eq(r == -ENODATA, reason[0] != 0);
	return r;
}

static void done(struct program *p)
{
	target_mem_close(p->process.mem);
}

/* After c cycles set c + 2 is what came since, all the others are what the last one left. */
Test(go_allocated, counts_by_cycle)
{
	static const struct counts counts[4] = {
		{100, 40, 100 << 20, 40 << 20},
		{1, 0, 1 << 20, 0},
		{2, 1, 2 << 20, 1 << 20},
		{4, 0, 4 << 20, 0},
	};
	/* of cycle 0 mod 3: set 2 is recent; 1: set 0; 2: set 1 */
	static const uint64_t recent[] = {4, 1, 2}, in_use[] = {62, 65, 65};

	for (uint32_t cycles = 3; cycles < 9; cycles++) {
		struct event_profile profile;
		struct program p;

		build(&p, cycles);
		add(&p, 0x401000, 64 << 20, counts); /* so large that its weight is 1 */
		cr_assert_eq(look(&p, &profile), 0);
		cr_assert(profile.complete);
		cr_assert_eq(profile.rate_bytes, SAMPLE);
		cr_assert_eq(found.count, 1);
		cr_assert_eq(found.list[0].recent_objects, recent[cycles % 3]);
		cr_assert_eq(found.list[0].recent_bytes, recent[cycles % 3] << 20);
		cr_assert_eq(found.list[0].in_use_objects, in_use[cycles % 3]);
		cr_assert_eq(found.list[0].allocated_bytes, 107ull << 20);
		done(&p);
	}
}

Test(go_allocated, all_is_in_use_before_the_first_cycle)
{
	static const struct counts counts[4] = {{0}, {0}, {0}, {3, 0, 192 << 20, 0}};
	struct event_profile profile;
	struct program p;

	build(&p, 0);
	add(&p, 0x401000, 64 << 20, counts);
	cr_assert_eq(look(&p, &profile), 0);
	cr_assert_eq(found.list[0].in_use_bytes, 192 << 20);
	cr_assert_eq(found.list[0].in_use_objects, 3);
	cr_assert_eq(found.list[0].recent_bytes, 0);
	done(&p);
}

/* 1 / (1 - exp(-size / rate)): 8 KiB at 512 KiB counts 64.5 times, half a sample 2.54 times. */
Test(go_allocated, samples_are_weighed)
{
	static const struct counts small[4] = {{10, 0, 10 * 8192, 0}};
	static const struct counts half[4] = {{10, 5, 10 * SAMPLE / 2, 5 * SAMPLE / 2}};
	struct event_profile profile;
	struct program p;

	build(&p, 3);
	add(&p, 0x401000, 8192, small);
	add(&p, 0x402000, SAMPLE / 2, half);
	cr_assert_eq(look(&p, &profile), 0);
	cr_assert_eq(found.count, 2);
	cr_assert_eq(found.pcs[0][0], 0x401000, "most in use first");
	cr_assert_eq(found.list[0].in_use_objects, 645);
	cr_assert_eq(found.list[0].in_use_bytes, 5283946);
	cr_assert_eq(found.list[1].in_use_objects, 12);
	cr_assert_eq(found.list[1].allocated_objects, 25);
	put(&p, RATE, 1, 8);
	cr_assert_eq(look(&p, &profile), 0);
	cr_assert_eq(found.list[0].in_use_objects, 5, "all is counted at rate 1");
	done(&p);
}

Test(go_allocated, sizes_of_one_stack_are_one)
{
	static const struct counts one[4] = {{1, 0, 64 << 20, 0}};
	struct event_profile profile;
	struct program p;

	build(&p, 3);
	add(&p, 0x401000, 64 << 20, one);
	add(&p, 0x402000, 64 << 20, one);
	add(&p, 0x401000, 63 << 20, one);
	cr_assert_eq(look(&p, &profile), 0);
	cr_assert_eq(found.count, 2);
	cr_assert_eq(found.pc_counts[0], 2);
	cr_assert_eq(found.pcs[0][0], 0x401000);
	cr_assert_eq(found.pcs[0][1], 0x401100);
	cr_assert_eq(found.list[0].in_use_objects, 2);
	done(&p);
}

Test(go_allocated, none_has_a_reason)
{
	struct event_profile profile;
	struct program p;

	build(&p, 3);
	cr_assert_eq(look(&p, &profile), -ENODATA, "no bucket yet");
	p.process.facts.profile_linked = false;
	cr_assert_eq(look(&p, &profile), -ENODATA);
	p.process.facts.profile_linked = true;
	p.process.facts.mbuckets = 0;
	cr_assert_eq(look(&p, &profile), -ENODATA);
	p.process.facts.mbuckets = HEAD;
	put(&p, HEAD, BUCKETS, 8);
	put(&p, RATE, 0, 8);
	cr_assert_eq(look(&p, &profile), -ENODATA);
	done(&p);
}

/* What cannot be a bucket ends the list; what came before it counts, and the rest is said to be missing. */
Test(go_allocated, hostile_buckets)
{
	static const struct counts one[4] = {{1, 0, 64 << 20, 0}};
	static const struct counts absurd[4] = {{1, 0, UINT64_MAX, 0}};
	const struct {
		uint64_t offset, value;
	} lies[] = {
		{8, 0xdead0000}, /* allnext leads nowhere */
		{8, UINT64_MAX},
		{8, BUCKETS + STRIDE}, /* to itself */
		{16, 2},               /* another kind of bucket */
		{40, 1025},            /* frames */
		{40, UINT64_MAX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct event_profile profile = {.complete = true};
		struct program p;
		int r;

		build(&p, 3);
		add(&p, 0x401000, 64 << 20, one);
		put(&p, add(&p, 0x402000, 64 << 20, one) + lies[i].offset, lies[i].value, 8);
		add(&p, 0x403000, 64 << 20, one);
		r = look(&p, &profile);
		cr_assert_eq(r, 0);
		cr_assert_not(profile.complete, "lie %zu", i);
		cr_assert_geq(found.count, 1);
		done(&p);
	}
	for (int only = 0; only < 2; only++) {
		struct event_profile profile = {.complete = true};
		struct program p;

		build(&p, 3);
		add(&p, 0x401000, 64 << 20, absurd);
		if (!only)
			add(&p, 0x402000, 64 << 20, one);
		cr_assert_eq(look(&p, &profile), only ? -EBADMSG : 0);
		done(&p);
	}
}
