/* SPDX-License-Identifier: BSD-2-Clause */
/* A line a change, the largest first; what did both sessions under which load goes before. */
#include "cli/write_diff.h"

#include <json-c/json.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "sink/json_value.h"
#include "sink/output.h"

#define SCHEMA_VERSION 1
#define JSON_FLAGS     (JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE)
#define NAME_BYTES     256

static const char *const verdicts[] = {
	[VERDICT_SAME] = "same", [VERDICT_WORSE] = "worse", [VERDICT_BETTER] = "better"};

static const char side_letters[] = "AB";

/* ---- text ---- */

static void put_name(FILE *out, const char *separator, const char *name)
{
	char text[NAME_BYTES];

	if (name && *name)
		fprintf(out, "%s%s", separator, text_escape(text, sizeof(text), name));
}

static void put_targets(FILE *out, const struct model *model)
{
	for (uint32_t id = 0; id < model_target_count(model) && id < 3; id++) {
		const struct target *target = model_target(model, id);

		put_name(out, id ? ", " : "  ", target->comm);
		fprintf(out, " %d", target->pid);
		put_name(out, " ", target->runtime_count ? target->runtimes[0].version : "");
	}
	if (model_target_count(model) > 3)
		fprintf(out, " and %zu more", model_target_count(model) - 3);
}

static void put_load(FILE *out, const struct model *model, const struct load *load)
{
	char rss[TEXT_NUMBER_BYTES], rate[TEXT_NUMBER_BYTES], growths[TEXT_NUMBER_BYTES];

	fprintf(out, "   %.1f s, %.2f CPUs, RSS %s; %s growths (%.1f/s), %s/s grown%s\n",
		load->seconds, load->cpu_cores, text_bytes(rss, load->rss_bytes),
		text_count(growths, load->growths), load->growths_per_second,
		text_bytes(rate, (uint64_t)load->growth_bytes_per_second),
		model_complete(model) ? "" : "; incomplete");
}

static void put_change(FILE *out, const struct change *change)
{
	char a[TEXT_NUMBER_BYTES], b[TEXT_NUMBER_BYTES], delta[TEXT_NUMBER_BYTES];
	const char *unit = change->per_second ? "/s" : "";
	int64_t more = change_delta(change);

	text_bytes(delta, more < 0 ? -(uint64_t)more : (uint64_t)more);
	fprintf(out, "  %-6s  %c%s%s  (%s -> %s)", verdicts[change_verdict(change)],
		more < 0 ? '-' : '+', delta, unit, text_bytes(a, change->a),
		text_bytes(b, change->b));
	put_name(out, "  ", change->kind);
	put_name(out, "  ", change->family ? family_name(change->family) : "");
	put_name(out, " ", change->owner);
	put_name(out, " ", change->type);
	put_name(out, "  ", change->function);
	put_name(out, "  ", change->file);
	if (change->line)
		fprintf(out, ":%u", change->line);
	fputs(!change->in_a ? "  new\n" : !change->in_b ? "  gone\n" : "\n", out);
}

/* The changes of one kind: findings, or places that hold or that make garbage. */
static void put_section(FILE *out, const struct diff *diff, const char *title,
	const struct changes *changes, bool all, bool per_second)
{
	size_t shown = 0, left = 0, same = 0;

	for (size_t i = 0; i < changes->count; i++) {
		const struct change *change = &changes->items[i];

		if (!all && change->per_second != per_second)
			continue;
		if (change_verdict(change) == VERDICT_SAME && !diff->verbose) {
			same++;
		} else if (shown == diff->top) {
			left++;
		} else {
			if (!shown++)
				fprintf(out, "%s\n", title);
			put_change(out, change);
		}
	}
	if (left)
		fprintf(out, "  and %zu more\n", left);
	if (same)
		fprintf(out, "%s: %zu as before\n", title, same);
}

static void put_summary(FILE *out, const struct diff *diff)
{
	size_t counts[3] = {0};
	char worse[TEXT_NUMBER_BYTES], better[TEXT_NUMBER_BYTES];

	for (size_t i = 0; i < diff->findings.count; i++)
		counts[change_verdict(&diff->findings.items[i])]++;
	fprintf(out, "%zu findings are worse, %zu better, %zu as before: held memory +%s, -%s.\n",
		counts[VERDICT_WORSE], counts[VERDICT_BETTER], counts[VERDICT_SAME],
		text_bytes(worse, diff->findings.worse_bytes),
		text_bytes(better, diff->findings.better_bytes));
}

int write_diff_text(const struct diff *diff, FILE *out)
{
	struct output output = {.file = out};

	for (size_t i = 0; i < 2; i++) {
		struct load load;

		compare_load(&diff->sides[i], &load);
		fprintf(out, "%c ", side_letters[i]);
		put_name(out, " ", diff->names[i]);
		put_targets(out, diff->sides[i].model);
		fputc('\n', out);
		put_load(out, diff->sides[i].model, &load);
	}
	put_summary(out, diff);
	put_section(out, diff, "Findings", &diff->findings, true, false);
	put_section(out, diff, "Places that hold memory", &diff->sites, false, false);
	put_section(out, diff, "Places that make garbage", &diff->sites, false, true);
	return output_finish(&output);
}

/* ---- json ---- */

static struct json_object *side_object(const struct diff *diff, size_t i)
{
	const struct model *model = diff->sides[i].model;
	struct json_object *object = json_object_new_object();
	struct json_object *targets = json_object_new_array();
	struct load load;

	compare_load(&diff->sides[i], &load);
	json_add_name(object, "file", diff->names[i]);
	json_add_bool(object, "complete", model_complete(model));
	for (uint32_t id = 0; id < model_target_count(model); id++) {
		const struct target *target = model_target(model, id);
		struct json_object *item = json_object_new_object();

		json_add_int(item, "pid", target->pid);
		json_add_name(item, "comm", target->comm);
		json_add_name(item, "version",
			target->runtime_count ? target->runtimes[0].version : NULL);
		json_add_name(item, "build_id", target->build_id);
		json_object_array_add(targets, item);
	}
	json_add(object, "targets", targets);
	json_add_double(object, "duration_s", load.seconds);
	json_add_double(object, "cpu_cores", load.cpu_cores);
	json_add_uint(object, "rss_bytes", load.rss_bytes);
	json_add_uint(object, "growths", load.growths);
	json_add_double(object, "growths_per_second", load.growths_per_second);
	json_add_double(object, "growth_bytes_per_second", load.growth_bytes_per_second);
	return object;
}

static struct json_object *change_object(const struct change *change)
{
	struct json_object *object = json_object_new_object();

	if (change->kind) {
		json_add_hash(object, "id", change->id);
		json_add_text(object, "kind", change->kind);
	}
	json_add_text(object, "change", verdicts[change_verdict(change)]);
	json_add_text(object, "unit", change->per_second ? "bytes_per_second" : "bytes");
	json_add_known(object, "a", change->in_a, change->a);
	json_add_known(object, "b", change->in_b, change->b);
	json_add_int(object, "delta", change_delta(change));
	json_add_name(object, "family", change->family ? family_name(change->family) : NULL);
	json_add_name(object, "type", change->type);
	json_add_name(object, "owner", change->owner);
	json_add_name(object, "function", change->function);
	json_add_name(object, "file", change->file);
	json_add_known(object, "line", change->line != 0, change->line);
	return object;
}

static struct json_object *changes_array(const struct changes *changes)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < changes->count; i++)
		json_object_array_add(array, change_object(&changes->items[i]));
	return array;
}

int write_diff_json(const struct diff *diff, FILE *out)
{
	struct json_object *document = json_object_new_object();
	struct output output = {.file = out};

	json_add_int(document, "schema_version", SCHEMA_VERSION);
	json_add(document, "a", side_object(diff, 0));
	json_add(document, "b", side_object(diff, 1));
	json_add_uint(document, "worse_bytes", diff->findings.worse_bytes);
	json_add_uint(document, "better_bytes", diff->findings.better_bytes);
	json_add(document, "findings", changes_array(&diff->findings));
	json_add(document, "sites", changes_array(&diff->sites));
	output_put(&output, json_object_to_json_string_ext(document, JSON_FLAGS));
	output_put(&output, "\n");
	json_object_put(document);
	return output_finish(&output);
}
