/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two lists under one lock: jobs to do and jobs done. The lock is never held while closing. Each job that
 * waits gets a thread of its own, as long as there are not too many: jobs that begin to wait for a grace
 * period together wait for the same one, a job that begins later waits for the next.
 */
#include "trace/closer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define MAX_THREADS 64

struct job {
	struct job *next;
	struct closer_done done;
	size_t count;
	int fds[];
};

struct job_list {
	struct job *first, **end;
};

struct closer {
	pthread_t threads[MAX_THREADS];
	size_t thread_count;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct job_list waiting, done;
	size_t unfinished; /* jobs submitted and not done */
	bool stop;
};

static void list_init(struct job_list *list)
{
	list->first = NULL;
	list->end = &list->first;
}

static void list_append(struct job_list *list, struct job *job)
{
	job->next = NULL;
	*list->end = job;
	list->end = &job->next;
}

static struct job *list_take(struct job_list *list)
{
	struct job *job = list->first;

	if (!job)
		return NULL;
	list->first = job->next;
	if (!list->first)
		list->end = &list->first;
	return job;
}

static void run(struct job *job)
{
	uint64_t start = clock_mono_ns();

	for (size_t i = 0; i < job->count; i++)
		close(job->fds[i]);
	job->done.end_ns = clock_mono_ns();
	job->done.duration_ns = job->done.end_ns - start;
}

static void *closer_main(void *arg)
{
	struct closer *closer = arg;
	struct job *job;

	pthread_mutex_lock(&closer->lock);
	for (;;) {
		while (!(job = list_take(&closer->waiting)) && !closer->stop)
			pthread_cond_wait(&closer->changed, &closer->lock);
		if (!job)
			break;
		pthread_mutex_unlock(&closer->lock);
		run(job);
		pthread_mutex_lock(&closer->lock);
		closer->unfinished--;
		list_append(&closer->done, job);
		pthread_cond_broadcast(&closer->changed);
	}
	pthread_mutex_unlock(&closer->lock);
	return NULL;
}

static int add_thread(struct closer *closer)
{
	int err =
		-pthread_create(&closer->threads[closer->thread_count], NULL, closer_main, closer);

	closer->thread_count += !err;
	return err;
}

int closer_start(struct closer **ret)
{
	struct closer *closer = xcalloc(1, sizeof(*closer));
	int err;

	list_init(&closer->waiting);
	list_init(&closer->done);
	pthread_mutex_init(&closer->lock, NULL);
	pthread_cond_init(&closer->changed, NULL);
	err = add_thread(closer);
	if (err) {
		closer_stop(closer);
		return err;
	}
	*ret = closer;
	return 0;
}

void closer_submit(struct closer *closer, uint32_t token, const int *fds, size_t count)
{
	struct job *job = xcalloc(1, sizeof(*job) + count * sizeof(*fds));

	job->done.token = token;
	job->count = count;
	memcpy(job->fds, fds, count * sizeof(*fds));
	pthread_mutex_lock(&closer->lock);
	list_append(&closer->waiting, job);
	closer->unfinished++;
	/* Where no more can be had, the others take it in turn. */
	if (closer->unfinished > closer->thread_count && closer->thread_count < MAX_THREADS)
		add_thread(closer);
	pthread_cond_broadcast(&closer->changed);
	pthread_mutex_unlock(&closer->lock);
}

bool closer_poll(struct closer *closer, struct closer_done *ret)
{
	struct job *job;

	pthread_mutex_lock(&closer->lock);
	job = list_take(&closer->done);
	pthread_mutex_unlock(&closer->lock);
	if (!job)
		return false;
	*ret = job->done;
	free(job);
	return true;
}

void closer_flush(struct closer *closer)
{
	pthread_mutex_lock(&closer->lock);
	while (closer->unfinished)
		pthread_cond_wait(&closer->changed, &closer->lock);
	pthread_mutex_unlock(&closer->lock);
}

void closer_stop(struct closer *closer)
{
	struct closer_done done;

	if (!closer)
		return;
	pthread_mutex_lock(&closer->lock);
	closer->stop = true;
	pthread_cond_broadcast(&closer->changed);
	pthread_mutex_unlock(&closer->lock);
	for (size_t i = 0; i < closer->thread_count; i++)
		pthread_join(closer->threads[i], NULL);
	while (closer_poll(closer, &done))
		;
	pthread_cond_destroy(&closer->changed);
	pthread_mutex_destroy(&closer->lock);
	free(closer);
}
