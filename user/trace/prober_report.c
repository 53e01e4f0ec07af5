/* SPDX-License-Identifier: BSD-2-Clause */
/* What probing has come to: hits, records and their loss by source, and what it has cost. */
#include "base/clock.h"
#include "trace/prober_private.h"

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

struct tallies {
	struct tally families[FAMILY_MAX], faults, memory, control;
};

static struct tallies tally_all(struct prober *prober)
{
	struct tallies all = {0};

	for (uint32_t id = 0; id < MT_MAX_ATTACHMENTS; id++)
		if (prober->family_of[id] != FAMILY_NONE)
			tally_source(prober, id, &all.families[prober->family_of[id]]);
	tally_source(prober, MT_SRC_FAULT, &all.faults);
	tally_source(prober, MT_SRC_MEMORY, &all.memory);
	tally_source(prober, MT_SRC_CONTROL, &all.control);
	return all;
}

static bool is_settled(const struct tally *tally)
{
	return tally->produced == tally->delivered + tally->lost;
}

bool prober_is_settled(struct prober *prober)
{
	const struct tallies all = tally_all(prober);
	bool settled =
		is_settled(&all.faults) && is_settled(&all.memory) && is_settled(&all.control);

	for (enum family family = FAMILY_MAP; settled && family < FAMILY_MAX; family++)
		settled = is_settled(&all.families[family]);
	return settled;
}

static uint64_t report_sources(struct prober *prober)
{
	const struct tallies all = tally_all(prober);
	uint64_t misses = trace_bpf_read_misses(prober->bpf), hits = 0;

	for (enum family family = FAMILY_MAP; family < FAMILY_MAX; family++) {
		report_source(prober, family_name(family), &all.families[family]);
		hits += all.families[family].hits;
	}
	report_source(prober, "faults", &all.faults);
	report_source(prober, "memory calls", &all.memory);
	report_source(prober, "control", &all.control);
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
