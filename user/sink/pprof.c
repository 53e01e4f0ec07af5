/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pprof: all kinds of samples in one gzipped profile. A file of a target is a mapping, a function of a target is a
 * function, a line (with what was inlined into it) a location; each is written once. Family, type, owner,
 * pid, comm and, of several, the host are labels, so that pprof -tagfocus can tell what the stacks do not.
 *
 * Locations have no address: a site is a line, wherever the compiler has put it. profile.proto has it so
 * ("the instruction address for this location, if available"); pprof then tells them apart by mapping,
 * function and line, also where it merges or subtracts profiles. As the mappings say that functions, files and
 * lines are known, it looks for no binary. Only what shows instructions (-disasm) has nothing to show.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/table.h"
#include "base/text.h"
#include "sink/output.h"
#include "sink/samples.h"
#include "sink/sink.h"
#include "sink/summary.h"

#include "profile.pb-c.h"

#define NAME_BYTES 1024
#define MAX_LABELS 6
#define GZIP       (15 + 16) /* zlib: the largest window, with gzip's header */

struct builder {
	const struct report *report;
	Pprof__Profile profile;
	size_t strings_cap, samples_cap, mappings_cap, locations_cap, functions_cap;
	struct table strings, mappings, locations, functions; /* hash -> number */
};

/* protobuf-c wants arrays of pointers, and counts them itself. */
#define append(array, count, cap, message)                                                         \
	do {                                                                                       \
		array_reserve(array, count, cap);                                                  \
		(array)[(count)++] = (message);                                                    \
	} while (0)

static int64_t add_string(struct builder *builder, const char *s)
{
	Pprof__Profile *profile = &builder->profile;
	char text[NAME_BYTES];
	uint64_t hash, at;

	text_escape(text, sizeof(text), s ? s : "");
	for (hash = hash_string(0, text); table_get(&builder->strings, hash, &at); hash++)
		if (!strcmp(profile->string_table[at], text))
			return (int64_t)at;
	table_set(&builder->strings, hash, profile->n_string_table);
	append(profile->string_table, profile->n_string_table, builder->strings_cap, xstrdup(text));
	return (int64_t)profile->n_string_table - 1;
}

/* ---- mappings, functions, locations ---- */

/* Of the file that a frame's code is in. */
static uint64_t add_mapping(
	struct builder *builder, uint32_t target_id, const struct model_frame *frame)
{
	const struct target *target = model_target(builder->report->model, target_id);
	const char *own = *target->exe ? target->exe : target->comm;
	bool other = frame->module && *frame->module;
	int64_t key[] = {(int64_t)target_id, add_string(builder, other ? frame->module : own),
		add_string(builder, other ? frame->build_id : target->build_id)};
	uint64_t hash = hash_bytes(0, key, sizeof(key)), id;
	Pprof__Profile *profile = &builder->profile;
	Pprof__Mapping *mapping;

	if (table_get(&builder->mappings, hash, &id))
		return id;
	mapping = xcalloc(1, sizeof(*mapping));
	pprof__mapping__init(mapping);
	mapping->id = profile->n_mapping + 1;
	mapping->filename = key[1];
	mapping->build_id = key[2];
	mapping->has_functions = mapping->has_filenames = true;
	mapping->has_line_numbers = mapping->has_inline_frames = true;
	append(profile->mapping, profile->n_mapping, builder->mappings_cap, mapping);
	table_set(&builder->mappings, hash, mapping->id);
	return mapping->id;
}

static uint64_t add_function(struct builder *builder, const char *name, const char *file)
{
	int64_t key[] = {
		add_string(builder, name && *name ? name : "[unknown]"), add_string(builder, file)};
	uint64_t hash = hash_bytes(0, key, sizeof(key)), id;
	Pprof__Profile *profile = &builder->profile;
	Pprof__Function *function;

	if (table_get(&builder->functions, hash, &id))
		return id;
	function = xcalloc(1, sizeof(*function));
	pprof__function__init(function);
	function->id = profile->n_function + 1;
	function->name = key[0];
	function->filename = key[1];
	append(profile->function, profile->n_function, builder->functions_cap, function);
	table_set(&builder->functions, hash, function->id);
	return function->id;
}

static Pprof__Line *new_line(struct builder *builder, const struct model_frame *frame)
{
	Pprof__Line *line = xcalloc(1, sizeof(*line));

	pprof__line__init(line);
	line->function_id = add_function(builder, frame->function, frame->file);
	line->line = frame->line;
	return line;
}

/* frames: what was inlined, and last the function that it was inlined into. */
static uint64_t add_location(
	struct builder *builder, uint32_t target, const struct model_frame *frames, size_t count)
{
	uint64_t mapping = add_mapping(builder, target, &frames[count - 1]);
	uint64_t hash = hash_bytes(0, &mapping, sizeof(mapping)), id;
	Pprof__Profile *profile = &builder->profile;
	Pprof__Location *location;

	for (size_t i = 0; i < count; i++) {
		uint64_t key[] = {
			add_function(builder, frames[i].function, frames[i].file), frames[i].line};

		hash = hash_bytes(hash, key, sizeof(key));
	}
	if (table_get(&builder->locations, hash, &id))
		return id;
	location = xcalloc(1, sizeof(*location));
	pprof__location__init(location);
	location->id = profile->n_location + 1;
	location->mapping_id = mapping;
	location->line = xcalloc(count, sizeof(*location->line));
	for (; location->n_line < count; location->n_line++)
		location->line[location->n_line] = new_line(builder, &frames[location->n_line]);
	append(profile->location, profile->n_location, builder->locations_cap, location);
	table_set(&builder->locations, hash, location->id);
	return location->id;
}

/* ---- samples ---- */

static void add_label(struct builder *builder, Pprof__Sample *sample, const char *key,
	const char *text, int64_t number)
{
	Pprof__Label *label;

	if (text && !*text)
		return;
	label = xcalloc(1, sizeof(*label));
	pprof__label__init(label);
	label->key = add_string(builder, key);
	label->str = text ? add_string(builder, text) : 0;
	label->num = number;
	sample->label[sample->n_label++] = label;
}

static void add_labels(struct builder *builder, Pprof__Sample *to, const struct sample *from)
{
	const struct target *target = model_target(builder->report->model, from->target);

	to->label = xcalloc(MAX_LABELS, sizeof(*to->label));
	add_label(builder, to, "comm", target->comm, 0);
	add_label(builder, to, "pid", NULL, target->pid);
	add_label(builder, to, "host", summary_host(builder->report->model, target->host), 0);
	add_label(builder, to, "family", family_name(from->family), 0);
	add_label(builder, to, "type", from->type, 0);
	add_label(builder, to, "owner", from->owner, 0);
}

/* Frames up to the one that is no more inlined are one location. */
static void add_locations(struct builder *builder, Pprof__Sample *to, const struct sample *from)
{
	static const struct model_frame unknown = {.function = "[place unknown]", .file = ""};
	size_t first = 0;

	/* The first mapping is taken for the program. */
	add_mapping(builder, from->target, &unknown);
	to->location_id = xcalloc(from->frame_count + 1, sizeof(*to->location_id));
	for (size_t i = 0; i < from->frame_count; i++) {
		if (from->frames[i].inlined && i + 1 < from->frame_count)
			continue;
		to->location_id[to->n_location_id++] =
			add_location(builder, from->target, &from->frames[first], i + 1 - first);
		first = i + 1;
	}
	if (!from->frame_count)
		to->location_id[to->n_location_id++] =
			add_location(builder, from->target, &unknown, 1);
}

static void add_sample(const struct sample *from, void *arg)
{
	struct builder *builder = arg;
	Pprof__Profile *profile = &builder->profile;
	Pprof__Sample *to = xcalloc(1, sizeof(*to));

	pprof__sample__init(to);
	add_locations(builder, to, from);
	add_labels(builder, to, from);
	to->n_value = sample_type_count();
	to->value = xcalloc(to->n_value, sizeof(*to->value));
	for (size_t i = 0; i < to->n_value; i++)
		to->value[i] = (int64_t)MIN(from->values[i], (uint64_t)INT64_MAX);
	append(profile->sample, profile->n_sample, builder->samples_cap, to);
}

static void add_types(struct builder *builder)
{
	Pprof__Profile *profile = &builder->profile;
	const struct sample_type *type;

	profile->sample_type = xcalloc(sample_type_count(), sizeof(*profile->sample_type));
	for (; (type = sample_type_get(profile->n_sample_type)); profile->n_sample_type++) {
		Pprof__ValueType *value = xcalloc(1, sizeof(*value));

		pprof__value_type__init(value);
		value->type = add_string(builder, type->name);
		value->unit = add_string(builder, type->unit);
		profile->sample_type[profile->n_sample_type] = value;
	}
	type = sample_type_get(builder->report->sample_type);
	profile->default_sample_type = add_string(builder, type->name);
}

static void add_estimated(struct builder *builder, const struct target *target)
{
	Pprof__Profile *profile = &builder->profile;
	char figures[512], text[544];

	if (!summary_estimated(builder->report->model, target, figures, sizeof(figures)))
		return;
	snprintf(text, sizeof(text), "Estimated: %s", figures);
	profile->comment[profile->n_comment++] = add_string(builder, text);
}

static void add_session(struct builder *builder)
{
	const struct model *model = builder->report->model;
	Pprof__Profile *profile = &builder->profile;
	size_t reasons = model_incomplete_count(model);
	uint64_t mono_ns, real_ns, end_ns;

	model_clock(model, &mono_ns, &real_ns, &end_ns);
	profile->time_nanos = (int64_t)real_ns;
	profile->duration_nanos = end_ns > mono_ns ? (int64_t)(end_ns - mono_ns) : 0;
	profile->comment =
		xcalloc(1 + model_target_count(model) + reasons, sizeof(*profile->comment));
	profile->comment[profile->n_comment++] = add_string(builder, "memtrace " MEMTRACE_VERSION);
	for (uint32_t i = 0; i < model_target_count(model); i++)
		add_estimated(builder, model_target(model, i));
	for (size_t i = 0; i < reasons; i++)
		profile->comment[profile->n_comment++] =
			add_string(builder, model_incomplete(model, i));
}

/* ---- writing ---- */

static void compress_to(struct output *output, const uint8_t *bytes, size_t count)
{
	unsigned char chunk[16384];
	z_stream stream = {.next_in = (uint8_t *)bytes, .avail_in = (unsigned int)count};
	int r = count > UINT32_MAX ? Z_BUF_ERROR
				   : deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP,
					     8, Z_DEFAULT_STRATEGY);

	if (r != Z_OK && !output->error)
		output->error = r == Z_MEM_ERROR ? -ENOMEM : -EFBIG;
	for (; r == Z_OK; output_write(output, (char *)chunk, sizeof(chunk) - stream.avail_out)) {
		stream.next_out = chunk;
		stream.avail_out = sizeof(chunk);
		r = deflate(&stream, Z_FINISH);
	}
	deflateEnd(&stream);
}

static void builder_done(struct builder *builder)
{
	void *profile = xcalloc(1, sizeof(builder->profile));

	/* Frees the message itself, too. */
	memcpy(profile, &builder->profile, sizeof(builder->profile));
	pprof__profile__free_unpacked(profile, NULL);
	table_done(&builder->strings);
	table_done(&builder->mappings);
	table_done(&builder->locations);
	table_done(&builder->functions);
}

static int pprof_write(const struct report *report, FILE *out)
{
	struct builder builder = {.report = report, .profile = PPROF__PROFILE__INIT};
	struct output output = {.file = out};
	uint8_t *bytes;
	size_t count;

	add_string(&builder, "");
	add_types(&builder);
	add_session(&builder);
	samples_each(report->model, add_sample, &builder);
	count = pprof__profile__get_packed_size(&builder.profile);
	bytes = xcalloc(1, count);
	pprof__profile__pack(&builder.profile, bytes);
	compress_to(&output, bytes, count);
	free(bytes);
	builder_done(&builder);
	return output_finish(&output);
}

const struct sink sink_pprof = {
	.name = "pprof",
	.extension = ".pb.gz",
	.single = true,
	.binary = true,
	.write = pprof_write,
};
