/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of several volumes at one moment, of one name, in the image of each.
 *
 * Invariant: while the daemon lives all are made or none; what each has stands in its
 * image alone, so one that is killed meanwhile may leave some.
 */
#include "blockcore/base/log.h"
#include "blockcore/spec.h"
#include "webui/api/live/live_impact.h"
#include "webui/api/objects/snapshots.h"
#include "webui/api/server/body.h"

#include <stdio.h>
#include <string.h>

struct group {
	struct block_source *source[SPEC_GROUP_MOST]; /* with references */
	unsigned count;
};

static void let_go_co(struct group *group)
{
	for (unsigned i = 0; i < group->count; i++)
		block_source_put_co(group->source[i]);
}

/* False: answered. */
static bool take_one(struct api_request *request, struct group *group,
	const char *name, const char *snapshot)
{
	char pointer[32];
	struct block_source *source =
		name ? source_running(request, name) : NULL;
	snprintf(pointer, sizeof pointer, "/volumes/%u", group->count);
	if (!name)
		api_problem_at(request, pointer, NULL, "a text is expected");
	else if (!config_find(request->parts->config, CONFIG_VOLUME, name))
		api_problem_at(request, pointer, NULL,
			"there is no volume \"%.63s\"", name);
	else if (!source)
		api_problem(request, "storage",
			"volume \"%s\" is offline: nothing runs", name);
	if (!source || !snapshot_check_free(request, name, snapshot))
		return false;
	block_source_get(source);
	group->source[group->count++] = source;
	return true;
}

/* False: answered; what was taken stays taken. */
static bool take_all(
	struct api_request *request, struct group *group, const char *snapshot)
{
	const json_t *list = json_object_get(request->body, "volumes"), *one;
	size_t i, count = json_array_size(list);
	if (!count || count > SPEC_GROUP_MOST) {
		api_problem_at(request, "/volumes", NULL,
			"a list of 1 to %u names of volumes is expected",
			SPEC_GROUP_MOST);
		return false;
	}
	json_array_foreach(list, i, one)
	{
		if (!take_one(request, group, json_string_value(one), snapshot))
			return false;
	}
	return true;
}

static json_t *plan_json_co(struct api_request *request, const json_t *volumes)
{
	json_t *impact = json_array();
	const json_t *one;
	size_t i;
	json_array_foreach(volumes, i, one)
	{
		json_array_append_new(impact,
			live_impact_co(request, json_string_value(one),
				"parked",
				"a snapshot is made in the image; hosts wait "
				"until nothing is in flight in any of them"));
	}
	return json_pack(
		"{sb, s[], so}", "dry_run", 1, "changes", "impact", impact);
}

static void made(struct api_request *request, const char *name)
{
	const json_t *volumes = json_object_get(request->body, "volumes");
	json_t *answer =
		json_pack("{ss, sO}", "name", name, "volumes", volumes);
	char path[96];
	snprintf(path, sizeof path, "snapshot-groups/%.63s", name);
	log_info("api", "snapshots_created", "%s: snapshot %s of %zu volumes",
		request->who.name, name, json_array_size(volumes));
	api_audit(request, path, NULL, json_incref(answer));
	api_emit(request->api, "volumes", "snapshots_created",
		json_incref(answer));
	api_answer(request, 200, answer);
}

static void create_group_co(struct api_request *request)
{
	struct err err = {0};
	struct group group = {0};
	const char *name;
	if (!body_has_only(request, "name volumes") ||
		!(name = body_need_text(request, "name")) ||
		!snapshot_check_name(request, "name", name))
		return;
	if (take_all(request, &group, name)) {
		if (request->dry_run)
			api_answer(request, 200,
				plan_json_co(request,
					json_object_get(
						request->body, "volumes")));
		else if (spec_snapshot_group_co(group.source, group.count, name,
				 SPEC_GATE_DEADLINE_NS, &err))
			api_fail(request, &err);
		else
			made(request, name);
	}
	let_go_co(&group);
}

const struct api_route api_snapshot_group_routes[] = {
	{"createSnapshotGroup", "POST", "/api/v1/snapshot-groups", API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT, NULL, create_group_co},
	{0},
};
