/* SPDX-License-Identifier: BSD-2-Clause */
/* What the numbers in g.waitreason mean in this binary. Parser child only. */
#ifndef MEMTRACE_RUNTIME_GO_WAITS_H
#define MEMTRACE_RUNTIME_GO_WAITS_H

struct go_file;

/* Fills wait_reasons and waits of file->facts; both stay 0 where the binary's own table is not found. */
void go_waits_find(struct go_file *file);

#endif
