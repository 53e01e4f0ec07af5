/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every C workload shares: the protocol of workloads/go/truth.go (ready, act, TRUTH, obey), and what
 * the program itself knows of its RSS.
 */
#ifndef TRUTH_H
#define TRUTH_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEEP __attribute__((noinline))

static inline int next_line(char line[64])
{
	if (!fgets(line, 64, stdin))
		return 0;
	line[strcspn(line, "\n")] = 0;
	return 1;
}

/* Says that the program is up and waits for the start. */
static inline void ready(void)
{
	char line[64];

	puts("ready");
	fflush(stdout);
	next_line(line);
}

struct fact {
	const char *key;
	unsigned long value;
};

/* Prints a list of keys and values that ends with an empty key. */
static inline void truth(const struct fact *facts)
{
	printf("TRUTH");
	for (; facts->key; facts++)
		printf(" %s=%lu", facts->key, facts->value);
	printf("\n");
	fflush(stdout);
}

#define TRUTH(...) truth((const struct fact[]){__VA_ARGS__, {0, 0}})

/* Obeys lines until "end"; "gc" is how the driver says "go on", and wants an answer. */
static inline void obey(void)
{
	char line[64];

	while (next_line(line) && strcmp(line, "end"))
		if (!strcmp(line, "gc")) {
			puts("ok");
			fflush(stdout);
		}
}

static inline unsigned long rss_bytes(void)
{
	unsigned long size, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (file) {
		if (fscanf(file, "%lu %lu", &size, &pages) != 2)
			pages = 0;
		fclose(file);
	}
	return pages * (unsigned long)sysconf(_SC_PAGESIZE);
}

#endif
