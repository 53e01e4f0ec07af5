/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Findings as text: a headline with what it is and what the fix gives back, the place, the numbers,
 * the advice. What is normal gets one line, what waits for proof one line for all.
 */
#include <string.h>

#include "base/mem.h"
#include "sink/merge.h"
#include "sink/screen.h"
#include "sink/summary.h"

#define INDENT      3
#define MAX_CALLERS 3
#define MAX_OTHERS  8  /* processes named with a finding that is theirs, too */
#define MAX_PLACE   24 /* columns, where space is scarce */

struct columns {
	int rank, severity, class;
};

static const enum style severity_styles[] = {
	[SEVERITY_INFO] = STYLE_DIM,
	[SEVERITY_LOW] = STYLE_CYAN,
	[SEVERITY_MEDIUM] = STYLE_YELLOW,
	[SEVERITY_HIGH] = STYLE_RED,
	[SEVERITY_CRITICAL] = STYLE_RED,
};

static const struct container *finding_container(
	const struct model *model, const struct finding *finding)
{
	return finding->container < 0 ? NULL : model_container(model, (uint32_t)finding->container);
}

static void to_upper(char *s)
{
	for (; *s; s++)
		if (*s >= 'a' && *s <= 'z')
			*s += 'A' - 'a';
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void screen_place(const struct site *site, char *buf, size_t bytes)
{
	text_copy(buf, bytes, "");
	if (site && site->file && site->file[0] && site->line)
		snprintf(buf, bytes, "%s:%u", base_name(site->file), site->line);
}

void screen_subject(
	const struct model *model, const struct finding *finding, char *buf, size_t bytes)
{
	const struct container *container = finding_container(model, finding);
	const struct site *site = model_site(model, finding->site);
	enum family family = container ? container->family : site ? site->family : FAMILY_NONE;
	uint32_t type = container ? container->type : site ? site->type : 0;
	const char *owner = container ? model_string(model, container->owner) : "";

	if (finding->allocator) {
		const struct target *target = model_target(model, finding->target);
		uint32_t version = 0;

		for (size_t i = 0; i < target->allocator_count; i++)
			if (target->allocators[i].now.name == finding->allocator)
				version = target->allocators[i].now.version;
		snprintf(buf, bytes, "malloc of %s%s%s", model_string(model, finding->allocator),
			version ? " " : "", model_string(model, version));
		return;
	}
	snprintf(buf, bytes, "%s%s%s%s%s", family == FAMILY_NONE ? "" : family_name(family),
		owner[0] ? " " : "", owner, type ? (owner[0] ? "  " : " ") : "",
		model_string(model, type));
}

/* ---- headline ---- */

static void cost_text(const struct finding *finding, char *buf, size_t bytes)
{
	char size[TEXT_NUMBER_BYTES], resident[TEXT_NUMBER_BYTES];

	if (finding->class == CLASS_CHURN) {
		snprintf(
			buf, bytes, "%s/s of garbage", text_bytes(size, finding->bytes_per_second));
		return;
	}
	/* Heap that is not resident gives back no RSS: both numbers, where they differ. */
	if (finding->saves_rss_bytes < finding->saves_bytes - finding->saves_bytes / 10)
		snprintf(buf, bytes, "saves %s, %s of RSS", text_bytes(size, finding->saves_bytes),
			finding->saves_rss_bytes ? text_bytes(resident, finding->saves_rss_bytes)
						 : "0");
	else
		snprintf(buf, bytes, "saves %s", text_bytes(size, finding->saves_rss_bytes));
}

static void add_subject(
	struct page *page, const struct model *model, const struct finding *finding, int columns)
{
	char subject[PAGE_TEXT_BYTES], place[PAGE_TEXT_BYTES];
	const struct site *site = model_site(model, finding->site);
	int place_columns;

	screen_subject(model, finding, subject, sizeof(subject));
	screen_place(site, place, sizeof(place));
	place_columns = page_columns(page, place);
	if (finding->container >= 0 || !place_columns || place_columns + 20 > columns) {
		page_add_cut(page, STYLE_PLAIN, columns, false, subject);
		return;
	}
	page_add_cut(page, STYLE_PLAIN, columns - place_columns - 2, false, subject);
	page_add(page, STYLE_PLAIN, "  ");
	page_add_cut(page, STYLE_PLAIN, place_columns, true, place);
}

static void put_headline(
	struct page *page, const struct report *report, size_t index, const struct columns *columns)
{
	const struct finding *finding = &report->findings[index];
	char class[16], cost[96];

	text_copy(class, sizeof(class), class_name(finding->class));
	to_upper(class);
	cost_text(finding, cost, sizeof(cost));
	page_add(page, STYLE_BOLD, "#%zu", index + 1);
	page_tab(page, columns->rank);
	page_add(page, severity_styles[finding->severity], "%s", severity_name(finding->severity));
	page_tab(page, columns->rank + columns->severity);
	page_add(page, STYLE_PLAIN, "%s", class);
	page_tab(page, columns->rank + columns->severity + columns->class);
	page_add(page, STYLE_BOLD, "%s", finding->kind);
	page_add(page, STYLE_PLAIN, "   ");
	add_subject(page, report->model, finding, page_room(page) - (int)strlen(cost) - 2);
	page_add_right(page, STYLE_BOLD, cost);
	page_end(page);
}

/* ---- place ---- */

/* A container that never grew under our eyes has its place from the allocation profile. */
static const char *place_verb(const struct finding *finding, const struct container *container)
{
	if (finding->saves_stack_bytes)
		return "waiting at";
	if (container && container->accessed)
		return "used at";
	if (container && container->family == FAMILY_CHANNEL)
		return "made at";
	if (container && !container->grown_ns)
		return "allocated at";
	return "grown at";
}

static void add_function(struct page *page, const char *before, const char *function)
{
	int columns = page_columns(page, function) + (int)strlen(before);

	if (page_room(page) < 16 && columns > page_room(page))
		return;
	page_add(page, STYLE_PLAIN, "%s", before);
	page_add_cut(page, STYLE_PLAIN, page_room(page), true, function);
}

static void add_callers(struct page *page, const struct site *site)
{
	int shown = -1; /* the first frame of the user's code is the site itself */

	for (uint32_t i = 0; i < site->frame_count && shown < MAX_CALLERS; i++) {
		const struct model_frame *frame = &site->frames[i];

		if (frame->internal || !frame->function || !frame->function[0])
			continue;
		if (++shown > 0)
			add_function(page, " <- ", frame->function);
	}
}

static void put_stack(struct page *page, const struct site *site)
{
	for (uint32_t i = 0; i < site->frame_count; i++) {
		const struct model_frame *frame = &site->frames[i];
		const char *function =
			frame->function && frame->function[0] ? frame->function : "?";

		page_tab(page, INDENT + 3);
		page_add_cut(page, STYLE_DIM, page_room(page) / 2, true, function);
		if (frame->file && frame->file[0]) {
			page_add(page, STYLE_DIM, "  ");
			page_add_cut(page, STYLE_DIM, page_room(page) - 12, true, frame->file);
			page_add(page, STYLE_DIM, ":%u%s", frame->line,
				frame->inlined ? " (i)" : "");
		}
		page_end(page);
	}
}

static void put_place(struct page *page, const struct report *report, const struct finding *finding)
{
	const struct container *container = finding_container(report->model, finding);
	const struct site *site = model_site(report->model, finding->site);
	char place[PAGE_TEXT_BYTES];

	if (finding->allocator)
		return;
	page_tab(page, INDENT);
	if (!site) {
		page_add(page, STYLE_PLAIN,
			container && container->before_attach
				? "created before attach, its place is unknown"
				: "its place is unknown");
		page_end(page);
		return;
	}
	screen_place(site, place, sizeof(place));
	page_add(page, STYLE_PLAIN, "%s ", place_verb(finding, container));
	page_add_cut(
		page, STYLE_BOLD, page_room(page) / 2, true, place[0] ? place : "an unknown line");
	add_function(page, "  ", site->function && site->function[0] ? site->function : "?");
	add_callers(page, site);
	page_end(page);
	if (report->verbose)
		put_stack(page, site);
}

/* ---- a whole finding ---- */

static void put_labelled(struct page *page, const char *label, const char *text)
{
	if (!text[0])
		return;
	page_tab(page, INDENT);
	page_add(page, STYLE_PLAIN, "%s", label);
	page_wrap(page, STYLE_PLAIN, INDENT + (int)strlen(label), text);
}

/* "By host:   db1 82.0 MiB in 2 processes, db2 36.0 MiB in 1." */
static void put_hosts(struct page *page, const struct merge *merge, size_t index)
{
	const struct model *model = merge->report->model;
	char text[512] = "", size[TEXT_NUMBER_BYTES];
	size_t used = 0, named = 0, hosts = 0;

	for (uint32_t i = 0; i < model_host_count(model); i++) {
		struct merge_sum sum = merge_sum_of_host(merge, index, i);

		hosts += sum.processes > 0;
		if (!sum.processes || named == MAX_OTHERS)
			continue;
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.40s %s in %zu%s",
			named ? ", " : "", summary_host(model, i), text_bytes(size, sum.bytes),
			sum.processes,
			named                ? ""
			: sum.processes == 1 ? " process"
					     : " processes");
		named++;
	}
	if (hosts < 2)
		return;
	snprintf(text + used, sizeof(text) - used, "%s.", named < hosts ? ", ..." : "");
	put_labelled(page, "By host:   ", text);
}

/* "Also in:   pid 4712 (40.1 MiB), 4713 on db2 (38.0 MiB): 118.3 MiB in 3 processes." */
static void put_others(struct page *page, const struct merge *merge, size_t index)
{
	const struct model *model = merge->report->model;
	struct merge_sum sum = merge_sum(merge, index);
	char text[768] = "", size[TEXT_NUMBER_BYTES];
	size_t used = 0, named = 0;

	if (sum.processes < 2)
		return;
	for (size_t i = merge_next(merge, index); i != SIZE_MAX && named < MAX_OTHERS;
		i = merge_next(merge, i)) {
		const struct finding *other = &merge->report->findings[i];
		const struct target *target = model_target(model, other->target);
		const char *host = summary_host(model, target->host);

		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%d%s%.40s (%s)",
			named++ ? ", " : "pid ", target->pid, *host ? " on " : "", host,
			text_bytes(size, other->bytes));
	}
	snprintf(text + used, sizeof(text) - used, "%s: %s in %zu processes.",
		named + 1 < sum.processes ? ", ..." : "", text_bytes(size, sum.bytes),
		sum.processes);
	put_labelled(page, "Also in:   ", text);
	put_hosts(page, merge, index);
}

static void put_finding(struct page *page, const struct report *report, const struct merge *merge,
	size_t index, const struct columns *columns)
{
	const struct finding *finding = &report->findings[index];

	put_headline(page, report, index, columns);
	if (!merge_is_first(merge, index)) {
		const struct target *target =
			model_target(report->model, report->findings[merge->first[index]].target);
		const char *host = summary_host(report->model, target->host);
		char text[160];

		snprintf(text, sizeof(text), "The same as #%zu of pid %d%s%.40s.",
			merge->first[index] + 1, target->pid, *host ? " on " : "", host);
		put_labelled(page, "", text);
		return;
	}
	put_place(page, report, finding);
	put_labelled(page, "", finding->message);
	put_labelled(page, "", finding->since);
	put_labelled(page, "", finding->caveat);
	put_labelled(page, "In code:   ", finding->in_code);
	put_labelled(page, "Right now: ", finding->right_now);
	put_others(page, merge, index);
}

/* A finding in brief: what is normal, and what still waits for proof. */
static void put_short(struct page *page, const struct report *report, const struct finding *finding)
{
	char subject[PAGE_TEXT_BYTES], place[PAGE_TEXT_BYTES];

	screen_subject(report->model, finding, subject, sizeof(subject));
	screen_place(model_site(report->model, finding->site), place, sizeof(place));
	page_tab(page, INDENT);
	page_add(page, STYLE_DIM, "%s   ", finding->kind);
	page_add_cut(
		page, STYLE_DIM, page_room(page) - (place[0] ? MAX_PLACE + 2 : 0), false, subject);
	if (place[0]) {
		page_add(page, STYLE_DIM, "  ");
		page_add_cut(page, STYLE_DIM, MAX_PLACE, true, place);
	}
	page_end(page);
	page_tab(page, 2 * INDENT);
	page_wrap(page, STYLE_DIM, 2 * INDENT, finding->message);
}

/* ---- all of them ---- */

static bool is_shown(const struct report *report, const struct target *target, size_t index)
{
	const struct finding *finding = &report->findings[index];

	return finding->target == target->id && summary_gates(finding) && index < report->top;
}

static void measure(const struct report *report, const struct target *target, struct columns *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < report->finding_count; i++) {
		const struct finding *finding = &report->findings[i];
		char rank[24];

		if (!is_shown(report, target, i))
			continue;
		ret->rank = MAX(ret->rank, snprintf(rank, sizeof(rank), "#%zu ", i + 1));
		ret->severity =
			MAX(ret->severity, (int)strlen(severity_name(finding->severity)) + 2);
		ret->class = MAX(ret->class, (int)strlen(class_name(finding->class)) + 2);
	}
}

static void put_loud(struct page *page, const struct report *report, const struct target *target)
{
	struct columns columns;
	size_t shown = 0, hidden = 0;
	struct merge merge;

	measure(report, target, &columns);
	merge_init(&merge, report);
	for (size_t i = 0; i < report->finding_count; i++) {
		if (is_shown(report, target, i)) {
			if (!shown++)
				page_end(page);
			put_finding(page, report, &merge, i, &columns);
		} else if (report->findings[i].target == target->id) {
			hidden += summary_gates(&report->findings[i]);
		}
	}
	merge_done(&merge);
	if (hidden) {
		page_add(page, STYLE_PLAIN, "and %zu more: -n %zu shows all", hidden,
			report->finding_count);
		page_end(page);
	}
}

static void put_info(struct page *page, const struct report *report, const struct target *target)
{
	size_t seen = 0;

	for (size_t i = 0; i < report->finding_count; i++) {
		const struct finding *finding = &report->findings[i];

		if (finding->target != target->id || finding->severity != SEVERITY_INFO)
			continue;
		if (seen++ == report->top && !report->verbose)
			break;
		if (seen == 1) {
			page_add(page, STYLE_PLAIN, "INFO: seen, and normal");
			page_end(page);
		}
		put_short(page, report, finding);
	}
}

static void put_candidates(
	struct page *page, const struct report *report, const struct target *target)
{
	const struct finding *candidates = report->findings + report->finding_count;
	size_t count = 0, first = 0;

	for (size_t i = report->candidate_count; i-- > 0;) {
		if (candidates[i].target == target->id) {
			first = i;
			count++;
		}
	}
	if (!count)
		return;
	page_add(page, STYLE_PLAIN, "%zu candidate%s, not yet proven to be in use", count,
		count == 1 ? "" : "s");
	if (!report->verbose) {
		char subject[PAGE_TEXT_BYTES];

		screen_subject(report->model, &candidates[first], subject, sizeof(subject));
		page_add(page, STYLE_PLAIN, ": %s   %s%s", candidates[first].kind, subject,
			count > 1 ? ", ..." : "");
	}
	page_end(page);
	for (size_t i = 0; report->verbose && i < report->candidate_count; i++)
		if (candidates[i].target == target->id)
			put_short(page, report, &candidates[i]);
}

void screen_findings(struct page *page, const struct report *report, const struct target *target)
{
	put_loud(page, report, target);
	put_info(page, report, target);
	put_candidates(page, report, target);
}
