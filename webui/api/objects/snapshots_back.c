/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back to a snapshot of a volume's image, and a writable volume of one.
 *
 * Invariant: content under connected hosts goes back only if the request says so
 * ("destroy": true), they are told, and what was there is always kept as another
 * snapshot.
 */
#include "blockcore/spec.h"
#include "target/control/appliance/new_file.h"
#include "target/control/snapshots/snapshot_records.h"
#include "target/volume/news.h"
#include "target/volume/view.h"
#include "webui/api/live/live_impact.h"
#include "webui/api/objects/new_file.h"
#include "webui/api/objects/snapshots.h"
#include "webui/api/server/body.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- revert --------------------------------------------------------------------- */

static unsigned hosts_of(struct api_request *request)
{
	struct volume_view view;
	struct volume *volume = appliance_find_volume(
		request->parts->appliance, api_parameter(request, "name"));
	if (!volume)
		return 0;
	volume_view_get(volume, &view);
	return (unsigned)view.nexuses;
}

/* For what is there now: as asked, else "before-NAME", "before-NAME-2" ... False:
 * answered. */
static bool name_safety(struct api_request *request, const json_t *items,
	struct snapshot_way *way)
{
	char *safety = way->safety;
	const char *given = NULL;
	if (!body_may_text(request, "safety", &given))
		return false;
	if (given && *given) {
		snprintf(safety, SNAPSHOT_NAME_BYTES, "%s", given);
		return snapshot_check_name(request, "safety", given);
	}
	snprintf(safety, SNAPSHOT_NAME_BYTES, "before-%.48s", way->snapshot);
	for (unsigned n = 2; snapshot_pick(items, safety); n++)
		snprintf(safety, SNAPSHOT_NAME_BYTES, "before-%.48s-%u",
			way->snapshot, n);
	return true;
}

void snapshot_plan_back_co(struct api_request *request,
	const struct snapshot_way *way, json_t *changes)
{
	char text[SNAPSHOT_NAME_BYTES + 240];
	snprintf(text, sizeof text,
		"the content goes back to the snapshot; what is there now "
		"becomes snapshot %s%s",
		way->safety,
		way->hosts
			? "; connected hosts have other data under their feet: "
			  "a file system that is mounted there is damaged, "
			  "unmount it first (needs \"destroy\": true)"
			: "");
	json_t *impact = live_impact_co(
		request, api_parameter(request, "name"), "parked", text);
	api_answer(request, 200,
		json_pack("{sb, so, s[o]}", "dry_run", 1, "changes", changes,
			"impact", impact));
}

bool snapshot_may_destroy(
	struct api_request *request, const struct snapshot_way *way)
{
	if (way->destroy || !way->hosts)
		return true;
	api_problem_at(request, "/destroy", NULL,
		"%u sessions of hosts see the volume, and a file system that "
		"one of them has mounted would be DAMAGED: unmount it and let "
		"them log out, or say \"destroy\": true if that is meant",
		way->hosts);
	return false;
}

void snapshot_went_back_co(struct api_request *request,
	struct block_source *source, const struct snapshot_way *way,
	bool recorded)
{
	struct volume *volume = appliance_find_volume(
		request->parts->appliance, api_parameter(request, "name"));
	if (volume)
		volume_content_changed(volume);
	json_t *items = snapshot_list_co(request, source);
	json_t *one = items ? snapshot_pick(items, way->safety) : NULL;
	if (recorded)
		snapshot_announce(request, "snapshot_reverted", way->snapshot);
	else
		snapshot_tell(
			request, "snapshot_reverted", way->snapshot, NULL, one);
	if (items)
		api_answer(request, 200, json_incref(one));
	json_decref(items);
}

static int go_back_co(struct block_source *source,
	const struct snapshot_way *way, struct err *err)
{
	struct spec_patience patience = {0};
	int failed;
	do
		failed = spec_snapshot_revert_co(source, way->snapshot,
			way->safety, SPEC_GATE_DEADLINE_NS, err);
	while (spec_try_again_co(source, &patience, failed, err));
	return failed;
}

/* To one that the image keeps. */
static void revert_inside_co(struct api_request *request,
	struct block_source *source, const struct snapshot_way *way)
{
	struct err err = {0};
	if (request->dry_run &&
		spec_rehearse_revert(source, way->snapshot, way->safety, &err))
		api_fail(request, &err);
	else if (request->dry_run)
		snapshot_plan_back_co(request, way, json_array());
	else if (!snapshot_may_destroy(request, way))
		return;
	else if (go_back_co(source, way, &err))
		api_fail(request, &err);
	else
		snapshot_went_back_co(request, source, way, false);
}

static void revert_found_co(struct api_request *request,
	struct block_source *source, const json_t *items, const json_t *one)
{
	struct snapshot_way way = {.snapshot = source_text(one, "name"),
		.hosts = hosts_of(request)};
	if (!body_may_bool(request, "destroy", &way.destroy) ||
		!name_safety(request, items, &way))
		return;
	if (snapshot_is_external(one))
		snapshot_return_co(request, source, items, one, &way);
	else
		revert_inside_co(request, source, &way);
}

static void revert_snapshot_co(struct api_request *request)
{
	const char *name = api_parameter(request, "snapshot");
	if (!body_has_only(request, "safety destroy"))
		return;
	struct block_source *source = snapshot_source_co(request);
	if (!source)
		return;
	json_t *items = snapshot_list_co(request, source);
	const json_t *one = items ? snapshot_pick(items, name) : NULL;
	if (one && snapshot_need_whole(request, one))
		revert_found_co(request, source, items, one);
	else if (items && !one)
		api_problem(request, "not-found",
			"volume \"%s\" has no snapshot \"%.255s\"",
			api_parameter(request, "name"), name);
	json_decref(items);
	block_source_put_co(source);
}

/* -- clone ---------------------------------------------------------------------- */

/* What the new image says of what is below it. One that lies beside it in a file is
 * named as it is; else nobody who opens the file alone is to take it for all there is:
 * no format knows such a name. */
static void name_backing(json_t *format, const char *volume,
	const json_t *snapshot, const char *type)
{
	const char *image = source_text(snapshot, "image");
	char name[400];
	if (type && image && !strchr(image, '/'))
		snprintf(name, sizeof name, "%.255s", image);
	else
		snprintf(name, sizeof name, "cairn:%.63s@%.255s", volume,
			source_text(snapshot, "name"));
	json_object_set_new(format, "backing_name", json_string(name));
	json_object_set_new(
		format, "backing_format", json_string(type ? type : "raw"));
}

/* A new image over a view of the snapshot. `type`: of the image that an external one
 * is; NULL: it is an internal one. */
static json_t *clone_value(const char *name, const char *path,
	const char *volume, const json_t *snapshot, const char *type)
{
	json_t *format = json_pack("{ss, sO, so, s{ss, s{sO}}}", "type",
		"qcow2", "size", json_object_get(snapshot, "size_bytes"),
		"file", new_file_for_image(path), "backing", "source", volume,
		"view", type ? "image" : "snapshot",
		json_object_get(snapshot, type ? "image" : "name"));
	name_backing(format, volume, snapshot, type);
	return json_pack(
		"{ss, s{so}}", "name", name, "source", "format", format);
}

/* Takes `value` over. */
static void clone_found_co(struct api_request *request, json_t *value)
{
	char id[OBJECT_ID_BYTES];
	struct object_edits *edits = calloc(1, sizeof *edits);
	if (!edits || !value) {
		json_decref(value);
		free(edits);
		api_answer(request, 500, NULL);
		return;
	}
	object_edit(edits, CONFIG_VOLUME, NULL, value);
	if (object_change_co(request, edits, "created", "", id))
		object_created_co(request, &object_volumes, id);
	object_edits_free(edits);
}

/* False: the volume does not stand on it, so nothing has it open; answered. */
static bool need_below(struct api_request *request, const json_t *snapshot)
{
	const struct config_object *volume = config_find(request->parts->config,
		CONFIG_VOLUME, api_parameter(request, "name"));
	if (!snapshot_is_external(snapshot) || !volume ||
		!snapshot_is_branch(
			volume->value, source_text(snapshot, "image")))
		return true;
	api_problem(request, "conflict",
		"the volume has gone back from snapshot \"%.255s\" and does "
		"not stand on its image %.255s: go back to it first",
		source_text(snapshot, "name"), source_text(snapshot, "image"));
	return false;
}

static void clone_snapshot_co(struct api_request *request)
{
	char path[80];
	const char *name;
	if (!body_has_only(request, "name") ||
		!(name = body_need_text(request, "name")) ||
		!snapshot_check_name(request, "name", name) ||
		!object_check_name(request, CONFIG_VOLUME, NULL, request->body))
		return;
	snprintf(path, sizeof path, "%s.qcow2", name);
	if (!new_file_is_new(request, path))
		return;
	struct block_source *source = snapshot_source_co(request);
	json_t *snapshot = source ? snapshot_find_co(request, source) : NULL;
	if (source)
		block_source_put_co(source);
	if (snapshot && snapshot_need_whole(request, snapshot) &&
		need_below(request, snapshot))
		clone_found_co(request,
			clone_value(name, path, api_parameter(request, "name"),
				snapshot,
				snapshot_image_type(request, snapshot)));
	json_decref(snapshot);
}

#define SNAPSHOT "/api/v1/volumes/{name}/snapshots/{snapshot}"
const struct api_route api_snapshot_back_routes[] = {
	{"revertSnapshot", "POST", SNAPSHOT "/revert", API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT, NULL,
		revert_snapshot_co},
	{"cloneSnapshot", "POST", SNAPSHOT "/clone", API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT | API_BY_CONFIG, NULL,
		clone_snapshot_co},
	{0},
};
