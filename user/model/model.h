/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model: everything that is known about the targets of one session, built from events alone.
 *
 * It is filled by model_apply() (live, read or replayed) and then read by rules and sinks through
 * the structs below, which they must not change. It is bounded (MODEL_MAX_*): what does not fit goes
 * to an "other" entry and is counted. No locks: one thread owns it.
 */
#ifndef MEMTRACE_MODEL_MODEL_H
#define MEMTRACE_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/event.h"

#define MODEL_MAX_TARGETS     256
#define MODEL_MAX_CONTAINERS  4096 /* per target; the smallest make room */
#define MODEL_MAX_SITES       8192 /* per target; then site "other" */
#define MODEL_SLOTS           64   /* length history of a container */
#define MODEL_RATE_SLOTS      64   /* per-second history of a site: more than the longest spike */
#define MODEL_USAGE_SAMPLES   6000 /* 600 s at 10 Hz */
#define MODEL_HEAP_SAMPLES    600
#define MODEL_GENERATIONS     16 /* containers of one site, one after the other */
#define MODEL_MAX_FRAMES      32
#define MODEL_MAX_WAITERS     256  /* per target; those that are gone make room, then the fewest */
#define MODEL_WAITER_SLOTS    64   /* looks remembered */
#define MODEL_MAX_STACKS      4096 /* per target, of its allocation profile; then stack 0 */
#define MODEL_MAX_ARRAYS      64   /* per target: sizes and types of large arrays */
#define MODEL_MAX_SPIKES      64   /* per target; the smallest make room */
#define MODEL_SPIKE_CAUSES    8    /* the largest */
#define MODEL_CAUSE_SLOTS     4096 /* per target; the oldest make room */
#define MODEL_MAX_SKIPS       512  /* different ones; the rest is not told */
#define MODEL_RECENT          64   /* per target: what happened last */
#define MODEL_MAX_STRINGS     131072 /* interned; then unknown */
#define MODEL_MAX_RUNTIMES    8      /* per target */
#define MODEL_MAX_ALLOCATORS  4      /* per target */
#define MODEL_ALLOCATOR_SLOTS 64     /* looks remembered */

/* ---- what a target is ---- */

struct model_target_info {
	int pid;
	uint64_t start_time;
	const char *comm, *exe, *cgroup, *build_id;
	const char *runtime; /* "go", "" = none known; more come with model_add_runtime() */
	const char *version; /* "go1.23.5" */
	uint64_t limit_bytes;
	bool has_limit;
	uint64_t age_ns; /* of the process at attach */
};

struct usage_sample {
	uint64_t time_ns, rss_bytes;
};

struct heap_sample {
	uint64_t time_ns, total_alloc_bytes, live_bytes;
	uint32_t gc_cycles;
	bool gc_running;
};

/*
 * The collector, cycle after cycle, as far as cycles were seen to end (several between two readings are
 * one). The floor is the heap that a cycle found alive: its trend is what a leak looks like.
 */
struct gc_view {
	uint64_t cycles;
	uint32_t newest; /* number of the newest */
	uint64_t mark_max_ns, mark_total_ns;
	uint64_t mark_cpu_ns, assist_cpu_ns;
	uint64_t floor_first_bytes, floor_last_bytes, floor_min_bytes, floor_max_bytes;
	uint64_t floor_first_ns;
	double time_sum, time_squares, floor_sum,
		products; /* for the trend; seconds since the first */
};

/* Bytes of RSS, and why they are there: the container that grew, else the site, else the mapping. */
struct cause {
	uint64_t bytes;
	uint32_t site; /* 0 = unknown */
	enum family
		family; /* of the container; NONE = who touched the pages is all that is known */
	enum mapping mapping; /* where neither is known */
	uint32_t name;        /* of the mapped file, interned */
	uint32_t mapped_site; /* where the program mapped it, 0 = unknown */
};

/* A cause at work: what a few neighbouring samples said. */
struct cause_slot {
	uint64_t first_ns, last_ns;
	struct cause cause;
	uint64_t lost_bytes;
};

/* One step of RSS: up from start to end. */
struct spike {
	uint64_t start_ns, end_ns;
	uint64_t before_bytes, after_bytes;
	bool start_up;            /* before the target had settled */
	uint64_t explained_bytes; /* <= after - before */
	uint64_t avoidable_bytes; /* of them arrays that growth replaced: a size hint saves them */
	uint64_t lost_bytes;      /* given back to the kernel meanwhile: causes may pass the step */
	uint64_t sampled_bytes;   /* of what came, as page faults were sampled */
	bool estimated;           /* the causes were scaled: not all of it was sampled */
	uint32_t cause_count;
	struct cause causes[MODEL_SPIKE_CAUSES];
};

enum recent_kind {
	RECENT_GROWTH,   /* a container grew: bytes = what it holds since, else the new array */
	RECENT_GC,       /* a collection ended: bytes = what it left alive */
	RECENT_RETURNED, /* memory went back to the kernel */
	RECENT_KINDS,
};

/* What happened lately, for the time when nobody can ask any more; alike ones of a second are one. */
struct recent {
	enum recent_kind kind;
	uint64_t time_ns; /* of the newest */
	uint64_t count;
	uint64_t bytes;
	uint32_t site, type; /* GROWTH; RETURNED: site */
	enum family family;  /* GROWTH */
	uint64_t capacity;   /* GROWTH: slots since, 0 = unknown */
};

/* Large arrays of one size and type, reading after reading. */
struct arrays {
	struct event_arrays now;
	uint64_t first_ns, last_ns; /* readings that had them, without a gap */
	uint64_t least_count;       /* since first_ns */
};

/* Goroutines that wait at one site, look after look. */
struct waiters {
	struct event_waiters now; /* at the newest look that found enough of them */
	uint64_t last_ns; /* time of that look: target.goroutines_ns, or there are none left */
	uint64_t peak;
	/* Looks without a gap, newest last; when full, every two neighbours become one: the lower count */
	struct waiter_slot {
		uint64_t time_ns, count;
	} slots[MODEL_WAITER_SLOTS];
	uint32_t slot_count;
};

/* A malloc of the process, look after look. */
struct allocator {
	struct event_allocator now;
	uint64_t last_ns;
	/* Newest last; when full, every two neighbours become one: the lower figures */
	struct allocator_slot {
		uint64_t time_ns, retained_bytes, page_bytes;
	} slots[MODEL_ALLOCATOR_SLOTS];
	uint32_t slot_count;
};

struct target {
	uint32_t id;
	int pid;
	uint64_t start_time;
	char *comm, *exe, *cgroup, *build_id;
	uint32_t host; /* its number */
	/* What its containers belong to, in the order in which they were found; [0] is the executable's */
	struct target_runtime {
		char *name, *version;
	} runtimes[MODEL_MAX_RUNTIMES];
	size_t runtime_count;
	uint64_t limit_bytes;
	bool has_limit;
	uint64_t attach_ns, last_ns; /* first and last event */
	uint64_t age_ns;             /* at attach */
	uint64_t epoch_ns;           /* when the program of today began: attach or the last exec */

	/* usage: newest last, usage[usage_count - 1]; decimated by half when full */
	struct usage_sample *usage;
	size_t usage_count;
	uint64_t rss_bytes, file_bytes, peak_bytes;
	uint64_t first_cpu_ns, cpu_ns; /* at attach, now */

	struct heap_sample *heap_samples;
	size_t heap_count;
	bool has_heap;
	struct event_heap heap_first, heap; /* at attach, now */
	uint64_t heap_ns;                   /* time of heap */
	struct gc_view gc;

	/* Start-up lasts until the target is 60 s old or RSS rises by < 1 % in 10 s, whichever is first. */
	uint64_t steady_ns; /* 0 = still starting up */

	bool exited;
	struct event_exit exit;
	uint64_t exit_ns;
	uint32_t execs;
	uint64_t faults;                  /* sampled faults, weighted */
	uint64_t fault_bytes, lost_bytes; /* RSS gained and lost, as the samples saw it */
	uint64_t risen_bytes; /* all rises of RSS from look to look: at least so much was gained */

	/* What system calls did to the address space, since attach */
	struct memory_total {
		uint64_t calls, mapped_bytes, unmapped_bytes, lost_bytes;
	} memory[MEMORY_CALLS];

	/* Where the RSS was mapped: at attach and now; time 0 = not known */
	struct event_resident resident_first, resident;
	uint64_t resident_ns;

	/* The newest look at all goroutines; times are 0 where there was none */
	struct event_goroutines goroutines;
	uint64_t goroutines_ns, goroutines_before_ns; /* of the newest look and of the one before */
	struct waiters *waiters;
	size_t waiters_count;

	/* Large arrays at the newest reading (those with its last_ns; the others are gone) */
	struct arrays arrays[MODEL_MAX_ARRAYS];
	size_t array_count;
	uint64_t arrays_ns, arrays_before_ns; /* of the newest reading and the one before */

	/* In the order in which they were found */
	struct allocator allocators[MODEL_MAX_ALLOCATORS];
	size_t allocator_count;

	/* Its allocation profile as last read, one entry a stack; profile_ns 0 = none was read */
	struct event_profile profile;
	uint64_t profile_ns;
	struct event_allocated *allocated;
	size_t allocated_count;

	/* Per family: time its probes delivered, for open_share and "exact" */
	struct family_share {
		bool ever, open;
		uint64_t opened_ns, open_total_ns, first_ns;
		/* Of the last minute, second by second: ring by second % MODEL_RATE_SLOTS */
		struct {
			uint32_t second, open_us;
		} open_slots[MODEL_RATE_SLOTS];
	} shares[FAMILY_MAX];

	struct spike *spikes;
	size_t spike_count;
	uint64_t spikes_dropped;

	/* Its cgroup, where this target was asked for it; times are 0 where it was not */
	struct event_group group_first, group;
	uint64_t group_first_ns, group_ns;
	uint64_t working_set_peak_bytes;

	/* Ring, the newest at (recent_count - 1) % MODEL_RECENT */
	struct recent recent[MODEL_RECENT];
	uint64_t recent_count;

	uint64_t growths; /* all families */
	uint64_t containers_seen[FAMILY_MAX];
	uint64_t containers_dropped; /* did not fit MODEL_MAX_CONTAINERS */
};

/* ---- sites ---- */

struct model_frame {
	const char *function, *file; /* interned */
	uint32_t line;
	bool internal, inlined;
	const char *module,
		*build_id; /* interned; the file of its code; "" = the target's executable, or none */
};

struct rate_slot {
	uint32_t second; /* time_ns / 1e9 */
	uint32_t growths;
	uint32_t faults; /* weighted samples */
	uint64_t allocated_bytes, garbage_bytes;
	uint64_t fault_bytes; /* of RSS that came with the faults */
};

/* A container that has ended, or was followed by the next one of its site. */
struct generation {
	uint64_t first_ns, last_ns;
	uint64_t key, peak_held_bytes, allocated_bytes, garbage_bytes;
	uint64_t serial; /* of the container */
	bool ended;      /* known to be dead, not only followed by the next one */
};

struct site {
	uint32_t id, target;
	enum family family;
	uint32_t runtime; /* interned name, 0 = the target's first */
	uint32_t type;    /* interned, 0 = unknown */
	/* Of the first frame outside runtime and standard library; else see library */
	const char *function, *file;
	uint32_t line; /* 0 = unknown */
	uint32_t frame_count;
	struct model_frame *frames; /* innermost first, as symbolized */
	bool library;               /* no frame is the user's: function is a library's */
	bool other;                 /* stands for all sites that did not fit */

	uint64_t growths, same_size;
	uint64_t containers; /* distinct, as far as followed */
	uint64_t allocated_bytes, garbage_bytes;
	uint64_t fault_count; /* weighted samples at this site */
	uint64_t fault_bytes; /* of RSS that this site is the cause of */
	uint64_t first_ns, last_ns;
	struct rate_slot rates[MODEL_RATE_SLOTS]; /* ring by second % MODEL_RATE_SLOTS */
	uint64_t lengths[32]; /* histogram of final lengths: [i] counts lengths in [2^i, 2^(i+1)) */
	uint64_t length_max;
	struct generation
		generations[MODEL_GENERATIONS]; /* ring, newest at (generation_count - 1) % N */
	uint64_t generation_count;
	uint32_t newest; /* container id grown last at this site, valid while its serial is: */
	uint64_t newest_serial;
};

/* ---- stacks ---- */

/* A whole stack, where the first frame of the user's code is not enough. */
struct model_stack {
	uint32_t id, target;
	uint32_t
		place; /* index of the first frame outside runtime and standard library, or frame_count */
	uint32_t frame_count;
	struct model_frame *frames; /* innermost first */
};

/* ---- containers ---- */

/* One slot of a container's history; a slot's width doubles when the ring is full. */
struct length_slot {
	uint64_t start_ns;
	uint64_t min, max, last;
	uint32_t gc_cycles; /* completed when the slot began */
	bool gc_running;    /* a cycle was under way when the slot began */
};

#define MODEL_CONTAINER_SITES 4

/* What every look changes stands together: a thousand containers are looked at ten times a second. */
struct container {
	uint32_t id, target;
	uint64_t serial; /* ids are used again after eviction, serials (from 1) never */
	enum family family;
	uint64_t key;
	bool before_attach;
	bool accessed; /* its site is where it was used: nothing is known of where it grew */
	bool dead;
	bool looked; /* look below is valid */
	uint64_t first_ns, last_ns;

	uint64_t look_ns;
	uint64_t look_hash;       /* of the newest look, as it was told */
	uint64_t look_held_bytes; /* look.held_bytes */
	uint64_t looks;
	uint64_t looks_known; /* looks with has_length */
	uint64_t length_peak;
	uint64_t held_bytes; /* newest of look and growth */
	uint64_t held_peak_bytes;
	/* MODEL_SLOTS of them; NULL while no length has been seen, and after its end */
	struct length_slot *slots;
	uint64_t slot_ns; /* width */
	uint32_t slot_count;
	struct event_look
		look; /* newest; what a shallow look leaves out is kept from the last deep one */

	uint32_t runtime;     /* interned name, 0 = the target's first */
	uint32_t type, owner; /* interned, 0 = unknown */
	uint64_t dead_ns;
	uint64_t grown_ns;   /* last growth, 0 = never seen growing */
	uint64_t written_ns; /* last time look.stamp changed, first look if never */
	uint64_t writes;     /* times that look.stamp had changed between two looks */
	uint64_t first_look_ns;
	uint64_t peak_ns;             /* when length_peak last rose */
	uint64_t capacity_changed_ns; /* last change of look.capacity; first look if never */
	bool has_length_at_growth;
	uint64_t length_at_growth, capacity_at_growth;
	uint64_t array_bytes;        /* made by the last growth */
	uint64_t overlap_peak_bytes; /* most that one growth had at once, old and new */
	uint64_t growths, same_size, garbage_bytes, allocated_bytes;
	uint64_t created_capacity; /* makechan size, makemap hint where seen */

	/* Sites by bytes allocated; [0] is the container's site (its largest array). */
	struct {
		uint32_t site;
		uint64_t bytes;
	} sites[MODEL_CONTAINER_SITES];

	/* Held bytes: when they last changed, for "stable since" */
	uint64_t held_changed_ns;

	/* Of the last census; since then they have been seen at the same place. No count: there are none */
	struct event_iterators iterators;
	uint64_t iterators_since_ns, iterators_seen_ns;
	bool iterators_moved; /* between the last census that saw some and the one before */

	bool quiet;      /* the model's own: looks that said nothing new are not counted in yet, */
	uint64_t rounds; /* but those up to this one */
};

/* ---- what else a report says ---- */

struct model_skip {
	char *what, *reason;
};

struct model_source {
	const char *name; /* interned: "map", "slice", "channel", "faults", "control" */
	uint64_t hits, produced, delivered, lost;
};

struct model_overhead {
	uint64_t probe_hits;
	double ns_per_hit;
	uint64_t probe_cpu_ns, target_cpu_ns; /* while attached */
	double budget_pct;
	uint64_t tracer_cpu_ns, tracer_rss_bytes, parser_rss_bytes;
	uint64_t attach_ns, detach_ns;
};

struct model_host {
	char name[72]; /* "" = unknown */
	char kernel[72];
	int cpus;
	char attach_mode[48]; /* "uprobe_multi", "perf uprobes", "none (reading only)" */
};

struct model_census {
	bool done, complete;
	uint64_t objects;      /* looked at */
	uint64_t heap_objects; /* slots of the heap: most are ruled out unread, by their size */
	uint64_t
		unread; /* arrays that are not counted: whether they are in use was not readable in time */
	uint64_t bytes, maps, channels, duration_ns, longest_slice_ns;
};

/* Stacks that were copied and unwound, by how they ended. */
struct model_unwound {
	uint64_t complete;
	uint64_t truncated; /* the copy was too short */
	uint64_t lost;      /* came to code that does not say who called it */
};

struct model; /* opaque: reach it through the functions below */

struct model *model_new(void);
void model_free(struct model *model);

/* ---- watching ---- */

/*
 * Told of every call that fills the model, in order, what the model refused left out: another model
 * that gets the same calls becomes the same. All functions must be there. Strings, sites and their
 * frames stay where they are until model_free(); everything else is valid during the call only. An
 * observer must not change the model.
 */
struct model_observer {
	/* Each new string, site and stack once, before anything names its id; ids count up from 1 */
	void (*string)(uint32_t id, const char *string, void *arg);
	void (*site)(const struct site *site, void *arg);
	void (*stack)(const struct model_stack *stack, void *arg);
	/* Added, or described anew */
	void (*target)(uint32_t id, const struct model_target_info *info, void *arg);
	void (*runtime)(uint32_t target, const char *name, const char *version, void *arg);
	void (*event)(const struct event *event, void *arg);
	void (*skip)(const struct model_skip *skip, void *arg);
	void (*source)(const struct model_source *source, void *arg);
	void (*overhead)(const struct model_overhead *overhead, void *arg);
	void (*host)(const struct model_host *host, void *arg);
	void (*census)(uint32_t target, const struct model_census *census, void *arg);
	void (*unwound)(uint32_t target, const struct model_unwound *unwound, void *arg);
	void (*clock)(uint64_t mono_ns, uint64_t real_ns, uint64_t end_mono_ns, void *arg);
	void (*incomplete)(const char *reason, void *arg);
};

/* One observer, from now on; to be set on an empty model. NULL = none any more. */
void model_set_observer(struct model *model, const struct model_observer *observer, void *arg);

/* ---- quiet containers ---- */

/*
 * Containers that are quiet: what the newest look at them said, each one since would have said, too. From
 * model_begin_quiet() on, each model_apply_quiet() stands for such a look at all of them, until another event
 * speaks of the container. Where there is an observer, who is told of each look, none is ever quiet.
 */
void model_begin_quiet(struct model *model, uint32_t target, enum family family, uint64_t key);
void model_end_quiet(struct model *model, uint32_t target, enum family family, uint64_t key);
void model_end_all_quiet(struct model *model, uint32_t target);
void model_apply_quiet(struct model *model, uint32_t target, uint64_t time_ns);
bool model_is_observed(const struct model *model);

/* Which are quiet: as many, and the sum of model_quiet_word(). Who began them can tell whether others are gone. */
struct model_quiet {
	uint64_t count, sum;
};

struct model_quiet model_quiet(const struct model *model, uint32_t target);
uint64_t model_quiet_word(enum family family, uint64_t key);

/* ---- filling ---- */

/* Interns a string; 0 is always the unknown (empty) one. Names are kept as they are: sinks escape. */
uint32_t model_intern(struct model *model, const char *s);
const char *model_string(const struct model *model, uint32_t id);

/* The id of a string that has been interned; 0 where it has not. */
uint32_t model_find_string(const struct model *model, const char *s);

/* Strings are copied. Returns the target's index (0, 1, ...). */
uint32_t model_add_target(struct model *model, const struct model_target_info *info);

/*
 * Another runtime of the same process (C++ in a Go program), or the version of one that is known.
 */
void model_add_runtime(struct model *model, uint32_t target, const char *name, const char *version);

/* Name of the runtime that a container or site belongs to: what the event said, else the first. */
const char *model_runtime_name(const struct model *model, uint32_t target, uint32_t runtime);

/* Limits and names change on exec: replaces the description, keeps history. */
void model_update_target(
	struct model *model, uint32_t target, const struct model_target_info *info);

/*
 * The site of a symbolized stack (frames innermost first; strings copied). The same (target, family,
 * type, function, file, line) is one site; the first stack seen is kept. Returns its id (>= 1), or
 * the id of "other" when MODEL_MAX_SITES are taken.
 */
uint32_t model_add_site(struct model *model, uint32_t target, enum family family, uint32_t type,
	const struct model_frame *frames, size_t frame_count);

/* The target's site "other" itself, for a replay; 0 where the target is unknown. */
uint32_t model_add_other_site(struct model *model, uint32_t target);

/*
 * A symbolized stack as a whole (frames innermost first; strings copied). The same frames are one
 * stack. Returns its id (>= 1), or 0 when the target has MODEL_MAX_STACKS.
 */
uint32_t model_add_stack(
	struct model *model, uint32_t target, const struct model_frame *frames, size_t frame_count);

/* Takes one event in. 0, or -EINVAL where it names an unknown target or kind (counted, ignored). */
int model_apply(struct model *model, const struct event *event);

/* What was left out, and why; the same is told once. */
void model_add_skip(struct model *model, const char *what, const char *reason);
void model_set_source(struct model *model, const char *name, uint64_t hits, uint64_t produced,
	uint64_t delivered, uint64_t lost);
void model_set_overhead(struct model *model, const struct model_overhead *overhead);
/* The host of all targets that are not said to be on another one. */
void model_set_host(struct model *model, const struct model_host *host);

/*
 * One host more, of a recording that is merged into this model: its number, that of a known one again. No
 * observer is told: what only several recordings have together is in none of them.
 */
uint32_t model_add_host(struct model *model, const struct model_host *host);
void model_set_target_host(struct model *model, uint32_t target, uint32_t host);
void model_set_census(struct model *model, uint32_t target, const struct model_census *census);
void model_set_unwound(struct model *model, uint32_t target, const struct model_unwound *unwound);

/* Begin and end of the session: monotonic and wall clock at the start, monotonic at the end. */
void model_set_clock(struct model *model, uint64_t mono_ns, uint64_t real_ns, uint64_t end_mono_ns);

/* A reason why the data is incomplete, besides loss ("the census ran out of time"). */
void model_add_incomplete(struct model *model, const char *reason);

/* ---- reading ---- */

size_t model_target_count(const struct model *model);
const struct target *model_target(const struct model *model, uint32_t id);

size_t model_site_count(const struct model *model); /* sites have ids 1 .. count */
const struct site *model_site(const struct model *model, uint32_t id); /* NULL for 0 or unknown */

size_t model_stack_count(const struct model *model); /* stacks have ids 1 .. count */
const struct model_stack *model_stack(const struct model *model, uint32_t id); /* NULL = unknown */

size_t model_container_count(
	const struct model *model); /* ids 0 .. count - 1, dead ones included */
const struct container *model_container(const struct model *model, uint32_t id);
const struct container *model_find_container(const struct model *model, uint32_t target,
	enum family family, uint64_t key); /* the living one with that key, or NULL */

/*
 * Proof that a container is alive: a GC that began after t0_ns found it, a global variable points to it,
 * or the program has written or grown it since. False = not proven, which is not the same as dead.
 */
bool model_container_alive_since(
	const struct model *model, const struct container *container, uint64_t t0_ns);

/* What happened at a site from the second of from_ns to that of to_ns, both included. */
void model_site_window(
	const struct site *site, uint64_t from_ns, uint64_t to_ns, struct rate_slot *ret);

/* GC cycles completed since t_ns, as far as seen (never too many). */
uint32_t model_gc_cycles_since(const struct target *target, uint64_t t_ns);

/* Trend of the heap that cycles left alive, in bytes per second; 0 where fewer than 3 were seen. */
double model_floor_slope(const struct target *target);

/* Highest RSS sample in [from_ns, to_ns]; 0 = none. */
uint64_t model_rss_max(const struct target *target, uint64_t from_ns, uint64_t to_ns);

/* All goroutines at the newest look. */
uint64_t model_goroutine_count(const struct target *target);

/* All stacks of the allocation profile together; stack is 0. */
void model_sum_allocated(const struct target *target, struct event_allocated *ret);

/* What happened last but i things, 0 = the last of all; NULL where no more is remembered. */
const struct recent *model_recent(const struct target *target, size_t i);

/* Events that model_apply() refused. */
uint64_t model_invalid_events(const struct model *model);

size_t model_skip_count(const struct model *model);
const struct model_skip *model_skip(const struct model *model, size_t i);
size_t model_source_count(const struct model *model);
const struct model_source *model_source(const struct model *model, size_t i);
const struct model_overhead *model_overhead(const struct model *model);
const struct model_host *model_host(const struct model *model); /* number 0, always there */
size_t model_host_count(const struct model *model);
const struct model_host *model_host_at(const struct model *model, uint32_t host);
const struct model_census *model_census(const struct model *model, uint32_t target);
const struct model_unwound *model_unwound(const struct model *model, uint32_t target);
void model_clock(const struct model *model, uint64_t *ret_mono_ns, uint64_t *ret_real_ns,
	uint64_t *ret_end_mono_ns);
size_t model_incomplete_count(const struct model *model);
const char *model_incomplete(const struct model *model, size_t i);

/* True where nothing was lost, produced == delivered + lost, and no reason for "incomplete" exists. */
bool model_complete(const struct model *model);

/* Share of the session in which a family's probes delivered: 1.0 = exact counts, 0 = never attached. */
double model_open_share(const struct model *model, uint32_t target, enum family family);

/* The openings that count for a family: its own, or those of the family that it is probed as. */
const struct family_share *model_family_share(const struct target *target, enum family family);

/*
 * The same from the second of from_ns to that of to_ns, both included; they must lie in the last minute
 * (MODEL_RATE_SLOTS). 0 where its probes were not open in that time.
 */
double model_open_share_between(const struct model *model, uint32_t target, enum family family,
	uint64_t from_ns, uint64_t to_ns);

/*
 * Scales what was counted while the probes were open (1/open_share); the figure itself where
 * open_share is 1 or 0.
 */
uint64_t model_scale(
	const struct model *model, uint32_t target, enum family family, uint64_t counted);

/*
 * Faults, or bytes that came with them, as far as the budget let them be sampled: for all of the session. It
 * closes them just when there are many, so that not only the time counts but how far RSS is known to have
 * risen.
 */
uint64_t model_scale_faults(const struct model *model, uint32_t target, uint64_t sampled);

/*
 * What made the RSS grow in [from_ns, to_ns], as far as page faults were sampled: fills in up to max
 * causes, largest first; what does not fit is summed up as one unknown cause. Returns their number;
 * ret_lost gets the bytes that were given back meanwhile.
 */
size_t model_causes(const struct model *model, uint32_t target, uint64_t from_ns, uint64_t to_ns,
	struct cause *ret, size_t max, uint64_t *ret_lost);

/* Steps of one target that have the same leading cause. */
struct spike_series {
	size_t count;      /* 0 = the step has no cause, 1 = there is no other */
	uint64_t first_ns; /* when the first of them began; the newest: */
	uint64_t last_ns;
	uint64_t
		period_ns; /* they come so far apart, give or take a quarter; 0 = in no such order */
};

/* Whether two steps have the same leading cause. */
bool model_spike_is_alike(const struct spike *a, const struct spike *b);

struct spike_series model_spike_series(const struct target *target, const struct spike *spike);

/* When the next one of a series comes, from now on; 0 = unknown, or it is overdue. */
uint64_t model_series_next(const struct spike_series *series, uint64_t now_ns);

/* A cause in words: "maps at prices.go:77", "pages of libfoo.so"; names as they are, sinks escape. */
void model_describe_cause(
	const struct model *model, const struct cause *cause, char *buf, size_t bytes);

/* RSS slope in bytes per second over the last window_ns (least squares); 0 where too few samples. */
double model_rss_slope(const struct target *target, uint64_t window_ns);

#endif
