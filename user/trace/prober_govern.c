/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The governor's hands: what probing costs is measured and handed to it, and what it decides is done.
 */
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "target/process.h"
#include "trace/prober_private.h"

/* More targets than so many share the calm ticks of one. */
#define TARGETS_PER_TICK 8

/* What tracing system calls may cost the other processes besides their part. */
#define OTHERS_ALLOWANCE_NS (20 * NSEC_PER_MSEC)

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

static bool is_governed(const struct link *link)
{
	return link->strand_count && link->governed != LINK_NOT_GOVERNED;
}

static void measure_link(
	struct prober *prober, struct traced *traced, struct link *link, uint64_t now_ns)
{
	uint64_t shut_ns = link_shut_ns(prober, link);

	governor_measure_link(traced->governor, link->governed, shut_ns ? shut_ns : now_ns,
		link_measure_ns(prober, traced, link));
	if (!shut_ns)
		return;
	governor_shut(traced->governor, link->governed, shut_ns);
	link_tell_share(prober, traced, link->family, false, shut_ns);
}

void prober_measure(struct prober *prober, struct traced *traced, uint64_t now_ns)
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
		if (is_governed(&traced->links[family]))
			measure_link(prober, traced, &traced->links[family], now_ns);
}

/* What the account holds each of the links may spend until the next tick, whenever that comes. */
static void give_credit(struct prober *prober, struct traced *traced, uint64_t now_ns)
{
	for (enum family family = FAMILY_MAP; family < FAMILY_MAX; family++) {
		struct link *link = &traced->links[family];

		if (!is_governed(link))
			continue;
		link_give_credit(
			prober, link, governor_credit_ns(traced->governor, link->governed, now_ns));
		if (link->open)
			link_set_rate(prober, traced, link, now_ns);
	}
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

	if ((int)action->link == traced->faults.governed) {
		switch_feed(prober, traced, &traced->faults, trace_bpf_want_faults, open);
		link_tell_share(prober, traced, FAMILY_NONE, open, clock_mono_ns());
	}
	if ((int)action->link == traced->calls.governed)
		switch_feed(prober, traced, &traced->calls, trace_bpf_want_calls, open);
}

static int carry_out(
	struct prober *prober, struct traced *traced, const struct governor_action *action)
{
	struct link *link = links_find(traced, action->link);

	switch_feeds(prober, traced, action);
	if (!link)
		return 0;
	if (action->verb == GOVERNOR_OPEN)
		return link_open(prober, traced, link);
	link_close(prober, link);
	link_tell_share(prober, traced, link->family, false, clock_mono_ns());
	return 0;
}

static void take_closed(struct prober *prober)
{
	struct closer_done done;

	while (closer_poll(prober->closer, &done)) {
		prober->detach_ns = MAX(prober->detach_ns, done.duration_ns);
		for (size_t t = 0; t < PROBER_MAX_TARGETS; t++) {
			struct traced *traced = &prober->traced[t];

			for (enum family f = FAMILY_MAP; traced->reader && f < FAMILY_MAX; f++)
				link_closed(traced, &traced->links[f], &done);
		}
	}
}

int prober_govern(struct prober *prober, struct traced *traced, uint64_t now_ns)
{
	struct governor_action actions[GOVERNOR_MAX_LINKS];
	size_t count;
	int r = 0;

	prober_measure(prober, traced, now_ns);
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
			prober_govern(prober, traced, now_ns);
			traced->next_ns = next_tick_ns(prober, traced, now_ns);
		}
		next_ns = MIN(next_ns, traced->next_ns);
	}
	return next_ns;
}
