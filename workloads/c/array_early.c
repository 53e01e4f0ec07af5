/* SPDX-License-Identifier: BSD-2-Clause */
/* Fills an array at once and ends: who wants to see it must be there before it begins. */
#include <stdlib.h>

#include "truth.h"

#define FLOOR 4096 /* smaller new sizes are not looked at */

static KEEP int *fill(size_t count, unsigned long *growths)
{
	size_t room = 64;
	int *list = malloc(room * sizeof(int));

	for (size_t i = 0; i < count; i++) {
		if (i == room) {
			list = realloc(list, (room *= 2) * sizeof(int)); // FILLS
			*growths += room * sizeof(int) >= FLOOR;
		}
		list[i] = (int)i;
	}
	return list;
}

int main(void)
{
	unsigned long growths = 0;
	int *list = fill(300000, &growths);

	TRUTH({"growths", growths});
	free(list);
	return 0;
}
