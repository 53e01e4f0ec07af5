/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A finding: a rule's result. It has a place, a cost in bytes, a fix and what the fix saves.
 * Made by rules, ranked by rules_run(), written by sinks.
 */
#ifndef MEMTRACE_MODEL_FINDING_H
#define MEMTRACE_MODEL_FINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/event.h"

enum finding_class {
	CLASS_GROWING,
	CLASS_HELD,
	CLASS_CHURN,
	CLASS_ONE_TIME,
};

enum severity {
	SEVERITY_INFO, /* seen and normal: one line, never gates */
	SEVERITY_LOW,
	SEVERITY_MEDIUM,
	SEVERITY_HIGH,
	SEVERITY_CRITICAL,
};

enum confidence {
	CONFIDENCE_EXACT,
	CONFIDENCE_ESTIMATED, /* duty-cycled: figures are scaled */
	CONFIDENCE_PARTIAL,   /* events were lost or the place is unknown: caveat says which */
};

/* One named number of evidence; the keys of a kind are fixed and documented in tests/schema.json. */
struct evidence {
	const char *
		key; /* "length", "slots", "held_bytes": static string; _bytes and _ns tell the unit */
	double value;
	bool known; /* unknown is written as null */
};

#define FINDING_MAX_EVIDENCE 20
#define FINDING_TEXT_BYTES   320

struct finding {
	uint64_t id; /* hash of kind, function, type, family: stable over builds and line moves */
	const char *kind; /* the rule's name */
	enum finding_class class;
	enum severity severity;
	enum confidence confidence;
	bool normal;         /* seen and normal: graded INFO */
	bool counts_growths; /* figures come from growth events: estimated while duty-cycled */
	bool candidate;      /* waits for proof: listed apart, never counted as a finding */
	/*
	 * Too little by itself: it stands only together with others of its kind, place and type, where
	 * all of them save so many bytes. 0 = it stands alone.
	 */
	uint64_t worth_bytes;
	uint32_t target;
	uint32_t site;      /* 0 = unknown */
	int64_t container;  /* id, -1 = the site as a whole */
	uint32_t allocator; /* interned name: it is about that malloc, which is its place; 0 = no */
	bool estimated;     /* its figures are, for a reason that caveat gives */
	uint64_t bytes;     /* what it holds, or garbage since attach (churn) */
	uint64_t saves_bytes, saves_rss_bytes; /* heap bytes; of them resident */
	uint64_t saves_stack_bytes;            /* of saves_rss_bytes, what is stack and no heap */
	uint64_t bytes_per_second;             /* churn and growing */
	uint64_t limit_ns;                     /* projected time to the memory limit; 0 = none */
	struct evidence evidence[FINDING_MAX_EVIDENCE];
	size_t evidence_count;
	char message[FINDING_TEXT_BYTES];   /* one or two sentences with the numbers */
	char since[FINDING_TEXT_BYTES];     /* "Unchanged since attach (30 s, 4 GCs)." may be "" */
	char caveat[FINDING_TEXT_BYTES];    /* why it is not exact; "" where it is */
	char in_code[FINDING_TEXT_BYTES];   /* what to write instead */
	char right_now[FINDING_TEXT_BYTES]; /* what helps without a deploy, or that nothing does */
};

const char *class_name(enum finding_class class);        /* "growing" "held" "churn" "one-time" */
const char *severity_name(enum severity severity);       /* "INFO" ... "CRITICAL" */
const char *confidence_name(enum confidence confidence); /* "exact" "estimated" "partial" */

#endif
