/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unwinding by .eh_frame: this program's own stack, as gcc's unwinder sees it, through plain calls, a
 * function that realigns its stack and a signal handler; then rules and stacks that lie.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <string.h>
#include <sys/ucontext.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/mem.h"
#include "runtime/binary/native_lines.h"
#include "runtime/binary/unwind.h"

#define MAX_FRAMES  64
#define MAX_OBJECTS 32
#define COPY_BYTES  16384

#ifdef __SANITIZE_ADDRESS__
#define SANITIZER_FRAMES 1
#else
#define SANITIZER_FRAMES 0
#endif

/* ---- what is mapped here ---- */

struct object {
	uint64_t base, start, end;
	struct native_lines *lines;
	int fd;
};

static struct object objects[MAX_OBJECTS];
static size_t object_count;

static int add_object(struct dl_phdr_info *info, size_t bytes, void *arg)
{
	struct object *object = &objects[object_count];

	(void)bytes;
	(void)arg;
	object->fd = open(info->dlpi_name[0] ? info->dlpi_name : "/proc/self/exe", O_RDONLY);
	if (object_count + 1 == MAX_OBJECTS || object->fd < 0)
		return 0;
	object->base = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];

		if (header->p_type != PT_LOAD || !(header->p_flags & PF_X))
			continue;
		object->start = object->base + header->p_vaddr;
		object->end = object->start + header->p_memsz;
	}
	object_count += !native_lines_open(object->fd, &object->lines);
	return 0;
}

static void map_objects(void)
{
	dl_iterate_phdr(add_object, NULL);
	cr_assert_gt(object_count, 1);
}

static int find_rule(uint64_t addr, struct unwind_rule *ret)
{
	for (size_t i = 0; i < object_count; i++)
		if (addr >= objects[i].start && addr < objects[i].end)
			return native_lines_find_rule(
				objects[i].lines, addr - objects[i].base, ret);
	return -ENOENT;
}

/* ---- one stack ---- */

struct shot {
	struct unwind_regs regs;
	uint8_t bytes[COPY_BYTES];
	size_t count;
	void *expected[MAX_FRAMES];
	int expected_count;
};

static struct shot shot;

/* DWARF's numbers of the registers, in the order of ucontext. */
static const struct {
	int context, dwarf;
} registers[] = {{REG_RIP, UNWIND_RIP}, {REG_RSP, UNWIND_RSP}, {REG_RBP, UNWIND_RBP},
	{REG_RBX, UNWIND_RBX}, {REG_R12, UNWIND_R12}, {REG_R13, UNWIND_R12 + 1},
	{REG_R14, UNWIND_R12 + 2}, {REG_R15, UNWIND_R12 + 3}};

static void __attribute__((noinline)) take_shot(void)
{
	int memory = open("/proc/self/mem", O_RDONLY);
	ucontext_t context;
	uint64_t sp;

	shot.expected_count = backtrace(shot.expected, MAX_FRAMES);
	getcontext(&context);
	shot.regs = (struct unwind_regs){.known = 0};
	for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
		shot.regs.value[registers[i].dwarf] =
			(uint64_t)context.uc_mcontext.gregs[registers[i].context];
		shot.regs.known |= 1u << registers[i].dwarf;
	}
	sp = shot.regs.value[UNWIND_RSP];
	/* The stack may end within the copy. */
	shot.count = (size_t)MAX(pread(memory, shot.bytes, COPY_BYTES, (off_t)sp), 0);
	close(memory);
	__asm__ volatile("" ::: "memory");
}

/* Unwinds with the first bytes of the copy; ret gets the addresses. Returns why it ended. */
static int unwind(size_t bytes, uint64_t ret[MAX_FRAMES], size_t *ret_count)
{
	struct unwind_regs regs = shot.regs;
	struct unwind_stack stack = {regs.value[UNWIND_RSP], shot.bytes, bytes};
	bool exact = true;
	int err = 0;

	*ret_count = 0;
	while (!err && *ret_count < MAX_FRAMES) {
		struct unwind_rule rule;
		uint64_t pc = regs.value[UNWIND_RIP];

		ret[(*ret_count)++] = pc;
		err = find_rule(pc - !exact, &rule);
		if (err)
			return -EBADMSG;
		exact = rule.signal;
		err = unwind_step(&rule, &stack, &regs);
	}
	return err;
}

/*
 * The first address is that of the call of getcontext() here, of backtrace() there, before which a
 * sanitizer puts a frame of its own.
 */
static void expect_same(void)
{
	uint64_t addrs[MAX_FRAMES];
	size_t count, own;

	cr_expect_eq(unwind(shot.count, addrs, &count), -ENOENT);
	own = (size_t)shot.expected_count - count;
	cr_assert_leq(own, SANITIZER_FRAMES, "%zu frames, not %d", count, shot.expected_count);
	for (size_t i = 1; i < count; i++)
		cr_expect_eq(addrs[i], (uint64_t)shot.expected[i + own], "frame %zu", i);
}

static int __attribute__((noinline)) deep(int n)
{
	int more = 0;

	if (n)
		more = deep(n - 1) + n;
	else
		take_shot();
	__asm__ volatile("" ::: "memory");
	return more;
}

Test(unwind, plain_calls)
{
	map_objects();
	deep(20);
	cr_assert_gt(shot.expected_count, 20);
	expect_same();
}

/* Its CFA is kept in memory, since the distance to its caller is known at run time only. */
static int __attribute__((noinline)) realigned(int n)
{
	int values[16] __attribute__((aligned(64)));

	memset(values, n, sizeof(values));
	__asm__ volatile("" ::"r"(values) : "memory");
	deep(3);
	return values[n & 15];
}

Test(unwind, realigned_stack)
{
	map_objects();
	realigned(1);
	expect_same();
}

static void on_signal(int number)
{
	(void)number;
	deep(2);
}

Test(unwind, signal_handler)
{
	map_objects();
	signal(SIGUSR1, on_signal);
	raise(SIGUSR1);
	expect_same();
}

/* ---- what is missing, what lies ---- */

Test(unwind, short_copy_is_truncated)
{
	uint64_t addrs[MAX_FRAMES], whole[MAX_FRAMES];
	size_t count, all;

	map_objects();
	deep(20);
	cr_assert_eq(unwind(shot.count, whole, &all), -ENOENT);
	for (size_t bytes = 0; bytes < 2048; bytes += 128) {
		int err = unwind(bytes, addrs, &count);

		cr_expect(err == -ENODATA || (!err && count == all) || count == all, "%d", err);
		cr_expect_leq(count, all);
		cr_expect_arr_eq(addrs, whole, count * sizeof(addrs[0]));
	}
}

static struct unwind_rule plain_rule(void)
{
	struct unwind_rule rule = {.hi = 1, .cfa_reg = UNWIND_RSP, .cfa_offset = 16};

	for (size_t i = 0; i < UNWIND_REGS; i++)
		rule.regs[i].how = UNWIND_SAME;
	rule.regs[UNWIND_RIP] = (struct unwind_place){UNWIND_AT_CFA, 0, -8};
	rule.regs[UNWIND_RSP] = (struct unwind_place){UNWIND_IS_CFA, 0, 0};
	return rule;
}

Test(unwind, rules_stay_in_the_copy)
{
	uint64_t words[4] = {1, 0x1234, 3, 4};
	struct unwind_stack stack = {0x1000, (uint8_t *)words, sizeof(words)};
	struct unwind_regs start = {.known = 1u << UNWIND_RSP | 1u << UNWIND_RIP}, regs;
	struct unwind_rule rule = plain_rule();

	start.value[UNWIND_RSP] = 0x1000;
	regs = start;
	cr_expect_eq(unwind_step(&rule, &stack, &regs), 0);
	cr_expect_eq(regs.value[UNWIND_RIP], 0x1234);
	cr_expect_eq(regs.value[UNWIND_RSP], 0x1010);
	cr_expect_not(regs.known & 1u << UNWIND_RBX);

	regs = start;
	rule.regs[UNWIND_RIP].how = UNWIND_UNKNOWN;
	cr_expect_eq(unwind_step(&rule, &stack, &regs), -ENOENT);

	rule = plain_rule();
	rule.cfa_reg = UNWIND_RBP;
	cr_expect_eq(unwind_step(&rule, &stack, &regs), -EBADMSG, "unknown register");
	rule.cfa_reg = 200;
	cr_expect_eq(unwind_step(&rule, &stack, &regs), -EBADMSG, "no such register");
	rule.cfa = 99;
	rule.cfa_reg = UNWIND_RSP;
	cr_expect_eq(unwind_step(&rule, &stack, &regs), -EBADMSG, "no such kind");

	rule = plain_rule();
	rule.cfa_offset = 0;
	cr_expect_eq(unwind_step(&rule, &stack, &regs), -EBADMSG, "stands still");
	rule.cfa_offset = -16;
	cr_expect_eq(unwind_step(&rule, &stack, &regs), -EBADMSG, "leads down");
	rule.cfa_offset = 48;
	cr_expect_eq(unwind_step(&rule, &stack, &regs), -ENODATA, "behind the copy");
	rule.cfa_offset = 36;
	cr_expect_eq(unwind_step(&rule, &stack, &regs), -ENODATA, "half behind the copy");
	rule = plain_rule();
	rule.regs[UNWIND_RIP].offset = INT16_MIN;
	cr_expect_eq(unwind_step(&rule, &stack, &regs), -ENODATA, "before the copy");
	cr_expect_arr_eq(&regs, &start, sizeof(regs), "registers stay where a step fails");
}

Test(unwind, frame_pointers)
{
	uint64_t words[4] = {0x1020, 0x1234, 0, 0};
	struct unwind_stack stack = {0x1000, (uint8_t *)words, sizeof(words)};
	struct unwind_regs regs = {.known = 1u << UNWIND_RSP | 1u << UNWIND_RIP | 1u << UNWIND_RBP};

	regs.value[UNWIND_RSP] = regs.value[UNWIND_RBP] = 0x1000;
	cr_expect_eq(unwind_step_frame_pointer(&stack, &regs), 0);
	cr_expect_eq(regs.value[UNWIND_RIP], 0x1234);
	cr_expect_eq(regs.value[UNWIND_RSP], 0x1010);
	cr_expect_eq(regs.value[UNWIND_RBP], 0x1020);
	cr_expect_eq(unwind_step_frame_pointer(&stack, &regs), -ENODATA);
	regs.value[UNWIND_RBP] = 0x1000;
	cr_expect_eq(unwind_step_frame_pointer(&stack, &regs), -EBADMSG, "leads down");
}
