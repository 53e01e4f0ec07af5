/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json: the whole report as one document, an element a line, so that it can be read with grep and
 * diff too. jsonl: the same objects, each in a line of its own under its name:
 *
 *	{"type":"session","session":{"schema_version":1,...}}
 *	{"type":"finding","finding":{"id":"...",...}}
 *
 * (The name is a key of its own because a finding's "type" is the container's type.) Both are
 * written element by element: a report of 8,192 sites is never in memory as a whole.
 */
#include <errno.h>
#include <json-c/json.h>

#include "base/mem.h"
#include "sink/json_parts.h"
#include "sink/json_value.h"
#include "sink/output.h"

#define SCHEMA_VERSION 1
#define JSON_FLAGS     (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* A key of the document: one value, or a list with an element a line. In document order. */
struct section {
	const char *key;
	const char *element; /* jsonl: type of a line; NULL = part of the session line */
	struct json_object *(*value)(const struct report *report);
	struct json_object *(*next)(struct json_cursor *cursor);
};

static struct json_object *schema_version(const struct report *report)
{
	(void)report;
	return json_object_new_int(SCHEMA_VERSION);
}

static const struct section sections[] = {
	{"schema_version", NULL, schema_version, NULL},
	{"tool", NULL, json_tool, NULL},
	{"host", NULL, json_host, NULL},
	{"clock", NULL, json_clock, NULL},
	{"duration_s", NULL, json_duration, NULL},
	{"complete", NULL, json_complete, NULL},
	{"incomplete", NULL, json_incomplete, NULL},
	{"targets", "target", NULL, json_next_target},
	{"cgroups", "cgroup", NULL, json_next_group},
	{"sites", "site", NULL, json_next_site},
	{"containers", "container", NULL, json_next_container},
	{"findings", "finding", NULL, json_next_finding},
	{"candidates", "candidate", NULL, json_next_candidate},
	{"spikes", "spike", NULL, json_next_spike},
	{"allocations", "allocation", NULL, json_next_allocated},
	{"events", NULL, json_events, NULL},
	{"skipped", "skipped", NULL, json_next_skip},
	{"overhead", NULL, json_overhead, NULL},
};

/* Writes and frees. json-c has no string for an object it could not allocate memory for. */
static void put_object(struct output *output, struct json_object *object)
{
	const char *text = json_object_to_json_string_ext(object, JSON_FLAGS);

	if (text)
		output_put(output, text);
	else if (!output->error)
		output->error = -ENOMEM;
	json_object_put(object);
}

static void put_list(
	struct output *output, const struct section *section, struct json_cursor *cursor)
{
	struct json_object *object;
	const char *before = "\n  ";

	output_put(output, "[");
	while ((object = section->next(cursor))) {
		output_put(output, before);
		put_object(output, object);
		before = ",\n  ";
	}
	output_put(output, before[0] == ',' ? "\n]" : "]");
}

static int json_write(const struct report *report, FILE *out)
{
	struct output output = {.file = out};
	struct json_cursor cursor;

	json_cursor_init(&cursor, report);
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		output_put(&output, i ? ",\n\"" : "{\n\"");
		output_put(&output, sections[i].key);
		output_put(&output, "\": ");
		json_cursor_rewind(&cursor);
		if (sections[i].next)
			put_list(&output, &sections[i], &cursor);
		else
			put_object(&output, sections[i].value(report));
	}
	output_put(&output, "\n}\n");
	json_cursor_done(&cursor);
	return output_finish(&output);
}

static void put_line(struct output *output, const char *type, struct json_object *object)
{
	struct json_object *line = json_object_new_object();

	json_add_text(line, "type", type);
	json_add(line, type, object);
	put_object(output, line);
	output_put(output, "\n");
}

static struct json_object *session_object(const struct report *report)
{
	struct json_object *session = json_object_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (sections[i].value)
			json_add(session, sections[i].key, sections[i].value(report));
	return session;
}

static int jsonl_write(const struct report *report, FILE *out)
{
	struct output output = {.file = out};
	struct json_cursor cursor;
	struct json_object *object;

	json_cursor_init(&cursor, report);
	put_line(&output, "session", session_object(report));
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		json_cursor_rewind(&cursor);
		while (sections[i].next && (object = sections[i].next(&cursor)))
			put_line(&output, sections[i].element, object);
	}
	json_cursor_done(&cursor);
	return output_finish(&output);
}

const struct sink sink_json = {
	.name = "json",
	.extension = ".json",
	.single = true,
	.write = json_write,
};

const struct sink sink_jsonl = {
	.name = "jsonl",
	.extension = ".jsonl",
	.write = jsonl_write,
};
