/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The near side of a recording: the observer of a model, and the queue to the thread that writes.
 *
 * A row in the queue is the struct that columns.c describes: an event itself, or a copy on the heap of
 * anything rarer. Strings and sites belong to the model and stay where they are, so they need no copy.
 * Events that find the queue full are lost and counted, after one short wait: the loop that reads the
 * rings must not stall. Definitions wait, as nothing after them could be understood without.
 */
#include "recording/recorder.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "recording/columns.h"
#include "recording/writer.h"

#define QUEUE_ROWS 16384
#define BATCH_ROWS 4096
#define BATCH_NS   (250 * NSEC_PER_MSEC)
#define PATIENCE_NS                                                                                \
	(50 * NSEC_PER_MSEC) /* that the loop waits for room, once until there is some */
#define DEFINED_ROWS 64      /* of the queue, that events leave to the rest */

struct queued {
	uint32_t table;
	union {
		struct event event;
		void *row; /* of any other table, on the heap */
	};
};

struct recorder {
	struct writer *writer;
	struct model *model;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work, room; /* on CLOCK_MONOTONIC */
	struct queued *queue;
	uint64_t head, tail; /* grow only */
	bool stop, gave_up, impatient;
	uint64_t lost;
	int error; /* of the thread */
};

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC)};
}

/* ---- the thread ---- */

static void free_row(struct queued *queued)
{
	if (queued->table >= EVENT_KINDS)
		free(queued->row);
}

/* The rows [from, to) belong to this thread: the queue's owner does not touch them. */
static int write_batch(struct recorder *recorder, uint64_t from, uint64_t to, uint64_t lost)
{
	int r = writer_begin(recorder->writer);

	for (uint64_t i = from; i < to && !r; i++) {
		struct queued *queued = &recorder->queue[i % QUEUE_ROWS];
		const void *row =
			queued->table < EVENT_KINDS ? (void *)&queued->event : queued->row;

		r = writer_add(recorder->writer, queued->table, row);
	}
	if (!r && lost)
		r = writer_set_lost(recorder->writer, lost);
	return r ? r : writer_commit(recorder->writer);
}

/* Waits for a batch, for its time, or for the end. Returns how many rows there are. */
static uint64_t wait_for_rows(struct recorder *recorder)
{
	struct timespec until = timespec_of(clock_mono_ns() + BATCH_NS);

	while (!recorder->stop && recorder->head - recorder->tail < BATCH_ROWS)
		if (pthread_cond_timedwait(&recorder->work, &recorder->lock, &until) == ETIMEDOUT)
			break;
	return MIN(recorder->head - recorder->tail, (uint64_t)BATCH_ROWS);
}

static void *run(void *arg)
{
	struct recorder *recorder = arg;

	pthread_mutex_lock(&recorder->lock);
	for (;;) {
		uint64_t count = wait_for_rows(recorder), from = recorder->tail;
		uint64_t lost = recorder->lost;
		int r = recorder->error;

		if (!count && recorder->stop)
			break;
		pthread_mutex_unlock(&recorder->lock);
		if (count && !r)
			r = write_batch(recorder, from, from + count, lost);
		for (uint64_t i = from; i < from + count; i++)
			free_row(&recorder->queue[i % QUEUE_ROWS]);
		pthread_mutex_lock(&recorder->lock);
		recorder->error = r;
		recorder->tail += count;
		pthread_cond_signal(&recorder->room);
	}
	pthread_mutex_unlock(&recorder->lock);
	return NULL;
}

/* ---- the queue ---- */

static uint64_t room_for(const struct recorder *recorder, uint32_t table)
{
	uint64_t used = recorder->head - recorder->tail;
	uint64_t limit = table < EVENT_KINDS ? QUEUE_ROWS - DEFINED_ROWS : QUEUE_ROWS;

	return limit > used ? limit - used : 0;
}

/* With the lock held. False = no room. */
static bool wait_for_room(struct recorder *recorder, uint32_t table)
{
	struct timespec until = timespec_of(clock_mono_ns() + PATIENCE_NS);

	while (!room_for(recorder, table)) {
		if (table >= EVENT_KINDS)
			pthread_cond_wait(&recorder->room, &recorder->lock);
		else if (recorder->impatient || pthread_cond_timedwait(&recorder->room,
							&recorder->lock, &until) == ETIMEDOUT)
			break;
	}
	recorder->impatient = table < EVENT_KINDS && !room_for(recorder, table);
	return !recorder->impatient;
}

/* Takes a row over. */
static void push(struct recorder *recorder, struct queued *queued)
{
	pthread_mutex_lock(&recorder->lock);
	if (wait_for_room(recorder, queued->table)) {
		recorder->queue[recorder->head++ % QUEUE_ROWS] = *queued;
		if (recorder->head - recorder->tail == BATCH_ROWS)
			pthread_cond_signal(&recorder->work);
	} else {
		recorder->lost++;
		free_row(queued);
	}
	pthread_mutex_unlock(&recorder->lock);
}

static size_t text_bytes_of(const struct table_shape *table, const unsigned char *row)
{
	size_t bytes = 0;

	for (const struct column *column = table->columns; column->name; column++) {
		const char *text;

		if (column->type != COLUMN_TEXT)
			continue;
		memcpy(&text, row + column->offset, sizeof(text));
		bytes += text ? strlen(text) + 1 : 0;
	}
	return bytes;
}

/* A row and its texts in one piece. */
static void *copy_row(const struct table_shape *table, const void *row)
{
	unsigned char *copy = xcalloc(1, table->bytes + text_bytes_of(table, row));
	char *end = (char *)copy + table->bytes;

	memcpy(copy, row, table->bytes);
	for (const struct column *column = table->columns; column->name; column++) {
		const char *text;

		if (column->type != COLUMN_TEXT)
			continue;
		memcpy(&text, copy + column->offset, sizeof(text));
		if (!text)
			continue;
		memcpy(copy + column->offset, &end, sizeof(end));
		end = stpcpy(end, text) + 1;
	}
	return copy;
}

static void push_copy(struct recorder *recorder, uint32_t table, const void *row)
{
	struct queued queued = {.table = table};

	queued.row = copy_row(&recording_tables[table], row);
	push(recorder, &queued);
}

/* ---- what the model tells ---- */

static void on_event(const struct event *event, void *arg)
{
	struct queued queued = {.table = event->kind, .event = *event};

	push(arg, &queued);
}

static void on_string(uint32_t id, const char *string, void *arg)
{
	push_copy(arg, TABLE_STRING, &(struct string_row){id, string});
}

static void push_frames(struct recorder *recorder, const struct model_frame *frames, size_t count)
{
	for (size_t i = 0; i < count; i++)
		push_copy(recorder, TABLE_FRAME,
			&(struct frame_row){model_find_string(recorder->model, frames[i].function),
				model_find_string(recorder->model, frames[i].file), frames[i].line,
				frames[i].internal, frames[i].inlined,
				model_find_string(recorder->model, frames[i].module),
				model_find_string(recorder->model, frames[i].build_id)});
}

static void on_site(const struct site *site, void *arg)
{
	push_frames(arg, site->frames, site->frame_count);
	push_copy(arg, TABLE_SITE,
		&(struct site_row){site->id, site->target, site->family, site->type, site->other});
}

static void on_stack(const struct model_stack *stack, void *arg)
{
	push_frames(arg, stack->frames, stack->frame_count);
	push_copy(arg, TABLE_STACK, &(struct stack_row){stack->id, stack->target});
}

static void on_target(uint32_t id, const struct model_target_info *info, void *arg)
{
	push_copy(arg, TABLE_TARGET, &(struct target_row){id, *info});
}

static void on_runtime(uint32_t target, const char *name, const char *version, void *arg)
{
	push_copy(arg, TABLE_RUNTIME, &(struct runtime_row){target, name, version});
}

static void on_skip(const struct model_skip *skip, void *arg)
{
	push_copy(arg, TABLE_SKIP, skip);
}

static void on_source(const struct model_source *source, void *arg)
{
	push_copy(arg, TABLE_SOURCE, source);
}

static void on_overhead(const struct model_overhead *overhead, void *arg)
{
	push_copy(arg, TABLE_OVERHEAD, overhead);
}

static void on_host(const struct model_host *host, void *arg)
{
	push_copy(arg, TABLE_HOST,
		&(struct host_row){host->name, host->kernel, host->cpus, host->attach_mode});
}

static void on_census(uint32_t target, const struct model_census *census, void *arg)
{
	push_copy(arg, TABLE_CENSUS, &(struct census_row){target, *census});
}

static void on_unwound(uint32_t target, const struct model_unwound *unwound, void *arg)
{
	push_copy(arg, TABLE_UNWOUND, &(struct unwound_row){target, *unwound});
}

static void on_clock(uint64_t mono_ns, uint64_t real_ns, uint64_t end_mono_ns, void *arg)
{
	push_copy(arg, TABLE_CLOCK, &(struct clock_row){mono_ns, real_ns, end_mono_ns});
}

static void on_incomplete(const char *reason, void *arg)
{
	push_copy(arg, TABLE_INCOMPLETE, &(struct text_row){reason});
}

static const struct model_observer observer = {
	.string = on_string,
	.site = on_site,
	.stack = on_stack,
	.target = on_target,
	.runtime = on_runtime,
	.event = on_event,
	.skip = on_skip,
	.source = on_source,
	.overhead = on_overhead,
	.host = on_host,
	.census = on_census,
	.unwound = on_unwound,
	.clock = on_clock,
	.incomplete = on_incomplete,
};

/* ---- the outside ---- */

static void init_sync(struct recorder *recorder)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&recorder->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&recorder->work, &monotonic);
	pthread_cond_init(&recorder->room, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static void recorder_free(struct recorder *recorder)
{
	pthread_cond_destroy(&recorder->room);
	pthread_cond_destroy(&recorder->work);
	pthread_mutex_destroy(&recorder->lock);
	free(recorder->queue);
	free(recorder);
}

int recorder_open(const char *path, struct recorder **ret, char error[RECORDER_ERROR_BYTES])
{
	struct recorder *recorder;
	struct writer *writer;
	int r = writer_open(path, &writer, error);

	if (r)
		return r;
	recorder = xcalloc(1, sizeof(*recorder));
	recorder->writer = writer;
	recorder->queue = xcalloc(QUEUE_ROWS, sizeof(*recorder->queue));
	init_sync(recorder);
	r = -pthread_create(&recorder->thread, NULL, run, recorder);
	if (r) {
		text_copy(error, RECORDER_ERROR_BYTES, strerror(-r));
		writer_close(writer, false);
		recorder_free(recorder);
		return r;
	}
	*ret = recorder;
	return 0;
}

void recorder_watch(struct recorder *recorder, struct model *model)
{
	recorder->model = model;
	model_set_observer(model, &observer, recorder);
}

void recorder_add_setting(struct recorder *recorder, const char *assignment)
{
	push_copy(recorder, TABLE_SETTING, &(struct text_row){assignment});
}

void recorder_close(struct recorder *recorder, struct recorder_result *ret)
{
	struct recorder_result result = {0};

	if (!recorder)
		return;
	if (recorder->model)
		model_set_observer(recorder->model, NULL, NULL);
	pthread_mutex_lock(&recorder->lock);
	recorder->stop = true;
	pthread_cond_signal(&recorder->work);
	pthread_mutex_unlock(&recorder->lock);
	pthread_join(recorder->thread, NULL);
	result.error = recorder->error;
	result.lost = recorder->lost;
	result.rows = writer_rows(recorder->writer);
	if (!result.error && result.lost)
		result.error = writer_set_lost(recorder->writer, result.lost);
	if (result.error)
		text_copy(result.sentence, sizeof(result.sentence), writer_error(recorder->writer));
	writer_close(recorder->writer, !result.error);
	if (ret)
		*ret = result;
	recorder_free(recorder);
}
