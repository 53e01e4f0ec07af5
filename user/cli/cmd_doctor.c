/* SPDX-License-Identifier: BSD-2-Clause */
/* doctor: what this machine allows, each thing tried, and what helps where one is missing. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"
#include "trace/capability.h"

static const char *const verdicts[] = {
	[CAPABILITY_OK] = "ok",
	[CAPABILITY_LESS] = "less",
	[CAPABILITY_MISSING] = "missing",
};

/* What a check is for, where its own detail does not say so. */
static const struct {
	const char *name, *meaning;
} meanings[] = {
	{"CAP_BPF", "load BPF programs"},
	{"CAP_PERFMON", "attach them to probes and tracepoints"},
	{"CAP_SYS_PTRACE", "read the memory of other processes"},
	{"CAP_DAC_READ_SEARCH", "read executables that only their owner may read"},
	{"CAP_CHECKPOINT_RESTORE", "reach deleted libraries that are still mapped"},
};

static const char *explain(const struct capability_check *check)
{
	for (size_t i = 0; !check->detail[0] && i < ARRAY_SIZE(meanings); i++)
		if (!strcmp(check->name, meanings[i].name))
			return meanings[i].meaning;
	return check->detail;
}

static int run_doctor(int argc, char **argv)
{
	struct capability_check checks[CAPABILITY_MAX_CHECKS];
	size_t count, missing = 0;

	if (argc > 1) {
		fprintf(stderr, "memtrace: doctor takes no arguments, not \"%s\"\n", argv[1]);
		return EXIT_USAGE;
	}
	count = capability_check_all(checks);
	printf("memtrace %s\n", MEMTRACE_VERSION);
	for (size_t i = 0; i < count; i++) {
		missing += checks[i].verdict == CAPABILITY_MISSING;
		printf("%-8s %-22s %s\n", verdicts[checks[i].verdict], checks[i].name,
			explain(&checks[i]));
	}
	puts(missing ? "Tracing will not work here; reading (--pid PID -d 0) may."
		     : "Ready to trace.");
	if (fflush(stdout))
		return EXIT_ENVIRONMENT;
	return missing ? EXIT_ENVIRONMENT : EXIT_RAN;
}

const struct command command_doctor = {
	"doctor", NULL, "check kernel, privileges and cost per hit", run_doctor};
