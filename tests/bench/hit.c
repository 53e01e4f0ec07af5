/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a hit costs, and what attaching and detaching take, on this machine. Prints rows of the
 * table; fails where the best of three measurements is above its budget. Needs root.
 *
 *	usage: hit [CYCLES]	attach and detach so often (default 100)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "trace/attach.h"
#include "trace/bpf.h"
#include "trace/calibrate.h"
#include "trace/closer.h"
#include "trace/own_code.h"
#include "row.h"

#define ROUNDS 3

struct cycle_times {
	uint64_t attach_max, detach_max, attach_sum, detach_sum;
	int cycles;
};

static void keep_best(struct calibrate_price *best, const struct calibrate_price *price)
{
	best->count_ns = MIN(best->count_ns, price->count_ns);
	best->record_ns = MIN(best->record_ns, price->record_ns);
	best->stack_ns = MIN(best->stack_ns, price->stack_ns);
	best->copy_ns = MIN(best->copy_ns, price->copy_ns);
}

static int measure_prices(
	struct trace_bpf *bpf, enum attach_mode mode, struct calibrate_prices *ret)
{
	struct calibrate_prices prices;
	int err = calibrate_run(bpf, mode, ret);

	for (int i = 1; !err && i < ROUNDS; i++) {
		err = calibrate_run(bpf, mode, &prices);
		if (err)
			break;
		keep_best(&ret->emulated, &prices.emulated);
		keep_best(&ret->stepped, &prices.stepped);
	}
	return err;
}

static struct runtime_probe own_probe(uint64_t offset)
{
	return (struct runtime_probe){
		.file_offset = offset,
		.emulated = true,
		.attachment = {.kind = MT_GROW, .flags = MT_ATTACH_STACK},
	};
}

static int run_cycle(struct attach_link *link, struct closer *closer, struct cycle_times *times)
{
	struct closer_done done;
	uint64_t start = clock_mono_ns(), attach;
	int err = attach_link_open(link);

	if (err)
		return err;
	attach = clock_mono_ns() - start;
	attach_link_close(link, closer);
	closer_flush(closer);
	if (!closer_poll(closer, &done))
		return -EIO;
	times->attach_max = MAX(times->attach_max, attach);
	times->detach_max = MAX(times->detach_max, done.duration_ns);
	times->attach_sum += attach;
	times->detach_sum += done.duration_ns;
	times->cycles++;
	return 0;
}

static int run_cycles(
	struct trace_bpf *bpf, enum attach_mode mode, int cycles, struct cycle_times *times)
{
	struct runtime_probe probes[8];
	struct attach_link *link;
	struct closer *closer;
	uint64_t offset;
	int fd, err = own_code_offset(own_code_push, &offset);

	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++)
		probes[i] = own_probe(offset);
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	err = attach_link_new(bpf, mode, getpid(), fd, probes, ARRAY_SIZE(probes), &link);
	close(fd);
	if (err)
		return err;
	err = closer_start(&closer);
	for (int i = 0; !err && i < cycles; i++)
		err = run_cycle(link, closer, times);
	attach_link_free(link, closer);
	closer_stop(closer);
	return err;
}

static int print_budgeted(const char *what, uint64_t ns, uint64_t budget)
{
	char text[32];

	snprintf(text, sizeof(text), "<= %lu ns", (unsigned long)budget);
	return bench_row(what, text, bench_judge(ns <= budget), "%lu ns", (unsigned long)ns);
}

static int print_prices(const struct calibrate_prices *prices)
{
	const struct calibrate_price *stepped = &prices->stepped;
	int missed = print_budgeted("placed hit, counted", prices->emulated.count_ns, 650);

	missed |= print_budgeted("placed hit, with a record", prices->emulated.record_ns, 800);
	missed |= print_budgeted(
		"placed hit, with record and stack", prices->emulated.stack_ns, 2300);
	missed |= print_budgeted(
		"placed hit, with record and copy of the stack", prices->emulated.copy_ns, 2300);
	bench_row("single-stepped hit: count, record, stack", "none", VERDICT_NONE,
		"%lu, %lu, %lu ns", (unsigned long)stepped->count_ns,
		(unsigned long)stepped->record_ns, (unsigned long)stepped->stack_ns);
	return missed;
}

/* A grace period of the kernel is as long as it is: the budget is for the mean. */
static int print_times(const struct cycle_times *times, enum attach_mode mode)
{
	double attach = times->attach_sum / 1e6 / times->cycles;
	double detach = times->detach_sum / 1e6 / times->cycles;
	bool promised = mode != ATTACH_PERF;
	char what[64];

	snprintf(what, sizeof(what), "attach 8 probes, %s", attach_mode_name(mode));
	bench_row(what, "none", VERDICT_NONE, "mean %.1f ms, highest %.1f ms of %d", attach,
		times->attach_max / 1e6, times->cycles);
	snprintf(what, sizeof(what), "detach 8 probes, %s", attach_mode_name(mode));
	return bench_row(what, promised ? "<= 100 ms in the mean" : "none",
		promised ? bench_judge(detach <= 100) : VERDICT_NONE,
		"mean %.1f ms, highest %.1f ms of %d", detach, times->detach_max / 1e6,
		times->cycles);
}

int main(int argc, char **argv)
{
	int cycles = argc > 1 ? atoi(argv[1]) : 100, missed, err;
	struct trace_bpf_options options = {0};
	struct calibrate_prices prices;
	struct cycle_times times = {0};
	struct trace_bpf *bpf;
	enum attach_mode mode;
	char text[256];

	err = trace_bpf_load(&options, &bpf, text);
	if (err) {
		fprintf(stderr, "hit: %s\n", text);
		return 1;
	}
	err = attach_choose_mode(bpf, &mode, text);
	if (!err)
		err = measure_prices(bpf, mode, &prices);
	if (!err)
		err = run_cycles(bpf, mode, MAX(cycles, 1), &times);
	trace_bpf_close(bpf);
	if (err) {
		fprintf(stderr, "hit: %s\n", strerror(-err));
		return 1;
	}
	missed = print_prices(&prices);
	return missed | print_times(&times, mode);
}
