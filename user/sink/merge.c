/* SPDX-License-Identifier: BSD-2-Clause */
/* A group has at most one finding of each process: a second container there is a second group. */
#include "sink/merge.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static bool same_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

static bool same_place(const struct site *a, const struct site *b)
{
	if (!a || !b)
		return a == b;
	return a->line == b->line && same_text(a->file, b->file) &&
	       same_text(a->function, b->function);
}

static bool is_same(const struct model *model, const struct finding *a, const struct finding *b)
{
	const struct target *x = model_target(model, a->target),
			    *y = model_target(model, b->target);

	/* What is normal in one process does not hide what is not in another. */
	return a->id == b->id && (a->severity == SEVERITY_INFO) == (b->severity == SEVERITY_INFO) &&
	       x->build_id && x->build_id[0] && same_text(x->build_id, y->build_id) &&
	       same_place(model_site(model, a->site), model_site(model, b->site));
}

static bool has_process(const struct merge *merge, size_t first, size_t end, uint32_t target)
{
	for (size_t i = first; i < end; i++)
		if (merge->first[i] == first && merge->report->findings[i].target == target)
			return true;
	return false;
}

static size_t find_first(const struct merge *merge, size_t index)
{
	const struct finding *findings = merge->report->findings;

	for (size_t i = 0; i < index; i++)
		if (merge->first[i] == i && findings[i].target != findings[index].target &&
			is_same(merge->report->model, &findings[i], &findings[index]) &&
			!has_process(merge, i, index, findings[index].target))
			return i;
	return index;
}

void merge_init(struct merge *merge, const struct report *report)
{
	merge->report = report;
	merge->first = xcalloc(report->finding_count + 1, sizeof(*merge->first));
	for (size_t i = 0; i < report->finding_count; i++)
		merge->first[i] = model_target_count(report->model) > 1 ? find_first(merge, i) : i;
}

void merge_done(struct merge *merge)
{
	free(merge->first);
}

bool merge_is_first(const struct merge *merge, size_t index)
{
	return index >= merge->report->finding_count || merge->first[index] == index;
}

size_t merge_next(const struct merge *merge, size_t index)
{
	for (size_t i = index + 1; i < merge->report->finding_count; i++)
		if (merge->first[i] == merge->first[index])
			return i;
	return SIZE_MAX;
}

static void add_to(struct merge_sum *sum, const struct finding *finding)
{
	sum->processes++;
	sum->bytes += finding->bytes;
	sum->saves_bytes += finding->saves_bytes;
	sum->saves_rss_bytes += finding->saves_rss_bytes;
	sum->bytes_per_second += finding->bytes_per_second;
}

struct merge_sum merge_sum(const struct merge *merge, size_t first)
{
	struct merge_sum sum = {0};

	for (size_t i = first; i != SIZE_MAX; i = merge_next(merge, i))
		add_to(&sum, &merge->report->findings[i]);
	return sum;
}

struct merge_sum merge_sum_of_host(const struct merge *merge, size_t first, uint32_t host)
{
	struct merge_sum sum = {0};

	for (size_t i = first; i != SIZE_MAX; i = merge_next(merge, i)) {
		const struct finding *finding = &merge->report->findings[i];

		if (model_target(merge->report->model, finding->target)->host == host)
			add_to(&sum, finding);
	}
	return sum;
}
