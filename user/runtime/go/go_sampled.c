/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two places of the allocator see everything (runtime/mcache.go, go1.19 to go1.26): allocLarge, each
 * object above 32 KiB; and refill, whenever a processor has used up its span of a size class and gets
 * another one. Who asks for one more object then is one in so many as the span has free slots, and
 * stands for all of them: its weight is their bytes.
 *
 * Probes are open part of the time only, and the rate changes. But the allocator itself counts what it
 * hands out, by size class, all the time (runtime/mstats.go heapStatsDelta: three of them, whose sum
 * counts). So samples say only how the bytes of a class are shared out among stacks; how many there were
 * since the samples before, the allocator says. What it has handed out of a class without a sample
 * waits for the next one, and at the end has no stack.
 *
 * What no arithmetic cures: a program that makes objects of one class in strict rotation, in step with
 * the slots of a span, shows only the place whose turn it is when spans end.
 */
#include "runtime/go/go_sampled.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/go/go_heap.h"
#include "runtime/go/go_placed.h"
#include "runtime/go/go_process.h"
#include "runtime/go/go_size.h"

#define PAGE_BYTES  8192ull
#define MAX_STACKS  16384
#define MAX_OBJECTS 8192 /* of one span */

/* One stretch of samples: until none has come for so long, or for so long at most. */
#define PAUSE_NS   (500 * NSEC_PER_MSEC)
#define STRETCH_NS (2 * NSEC_PER_SEC)

/* runtime.heapStatsDelta: inStacks, the collector's words, then tinyAllocCount, largeAlloc, largeAllocCount */
#define DELTAS         3
#define DELTA_STACKS   24
#define LARGE_WORD     1
#define SMALL_WORD     3
#define DELTA_WORDS    (SMALL_WORD + GO_SIZE_CLASSES)
#define LARGE_OBJECTS  0 /* class of large objects, counted in bytes */
#define MAX_STEP_BYTES (1ull << 50)

/* What was sampled of one class with one stack. */
struct share {
	size_t first_pc, pc_count;
	uint32_t size_class;
	double weight, weight_objects; /* in this stretch */
	double bytes, objects;         /* in those before */
};

struct class_sums {
	double weight;   /* of all its samples in this stretch */
	double nowhere;  /* of it, of those whose stacks had no room */
	uint64_t handed; /* bytes that the allocator had handed out when its stretch began */
};

struct go_samples {
	struct share *list;
	size_t count, capacity;
	uint64_t *pcs;
	size_t pc_count, pc_capacity;
	struct table by_stack; /* class and stack -> index into list */
	struct class_sums classes[GO_SIZE_CLASSES];
	double nowhere; /* bytes of stretches before */
	uint64_t begin_ns, last_ns, hits;
};

/* ---- what the allocator counts ---- */

static int read_handed(struct runtime_process *process, uint64_t ret[GO_SIZE_CLASSES])
{
	const struct go_layout *layout = &process->facts.layout;
	uint64_t first = process->facts.memstats + DELTA_STACKS + 8 * (1 + layout->stats_gc_words);
	uint64_t sums[DELTA_WORDS] = {}, words[DELTA_WORDS];

	for (uint64_t i = 0; i < DELTAS; i++) {
		int r = go_heap_read_words(
			process, first + i * layout->stats_delta, words, DELTA_WORDS);

		if (r < 0)
			return r;
		for (size_t j = 0; j < DELTA_WORDS; j++)
			sums[j] += words[j];
	}
	ret[LARGE_OBJECTS] = sums[LARGE_WORD];
	for (size_t i = 1; i < GO_SIZE_CLASSES; i++)
		ret[i] = sums[SMALL_WORD + i] * go_size_of_class(i);
	return 0;
}

/* While two deltas are merged their sum is wrong. */
static bool is_step(const struct go_samples *samples, const uint64_t handed[GO_SIZE_CLASSES])
{
	for (size_t i = 0; i < GO_SIZE_CLASSES; i++)
		if (handed[i] - samples->classes[i].handed > MAX_STEP_BYTES)
			return false;
	return true;
}

/* ---- stretches ---- */

/* A class without samples, or whose objects the allocator has not counted yet, goes on. */
static bool goes_on(const struct class_sums *sums, uint64_t handed)
{
	return sums->weight <= 0 || handed == sums->handed;
}

static void end_stretch(struct runtime_process *process)
{
	struct go_samples *samples = process->samples;
	uint64_t handed[GO_SIZE_CLASSES];

	if (read_handed(process, handed) || !is_step(samples, handed))
		return;
	for (size_t i = 0; i < samples->count; i++) {
		struct share *share = &samples->list[i];
		const struct class_sums *sums = &samples->classes[share->size_class];
		double scale;

		if (share->weight <= 0 || goes_on(sums, handed[share->size_class]))
			continue;
		scale = (double)(handed[share->size_class] - sums->handed) / sums->weight;
		share->bytes += share->weight * scale;
		share->objects += share->weight_objects * scale;
		share->weight = share->weight_objects = 0;
	}
	for (size_t c = 0; c < GO_SIZE_CLASSES; c++) {
		struct class_sums *sums = &samples->classes[c];

		if (goes_on(sums, handed[c]))
			continue;
		samples->nowhere +=
			sums->nowhere / sums->weight * (double)(handed[c] - sums->handed);
		*sums = (struct class_sums){.handed = handed[c]};
	}
}

static struct share *find_share(
	struct go_samples *samples, uint32_t size_class, const uint64_t *pcs, size_t count)
{
	uint64_t key = hash_bytes(size_class, pcs, count * sizeof(*pcs)), i;
	struct share *share;

	for (; table_get(&samples->by_stack, key, &i); key++) {
		share = &samples->list[i];
		if (share->size_class == size_class && share->pc_count == count &&
			!memcmp(samples->pcs + share->first_pc, pcs, count * sizeof(*pcs)))
			return share;
	}
	if (samples->count == MAX_STACKS)
		return NULL;
	array_reserve(samples->list, samples->count, samples->capacity);
	table_set(&samples->by_stack, key, samples->count);
	share = &samples->list[samples->count++];
	*share = (struct share){
		.first_pc = samples->pc_count, .pc_count = count, .size_class = size_class};
	for (size_t j = 0; j < count; j++) {
		array_reserve(samples->pcs, samples->pc_count, samples->pc_capacity);
		samples->pcs[samples->pc_count++] = pcs[j];
	}
	return share;
}

static void add_sample(struct go_samples *samples, const struct mt_record *record,
	uint32_t size_class, uint64_t bytes, uint64_t objects)
{
	uint64_t pcs[MT_STACK_FRAMES];
	size_t count = MIN(record->stack_bytes / sizeof(pcs[0]), ARRAY_SIZE(pcs));
	struct share *share;

	/* The first is the probe itself, the others are return addresses. */
	if (!(record->flags & MT_HAS_STACK) || count < 2)
		count = 1;
	memcpy(pcs, record->stack + 1, (count - 1) * sizeof(pcs[0]));
	share = find_share(samples, size_class, pcs, count - 1);
	samples->classes[size_class].weight += (double)bytes;
	samples->hits++;
	if (share) {
		share->weight += (double)bytes;
		share->weight_objects += (double)objects;
	} else {
		samples->classes[size_class].nowhere += (double)bytes;
	}
}

/* ---- hits ---- */

/* The object that was asked for is at addr. The first pc is the probe itself. */
static void place(struct runtime_process *process, const struct mt_record *record, uint64_t bytes,
	uint64_t sweepgen)
{
	uint64_t pcs[CENSUS_PCS];
	size_t count = MIN(record->stack_bytes / sizeof(pcs[0]), ARRAY_SIZE(pcs) + 1);

	if (!process->placed || !(record->flags & MT_HAS_STACK) || count < 2)
		return;
	memcpy(pcs, record->stack + 1, (count - 1) * sizeof(pcs[0]));
	go_placed_add(process->placed, record->addr, bytes, (uint32_t)sweepgen, pcs, count - 1);
}

/* val: nelems, allocCount, spanclass, elemsize, sweepgen; each with what lies behind it */
static int take_refill(struct runtime_process *process, const struct mt_record *record)
{
	const struct go_layout *layout = &process->facts.layout;
	uint64_t slots = layout->span_index_bytes == 8 ? record->val[0] : (uint16_t)record->val[0];
	uint64_t used = (uint16_t)record->val[1], bytes = record->val[3];
	uint32_t size_class = (uint8_t)record->val[2] >> 1;

	if (!size_class || size_class >= GO_SIZE_CLASSES || bytes != go_size_of_class(size_class) ||
		slots > MAX_OBJECTS || used > slots)
		return -EBADMSG;
	add_sample(process->samples, record, size_class, (slots - used) * bytes, slots - used);
	if (!used) /* its first slot is the next that is taken */
		place(process, record, bytes, record->val[4]);
	return 0;
}

/* val: npages, sweepgen */
static int take_large(struct runtime_process *process, const struct mt_record *record)
{
	if (!record->val[0] || record->val[0] > GO_MAX_BYTES / PAGE_BYTES)
		return -EBADMSG;
	add_sample(process->samples, record, LARGE_OBJECTS, record->val[0] * PAGE_BYTES, 1);
	place(process, record, record->val[0] * PAGE_BYTES, record->val[1]);
	return 0;
}

int go_sampled_take(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record)
{
	struct go_samples *samples = process->samples;

	if (!samples)
		return -EBADMSG;
	if (samples->hits && (record->time_ns - samples->last_ns > PAUSE_NS ||
				     record->time_ns - samples->begin_ns > STRETCH_NS)) {
		end_stretch(process);
		samples->begin_ns = record->time_ns;
	}
	if (!samples->begin_ns)
		samples->begin_ns = record->time_ns;
	samples->last_ns = record->time_ns;
	return probe->probe == GO_PROBE_REFILL ? take_refill(process, record)
					       : take_large(process, record);
}

/* ---- the profile ---- */

static int by_stack(const void *a, const void *b, void *arg)
{
	const struct go_samples *samples = arg;
	const struct share *x = a, *y = b;

	if (x->pc_count != y->pc_count)
		return x->pc_count < y->pc_count ? -1 : 1;
	return memcmp(samples->pcs + x->first_pc, samples->pcs + y->first_pc,
		x->pc_count * sizeof(samples->pcs[0]));
}

static int larger_first(const void *a, const void *b)
{
	const struct share *x = a, *y = b;

	return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : 0;
}

/* One for each stack, all classes together, the largest first. Returns how many. */
static size_t sum_stacks(struct go_samples *samples, struct share **ret)
{
	struct share *list = xcalloc(samples->count + 1, sizeof(*list));
	size_t count = 0;

	memcpy(list, samples->list, samples->count * sizeof(*list));
	qsort_r(list, samples->count, sizeof(*list), by_stack, samples);
	for (size_t i = 0; i < samples->count; i++) {
		if (count && !by_stack(&list[count - 1], &list[i], samples)) {
			list[count - 1].bytes += list[i].bytes;
			list[count - 1].objects += list[i].objects;
		} else {
			list[count++] = list[i];
		}
	}
	qsort(list, count, sizeof(*list), larger_first);
	*ret = list;
	return count;
}

static void tell(const struct go_samples *samples, const struct share *share,
	void (*found)(const struct runtime_allocated *allocated, void *arg), void *arg)
{
	struct runtime_allocated allocated = {
		.event = {.allocated_bytes = (uint64_t)share->bytes,
			.allocated_objects = (uint64_t)share->objects},
		.pcs = samples->pcs + share->first_pc,
		.pc_count = share->pc_count,
	};

	if (allocated.event.allocated_bytes)
		found(&allocated, arg);
}

/* What was handed out without a sample, and with samples that nobody could keep. */
static double without_stack(struct runtime_process *process)
{
	const struct go_samples *samples = process->samples;
	uint64_t handed[GO_SIZE_CLASSES];
	double bytes = samples->nowhere;

	if (read_handed(process, handed) || !is_step(samples, handed))
		return bytes;
	for (size_t c = 0; c < GO_SIZE_CLASSES; c++)
		bytes += (double)(handed[c] - samples->classes[c].handed);
	return bytes;
}

int go_sampled_profile(struct runtime_process *process,
	void (*found)(const struct runtime_allocated *allocated, void *arg), void *arg,
	struct event_profile *ret)
{
	struct go_samples *samples = process->samples;
	struct share nowhere = {0}, *list;
	double sum;
	size_t count;

	if (!samples || !samples->hits)
		return -ENODATA;
	end_stretch(process);
	sum = nowhere.bytes = without_stack(process);
	count = sum_stacks(samples, &list);
	for (size_t i = 0; i < count; i++)
		sum += list[i].bytes;
	*ret = (struct event_profile){.sampled = true,
		.complete = true,
		.rate_bytes = (uint64_t)(sum / (double)samples->hits)};
	for (size_t i = 0; i < count; i++)
		tell(samples, &list[i], found, arg);
	tell(samples, &nowhere, found, arg);
	free(list);
	return 0;
}

/* ---- open, close ---- */

struct go_samples *go_sampled_open(struct runtime_process *process)
{
	struct go_samples *samples;
	uint64_t handed[GO_SIZE_CLASSES];

	if (read_handed(process, handed))
		return NULL;
	samples = xcalloc(1, sizeof(*samples));
	for (size_t c = 0; c < GO_SIZE_CLASSES; c++)
		samples->classes[c].handed = handed[c];
	return samples;
}

void go_sampled_close(struct go_samples *samples)
{
	if (!samples)
		return;
	free(samples->list);
	free(samples->pcs);
	table_done(&samples->by_stack);
	free(samples);
}
