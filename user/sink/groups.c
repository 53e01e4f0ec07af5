/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes of one cgroup share its limit, so steps that overlap count together: each may be harmless and
 * their sum not. A second between them is no gap.
 */
#include "sink/groups.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

#define GAP_NS NSEC_PER_SEC

struct step {
	const struct spike *spike;
	uint32_t target;
};

/* Two hosts may name theirs alike. */
bool group_has(const struct group *group, const struct target *target)
{
	return target->cgroup && *target->cgroup && target->host == group->host &&
	       !strcmp(target->cgroup, group->cgroup);
}

static struct group group_of(const struct target *target)
{
	return (struct group){.cgroup = target->cgroup, .host = target->host, .first = target->id};
}

static bool is_first(const struct model *model, uint32_t id)
{
	const struct target *target = model_target(model, id);
	struct group group = group_of(target);

	if (!target->cgroup || !*target->cgroup)
		return false;
	for (uint32_t i = 0; i < id; i++)
		if (group_has(&group, model_target(model, i)))
			return false;
	return true;
}

static int earlier_first(const void *a, const void *b)
{
	const struct step *x = a, *y = b;

	return x->spike->start_ns < y->spike->start_ns   ? -1
	       : x->spike->start_ns > y->spike->start_ns ? 1
							 : 0;
}

static int larger_first(const void *a, const void *b)
{
	const struct group_cluster *x = a, *y = b;

	return x->delta_bytes == y->delta_bytes
		       ? (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns)
		       : (x->delta_bytes < y->delta_bytes ? 1 : -1);
}

static size_t list_steps(const struct model *model, const struct group *group, struct step **ret)
{
	size_t count = 0, capacity = 0;

	*ret = NULL;
	for (uint32_t id = 0; id < model_target_count(model); id++) {
		const struct target *target = model_target(model, id);

		for (size_t i = 0; group_has(group, target) && i < target->spike_count; i++) {
			array_reserve(*ret, count, capacity);
			(*ret)[count++] = (struct step){&target->spikes[i], id};
		}
	}
	if (count)
		qsort(*ret, count, sizeof(**ret), earlier_first);
	return count;
}

/* Steps [from, to) are one cluster, if they are of several processes. */
static void add_cluster(struct group_cluster **list, size_t *count, size_t *capacity,
	const struct step *steps, size_t length)
{
	struct group_cluster cluster = {.start_ns = steps[0].spike->start_ns};

	for (size_t i = 0; i < length; i++) {
		const struct spike *spike = steps[i].spike;
		bool seen = false;

		for (size_t j = 0; j < i; j++)
			seen |= steps[j].target == steps[i].target;
		cluster.processes += !seen;
		cluster.end_ns = MAX(cluster.end_ns, spike->end_ns);
		cluster.delta_bytes += spike->after_bytes - spike->before_bytes;
	}
	if (cluster.processes < 2)
		return;
	array_reserve(*list, *count, *capacity);
	(*list)[(*count)++] = cluster;
}

static void find_clusters(const struct model *model, struct group *group)
{
	struct group_cluster *list = NULL;
	struct step *steps;
	size_t count = list_steps(model, group, &steps), from = 0, found = 0, capacity = 0;
	uint64_t end_ns = 0;

	for (size_t i = 0; i < count; i++) {
		if (i > from && steps[i].spike->start_ns > end_ns + GAP_NS) {
			add_cluster(&list, &found, &capacity, steps + from, i - from);
			from = i;
			end_ns = 0;
		}
		end_ns = MAX(end_ns, steps[i].spike->end_ns);
	}
	if (count > from)
		add_cluster(&list, &found, &capacity, steps + from, count - from);
	if (found)
		qsort(list, found, sizeof(*list), larger_first);
	group->cluster_count = MIN(found, (size_t)GROUP_MAX_CLUSTERS);
	for (size_t i = 0; i < group->cluster_count; i++)
		group->clusters[i] = list[i];
	free(list);
	free(steps);
}

static void add_target(struct group *group, const struct target *target)
{
	group->targets++;
	if (!target->exited)
		group->rss_bytes += target->rss_bytes;
	if (target->has_limit && (!group->limit_bytes || target->limit_bytes < group->limit_bytes))
		group->limit_bytes = target->limit_bytes;
	if (target->group_ns && (!group->reading || target->group_ns >= group->reading->group_ns))
		group->reading = target;
	group->working_set_peak_bytes =
		MAX(group->working_set_peak_bytes, target->working_set_peak_bytes);
}

bool group_get(const struct model *model, size_t i, struct group *ret)
{
	uint32_t id = 0;

	for (; id < model_target_count(model); id++)
		if (is_first(model, id) && !i--)
			break;
	if (id >= model_target_count(model))
		return false;
	*ret = group_of(model_target(model, id));
	for (; id < model_target_count(model); id++)
		if (group_has(ret, model_target(model, id)))
			add_target(ret, model_target(model, id));
	if (ret->reading) {
		const struct event_group *group = &ret->reading->group;

		ret->working_set_bytes =
			group->usage_bytes - MIN(group->usage_bytes, group->inactive_file_bytes);
	}
	find_clusters(model, ret);
	return true;
}
