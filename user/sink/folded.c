/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * folded: a line a stack, outermost first, "comm;main.main;main.put;map[int]int 4096", as flame graphs
 * are drawn from. The innermost word is the container's type. A ';' in a name would be read as the end
 * of a frame.
 */
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "sink/output.h"
#include "sink/samples.h"
#include "sink/sink.h"

#define NAME_BYTES 1024

struct folding {
	struct output output;
	const struct report *report;
};

static void put_name(struct output *output, const char *separator, const char *name)
{
	char text[NAME_BYTES];

	text_escape(text, sizeof(text), name && *name ? name : "[unknown]");
	for (char *at = text; (at = strchr(at, ';'));)
		*at = ',';
	output_put(output, separator);
	output_put(output, text);
}

static void put_sample(const struct sample *sample, void *arg)
{
	struct folding *folding = arg;
	struct output *output = &folding->output;
	uint64_t value = sample->values[folding->report->sample_type];
	char number[24];

	if (!value)
		return;
	put_name(output, "", model_target(folding->report->model, sample->target)->comm);
	for (size_t i = sample->frame_count; i-- > 0;)
		put_name(output, ";", sample->frames[i].function);
	if (!sample->frame_count)
		put_name(output, ";", "[place unknown]");
	if (sample->owner && *sample->owner)
		put_name(output, ";", sample->owner);
	if (*sample->type)
		put_name(output, ";", sample->type);
	snprintf(number, sizeof(number), " %" PRIu64 "\n", value);
	output_put(output, number);
}

static int folded_write(const struct report *report, FILE *out)
{
	struct folding folding = {.output = {.file = out}, .report = report};

	samples_each(report->model, put_sample, &folding);
	return output_finish(&folding.output);
}

const struct sink sink_folded = {
	.name = "folded",
	.extension = ".folded",
	.single = true,
	.write = folded_write,
};
