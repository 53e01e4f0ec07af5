/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words of a language for what rules have to say: rules know what is wrong with a container, this
 * table knows how it is said and mended there. The only place above user/runtime that names runtimes.
 */
#ifndef MEMTRACE_RULES_ADVICE_H
#define MEMTRACE_RULES_ADVICE_H

#include <stdbool.h>

#include "model/finding.h"
#include "model/model.h"

/* Sentences; "$T" stands for the type as in source, "$N" for a number of elements. */
struct advice {
	const char *runtime; /* name of the runtime; "" = any other */
	enum family family;  /* NONE = any other */
	bool collected;      /* a garbage collector frees what is replaced */
	bool no_reserve;     /* there is no way to have room beforehand: that it grows is normal */
	/* Why an emptied container keeps its arrays; in code: how to give them back; now: what does not. */
	const char *keeps, *shrink, *stays;
	/* In code: how to say the size beforehand; how to use one container again. */
	const char *reserve, *reuse;
	const char *replaced; /* now: what happens to arrays that growth replaced */
	/* A growth that has stopped half way: what moves the rest; in code: how to avoid it; now. */
	const char *moves, *finish, *ends;
	/* In code: how to keep it from growing for ever; now: why it cannot be freed. */
	const char *bound, *reached;
};

/* Never NULL. runtime is a site's or container's (see model_runtime_name()). */
const struct advice *advice_for(
	const struct model *model, uint32_t target, uint32_t runtime, enum family family);

/* Writes a sentence with type and number put in; type "" becomes the family's name. */
void advice_say(char text[FINDING_TEXT_BYTES], const char *sentence, const char *type,
	enum family family, uint64_t number);

#endif
