/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sampled allocations, from records and an allocator's counts built by hand: samples share out what the
 * allocator says it has handed out, class by class and stretch by stretch. That the counts and the
 * probes are where they are believed to be is tested against live programs.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/go/go_allocated.h"
#include "runtime/go/go_layout.h"
#include "runtime/go/go_process.h"
#include "runtime/go/go_sampled.h"

#define STATS    0x610000ull
#define COUNTERS (STATS + 24 + 8 * 3) /* of the first delta, 1.23: tinyAllocCount */
#define SPAN     0xc000100000ull
#define CLASS_48 5
#define CLASS_8  1

struct program {
	struct runtime_process process;
	uint64_t now_ns;
};

static struct {
	uint64_t bytes[16], objects[16], pcs[16], pc_counts[16];
	size_t count;
} found;

static void put(struct program *p, uint64_t addr, uint64_t value)
{
	cr_assert_eq(target_mem_add_image(p->process.mem, addr, &value, 8), 0);
}

static void hand_out_large(struct program *p, uint64_t bytes)
{
	put(p, COUNTERS + 8, bytes);
}

static void hand_out(struct program *p, uint32_t size_class, uint64_t objects)
{
	put(p, COUNTERS + 8 * (3 + size_class), objects);
}

static void build(struct program *p)
{
	static const uint8_t zero[0x4000];

	*p = (struct program){.now_ns = NSEC_PER_SEC};
	p->process.mem = target_mem_new_image();
	p->process.facts =
		(struct go_facts){.minor = 23, .layout = *go_layout_find(23), .memstats = STATS};
	target_mem_add_image(p->process.mem, STATS, zero, sizeof(zero));
	p->process.samples = go_sampled_open(&p->process);
	cr_assert_not_null(p->process.samples);
}

static int hit(struct program *p, uint16_t probe, uint64_t pc, const uint64_t val[MT_VALUES])
{
	union {
		struct mt_record record;
		uint8_t room[sizeof(struct mt_record) + 24];
	} hit = {.record = {.addr = SPAN,
			 .time_ns = p->now_ns,
			 .flags = MT_HAS_STACK,
			 .stack_bytes = 24}};
	const struct runtime_probe row = {.probe = probe};
	uint64_t stack[] = {0x401000, pc, pc + 0x100};

	memcpy(hit.record.val, val, sizeof(hit.record.val));
	memcpy(hit.record.stack, stack, sizeof(stack));
	return go_sampled_take(&p->process, &row, &hit.record);
}

static int refill(
	struct program *p, uint64_t pc, uint32_t size_class, uint64_t slots, uint64_t used)
{
	static const uint64_t bytes[] = {0, 8, 16, 24, 32, 48};
	/* With what lies behind each of them in the span */
	uint64_t val[MT_VALUES] = {slots | 0xaaaa0000, used | 0xbbbb0000,
		size_class << 1 | 1 | 0xcc00, bytes[size_class]};

	return hit(p, GO_PROBE_REFILL, pc, val);
}

static int large(struct program *p, uint64_t pc, uint64_t pages)
{
	return hit(p, GO_PROBE_ALLOC_LARGE, pc, (uint64_t[MT_VALUES]){pages});
}

static void keep(const struct runtime_allocated *allocated, void *arg)
{
	(void)arg;
	cr_assert_lt(found.count, ARRAY_SIZE(found.bytes));
	found.bytes[found.count] = allocated->event.allocated_bytes;
	found.objects[found.count] = allocated->event.allocated_objects;
	found.pc_counts[found.count] = allocated->pc_count;
	found.pcs[found.count++] = allocated->pc_count ? allocated->pcs[0] : 0;
}

static int look(struct program *p, struct event_profile *ret)
{
	char reason[160] = "";
	int r;

	found.count = 0;
	r = go_allocated(&p->process, keep, NULL, ret, reason);
	cr_assert_str_not_empty(reason);
	return r;
}

static void done(struct program *p)
{
	go_sampled_close(p->process.samples);
	target_mem_close(p->process.mem);
}

Test(go_sampled, weight_is_what_a_span_has_room_for)
{
	struct event_profile profile;
	struct program p;

	build(&p);
	cr_assert_eq(refill(&p, 0xa000, CLASS_48, 170, 0), 0);
	cr_assert_eq(refill(&p, 0xb000, CLASS_48, 170, 85), 0);
	cr_assert_eq(refill(&p, 0xb000, CLASS_48, 170, 85), 0);
	hand_out(&p, CLASS_48, 170 * 100);
	cr_assert_eq(look(&p, &profile), 0);
	cr_expect(profile.sampled && profile.complete);
	cr_expect_eq(profile.rate_bytes, 170 * 100 * 48 / 3);
	cr_assert_eq(found.count, 2);
	for (size_t i = 0; i < 2; i++) {
		cr_expect_eq(found.bytes[i], 170 * 100 * 48 / 2);
		cr_expect_eq(found.objects[i], 170 * 100 / 2);
		cr_expect_eq(found.pc_counts[i], 2);
	}
	cr_expect_eq(found.pcs[0] + found.pcs[1], 0xa000 + 0xb000);
	done(&p);
}

/* Large objects are weighed by their pages and do not mix with small ones; a stack has both together. */
Test(go_sampled, classes_are_shared_out_by_themselves)
{
	struct event_profile profile;
	struct program p;

	build(&p);
	cr_assert_eq(large(&p, 0xa000, 30), 0);
	cr_assert_eq(large(&p, 0xb000, 10), 0);
	cr_assert_eq(refill(&p, 0xb000, CLASS_8, 1024, 0), 0);
	hand_out_large(&p, 80 * 8192);
	hand_out(&p, CLASS_8, 1024);
	cr_assert_eq(look(&p, &profile), 0);
	cr_assert_eq(found.count, 2);
	cr_expect_eq(found.bytes[0], 60 * 8192);
	cr_expect_eq(found.objects[0], 2);
	cr_expect_eq(found.bytes[1], 20 * 8192 + 1024 * 8);
	cr_expect_eq(found.objects[1], 2 + 1024);
	done(&p);
}

/* What came between two looks of the probes belongs to those that were seen after it. */
Test(go_sampled, each_stretch_has_its_own_shares)
{
	struct event_profile profile;
	struct program p;

	build(&p);
	cr_assert_eq(large(&p, 0xa000, 1), 0);
	hand_out_large(&p, 100 * 8192);
	p.now_ns += 2 * NSEC_PER_SEC;
	cr_assert_eq(large(&p, 0xb000, 1), 0);
	cr_assert_eq(large(&p, 0xb000, 1), 0);
	hand_out_large(&p, 110 * 8192);
	cr_assert_eq(look(&p, &profile), 0);
	cr_assert_eq(found.count, 2);
	cr_expect(found.pcs[0] == 0xa000 && found.bytes[0] == 100 * 8192);
	cr_expect(found.pcs[1] == 0xb000 && found.bytes[1] == 10 * 8192);
	done(&p);
}

Test(go_sampled, what_was_not_sampled_has_no_stack)
{
	struct event_profile profile;
	struct program p;

	build(&p);
	cr_assert_eq(look(&p, &profile), -ENODATA);
	cr_assert_eq(large(&p, 0xa000, 1), 0);
	hand_out_large(&p, 8192);
	hand_out(&p, CLASS_48, 10);
	cr_assert_eq(look(&p, &profile), 0);
	cr_assert_eq(found.count, 2);
	cr_expect_eq(found.bytes[0], 8192);
	cr_expect(found.pc_counts[1] == 0 && found.bytes[1] == 480);
	done(&p);
}

Test(go_sampled, impossible_hits_are_refused)
{
	struct event_profile profile;
	struct program p;

	build(&p);
	cr_expect_eq(refill(&p, 0xa000, CLASS_48, 170, 171), -EBADMSG);
	cr_expect_eq(refill(&p, 0xa000, CLASS_48, 9000, 0), -EBADMSG);
	cr_expect_eq(hit(&p, GO_PROBE_REFILL, 0xa000, (uint64_t[MT_VALUES]){170, 0, 5 << 1, 47}),
		-EBADMSG);
	cr_expect_eq(
		hit(&p, GO_PROBE_REFILL, 0xa000, (uint64_t[MT_VALUES]){170, 0, 0, 48}), -EBADMSG);
	cr_expect_eq(
		hit(&p, GO_PROBE_REFILL, 0xa000, (uint64_t[MT_VALUES]){170, 0, 200, 48}), -EBADMSG);
	cr_expect_eq(large(&p, 0xa000, 0), -EBADMSG);
	cr_expect_eq(large(&p, 0xa000, 1ull << 40), -EBADMSG);
	cr_expect_eq(look(&p, &profile), -ENODATA);
	done(&p);
}

/* Counts that go back are a merge under our hands: nothing is shared out by them. */
Test(go_sampled, counts_that_go_back_wait)
{
	struct event_profile profile;
	struct program p;

	build(&p);
	hand_out_large(&p, 100 * 8192);
	cr_assert_eq(large(&p, 0xa000, 1), 0);
	p.now_ns += 3 * NSEC_PER_SEC;
	cr_assert_eq(large(&p, 0xa000, 1), 0);
	hand_out_large(&p, 50 * 8192);
	cr_assert_eq(look(&p, &profile), 0);
	cr_assert_eq(found.count, 1);
	cr_expect_eq(found.bytes[0], 100 * 8192);
	done(&p);
}
