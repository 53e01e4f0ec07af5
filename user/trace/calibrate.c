/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Thread CPU time of batches of calls, the median batch, minus the same calls without a probe. The
 * calls are made at some depth, so that the stack that is collected is of a usual length.
 *
 * Page faults take far longer than what is added to them, so there it is the quickest of many batches.
 */
#include "trace/calibrate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "base/clock.h"
#include "base/mem.h"
#include "trace/bpf.h"
#include "trace/closer.h"
#include "trace/own_code.h"

#define BATCHES     8
#define BATCH_CALLS 64
#define DEPTH       14

#define CALL_BATCHES  8
#define CALLS         1000
#define FAULT_BATCHES 16
#define FAULT_PAGES   256
#define PAGE_BYTES    4096
#define REST_LOOKS    100
#define REST_PAUSE_NS (1 * NSEC_PER_MSEC)

struct calibration {
	struct trace_bpf *bpf;
	enum attach_mode mode;
	struct ring_buffer *ring;
	struct closer *closer;
	int exe_fd;
	uint64_t fault_samples; /* taken from the ring */
};

static int throw_away(void *arg, void *data, size_t bytes)
{
	const struct mt_record *record = data;
	struct calibration *run = arg;

	if (bytes >= sizeof(*record) && record->attachment == MT_SRC_FAULT)
		run->fault_samples++;
	return 0;
}

static int compare_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Median over the batches of one call's nanoseconds. */
static uint64_t measure(struct calibration *run, void (*function)(void))
{
	uint64_t batches[BATCHES];

	for (size_t i = 0; i < BATCHES; i++) {
		uint64_t start = clock_thread_cpu_ns();

		own_code_call(function, BATCH_CALLS, DEPTH);
		batches[i] = (clock_thread_cpu_ns() - start) / BATCH_CALLS;
		ring_buffer__consume(run->ring);
	}
	qsort(batches, BATCHES, sizeof(batches[0]), compare_u64);
	return batches[BATCHES / 2];
}

static int set_row(struct calibration *run, uint8_t kind, uint8_t flags)
{
	struct mt_attachment row = {
		.kind = kind,
		.flags = flags,
		.link = TRACE_BPF_OWN_LINK,
		/* As a typical probe: three registers and a word behind one of them. */
		.addr = {MT_FROM_REG, MT_REG_BX, 0},
		.val = {{MT_FROM_REG, MT_REG_AX, 0}, {MT_FROM_REG, MT_REG_CX, 0},
			{MT_FROM_MEM, MT_REG_SP, 0}},
	};

	return trace_bpf_set_attachment(run->bpf, MT_SRC_CALIBRATE, &row);
}

static int measure_kinds(
	struct calibration *run, void (*function)(void), uint64_t bare, struct calibrate_price *ret)
{
	uint64_t shut, record, stack, copy, block;
	int err = set_row(run, MT_GROW, 0);

	if (err)
		return err;
	shut = measure(run, function);
	trace_bpf_set_gate(run->bpf, TRACE_BPF_OWN_LINK, true);
	record = measure(run, function);
	err = set_row(run, MT_GROW, MT_ATTACH_STACK);
	stack = measure(run, function);
	if (!err)
		err = set_row(run, MT_GROW, MT_ATTACH_STACK | MT_ATTACH_STACK_COPY);
	copy = measure(run, function);
	if (!err)
		err = set_row(run, MT_BLOCK_ASKED, 0);
	block = measure(run, function);
	trace_bpf_set_gate(run->bpf, TRACE_BPF_OWN_LINK, false);
	ret->count_ns = shut - MIN(shut, bare);
	ret->record_ns = MAX(record - MIN(record, bare), ret->count_ns);
	ret->stack_ns = MAX(stack - MIN(stack, bare), ret->record_ns);
	ret->copy_ns = MAX(copy - MIN(copy, bare), ret->record_ns);
	ret->block_ns = MAX(block - MIN(block, bare), ret->count_ns);
	return err;
}

static int measure_function(
	struct calibration *run, void (*function)(void), struct calibrate_price *ret)
{
	uint64_t bare = measure(run, function), offset;
	int fds[ATTACH_OWN_FDS], count, err = own_code_offset(function, &offset);

	if (err)
		return err;
	count = attach_own(run->bpf, run->mode, run->exe_fd, offset, fds);
	if (count < 0)
		return count;
	err = measure_kinds(run, function, bare, ret);
	closer_submit(run->closer, 0, fds, count);
	return err;
}

/* The quickest batch's nanoseconds for touching one fresh page. */
static uint64_t measure_touch(struct calibration *run, char *memory)
{
	uint64_t quickest = UINT64_MAX;

	for (size_t i = 0; i < FAULT_BATCHES; i++) {
		uint64_t start;

		madvise(memory, FAULT_PAGES * PAGE_BYTES, MADV_DONTNEED);
		start = clock_thread_cpu_ns();
		for (size_t page = 0; page < FAULT_PAGES; page++)
			*(volatile char *)(memory + page * PAGE_BYTES) = 1;
		quickest = MIN(quickest, (clock_thread_cpu_ns() - start) / FAULT_PAGES);
		ring_buffer__consume(run->ring);
	}
	return quickest;
}

/*
 * Also the samples of faults that came after the last batch, on any CPU: whoever drains the ring later would
 * count more than was produced.
 */
static void throw_rest_away(struct calibration *run)
{
	struct mt_counters counters;

	for (size_t i = 0; i < REST_LOOKS; i++) {
		ring_buffer__consume(run->ring);
		if (trace_bpf_read_counters(run->bpf, MT_SRC_FAULT, &counters) < 0 ||
			counters.produced == counters.lost + run->fault_samples)
			return;
		clock_wait_ns(REST_PAUSE_NS);
	}
}

static void measure_fault_kinds(
	struct calibration *run, char *memory, struct calibrate_fault_price *ret)
{
	uint64_t bare = measure_touch(run, memory), counted, sampled;
	const char *mode;

	if (!trace_bpf_attach_kernel(run->bpf, true, &mode) && !strcmp(mode, "tp_btf")) {
		trace_bpf_set_fault_period(run->bpf, UINT32_MAX / 2);
		counted = measure_touch(run, memory);
		trace_bpf_set_fault_period(run->bpf, 1);
		sampled = measure_touch(run, memory);
		ret->count_ns = counted - MIN(counted, bare);
		ret->sample_ns = sampled - MIN(sampled, counted);
	}
	trace_bpf_detach_kernel(run->bpf);
	trace_bpf_set_fault_period(run->bpf, TRACE_BPF_FAULT_PERIOD);
	throw_rest_away(run);
	trace_bpf_clear_faults(run->bpf);
}

static void measure_faults(struct calibration *run, struct calibrate_fault_price *ret)
{
	size_t bytes = FAULT_PAGES * PAGE_BYTES;
	char *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*ret = (struct calibrate_fault_price){0};
	if (memory == MAP_FAILED)
		return;
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	measure_fault_kinds(run, memory, ret);
	munmap(memory, bytes);
}

static uint64_t wait_grace(struct closer *closer)
{
	struct closer_done done;
	uint64_t shortest = UINT64_MAX;

	closer_flush(closer);
	while (closer_poll(closer, &done))
		shortest = MIN(shortest, done.duration_ns);
	return shortest;
}

static int measure_all(struct calibration *run, struct calibrate_prices *ret)
{
	int err = measure_function(run, own_code_push, &ret->emulated);

	if (!err)
		err = measure_function(run, own_code_mov, &ret->stepped);
	if (!err)
		ret->grace_ns = wait_grace(run->closer);
	measure_faults(run, &ret->fault);
	return err;
}

static int calibration_open(struct calibration *run)
{
	int err;

	run->exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (run->exe_fd < 0)
		return -errno;
	run->ring = ring_buffer__new(trace_bpf_ring_fd(run->bpf), throw_away, run, NULL);
	if (!run->ring)
		return -errno;
	err = trace_bpf_add_target(run->bpf, getpid(), false);
	return err ? err : closer_start(&run->closer);
}

static void calibration_close(struct calibration *run)
{
	closer_stop(run->closer);
	trace_bpf_remove_target(run->bpf, getpid());
	ring_buffer__free(run->ring);
	if (run->exe_fd >= 0)
		close(run->exe_fd);
}

int calibrate_run(struct trace_bpf *bpf, enum attach_mode mode, struct calibrate_prices *ret)
{
	struct calibration run = {.bpf = bpf, .mode = mode, .exe_fd = -1};
	struct calibrate_prices prices;
	int err;

	if (mode == ATTACH_NONE)
		return -EINVAL;
	err = calibration_open(&run);
	if (!err)
		err = measure_all(&run, &prices);
	calibration_close(&run);
	if (!err)
		*ret = prices;
	return err;
}

/* The quickest batch's nanoseconds for a system call that does next to nothing. */
static uint64_t measure_getppid(void)
{
	uint64_t quickest = UINT64_MAX;

	for (size_t i = 0; i < CALL_BATCHES; i++) {
		uint64_t start = clock_thread_cpu_ns();

		for (size_t call = 0; call < CALLS; call++)
			getppid();
		quickest = MIN(quickest, (clock_thread_cpu_ns() - start) / CALLS);
	}
	return quickest;
}

void calibrate_calls(struct trace_bpf *bpf, struct calibrate_prices *prices)
{
	uint64_t bare = measure_getppid(), traced = bare;

	if (!trace_bpf_want_calls(bpf, true))
		traced = measure_getppid();
	trace_bpf_want_calls(bpf, false);
	prices->call_ns = traced - MIN(traced, bare);
}

static const struct calibrate_price *price_of(
	const struct calibrate_prices *prices, const struct runtime_probe *probe)
{
	return probe->emulated ? &prices->emulated : &prices->stepped;
}

uint64_t calibrate_open_ns(const struct calibrate_prices *prices, const struct runtime_probe *probe)
{
	const struct calibrate_price *price = price_of(prices, probe);

	if (!(probe->attachment.flags & MT_ATTACH_STACK))
		return price->record_ns;
	return attach_copies_stack(&probe->attachment) ? price->copy_ns : price->stack_ns;
}

uint64_t calibrate_shut_ns(const struct calibrate_prices *prices, const struct runtime_probe *probe)
{
	return price_of(prices, probe)->count_ns;
}

static bool is_of_block(const struct runtime_probe *probe)
{
	uint8_t kind = probe->attachment.kind;

	return kind == MT_BLOCK_ASKED || kind == MT_BLOCK || kind == MT_BLOCK_FREED;
}

uint64_t calibrate_cost_ns(const struct calibrate_prices *prices, const struct runtime_probe *probe,
	const struct mt_counters *counters)
{
	uint64_t records = MIN(counters->produced, counters->hits);

	return records * calibrate_open_ns(prices, probe) +
	       (counters->hits - records) * (is_of_block(probe) ? price_of(prices, probe)->block_ns
								: calibrate_shut_ns(prices, probe));
}

uint64_t calibrate_fault_cost_ns(
	const struct calibrate_prices *prices, const struct mt_counters *counters)
{
	return counters->hits * prices->fault.count_ns +
	       counters->produced * prices->fault.sample_ns;
}
