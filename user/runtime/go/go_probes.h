/* SPDX-License-Identifier: BSD-2-Clause */
/* Places the probes of a Go executable. Parser child only. */
#ifndef MEMTRACE_RUNTIME_GO_PROBES_H
#define MEMTRACE_RUNTIME_GO_PROBES_H

struct go_file;
struct runtime_file;

/* Appends probes, and a skip for each one that applies to this version but cannot be placed. */
void go_probes_place(struct go_file *file, struct runtime_file *ret);

/* Appends one skip, printf style; dropped where there are too many already. */
__attribute__((format(printf, 3, 4))) void go_probes_add_skip(
	struct runtime_file *file, const char *what, const char *format, ...);

#endif
