/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The wire: what BPF programs write and user space reads. Included by both sides.
 *
 * A record says what happened (grew, was created, faulted), where (attachment, stack) and a few
 * numbers. What the numbers mean is known only to the runtime that asked for the probe: it filled in
 * the attachment's sources, and its decode() reads them back in the same order. There is no wire
 * version: both sides are one build.
 */
#ifndef MEMTRACE_H
#define MEMTRACE_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define MT_MAX_ATTACHMENTS 16384 /* 256 targets with 64 probes each */
#define MT_MAX_LINKS       1024  /* a power of two: BPF masks with it - 1 */
#define MT_VALUES          6
#define MT_STACK_FRAMES    32

enum mt_kind {
	MT_GROW = 1, /* a container replaced its array, or is about to */
	MT_CREATE,   /* a container was made */
	MT_CLEAR,    /* a container was emptied at once */
	MT_ALLOC,    /* the allocator has got memory to hand out */
	MT_BLOCK_ASKED, /* no record: a block is asked for. addr = the one that it replaces, val[0] = bytes,
			   val[1] = how many of them, val[2] = where its address will be; 0 = none,
			   one, it is returned */
	MT_BLOCK, /* it is handed out: addr. If sampled, val[0] = bytes that were asked for, val[1] = bytes
			   that one sample stands for, at least; val[2] = number of the sample */
	MT_BLOCK_FREED, /* addr is given back. If it was sampled, val[0] = the number */
	MT_ACCESS,      /* a container was looked into, or something was taken out of it */
	MT_WRITE,       /* something was put into it */
	MT_FAULT,  /* a page fault, sampled: val[0] = faults of this process since its last sample,
		     val[1], val[2] = pages that its RSS gained and lost meanwhile */
	MT_MEMORY, /* a system call has changed the address space: addr, val[0] = enum mt_call,
		      val[1] = bytes, val[2] = pages that RSS lost by it, val[3] = protection or
		      advice; mremap: the bytes it had before */
	MT_EXEC, /* control ring: the process, a target or any, runs another program from now on */
	MT_EXIT, /* control ring: the last thread has gone; val[0] = status as wait(2) gives it,
			val[1] = its page faults since it became a target, val[2] = the pages
			of its RSS, 0 where the kernel has taken them already */
	MT_FORK, /* control ring: val[0] = tgid of the child, which is followed from now on */
	MT_OOM,  /* control ring: chosen by the OOM killer, comes right before its MT_EXIT */
};

enum mt_flags {
	MT_UNREAD = 1,    /* a value could not be read from the target; it is 0 */
	MT_HAS_STACK = 2, /* stack[] holds stack_bytes bytes of return addresses, innermost first */
	MT_HAS_COPY = 4,  /* stack[] holds a struct mt_stack_copy of stack_bytes bytes */
	MT_UNTRACKED = 8, /* MT_BLOCK: there was no room to wait for its end */
};

enum mt_call {
	MT_CALL_MMAP,
	MT_CALL_MUNMAP,
	MT_CALL_MREMAP,
	MT_CALL_BRK, /* addr = end of the heap, bytes = 0 */
	MT_CALL_MPROTECT,
	MT_CALL_MADVISE,
	MT_CALLS,
};

/* A record on the ring. 8-aligned; size says where stack[] ends. */
struct mt_record {
	__u16 size;       /* bytes reserved for this record */
	__u8 kind;        /* enum mt_kind */
	__u8 flags;       /* enum mt_flags */
	__u16 attachment; /* index into the attachment table: probe x file. Kernel sources: MT_SRC_* */
	__u16 stack_bytes; /* valid bytes of stack[] */
	__u64 time_ns;     /* CLOCK_MONOTONIC */
	__u32 tgid, tid;
	__u64 seq;                /* the source's produced count on its CPU before this record */
	__u64 goroutine;          /* Go: address of the running g; else 0 */
	__u64 stack_lo, stack_hi; /* Go: bounds of its stack at the hit; 0 = could not be read */
	__u64 addr;               /* the container (or the faulting address) */
	__u64 val[MT_VALUES];
	__u64 stack[];
};

/* What unwinding without frame pointers needs: the registers that a callee keeps, the stack's top. */
enum mt_copy_reg {
	MT_COPY_IP,
	MT_COPY_SP,
	MT_COPY_BP,
	MT_COPY_BX,
	MT_COPY_R12,
	MT_COPY_R13,
	MT_COPY_R14,
	MT_COPY_R15,
	MT_COPY_REGS,
};

/*
 * Samples are rare, and whole stacks are wanted: of a compiler's page faults 99 % end within 12 KiB. Hits
 * may come in storms, and the user's line is a few frames away: the first KiB holds eight on average.
 */
#define MT_COPY_BYTES     12288
#define MT_COPY_HIT_BYTES 1024

struct mt_stack_copy {
	__u64 regs[MT_COPY_REGS];
	__u8 bytes[]; /* from the stack pointer, rounded down to 8, on */
};

/* Sources of the kernel itself, counted in the same table, above the attachments. */
enum mt_source_id {
	MT_SRC_FAULT = MT_MAX_ATTACHMENTS,
	MT_SRC_MEMORY,
	MT_SRC_CONTROL,
	MT_SRC_CALIBRATE,
	MT_SRC_MAX,
};

/*
 * Faults of the one target that has the short way (see kernel.bpf.c), on one CPU. Only that CPU counts
 * in it; user space may lower the threshold. faults never go back: differences can be taken.
 */
struct mt_fault_slot {
	__u64 faults, sampled, threshold;
	__u64 addr;   /* of the fault before */
	__u64 pad[4]; /* a cache line of its own */
};

#define MT_FAULT_CPUS 256

/* System calls that one CPU has seen while they are traced: all of them pay. */
struct mt_call_slot {
	__u64 own, others; /* of the target that has the short way; of everybody else */
	__u64 pad[6];
};

/* Pages of a process's RSS, as seen at its faults. What was gained is given out to samples. */
struct mt_rss {
	__s64 last; /* 0 = not seen yet */
	__u64 gained, lost;
};

/* A process whose kernel events are wanted: value of the targets map, key = tgid. */
struct mt_target {
	__u64 faults;    /* user page faults since it became a target */
	__u64 sampled;   /* of these, faults that a sample stands for */
	__u64 threshold; /* faults at which to take the next sample */
	struct mt_rss rss;
	__u8 follow; /* its children become targets too */
	__u8 copy;   /* samples carry a copy of the stack: it keeps no frame pointers */
	__u8 pad[6];
};

/* Registers by the order in which BPF copies them. */
enum mt_reg {
	MT_REG_AX,
	MT_REG_BX,
	MT_REG_CX,
	MT_REG_DX,
	MT_REG_SI,
	MT_REG_DI,
	MT_REG_R8,
	MT_REG_R9,
	MT_REG_R10,
	MT_REG_R11,
	MT_REG_R12,
	MT_REG_R13,
	MT_REG_R14,
	MT_REG_R15,
	MT_REG_SP,
	MT_REG_BP,
	MT_REG_MAX, /* must stay a power of two: BPF masks with MT_REG_MAX - 1 */
};

/* Where one value of a record comes from at the probed instruction. */
enum mt_from {
	MT_FROM_NOTHING, /* 0 */
	MT_FROM_REG,     /* the register + off */
	MT_FROM_MEM,     /* the 8 bytes at register + off */
};

struct mt_source {
	__u8 from; /* enum mt_from */
	__u8 reg;  /* enum mt_reg */
	__s16 off; /* bytes */
};

enum mt_attach_flags {
	MT_ATTACH_STACK = 1,       /* collect the user stack */
	MT_ATTACH_STACK_CHECK = 2, /* placed on the jbe of Go's stack check: skip hits with CF or ZF
				      set, they are on their way to morestack and will be back */
	MT_ATTACH_GO = 4,          /* R14 is the running g */
	MT_ATTACH_AT_ENTRY = 8, /* placed before the frame is set up: [RSP] is the return address,
				     which a frame-pointer stack may miss. Implied by
				     MT_ATTACH_STACK_CHECK; attach.c adds it to a Go `push %rbp` */
	MT_ATTACH_STACK_COPY = 16, /* with MT_ATTACH_STACK: copy the stack instead of walking it */
};

/*
 * The gate of a link. User space opens it, with credit for so many records; BPF takes one off for each
 * hit and shuts it where the credit, or the room in the ring, has run out. So a storm of hits ends in the
 * kernel, however late user space comes to see it: its hits from then on cost only their trap, deliver
 * nothing and lose nothing. All its probes have one gate: a cache line of its own.
 */
struct mt_gate {
	__s64 credit;
	__u64 shut_ns; /* CLOCK_MONOTONIC, when BPF shut it; 0 = it has not since user space opened it */
	__u64 opened; /* so many times */
	__u64 rate;   /* MT_BLOCK: bytes that one sample stands for, at least; < 1 << 31 */
	__u32 open;
	__u32 pad[7];
};

#define MT_CREDIT_UNLIMITED (1ll << 62)

/* A sampled block that is in use: an address means something only among those of one link. */
struct mt_block_key {
	__u64 addr;
	__u32 link, pad;
};

/* One probe in one file. Written by user space before attaching, read by BPF through the cookie. */
struct mt_attachment {
	__u8 kind;  /* enum mt_kind of its records */
	__u8 flags; /* enum mt_attach_flags */
	__u16 link; /* index of the gate: its uprobe_multi link */
	struct mt_source addr;
	struct mt_source val[MT_VALUES];
	__u64 floor; /* hits whose val[0] is less make no record */
	__u64 only;  /* hits of another addr make no record and cost no credit; 0 = all do */
};

/* Per source and CPU. produced == delivered + lost at the end of a run, or the run is incomplete. */
struct mt_counters {
	__u64 hits; /* program runs: what the probe costs is hits x ns per hit (faults: all of them) */
	__u64 produced; /* records wanted: submitted or lost */
	__u64 lost;     /* the ring had no room */
};

#endif
