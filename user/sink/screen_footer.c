/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a block: what jumped, what was looked at, what it cost, and everything that keeps the
 * report from being complete or exact. Silence alone is not trusted.
 */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sink/groups.h"
#include "sink/screen.h"
#include "sink/summary.h"

#define INDENT         3
#define MAX_SPIKES     3
#define MAX_CAUSES     3
#define MAX_SKIPS      3
#define MAX_GROUPS     8
#define PRESSURE_US    10000 /* that tasks waited: less is not worth a word */
#define MAX_TYPE_BYTES 64
#define RETURNED_BYTES (8 << 20) /* by one kind of call: less is not worth a line */

/* ---- spikes ---- */

/* Grows by sentences; what does not fit is cut, never written past the end. */
struct sentences {
	char text[PAGE_TEXT_BYTES];
	size_t used;
};

static void __attribute__((format(printf, 2, 3)))
say(struct sentences *sentences, const char *format, ...)
{
	size_t room = sizeof(sentences->text) - sentences->used;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(sentences->text + sentences->used, room, format, args);
	va_end(args);
	if (n > 0)
		sentences->used += MIN((size_t)n, room - 1);
}

static void say_cause(struct sentences *sentences, const struct model *model,
	const struct cause *cause, const char *before)
{
	char size[TEXT_NUMBER_BYTES], words[PAGE_TEXT_BYTES];

	model_describe_cause(model, cause, words, sizeof(words));
	say(sentences, "%s %s %.120s", before, text_bytes(size, cause->bytes), words);
}

/* ", 5 times, every 60 s, from 12 s after attach on" */
static void say_series(
	struct sentences *sentences, const struct spike_series *series, uint64_t attach_ns)
{
	uint64_t start = MAX(series->first_ns, attach_ns) - attach_ns;
	char number[TEXT_NUMBER_BYTES];

	say(sentences, ", %s times", text_count(number, series->count));
	if (series->period_ns)
		say(sentences, ", every %s", text_duration(number, series->period_ns));
	if (start >= NSEC_PER_SEC)
		say(sentences, ", first %s after attach", text_duration(number, start));
	say(sentences, "; the largest");
}

/* Steps of one cause are told once: by the largest. */
static bool is_told_by_other(const struct target *target, const struct spike *spike)
{
	uint64_t delta = spike->after_bytes - spike->before_bytes;

	for (size_t i = 0; i < target->spike_count; i++) {
		const struct spike *other = &target->spikes[i];
		uint64_t other_delta = other->after_bytes - other->before_bytes;

		if (other == spike || !model_spike_is_alike(other, spike))
			continue;
		if (other_delta > delta || (other_delta == delta && other < spike))
			return true;
	}
	return false;
}

/* "RSS rose by 64.0 MiB within 1.0 s, 70 s after attach: 48.0 MiB maps at prices.go:77, ..." */
static void put_spike(struct page *page, const struct model *model, const struct target *target,
	const struct spike *spike)
{
	struct sentences sentences = {.used = 0};
	char number[TEXT_NUMBER_BYTES];
	uint64_t delta = spike->after_bytes - spike->before_bytes;
	uint64_t start = MAX(spike->start_ns, target->attach_ns) - target->attach_ns;
	struct spike_series series = model_spike_series(target, spike);
	size_t said = 0;

	say(&sentences, "RSS rose by %s", text_bytes(number, delta));
	say(&sentences, " within %s", text_duration(number, spike->end_ns - spike->start_ns));
	if (series.count > 1)
		say_series(&sentences, &series, target->attach_ns);
	else if (start >= NSEC_PER_SEC)
		say(&sentences, ", %s after attach", text_duration(number, start));
	for (uint32_t i = 0; i < MIN(spike->cause_count, (uint32_t)MAX_CAUSES); i++)
		if (spike->causes[i].bytes)
			say_cause(&sentences, model, &spike->causes[i], said++ ? "," : ":");
	if (spike->explained_bytes < delta - delta / 50)
		say(&sentences, "; %s unexplained",
			text_bytes(number, delta - spike->explained_bytes));
	if (spike->estimated)
		say(&sentences, " (estimated: %s of it sampled)",
			text_bytes(number, spike->sampled_bytes));
	say(&sentences, ".");
	page_wrap(page, STYLE_PLAIN, INDENT, sentences.text);
}

/* "Given back to the kernel: madvise 32.0 MiB, munmap 16.0 MiB." */
static void put_returned(struct page *page, const struct target *target)
{
	struct sentences sentences = {.used = 0};
	char number[TEXT_NUMBER_BYTES];
	size_t said = 0;

	for (int call = 0; call < MEMORY_CALLS; call++)
		if (target->memory[call].lost_bytes >= RETURNED_BYTES)
			say(&sentences, "%s %s %s", said++ ? "," : "Given back to the kernel:",
				memory_call_name((enum memory_call)call),
				text_bytes(number, target->memory[call].lost_bytes));
	say(&sentences, ".");
	if (said)
		page_wrap(page, STYLE_PLAIN, INDENT, sentences.text);
}

/* Then the finding has said it already. */
static bool is_spike_found(const struct report *report, const struct target *target)
{
	for (size_t i = 0; i < report->finding_count; i++)
		if (report->findings[i].target == target->id &&
			summary_gates(&report->findings[i]) &&
			!strcmp(report->findings[i].kind, "rss-spike"))
			return true;
	return false;
}

void screen_spikes(struct page *page, const struct report *report, const struct target *target)
{
	size_t shown = 0;

	put_returned(page, target);
	if (!report->verbose && is_spike_found(report, target))
		return;
	for (size_t i = 0; i < target->spike_count; i++) {
		const struct spike *spike = &target->spikes[i];

		if (spike->after_bytes <= spike->before_bytes ||
			(!report->verbose && (spike->start_up || is_told_by_other(target, spike))))
			continue;
		if (shown++ < MAX_SPIKES || report->verbose)
			put_spike(page, report->model, target, spike);
	}
	if (shown > MAX_SPIKES && !report->verbose) {
		char many[64];

		page_add(page, STYLE_PLAIN, "and %s: -v shows all",
			screen_many(many, shown - MAX_SPIKES, "more rise"));
		page_end(page);
	}
}

/* ---- looked at ---- */

/* The census looks at every container, the model follows those that matter. */
static void say_looked(
	struct sentences *sentences, const struct model *model, const struct target *target)
{
	const struct model_census *census = model_census(model, target->id);
	const struct model_unwound *unwound = model_unwound(model, target->id);
	const uint64_t *seen = target->containers_seen;
	uint64_t maps = MAX(seen[FAMILY_MAP], census ? census->maps : 0);
	uint64_t channels = MAX(seen[FAMILY_CHANNEL], census ? census->channels : 0);
	uint64_t cycles = target->heap.gc_cycles - target->heap_first.gc_cycles;
	uint64_t arrays = seen[FAMILY_SLICE] + seen[FAMILY_ARRAY];
	bool no_maps = seen[FAMILY_ARRAY] && !maps; /* C has none */
	char many[64], number[TEXT_NUMBER_BYTES];

	say(sentences, "Looked at %s", no_maps ? "" : screen_many(many, maps, "map"));
	if (arrays)
		say(sentences, "%s%s", no_maps ? "" : ", ", screen_many(many, arrays, "array"));
	if (seen[FAMILY_BUFFER])
		say(sentences, ", %s", screen_many(many, seen[FAMILY_BUFFER], "buffer"));
	if (seen[FAMILY_VECTOR])
		say(sentences, ", %s", screen_many(many, seen[FAMILY_VECTOR], "vector"));
	if (seen[FAMILY_SYNC_MAP])
		say(sentences, ", %s", screen_many(many, seen[FAMILY_SYNC_MAP], "sync.Map"));
	if (channels)
		say(sentences, ", %s", screen_many(many, channels, "channel"));
	if (target->goroutines_ns)
		say(sentences, ", %s",
			screen_many(many, model_goroutine_count(target), "goroutine"));
	/* Reading alone takes no time in which one could happen. */
	if (!summary_read_only(model)) {
		if (target->has_heap)
			say(sentences, ", %s", screen_many(many, cycles, "GC"));
		say(sentences, ", %s", screen_many(many, target->growths, "growth"));
	}
	if (unwound->complete + unwound->truncated + unwound->lost)
		say(sentences, ", %s", screen_many(many, unwound->complete, "whole stack"));
	if (unwound->truncated + unwound->lost)
		say(sentences, " (and %s cut short)",
			text_count(number, unwound->truncated + unwound->lost));
	if (target->containers_dropped)
		say(sentences, "; too small to follow: %s",
			text_count(number, target->containers_dropped));
	say(sentences, ".");
}

static void say_session(struct sentences *sentences, const struct report *report, const char *whose)
{
	struct summary_events events;
	char number[TEXT_NUMBER_BYTES];
	double pct;

	if (summary_read_only(report->model)) {
		say(sentences, "Read only: nothing was loaded into the kernel.");
		return;
	}
	summary_events(report->model, &events);
	say(sentences, "Lost %s.", text_count(number, events.lost));
	if (!model_overhead(report->model)->probe_hits)
		say(sentences, "  Cost none: no probe was hit.");
	else if (summary_cost_pct(report->model, &pct))
		say(sentences, "  Cost %s of %s CPU.", screen_pct(number, pct), whose);
	else
		say(sentences, "  Cost %s of CPU.",
			text_duration(number, model_overhead(report->model)->probe_cpu_ns));
}

/* Loss and cost belong to the session: with several targets they come once, at the end. */
static void say_session_of(
	struct sentences *sentences, const struct report *report, const struct target *target)
{
	char whose[80];

	snprintf(whose, sizeof(whose), "%s's", target->comm);
	if (model_target_count(report->model) == 1)
		say_session(sentences, report, whose);
}

void screen_looked(struct page *page, const struct report *report, const struct target *target)
{
	struct sentences sentences = {.used = 0};

	say_looked(&sentences, report->model, target);
	say(&sentences, "  ");
	say_session_of(&sentences, report, target);
	page_wrap(page, STYLE_PLAIN, 0, sentences.text);
}

static const struct container *find_largest(const struct model *model, uint32_t target)
{
	const struct container *largest = NULL;

	for (size_t i = 0; i < model_container_count(model); i++) {
		const struct container *container = model_container(model, (uint32_t)i);

		if (container->target == target && !container->dead &&
			(!largest || container->held_bytes > largest->held_bytes))
			largest = container;
	}
	return largest && largest->held_bytes ? largest : NULL;
}

/* A type that may be one of several says the first, whole where there is room. */
static void short_type(const char *type, char *buf, size_t bytes)
{
	const char *others = strstr(type, " or ");
	size_t whole = others ? (size_t)(others - type) : strlen(type);

	if (!others || strlen(type) < MAX_TYPE_BYTES)
		text_copy(buf, bytes, type);
	else
		snprintf(buf, bytes, "%.*s or others", (int)whole, type);
	if (strlen(buf) >= MAX_TYPE_BYTES)
		memcpy(buf + MAX_TYPE_BYTES - 3, "..", 3);
}

static void say_largest(
	struct sentences *sentences, const struct report *report, const struct target *target)
{
	const struct container *largest = find_largest(report->model, target->id);
	char size[TEXT_NUMBER_BYTES], type[PAGE_TEXT_BYTES], place[PAGE_TEXT_BYTES];
	const char *family;

	if (!largest)
		return;
	short_type(model_string(report->model, largest->owner ? largest->owner : largest->type),
		type, sizeof(type));
	screen_place(model_site(report->model, largest->sites[0].site), place, sizeof(place));
	family = largest->owner || !type[0] ? family_name(largest->family) : "";
	say(sentences, "Largest: %s%s%s%s%s, %s.  ", family, family[0] && type[0] ? " " : "", type,
		place[0] ? " at " : "", place, text_bytes(size, largest->held_bytes));
}

/* Of a program whose containers nobody can find. */
static void say_outside(
	struct sentences *sentences, const struct report *report, const struct target *target)
{
	char what[2 + MODEL_MAX_ALLOCATORS][PAGE_TEXT_BYTES] = {"RSS"};
	size_t count = 1;

	if (!summary_read_only(report->model))
		text_copy(what[count++], sizeof(what[0]), "page faults");
	for (size_t i = 0; i < target->allocator_count; i++)
		snprintf(what[count++], sizeof(what[0]), "malloc of %s",
			model_string(report->model, target->allocators[i].now.name));
	say(sentences, "No known runtime in it: %s", count == 1 ? "only " : "");
	for (size_t i = 0; i < count; i++)
		say(sentences, "%s%s", !i ? "" : i + 1 < count ? ", " : " and ", what[i]);
	say(sentences, " %s looked at.", count == 1 ? "was" : "were");
}

static void say_known(
	struct sentences *sentences, const struct report *report, const struct target *target)
{
	if (target->runtime_count)
		say_looked(sentences, report->model, target);
	else
		say_outside(sentences, report, target);
}

void screen_nothing_found(
	struct page *page, const struct report *report, const struct target *target)
{
	struct sentences sentences = {.used = 0};

	page_add(page, STYLE_BOLD, "%s",
		model_complete(report->model) ? "No findings."
					      : "No findings, but the data is incomplete.");
	say(&sentences, "  ");
	say_known(&sentences, report, target);
	page_wrap(page, STYLE_PLAIN, 0, sentences.text);
	sentences.used = 0;
	sentences.text[0] = 0;
	say_largest(&sentences, report, target);
	say_session_of(&sentences, report, target);
	page_wrap(page, STYLE_PLAIN, 0, sentences.text);
}

/* "cgroup /api: working set 812 MiB of 1.00 GiB (81 %); 3 processes rose together by 210 MiB within 2.0 s." */
static void put_group(struct page *page, const struct model *model, const struct group *group)
{
	struct sentences sentences = {.used = 0};
	char number[TEXT_NUMBER_BYTES], pct[TEXT_NUMBER_BYTES];
	const struct target *reading = group->reading;
	const char *host = summary_host(model, group->host);

	/* That of the whole machine is no group */
	if (!reading || !strcmp(group->cgroup, "/"))
		return;
	say(&sentences, "cgroup %.120s%s%.40s: working set %s", group->cgroup, *host ? " on " : "",
		host, text_bytes(number, group->working_set_bytes));
	if (group->limit_bytes) {
		say(&sentences, " of %s", text_bytes(number, group->limit_bytes));
		say(&sentences, " (%s)",
			screen_pct(pct, 100.0 * (double)group->working_set_bytes /
						(double)group->limit_bytes));
	}
	if (group->working_set_peak_bytes > group->working_set_bytes)
		say(&sentences, ", peak %s", text_bytes(number, group->working_set_peak_bytes));
	if (group->cluster_count) {
		const struct group_cluster *cluster = &group->clusters[0];

		say(&sentences, "; %zu processes rose together by %s", cluster->processes,
			text_bytes(number, cluster->delta_bytes));
		say(&sentences, " within %s",
			text_duration(number, cluster->end_ns - cluster->start_ns));
	}
	if (reading->group.has_pressure &&
		reading->group.some_us > reading->group_first.some_us + PRESSURE_US)
		say(&sentences, "; tasks waited %s for memory",
			text_duration(
				number, (reading->group.some_us - reading->group_first.some_us) *
						NSEC_PER_USEC));
	say(&sentences, ".");
	page_wrap(page, STYLE_PLAIN, 0, sentences.text);
}

void screen_session(struct page *page, const struct report *report)
{
	struct sentences sentences = {.used = 0};
	struct group group;

	for (size_t i = 0; i < MAX_GROUPS && group_get(report->model, i, &group); i++)
		if (group.targets > 1)
			put_group(page, report->model, &group);
	say_session(&sentences, report, "the targets'");
	page_wrap(page, STYLE_PLAIN, 0, sentences.text);
}

/* ---- notes ---- */

static void put_note(struct page *page, enum style style, const char *label, const char *text)
{
	page_add(page, style, "%s", label);
	page_wrap(page, STYLE_PLAIN, 3, text);
}

static void put_losses(struct page *page, const struct model *model)
{
	for (size_t i = 0; i < model_source_count(model); i++) {
		const struct model_source *source = model_source(model, i);
		char lost[TEXT_NUMBER_BYTES], produced[TEXT_NUMBER_BYTES], text[320];

		if (source->produced == source->delivered)
			continue;
		text_count(lost, source->lost);
		text_count(produced, source->produced);
		snprintf(text, sizeof(text),
			source->produced == source->delivered + source->lost
				? "%s of %s events of %.128s were lost."
				: "%s of %s events of %.128s are known to be lost, others are "
				  "unaccounted for.",
			lost, produced, source->name);
		put_note(page, STYLE_YELLOW, "Incomplete: ", text);
	}
}

static void put_shares(struct page *page, const struct report *report, const struct target *target)
{
	char text[512];

	if (summary_estimated(report->model, target, text, sizeof(text)))
		put_note(page, STYLE_YELLOW, "Estimated: ", text);
}

static void put_skips(struct page *page, const struct report *report)
{
	size_t count = model_skip_count(report->model);
	size_t shown = report->verbose ? count : MIN(count, (size_t)MAX_SKIPS);

	for (size_t i = 0; i < shown; i++) {
		const struct model_skip *skip = model_skip(report->model, i);
		char text[512];

		snprintf(text, sizeof(text), "%.160s: %.300s", skip->what, skip->reason);
		put_note(page, STYLE_PLAIN, "Skipped: ", text);
	}
	if (shown < count) {
		page_add(page, STYLE_PLAIN, "Skipped: %zu more, -v shows all", count - shown);
		page_end(page);
	}
}

static void put_details(struct page *page, const struct model *model)
{
	const struct model_host *host = model_host(model);
	const struct model_overhead *overhead = model_overhead(model);

	page_add(page, STYLE_DIM, "Linux %s, %d CPUs, probes by %s, %.2f us a hit", host->kernel,
		host->cpus, host->attach_mode[0] ? host->attach_mode : "?",
		overhead->ns_per_hit / 1000);
	page_end(page);
	for (size_t i = 0; i < model_source_count(model); i++) {
		const struct model_source *source = model_source(model, i);
		char hits[TEXT_NUMBER_BYTES], delivered[TEXT_NUMBER_BYTES];

		page_add(page, STYLE_DIM, "   %s: %s hits, %s events", source->name,
			text_count(hits, source->hits), text_count(delivered, source->delivered));
		page_end(page);
	}
}

void screen_notes(struct page *page, const struct report *report)
{
	const struct model *model = report->model;

	put_losses(page, model);
	for (size_t i = 0; i < model_incomplete_count(model); i++)
		put_note(page, STYLE_YELLOW, "Incomplete: ", model_incomplete(model, i));
	for (uint32_t i = 0; i < model_target_count(model); i++)
		put_shares(page, report, model_target(model, i));
	put_skips(page, report);
	if (report->verbose)
		put_details(page, model);
}
