/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All rules. The order decides where several claim one container or one site: the earlier one says more
 * about it.
 */
#ifndef MEMTRACE_RULES_LIST_H
#define MEMTRACE_RULES_LIST_H

#include "rules/rules.h"

extern const struct rule rule_retained_buckets, rule_unfinished_growth, rule_unbounded_growth,
	rule_over_hint, rule_rebuilt_per_cycle, rule_resize_storm, rule_oversized_channel,
	rule_blocked_goroutines, rule_held_snapshot, rule_pinned_array, rule_allocator_retained,
	rule_rss_spike;

static const struct rule *const rules[] = {
	&rule_retained_buckets,
	&rule_unfinished_growth,
	&rule_unbounded_growth,
	&rule_over_hint,
	&rule_rebuilt_per_cycle,
	&rule_resize_storm,
	&rule_oversized_channel,
	&rule_blocked_goroutines,
	&rule_held_snapshot,
	&rule_pinned_array,
	&rule_allocator_retained,
	&rule_rss_spike,
};

#endif
