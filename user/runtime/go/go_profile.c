/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go's own allocation profile, read from outside: of each sampled object the span keeps a "special"
 * that leads to a bucket with the stack of its allocation (runtime/mheap.go specialprofile,
 * runtime/mprof.go bucket). It is on only where the program can read it (cmd/link sets
 * disableMemoryProfiling else), and has one object in 512 KiB by default: large arrays mostly.
 */
#include <string.h>

#include "runtime/go/go_census.h"
#include "runtime/go/go_size.h"

#define MAX_SPECIALS  65536
#define SPECIAL_BYTES 64
#define BUCKET_TYPE   16 /* runtime.bucket.typ, go1.19 to go1.26 */
#define BUCKET_FRAMES 40 /* runtime.bucket.nstk */
#define BUCKET_STACK  48 /* nstk pcs follow the bucket */
#define BUCKET_MEMORY 1  /* memProfile */

bool go_profile_enabled(struct runtime_process *process)
{
	const struct go_facts *facts = &process->facts;
	uint64_t rate = 0, buckets = 0;
	uint8_t disabled = 0;

	if (!facts->mbuckets || target_mem_read_u64(process->mem, facts->mbuckets, &buckets) ||
		!buckets)
		return false;
	if (facts->mem_profile_rate &&
		!target_mem_read_u64(process->mem, facts->mem_profile_rate, &rate) && !rate)
		return false;
	return !facts->disable_memory_profiling ||
	       target_mem_read(process->mem, facts->disable_memory_profiling, &disabled, 1) ||
	       !disabled;
}

static bool read_bucket(struct runtime_process *process, uint64_t bucket, uint64_t *ret_pcs)
{
	uint64_t kind, frames;

	if (target_mem_read_u64(process->mem, bucket + BUCKET_TYPE, &kind) ||
		kind != BUCKET_MEMORY ||
		target_mem_read_u64(process->mem, bucket + BUCKET_FRAMES, &frames) || !frames)
		return false;
	if (frames > CENSUS_PCS)
		frames = CENSUS_PCS;
	if (target_mem_read(process->mem, bucket + BUCKET_STACK, ret_pcs, frames * 8))
		return false;
	if (frames < CENSUS_PCS)
		ret_pcs[frames] = 0;
	return true;
}

bool go_profile_find_stack(
	struct runtime_process *process, uint64_t addr, uint64_t ret_pcs[CENSUS_PCS])
{
	const struct go_layout *layout = &process->facts.layout;
	struct go_object object = {.addr = addr};
	uint64_t special;

	if (go_heap_find_spans(process, &object, 1) || object.state != GO_OBJECT_ALLOCATED)
		return false;
	special = object.span.specials;
	/* Sorted by offset (addspecial()), so the walk ends behind the object. */
	for (int i = 0; special && i < MAX_SPECIALS; i++) {
		uint64_t offset = 0, next, bucket;
		uint8_t raw[SPECIAL_BYTES];

		if (target_mem_read(process->mem, special, raw, layout->special_bucket + 8u))
			return false;
		memcpy(&next, raw, 8);
		memcpy(&offset, raw + layout->special_offset, layout->special_offset_bytes);
		memcpy(&bucket, raw + layout->special_bucket, 8);
		if (object.span.start + offset >= object.base + object.span.elemsize)
			return false;
		if (object.span.start + offset >= object.base &&
			raw[layout->special_kind] == layout->special_kind_profile)
			return read_bucket(process, bucket, ret_pcs);
		special = next;
	}
	return false;
}
