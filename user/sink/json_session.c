/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON of the session as a whole: tool, host, clock, completeness, events, overhead. */
#include <json-c/json.h>

#include "base/clock.h"
#include "sink/json_parts.h"
#include "sink/json_value.h"
#include "sink/summary.h"

static double seconds(uint64_t ns)
{
	return (double)ns / NSEC_PER_SEC;
}

struct json_object *json_tool(const struct report *report)
{
	struct json_object *tool = json_object_new_object();

	(void)report;
	json_add_text(tool, "name", "memtrace");
	json_add_text(tool, "version", MEMTRACE_VERSION);
	return tool;
}

static struct json_object *host_object(const struct model_host *host)
{
	struct json_object *object = json_object_new_object();

	json_add_name(object, "name", host->name);
	json_add_name(object, "kernel", host->kernel);
	json_add_known(object, "cpus", host->cpus > 0, (uint64_t)host->cpus);
	json_add_name(object, "attach_mode", host->attach_mode);
	return object;
}

struct json_object *json_host(const struct report *report)
{
	struct json_object *object = host_object(model_host(report->model)), *others;

	if (model_host_count(report->model) == 1)
		return object;
	others = json_object_new_array();
	for (uint32_t i = 1; i < model_host_count(report->model); i++)
		json_object_array_add(others, host_object(model_host_at(report->model, i)));
	json_add(object, "others", others);
	return object;
}

struct json_object *json_clock(const struct report *report)
{
	struct json_object *clock = json_object_new_object();
	uint64_t mono, real, end;

	model_clock(report->model, &mono, &real, &end);
	json_add_uint(clock, "mono_ns", mono);
	json_add_uint(clock, "real_ns", real);
	return clock;
}

struct json_object *json_duration(const struct report *report)
{
	uint64_t mono, real, end;

	model_clock(report->model, &mono, &real, &end);
	return json_double(end > mono ? seconds(end - mono) : 0);
}

struct json_object *json_complete(const struct report *report)
{
	return json_object_new_boolean(model_complete(report->model));
}

struct json_object *json_incomplete(const struct report *report)
{
	struct json_object *reasons = json_object_new_array();

	for (size_t i = 0; i < model_incomplete_count(report->model); i++)
		json_object_array_add(reasons, json_text(model_incomplete(report->model, i)));
	return reasons;
}

static struct json_object *sources_of(const struct model *model)
{
	struct json_object *sources = json_object_new_object();

	for (size_t i = 0; i < model_source_count(model); i++) {
		const struct model_source *source = model_source(model, i);
		struct json_object *object = json_object_new_object();

		json_add_uint(object, "hits", source->hits);
		json_add_uint(object, "produced", source->produced);
		json_add_uint(object, "delivered", source->delivered);
		json_add_uint(object, "lost", source->lost);
		json_object_object_add(sources, source->name, object);
	}
	return sources;
}

struct json_object *json_events(const struct report *report)
{
	struct json_object *object = json_object_new_object();
	struct summary_events events;

	summary_events(report->model, &events);
	json_add_uint(object, "produced", events.produced);
	json_add_uint(object, "delivered", events.delivered);
	json_add_uint(object, "lost", events.lost);
	json_add(object, "by_source", sources_of(report->model));
	return object;
}

struct json_object *json_overhead(const struct report *report)
{
	const struct model_overhead *overhead = model_overhead(report->model);
	struct json_object *object = json_object_new_object();
	double pct;

	json_add_uint(object, "probe_hits", overhead->probe_hits);
	if (overhead->ns_per_hit > 0)
		json_add_double(object, "ns_per_hit", overhead->ns_per_hit);
	else
		json_add_null(object, "ns_per_hit");
	json_add_double(object, "probe_cpu_s", seconds(overhead->probe_cpu_ns));
	json_add_double(object, "target_cpu_s", seconds(overhead->target_cpu_ns));
	if (summary_cost_pct(report->model, &pct))
		json_add_double(object, "target_pct", pct);
	else
		json_add_null(object, "target_pct");
	json_add_double(object, "budget_pct", overhead->budget_pct);
	json_add_double(object, "tracer_cpu_s", seconds(overhead->tracer_cpu_ns));
	json_add_known(
		object, "tracer_rss_bytes", overhead->tracer_rss_bytes, overhead->tracer_rss_bytes);
	json_add_known(
		object, "parser_rss_bytes", overhead->parser_rss_bytes, overhead->parser_rss_bytes);
	json_add_uint(object, "attach_ns", overhead->attach_ns);
	json_add_uint(object, "detach_ns", overhead->detach_ns);
	return object;
}
