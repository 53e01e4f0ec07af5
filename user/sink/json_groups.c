/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON of the targets' cgroups. Keys and meanings: tests/schema.json. */
#include <json-c/json.h>
#include <string.h>

#include "base/mem.h"
#include "sink/groups.h"
#include "sink/json_parts.h"
#include "sink/json_value.h"

static struct json_object *pids_of(const struct model *model, const struct group *group)
{
	struct json_object *pids = json_object_new_array();

	for (uint32_t id = group->first; id < model_target_count(model); id++) {
		const struct target *target = model_target(model, id);

		if (group_has(group, target))
			json_object_array_add(pids, json_object_new_int(target->pid));
	}
	return pids;
}

/* Since attach; null where this kernel, or version 1, does not tell. */
static struct json_object *pressure_of(const struct target *reading)
{
	struct json_object *object;

	if (!reading || !reading->group.has_pressure)
		return NULL;
	object = json_object_new_object();
	json_add_uint(object, "some_us",
		reading->group.some_us - MIN(reading->group.some_us, reading->group_first.some_us));
	json_add_uint(object, "full_us",
		reading->group.full_us - MIN(reading->group.full_us, reading->group_first.full_us));
	return object;
}

static struct json_object *clusters_of(const struct group *group)
{
	struct json_object *clusters = json_object_new_array();

	for (size_t i = 0; i < group->cluster_count; i++) {
		const struct group_cluster *cluster = &group->clusters[i];
		struct json_object *object = json_object_new_object();

		json_add_uint(object, "start_ns", cluster->start_ns);
		json_add_uint(object, "end_ns", cluster->end_ns);
		json_add_uint(object, "processes", cluster->processes);
		json_add_uint(object, "delta_bytes", cluster->delta_bytes);
		json_object_array_add(clusters, object);
	}
	return clusters;
}

struct json_object *json_next_group(struct json_cursor *cursor)
{
	const struct model *model = cursor->report->model;
	struct json_object *object;
	const struct target *reading;
	struct group group;

	if (!group_get(model, cursor->next, &group))
		return NULL;
	cursor->next++;
	reading = group.reading;
	object = json_object_new_object();
	json_add_name(object, "cgroup", group.cgroup);
	json_add_host(object, model, group.host);
	json_add(object, "pids", pids_of(model, &group));
	json_add_uint(object, "rss_bytes", group.rss_bytes);
	json_add_known(object, "usage_bytes", reading, reading ? reading->group.usage_bytes : 0);
	json_add_known(object, "working_set_bytes", reading, group.working_set_bytes);
	json_add_known(object, "working_set_peak_bytes", reading, group.working_set_peak_bytes);
	json_add_known(object, "limit_bytes", group.limit_bytes, group.limit_bytes);
	json_add_known(object, "high_bytes", reading && reading->group.high_bytes,
		reading ? reading->group.high_bytes : 0);
	json_add_known(object, "oom_kills", reading,
		reading ? reading->group.oom_kills -
				  MIN(reading->group.oom_kills, reading->group_first.oom_kills)
			: 0);
	json_add(object, "pressure", pressure_of(reading));
	json_add(object, "clusters", clusters_of(&group));
	return object;
}
