/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to the census: a snapshot of Go's spans, the containers found in them, and who points to
 * those (go_owner.c).
 */
#ifndef MEMTRACE_RUNTIME_GO_CENSUS_H
#define MEMTRACE_RUNTIME_GO_CENSUS_H

#include "runtime/go/go_heap.h"
#include "runtime/go/go_iterator.h"

#define CENSUS_SLICE_BYTES                                                                         \
	(256u << 10)           /* at once: small enough for the cache that is scanned next */
#define CENSUS_SPAN_BATCH 1024 /* spans read at once */
#define CENSUS_PAGES      (CENSUS_SLICE_BYTES / TARGET_PAGE_BYTES)

/* What of a span is read to find containers. */
enum census_scan {
	CENSUS_SKIP,  /* nothing: none can be there */
	CENSUS_WHOLE, /* all of its slots */
	CENSUS_HEADS, /* the first bytes of each slot */
};

/* A span of the garbage collected heap at the time of the snapshot. */
struct census_span {
	uint64_t start, elemsize, large_type;
	uint32_t pages, nelems;
	uint8_t class; /* size class * 2 + noscan */
	uint8_t scan;  /* enum census_scan */
};

#define CENSUS_SLOTS 4
#define CENSUS_PCS   16 /* as in struct runtime_container */

/* A pointer to a container, found in a heap object. */
struct census_slot {
	uint64_t addr;
	uint64_t object, end; /* the span slot that holds it; 0 = none */
	uint64_t before;      /* the word in front of the pointer */
	bool typed;           /* the allocator knows the object's type */
	bool iterator;        /* it is part of one */
};

struct census_owner {
	uint64_t global; /* address of a global variable that points to it, 0 = none */
	struct census_slot slots[CENSUS_SLOTS];
	unsigned int checks;      /* how often these were asked whether they are free */
	struct census_slot *slot; /* the one that counts, or NULL */
	uint64_t hop_global;      /* a global variable that points into its object, 0 = none */
	uint64_t hop_value;       /* what that holds */
};

/* Iterators over a map that were found. */
struct census_iterators {
	uint32_t on_heap, on_stacks;
	bool others;    /* something else points to the map, too */
	uint64_t stamp; /* of all of them: changes when one moves */
	uint64_t array; /* the largest that one of them goes over and the map has left, 0 = none */
	uint64_t array_bytes;     /* of its span slot */
	uint64_t pcs[CENSUS_PCS]; /* where the first on a stack is */
};

struct census_find {
	enum family family;
	uint64_t key;
	struct go_map_guess guess; /* maps */
	struct census_owner owner;
	struct census_iterators iterators;
	uint64_t
		sync_struct; /* on the heap, of which it is a sync.Map's dirty map; 0 = none was found */
	char owner_name[160]; /* by the type of the object that points to it; "" = unknown */
	uint64_t owner_type;  /* the container's own type as that says it, 0 = unknown */
	uint64_t site_pcs[CENSUS_PCS];
};

/* An object of at most 32 KiB that may be an array: the type in front of it is one of the program's. */
struct census_typed {
	uint64_t slot, type;
};

#define CENSUS_MAX_TYPED (1u << 20)

struct census {
	struct runtime_process *process;
	const struct runtime_census_options *options;
	struct runtime_census_stats stats;
	uint64_t done, total; /* bytes */
	uint64_t slice_ns;    /* when the slice that is going on began */
	unsigned int pauses;  /* made for what could not be read at once */

	struct census_span *spans; /* in no order where there is an index, else by start */
	size_t span_count;
	uint32_t *page_span; /* page - first_page -> index into spans + 1; NULL = too many pages */
	uint64_t first_page, page_count;
	uint64_t data_mask, bss_mask; /* addresses of the bits; 0 = not known */

	struct census_typed *typed;
	size_t typed_count, typed_capacity;

	struct census_find *finds;
	size_t find_count, find_capacity;
	struct table array_seen; /* array -> 1: two headers with one array cannot both be maps */
	uint8_t *buffer;         /* CENSUS_SLICE_BYTES and a page */
	struct target_piece pages[CENSUS_PAGES]; /* of pieces that are not all present */
	size_t page_piece_count;
	uint64_t channel_bytes; /* of a slot that holds a channel's header alone */
	uint64_t trie_bytes;    /* of one that holds a node of a sync.Map; 0 = it has none */
	bool has_profile;
};

/* Reads all spans: 0, -EBADMSG, -ESRCH, or what census_progress() says. */
int census_read_spans(struct census *census);

/* The next span by address; *cursor = 0 at first. NULL = no more. */
const struct census_span *census_next_span(const struct census *census, size_t *cursor);

/* The span that holds addr, or NULL. */
const struct census_span *census_find_span(const struct census *census, uint64_t addr);

/* Ends a slice and counts bytes as read. Non-zero: stop (asked to, or out of time). */
int census_progress(struct census *census, uint64_t bytes);

/* Reads pieces; what is not present reads as zero. 0 or -ESRCH. */
int census_read(struct census *census, struct target_piece *pieces, size_t count);

/*
 * As go_heap_find_objects(). A sweeper that was stopped in the middle of a span keeps it unreadable for as
 * long: those are asked again after a pause, of which a census makes a few.
 */
int census_find_objects(struct census *census, struct go_object *objects, size_t count);

/* Finds out which words of the global variables are pointers, before census_is_pointer_word(). */
void census_find_masks(struct census *census);

/* Whether the collector takes a word of data or bss for a pointer; true where that is not known. */
bool census_is_pointer_word(const struct census *census, uint64_t addr);

/* Finds out who points to the finds. */
int census_find_owners(struct census *census);

/* Adds an iterator where raw is one over the map of find: true where it is. pcs: of its stack, or NULL. */
bool census_add_iterator(struct census *census, struct census_find *find,
	const uint8_t raw[GO_ITERATOR_BYTES], const uint64_t *pcs);

/*
 * Looks for iterators, and for other pointers to maps, on the stacks of goroutines. index_of: map -> index
 * into finds.
 */
int census_find_on_stacks(struct census *census, const struct table *index_of);

/*
 * Is a word that looks like a pointer one, as far as can be told? Not in the runtime's own structs, such as
 * runtime.p: the write barrier's buffer in there keeps addresses of what was dropped.
 */
bool census_is_pointer(struct census *census, const struct census_slot *slot);

/* "main.cache", "main.Cache.m", "" = unknown. */
void census_name_owner(
	struct census *census, const struct census_find *find, char *buf, size_t bytes);

/*
 * The stack at which the object at addr was allocated: by the program's own allocation profile or, where it
 * keeps none, by what was sampled since attach. False where neither says it.
 */
bool census_find_stack(struct census *census, uint64_t addr, uint64_t ret_pcs[CENSUS_PCS]);

/* ---- go_sync_struct.c ---- */

/* Finds the structs that the maps inside of a sync.Map belong to: they know how many lookups have missed. */
void census_find_sync_structs(struct census *census);

/* A pointer to a sync.Map's map was found in a heap object: is it the field of a struct? */
void census_try_sync_struct(struct census *census, struct census_find *find, uint64_t slot);

/* ---- go_profile.c ---- */

/*
 * The stack at which the object at addr was allocated, from Go's own allocation profile. True where
 * it was sampled; ret_pcs is zero-terminated unless full.
 */
bool go_profile_find_stack(
	struct runtime_process *process, uint64_t addr, uint64_t ret_pcs[CENSUS_PCS]);

/* False where the program keeps no profile. */
bool go_profile_enabled(struct runtime_process *process);

#endif
