/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A container gets on the list when a census finds it or a growth shows it, and leaves it when it is dead or
 * when 4,096 larger ones have come. What its header does not say (tables, residency) is read when it is new
 * or has grown, every ten seconds where it was written to, and every minute where it was not.
 */
#include "trace/watch.h"

#include "base/mem.h"

static uint64_t watch_hash(enum family family, uint64_t key)
{
	return key ^ (uint64_t)family << 60;
}

void watch_list_done(struct watch_list *list)
{
	table_done(&list->by_key);
}

struct watch *watch_find(struct watch_list *list, enum family family, uint64_t key)
{
	uint64_t i;

	return table_get(&list->by_key, watch_hash(family, key), &i) ? &list->watches[i] : NULL;
}

void watch_remove(struct watch_list *list, struct watch *watch)
{
	if (!watch)
		return;
	table_remove(&list->by_key, watch_hash(watch->family, watch->key));
	watch->used = false;
	list->count--;
	list->count_of[watch->family]--;
	while (list->end && !list->watches[list->end - 1].used)
		list->end--;
}

static struct watch *watch_smallest(struct watch_list *list)
{
	struct watch *smallest = &list->watches[0];

	for (size_t i = 1; i < list->end; i++)
		if (list->watches[i].held_bytes < smallest->held_bytes)
			smallest = &list->watches[i];
	return smallest;
}

static struct watch *watch_free_slot(struct watch_list *list, uint64_t held_bytes)
{
	if (list->count == WATCH_MAX_CONTAINERS) {
		struct watch *smallest = watch_smallest(list);

		if (smallest->held_bytes >= held_bytes)
			return NULL;
		watch_remove(list, smallest);
	}
	for (size_t i = 0; i < list->end; i++)
		if (!list->watches[i].used)
			return &list->watches[i];
	return &list->watches[list->end++];
}

void watch_add(struct watch_list *list, uint8_t part, enum family family, uint64_t key,
	uint64_t type, uint64_t held_bytes)
{
	struct watch *watch = watch_find(list, family, key);

	if (!watch) {
		if (held_bytes < WATCH_FLOOR_BYTES)
			return;
		watch = watch_free_slot(list, held_bytes);
		if (!watch)
			return;
		*watch = (struct watch){.family = family, .part = part, .used = true, .key = key};
		table_set(
			&list->by_key, watch_hash(family, key), (uint64_t)(watch - list->watches));
		list->count++;
		list->count_of[family]++;
	}
	if (type)
		watch->type = type;
	watch->held_bytes = held_bytes;
	watch->deep_due_ns = 0;
	watch->quiet = watch->was_quiet = false;
	watch->same = 0;
}

bool watch_looked(struct watch *watch, uint64_t stamp)
{
	if (watch->stamp != stamp)
		watch->same = MIN(watch->same, (int8_t)0);
	else if (watch->same < WATCH_QUIET_LOOKS)
		watch->same++;
	watch->stamp = stamp;
	return watch->same == WATCH_QUIET_LOOKS;
}

void watch_end_quiet(struct watch *watch)
{
	watch->same = watch->was_quiet ? WATCH_QUIET_LOOKS - 1 : -WATCH_LOUD_LOOKS;
	watch->quiet = watch->was_quiet = false;
}

void watch_walked(struct watch *watch, uint64_t now_ns, uint64_t rest_ns)
{
	watch->deep_stamp = watch->stamp;
	watch->deep_ns = now_ns;
	watch->deep_due_ns = now_ns + rest_ns;
}

/* What nobody has written to has the same tables, and loses pages slowly if at all. */
static bool deep_due(const struct watch *watch, uint64_t now_ns)
{
	if (now_ns < watch->deep_due_ns)
		return false;
	return !watch->deep_due_ns || !watch->stamp || watch->stamp != watch->deep_stamp ||
	       now_ns - watch->deep_ns >= WATCH_DEEP_REST_NS;
}

void watch_choose_deep(struct watch_list *list, uint64_t now_ns, bool all)
{
	size_t left = all ? SIZE_MAX : WATCH_DEEP_AT_ONCE;
	size_t end = list->end, first = end ? list->deep_next % end : 0;

	for (size_t n = 0; n < end; n++) {
		size_t i = first + n < end ? first + n : first + n - end;
		struct watch *watch = &list->watches[i];

		watch->deep = watch->used && left && (all || deep_due(watch, now_ns));
		left -= watch->deep;
		if (watch->deep && !left)
			list->deep_next = i + 1;
	}
}
