/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the model share and nobody else sees. */
#ifndef MEMTRACE_MODEL_PRIVATE_H
#define MEMTRACE_MODEL_PRIVATE_H

#include "base/table.h"
#include "model/model.h"

/* Interned strings: [0] is the empty one. */
struct names {
	char **strings;
	size_t count, cap;
	struct table by_hash;
};

const char *names_get(const struct names *names, uint32_t id);
uint32_t names_add(struct names *names, const char *s);
uint32_t names_find(const struct names *names, const char *s); /* 0 = none */
void names_done(struct names *names);

/* How many containers are picked for eviction at once, so that picking costs little per growth. */
#define VICTIMS 256

struct victim {
	uint32_t id;
	bool dead;
	uint64_t serial, held_bytes, last_ns;
};

/* A look at all quiet containers at once. Each counts it in when it is needed, or when no more are kept. */
#define QUIET_ROUNDS 64

struct look_round {
	uint64_t time_ns;
	uint32_t gc_cycles; /* as event_heap said then */
	bool gc_running;
};

struct target_state {
	struct target pub;
	struct table keys[FAMILY_MAX];  /* address -> id, living containers only */
	struct table ended[FAMILY_MAX]; /* address -> id of the one that ended there last */
	uint32_t *containers;           /* ids */
	size_t container_count, container_cap;
	struct victim victims[VICTIMS]; /* the next to go is the last */
	size_t victim_count;
	uint32_t *sites; /* ids */
	size_t site_count, site_cap;
	uint32_t other_site;
	size_t usage_cap, heap_cap, spike_cap, waiters_cap, allocated_cap;
	struct table allocated_at; /* stack -> index into allocated */
	size_t stack_count;
	struct model_quiet quiet;
	struct look_round
		rounds[QUIET_ROUNDS]; /* ring, newest at (round_count - 1) % QUIET_ROUNDS */
	uint64_t round_count;
	uint64_t peak_read_bytes;  /* VmHWM as last read, 0 = not since the program began */
	bool spike_open;           /* the newest spike may still rise */
	uint64_t spike_floor_ns;   /* samples before belong to spikes already told */
	uint64_t spike_counted_ns; /* when the causes of the open spike were last counted */
	struct cause_slot *causes; /* ring, newest at (cause_count - 1) % MODEL_CAUSE_SLOTS */
	size_t cause_cap;
	uint64_t cause_count;
	struct model_census census;
	struct model_unwound unwound;
};

struct model {
	struct names names;
	struct target_state **targets;
	size_t target_count, target_cap;
	struct site **sites; /* id - 1 */
	size_t site_count, site_cap;
	struct table sites_by_key;
	struct model_stack **stacks; /* id - 1 */
	size_t stack_count, stack_cap;
	struct table stacks_by_key;
	struct container **containers; /* id */
	size_t container_count, container_cap;
	uint64_t serial;
	struct model_skip *skips;
	size_t skip_count, skip_cap;
	struct model_source *sources;
	size_t source_count, source_cap;
	char **incomplete;
	size_t incomplete_count, incomplete_cap;
	struct model_overhead overhead;
	struct model_host host;   /* number 0 */
	struct model_host *hosts; /* from number 1 on */
	size_t host_count, host_cap;
	uint64_t mono_ns, real_ns, end_mono_ns;
	uint64_t invalid_events;
	const struct model_observer *observer; /* NULL = nobody watches */
	void *observer_arg;
};

/* Tells the observer, if there is one: model_tell(model, event, event). */
#define model_tell(model, what, ...)                                                               \
	do {                                                                                       \
		if ((model)->observer)                                                             \
			(model)->observer->what(__VA_ARGS__, (model)->observer_arg);               \
	} while (0)

/* Frames of the model's own: strings interned, at most MODEL_MAX_FRAMES. */
struct model_frame *frames_copy(
	struct model *model, const struct model_frame *frames, size_t count, uint32_t *ret_count);
/* Index of the first frame outside runtime and standard library; count where there is none. */
size_t frames_find_user(const struct model_frame *frames, size_t count);

struct site *site_find(struct model *model, uint32_t target, uint32_t id);
/*
 * The site at the same place where containers of the family (NONE = any), or of one probed as it, grew last;
 * or NULL.
 */
struct site *site_find_grown(struct model *model, const struct target_state *target,
	enum family family, const struct site *place);
void site_count_growth(struct site *site, const struct event_growth *growth, uint64_t time_ns);
struct rate_slot *rate_slot_at(struct rate_slot slots[MODEL_RATE_SLOTS], uint64_t time_ns);
void rate_window(const struct rate_slot slots[MODEL_RATE_SLOTS], uint64_t from_ns, uint64_t to_ns,
	struct rate_slot *ret);
void site_add_length(struct site *site, uint64_t length);
void site_follow(struct model *model, struct site *site, const struct container *next);
void site_end_generation(struct site *site, const struct container *container);

void container_apply_growth(
	struct model *model, struct target_state *target, const struct event *event);
void container_apply_create(
	struct model *model, struct target_state *target, const struct event *event);
void container_apply_iterators(
	struct model *model, struct target_state *target, const struct event *event);
void container_apply_look(
	struct model *model, struct target_state *target, const struct event *event);
void container_begin_quiet(
	struct model *model, struct target_state *target, enum family family, uint64_t key);
void container_end_quiet(
	struct model *model, struct target_state *target, enum family family, uint64_t key);
void container_end_all_quiet(struct model *model, struct target_state *target);
void container_apply_quiet(struct model *model, struct target_state *target, uint64_t time_ns);
/* Counts in what quiet looks have passed: before anybody reads it. */
void container_settle(const struct target_state *target, struct container *container);
struct site *container_site(struct model *model, struct target_state *target, uint64_t key);
void container_end_all(struct model *model, struct target_state *target, uint64_t time_ns);

void recent_apply(struct target_state *target, const struct event *event);

void timeline_apply_usage(
	struct model *model, struct target_state *target, const struct event *event);
void timeline_apply_heap(struct target_state *target, const struct event *event);
void timeline_apply_share(struct target_state *target, const struct event *event);
void timeline_settle(struct target *target, uint64_t now_ns);

void goroutines_apply(struct model *model, struct target_state *target, const struct event *event);
void goroutines_apply_waiters(
	struct model *model, struct target_state *target, const struct event *event);
void goroutines_end(struct target *target);

void arrays_apply(struct model *model, struct target_state *target, const struct event *event);
void arrays_end(struct target *target);

void allocator_apply(struct model *model, struct target_state *target, const struct event *event);
void allocator_end(struct target *target);

void allocated_apply_profile(
	struct model *model, struct target_state *target, const struct event *event);
void allocated_apply(struct model *model, struct target_state *target, const struct event *event);
void allocated_end(struct target_state *target);
void stacks_done(struct model *model);
void cause_apply_faults(
	struct model *model, struct target_state *target, const struct event *event);
void cause_apply_memory(
	struct model *model, struct target_state *target, const struct event *event);
void cause_apply_resident(
	struct model *model, struct target_state *target, const struct event *event);
bool cause_is_same(const struct cause *a, const struct cause *b);
bool cause_is_named(const struct model *model, const struct cause *cause);

void spike_apply_usage(struct model *model, struct target_state *target, uint64_t now_ns);
/* A cause has come to light that was at work at time_ns; and: the program has ended. */
void spike_take_late(const struct model *model, struct target_state *target, uint64_t time_ns);
void spike_end(const struct model *model, struct target_state *target);
void spike_count_causes(
	const struct model *model, struct target_state *target, struct spike *spike);

#endif
