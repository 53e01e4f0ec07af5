/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per target: one governor and up to one link per family. A record finds its way back through its
 * attachment id (which strand and probe it was) or, for kernel events, through its pid.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "trace/blocks.h"
#include "trace/prober_private.h"

#define SETTLE_NS       (200 * NSEC_PER_MSEC)
#define SETTLE_PAUSE_NS (1 * NSEC_PER_MSEC)

/* ---- open ---- */

static void kernel_events(struct prober *prober)
{
	if (trace_bpf_attach_kernel(prober->bpf, true, &prober->fault_mode) < 0)
		model_add_skip(prober->model, "kernel events",
			"page faults, exec and exit cannot be traced on this kernel");
	else if (!strcmp(prober->fault_mode, "none"))
		model_add_skip(prober->model, "page faults",
			"neither tp_btf nor the perf software event could be attached");
}

static int choose_mode(struct prober *prober)
{
	char why[160] = "";
	int r = attach_choose_mode(prober->bpf, &prober->mode, why);

	if (r < 0)
		return r;
	if (why[0])
		model_add_skip(prober->model, "best attach mode", why);
	return 0;
}

int prober_open(const struct prober_options *options, struct model *model, struct prober **ret,
	char error[256])
{
	struct trace_bpf_options load = {.blocks = options->blocks ? BLOCKS_MAX : 0};
	struct prober *prober = xcalloc(1, sizeof(*prober));
	int r;

	prober->model = model;
	prober->options = *options;
	prober->begin_ns = clock_mono_ns();
	r = trace_bpf_load(&load, &prober->bpf, error);
	if (r < 0)
		goto out;
	r = choose_mode(prober);
	if (r == 0 && prober->mode != ATTACH_NONE)
		r = calibrate_run(prober->bpf, prober->mode, &prober->prices);
	if (r == 0 && options->memory_calls)
		calibrate_calls(prober->bpf, &prober->prices);
	if (r == 0)
		r = closer_start(&prober->closer);
	if (r == 0)
		r = drain_start(prober->bpf, 0, &prober->drain);
	if (r < 0) {
		snprintf(
			error, 256, "probes cannot be tried out on this machine: %s", strerror(-r));
		goto out;
	}
	prober->own_missed_calls = trace_bpf_read_missed_calls(prober->bpf);
	kernel_events(prober);
	if (options->all_execs)
		trace_bpf_want_all_execs(prober->bpf);
	*ret = prober;
	return 0;
out:
	prober_close(prober);
	return r;
}

const char *prober_mode(const struct prober *prober)
{
	return attach_mode_name(prober->mode);
}

/* ---- targets ---- */

int prober_add(struct prober *prober, struct reader *reader, bool counts_only)
{
	struct governor_config config = {
		.budget_pct = prober->options.budget_pct, .detach_ns = prober->prices.grace_ns};
	struct traced *traced = NULL;
	int r;

	for (size_t i = 0; i < PROBER_MAX_TARGETS && !traced; i++)
		if (!prober->traced[i].reader)
			traced = &prober->traced[i];
	if (!traced)
		return -ENOSPC;
	*traced = (struct traced){.reader = reader, .counts_only = counts_only};
	traced->number = ++prober->added;
	prober->traced_count++;
	traced->pid = reader_info(reader)->id.pid;
	traced->governor = governor_new(&config, clock_mono_ns());
	traced->faults.governed = strcmp(prober->fault_mode, "none")
					  ? governor_add_link(traced->governor, 0, clock_mono_ns())
					  : -1;
	traced->calls.governed = prober->options.memory_calls
					 ? governor_add_link(traced->governor, 0, clock_mono_ns())
					 : -1;
	r = trace_bpf_add_target(prober->bpf, traced->pid, prober->options.follow);
	if (r == 0 && !reader_keeps_frame_pointers(reader))
		r = trace_bpf_copy_stacks(prober->bpf, traced->pid);
	if (r == 0)
		r = links_take_parts(prober, traced);
	if (r == 0)
		r = prober_govern(prober, traced, clock_mono_ns());
	return r == -ESRCH || r == -ENOSPC ? r : 0;
}

void prober_update(struct prober *prober, struct reader *reader)
{
	for (size_t i = 0; i < PROBER_MAX_TARGETS; i++)
		if (prober->traced[i].reader == reader)
			links_take_parts(prober, &prober->traced[i]);
}

int prober_follow(struct prober *prober, int pid)
{
	return trace_bpf_add_target(prober->bpf, pid, true);
}

/* A pid that was given to another target meanwhile is not ours to forget. */
static bool is_newest_of_pid(const struct prober *prober, const struct traced *traced)
{
	for (size_t i = 0; i < PROBER_MAX_TARGETS; i++)
		if (prober->traced[i].reader && prober->traced[i].pid == traced->pid &&
			prober->traced[i].number > traced->number)
			return false;
	return true;
}

void prober_remove(struct prober *prober, struct reader *reader)
{
	for (size_t i = 0; i < PROBER_MAX_TARGETS; i++) {
		struct traced *traced = &prober->traced[i];

		if (traced->reader != reader)
			continue;
		if (traced->faults.open)
			trace_bpf_want_faults(prober->bpf, false);
		if (traced->calls.open)
			trace_bpf_want_calls(prober->bpf, false);
		if (is_newest_of_pid(prober, traced))
			trace_bpf_remove_target(prober->bpf, traced->pid);
		links_free(prober, traced);
		prober->price_sum_ns += (double)traced->cost_ns;
		governor_free(traced->governor);
		*traced = (struct traced){0};
		prober->traced_count--;
	}
}

/* ---- bursts ---- */

static struct traced *traced_of(struct prober *prober, const struct reader *reader)
{
	for (size_t i = 0; i < PROBER_MAX_TARGETS; i++)
		if (prober->traced[i].reader && prober->traced[i].reader == reader)
			return &prober->traced[i];
	return NULL;
}

int prober_open_burst(struct prober *prober, struct reader *reader, uint64_t addr, int64_t hits)
{
	struct traced *traced = traced_of(prober, reader);
	struct link *link = traced ? &traced->links[FAMILY_ACCESS] : NULL;

	if (!link || !link->strand_count)
		return -ENOENT;
	return link_open_only(prober, traced, link, addr, hits);
}

bool prober_burst_goes_on(struct prober *prober, struct reader *reader)
{
	struct traced *traced = traced_of(prober, reader);
	struct link *link = traced ? &traced->links[FAMILY_ACCESS] : NULL;

	return link && link->open && !link_shut_ns(prober, link);
}

void prober_close_burst(struct prober *prober, struct reader *reader)
{
	struct traced *traced = traced_of(prober, reader);

	if (traced && traced->links[FAMILY_ACCESS].open)
		link_close(prober, &traced->links[FAMILY_ACCESS]);
}

/* ---- records ---- */

/* Of two that had the same pid, one after the other, the later one. */
static struct reader *reader_of_pid(struct prober *prober, int pid)
{
	const struct traced *newest = NULL;

	for (size_t i = 0; i < PROBER_MAX_TARGETS; i++) {
		const struct traced *traced = &prober->traced[i];

		if (traced->reader && traced->pid == pid &&
			(!newest || traced->number > newest->number))
			newest = traced;
	}
	return newest ? newest->reader : NULL;
}

/*
 * At the end nobody else fetches what the queue had no room for, and a program that was running on another
 * CPU when it was detached may not have handed its record over yet. False = that was all.
 */
static bool fetch_rest(struct prober *prober)
{
	bool left = drain_flush(prober->drain);

	if (left || prober_is_settled(prober) || clock_mono_ns() >= prober->settle_until_ns)
		return left;
	clock_wait_ns(SETTLE_PAUSE_NS);
	return true;
}

bool prober_next(struct prober *prober, struct prober_record *ret)
{
	const struct mt_record *record = drain_next(prober->drain);
	const struct attached *attached;

	for (bool more = prober->finished; !record && more; record = drain_next(prober->drain))
		more = fetch_rest(prober);
	if (!record)
		return false;
	*ret = (struct prober_record){.record = record};
	if (record->attachment >= MT_MAX_ATTACHMENTS) {
		ret->reader = reader_of_pid(prober, (int)record->tgid);
		return true;
	}
	attached = &prober->attached[record->attachment];
	if (attached->traced) {
		ret->reader = attached->traced->reader;
		ret->part = attached->part;
		ret->probe = attached->probe;
	}
	return true;
}

int prober_fd(const struct prober *prober)
{
	return drain_event_fd(prober->drain);
}

/* ---- the end ---- */

static void tell_missed_calls(struct prober *prober)
{
	uint64_t missed = trace_bpf_read_missed_calls(prober->bpf) - prober->own_missed_calls;
	char reason[160];

	if (!missed)
		return;
	snprintf(reason, sizeof(reason),
		"%llu calls were not seen to return: what they allocated is missing",
		(unsigned long long)missed);
	model_add_skip(prober->model, "malloc", reason);
}

void prober_finish(struct prober *prober)
{
	uint64_t begin_ns = clock_mono_ns();

	for (size_t i = 0; i < PROBER_MAX_TARGETS; i++) {
		struct traced *traced = &prober->traced[i];

		if (!traced->reader)
			continue;
		/* A gate that the kernel has shut since the last tick. */
		prober_measure(prober, traced, begin_ns);
		for (enum family f = FAMILY_MAP; f < FAMILY_MAX; f++)
			link_close(prober, &traced->links[f]);
	}
	trace_bpf_detach_kernel(prober->bpf);
	closer_flush(prober->closer);
	prober->detach_ns = clock_mono_ns() - begin_ns;
	drain_flush(prober->drain);
	prober->finished = true;
	prober->settle_until_ns = clock_mono_ns() + SETTLE_NS;
	tell_missed_calls(prober);
}

void prober_close(struct prober *prober)
{
	if (!prober)
		return;
	for (size_t i = 0; i < PROBER_MAX_TARGETS; i++) {
		if (!prober->traced[i].reader)
			continue;
		links_free(prober, &prober->traced[i]);
		governor_free(prober->traced[i].governor);
	}
	if (prober->drain)
		drain_stop(prober->drain);
	if (prober->closer)
		closer_stop(prober->closer);
	trace_bpf_close(prober->bpf);
	free(prober);
}
