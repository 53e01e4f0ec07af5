/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Quiet containers: those whose last looks said the same. Nearly all of the many that are watched are so at any
 * time, and a look at one costs a dozen cache misses only to find that out. What it depends on is kept here, one
 * after the other: the header's bytes, the variable that leads to it, the sweep that its life was proven in.
 * Where all that is as it was, a look would say what the last one said.
 *
 * Whoever changes what is remembered of a container ends its rest: go_quiet_end().
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/go/go_heap.h"
#include "runtime/go/go_quiet.h"
#include "target/gather.h"

struct go_quiet {
	uint64_t key; /* 0 = not quiet any more, or no container's */
	uint64_t asked_ns;
	struct go_root root;
	uint64_t verified_ns;
	uint32_t sweepgen, bytes; /* bytes of the header, 0 = it has none */
	bool rooted;
	uint8_t raw[GO_QUIET_BYTES];
};

struct go_quiets {
	struct go_quiet *list; /* about in the order in which they are asked for */
	size_t count, capacity;
	size_t *free;
	size_t free_count, free_capacity;
	struct go_quiet **asked; /* of one call, NULL = it is not quiet */
	size_t asked_capacity;
	struct gather slots, hops, headers;
};

static struct go_quiets *quiets(struct runtime_process *process)
{
	if (!process->quiets)
		process->quiets = xcalloc(1, sizeof(*process->quiets));
	return process->quiets;
}

void go_quiet_done(struct runtime_process *process)
{
	struct go_quiets *quiets = process->quiets;

	if (!quiets)
		return;
	gather_done(&quiets->slots);
	gather_done(&quiets->hops);
	gather_done(&quiets->headers);
	free(quiets->list);
	free(quiets->free);
	free(quiets->asked);
	free(quiets);
}

static size_t take_place(struct go_quiets *quiets)
{
	if (quiets->free_count)
		return quiets->free[--quiets->free_count];
	array_reserve(quiets->list, quiets->count, quiets->capacity);
	return quiets->count++;
}

void go_quiet_begin(struct runtime_process *process, struct go_container *container,
	const uint8_t *raw, uint32_t bytes)
{
	struct go_quiets *all = quiets(process);
	struct go_quiet *quiet;

	if (!container->quiet)
		container->quiet = (uint32_t)take_place(all) + 1;
	quiet = &all->list[container->quiet - 1];
	quiet->key = container->key;
	quiet->asked_ns = container->looked_ns;
	quiet->root = container->root;
	quiet->verified_ns = container->verified_ns;
	quiet->sweepgen = container->sweepgen;
	quiet->rooted = container->rooted;
	quiet->bytes = bytes;
	memcpy(quiet->raw, raw, bytes);
}

/* It keeps its place, and with it the order. */
void go_quiet_end(struct runtime_process *process, struct go_container *container)
{
	if (container && container->quiet)
		process->quiets->list[container->quiet - 1].key = 0;
}

void go_quiet_forget(struct runtime_process *process, struct go_container *container)
{
	struct go_quiets *all = process->quiets;

	if (!container->quiet)
		return;
	go_quiet_end(process, container);
	array_reserve(all->free, all->free_count, all->free_capacity);
	all->free[all->free_count++] = container->quiet - 1;
	container->quiet = 0;
}

uint64_t go_quiet_asked_ns(
	const struct runtime_process *process, const struct go_container *container)
{
	return container->quiet ? process->quiets->list[container->quiet - 1].asked_ns : 0;
}

/* The entry of a key. Who asks does so in the same order each time: it is the next one, nearly always. */
static struct go_quiet *find(struct runtime_process *process, uint64_t key, size_t *cursor)
{
	struct go_quiets *all = process->quiets;
	struct go_container *container;

	if (*cursor >= all->count || all->list[*cursor].key != key) {
		container = go_container_find(process, key);
		if (!container || !container->quiet)
			return NULL;
		*cursor = container->quiet - 1;
	}
	if (all->list[*cursor].key != key)
		return NULL;
	return &all->list[(*cursor)++];
}

/* A life that was proven long ago is to be proven again after a sweep. */
static bool is_proven(const struct go_quiet *quiet, uint32_t sweepgen, uint64_t now_ns)
{
	return quiet->sweepgen == sweepgen || now_ns - quiet->verified_ns < GO_STALE_NS;
}

static bool holds(const struct gather *gather, size_t i, uint64_t value)
{
	const void *bytes = gather_get(gather, i);

	return bytes && !memcmp(bytes, &value, sizeof(value));
}

/* Variables first, headers last: go_look.c says why. */
static int read_all(
	struct go_quiets *all, struct runtime_process *process, size_t count, struct go_gc *ret_gc)
{
	int r;

	gather_clear(&all->slots);
	gather_clear(&all->hops);
	gather_clear(&all->headers);
	for (size_t i = 0; i < count; i++) {
		const struct go_quiet *quiet = all->asked[i];

		if (!quiet)
			continue;
		if (quiet->root.slot)
			gather_add(&all->slots, quiet->root.slot, sizeof(quiet->root.value));
		if (quiet->root.hop)
			gather_add(&all->hops, quiet->root.hop, sizeof(quiet->key));
		if (quiet->bytes)
			gather_add(&all->headers, quiet->key, quiet->bytes);
	}
	r = gather_read(&all->slots, process->mem);
	if (!r)
		r = gather_read(&all->hops, process->mem);
	if (!r)
		r = go_heap_read_gc(process, ret_gc);
	return r ? r : gather_read(&all->headers, process->mem);
}

/* Where in each gather the next one's words are. */
struct places {
	size_t slot, hop, header;
};

static bool is_same(const struct go_quiets *all, const struct go_quiet *quiet, struct places *at)
{
	const struct go_root *root = &quiet->root;
	bool rooted = quiet->rooted, same = true;

	if (root->slot)
		rooted = holds(&all->slots, at->slot++, root->value) &&
			 (root->hop || root->value == quiet->key);
	if (root->hop)
		rooted = holds(&all->hops, at->hop++, quiet->key) && rooted;
	if (quiet->bytes) {
		const void *raw = gather_get(&all->headers, at->header++);

		same = raw && !memcmp(raw, quiet->raw, quiet->bytes);
	}
	return same && rooted == quiet->rooted;
}

int go_quiet(struct runtime_process *process, const uint64_t *keys, size_t count, bool *ret)
{
	struct go_quiets *all = quiets(process);
	uint64_t now_ns = clock_mono_ns();
	struct places at = {0};
	struct go_gc gc;
	size_t cursor = 0;
	int r;

	if (count > all->asked_capacity) {
		all->asked_capacity = count;
		all->asked = xreallocarray(all->asked, count, sizeof(*all->asked));
	}
	for (size_t i = 0; i < count; i++)
		all->asked[i] = find(process, keys[i], &cursor);
	r = read_all(all, process, count, &gc);
	for (size_t i = 0; !r && i < count; i++) {
		struct go_quiet *quiet = all->asked[i];

		ret[i] = quiet && is_same(all, quiet, &at) && is_proven(quiet, gc.sweepgen, now_ns);
		if (ret[i])
			quiet->asked_ns = now_ns;
	}
	return r;
}
