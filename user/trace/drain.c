/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rings wake nobody for single records, so the thread looks every DRAIN_INTERVAL_MS; the kernel
 * wakes it earlier when a ring is a quarter full. A poll that times out has consumed nothing:
 * consume explicitly.
 *
 * The queue is a byte ring with one writer and one reader, two counters that only grow, and no lock.
 * A record is never split: where it does not fit before the end, a filler of size 0 sends the reader
 * to the start. The last sixteenth is kept for control records: exec and exit must get through.
 *
 * A full queue loses nothing: records stay in the ring until there is room, and a ring that fills up shuts
 * the gates of the probes that fill it (bpf/uprobe.bpf.c).
 *
 * The reader gives space back in chunks, and their pages to the kernel with them: what the queue takes is
 * what waits in it, not the most that ever did.
 */
#include "trace/drain.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "base/mem.h"
#include "trace/bpf.h"

#define DRAIN_INTERVAL_MS 50
#define DRAIN_NICE        (-5)
#define CHUNK_BYTES       (128u << 10)
#define FULL_PAUSE_MS     1

/* As bpf/memtrace.bpf.h reserves it: with the longest copy of a stack. */
#define RECORD_MAX_BYTES (sizeof(struct mt_record) + sizeof(struct mt_stack_copy) + MT_COPY_BYTES)

struct drain {
	struct ring_buffer *records, *control;
	pthread_t thread;
	int epoll_fd, command_fd, event_fd;
	atomic_bool stop;

	unsigned char *queue;
	uint32_t bytes;
	atomic_ulong head, tail; /* written by the thread; by drain_next(), a multiple of a chunk */
	uint64_t at;             /* what drain_next() has read; tail follows it */
	uint64_t handed_out;     /* bytes that the next drain_next() has done with */
	uint32_t chunk;

	pthread_mutex_t lock; /* of flushes */
	pthread_cond_t flushed;
	uint64_t flush_wanted, flush_done;
	bool flush_left; /* of flush_done: the queue was full, and records stayed behind */

	atomic_ulong delivered[MT_SRC_MAX], lost[MT_SRC_MAX];
};

static void signal_fd(int fd)
{
	uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void clear_fd(int fd)
{
	uint64_t count;

	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

/* ---- the thread's side of the queue ---- */

static void put(struct drain *drain, uint64_t at, const struct mt_record *record, uint32_t bytes)
{
	struct mt_record *copy = (void *)(drain->queue + (at & (drain->bytes - 1)));

	memcpy(copy, record, bytes);
	copy->size = bytes;
}

/* Bytes that records other than control's may take. */
static uint32_t records_limit(const struct drain *drain)
{
	return drain->bytes - drain->bytes / 16;
}

/* Is there room for a record of any size, and the filler before it? */
static bool has_room(const struct drain *drain)
{
	uint64_t head = atomic_load_explicit(&drain->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&drain->tail, memory_order_acquire);

	return head - tail + 2 * RECORD_MAX_BYTES <= records_limit(drain);
}

static bool enqueue(struct drain *drain, const struct mt_record *record, uint32_t bytes)
{
	uint64_t head = atomic_load_explicit(&drain->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&drain->tail, memory_order_acquire);
	uint32_t to_end = drain->bytes - (head & (drain->bytes - 1));
	uint32_t filler = bytes > to_end ? to_end : 0;
	uint32_t limit = record->attachment == MT_SRC_CONTROL ? drain->bytes : records_limit(drain);

	if (head - tail + filler + bytes > limit)
		return false;
	if (filler)
		((struct mt_record *)(drain->queue + drain->bytes - to_end))->size = 0;
	put(drain, head + filler, record, bytes);
	atomic_store_explicit(&drain->head, head + filler + bytes, memory_order_release);
	return true;
}

/* Our own BPF wrote it, but a wrong size here would be a wrong pointer there. */
static bool is_sane(const struct mt_record *record, size_t bytes)
{
	return bytes >= sizeof(*record) && record->size <= bytes &&
	       record->attachment < MT_SRC_MAX && record->stack_bytes % sizeof(uint64_t) == 0 &&
	       record->stack_bytes <= bytes - sizeof(*record);
}

static int take_record(void *arg, void *data, size_t bytes)
{
	const struct mt_record *record = data;
	struct drain *drain = arg;

	if (bytes < sizeof(*record) || record->attachment >= MT_SRC_MAX)
		return 0;
	if (!is_sane(record, bytes) ||
		!enqueue(drain, record, sizeof(*record) + record->stack_bytes))
		atomic_fetch_add_explicit(
			&drain->lost[record->attachment], 1, memory_order_relaxed);
	/* This one is taken; a negative answer leaves the next ones in the ring. */
	return record->attachment == MT_SRC_CONTROL || has_room(drain) ? 0 : -ENOBUFS;
}

/* Returns whether records were left behind for want of room. */
static bool consume(struct drain *drain)
{
	uint64_t before = atomic_load_explicit(&drain->head, memory_order_relaxed);
	bool full;

	ring_buffer__consume(drain->control);
	full = !has_room(drain) || ring_buffer__consume(drain->records) == -ENOBUFS;
	if (atomic_load_explicit(&drain->head, memory_order_relaxed) != before)
		signal_fd(drain->event_fd);
	return full;
}

static void answer_flush(struct drain *drain, uint64_t wanted, bool left)
{
	pthread_mutex_lock(&drain->lock);
	drain->flush_left = left;
	drain->flush_done = wanted;
	pthread_cond_broadcast(&drain->flushed);
	pthread_mutex_unlock(&drain->lock);
}

static uint64_t read_flush_wanted(struct drain *drain)
{
	uint64_t wanted;

	pthread_mutex_lock(&drain->lock);
	wanted = drain->flush_wanted;
	pthread_mutex_unlock(&drain->lock);
	return wanted;
}

static void *drain_main(void *arg)
{
	struct drain *drain = arg;
	struct pollfd command = {.fd = drain->command_fd, .events = POLLIN};
	struct epoll_event events[4];

	/* Best effort: it needs CAP_SYS_NICE. */
	setpriority(PRIO_PROCESS, syscall(SYS_gettid), DRAIN_NICE);
	while (!atomic_load(&drain->stop)) {
		int n = epoll_wait(drain->epoll_fd, events, ARRAY_SIZE(events), DRAIN_INTERVAL_MS);
		uint64_t wanted;
		bool full;

		for (int i = 0; i < n; i++)
			if (events[i].data.fd == drain->command_fd)
				clear_fd(drain->command_fd);
		wanted = read_flush_wanted(drain);
		full = consume(drain);
		answer_flush(drain, wanted, full);
		/* The ring stays readable: not its descriptor is waited for, but the main thread. */
		if (full)
			poll(&command, 1, FULL_PAUSE_MS);
	}
	return NULL;
}

/* ---- starting and ending ---- */

static int watch(struct drain *drain, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(drain->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_rings(struct drain *drain, struct trace_bpf *bpf)
{
	drain->records = ring_buffer__new(trace_bpf_ring_fd(bpf), take_record, drain, NULL);
	if (!drain->records)
		return -errno;
	drain->control = ring_buffer__new(trace_bpf_control_fd(bpf), take_record, drain, NULL);
	return drain->control ? 0 : -errno;
}

static int open_queue(struct drain *drain)
{
	void *queue = mmap(NULL, drain->bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (queue == MAP_FAILED)
		return -errno;
	drain->queue = queue;
	drain->chunk = MIN(CHUNK_BYTES, drain->bytes / 16);
	return 0;
}

static int open_fds(struct drain *drain)
{
	int err;

	drain->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	drain->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	drain->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (drain->epoll_fd < 0 || drain->command_fd < 0 || drain->event_fd < 0)
		return -EMFILE;
	err = watch(drain, ring_buffer__epoll_fd(drain->records));
	if (!err)
		err = watch(drain, ring_buffer__epoll_fd(drain->control));
	return err ? err : watch(drain, drain->command_fd);
}

static void drain_free(struct drain *drain)
{
	int fds[] = {drain->epoll_fd, drain->command_fd, drain->event_fd};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	ring_buffer__free(drain->records);
	ring_buffer__free(drain->control);
	pthread_cond_destroy(&drain->flushed);
	pthread_mutex_destroy(&drain->lock);
	if (drain->queue)
		munmap(drain->queue, drain->bytes);
	free(drain);
}

int drain_start(struct trace_bpf *bpf, uint32_t queue_bytes, struct drain **ret)
{
	struct drain *drain = xcalloc(1, sizeof(*drain));
	int err;

	drain->bytes = queue_bytes ? queue_bytes : DRAIN_QUEUE_BYTES;
	drain->epoll_fd = drain->command_fd = drain->event_fd = -1;
	pthread_mutex_init(&drain->lock, NULL);
	pthread_cond_init(&drain->flushed, NULL);
	err = open_queue(drain);
	if (!err)
		err = open_rings(drain, bpf);
	if (!err)
		err = open_fds(drain);
	if (!err)
		err = -pthread_create(&drain->thread, NULL, drain_main, drain);
	if (err)
		drain_free(drain);
	else
		*ret = drain;
	return err;
}

int drain_event_fd(const struct drain *drain)
{
	return drain->event_fd;
}

/* The thread may write behind tail: pages are dropped before it moves. */
static void give_back(struct drain *drain)
{
	uint64_t tail = atomic_load_explicit(&drain->tail, memory_order_relaxed);

	for (; drain->at - tail >= drain->chunk; tail += drain->chunk)
		madvise(drain->queue + (tail & (drain->bytes - 1)), drain->chunk, MADV_DONTNEED);
	atomic_store_explicit(&drain->tail, tail, memory_order_release);
}

static const struct mt_record *peek(struct drain *drain)
{
	uint32_t at = drain->at & (drain->bytes - 1);
	const struct mt_record *record = (const void *)(drain->queue + at);

	if (drain->at == atomic_load_explicit(&drain->head, memory_order_acquire))
		return NULL;
	/* The analyser does not know that the queue is mapped. NOLINTNEXTLINE(clang-analyzer-core.*) */
	if (!record->size) {
		drain->at += drain->bytes - at;
		record = (const void *)drain->queue;
	}
	return record;
}

const struct mt_record *drain_next(struct drain *drain)
{
	const struct mt_record *record;

	drain->at += drain->handed_out;
	drain->handed_out = 0;
	if (drain->at - atomic_load_explicit(&drain->tail, memory_order_relaxed) >= drain->chunk)
		give_back(drain);
	record = peek(drain);
	if (!record) {
		/* Clear, then look again: a record put in between has signalled before or will. */
		clear_fd(drain->event_fd);
		record = peek(drain);
	}
	if (!record)
		return NULL;
	drain->handed_out = record->size;
	atomic_fetch_add_explicit(&drain->delivered[record->attachment], 1, memory_order_relaxed);
	return record;
}

bool drain_flush(struct drain *drain)
{
	uint64_t mine;
	bool left;

	pthread_mutex_lock(&drain->lock);
	mine = ++drain->flush_wanted;
	signal_fd(drain->command_fd);
	while (drain->flush_done < mine)
		pthread_cond_wait(&drain->flushed, &drain->lock);
	left = drain->flush_left;
	pthread_mutex_unlock(&drain->lock);
	return left;
}

struct drain_counts drain_read_counts(struct drain *drain, uint32_t source)
{
	if (source >= MT_SRC_MAX)
		return (struct drain_counts){0};
	return (struct drain_counts){
		.delivered = atomic_load_explicit(&drain->delivered[source], memory_order_relaxed),
		.lost = atomic_load_explicit(&drain->lost[source], memory_order_relaxed),
	};
}

void drain_stop(struct drain *drain)
{
	if (!drain)
		return;
	atomic_store(&drain->stop, true);
	signal_fd(drain->command_fd);
	pthread_join(drain->thread, NULL);
	drain_free(drain);
}
