/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing that remembers its first failure. stdio keeps only a flag, and by the time it is looked
 * at errno belongs to somebody else; here the errno of the failing call is kept.
 */
#include "sink/output.h"

#include <errno.h>
#include <string.h>

static int output_failure(void)
{
	return errno > 0 ? -errno : -EIO;
}

void output_write(struct output *output, const char *bytes, size_t count)
{
	if (output->error || !count)
		return;
	errno = 0;
	if (fwrite(bytes, 1, count, output->file) != count)
		output->error = output_failure();
}

void output_put(struct output *output, const char *s)
{
	output_write(output, s, strlen(s));
}

int output_finish(struct output *output)
{
	errno = 0;
	if (!output->error && (fflush(output->file) || ferror(output->file)))
		output->error = output_failure();
	return output->error;
}
