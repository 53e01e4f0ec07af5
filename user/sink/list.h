/* SPDX-License-Identifier: BSD-2-Clause */
/* All sinks, in the order in which help names them; the first is the default. */
#ifndef MEMTRACE_SINK_LIST_H
#define MEMTRACE_SINK_LIST_H

#include "sink/sink.h"

extern const struct sink sink_text, sink_json, sink_jsonl, sink_folded, sink_pprof;

static const struct sink *const sinks[] = {
	&sink_text, &sink_json, &sink_jsonl, &sink_folded, &sink_pprof};

#endif
