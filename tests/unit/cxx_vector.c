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

Test(cxx_vector, inlined_may_have_one)
{
	struct runtime_probe probe = probe_of(CXX_PROBE_INLINED_NEW, 8);
	struct mt_record record = {
		.addr = HEADER, .val = {ARRAY, ARRAY + 8000, ARRAY + 8000, 16000}};
	struct event event = {0};

	probe.attachment.addr.from = MT_FROM_REG;
	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect_eq(event.growth.key, HEADER);
	cr_expect_eq(event.growth.length, 1000);
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(8000));
	record.val[1] -= 8; /* has room for one more: that is not its header */
	event = (struct event){0};
	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect_eq(event.growth.key, 0);
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(8000));
	record.val[3] = UINT64_MAX;
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

/* libc++: the first word says whether there is an array, and how large it is. */
Test(cxx_vector, libcxx_string_grows)
{
	struct runtime_probe probe = probe_of(CXX_PROBE_LIBCXX_STRING, 1);
	struct mt_record record = {.addr = HEADER, .val = {22 << 1, 0, 0, 22, 1, 22}};
	struct event event = {0};

	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect(event.growth.new_container, "what it leaves was no array");
	cr_expect_eq(event.growth.capacity, 47, "twice as much, to a multiple of 16 with its end");
	record = (struct mt_record){.addr = HEADER, .val = {49, 47, ARRAY, 47, 100, 47}};
	event = (struct event){0};
	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect_eq(event.growth.capacity, 159);
	cr_expect_eq(event.growth.length, 47);
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(48));
	record.val[3] = UINT64_MAX;
	cr_expect_eq(cxx_vector_decode(&process, &probe, &record, &event), -EBADMSG);
	probe.element_bytes = 4; /* wchar_t: four fit in itself */
	record = (struct mt_record){.addr = HEADER, .val = {4 << 1, 0, 0, 4, 1, 4}};
	event = (struct event){0};
	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect(event.growth.new_container);
	cr_expect_eq(event.growth.capacity, 11);
}

Test(cxx_vector, libcxx_string_is_reserved)
{
	struct runtime_probe probe = probe_of(CXX_PROBE_LIBCXX_STRING_RESERVE, 1);
	struct mt_record record = {.addr = HEADER, .val = {49, 40, ARRAY, 100}};
	struct event event = {0};

	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect_eq(event.growth.capacity, 111);
	cr_expect_eq(event.growth.length, 40);
	record.val[3] = 47; /* has it already */
	cr_expect_eq(cxx_vector_decode(&process, &probe, &record, &event), -ENODATA);
	record.val[0] = 40; /* a short one: its words are text */
	record.val[1] = UINT64_MAX;
	record.val[3] = 100;
	event = (struct event){0};
	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect(event.growth.new_container);
	cr_expect_not(event.growth.has_length);
}

Test(cxx_vector, libcxx_string_asks_for_an_array)
{
	struct runtime_probe probe = probe_of(CXX_PROBE_LIBCXX_STRING_NEW, 1);
	struct mt_record record = {.addr = HEADER, .val = {22 << 1, UINT64_MAX, 0, 48}};
	struct event event = {0};

	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect(event.growth.new_container, "what it leaves was no array");
	cr_expect_eq(event.growth.capacity, 47);
	cr_expect_eq(event.growth.length, 22, "the other words are text");
	record = (struct mt_record){.addr = HEADER, .val = {49, 47, ARRAY, 160}};
	event = (struct event){0};
	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect_eq(event.growth.key, HEADER);
	cr_expect_eq(event.growth.capacity, 159);
	cr_expect_eq(event.growth.length, 47);
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(48));
	probe.element_bytes = 4;
	event = (struct event){0};
	cr_assert_eq(cxx_vector_decode(&process, &probe, &record, &event), 0);
	cr_expect_eq(event.growth.capacity, 39);
	cr_expect_eq(event.growth.garbage_bytes, malloc_usable(192));
	record.val[3] = UINT64_MAX;
	cr_expect_eq(cxx_vector_decode(&process, &probe, &record, &event), -EBADMSG);
	record.val[0] = UINT64_MAX;
	cr_expect_eq(cxx_vector_decode(&process, &probe, &record, &event), -EBADMSG);
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

Test(cxx_vector, looks_at_a_string_of_libcxx)
{
	struct runtime_probe probe = probe_of(CXX_PROBE_LIBCXX_STRING, 1);
	const uint64_t good[] = {1009, 100, ARRAY};
	const uint64_t bad[][3] = {{1008, 100, ARRAY}, {1009, 1009, ARRAY},
		{1009, UINT64_MAX, ARRAY}, {1009, 100, 0}, {1009, 100, HEADER + 1}, {1, 0, ARRAY},
		{UINT64_MAX, 100, ARRAY}, {90009, 100, ARRAY}};

	put(HEADER, good, sizeof(good));
	put_block(1008);
	cr_expect_eq(look(&probe).length, 100);
	cr_expect_eq(look(&probe).capacity, 1007);
	cr_expect_eq(look(&probe).held_bytes, malloc_usable(1008));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		put(HEADER, bad[i], sizeof(bad[i]));
		cr_expect_eq(look(&probe).liveness, LIVENESS_DEAD, "%zu", i);
	}
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
