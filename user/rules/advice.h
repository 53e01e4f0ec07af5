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
	const char *runtime;  /* name of the runtime; "" = any other */
	enum family family;   /* NONE = any other */
	bool collected;       /* a garbage collector frees what is replaced */
	const char *keeps;    /* why an emptied container keeps its arrays */
	const char *shrink;   /* in code: how to give them back */
	const char *stays;    /* right now: what does not help with what is held */
	const char *reserve;  /* in code: how to say the size beforehand */
	const char *reuse;    /* in code: how to use one container again, and the size beforehand */
	const char *replaced; /* right now: what happens to arrays that growth replaced */
	const char *bound;    /* in code: how to keep it from growing for ever */
	const char *reached;  /* right now: why it cannot be freed */
};

/* Never NULL. runtime is a site's or container's (see model_runtime_name()). */
const struct advice *advice_for(
	const struct model *model, uint32_t target, uint32_t runtime, enum family family);

/* Writes a sentence with type and number put in; type "" becomes the family's name. */
void advice_say(char text[FINDING_TEXT_BYTES], const char *sentence, const char *type,
	enum family family, uint64_t number);

#endif
