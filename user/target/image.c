/* SPDX-License-Identifier: BSD-2-Clause */
/* A saved image of a process's memory, or one that a test has built (mem.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "target/mem_ops.h"

#define IMAGE_MAGIC       "mtimage1"
#define IMAGE_MAGIC_BYTES 8

static uint8_t *image_page(struct target_mem *mem, uint64_t page)
{
	uint64_t index;

	return table_get(&mem->pages, page, &index) ? mem->page_bytes[index] : NULL;
}

static uint8_t *image_make_page(struct target_mem *mem, uint64_t page)
{
	uint8_t *bytes = image_page(mem, page);

	if (bytes)
		return bytes;
	array_reserve(mem->page_bytes, mem->page_count, mem->page_capacity);
	table_set(&mem->pages, page, mem->page_count);
	bytes = mem->page_bytes[mem->page_count++];
	memset(bytes, 0, TARGET_PAGE_BYTES);
	return bytes;
}

static int image_read(struct target_mem *mem, uint64_t addr, void *buf, size_t bytes)
{
	if (bytes && !pages_of(addr, bytes))
		return -EFAULT;
	for (size_t done = 0; done < bytes;) {
		size_t skip = (addr + done) % TARGET_PAGE_BYTES;
		size_t part = MIN(bytes - done, TARGET_PAGE_BYTES - skip);
		const uint8_t *page = image_page(mem, page_of(addr + done));

		if (!page)
			return -EFAULT;
		memcpy((char *)buf + done, page + skip, part);
		done += part;
	}
	return 0;
}

static int image_read_pieces(struct target_mem *mem, struct target_piece *pieces, size_t count)
{
	int done = 0;

	for (size_t i = 0; i < count; i++) {
		struct target_piece *piece = &pieces[i];

		piece->done =
			piece->bytes && !image_read(mem, piece->addr, piece->buf, piece->bytes);
		done += piece->done;
	}
	return done;
}

static long image_present(struct target_mem *mem, uint64_t page, uint64_t pages, bool *ret)
{
	long present = 0;

	for (uint64_t i = 0; i < pages; i++) {
		bool is = image_page(mem, page + i);

		present += is;
		if (ret)
			ret[i] = is;
	}
	return present;
}

static bool image_is_untouched(struct target_mem *mem, uint64_t page)
{
	return !image_page(mem, page);
}

/* Only what was read has been saved: nobody knows what a page held that is not there. */
static bool image_is_anonymous(struct target_mem *mem, uint64_t page)
{
	(void)mem;
	(void)page;
	return false;
}

static void image_close(struct target_mem *mem)
{
	table_done(&mem->pages);
	free(mem->page_bytes);
}

static const struct target_mem_ops image_ops = {
	.close = image_close,
	.read = image_read,
	.read_pieces = image_read_pieces,
	.present = image_present,
	.resident = image_present,
	.is_untouched = image_is_untouched,
	.is_anonymous = image_is_anonymous,
};

struct target_mem *target_mem_new_image(void)
{
	struct target_mem *mem = xcalloc(1, sizeof(*mem));

	mem->ops = &image_ops;
	mem->mem_fd = mem->pagemap_fd = -1;
	return mem;
}

int target_mem_add_image(struct target_mem *mem, uint64_t addr, const void *bytes, size_t count)
{
	if (mem->ops != &image_ops || (count && !pages_of(addr, count)))
		return -EINVAL;
	for (size_t done = 0; done < count;) {
		size_t skip = (addr + done) % TARGET_PAGE_BYTES;
		size_t part = MIN(count - done, TARGET_PAGE_BYTES - skip);

		memcpy(image_make_page(mem, page_of(addr + done)) + skip,
			(const char *)bytes + done, part);
		done += part;
	}
	return 0;
}

/* File: magic, then per page its number (8 bytes, little-endian) and its bytes. */
int target_mem_save(struct target_mem *mem, const char *path)
{
	uint64_t page, index;
	size_t cursor = 0;
	FILE *file;
	bool ok;

	if (mem->ops != &image_ops)
		return -EINVAL;
	file = fopen(path, "wxe");
	if (!file)
		return -errno;
	ok = fwrite(IMAGE_MAGIC, IMAGE_MAGIC_BYTES, 1, file) == 1;
	while (ok && table_next(&mem->pages, &cursor, &page, &index))
		ok = fwrite(&page, sizeof(page), 1, file) == 1 &&
		     fwrite(mem->page_bytes[index], TARGET_PAGE_BYTES, 1, file) == 1;
	ok = !fclose(file) && ok;
	return ok ? 0 : -EIO;
}

int target_mem_open_image(const char *path, struct target_mem **ret)
{
	struct target_mem *mem = target_mem_new_image();
	char magic[IMAGE_MAGIC_BYTES];
	FILE *file = fopen(path, "re");
	uint64_t page;
	int r = -EBADMSG;

	if (!file) {
		r = -errno;
		goto out;
	}
	if (fread(magic, sizeof(magic), 1, file) != 1 || memcmp(magic, IMAGE_MAGIC, sizeof(magic)))
		goto out;
	while (fread(&page, sizeof(page), 1, file) == 1)
		if (page > page_of(UINT64_MAX) || image_page(mem, page) ||
			fread(image_make_page(mem, page), TARGET_PAGE_BYTES, 1, file) != 1)
			goto out;
	if (ferror(file))
		goto out;
	*ret = mem;
	mem = NULL;
	r = 0;
out:
	if (file)
		fclose(file);
	target_mem_close(mem);
	return r;
}
