/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks at the containers of one process again and again, so that the model knows what they hold and when they
 * die. Whom to look at is in a list (watch.h); what records and censuses tell of a container comes through
 * here, too: it may be another one than that which the last look has found dead.
 */
#ifndef MEMTRACE_TRACE_WATCHER_H
#define MEMTRACE_TRACE_WATCHER_H

#include "model/model.h"
#include "runtime/runtime.h"
#include "trace/part.h"

struct watcher;

/* modules: tell which containers are global variables; NULL = none is. What is handed over must outlive it. */
struct watcher *watcher_new(struct model *model, uint32_t target, const struct modules *modules);
void watcher_free(struct watcher *watcher);

/*
 * A record of a part tells of a growth or a creation (event.kind): applies it, and watches the container from
 * now on. type: of the container, as its runtime knows it; 0 = unknown.
 */
void watcher_take(
	struct watcher *watcher, const struct part *part, const struct event *event, uint64_t type);

/* A census of a part has found it, which it tells as an event, and has walked it. now_ns: after that. */
void watcher_find(struct watcher *watcher, const struct part *part, const struct event *event,
	const struct runtime_container *found, uint64_t now_ns);

/*
 * A poll begins. quiet_part: whose containers may be asked whether they say anything new, all at once, instead
 * of being looked at; NULL = nobody's. last: all are walked, and no record is on its way any more.
 */
void watcher_begin_poll(
	struct watcher *watcher, const struct part *quiet_part, uint64_t now_ns, bool last);

/* Looks at the containers of one part. */
void watcher_poll(struct watcher *watcher, const struct part *part);

#endif
