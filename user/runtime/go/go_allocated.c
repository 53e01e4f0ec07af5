/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go's own allocation profile, all stacks of it, from outside. runtime/mprof.go, go1.19 to go1.26:
 * mbuckets is a list of buckets (linked by allnext), one for each stack and size that was sampled,
 * the newest first; buckets are never freed. Behind a bucket lie its nstk return addresses, then a
 * memRecord: what is known for good (active), and three sets of counts still to come (future).
 *
 * With c completed cycles, allocations of now go to future[(c + 2) % 3]; what is freed now, by the
 * sweep after cycle c, to future[(c + 1) % 3], where the allocations before that cycle are, too; and
 * future[c % 3] has just been, or is just being, added to active. So active, c and c + 1 together are
 * the heap as cycle c found it, which is what runtime.GC() publishes (mProf_PostSweep()), and c + 2 is
 * what came after. Where no cycle has completed, all is new: runtime.MemProfile adds it up, and so
 * do we.
 *
 * One allocation in rate bytes is counted, on average. An object of size bytes was counted with the
 * chance 1 - exp(-size / rate), so it stands for 1 / that (runtime/pprof, scaleHeapSample()).
 */
#include "runtime/go/go_allocated.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/go/go_census.h"
#include "runtime/go/go_heap.h"
#include "runtime/go/go_sampled.h"

/* runtime.bucket */
#define BUCKET_ALLNEXT 8
#define BUCKET_TYPE    16
#define BUCKET_SIZE    32
#define BUCKET_FRAMES  40
#define BUCKET_STACK   48
#define BUCKET_MEMORY  1 /* memProfile */

#define FUTURES      3
#define MAX_BUCKETS  (1u << 20)
#define MAX_DEPTH    1024 /* runtime.maxProfStackDepth */
#define MAX_COUNT    (1ull << 48)
#define MAX_ATTEMPTS 4

/* runtime.memRecordCycle */
struct cycle {
	uint64_t allocs, frees, alloc_bytes, free_bytes;
};

/* runtime.memRecord */
struct record {
	struct cycle active, future[FUTURES];
};

struct stack {
	size_t first_pc, pc_count;
	struct event_allocated sum;
};

struct profile {
	struct runtime_process *process;
	uint64_t rate;
	uint32_t gc_cycles;
	struct stack *stacks;
	size_t stack_count, stack_capacity;
	uint64_t *pcs;
	size_t pc_count, pc_capacity;
	struct table by_stack;
};

static void profile_clear(struct profile *profile)
{
	free(profile->stacks);
	free(profile->pcs);
	table_done(&profile->by_stack);
	profile->stacks = NULL;
	profile->pcs = NULL;
	profile->stack_count = profile->stack_capacity = 0;
	profile->pc_count = profile->pc_capacity = 0;
}

/* ---- a bucket ---- */

static void add_cycle(struct cycle *sum, const struct cycle *cycle)
{
	sum->allocs += cycle->allocs;
	sum->frees += cycle->frees;
	sum->alloc_bytes += cycle->alloc_bytes;
	sum->free_bytes += cycle->free_bytes;
}

static uint64_t scale(uint64_t counted, double weight)
{
	return (uint64_t)((double)counted * weight);
}

static uint64_t left(uint64_t allocated, uint64_t freed)
{
	return allocated > freed ? allocated - freed : 0;
}

/* What is freed of the newest allocations is not: that takes a collection. */
static void weigh(const struct profile *profile, const struct record *record, uint64_t size,
	struct event_allocated *ret)
{
	struct cycle settled = record->active;
	const struct cycle *recent = &record->future[(profile->gc_cycles + 2) % FUTURES];
	double weight = 1;

	add_cycle(&settled, &record->future[profile->gc_cycles % FUTURES]);
	add_cycle(&settled, &record->future[(profile->gc_cycles + 1) % FUTURES]);
	if (profile->rate > 1 && size)
		weight = 1 / (1 - exp(-(double)size / (double)profile->rate));
	*ret = (struct event_allocated){
		.in_use_bytes = scale(left(settled.alloc_bytes, settled.free_bytes), weight),
		.in_use_objects = scale(left(settled.allocs, settled.frees), weight),
		.recent_bytes = scale(recent->alloc_bytes, weight),
		.recent_objects = scale(recent->allocs, weight),
		.allocated_bytes = scale(settled.alloc_bytes + recent->alloc_bytes, weight),
		.allocated_objects = scale(settled.allocs + recent->allocs, weight),
	};
}

static bool is_possible(const struct record *record)
{
	const uint64_t *counts = (const uint64_t *)record;

	for (size_t i = 0; i < sizeof(*record) / sizeof(*counts); i++)
		if (counts[i] >= MAX_COUNT)
			return false;
	return true;
}

static struct stack *find_stack(struct profile *profile, const uint64_t *pcs, size_t count)
{
	uint64_t key = hash_bytes(0, pcs, count * sizeof(*pcs)), i;
	struct stack *stack;

	for (; table_get(&profile->by_stack, key, &i); key++) {
		stack = &profile->stacks[i];
		if (stack->pc_count == count &&
			!memcmp(profile->pcs + stack->first_pc, pcs, count * sizeof(*pcs)))
			return stack;
	}
	array_reserve(profile->stacks, profile->stack_count, profile->stack_capacity);
	table_set(&profile->by_stack, key, profile->stack_count);
	stack = &profile->stacks[profile->stack_count++];
	*stack = (struct stack){.first_pc = profile->pc_count, .pc_count = count};
	for (size_t j = 0; j < count; j++) {
		array_reserve(profile->pcs, profile->pc_count, profile->pc_capacity);
		profile->pcs[profile->pc_count++] = pcs[j];
	}
	return stack;
}

static void add_bucket(struct profile *profile, const uint64_t *pcs, size_t count,
	const struct record *record, uint64_t size)
{
	struct stack *stack = find_stack(profile, pcs, count);
	struct event_allocated more;

	weigh(profile, record, size, &more);
	stack->sum.in_use_bytes += more.in_use_bytes;
	stack->sum.in_use_objects += more.in_use_objects;
	stack->sum.recent_bytes += more.recent_bytes;
	stack->sum.recent_objects += more.recent_objects;
	stack->sum.allocated_bytes += more.allocated_bytes;
	stack->sum.allocated_objects += more.allocated_objects;
}

/* 0, and the next bucket; -EBADMSG where this cannot be one. */
static int read_bucket(struct profile *profile, uint64_t addr, uint64_t *ret_next)
{
	struct target_mem *mem = profile->process->mem;
	uint64_t head[BUCKET_STACK / 8], frames, body[MAX_DEPTH + sizeof(struct record) / 8];
	struct record record;
	int r = target_mem_read(mem, addr, head, sizeof(head));

	if (r < 0)
		return r;
	frames = head[BUCKET_FRAMES / 8];
	if (head[BUCKET_TYPE / 8] != BUCKET_MEMORY || frames > MAX_DEPTH)
		return -EBADMSG;
	r = target_mem_read(mem, addr + BUCKET_STACK, body, frames * 8 + sizeof(record));
	if (r < 0)
		return r;
	memcpy(&record, body + frames, sizeof(record));
	if (!is_possible(&record))
		return -EBADMSG;
	add_bucket(profile, body, frames, &record, head[BUCKET_SIZE / 8]);
	*ret_next = head[BUCKET_ALLNEXT / 8];
	return 0;
}

/* ---- all of them ---- */

static int read_buckets(struct profile *profile, bool *ret_complete)
{
	uint64_t at;
	int r = target_mem_read_u64(profile->process->mem, profile->process->facts.mbuckets, &at);

	for (uint32_t i = 0; r >= 0 && at && i < MAX_BUCKETS; i++)
		r = read_bucket(profile, at, &at);
	*ret_complete = r >= 0 && !at;
	return r == -ESRCH || !profile->stack_count ? r : 0;
}

/* A cycle that ends meanwhile moves the counts from one set to the next: then once more. */
static int read_still(struct profile *profile, bool *ret_complete)
{
	struct event_heap before, after;
	int r = 0;

	for (int i = 0; i < MAX_ATTEMPTS; i++) {
		profile_clear(profile);
		r = go_heap_read_state(profile->process, &before);
		profile->gc_cycles = before.gc_cycles;
		if (r >= 0)
			r = read_buckets(profile, ret_complete);
		if (r >= 0)
			r = go_heap_read_state(profile->process, &after);
		if (r < 0 || before.gc_cycles == after.gc_cycles)
			break;
	}
	return r;
}

static void settle_first_cycle(struct profile *profile)
{
	for (size_t i = 0; !profile->gc_cycles && i < profile->stack_count; i++) {
		struct event_allocated *sum = &profile->stacks[i].sum;

		sum->in_use_bytes = sum->recent_bytes;
		sum->in_use_objects = sum->recent_objects;
		sum->recent_bytes = sum->recent_objects = 0;
	}
}

static int larger_first(const void *a, const void *b)
{
	const struct stack *x = a, *y = b;
	uint64_t x_bytes = x->sum.in_use_bytes, y_bytes = y->sum.in_use_bytes;

	if (x_bytes != y_bytes)
		return x_bytes < y_bytes ? 1 : -1;
	return x->sum.allocated_bytes < y->sum.allocated_bytes   ? 1
	       : x->sum.allocated_bytes > y->sum.allocated_bytes ? -1
								 : 0;
}

static int refuse(char reason[160], const char *why)
{
	text_copy(reason, 160, why);
	return -ENODATA;
}

int go_allocated(struct runtime_process *process,
	void (*found)(const struct runtime_allocated *allocated, void *arg), void *arg,
	struct event_profile *ret, char reason[160])
{
	struct profile profile = {.process = process};
	bool complete = false;
	int r;

	if (!process->facts.profile_linked) {
		refuse(reason, "the linker left it out, for nothing in the program reads it");
		return go_sampled_profile(process, found, arg, ret);
	}
	if (!process->facts.mbuckets || !process->facts.mem_profile_rate)
		return refuse(reason, "this binary does not tell where it is");
	r = target_mem_read_u64(process->mem, process->facts.mem_profile_rate, &profile.rate);
	if (r < 0)
		return r;
	if (!go_profile_enabled(process))
		return refuse(reason, profile.rate
					      ? "nothing has been sampled yet"
					      : "the program has set runtime.MemProfileRate to 0");
	r = read_still(&profile, &complete);
	if (!r) {
		settle_first_cycle(&profile);
		qsort(profile.stacks, profile.stack_count, sizeof(*profile.stacks), larger_first);
		*ret = (struct event_profile){.rate_bytes = profile.rate, .complete = complete};
	}
	for (size_t i = 0; !r && i < profile.stack_count; i++) {
		const struct stack *stack = &profile.stacks[i];
		struct runtime_allocated allocated = {.event = stack->sum,
			.pcs = profile.pcs + stack->first_pc,
			.pc_count = stack->pc_count};

		found(&allocated, arg);
	}
	profile_clear(&profile);
	return r;
}
