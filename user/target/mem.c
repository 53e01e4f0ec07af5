/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory of another process (mem.h): three implementations behind one table of functions, in live.c,
 * image.c and view.c, and what they have in common.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "target/mem_ops.h"

void target_mem_close(struct target_mem *mem)
{
	if (!mem)
		return;
	mem->ops->close(mem);
	free(mem);
}

/*
 * The page in which a small piece ends, or begins, may never have been written: fields that are zero in
 * memory that is zero need no writing. The last descriptor in use of a run of them is such a piece.
 */
static bool read_beside_untouched(struct target_mem *mem, struct target_piece *piece)
{
	uint32_t first = (uint32_t)(TARGET_PAGE_BYTES - piece->addr % TARGET_PAGE_BYTES);
	struct target_piece parts[2] = {{piece->addr, piece->buf, first, false}}, *absent;

	if (piece->bytes > TARGET_PAGE_BYTES || pages_of(piece->addr, piece->bytes) != 2)
		return false;
	parts[1] = (struct target_piece){
		piece->addr + first, (uint8_t *)piece->buf + first, piece->bytes - first, false};
	if (mem->ops->read_pieces(mem, parts, 2) != 1)
		return false;
	absent = parts[0].done ? &parts[1] : &parts[0];
	if (!mem->ops->is_anonymous(mem, page_of(absent->addr)) ||
		!mem->ops->is_untouched(mem, page_of(absent->addr)))
		return false;
	memset(absent->buf, 0, absent->bytes);
	piece->done = true;
	return true;
}

int target_mem_read(struct target_mem *mem, uint64_t addr, void *buf, size_t bytes)
{
	int r = mem->ops->read(mem, addr, buf, bytes);

	if (r == -EFAULT && bytes <= TARGET_PAGE_BYTES &&
		read_beside_untouched(
			mem, &(struct target_piece){addr, buf, (uint32_t)bytes, false}))
		r = 0;
	return r;
}

int target_mem_read_u64(struct target_mem *mem, uint64_t addr, uint64_t *ret)
{
	uint64_t value;
	int r = target_mem_read(mem, addr, &value, sizeof(value));

	if (!r)
		*ret = value;
	return r;
}

int target_mem_read_u32(struct target_mem *mem, uint64_t addr, uint32_t *ret)
{
	uint32_t value;
	int r = target_mem_read(mem, addr, &value, sizeof(value));

	if (!r)
		*ret = value;
	return r;
}

int target_mem_read_pieces(struct target_mem *mem, struct target_piece *pieces, size_t count)
{
	int done = mem->ops->read_pieces(mem, pieces, count);

	for (size_t i = 0; done >= 0 && (size_t)done < count && i < count; i++)
		if (!pieces[i].done)
			done += read_beside_untouched(mem, &pieces[i]);
	return done;
}

long target_mem_present(struct target_mem *mem, uint64_t addr, uint64_t bytes, bool *ret)
{
	return mem->ops->present(mem, page_of(addr), pages_of(addr, bytes), ret);
}

long target_mem_resident(struct target_mem *mem, uint64_t addr, uint64_t bytes, bool *ret)
{
	return mem->ops->resident(mem, page_of(addr), pages_of(addr, bytes), ret);
}

bool target_mem_is_untouched(struct target_mem *mem, uint64_t addr)
{
	return mem->ops->is_untouched(mem, page_of(addr));
}
