/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include "runtime/go_process.h"
int go_decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret, uint64_t *ret_type)
{
	(void)process;(void)probe;(void)record;(void)ret;(void)ret_type;
	return -ENODATA;
}
