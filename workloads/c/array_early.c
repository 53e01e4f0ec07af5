/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fills an array at once, and another one in a thread, where malloc takes locks and has another arena, and ends: who
 * wants to see it must be there before it begins.
 */
#include <pthread.h>
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

static void *fill_another(void *growths)
{
	return fill(20000, growths);
}

int main(void)
{
	unsigned long growths = 0, others = 0;
	int *list = fill(300000, &growths);
	pthread_t thread;
	void *other;

	if (pthread_create(&thread, NULL, fill_another, &others) || pthread_join(thread, &other))
		return 1;
	TRUTH({"growths", growths + others});
	free(list);
	free(other);
	return 0;
}
