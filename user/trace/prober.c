/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Per target: one governor and up to one link per family, which the governor opens and closes as one,
 * in whatever files its probes are: the kernel takes one file a link, so a link has a strand for
 * each. A record finds its way back through its attachment id (which strand and probe it was) or, for
 * kernel events, through its pid.
 */
#include "trace/prober.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "target/mem.h"
#include "target/process.h"
#include "trace/attach.h"
#include "trace/bpf.h"
#include "trace/calibrate.h"
#include "trace/closer.h"
#include "trace/drain.h"
#include "trace/governor.h"

/* More targets than so many share the calm ticks of one. */
#define TARGETS_PER_TICK 8

/* What tracing system calls may cost the other processes besides their part. */
#define OTHERS_ALLOWANCE_NS (20 * NSEC_PER_MSEC)

/* The probes of one family and runtime in one file. */
struct strand {
	struct attach_link *attach;
	size_t part; /* of the reader */
	struct runtime_probe probes[RUNTIME_MAX_PROBES];
	size_t probe_count;
	bool closing;        /* the closer has not reported yet */
	uint64_t dearest_ns; /* open price of its dearest probe */
	int64_t credit;      /* as last given */
	uint64_t cost_ns;    /* of its hits, as last read */
};

/* All probes of one family in one target. */
struct link {
	struct strand *strands[READER_MAX_PARTS];
	size_t strand_count; /* 0 = unused */
	enum family family;
	uint32_t governed; /* its number at the governor */
	bool open;
};

struct traced {
	struct reader *reader; /* NULL = unused */
	int pid;
	uint64_t number;  /* in the order of prober_add() */
	uint64_t next_ns; /* its governor's next tick */
	bool counts_only;
	struct governor *governor;
	struct link links[FAMILY_MAX];
	size_t parts_taken; /* so many of the reader's have their probes in links */
	struct feed {
		int governed; /* its number at the governor, < 0 = none */
		bool open;
	} faults, calls;
	uint64_t cost_ns; /* of links already freed */
};

/* Which probe an attachment id stands for. */
struct attached {
	struct traced *traced;
	size_t part;
	const struct runtime_probe *probe;
};

struct prober {
	struct model *model;
	struct prober_options options;
	struct trace_bpf *bpf;
	enum attach_mode mode;
	struct calibrate_prices prices;
	struct closer *closer;
	struct drain *drain;
	const char *fault_mode;
	struct traced traced[PROBER_MAX_TARGETS];
	struct attached attached[MT_MAX_ATTACHMENTS];
	enum family family_of[MT_MAX_ATTACHMENTS]; /* kept after detaching, for the counters */
	uint64_t added;                            /* targets so far */
	size_t traced_count;
	uint64_t begin_ns, attach_ns, detach_ns;
	double price_sum_ns; /* probe cost of targets that were removed */
	bool finished;
};

/* ---- open, close ---- */

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
	struct trace_bpf_options load = {0};
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

/* ---- links ---- */

static void tell_share(struct prober *prober, const struct traced *traced, enum family family,
	bool open, uint64_t time_ns)
{
	struct event event = {
		.kind = EVENT_SHARE, .target = reader_target(traced->reader), .time_ns = time_ns};

	event.share.family = family;
	event.share.open = open;
	model_apply(prober->model, &event);
}

static void skip_probe(struct prober *prober, const char *what, const char *reason)
{
	model_add_skip(prober->model, what, reason);
}

/* Only code that is in memory what it was in the file may be probed. */
static bool verified(struct prober *prober, struct reader *reader, const struct reader_part *part,
	const struct runtime_probe *probe)
{
	uint8_t memory[RUNTIME_CODE_BYTES];
	int r = target_mem_read(
		reader_mem(reader), probe->vaddr + part->module->slide, memory, probe->code_bytes);

	/* Code that has never run is not in memory yet: the file is then all there is. */
	if (r == -EFAULT)
		return true;
	if (r == 0)
		r = attach_verify(probe, memory, probe->code_bytes);
	if (r < 0)
		skip_probe(prober, probe->symbol,
			"its code in memory is not the code in the file: not probed");
	return r == 0;
}

static size_t collect_probes(
	struct prober *prober, struct reader *reader, enum family family, struct strand *strand)
{
	const struct reader_part *part = reader_part(reader, strand->part);

	for (uint32_t i = 0; i < part->file->probe_count && i < RUNTIME_MAX_PROBES; i++) {
		const struct runtime_probe *probe = &part->file->probes[i];

		if (probe->family != family || !verified(prober, reader, part, probe))
			continue;
		strand->probes[strand->probe_count++] = *probe;
		strand->dearest_ns =
			MAX(strand->dearest_ns, calibrate_open_ns(&prober->prices, probe));
	}
	return strand->probe_count;
}

static void register_strand(struct prober *prober, struct traced *traced,
	const struct strand *strand, enum family family)
{
	for (size_t i = 0; i < strand->probe_count; i++) {
		uint32_t id = attach_link_id(strand->attach, i);

		prober->attached[id] = (struct attached){traced, strand->part, &strand->probes[i]};
		prober->family_of[id] = family;
	}
}

static double shut_share(const struct prober *prober, const struct strand *strand)
{
	uint64_t shut_ns = calibrate_shut_ns(&prober->prices, &strand->probes[0]);
	uint64_t open_ns = calibrate_open_ns(&prober->prices, &strand->probes[0]);

	return open_ns ? (double)shut_ns / (double)open_ns : 1;
}

/* The first strand makes the link known to the governor. */
static int add_strand(
	struct prober *prober, struct traced *traced, struct link *link, struct strand *strand)
{
	const struct reader_part *part = reader_part(traced->reader, strand->part);
	int number, r = attach_link_new(prober->bpf, prober->mode, traced->pid, part->module->fd,
			    strand->probes, strand->probe_count, &strand->attach);

	if (r < 0) {
		skip_probe(prober, family_name(link->family), strerror(-r));
		return r;
	}
	register_strand(prober, traced, strand, link->family);
	if (!link->strand_count) {
		number = governor_add_link(
			traced->governor, shut_share(prober, strand), clock_mono_ns());
		if (number < 0) {
			attach_link_free(strand->attach, prober->closer);
			return -ENOSPC;
		}
		link->governed = (uint32_t)number;
	}
	link->strands[link->strand_count++] = strand;
	return 0;
}

static int open_strand(struct prober *prober, const struct traced *traced, const struct link *link,
	struct strand *strand)
{
	int r = attach_link_open(strand->attach);

	if (r < 0) {
		if (r != -ESRCH)
			skip_probe(prober, family_name(link->family), strerror(-r));
		return r;
	}
	if (traced->counts_only)
		trace_bpf_set_gate(prober->bpf, attach_link_index(strand->attach), false);
	return 0;
}

static int add_part(struct prober *prober, struct traced *traced, enum family family, size_t part)
{
	struct link *link = &traced->links[family];
	struct strand *strand = xcalloc(1, sizeof(*strand));
	int r = 0;

	link->family = family;
	strand->part = part;
	if (collect_probes(prober, traced->reader, family, strand)) {
		r = add_strand(prober, traced, link, strand);
		if (r == 0 && link->open)
			open_strand(prober, traced, link, strand);
		if (r == 0)
			return 0;
	}
	free(strand);
	return r == -ESRCH || r == -ENOSPC ? r : 0;
}

/* Probes of the parts that have come since the last call. */
static int take_parts(struct prober *prober, struct traced *traced)
{
	int r = 0;

	for (; traced->parts_taken < reader_part_count(traced->reader); traced->parts_taken++)
		for (enum family family = FAMILY_MAP; r == 0 && family < FAMILY_MAX; family++)
			if (prober->mode != ATTACH_NONE)
				r = add_part(prober, traced, family, traced->parts_taken);
	return r;
}

static struct link *link_of(struct traced *traced, uint32_t governed)
{
	for (enum family family = FAMILY_MAP; family < FAMILY_MAX; family++)
		if (traced->links[family].strand_count &&
			traced->links[family].governed == governed)
			return &traced->links[family];
	return NULL;
}

static uint64_t strand_cost_ns(const struct prober *prober, const struct strand *strand)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < strand->probe_count; i++) {
		struct mt_counters counters;

		if (trace_bpf_read_counters(
			    prober->bpf, attach_link_id(strand->attach, i), &counters) == 0)
			sum += calibrate_cost_ns(&prober->prices, &strand->probes[i], &counters);
	}
	return sum;
}

static uint64_t link_cost_ns(const struct prober *prober, const struct link *link)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < link->strand_count; i++)
		sum += strand_cost_ns(prober, link->strands[i]);
	return sum;
}

/* A target's part of what counting and sampling faults costs. */
static uint64_t fault_cost_ns(struct prober *prober, const struct traced *traced)
{
	struct mt_counters all;
	uint64_t faults;

	if (trace_bpf_read_counters(prober->bpf, MT_SRC_FAULT, &all) < 0 || !all.hits ||
		trace_bpf_read_faults(prober->bpf, traced->pid, &faults) < 0)
		return 0;
	return (uint64_t)((double)calibrate_fault_cost_ns(&prober->prices, &all) *
			  ((double)faults / (double)all.hits));
}

/* What tracing system calls has cost the target. */
static uint64_t call_cost_ns(const struct prober *prober)
{
	uint64_t own, others;

	trace_bpf_read_calls(prober->bpf, &own, &others);
	return own * prober->prices.call_ns;
}

/* Every process of the machine pays for it: together they may pay the budget's part of all CPUs. */
static bool others_pay_too_much(const struct prober *prober, uint64_t now_ns)
{
	double allowed_ns = (double)(now_ns - prober->begin_ns) * prober->options.budget_pct / 100 *
			    (double)sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t own, others;

	trace_bpf_read_calls(prober->bpf, &own, &others);
	return (double)(others * prober->prices.call_ns) > allowed_ns + OTHERS_ALLOWANCE_NS;
}

/* ---- the governor's hands ---- */

/* While its gate is open every hit takes of its credit: as long as that is whole, nothing was hit. */
static bool was_hit(
	const struct prober *prober, const struct traced *traced, const struct strand *strand)
{
	return traced->counts_only || !attach_link_is_open(strand->attach) ||
	       trace_bpf_read_credit(prober->bpf, attach_link_index(strand->attach)) !=
		       strand->credit;
}

/* When the kernel has shut the first gate of an open link; 0 = it has not. */
static uint64_t link_shut_ns(const struct prober *prober, const struct link *link)
{
	uint64_t first_ns = 0;

	for (size_t i = 0; link->open && i < link->strand_count; i++) {
		uint64_t shut_ns = trace_bpf_read_shut_ns(
			prober->bpf, attach_link_index(link->strands[i]->attach));

		if (shut_ns && (!first_ns || shut_ns < first_ns))
			first_ns = shut_ns;
	}
	return first_ns;
}

static void measure_link(
	struct prober *prober, struct traced *traced, struct link *link, uint64_t now_ns)
{
	uint64_t shut_ns = link_shut_ns(prober, link), cost_ns = 0;

	for (size_t i = 0; i < link->strand_count; i++) {
		struct strand *strand = link->strands[i];

		if (was_hit(prober, traced, strand))
			strand->cost_ns = strand_cost_ns(prober, strand);
		cost_ns += strand->cost_ns;
	}
	governor_measure_link(
		traced->governor, link->governed, shut_ns ? shut_ns : now_ns, cost_ns);
	if (!shut_ns)
		return;
	governor_shut(traced->governor, link->governed, shut_ns);
	tell_share(prober, traced, link->family, false, shut_ns);
}

static void measure(struct prober *prober, struct traced *traced, uint64_t now_ns)
{
	struct process_usage usage;

	if (process_read_usage(traced->pid, &usage) == 0)
		governor_measure_cpu(traced->governor, now_ns, usage.cpu_ns);
	if (traced->faults.governed >= 0)
		governor_measure_link(traced->governor, (uint32_t)traced->faults.governed, now_ns,
			fault_cost_ns(prober, traced));
	if (traced->calls.governed >= 0)
		governor_measure_link(traced->governor, (uint32_t)traced->calls.governed, now_ns,
			call_cost_ns(prober));
	for (enum family family = FAMILY_MAP; family < FAMILY_MAX; family++)
		if (traced->links[family].strand_count)
			measure_link(prober, traced, &traced->links[family], now_ns);
}

static void give_strand_credit(struct prober *prober, struct strand *strand, double credit_ns)
{
	strand->credit = (int64_t)(credit_ns / (double)MAX(strand->dearest_ns, 1u)) + 1;
	trace_bpf_set_credit(prober->bpf, attach_link_index(strand->attach), strand->credit);
}

/* What the account holds each of the links may spend until the next tick, whenever that comes. */
static void give_credit(struct prober *prober, struct traced *traced, uint64_t now_ns)
{
	double credit_ns = governor_credit_ns(traced->governor, now_ns);

	for (enum family family = FAMILY_MAP; family < FAMILY_MAX; family++)
		for (size_t i = 0; i < traced->links[family].strand_count; i++)
			give_strand_credit(prober, traced->links[family].strands[i], credit_ns);
}

static void close_link(struct prober *prober, struct link *link)
{
	for (size_t i = 0; i < link->strand_count; i++) {
		struct strand *strand = link->strands[i];

		strand->closing = attach_link_is_open(strand->attach);
		attach_link_close(strand->attach, prober->closer);
	}
	link->open = false;
}

static int open_link(struct prober *prober, struct traced *traced, struct link *link)
{
	uint64_t begin_ns = clock_mono_ns();
	size_t opened = 0;
	int r = 0;

	for (size_t i = 0; i < link->strand_count && r != -ESRCH; i++) {
		r = open_strand(prober, traced, link, link->strands[i]);
		opened += r == 0;
	}
	prober->attach_ns = MAX(prober->attach_ns, clock_mono_ns() - begin_ns);
	if (!opened) {
		governor_failed(traced->governor, link->governed);
		return r;
	}
	link->open = true;
	governor_opened(traced->governor, link->governed, clock_mono_ns());
	tell_share(prober, traced, link->family, true, clock_mono_ns());
	return 0;
}

/*
 * Page faults of all targets come from one place, which is there while any of their governors pays; so
 * do system calls.
 */
static void switch_feed(struct prober *prober, struct traced *traced, struct feed *feed,
	int (*want)(struct trace_bpf *bpf, bool wanted), bool open)
{
	uint32_t number = (uint32_t)feed->governed;
	int r = want(prober->bpf, open);

	feed->open = open;
	if (r < 0)
		governor_failed(traced->governor, number);
	else if (open)
		governor_opened(traced->governor, number, clock_mono_ns());
	else
		governor_closed(traced->governor, number, clock_mono_ns());
}

static void spare_others(struct prober *prober, struct traced *traced, uint64_t now_ns)
{
	struct feed *calls = &traced->calls;

	if (!calls->open || !others_pay_too_much(prober, now_ns))
		return;
	switch_feed(prober, traced, calls, trace_bpf_want_calls, false);
	governor_failed(traced->governor, (uint32_t)calls->governed);
	model_add_skip(prober->model, "system calls that map memory",
		"the other processes make so many calls that tracing these would slow them down");
}

static void switch_feeds(
	struct prober *prober, struct traced *traced, const struct governor_action *action)
{
	bool open = action->verb == GOVERNOR_OPEN;

	if ((int)action->link == traced->faults.governed)
		switch_feed(prober, traced, &traced->faults, trace_bpf_want_faults, open);
	if ((int)action->link == traced->calls.governed)
		switch_feed(prober, traced, &traced->calls, trace_bpf_want_calls, open);
}

static int carry_out(
	struct prober *prober, struct traced *traced, const struct governor_action *action)
{
	struct link *link = link_of(traced, action->link);

	switch_feeds(prober, traced, action);
	if (!link)
		return 0;
	if (action->verb == GOVERNOR_OPEN)
		return open_link(prober, traced, link);
	close_link(prober, link);
	tell_share(prober, traced, link->family, false, clock_mono_ns());
	return 0;
}

/* A link is closed when the last of its strands is. */
static void strand_closed(struct traced *traced, struct link *link, const struct closer_done *done)
{
	bool was = false, closing = false;

	for (size_t i = 0; i < link->strand_count; i++) {
		struct strand *strand = link->strands[i];

		if (strand->closing && attach_link_index(strand->attach) == done->token) {
			strand->closing = false;
			was = true;
		}
		closing |= strand->closing;
	}
	if (was && !closing)
		governor_closed(traced->governor, link->governed, done->end_ns);
}

static void take_closed(struct prober *prober)
{
	struct closer_done done;

	while (closer_poll(prober->closer, &done)) {
		prober->detach_ns = MAX(prober->detach_ns, done.duration_ns);
		for (size_t t = 0; t < PROBER_MAX_TARGETS; t++) {
			struct traced *traced = &prober->traced[t];

			for (enum family f = FAMILY_MAP; traced->reader && f < FAMILY_MAX; f++)
				strand_closed(traced, &traced->links[f], &done);
		}
	}
}

static int govern(struct prober *prober, struct traced *traced, uint64_t now_ns)
{
	struct governor_action actions[GOVERNOR_MAX_LINKS];
	size_t count;
	int r = 0;

	measure(prober, traced, now_ns);
	spare_others(prober, traced, now_ns);
	count = governor_decide(traced->governor, now_ns, actions);
	give_credit(prober, traced, now_ns);
	for (size_t i = 0; i < count && r != -ESRCH; i++)
		r = carry_out(prober, traced, &actions[i]);
	return r;
}

/* Calm targets are asked less often the more there are: their credit bounds what they spend meanwhile. */
static uint64_t next_tick_ns(
	const struct prober *prober, const struct traced *traced, uint64_t now_ns)
{
	uint64_t next_ns = governor_next_ns(traced->governor, now_ns);

	if (next_ns - now_ns < GOVERNOR_CALM_TICK_NS)
		return next_ns;
	return now_ns + GOVERNOR_CALM_TICK_NS * (1 + prober->traced_count / TARGETS_PER_TICK);
}

uint64_t prober_tick(struct prober *prober, uint64_t now_ns)
{
	uint64_t next_ns = now_ns + NSEC_PER_SEC;

	take_closed(prober);
	trace_bpf_adapt_fault_period(prober->bpf, now_ns);
	for (size_t i = 0; i < PROBER_MAX_TARGETS; i++) {
		struct traced *traced = &prober->traced[i];

		if (!traced->reader)
			continue;
		if (now_ns >= traced->next_ns) {
			govern(prober, traced, now_ns);
			traced->next_ns = next_tick_ns(prober, traced, now_ns);
		}
		next_ns = MIN(next_ns, traced->next_ns);
	}
	return next_ns;
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
		r = take_parts(prober, traced);
	if (r == 0)
		r = govern(prober, traced, clock_mono_ns());
	return r == -ESRCH || r == -ENOSPC ? r : 0;
}

void prober_update(struct prober *prober, struct reader *reader)
{
	for (size_t i = 0; i < PROBER_MAX_TARGETS; i++)
		if (prober->traced[i].reader == reader)
			take_parts(prober, &prober->traced[i]);
}

static void measure_each(struct prober *prober, const struct traced *traced,
	const struct link *link, const struct strand *strand,
	void (*measured)(const struct prober_measured *measured, void *arg), void *arg)
{
	uint64_t open_ns = governor_read(traced->governor, link->governed, clock_mono_ns()).open_ns;

	for (size_t i = 0; i < strand->probe_count; i++) {
		struct prober_measured one = {.target = reader_target(traced->reader),
			.probe = &strand->probes[i],
			.open_ns = open_ns,
			.hit_ns = calibrate_open_ns(&prober->prices, &strand->probes[i])};
		struct mt_counters counters;

		if (trace_bpf_read_counters(
			    prober->bpf, attach_link_id(strand->attach, i), &counters) == 0)
			one.hits = counters.hits;
		measured(&one, arg);
	}
}

void prober_each(struct prober *prober,
	void (*measured)(const struct prober_measured *measured, void *arg), void *arg)
{
	for (size_t i = 0; i < PROBER_MAX_TARGETS; i++) {
		const struct traced *traced = &prober->traced[i];

		for (enum family f = FAMILY_MAP; traced->reader && f < FAMILY_MAX; f++)
			for (size_t n = 0; n < traced->links[f].strand_count; n++)
				measure_each(prober, traced, &traced->links[f],
					traced->links[f].strands[n], measured, arg);
	}
}

static void free_link(struct prober *prober, struct link *link)
{
	for (size_t n = 0; n < link->strand_count; n++) {
		struct strand *strand = link->strands[n];

		for (size_t i = 0; i < strand->probe_count; i++)
			prober->attached[attach_link_id(strand->attach, i)] = (struct attached){0};
		attach_link_free(strand->attach, prober->closer);
		free(strand);
	}
	link->strand_count = 0;
}

static void free_links(struct prober *prober, struct traced *traced)
{
	for (enum family family = FAMILY_MAP; family < FAMILY_MAX; family++) {
		traced->cost_ns += link_cost_ns(prober, &traced->links[family]);
		free_link(prober, &traced->links[family]);
	}
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
		free_links(prober, traced);
		prober->price_sum_ns += (double)traced->cost_ns;
		governor_free(traced->governor);
		*traced = (struct traced){0};
		prober->traced_count--;
	}
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

bool prober_next(struct prober *prober, struct prober_record *ret)
{
	const struct mt_record *record = drain_next(prober->drain);
	const struct attached *attached;

	/* At the end nobody else fetches what the queue had no room for. */
	for (bool left = prober->finished; !record && left; record = drain_next(prober->drain))
		left = drain_flush(prober->drain);
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

void prober_finish(struct prober *prober)
{
	uint64_t begin_ns = clock_mono_ns();

	for (size_t i = 0; i < PROBER_MAX_TARGETS; i++) {
		struct traced *traced = &prober->traced[i];

		if (!traced->reader)
			continue;
		/* A gate that the kernel has shut since the last tick. */
		measure(prober, traced, begin_ns);
		for (enum family f = FAMILY_MAP; f < FAMILY_MAX; f++)
			close_link(prober, &traced->links[f]);
	}
	trace_bpf_detach_kernel(prober->bpf);
	closer_flush(prober->closer);
	prober->detach_ns = clock_mono_ns() - begin_ns;
	drain_flush(prober->drain);
	prober->finished = true;
}

struct tally {
	uint64_t hits, produced, delivered, lost;
};

static void tally_source(struct prober *prober, uint32_t source, struct tally *tally)
{
	struct drain_counts drained = drain_read_counts(prober->drain, source);
	struct mt_counters counters;

	if (trace_bpf_read_counters(prober->bpf, source, &counters) < 0)
		return;
	tally->hits += counters.hits;
	tally->produced += counters.produced;
	tally->delivered += drained.delivered;
	tally->lost += counters.lost + drained.lost;
}

/* While probes are open, what is on its way is neither delivered nor lost: it does not count yet. */
static void report_source(struct prober *prober, const char *name, const struct tally *tally)
{
	uint64_t produced = prober->finished ? tally->produced : tally->delivered + tally->lost;

	if (tally->hits || tally->produced)
		model_set_source(
			prober->model, name, tally->hits, produced, tally->delivered, tally->lost);
}

static uint64_t report_sources(struct prober *prober)
{
	struct tally families[FAMILY_MAX] = {0}, faults = {0}, memory = {0}, control = {0};
	uint64_t misses = trace_bpf_read_misses(prober->bpf), hits = 0;

	for (uint32_t id = 0; id < MT_MAX_ATTACHMENTS; id++)
		tally_source(prober, id, &families[prober->family_of[id]]);
	for (enum family family = FAMILY_MAP; family < FAMILY_MAX; family++) {
		report_source(prober, family_name(family), &families[family]);
		hits += families[family].hits;
	}
	tally_source(prober, MT_SRC_FAULT, &faults);
	report_source(prober, "faults", &faults);
	tally_source(prober, MT_SRC_MEMORY, &memory);
	report_source(prober, "memory calls", &memory);
	tally_source(prober, MT_SRC_CONTROL, &control);
	report_source(prober, "control", &control);
	if (misses && prober->finished)
		model_add_incomplete(prober->model, "the kernel skipped probe runs because one was "
						    "running on that CPU already");
	return hits;
}

static double probe_cost_ns(struct prober *prober)
{
	double sum = prober->price_sum_ns;

	for (size_t i = 0; i < PROBER_MAX_TARGETS; i++) {
		const struct traced *traced = &prober->traced[i];

		for (enum family f = FAMILY_MAP; traced->reader && f < FAMILY_MAX; f++)
			sum += (double)link_cost_ns(prober, &traced->links[f]);
	}
	return sum;
}

void prober_report(struct prober *prober, struct model_overhead *overhead)
{
	double cost_ns = probe_cost_ns(prober);
	struct mt_counters faults = {0};
	uint64_t own_calls, other_calls;

	trace_bpf_read_counters(prober->bpf, MT_SRC_FAULT, &faults);
	trace_bpf_read_calls(prober->bpf, &own_calls, &other_calls);
	overhead->budget_pct = prober->options.budget_pct;
	overhead->attach_ns = prober->attach_ns;
	overhead->detach_ns = prober->detach_ns;
	overhead->probe_hits = report_sources(prober);
	overhead->probe_cpu_ns = (uint64_t)cost_ns +
				 calibrate_fault_cost_ns(&prober->prices, &faults) +
				 own_calls * prober->prices.call_ns;
	overhead->ns_per_hit = overhead->probe_hits ? cost_ns / (double)overhead->probe_hits
						    : (double)prober->prices.emulated.stack_ns;
}

void prober_close(struct prober *prober)
{
	if (!prober)
		return;
	for (size_t i = 0; i < PROBER_MAX_TARGETS; i++) {
		if (!prober->traced[i].reader)
			continue;
		free_links(prober, &prober->traced[i]);
		governor_free(prober->traced[i].governor);
	}
	if (prober->drain)
		drain_stop(prober->drain);
	if (prober->closer)
		closer_stop(prober->closer);
	trace_bpf_close(prober->bpf);
	free(prober);
}
