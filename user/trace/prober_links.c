/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The probes of a target: one link per family, which the governor opens and closes as one, in whatever
 * files its probes are: the kernel takes one file a link, so a link has a strand for each.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "target/mem.h"
#include "trace/blocks.h"
#include "trace/prober_private.h"

void link_tell_share(struct prober *prober, const struct traced *traced, enum family family,
	bool open, uint64_t time_ns)
{
	struct event event = {
		.kind = EVENT_SHARE, .target = reader_target(traced->reader), .time_ns = time_ns};

	event.share.family = family;
	event.share.open = open;
	model_apply(prober->model, &event);
	if (family == FAMILY_ALLOCATION && reader_blocks(traced->reader))
		blocks_window(reader_blocks(traced->reader), open, time_ns);
}

static void skip_probe(struct prober *prober, const char *what, const char *reason)
{
	model_add_skip(prober->model, what, reason);
}

/* Only code that is in memory what it was in the file may be probed. */
static bool verified(struct prober *prober, struct reader *reader, const struct part *part,
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

static uint64_t dearest_of(const struct prober *prober, const struct strand *strand, uint8_t kind)
{
	uint64_t dearest_ns = 0;

	for (size_t i = 0; i < strand->probe_count; i++)
		if (strand->probes[i].attachment.kind == kind)
			dearest_ns = MAX(
				dearest_ns, calibrate_open_ns(&prober->prices, &strand->probes[i]));
	return dearest_ns;
}

/* A call of an allocator hits twice, where it begins and where it ends; nothing else is as dear as both. */
static void price_calls(const struct prober *prober, struct strand *strand)
{
	uint64_t asked_ns = dearest_of(prober, strand, MT_BLOCK_ASKED);

	if (asked_ns)
		strand->dearest_ns = (asked_ns + dearest_of(prober, strand, MT_BLOCK)) / 2;
}

static size_t collect_probes(
	struct prober *prober, struct reader *reader, enum family family, struct strand *strand)
{
	const struct part *part = parts_get(reader_parts(reader), strand->part);

	for (uint32_t i = 0; i < part->file->probe_count && i < RUNTIME_MAX_PROBES; i++) {
		const struct runtime_probe *probe = &part->file->probes[i];

		if (probe->family != family || !verified(prober, reader, part, probe))
			continue;
		strand->probes[strand->probe_count++] = *probe;
		strand->dearest_ns =
			MAX(strand->dearest_ns, calibrate_open_ns(&prober->prices, probe));
	}
	price_calls(prober, strand);
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

/* What is only sampled anyhow must not take the budget of what is counted. */
static int add_governed(struct prober *prober, struct traced *traced, enum family family,
	const struct strand *strand)
{
	double share = shut_share(prober, strand);

	if (family == FAMILY_ALLOCATION)
		return governor_add_guest(traced->governor, share, clock_mono_ns());
	return governor_add_link(traced->governor, share, clock_mono_ns());
}

static const char *why_not(int r)
{
	return r == -E2BIG ? "so many probes need uprobe_multi, which this kernel does not have "
			     "(Linux 6.6)"
			   : strerror(-r);
}

/* The first strand makes the link known to the governor. */
static int add_strand(
	struct prober *prober, struct traced *traced, struct link *link, struct strand *strand)
{
	const struct part *part = parts_get(reader_parts(traced->reader), strand->part);
	int number, r = attach_link_new(prober->bpf, prober->mode, traced->pid, part->module->fd,
			    strand->probes, strand->probe_count, &strand->attach);

	if (r < 0) {
		skip_probe(prober, family_name(link->family), why_not(r));
		return r;
	}
	register_strand(prober, traced, strand, link->family);
	if (link->family == FAMILY_ACCESS) {
		link->governed = LINK_NOT_GOVERNED;
	} else if (!link->strand_count) {
		number = add_governed(prober, traced, link->family, strand);
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
	struct strand *strand;
	int r = 0;

	if (family == FAMILY_ACCESS && (!prober->options.access_burst || traced->counts_only))
		return 0;
	strand = xcalloc(1, sizeof(*strand));
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

int links_take_parts(struct prober *prober, struct traced *traced)
{
	int r = 0;

	for (; traced->parts_taken < parts_count(reader_parts(traced->reader));
		traced->parts_taken++)
		for (enum family family = FAMILY_MAP; r == 0 && family < FAMILY_MAX; family++)
			if (prober->mode != ATTACH_NONE)
				r = add_part(prober, traced, family, traced->parts_taken);
	return r;
}

struct link *links_find(struct traced *traced, uint32_t governed)
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

uint64_t link_cost_ns(const struct prober *prober, const struct link *link)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < link->strand_count; i++)
		sum += strand_cost_ns(prober, link->strands[i]);
	return sum;
}

/* While its gate is open every hit takes of its credit: as long as that is whole, nothing was hit. */
static bool was_hit(
	const struct prober *prober, const struct traced *traced, const struct strand *strand)
{
	return traced->counts_only || !attach_link_is_open(strand->attach) ||
	       trace_bpf_read_credit(prober->bpf, attach_link_index(strand->attach)) !=
		       strand->credit;
}

uint64_t link_measure_ns(struct prober *prober, const struct traced *traced, struct link *link)
{
	uint64_t cost_ns = 0;

	for (size_t i = 0; i < link->strand_count; i++) {
		struct strand *strand = link->strands[i];

		if (was_hit(prober, traced, strand))
			strand->cost_ns = strand_cost_ns(prober, strand);
		cost_ns += strand->cost_ns;
	}
	return cost_ns;
}

uint64_t link_shut_ns(const struct prober *prober, const struct link *link)
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

void link_give_credit(struct prober *prober, struct link *link, double credit_ns)
{
	for (size_t i = 0; i < link->strand_count; i++) {
		struct strand *strand = link->strands[i];

		strand->credit = (int64_t)(credit_ns / (double)MAX(strand->dearest_ns, 1u)) + 1;
		trace_bpf_set_credit(
			prober->bpf, attach_link_index(strand->attach), strand->credit);
	}
}

/* Hits before all of its probes were there, and the gate open, are paid for, but tell nothing of its rate. */
static void measure_opening(struct prober *prober, struct traced *traced, struct link *link)
{
	uint64_t cost_ns = 0;

	for (size_t i = 0; i < link->strand_count; i++) {
		link->strands[i]->cost_ns = strand_cost_ns(prober, link->strands[i]);
		cost_ns += link->strands[i]->cost_ns;
	}
	governor_measure_link(traced->governor, link->governed, clock_mono_ns(), cost_ns);
}

/* Samples that a link of probes on an allocator has made. */
static uint64_t samples_made(const struct prober *prober, const struct link *link)
{
	struct mt_counters counters;
	uint64_t sum = 0;

	for (size_t n = 0; n < link->strand_count; n++) {
		const struct strand *strand = link->strands[n];

		for (size_t i = 0; i < strand->probe_count; i++)
			if (strand->probes[i].attachment.kind == MT_BLOCK &&
				!trace_bpf_read_counters(
					prober->bpf, attach_link_id(strand->attach, i), &counters))
				sum += counters.produced;
	}
	return sum;
}

void link_set_rate(
	struct prober *prober, const struct traced *traced, struct link *link, uint64_t now_ns)
{
	struct blocks *blocks = reader_blocks(traced->reader);
	uint64_t rate;

	if (link->family != FAMILY_ALLOCATION || !blocks)
		return;
	if (!link->open)
		blocks_restart_rate(blocks, samples_made(prober, link), now_ns);
	rate = blocks_rate(blocks, link->strands[0]->credit, samples_made(prober, link), now_ns);
	for (size_t i = 0; i < link->strand_count; i++)
		trace_bpf_set_rate(prober->bpf, attach_link_index(link->strands[i]->attach), rate);
}

int link_open(struct prober *prober, struct traced *traced, struct link *link)
{
	uint64_t begin_ns = clock_mono_ns();
	size_t opened = 0;
	int r = 0;

	link_set_rate(prober, traced, link, begin_ns);
	for (size_t i = 0; i < link->strand_count && r != -ESRCH; i++) {
		r = open_strand(prober, traced, link, link->strands[i]);
		opened += r == 0;
	}
	prober->attach_ns = MAX(prober->attach_ns, clock_mono_ns() - begin_ns);
	link->open = opened;
	if (link->governed == LINK_NOT_GOVERNED)
		return opened ? 0 : r ? r : -ENOTSUP;
	if (!opened) {
		governor_failed(traced->governor, link->governed);
		return r;
	}
	measure_opening(prober, traced, link);
	governor_opened(traced->governor, link->governed, clock_mono_ns());
	link_tell_share(prober, traced, link->family, true, clock_mono_ns());
	return 0;
}

int link_open_only(struct prober *prober, struct traced *traced, struct link *link, uint64_t addr,
	int64_t credit)
{
	int r = 0;

	for (size_t i = 0; i < link->strand_count && !r; i++) {
		struct strand *strand = link->strands[i];

		if (strand->closing || attach_link_is_open(strand->attach))
			return -EBUSY;
		r = attach_link_set_only(strand->attach, strand->probes, addr);
		strand->credit = credit;
		trace_bpf_set_credit(prober->bpf, attach_link_index(strand->attach), credit);
	}
	return r ? r : link_open(prober, traced, link);
}

void link_close(struct prober *prober, struct link *link)
{
	for (size_t i = 0; i < link->strand_count; i++) {
		struct strand *strand = link->strands[i];

		strand->closing = attach_link_is_open(strand->attach);
		attach_link_close(strand->attach, prober->closer);
	}
	link->open = false;
}

/* A link is closed when the last of its strands is. */
void link_closed(struct traced *traced, struct link *link, const struct closer_done *done)
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
	if (was && !closing && link->governed != LINK_NOT_GOVERNED)
		governor_closed(traced->governor, link->governed, done->end_ns);
}

static void free_link(struct prober *prober, struct link *link)
{
	for (size_t n = 0; n < link->strand_count; n++) {
		struct strand *strand = link->strands[n];

		for (size_t i = 0; i < strand->probe_count; i++)
			prober->attached[attach_link_id(strand->attach, i)] = (struct attached){0};
		if (link->family == FAMILY_ALLOCATION)
			trace_bpf_forget_blocks(prober->bpf, attach_link_index(strand->attach));
		attach_link_free(strand->attach, prober->closer);
		free(strand);
	}
	link->strand_count = 0;
}

void links_free(struct prober *prober, struct traced *traced)
{
	for (enum family family = FAMILY_MAP; family < FAMILY_MAX; family++) {
		traced->cost_ns += link_cost_ns(prober, &traced->links[family]);
		free_link(prober, &traced->links[family]);
	}
}
