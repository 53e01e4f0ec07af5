/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to the census: large arrays that belong to no container we know. */
#ifndef MEMTRACE_RUNTIME_GO_ARRAYS_H
#define MEMTRACE_RUNTIME_GO_ARRAYS_H

#include "runtime/go/go_census.h"

/*
 * Hands all large objects that the last collection left alive, and that no remembered container holds, to
 * options->arrays, those of one size and type together. 0 or -ESRCH.
 */
int census_find_arrays(struct census *census);

#endif
