/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --dry-run: what would be attached, how often it was hit in a short trial with all gates shut, and
 * what that would cost. One for each run.
 */
#ifndef MEMTRACE_CLI_DRY_RUN_H
#define MEMTRACE_CLI_DRY_RUN_H

#include <stdio.h>

#include "model/model.h"
#include "trace/prober.h"

#define DRY_RUN_MAX_PROBES 256

struct dry_run {
	struct dry_run_row {
		uint32_t target;
		enum family family;
		char place[128]; /* "runtime.hashGrow+7" */
		bool emulated;
		uint64_t hit_ns;
		double hits_per_second;
	} rows[DRY_RUN_MAX_PROBES];
	size_t count;
};

/* Takes in what one probe was measured to do. */
void dry_run_add(struct dry_run *dry_run, const struct prober_measured *measured);

/* Writes the table. 0 or -errno of the first failed write. */
int dry_run_write(
	const struct dry_run *dry_run, const struct model *model, double budget_pct, FILE *out);

#endif
