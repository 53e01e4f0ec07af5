/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules: what is worth a person's attention. Each rule is one const struct at the end of one file,
 * listed in list.h. It reads the model and emits findings; it keeps no state of its own.
 */
#ifndef MEMTRACE_RULES_RULES_H
#define MEMTRACE_RULES_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "model/finding.h"
#include "model/model.h"

#define RULE_MAX_THRESHOLDS 12

enum threshold_unit {
	UNIT_NONE,
	UNIT_BYTES, /* accepts K, M, G */
	UNIT_PCT,
	UNIT_SECONDS,
	UNIT_BYTES_PER_SECOND,
};

/* A number a rule compares with; "retained-buckets.seconds=2" sets one. */
struct threshold {
	const char *field; /* "seconds" */
	enum threshold_unit unit;
	double value; /* the default */
	const char *help;
};

/* Values of all rules' thresholds for one session. */
struct thresholds;

struct rule;
struct rule_context {
	const struct model *model;
	const struct rule *rule;
	const struct thresholds *thresholds;
	uint64_t now_ns;
	void (*emit)(const struct finding *finding, void *arg);
	void *arg;
};

/* Of the rules that share it, one container (one site) gives at most one finding: list.h's first. */
enum rule_exclusive {
	EXCLUSIVE_NOTHING,
	EXCLUSIVE_CONTAINER,
	EXCLUSIVE_SITE,
};

struct rule {
	const char *kind;                                 /* "retained-buckets" */
	const char *help;                                 /* one line for man page and help */
	struct threshold thresholds[RULE_MAX_THRESHOLDS]; /* ends with field == NULL */
	enum rule_exclusive exclusive;
	/* A kind that explains more: this rule is silent where that one has found the same function. */
	const char *yields_to;
	/*
	 * Emits what it finds: place, class, bytes, savings, evidence and text. Identity, severity,
	 * confidence, exclusion and rank are the business of rules_run().
	 */
	void (*evaluate)(const struct rule_context *context);
};

struct thresholds *thresholds_new(void);
void thresholds_free(struct thresholds *thresholds);

/*
 * Sets one: assignment is "KIND.FIELD=VALUE". 0, or -EINVAL with one sentence in error that says
 * what is wrong and what would be right.
 */
int thresholds_set(struct thresholds *thresholds, const char *assignment, char error[160]);

/* Value of the rule's own threshold; field must exist. */
double threshold_get(const struct rule_context *context, const char *field);

/*
 * All findings of a session, ranked, savings counted once; candidates and INFO last. Findings of one id
 * and site are one: the largest speaks, bytes and savings of its containers are summed, evidence
 * "containers" (of what happens to a target: "repeats") counts them.
 */
struct findings {
	struct finding *items;
	size_t count;
	size_t candidates;        /* the last of count */
	uint64_t saves_rss_bytes; /* of all, counted once */
};

void rules_run(const struct model *model, const struct thresholds *thresholds, uint64_t now_ns,
	struct findings *ret);
void findings_done(struct findings *findings);

/* Walks all rules, for help and man page: NULL at the end. */
const struct rule *rules_get(size_t i);

#endif
