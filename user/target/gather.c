/* SPDX-License-Identifier: BSD-2-Clause */
#include "target/gather.h"

#include <stdlib.h>

#include "base/mem.h"

#define MAX_GAP     512 /* less than a page: no piece has pages that nobody has asked for */
#define PIECE_BYTES (64 << 10)

void gather_done(struct gather *gather)
{
	free(gather->places);
	free(gather->pieces);
	free(gather->bytes);
	*gather = (struct gather){0};
}

void gather_clear(struct gather *gather)
{
	gather->place_count = gather->piece_count = 0;
}

/* The newest piece, made as long as it must be; NULL where that is too far. */
static struct target_piece *stretch(struct gather *gather, uint64_t addr, uint32_t bytes)
{
	struct target_piece *last =
		gather->piece_count ? &gather->pieces[gather->piece_count - 1] : NULL;

	if (!last || addr < last->addr || addr > UINT64_MAX - PIECE_BYTES ||
		addr > last->addr + last->bytes + MAX_GAP ||
		addr + bytes > last->addr + PIECE_BYTES)
		return NULL;
	last->bytes = (uint32_t)MAX((uint64_t)last->bytes, addr + bytes - last->addr);
	return last;
}

void gather_add(struct gather *gather, uint64_t addr, uint32_t bytes)
{
	struct target_piece *piece = stretch(gather, addr, bytes);

	if (!piece) {
		array_reserve(gather->pieces, gather->piece_count, gather->piece_capacity);
		piece = &gather->pieces[gather->piece_count++];
		*piece = (struct target_piece){addr, NULL, bytes, false};
	}
	array_reserve(gather->places, gather->place_count, gather->place_capacity);
	gather->places[gather->place_count++] = (struct gather_place){
		(uint32_t)(piece - gather->pieces), (uint32_t)(addr - piece->addr), bytes};
}

int gather_read(struct gather *gather, struct target_mem *mem)
{
	size_t bytes = 0;
	int r;

	for (size_t i = 0; i < gather->piece_count; i++)
		bytes += gather->pieces[i].bytes;
	if (bytes > gather->byte_capacity) {
		gather->byte_capacity = 2 * bytes;
		gather->bytes = xreallocarray(gather->bytes, gather->byte_capacity, 1);
	}
	bytes = 0;
	for (size_t i = 0; i < gather->piece_count; i++) {
		gather->pieces[i].buf = gather->bytes + bytes;
		bytes += gather->pieces[i].bytes;
	}
	r = gather->piece_count ? target_mem_read_pieces(mem, gather->pieces, gather->piece_count)
				: 0;
	return r < 0 ? r : 0;
}

const void *gather_get(const struct gather *gather, size_t i)
{
	const struct gather_place *place = &gather->places[i];
	const struct target_piece *piece = &gather->pieces[place->piece];

	return piece->done ? (const uint8_t *)piece->buf + place->skip : NULL;
}
