/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * runtime.waitReason is renumbered in every version of Go, so the binary's own table of names is
 * asked: waitReasonStrings, to which waitReason.String() leads. That function is
 *
 *     cmp $N, %al; jb 1f; ..return "unknown wait reason"..; 1: movzbl %al, %ecx; shl $4, %rcx;
 *     lea waitReasonStrings(%rip), %rdx
 *
 * in all versions that we know (1.19 to 1.26).
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "model/event.h"
#include "runtime/binary/elf_file.h"
#include "runtime/go/go_file.h"
#include "runtime/go/go_waits.h"

#define MAX_NAME_BYTES 64
#define MAX_CODE_BYTES 64

/* By how they begin, "chan send (nil chan)" too. All others are the runtime's own. */
static const struct {
	const char *name;
	enum wait wait;
} waits[] = {
	{"chan send", WAIT_SEND},
	{"chan receive", WAIT_RECEIVE},
	{"select", WAIT_SELECT},
	{"IO wait", WAIT_IO},
	{"sleep", WAIT_SLEEP},
	{"semacquire", WAIT_LOCK},
	{"sync.", WAIT_LOCK},
};

/* struct { ptr *byte; len int } */
struct go_string {
	uint64_t bytes, length;
};

static const uint8_t lookup[] = {0x0f, 0xb6, 0xc8, 0x48, 0xc1, 0xe1, 0x04, 0x48, 0x8d, 0x15};

/* Address of the table and how many it has; false where the function is not as we know it. */
static bool find_table(struct go_file *file, uint64_t *ret_addr, uint8_t *ret_count)
{
	struct go_func func;
	const uint8_t *code;
	uint64_t size;
	int32_t distance;

	if (!go_pclntab_find_name(&file->table, "runtime.waitReason.String", &func))
		return false;
	size = MIN(func.end - func.entry, (uint64_t)MAX_CODE_BYTES);
	code = elf_file_bytes(file->elf, func.entry, size);
	if (!code || size < 4 || code[0] != 0x3c || code[2] != 0x72)
		return false;
	for (uint64_t at = 4; at + sizeof(lookup) + sizeof(distance) <= size; at++) {
		uint64_t end = at + sizeof(lookup) + sizeof(distance);

		if (memcmp(code + at, lookup, sizeof(lookup)))
			continue;
		memcpy(&distance, code + at + sizeof(lookup), sizeof(distance));
		*ret_addr = func.entry + end + (uint64_t)(int64_t)distance;
		*ret_count = code[1];
		return true;
	}
	return false;
}

static enum wait wait_of(const char *name, uint64_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		size_t known = strlen(waits[i].name);

		if (length >= known && !memcmp(name, waits[i].name, known))
			return waits[i].wait;
	}
	return WAIT_RUNTIME;
}

void go_waits_find(struct go_file *file)
{
	struct go_facts *facts = &file->facts;
	uint8_t found[GO_MAX_WAIT_REASONS], count;
	bool sends = false;
	uint64_t table;

	if (!find_table(file, &table, &count) || count > GO_MAX_WAIT_REASONS)
		return;
	for (uint8_t i = 0; i < count; i++) {
		const void *raw = elf_file_bytes(file->elf, table + i * 16ull, 16);
		struct go_string string;
		const uint8_t *name;

		if (!raw)
			return;
		memcpy(&string, raw, sizeof(string));
		if (string.length > MAX_NAME_BYTES)
			return;
		/* waitReasonZero is "": it stands for no reason at all */
		name = string.length ? elf_file_bytes(file->elf, string.bytes, string.length)
				     : NULL;
		if (string.length && !name)
			return;
		found[i] = name ? wait_of((const char *)name, string.length) : WAIT_RUNTIME;
		sends |= found[i] == WAIT_SEND;
	}
	if (!sends)
		return;
	memcpy(facts->waits, found, count);
	facts->wait_reasons = count;
}
