/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stacks are hashed whole together with family and type; the answer is a site id. The parser child
 * is asked at most once per stack, in one request, so a hot site costs one table look-up per record.
 */
#include "trace/symbolizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"

struct symbolizer {
	struct parser *parser;
	uint32_t file_id;
	uint64_t slide;
	struct model *model;
	uint32_t target;
	struct table sites; /* stack hash -> site id */
	uint64_t refused;
	struct parser_frame answer[PARSER_MAX_FRAMES];
};

struct symbolizer *symbolizer_new(struct parser *parser, uint32_t file_id, uint64_t slide,
	struct model *model, uint32_t target)
{
	struct symbolizer *symbolizer = xcalloc(1, sizeof(*symbolizer));

	symbolizer->parser = parser;
	symbolizer->file_id = file_id;
	symbolizer->slide = slide;
	symbolizer->model = model;
	symbolizer->target = target;
	return symbolizer;
}

void symbolizer_free(struct symbolizer *symbolizer)
{
	if (!symbolizer)
		return;
	table_done(&symbolizer->sites);
	free(symbolizer);
}

static size_t copy_frames(
	const struct symbolizer *symbolizer, size_t count, struct model_frame ret[MODEL_MAX_FRAMES])
{
	size_t used = 0;

	for (size_t i = 0; i < count && used < MODEL_MAX_FRAMES; i++) {
		const struct parser_frame *frame = &symbolizer->answer[i];

		ret[used++] = (struct model_frame){
			.function = frame->function,
			.file = frame->file,
			.line = frame->line,
			.internal = frame->internal,
			.inlined = frame->inlined,
		};
	}
	return used;
}

static uint32_t ask(struct symbolizer *symbolizer, enum family family, uint32_t type,
	const uint64_t *addrs, size_t count, bool first_is_ip)
{
	struct model_frame frames[MODEL_MAX_FRAMES];
	uint64_t pcs[PARSER_MAX_PCS];
	int found;

	count = MIN(count, (size_t)PARSER_MAX_PCS);
	for (size_t i = 0; i < count; i++)
		/* A return address may already belong to the next line: step back into the call. */
		pcs[i] = addrs[i] - symbolizer->slide - (i || !first_is_ip);
	found = parser_lines(symbolizer->parser, symbolizer->file_id, pcs, count,
		symbolizer->answer, ARRAY_SIZE(symbolizer->answer));
	if (found <= 0)
		return 0;
	return model_add_site(symbolizer->model, symbolizer->target, family, type, frames,
		copy_frames(symbolizer, (size_t)found, frames));
}

uint32_t symbolizer_site(struct symbolizer *symbolizer, enum family family, uint32_t type,
	const uint64_t *addrs, size_t count, bool first_is_ip)
{
	uint64_t hash, site;

	if (!count)
		return 0;
	hash = hash_bytes(0, addrs, count * sizeof(*addrs));
	hash = hash_bytes(hash, &type, sizeof(type));
	hash ^= (uint64_t)family << 1 | first_is_ip;
	if (table_get(&symbolizer->sites, hash, &site))
		return (uint32_t)site;
	if (symbolizer->sites.count >= SYMBOLIZER_MAX_STACKS) {
		symbolizer->refused++;
		return 0;
	}
	site = ask(symbolizer, family, type, addrs, count, first_is_ip);
	table_set(&symbolizer->sites, hash, site);
	return (uint32_t)site;
}

uint64_t symbolizer_refused(const struct symbolizer *symbolizer)
{
	return symbolizer->refused;
}
