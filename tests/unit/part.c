/* SPDX-License-Identifier: BSD-2-Clause */
#include "trace/part.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

/* A runtime that says no so many times. */
static struct refusals {
	unsigned left;
	int error;
} refusals;

static int process_open(const struct runtime_file *file, struct target_mem *mem,
	struct parser *parser, uint32_t file_id, uint64_t slide, struct runtime_process **ret,
	char reason[160])
{
	(void)file, (void)mem, (void)parser, (void)file_id, (void)slide;
	if (refusals.left) {
		refusals.left--;
		snprintf(reason, 160, "its spans are torn");
		return refusals.error;
	}
	*ret = (struct runtime_process *)&refusals;
	return 0;
}

static const struct runtime runtime = {.name = "torn", .process_open = process_open};

static struct runtime_file file = {.reading = true};
static struct module module;
static struct parser *parser;
static struct modules *modules;
static struct model *model;
static struct parts *parts;
static struct part part;

static void start(void)
{
	const struct model_target_info target = {.comm = "self"};

	cr_assert_eq(parser_open(&parser), 0);
	cr_assert_eq(modules_open(getpid(), parser, &modules), 0);
	model = model_new();
	parts = parts_new(parser, modules, NULL, model, model_add_target(model, &target), false);
	part = (struct part){.runtime = &runtime, .module = &module, .file = &file};
}

static void end(void)
{
	parts_free(parts);
	modules_close(modules);
	parser_close(parser);
	model_free(model);
}

TestSuite(part, .init = start, .fini = end);

static bool is_told(void)
{
	for (size_t i = 0; i < model_skip_count(model); i++)
		if (strstr(model_skip(model, i)->reason, "torn"))
			return true;
	return false;
}

Test(part, what_is_torn_for_a_moment_is_not_refused)
{
	refusals = (struct refusals){2, -ENOTSUP};
	cr_expect_eq(part_start(parts, &part), -EAGAIN);
	cr_expect_eq(part_start(parts, &part), -EAGAIN);
	cr_expect_eq(part_start(parts, &part), 0);
	cr_expect(!is_told());
}

Test(part, what_stays_so_is_refused_once_and_by_name)
{
	refusals = (struct refusals){1000, -ENOTSUP};
	cr_expect_eq(part_start(parts, &part), -EAGAIN);
	clock_wait_ns(PART_REFUSAL_NS);
	cr_expect_eq(part_start(parts, &part), -ENOTSUP);
	cr_expect(is_told());
	cr_expect_eq(part_start(parts, &part), -ENOTSUP);
	cr_expect_eq(refusals.left, 998, "nobody asks again");
}

Test(part, a_program_that_has_just_started_does_not_contradict_itself)
{
	refusals = (struct refusals){1, -ENOTSUP};
	cr_expect_eq(part_start(parts, &part), -EAGAIN);
	clock_wait_ns(PART_REFUSAL_NS);
	refusals = (struct refusals){1, -EAGAIN};
	cr_expect_eq(part_start(parts, &part), -EAGAIN);
	refusals = (struct refusals){1, -ENOTSUP};
	cr_expect_eq(part_start(parts, &part), -EAGAIN);
	cr_expect(!is_told());
}

Test(part, a_record_waits_for_what_cannot_be_read_yet)
{
	refusals = (struct refusals){20, -EAGAIN};
	cr_expect_eq(part_start_for_record(parts, &part), 0);
	cr_expect_gt(part.waited_ns, 0);
}

Test(part, records_do_not_wait_for_ever)
{
	uint64_t begin_ns;

	refusals = (struct refusals){1000000, -EAGAIN};
	cr_expect_eq(part_start_for_record(parts, &part), -EAGAIN);
	cr_expect_eq(part.waited_ns, PART_PATIENCE_NS);
	begin_ns = part.waited_ns;
	cr_expect_eq(part_start_for_record(parts, &part), -EAGAIN);
	cr_expect_eq(part.waited_ns, begin_ns, "the second one did not wait");
}
