/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the way from the probe to the main thread lose records at a million a second? A thread makes
 * hits on our own code at a given rate; the drain takes them, the main thread counts them. Prints
 * a row of the table; fails where anything was lost or the sum does not come out. Needs root, two
 * CPUs.
 *
 *	usage: ring [SECONDS [RECORDS_PER_S]]	(default 10 and 1,000,000; 0 = as fast as it goes)
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "trace/attach.h"
#include "trace/bpf.h"
#include "trace/closer.h"
#include "trace/drain.h"
#include "trace/own_code.h"
#include "row.h"

#define BATCH 1000

struct producer {
	uint64_t duration_ns, rate;
	uint64_t calls, cpu_ns, took_ns;
	atomic_bool done;
};

static void *produce(void *arg)
{
	struct producer *producer = arg;
	uint64_t start = clock_mono_ns(), now = start;

	while (now - start < producer->duration_ns) {
		uint64_t due = producer->rate ? (now - start) / 1e9 * producer->rate
					      : producer->calls + BATCH;

		if (producer->calls < due) {
			own_code_call(own_code_push, BATCH, 0);
			producer->calls += BATCH;
		}
		now = clock_mono_ns();
	}
	producer->took_ns = now - start;
	producer->cpu_ns = clock_thread_cpu_ns();
	atomic_store(&producer->done, true);
	return NULL;
}

static uint64_t take_all(struct drain *drain)
{
	uint64_t count = 0;

	while (drain_next(drain))
		count++;
	return count;
}

static int attach_self(struct trace_bpf *bpf, int fds[ATTACH_OWN_FDS], char why[160])
{
	struct mt_attachment row = {
		.kind = MT_GROW,
		.link = TRACE_BPF_OWN_LINK,
		.addr = {MT_FROM_REG, MT_REG_BX, 0},
	};
	enum attach_mode mode;
	uint64_t offset;
	int fd, count, err = attach_choose_mode(bpf, &mode, why);

	if (!err)
		err = own_code_offset(own_code_push, &offset);
	if (!err)
		err = trace_bpf_set_attachment(bpf, MT_SRC_CALIBRATE, &row);
	if (err)
		return err;
	trace_bpf_add_target(bpf, getpid(), false);
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	count = attach_own(bpf, mode, fd, offset, fds);
	close(fd);
	trace_bpf_set_gate(bpf, TRACE_BPF_OWN_LINK, true);
	return count;
}

/* A machine that does not come to the rate proves nothing by losing nothing. */
static enum verdict judge(const struct producer *producer, uint64_t produced, bool good)
{
	bool reached = produced * 1e9 / producer->took_ns >= 0.9 * producer->rate;

	return good && !reached ? VERDICT_NONE : bench_judge(good);
}

static int report(struct trace_bpf *bpf, struct drain *drain, const struct producer *producer,
	const struct mt_counters *before, uint64_t taken, uint64_t consumer_cpu)
{
	struct drain_counts drained = drain_read_counts(drain, MT_SRC_CALIBRATE);
	struct mt_counters counters = {0};
	uint64_t produced, lost;
	char what[64];
	bool good;

	trace_bpf_read_counters(bpf, MT_SRC_CALIBRATE, &counters);
	produced = counters.produced - before->produced;
	lost = counters.lost - before->lost + drained.lost;
	good = !lost && produced == producer->calls && produced == taken &&
	       taken == drained.delivered;
	snprintf(what, sizeof(what), "ring of 4 MiB, %.1f M/s of %zu bytes for %.0f s",
		producer->rate / 1e6, sizeof(struct mt_record), producer->duration_ns / 1e9);
	return bench_row(what, "nothing lost", judge(producer, produced, good),
		"%.2f M/s: %lu hits, %lu produced, %lu delivered, %lu lost; taking them costs %.1f "
		"%% "
		"of a core",
		produced * 1e3 / producer->took_ns, (unsigned long)producer->calls,
		(unsigned long)produced, (unsigned long)taken, (unsigned long)lost,
		consumer_cpu * 100.0 / producer->took_ns);
}

static int bench(struct trace_bpf *bpf, struct producer *producer, char why[160])
{
	int fds[ATTACH_OWN_FDS], count = attach_self(bpf, fds, why), err;
	uint64_t taken = 0, cpu = clock_process_cpu_ns();
	struct mt_counters before = {0};
	struct drain *drain;
	pthread_t thread;

	if (count < 0)
		return count;
	trace_bpf_read_counters(bpf, MT_SRC_CALIBRATE, &before);
	err = drain_start(bpf, 0, &drain);
	if (err)
		return err;
	err = -pthread_create(&thread, NULL, produce, producer);
	while (!err && !atomic_load(&producer->done)) {
		struct pollfd wait = {.fd = drain_event_fd(drain), .events = POLLIN};

		poll(&wait, 1, 100);
		taken += take_all(drain);
	}
	pthread_join(thread, NULL);
	while (count)
		close(fds[--count]);
	drain_flush(drain);
	taken += take_all(drain);
	cpu = clock_process_cpu_ns() - cpu - producer->cpu_ns;
	err = report(bpf, drain, producer, &before, taken, cpu);
	drain_stop(drain);
	return err;
}

int main(int argc, char **argv)
{
	struct producer producer = {
		.duration_ns = (argc > 1 ? atof(argv[1]) : 10) * NSEC_PER_SEC,
		.rate = argc > 2 ? strtoull(argv[2], NULL, 0) : 1000000,
	};
	struct trace_bpf_options options = {.no_kernel = true};
	struct trace_bpf *bpf;
	char text[256] = "";
	int err = trace_bpf_load(&options, &bpf, text);

	if (!err) {
		err = bench(bpf, &producer, text);
		trace_bpf_close(bpf);
	}
	if (err < 0)
		fprintf(stderr, "ring: %s %s\n", strerror(-err), text);
	return err != 0;
}
