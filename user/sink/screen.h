/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of the text report, top to bottom. Each writes whole lines to the page; text.c puts
 * them together, one block a target.
 */
#ifndef MEMTRACE_SINK_SCREEN_H
#define MEMTRACE_SINK_SCREEN_H

#include "base/text.h"
#include "sink/page.h"
#include "sink/sink.h"

/* Who, since when; RSS, its trend, its limit. */
void screen_title(struct page *page, const struct report *report, const struct target *target);
void screen_rss(struct page *page, const struct report *report, const struct target *target);

/* One of many in which nothing was found, in one line. */
void screen_brief(struct page *page, const struct report *report, const struct target *target);

/* "2 findings.  #1 alone gives back 71.7 MiB (46 % of RSS)."; nothing where there is none. */
void screen_count(struct page *page, const struct report *report, const struct target *target);

/* The target's findings, what did not fit, what is normal, what waits for proof. */
void screen_findings(struct page *page, const struct report *report, const struct target *target);

/* Jumps of RSS after start-up. */
void screen_spikes(struct page *page, const struct report *report, const struct target *target);

/* "Where 156.4 MiB of RSS is". */
void screen_waterfall(struct page *page, const struct report *report, const struct target *target);

/* Of a process that was killed: what its RSS gained in its last seconds and what it held. */
void screen_last(struct page *page, const struct report *report, const struct target *target);

/* Below it: where the largest parts of the other live heap were allocated, where that is known. */
void screen_allocated(struct page *page, const struct report *report, const struct target *target);

/* With -v: pauses, marking, what stays alive. */
void screen_gc(struct page *page, const struct report *report, const struct target *target);

/* "Looked at 214 maps, ..."; several targets: without loss and cost, which are the session's. */
void screen_looked(struct page *page, const struct report *report, const struct target *target);

/* The same where nothing was found: two lines that say so and what was looked at. */
void screen_nothing_found(
	struct page *page, const struct report *report, const struct target *target);

/* Lost and cost of a session with several targets. */
void screen_session(struct page *page, const struct report *report);

/* What is incomplete, estimated or was skipped. */
void screen_notes(struct page *page, const struct report *report);

/* "map main.Cache.m  map[int]main.session": what a finding is about, without its place. */
void screen_subject(
	const struct model *model, const struct finding *finding, char *buf, size_t bytes);

/* "cache.go:42", "" where the site has no line. */
void screen_place(const struct site *site, char *buf, size_t bytes);

/* "156 MiB", "4.1 KiB": three digits are enough for a headline. Returns buf. */
const char *screen_size(char buf[TEXT_NUMBER_BYTES], uint64_t bytes);

/* "46 %", "0.2 %", "< 0.1 %", "0 %". Returns buf. */
const char *screen_pct(char buf[TEXT_NUMBER_BYTES], double pct);

/* "1 map", "2 maps", "4,144 growths". Returns buf. */
const char *screen_many(char buf[64], uint64_t count, const char *noun);

#endif
