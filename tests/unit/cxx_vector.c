/* SPDX-License-Identifier: BSD-2-Clause */
#include "runtime/cxx/cxx_vector.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "runtime/cxx/cxx_hash.h"
#include "runtime/allocator/malloc_chunk.h"
#include "target/mem.h"

#define HEADER 0x10000ull
#define ARRAY  0x40010ull

static struct runtime_process process;

static void put(uint64_t addr, const void *words, size_t bytes)
{
	cr_assert_eq(target_mem_add_image(process.mem, addr, words, bytes), 0);
}

static void put_block(uint64_t bytes)
{
	uint64_t chunk = malloc_usable(bytes) + 8, size = chunk | 1, next = 0x21;

	put(ARRAY - 8, &size, sizeof(size));
	put(ARRAY - 16 + chunk + 8, &next, sizeof(next));
}

static void start(void)
{
	process = (struct runtime_process){.mem = target_mem_new_image()};
}

static void end(void)
{
	target_mem_close(process.mem);
}

TestSuite(cxx_vector, .init = start, .fini = end);

static struct runtime_probe probe_of(enum cxx_probe kind, uint32_t element_bytes)
{
	return (struct runtime_probe){.probe = kind, .element_bytes = element_bytes};
}

Test(cxx_vector, grows_to_twice_the_size)
{
	struct runtime_probe probe = probe_of(CXX_PROBE_VECTOR_TWICE, 8);
	struct mt_record record = {.addr = HEADER, .val = {ARRAY, ARRAY + 8000, ARRAY + 8000}};
	struct event event = {0};

	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect_eq(event.growth.key, HEADER);
	cr_expect_eq(event.growth.length, 1000);
	cr_expect_eq(event.growth.capacity, 2000);
	cr_expect_eq(event.growth.allocated_bytes, malloc_usable(16000));
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(8000));
	cr_expect_not(event.growth.new_container);
	record.val[1] = ARRAY + 9000; /* behind its end */
	cr_expect_eq(cxx_vector_decode(&process, &probe, &record, &event), -EBADMSG);
	record.flags = MT_UNREAD;
	cr_expect_eq(cxx_vector_decode(&process, &probe, &record, &event), -ENODATA);
}

Test(cxx_vector, asks_for_any_size)
{
	struct runtime_probe probe = probe_of(CXX_PROBE_VECTOR_NEW, 4);
	struct mt_record record = {.addr = HEADER, .val = {0, 0, 0, 400}};
	struct event event = {0};

	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect(event.growth.new_container);
	cr_expect_eq(event.growth.capacity, 100);
	cr_expect_eq(event.growth.garbage_bytes, 0);
}

Test(cxx_vector, inlined_has_no_container)
{
	struct runtime_probe probe = probe_of(CXX_PROBE_INLINED_NEW, 8);
	struct mt_record record = {.val = {16000}};
	struct event event = {0};

	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect_eq(event.growth.key, 0);
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(8000));
	record.val[0] = UINT64_MAX;
	cr_expect_eq(cxx_vector_decode(&process, &probe, &record, &event), -EBADMSG);
}

Test(cxx_vector, string_leaves_its_own_buffer)
{
	struct runtime_probe probe = probe_of(CXX_PROBE_STRING, 1);
	struct mt_record record = {.addr = HEADER, .val = {HEADER + 16, 15, 0, 0, 1}};
	struct event event = {0};

	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect(event.growth.new_container, "what it leaves was no array");
	cr_expect_eq(event.growth.capacity, 30);
	record = (struct mt_record){.addr = HEADER, .val = {ARRAY, 30, 30, 0, 100}};
	event = (struct event){0};
	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect_eq(event.growth.capacity, 130);
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(31));
	probe.probe = CXX_PROBE_STRING_RESERVE;
	record.val[3] = 20; /* has it already */
	cr_expect_eq(cxx_vector_decode(&process, &probe, &record, &event), -ENODATA);
}

Test(cxx_vector, deque_moves_or_grows)
{
	struct runtime_probe probe = probe_of(CXX_PROBE_DEQUE, 8);
	struct mt_record record = {.addr = HEADER, .val = {ARRAY, 64, ARRAY, ARRAY + 63 * 8, 1}};
	struct event event = {0};

	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect_eq(event.growth.allocated_bytes, malloc_usable(8 * 130));
	cr_expect_eq(event.growth.held_bytes, malloc_usable(8 * 130) + 64 * malloc_usable(512));
	record.val[3] = ARRAY + 8; /* two of 64 are used */
	cr_expect_eq(cxx_vector_decode(&process, &probe, &record, &event), -ENODATA);
}

static struct event_look look(const struct runtime_probe *probe)
{
	struct event_look ret;

	cxx_vector_look(&process, probe, HEADER, 500, false, &ret);
	return ret;
}

Test(cxx_vector, looks_at_a_vector)
{
	struct runtime_probe probe = probe_of(CXX_PROBE_VECTOR_TWICE, 8);
	uint64_t header[] = {ARRAY, ARRAY + 80, ARRAY + 8000};
	struct event_look found;

	put(HEADER, header, sizeof(header));
	put_block(8000);
	found = look(&probe);
	cr_expect_eq(found.liveness, LIVENESS_ALLOCATED);
	cr_expect_eq(found.length, 10);
	cr_expect_eq(found.capacity, 1000);
	cr_expect_eq(found.held_bytes, malloc_usable(8000));
	cr_expect_eq(found.need_bytes, malloc_usable(80));
	cr_expect_eq(found.need_peak_bytes, malloc_usable(4000));
	header[1] = ARRAY + 9000;
	put(HEADER, header, sizeof(header));
	cr_expect_eq(look(&probe).liveness, LIVENESS_DEAD);
	header[1] = ARRAY;
	process.glibc_malloc = true;
	header[2] = ARRAY + 80000; /* not of that block */
	put(HEADER, header, sizeof(header));
	cr_expect_eq(look(&probe).liveness, LIVENESS_DEAD);
}

Test(cxx_vector, looks_at_a_string)
{
	struct runtime_probe probe = probe_of(CXX_PROBE_STRING, 1);
	uint64_t header[] = {ARRAY, 100, 1000};

	put(HEADER, header, sizeof(header));
	put_block(1001);
	cr_expect_eq(look(&probe).length, 100);
	cr_expect_eq(look(&probe).capacity, 1000);
	header[0] = HEADER + 16;
	put(HEADER, header, sizeof(header));
	cr_expect_eq(look(&probe).liveness, LIVENESS_DEAD, "in itself");
}

Test(cxx_vector, looks_at_a_deque)
{
	struct runtime_probe probe = probe_of(CXX_PROBE_DEQUE, 8);
	uint64_t header[] = {
		ARRAY, 64, 0x50080, 0x50000, 0x50200, ARRAY, 0x60040, 0x60000, 0x60200, ARRAY + 16};
	struct event_look found;

	put(HEADER, header, sizeof(header));
	put_block(64 * 8);
	found = look(&probe);
	cr_expect_eq(found.liveness, LIVENESS_ALLOCATED);
	cr_expect_eq(found.length, 128 - 16 + 8);
	cr_expect_eq(found.held_bytes, malloc_usable(512) + 3 * malloc_usable(512));
	header[9] = ARRAY + 8 * 64; /* behind the array */
	put(HEADER, header, sizeof(header));
	cr_expect_eq(look(&probe).liveness, LIVENESS_DEAD);
}
