/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records of growing arrays -> events: slices, and the arrays in which strings.Builder and bytes.Buffer
 * collect bytes.
 *
 * A Builder is written to with append, and grows in growslice as a slice does; only the frames of the call
 * tell which it is. Grow() makes its array in strings.(*Builder).grow (1.21+; in 1.19 that is inlined and
 * cannot be seen). A Buffer grows in bytes.growSlice: there growslice makes the new array from nothing, and
 * what it replaces is known where growSlice copies it.
 *
 * Only the old array of a slice that grew by more than one element may have to be looked up in the heap.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_decode.h"
#include "runtime/go/go_heap.h"
#include "runtime/go/go_size.h"

#define MAX_CALL_TYPES  65536
#define MAX_ARRAYS_MADE 65536
#define MAX_INLINED     16

/* Who calls growslice. */
enum caller {
	CALLER_OTHER = 1, /* 0 = not asked yet */
	CALLER_BUILDER,   /* a method of strings.Builder */
	CALLER_BUFFER,    /* bytes.growSlice */
};

/* ---- who calls ---- */

static uint64_t call_place(const struct mt_record *record)
{
	/* Frame 0 is the probed instruction itself. */
	return hash_bytes(0, &record->stack[1], MIN(record->stack_bytes - 8u, 16u));
}

static bool has_caller(const struct runtime_process *process, const struct mt_record *record)
{
	return process->parser && record->flags & MT_HAS_STACK && record->stack_bytes >= 16;
}

/* Element type that the caller of growslice passed, 0 = its code does not say. */
static uint64_t call_type(struct runtime_process *process, const struct mt_record *record)
{
	struct go_type found;
	uint64_t place, type = 0;

	if (!has_caller(process, record))
		return 0;
	place = call_place(record);
	if (table_get(&process->call_types, place, &type))
		return type;
	if (process->call_types.count >= MAX_CALL_TYPES)
		table_done(&process->call_types);
	/* Since 1.26 append may come through growsliceBuf: then the type is in the caller's caller. */
	for (size_t i = 1; i <= 2 && i < record->stack_bytes / 8 && !type; i++)
		if (!parser_call_type(process->parser, process->file_id,
			    record->stack[i] - process->slide, &found))
			type = found.type + process->slide;
	table_set(&process->call_types, place, type);
	return type;
}

static bool starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* Of the frames of one return address; 0 = it is the runtime's own, ask the next one. */
static enum caller caller_at(struct runtime_process *process, uint64_t return_pc)
{
	uint64_t pc = return_pc - process->slide - 1;
	struct parser_frame frames[MAX_INLINED];
	int count =
		parser_lines(process->parser, process->file_id, &pc, 1, frames, ARRAY_SIZE(frames));

	for (int i = 0; i < count; i++) {
		if (starts_with(frames[i].function, "strings.(*Builder)."))
			return CALLER_BUILDER;
		if (!strcmp(frames[i].function, "bytes.growSlice"))
			return CALLER_BUFFER;
	}
	return count > 0 && starts_with(frames[0].function, "runtime.") ? 0 : CALLER_OTHER;
}

static enum caller find_caller(struct runtime_process *process, const struct mt_record *record)
{
	uint64_t place, caller = 0;

	if (!has_caller(process, record))
		return CALLER_OTHER;
	place = call_place(record);
	if (table_get(&process->callers, place, &caller))
		return (enum caller)caller;
	if (process->callers.count >= MAX_CALL_TYPES)
		table_done(&process->callers);
	for (size_t i = 1; i <= 2 && i < record->stack_bytes / 8 && !caller; i++)
		caller = caller_at(process, record->stack[i]);
	caller = caller ? caller : CALLER_OTHER;
	table_set(&process->callers, place, caller);
	return (enum caller)caller;
}

/* ---- slices ---- */

struct slice_growth {
	uint64_t bytes, length, capacity; /* copied; as growslice returns them */
	uint64_t elem_bytes;              /* 0 = unknown */
	bool has_pointers;
};

/* Would growslice have rounded to this capacity, had the elements this size? */
static bool elem_size_fits(const struct runtime_process *process, const struct slice_growth *slice,
	uint64_t elem_bytes)
{
	uint64_t old_length = slice->bytes / elem_bytes;

	if (slice->bytes % elem_bytes || slice->capacity > GO_MAX_BYTES / elem_bytes)
		return false;
	return process->facts.layout.slice_length_new ? old_length < slice->length
						      : old_length == slice->length;
}

static bool rounds_to_itself(const struct runtime_process *process,
	const struct slice_growth *slice, uint64_t elem_bytes)
{
	uint64_t bytes = slice->capacity * elem_bytes;

	return go_size_alloc(&process->facts, bytes, false) / elem_bytes == slice->capacity;
}

/* Where the caller does not name the type: most appends add one element. */
static uint64_t infer_elem_size(
	const struct runtime_process *process, const struct slice_growth *slice)
{
	uint64_t old = slice->length - process->facts.layout.slice_length_new, elem_bytes;

	if (!old || !slice->bytes || slice->bytes % old)
		return 0;
	elem_bytes = slice->bytes / old;
	return elem_size_fits(process, slice, elem_bytes) &&
			       (!process->facts.layout.slice_length_new ||
				       rounds_to_itself(process, slice, elem_bytes))
		       ? elem_bytes
		       : 0;
}

/* Bytes of the span slot at addr, if they lie in [low, high]; else low. */
static uint64_t slot_bytes(
	struct runtime_process *process, uint64_t addr, uint64_t low, uint64_t high)
{
	struct go_object object = {.addr = addr};

	if (low >= high || go_heap_find_spans(process, &object, 1) ||
		object.state != GO_OBJECT_ALLOCATED || object.span.elemsize < low ||
		object.span.elemsize > high)
		return low;
	return object.span.elemsize;
}

/* One append of one goroutine: most often it grows the same slice again and again. */
static uint64_t append_id(const struct mt_record *record)
{
	uint64_t caller = record->stack_bytes >= 16 ? record->stack[1] : 0;

	return hash_bytes(record->goroutine, &caller, sizeof(caller));
}

static void remember_array(
	struct runtime_process *process, const struct mt_record *record, uint64_t bytes)
{
	if (process->arrays_made.count >= MAX_ARRAYS_MADE) {
		table_done(&process->arrays_made);
		table_done(&process->appends);
	}
	table_set(&process->arrays_made, record->addr, bytes);
	table_set(&process->appends, append_id(record), record->addr);
}

/*
 * The array that growslice replaces: one that we saw made, at its start, or, for a queue that drops its
 * head (s = s[1:]), the last one of the same append with the old pointer inside. The heap is no help
 * there: when we read the record, the old slot may long be in other hands.
 */
static bool find_made(struct runtime_process *process, const struct mt_record *record,
	uint64_t *ret_start, uint64_t *ret_bytes)
{
	uint64_t old = record->val[0], start = old;

	if (table_get(&process->arrays_made, old, ret_bytes))
		goto found;
	if (!table_get(&process->appends, append_id(record), &start) ||
		!table_get(&process->arrays_made, start, ret_bytes))
		return false;
	if (old < start || old - start + record->val[1] > *ret_bytes)
		return false;
found:
	*ret_start = start;
	return true;
}

/* Bytes of the old array; low and high bound those of one that was there before us. */
static uint64_t old_bytes(struct runtime_process *process, const struct mt_record *record,
	uint64_t low, uint64_t high, uint64_t *ret_start)
{
	uint64_t bytes;

	if (find_made(process, record, ret_start, &bytes))
		return bytes;
	return slot_bytes(process, record->val[0], low, high);
}

/* A slice had room for what was copied, and not for the new length, otherwise it would not have grown. */
static uint64_t old_slice_bytes(struct runtime_process *process, const struct mt_record *record,
	const struct slice_growth *slice, uint64_t *ret_start)
{
	const struct go_facts *facts = &process->facts;
	uint64_t low = go_size_alloc(facts, slice->bytes, slice->has_pointers), high;

	if (!slice->elem_bytes)
		high = slice->bytes * 4;
	else if (facts->layout.slice_length_new)
		high = go_size_alloc(
			facts, (slice->length - 1) * slice->elem_bytes, slice->has_pointers);
	else
		high = go_size_alloc(
			facts, slice->capacity * slice->elem_bytes, slice->has_pointers);
	return old_bytes(process, record, low, high, ret_start);
}

/* No array at all: nil, or runtime.zerobase, where make([]T, 0) points to. */
static bool no_array(const struct runtime_process *process, uint64_t old, uint64_t bytes)
{
	const struct go_facts *facts = &process->facts;

	return !old || (!bytes && old >= facts->noptrbss && old < facts->enoptrbss);
}

/* A global array becomes no garbage when a slice of it moves to the heap, nor does a local one. */
static bool in_image(const struct go_facts *facts, uint64_t addr)
{
	return addr >= facts->text && addr < facts->enoptrbss;
}

/* The runtime's own lists, such as the overflow buckets that a map keeps alive: no container of the program. */
static bool is_own_list(const struct go_type *elem)
{
	return !strncmp(elem->name, "*runtime.", 9);
}

static bool leaves_garbage(const struct runtime_process *process, const struct mt_record *record)
{
	uint64_t old = record->val[0];

	return !no_array(process, old, record->val[1]) && !go_decode_on_stack(record, old) &&
	       !in_image(&process->facts, old);
}

static bool is_possible(const struct runtime_process *process, const struct slice_growth *slice)
{
	return slice->capacity && slice->length <= slice->capacity &&
	       slice->bytes <= GO_MAX_BYTES && slice->capacity <= GO_MAX_BYTES &&
	       (!process->facts.layout.slice_length_new || slice->length);
}

/* The size of its elements; ret_type where that of the call is believed. */
static void size_elements(struct runtime_process *process, const struct mt_record *record,
	const struct go_type *elem, struct slice_growth *slice, uint64_t *ret_type)
{
	if (elem && elem->size && elem_size_fits(process, slice, elem->size)) {
		slice->elem_bytes = elem->size;
		slice->has_pointers = elem->has_pointers;
		*ret_type = go_decode_tag(FAMILY_SLICE, call_type(process, record));
	} else {
		slice->elem_bytes = infer_elem_size(process, slice);
		*ret_type = 0;
	}
}

/* addr new array, val: old array, bytes copied, length, capacity */
int go_decode_growslice(struct runtime_process *process, const struct mt_record *record,
	struct event *ret, uint64_t *ret_type)
{
	const struct go_type *elem = go_typecache_get(process, call_type(process, record));
	struct slice_growth slice = {
		.bytes = record->val[1], .length = record->val[2], .capacity = record->val[3]};
	struct event_growth *growth = &ret->growth;
	enum caller caller = CALLER_OTHER;

	if (!is_possible(process, &slice))
		return -EBADMSG;
	if (elem && is_own_list(elem))
		return -ENODATA;
	if (!elem || elem->size == 1)
		caller = find_caller(process, record);
	size_elements(process, record, elem, &slice, ret_type);
	go_decode_init_growth(ret, FAMILY_SLICE, record->addr, record->val[0]);
	growth->new_container = no_array(process, record->val[0], slice.bytes);
	growth->has_length = true;
	growth->length = slice.length;
	growth->capacity = slice.capacity;
	if (slice.elem_bytes)
		growth->allocated_bytes = go_size_alloc(
			&process->facts, slice.capacity * slice.elem_bytes, slice.has_pointers);
	else
		growth->allocated_bytes =
			slot_bytes(process, record->addr, slice.bytes, GO_MAX_BYTES);
	if (leaves_garbage(process, record))
		growth->garbage_bytes = old_slice_bytes(process, record, &slice, &growth->old_key);
	remember_array(process, record, growth->allocated_bytes);
	growth->held_bytes = growth->allocated_bytes;
	if (caller == CALLER_BUFFER)
		return -ENODATA; /* go_decode_buffer_grow() is about to tell more */
	if (caller == CALLER_BUILDER) {
		growth->family = FAMILY_BUFFER;
		*ret_type = go_decode_tag(FAMILY_BUFFER, GO_BUFFER_BUILDER);
	}
	return 0;
}

/* ---- builders and buffers ---- */

/* addr new array, val: old array, bytes copied. Both ask for at least twice the old capacity. */
static int decode_buffer(struct runtime_process *process, const struct mt_record *record,
	uint64_t capacity, enum go_buffer buffer, struct event *ret, uint64_t *ret_type)
{
	const struct go_facts *facts = &process->facts;
	struct event_growth *growth = &ret->growth;
	uint64_t bytes = record->val[1];

	if (!capacity || bytes > capacity || capacity > GO_MAX_BYTES)
		return -EBADMSG;
	go_decode_init_growth(ret, FAMILY_BUFFER, record->addr, record->val[0]);
	growth->new_container = no_array(process, record->val[0], bytes);
	growth->has_length = true;
	growth->length = bytes;
	growth->capacity = capacity;
	growth->allocated_bytes = growth->held_bytes = go_size_alloc(facts, capacity, false);
	if (leaves_garbage(process, record))
		growth->garbage_bytes =
			old_bytes(process, record, go_size_alloc(facts, bytes, false),
				growth->allocated_bytes, &growth->old_key);
	remember_array(process, record, growth->allocated_bytes);
	*ret_type = go_decode_tag(FAMILY_BUFFER, buffer);
	return 0;
}

int go_decode_buffer_grow(struct runtime_process *process, const struct mt_record *record,
	struct event *ret, uint64_t *ret_type)
{
	uint64_t capacity;

	/* growslice has just made it */
	if (!table_get(&process->arrays_made, record->addr, &capacity))
		capacity = slot_bytes(process, record->addr, record->val[1], GO_MAX_BYTES);
	return decode_buffer(process, record, capacity, GO_BUFFER_BYTES, ret, ret_type);
}

/* val[3]: its capacity */
int go_decode_builder_grow(struct runtime_process *process, const struct mt_record *record,
	struct event *ret, uint64_t *ret_type)
{
	return decode_buffer(process, record, record->val[3], GO_BUFFER_BUILDER, ret, ret_type);
}
