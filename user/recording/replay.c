/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows back into calls. Numbers of targets, strings and sites are those of the recorded session; in a
 * model that already holds another session they are others, so they are translated, and one that was
 * never defined ends the replay like any other damage.
 */
#include "recording/replay.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "recording/columns.h"
#include "recording/rows.h"

/* A recorded number is an index: what it is in this model. */
struct numbers {
	uint32_t *ids;
	size_t count, cap;
};

struct replayer {
	struct model *model;
	void (*setting)(const char *assignment, void *arg);
	void *arg;
	size_t files;
	uint64_t mono_ns, real_ns, end_ns; /* of all recordings before this one */

	/* Of the recording that is being read */
	const char *name;
	struct numbers targets, strings, sites, stacks;
	int64_t shift_ns; /* its clock to that of the first */
	uint64_t last_ns; /* the last time that was seen, shifted */
	struct clock_row clock;
	struct model_host host;
	struct model_frame frames[MODEL_MAX_FRAMES]; /* in front of the next site or stack */
	size_t frame_count;
	struct model_overhead overhead_before; /* of the recordings before */
	struct model_source *sources_before;
	size_t source_count;
	char error[160];
};

static void numbers_add(struct numbers *numbers, uint32_t id)
{
	array_reserve(numbers->ids, numbers->count, numbers->cap);
	numbers->ids[numbers->count++] = id;
}

static int __attribute__((format(printf, 2, 3)))
refuse(struct replayer *replay, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(replay->error, sizeof(replay->error), format, args);
	va_end(args);
	return -EBADMSG;
}

/* ---- numbers and times ---- */

static int translate(struct replayer *replay, const struct table_shape *table,
	const struct column *column, const struct numbers *numbers, uint32_t first, void *field)
{
	uint32_t id = *(uint32_t *)field;

	if (id < first)
		return 0;
	if (id - first >= numbers->count)
		return refuse(
			replay, "%s.%s %u has not been defined", table->name, column->name, id);
	*(uint32_t *)field = numbers->ids[id - first];
	return 0;
}

static void shift(struct replayer *replay, uint64_t *time_ns)
{
	if (!*time_ns)
		return;
	if (replay->shift_ns < 0 && *time_ns <= (uint64_t)-replay->shift_ns)
		*time_ns = 1;
	else
		*time_ns += (uint64_t)replay->shift_ns;
	replay->last_ns = MAX(replay->last_ns, *time_ns);
}

static int translate_row(struct replayer *replay, uint32_t number, void *row)
{
	const struct table_shape *table = &recording_tables[number];
	int r = 0;

	for (const struct column *column = table->columns; column->name && !r; column++) {
		void *field = (char *)row + column->offset;

		switch (column->type) {
		case COLUMN_TARGET:
			r = translate(replay, table, column, &replay->targets, 0, field);
			break;
		case COLUMN_STRING:
			r = translate(replay, table, column, &replay->strings, 1, field);
			break;
		case COLUMN_SITE:
			r = translate(replay, table, column, &replay->sites, 1, field);
			break;
		case COLUMN_STACK:
			r = translate(replay, table, column, &replay->stacks, 1, field);
			break;
		case COLUMN_TIME:
			shift(replay, field);
			break;
		default:
			break;
		}
	}
	return r;
}

/* ---- definitions ---- */

static int replay_string(struct replayer *replay, const struct string_row *row)
{
	if (row->id != replay->strings.count + 1)
		return refuse(replay, "string %u comes where %zu has to", row->id,
			replay->strings.count + 1);
	numbers_add(&replay->strings, model_intern(replay->model, row->text));
	return 0;
}

static int replay_target(struct replayer *replay, const struct target_row *row)
{
	uint32_t id;

	if (row->id < replay->targets.count) {
		model_update_target(replay->model, replay->targets.ids[row->id], &row->info);
		return 0;
	}
	if (row->id != replay->targets.count)
		return refuse(
			replay, "target %u comes where %zu has to", row->id, replay->targets.count);
	id = model_add_target(replay->model, &row->info);
	if (id == UINT32_MAX)
		return refuse(replay, "there are more than %d processes", MODEL_MAX_TARGETS);
	numbers_add(&replay->targets, id);
	return 0;
}

static int replay_frame(struct replayer *replay, const struct frame_row *row)
{
	if (replay->frame_count == MODEL_MAX_FRAMES)
		return refuse(replay, "a stack has more than %d frames", MODEL_MAX_FRAMES);
	replay->frames[replay->frame_count++] = (struct model_frame){
		.function = model_string(replay->model, row->function),
		.file = model_string(replay->model, row->file),
		.line = row->line,
		.internal = row->internal,
		.inlined = row->inlined,
		.module = model_string(replay->model, row->module),
		.build_id = model_string(replay->model, row->build_id),
	};
	return 0;
}

static int replay_site(struct replayer *replay, const struct site_row *row)
{
	uint32_t id;

	if (row->id != replay->sites.count + 1)
		return refuse(
			replay, "site %u comes where %zu has to", row->id, replay->sites.count + 1);
	if (row->other)
		id = model_add_other_site(replay->model, row->target);
	else
		id = model_add_site(replay->model, row->target, row->family, row->type,
			replay->frames, replay->frame_count);
	replay->frame_count = 0;
	numbers_add(&replay->sites, id);
	return 0;
}

static int replay_stack(struct replayer *replay, const struct stack_row *row)
{
	uint32_t id;

	if (row->id != replay->stacks.count + 1)
		return refuse(replay, "stack %u comes where %zu has to", row->id,
			replay->stacks.count + 1);
	id = model_add_stack(replay->model, row->target, replay->frames, replay->frame_count);
	replay->frame_count = 0;
	numbers_add(&replay->stacks, id);
	return 0;
}

/* ---- what is one for all recordings ---- */

static int replay_clock(struct replayer *replay, const struct clock_row *row)
{
	replay->clock = *row;
	if (!replay->files)
		model_set_clock(replay->model, row->mono_ns, row->real_ns, row->end_mono_ns);
	return 0;
}

/* Processes of several hosts stay apart: the first recording's is that of the report, too. */
static void replay_host(struct replayer *replay, const struct host_row *row)
{
	struct model_host *host = &replay->host;

	host->cpus = row->cpus;
	text_copy(host->name, sizeof(host->name), row->name ? row->name : "");
	text_copy(host->kernel, sizeof(host->kernel), row->kernel ? row->kernel : "");
	text_copy(host->attach_mode, sizeof(host->attach_mode),
		row->attach_mode ? row->attach_mode : "");
	if (!replay->files)
		model_set_host(replay->model, host);
}

static int replay_source(struct replayer *replay, const struct model_source *row)
{
	struct model_source sum = *row;
	const char *name = row->name ? row->name : "";

	for (size_t i = 0; i < replay->source_count; i++) {
		const struct model_source *before = &replay->sources_before[i];

		if (strcmp(before->name, name) != 0)
			continue;
		sum.hits += before->hits;
		sum.produced += before->produced;
		sum.delivered += before->delivered;
		sum.lost += before->lost;
	}
	model_set_source(replay->model, name, sum.hits, sum.produced, sum.delivered, sum.lost);
	return 0;
}

static int replay_overhead(struct replayer *replay, const struct model_overhead *row)
{
	const struct model_overhead *before = &replay->overhead_before;
	struct model_overhead sum = *row;

	sum.probe_hits += before->probe_hits;
	sum.ns_per_hit = MAX(sum.ns_per_hit, before->ns_per_hit);
	sum.probe_cpu_ns += before->probe_cpu_ns;
	sum.target_cpu_ns += before->target_cpu_ns;
	sum.budget_pct = MAX(sum.budget_pct, before->budget_pct);
	sum.tracer_cpu_ns += before->tracer_cpu_ns;
	sum.tracer_rss_bytes = MAX(sum.tracer_rss_bytes, before->tracer_rss_bytes);
	sum.parser_rss_bytes = MAX(sum.parser_rss_bytes, before->parser_rss_bytes);
	sum.attach_ns = MAX(sum.attach_ns, before->attach_ns);
	sum.detach_ns = MAX(sum.detach_ns, before->detach_ns);
	model_set_overhead(replay->model, &sum);
	return 0;
}

/* ---- rows ---- */

static int replay_row(struct replayer *replay, uint32_t table, union any_row *row)
{
	int r = translate_row(replay, table, row);

	if (r)
		return r;
	if (table < EVENT_KINDS)
		return model_apply(replay->model, &row->event)
			       ? refuse(replay, "%s makes no sense", recording_tables[table].name)
			       : 0;
	switch (table) {
	case TABLE_STRING:
		return replay_string(replay, &row->string);
	case TABLE_TARGET:
		return replay_target(replay, &row->target);
	case TABLE_RUNTIME:
		model_add_runtime(replay->model, row->runtime.target, row->runtime.name,
			row->runtime.version);
		return 0;
	case TABLE_SITE:
		return replay_site(replay, &row->site);
	case TABLE_STACK:
		return replay_stack(replay, &row->stack);
	case TABLE_FRAME:
		return replay_frame(replay, &row->frame);
	case TABLE_CLOCK:
		return replay_clock(replay, &row->clock);
	case TABLE_HOST:
		replay_host(replay, &row->host);
		return 0;
	case TABLE_CENSUS:
		model_set_census(replay->model, row->census.target, &row->census.census);
		return 0;
	case TABLE_UNWOUND:
		model_set_unwound(replay->model, row->unwound.target, &row->unwound.unwound);
		return 0;
	case TABLE_SOURCE:
		return replay_source(replay, &row->source);
	case TABLE_OVERHEAD:
		return replay_overhead(replay, &row->overhead);
	case TABLE_SKIP:
		model_add_skip(replay->model, row->skip.what, row->skip.reason);
		return 0;
	case TABLE_INCOMPLETE:
		model_add_incomplete(replay->model, row->text.text);
		return 0;
	case TABLE_SETTING:
		replay->setting(row->text.text ? row->text.text : "", replay->arg);
		return 0;
	}
	return 0;
}

/* ---- one recording ---- */

static void __attribute__((format(printf, 2, 3)))
tell_incomplete(struct replayer *replay, const char *format, ...)
{
	char name[128], text[2 * REPLAY_ERROR_BYTES];
	size_t used;
	va_list args;

	text_escape(name, sizeof(name), replay->name);
	used = (size_t)snprintf(text, sizeof(text), "%s ", name);
	va_start(args, format);
	vsnprintf(text + used, sizeof(text) - used, format, args);
	va_end(args);
	model_add_incomplete(replay->model, text);
}

static void tell_what_is_missing(struct replayer *replay, const struct rows *rows, int r)
{
	const struct rows_facts *facts = rows_facts(rows);
	const struct file_look *file = &facts->file;

	if (r < 0)
		tell_incomplete(replay,
			"is damaged behind row %llu (%s): what comes before is shown",
			(unsigned long long)rows_number(rows),
			*replay->error ? replay->error : rows_error(rows));
	if (file->said_bytes > file->size_bytes && !file->beside)
		tell_incomplete(replay, "is cut off: %llu of %llu bytes are there",
			(unsigned long long)file->size_bytes, (unsigned long long)file->said_bytes);
	else if (file->user)
		tell_incomplete(replay, "is still being written, by process %d", file->user);
	else if (!facts->closed && r >= 0)
		tell_incomplete(
			replay, "was not closed: memtrace died, or could not write its end");
	if (facts->lost)
		tell_incomplete(replay, "lacks %llu events: the disk was too slow for them",
			(unsigned long long)facts->lost);
	if (*facts->unknown)
		tell_incomplete(replay, "is of a newer memtrace (%s), whose %s is left out",
			facts->version, facts->unknown);
}

/* Its end is laid on the end of the first recording. */
static void begin(struct replayer *replay, const char *path, const struct rows_facts *facts)
{
	replay->name = path;
	replay->shift_ns = replay->files ? (int64_t)(replay->end_ns - facts->end_ns) : 0;
	replay->last_ns = 0;
	replay->frame_count = 0;
	replay->error[0] = 0;
	replay->targets.count = replay->strings.count = 0;
	replay->sites.count = replay->stacks.count = 0;
	memset(&replay->clock, 0, sizeof(replay->clock));
	memset(&replay->host, 0, sizeof(replay->host));
	replay->overhead_before = *model_overhead(replay->model);
	replay->source_count = model_source_count(replay->model);
	free(replay->sources_before);
	replay->sources_before = xcalloc(replay->source_count + 1, sizeof(*replay->sources_before));
	for (size_t i = 0; i < replay->source_count; i++)
		replay->sources_before[i] = *model_source(replay->model, i);
}

static void end_host(struct replayer *replay)
{
	uint32_t host = replay->files ? model_add_host(replay->model, &replay->host) : 0;

	for (size_t i = 0; i < replay->targets.count; i++)
		model_set_target_host(replay->model, replay->targets.ids[i], host);
}

/* The session that began first gives the report its beginning; all end together. */
static void end(struct replayer *replay, bool closed)
{
	const struct clock_row *clock = &replay->clock;
	uint64_t end_ns = MAX(clock->end_mono_ns, replay->last_ns);

	if (!replay->files) {
		replay->mono_ns = clock->mono_ns;
		replay->real_ns = clock->real_ns;
		replay->end_ns = end_ns;
	} else if (clock->mono_ns && clock->mono_ns < replay->mono_ns) {
		replay->mono_ns = clock->mono_ns;
		replay->real_ns = clock->real_ns;
	}
	end_host(replay);
	if (replay->files || !closed)
		model_set_clock(replay->model, replay->mono_ns, replay->real_ns, replay->end_ns);
	replay->files++;
}

int replay_add(struct replayer *replay, const char *path, char sentence[REPLAY_ERROR_BYTES])
{
	struct rows *rows = NULL;
	const struct rows_facts *facts;
	union any_row row;
	uint32_t table;
	int r;

	sentence[0] = 0;
	r = rows_open(path, &rows, sentence);
	if (r)
		return r;
	facts = rows_facts(rows);
	begin(replay, path, facts);
	while ((r = rows_next(rows, &table, &row)) > 0) {
		r = replay_row(replay, table, &row);
		if (r)
			break;
	}
	end(replay, facts->closed && !r);
	tell_what_is_missing(replay, rows, r);
	if (*facts->missing)
		snprintf(sentence, REPLAY_ERROR_BYTES,
			"is of an older memtrace (%s): without %s, it says less than one of today",
			facts->version, facts->missing);
	rows_close(rows);
	return 0;
}

struct replayer *replay_new(
	struct model *model, void (*setting)(const char *assignment, void *arg), void *arg)
{
	struct replayer *replay = xcalloc(1, sizeof(*replay));

	replay->model = model;
	replay->setting = setting;
	replay->arg = arg;
	return replay;
}

void replay_free(struct replayer *replay)
{
	if (!replay)
		return;
	free(replay->targets.ids);
	free(replay->strings.ids);
	free(replay->sites.ids);
	free(replay->stacks.ids);
	free(replay->sources_before);
	free(replay);
}
