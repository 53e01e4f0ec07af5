/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events: the only input of the model. Live tracing, reading and replay all end here, so everything
 * behind this line is pure and needs no privileges.
 *
 * Strings and stacks are interned by the model (model_intern_*) before the event is made; an event
 * holds small numbers only. Bytes are bytes, times CLOCK_MONOTONIC nanoseconds.
 *
 * Events are recorded: a new field is one line in user/recording/columns.c (make lint misses it
 * otherwise), a new kind a table there. Appending is all there is to it: a recording that lacks a column
 * gives 0, so 0 has to mean "unknown" or "not so".
 */
#ifndef MEMTRACE_MODEL_EVENT_H
#define MEMTRACE_MODEL_EVENT_H

#include <stdbool.h>
#include <stdint.h>

enum family {
	FAMILY_NONE,
	FAMILY_MAP,
	FAMILY_SLICE,
	FAMILY_CHANNEL,
	FAMILY_BUFFER, /* bytes that a string is built in: strings.Builder, bytes.Buffer */
	FAMILY_VECTOR, /* a growing array behind a header: std::vector, std::string, Vec */
	FAMILY_SYNC_MAP,
	FAMILY_ALLOCATION, /* no container: any allocation, sampled */
	FAMILY_ACCESS,     /* no growth: who uses one container, asked for a moment */
	FAMILY_ARRAY,      /* a block of malloc that realloc makes larger, whatever is in it */
	FAMILY_MAX,
};

/* "map", "slice", "channel", "buffer", "vector", "sync.Map", "allocation", "access", "array" */
const char *family_name(enum family family);

/* False of allocation and access. */
bool family_is_container(enum family family);

/*
 * Slice, buffer and array: the container is its array, so each growth gives it another key, and its length
 * is known only then, if at all.
 */
bool family_moves(enum family family);

/* Map and vector: its header says at any time how many elements are in it. */
bool family_tells_length(enum family family);

/* The family whose probes show its growth where it has none of its own: buffers grow as slices
 * do, and what is inside a sync.Map as a map. */
enum family family_probed_as(enum family family);

/* What a goroutine (or what a runtime has instead) waits for. */
enum wait {
	WAIT_NONE, /* it runs, could run, or is in a system call */
	WAIT_SEND, /* until somebody receives */
	WAIT_RECEIVE,
	WAIT_SELECT,
	WAIT_LOCK, /* mutex, condition, wait group */
	WAIT_IO,
	WAIT_SLEEP,
	WAIT_RUNTIME, /* the runtime's own: collector, finalizers */
	WAIT_MAX,
};

/* "running", "send", "receive", "select", "lock", "io", "sleep", "runtime" */
const char *wait_name(enum wait wait);

enum event_kind {
	EVENT_GROWTH,     /* a container grew */
	EVENT_CREATE,     /* a container was made, or the census found it */
	EVENT_LOOK,       /* a container was looked at from outside */
	EVENT_ITERATORS,  /* of a container that a census has just found: who iterates over it */
	EVENT_FAULTS,     /* page faults, sampled */
	EVENT_MEMORY,     /* a system call has changed the address space */
	EVENT_RESIDENT,   /* where the RSS is mapped, page by page */
	EVENT_HEAP,       /* state of the runtime's heap and GC */
	EVENT_USAGE,      /* RSS and CPU time */
	EVENT_SHARE,      /* the governor opened or closed a family's probes */
	EVENT_GOROUTINES, /* all goroutines, counted: a new look begins */
	EVENT_WAITERS,    /* of that look: those that wait at one place */
	EVENT_PROFILE,    /* the runtime's own allocation profile: a new reading begins */
	EVENT_ALLOCATED,  /* of that reading: what was allocated with one stack */
	EVENT_ARRAYS,     /* large arrays of no container; one without a count begins a reading */
	EVENT_GROUP,      /* memory of the target's cgroup */
	EVENT_ALLOCATOR,  /* what malloc has had from the system and not given out */
	EVENT_EXEC,
	EVENT_EXIT,
	EVENT_KINDS,
};

/*
 * A growth. key names the container now; old_key what it was called before (family_moves():
 * another one; a map keeps its header: old_key = key).
 */
#define EVENT_KEY_ON_STACK (1ull << 63) /* such a key is a name, not an address */

struct event_growth {
	enum family family;
	uint64_t key, old_key;
	uint32_t runtime;         /* interned name of the runtime; 0 = the target's first */
	uint32_t type;            /* interned type name, 0 = unknown */
	uint32_t site;            /* model_add_site(), 0 = unknown */
	bool same_size;           /* rebuilt in place (classic map: too many overflow buckets) */
	bool new_container;       /* old_key was no array at all: first allocation, no growth */
	bool has_length;          /* length is known */
	uint64_t length;          /* entries at this growth */
	uint64_t capacity;        /* slots after it; 0 = unknown */
	uint64_t allocated_bytes; /* size-class bytes of the new arrays */
	uint64_t garbage_bytes;   /* size-class bytes of the arrays replaced */
	uint64_t held_bytes;      /* of the whole container after it; 0 = unknown */
};

/* A container that was there before attach (census) or was made under our eyes (makechan). */
struct event_create {
	enum family family;
	uint64_t key;
	uint32_t runtime; /* interned name of the runtime; 0 = the target's first */
	uint32_t type, site;
	uint32_t owner;      /* interned: "main.cache" or "main.Cache.m", 0 = unknown */
	bool found;          /* by a census, not seen made: one already known is the same one */
	bool before_attach;  /* found by the first census */
	uint64_t capacity;   /* slots asked for; 0 = unknown */
	uint64_t held_bytes; /* of its array; 0 = unknown */
	bool accessed;       /* site is where it was used, not where it was made or grew */
};

enum liveness {
	LIVENESS_DEAD,      /* freed, or the address holds something else now */
	LIVENESS_ALLOCATED, /* not freed yet; may be garbage */
	LIVENESS_MARKED,    /* a completed GC cycle found it reachable: see marked_cycle */
	LIVENESS_ROOTED,    /* a global variable points to it now */
};

/* What a container looks like from outside at one moment. */
struct event_look {
	enum family family;
	uint64_t key;
	enum liveness liveness;
	uint32_t marked_cycle; /* MARKED, ROOTED: number of the last completed GC cycle that
				  found it alive; 0 = none yet */
	bool has_length;
	uint64_t length;          /* entries; channel: messages waiting */
	uint64_t capacity;        /* slots */
	uint64_t load_limit;      /* entries that fit before it grows */
	uint64_t held_bytes;      /* size-class bytes of its arrays, old ones included */
	uint64_t need_bytes;      /* what the runtime would allocate for length entries */
	uint64_t need_peak_bytes; /* the same for the highest length seen, this one included */
	bool has_resident;
	uint64_t resident_bytes; /* present part of held_bytes, each page once */
	uint64_t tombstones;
	/*
	 * sync.Map up to Go 1.23: lookups that missed what readers use, and how many make it be replaced by what
	 * has no deleted keys; 0 needed = nothing is there to replace it.
	 */
	bool has_misses;
	uint64_t misses, misses_needed;
	uint64_t old_bytes; /* classic map: old array still held by an unfinished growth; else 0 */
	uint64_t old_resident_bytes;
	uint64_t scannable_bytes; /* part of held_bytes that may hold pointers */
	uint64_t stamp; /* changes with every write the header shows (count, evacuation, seed) */
};

struct event_iterators {
	enum family family;
	uint64_t key;
	uint64_t on_heap, on_stacks; /* iterators; of goroutines that run none are seen */
	bool others;                 /* something else that was found leads to the container, too */
	uint64_t stamp;              /* changes when one of them moves */
	uint64_t old_bytes; /* of an array that the container has left and one of them goes over */
	uint64_t old_resident_bytes;
	uint32_t site; /* of the goroutine that has the first on its stack, 0 = unknown */
};

/* What a page is mapped as. */
enum mapping {
	MAPPING_UNKNOWN,
	MAPPING_FILE,    /* of a file, and the data of programs and libraries */
	MAPPING_SHARED,  /* shared memory: tmpfs, memfd, System V, shared anonymous */
	MAPPING_BRK,     /* the heap that brk(2) grows */
	MAPPING_STACK,   /* of the first thread */
	MAPPING_RUNTIME, /* the heap of a known runtime */
	MAPPING_ANON,    /* other anonymous memory */
	MAPPING_MAX,
};

/* "file", "shared", "heap", "stack", "runtime", "anonymous"; "" = unknown */
const char *mapping_name(enum mapping mapping);

/*
 * Page faults. What they brought into RSS belongs to the container whose array holds addr, whatever
 * code touched it; else to the site; else to what is mapped there.
 */
struct event_faults {
	uint64_t addr;        /* of the sampled fault */
	uint32_t site;        /* where it happened, 0 = unknown */
	uint64_t faults;      /* this sample stands for so many */
	uint64_t bytes;       /* that RSS gained by them */
	uint64_t lost_bytes;  /* that RSS lost since the sample before */
	uint64_t key;         /* container whose array holds addr, 0 = none known */
	uint32_t grown_site;  /* the growth that made the array, where its container is gone */
	enum mapping mapping; /* what addr is mapped as */
	uint32_t name;        /* of the file, interned; 0 = none */
	uint32_t mapped_site; /* where the program mapped it, 0 = unknown */
	enum family
		family; /* of the containers whose code, the runtime's own, touched addr; NONE = no such code */
	bool direct; /* the user's own line touched it, or one function of the library for it */
};

enum memory_call {
	MEMORY_MMAP,
	MEMORY_MUNMAP,
	MEMORY_MREMAP,
	MEMORY_BRK,
	MEMORY_MPROTECT,
	MEMORY_MADVISE,
	MEMORY_CALLS,
};

/* "mmap", ... */
const char *memory_call_name(enum memory_call call);

struct event_memory {
	enum memory_call call;
	uint32_t site; /* 0 = unknown */
	uint64_t addr;
	uint64_t mapped_bytes, unmapped_bytes; /* of address space; mprotect, madvise: 0 */
	uint64_t lost_bytes;                   /* that went back to the kernel */
};

/* RSS by what is mapped. Private pages were counted one by one, files and shared memory by the kernel. */
struct event_resident {
	uint64_t bytes[MAPPING_MAX];
	uint64_t off_heap_bytes; /* of ANON: mapped by the program's own code, as far as seen */
	/*
	 * Of RUNTIME: given back to the system by the runtime, whose counters call it released. The kernel
	 * has brought it back: with a huge page that a fault nearby has filled.
	 */
	uint64_t given_back_bytes;
	uint64_t rss_bytes; /* at that moment */
};

struct event_heap {
	uint32_t gc_cycles; /* completed */
	bool gc_running;
	uint64_t pause_total_ns, pause_last_ns;
	uint64_t live_bytes; /* marked by the last GC */
	uint64_t goal_bytes;
	uint64_t allocated_bytes;   /* objects now: live and not yet swept; Go: HeapAlloc */
	uint64_t total_alloc_bytes; /* cumulative since the target's start */
	uint64_t in_use_bytes;      /* spans in use; Go: HeapInuse */
	uint64_t free_bytes;     /* free spans that may be resident; Go: HeapIdle - HeapReleased */
	uint64_t released_bytes; /* free spans given back to the system */
	uint64_t stack_bytes;    /* spans of goroutine stacks; Go: StackInuse */
	/*
	 * Had from the system by the runtime for itself: span descriptors, bitmaps, caches, profile
	 * buckets, the stacks of its threads; 0 = unknown. Go: Sys - HeapSys - StackInuse. It was asked for,
	 * not necessarily touched: an upper bound of what is resident.
	 */
	uint64_t runtime_bytes;
	uint64_t scannable_bytes; /* of the heap: what the collector has to look through */
	uint32_t pause_count;     /* the newest cycles, stop-the-world time of each: */
	uint64_t pause_min_ns, pause_median_ns, pause_max_ns;
	uint64_t mark_ns; /* of the last completed cycle: how long it marked, */
	uint64_t mark_cpu_ns,
		assist_cpu_ns; /* CPU time of that, and of it by those who allocated */
};

struct event_usage {
	uint64_t rss_bytes, file_bytes, peak_bytes; /* peak 0 = not read this time */
	uint64_t cpu_ns;
};

struct event_share {
	enum family family; /* NONE = page faults */
	bool open;          /* probes of this family deliver from this moment on, or no longer do */
};

struct event_goroutines {
	uint64_t counts[WAIT_MAX];
	uint64_t stack_bytes;
	bool complete; /* false: there were more than could be read */
};

/* Goroutines that wait for the same thing at the same site. */
struct event_waiters {
	enum wait wait;
	uint32_t site;
	uint64_t count;
	uint64_t waited_ns; /* the one that waits longest does so at least since; 0 = unknown */
	uint64_t stack_bytes, stack_resident_bytes;
	uint64_t message_bytes, message_resident_bytes; /* SEND: what the messages point to */
};

struct event_profile {
	uint32_t reason;     /* interned: why the runtime has none; 0 = it has one */
	uint64_t rate_bytes; /* one sample was taken in so many bytes */
	bool complete;       /* false: there was more than could be read */
	bool sampled; /* not by the runtime, which has none: probes, since attach; what is in use, or was
			 freed, is not known then, unless */
	bool paired; /* frees were seen as well: all is about what was allocated while probes were open */
	bool at_most; /* paired, but frees may have been missed: so much may be in use, or less */
};

/* Estimates: each sample weighed by how likely it was taken. */
struct event_allocated {
	uint32_t stack; /* model_add_stack(), 0 = all that have no place of their own */
	uint64_t in_use_bytes, in_use_objects; /* not freed by the last completed GC */
	uint64_t recent_bytes, recent_objects; /* since that GC: some of it is garbage already */
	uint64_t allocated_bytes,
		allocated_objects; /* since the target's start; sampled: since attach */
	uint64_t in_use_error_bytes,
		allocated_error_bytes; /* one standard error; only where paired */
};

/* Arrays of one size and type that belong to no known container and that the last GC left alive. */
struct event_arrays {
	uint32_t type, site; /* type 0 = unknown; site without a frame where its place is unknown */
	bool has_pointers;
	uint64_t array_bytes; /* of each */
	uint64_t count;
	uint64_t resident_bytes; /* of all together */
};

/*
 * The state of one malloc, read from outside. What cannot be read of it has a reason, and then no figure
 * but lazy_bytes.
 */
/* Of a whole cgroup: told of one of its targets, for all of them. */
struct event_group {
	uint64_t usage_bytes;
	uint64_t
		inactive_file_bytes; /* of it; the rest is the working set, as the kubelet counts it */
	uint64_t limit_bytes, high_bytes; /* 0 = none */
	uint64_t oom_kills;               /* since it was made */
	bool has_pressure;
	uint64_t some_us,
		full_us; /* that tasks waited for memory: one at least, all; since it was made */
};

struct event_allocator {
	uint32_t name, version; /* interned: "glibc", "2.36"; version 0 = unknown */
	uint32_t reason;        /* interned: why its free memory is not known; 0 = it is */
	bool estimated; /* part of it could not be walked, or changed too fast: figures are scaled */
	uint64_t arenas;
	uint64_t system_bytes; /* that its arenas have from the system; mallinfo2: arena */
	uint64_t mapped_bytes; /* in blocks with a mapping of their own; mallinfo2: hblkhd */
	uint64_t free_bytes;   /* in its arenas; mallinfo2: fordblks */
	uint64_t
		cached_bytes; /* freed blocks that threads keep for themselves; not in free_bytes */
	uint64_t page_bytes;  /* whole pages in free_bytes */
	uint64_t resident_bytes; /* of the arenas' memory outside of the heap that brk(2) grows */
	uint64_t retained_bytes; /* resident part of free_bytes and cached_bytes, */
	uint64_t retained_page_bytes; /* of it in whole pages, */
	uint64_t trim_bytes;          /* of those: what malloc_trim(0) would give back */
	uint64_t lazy_bytes; /* given to the kernel (MADV_FREE), which has not taken it yet */
};

struct event_exit {
	bool has_status;
	int status; /* as wait(2) gives it */
	bool oom;   /* the OOM killer had chosen it */
};

struct event {
	enum event_kind kind;
	uint32_t target; /* model_add_target() */
	uint64_t time_ns;
	union {
		struct event_growth growth;
		struct event_create create;
		struct event_look look;
		struct event_iterators iterators;
		struct event_faults faults;
		struct event_memory memory;
		struct event_resident resident;
		struct event_heap heap;
		struct event_usage usage;
		struct event_share share;
		struct event_goroutines goroutines;
		struct event_waiters waiters;
		struct event_profile profile;
		struct event_allocated allocated;
		struct event_arrays arrays;
		struct event_group group;
		struct event_allocator allocator;
		struct event_exit exit;
	};
};

#endif
