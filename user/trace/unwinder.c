/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules of a stack's frames are looked up by address, so a stack whose code is known costs some ten
 * nanoseconds a frame. When the memory for rules is full all are forgotten.
 */
#include "trace/unwinder.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"

#define MAX_RULES 16384

struct unwinder {
	struct parser *parser;
	struct symbolizer *symbolizer;
	struct unwind_rule *rules;
	size_t rule_count, rule_capacity;
	struct table by_addr; /* run-time address -> index of its rule */
	struct model_unwound counts;
};

/* BPF's order of registers (struct mt_stack_copy) in DWARF numbers. */
static const uint8_t copied_regs[MT_COPY_REGS] = {
	[MT_COPY_IP] = UNWIND_RIP,
	[MT_COPY_SP] = UNWIND_RSP,
	[MT_COPY_BP] = UNWIND_RBP,
	[MT_COPY_BX] = UNWIND_RBX,
	[MT_COPY_R12] = UNWIND_R12,
	[MT_COPY_R13] = UNWIND_R12 + 1,
	[MT_COPY_R14] = UNWIND_R12 + 2,
	[MT_COPY_R15] = UNWIND_R12 + 3,
};

struct unwinder *unwinder_new(struct parser *parser, struct symbolizer *symbolizer)
{
	struct unwinder *unwinder = xcalloc(1, sizeof(*unwinder));

	unwinder->parser = parser;
	unwinder->symbolizer = symbolizer;
	return unwinder;
}

void unwinder_free(struct unwinder *unwinder)
{
	if (!unwinder)
		return;
	table_done(&unwinder->by_addr);
	free(unwinder->rules);
	free(unwinder);
}

/* ---- rules ---- */

static struct unwind_rule *add_rule(struct unwinder *unwinder, uint64_t addr)
{
	if (unwinder->rule_count == MAX_RULES) {
		unwinder->rule_count = 0;
		table_done(&unwinder->by_addr);
		unwinder->by_addr = (struct table){0};
	}
	array_reserve(unwinder->rules, unwinder->rule_count, unwinder->rule_capacity);
	table_set(&unwinder->by_addr, addr, unwinder->rule_count);
	return &unwinder->rules[unwinder->rule_count++];
}

/* NULL where there is no code of a file. A rule of hi = 0: the file does not say. */
static const struct unwind_rule *find_rule(struct unwinder *unwinder, uint64_t addr)
{
	const struct module *module;
	struct unwind_rule *rule;
	uint64_t i, pc;

	if (table_get(&unwinder->by_addr, addr, &i))
		return &unwinder->rules[i];
	module = symbolizer_find_module(unwinder->symbolizer, addr);
	if (!module)
		return NULL;
	rule = add_rule(unwinder, addr);
	*rule = (struct unwind_rule){0};
	pc = addr - module->slide;
	parser_rules(unwinder->parser, module->file_id, &pc, 1, rule);
	return rule;
}

/* ---- stacks ---- */

static void load_regs(const struct mt_stack_copy *copy, struct unwind_regs *ret)
{
	*ret = (struct unwind_regs){.known = 0};
	for (size_t i = 0; i < MT_COPY_REGS; i++) {
		ret->value[copied_regs[i]] = copy->regs[i];
		ret->known |= 1u << copied_regs[i];
	}
}

static int step(struct unwinder *unwinder, const struct unwind_stack *stack,
	struct unwind_regs *regs, bool *exact)
{
	const struct unwind_rule *rule = find_rule(unwinder, regs->value[UNWIND_RIP] - !*exact);

	if (!rule || !rule->hi) {
		*exact = false;
		return unwind_step_frame_pointer(stack, regs);
	}
	*exact = rule->signal;
	return unwind_step(rule, stack, regs);
}

static void count_end(struct model_unwound *counts, int err)
{
	if (err == -ENOENT)
		counts->complete++;
	else if (!err || err == -ENODATA)
		counts->truncated++;
	else
		counts->lost++;
}

size_t unwinder_run(struct unwinder *unwinder, const struct mt_record *record,
	uint64_t ret[UNWINDER_MAX_FRAMES])
{
	const struct mt_stack_copy *copy = (const void *)record->stack;
	struct unwind_stack stack;
	struct unwind_regs regs;
	size_t count = 0;
	bool exact = true;
	int err = 0;

	if (!(record->flags & MT_HAS_COPY) || record->stack_bytes < sizeof(copy->regs))
		return 0;
	load_regs(copy, &regs);
	stack = (struct unwind_stack){copy->regs[MT_COPY_SP] & ~7ull, copy->bytes,
		record->stack_bytes - sizeof(copy->regs)};
	while (!err && count < UNWINDER_MAX_FRAMES) {
		ret[count++] = regs.value[UNWIND_RIP];
		err = step(unwinder, &stack, &regs, &exact);
	}
	/* A hit's copy is short on purpose. */
	if (record->attachment >= MT_MAX_ATTACHMENTS)
		count_end(&unwinder->counts, err);
	return count;
}

struct model_unwound unwinder_counts(const struct unwinder *unwinder)
{
	return unwinder->counts;
}
