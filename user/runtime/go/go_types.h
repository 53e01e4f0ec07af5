/* SPDX-License-Identifier: BSD-2-Clause */
/* Type descriptors of a Go executable (internal/abi/type.go). Parser child only. */
#ifndef MEMTRACE_RUNTIME_GO_TYPES_H
#define MEMTRACE_RUNTIME_GO_TYPES_H

#include <stddef.h>
#include <stdint.h>

struct go_file;
struct go_type;

/* reflect.Kind */
enum go_kind {
	GO_KIND_ARRAY = 17,
	GO_KIND_CHAN = 18,
	GO_KIND_FUNC = 19,
	GO_KIND_INTERFACE = 20,
	GO_KIND_MAP = 21,
	GO_KIND_POINTER = 22,
	GO_KIND_SLICE = 23,
	GO_KIND_STRUCT = 25,
	GO_KIND_MAX = 26,
};

/* Describes the type at an address as linked; -ENOENT where none can be. */
int go_type_read(struct go_file *file, uint64_t type, struct go_type *ret);

/* All types of a kind (map or channel). Fills up to max, returns how many there are. */
size_t go_type_list(struct go_file *file, uint8_t kind, struct go_type *ret, size_t max);

/* The field at an offset of a struct type, nested structs and arrays descended; -ENOENT. */
int go_type_field(struct go_file *file, uint64_t type, uint64_t offset, char *name, size_t bytes,
	struct go_type *ret);

#endif
