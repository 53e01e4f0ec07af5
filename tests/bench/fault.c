/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What page faults cost while they are counted, and while they are sampled as well: a storm of fresh
 * 4 KiB pages, in turn with nothing attached, counted, sampled at the first period, sampled as the
 * tracer adapts it, and while somebody else is traced. Prints rows of the table with the 95 % interval of the paired ratio; fails where
 * even its lower end is above the budget. Needs root.
 *
 *	usage: fault [ROUNDS]	(default 20; 128 MiB in each of the five ways)
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "row.h"
#include "trace/bpf.h"
#include "trace/drain.h"

#define BYTES      ((size_t)128 << 20)
#define PAGE_BYTES 4096
#define MAX_ROUNDS 1000

enum way { BARE, COUNTED, SAMPLED, ADAPTED, BYSTANDER, WAYS };

struct bench {
	struct trace_bpf *bpf;
	struct drain *drain;
	uint64_t samples; /* taken out of the drain */
	uint32_t adapted; /* period at which the storm gives the samples that are wanted */
};

static int touch(uint64_t *ret_ns)
{
	char *memory =
		mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t start;

	if (memory == MAP_FAILED || madvise(memory, BYTES, MADV_NOHUGEPAGE))
		return -errno;
	start = clock_thread_cpu_ns();
	for (size_t i = 0; i < BYTES; i += PAGE_BYTES)
		*(volatile char *)(memory + i) = 1;
	*ret_ns = clock_thread_cpu_ns() - start;
	munmap(memory, BYTES);
	return 0;
}

static uint32_t period_of(const struct bench *bench, enum way way)
{
	return way == COUNTED   ? UINT32_MAX / 2
	       : way == SAMPLED ? TRACE_BPF_FAULT_PERIOD
				: bench->adapted;
}

static int run(struct bench *bench, enum way way, uint64_t *ret_ns)
{
	int target = way == BYSTANDER ? getppid() : getpid();
	const char *mode;
	int err = 0;

	if (way != BARE) {
		trace_bpf_set_fault_period(bench->bpf, period_of(bench, way));
		err = trace_bpf_add_target(bench->bpf, target, false);
		if (!err)
			err = trace_bpf_attach_kernel(bench->bpf, true, &mode);
	}
	if (!err)
		err = touch(ret_ns);
	trace_bpf_detach_kernel(bench->bpf);
	trace_bpf_remove_target(bench->bpf, target);
	drain_flush(bench->drain);
	while (drain_next(bench->drain))
		bench->samples += way == SAMPLED;
	return err;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(const double *values, size_t count)
{
	double sorted[MAX_ROUNDS];

	memcpy(sorted, values, count * sizeof(*values));
	qsort(sorted, count, sizeof(*sorted), compare);
	return sorted[count / 2];
}

/* Mean of the logarithms of the ratios, and half of its 95 % interval. */
static void interval(
	const double *ns, const double *bare, size_t count, double *ret_mean, double *ret_half)
{
	double sum = 0, squares = 0;

	for (size_t i = 0; i < count; i++)
		sum += log(ns[i] / bare[i]);
	*ret_mean = sum / count;
	for (size_t i = 0; i < count; i++)
		squares += pow(log(ns[i] / bare[i]) - *ret_mean, 2);
	/* Student's t of 19 degrees of freedom; fewer rounds are a quick look. */
	*ret_half = count > 1 ? 2.09 * sqrt(squares / (count - 1) / count) : 1;
}

/* budget: 0 = there is none. */
static int print_way(
	const char *what, double budget, const double *ns, const double *bare, size_t rounds)
{
	double mean, half, faults = BYTES / PAGE_BYTES;
	char text[32] = "none";

	interval(ns, bare, rounds, &mean, &half);
	if (budget)
		snprintf(text, sizeof(text), "<= x %.2f", budget);
	return bench_row(what, text,
		budget ? bench_judge(exp(mean - half) <= budget) : VERDICT_NONE,
		"x %.3f [%.3f, %.3f] of %zu pairs; a fault takes %.0f ns, %+.0f ns", exp(mean),
		exp(mean - half), exp(mean + half), rounds, median(bare, rounds) / faults,
		(median(ns, rounds) - median(bare, rounds)) / faults);
}

static int measure(struct bench *bench, size_t rounds, double ns[WAYS][MAX_ROUNDS])
{
	uint64_t took;
	int err = run(bench, BARE, &took); /* warms up */

	/* What the tracer would set in this storm. */
	bench->adapted = trace_bpf_fault_period(BYTES / PAGE_BYTES * 1e9 / took);
	for (size_t i = 0; i < rounds; i++)
		for (size_t j = 0; !err && j < WAYS; j++) {
			enum way way = (i + j) % WAYS;

			err = run(bench, way, &took);
			ns[way][i] = took;
		}
	return err;
}

int main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? MIN(MAX(atoi(argv[1]), 1), MAX_ROUNDS) : 20;
	static double ns[WAYS][MAX_ROUNDS];
	struct trace_bpf_options options = {0};
	struct bench bench = {0};
	char error[256];
	int err = trace_bpf_load(&options, &bench.bpf, error), missed = 0;

	if (err) {
		fprintf(stderr, "fault: %s\n", error);
		return 1;
	}
	err = drain_start(bench.bpf, 0, &bench.drain);
	if (!err)
		err = measure(&bench, rounds, ns);
	if (err) {
		fprintf(stderr, "fault: %s\n", strerror(-err));
		return 1;
	}
	missed |= print_way("fault storm, counted", 1.06, ns[COUNTED], ns[BARE], rounds);
	missed |= print_way("fault storm, adapted samples", 1.06, ns[ADAPTED], ns[BARE], rounds);
	missed |= print_way("fault storm, all samples", 1.12, ns[SAMPLED], ns[BARE], rounds);
	missed |= print_way("  of another process, meanwhile", 0, ns[BYSTANDER], ns[BARE], rounds);
	drain_stop(bench.drain);
	trace_bpf_close(bench.bpf);
	return missed;
}
