/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running the rules: thresholds, and what no rule may decide on its own: identity, severity, confidence,
 * who speaks for a container or a site that several rules claim, what is said only once, rank, and the
 * sum of the savings.
 */
#include "rules/rules.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/table.h"
#include "base/text.h"
#include "rules/list.h"
#include "rules/support.h"

#define CRITICAL_NS (3600 * NSEC_PER_SEC)
#define HIGH_PCT    10
#define MEDIUM_PCT  2

/* ---- thresholds ---- */

struct thresholds {
	double values[ARRAY_SIZE(rules)][RULE_MAX_THRESHOLDS];
};

const struct rule *rules_get(size_t i)
{
	return i < ARRAY_SIZE(rules) ? rules[i] : NULL;
}

struct thresholds *thresholds_new(void)
{
	struct thresholds *thresholds = xcalloc(1, sizeof(*thresholds));

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		for (size_t j = 0; j < RULE_MAX_THRESHOLDS && rules[i]->thresholds[j].field; j++)
			thresholds->values[i][j] = rules[i]->thresholds[j].value;
	return thresholds;
}

void thresholds_free(struct thresholds *thresholds)
{
	free(thresholds);
}

static size_t rule_index(const char *kind, size_t length)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(rules) &&
		(strlen(rules[i]->kind) != length || strncmp(rules[i]->kind, kind, length)))
		i++;
	return i;
}

static size_t field_index(const struct rule *rule, const char *field, size_t length)
{
	size_t i = 0;

	while (i < RULE_MAX_THRESHOLDS && rule->thresholds[i].field &&
		(strlen(rule->thresholds[i].field) != length ||
			strncmp(rule->thresholds[i].field, field, length)))
		i++;
	return i < RULE_MAX_THRESHOLDS && rule->thresholds[i].field ? i : RULE_MAX_THRESHOLDS;
}

double threshold_get(const struct rule_context *context, const char *field)
{
	size_t rule = rule_index(context->rule->kind, strlen(context->rule->kind));
	size_t i = field_index(context->rule, field, strlen(field));

	assert(rule < ARRAY_SIZE(rules) && i < RULE_MAX_THRESHOLDS);
	return context->thresholds->values[rule][i];
}

static int parse_number(const char *s, const char *suffix, double *ret)
{
	char *end;
	double value = strtod(s, &end);

	if (end == s || !isfinite(value) || value < 0)
		return -EINVAL;
	if (*end && strcmp(end, suffix))
		return -EINVAL;
	*ret = value;
	return 0;
}

static int parse_size(const char *s, const char *suffix, double *ret)
{
	size_t length = strlen(s), tail = strlen(suffix);
	char number[48];
	uint64_t bytes;
	int r;

	if (length >= sizeof(number))
		return -EINVAL;
	if (tail && length > tail && !strcmp(s + length - tail, suffix))
		length -= tail;
	memcpy(number, s, length);
	number[length] = 0;
	r = text_parse_bytes(number, &bytes);
	if (!r)
		*ret = (double)bytes;
	return r;
}

static const struct {
	int (*parse)(const char *s, const char *suffix, double *ret);
	const char *suffix, *example;
} units[] = {
	[UNIT_NONE] = {parse_number, "", "a number such as 3"},
	[UNIT_BYTES] = {parse_size, "", "a size such as 4M"},
	[UNIT_PCT] = {parse_number, "%", "a percentage such as 25"},
	[UNIT_SECONDS] = {parse_number, "s", "seconds such as 60"},
	[UNIT_BYTES_PER_SECOND] = {parse_size, "/s", "bytes per second such as 1M"},
};

static void list_kinds(char *text, size_t bytes)
{
	size_t used = 0;

	*text = 0;
	for (size_t i = 0; i < ARRAY_SIZE(rules) && used < bytes; i++)
		used += (size_t)snprintf(
			text + used, bytes - used, "%s%s", i ? ", " : "", rules[i]->kind);
}

static void list_fields(const struct rule *rule, char *text, size_t bytes)
{
	size_t used = 0;

	*text = 0;
	for (size_t i = 0; i < RULE_MAX_THRESHOLDS && rule->thresholds[i].field && used < bytes;
		i++)
		used += (size_t)snprintf(text + used, bytes - used, "%s%s", i ? ", " : "",
			rule->thresholds[i].field);
}

int thresholds_set(struct thresholds *thresholds, const char *assignment, char error[160])
{
	const char *dot = strchr(assignment, '.');
	const char *equals = dot ? strchr(dot, '=') : NULL;
	const struct threshold *threshold;
	size_t rule, field;
	char known[128];

	if (!equals) {
		snprintf(error, 160,
			"'%.60s' is not KIND.FIELD=VALUE, as in retained-buckets.seconds=2",
			assignment);
		return -EINVAL;
	}
	rule = rule_index(assignment, (size_t)(dot - assignment));
	if (rule == ARRAY_SIZE(rules)) {
		list_kinds(known, sizeof(known));
		snprintf(error, 160, "no rule '%.*s'; one of %s", (int)MIN(dot - assignment, 24),
			assignment, known);
		return -EINVAL;
	}
	field = field_index(rules[rule], dot + 1, (size_t)(equals - dot - 1));
	if (field == RULE_MAX_THRESHOLDS) {
		list_fields(rules[rule], known, sizeof(known));
		snprintf(error, 160, "%s has no '%.*s'; it has %s", rules[rule]->kind,
			(int)MIN(equals - dot - 1, 24), dot + 1, known);
		return -EINVAL;
	}
	threshold = &rules[rule]->thresholds[field];
	if (units[threshold->unit].parse(
		    equals + 1, units[threshold->unit].suffix, &thresholds->values[rule][field])) {
		snprintf(error, 160, "%s.%s: '%.24s' is not %s", rules[rule]->kind,
			threshold->field, equals + 1, units[threshold->unit].example);
		return -EINVAL;
	}
	return 0;
}

/* ---- grading ---- */

static const struct container *container_of_finding(
	const struct model *model, const struct finding *finding)
{
	return finding->container < 0 ? NULL : model_container(model, (uint32_t)finding->container);
}

static bool has_place(const struct model *model, const struct finding *finding)
{
	const struct site *site = model_site(model, finding->site);

	return finding->allocator || (site && !site->other && *site->function);
}

/*
 * Same finding in the next build and after the lines have moved. Where the place is unknown, what owns
 * the container names it.
 */
static uint64_t finding_id(const struct model *model, const struct finding *finding)
{
	const struct container *container = container_of_finding(model, finding);
	const struct site *site = model_site(model, finding->site);
	uint32_t type = container ? container->type : site ? site->type : 0;
	enum family family = container ? container->family : site ? site->family : FAMILY_NONE;
	const char *place = site ? site->function : "";
	uint64_t hash = hash_string(0, finding->kind);

	if (!*place && container)
		place = model_string(model, container->owner);
	if (finding->allocator)
		place = model_string(model, finding->allocator);
	hash = hash_string(hash, place);
	hash = hash_string(hash, model_string(model, type));
	return hash_string(hash, family_name(family));
}

static enum severity grade(const struct model *model, const struct finding *finding)
{
	const struct target *target = model_target(model, finding->target);
	/* What grows will cost more than it does today: all of it counts, not what it gained. */
	uint64_t cost = finding->class == CLASS_GROWING ? finding->bytes : finding->saves_rss_bytes;
	double share = pct((double)cost, (double)target->rss_bytes);

	if (finding->normal)
		return SEVERITY_INFO;
	if (finding->limit_ns && finding->limit_ns <= CRITICAL_NS)
		return SEVERITY_CRITICAL;
	if (finding->class == CLASS_CHURN || finding->class == CLASS_ONE_TIME)
		return SEVERITY_LOW;
	if (target->has_limit)
		share = MAX(share, pct((double)cost, (double)target->limit_bytes));
	return share >= HIGH_PCT     ? SEVERITY_HIGH
	       : share >= MEDIUM_PCT ? SEVERITY_MEDIUM
				     : SEVERITY_LOW;
}

/* Of the probes that the finding rests on; what happens to a target as a whole rests on all. */
static uint64_t lost_events(const struct model *model, enum family family)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < model_source_count(model); i++) {
		const struct model_source *source = model_source(model, i);
		bool other_family = false;

		for (enum family f = FAMILY_NONE + 1; f < FAMILY_MAX; f++)
			other_family |= f != family && f != family_probed_as(family) &&
					!strcmp(source->name, family_name(f));
		if (family == FAMILY_NONE || !other_family)
			lost += source->lost;
	}
	return lost;
}

/* How far its figures can be trusted, and why no further. */
static void judge(const struct model *model, struct finding *finding)
{
	const struct container *container = container_of_finding(model, finding);
	const struct site *site = model_site(model, finding->site);
	enum family family = container ? container->family : site ? site->family : FAMILY_NONE;
	double share = model_open_share(model, finding->target, family);
	uint64_t lost = finding->allocator ? 0 : lost_events(model, family); /* it was read */
	struct numbers n = {0};

	finding->confidence = CONFIDENCE_EXACT;
	if (lost || !has_place(model, finding)) {
		finding->confidence = CONFIDENCE_PARTIAL;
		say(finding->caveat, "Partial: %s%s%s%s.", lost ? number_count(&n, lost) : "",
			lost ? " events were lost, its figures may be too low" : "",
			lost && !has_place(model, finding) ? "; " : "",
			has_place(model, finding) ? "" : "its place is unknown");
	} else if (finding->estimated) {
		finding->confidence = CONFIDENCE_ESTIMATED;
	} else if (finding->counts_growths && share > 0 && share < 1) {
		finding->confidence = CONFIDENCE_ESTIMATED;
		say(finding->caveat, "Figures are estimated: its probes were open %s of the time.",
			number_pct(&n, share, 1));
	}
}

/* ---- collecting ---- */

struct collector {
	const struct rule_context *context;
	struct findings *findings;
	size_t cap;
	struct table containers, sites; /* exclusive claims: index of the finding + 1 */
};

/* True where the new finding may stand; what it displaces is overwritten by it. */
static bool claim(struct collector *collector, struct table *claims, uint64_t key,
	const struct finding *finding)
{
	struct finding *items = collector->findings->items;
	uint64_t held;

	if (!table_get(claims, key, &held)) {
		table_set(claims, key, collector->findings->count);
		return true;
	}
	if (items[held].candidate != finding->candidate
			? items[held].candidate
			: items[held].worth_bytes && !finding->worth_bytes)
		items[held] = *finding;
	return false;
}

static bool may_stand(struct collector *collector, const struct finding *finding)
{
	enum rule_exclusive exclusive = collector->context->rule->exclusive;

	if (exclusive == EXCLUSIVE_CONTAINER && finding->container >= 0)
		return claim(
			collector, &collector->containers, (uint64_t)finding->container, finding);
	if (exclusive == EXCLUSIVE_SITE && finding->site)
		return claim(collector, &collector->sites, finding->site, finding);
	return true;
}

static void collect(const struct finding *finding, void *arg)
{
	struct collector *collector = arg;
	const struct model *model = collector->context->model;
	struct findings *findings = collector->findings;
	struct finding graded = *finding;

	graded.kind = collector->context->rule->kind;
	graded.id = finding_id(model, &graded);
	graded.severity = grade(model, &graded);
	judge(model, &graded);
	if (!may_stand(collector, &graded))
		return;
	array_reserve(findings->items, findings->count, collector->cap);
	findings->items[findings->count++] = graded;
}

/* ---- what is said once ---- */

static bool same_function(
	const struct model *model, const struct finding *a, const struct finding *b)
{
	const struct site *x = model_site(model, a->site), *y = model_site(model, b->site);

	return a->target == b->target && x && y && *x->function &&
	       !strcmp(x->function, y->function) && !strcmp(x->file, y->file);
}

static bool is_explained(
	const struct model *model, const struct findings *findings, const struct finding *finding)
{
	size_t rule = rule_index(finding->kind, strlen(finding->kind));
	const char *kind = rules[rule]->yields_to;

	for (size_t i = 0; kind && i < findings->count; i++) {
		const struct finding *other = &findings->items[i];

		if (!other->candidate && !strcmp(other->kind, kind) &&
			same_function(model, finding, other))
			return true;
	}
	return false;
}

static void drop_explained(const struct model *model, struct findings *findings)
{
	size_t kept = 0;

	/* Nobody yields to a rule that yields itself, so the order of dropping does not matter. */
	for (size_t i = 0; i < findings->count; i++)
		if (!is_explained(model, findings, &findings->items[i]))
			findings->items[kept++] = findings->items[i];
	findings->count = kept;
}

/* Containers of which neither place nor owner is known are not alike for that. */
static uint64_t fold_key(const struct model *model, const struct finding *finding)
{
	const struct container *container = container_of_finding(model, finding);
	bool apart = container && !has_place(model, finding) && !container->owner;
	uint64_t numbers[] = {finding->id, finding->site, finding->target, finding->candidate,
		finding->normal, container != NULL, apart ? container->serial : 0};

	return hash_bytes(0, numbers, sizeof(numbers));
}

/* The larger one speaks; what different containers hold and would save adds up. */
static void merge(struct finding *into, const struct finding *finding)
{
	struct finding other = *finding;

	if (finding->saves_bytes > into->saves_bytes ||
		(finding->saves_bytes == into->saves_bytes && finding->bytes > into->bytes)) {
		other = *into;
		*into = *finding;
	}
	if (other.limit_ns && (!into->limit_ns || other.limit_ns < into->limit_ns))
		into->limit_ns = other.limit_ns;
	if (!other.worth_bytes)
		into->worth_bytes = 0;
	if (into->container < 0)
		return;
	into->bytes += other.bytes;
	into->saves_bytes += other.saves_bytes;
	into->saves_rss_bytes += other.saves_rss_bytes;
	into->bytes_per_second += other.bytes_per_second;
}

static void tell_count(const struct model *model, struct finding *finding, uint64_t count)
{
	bool containers = finding->container >= 0;
	char message[FINDING_TEXT_BYTES];
	struct numbers n = {0};

	if (count < 2)
		return;
	memcpy(message, finding->message, sizeof(message));
	if (containers)
		say(finding->message, "%s alike hold %s together. The largest: %s",
			number_count(&n, count), number_bytes(&n, finding->bytes), message);
	else
		say(finding->message, "%s times. The largest: %s", number_count(&n, count),
			message);
	evidence_add(finding, containers ? "containers" : "repeats", (double)count);
	finding->severity = grade(model, finding);
}

/* Many small ones of one place and type make a finding that none of them is. */
static bool is_worth_it(const struct finding *finding)
{
	return finding->saves_bytes >= finding->worth_bytes;
}

static void fold(const struct model *model, struct findings *findings)
{
	uint64_t *counts = xcalloc(findings->count + 1, sizeof(*counts)), index;
	struct table seen = {0};
	size_t kept = 0;

	for (size_t i = 0; i < findings->count; i++) {
		uint64_t key = fold_key(model, &findings->items[i]);

		if (!table_get(&seen, key, &index)) {
			table_set(&seen, key, index = kept);
			findings->items[kept++] = findings->items[i];
		} else {
			merge(&findings->items[index], &findings->items[i]);
		}
		counts[index]++;
	}
	findings->count = 0;
	for (size_t i = 0; i < kept; i++) {
		if (!is_worth_it(&findings->items[i]))
			continue;
		tell_count(model, &findings->items[i], counts[i]);
		findings->items[findings->count++] = findings->items[i];
	}
	table_done(&seen);
	free(counts);
}

/* ---- rank ---- */

/* Findings by what they cost now, then churn, then what is normal, then what waits for proof. */
static int rank_group(const struct finding *finding)
{
	if (finding->candidate)
		return 3;
	if (finding->severity == SEVERITY_INFO)
		return 2;
	return finding->class == CLASS_CHURN;
}

static int descending(uint64_t a, uint64_t b)
{
	return (a < b) - (a > b);
}

static int compare_findings(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;
	/* No limit in sight is the latest of all. */
	uint64_t x_limit = x->limit_ns ? x->limit_ns : UINT64_MAX;
	uint64_t y_limit = y->limit_ns ? y->limit_ns : UINT64_MAX;
	const int order[] = {
		rank_group(x) - rank_group(y),
		descending(y_limit, x_limit),
		(int)y->severity - (int)x->severity,
		rank_group(x) == 1 ? descending(x->bytes_per_second, y->bytes_per_second) : 0,
		descending(x->saves_rss_bytes, y->saves_rss_bytes),
		descending(x->saves_bytes, y->saves_bytes),
		descending(x->bytes, y->bytes),
		descending(y->id, x->id),
		descending(y->target, x->target),
		descending((uint64_t)y->container, (uint64_t)x->container),
	};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (order[i])
			return order[i];
	return 0;
}

/* Savings of one container are in one finding only; no sum may exceed what a target has resident. */
static uint64_t sum_savings(const struct model *model, const struct findings *findings)
{
	uint64_t *by_target = xcalloc(model_target_count(model), sizeof(*by_target)), sum = 0;

	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->items[i];

		if (!finding->candidate && finding->severity > SEVERITY_INFO)
			by_target[finding->target] += finding->saves_rss_bytes;
	}
	for (uint32_t i = 0; i < model_target_count(model); i++)
		sum += MIN(by_target[i], model_target(model, i)->rss_bytes);
	free(by_target);
	return sum;
}

void rules_run(const struct model *model, const struct thresholds *thresholds, uint64_t now_ns,
	struct findings *ret)
{
	struct collector collector = {.findings = ret};

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		struct rule_context context = {
			model, rules[i], thresholds, now_ns, collect, &collector};

		collector.context = &context;
		rules[i]->evaluate(&context);
	}
	table_done(&collector.containers);
	table_done(&collector.sites);
	drop_explained(model, ret);
	fold(model, ret);
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), compare_findings);
	for (size_t i = 0; i < ret->count; i++)
		ret->candidates += ret->items[i].candidate;
	ret->saves_rss_bytes = sum_savings(model, ret);
}

void findings_done(struct findings *findings)
{
	free(findings->items);
	memset(findings, 0, sizeof(*findings));
}
