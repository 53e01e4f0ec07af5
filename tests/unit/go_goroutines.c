/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading goroutines, against a list of them built by hand in an image of memory, with the layouts of all
 * versions. Live programs test that the layouts are right; here it is what no well-behaved program shows.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/go/go_goroutines.h"
#include "runtime/go/go_layout.h"
#include "runtime/go/go_process.h"

#define TEXT    0x400000ull
#define ALLGS   0x600000ull
#define LIST    0xc000100000ull
#define GS      0xc000200000ull
#define STACKS  0xc000400000ull
#define STACK   2048ull
#define SUDOG   0xc000f00000ull
#define CHANNEL 0xc000f10000ull
#define GO_LINE (TEXT + 0x900) /* the go statement */

/* Reason numbers of this made-up binary. */
enum { REASON_NONE, REASON_SEND, REASON_SLEEP, REASON_RECEIVE, REASONS };

static const uint8_t minors[] = {19, 21, 22, 23, 24, 26};

/* Where each version keeps it; go_layout.c says the same in its own table. */
static const struct offsets {
	uint8_t minor;
	uint16_t status, since, reason, waiting, created_by, bp, elem, channel;
} offsets[] = {
	{19, 144, 168, 176, 328, 296, 104, 24, 80},
	{21, 144, 168, 176, 312, 280, 104, 24, 80},
	{22, 144, 168, 176, 312, 280, 104, 24, 80},
	{23, 152, 176, 184, 320, 288, 104, 24, 80},
	{24, 152, 176, 184, 320, 288, 104, 24, 80},
	{26, 144, 168, 176, 320, 288, 96, 32, 96},
};

struct program {
	struct runtime_process process;
	const struct offsets *offsets;
	uint64_t count;
};

static struct {
	struct runtime_waiters list[64];
	size_t count;
} found;

static void put(struct program *p, uint64_t addr, uint64_t value, size_t bytes)
{
	cr_assert_eq(target_mem_add_image(p->process.mem, addr, &value, bytes), 0);
}

static uint64_t g_of(uint64_t i)
{
	return GS + i * 512;
}

static uint64_t stack_of(uint64_t i)
{
	return STACKS + i * STACK;
}

static void set_count(struct program *p, uint64_t count)
{
	put(p, ALLGS + 8, count, 8);
	put(p, ALLGS + 16, MAX(count, 64), 8);
}

/* Two frames: the function that waits, called at pc, called by what goexit() comes after. */
static void put_frames(struct program *p, uint64_t i, uint64_t pc)
{
	uint64_t lo = stack_of(i), sp = lo + 0x400;

	put(p, sp + 0x10, sp + 0x40, 8);
	put(p, sp + 0x18, TEXT + 0x100, 8); /* in chansend() */
	put(p, sp + 0x40, sp + 0x80, 8);
	put(p, sp + 0x48, pc, 8);
	put(p, sp + 0x80, 0, 8);
	put(p, sp + 0x88, TEXT + 0x200, 8); /* in goexit() */
}

static uint64_t add(struct program *p, uint32_t status, uint8_t reason, uint64_t pc)
{
	static const uint8_t zero[STACK];
	uint64_t i = p->count++, g = g_of(i), lo = stack_of(i);

	target_mem_add_image(p->process.mem, lo, zero, STACK);
	target_mem_add_image(p->process.mem, g, zero, 512);
	put(p, LIST + 8 * i, g, 8);
	put(p, g, lo, 8);
	put(p, g + 8, lo + STACK, 8);
	put(p, g + 56, lo + 0x400, 8);
	put(p, g + p->offsets->bp, lo + 0x410, 8);
	put(p, g + p->offsets->status, status, 4);
	put(p, g + p->offsets->reason, reason, 1);
	put(p, g + p->offsets->created_by, GO_LINE, 8);
	put_frames(p, i, pc);
	set_count(p, p->count);
	return i;
}

static void build(struct program *p, uint8_t minor)
{
	*p = (struct program){.offsets = NULL};
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
		if (offsets[i].minor == minor)
			p->offsets = &offsets[i];
	cr_assert_not_null(p->offsets);
	p->process.mem = target_mem_new_image();
	p->process.facts = (struct go_facts){
		.minor = minor,
		.layout = *go_layout_find(minor),
		.text = TEXT,
		.etext = TEXT + 0x1000,
		.allgs = ALLGS,
		.wait_reasons = REASONS,
		.waits = {WAIT_RUNTIME, WAIT_SEND, WAIT_SLEEP, WAIT_RECEIVE},
	};
	put(p, ALLGS, LIST, 8);
	set_count(p, 0);
}

static void done(struct program *p)
{
	table_done(&p->process.type_of);
	target_mem_close(p->process.mem);
}

static void keep(const struct runtime_waiters *waiters, void *arg)
{
	(void)arg;
	cr_assert_lt(found.count, ARRAY_SIZE(found.list));
	cr_assert_leq(waiters->pc_count, RUNTIME_WAIT_PCS);
	found.list[found.count++] = *waiters;
}

static int look(struct program *p, uint64_t floor, struct event_goroutines *ret)
{
	found.count = 0;
	memset(ret, 0, sizeof(*ret));
	return go_goroutines(&p->process, floor, keep, NULL, ret);
}

Test(goroutines, counts_and_groups_on_all_versions)
{
	for (size_t v = 0; v < ARRAY_SIZE(minors); v++) {
		struct event_goroutines all;
		struct program p;

		build(&p, minors[v]);
		add(&p, 2, REASON_NONE, TEXT + 0x300);
		add(&p, 6, REASON_SEND, TEXT + 0x300);
		for (int i = 0; i < 20; i++)
			add(&p, i % 2 ? 4 : 0x1004, REASON_SEND, TEXT + 0x300);
		for (int i = 0; i < 5; i++)
			add(&p, 4, REASON_RECEIVE, TEXT + 0x400);
		add(&p, 4, REASON_SLEEP, TEXT + 0x500);
		put(&p, g_of(3) + p.offsets->since, clock_mono_ns() - 7 * NSEC_PER_SEC, 8);
		cr_assert_eq(look(&p, 5, &all), 0);
		cr_assert(all.complete);
		cr_assert_eq(all.counts[WAIT_NONE], 1);
		cr_assert_eq(all.counts[WAIT_SEND], 20);
		cr_assert_eq(all.counts[WAIT_RECEIVE], 5);
		cr_assert_eq(all.counts[WAIT_SLEEP], 1);
		cr_assert_eq(all.stack_bytes, 27 * STACK);
		cr_assert_eq(found.count, 2);
		cr_assert_eq(found.list[0].event.wait, WAIT_SEND);
		cr_assert_eq(found.list[0].event.count, 20);
		cr_assert_eq(found.list[0].event.stack_bytes, 20 * STACK);
		cr_assert_eq(found.list[0].event.stack_resident_bytes, 20 * STACK);
		cr_assert_eq(found.list[0].event.waited_ns / NSEC_PER_SEC, 7);
		cr_assert_eq(found.list[0].pc_count, 3);
		cr_assert_eq(found.list[0].pcs[0], TEXT + 0x100);
		cr_assert_eq(found.list[0].pcs[1], TEXT + 0x300);
		cr_assert_eq(found.list[0].pcs[2], GO_LINE);
		cr_assert_eq(found.list[1].event.count, 5);
		cr_assert_eq(look(&p, 6, &all), 0);
		cr_assert_eq(found.count, 1, "fewer than the floor are only counted");
		done(&p);
	}
}

Test(goroutines, refuses_what_it_does_not_know)
{
	struct event_goroutines all;
	struct program p;

	build(&p, 23);
	add(&p, 4, REASON_SEND, TEXT + 0x300);
	p.process.facts.wait_reasons = 0;
	cr_assert_eq(look(&p, 1, &all), -ENOTSUP);
	p.process.facts.wait_reasons = 255;
	cr_assert_eq(look(&p, 1, &all), -ENOTSUP);
	p.process.facts.wait_reasons = REASONS;
	p.process.facts.allgs = 0;
	cr_assert_eq(look(&p, 1, &all), -ENOTSUP);
	p.process.facts.allgs = ALLGS;
	p.process.facts.layout.sudog_elem = UINT16_MAX;
	cr_assert_eq(look(&p, 1, &all), -ENOTSUP);
	p.process.facts.layout.sudog_elem = 24;
	p.process.facts.layout.gobuf_bp = UINT16_MAX;
	cr_assert_eq(look(&p, 1, &all), -ENOTSUP);
	p.process.facts.layout.gobuf_bp = 48;
	p.process.facts.layout.g_waiting = 0;
	cr_assert_eq(look(&p, 1, &all), -ENOTSUP);
	p.process.facts.layout.g_waiting = 320;
	cr_assert_eq(look(&p, 1, &all), 0);
	done(&p);
}

/* Offsets that lead to other fields: no number is told. */
Test(goroutines, refuses_a_layout_that_is_another)
{
	struct event_goroutines all;
	struct program p;

	build(&p, 23);
	for (int i = 0; i < 20; i++)
		add(&p, 4, REASON_SEND, TEXT + 0x300);
	p.process.facts.layout.g_status = p.offsets->created_by;
	cr_assert_eq(look(&p, 1, &all), -EBADMSG, "states that no goroutine has");
	p.process.facts.layout.g_status = 400;
	cr_assert_eq(look(&p, 1, &all), -EBADMSG, "none of them lives");
	p.process.facts.layout.g_status = p.offsets->status;
	for (uint64_t i = 0; i < 11; i++)
		put(&p, g_of(i) + 8, 0, 8);
	cr_assert_eq(look(&p, 1, &all), -EBADMSG, "most of them have no stack");
	done(&p);
}

Test(goroutines, absurd_lists)
{
	struct event_goroutines all;
	struct program p;

	build(&p, 23);
	for (int i = 0; i < 20; i++)
		add(&p, 4, REASON_SEND, TEXT + 0x300);
	put(&p, ALLGS + 8, 1ull << 60, 8);
	cr_assert_eq(look(&p, 1, &all), -EFAULT, "longer than its room");
	put(&p, ALLGS + 16, UINT64_MAX, 8);
	cr_assert_eq(look(&p, 1, &all), 0);
	cr_assert_not(all.complete, "bounded, and says so");
	cr_assert_leq(all.counts[WAIT_SEND], GO_MAX_GOROUTINES);
	set_count(&p, 20);
	put(&p, ALLGS, UINT64_MAX - 15, 8);
	cr_assert_eq(look(&p, 1, &all), 0);
	cr_assert_not(all.complete);
	cr_assert_eq(found.count, 0);
	put(&p, ALLGS, LIST, 8);
	put(&p, LIST + 8, UINT64_MAX - 3, 8);
	put(&p, LIST + 16, 0, 8);
	put(&p, LIST + 24, 0x123456789, 8);
	cr_assert_eq(look(&p, 1, &all), 0);
	cr_assert_not(all.complete);
	cr_assert_eq(all.counts[WAIT_SEND], 17);
	done(&p);
}

/* Changes one of 20 equal goroutines and says how many are still found with the stack of the others. */
static uint64_t left_after(uint64_t offset, uint64_t value)
{
	struct event_goroutines all;
	struct program p;
	uint64_t count;

	build(&p, 23);
	for (int i = 0; i < 20; i++)
		add(&p, 4, REASON_SEND, TEXT + 0x300);
	put(&p, offset, value, 8);
	cr_assert_eq(look(&p, 2, &all), 0);
	count = found.count ? found.list[0].event.count : 0;
	done(&p);
	return count;
}

Test(goroutines, hostile_stacks)
{
	uint64_t g = g_of(5), sp = stack_of(5) + 0x400;

	cr_assert_eq(left_after(g + 400, 0), 20, "a field that is not read");
	cr_assert_eq(left_after(sp + 0x10, sp + 0x10), 19, "a frame that is its own caller");
	cr_assert_eq(left_after(sp + 0x40, sp + 0x10), 20, "a cycle ends where it closes");
	cr_assert_eq(left_after(sp + 0x10, UINT64_MAX - 7), 19, "a frame at the end of the world");
	cr_assert_eq(left_after(sp + 0x10, sp - 0x100), 19, "a frame below the stack pointer");
	cr_assert_eq(left_after(sp + 0x10, sp + 0x41), 19, "a frame at an odd address");
	cr_assert_eq(left_after(sp + 0x18, 0xdeadbeef), 19, "a return to what is no code");
	cr_assert_eq(left_after(g + 104, stack_of(5) + STACK - 8), 19, "half a frame");
	cr_assert_eq(left_after(g, UINT64_MAX), 19, "a stack that ends before it begins");
	cr_assert_eq(left_after(g, 0), 19, "a stack of half the world");
	cr_assert_eq(left_after(g + 56, stack_of(5) - 8), 19, "a stack pointer outside");
	cr_assert_eq(left_after(g + 176, UINT64_MAX), 20, "waits since the future");
}

Test(goroutines, unknown_states)
{
	struct event_goroutines all;
	struct program p;

	build(&p, 26);
	add(&p, 4, 200, TEXT + 0x300);
	add(&p, 77, REASON_SEND, TEXT + 0x300);
	add(&p, 10, REASON_SEND, TEXT + 0x300);
	cr_assert_eq(look(&p, 1, &all), 0);
	cr_assert_eq(all.counts[WAIT_RUNTIME], 1, "a reason that the table does not have");
	cr_assert_eq(all.counts[WAIT_SEND], 1, "leaked, as 1.26 says");
	done(&p);
}

/* A deeper stack than is kept, and larger than the window that is read at once. */
Test(goroutines, deep_stacks_are_cut)
{
	static const uint8_t zero[65536];
	uint64_t lo = 0xd000000000ull, sp = lo + 0x100;
	struct event_goroutines all;
	struct program p;

	build(&p, 24);
	add(&p, 4, REASON_SEND, TEXT + 0x300);
	target_mem_add_image(p.process.mem, lo, zero, sizeof(zero));
	put(&p, g_of(0), lo, 8);
	put(&p, g_of(0) + 8, lo + sizeof(zero), 8);
	put(&p, g_of(0) + 56, sp, 8);
	put(&p, g_of(0) + p.offsets->bp, sp, 8);
	for (uint64_t i = 0; i < 200; i++) {
		put(&p, sp + i * 256, sp + (i + 1) * 256, 8);
		put(&p, sp + i * 256 + 8, TEXT + 0x10 + i, 8);
	}
	cr_assert_eq(look(&p, 1, &all), 0);
	cr_assert_eq(found.count, 1);
	cr_assert_eq(found.list[0].pc_count, RUNTIME_WAIT_PCS);
	cr_assert_eq(found.list[0].pcs[30], TEXT + 0x10 + 30);
	cr_assert_eq(found.list[0].pcs[31], GO_LINE);
	cr_assert_eq(found.list[0].event.stack_bytes, sizeof(zero));
	cr_assert_eq(found.list[0].event.stack_resident_bytes, sizeof(zero));
	done(&p);
}

/* What a blocked sender hangs on is no channel: it is counted, and carries nothing. */
Test(goroutines, hostile_messages)
{
	const uint64_t sudogs[] = {8, SUDOG, UINT64_MAX - 4};
	static const uint8_t zero[256];

	for (size_t v = 0; v < ARRAY_SIZE(minors); v++) {
		for (size_t i = 0; i < ARRAY_SIZE(sudogs); i++) {
			struct event_goroutines all;
			struct program p;

			build(&p, minors[v]);
			add(&p, 4, REASON_SEND, TEXT + 0x300);
			target_mem_add_image(p.process.mem, SUDOG, zero, sizeof(zero));
			put(&p, SUDOG + p.offsets->elem, UINT64_MAX - 7, 8);
			put(&p, SUDOG + p.offsets->channel, i ? CHANNEL : UINT64_MAX - 7, 8);
			put(&p, CHANNEL + 24, UINT16_MAX, 2);
			put(&p, CHANNEL + p.process.facts.layout.chan_elem_type, UINT64_MAX, 8);
			put(&p, g_of(0) + p.offsets->waiting, sudogs[i], 8);
			cr_assert_eq(look(&p, 1, &all), 0);
			cr_assert_eq(found.count, 1);
			cr_assert_eq(found.list[0].event.message_bytes, 0);
			done(&p);
		}
	}
}
