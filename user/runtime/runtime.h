/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A runtime: a language or library whose containers we know. One const struct at the end of one
 * file (go.c), listed once in list.h. To add one: write that struct, a workload with .expect, and a
 * line in list.h. Nothing above this layer changes.
 *
 * It has two halves. File facts are found by parsing the target's executable and run only in the
 * parser child (parser.h): they touch hostile files. Process facts run in the tracer, are given the
 * target's memory (target_mem) and the file facts, and treat both as hostile.
 */
#ifndef MEMTRACE_RUNTIME_RUNTIME_H
#define MEMTRACE_RUNTIME_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memtrace.h"
#include "model/event.h"
#include "runtime/cxx/cxx_facts.h"
#include "runtime/go/go_facts.h"

struct elf_file;
struct parser;
struct runtime_process;
struct target_mem;

#define RUNTIME_MAX_PROBES 192
#define RUNTIME_MAX_SKIPS  16
#define RUNTIME_CODE_BYTES 16
#define RUNTIME_WAIT_PCS   32
#define RUNTIME_MAX_A_FILE 8 /* runtimes of one file: Go with C++ in it */
#define RUNTIME_PLACE_PCS  4

/*
 * One uprobe, placed: everything that attaching and decoding need. probe is the runtime's own row
 * number and comes back in decode(). Offsets are file offsets, as the kernel wants them.
 */
struct runtime_probe {
	uint16_t probe;
	uint8_t family; /* enum family: probes of one family share a link and the governor's verdict */
	bool emulated; /* the kernel emulates this instruction (~0.6 us); else single-step (~10 us) */
	uint64_t vaddr; /* of the probed instruction, as linked */
	uint64_t file_offset;
	uint8_t code
		[RUNTIME_CODE_BYTES]; /* bytes at file_offset: must equal memory before attaching */
	uint8_t code_bytes;
	char symbol[96];        /* "runtime.hashGrow" */
	int32_t delta;          /* probed instruction - symbol start */
	uint32_t element_bytes; /* of the container that grows there; 0 = unknown, or it varies */
	char type[112]; /* of that container: "std::vector<int>"; "" = unknown, or it varies */
	struct mt_attachment
		attachment; /* kind, flags, sources; link is filled in when attaching */
};

/* What was not attached or not known, and why, in words for the report. */
struct runtime_skip {
	char what[64];
	char reason[160];
};

/* The malloc that a file brings, whatever its runtime. */
struct runtime_allocator {
	char name[16];    /* "jemalloc", "" = none */
	char version[24]; /* "5.3.0", "" = it does not say */
	char prefix[16];  /* of the names of its functions: "je_"; "" = none or not known */
};

/* Facts of one runtime in one file. Crosses the socket between child and tracer as it is. */
struct runtime_file {
	char runtime[16];  /* name of the runtime, "" = none known */
	char version[64];  /* "go1.23.5", with experiments "go1.24.4 X:noswissmap" */
	char build_id[72]; /* GNU build-id in hex, else a hash of Go's own id; "" = none */
	bool pie;
	bool stripped;       /* no .symtab */
	bool reading;        /* layout known: containers can be read from outside */
	bool wants_names;    /* more would be known with the names that were stripped from it */
	bool execs;          /* it imports a function that runs another program in its own place */
	uint64_t load_vaddr; /* p_vaddr - p_offset of the first PT_LOAD: slide = map start - this */
	uint64_t data_start, data_end; /* writable data with .bss, as linked: global variables */
	struct runtime_allocator allocator; /* in the first of the file's only */
	uint32_t probe_count, skip_count;
	struct runtime_probe probes[RUNTIME_MAX_PROBES];
	struct runtime_skip skips[RUNTIME_MAX_SKIPS];
	union {
		struct go_facts go;
		struct cxx_facts cxx;
	};
};

/* What a census hands out per container; key is the container's address. */
/* Iterators that point to a container. */
struct runtime_iterators {
	struct event_iterators event; /* family, key, site are the caller's to fill */
	uint64_t site_pcs[16];        /* on whose stack the first of them is, "0" ends it */
};

struct runtime_container {
	enum family family;
	uint64_t key;
	uint64_t
		type; /* the runtime's own number of the type, for type_name() and look(); 0 = unknown */
	char type_name[160];
	char owner[160]; /* "main.cache", "main.Cache.m", "" = unknown */
	struct event_look look;
	uint64_t site_pcs[16]; /* allocation profile: stack of the largest array, "0" ends it */
	struct runtime_iterators iterators;
};

/* Large arrays of one size and type that no container of ours holds. */
struct runtime_arrays {
	struct event_arrays event; /* its type and site are the caller's to find: */
	char type_name[160];   /* "" = unknown: it has no pointers, or the version does not say */
	uint64_t site_pcs[16]; /* allocation profile: the stack of most of them, "0" ends it */
};

struct runtime_census_stats {
	uint64_t objects; /* looked at */
	uint64_t
		heap_objects; /* slots of all spans in use: most are ruled out by their span's slot size */
	uint64_t unread; /* arrays of which it could not be read in time whether they are in use */
	uint64_t bytes;  /* read */
	uint64_t containers; /* found, small ones too; of them: */
	uint64_t maps, channels;
	uint64_t duration_ns;
	uint64_t longest_slice_ns; /* between two calls of progress */
	bool complete;             /* false: interrupted or out of time */
};

struct runtime_census_options {
	uint64_t floor_bytes; /* report only containers holding at least this */
	uint64_t keep_bytes;  /* count the smaller ones, but neither report nor remember them */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0 = none */
	bool find_owners;     /* one hop: who points to the containers above the floor */
	/* Called now and then with what is done of all; non-zero stops the census. May be NULL. */
	int (*progress)(uint64_t done, uint64_t total, void *arg);
	void *arg; /* for progress */
	/* Large arrays that belong to no container; called after all containers were found. May be NULL. */
	void (*arrays)(const struct runtime_arrays *arrays, void *found_arg);
	void *found_arg; /* for that and for the callback of census() */
};

/* Goroutines that wait for the same thing with the same stack. */
struct runtime_waiters {
	struct event_waiters event; /* its site is the caller's to find: */
	uint64_t pcs
		[RUNTIME_WAIT_PCS]; /* return addresses, innermost first; the last is who started it */
	size_t pc_count;
};

/* What was allocated with one stack, as the runtime itself counts it. */
struct runtime_allocated {
	struct event_allocated event; /* its stack is the caller's to find: */
	const uint64_t
		*pcs; /* return addresses, innermost first; an inlined call has one of its own */
	size_t pc_count;
};

struct runtime {
	const char *name;
	bool optional; /* only where the user asks for it, and then it is none that a program is known by */
	bool frame_pointers; /* its code keeps them: stacks are walked, else copied and unwound */

	/*
	 * A runtime that sees_malloc is in every process, and knows of containers only that their memory
	 * grows: it makes no program a known one. Where another one covers_malloc it would see nothing new:
	 * those containers grow by realloc and are seen already, or have an allocator of their own.
	 */
	bool sees_malloc, covers_malloc;

	/* Programs in it often do nothing but start others: it makes no program a known one, either. */
	bool launches;

	/*
	 * Of what a process maps, its executable is always asked; a library only where its file name
	 * (no directory) is wanted here. NULL = no library.
	 */
	bool (*wants)(const char *file_name);

	/* ---- file facts: parser child only ---- */

	/* 1 = mine, ret filled in (version, layout, probes, skips); 0 = not mine; <0 = mine but broken. */
	int (*identify)(struct elf_file *elf, struct runtime_file *ret);

	/*
	 * ---- process facts: tracer only. What a runtime has nothing to say about is NULL, from
	 * type_name() on. A process has one of these per file in which the runtime was found. ----
	 */

	/*
	 * Starts reading one process. slide = run-time address - linked address; file outlives it. Checks the layout's
	 * invariants against memory: -ENOTSUP where they do not hold (reason says which). parser
	 * answers type and line questions and must outlive the process.
	 */
	int (*process_open)(const struct runtime_file *file, struct target_mem *mem,
		struct parser *parser, uint32_t file_id, uint64_t slide,
		struct runtime_process **ret, char reason[160]);
	void (*process_close)(struct runtime_process *process);

	/*
	 * Turns a record into an event (GROWTH or CREATE; target, time and site are the caller's).
	 * ret_type gets the runtime's type pointer for model interning by the caller through
	 * type_name(). 0, -ENODATA where the record says nothing (for example a first allocation),
	 * -EBADMSG where its numbers cannot be true.
	 */
	int (*decode)(struct runtime_process *process, const struct runtime_probe *probe,
		const struct mt_record *record, struct event *ret, uint64_t *ret_type);

	/*
	 * Return addresses of the place that did it, innermost first, for code that keeps no frame
	 * pointers: what the probe's sources have read from the stack. Returns how many; 0 where the
	 * record's own stack is all there is. NULL = always that.
	 */
	size_t (*place)(struct runtime_process *process, const struct runtime_probe *probe,
		const struct mt_record *record, uint64_t ret[RUNTIME_PLACE_PCS]);

	/*
	 * The type of a container by the name of a function that was called to make it grow, where
	 * decode() does not tell its template arguments. False where it does not say. NULL = never.
	 */
	bool (*type_of_function)(const char *function, char *buf, size_t bytes);

	/*
	 * Whether it sees the growth of all containers of a type itself: what a runtime that sees_malloc
	 * learns of them would be told twice. NULL = of none.
	 */
	bool (*tells)(const char *type);

	/* Types of its containers whose growth only a runtime that sees_malloc tells of. NULL = none. */
	bool (*owns)(const char *type);

	/* Name of a type pointer or "" (buf is always terminated). May ask the parser; cached. */
	void (*type_name)(struct runtime_process *process, uint64_t type, char *buf, size_t bytes);

	/*
	 * Reads all containers of the heap, newest state, and calls found for each one. The callback's
	 * struct is only valid during the call.
	 */
	int (*census)(struct runtime_process *process, const struct runtime_census_options *options,
		void (*found)(const struct runtime_container *container, void *arg),
		struct runtime_census_stats *ret_stats);

	/*
	 * Looks at containers learned from census() or decode(): length, capacity, held, liveness.
	 * deep also walks what the header does not say (Swiss tables, residency). A container first
	 * seen here by key is checked before it is believed; length_peak is the highest length the
	 * caller has seen. ret[i].liveness is DEAD where keys[i] holds something else now.
	 */
	int (*look)(struct runtime_process *process, enum family family, const uint64_t *keys,
		const uint64_t *types, const uint64_t *length_peaks, size_t count, bool deep,
		struct event_look *ret);

	/*
	 * Which of the containers have been quiet: look() would say of them what it said last, but
	 * resident pages. Costs a tenth of that. NULL = only a look can tell.
	 */
	int (*quiet)(
		struct runtime_process *process, const uint64_t *keys, size_t count, bool *ret);

	/* State of heap and GC now. */
	int (*heap)(struct runtime_process *process, struct event_heap *ret);

	/* The container whose array holds addr, or 0: only among those looked at lately. */
	uint64_t (*owner_of)(struct runtime_process *process, uint64_t addr);

	/* Whether addr lies in memory that the runtime keeps for its heap. NULL = has none of its own. */
	bool (*is_heap)(struct runtime_process *process, uint64_t addr);

	/*
	 * Bytes of the heap's memory in [start, end) that the runtime has given back to the system, by its
	 * own books, and that are in RAM all the same. 0, -ENOTSUP, -ESRCH. NULL = keeps no such books.
	 */
	int (*count_given_back)(
		struct runtime_process *process, uint64_t start, uint64_t end, uint64_t *ret_bytes);

	/*
	 * The family whose containers a function of the runtime's own fills: what it touches first in the
	 * heap are their arrays. NONE = none. NULL = no such functions.
	 */
	enum family (*fills)(const char *function);

	/*
	 * Counts all goroutines, and calls found for every stack with which at least floor of them wait for
	 * a channel or a lock. 0, -ENOTSUP where this binary does not say how, -EFAULT, -ESRCH.
	 */
	int (*goroutines)(struct runtime_process *process, uint64_t floor,
		void (*found)(const struct runtime_waiters *waiters, void *arg), void *arg,
		struct event_goroutines *ret);

	/*
	 * The program's own allocation profile: calls found for every stack, those with most in use
	 * first. Where it keeps none, reason says why, and what was sampled since attach is told instead:
	 * those with most allocated first. 0, -ENODATA where there is neither, -EFAULT, -ESRCH.
	 */
	int (*profile)(struct runtime_process *process,
		void (*found)(const struct runtime_allocated *allocated, void *arg), void *arg,
		struct event_profile *ret, char reason[160]);
};

#endif
