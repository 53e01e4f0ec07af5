/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every table, column by column. FIELD(kind, name) is a field of struct event's member of that kind,
 * MEMBER(struct, name) one of another struct; both find the type by themselves. What is an enum, a
 * target, an interned string, a site or a point in time says so, because a number of it that comes from
 * a file has to be checked or translated.
 */
#include "recording/columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define TYPE_OF(value)                                                                             \
	_Generic((value), bool                                                                     \
		 : COLUMN_BOOL, uint32_t                                                           \
		 : COLUMN_U32, uint64_t                                                            \
		 : COLUMN_U64, int                                                                 \
		 : COLUMN_I32, double                                                              \
		 : COLUMN_DOUBLE, char *                                                           \
		 : COLUMN_TEXT, const char *                                                       \
		 : COLUMN_TEXT)

#define AS(type, structure, member, name, max)                                                     \
	{                                                                                          \
		name, type, offsetof(structure, member), max                                       \
	}
#define MEMBER(structure, name) AS(TYPE_OF(((structure *)0)->name), structure, name, #name, 0)
#define FIELD(kind, name)                                                                          \
	AS(TYPE_OF(((struct event *)0)->kind.name), struct event, kind.name, #name, 0)
#define FIELD_ENUM(kind, name, max) AS(COLUMN_ENUM, struct event, kind.name, #name, max)
#define FIELD_STRING(kind, name)    AS(COLUMN_STRING, struct event, kind.name, #name, 0)
#define FIELD_STACK(kind, name)     AS(COLUMN_STACK, struct event, kind.name, #name, 0)
#define FIELD_SITE(kind, name)      AS(COLUMN_SITE, struct event, kind.name, #name, 0)

#define EVENT_TABLE(kind) "event_" #kind, sizeof(struct event)
#define EVENT_COLUMNS                                                                              \
	AS(COLUMN_TARGET, struct event, target, "target", 0),                                      \
		AS(COLUMN_TIME, struct event, time_ns, "time_ns", 0)

#define COUNT(wait, name)     AS(COLUMN_U64, struct event, goroutines.counts[wait], name, 0)
#define MAPPED(mapping, name) AS(COLUMN_U64, struct event, resident.bytes[mapping], name, 0)
#define INFO(type, name)      AS(type, struct target_row, info.name, #name, 0)
#define CENSUS(name)                                                                               \
	AS(TYPE_OF(((struct census_row *)0)->census.name), struct census_row, census.name, #name, 0)

#define UNWOUND(name) AS(COLUMN_U64, struct unwound_row, unwound.name, #name, 0)

const struct table_shape recording_tables[TABLE_COUNT] = {
	[EVENT_GROWTH] = {EVENT_TABLE(growth),
		{EVENT_COLUMNS, FIELD_ENUM(growth, family, FAMILY_MAX), FIELD(growth, key),
			FIELD(growth, old_key), FIELD_STRING(growth, type),
			FIELD_SITE(growth, site), FIELD_STRING(growth, runtime),
			FIELD(growth, same_size), FIELD(growth, new_container),
			FIELD(growth, has_length), FIELD(growth, length), FIELD(growth, capacity),
			FIELD(growth, allocated_bytes), FIELD(growth, garbage_bytes),
			FIELD(growth, held_bytes)}},
	[EVENT_CREATE] = {EVENT_TABLE(create),
		{EVENT_COLUMNS, FIELD_ENUM(create, family, FAMILY_MAX), FIELD(create, key),
			FIELD_STRING(create, type), FIELD_SITE(create, site),
			FIELD_STRING(create, owner), FIELD_STRING(create, runtime),
			FIELD(create, found), FIELD(create, before_attach), FIELD(create, capacity),
			FIELD(create, held_bytes), FIELD(create, accessed)}},
	[EVENT_LOOK] = {EVENT_TABLE(look),
		{EVENT_COLUMNS, FIELD_ENUM(look, family, FAMILY_MAX), FIELD(look, key),
			FIELD_ENUM(look, liveness, LIVENESS_ROOTED + 1), FIELD(look, marked_cycle),
			FIELD(look, has_length), FIELD(look, length), FIELD(look, capacity),
			FIELD(look, load_limit), FIELD(look, held_bytes), FIELD(look, need_bytes),
			FIELD(look, need_peak_bytes), FIELD(look, has_resident),
			FIELD(look, resident_bytes), FIELD(look, tombstones),
			FIELD(look, has_misses), FIELD(look, misses), FIELD(look, misses_needed),
			FIELD(look, old_bytes), FIELD(look, old_resident_bytes),
			FIELD(look, scannable_bytes), FIELD(look, stamp)}},
	[EVENT_ITERATORS] = {EVENT_TABLE(iterators),
		{EVENT_COLUMNS, FIELD_ENUM(iterators, family, FAMILY_MAX), FIELD(iterators, key),
			FIELD(iterators, on_heap), FIELD(iterators, on_stacks),
			FIELD(iterators, others), FIELD(iterators, stamp),
			FIELD(iterators, old_bytes), FIELD(iterators, old_resident_bytes),
			FIELD_SITE(iterators, site)}},
	[EVENT_FAULTS] = {EVENT_TABLE(faults),
		{EVENT_COLUMNS, FIELD(faults, addr), FIELD_SITE(faults, site),
			FIELD(faults, faults), FIELD(faults, bytes), FIELD(faults, lost_bytes),
			FIELD(faults, key), FIELD_SITE(faults, grown_site),
			FIELD_ENUM(faults, mapping, MAPPING_MAX), FIELD_STRING(faults, name),
			FIELD_SITE(faults, mapped_site), FIELD_ENUM(faults, family, FAMILY_MAX),
			FIELD(faults, direct)}},
	[EVENT_MEMORY] = {EVENT_TABLE(memory),
		{EVENT_COLUMNS, FIELD_ENUM(memory, call, MEMORY_CALLS), FIELD_SITE(memory, site),
			FIELD(memory, addr), FIELD(memory, mapped_bytes),
			FIELD(memory, unmapped_bytes), FIELD(memory, lost_bytes)}},
	[EVENT_RESIDENT] = {EVENT_TABLE(resident),
		{EVENT_COLUMNS, MAPPED(MAPPING_UNKNOWN, "unknown"), MAPPED(MAPPING_FILE, "file"),
			MAPPED(MAPPING_SHARED, "shared"), MAPPED(MAPPING_BRK, "heap"),
			MAPPED(MAPPING_STACK, "stack"), MAPPED(MAPPING_RUNTIME, "runtime"),
			MAPPED(MAPPING_ANON, "anonymous"), FIELD(resident, off_heap_bytes),
			FIELD(resident, given_back_bytes), FIELD(resident, rss_bytes)}},
	[EVENT_HEAP] = {EVENT_TABLE(heap),
		{EVENT_COLUMNS, FIELD(heap, gc_cycles), FIELD(heap, gc_running),
			FIELD(heap, pause_total_ns), FIELD(heap, pause_last_ns),
			FIELD(heap, live_bytes), FIELD(heap, goal_bytes),
			FIELD(heap, allocated_bytes), FIELD(heap, total_alloc_bytes),
			FIELD(heap, in_use_bytes), FIELD(heap, free_bytes),
			FIELD(heap, released_bytes), FIELD(heap, stack_bytes),
			FIELD(heap, runtime_bytes), FIELD(heap, scannable_bytes),
			FIELD(heap, pause_count), FIELD(heap, pause_min_ns),
			FIELD(heap, pause_median_ns), FIELD(heap, pause_max_ns),
			FIELD(heap, mark_ns), FIELD(heap, mark_cpu_ns),
			FIELD(heap, assist_cpu_ns)}},
	[EVENT_USAGE] = {EVENT_TABLE(usage),
		{EVENT_COLUMNS, FIELD(usage, rss_bytes), FIELD(usage, file_bytes),
			FIELD(usage, peak_bytes), FIELD(usage, cpu_ns)}},
	[EVENT_SHARE] = {EVENT_TABLE(share),
		{EVENT_COLUMNS, FIELD_ENUM(share, family, FAMILY_MAX), FIELD(share, open)}},
	[EVENT_GOROUTINES] = {EVENT_TABLE(goroutines),
		{EVENT_COLUMNS, COUNT(WAIT_NONE, "running"), COUNT(WAIT_SEND, "send"),
			COUNT(WAIT_RECEIVE, "receive"), COUNT(WAIT_SELECT, "select_"),
			COUNT(WAIT_LOCK, "lock"), COUNT(WAIT_IO, "io"), COUNT(WAIT_SLEEP, "sleep"),
			COUNT(WAIT_RUNTIME, "runtime"), FIELD(goroutines, stack_bytes),
			FIELD(goroutines, complete)}},
	[EVENT_WAITERS] = {EVENT_TABLE(waiters),
		{EVENT_COLUMNS, FIELD_ENUM(waiters, wait, WAIT_MAX), FIELD_SITE(waiters, site),
			FIELD(waiters, count), FIELD(waiters, waited_ns),
			FIELD(waiters, stack_bytes), FIELD(waiters, stack_resident_bytes),
			FIELD(waiters, message_bytes), FIELD(waiters, message_resident_bytes)}},
	[EVENT_PROFILE] = {EVENT_TABLE(profile),
		{EVENT_COLUMNS, FIELD_STRING(profile, reason), FIELD(profile, rate_bytes),
			FIELD(profile, complete), FIELD(profile, sampled), FIELD(profile, paired),
			FIELD(profile, at_most)}},
	[EVENT_ALLOCATED] = {EVENT_TABLE(allocated),
		{EVENT_COLUMNS, FIELD_STACK(allocated, stack), FIELD(allocated, in_use_bytes),
			FIELD(allocated, in_use_objects), FIELD(allocated, recent_bytes),
			FIELD(allocated, recent_objects), FIELD(allocated, allocated_bytes),
			FIELD(allocated, allocated_objects), FIELD(allocated, in_use_error_bytes),
			FIELD(allocated, allocated_error_bytes)}},
	[EVENT_ARRAYS] = {EVENT_TABLE(arrays),
		{EVENT_COLUMNS, FIELD_STRING(arrays, type), FIELD_SITE(arrays, site),
			FIELD(arrays, has_pointers), FIELD(arrays, array_bytes),
			FIELD(arrays, count), FIELD(arrays, resident_bytes)}},
	[EVENT_GROUP] = {EVENT_TABLE(group),
		{EVENT_COLUMNS, FIELD(group, usage_bytes), FIELD(group, inactive_file_bytes),
			FIELD(group, limit_bytes), FIELD(group, high_bytes),
			FIELD(group, oom_kills), FIELD(group, has_pressure), FIELD(group, some_us),
			FIELD(group, full_us)}},
	[EVENT_ALLOCATOR] = {EVENT_TABLE(allocator),
		{EVENT_COLUMNS, FIELD_STRING(allocator, name), FIELD_STRING(allocator, version),
			FIELD_STRING(allocator, reason), FIELD(allocator, estimated),
			FIELD(allocator, arenas), FIELD(allocator, system_bytes),
			FIELD(allocator, mapped_bytes), FIELD(allocator, free_bytes),
			FIELD(allocator, cached_bytes), FIELD(allocator, page_bytes),
			FIELD(allocator, resident_bytes), FIELD(allocator, retained_bytes),
			FIELD(allocator, retained_page_bytes), FIELD(allocator, trim_bytes),
			FIELD(allocator, lazy_bytes)}},
	[EVENT_EXEC] = {EVENT_TABLE(exec), {EVENT_COLUMNS}},
	[EVENT_EXIT] = {EVENT_TABLE(exit),
		{EVENT_COLUMNS, FIELD(exit, has_status), FIELD(exit, status), FIELD(exit, oom)}},

	[TABLE_STRING] = {"string", sizeof(struct string_row),
		{MEMBER(struct string_row, id), MEMBER(struct string_row, text)}},
	[TABLE_TARGET] = {"target", sizeof(struct target_row),
		{MEMBER(struct target_row, id), INFO(COLUMN_I32, pid), INFO(COLUMN_U64, start_time),
			INFO(COLUMN_TEXT, comm), INFO(COLUMN_TEXT, exe), INFO(COLUMN_TEXT, cgroup),
			INFO(COLUMN_TEXT, build_id), INFO(COLUMN_TEXT, runtime),
			INFO(COLUMN_TEXT, version), INFO(COLUMN_U64, limit_bytes),
			INFO(COLUMN_BOOL, has_limit), INFO(COLUMN_U64, age_ns)}},
	[TABLE_RUNTIME] = {"runtime", sizeof(struct runtime_row),
		{AS(COLUMN_TARGET, struct runtime_row, target, "target", 0),
			MEMBER(struct runtime_row, name), MEMBER(struct runtime_row, version)}},
	[TABLE_SITE] = {"site", sizeof(struct site_row),
		{MEMBER(struct site_row, id),
			AS(COLUMN_TARGET, struct site_row, target, "target", 0),
			AS(COLUMN_ENUM, struct site_row, family, "family", FAMILY_MAX),
			AS(COLUMN_STRING, struct site_row, type, "type", 0),
			MEMBER(struct site_row, other)}},
	[TABLE_STACK] = {"stack", sizeof(struct stack_row),
		{MEMBER(struct stack_row, id),
			AS(COLUMN_TARGET, struct stack_row, target, "target", 0)}},
	[TABLE_FRAME] = {"frame", sizeof(struct frame_row),
		{AS(COLUMN_STRING, struct frame_row, function, "function", 0),
			AS(COLUMN_STRING, struct frame_row, file, "file", 0),
			MEMBER(struct frame_row, line), MEMBER(struct frame_row, internal),
			MEMBER(struct frame_row, inlined),
			AS(COLUMN_STRING, struct frame_row, module, "module", 0),
			AS(COLUMN_STRING, struct frame_row, build_id, "build_id", 0)}},
	[TABLE_CLOCK] = {"clock", sizeof(struct clock_row),
		{AS(COLUMN_TIME, struct clock_row, mono_ns, "mono_ns", 0),
			MEMBER(struct clock_row, real_ns),
			AS(COLUMN_TIME, struct clock_row, end_mono_ns, "end_mono_ns", 0)}},
	[TABLE_HOST] = {"host", sizeof(struct host_row),
		{MEMBER(struct host_row, kernel), MEMBER(struct host_row, cpus),
			MEMBER(struct host_row, attach_mode), MEMBER(struct host_row, name)}},
	[TABLE_CENSUS] = {"census", sizeof(struct census_row),
		{AS(COLUMN_TARGET, struct census_row, target, "target", 0), CENSUS(done),
			CENSUS(complete), CENSUS(objects), CENSUS(bytes), CENSUS(maps),
			CENSUS(channels), CENSUS(duration_ns), CENSUS(longest_slice_ns),
			CENSUS(heap_objects), CENSUS(unread)}},
	[TABLE_UNWOUND] = {"unwound", sizeof(struct unwound_row),
		{AS(COLUMN_TARGET, struct unwound_row, target, "target", 0), UNWOUND(complete),
			UNWOUND(truncated), UNWOUND(lost)}},
	[TABLE_SOURCE] = {"source", sizeof(struct model_source),
		{MEMBER(struct model_source, name), MEMBER(struct model_source, hits),
			MEMBER(struct model_source, produced),
			MEMBER(struct model_source, delivered), MEMBER(struct model_source, lost)}},
	[TABLE_OVERHEAD] = {"overhead", sizeof(struct model_overhead),
		{MEMBER(struct model_overhead, probe_hits),
			MEMBER(struct model_overhead, ns_per_hit),
			MEMBER(struct model_overhead, probe_cpu_ns),
			MEMBER(struct model_overhead, target_cpu_ns),
			MEMBER(struct model_overhead, budget_pct),
			MEMBER(struct model_overhead, tracer_cpu_ns),
			MEMBER(struct model_overhead, tracer_rss_bytes),
			MEMBER(struct model_overhead, parser_rss_bytes),
			MEMBER(struct model_overhead, attach_ns),
			MEMBER(struct model_overhead, detach_ns)}},
	[TABLE_SKIP] = {"skip", sizeof(struct model_skip),
		{MEMBER(struct model_skip, what), MEMBER(struct model_skip, reason)}},
	[TABLE_INCOMPLETE] = {"incomplete", sizeof(struct text_row),
		{AS(COLUMN_TEXT, struct text_row, text, "reason", 0)}},
	[TABLE_SETTING] = {"setting", sizeof(struct text_row),
		{AS(COLUMN_TEXT, struct text_row, text, "assignment", 0)}},
};

static const char *sql_type(enum column_type type)
{
	if (type == COLUMN_TEXT)
		return "TEXT";
	return type == COLUMN_DOUBLE ? "REAL" : "INTEGER";
}

char *table_create_sql(const struct table_shape *table)
{
	char *sql = NULL;
	size_t bytes;
	FILE *out = open_memstream(&sql, &bytes);

	if (!out)
		abort();
	fprintf(out, "CREATE TABLE %s(seq INTEGER PRIMARY KEY", table->name);
	for (const struct column *column = table->columns; column->name; column++)
		fprintf(out, ", %s %s NOT NULL", column->name, sql_type(column->type));
	fputs(") STRICT", out);
	fclose(out);
	return sql;
}

char *table_insert_sql(const struct table_shape *table)
{
	char *sql = NULL;
	size_t bytes;
	FILE *out = open_memstream(&sql, &bytes);

	if (!out)
		abort();
	fprintf(out, "INSERT INTO %s VALUES(?", table->name);
	for (const struct column *column = table->columns; column->name; column++)
		fputs(",?", out);
	fputc(')', out);
	fclose(out);
	return sql;
}
