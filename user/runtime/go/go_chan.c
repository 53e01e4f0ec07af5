/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Go channels from outside (go_chan.h). makechan() has three forms: no ring (buf points to itself),
 * header and ring in one object (elements without pointers), ring in an object of its own.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "runtime/go/go_chan.h"
#include "runtime/go/go_size.h"

/* runtime.hchan, go1.19 to go1.26; elemtype, sendx and recvx move and are in struct go_layout */
enum {
	CHAN_LENGTH = 0,
	CHAN_CAPACITY = 8,
	CHAN_RING = 16,
	CHAN_ELEM_BYTES = 24,
	CHAN_CLOSED = 28,
};

static uint64_t load64(const uint8_t *raw)
{
	uint64_t value;

	memcpy(&value, raw, sizeof(value));
	return value;
}

bool go_chan_parse(const struct runtime_process *process, uint64_t key,
	const uint8_t raw[GO_CHAN_HEADER_BYTES], struct go_chan_header *ret)
{
	const struct go_layout *layout = &process->facts.layout;
	uint64_t elem_type = load64(raw + layout->chan_elem_type), send, receive;
	uint16_t elem_bytes;
	uint32_t closed;

	/* First what nearly all of the millions of slots fail that are no channel's. */
	if (elem_type < process->facts.types || elem_type >= process->facts.etypes)
		return false;
	send = load64(raw + layout->chan_sendx);
	receive = load64(raw + layout->chan_recvx);
	memcpy(&elem_bytes, raw + CHAN_ELEM_BYTES, sizeof(elem_bytes));
	memcpy(&closed, raw + CHAN_CLOSED, sizeof(closed));
	*ret = (struct go_chan_header){
		.length = load64(raw + CHAN_LENGTH),
		.capacity = load64(raw + CHAN_CAPACITY),
		.ring = load64(raw + CHAN_RING),
		.elem_type = elem_type,
		.elem_bytes = elem_bytes,
	};
	if (closed > 1 || ret->length > ret->capacity || ret->capacity > GO_MAX_BYTES / 8 ||
		(ret->capacity ? send >= ret->capacity || receive >= ret->capacity
			       : send || receive))
		return false;
	ret->stamp = hash_words(raw, GO_CHAN_HEADER_BYTES);
	if (!ret->capacity || !elem_bytes)
		return ret->ring == key + CHAN_RING; /* hchan.raceaddr() */
	return ret->ring && ret->ring < GO_MAX_BYTES;
}

static bool slot_fits(
	const struct runtime_process *process, const struct go_object *object, uint64_t bytes)
{
	return object->state == GO_OBJECT_ALLOCATED &&
	       go_span_starts_at(process, &object->span, object->addr) &&
	       object->span.elemsize - (object->addr - object->base) >= bytes;
}

/*
 * The objects of a channel: header, and ring where it is one of its own. Returns how many. A ring that
 * begins where the header ends may still be the next slot of the same size class: the header's span tells,
 * for only a header with its ring inside holds no pointers.
 */
static int find_parts(struct runtime_process *process, uint64_t key,
	const struct go_chan_header *header, struct go_object objects[2])
{
	uint64_t bytes = process->facts.layout.chan_header;
	uint64_t ring = header->capacity * header->elem_bytes;
	bool apart;
	int r;

	objects[0] = (struct go_object){.addr = key};
	objects[1] = (struct go_object){.addr = header->ring};
	r = go_heap_find_spans(process, objects, 2);
	if (r < 0)
		return r;
	if (objects[0].state != GO_OBJECT_ALLOCATED)
		return -EFAULT;
	apart = ring && (header->ring != key + bytes || !go_span_noscan(&objects[0].span));
	if (!slot_fits(process, &objects[0], bytes + (apart ? 0 : ring)) ||
		(apart && !slot_fits(process, &objects[1], ring)))
		return -EFAULT;
	return apart ? 2 : 1;
}

int go_chan_check(
	struct runtime_process *process, uint64_t key, const struct go_chan_header *header)
{
	const struct go_type *elem = go_typecache_get(process, header->elem_type);
	uint64_t ring = header->capacity * header->elem_bytes;
	struct go_object objects[2];
	int count = find_parts(process, key, header, objects);
	bool apart = count == 2;

	if (count < 0)
		return count == -EFAULT ? -ENOENT : count;
	/* One object holds no pointers, two do. */
	if (apart == go_span_noscan(&objects[0].span) ||
		objects[0].span.elemsize !=
			go_size_alloc(&process->facts,
				process->facts.layout.chan_header + (apart ? 0 : ring), false))
		return -ENOENT;
	if (apart &&
		(go_span_noscan(&objects[1].span) ||
			objects[1].span.elemsize != go_size_alloc(&process->facts, ring, true)))
		return -ENOENT;
	if (process->parser && (!elem || elem->size != header->elem_bytes ||
				       (ring && elem->has_pointers != apart)))
		return -ENOENT;
	return 0;
}

int go_chan_walk(struct runtime_process *process, uint64_t key, const struct go_chan_header *header,
	struct go_shape *ret)
{
	struct go_object objects[2];
	int count = find_parts(process, key, header, objects);
	bool apart = count == 2;
	struct go_shape shape = {.capacity = header->capacity,
		.load_limit = header->capacity,
		.group_bytes = header->elem_bytes,
		.group_has_pointers = apart,
		.largest = apart ? header->ring : key};

	if (count < 0)
		return count;
	go_extents_clear(&process->extents);
	for (int i = 0; i < count; i++) {
		shape.held += objects[i].span.elemsize;
		go_extents_add(&process->extents, objects[i].base, objects[i].span.elemsize, false);
	}
	*ret = shape;
	return 0;
}
