/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of several volumes at one moment, of one name: in the image of each, or
 * external ones, in a new image over each.
 *
 * Invariant: all are made or none, also if the daemon is killed meanwhile: those in
 * images as snapshot_moment.h says; external ones are one change of the document, which
 * is durable while hosts of all of them wait.
 */
#include "blockcore/base/log.h"
#include "target/control/snapshots/snapshot_intents.h"
#include "target/control/snapshots/snapshot_moment.h"
#include "webui/api/live/live_impact.h"
#include "webui/api/objects/new_file.h"
#include "webui/api/objects/snapshots.h"
#include "webui/api/server/body.h"

#include <stdio.h>
#include <stdlib.h>
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

/* `recorded`: the change of the document is its audit record. */
static void made(struct api_request *request, const char *name, bool recorded)
{
	const json_t *volumes = json_object_get(request->body, "volumes");
	json_t *answer =
		json_pack("{ss, sO}", "name", name, "volumes", volumes);
	char path[96];
	snprintf(path, sizeof path, "snapshot-groups/%.63s", name);
	log_info("api", "snapshots_created", "%s: snapshot %s of %zu volumes",
		request->who.name, name, json_array_size(volumes));
	if (!recorded)
		api_audit(request, path, NULL, json_incref(answer));
	api_emit(request->api, "volumes", "snapshots_created",
		json_incref(answer));
	api_answer(request, 200, answer);
}

static int make_inside_co(
	struct snapshot_moment *moment, const char *name, struct err *err)
{
	struct spec_patience patience = {0};
	int failed;
	do
		failed = snapshot_moment_make_co(moment, name, err);
	while (spec_try_again_co(moment->source[0], &patience, failed, err));
	return failed;
}

static void create_inside_co(struct api_request *request, const char *name)
{
	struct err err = {0};
	struct snapshot_moment moment;
	if (snapshot_moment_begin(&moment, request->parts, &err)) {
		api_fail(request, &err);
	} else if (take_all(request, &moment, name)) {
		if (request->dry_run &&
			snapshot_moment_rehearse_co(&moment, &err))
			api_fail(request, &err);
		else if (request->dry_run)
			live_plan_all_co(request,
				json_object_get(request->body, "volumes"),
				"parked",
				"a snapshot is made in the image; hosts wait "
				"until nothing is in flight in any of them");
		else if (make_inside_co(&moment, name, &err))
			api_fail(request, &err);
		else
			made(request, name, false);
	}
	snapshot_moment_end_co(&moment);
}

/* -- external ones --------------------------------------------------------------- */

/* False: answered. */
static bool edit_one_co(struct api_request *request,
	struct block_source *source, const char *id, const char *name,
	struct object_edits *edits)
{
	char path[SNAPSHOT_PATH_BYTES];
	struct snapshot_over what = {
		.name = name, .path = path, .now_ms = api_now_ms()};
	what.size_bytes = block_source_info(
		source, block_core_lane(request->parts->core, 0))
				  .size_bytes;
	if (!snapshot_check_names_co(request, id, source, name))
		return false;
	const struct config_object *volume =
		config_find(request->parts->config, CONFIG_VOLUME, id);
	if (!volume) {
		api_problem(request, "not-found", "it has gone since");
		return false;
	}
	snapshot_path_over(volume, name, path);
	if (!snapshot_need_file(request, volume) ||
		!new_file_is_new(request, path))
		return false;
	object_edit_of(edits, volume, snapshot_value_over(volume, &what));
	return true;
}

static bool edit_all_co(struct api_request *request,
	const struct snapshot_moment *moment, const char *name,
	struct object_edits *edits)
{
	for (unsigned i = 0; i < moment->count; i++) {
		if (!edit_one_co(request, moment->source[i],
			    moment->intent[i].volume, name, edits))
			return false;
	}
	return true;
}

static void create_external_co(struct api_request *request, const char *name)
{
	struct err err = {0};
	struct snapshot_moment moment;
	char id[OBJECT_ID_BYTES];
	struct object_edits *edits = calloc(1, sizeof *edits);
	api_answers_as(request, 200, ""); /* nothing else shows a group */
	if (!edits)
		api_answer(request, 500, NULL);
	else if (snapshot_moment_begin(&moment, request->parts, &err))
		api_fail(request, &err);
	else if (take_all(request, &moment, name) &&
		edit_all_co(request, &moment, name, edits) &&
		object_change_co(
			request, edits, "and others got a snapshot", "", id))
		made(request, name, true);
	if (edits) {
		object_edits_free(edits);
		snapshot_moment_end_co(&moment);
	}
}

static void create_group_co(struct api_request *request)
{
	const char *name;
	bool external = false;
	if (!body_has_only(request, "name volumes external") ||
		!(name = body_need_text(request, "name")) ||
		!snapshot_check_name(request, "name", name) ||
		!body_may_bool(request, "external", &external))
		return;
	snapshot_intents_undo_co(request->parts);
	if (external)
		create_external_co(request, name);
	else
		create_inside_co(request, name);
}

const struct api_route api_snapshot_group_routes[] = {
	{"createSnapshotGroup", "POST", "/api/v1/snapshot-groups", API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT, NULL, create_group_co},
	{0},
};
