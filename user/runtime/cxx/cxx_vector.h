/* SPDX-License-Identifier: BSD-2-Clause */
/* std::vector, std::string and std::deque of libstdc++ and libc++: growth and looks. Tracer only. */
#ifndef MEMTRACE_RUNTIME_CXX_VECTOR_H
#define MEMTRACE_RUNTIME_CXX_VECTOR_H

#include "runtime/runtime.h"

struct runtime_process;

int cxx_vector_decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret);

/* probe: any one at which containers of that type grow. */
void cxx_vector_look(struct runtime_process *process, const struct runtime_probe *probe,
	uint64_t key, uint64_t length_peak, bool deep, struct event_look *ret);

#endif
