/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of several volumes at one moment, of one name, in the image of each.
 *
 * Invariant: all are made or none, also if the daemon is killed meanwhile:
 * snapshot_moment.h.
 */
#include "blockcore/base/log.h"
#include "webui/api/live/live_impact.h"
#include "webui/api/objects/snapshot_intents.h"
#include "webui/api/objects/snapshot_moment.h"
#include "webui/api/objects/snapshots.h"
#include "webui/api/server/body.h"

#include <stdio.h>
#include <string.h>

/* False: answered. */
static bool take_one(struct api_request *request,
	struct snapshot_moment *moment, const char *name, const char *snapshot)
{
	char pointer[32];
	const struct config_object *volume = name
		? config_find(request->parts->config, CONFIG_VOLUME, name)
		: NULL;
	struct block_source *source =
		volume ? source_running(request, name) : NULL;
	snprintf(pointer, sizeof pointer, "/volumes/%u", moment->count);
	if (!name)
		api_problem_at(request, pointer, NULL, "a text is expected");
	else if (!volume)
		api_problem_at(request, pointer, NULL,
			"there is no volume \"%.63s\"", name);
	else if (!source)
		api_problem(request, "storage",
			"volume \"%s\" is offline: nothing runs", name);
	if (!source || !snapshot_check_free(request, name, snapshot))
		return false;
	snapshot_moment_add(moment, volume, source, snapshot);
	return true;
}

/* False: answered; what was taken stays taken. */
static bool take_all(struct api_request *request,
	struct snapshot_moment *moment, const char *snapshot)
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
		if (!take_one(
			    request, moment, json_string_value(one), snapshot))
			return false;
	}
	return true;
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
	struct snapshot_moment moment;
	const char *name;
	if (!body_has_only(request, "name volumes") ||
		!(name = body_need_text(request, "name")) ||
		!snapshot_check_name(request, "name", name))
		return;
	snapshot_intents_undo_co(request->parts);
	if (snapshot_moment_begin(&moment, request->parts, &err)) {
		api_fail(request, &err);
	} else if (take_all(request, &moment, name)) {
		if (request->dry_run)
			live_plan_all_co(request,
				json_object_get(request->body, "volumes"),
				"parked",
				"a snapshot is made in the image; hosts wait "
				"until nothing is in flight in any of them");
		else if (snapshot_moment_make_co(&moment, name, &err))
			api_fail(request, &err);
		else
			made(request, name);
	}
	snapshot_moment_end_co(&moment);
}

const struct api_route api_snapshot_group_routes[] = {
	{"createSnapshotGroup", "POST", "/api/v1/snapshot-groups", API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT, NULL, create_group_co},
	{0},
};
