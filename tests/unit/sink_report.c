/* SPDX-License-Identifier: BSD-2-Clause */
/* Sinks at the edges: nothing to say, unknown values, 64-bit extremes, hostile names, failed writes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "sink/json_value.h"
#include "sink/screen.h"
#include "sink/sink.h"
#include "sink/summary.h"

static const char hostile[] = "a\033[2J\n\xff\"\\\x7f";
static const char escaped[] = "a\\x1b[2J\\x0a\xef\xbf\xbd\"\\\\x7f";

static uint32_t add_target(struct model *model, const char *comm)
{
	struct model_target_info info = {
		.pid = 7,
		.comm = comm,
		.exe = "/x",
		.cgroup = "",
		.build_id = "",
		.runtime = "go",
		.version = "go1.23.5",
	};

	model_set_clock(model, 1, 2, 1 + NSEC_PER_SEC);
	return model_add_target(model, &info);
}

static void apply(struct model *model, const struct event *event)
{
	cr_assert_eq(model_apply(model, event), 0);
}

static struct report report_of(struct model *model, const struct finding *findings, size_t count)
{
	return (struct report){.model = model,
		.findings = findings,
		.finding_count = count,
		.top = 10,
		.width = 100};
}

static char *write_text(const struct sink *sink, const struct report *report)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	cr_assert_eq(sink->write(report, out), 0);
	fclose(out);
	cr_assert_eq(strlen(text), bytes);
	return text;
}

static struct json_object *write_json(const struct report *report)
{
	char *text = write_text(sink_find("json"), report);
	struct json_object *document = json_tokener_parse(text);

	cr_assert_not_null(document);
	free(text);
	return document;
}

/* "targets", "0", "comm", NULL: the value there; fails where there is none. */
static struct json_object *at(struct json_object *node, const char *list, size_t i, const char *key)
{
	struct json_object *array, *value;

	cr_assert(json_object_object_get_ex(node, list, &array), "no %s", list);
	cr_assert_gt(json_object_array_length(array), i);
	cr_assert(json_object_object_get_ex(json_object_array_get_idx(array, i), key, &value),
		"no %s[%zu].%s", list, i, key);
	return value;
}

/* ---- finding a sink ---- */

Test(sink_report, sinks_are_found_by_name_and_extension)
{
	cr_assert_str_eq(sink_get(0)->name, "text");
	cr_assert_str_eq(sink_find("jsonl")->name, "jsonl");
	cr_assert_null(sink_find("xml"));
	cr_assert_null(sink_find(""));
	cr_assert_str_eq(sink_find_by_path("/a.b/out.json")->name, "json");
	cr_assert_str_eq(sink_find_by_path("out.tar.jsonl")->name, "jsonl");
	cr_assert_str_eq(sink_find_by_path("a.txt")->name, "text");
	cr_assert_null(sink_find_by_path("/dir.json/out"));
	cr_assert_null(sink_find_by_path(".json"));
	cr_assert_null(sink_find_by_path(""));
	cr_assert_null(sink_get(1000));
}

/* ---- nothing to say ---- */

Test(sink_report, no_target_is_a_report_too)
{
	struct model *model = model_new();
	struct report report = report_of(model, NULL, 0);
	struct json_object *document = write_json(&report), *value;
	char *text = write_text(sink_find("text"), &report);
	char *lines = write_text(sink_find("jsonl"), &report);

	cr_assert(strstr(text, "No process was traced."));
	cr_assert(json_object_object_get_ex(document, "targets", &value));
	cr_assert_eq(json_object_array_length(value), 0);
	cr_assert_eq(strncmp(lines, "{\"type\":\"session\"", 17), 0);
	cr_assert_eq(strchr(lines, '\n') + 1 - lines, (long)strlen(lines), "one line");
	json_object_put(document);
	free(text);
	free(lines);
	model_free(model);
}

Test(sink_report, what_is_not_known_is_null)
{
	struct model *model = model_new();
	struct report report = report_of(model, NULL, 0);
	struct json_object *document, *value;
	char *text;

	add_target(model, "quiet");
	document = write_json(&report);
	cr_assert_null(at(document, "targets", 0, "rss_bytes"));
	cr_assert_null(at(document, "targets", 0, "waterfall"));
	cr_assert_null(at(document, "targets", 0, "gc"));
	cr_assert_null(at(document, "targets", 0, "limit_bytes"));
	cr_assert_null(at(document, "targets", 0, "build_id"));
	json_object_object_get_ex(document, "targets", &value);
	cr_assert_not(json_object_object_get_ex(json_object_array_get_idx(value, 0), "exit", NULL));
	json_object_put(document);

	text = write_text(sink_find("text"), &report);
	cr_assert(strstr(text, "RSS unknown"));
	cr_assert_not(strstr(text, "Where "), "no waterfall without a heap");
	cr_assert(strstr(text, "Cost none: no probe was hit."));
	free(text);
	model_free(model);
}

/* ---- extremes ---- */

Test(sink_report, integers_are_exact_to_64_bits)
{
	struct model *model = model_new();
	struct report report = report_of(model, NULL, 0);
	uint32_t target = add_target(model, "big");
	struct json_object *document;
	char *text;

	apply(model, &(struct event){.kind = EVENT_USAGE,
			     .target = target,
			     .time_ns = 10,
			     .usage = {.rss_bytes = UINT64_MAX - 1, .peak_bytes = UINT64_MAX}});
	apply(model, &(struct event){.kind = EVENT_HEAP,
			     .target = target,
			     .time_ns = 11,
			     .heap = {.live_bytes = (1ull << 53) + 1,
				     .allocated_bytes = UINT64_MAX,
				     .free_bytes = UINT64_MAX,
				     .in_use_bytes = UINT64_MAX}});
	document = write_json(&report);
	cr_assert_eq(
		json_object_get_uint64(at(document, "targets", 0, "rss_bytes")), UINT64_MAX - 1);
	cr_assert_eq(
		json_object_get_uint64(at(document, "targets", 0, "rss_peak_bytes")), UINT64_MAX);
	cr_assert_eq(json_object_get_uint64(json_object_object_get(
			     at(document, "targets", 0, "gc"), "live_bytes")),
		(1ull << 53) + 1);
	json_object_put(document);
	report.verbose = true;
	text = write_text(sink_find("text"), &report);
	cr_assert(strstr(text, "RSS 16.0 EiB"), "%s", text);
	free(text);
	model_free(model);
}

Test(sink_report, numbers_of_evidence_are_finite_and_short)
{
	struct json_object *object = json_object_new_object();

	json_add_double(object, "nan", NAN);
	json_add_double(object, "infinite", -INFINITY);
	json_add_double(object, "whole", 9007199254740991.0);
	json_add_double(object, "tenth", 0.1);
	json_add_double(object, "huge", 1e300);
	json_add_address(object, "address", UINT64_MAX);
	json_add_hash(object, "hash", 0xab);
	cr_assert_str_eq(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN),
		"{\"nan\":null,\"infinite\":null,\"whole\":9007199254740991,\"tenth\":0.1,"
		"\"huge\":1e+300,\"address\":\"0xffffffffffffffff\",\"hash\":"
		"\"00000000000000ab\"}");
	json_object_put(object);
}

Test(sink_report, percentages_do_not_round_to_a_lie)
{
	char buf[TEXT_NUMBER_BYTES];

	cr_assert_str_eq(screen_pct(buf, 0), "0 %");
	cr_assert_str_eq(screen_pct(buf, 0.04), "< 0.1 %");
	cr_assert_str_eq(screen_pct(buf, 0.2), "0.2 %");
	cr_assert_str_eq(screen_pct(buf, 45.8), "46 %");
	cr_assert_str_eq(screen_size(buf, 163997286), "156 MiB");
	cr_assert_str_eq(screen_size(buf, 4200), "4.1 KiB");
}

/* ---- hostile names ---- */

Test(sink_report, names_come_out_harmless_and_whole)
{
	struct model *model = model_new();
	struct report report = report_of(model, NULL, 0);
	struct json_object *document;
	char *text;

	add_target(model, hostile);
	model_add_skip(model, hostile, hostile);
	document = write_json(&report);
	cr_assert_str_eq(json_object_get_string(at(document, "targets", 0, "comm")), escaped);
	cr_assert_str_eq(json_object_get_string(at(document, "skipped", 0, "reason")), escaped);
	json_object_put(document);
	text = write_text(sink_find("text"), &report);
	cr_assert(strstr(text, escaped));
	cr_assert_not(strpbrk(text, "\033\x7f"));
	free(text);
	model_free(model);
}

Test(sink_report, findings_of_hostile_length_stay_in_their_columns)
{
	struct model *model = model_new();
	struct finding finding = {.kind = "retained-buckets",
		.class = CLASS_HELD,
		.severity = SEVERITY_CRITICAL,
		.container = -1,
		.saves_bytes = UINT64_MAX,
		.bytes = UINT64_MAX};
	struct report report = report_of(model, &finding, 1);
	char name[4000], *text, *line, *save = NULL;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	memset(finding.message, 'm', sizeof(finding.message) - 1);
	memset(finding.in_code, '\033', sizeof(finding.in_code) - 1);
	finding.target = add_target(model, name);
	finding.site = model_add_site(model, finding.target, FAMILY_MAP, model_intern(model, name),
		&(struct model_frame){.function = name, .file = name, .line = UINT32_MAX}, 1);
	report.verbose = true;
	text = write_text(sink_find("text"), &report);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		cr_assert_leq(strlen(line), 100, "%s", line);
	free(text);
	model_free(model);
}

/* ---- waterfall ---- */

static void sum_is_rss(const struct event_heap *heap, uint64_t rss, uint64_t saves)
{
	struct model *model = model_new();
	struct finding finding = {.kind = "over-hint",
		.class = CLASS_HELD,
		.severity = SEVERITY_LOW,
		.container = -1,
		.saves_rss_bytes = saves};
	struct report report = report_of(model, &finding, 1);
	uint32_t target = add_target(model, "sum");
	struct waterfall waterfall;
	uint64_t sum = 0;

	apply(model,
		&(struct event){.kind = EVENT_HEAP, .target = target, .time_ns = 5, .heap = *heap});
	apply(model, &(struct event){.kind = EVENT_USAGE,
			     .target = target,
			     .time_ns = 6,
			     .usage = {.rss_bytes = rss, .file_bytes = 5}});
	cr_assert(summary_waterfall(&report, model_target(model, target), &waterfall));
	for (size_t i = 0; i < WATERFALL_PARTS; i++)
		sum += waterfall.bytes[i];
	cr_assert_eq(sum + (uint64_t)waterfall.unexplained_bytes, rss);
	cr_assert_geq(waterfall.unexplained_bytes, 0);
	cr_assert_eq(waterfall.bytes[WATERFALL_KEPT], saves);
	model_free(model);
}

Test(sink_report, the_waterfall_sums_to_rss)
{
	sum_is_rss(&(struct event_heap){.live_bytes = 60,
			   .allocated_bytes = 70,
			   .in_use_bytes = 80,
			   .free_bytes = 10,
			   .stack_bytes = 3,
			   .runtime_bytes = 2},
		200, 50);
	/* grown since the last GC: kept but not marked */
	sum_is_rss(&(struct event_heap){.live_bytes = 60, .allocated_bytes = 100}, 120, 90);
	/* more counted than resident */
	sum_is_rss(&(struct event_heap){.live_bytes = 600, .allocated_bytes = 700}, 100, 0);
	/* read while the runtime was changing it */
	sum_is_rss(&(struct event_heap){.live_bytes = 700, .allocated_bytes = 600}, 1000, 0);
}

Test(sink_report, what_grew_since_the_last_gc_is_no_garbage)
{
	struct model *model = model_new();
	struct finding finding = {.kind = "over-hint",
		.class = CLASS_HELD,
		.severity = SEVERITY_LOW,
		.container = -1,
		.saves_rss_bytes = 90};
	struct report report = report_of(model, &finding, 1);
	uint32_t target = add_target(model, "young");
	struct waterfall waterfall;

	apply(model, &(struct event){.kind = EVENT_HEAP,
			     .target = target,
			     .time_ns = 5,
			     .heap = {.live_bytes = 60, .allocated_bytes = 100}});
	apply(model, &(struct event){.kind = EVENT_USAGE,
			     .target = target,
			     .time_ns = 6,
			     .usage = {.rss_bytes = 120}});
	cr_assert(summary_waterfall(&report, model_target(model, target), &waterfall));
	cr_assert_eq(waterfall.bytes[WATERFALL_GARBAGE], 10);
	cr_assert_eq(waterfall.bytes[WATERFALL_OTHER_LIVE], 0);
	model_free(model);
}

Test(sink_report, what_is_not_resident_is_no_part_of_rss)
{
	struct model *model = model_new();
	struct report report = report_of(model, NULL, 0);
	uint32_t target = add_target(model, "empty");
	struct waterfall waterfall;

	apply(model, &(struct event){.kind = EVENT_LOOK,
			     .target = target,
			     .time_ns = 5,
			     .look = {.family = FAMILY_MAP,
				     .key = 1,
				     .liveness = LIVENESS_ROOTED,
				     .held_bytes = 50,
				     .has_resident = true,
				     .resident_bytes = 10}});
	apply(model, &(struct event){.kind = EVENT_CREATE,
			     .target = target,
			     .time_ns = 5,
			     .create = {.family = FAMILY_MAP, .key = 2, .held_bytes = 50}});
	apply(model, &(struct event){.kind = EVENT_HEAP,
			     .target = target,
			     .time_ns = 5,
			     .heap = {.live_bytes = 100, .allocated_bytes = 120}});
	apply(model, &(struct event){.kind = EVENT_USAGE,
			     .target = target,
			     .time_ns = 6,
			     .usage = {.rss_bytes = 90}});
	cr_assert_geq(model_container_count(model), 1);
	cr_assert(summary_waterfall(&report, model_target(model, target), &waterfall));
	cr_assert_eq(waterfall.bytes[WATERFALL_ENTRIES], 10);
	cr_assert_eq(waterfall.bytes[WATERFALL_OTHER_LIVE], 50);
	cr_assert_eq(waterfall.bytes[WATERFALL_GARBAGE], 20);
	cr_assert_eq(waterfall.unexplained_bytes, 10);
	model_free(model);
}

static const uint64_t mib = 1 << 20;

static void apply_resident(struct model *model, uint32_t target, const struct event_heap *heap,
	const struct event_resident *resident, uint64_t rss_bytes)
{
	if (heap)
		apply(model,
			&(struct event){
				.kind = EVENT_HEAP, .target = target, .time_ns = 5, .heap = *heap});
	apply(model, &(struct event){.kind = EVENT_RESIDENT,
			     .target = target,
			     .time_ns = 6,
			     .resident = *resident});
	apply(model, &(struct event){.kind = EVENT_USAGE,
			     .target = target,
			     .time_ns = 7,
			     .usage = {.rss_bytes = rss_bytes}});
}

Test(sink_report, every_mapping_has_its_part)
{
	struct model *model = model_new();
	struct report report = report_of(model, NULL, 0);
	uint32_t target = add_target(model, "mapped");
	struct waterfall waterfall;

	/* 60 MiB of free heap by the counters, of which 30 are in RAM; 9 MiB nobody accounts for. */
	apply_resident(model, target,
		&(struct event_heap){.live_bytes = 40 * mib,
			.allocated_bytes = 50 * mib,
			.in_use_bytes = 50 * mib,
			.free_bytes = 60 * mib,
			.runtime_bytes = 3 * mib},
		&(struct event_resident){.bytes = {[MAPPING_RUNTIME] = 80 * mib,
						 [MAPPING_ANON] = 20 * mib,
						 [MAPPING_BRK] = mib,
						 [MAPPING_FILE] = 4 * mib,
						 [MAPPING_SHARED] = 2 * mib},
			.off_heap_bytes = 8 * mib,
			.rss_bytes = 107 * mib},
		107 * mib);
	cr_assert(summary_waterfall(&report, model_target(model, target), &waterfall));
	cr_assert_eq(waterfall.bytes[WATERFALL_OTHER_LIVE], 40 * mib);
	cr_assert_eq(waterfall.bytes[WATERFALL_GARBAGE], 10 * mib);
	cr_assert_eq(waterfall.bytes[WATERFALL_FREE_HEAP], 30 * mib);
	cr_assert_eq(waterfall.bytes[WATERFALL_RUNTIME], 3 * mib);
	cr_assert_eq(waterfall.bytes[WATERFALL_ANON], 17 * mib);
	cr_assert_eq(waterfall.bytes[WATERFALL_NATIVE], mib);
	cr_assert_eq(waterfall.bytes[WATERFALL_FILES], 4 * mib);
	cr_assert_eq(waterfall.bytes[WATERFALL_SHARED], 2 * mib);
	cr_assert_eq(waterfall.unexplained_bytes, 0);
	model_free(model);
}

/* The counters have 5 MiB of free heap in RAM; 3 more were given back and are there all the same. */
Test(sink_report, free_heap_that_came_back_is_free_heap)
{
	struct model *model = model_new();
	struct report report = report_of(model, NULL, 0);
	uint32_t target = add_target(model, "huge pages");
	struct waterfall waterfall;

	apply_resident(model, target,
		&(struct event_heap){.live_bytes = 10 * mib,
			.allocated_bytes = 10 * mib,
			.in_use_bytes = 10 * mib,
			.free_bytes = 5 * mib},
		&(struct event_resident){.bytes = {[MAPPING_RUNTIME] = 19 * mib},
			.given_back_bytes = 3 * mib,
			.rss_bytes = 19 * mib},
		19 * mib);
	cr_assert(summary_waterfall(&report, model_target(model, target), &waterfall));
	cr_assert_eq(waterfall.bytes[WATERFALL_FREE_HEAP], 8 * mib);
	cr_assert_eq(waterfall.unexplained_bytes, (int64_t)mib);
	model_free(model);
}

Test(sink_report, a_measurement_that_is_too_old_is_not_used)
{
	struct model *model = model_new();
	struct report report = report_of(model, NULL, 0);
	uint32_t target = add_target(model, "moved");
	struct event_resident resident = {
		.bytes = {[MAPPING_BRK] = 90 * mib, [MAPPING_FILE] = 10 * mib},
		.rss_bytes = 100 * mib};
	struct waterfall waterfall;

	apply_resident(model, target, NULL, &resident, 102 * mib);
	cr_assert_not(summary_waterfall(&report, model_target(model, target), &waterfall));
	apply(model, &(struct event){.kind = EVENT_USAGE,
			     .target = target,
			     .time_ns = 8,
			     .usage = {.rss_bytes = 99 * mib + mib / 2}});
	cr_assert(summary_waterfall(&report, model_target(model, target), &waterfall));
	cr_assert_eq(waterfall.bytes[WATERFALL_NATIVE], 90 * mib);
	cr_assert_eq(waterfall.unexplained_bytes, -(int64_t)mib / 2);
	model_free(model);
}

/* The text report of a process with so much RSS that the heap does not account for. */
static char *text_of_rest(uint64_t runtime, uint64_t rest)
{
	struct model *model = model_new();
	struct report report = report_of(model, NULL, 0);
	uint32_t target = add_target(model, "rest");
	char *text;

	apply(model, &(struct event){.kind = EVENT_HEAP,
			     .target = target,
			     .time_ns = 5,
			     .heap = {.live_bytes = 50 << 20,
				     .allocated_bytes = 50 << 20,
				     .in_use_bytes = 50 << 20,
				     .runtime_bytes = runtime}});
	apply(model, &(struct event){.kind = EVENT_USAGE,
			     .target = target,
			     .time_ns = 6,
			     .usage = {.rss_bytes = (50 << 20) + runtime + rest}});
	report.verbose = true;
	text = write_text(sink_find("text"), &report);
	model_free(model);
	return text;
}

Test(sink_report, a_small_rest_goes_with_the_runtime)
{
	char *small = text_of_rest(4 << 20, 512 << 10), *large = text_of_rest(4 << 20, 3 << 20);
	char *unknown = text_of_rest(0, 512 << 10);

	cr_assert(strstr(small, "4.5 ##  runtime"), "%s", small);
	cr_assert_not(strstr(small, "unexplained"));
	cr_assert(strstr(large, "4.0 ##  runtime"), "%s", large);
	cr_assert(strstr(large, "3.0 unexplained"));
	cr_assert(strstr(unknown, "0.5 runtime and unexplained"), "%s", unknown);
	free(small);
	free(large);
	free(unknown);
}

/* ---- what it cost ---- */

Test(sink_report, the_cost_of_a_short_run_is_no_percentage)
{
	struct model *model = model_new();
	struct model_overhead overhead = {.probe_hits = 2,
		.ns_per_hit = 1000,
		.probe_cpu_ns = 2000000,
		.target_cpu_ns = 50000};
	struct report report = report_of(model, NULL, 0);
	uint32_t target = add_target(model, "short");
	double pct;
	char *text;

	model_set_overhead(model, &overhead);
	cr_assert(summary_cost_pct(model, &pct));
	cr_assert_float_eq(pct, 4000, 1e-6);
	apply(model, &(struct event){.kind = EVENT_EXIT, .target = target, .time_ns = 9});
	cr_assert_not(summary_cost_pct(model, &pct), "its CPU time was read too early");
	text = write_text(sink_find("text"), &report);
	cr_assert(strstr(text, "Cost 2 ms of CPU."), "%s", text);
	free(text);
	overhead.target_cpu_ns = 200000000;
	model_set_overhead(model, &overhead);
	cr_assert(summary_cost_pct(model, &pct));
	cr_assert_float_eq(pct, 1, 1e-6);
	model_free(model);
}

/* ---- failed writes ---- */

/* Something that every sink has to write. */
static void add_container(struct model *model, uint32_t target)
{
	struct model_frame frame = {.function = "main.put", .file = "main.go", .line = 1};
	struct event event = {.kind = EVENT_GROWTH,
		.target = target,
		.time_ns = 2,
		.growth = {.family = FAMILY_MAP, .key = 0x1000, .held_bytes = 4096}};

	event.growth.site = model_add_site(model, target, FAMILY_MAP, 0, &frame, 1);
	apply(model, &event);
}

Test(sink_report, a_full_disk_is_named)
{
	struct model *model = model_new();
	struct report report = report_of(model, NULL, 0);

	add_container(model, add_target(model, "full"));
	for (size_t i = 0; sink_get(i); i++) {
		FILE *out = fopen("/dev/full", "w");

		cr_assert_eq(sink_get(i)->write(&report, out), -ENOSPC, "%s", sink_get(i)->name);
		fclose(out);
		out = fopen("/dev/full", "w");
		setvbuf(out, NULL, _IONBF, 0); /* fails at the first byte, not at the flush */
		cr_assert_eq(sink_get(i)->write(&report, out), -ENOSPC, "%s", sink_get(i)->name);
		fclose(out);
	}
	model_free(model);
}

Test(sink_report, a_reader_that_has_gone_is_named)
{
	struct model *model = model_new();
	struct report report = report_of(model, NULL, 0);

	signal(SIGPIPE, SIG_IGN);
	add_container(model, add_target(model, "pipe"));
	for (size_t i = 0; sink_get(i); i++) {
		int ends[2];
		FILE *out;

		cr_assert_eq(pipe(ends), 0);
		close(ends[0]);
		out = fdopen(ends[1], "w");
		cr_assert_eq(sink_get(i)->write(&report, out), -EPIPE, "%s", sink_get(i)->name);
		fclose(out);
	}
	model_free(model);
}

Test(sink_report, a_file_that_is_not_for_writing_is_named)
{
	struct model *model = model_new();
	struct report report = report_of(model, NULL, 0);
	FILE *out = fopen("/dev/null", "r");

	cr_assert_eq(sink_find("json")->write(&report, out), -EBADF);
	fclose(out);
	model_free(model);
}
