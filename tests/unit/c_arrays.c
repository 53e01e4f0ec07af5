/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/binary/elf_file.h"
#include "runtime/c/c_arrays.h"
#include "runtime/c/c_identify.h"
#include "runtime/list.h"
#include "target/mem.h"

#define LIBRARY "/usr/lib/x86_64-linux-gnu/libc.so.6"

#define OLD 0x20010ull
#define NEW 0x30010ull

static struct target_mem *mem;
static struct runtime_process *process;

static void start(void)
{
	const struct runtime_file file = {.runtime = "c", .reading = true};
	char reason[160];

	mem = target_mem_new_image();
	cr_assert_eq(runtime_c.process_open(&file, mem, NULL, 0, 0, &process, reason), 0);
}

static void end(void)
{
	runtime_c.process_close(process);
	target_mem_close(mem);
}

TestSuite(c_arrays, .init = start, .fini = end);

static int decode(
	enum c_probe number, uint64_t now, uint64_t asked, uint64_t size, struct event *ret)
{
	const struct runtime_probe probe = {.probe = number};
	const struct mt_record record = {.addr = now, .tid = 7, .val = {asked, OLD, size}};
	uint64_t type = 0;
	int r;

	*ret = (struct event){};
	r = runtime_c.decode(process, &probe, &record, ret, &type);
	if (r == 0)
		cr_expect_eq(type, asked);
	return r;
}

Test(c_arrays, moved)
{
	struct event event;

	cr_assert_eq(decode(C_PROBE_HEAP, NEW, 16384, 8208, &event), 0);
	cr_expect_eq(event.kind, EVENT_GROWTH);
	cr_expect_eq(event.growth.family, FAMILY_ARRAY);
	cr_expect_eq(event.growth.key, NEW);
	cr_expect_eq(event.growth.old_key, OLD);
	cr_expect_eq(event.growth.garbage_bytes, 8200);
	cr_expect_eq(event.growth.allocated_bytes, 16392);
	cr_expect_eq(event.growth.held_bytes, 16392);
}

Test(c_arrays, what_stays_in_place_leaves_no_garbage)
{
	struct event event;

	cr_assert_eq(decode(C_PROBE_HEAP, OLD, 16384, 8208, &event), 0);
	cr_expect_eq(event.growth.key, OLD);
	cr_expect_eq(event.growth.garbage_bytes, 0);
	cr_expect_eq(event.growth.allocated_bytes, 16392 - 8200);
	cr_expect_eq(event.growth.held_bytes, 16392);
}

Test(c_arrays, nor_does_what_the_kernel_moves)
{
	struct event event;

	cr_assert_eq(decode(C_PROBE_MAPPED, NEW - 16, 400000, 200704, &event), 0);
	cr_expect_eq(event.growth.key, NEW);
	cr_expect_eq(event.growth.garbage_bytes, 0);
	cr_expect_eq(event.growth.held_bytes, 401408 - 16, "whole pages");
	cr_expect_eq(event.growth.allocated_bytes, 401408 - 200704);
}

Test(c_arrays, the_size_may_come_before)
{
	struct event event;

	cr_expect_eq(decode(C_PROBE_RESULT, NEW, 16384, 0, &event), -ENODATA, "not seen");
	cr_expect_eq(decode(C_PROBE_SIZE, 0, 16384, 8208, &event), -ENODATA);
	cr_assert_eq(decode(C_PROBE_RESULT, NEW, 16384, 0, &event), 0);
	cr_expect_eq(event.growth.garbage_bytes, 8200);
}

Test(c_arrays, no_growth)
{
	struct event event;

	cr_expect_eq(decode(C_PROBE_HEAP, NEW, 8200, 8208, &event), -ENODATA, "it fits");
	cr_expect_eq(decode(C_PROBE_HEAP, NEW, 4096, 8208, &event), -ENODATA, "it shrinks");
	cr_expect_eq(decode(C_PROBE_HEAP, 0, 16384, 8208, &event), -ENODATA, "no memory");
	cr_expect_eq(decode(C_PROBE_MAPPED, UINT64_MAX, 400000, 200704, &event), -ENODATA);
	cr_expect_eq(decode(C_PROBE_HEAP, NEW + 8, 16384, 8208, &event), -EBADMSG);
	cr_expect_eq(decode(C_PROBE_HEAP, NEW, 16384, 8, &event), -EBADMSG);
	cr_expect_eq(decode(C_PROBE_HEAP, NEW, UINT64_MAX, 8208, &event), -EBADMSG);
}

Test(c_arrays, looks_at_its_block)
{
	uint64_t key = NEW, asked = 16384, peak = 0, words[2] = {0, 16400 | 1}, next[2] = {0, 1};
	struct event_look look;

	target_mem_add_image(mem, NEW - 16, words, sizeof(words));
	target_mem_add_image(mem, NEW - 16 + 16400, next, sizeof(next));
	cr_assert_eq(
		runtime_c.look(process, FAMILY_ARRAY, &key, &asked, &peak, 1, false, &look), 0);
	cr_expect_eq(look.liveness, LIVENESS_ALLOCATED);
	cr_expect_eq(look.held_bytes, 16392);
	cr_expect_eq(look.capacity, 16384);
	cr_expect_not(look.has_length);
	next[1] = 0;
	target_mem_add_image(mem, NEW - 16 + 16400, next, sizeof(next));
	cr_assert_eq(
		runtime_c.look(process, FAMILY_ARRAY, &key, &asked, &peak, 1, false, &look), 0);
	cr_expect_eq(look.liveness, LIVENESS_DEAD, "the next chunk says that it is free");
}

Test(c_arrays, types_by_the_functions_of_glib)
{
	char type[32];

	cr_expect(runtime_c.type_of_function("g_array_append_vals", type, sizeof(type)));
	cr_expect_str_eq(type, "GArray");
	cr_expect(runtime_c.type_of_function("g_string_insert_len", type, sizeof(type)));
	cr_expect_str_eq(type, "GString");
	cr_expect_not(runtime_c.type_of_function("g_realloc", type, sizeof(type)));
	cr_expect_not(runtime_c.type_of_function("main", type, sizeof(type)));
}

static int identify(const char *path, struct runtime_file *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), found;
	struct elf_file *elf;

	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(elf_file_open(fd, &elf), 0);
	found = c_identify(elf, ret);
	elf_file_close(elf);
	close(fd);
	return found;
}

/* glibc 2.36 and 2.41. */
Test(c_identify, realloc_of_this_machine)
{
	struct runtime_file *file = calloc(1, sizeof(*file));

	cr_assert_eq(identify(LIBRARY, file), 1);
	cr_expect_str_eq(file->runtime, "c");
	cr_expect_eq(strncmp(file->version, "C (glibc 2.", 11), 0);
	cr_assert_eq(file->probe_count, 3);
	for (uint32_t i = 0; i < 3; i++) {
		const struct mt_attachment *attachment = &file->probes[i].attachment;

		cr_expect_eq(file->probes[i].family, FAMILY_ARRAY);
		cr_expect_eq(file->probes[i].probe, i < 2 ? C_PROBE_HEAP : C_PROBE_MAPPED);
		cr_expect(file->probes[i].emulated);
		cr_expect_eq(attachment->floor, C_FLOOR_BYTES);
		cr_expect_neq(attachment->val[0].reg, attachment->val[1].reg);
		cr_expect_neq(attachment->val[1].reg, attachment->val[2].reg);
		cr_expect_neq(attachment->addr.reg, attachment->val[0].reg);
	}
	free(file);
}

Test(c_identify, who_calls_it_has_none)
{
	struct runtime_file *file = calloc(1, sizeof(*file));

	cr_expect_eq(identify("/bin/sh", file), 0);
	cr_expect_str_empty(file->runtime);
	free(file);
}
