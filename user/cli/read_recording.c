/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/read_recording.h"

#include <signal.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/help.h"
#include "cli/notice.h"
#include "recording/replay.h"

/* One that this memtrace does not know any more is left out. */
static void on_setting(const char *assignment, void *arg)
{
	char error[160];

	thresholds_set(arg, assignment, error);
}

size_t read_recordings(struct options *options, char **files, size_t count, struct model *model,
	struct notice *notice)
{
	struct replayer *replay = replay_new(model, on_setting, options->thresholds);
	size_t read = 0;

	for (size_t i = 0; i < count; i++) {
		char sentence[REPLAY_ERROR_BYTES];

		if (replay_add(replay, files[i], sentence)) {
			notice_error(notice, "%s %s", files[i], sentence);
			continue;
		}
		read++;
		if (*sentence)
			notice_warn(notice, "%s %s", files[i], sentence);
	}
	replay_free(replay);
	for (size_t i = 0; i < options->setting_count; i++)
		on_setting(options->settings[i], options->thresholds);
	return read;
}

int run_on_recordings(enum options_use use, int argc, char **argv,
	int (*work)(struct options *options, struct notice *notice))
{
	char error[OPTIONS_ERROR_BYTES];
	struct options options;
	struct notice notice;
	int r = options_parse(&options, use, argc, argv, error), code;

	signal(SIGPIPE, SIG_IGN); /* a reader that has gone is an error of write(2) */
	notice_init(&notice, options.quiet, options.verbose);
	if (r) {
		notice_error(&notice, "%s", error);
		fputs("Try 'memtrace --help'.\n", stderr);
		code = EXIT_USAGE;
	} else if (options.help) {
		code = help_print();
	} else if (options.version) {
		code = version_print();
	} else {
		code = work(&options, &notice);
	}
	options_done(&options);
	return code;
}
