/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/look_each.h"

int look_each(look_one *look, struct runtime_process *process, enum family family,
	const uint64_t *keys, const uint64_t *types, const uint64_t *length_peaks, size_t count,
	bool deep, struct event_look *ret)
{
	for (size_t i = 0; i < count; i++)
		look(process, types[i], family, keys[i], length_peaks[i], deep, &ret[i]);
	return 0;
}
