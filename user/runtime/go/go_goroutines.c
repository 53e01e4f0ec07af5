/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goroutines from outside (go_goroutines.h). A parked goroutine keeps still: its saved frame pointer
 * (g.sched.bp, by mcall()) leads through gopark() to the function that waits and its callers, each frame
 * being the caller's frame pointer and the return address. Nothing is stopped, so one that wakes up
 * meanwhile may show half of an old stack: a chain must rise, stay inside the stack and lead to code.
 *
 * A blocked sender hangs on its channel by a sudog (g.waiting) that says where the value lies that is to
 * be sent; what its pointers lead to is what the message holds.
 */
#include "runtime/go/go_goroutines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/go/go_heap.h"

#define BATCH         256
#define G_MAX_BYTES   512 /* of runtime.g that can be read */
#define SUDOG_BYTES   128
#define STACK_WINDOW  1024         /* read at once; frames beyond are read one by one */
#define STACK_MAX     (1ull << 30) /* runtime.maxstacksize */
#define MAX_GROUPS    4096
#define MAX_MESSAGES  400000
#define MESSAGE_WORDS 8 /* of a value that are looked at */
#define STATUS_SCAN   0x1000u
#define SEEN_AT_LEAST 8 /* a program begins with five goroutines of the runtime's */

/* runtime.g and runtime.hchan (runtime/runtime2.go, chan.go), as in all versions; gobuf.sp comes first. */
enum {
	G_STACK_LO = 0,
	G_STACK_HI = 8,
	CHAN_ELEM_BYTES = 24,
};

/* Status of a goroutine, runtime/runtime2.go. */
enum g_status {
	G_RUNNABLE = 1,
	G_RUNNING = 2,
	G_SYSCALL = 3,
	G_WAITING = 4,
	G_COPYSTACK = 8,
	G_PREEMPTED = 9,
	G_LEAKED = 10, /* 1.26: waits, and nothing can wake it */
	G_DEAD = 6,
	G_DEAD_EXTRA = 11, /* 1.26: of a thread that C has started */
};

struct parked {
	enum wait wait;
	uint64_t lo, hi, sp, bp, created_by, since, sudog;
	uint8_t window[STACK_WINDOW];
	bool has_window;
	size_t group; /* SIZE_MAX = none */
};

struct message {
	size_t group;
	uint64_t base, bytes;
};

struct run {
	struct runtime_process *process;
	const struct go_layout *layout;
	uint32_t g_bytes;
	struct event_goroutines all;
	uint64_t seen, alive, strange; /* see contradicts() */
	uint64_t now_ns;
	struct runtime_waiters *groups; /* by stack */
	size_t group_count, group_capacity;
	struct table group_of; /* hash of a stack -> its group */
	struct message *messages;
	size_t message_count, message_capacity;
	struct table words_of; /* channel -> words of its values that may be pointers */

	/* of the batch: */
	uint64_t gs[BATCH];
	uint8_t raw[BATCH][G_MAX_BYTES];
	struct parked parked[BATCH];
	size_t parked_count;
	struct target_piece pieces[BATCH];
	struct go_object objects[BATCH * MESSAGE_WORDS];
	size_t owners[BATCH * MESSAGE_WORDS]; /* of the objects: groups */
};

/*
 * How much of a g is read, 0 where that is not known. Offsets of a version that no table knows come from its
 * binary: they must fit in what is read.
 */
static uint32_t g_bytes(const struct runtime_process *process)
{
	const struct go_layout *layout = &process->facts.layout;
	const uint32_t of_g[] = {layout->g_sched, (uint32_t)layout->g_sched + layout->gobuf_bp,
		layout->g_status, layout->g_wait_since, layout->g_wait_reason, layout->g_waiting,
		layout->g_created_by};
	uint32_t bytes = 0;

	for (size_t i = 0; i < ARRAY_SIZE(of_g); i++) {
		if (!of_g[i] || of_g[i] > G_MAX_BYTES - 8)
			return 0;
		bytes = MAX(bytes, of_g[i] + 8);
	}
	if (layout->sudog_elem > SUDOG_BYTES - 8 || layout->sudog_chan > SUDOG_BYTES - 8 ||
		!process->facts.allgs || !process->facts.wait_reasons ||
		process->facts.wait_reasons > GO_MAX_WAIT_REASONS)
		return 0;
	return bytes;
}

static uint64_t load64(const uint8_t *raw)
{
	uint64_t value;

	memcpy(&value, raw, sizeof(value));
	return value;
}

static bool is_code(const struct run *run, uint64_t pc)
{
	return pc > run->process->facts.text && pc < run->process->facts.etext;
}

/* ---- what a g says ---- */

static bool has_stack(const struct parked *parked)
{
	return parked->lo < parked->hi && parked->hi - parked->lo <= STACK_MAX;
}

/* False where it is none: dead, or being made. */
static bool wait_of(const struct run *run, const uint8_t *raw, enum wait *ret)
{
	uint8_t reason = raw[run->layout->g_wait_reason];
	uint32_t status;

	memcpy(&status, raw + run->layout->g_status, sizeof(status));
	switch (status & ~STATUS_SCAN) {
	case G_RUNNABLE:
	case G_RUNNING:
	case G_SYSCALL:
	case G_COPYSTACK:
	case G_PREEMPTED:
		*ret = WAIT_NONE;
		return true;
	case G_WAITING:
	case G_LEAKED:
		*ret = reason < run->process->facts.wait_reasons
			       ? (enum wait)run->process->facts.waits[reason]
			       : WAIT_RUNTIME;
		return *ret < WAIT_MAX;
	default:
		return false;
	}
}

/* Idle, which is 0, or dead. */
static bool is_none(const struct run *run, const uint8_t *raw)
{
	uint32_t status;

	memcpy(&status, raw + run->layout->g_status, sizeof(status));
	status &= ~STATUS_SCAN;
	return status == 0 || status == G_DEAD || status == G_DEAD_EXTRA;
}

static bool is_grouped(enum wait wait)
{
	return wait == WAIT_SEND || wait == WAIT_RECEIVE || wait == WAIT_SELECT ||
	       wait == WAIT_LOCK;
}

static void take_g(struct run *run, const uint8_t *raw)
{
	const struct go_layout *layout = run->layout;
	struct parked *parked = &run->parked[run->parked_count];
	enum wait wait;

	run->seen++;
	if (!wait_of(run, raw, &wait)) {
		run->strange += !is_none(run, raw);
		return;
	}
	*parked = (struct parked){
		.wait = wait,
		.lo = load64(raw + G_STACK_LO),
		.hi = load64(raw + G_STACK_HI),
		.sp = load64(raw + layout->g_sched),
		.bp = load64(raw + layout->g_sched + layout->gobuf_bp),
		.created_by = load64(raw + layout->g_created_by),
		.since = load64(raw + layout->g_wait_since),
		.sudog = load64(raw + layout->g_waiting),
		.group = SIZE_MAX,
	};
	run->all.counts[wait]++;
	run->alive++;
	if (!has_stack(parked)) {
		run->strange++;
		return;
	}
	run->all.stack_bytes += parked->hi - parked->lo;
	if (is_grouped(wait) && parked->sp >= parked->lo && parked->sp < parked->hi)
		run->parked_count++;
}

/* ---- stacks ---- */

static int read_windows(struct run *run)
{
	int r;

	for (size_t i = 0; i < run->parked_count; i++) {
		struct parked *parked = &run->parked[i];
		uint64_t bytes = MIN(parked->hi - parked->sp, (uint64_t)STACK_WINDOW);

		run->pieces[i] =
			(struct target_piece){parked->sp, parked->window, (uint32_t)bytes, false};
	}
	r = target_mem_read_pieces(run->process->mem, run->pieces, run->parked_count);
	for (size_t i = 0; r >= 0 && i < run->parked_count; i++)
		run->parked[i].has_window = run->pieces[i].done;
	return r < 0 ? r : 0;
}

/* frame[0]: the caller's frame, frame[1]: where it goes on */
static bool read_frame(struct run *run, const struct parked *parked, uint64_t at, uint64_t frame[2])
{
	uint64_t offset = at - parked->sp;

	if (parked->has_window && offset <= STACK_WINDOW - 16) {
		memcpy(frame, parked->window + offset, 16);
		return true;
	}
	return target_mem_read(run->process->mem, at, frame, 16) == 0;
}

/*
 * From the frame on that holds the address from.
 * The outermost frame returns to goexit(), which says nothing; who started the goroutine does.
 */
static void walk_stack(
	struct run *run, const struct parked *parked, uint64_t from, struct runtime_waiters *ret)
{
	uint64_t at = parked->bp, frame[2];

	ret->pc_count = 0;
	while (ret->pc_count < RUNTIME_WAIT_PCS - 1 && at % 8 == 0 && at >= parked->sp &&
		at <= parked->hi - 16 && read_frame(run, parked, at, frame)) {
		if (!is_code(run, frame[1]) || !frame[0])
			break;
		if (at < from)
			ret->pc_count = 0;
		ret->pcs[ret->pc_count++] = frame[1];
		if (frame[0] <= at)
			break;
		at = frame[0];
	}
	if (is_code(run, parked->created_by))
		ret->pcs[ret->pc_count++] = parked->created_by;
}

static uint64_t hash_stack(enum wait wait, const struct runtime_waiters *waiters)
{
	uint64_t number = wait;
	uint64_t hash = hash_bytes(0, &number, sizeof(number));

	return hash_bytes(hash, waiters->pcs, waiters->pc_count * sizeof(waiters->pcs[0]));
}

static size_t find_group(struct run *run, const struct parked *parked)
{
	struct runtime_waiters waiters = {.event = {.wait = parked->wait}};
	uint64_t hash, group;

	walk_stack(run, parked, 0, &waiters);
	if (!waiters.pc_count)
		return SIZE_MAX;
	hash = hash_stack(parked->wait, &waiters);
	if (table_get(&run->group_of, hash, &group))
		return group;
	if (run->group_count == MAX_GROUPS)
		return SIZE_MAX;
	array_reserve(run->groups, run->group_count, run->group_capacity);
	run->groups[run->group_count] = waiters;
	table_set(&run->group_of, hash, run->group_count);
	return run->group_count++;
}

/*
 * A stack has been used down to sp at least. Small ones share their pages with others that are in use.
 */
static uint64_t resident_stack(const struct parked *parked)
{
	uint64_t bytes = parked->hi - parked->lo;

	if (bytes <= TARGET_PAGE_BYTES)
		return bytes;
	return MIN(bytes, parked->hi - (parked->sp & ~(TARGET_PAGE_BYTES - 1)));
}

static void group_parked(struct run *run)
{
	for (size_t i = 0; i < run->parked_count; i++) {
		struct parked *parked = &run->parked[i];
		struct event_waiters *event;

		parked->group = find_group(run, parked);
		if (parked->group == SIZE_MAX) {
			run->all.complete = false;
			continue;
		}
		event = &run->groups[parked->group].event;
		event->count++;
		event->stack_bytes += parked->hi - parked->lo;
		event->stack_resident_bytes += resident_stack(parked);
		/* g.waitsince is set by the collector when it first finds the goroutine waiting */
		if (parked->since && parked->since < run->now_ns)
			event->waited_ns = MAX(event->waited_ns, run->now_ns - parked->since);
	}
}

/* ---- messages ---- */

/* Words at the beginning of a channel's values that may be pointers into the heap. */
static uint64_t words_of(struct run *run, uint64_t channel)
{
	const struct go_layout *layout = &run->process->facts.layout;
	uint64_t words = 0, elem_type;
	const struct go_type *type;
	uint16_t bytes;

	if (table_get(&run->words_of, channel, &words))
		return words;
	if (target_mem_read(run->process->mem, channel + CHAN_ELEM_BYTES, &bytes, sizeof(bytes)) ||
		target_mem_read_u64(
			run->process->mem, channel + layout->chan_elem_type, &elem_type))
		return 0;
	type = go_typecache_get(run->process, elem_type);
	if (type && type->has_pointers)
		words = MIN(bytes / 8u, (unsigned int)MESSAGE_WORDS);
	table_set(&run->words_of, channel, words);
	return words;
}

/* The words of one blocked sender's value: candidates for objects that only the message may hold. */
static void add_candidates(
	struct run *run, size_t group, const uint64_t *words, uint64_t count, size_t *used)
{
	for (uint64_t i = 0; i < count; i++) {
		if (words[i] < TARGET_PAGE_BYTES)
			continue;
		run->objects[*used] = (struct go_object){.addr = words[i]};
		run->owners[(*used)++] = group;
	}
}

/*
 * Numbers of a value that look like addresses are told from pointers by what is allocated there. Where a sweeper
 * keeps a span unreadable it is a message: what a blocked sender points to is alive.
 */
static int find_objects(struct run *run, size_t count)
{
	int r = go_heap_find_objects(run->process, run->objects, count);

	for (size_t i = 0; !r && i < count; i++)
		if (run->objects[i].state == GO_OBJECT_UNREAD)
			r = go_heap_find_spans(run->process, &run->objects[i], 1);
	return r;
}

static int find_messages(struct run *run, size_t count)
{
	int r = count ? find_objects(run, count) : 0;

	if (r < 0) /* goroutines are counted all the same */
		return r == -ESRCH ? r : 0;
	for (size_t i = 0; i < count; i++) {
		const struct go_object *object = &run->objects[i];

		if (object->state != GO_OBJECT_ALLOCATED || run->message_count == MAX_MESSAGES)
			continue;
		array_reserve(run->messages, run->message_count, run->message_capacity);
		run->messages[run->message_count++] =
			(struct message){run->owners[i], object->base, object->span.elemsize};
	}
	return 0;
}

/* Reads a word or more of each sender that has an address; buf of size bytes each. */
static int read_senders(
	struct run *run, const uint64_t *addrs, const uint32_t *bytes, uint8_t *buf, size_t size)
{
	for (size_t i = 0; i < run->parked_count; i++)
		run->pieces[i] = (struct target_piece){addrs[i], buf + i * size, bytes[i], false};
	return target_mem_read_pieces(run->process->mem, run->pieces, run->parked_count);
}

static int take_messages(struct run *run)
{
	uint8_t sudogs[BATCH][SUDOG_BYTES];
	uint64_t addrs[BATCH] = {0}, words[BATCH][MESSAGE_WORDS] = {{0}};
	uint32_t bytes[BATCH] = {0};
	size_t used = 0;
	int r;

	for (size_t i = 0; i < run->parked_count; i++) {
		const struct parked *parked = &run->parked[i];
		bool sends = parked->wait == WAIT_SEND && parked->group != SIZE_MAX;

		addrs[i] = sends ? parked->sudog : 0;
		bytes[i] = addrs[i] ? run->layout->sudog_chan + 8u : 0;
	}
	r = read_senders(run, addrs, bytes, sudogs[0], sizeof(sudogs[0]));
	for (size_t i = 0; r >= 0 && i < run->parked_count; i++) {
		uint64_t count = 0;

		if (bytes[i] && run->pieces[i].done)
			count = words_of(run, load64(sudogs[i] + run->layout->sudog_chan));
		addrs[i] = count ? load64(sudogs[i] + run->layout->sudog_elem) : 0;
		bytes[i] = addrs[i] ? (uint32_t)count * 8 : 0;
	}
	if (r >= 0)
		r = read_senders(run, addrs, bytes, (uint8_t *)words[0], sizeof(words[0]));
	for (size_t i = 0; r >= 0 && i < run->parked_count; i++)
		if (bytes[i] && run->pieces[i].done)
			add_candidates(run, run->parked[i].group, words[i], bytes[i] / 8, &used);
	return r < 0 ? r : find_messages(run, used);
}

static int compare_messages(const void *a, const void *b)
{
	const struct message *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return x->base < y->base ? -1 : x->base > y->base;
}

/* Sums the messages of one group, an object that several senders carry once. Returns the next one's start. */
static size_t sum_group(struct run *run, size_t from, int *ret)
{
	struct go_extents *extents = &run->process->extents;
	size_t group = run->messages[from].group, i;
	struct event_waiters *event = &run->groups[group].event;
	uint64_t old;

	go_extents_clear(extents);
	for (i = from; i < run->message_count && run->messages[i].group == group; i++) {
		const struct message *message = &run->messages[i];

		if (i > from && message->base == run->messages[i - 1].base)
			continue;
		event->message_bytes += message->bytes;
		go_extents_add(extents, message->base, message->bytes, false);
	}
	*ret = go_extents_read_resident(
		run->process->mem, extents, &event->message_resident_bytes, &old);
	return i;
}

static int sum_messages(struct run *run)
{
	int r = 0;

	if (run->message_count)
		qsort(run->messages, run->message_count, sizeof(*run->messages), compare_messages);
	for (size_t i = 0; i < run->message_count && r >= 0;)
		i = sum_group(run, i, &r);
	return r;
}

/* ---- all ---- */

static int read_batch(struct run *run, uint64_t list, size_t count)
{
	int r = target_mem_read(run->process->mem, list, run->gs, count * sizeof(run->gs[0]));

	if (r == -EFAULT)
		run->all.complete = false;
	if (r < 0)
		return r == -EFAULT ? 0 : r;
	for (size_t i = 0; i < count; i++)
		run->pieces[i] =
			(struct target_piece){run->gs[i], run->raw[i], run->g_bytes, false};
	r = target_mem_read_pieces(run->process->mem, run->pieces, count);
	if (r < 0)
		return r;
	run->parked_count = 0;
	for (size_t i = 0; i < count; i++) {
		run->all.complete &= run->pieces[i].done;
		if (run->pieces[i].done)
			take_g(run, run->raw[i]);
	}
	r = read_windows(run);
	if (r < 0)
		return r;
	group_parked(run);
	return take_messages(run);
}

/*
 * Are these goroutines at all? Of a program that runs some live, and all that live have a stack; a few may
 * be caught while they are made.
 */
static bool contradicts(const struct run *run)
{
	return (run->seen >= SEEN_AT_LEAST && !run->alive) || run->strange * 2 > run->seen;
}

static int read_all(struct run *run)
{
	uint64_t list[3], count;
	int r = target_mem_read(run->process->mem, run->process->facts.allgs, list, sizeof(list));

	if (r < 0)
		return r;
	if (list[1] > list[2] || !list[1])
		return -EFAULT;
	count = MIN(list[1], (uint64_t)GO_MAX_GOROUTINES);
	run->all.complete = count == list[1];
	for (uint64_t i = 0; i < count && r >= 0; i += BATCH)
		r = read_batch(run, list[0] + i * 8, (size_t)MIN(count - i, (uint64_t)BATCH));
	if (r >= 0 && contradicts(run))
		r = -EBADMSG;
	return r < 0 ? r : sum_messages(run);
}

static void run_free(struct run *run)
{
	table_done(&run->group_of);
	table_done(&run->words_of);
	free(run->groups);
	free(run->messages);
	free(run);
}

/* ---- stacks of all that do not run ---- */

struct walk_state {
	struct run *run;
	const struct parked *parked;
};

size_t go_stack_walk(
	const struct go_stack *stack, uint64_t addr, uint64_t ret_pcs[RUNTIME_WAIT_PCS])
{
	const struct walk_state *state = stack->state;
	struct runtime_waiters waiters;

	walk_stack(state->run, state->parked, addr, &waiters);
	memcpy(ret_pcs, waiters.pcs, waiters.pc_count * sizeof(ret_pcs[0]));
	return waiters.pc_count;
}

/* Of one that runs the saved pointers are those of its last rest. */
static bool take_stack(const struct run *run, const uint8_t *raw, struct parked *ret)
{
	uint32_t status;
	enum wait wait;

	memcpy(&status, raw + run->layout->g_status, sizeof(status));
	*ret = (struct parked){
		.lo = load64(raw + G_STACK_LO),
		.hi = load64(raw + G_STACK_HI),
		.sp = load64(raw + run->layout->g_sched),
		.bp = load64(raw + run->layout->g_sched + run->layout->gobuf_bp),
		.created_by = load64(raw + run->layout->g_created_by),
	};
	return wait_of(run, raw, &wait) && (status & ~STATUS_SCAN) != G_RUNNING && has_stack(ret) &&
	       ret->sp % 8 == 0 && ret->sp >= ret->lo && ret->sp < ret->hi;
}

static int read_gs(struct run *run, uint64_t list, size_t count)
{
	int r = target_mem_read(run->process->mem, list, run->gs, count * sizeof(run->gs[0]));

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		run->pieces[i] =
			(struct target_piece){run->gs[i], run->raw[i], run->g_bytes, false};
	r = target_mem_read_pieces(run->process->mem, run->pieces, count);
	return r < 0 ? r : 0;
}

int go_goroutines_stacks(struct runtime_process *process,
	int (*stack)(const struct go_stack *stack, void *arg), void *arg)
{
	uint64_t list[3] = {0};
	struct run *run;
	int r;

	if (!g_bytes(process))
		return -ENOTSUP;
	run = xcalloc(1, sizeof(*run));
	run->process = process;
	run->layout = &process->facts.layout;
	run->g_bytes = g_bytes(process);
	r = target_mem_read(process->mem, process->facts.allgs, list, sizeof(list));
	list[1] = MIN(list[1], (uint64_t)GO_MAX_GOROUTINES);
	for (uint64_t at = 0; at < list[1] && r >= 0; at += BATCH) {
		size_t count = (size_t)MIN(list[1] - at, (uint64_t)BATCH);

		r = read_gs(run, list[0] + at * 8, count);
		for (size_t i = 0; i < count && r >= 0; i++) {
			struct parked parked;
			struct walk_state state = {run, &parked};

			if (run->pieces[i].done && take_stack(run, run->raw[i], &parked))
				r = stack(&(struct go_stack){parked.sp, parked.hi, &state}, arg);
		}
	}
	run_free(run);
	return r == -EFAULT ? 0 : r;
}

int go_goroutines(struct runtime_process *process, uint64_t floor,
	void (*found)(const struct runtime_waiters *waiters, void *arg), void *arg,
	struct event_goroutines *ret)
{
	struct run *run;
	int r;

	if (!g_bytes(process))
		return -ENOTSUP;
	run = xcalloc(1, sizeof(*run));
	run->process = process;
	run->layout = &process->facts.layout;
	run->g_bytes = g_bytes(process);
	run->now_ns = clock_mono_ns();
	r = read_all(run);
	for (size_t i = 0; r >= 0 && i < run->group_count; i++)
		if (run->groups[i].event.count >= floor)
			found(&run->groups[i], arg);
	if (r >= 0)
		*ret = run->all;
	run_free(run);
	return r < 0 ? r : 0;
}
