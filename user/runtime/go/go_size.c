/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go's size classes and what make() allocates.
 *
 * runtime/sizeclasses.go (1.26: internal/runtime/gc/sizeclasses.go): the classes are the same in
 * 1.19, 1.21, 1.22, 1.23, 1.24 and 1.26. runtime/msize.go roundupsize() and runtime/malloc.go: since
 * 1.22 an object with pointers above 512 bytes has its type in front of it, unless it is large.
 * runtime/map.go makemap(), makeBucketArray(); internal/runtime/maps/map.go NewMap(); chan.go
 * makechan().
 */
#include <stddef.h>

#include "base/mem.h"
#include "runtime/go/go_size.h"

#define GO_PAGE 8192ull

static const uint16_t size_classes[] = {8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192,
	208, 224, 240, 256, 288, 320, 352, 384, 416, 448, 480, 512, 576, 640, 704, 768, 896, 1024,
	1152, 1280, 1408, 1536, 1792, 2048, 2304, 2688, 3072, 3200, 3456, 4096, 4864, 5376, 6144,
	6528, 6784, 6912, 8192, 9472, 9728, 10240, 10880, 12288, 13568, 14336, 16384, 18432, 19072,
	20480, 21760, 24576, 27264, 28672, 32768};

uint64_t go_size_of_class(size_t size_class)
{
	return size_class && size_class <= ARRAY_SIZE(size_classes) ? size_classes[size_class - 1]
								    : 0;
}

static uint64_t round_small(uint64_t bytes)
{
	size_t low = 0, high = ARRAY_SIZE(size_classes) - 1;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (size_classes[middle] < bytes)
			low = middle + 1;
		else
			high = middle;
	}
	return size_classes[low];
}

static bool has_malloc_header(const struct go_facts *facts, uint64_t bytes, bool has_pointers)
{
	return facts->layout.malloc_headers && has_pointers && bytes > GO_MALLOC_HEADER_FROM;
}

uint64_t go_size_alloc(const struct go_facts *facts, uint64_t bytes, bool has_pointers)
{
	/* maxSmallSize - mallocHeaderSize since 1.22, whether or not the object has a header */
	uint64_t small = GO_SMALL_MAX - (facts->layout.malloc_headers ? GO_MALLOC_HEADER : 0);

	if (!bytes)
		return 0;
	if (bytes > small)
		return bytes > GO_MAX_BYTES ? bytes : (bytes + GO_PAGE - 1) & ~(GO_PAGE - 1);
	if (has_malloc_header(facts, bytes, has_pointers))
		bytes += GO_MALLOC_HEADER;
	return round_small(bytes);
}

/* What the runtime's roundupsize() says: go_size_alloc() without the malloc header. */
static uint64_t usable(const struct go_facts *facts, uint64_t bytes, bool has_pointers)
{
	uint64_t alloc = go_size_alloc(facts, bytes, has_pointers);

	if (bytes <= GO_SMALL_MAX - GO_MALLOC_HEADER &&
		has_malloc_header(facts, bytes, has_pointers))
		return alloc - GO_MALLOC_HEADER;
	return alloc;
}

uint64_t go_size_buckets(
	const struct go_facts *facts, uint8_t b, uint64_t bucket_bytes, bool has_pointers)
{
	uint64_t count;

	if (b > GO_MAP_MAX_B || !bucket_bytes || bucket_bytes > UINT16_MAX)
		return 0;
	count = 1ull << b;
	if (b < GO_MAP_EXTRA_B)
		return count;
	count += 1ull << (b - GO_MAP_EXTRA_B);
	return usable(facts, count * bucket_bytes, has_pointers) / bucket_bytes;
}

uint64_t go_size_bucket_array(
	const struct go_facts *facts, uint8_t b, uint64_t bucket_bytes, bool has_pointers)
{
	uint64_t count = go_size_buckets(facts, b, bucket_bytes, has_pointers);

	return go_size_alloc(facts, count * bucket_bytes, has_pointers);
}

uint64_t go_size_table_groups(
	const struct go_facts *facts, uint64_t capacity, uint64_t group_bytes, bool has_pointers)
{
	return go_size_alloc(facts, capacity / GO_MAP_SLOTS * group_bytes, has_pointers);
}

uint64_t go_size_load_limit(const struct go_facts *facts, uint8_t b)
{
	/*
	 * loadFactorNum * (2^b / loadFactorDen), 13 / 2; but in 1.21 loadFactorNum was written as
	 * (bucketCnt * 13 / 16) * loadFactorDen, which integer division makes 12.
	 */
	uint64_t factor = facts->minor == 21 ? 12 : 13;
	uint64_t limit = b > GO_MAP_MAX_B ? 0 : factor * ((1ull << b) / 2);

	return MAX(limit, (uint64_t)GO_MAP_SLOTS);
}

uint64_t go_size_table_limit(uint64_t capacity)
{
	return capacity <= GO_MAP_SLOTS ? capacity - !!capacity : capacity * 7 / 8;
}

static uint64_t round_power(uint64_t value)
{
	uint64_t power = 1;

	while (power < value)
		power *= 2;
	return power;
}

static uint64_t need_classic(
	const struct go_facts *facts, uint64_t n, uint64_t bucket_bytes, bool has_pointers)
{
	uint64_t extra;
	uint8_t b = 0;

	while (n > go_size_load_limit(facts, b) && b < GO_MAP_MAX_B)
		b++;
	extra = go_size_buckets(facts, b, bucket_bytes, has_pointers) > 1ull << b;
	return GO_MAP_HEADER_BYTES + extra * GO_MAP_EXTRA_BYTES +
	       go_size_bucket_array(facts, b, bucket_bytes, has_pointers);
}

static uint64_t need_swiss(
	const struct go_facts *facts, uint64_t n, uint64_t group_bytes, bool has_pointers)
{
	uint64_t target = n * GO_MAP_SLOTS / 7, tables, capacity;

	if (n <= GO_MAP_SLOTS)
		return GO_MAP_HEADER_BYTES + go_size_alloc(facts, group_bytes, has_pointers);
	tables = round_power((target + GO_MAP_TABLE_CAPACITY - 1) / GO_MAP_TABLE_CAPACITY);
	capacity = round_power(MAX(target / tables, (uint64_t)GO_MAP_SLOTS));
	return GO_MAP_HEADER_BYTES + go_size_alloc(facts, tables * 8, true) +
	       tables * (GO_MAP_TABLE_BYTES +
				go_size_table_groups(facts, capacity, group_bytes, has_pointers));
}

uint64_t go_size_need_map(
	const struct go_facts *facts, uint64_t n, uint64_t group_bytes, bool has_pointers)
{
	if (!n || n > GO_MAX_BYTES / 8)
		return GO_MAP_HEADER_BYTES;
	return facts->swiss ? need_swiss(facts, n, group_bytes, has_pointers)
			    : need_classic(facts, n, group_bytes, has_pointers);
}

uint64_t go_size_need_channel(
	const struct go_facts *facts, uint64_t n, uint64_t elem_bytes, bool has_pointers)
{
	uint64_t header = facts->layout.chan_header, ring = n * elem_bytes;

	if (elem_bytes > UINT16_MAX || n > GO_MAX_BYTES / UINT16_MAX)
		return 0;
	if (!has_pointers || !ring)
		return go_size_alloc(facts, header + ring, false);
	return go_size_alloc(facts, header, true) + go_size_alloc(facts, ring, true);
}
