/* SPDX-License-Identifier: BSD-2-Clause */
/* What rules share. See support.h. */
#include "rules/support.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define READ_ONLY_NS (3 * NSEC_PER_SEC)
#define AT_ATTACH_NS (5 * NSEC_PER_SEC)

static char *next_text(struct numbers *numbers)
{
	return numbers->text[numbers->used++ % ARRAY_SIZE(numbers->text)];
}

const char *number_bytes(struct numbers *numbers, uint64_t bytes)
{
	return text_bytes(next_text(numbers), bytes);
}

const char *number_count(struct numbers *numbers, uint64_t count)
{
	return text_count(next_text(numbers), count);
}

const char *number_duration(struct numbers *numbers, uint64_t ns)
{
	return text_duration(next_text(numbers), ns);
}

const char *number_pct(struct numbers *numbers, double part, double whole)
{
	double value = pct(part, whole);
	char *text = next_text(numbers);

	if (value > 0 && value < 0.05)
		snprintf(text, TEXT_NUMBER_BYTES, "< 0.1 %%");
	else
		snprintf(text, TEXT_NUMBER_BYTES, value < 10 ? "%.1f %%" : "%.0f %%", value);
	return text;
}

const char *number_gcs(struct numbers *numbers, const struct target *target, uint32_t gcs)
{
	char *text = next_text(numbers);

	if (target->has_heap)
		snprintf(text, TEXT_NUMBER_BYTES, ", %u GCs", gcs);
	else
		text[0] = 0;
	return text;
}

struct finding finding_of_container(const struct container *container, enum finding_class class)
{
	return (struct finding){
		.class = class,
		.target = container->target,
		.site = container->sites[0].site,
		.container = container->id,
	};
}

struct finding finding_of_site(const struct site *site, enum finding_class class)
{
	return (struct finding){
		.class = class,
		.target = site->target,
		.site = site->id,
		.container = -1,
		.counts_growths = true,
	};
}

void evidence_add_known(struct finding *finding, const char *key, bool known, double value)
{
	if (finding->evidence_count < FINDING_MAX_EVIDENCE)
		finding->evidence[finding->evidence_count++] =
			(struct evidence){key, known ? value : 0, known};
}

void evidence_add(struct finding *finding, const char *key, double value)
{
	evidence_add_known(finding, key, true, value);
}

void say(char text[FINDING_TEXT_BYTES], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text, FINDING_TEXT_BYTES, format, args);
	va_end(args);
}

const char *code_type(const struct model *model, uint32_t type, enum family family)
{
	static const char *const generic[FAMILY_MAX] = {"T", "map[K]V", "[]T", "chan T",
		"bytes.Buffer", "vector", "sync.Map", "T", "T", "array"};
	static const char *const prefix[FAMILY_MAX] = {
		"", "map[", "[]", "chan ", "", "", "", "", "", ""};
	const char *name = model_string(model, type);

	/* A name that is not of this family is a named type or its element: not what make() takes. */
	return strncmp(name, prefix[family], strlen(prefix[family])) || !*name ? generic[family]
									       : name;
}

const struct advice *advice_of(const struct model *model, const struct container *container)
{
	return advice_for(model, container->target, container->runtime, container->family);
}

const char *code_type_of(const struct model *model, const struct container *container)
{
	return advice_of(model, container)->collected
		       ? code_type(model, container->type, container->family)
		       : model_string(model, container->type);
}

unsigned int version_minor(const struct target *target)
{
	const char *dot = strchr(target->runtimes[0].version, '.');

	return dot ? (unsigned int)strtoul(dot + 1, NULL, 10) : 0;
}

bool past_start_up(const struct rule_context *context, const struct target *target, uint64_t t_ns)
{
	uint64_t age_ns = target->age_ns + minus(t_ns, target->epoch_ns);

	if (target->steady_ns && t_ns >= target->steady_ns)
		return true;
	return t_ns >= target->epoch_ns && age_ns >= threshold_ns(context, "startup_seconds");
}

bool is_read_only(const struct model *model, const struct target *target)
{
	uint64_t start_ns, real_ns, end_ns;

	for (size_t i = 0; i < FAMILY_MAX; i++)
		if (target->shares[i].ever)
			return false;
	model_clock(model, &start_ns, &real_ns, &end_ns);
	if (!end_ns) {
		start_ns = target->attach_ns;
		end_ns = target->last_ns;
	}
	return minus(end_ns, start_ns) < READ_ONLY_NS;
}

const char *since_words(const struct target *target, uint64_t t_ns)
{
	return minus(t_ns, target->attach_ns) < AT_ATTACH_NS ? "since attach"
							     : "since it was found";
}

uint64_t threshold_ns(const struct rule_context *context, const char *field)
{
	return (uint64_t)(threshold_get(context, field) * NSEC_PER_SEC);
}

uint64_t threshold_bytes(const struct rule_context *context, const char *field)
{
	return (uint64_t)threshold_get(context, field);
}

double pct(double part, double whole)
{
	return whole > 0 ? 100 * part / whole : 0;
}

uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

uint64_t hint_for(const struct container *container)
{
	uint64_t at_growth = container->has_length_at_growth ? container->length_at_growth + 1 : 0;

	if (family_moves(container->family) && container->capacity_at_growth)
		return container->capacity_at_growth;
	return MAX(container->length_peak, at_growth);
}
