/* SPDX-License-Identifier: BSD-2-Clause */
/* One JSON object for each thing a report names. The caller frees them with json_object_put(). */
#ifndef MEMTRACE_SINK_JSON_PARTS_H
#define MEMTRACE_SINK_JSON_PARTS_H

#include "sink/merge.h"
#include "sink/sink.h"

struct json_object;

/* Of the session: the keys of the document that are no lists. */
struct json_object *json_tool(const struct report *report);
struct json_object *json_host(const struct report *report);
struct json_object *json_clock(const struct report *report);
struct json_object *json_duration(const struct report *report);
struct json_object *json_complete(const struct report *report);
struct json_object *json_incomplete(const struct report *report);
struct json_object *json_events(const struct report *report);
struct json_object *json_overhead(const struct report *report);

/* Elements of the lists; NULL at the end. A list leaves out what has no place in it. */
struct json_cursor {
	const struct report *report;
	size_t next;
	size_t inner;             /* spikes, allocations: of target next */
	uint64_t *site_held;      /* bytes held now by the living containers of each site, by id */
	bool *container_is_named; /* by a finding or candidate, by id */
	struct merge merge;
};
void json_cursor_init(struct json_cursor *cursor, const struct report *report);
void json_cursor_done(struct json_cursor *cursor);
void json_cursor_rewind(struct json_cursor *cursor);

struct json_object *json_next_target(struct json_cursor *cursor);
struct json_object *json_next_group(struct json_cursor *cursor);
struct json_object *json_next_site(struct json_cursor *cursor);
struct json_object *json_next_container(struct json_cursor *cursor);
struct json_object *json_next_finding(struct json_cursor *cursor);
struct json_object *json_next_candidate(struct json_cursor *cursor);
struct json_object *json_next_allocated(struct json_cursor *cursor);
struct json_object *json_next_spike(struct json_cursor *cursor);
struct json_object *json_next_skip(struct json_cursor *cursor);

/* What they are made of. */
struct json_object *json_large_arrays(const struct model *model, const struct target *target);
struct json_object *json_profile(const struct model *model, const struct target *target);
void json_add_gc(struct json_object *gc, const struct model *model, const struct target *target);
struct json_object *json_stack(const struct model_frame *frames, uint32_t count);
/* Only in reports of several hosts. */
void json_add_host(struct json_object *object, const struct model *model, uint32_t host);

void json_add_target(struct json_object *object, const struct model *model, uint32_t target_id);

#endif
