/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * diff: what got better and what got worse from one recording to another. Reads files, and needs no more.
 */
#include <errno.h>
#include <string.h>

#include "cli/command.h"
#include "cli/destination.h"
#include "cli/notice.h"
#include "cli/read_recording.h"
#include "cli/write_diff.h"
#include "model/model.h"

static void evaluate(const struct options *options, const struct model *model, struct findings *ret)
{
	uint64_t begin_ns, real_ns, end_ns;

	model_clock(model, &begin_ns, &real_ns, &end_ns);
	rules_run(model, options->thresholds, end_ns, ret);
}

static bool passes_gate(const struct options *options, const struct changes *changes)
{
	for (size_t i = 0; options->has_gate && i < changes->count; i++)
		if (changes->items[i].b > changes->items[i].a &&
			changes->items[i].b - changes->items[i].a > options->gate_bytes)
			return false;
	return true;
}

static int write_to_destination(const struct options *options, const struct diff *diff)
{
	struct destination destination;
	int r = destination_open(&destination, options->output);

	if (r)
		return r;
	if (!strcmp(options->sink->name, "json"))
		r = write_diff_json(diff, destination.file);
	else
		r = write_diff_text(diff, destination.file);
	r = r ? r : destination_finish(&destination);
	destination_close(&destination);
	return r == -EPIPE && !options->output ? 0 : r;
}

/* Both models are filled. */
static int compare(const struct options *options, struct model *models[2], struct notice *notice)
{
	struct findings findings[2] = {0};
	struct diff diff = {.top = options->top, .verbose = options->verbose};
	int r, code = EXIT_RAN;

	for (size_t i = 0; i < 2; i++) {
		evaluate(options, models[i], &findings[i]);
		diff.names[i] = options->files[i];
		diff.sides[i] = (struct side){models[i], &findings[i]};
	}
	compare_findings(&diff.sides[0], &diff.sides[1], &diff.findings);
	compare_sites(&diff.sides[0], &diff.sides[1], &diff.sites);
	r = write_to_destination(options, &diff);
	if (r) {
		notice_error(notice, "cannot write %s: %s",
			options->output ? options->output : "the difference", strerror(-r));
		code = EXIT_ENVIRONMENT;
	} else if (!passes_gate(options, &diff.findings)) {
		code = EXIT_GATE;
	} else if (!model_complete(models[0]) || !model_complete(models[1])) {
		code = EXIT_INCOMPLETE;
	}
	changes_done(&diff.findings);
	changes_done(&diff.sites);
	findings_done(&findings[0]);
	findings_done(&findings[1]);
	return code;
}

static int diff_files(struct options *options, struct notice *notice)
{
	struct model *models[2] = {model_new(), model_new()};
	size_t read = 0;
	int code;

	for (size_t i = 0; i < 2; i++)
		read += read_recordings(options, &options->files[i], 1, models[i], notice);
	code = read < 2 ? EXIT_ENVIRONMENT : compare(options, models, notice);
	model_free(models[0]);
	model_free(models[1]);
	return code;
}

static int run_diff(int argc, char **argv)
{
	return run_on_recordings(OPTIONS_DIFF, argc, argv, diff_files);
}

const struct command command_diff = {
	"diff", "[OPTIONS] A B", "what got better and worse from recording A to B", run_diff};
