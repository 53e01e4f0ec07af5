/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What this kernel and these privileges allow: doctor's list. Each check is tried, never derived
 * from a version number.
 */
#ifndef MEMTRACE_TRACE_CAPABILITY_H
#define MEMTRACE_TRACE_CAPABILITY_H

#include <stdbool.h>
#include <stddef.h>

#define CAPABILITY_MAX_CHECKS 16

enum capability_verdict {
	CAPABILITY_OK,
	CAPABILITY_LESS,    /* works, with less: detail says what is lost */
	CAPABILITY_MISSING, /* memtrace cannot trace: detail says what helps */
};

struct capability_check {
	const char *name; /* "kernel", "BTF", "CAP_BPF", ... */
	enum capability_verdict verdict;
	char detail[192];
};

/* Names of the capabilities that loading needs and we lack: "CAP_BPF and CAP_PERFMON", or "". */
void capability_missing(char *buf, size_t bytes);

/* Has the kernel BTF? Without it nothing can be loaded: libbpf relocates against it. */
bool capability_has_btf(void);

/*
 * Makes all checks: loads, attaches to itself, measures, detaches; about 0.6 s. Returns how many
 * there are.
 */
size_t capability_check_all(struct capability_check checks[CAPABILITY_MAX_CHECKS]);

#endif
