/* SPDX-License-Identifier: BSD-2-Clause */
/* memtrace: which container, grown at which line, holds a process's memory. */
#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "cli/list.h"

int main(int argc, char **argv)
{
	for (size_t i = 1; argc > 1 && i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i]->name))
			return commands[i]->run(argc - 1, argv + 1);
	return commands[0]->run(argc, argv);
}
