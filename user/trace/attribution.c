/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A Go map touches its new array in evacuation, long after the growth, from any place that writes to the
 * map; append clears the end of its new array before the growth is reported. So the address decides,
 * and it is asked for when the next look has read where the arrays are now: of living containers from
 * the runtime, of arrays that are gone again from the growths of the last time.
 *
 * The mappings are read again when an address is in none of them, but not all the time: a fault in a
 * mapping that is younger than the last reading waits for the next one.
 */
#include "trace/attribution.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "target/mappings.h"
#include "target/mem.h"
#include "target/process.h"

#define PAGE_BYTES       4096ull
#define MAX_WAITING      2048
#define MAX_ARRAYS       512  /* ring: the oldest are forgotten */
#define MAX_MAPPED       1024 /* ring */
#define ARRAY_MIN_BYTES  PAGE_BYTES
#define MAPPINGS_REST    50 /* times as long as reading the mappings takes */
#define MEASURE_LIMIT_NS (400 * NSEC_PER_MSEC)

/* Addresses that a site is the origin of. */
struct origin {
	uint64_t start, end;
	uint32_t site;
};

struct attribution {
	int pid;
	struct model *model;
	uint32_t target;
	struct attribution_owners owners;
	struct event waiting[MAX_WAITING];
	size_t waiting_count;
	struct origin arrays[MAX_ARRAYS], mapped[MAX_MAPPED];
	uint64_t array_count, mapped_count;
	struct mappings *mappings;
	uint64_t mappings_due_ns; /* not read again before */
	uint64_t brk_end;         /* 0 = not known */
};

struct attribution *attribution_new(
	int pid, struct model *model, uint32_t target, const struct attribution_owners *owners)
{
	struct attribution *attribution = xcalloc(1, sizeof(*attribution));

	attribution->pid = pid;
	attribution->model = model;
	attribution->target = target;
	attribution->owners = *owners;
	attribution->mappings = mappings_new();
	return attribution;
}

void attribution_free(struct attribution *attribution)
{
	if (!attribution)
		return;
	mappings_free(attribution->mappings);
	free(attribution);
}

/* ---- where addresses come from ---- */

/* The newest origin of addr: the site, or 0. */
static uint32_t find_origin(const struct origin *ring, uint64_t count, uint64_t size, uint64_t addr)
{
	for (uint64_t i = 1; i <= MIN(count, size); i++) {
		const struct origin *origin = &ring[(count - i) % size];

		if (addr >= origin->start && addr < origin->end)
			return origin->site;
	}
	return 0;
}

void attribution_add_array(
	struct attribution *attribution, uint64_t addr, uint64_t bytes, uint32_t site)
{
	if (bytes < ARRAY_MIN_BYTES || !site || addr + bytes < addr)
		return;
	attribution->arrays[attribution->array_count++ % MAX_ARRAYS] =
		(struct origin){addr, addr + bytes, site};
}

static void add_mapped(
	struct attribution *attribution, uint64_t addr, uint64_t bytes, uint32_t site)
{
	if (addr + bytes < addr)
		return;
	/* Without a site it still hides what was mapped there before. */
	attribution->mapped[attribution->mapped_count++ % MAX_MAPPED] =
		(struct origin){addr, addr + bytes, site};
}

static uint32_t mapped_at(const struct attribution *attribution, uint64_t addr)
{
	return find_origin(attribution->mapped, attribution->mapped_count, MAX_MAPPED, addr);
}

static int read_mappings(struct attribution *attribution)
{
	uint64_t begin_ns = clock_mono_ns(), now_ns;
	int r = mappings_read(attribution->mappings, attribution->pid);

	now_ns = clock_mono_ns();
	attribution->mappings_due_ns = now_ns + (now_ns - begin_ns) * MAPPINGS_REST;
	return r;
}

static const struct mapped_range *range_of(struct attribution *attribution, uint64_t addr)
{
	const struct mapped_range *range = mappings_find(attribution->mappings, addr);

	if (range || clock_mono_ns() < attribution->mappings_due_ns ||
		read_mappings(attribution) < 0)
		return range;
	return mappings_find(attribution->mappings, addr);
}

static enum mapping mapping_of(
	const struct attribution *attribution, const struct mapped_range *range, uint64_t addr)
{
	static const enum mapping plain[] = {
		[MAPPED_FILE] = MAPPING_FILE,
		[MAPPED_SHARED] = MAPPING_SHARED,
		[MAPPED_BRK] = MAPPING_BRK,
		[MAPPED_STACK] = MAPPING_STACK,
		[MAPPED_ANON] = MAPPING_ANON,
	};

	if (!range)
		return MAPPING_UNKNOWN;
	if (range->as == MAPPED_ANON && attribution->owners.is_heap(attribution->owners.arg, addr))
		return MAPPING_RUNTIME;
	return plain[range->as];
}

/* ---- faults ---- */

static void settle_one(struct attribution *attribution, struct event *event)
{
	struct event_faults *faults = &event->faults;
	const struct mapped_range *range = range_of(attribution, faults->addr);

	faults->key = attribution->owners.container(attribution->owners.arg, faults->addr);
	if (!faults->key)
		faults->grown_site = find_origin(
			attribution->arrays, attribution->array_count, MAX_ARRAYS, faults->addr);
	faults->mapping = mapping_of(attribution, range, faults->addr);
	if (range && range->as == MAPPED_FILE)
		faults->name = model_intern(attribution->model, range->name);
	/* A runtime maps its heap wherever it happens to run out of it: that says nothing. */
	if (faults->mapping != MAPPING_RUNTIME)
		faults->mapped_site = mapped_at(attribution, faults->addr);
	model_apply(attribution->model, event);
}

void attribution_settle(struct attribution *attribution)
{
	for (size_t i = 0; i < attribution->waiting_count; i++)
		settle_one(attribution, &attribution->waiting[i]);
	attribution->waiting_count = 0;
}

bool attribution_is_waiting(const struct attribution *attribution)
{
	return attribution->waiting_count > 0;
}

void attribution_take_fault(struct attribution *attribution, const struct mt_record *record,
	const struct symbolizer_toucher *toucher)
{
	struct event event = {
		.kind = EVENT_FAULTS, .target = attribution->target, .time_ns = record->time_ns};

	event.faults = (struct event_faults){
		.addr = record->addr,
		.site = toucher->site,
		.faults = record->val[0],
		.bytes = record->val[1] * PAGE_BYTES,
		.lost_bytes = record->val[2] * PAGE_BYTES,
		.family = toucher->family,
		.direct = toucher->direct,
	};
	if (attribution->waiting_count == MAX_WAITING)
		attribution_settle(attribution);
	attribution->waiting[attribution->waiting_count++] = event;
}

/* ---- system calls ---- */

static uint64_t whole_pages(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static int64_t grown_by(struct attribution *attribution, const struct mt_record *record)
{
	uint64_t before = attribution->brk_end;

	switch (record->val[0]) {
	case MT_CALL_MMAP:
		return (int64_t)whole_pages(record->val[1]);
	case MT_CALL_MUNMAP:
		return -(int64_t)whole_pages(record->val[1]);
	case MT_CALL_MREMAP:
		return (int64_t)(whole_pages(record->val[1]) - whole_pages(record->val[3]));
	case MT_CALL_BRK:
		attribution->brk_end = record->addr;
		return before ? (int64_t)(record->addr - before) : 0;
	default:
		return 0;
	}
}

void attribution_take_call(
	struct attribution *attribution, const struct mt_record *record, uint32_t site)
{
	struct event event = {
		.kind = EVENT_MEMORY, .target = attribution->target, .time_ns = record->time_ns};
	int64_t grown;

	if (record->val[0] >= MT_CALLS)
		return;
	grown = grown_by(attribution, record);
	event.memory = (struct event_memory){
		.call = (enum memory_call)record->val[0],
		.site = site,
		.addr = record->addr,
		.mapped_bytes = grown > 0 ? (uint64_t)grown : 0,
		.unmapped_bytes = grown < 0 ? (uint64_t)-grown : 0,
		.lost_bytes = record->val[2] * PAGE_BYTES,
	};
	if (event.memory.mapped_bytes && event.memory.call != MEMORY_BRK)
		add_mapped(attribution, record->addr, whole_pages(record->val[1]), site);
	model_apply(attribution->model, &event);
}

/* ---- measuring ---- */

/* Mapped since attach by code that is not the runtime's. */
static bool is_off_heap(const struct attribution *attribution, uint64_t addr)
{
	const struct site *site = model_site(attribution->model, mapped_at(attribution, addr));

	return site && *site->function;
}

/* Where what was mapped by one call begins or ends, behind addr; at most end. Calls tell bytes, the kernel maps pages. */
static uint64_t next_border(const struct attribution *attribution, uint64_t addr, uint64_t end)
{
	uint64_t count = MIN(attribution->mapped_count, (uint64_t)MAX_MAPPED);

	for (uint64_t i = 0; i < count; i++) {
		const struct origin *origin = &attribution->mapped[i];
		uint64_t borders[] = {origin->start, origin->end + TARGET_PAGE_BYTES - 1};

		for (size_t k = 0; k < ARRAY_SIZE(borders); k++) {
			uint64_t border = borders[k] & ~(TARGET_PAGE_BYTES - 1);

			if (border > addr)
				end = MIN(end, border);
		}
	}
	return end;
}

/* The kernel shows neighbours that were mapped by several calls as one range. */
static int measure_off_heap(struct attribution *attribution, int pagemap_fd,
	const struct mapped_range *range, uint64_t deadline_ns, uint64_t *ret_bytes)
{
	uint64_t sum = 0, next;

	for (uint64_t at = range->start; at < range->end; at = next) {
		uint64_t bytes = 0;
		int r;

		next = next_border(attribution, at, range->end);
		if (!is_off_heap(attribution, at))
			continue;
		r = mappings_count_private(pagemap_fd, at, next, deadline_ns, &bytes);
		if (r)
			return r;
		sum += bytes;
	}
	*ret_bytes = sum;
	return 0;
}

static int measure_range(struct attribution *attribution, int pagemap_fd,
	const struct mapped_range *range, uint64_t deadline_ns, struct event_resident *ret)
{
	uint64_t bytes = 0, off_heap_bytes = 0;
	enum mapping mapping;
	int r;

	if (!range->private || !range->accessible)
		return 0;
	r = mappings_count_private(pagemap_fd, range->start, range->end, deadline_ns, &bytes);
	if (r)
		return r;
	mapping = mapping_of(attribution, range, range->start);
	ret->bytes[mapping] += bytes;
	if (mapping == MAPPING_RUNTIME)
		ret->given_back_bytes += attribution->owners.given_back(
			attribution->owners.arg, range->start, range->end);
	if (mapping == MAPPING_ANON)
		r = measure_off_heap(attribution, pagemap_fd, range, deadline_ns, &off_heap_bytes);
	ret->off_heap_bytes += off_heap_bytes;
	if (range->as == MAPPED_BRK)
		attribution->brk_end = range->end;
	return r;
}

static int measure(
	struct attribution *attribution, uint64_t deadline_ns, struct event_resident *ret)
{
	struct process_usage usage;
	uint64_t shared;
	char path[32];
	int fd, r;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", attribution->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	r = read_mappings(attribution);
	for (size_t i = 0; !r && i < mappings_count(attribution->mappings); i++)
		r = measure_range(
			attribution, fd, mappings_at(attribution->mappings, i), deadline_ns, ret);
	close(fd);
	if (!r)
		r = process_read_usage(attribution->pid, &usage);
	if (!r)
		r = process_read_shared(attribution->pid, &shared);
	if (r)
		return r;
	ret->rss_bytes = usage.rss_bytes;
	ret->bytes[MAPPING_SHARED] = shared;
	ret->bytes[MAPPING_FILE] += usage.file_bytes - MIN(usage.file_bytes, shared);
	return 0;
}

int attribution_measure(struct attribution *attribution, uint64_t now_ns)
{
	struct event event = {
		.kind = EVENT_RESIDENT, .target = attribution->target, .time_ns = now_ns};
	int r = measure(attribution, clock_mono_ns() + MEASURE_LIMIT_NS, &event.resident);

	if (!r)
		model_apply(attribution->model, &event);
	return r;
}
