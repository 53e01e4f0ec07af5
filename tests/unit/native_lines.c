/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines, inlined calls and names of native programs: the same as llvm-symbolizer gives for random
 * addresses of what tests/native_samples.sh has built (MEMTRACE_LINE_SAMPLES chooses how many), the
 * same from debug files, names where there is no more, and whatever damage does.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/binary/demangle.h"
#include "runtime/binary/elf_file.h"
#include "runtime/go/go_file.h"
#include "runtime/go/go_lines.h"
#include "runtime/library_code.h"
#include "runtime/binary/native_lines.h"
#include "runtime/parser.h"

#define MAX_FRAMES 64

TestSuite(native, .timeout = 300);

struct expected {
	char symbol[8192], function[8192], file[1024];
	uint32_t line;
};

struct sample {
	char path[512];
	struct native_lines *lines;
	struct elf_file *elf;
	uint64_t text, text_bytes;
	int fd;
};

/* ---- samples ---- */

static void open_sample(struct sample *sample, const char *path)
{
	struct elf_section text;

	snprintf(sample->path, sizeof(sample->path), "%s", path);
	sample->fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(sample->fd, 0, "%s", path);
	cr_assert_eq(elf_file_open(sample->fd, &sample->elf), 0, "%s", path);
	cr_assert(elf_file_section(sample->elf, ".text", &text));
	sample->text = text.addr;
	sample->text_bytes = text.bytes;
	cr_assert_eq(native_lines_open(sample->fd, &sample->lines), 0, "%s", path);
}

static void close_sample(struct sample *sample)
{
	native_lines_close(sample->lines);
	elf_file_close(sample->elf);
	close(sample->fd);
}

/* Calls check for each sample whose name begins with prefix. */
static void for_each_sample(const char *prefix, void (*check)(struct sample *sample))
{
	const char *folder = getenv("MEMTRACE_NATIVE_BINARIES");
	DIR *dir = folder ? opendir(folder) : NULL;
	struct sample sample;
	struct dirent *entry;
	size_t count = 0;
	char path[512];

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		open_sample(&sample, path);
		check(&sample);
		close_sample(&sample);
		count++;
	}
	if (dir)
		closedir(dir);
	if (!count)
		cr_skip_test("no samples %s* in MEMTRACE_NATIVE_BINARIES", prefix);
}

static size_t wanted_addresses(void)
{
	const char *wanted = getenv("MEMTRACE_LINE_SAMPLES");

	return wanted ? strtoul(wanted, NULL, 10) : 500;
}

/* ---- llvm-symbolizer, which reads addresses and writes answers through pipes ---- */

static FILE *ask_oracle(const struct sample *sample, const uint64_t *addrs, size_t count)
{
	char command[1024];
	FILE *questions = tmpfile(), *answers;

	cr_assert_not_null(questions);
	for (size_t i = 0; i < count; i++)
		fprintf(questions, "0x%llx\n", (unsigned long long)addrs[i]);
	fflush(questions);
	snprintf(command, sizeof(command),
		"llvm-symbolizer --inlining --no-demangle --output-style=LLVM -e '%s' "
		"</proc/%d/fd/%d",
		sample->path, getpid(), fileno(questions));
	answers = popen(command, "r");
	cr_assert_not_null(answers);
	/* Closed at the end of the process: the shell opens it when it is ready. */
	return answers;
}

/* One answer: function and file:line:column in turns, up to an empty line. */
static size_t read_answer(FILE *answers, struct expected *ret, size_t max)
{
	static char text[16384];
	size_t count = 0;

	while (fgets(text, sizeof(text), answers) && text[0] != '\n') {
		struct expected *frame = &ret[MIN(count, max - 1)];
		char *colon;

		text[strcspn(text, "\n")] = 0;
		snprintf(frame->symbol, sizeof(frame->symbol), "%s", text);
		demangle_name(text, frame->function, sizeof(frame->function));
		if (!fgets(text, sizeof(text), answers))
			return 0;
		for (int i = 0; i < 2; i++) {
			colon = strrchr(text, ':');
			cr_assert_not_null(colon);
			*colon = 0;
		}
		frame->line = strtoul(colon + 1, NULL, 10);
		snprintf(frame->file, sizeof(frame->file), "%s", text);
		count++;
	}
	return MIN(count, max);
}

/* ---- comparing ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Ours are cut at a fixed length; ".cold" and ".part.0" are parts of one function. */
static bool same_function(const char *ours, const char *expected)
{
	size_t length = strlen(ours);

	if (strncmp(ours, expected, length))
		return false;
	return length == PARSER_FUNCTION_BYTES - 1 || !expected[length] || expected[length] == '.';
}

static bool same_place(const struct parser_frame *frame, const struct expected *expected)
{
	/* Where there is no DWARF, llvm-symbolizer gives the object file's name of the symbol table. */
	bool no_file = !strcmp(expected->file, "??") || (!expected->line && !frame->file[0]);

	return frame->line == expected->line &&
	       (no_file || !strcmp(base_name(frame->file), base_name(expected->file)));
}

/*
 * Compilers make one function of several equal ones, and then its symbols are many; DWARF knows one of
 * them, and llvm-symbolizer takes another: its symbol begins where our function is.
 */
static bool is_alias(
	struct sample *sample, const struct parser_frame *frame, const struct expected *expected)
{
	struct parser_frame frames[MAX_FRAMES];
	uint64_t start;
	size_t count;

	if (elf_file_symbol(sample->elf, expected->symbol, &start))
		return false;
	count = native_lines_find(sample->lines, start, frames, MAX_FRAMES);
	return count && !strcmp(frames[count - 1].function, frame->function);
}

/* Go's DWARF writes a middle dot in UTF-8, its symbol table a point. */
static bool is_middle_dot(const char *name)
{
	return strstr(name, "\302\267") != NULL;
}

static bool same_frames(struct sample *sample, const struct parser_frame *frames,
	size_t frame_count, const struct expected *expected, size_t count)
{
	if (frame_count != count)
		return false;
	for (size_t i = 0; i < count; i++) {
		bool last = i + 1 == count;

		if (!same_place(&frames[i], &expected[i]) || frames[i].inlined == last)
			return false;
		if (same_function(frames[i].function, expected[i].function) ||
			is_middle_dot(frames[i].function))
			continue;
		if (!last || !is_alias(sample, &frames[i], &expected[i]))
			return false;
	}
	return true;
}

static void show(const char *path, uint64_t addr, const struct parser_frame *frames,
	size_t frame_count, const struct expected *expected, size_t count)
{
	fprintf(stderr, "%s %#llx\n", base_name(path), (unsigned long long)addr);
	for (size_t i = 0; i < frame_count; i++)
		fprintf(stderr, "  ours %s %s:%u\n", frames[i].function, frames[i].file,
			frames[i].line);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, "  llvm %s %s:%u\n", expected[i].function, expected[i].file,
			expected[i].line);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void check_against_oracle(struct sample *sample)
{
	size_t wanted = wanted_addresses(), known = 0, same = 0;
	uint64_t *addrs = xcalloc(wanted, sizeof(*addrs)), random = 88172645463325252ull;
	struct parser_frame frames[MAX_FRAMES];
	static struct expected expected[MAX_FRAMES];
	FILE *answers;

	for (size_t i = 0; i < wanted; i++)
		addrs[i] = sample->text + next_random(&random) % sample->text_bytes;
	answers = ask_oracle(sample, addrs, wanted);
	for (size_t i = 0; i < wanted; i++) {
		size_t count = read_answer(answers, expected, MAX_FRAMES);
		size_t found = native_lines_find(sample->lines, addrs[i], frames, MAX_FRAMES);

		if (!count || !strcmp(expected[0].function, "??"))
			continue;
		known++;
		if (same_frames(sample, frames, found, expected, count))
			same++;
		else if (known - same < 10)
			show(sample->path, addrs[i], frames, found, expected, count);
	}
	cr_assert_eq(pclose(answers), 0);
	free(addrs);
	cr_expect_gt(known, wanted * 9 / 10, "%s: %zu", sample->path, known);
	cr_expect_eq(same, known, "%s: %zu of %zu", sample->path, same, known);
}

Test(native, equals_llvm_symbolizer)
{
	if (system("command -v llvm-symbolizer >/dev/null 2>&1"))
		cr_skip_test("llvm-symbolizer is not installed");
	for_each_sample("lines-", check_against_oracle);
}

/* What no compiler here writes by itself: other versions of DWARF, offsets of 8 bytes, compression. */
Test(native, other_forms_equal_llvm_symbolizer)
{
	if (system("command -v llvm-symbolizer >/dev/null 2>&1"))
		cr_skip_test("llvm-symbolizer is not installed");
	for_each_sample("forms-", check_against_oracle);
}

/* ---- Go: its own table and its DWARF ---- */

static void check_against_go(struct sample *sample)
{
	struct parser_frame frames[MAX_FRAMES], by_table[MAX_FRAMES];
	uint64_t random = 88172645463325252ull;
	size_t known = 0, same = 0;
	struct go_file *file;

	cr_assert_eq(go_file_open(sample->elf, &file), 0);
	for (size_t i = 0; i < wanted_addresses(); i++) {
		uint64_t addr = sample->text + next_random(&random) % sample->text_bytes;
		size_t count = go_lines_find(file, addr, by_table, MAX_FRAMES);
		size_t found = native_lines_find(sample->lines, addr, frames, MAX_FRAMES);
		bool equal = count == found;

		if (!count || !found || !by_table[0].line)
			continue;
		/* Names differ in type arguments; what they name does not. */
		for (size_t j = 0; equal && j < count; j++)
			equal = frames[j].line == by_table[j].line &&
				!strcmp(base_name(frames[j].file), base_name(by_table[j].file));
		known++;
		same += equal;
	}
	go_file_close(file);
	cr_expect_gt(known, wanted_addresses() / 2);
	cr_expect_geq(same * 1000, known * 995, "%zu of %zu", same, known);
}

Test(native, equals_the_table_of_go)
{
	for_each_sample("lines-go", check_against_go);
}

/* ---- files apart from their debug information ---- */

static int open_named(const char *name)
{
	const char *folder = getenv("MEMTRACE_NATIVE_BINARIES");
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder ? folder : "", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		cr_skip_test("no sample %s", name);
	return fd;
}

static int open_self(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	return fd;
}

/* Where lines_place() is: it is in no inlined function, and its name is in every symbol table. */
static uint64_t find_place(void)
{
	int fd = open_named("lines-gcc");
	struct elf_file *elf;
	uint64_t addr;

	cr_assert_eq(elf_file_open(fd, &elf), 0);
	cr_assert_eq(elf_file_symbol(elf, "lines_place", &addr), 0);
	elf_file_close(elf);
	close(fd);
	return addr;
}

static void expect_place(struct native_lines *lines, const char *function, const char *file)
{
	struct parser_frame frames[MAX_FRAMES];
	size_t count = native_lines_find(lines, find_place(), frames, MAX_FRAMES);

	if (!function) {
		cr_expect_eq(count, 0);
		return;
	}
	cr_assert_eq(count, 1);
	cr_expect_str_eq(frames[0].function, function);
	cr_expect_str_eq(base_name(frames[0].file), file);
	cr_expect_eq(!frames[0].line, !file[0]);
}

static void check_debug_file(const char *program)
{
	int fd = open_named(program), debug = open_named("gcc.debug");
	struct native_lines *lines;
	struct parser_debug facts;

	cr_assert_eq(native_lines_open(fd, &lines), 0);
	native_lines_describe(lines, &facts);
	cr_expect_not(facts.has_lines);
	expect_place(lines, NULL, NULL);
	cr_assert_eq(native_lines_add_debug(lines, debug), 0, "%s", program);
	cr_expect_eq(native_lines_add_debug(lines, debug), -EEXIST);
	native_lines_describe(lines, &facts);
	cr_expect(facts.has_lines);
	expect_place(lines, "lines_place", "lines.cc");
	native_lines_close(lines);
	close(debug);
	close(fd);
}

Test(native, debug_file_by_build_id)
{
	check_debug_file("stripped");
}

Test(native, debug_file_by_checksum)
{
	int fd = open_named("linked");
	struct native_lines *lines;
	struct parser_debug facts;

	cr_assert_eq(native_lines_open(fd, &lines), 0);
	native_lines_describe(lines, &facts);
	cr_expect_str_eq(facts.link, "gcc.debug");
	cr_expect_str_empty(facts.build_id);
	native_lines_close(lines);
	close(fd);
	check_debug_file("linked");
}

Test(native, debug_file_of_another_program_is_refused)
{
	static const char *const programs[] = {"stripped", "linked"};
	int other = open_named("lines-clang");

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		int fd = open_named(programs[i]);
		struct native_lines *lines;

		cr_assert_eq(native_lines_open(fd, &lines), 0);
		cr_expect_eq(native_lines_add_debug(lines, other), -ESTALE);
		cr_expect_eq(native_lines_add_shared(lines, other), -ENOENT);
		expect_place(lines, NULL, NULL);
		native_lines_close(lines);
		close(fd);
	}
	close(other);
}

Test(native, names_from_compressed_table)
{
	int fd = open_named("mini");
	struct native_lines *lines;

	cr_assert_eq(native_lines_open(fd, &lines), 0);
	expect_place(lines, "lines_place", "");
	native_lines_close(lines);
	close(fd);
}

Test(native, split_debug_information_is_said)
{
	int fd = open_named("split");
	struct native_lines *lines;
	struct parser_debug facts;

	cr_assert_eq(native_lines_open(fd, &lines), 0);
	native_lines_describe(lines, &facts);
	cr_expect(facts.has_lines);
	cr_expect(strstr(facts.note, "-gsplit-dwarf"), "%s", facts.note);
	native_lines_close(lines);
	close(fd);
}

/* What was handed over once is handed over again to the child that comes after. */
Test(native, debug_file_outlives_the_child)
{
	static struct runtime_file facts;
	static struct parser_frame frames[PARSER_MAX_FRAMES];
	int fd = open_named("stripped"), debug = open_named("gcc.debug"), other = open_self();
	uint64_t place = find_place();
	struct parser_debug said;
	struct parser *parser;
	uint32_t id;

	cr_assert_eq(parser_open(&parser), 0);
	cr_assert_eq(parser_identify(parser, fd, &id, &facts), 0);
	cr_expect_eq(parser_keep(parser, id, other, &said), -ENOENT, "another file");
	cr_assert_eq(parser_keep(parser, id, fd, &said), 0);
	cr_expect_not(said.has_lines);
	cr_expect_eq(strlen(said.build_id), 40);
	cr_expect_eq(parser_lines(parser, id, &place, 1, frames, 1), 0, "it has no names");
	cr_expect_eq(parser_add_debug(parser, id, PARSER_DEBUG_OWN, other, &said), -ESTALE);
	cr_assert_eq(parser_add_debug(parser, id, PARSER_DEBUG_OWN, debug, &said), 0);
	cr_expect(said.has_lines);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(parser_lines(parser, id, &place, 1, frames, 1), 1);
		cr_expect_str_eq(frames[0].function, "lines_place");
		cr_expect_str_eq(base_name(frames[0].file), "lines.cc");
		kill(parser_pid(parser), SIGKILL);
	}
	parser_close(parser);
	close(other);
	close(debug);
	close(fd);
}

/* ---- damage: the child may die of it, the tracer must not ---- */

#define DAMAGES 40

static uint8_t *read_all(int fd, size_t *ret_bytes)
{
	struct stat st;
	uint8_t *bytes;

	cr_assert_eq(fstat(fd, &st), 0);
	bytes = xcalloc(1, st.st_size);
	cr_assert_eq(pread(fd, bytes, st.st_size, 0), st.st_size);
	*ret_bytes = st.st_size;
	return bytes;
}

/* Asks for lines all over a damaged file. */
static void ask_damaged(struct parser *parser, const uint8_t *bytes, size_t count, uint64_t text)
{
	static struct runtime_file facts;
	static struct parser_frame frames[PARSER_MAX_FRAMES];
	struct parser_debug debug;
	uint64_t pcs[PARSER_MAX_PCS];
	int fd = memfd_create("damaged", MFD_CLOEXEC), found;
	uint32_t id;

	cr_assert_eq(write(fd, bytes, count), (ssize_t)count);
	for (size_t i = 0; i < ARRAY_SIZE(pcs); i++)
		pcs[i] = text + i * 509;
	if (!parser_identify(parser, fd, &id, &facts) && !parser_keep(parser, id, fd, &debug)) {
		found = parser_lines(parser, id, pcs, ARRAY_SIZE(pcs), frames, ARRAY_SIZE(frames));
		cr_expect_leq(found, PARSER_MAX_FRAMES);
	}
	close(fd);
}

static void check_damage(struct sample *sample)
{
	uint64_t random = 88172645463325252ull;
	struct elf_section info;
	struct parser *parser;
	size_t count, i, j;
	uint8_t *bytes = read_all(sample->fd, &count), *copy = xcalloc(1, count);

	if (!elf_file_section(sample->elf, ".debug_info", &info))
		info = (struct elf_section){0, 0, count};
	cr_assert_eq(parser_open(&parser), 0);
	parser_set_timeout(parser, 500 * NSEC_PER_MSEC);
	for (i = 0; i < DAMAGES; i++) {
		memcpy(copy, bytes, count);
		/* By turns all over the debug information, in its entries, in the headers */
		for (j = 0; j < 200; j++) {
			uint64_t at = next_random(&random);

			if (i % 3 == 0)
				at = info.offset + at % (count - info.offset);
			else if (i % 3 == 1)
				at = info.offset + at % info.bytes;
			else
				at = j < 4 ? at % 512 : count - 1 - at % 2048;
			copy[at] = next_random(&random);
		}
		ask_damaged(parser, copy, count, sample->text);
		ask_damaged(parser, bytes, next_random(&random) % count, sample->text);
	}
	ask_damaged(parser, bytes, count, sample->text);
	parser_close(parser);
	free(copy);
	free(bytes);
}

Test(native, damaged_files)
{
	for_each_sample("lines-gcc", check_damage);
	for_each_sample("lines-clang", check_damage);
	for_each_sample("lines-rust", check_damage);
	for_each_sample("forms-dwarf3", check_damage);
}

/* ---- names ---- */

struct name {
	const char *mangled, *readable;
};

static const struct name names[] = {
	{"main", "main"},
	{"_Z4growi", "grow"},
	{"_ZL4growi", "grow"},
	{"_ZN5cache3putERKSs", "cache::put"},
	{"_Znwm", "operator new"},
	{"_ZNSt6vectorIiSaIiEE17_M_realloc_insertIJiEEEvN9__gnu_cxx17__normal_iteratorIPiS1_"
	 "EEDpOT_",
		"std::vector<int, std::allocator<int> >::_M_realloc_insert<int>"},
	{"_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()"},
	{"_Z4growi.cold", "grow"},
	{"_ZN5alloc7raw_vec11finish_grow17h0123456789abcdefE", "alloc::raw_vec::finish_grow"},
	{"_RNvC6_123foo3bar", "123foo::bar"},
	{"_RINvNtC3std3mem8align_ofjE", "std::mem::align_of::<usize>"},
	{"_RNvXs_half", "_RNvXs_half"},
	{"_Z", "_Z"},
	{"", ""},
};

Test(native, names_are_readable)
{
	char buf[PARSER_FUNCTION_BYTES];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		bool mangled = demangle_name(names[i].mangled, buf, sizeof(buf));

		cr_expect_str_eq(buf, names[i].readable);
		cr_expect_eq(mangled, strcmp(names[i].mangled, names[i].readable) != 0);
	}
}

/* Pointers to pointers, nested templates, and a name that doubles with every letter. */
Test(native, hostile_names_end)
{
	char *name = xcalloc(1, 3 * DEMANGLE_MAX_NAME), buf[PARSER_FUNCTION_BYTES];
	static const char *const heads[] = {"_Z1f", "_ZN1f", "_RNvMC", "_RINvC1a"};
	static const char *const repeated[] = {"P", "I1aI", "S_", "NvC1a1b", "TBa_"};

	for (size_t i = 0; i < ARRAY_SIZE(heads) * ARRAY_SIZE(repeated); i++) {
		const char *part = repeated[i / ARRAY_SIZE(heads)];

		for (size_t bytes = 64; bytes <= 2 * DEMANGLE_MAX_NAME; bytes *= 2) {
			strcpy(name, heads[i % ARRAY_SIZE(heads)]);
			while (strlen(name) < bytes)
				strcat(name, part);
			demangle_name(name, buf, sizeof(buf));
			cr_expect_lt(strlen(buf), sizeof(buf));
		}
	}
	strcpy(name, "_Z1fIiE");
	for (size_t i = 0; i < 60; i++)
		strcat(name, "ST_1pIS0_S0_E");
	demangle_name(name, buf, sizeof(buf));
	free(name);
}

/* ---- whose code ---- */

Test(native, library_is_told_from_program)
{
	cr_expect(library_code_function("std::vector<int>::push_back", ""));
	cr_expect(library_code_function("operator new", ""));
	cr_expect(library_code_function("malloc", "/src/malloc.c"));
	cr_expect(library_code_function("alloc::raw_vec::finish_grow", ""));
	cr_expect(library_code_function("<alloc::vec::Vec<T> as core::ops::Drop>::drop", ""));
	cr_expect(library_code_function("move", "/usr/include/c++/12/bits/move.h"));
	cr_expect(library_code_function("x", "/rustc/0123/library/core/src/mem.rs"));
	cr_expect_not(library_code_function("cache::put", "/src/cache.cc"));
	cr_expect_not(library_code_function("malloc_counter", "/src/count.c"));
	cr_expect_not(library_code_function("standard::grow", "/src/standard.cc"));
	cr_expect_not(library_code_function("", ""));
	cr_expect(library_code_dso("libc.so.6"));
	cr_expect(library_code_dso("libstdc++.so.6.0.30"));
	cr_expect_not(library_code_dso("libcache.so"));
	cr_expect_not(library_code_dso("redis-server"));
}
