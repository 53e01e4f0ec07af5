/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parser child takes for an executable: its probes and layout, then the source lines of
 * 10,000 addresses all over its code, and the memory it needs for that. Prints rows of the table.
 *
 *	usage: symbols FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/binary/elf_file.h"
#include "runtime/parser.h"
#include "row.h"

#define ADDRESSES 10000

struct figures {
	double megabytes;
	bool probed; /* it has a runtime that is probed */
	bool go;     /* lines come from its own table, else from DWARF */
	uint64_t identify_ns, lines_ns;
	unsigned long found; /* addresses with a line */
	long peak_kb;
};

static int find_code(int fd, struct elf_section *ret)
{
	struct elf_file *elf;
	int err = elf_file_open(fd, &elf);

	if (err)
		return err;
	if (!elf_file_section(elf, ".text", ret) || !ret->bytes)
		err = -ENOENT;
	elf_file_close(elf);
	return err;
}

/* Addresses with a golden-ratio step: all over the code, in no order. */
static uint64_t address_of(const struct elf_section *code, uint64_t i)
{
	return code->addr + i * 0x9e3779b97f4a7c15ull % code->bytes;
}

static unsigned long count_lines(const struct parser_frame *frames, int count)
{
	unsigned long lines = 0;

	for (int i = 0; i < count; i++)
		lines += frames[i].line && !frames[i].inlined;
	return lines;
}

static int ask_lines(struct parser *parser, uint32_t id, const struct elf_section *code,
	unsigned long *ret_found)
{
	static struct parser_frame frames[PARSER_MAX_FRAMES];
	uint64_t pcs[PARSER_MAX_PCS];

	for (uint64_t done = 0; done < ADDRESSES;) {
		/* Eight at a time: inlined frames have room, and none is cut off */
		size_t count = MIN(8, ADDRESSES - done);
		int r;

		for (size_t i = 0; i < count; i++)
			pcs[i] = address_of(code, done + i);
		r = parser_lines(parser, id, pcs, count, frames, PARSER_MAX_FRAMES);
		if (r < 0)
			return r;
		*ret_found += count_lines(frames, r);
		done += count;
	}
	return 0;
}

static long read_peak_kb(int pid)
{
	char path[64], line[256];
	long kb = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	while (file && kb < 0 && fgets(line, sizeof(line), file))
		sscanf(line, "VmHWM: %ld", &kb);
	if (file)
		fclose(file);
	return kb;
}

static int measure(struct parser *parser, int fd, struct figures *ret)
{
	struct runtime_file *file = xcalloc(1, sizeof(*file));
	uint64_t start = clock_mono_ns();
	struct parser_debug debug;
	struct elf_section code;
	uint32_t id;
	int err = parser_identify(parser, fd, &id, file);

	ret->identify_ns = clock_mono_ns() - start;
	if (!err) {
		ret->probed = file->probe_count;
		ret->go = !strcmp(file->runtime, "go");
		err = find_code(fd, &code);
	}
	start = clock_mono_ns();
	if (!err)
		err = parser_keep(parser, id, fd, &debug);
	if (!err)
		err = ask_lines(parser, id, &code, &ret->found);
	ret->lines_ns = clock_mono_ns() - start;
	ret->peak_kb = read_peak_kb(parser_pid(parser));
	free(file);
	return err;
}

static int print(const struct figures *figures)
{
	bool large = figures->megabytes > 60;
	int missed = 0;
	char what[64];

	snprintf(what, sizeof(what), "symbols and layout, %.0f MB binary", figures->megabytes);
	if (figures->probed)
		missed = bench_row(what, large ? "<= 1 s (200 MB)" : "<= 300 ms (30 MB)",
			bench_judge(figures->identify_ns <= (large ? 1000 : 300) * NSEC_PER_MSEC),
			"%.0f ms", figures->identify_ns / 1e6);
	snprintf(what, sizeof(what), "10,000 addresses, %.1f MB binary, %s", figures->megabytes,
		figures->go ? "Go's table" : "DWARF");
	return missed |
	       bench_row(what, "<= 0.3 s, <= 100 MB",
		       bench_judge(figures->lines_ns <= 300 * NSEC_PER_MSEC &&
				   figures->peak_kb <= 100000 && figures->found >= ADDRESSES / 2),
		       "%.2f s, parser child %.0f MB; %lu have a line", figures->lines_ns / 1e9,
		       figures->peak_kb / 1e3, figures->found);
}

int main(int argc, char **argv)
{
	struct figures figures = {0};
	struct parser *parser;
	struct stat st;
	int fd, err;

	if (argc != 2) {
		fprintf(stderr, "usage: symbols FILE\n");
		return 2;
	}
	err = parser_open(&parser);
	if (err) {
		fprintf(stderr, "symbols: %s\n", strerror(-err));
		return 1;
	}
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		err = -errno;
	} else {
		figures.megabytes = st.st_size / 1e6;
		err = measure(parser, fd, &figures);
	}
	parser_close(parser);
	if (fd >= 0)
		close(fd);
	if (err) {
		fprintf(stderr, "symbols: %s: %s\n", argv[1], strerror(-err));
		return 1;
	}
	return print(&figures);
}
