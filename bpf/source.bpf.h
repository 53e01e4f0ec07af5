/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a probe's sources read: registers, and words behind them. */
#ifndef MEMTRACE_SOURCE_BPF_H
#define MEMTRACE_SOURCE_BPF_H

#include "memtrace.bpf.h"

static __always_inline void copy_registers(__u64 regs[MT_REG_MAX], struct pt_regs *ctx)
{
	regs[MT_REG_AX] = ctx->ax;
	regs[MT_REG_BX] = ctx->bx;
	regs[MT_REG_CX] = ctx->cx;
	regs[MT_REG_DX] = ctx->dx;
	regs[MT_REG_SI] = ctx->si;
	regs[MT_REG_DI] = ctx->di;
	regs[MT_REG_R8] = ctx->r8;
	regs[MT_REG_R9] = ctx->r9;
	regs[MT_REG_R10] = ctx->r10;
	regs[MT_REG_R11] = ctx->r11;
	regs[MT_REG_R12] = ctx->r12;
	regs[MT_REG_R13] = ctx->r13;
	regs[MT_REG_R14] = ctx->r14;
	regs[MT_REG_R15] = ctx->r15;
	regs[MT_REG_SP] = ctx->sp;
	regs[MT_REG_BP] = ctx->bp;
}

/* 0 where it cannot be read: flags says so. */
static __always_inline __u64 read_source(
	__u8 *flags, const struct mt_source *source, const __u64 regs[MT_REG_MAX])
{
	__u64 value;

	if (source->from == MT_FROM_NOTHING)
		return 0;
	value = regs[source->reg & (MT_REG_MAX - 1)];
	value += source->off;
	if (source->from == MT_FROM_REG)
		return value;
	if (bpf_probe_read_user(&value, sizeof(value), (void *)value)) {
		*flags |= MT_UNREAD;
		return 0;
	}
	return value;
}

/* One of them, unreadable as 0. */
static __noinline __u64 read_one_source(struct pt_regs *ctx, const struct mt_source *source)
{
	__u64 regs[MT_REG_MAX];
	__u8 unused = 0;

	copy_registers(regs, ctx);
	return read_source(&unused, source, regs);
}

#endif
