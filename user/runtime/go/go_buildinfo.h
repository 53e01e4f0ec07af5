/* SPDX-License-Identifier: BSD-2-Clause */
/* What cmd/link wrote about the build: version, experiments, module paths. Parser child only. */
#ifndef MEMTRACE_RUNTIME_GO_BUILDINFO_H
#define MEMTRACE_RUNTIME_GO_BUILDINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_file;

struct go_build {
	char version[64];    /* "go1.24.4 X:noswissmap"; "" = not recorded */
	uint8_t minor;       /* go1.N; 0 = unknown */
	bool release;        /* a released go1.N, not a development build */
	bool no_swiss;       /* X:noswissmap */
	bool no_green_tea;   /* X:nogreenteagc */
	char experiment[32]; /* first experiment whose layouts we have not measured, "" = none */
	char **modules;      /* paths of the main module and of its dependencies */
	size_t module_count;
};

/* -ENOENT where there is no build info (other languages, Go before 1.13 or 1.18's pointer form). */
int go_build_read(struct elf_file *elf, struct go_build *ret);
void go_build_done(struct go_build *build);

#endif
