/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sync.Map from outside, in both its forms.
 *
 * Up to Go 1.23 (sync/map.go) its entries are in one or two plain maps, map[any]*entry: read, and dirty
 * while there are keys that read has not. Each such map is a container here. A deleted key stays in read
 * with nothing in its entry until so many lookups have missed that dirty takes its place.
 *
 * From 1.24 on (internal/sync/hashtriemap.go) it is a tree: nodes with 16 children, each a node or an entry
 * with key and value. The container is its root. A delete takes the entry out at once.
 */
#ifndef MEMTRACE_RUNTIME_GO_SYNC_MAP_H
#define MEMTRACE_RUNTIME_GO_SYNC_MAP_H

#include "runtime/go/go_map.h"

#define GO_TRIE_NODE_BYTES  152
#define GO_TRIE_ENTRY_BYTES 48
#define GO_TRIE_CHILDREN    16

struct go_trie_header {
	uint64_t children[GO_TRIE_CHILDREN];
	uint64_t first; /* of the children that are there */
	uint64_t stamp;
};

/* Which form the program's sync.Map has. */
bool go_sync_map_is_trie(const struct runtime_process *process);

/* Are maps of this type the inside of a sync.Map? type may be NULL. */
bool go_sync_map_is_type(const struct go_type *type);

/*
 * What a map that may be the inside of one really is, where several types fit its bytes: the type of a
 * sync.Map's map, or NULL where its keys are no interfaces or its elements no entries.
 */
const struct go_type *go_sync_map_find_type(struct runtime_process *process,
	const struct go_map_header *header, const struct go_map_guess *guess);

/* Adds to the shape of a walked map what its entries take, and how many of them are deleted. -EFAULT where a
 * key is no interface, -ESRCH. */
int go_sync_map_count(struct runtime_process *process, const struct go_map_header *header,
	uint64_t group_bytes, struct go_shape *shape);

/* ---- go_sync_struct.c ---- */

/* Of a sync.Map up to Go 1.23, at one moment. */
struct go_sync_struct {
	uint64_t read, dirty;           /* its maps; dirty 0 = there is none */
	uint64_t misses, misses_needed; /* so many make dirty take the place of read */
};

/* Reads the struct at addr, one of whose maps must be map. 0; -ENOENT where it is none, or is just changing. */
int go_sync_struct_read(
	struct runtime_process *process, uint64_t addr, uint64_t map, struct go_sync_struct *ret);

/* False where it cannot be a root. */
bool go_trie_parse(const struct runtime_process *process, const uint8_t raw[GO_TRIE_NODE_BYTES],
	struct go_trie_header *ret);

/* Counts nodes and entries. -ENOENT where what hangs there are none, or more than 4 M nodes; -ESRCH. */
int go_trie_walk(struct runtime_process *process, uint64_t key, const struct go_trie_header *header,
	struct go_shape *ret);

#endif
