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
	struct modules *modules;
	struct model *model;
	uint32_t target;
	struct table sites;  /* stack hash -> site id */
	struct table stacks; /* stack hash -> id of a whole stack */
	uint64_t refused;
	struct parser_frame answer[PARSER_MAX_FRAMES];
};

struct symbolizer *symbolizer_new(
	struct parser *parser, struct modules *modules, struct model *model, uint32_t target)
{
	struct symbolizer *symbolizer = xcalloc(1, sizeof(*symbolizer));

	symbolizer->parser = parser;
	symbolizer->modules = modules;
	symbolizer->model = model;
	symbolizer->target = target;
	return symbolizer;
}

void symbolizer_free(struct symbolizer *symbolizer)
{
	if (!symbolizer)
		return;
	table_done(&symbolizer->sites);
	table_done(&symbolizer->stacks);
	free(symbolizer);
}

/* innermost: of each pc only its innermost frame, since those it was inlined into have pcs of their own. */
static size_t copy_frames(const struct symbolizer *symbolizer, size_t count, bool innermost,
	struct model_frame ret[MODEL_MAX_FRAMES], size_t used)
{
	for (size_t i = 0; i < count && used < MODEL_MAX_FRAMES; i++) {
		const struct parser_frame *frame = &symbolizer->answer[i];

		if (innermost && i && frame->pc_index == frame[-1].pc_index)
			continue;
		/* The answer is overwritten by the next one: only interned names stay. */
		ret[used++] = (struct model_frame){
			.function = model_string(symbolizer->model,
				model_intern(symbolizer->model, frame->function)),
			.file = model_string(
				symbolizer->model, model_intern(symbolizer->model, frame->file)),
			.line = frame->line,
			.internal = frame->internal,
			.inlined = frame->inlined,
		};
	}
	return used;
}

/* Frames of the addresses that follow each other in one module. Returns how many addresses. */
static size_t ask_module(struct symbolizer *symbolizer, const uint64_t *addrs, size_t count,
	bool first_is_ip, bool innermost, struct model_frame ret[MODEL_MAX_FRAMES], size_t *used)
{
	const struct module *module = modules_find(symbolizer->modules, addrs[0]);
	uint64_t pcs[PARSER_MAX_PCS];
	size_t asked = 0;
	int found;

	if (!module)
		return 1;
	count = MIN(count, (size_t)PARSER_MAX_PCS);
	while (asked < count && addrs[asked] >= module->start && addrs[asked] < module->end) {
		/* A return address may already belong to the next line: step back into the call. */
		pcs[asked] = addrs[asked] - module->slide - (asked || !first_is_ip);
		asked++;
	}
	found = parser_lines(symbolizer->parser, module->file_id, pcs, asked, symbolizer->answer,
		ARRAY_SIZE(symbolizer->answer));
	if (found > 0)
		*used = copy_frames(symbolizer, (size_t)found, innermost, ret, *used);
	return asked;
}

static uint32_t ask(struct symbolizer *symbolizer, enum family family, uint32_t type,
	const uint64_t *addrs, size_t count, bool first_is_ip)
{
	struct model_frame frames[MODEL_MAX_FRAMES];
	size_t used = 0;

	for (size_t i = 0; i < count;)
		i += ask_module(
			symbolizer, addrs + i, count - i, !i && first_is_ip, false, frames, &used);
	if (!used)
		return 0;
	return model_add_site(symbolizer->model, symbolizer->target, family, type, frames, used);
}

static uint32_t ask_stack(struct symbolizer *symbolizer, const uint64_t *addrs, size_t count)
{
	struct model_frame frames[MODEL_MAX_FRAMES];
	size_t used = 0;

	for (size_t i = 0; i < count;)
		i += ask_module(symbolizer, addrs + i, count - i, false, true, frames, &used);
	return model_add_stack(symbolizer->model, symbolizer->target, frames, used);
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

uint32_t symbolizer_stack(struct symbolizer *symbolizer, const uint64_t *addrs, size_t count)
{
	uint64_t hash, stack;

	if (!count)
		return 0;
	hash = hash_bytes(0, addrs, count * sizeof(*addrs));
	if (table_get(&symbolizer->stacks, hash, &stack))
		return (uint32_t)stack;
	if (symbolizer->stacks.count >= SYMBOLIZER_MAX_STACKS) {
		symbolizer->refused++;
		return 0;
	}
	stack = ask_stack(symbolizer, addrs, count);
	table_set(&symbolizer->stacks, hash, stack);
	return (uint32_t)stack;
}

uint64_t symbolizer_refused(const struct symbolizer *symbolizer)
{
	return symbolizer->refused;
}
