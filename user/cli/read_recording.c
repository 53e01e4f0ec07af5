/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/read_recording.h"

#include "cli/notice.h"
#include "cli/options.h"
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
