/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes: what there is to export.
 *
 * Invariants
 *  1. A volume's UUID is shown always and never changes by a request: it is the
 *     identity that hosts see.
 *  2. Nothing here touches a file, but for `purge`, after the volume has gone.
 */
#include "blockcore/base/log.h"
#include "blockcore/figures.h"
#include "target/control/appliance/volume_purge.h"
#include "target/control/config/json_doc.h"
#include "target/control/document/document.h"
#include "target/control/snapshots/snapshot_locks.h"
#include "target/volume/view.h"
#include "webui/api/live/faults.h"
#include "webui/api/live/live.h"
#include "webui/api/live/live_impact.h"
#include "webui/api/live/space.h"
#include "webui/api/objects/new_file.h"
#include "webui/api/objects/objects.h"
#include "webui/api/objects/purge.h"
#include "webui/api/server/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- answers ---------------------------------------------------------------- */

static const char *state_of(const struct volume_view *view)
{
	if (view->failed)
		return "failed";
	if (!view->online)
		return "offline";
	return view->ejected ? "ejected" : "online";
}

/* A rate may be a number or a size in a text; 0 is none. */
static bool limits(const json_t *listener)
{
	static const char *const rates[] = {"iops", "iops_read", "iops_write",
		"bytes_s", "bytes_read", "bytes_write"};
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		const json_t *rate = json_object_get(listener, rates[i]);
		const char *text = json_string_value(rate);
		if (text ? strtod(text, NULL) > 0
			 : json_integer_value(rate) > 0)
			return true;
	}
	return false;
}

static bool is_throttled(const json_t *value)
{
	json_t *one;
	size_t i;
	json_array_foreach(
		json_object_get(json_object_get(value, "source"), "listeners"),
		i, one)
	{
		const char *type =
			json_string_value(json_object_get(one, "type"));
		if (type && !strcmp(type, "throttle") && limits(one))
			return true;
	}
	return false;
}

static void add_mirror(const struct block_health *health, void *argument)
{
	json_array_append_new(argument,
		json_pack("{ss, ss, sI, sI, so*}", "name", health->name,
			"state", block_health_name(health->state),
			"behind_bytes", (json_int_t)health->behind_bytes,
			"failovers", (json_int_t)health->failovers, "error",
			*health->why ? live_text(health->why) : NULL));
}

/* NULL: it has none. */
static json_t *mirrors_json(const struct volume *volume)
{
	struct block_source *source = atomic_load(&volume->source);
	json_t *list = json_array();
	if (source)
		block_health_visit(source, add_mirror, list);
	if (json_array_size(list))
		return list;
	json_decref(list);
	return NULL;
}

static json_t *status_json(const struct api *api, const struct volume *volume,
	const struct config_object *object)
{
	struct volume_view view;
	char naa[17];
	volume_view_get(volume, &view);
	for (unsigned i = 0; i < 8; i++)
		snprintf(naa + 2 * i, 3, "%02x", volume->naa[i]);
	json_t *status = json_pack("{ss, ss, ss, sI, sI, sI, sb, sb, sb}",
		"state", state_of(&view), "serial", volume->serial, "naa", naa,
		"block_bytes", (json_int_t)view.block_bytes, "sessions",
		(json_int_t)view.nexuses, "faults",
		(json_int_t)json_array_size(api_fault_rules(object)),
		"write_cache", view.write_cache, "write_protected",
		view.read_only, "throttled", is_throttled(object->value));
	if (!view.online) {
		json_object_set_new(
			status, "reason", json_string(view.offline_reason));
		return status;
	}
	json_object_set_new(status, "size_bytes",
		json_integer((json_int_t)view.size_bytes));
	json_object_set_new(status, "physical_block_bytes",
		json_integer((json_int_t)view.physical_block_bytes));
	json_t *mirrors = mirrors_json(volume);
	if (mirrors)
		json_object_set_new(status, "mirrors", mirrors);
	json_t *space = api_space_json(api, volume);
	if (space)
		json_object_set_new(status, "space", space);
	return status;
}

static void complete_volume(struct api_request *request,
	const struct config_object *object, json_t *json)
{
	char uuid[VOLUME_UUID_TEXT_BYTES];
	const struct volume *volume =
		appliance_find_volume(request->parts->appliance, object->id);
	if (!volume)
		return;
	json_object_set_new(json, "uuid",
		json_string(volume_uuid_text(volume->settings.uuid, uuid)));
	json_object_set_new(
		json, "status", status_json(request->api, volume, object));
}

static void measure_volumes_co(struct api_request *request, json_t *items)
{
	json_t *item;
	size_t i;
	json_array_foreach(items, i, item)
	{
		const char *name =
			json_string_value(json_object_get(item, "name"));
		json_t *status = json_object_get(item, "status");
		uint64_t bytes;
		if (name && status && api_space_co(request->api, name, &bytes))
			json_object_set_new(status, "allocated_bytes",
				json_integer((json_int_t)bytes));
	}
}

/* -- requests --------------------------------------------------------------- */

/* What may be said again must be what it is. */
static bool check_uuid(struct api_request *request,
	const struct config_object *present, json_t *value)
{
	char uuid[VOLUME_UUID_TEXT_BYTES];
	json_t *given = json_object_get(value, "uuid");
	const struct volume *volume =
		appliance_find_volume(request->parts->appliance, present->id);
	if (!json_is_string(given) || !volume)
		return true; /* the document's checks look at it */
	volume_uuid_text(volume->settings.uuid, uuid);
	if (strcasecmp(json_string_value(given), uuid) != 0) {
		api_problem_at(request, "/uuid", NULL,
			"the identity of a volume cannot change: it is %s",
			uuid);
		return false;
	}
	json_t *kept = json_object_get(present->value, "uuid");
	if (kept)
		json_object_set(value, "uuid", kept);
	else
		json_object_del(value, "uuid");
	return true;
}

static bool check_name(struct api_request *request,
	const struct config_object *present, json_t *value)
{
	const char *name = json_string_value(json_object_get(value, "name"));
	if (!name) {
		if (json_object_get(value, "name"))
			return true; /* refused as no text */
		json_object_set_new(value, "name", json_string(present->id));
		return true;
	}
	if (!strcmp(name, present->id))
		return true;
	api_problem_at(request, "/name", NULL,
		"it is \"%s\": an object keeps its name; make another one",
		present->id);
	return false;
}

bool object_check_name(struct api_request *request, enum config_kind kind,
	const struct config_object *present, json_t *value)
{
	if (present)
		return check_name(request, present, value);
	const char *name = json_string_value(json_object_get(value, "name"));
	if (!name || !config_find(request->parts->config, kind, name))
		return true;
	api_problem(request, "conflict", "a %s \"%s\" is there already",
		config_kind_name(kind), name);
	return false;
}

static bool prepare_volume(struct api_request *request,
	const struct config_object *present, json_t *value)
{
	return object_check_name(request, CONFIG_VOLUME, present, value) &&
		(!present || check_uuid(request, present, value));
}

/* -- who holds a volume ------------------------------------------------------ */

static void hold(json_t *held_by, const struct config_object *object)
{
	char text[OBJECT_ID_BYTES + 16];
	snprintf(text, sizeof text, "%s %s", config_kind_name(object->kind),
		object->id);
	json_array_append_new(held_by, json_string(text));
}

static void release_volume(struct api_request *request,
	const struct config_object *object, struct object_edits *edits,
	json_t *held_by)
{
	const struct config_link *at = NULL;
	const struct config_object *one;
	while ((one = object_next_user(
			request, CONFIG_EXPORT, 'v', object->id, &at))) {
		hold(held_by, one);
		object_edit(edits, CONFIG_EXPORT, one->id, NULL);
	}
	/* Schedules and volumes that stand on it never go along: the change is
	 * refused. */
	while ((one = object_next_user(
			request, CONFIG_SCHEDULE, 'v', object->id, &at)))
		hold(held_by, one);
	while ((one = object_next_user(
			request, CONFIG_VOLUME, 'v', object->id, &at)))
		hold(held_by, one);
	/* A job would go on with files of a volume that is gone. */
	api_hold_job(request->api, object->id, held_by);
}

const struct object_kind object_volumes = {.kind = CONFIG_VOLUME,
	.collection = "volumes",
	.parameter = "name",
	.id_member = "name",
	.complete = complete_volume,
	.measure_co = measure_volumes_co,
	.prepare = prepare_volume,
	.keeps = "snapshots",
	.release = release_volume};

/* -- create, with export ------------------------------------------------------ */

/* The target that an export names, or one with the volume's name; made in the same
 * change if it is not there. */
static bool add_target(struct api_request *request, struct object_edits *edits,
	const char *name, char iqn[ACCESS_NAME_BYTES])
{
	if (!object_target_iqn(request, name, iqn)) {
		api_problem_at(request, "/export/target", NULL,
			"\"%.100s\" is no name of a target", name);
		return false;
	}
	if (!config_find(request->parts->config, CONFIG_TARGET, iqn))
		object_edit(edits, CONFIG_TARGET, NULL,
			json_pack("{ss}", "iqn", iqn));
	return true;
}

/* Takes `export` over. */
static bool add_export(struct api_request *request, struct object_edits *edits,
	const char *volume, json_t *export)
{
	char iqn[ACCESS_NAME_BYTES];
	const char *target =
		json_string_value(json_object_get(export, "target"));
	if (!json_is_object(export)) {
		api_problem_at(
			request, "/export", NULL, "an object is expected");
		json_decref(export);
		return false;
	}
	if (!add_target(request, edits, target ? target : volume, iqn)) {
		json_decref(export);
		return false;
	}
	json_object_set_new(export, "volume", json_string(volume));
	json_object_set_new(export, "target", json_string(iqn));
	if (!json_object_get(export, "lun"))
		json_object_set_new(export, "lun",
			json_integer(
				(json_int_t)object_free_lun(request, iqn)));
	object_edit(edits, CONFIG_EXPORT, NULL, export);
	edits->edit[edits->count - 1].at = "/export";
	return true;
}

/* The edits of a new volume; NULL: answered. Takes `value` over. */
static struct object_edits *new_volume(
	struct api_request *request, json_t *value)
{
	const char *name = json_string_value(json_object_get(value, "name"));
	json_t *export = json_incref(json_object_get(value, "export"));
	struct object_edits *edits = NULL;
	json_object_del(value, "export");
	if (new_file_take_size(request, value) &&
		prepare_volume(request, NULL, value)) {
		edits = calloc(1, sizeof *edits);
		if (!edits)
			api_answer(request, 500, NULL);
	}
	if (!edits) {
		json_decref(value);
		json_decref(export);
		return NULL;
	}
	object_edit(edits, CONFIG_VOLUME, NULL, value);
	if (!export || add_export(request, edits, name ? name : "", export))
		return edits;
	object_edits_free(edits);
	return NULL;
}

/* What a new volume takes beside what a document says of one. */
static bool has_only_known(struct api_request *request, const json_t *value)
{
	static const char *const more[] = {"size", "format", "export", NULL};
	struct err err = {0};
	struct doc *doc = json_to_doc(value, &err);
	bool well = doc && !document_check_volume_keys(doc, more, &err);
	doc_free(doc);
	if (!well)
		api_fail(request, &err);
	return well;
}

static void create_co(struct api_request *request)
{
	char id[OBJECT_ID_BYTES];
	json_t *value = json_deep_copy(request->body);
	json_object_del(value, "status");
	json_object_del(value, "generation");
	if (!has_only_known(request, value)) {
		json_decref(value);
		return;
	}
	api_turn_co(request);
	struct object_edits *edits = new_volume(request, value);
	if (!edits)
		return;
	if (object_change_co(request, edits, "created", "", id))
		object_created_co(request, &object_volumes, id);
	object_edits_free(edits);
}

/* -- delete, with its files --------------------------------------------------- */

/* False: a snapshot in one of its files is locked, which is answered. */
static bool may_purge(struct api_request *request, const json_t *volume)
{
	struct err err = {0};
	if (!snapshot_locks_check_all(request->parts, volume, &err))
		return true;
	api_fail(request, &err);
	return false;
}

static void delete_co(struct api_request *request)
{
	bool wants;
	char id[OBJECT_ID_BYTES];
	if (!api_query_bool(request, "purge", false, &wants))
		return;
	api_turn_co(request);
	const struct config_object *object =
		object_find(request, &object_volumes);
	if (!object)
		return;
	if (wants && !may_purge(request, object->value))
		return;
	json_t *value = json_deep_copy(object->value);
	snprintf(id, sizeof id, "%s", object->id);
	object_delete_co(request, &object_volumes);
	if (wants && request->dry_run)
		purge_explain(request, id, value);
	else if (wants &&
		!config_find(request->parts->config, CONFIG_VOLUME, id))
		volume_purge_co(request->parts, request->api->loop, id, value);
	json_decref(value);
}

/* -- the rest ---------------------------------------------------------------- */

static void list_co(struct api_request *request)
{
	object_list_co(request, &object_volumes, NULL);
}

static void get_co(struct api_request *request)
{
	object_get_co(request, &object_volumes);
}

static void replace_co(struct api_request *request)
{
	object_replace_co(request, &object_volumes);
}

static void patch_co(struct api_request *request)
{
	object_patch_co(request, &object_volumes);
}

static void plan_repair_co(
	struct api_request *request, const char *name, bool reopens)
{
	live_plan_co(request, name, reopens ? "offline" : "live",
		reopens ? "its storage is opened anew, then hosts may write "
			  "again"
			: "hosts may write again");
}

/* What was lost stays lost: an operator says that he has looked. */
static void repair_co(struct api_request *request)
{
	const struct config_object *object =
		object_find(request, &object_volumes);
	struct appliance *appliance = request->parts->appliance;
	struct err err = {0};
	bool reopens;
	if (!object)
		return;
	char name[OBJECT_ID_BYTES], path[OBJECT_ID_BYTES + 8];
	snprintf(name, sizeof name, "%s", object->id);
	snprintf(path, sizeof path, "volumes/%s", name);
	if (appliance_repair_check(appliance, name, &reopens, &err)) {
		api_fail(request, &err);
		return;
	}
	if (request->dry_run) {
		plan_repair_co(request, name, reopens);
		return;
	}
	log_warning("api", "repaired",
		"%s lets hosts use volume %s again after a failure",
		request->who.name, name);
	api_audit(request, path, NULL, NULL);
	if (appliance_repair_co(appliance, name, &err))
		api_fail(request, &err);
	else
		object_answer_co(request, &object_volumes, name);
}

#define VOLUMES "/api/v1/volumes"
const struct api_route api_volume_routes[] = {
	{"listVolumes", "GET", VOLUMES, API_VIEWER, API_PAGED, NULL, list_co},
	{"createVolume", "POST", VOLUMES, API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT | API_BY_CONFIG, NULL,
		create_co},
	{"getVolume", "GET", VOLUMES "/{name}", API_VIEWER, 0, NULL, get_co},
	{"replaceVolume", "PUT", VOLUMES "/{name}", API_OPERATOR,
		API_BODY | API_DRY_RUN | API_NEEDS_MATCH, NULL, replace_co},
	{"changeVolume", "PATCH", VOLUMES "/{name}", API_OPERATOR,
		API_BODY | API_DRY_RUN | API_NEEDS_MATCH, NULL, patch_co},
	{"deleteVolume", "DELETE", VOLUMES "/{name}", API_OPERATOR,
		API_DRY_RUN | API_NEEDS_MATCH, "cascade purge", delete_co},
	{"repairVolume", "POST", VOLUMES "/{name}/repair", API_OPERATOR,
		API_DRY_RUN | API_IDEMPOTENT, NULL, repair_co},
	{0},
};
