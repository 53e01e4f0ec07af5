/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What recording costs and how long a report of a recording takes: rows a second into SQLite (looks, the
 * widest and most frequent rows), what telling the recorder costs the main loop, and a recording of 20,000
 * sites as a report in each format, replay and rules included.
 *
 * Judged is CPU time: what else runs on this machine is not the recorder's doing. The time on the clock is
 * shown beside it.
 *
 *	recording [FOLDER]      FOLDER (default: the current one) is where the recordings go meanwhile
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/model.h"
#include "recording/recorder.h"
#include "recording/replay.h"
#include "recording/writer.h"
#include "row.h"
#include "rules/rules.h"
#include "sink/sink.h"

#define ROWS        1000000
#define BATCH       4096
#define SITES       20000
#define TARGETS     4
#define TOLD_EVENTS 8000 /* fewer than the queue holds: none waits */
#define START_NS    (1000 * NSEC_PER_SEC)

static char path[4096];

static void die(const char *what, int error)
{
	fprintf(stderr, "recording: %s: %s\n", what, strerror(-error));
	unlink(path);
	exit(1);
}

struct stopwatch {
	uint64_t mono_ns, cpu_ns;
	double seconds, cpu_seconds;
};

static struct stopwatch stopwatch_start(void)
{
	return (struct stopwatch){.mono_ns = clock_mono_ns(), .cpu_ns = clock_process_cpu_ns()};
}

static void stopwatch_stop(struct stopwatch *watch)
{
	watch->seconds = (double)(clock_mono_ns() - watch->mono_ns) / NSEC_PER_SEC;
	watch->cpu_seconds = (double)(clock_process_cpu_ns() - watch->cpu_ns) / NSEC_PER_SEC;
}

static struct event look_event(uint64_t i)
{
	return (struct event){.kind = EVENT_LOOK,
		.time_ns = START_NS + i * NSEC_PER_MSEC,
		.look = {.family = FAMILY_MAP,
			.key = 0xc000000000 + i % 4096 * 48,
			.liveness = LIVENESS_MARKED,
			.marked_cycle = (uint32_t)(i / 100000),
			.has_length = true,
			.length = i,
			.capacity = 2097152,
			.load_limit = 1703936,
			.held_bytes = 57999360,
			.need_bytes = i * 48,
			.need_peak_bytes = 57999360,
			.has_resident = true,
			.resident_bytes = 55468032,
			.stamp = i * 0x9e3779b97f4a7c15}};
}

static int bench_rows(void)
{
	char error[RECORDER_ERROR_BYTES];
	struct writer *writer;
	struct stopwatch watch;
	int r = writer_open(path, &writer, error);
	double rate;

	if (r)
		die(error, r);
	watch = stopwatch_start();
	for (uint64_t i = 0; i < ROWS && !r;) {
		r = writer_begin(writer);
		for (uint64_t end = i + BATCH; i < end && !r; i++) {
			struct event event = look_event(i);

			r = writer_add(writer, EVENT_LOOK, &event);
		}
		r = r ? r : writer_commit(writer);
	}
	if (r)
		die(writer_error(writer), r);
	stopwatch_stop(&watch);
	rate = ROWS / watch.cpu_seconds;
	writer_close(writer, true);
	return bench_row("recording: rows into SQLite", ">= 500,000/s", bench_judge(rate >= 5e5),
		"%.0f/s: %d looks in batches of %d, %.2f s on the clock", rate, ROWS, BATCH,
		watch.seconds);
}

static struct model *model_with_target(void)
{
	struct model_target_info info = {.pid = 1, .comm = "bench", .runtime = "go"};
	struct model *model = model_new();

	model_set_clock(model, START_NS, START_NS, START_NS);
	model_add_target(model, &info);
	return model;
}

static double apply_seconds(struct model *model)
{
	uint64_t begin_ns = clock_thread_cpu_ns();

	for (uint64_t i = 0; i < TOLD_EVENTS; i++) {
		struct event event = look_event(i);

		model_apply(model, &event);
	}
	return (double)(clock_thread_cpu_ns() - begin_ns) / NSEC_PER_SEC;
}

/* The thread that owns the model, with and without somebody who is told. */
static int bench_telling(void)
{
	struct model *bare = model_with_target(), *told = model_with_target();
	struct recorder_result result;
	char error[RECORDER_ERROR_BYTES];
	struct recorder *recorder;
	double cost[2];
	int r = recorder_open(path, &recorder, error);

	if (r)
		die(error, r);
	cost[0] = apply_seconds(bare);
	recorder_watch(recorder, told);
	cost[1] = apply_seconds(told);
	recorder_close(recorder, &result);
	model_free(bare);
	model_free(told);
	return bench_row("  what telling it costs the main loop", "none lost",
		bench_judge(!result.lost && !result.error), "%.0f ns an event, %llu lost",
		(cost[1] - cost[0]) * 1e9 / TOLD_EVENTS, (unsigned long long)result.lost);
}

/* ---- a large report ---- */

static void grow(struct model *model, uint32_t target, uint32_t site, uint32_t type, uint64_t key)
{
	struct event event = {.kind = EVENT_GROWTH,
		.target = target,
		.time_ns = START_NS + NSEC_PER_SEC,
		.growth = {.family = FAMILY_MAP,
			.key = key,
			.old_key = key,
			.type = type,
			.site = site,
			.capacity = 1024,
			.allocated_bytes = 36864,
			.garbage_bytes = 18432,
			.held_bytes = 36864}};

	model_apply(model, &event);
}

static void fill(struct model *model)
{
	for (uint32_t i = 0; i < SITES; i++) {
		char function[64], file[64], type[32];
		struct model_frame frames[] = {
			{"runtime.hashGrow", "map.go", 1, true, false, NULL, NULL},
			{function, file, i % 1000 + 1, false, false, NULL, NULL},
			{"main.serve", "/app/server.go", i % 50 + 1, false, false, NULL, NULL},
			{"main.main", "/app/main.go", 7, false, false, NULL, NULL}};
		uint32_t target = i % TARGETS, site;

		snprintf(function, sizeof(function), "main.(*Handler%u).Put", i);
		snprintf(file, sizeof(file), "/app/handler%u.go", i % 300);
		snprintf(type, sizeof(type), "map[int]main.T%u", i % 500);
		site = model_add_site(model, target, FAMILY_MAP, model_intern(model, type), frames,
			ARRAY_SIZE(frames));
		grow(model, target, site, model_intern(model, type), 0xc000000000 + i * 64);
	}
}

static void record_sites(void)
{
	char error[RECORDER_ERROR_BYTES];
	struct recorder_result result;
	struct recorder *recorder;
	struct model *model = model_new();
	int r = recorder_open(path, &recorder, error);

	if (r)
		die(error, r);
	recorder_watch(recorder, model);
	model_set_clock(model, START_NS, START_NS, START_NS);
	for (int i = 0; i < TARGETS; i++) {
		struct model_target_info info = {.pid = 1 + i, .comm = "bench", .runtime = "go"};

		model_add_target(model, &info);
	}
	fill(model);
	model_set_clock(model, START_NS, START_NS, START_NS + 30 * NSEC_PER_SEC);
	recorder_close(recorder, &result);
	if (result.error || result.lost)
		die("the recording of many sites is not whole", result.error);
	model_free(model);
}

static void ignore_setting(const char *assignment, void *arg)
{
	(void)assignment;
	(void)arg;
}

/* From the file to the last byte. */
static struct stopwatch report_time(const struct sink *sink, size_t *ret_sites)
{
	struct thresholds *thresholds = thresholds_new();
	struct model *model = model_new();
	struct replayer *replay = replay_new(model, ignore_setting, NULL);
	struct stopwatch watch = stopwatch_start();
	uint64_t mono_ns, real_ns, end_ns;
	char sentence[REPLAY_ERROR_BYTES];
	struct findings findings = {0};
	FILE *out = fopen("/dev/null", "w");
	struct report report = {.model = model, .top = 10, .width = 100};
	int r = replay_add(replay, path, sentence);

	if (r || !out)
		die(sentence, r);
	model_clock(model, &mono_ns, &real_ns, &end_ns);
	rules_run(model, thresholds, end_ns, &findings);
	report.findings = findings.items;
	report.finding_count = findings.count - findings.candidates;
	report.candidate_count = findings.candidates;
	r = sink->write(&report, out);
	stopwatch_stop(&watch);
	*ret_sites = model_site_count(model);
	if (fclose(out) || r)
		die(sink->name, r);
	findings_done(&findings);
	replay_free(replay);
	model_free(model);
	thresholds_free(thresholds);
	return watch;
}

static int bench_reports(void)
{
	int missed = 0;

	record_sites();
	for (size_t i = 0; sink_get(i); i++) {
		char what[64];
		size_t sites;
		struct stopwatch watch = report_time(sink_get(i), &sites);

		snprintf(what, sizeof(what), "report of 20,000 sites as %s", sink_get(i)->name);
		missed |= bench_row(what, "<= 1 s",
			bench_judge(watch.cpu_seconds <= 1 && sites == SITES),
			"%.2f s, %.2f s on the clock, %zu sites", watch.cpu_seconds, watch.seconds,
			sites);
	}
	return missed;
}

int main(int argc, char **argv)
{
	int missed;

	snprintf(path, sizeof(path), "%s/bench-%d.mtrace", argc > 1 ? argv[1] : ".", (int)getpid());
	missed = bench_rows();
	missed |= bench_telling();
	missed |= bench_reports();
	unlink(path);
	return missed;
}
