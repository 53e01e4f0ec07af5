/* SPDX-License-Identifier: BSD-2-Clause */
/* report: what trace would have reported, of sessions that were recorded. Reads files, and needs no more. */
#include <errno.h>
#include <string.h>

#include "cli/command.h"
#include "cli/destination.h"
#include "cli/notice.h"
#include "cli/read_recording.h"
#include "cli/write_report.h"
#include "model/model.h"

static int report_model(const struct options *options, const struct model *model,
	struct notice *notice, size_t *ret_gating)
{
	struct destination destination;
	int r = destination_open(&destination, options->output);

	if (!r) {
		r = write_report(options, model, destination.file, false, ret_gating);
		r = r ? r : destination_finish(&destination);
		destination_close(&destination);
	}
	if (r && (r != -EPIPE || options->output))
		notice_error(notice, "cannot write %s: %s",
			options->output ? options->output : "the report", strerror(-r));
	return r == -EPIPE && !options->output ? 0 : r;
}

static int report_files(struct options *options, struct notice *notice)
{
	struct model *model = model_new();
	size_t gating = 0;
	size_t read = read_recordings(options, options->files, options->file_count, model, notice);
	int code = EXIT_RAN;

	if (!read || report_model(options, model, notice, &gating))
		code = EXIT_ENVIRONMENT;
	else if (read < options->file_count || !model_complete(model))
		code = EXIT_INCOMPLETE;
	if (options->error_exitcode && gating)
		code = options->error_exitcode;
	model_free(model);
	return code;
}

static int run_report(int argc, char **argv)
{
	return run_on_recordings(OPTIONS_REPORT, argc, argv, report_files);
}

const struct command command_report = {
	"report", "[OPTIONS] FILE...", "report what was recorded", run_report};
