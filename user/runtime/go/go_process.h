/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to the Go process facts (go.c, go_heap.c, go_map.c, go_chan.c, go_census.c, go_owner.c,
 * go_decode.c): one Go process that is being read, and what is remembered of its containers.
 *
 * Remembered are facts that cost reads (walks of Swiss tables, span sizes) and what a proof of life
 * needs: when a container was first seen and in which GC cycle that was.
 */
#ifndef MEMTRACE_RUNTIME_GO_PROCESS_H
#define MEMTRACE_RUNTIME_GO_PROCESS_H

#include "base/clock.h"
#include "base/table.h"
#include "runtime/go/go_facts.h"
#include "runtime/parser.h"
#include "runtime/runtime.h"
#include "target/mem.h"

#define GO_MAX_CONTAINERS 16384
#define GO_MAX_ARRAYS     262144                /* of all containers together, for owner_of() */
#define GO_STALE_NS       (500 * NSEC_PER_MSEC) /* after a sweep, a life is proven again within */
#define GO_MAX_TYPES      65536                 /* type descriptions cached */

/*
 * The model wants one number per type of container. A map has a type of its own; of a slice and a
 * channel we know the element type, so the family is added in the bits that no address has.
 */
#define GO_TYPE_FAMILY_SHIFT 56
#define GO_TYPE_ADDR(type)   ((type) & ((1ull << GO_TYPE_FAMILY_SHIFT) - 1))

/* What stands for the type of a buffer, whose array has none of its own. */
enum go_buffer {
	GO_BUFFER_BUILDER = 1, /* strings.Builder */
	GO_BUFFER_BYTES,       /* bytes.Buffer */
};

/* Arrays and bytes of a container: what a walk finds. */
struct go_shape {
	uint64_t capacity, load_limit, tombstones;
	uint64_t entries;   /* of a trie: nothing but a walk tells */
	uint64_t held, old; /* bytes; old is part of held */
	uint64_t resident, old_resident;
	uint64_t largest;     /* address of the largest array, 0 = none */
	uint64_t group_bytes; /* bucket or group, 0 = unknown */
	bool group_has_pointers;
	bool has_resident;
};

struct go_map_guesses;
struct go_placed;
struct go_quiets;
struct go_samples;
struct go_span;

struct go_extent {
	uint64_t start, bytes;
	bool old;
};

/* Arrays found by a walk, header included; reused from walk to walk. */
struct go_extents {
	struct go_extent *list;
	size_t count, capacity;
};

/* A pointer in a global variable that leads to a container: straight, or through one object. */
struct go_root {
	uint64_t slot;  /* address of the global pointer, 0 = none */
	uint64_t value; /* what it held */
	uint64_t hop;   /* address of the pointer inside the object it leads to, 0 = straight */
};

struct go_container {
	enum family family;
	uint64_t key, type; /* type: run-time address (map, or element), 0 = unknown */
	uint64_t seed, array, length, clear_seq; /* identity: as last seen */
	uint64_t stamp;
	uint64_t base, elemsize; /* of its span slot */
	uint64_t group_bytes;    /* map: of a bucket or group; 0 = unknown */
	uint32_t proof_cycle;    /* surviving this cycle proves that it is reachable */
	uint32_t sweepgen;       /* at which it was last found allocated */
	uint32_t quiet;          /* its place in quiets, counted from 1; 0 = it has none */
	uint64_t verified_ns, looked_ns;
	struct go_root root;
	bool verified; /* found allocated at least once */
	bool dead;     /* stays so until a probe or a census finds something there again */
	bool told; /* a probe has named it since it was last verified: it is there, whoever was before */
	bool unread;    /* its slot was changing under the last look: neither alive nor dead */
	uint8_t doubts; /* looks in a row at which its header made no sense */
	bool rooted, walked;
	uint64_t walked_array, walked_count; /* what the header said at the last walk */
	uint64_t walked_ns;                  /* of a sync.Map */
	uint64_t sync_struct; /* the sync.Map that a map is inside of, up to 1.23; 0 = unknown */
	uint64_t walk;        /* number of that walk: owner_of()'s entries carry it */
	struct go_shape shape;
	char type_name[160]; /* where type is 0: what the census inferred */
};

/* What was read of the collector when it had completed so many cycles. */
struct go_gc_view {
	uint32_t cycles, pause_count;
	uint64_t pause_min_ns, pause_median_ns, pause_max_ns, mark_ns, mark_cpu_ns, assist_cpu_ns;
};

struct go_array {
	uint64_t start, end, key, walk;
};

struct runtime_process {
	struct target_mem *mem;   /* what is read: live, or the view while one is open */
	struct target_mem *live;  /* the target's memory as it is now */
	struct target_mem *view;  /* go_view_open() */
	struct target_mem *stage; /* a view for one stage of go_heap_find_objects() */
	struct parser *parser;    /* NULL in tests: no type is known then */
	uint32_t file_id;
	uint64_t slide;
	struct go_facts facts; /* addresses are run-time addresses */
	uint64_t arenas;       /* run-time address of the arena table */
	struct table arena_of; /* arena index -> heapArena; an arena is never unmapped */
	struct go_gc_view gc_view;
	uint64_t sync_map_due_ns; /* the next one is walked after; see go_look.c */

	struct table span_of; /* heap page -> index into spans, UINT64_MAX = in none: of the view */
	struct go_span *spans;
	size_t span_count, span_capacity;

	struct table type_of; /* run-time type address -> index into types, UINT64_MAX = none */
	struct go_type **types;
	size_t type_count, type_capacity;
	struct go_type *map_types; /* all of the file, by group address */
	size_t map_type_count;
	bool map_types_read;
	struct table guesses_of; /* size of a map's array -> index into guesses: go_map_check.c */
	struct go_map_guesses *guesses;
	size_t guess_count, guess_capacity;
	struct table call_types; /* return pc of a growslice call -> element type, 0 = unknown */
	struct table callers;    /* the same -> who calls: see go_decode_array.c */

	struct table container_of; /* key -> index into containers */
	struct go_container **containers;
	struct look_item *look_items; /* of go_look(), kept from call to call */
	struct go_quiets *quiets;     /* go_quiet.c */
	size_t container_count, container_capacity;

	struct go_array *arrays;
	size_t array_count, array_capacity;
	bool arrays_sorted;
	uint64_t walks;
	struct go_extents extents; /* scratch of the walk going on */

	struct table arrays_made; /* slice array seen made -> bytes */
	struct table appends;     /* append and goroutine -> the array it made last */
	struct go_samples
		*samples; /* of allocations, where the program keeps no profile; may be NULL */
	struct go_placed *placed; /* of those, where they are; NULL without samples */
	struct table grown;       /* hmap -> B and count of its last growth: see go_decode.c */
};

/* ---- go_fetch.c ---- */

struct go_map_header;

/*
 * Between the two, memory is read through a view (target_mem_new_view()), empty at first: many
 * containers are looked at in few system calls. What must be seen to change is read from live.
 */
void go_view_open(struct runtime_process *process);
void go_view_close(struct runtime_process *process);

/*
 * Reads ahead, through the open view, what go_map_walk() and, with contents, go_map_check() will ask
 * of these maps: in a few gathered reads for all of them together. 0 or -ESRCH.
 */
int go_fetch_maps(struct runtime_process *process, const struct go_map_header *const *maps,
	size_t count, bool contents);

/* The same for go_chan_walk() and whoever else asks for the spans of these addresses. */
int go_fetch_spans(struct runtime_process *process, const uint64_t *addrs, size_t count);

/* ---- go_typecache.c ---- */

/* Description of a type by its run-time address, cached; NULL where there is none. */
const struct go_type *go_typecache_get(struct runtime_process *process, uint64_t type);

/* All map types of the file, sorted by group address (as linked). Returns how many. */
size_t go_typecache_maps(struct runtime_process *process, const struct go_type **ret);

/*
 * The map types whose bucket or group type is at a run-time address: ret points to the first,
 * the others follow it. Returns how many.
 */
size_t go_typecache_find_group(
	struct runtime_process *process, uint64_t group, const struct go_type **ret);

/* Name of a tagged type (GO_TYPE_FAMILY_SHIFT); "" = unknown. */
void go_typecache_name(struct runtime_process *process, uint64_t type, char *buf, size_t bytes);
void go_typecache_done(struct runtime_process *process);

/* ---- go_fills.c ---- */

/* The family whose arrays this function of the runtime touches, or FAMILY_NONE. */
enum family go_fills(const char *function);

/* ---- go_extents.c ---- */

void go_extents_clear(struct go_extents *extents);
void go_extents_add(struct go_extents *extents, uint64_t start, uint64_t bytes, bool old);

/* Sorts the extents and counts which of their bytes lie in present pages. 0 or -ESRCH. */
int go_extents_read_resident(struct target_mem *mem, struct go_extents *extents,
	uint64_t *ret_bytes, uint64_t *ret_old_bytes);

/* ---- go_container.c ---- */

struct go_chan_header;
struct go_map_header;
struct go_trie_header;
struct go_object;

/* The container remembered under key, or NULL; and the same, made where there is none yet. */
struct go_container *go_container_find(struct runtime_process *process, uint64_t key);
struct go_container *go_container_make(struct runtime_process *process, enum family family,
	uint64_t key, uint64_t type, uint64_t now_ns);
void go_container_remove(struct runtime_process *process, struct go_container *container);
void go_container_done(struct runtime_process *process);

/*
 * Is the object found allocated at a container's key the one that was verified there before? Only a cycle
 * can free it, so it is the same where none has ended since, or one that has found it; another one where a
 * cycle has not. After several cycles what survived the last may have come after the first.
 */
enum go_container_same {
	GO_CONTAINER_SAME,
	GO_CONTAINER_OTHER,
	GO_CONTAINER_UNKNOWN,
};

enum go_container_same go_container_is_same(
	const struct go_container *container, const struct go_object *object);

/* Takes note that the object at a container's key was found allocated. */
void go_container_verify(struct go_container *container, const struct go_object *object);

/* Another one lives at its address now: forgets all but family, key and type. */
void go_container_reset(struct go_container *container);

/* Takes over what a header says now: identity, length, stamp. */
void go_container_set_map(struct go_container *container, const struct go_map_header *header);
void go_container_set_trie(struct go_container *container, const struct go_trie_header *header);
void go_container_set_channel(struct go_container *container, const struct go_chan_header *header);

/* Counts residency of the scratch extents into the shape, and keeps them for owner_of(). */
int go_container_set_arrays(struct runtime_process *process, struct go_container *container);

/* Fills in what the container's state and shape say. */
void go_container_fill(struct runtime_process *process, const struct go_container *container,
	uint64_t length_peak, struct event_look *ret);

uint64_t go_owner_of(struct runtime_process *process, uint64_t addr);

/* ---- go_look.c ---- */

int go_look(struct runtime_process *process, enum family family, const uint64_t *keys,
	const uint64_t *types, const uint64_t *length_peaks, size_t count, bool deep,
	struct event_look *ret);

/* ---- go_quiet.c ---- */

/* What is remembered of a container changes, or is to be asked for anew; NULL is allowed. */
void go_quiet_end(struct runtime_process *process, struct go_container *container);

/* It is no container any more. */
void go_quiet_forget(struct runtime_process *process, struct go_container *container);

/* When go_quiet() last found it quiet, 0 = not yet. */
uint64_t go_quiet_asked_ns(
	const struct runtime_process *process, const struct go_container *container);

/* ---- go_census.c ---- */

int go_census(struct runtime_process *process, const struct runtime_census_options *options,
	void (*found)(const struct runtime_container *container, void *arg),
	struct runtime_census_stats *ret_stats);

/* ---- go_decode.c ---- */

int go_decode(struct runtime_process *process, const struct runtime_probe *probe,
	const struct mt_record *record, struct event *ret, uint64_t *ret_type);

#endif
