/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probes: what would be attached to a process or an executable file, and where. The file is opened
 * here and parsed by the parser child, as in a session.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/notice.h"
#include "runtime/parser.h"
#include "target/process.h"

#define NAME_BYTES 512

/* A pid where the word is a number, else a path; "./42" is a file. */
static int open_what(const char *what, struct notice *notice)
{
	bool number = *what && strspn(what, "0123456789") == strlen(what);
	enum process_refusal refusal;
	struct process_info info;
	char sentence[512];
	struct stat st;
	int fd;

	if (number && strlen(what) < 10) {
		refusal = process_look(atoi(what), &info);
		if (refusal == PROCESS_OK)
			return process_open_exe(info.id.pid);
		notice_error(notice, "%s",
			process_describe_refusal(refusal, &info, sentence, sizeof(sentence)));
		return -1;
	}
	/* A FIFO would block for ever without O_NONBLOCK. */
	fd = open(what, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		notice_error(notice, "cannot read %s: %s", what, strerror(errno));
	} else if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		notice_error(notice, "%s is not a regular file", what);
		close(fd);
		fd = -1;
	}
	return fd;
}

static void print_text(const struct runtime_file *file)
{
	char name[NAME_BYTES];

	printf("%s  build %s%s%s\n", text_escape(name, sizeof(name), file->version),
		file->build_id[0] ? file->build_id : "unknown", file->pie ? ", PIE" : "",
		file->stripped ? ", stripped" : "");
	for (uint32_t i = 0; i < MIN(file->probe_count, RUNTIME_MAX_PROBES); i++) {
		const struct runtime_probe *probe = &file->probes[i];
		char place[NAME_BYTES + 16];

		snprintf(place, sizeof(place), "%s+%d",
			text_escape(name, sizeof(name), probe->symbol), probe->delta);
		printf("  %-8s %-36s file offset 0x%-9" PRIx64 " %s\n",
			family_name((enum family)probe->family), place, probe->file_offset,
			probe->emulated ? "emulated" : "single-stepped");
	}
	for (uint32_t i = 0; i < MIN(file->skip_count, RUNTIME_MAX_SKIPS); i++) {
		printf("  skipped: %s: ", text_escape(name, sizeof(name), file->skips[i].what));
		printf("%s\n", text_escape(name, sizeof(name), file->skips[i].reason));
	}
	if (!file->reading)
		puts("  containers cannot be read from memory: the layout of this version is not "
		     "known");
}

static void add_text(struct json_object *object, const char *key, const char *value)
{
	char safe[NAME_BYTES];

	json_object_object_add(object, key,
		value[0] ? json_object_new_string(text_escape(safe, sizeof(safe), value)) : NULL);
}

static struct json_object *make_probe(const struct runtime_probe *probe)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "family", family_name((enum family)probe->family));
	add_text(object, "symbol", probe->symbol);
	json_object_object_add(object, "delta", json_object_new_int(probe->delta));
	json_object_object_add(object, "file_offset", json_object_new_uint64(probe->file_offset));
	json_object_object_add(object, "emulated", json_object_new_boolean(probe->emulated));
	return object;
}

static struct json_object *make_skip(const struct runtime_skip *skip)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "what", skip->what);
	add_text(object, "reason", skip->reason);
	return object;
}

static void print_json(const struct runtime_file *file)
{
	struct json_object *object = json_object_new_object(), *list;

	json_object_object_add(object, "schema_version", json_object_new_int(1));
	add_text(object, "runtime", file->runtime);
	add_text(object, "version", file->version);
	add_text(object, "build_id", file->build_id);
	json_object_object_add(object, "pie", json_object_new_boolean(file->pie));
	json_object_object_add(object, "stripped", json_object_new_boolean(file->stripped));
	json_object_object_add(object, "reading", json_object_new_boolean(file->reading));
	list = json_object_new_array();
	for (uint32_t i = 0; i < MIN(file->probe_count, RUNTIME_MAX_PROBES); i++)
		json_object_array_add(list, make_probe(&file->probes[i]));
	json_object_object_add(object, "probes", list);
	list = json_object_new_array();
	for (uint32_t i = 0; i < MIN(file->skip_count, RUNTIME_MAX_SKIPS); i++)
		json_object_array_add(list, make_skip(&file->skips[i]));
	json_object_object_add(object, "skipped", list);
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY));
	json_object_put(object);
}

static int identify(struct parser *parser, int fd, struct notice *notice, struct runtime_file *ret)
{
	uint32_t id;
	int r = parser_identify(parser, fd, &id, ret);

	if (r == -ENOEXEC)
		notice_error(notice, "this is no 64-bit ELF executable for x86_64");
	else if (r == -EBADMSG)
		notice_error(notice,
			"this executable cannot be parsed: its parts contradict each other");
	else if (r)
		notice_error(notice, "cannot parse the executable: %s", strerror(-r));
	else if (!ret->runtime[0])
		notice_error(notice, "no known runtime in this executable (known: Go, C++, Rust, "
				     "Redis, Python, GLib)");
	return r || !ret->runtime[0] ? -EINVAL : 0;
}

static int show(const char *what, void (*print)(const struct runtime_file *file))
{
	struct runtime_file *file = xcalloc(1, sizeof(*file));
	int fd = -1, code = EXIT_ENVIRONMENT, r;
	struct parser *parser = NULL;
	struct notice notice;

	notice_init(&notice, false, false);
	r = parser_open(&parser); /* before any target file is open */
	if (r)
		notice_error(&notice, "cannot start the parser child: %s", strerror(-r));
	else
		fd = open_what(what, &notice);
	if (fd >= 0 && !identify(parser, fd, &notice, file)) {
		print(file);
		code = fflush(stdout) ? EXIT_ENVIRONMENT : EXIT_RAN;
	}
	if (fd >= 0)
		close(fd);
	parser_close(parser);
	free(file);
	return code;
}

static int run_probes(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*print)(const struct runtime_file *file);
	} formats[] = {{"text", print_text}, {"json", print_json}};
	const char *what = NULL, *format = "text";

	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "--format=", 9))
			format = argv[i] + 9;
		else if (!strcmp(argv[i], "--format") && i + 1 < argc)
			format = argv[++i];
		else if (argv[i][0] == '-' || what)
			goto usage;
		else
			what = argv[i];
	}
	for (size_t i = 0; what && i < ARRAY_SIZE(formats); i++)
		if (!strcmp(format, formats[i].name))
			return show(what, formats[i].print);
usage:
	fputs("memtrace: usage: memtrace probes [--format text|json] PID|FILE\n", stderr);
	return EXIT_USAGE;
}

const struct command command_probes = {
	"probes", "PID|FILE", "list the probes a process or executable would get", run_probes};
