/* SPDX-License-Identifier: BSD-2-Clause */
/* Each request builds its answer in an array that grows step by step, and frees it. */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

#include "truth.h"

#define FLOOR    4096 /* smaller new sizes are not looked at */
#define REQUESTS 500
#define PARTS    64

static unsigned long growths, garbage;

static KEEP void fill(char *bytes, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		bytes[i] = (char)(i * i % 251);
}

static KEEP void count(uintptr_t before, size_t usable, const void *now, size_t room)
{
	if (room < FLOOR || room <= usable)
		return;
	growths++;
	garbage += before == (uintptr_t)now ? 0 : usable;
}

static KEEP char *serve(size_t bytes, void *parts[PARTS])
{
	size_t room = 1024, usable;
	char *answer = malloc(room);

	for (int part = 0; room < bytes; part++) {
		uintptr_t before = (uintptr_t)answer;

		fill(answer, 0, room);
		usable = malloc_usable_size(answer);
		room += room / 4;
		parts[part] = malloc(2000); /* lies behind the array */
		answer = realloc(answer, room); // STORM
		count(before, usable, answer, room);
	}
	return answer;
}

int main(void)
{
	ready();
	for (int i = 0; i < REQUESTS; i++) {
		void *parts[PARTS] = {0};

		free(serve(120000, parts));
		for (int k = 0; k < PARTS; k++)
			free(parts[k]);
	}
	TRUTH({"growths", growths}, {"garbage", garbage});
	obey();
	return 0;
}
