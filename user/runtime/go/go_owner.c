/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who points to the containers that the census found: one pass over global variables and over heap
 * objects that may hold pointers, then, one hop further, over global variables for pointers to those
 * objects. Pages that are not present hold no pointers.
 *
 * A global variable that leads to a container proves that it is reachable (a garbage collector
 * starts there), and names it; so does the type of a heap object, where the allocator keeps it (since
 * Go 1.22, above 512 bytes).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "runtime/go/go_census.h"
#include "runtime/go/go_size.h"

#define FILTER_SHIFT     12
#define FILTER_MAX_PAGES (1ull << 28)
#define CHOOSE_BATCH     64
#define BATCH_SPANS      1024
#define MAX_CHECKS       32 /* of one container's slots during the pass */
#define KIND_CHAN        18
#define KIND_INTERFACE   20
#define KIND_MAP         21
#define KIND_POINTER     22
#define KIND_UNSAFE      26

/* A set of addresses, quick to say no. */
struct filter {
	uint64_t low, high;
	uint8_t *pages; /* one bit a page; NULL = too many pages */
	struct table index_of;
};

struct pass {
	struct census *census;
	struct filter filter;
	struct owner_object *objects; /* by address: second pass */
	size_t object_count;
};

struct owner_object {
	uint64_t start, end;
	size_t find;
};

typedef void hit_fn(struct pass *pass, uint64_t slot, uint64_t value, uint64_t before);

static void filter_open(struct filter *filter, const struct census *census)
{
	uint64_t pages;

	filter->low = UINT64_MAX;
	for (size_t i = 0; i < census->find_count; i++) {
		filter->low = MIN(filter->low, census->finds[i].key);
		filter->high = MAX(filter->high, census->finds[i].key);
		table_set(&filter->index_of, census->finds[i].key, i);
	}
	pages = ((filter->high - filter->low) >> FILTER_SHIFT) + 1;
	if (pages > FILTER_MAX_PAGES)
		return;
	filter->pages = xcalloc(pages / 8 + 1, 1);
	for (size_t i = 0; i < census->find_count; i++) {
		uint64_t page = (census->finds[i].key - filter->low) >> FILTER_SHIFT;

		filter->pages[page / 8] |= (uint8_t)(1u << page % 8);
	}
}

static void filter_close(struct filter *filter)
{
	free(filter->pages);
	table_done(&filter->index_of);
}

static inline bool filter_may_hold(const struct filter *filter, uint64_t value)
{
	uint64_t page = (value - filter->low) >> FILTER_SHIFT;

	return value - filter->low <= filter->high - filter->low &&
	       (!filter->pages || filter->pages[page / 8] >> page % 8 & 1);
}

static void scan_words(
	struct pass *pass, uint64_t addr, const void *bytes, uint64_t count, hit_fn *hit)
{
	const uint64_t *words = bytes;

	for (uint64_t i = 0; i < count / 8; i++)
		if (filter_may_hold(&pass->filter, words[i]))
			hit(pass, addr + 8 * i, words[i], i ? words[i - 1] : 0);
}

/* ---- first pass: pointers to containers ---- */

static void hit_global(struct pass *pass, uint64_t slot, uint64_t value, uint64_t before)
{
	uint64_t index;

	(void)before;
	if (table_get(&pass->filter.index_of, value, &index) &&
		census_is_pointer_word(pass->census, slot))
		pass->census->finds[index].owner.global = slot;
}

/* Keeps the first few slots; one whose object has a type takes the place of one that has none. */
static void add_slot(struct census_owner *owner, const struct census_slot *slot)
{
	for (int i = 0; i < CENSUS_SLOTS; i++)
		if (!owner->slots[i].object) {
			owner->slots[i] = *slot;
			return;
		}
	for (int i = 0; slot->typed && i < CENSUS_SLOTS; i++)
		if (!owner->slots[i].typed) {
			owner->slots[i] = *slot;
			return;
		}
}

static bool is_full(const struct census_owner *owner)
{
	for (int i = 0; i < CENSUS_SLOTS; i++)
		if (!owner->slots[i].object)
			return false;
	return true;
}

/*
 * Free slots hold what was there before: where a goroutine's stack has been, whole frames full of pointers to
 * one map. They must not take the place of those that count.
 */
static void forget_free(struct pass *pass, struct census_owner *owner)
{
	struct go_object objects[CENSUS_SLOTS];

	if (owner->checks == MAX_CHECKS)
		return;
	owner->checks++;
	for (int i = 0; i < CENSUS_SLOTS; i++)
		objects[i] = (struct go_object){.addr = owner->slots[i].addr};
	if (go_heap_find_objects(pass->census->process, objects, CENSUS_SLOTS))
		return;
	for (int i = 0; i < CENSUS_SLOTS; i++)
		if (objects[i].state == GO_OBJECT_FREE || objects[i].state == GO_OBJECT_NONE)
			owner->slots[i] = (struct census_slot){0};
}

static bool span_has_headers(const struct census *census, const struct census_span *span)
{
	return census->process->facts.layout.malloc_headers && !(span->class & 1) &&
	       span->class >> 1 && span->elemsize > GO_MALLOC_HEADER_FROM;
}

static void hit_heap(struct pass *pass, uint64_t slot, uint64_t value, uint64_t before)
{
	const struct census_span *span = census_find_span(pass->census, slot);
	struct census_owner *owner;
	uint64_t index, object;

	if (!span || !table_get(&pass->filter.index_of, value, &index))
		return;
	census_try_sync_struct(pass->census, &pass->census->finds[index], slot);
	owner = &pass->census->finds[index].owner;
	if (is_full(owner))
		forget_free(pass, owner);
	object = span->start + (slot - span->start) / span->elemsize * span->elemsize;
	add_slot(owner, &(struct census_slot){.addr = slot,
				.object = object,
				.end = object + span->elemsize,
				.before = before,
				.typed = span->large_type || span_has_headers(pass->census, span)});
}

static int scan_range(struct pass *pass, uint64_t start, uint64_t end, hit_fn *hit)
{
	struct census *census = pass->census;
	uint64_t bytes;
	int r = 0;

	for (uint64_t addr = start; addr < end && !r; addr += bytes) {
		bytes = MIN(end - addr, (uint64_t)CENSUS_SLICE_BYTES);
		r = census_read(census,
			&(struct target_piece){addr, census->buffer, (uint32_t)bytes, false}, 1);
		if (r)
			break;
		scan_words(pass, addr, census->buffer, bytes, hit);
		r = census_progress(census, bytes);
	}
	return r;
}

/* Only data and bss hold pointers (runtime.moduledata gcdata, gcbss); noptrdata does not. */
static int scan_globals(struct pass *pass, hit_fn *hit)
{
	const struct go_facts *facts = &pass->census->process->facts;
	int r = scan_range(pass, (facts->data + 7) & ~7ull, facts->edata, hit);

	return r ? r : scan_range(pass, (facts->bss + 7) & ~7ull, facts->ebss, hit);
}

static int scan_batch(struct pass *pass, struct target_piece *pieces, size_t count)
{
	struct census *census = pass->census;
	uint64_t bytes = 0;
	int r = census_read(census, pieces, count);

	for (size_t i = 0; !r && i < count; i++) {
		scan_words(pass, pieces[i].addr, pieces[i].buf, pieces[i].bytes, hit_heap);
		bytes += pieces[i].bytes;
	}
	return r ? r : census_progress(census, bytes);
}

static int scan_heap(struct pass *pass)
{
	struct census *census = pass->census;
	struct target_piece pieces[BATCH_SPANS];
	const struct census_span *span;
	size_t cursor = 0, count = 0;
	uint64_t bytes = 0;
	int r = 0;

	while (!r && (span = census_next_span(census, &cursor))) {
		uint64_t span_bytes = span->pages * GO_PAGE_BYTES;

		if (span->class & 1)
			continue;
		if (count == BATCH_SPANS || (count && bytes + span_bytes > CENSUS_SLICE_BYTES)) {
			r = scan_batch(pass, pieces, count);
			count = bytes = 0;
		}
		if (span_bytes > CENSUS_SLICE_BYTES) {
			r = r ? r
			      : scan_range(pass, span->start, span->start + span_bytes, hit_heap);
			continue;
		}
		pieces[count++] = (struct target_piece){
			span->start, census->buffer + bytes, (uint32_t)span_bytes, false};
		bytes += span_bytes;
	}
	return r ? r : scan_batch(pass, pieces, count);
}

/* ---- what an object's type says about a slot ---- */

/* Type of the object that holds a slot, and where offsets in it count from. */
static const struct go_type *object_type(struct census *census, const struct census_slot *slot,
	uint64_t *ret_addr, uint64_t *ret_base)
{
	const struct census_span *span = census_find_span(census, slot->object);
	uint64_t type = 0;

	*ret_base = slot->object;
	if (!span || !slot->typed)
		return NULL;
	if (!span->large_type)
		*ret_base += GO_MALLOC_HEADER;
	*ret_addr = span->large_type;
	if (!*ret_addr && !target_mem_read_u64(census->process->mem, slot->object, &type))
		*ret_addr = type;
	return go_typecache_get(census->process, *ret_addr);
}

bool census_is_pointer(struct census *census, const struct census_slot *slot)
{
	uint64_t addr, base;
	const struct go_type *type = object_type(census, slot, &addr, &base);

	/* runtime.p is large; before 1.22 nothing says what a large object is */
	if (!slot->typed || !census->process->parser)
		return slot->end - slot->object <= GO_MALLOC_HEADER_FROM;
	return type && strncmp(type->name, "runtime.", 8) != 0;
}

/*
 * Can a field of this type point to such a container? Where it is of the container's own kind,
 * ret_type gets the container's type. What is left of an array that was never filled may hold
 * anything, so a field of another type is no owner.
 */
static bool field_fits(const struct runtime_process *process, enum family family,
	const struct go_type *field, uint64_t *ret_type)
{
	if (family == FAMILY_MAP && field->kind == KIND_MAP) {
		*ret_type = field->type + process->slide;
		return true;
	}
	if (family == FAMILY_CHANNEL && field->kind == KIND_CHAN) {
		*ret_type = field->elem ? field->elem + process->slide : 0;
		return true;
	}
	return field->kind == KIND_INTERFACE || field->kind == KIND_POINTER ||
	       field->kind == KIND_UNSAFE;
}

/* "main.Cache.m", "[]map[int]int", "element of map[string]map[int]int"; false = it is no owner. */
static bool name_by_type(struct census *census, enum family family, const struct census_slot *slot,
	char *buf, size_t bytes, uint64_t *ret_type)
{
	struct runtime_process *process = census->process;
	uint64_t base, addr = 0;
	const struct go_type *type = object_type(census, slot, &addr, &base), *maps;
	struct go_type field;

	if (!type || !type->size || slot->addr < base)
		return false;
	if (field_fits(process, family, type, ret_type)) {
		snprintf(buf, bytes, "[]%s", type->name);
		return true;
	}
	if (parser_field(process->parser, process->file_id, addr - process->slide,
		    (slot->addr - base) % type->size, buf, bytes, &field) ||
		!field_fits(process, family, &field, ret_type))
		return false;
	if (go_typecache_find_group(process, addr, &maps))
		snprintf(buf, bytes, "element of %s", maps->name);
	return true;
}

/* ---- which slot counts ---- */

/* An iterator in the heap: reflect.MapIter, or a range whose variables escaped. All of its object is one. */
static void mark_iterators(struct census *census, struct census_find *find)
{
	struct census_slot *slots = find->owner.slots;
	uint8_t raw[GO_ITERATOR_BYTES];

	for (int i = 0; i < CENSUS_SLOTS; i++) {
		uint64_t start = slots[i].addr - GO_ITERATOR_MAP;

		if (!slots[i].object || slots[i].iterator || start < slots[i].object ||
			start + GO_ITERATOR_BYTES > slots[i].end ||
			!go_iterator_is_type(census->process, slots[i].before) ||
			target_mem_read(census->process->mem, start, raw, sizeof(raw)) ||
			!census_add_iterator(census, find, raw, NULL))
			continue;
		for (int j = 0; j < CENSUS_SLOTS; j++)
			slots[j].iterator |= slots[j].object == slots[i].object;
	}
}

/*
 * A processor's write barrier buffer (runtime.p.wbBuf) holds what was overwritten a moment ago: no owner, and
 * nobody else who keeps it.
 */
static void forget_processors(struct census *census, struct census_owner *owner)
{
	for (int i = 0; i < CENSUS_SLOTS; i++) {
		struct census_slot *slot = &owner->slots[i];
		uint64_t addr, base;
		const struct go_type *type =
			slot->object ? object_type(census, slot, &addr, &base) : NULL;

		if (type && !strcmp(type->name, "runtime.p"))
			*slot = (struct census_slot){0};
	}
}

/* Does anything but an iterator point to the map? Where there is no room for more, more may be there. */
static bool has_others(const struct census_owner *owner)
{
	int used = 0;

	for (int i = 0; i < CENSUS_SLOTS; i++) {
		used += owner->slots[i].object != 0;
		if (owner->slots[i].object && !owner->slots[i].iterator)
			return true;
	}
	return owner->global || used == CENSUS_SLOTS;
}

/* Its object must be allocated; one whose type says that it fits is best, one without a type next. */
static void choose_slot(struct census *census, struct census_find *find)
{
	struct census_owner *owner = &find->owner;

	forget_processors(census, owner);
	if (find->family == FAMILY_MAP) {
		mark_iterators(census, find);
		find->iterators.others |= has_others(owner);
	}
	for (int i = 0; i < CENSUS_SLOTS; i++) {
		struct census_slot *slot = &owner->slots[i];

		if (!slot->object)
			continue;
		if (slot->typed) {
			if (!name_by_type(census, find->family, slot, find->owner_name,
				    sizeof(find->owner_name), &find->owner_type))
				continue;
			owner->slot = slot;
			return;
		}
		if (!owner->slot || (owner->slot->iterator && !slot->iterator))
			owner->slot = slot;
	}
}

/* Forgets slots in objects that are not allocated, and chooses among the others. */
static int choose_part(struct census *census, struct census_find *finds, size_t find_count)
{
	struct go_object objects[CHOOSE_BATCH * CENSUS_SLOTS];
	size_t wanted = find_count * CENSUS_SLOTS, count = 0, at = 0;
	int r = 0;

	for (size_t i = 0; i < wanted; i++) {
		const struct census_slot *slot =
			&finds[i / CENSUS_SLOTS].owner.slots[i % CENSUS_SLOTS];

		if (slot->object)
			objects[count++].addr = slot->addr;
	}
	if (count)
		r = census_find_objects(census, objects, count);
	for (size_t i = 0; !r && i < wanted; i++) {
		struct census_slot *slot = &finds[i / CENSUS_SLOTS].owner.slots[i % CENSUS_SLOTS];

		if (slot->object && objects[at++].state != GO_OBJECT_ALLOCATED)
			slot->object = 0;
	}
	for (size_t i = 0; !r && i < find_count; i++)
		choose_slot(census, &finds[i]);
	return r ? r : census_progress(census, 0);
}

static int choose_slots(struct census *census)
{
	int r = 0;

	for (size_t i = 0; i < census->find_count && !r; i += CHOOSE_BATCH)
		r = choose_part(census, census->finds + i,
			MIN(census->find_count - i, (size_t)CHOOSE_BATCH));
	return r;
}

/* ---- second pass: global pointers to those objects ---- */

static int compare_objects(const void *a, const void *b)
{
	const struct owner_object *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void hit_object(struct pass *pass, uint64_t slot, uint64_t value, uint64_t before)
{
	size_t low = 0, high = pass->object_count;

	(void)before;
	while (low < high) { /* behind the last object that starts at or below value */
		size_t middle = (low + high) / 2;

		if (pass->objects[middle].start <= value)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || value >= pass->objects[low - 1].end ||
		!census_is_pointer_word(pass->census, slot))
		return;
	for (; low && value < pass->objects[low - 1].end; low--) {
		struct census_owner *owner =
			&pass->census->finds[pass->objects[low - 1].find].owner;

		owner->hop_global = slot;
		owner->hop_value = value;
	}
}

static int find_hops(struct census *census)
{
	struct pass pass = {.census = census, .filter = {.low = UINT64_MAX}};
	int r = 0;

	pass.objects = xcalloc(census->find_count, sizeof(*pass.objects));
	for (size_t i = 0; i < census->find_count; i++) {
		const struct census_owner *owner = &census->finds[i].owner;

		if (owner->global || !owner->slot)
			continue;
		pass.objects[pass.object_count++] =
			(struct owner_object){owner->slot->object, owner->slot->end, i};
		pass.filter.low = MIN(pass.filter.low, owner->slot->object);
		pass.filter.high = MAX(pass.filter.high, owner->slot->end - 1);
	}
	qsort(pass.objects, pass.object_count, sizeof(*pass.objects), compare_objects);
	if (pass.object_count)
		r = scan_globals(&pass, hit_object);
	free(pass.objects);
	return r;
}

int census_find_owners(struct census *census)
{
	struct pass pass = {.census = census};
	int r;

	if (!census->find_count)
		return 0;
	filter_open(&pass.filter, census);
	census_find_masks(census);
	r = scan_globals(&pass, hit_global);
	if (!r)
		r = scan_heap(&pass);
	if (!r)
		r = census_find_on_stacks(census, &pass.filter.index_of);
	if (!r)
		r = choose_slots(census);
	if (!r)
		r = find_hops(census);
	filter_close(&pass.filter);
	return r;
}

/* ---- names ---- */

static bool name_global(struct census *census, uint64_t addr, char *buf, size_t bytes)
{
	struct runtime_process *process = census->process;
	uint64_t offset;

	return process->parser && addr &&
	       !parser_symbol(process->parser, process->file_id, addr - process->slide, buf, bytes,
		       &offset);
}

void census_name_owner(
	struct census *census, const struct census_find *find, char *buf, size_t bytes)
{
	if (name_global(census, find->owner.global, buf, bytes))
		return;
	if (find->owner_name[0])
		text_copy(buf, bytes, find->owner_name);
	else if (!name_global(census, find->owner.hop_global, buf, bytes))
		text_copy(buf, bytes, "");
}
