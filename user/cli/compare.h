/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two sessions side by side: what a finding or a place held in one and in the other. Findings are the
 * same by their id, places by family, type and function, so that both outlive builds and moved lines.
 */
#ifndef MEMTRACE_CLI_COMPARE_H
#define MEMTRACE_CLI_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"
#include "rules/rules.h"

/* One of the two. */
struct side {
	const struct model *model;
	const struct findings *findings;
};

/* What the targets of a side did meanwhile: without it a difference says little. */
struct load {
	double seconds;
	double cpu_cores;          /* CPU time of all targets per second */
	uint64_t growths;          /* scaled, as all of growth */
	double growths_per_second; /* 0 where no time has passed */
	double growth_bytes_per_second;
	uint64_t rss_bytes; /* of all targets, at the end */
};

void compare_load(const struct side *side, struct load *ret);

enum verdict {
	VERDICT_SAME, /* within 5 percent, or 64 KiB */
	VERDICT_WORSE,
	VERDICT_BETTER,
};

struct change {
	const char *kind; /* of a finding; NULL = of a place */
	uint64_t id;      /* of the finding */
	enum family family;
	const char *type, *owner, *function,
		*file; /* "" = unknown; they live as long as the models */
	uint32_t line;
	bool per_second; /* a and b are garbage per second; else held bytes */
	uint64_t a, b;
	bool in_a, in_b;
};

struct changes {
	struct change *items; /* the largest difference first */
	size_t count;
	uint64_t worse_bytes, better_bytes; /* of those that are held */
};

/* Findings that are more than INFO and no candidates. */
void compare_findings(const struct side *a, const struct side *b, struct changes *ret);

/* Places, those that hold and those that make garbage. */
void compare_sites(const struct side *a, const struct side *b, struct changes *ret);

enum verdict change_verdict(const struct change *change);
int64_t change_delta(const struct change *change); /* b - a */
void changes_done(struct changes *changes);

#endif
