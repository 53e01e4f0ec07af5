/* SPDX-License-Identifier: BSD-2-Clause */
/* What is found in the libstdc++ of this machine, and in files that have none of it. */
#include "runtime/cxx/cxx_identify.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/binary/elf_file.h"
#include "runtime/runtime.h"

#define LIBRARY "/usr/lib/x86_64-linux-gnu/libstdc++.so.6"
#define LIBCXX  "/usr/lib/x86_64-linux-gnu/libc++.so.1"

static int identify(const char *path, struct runtime_file *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), found;
	struct elf_file *elf;

	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(elf_file_open(fd, &elf), 0);
	found = cxx_identify(elf, ret);
	elf_file_close(elf);
	close(fd);
	return found;
}

Test(cxx_identify, libstdcxx)
{
	struct runtime_file *file = calloc(1, sizeof(*file));
	const struct runtime_probe *probe = &file->probes[0];

	cr_assert_eq(identify(LIBRARY, file), 1);
	cr_expect_str_eq(file->runtime, "c++");
	cr_assert_eq(file->probe_count, 5, "tables, and reserve and _M_mutate of both strings");
	cr_expect(probe->emulated, "endbr64 and mov are passed over");
	cr_expect_gt(probe->delta, 0);
	cr_expect_neq(probe->code[0], 0xf3);
	cr_expect(probe->attachment.flags & MT_ATTACH_STACK);
	for (uint32_t i = 1; i < file->probe_count; i++) {
		cr_expect_eq(file->probes[i].family, FAMILY_VECTOR);
		cr_expect(file->probes[i].emulated, "%s", file->probes[i].symbol);
		cr_expect_eq(file->probes[i].element_bytes,
			strcmp(file->probes[i].type, "std::string") ? 4 : 1);
	}
	cr_assert_gt(file->cxx.prime_count, 250);
	for (uint32_t i = 1; i < file->cxx.prime_count; i++)
		cr_expect_gt(file->cxx.primes[i], file->cxx.primes[i - 1]);
	cr_expect_eq(file->cxx.primes[file->cxx.prime_count - 1], 18446744073709551557ull);
	cr_expect_lt(file->data_start, file->data_end);
	free(file);
}

Test(cxx_identify, libcxx)
{
	struct runtime_file *file = calloc(1, sizeof(*file));

	if (access(LIBCXX, R_OK))
		cr_skip_test("no libc++");
	cr_assert_eq(identify(LIBCXX, file), 1);
	cr_expect_str_eq(file->version, "C++ (libc++)");
	cr_assert_geq(
		file->probe_count, 6, "reserve, __grow_by, __grow_by_and_replace of both strings");
	for (uint32_t i = 0; i < file->probe_count; i++) {
		cr_expect_eq(file->probes[i].family, FAMILY_VECTOR);
		cr_expect(file->probes[i].emulated, "%s", file->probes[i].symbol);
		cr_expect_eq(file->probes[i].element_bytes,
			strcmp(file->probes[i].type, "std::string") ? 4 : 1);
	}
	free(file);
}

Test(cxx_identify, a_c_program_is_none)
{
	struct runtime_file *file = calloc(1, sizeof(*file));

	cr_expect_eq(identify("/bin/sh", file), 0);
	cr_expect_str_empty(file->runtime);
	free(file);
}
