/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A container is known by its header. That may be a word of a stack long since left, or of memory that is
 * something else now: its words must agree with each other and with the block of malloc that they point to
 * whenever it is looked at, and nothing here proves that it is alive.
 *
 * Of a deque the array of blocks grows, and its blocks come and go with its elements; both are its own.
 */
#include "runtime/cxx/cxx_vector.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"
#include "runtime/cxx/cxx_hash.h"
#include "runtime/allocator/malloc_chunk.h"
#include "runtime/resident.h"
#include "target/mem.h"

#define MAX_BYTES         (1ull << 46)
#define STRING_LOCAL      16 /* where the buffer within a string is, and its bytes */
#define DEQUE_BLOCK_BYTES 512
#define LIBCXX_LONG       1ull /* in the first word of a string: it has an array */
#define LIBCXX_LOCAL      23   /* bytes of a string within it */
#define LIBCXX_ALIGNMENT  16   /* to which the bytes of its array are rounded up; 8 since LLVM 19 */

struct vector_header {
	uint64_t begin, end, limit;
};

struct string_header {
	uint64_t data, length, capacity;
};

struct deque_iterator {
	uint64_t current, first, last, node;
};

struct deque_header {
	uint64_t blocks, size;
	struct deque_iterator start, finish;
};

/* What a look at any of them finds. */
struct extent {
	uint64_t block, bytes; /* the array */
	uint64_t length, capacity;
	uint64_t element_bytes;
	uint64_t more_bytes; /* held elsewhere, and needed for as many elements */
};

static uint64_t element_of(const struct runtime_probe *probe)
{
	return MAX(probe->element_bytes, 1u);
}

static uint64_t block_of_deque(uint64_t element)
{
	return element < DEQUE_BLOCK_BYTES ? DEQUE_BLOCK_BYTES / element * element : element;
}

/* Characters without the 0 behind them. */
static uint64_t libcxx_local(uint64_t element)
{
	return MAX(LIBCXX_LOCAL / element, 2ull) - 1;
}

/* basic_string::__recommend() */
static uint64_t libcxx_recommended(uint64_t wanted, uint64_t element)
{
	uint64_t step = element < LIBCXX_ALIGNMENT ? LIBCXX_ALIGNMENT / element : 1;

	if (wanted <= libcxx_local(element))
		return libcxx_local(element);
	return (wanted + 1 + step - 1) / step * step - 1;
}

/* ---- growth ---- */

/* bytes of the old array and of the new one; old 0 = there was none. */
static int fill(struct event *ret, uint64_t key, uint64_t old, uint64_t now)
{
	struct event_growth *growth = &ret->growth;

	if (!now || now > MAX_BYTES || old > MAX_BYTES)
		return -EBADMSG;
	ret->kind = EVENT_GROWTH;
	growth->family = FAMILY_VECTOR;
	growth->key = growth->old_key = key;
	growth->new_container = !old;
	growth->same_size = now <= old;
	growth->allocated_bytes = malloc_usable(now);
	growth->garbage_bytes = old ? malloc_usable(old) : 0;
	growth->held_bytes = growth->allocated_bytes;
	return 0;
}

static int decode_vector(
	const struct runtime_probe *probe, const struct mt_record *record, struct event *ret)
{
	const struct vector_header header = {record->val[0], record->val[1], record->val[2]};
	uint64_t element = element_of(probe), old = header.limit - header.begin;
	bool twice = probe->probe == CXX_PROBE_VECTOR_TWICE;
	int err;

	if (header.begin > header.end || header.end > header.limit || old % element)
		return -EBADMSG;
	err = fill(ret, record->addr, old, twice ? 2 * old : record->val[3]);
	if (err)
		return err;
	ret->growth.has_length = true;
	ret->growth.length = (header.end - header.begin) / element;
	ret->growth.capacity = (twice ? 2 * old : record->val[3]) / element;
	return 0;
}

/* std::string::_M_create(): at least twice as much. */
static int decode_string(
	const struct runtime_probe *probe, const struct mt_record *record, struct event *ret)
{
	bool local = record->val[0] == record->addr + STRING_LOCAL;
	uint64_t element = element_of(probe);
	uint64_t old = local ? STRING_LOCAL / element - 1 : record->val[2], wanted;
	int err;

	wanted = probe->probe == CXX_PROBE_STRING_RESERVE
			 ? record->val[3]
			 : record->val[1] + record->val[4] - record->val[3];
	if (old > MAX_BYTES || record->val[1] > old || wanted > MAX_BYTES)
		return -EBADMSG;
	if (wanted <= old)
		return -ENODATA;
	wanted = MAX(wanted, 2 * old);
	err = fill(ret, record->addr, local ? 0 : (old + 1) * element, (wanted + 1) * element);
	if (err)
		return err;
	ret->growth.has_length = true;
	ret->growth.length = record->val[1];
	ret->growth.capacity = wanted;
	return 0;
}

/* std::deque::_M_reallocate_map(): where less than half is used it only moves what is there. */
static int decode_deque(
	const struct runtime_probe *probe, const struct mt_record *record, struct event *ret)
{
	uint64_t size = record->val[1], more = record->val[4];
	uint64_t used = (record->val[3] - record->val[2]) / 8 + 1;
	int err;

	if (record->val[3] < record->val[2] || used > size || size > MAX_BYTES || more > MAX_BYTES)
		return -EBADMSG;
	if (size > 2 * (used + more))
		return -ENODATA;
	err = fill(ret, record->addr, 8 * size, 8 * (size + MAX(size, more) + 2));
	if (!err)
		ret->growth.held_bytes += used * malloc_usable(block_of_deque(element_of(probe)));
	return err;
}

/* libc++: __grow_by(old capacity, more, old length, ...), __grow_by_and_replace(), reserve(wanted). */
static int decode_libcxx_string(
	const struct runtime_probe *probe, const struct mt_record *record, struct event *ret)
{
	uint64_t element = element_of(probe), local = libcxx_local(element);
	bool is_long = record->val[0] & LIBCXX_LONG, reserve;
	uint64_t old = is_long ? (record->val[0] & ~LIBCXX_LONG) - 1 : local;
	uint64_t length = is_long ? record->val[1] : 0, wanted = record->val[3];
	int err;

	reserve = probe->probe == CXX_PROBE_LIBCXX_STRING_RESERVE;
	if (!reserve) {
		old = record->val[3];
		length = record->val[5];
		wanted = MAX(old + record->val[4], 2 * old);
	}
	if (old > MAX_BYTES || length > old || wanted > MAX_BYTES)
		return -EBADMSG;
	if (wanted <= old)
		return -ENODATA;
	wanted = libcxx_recommended(wanted, element);
	err = fill(
		ret, record->addr, old == local ? 0 : (old + 1) * element, (wanted + 1) * element);
	if (err)
		return err;
	ret->growth.has_length = is_long || !reserve;
	ret->growth.length = length;
	ret->growth.capacity = wanted;
	return 0;
}

/* Growth by one: to twice the size, from one that is full. */
/* However large its array is made, that is what is asked for. */
static int decode_libcxx_string_new(
	const struct runtime_probe *probe, const struct mt_record *record, struct event *ret)
{
	uint64_t word = record->val[0], element = element_of(probe);
	uint64_t old = word & LIBCXX_LONG ? (word & ~LIBCXX_LONG) * element : 0;
	int err;

	if ((word & ~LIBCXX_LONG) > MAX_BYTES && word & LIBCXX_LONG)
		return -EBADMSG;
	err = fill(ret, record->addr, old, record->val[3]);
	if (err)
		return err;
	ret->growth.has_length = true;
	ret->growth.length = word & LIBCXX_LONG ? record->val[1] : (word & 0xff) >> 1;
	ret->growth.capacity = record->val[3] / element - 1;
	return 0;
}

static int decode_inlined(
	const struct runtime_probe *probe, const struct mt_record *record, struct event *ret)
{
	uint64_t old = record->val[2] - record->val[0], now = record->val[3];

	if (probe->attachment.addr.from == MT_FROM_NOTHING)
		return fill(ret, 0, record->val[0] / 2, record->val[0]);
	/* What was taken for a header may be none. */
	if (record->val[1] != record->val[2] || now != 2 * old)
		return fill(ret, 0, now / 2, now);
	return decode_vector(probe, record, ret);
}

static int decode_inlined_deque(
	const struct runtime_probe *probe, const struct mt_record *record, struct event *ret)
{
	uint64_t words = record->val[0] / 8;

	(void)probe;
	return fill(ret, 0, words > 2 ? (words - 2) / 2 * 8 : 0, record->val[0]);
}

/* ---- looking ---- */

static bool read_vector(struct target_mem *mem, uint64_t key, struct extent *ret)
{
	struct vector_header header;

	if (target_mem_read(mem, key, &header, sizeof(header)) || !header.begin ||
		header.begin > header.end || header.end > header.limit ||
		header.limit - header.begin > MAX_BYTES)
		return false;
	ret->block = header.begin;
	ret->bytes = header.limit - header.begin;
	ret->length = (header.end - header.begin) / ret->element_bytes;
	ret->capacity = ret->bytes / ret->element_bytes;
	return ret->bytes && ret->bytes % ret->element_bytes == 0;
}

static bool read_string(struct target_mem *mem, uint64_t key, struct extent *ret)
{
	struct string_header header;

	if (target_mem_read(mem, key, &header, sizeof(header)) || !header.data ||
		header.data == key + STRING_LOCAL || header.length > header.capacity ||
		header.capacity > MAX_BYTES)
		return false;
	ret->block = header.data;
	ret->bytes = (header.capacity + 1) * ret->element_bytes;
	ret->length = header.length;
	ret->capacity = header.capacity;
	return true;
}

static bool is_block_of(const struct deque_iterator *iterator, uint64_t block_bytes)
{
	return iterator->first && iterator->last - iterator->first == block_bytes &&
	       iterator->current >= iterator->first && iterator->current <= iterator->last;
}

static bool read_deque(struct target_mem *mem, uint64_t key, struct extent *ret)
{
	uint64_t element = ret->element_bytes, block_bytes = block_of_deque(element), blocks;
	struct deque_header header;

	if (target_mem_read(mem, key, &header, sizeof(header)) || !header.blocks ||
		header.size > MAX_BYTES || header.start.node < header.blocks ||
		header.finish.node < header.start.node ||
		header.finish.node >= header.blocks + 8 * header.size ||
		!is_block_of(&header.start, block_bytes) ||
		!is_block_of(&header.finish, block_bytes))
		return false;
	blocks = (header.finish.node - header.start.node) / 8;
	ret->block = header.blocks;
	ret->bytes = 8 * header.size;
	ret->length = (blocks * block_bytes + (header.finish.current - header.finish.first) -
			      (header.start.current - header.start.first)) /
		      element;
	ret->capacity = header.size * (block_bytes / element);
	ret->more_bytes = (blocks + 1) * malloc_usable(block_bytes);
	return true;
}

/* A short one is in the header: there is no array. */
static bool read_libcxx_string(struct target_mem *mem, uint64_t key, struct extent *ret)
{
	uint64_t words[3];

	if (target_mem_read(mem, key, words, sizeof(words)) || !(words[0] & LIBCXX_LONG) ||
		!words[2] || words[0] <= LIBCXX_LOCAL || words[0] > MAX_BYTES ||
		words[1] >= words[0])
		return false;
	ret->capacity = (words[0] & ~LIBCXX_LONG) - 1;
	ret->block = words[2];
	ret->bytes = (ret->capacity + 1) * ret->element_bytes;
	ret->length = words[1];
	return true;
}

/* A deque's array is as long as it ever had to be: it needs one entry for each of its blocks. */
static uint64_t need_bytes(
	const struct runtime_probe *probe, const struct extent *extent, uint64_t length)
{
	if (probe->probe == CXX_PROBE_DEQUE)
		return malloc_usable(MAX(extent->more_bytes / DEQUE_BLOCK_BYTES + 2, 8ull) * 8) +
		       extent->more_bytes;
	return length ? malloc_usable(length * extent->element_bytes) : 0;
}

/* ---- all ---- */

static const struct {
	enum cxx_probe probe;
	int (*decode)(const struct runtime_probe *probe, const struct mt_record *record,
		struct event *ret);
	/* NULL = its header is not known */
	bool (*read)(struct target_mem *mem, uint64_t key, struct extent *ret);
} shapes[] = {
	{CXX_PROBE_VECTOR_TWICE, decode_vector, read_vector},
	{CXX_PROBE_VECTOR_NEW, decode_vector, read_vector},
	{CXX_PROBE_STRING, decode_string, read_string},
	{CXX_PROBE_STRING_RESERVE, decode_string, read_string},
	{CXX_PROBE_LIBCXX_STRING, decode_libcxx_string, read_libcxx_string},
	{CXX_PROBE_LIBCXX_STRING_RESERVE, decode_libcxx_string, read_libcxx_string},
	{CXX_PROBE_LIBCXX_STRING_NEW, decode_libcxx_string_new, read_libcxx_string},
	{CXX_PROBE_DEQUE, decode_deque, read_deque},
	{CXX_PROBE_INLINED_NEW, decode_inlined, read_vector},
	{CXX_PROBE_DEQUE_NEW, decode_inlined_deque, NULL},
};

int cxx_vector_decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret)
{
	(void)process;
	if (record->flags & MT_UNREAD)
		return -ENODATA;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		if (shapes[i].probe == probe->probe)
			return shapes[i].decode(probe, record, ret);
	return -EBADMSG;
}

static bool read_extent(struct runtime_process *process, const struct runtime_probe *probe,
	uint64_t key, struct extent *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		if (shapes[i].probe == probe->probe)
			return shapes[i].read && shapes[i].read(process->mem, key, ret);
	return false;
}

void cxx_vector_look(struct runtime_process *process, const struct runtime_probe *probe,
	uint64_t key, uint64_t length_peak, bool deep, struct event_look *ret)
{
	struct extent extent = {.element_bytes = element_of(probe)};

	*ret = (struct event_look){.family = FAMILY_VECTOR, .key = key, .liveness = LIVENESS_DEAD};
	if (!read_extent(process, probe, key, &extent) ||
		!malloc_block_held(process->mem, &process->glibc_malloc, extent.block, extent.bytes,
			&ret->held_bytes))
		return;
	ret->liveness = LIVENESS_ALLOCATED;
	ret->has_length = true;
	ret->length = extent.length;
	ret->capacity = ret->load_limit = extent.capacity;
	ret->held_bytes += extent.more_bytes;
	ret->need_bytes = need_bytes(probe, &extent, extent.length);
	ret->need_peak_bytes = need_bytes(probe, &extent, MAX(length_peak, extent.length));
	ret->stamp = hash_bytes(0, &extent, sizeof(extent));
	if (!deep)
		return;
	ret->has_resident = true;
	ret->resident_bytes =
		resident_bytes(process->mem, extent.block, extent.bytes) + extent.more_bytes;
}
