/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which bytes of RSS belong to what: joins sampled page faults by address with the arrays of containers and
 * with the mappings, follows the system calls that change the address space, and measures where the RSS
 * is mapped. One per target.
 */
#ifndef MEMTRACE_TRACE_ATTRIBUTION_H
#define MEMTRACE_TRACE_ATTRIBUTION_H

#include <stdint.h>

#include "memtrace.h"
#include "model/model.h"
#include "trace/symbolizer.h"

struct attribution;

/* What the reader knows of an address. */
struct attribution_owners {
	/* The container whose array holds addr, 0 = none known. */
	uint64_t (*container)(void *arg, uint64_t addr);
	/* Whether addr lies in the heap of a known runtime. */
	bool (*is_heap)(void *arg, uint64_t addr);
	/* Bytes of a heap's range that its runtime has given back and that are in RAM all the same. */
	uint64_t (*given_back)(void *arg, uint64_t start, uint64_t end);
	void *arg;
};

/* The model must outlive it. */
struct attribution *attribution_new(
	int pid, struct model *model, uint32_t target, const struct attribution_owners *owners);
void attribution_free(struct attribution *attribution);

/* A growth at the site has made an array. */
void attribution_add_array(
	struct attribution *attribution, uint64_t addr, uint64_t bytes, uint32_t site);

/*
 * A sampled fault. It is kept until the containers have been looked at: an array is touched before anybody
 * can know it.
 */
void attribution_take_fault(struct attribution *attribution, const struct mt_record *record,
	const struct symbolizer_toucher *toucher);

/* A system call (MT_MEMORY) at the site. */
void attribution_take_call(
	struct attribution *attribution, const struct mt_record *record, uint32_t site);

/* Whether faults wait. */
bool attribution_is_waiting(const struct attribution *attribution);

/* The containers have been looked at: gives the faults that wait to the model. */
void attribution_settle(struct attribution *attribution);

/* Measures where the RSS is mapped now and tells the model. 0, -ESRCH, -EACCES, -ETIME (too large). */
int attribution_measure(struct attribution *attribution, uint64_t now_ns);

#endif
