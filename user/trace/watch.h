/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The containers worth watching of one process: up to 4,096, the largest. Each is known by family and key,
 * has a place that does not change while it is on the list, and says when it is to be walked again.
 */
#ifndef MEMTRACE_TRACE_WATCH_H
#define MEMTRACE_TRACE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/table.h"
#include "model/event.h"

#define WATCH_FLOOR_BYTES    (64 << 10)           /* smaller containers are not watched */
#define WATCH_MAX_CONTAINERS 4096                 /* watched at once; the smallest make room */
#define WATCH_DEEP_NS        (10ull * 1000000000) /* walk tables and residency again after */
#define WATCH_DEEP_REST_NS   (60ull * 1000000000) /* the same where nobody has written to it */
#define WATCH_DEEP_AT_ONCE   256                  /* walks of one poll, at most */
#define WATCH_QUIET_LOOKS    2                    /* that see nothing new, and it may be quiet */
#define WATCH_LOUD_LOOKS     20                   /* more of them, where it was not so after all */

struct watch {
	enum family family;
	uint8_t part; /* whose it is */
	bool used;
	bool deep; /* it is to be walked at this poll */
	bool quiet; /* its runtime is to say whether it still is what it was; no look is needed then */
	bool was_quiet; /* its runtime has said so at least once */
	int8_t same; /* looks in a row that saw nothing new, up to WATCH_QUIET_LOOKS; < 0: not asked soon */
	uint64_t key, type;
	uint64_t length_peak, held_bytes;
	uint64_t dead_ns;     /* first found dead then, 0 = alive at the last look */
	uint64_t deep_due_ns; /* walk it at the first poll after this; 0 = now */
	uint64_t deep_ns;     /* when that was done last */
	uint64_t stamp,
		deep_stamp; /* of the last look, and of the last one that walked it; 0 = it has none */
};

/* All zero is an empty list. */
struct watch_list {
	struct watch watches[WATCH_MAX_CONTAINERS];
	size_t end; /* those in use lie below */
	size_t count;
	size_t count_of[FAMILY_MAX];
	size_t deep_next;    /* where the next choice of whom to walk begins */
	struct table by_key; /* family and key -> index */
};

void watch_list_done(struct watch_list *list);

/* NULL where it is not on the list. */
struct watch *watch_find(struct watch_list *list, enum family family, uint64_t key);

/*
 * Puts a container of a part on the list, or remembers that one of it has grown: it is to be walked.
 * type 0 leaves its type as it is. Does nothing for one that is too small.
 */
void watch_add(struct watch_list *list, uint8_t part, enum family family, uint64_t key,
	uint64_t type, uint64_t held_bytes);

/* NULL is allowed. */
void watch_remove(struct watch_list *list, struct watch *watch);

/* What a look has seen: true where it is one more that saw nothing new, and they are enough. */
bool watch_looked(struct watch *watch, uint64_t stamp);

/* It has said something new, or was never quiet: a look has to tell. */
void watch_end_quiet(struct watch *watch);

/* It was walked now; it is due again after rest_ns. */
void watch_walked(struct watch *watch, uint64_t now_ns, uint64_t rest_ns);

/*
 * Sets deep for those that are to be walked at this poll: not many at once, so that no poll is long (what
 * is left is due at the next one), or all.
 */
void watch_choose_deep(struct watch_list *list, uint64_t now_ns, bool all);

#endif
