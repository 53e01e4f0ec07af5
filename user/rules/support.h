/* SPDX-License-Identifier: BSD-2-Clause */
/* What rules share: starting a finding, evidence, sentences with numbers, phases of a target. */
#ifndef MEMTRACE_RULES_SUPPORT_H
#define MEMTRACE_RULES_SUPPORT_H

#include "base/text.h"
#include "rules/advice.h"
#include "rules/rules.h"

/* Room for the formatted numbers of one finding's sentences. */
struct numbers {
	char text[24][TEXT_NUMBER_BYTES];
	size_t used;
};

const char *number_bytes(struct numbers *numbers, uint64_t bytes);
const char *number_count(struct numbers *numbers, uint64_t count);
const char *number_duration(struct numbers *numbers, uint64_t ns);
const char *number_pct(struct numbers *numbers, double part, double whole);

/* A finding about a container, at its site. */
struct finding finding_of_container(const struct container *container, enum finding_class class);

/* A finding about a site as a whole. */
struct finding finding_of_site(const struct site *site, enum finding_class class);

/* key must be a static string. */
void evidence_add(struct finding *finding, const char *key, double value);
void evidence_add_known(struct finding *finding, const char *key, bool known, double value);

void say(char text[FINDING_TEXT_BYTES], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Type as in source, "map[K]V", "[]T" or "chan T" where it is not known. */
const char *code_type(const struct model *model, uint32_t type, enum family family);

/* The same of a container: only Go's types are put together from parts. */
const char *code_type_of(const struct model *model, const struct container *container);

/* The words for its language and family. */
const struct advice *advice_of(const struct model *model, const struct container *container);

/* ", 12 GCs"; "" where nothing collects garbage. */
const char *number_gcs(struct numbers *numbers, const struct target *target, uint32_t gcs);

/* Minor number of "go1.23.5"; 0 where there is none. */
unsigned int version_minor(const struct target *target);

/* Had the target settled by then? Uses the rule's own threshold "startup_seconds". */
bool past_start_up(const struct rule_context *context, const struct target *target, uint64_t t_ns);

/* Read once, without probes and without waiting: -d 0. */
bool is_read_only(const struct model *model, const struct target *target);

/* "since attach" or "since it was found", by when t_ns was. */
const char *since_words(const struct target *target, uint64_t t_ns);

uint64_t threshold_ns(const struct rule_context *context, const char *field);
uint64_t threshold_bytes(const struct rule_context *context, const char *field);

double pct(double part, double whole);
uint64_t minus(uint64_t a, uint64_t b); /* a - b, 0 where b is larger */

/*
 * What to pass to make() so that the container does not grow: for a map the longest length that it is known
 * to have had (at its last growth it was about to get one more), for a slice its last capacity. 0 = unknown.
 */
uint64_t hint_for(const struct container *container);

#endif
