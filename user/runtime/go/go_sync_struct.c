/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The struct around the two maps of a sync.Map, up to Go 1.23 (sync/map.go):
 *
 *     mu Mutex; read atomic.Pointer[readOnly] (1.19: atomic.Value); dirty map[any]*entry; misses int
 *     type readOnly struct { m map[any]*entry; amended bool }
 *
 * A lookup that does not find its key in read goes to dirty and is a miss; as many misses as dirty has keys
 * make dirty take the place of read, and only then what was deleted from read is gone. Without a dirty
 * map nothing is under way: a new key makes one.
 *
 * Pointers lead to a map from such a struct (its dirty field), or from a readOnly to which a struct leads. Where
 * they were found is the struct, if all of its fields agree.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_census.h"
#include "runtime/go/go_sync_map.h"

#define STRUCT_BYTES  40
#define READ_ONLY     16 /* bytes of a readOnly, and of its span slot */
#define LAST_AS_VALUE 19 /* read was an atomic.Value: type and pointer */

struct fields {
	uint16_t read, dirty, misses; /* read: of the pointer to the readOnly */
};

static struct fields fields_of(const struct runtime_process *process)
{
	if (process->facts.minor <= LAST_AS_VALUE)
		return (struct fields){16, 24, 32};
	return (struct fields){8, 16, 24};
}

static uint64_t load64(const uint8_t *raw)
{
	uint64_t value;

	memcpy(&value, raw, sizeof(value));
	return value;
}

int go_sync_struct_read(
	struct runtime_process *process, uint64_t addr, uint64_t map, struct go_sync_struct *ret)
{
	struct fields fields = fields_of(process);
	uint8_t raw[STRUCT_BYTES], read_only[READ_ONLY];
	struct go_sync_struct found = {0};
	uint64_t length = 0;

	if (!addr || addr % 8 || target_mem_read(process->live, addr, raw, fields.misses + 8u) ||
		target_mem_read(process->live, load64(raw + fields.read), read_only, READ_ONLY))
		return -ENOENT;
	found.read = load64(read_only);
	found.dirty = load64(raw + fields.dirty);
	found.misses = load64(raw + fields.misses);
	if ((found.read != map && found.dirty != map) || read_only[8] > 1 ||
		read_only[8] != (found.dirty != 0))
		return -ENOENT;
	/* Both kinds of map begin with their count */
	if (found.dirty && target_mem_read_u64(process->live, found.dirty, &length))
		return -ENOENT;
	if (found.dirty ? found.misses > length : found.misses)
		return -ENOENT;
	found.misses_needed = length;
	*ret = found;
	return 0;
}

static bool try_struct(struct runtime_process *process, uint64_t addr, uint64_t map, uint64_t *ret)
{
	struct go_sync_struct found;

	if (go_sync_struct_read(process, addr, map, &found))
		return false;
	*ret = addr;
	return true;
}

/* The struct that leads to a map, 0 = not found. */
static uint64_t find_struct(struct census *census, const struct census_find *find)
{
	struct runtime_process *process = census->process;
	struct fields fields = fields_of(process);
	const struct census_owner *owner = &find->owner;
	uint64_t found = 0;

	if (try_struct(process, owner->global - fields.dirty, find->key, &found) ||
		try_struct(process, owner->hop_global - fields.read, find->key, &found))
		return found;
	return find->sync_struct;
}

/* At once: where many point to a map, few of them are kept, and of frames of old stacks there may be many. */
void census_try_sync_struct(struct census *census, struct census_find *find, uint64_t slot)
{
	struct runtime_process *process = census->process;

	if (find->family == FAMILY_SYNC_MAP && !find->sync_struct && !go_sync_map_is_trie(process))
		try_struct(process, slot - fields_of(process).dirty, find->key, &find->sync_struct);
}

void census_find_sync_structs(struct census *census)
{
	struct runtime_process *process = census->process;

	if (go_sync_map_is_trie(process))
		return;
	for (size_t i = 0; i < census->find_count; i++) {
		const struct census_find *find = &census->finds[i];
		struct go_container *container = go_container_find(process, find->key);
		struct go_container *other;
		struct go_sync_struct found;

		if (find->family != FAMILY_SYNC_MAP || !container)
			continue;
		/* One found before may have been an old copy of it, on what was a stack */
		if (go_sync_struct_read(process, container->sync_struct, find->key, &found)) {
			container->sync_struct = find_struct(census, find);
			if (go_sync_struct_read(process, container->sync_struct, find->key, &found))
				continue;
		}
		/* Nothing but dirty's field leads to a struct on the heap: so read is found, too */
		other = go_container_find(
			process, found.read == find->key ? found.dirty : found.read);
		if (other && other->family == FAMILY_SYNC_MAP)
			other->sync_struct = container->sync_struct;
	}
}
