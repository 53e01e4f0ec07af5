/* SPDX-License-Identifier: BSD-2-Clause */
/* A stack grows down: each step must lead up, or a hostile stack would be walked for ever. */
#include "runtime/binary/unwind.h"

#include <errno.h>
#include <string.h>

static bool is_known(const struct unwind_regs *regs, unsigned reg)
{
	return reg < UNWIND_REGS && regs->known >> reg & 1;
}

static int load(const struct unwind_stack *stack, uint64_t addr, uint64_t *ret)
{
	uint64_t at = addr - stack->addr;

	if (at >= stack->count || stack->count - at < sizeof(*ret))
		return -ENODATA;
	memcpy(ret, stack->bytes + at, sizeof(*ret));
	return 0;
}

static int find_cfa(const struct unwind_rule *rule, const struct unwind_stack *stack,
	const struct unwind_regs *regs, uint64_t *ret)
{
	uint64_t base;
	int err;

	if (!is_known(regs, rule->cfa_reg))
		return -EBADMSG;
	base = regs->value[rule->cfa_reg] + (int64_t)rule->cfa_offset;
	switch (rule->cfa) {
	case UNWIND_CFA_REG:
		*ret = base;
		return 0;
	case UNWIND_CFA_MEM:
		err = load(stack, base, &base);
		*ret = base + (int64_t)rule->cfa_extra;
		return err;
	case UNWIND_CFA_PLT:
		*ret = base + ((regs->value[UNWIND_RIP] & 15) >= (unsigned)rule->cfa_extra ? 8 : 0);
		return 0;
	default:
		return -EBADMSG;
	}
}

/* One register of the caller. What cannot be read is unknown, an error only where it is needed. */
static int find_reg(const struct unwind_place *place, unsigned reg, uint64_t cfa,
	const struct unwind_stack *stack, const struct unwind_regs *regs, struct unwind_regs *ret)
{
	uint64_t value = 0;
	int err = 0;

	switch (place->how) {
	case UNWIND_SAME:
		err = is_known(regs, reg) ? 0 : -ENOENT;
		value = regs->value[reg];
		break;
	case UNWIND_AT_CFA:
		err = load(stack, cfa + (int64_t)place->offset, &value);
		break;
	case UNWIND_IS_CFA:
		value = cfa + (int64_t)place->offset;
		break;
	case UNWIND_AT_REG:
		err = is_known(regs, place->reg)
			      ? load(stack, regs->value[place->reg] + (int64_t)place->offset,
					&value)
			      : -EBADMSG;
		break;
	default:
		err = -ENOENT;
	}
	if (err)
		return err;
	ret->value[reg] = value;
	ret->known |= 1u << reg;
	return 0;
}

int unwind_step(
	const struct unwind_rule *rule, const struct unwind_stack *stack, struct unwind_regs *regs)
{
	struct unwind_regs caller = {.known = 0};
	uint64_t cfa;
	int err;

	if (rule->regs[UNWIND_RIP].how == UNWIND_UNKNOWN)
		return -ENOENT;
	err = find_cfa(rule, stack, regs, &cfa);
	if (err)
		return err;
	/* A signal handler may run on a stack of its own, below or above. */
	if (cfa <= regs->value[UNWIND_RSP] && !rule->signal)
		return -EBADMSG;
	for (unsigned reg = 0; reg < UNWIND_REGS; reg++) {
		err = find_reg(&rule->regs[reg], reg, cfa, stack, regs, &caller);
		if (err && reg == UNWIND_RIP)
			return err == -ENOENT ? -EBADMSG : err;
	}
	if (!is_known(&caller, UNWIND_RSP)) {
		caller.value[UNWIND_RSP] = cfa;
		caller.known |= 1u << UNWIND_RSP;
	}
	*regs = caller;
	return caller.value[UNWIND_RIP] ? 0 : -ENOENT;
}

int unwind_step_frame_pointer(const struct unwind_stack *stack, struct unwind_regs *regs)
{
	uint64_t frame = regs->value[UNWIND_RBP], saved, ret_addr;
	int err;

	if (!is_known(regs, UNWIND_RBP) || frame < regs->value[UNWIND_RSP])
		return -EBADMSG;
	err = load(stack, frame, &saved);
	if (!err)
		err = load(stack, frame + 8, &ret_addr);
	if (err)
		return err;
	*regs = (struct unwind_regs){
		.known = 1u << UNWIND_RBP | 1u << UNWIND_RSP | 1u << UNWIND_RIP};
	regs->value[UNWIND_RBP] = saved;
	regs->value[UNWIND_RSP] = frame + 16;
	regs->value[UNWIND_RIP] = ret_addr;
	return ret_addr ? 0 : -ENOENT;
}
