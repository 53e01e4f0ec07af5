/* SPDX-License-Identifier: BSD-2-Clause */
/* What to do about a container, by language. Go's own words are those of its rules. */
#include "rules/advice.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static const struct advice table[] = {
	{
		.runtime = "go",
		.collected = true,
		.keeps = "delete and clear never shrink a Go map; each range over it passes every "
			 "slot.",
		.shrink = "copy the survivors into make($T, len(m)) after large expiries.",
		.stays = "nothing but a restart frees it (GOGC and FreeOSMemory do not).",
		.replaced = "nothing: it is garbage, normal until the next GC; the price is CPU "
			    "time and a higher peak.",
		.moves = "Only writes move the rest; reads never do.",
		.finish = "after filling, copy once into make($T, len(m)); or make it with the "
			  "size it will reach.",
		.ends = "writes to the map end it: each one moves two buckets, then the GC frees "
			"the old array.",
		.bound = "delete entries when they expire, or bound the map (TTL, LRU): what its "
			 "values point to stays alive as long as their keys are in it.",
		.reached = "nothing but a restart empties it; the GC cannot: it is all reachable.",
	},
	{
		.runtime = "c++",
		.family = FAMILY_MAP,
		.keeps = "erase and clear free nodes, never the array of buckets.",
		.shrink = "m.rehash(0) after large expiries, or swap it with an empty one: both "
			  "give the buckets back. The nodes are elsewhere and not counted here.",
		.stays = "nothing but a restart frees it (malloc_trim does not).",
		.reserve = "m.reserve($N) before filling it.",
		.reuse = "keep it and empty it with m.clear(), which keeps its buckets, or "
			 "m.reserve($N).",
		.replaced = "nothing: the old arrays were freed at once; the price is CPU time, a "
			    "higher peak and what malloc keeps.",
		.bound = "erase elements when they expire, or bound the container (TTL, LRU).",
		.reached = "nothing but a restart empties it.",
	},
	{
		.runtime = "c++",
		.family = FAMILY_VECTOR,
		.keeps = "erase, clear and resize never give its array back.",
		.shrink =
			"shrink_to_fit() after large removals, or swap it with an empty one. What "
			"the elements point to is elsewhere and not counted here.",
		.stays = "nothing but a restart frees it (malloc_trim does not).",
		.reserve = "reserve($N) before filling it.",
		.reuse =
			"keep it and empty it with clear(), which keeps its array, or reserve($N).",
		.replaced = "nothing: the old arrays were freed at once; the price is CPU time, a "
			    "higher peak and what malloc keeps.",
		.bound = "erase elements when they are done with, or bound the container.",
		.reached = "nothing but a restart empties it.",
	},
	{
		.runtime = "rust",
		.family = FAMILY_MAP,
		.keeps = "remove, retain and clear never shrink it.",
		.shrink = "map.shrink_to_fit() after large removals. What keys and values point to "
			  "is elsewhere and not counted here.",
		.stays = "nothing but a restart frees it (malloc_trim does not).",
		.reserve = "with_capacity($N) where it is made, or reserve($N) before filling it.",
		.reuse = "keep it and empty it with clear(), which keeps its table, or "
			 "with_capacity($N).",
		.replaced = "nothing: the old tables were freed at once; the price is CPU time, a "
			    "higher peak and what malloc keeps.",
		.bound = "remove entries when they expire, or bound the map (TTL, LRU).",
		.reached = "nothing but a restart empties it.",
	},
	{
		.runtime = "rust",
		.family = FAMILY_VECTOR,
		.keeps = "clear, truncate and drain never give its array back.",
		.shrink = "shrink_to_fit() after large removals, or std::mem::take() it. What the "
			  "elements point to is elsewhere and not counted here.",
		.stays = "nothing but a restart frees it (malloc_trim does not).",
		.reserve = "with_capacity($N) where it is made, or reserve($N) before filling it.",
		.reuse = "keep it and empty it with clear(), which keeps its array, or "
			 "with_capacity($N).",
		.replaced = "nothing: the old arrays were freed at once; the price is CPU time, a "
			    "higher peak and what malloc keeps.",
		.bound = "drain what is done with, or bound it.",
		.reached = "nothing but a restart empties it.",
	},
	{
		.runtime = "redis",
		.family = FAMILY_MAP,
		.keeps = "Redis shrinks a dict below 10 % of its slots, not above.",
		.shrink = "expire less at once, or let the server's clock do its work "
			  "(activerehashing yes).",
		.stays = "nothing but a restart frees it (MEMORY PURGE does not).",
		.reserve = "nothing: Redis doubles the table of a dict as keys come.",
		.reuse = "nothing: Redis keeps a dict's table while it is more than 10 % full.",
		.replaced = "nothing: the old table is freed when its last key has moved.",
		.moves = "Only commands move the rest, one slot each.",
		.finish = "activerehashing yes in redis.conf: the server's clock then moves what "
			  "commands leave.",
		.ends = "CONFIG SET activerehashing yes, or writes: each command moves one slot.",
		.bound = "give keys a time to live, or set maxmemory and a policy.",
		.reached = "keys that are deleted are freed at once.",
	},
	{
		.runtime = "python",
		.no_reserve = true,
		.keeps = "Deleting never shrinks it; clear() does.",
		.shrink = "replace it by a copy of itself after large expiries: d = dict(d). What "
			  "keys and values are is elsewhere and not counted here.",
		.stays = "nothing but a restart frees it (gc.collect() does not).",
		.reserve = "build it at once (a comprehension, dict(zip(...)), set(list)) or keep "
			   "and reuse it: there is no way to reserve room.",
		.reuse = "nothing: clear() gives its memory back, and filling it grows it again.",
		.replaced = "nothing: the old tables were freed at once; the price is CPU time, a "
			    "higher peak and what malloc keeps.",
		.bound = "delete entries when they expire, or bound it (TTL, LRU).",
		.reached = "nothing but a restart empties it.",
	},
	{
		.runtime = "glib",
		.family = FAMILY_MAP,
		.no_reserve = true,
		.keeps = "A GHashTable shrinks when an entry is removed and less than a quarter of "
			 "it is in use, not before.",
		.shrink = "remove entries by g_hash_table_remove() or _foreach_remove(), which "
			  "look; stealing all, or a new table, frees its arrays at once.",
		.stays = "nothing but a restart frees it (malloc_trim does not).",
		.reserve = "nothing: GLib has no way to reserve room in a GHashTable; keep one and "
			   "use it again where many are made.",
		.reuse = "nothing: GLib frees the arrays of a table that is emptied.",
		.replaced = "nothing: the old arrays were freed at once; the price is CPU time, a "
			    "higher peak and what malloc keeps.",
		.bound = "remove entries when they expire, or bound the table (TTL, LRU).",
		.reached = "nothing but a restart empties it.",
	},
	{
		.runtime = "c",
		.family = FAMILY_ARRAY,
		.reserve =
			"malloc($N) before filling it, or growth by a factor: never by a constant.",
		.reuse = "keep it and fill it anew from its start.",
		.replaced = "nothing: the old arrays were freed at once; the price is CPU time, a "
			    "higher peak and what malloc keeps.",
	},
	{
		.runtime = "",
		.keeps = "Removing elements never shrinks it.",
		.shrink = "move the survivors into a new one after large expiries.",
		.stays = "nothing but a restart frees it.",
		.reserve = "reserve room for $N elements before filling it.",
		.reuse = "keep it and empty it, or reserve room for $N elements.",
		.replaced = "nothing: the price is CPU time and a higher peak.",
		.moves = "Only use moves the rest.",
		.finish = "make it with the size it will reach.",
		.ends = "writes to it end it.",
		.bound = "remove elements when they expire, or bound it (TTL, LRU).",
		.reached = "nothing but a restart empties it.",
	},
};

static bool is_for(const struct advice *advice, const char *runtime, enum family family)
{
	return (!advice->runtime[0] || !strcmp(advice->runtime, runtime)) &&
	       (advice->family == FAMILY_NONE || advice->family == family);
}

const struct advice *advice_for(
	const struct model *model, uint32_t target, uint32_t runtime, enum family family)
{
	const char *name = model_runtime_name(model, target, runtime);
	size_t i = 0;

	/* Of a recording without runtime: all that could be recorded once was Go. */
	if (!name[0])
		return &table[0];
	while (i + 1 < ARRAY_SIZE(table) && !is_for(&table[i], name, family))
		i++;
	return &table[i];
}

void advice_say(char text[FINDING_TEXT_BYTES], const char *sentence, const char *type,
	enum family family, uint64_t number)
{
	size_t used = 0;

	text[0] = 0;
	for (const char *at = sentence; *at && used < FINDING_TEXT_BYTES - 1; at++) {
		size_t room = FINDING_TEXT_BYTES - used;
		int n = 1;

		if (at[0] == '$' && at[1] == 'T')
			n = snprintf(
				text + used, room, "%.140s", type[0] ? type : family_name(family));
		else if (at[0] == '$' && at[1] == 'N')
			n = number ? snprintf(text + used, room, "%llu", (unsigned long long)number)
				   : snprintf(text + used, room, "n");
		else
			text[used] = *at;
		at += at[0] == '$' && (at[1] == 'T' || at[1] == 'N');
		used += MIN((size_t)n, room - 1);
		text[used] = 0;
	}
}
