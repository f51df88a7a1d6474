/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets, which hosts connect to, and exports: which volume which host sees there
 * as which LUN.
 */
#include "webui/api/live/live.h"
#include "webui/api/objects/objects.h"

#include "target/control/config/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- names ------------------------------------------------------------------ */

/* As documents do it (document_targets.c): the whole name, or the end of one. */
bool object_target_iqn(struct api_request *request, const char *text,
	char iqn[ACCESS_NAME_BYTES])
{
	char whole[2 * ACCESS_NAME_BYTES];
	size_t length = strlen(text);
	if (length < ACCESS_NAME_BYTES && access_fold_name(iqn, text, length))
		return true;
	int used = snprintf(whole, sizeof whole, "%s:%s",
		request->parts->settings->naming_authority, text);
	return used < (int)ACCESS_NAME_BYTES &&
		access_fold_name(iqn, whole, (size_t)used);
}

/* As documents do it: a target that is called so as a whole comes first. */
void object_export_iqn(struct api_request *request,
	const struct config_object *object, char iqn[ACCESS_NAME_BYTES])
{
	const char *text =
		json_string_value(json_object_get(object->value, "target"));
	const char *authority = request->parts->settings->naming_authority;
	if (key_target_iqn(text, authority, iqn, false) &&
		config_find(request->parts->config, CONFIG_TARGET, iqn))
		return;
	if (!key_target_iqn(text, authority, iqn, true))
		*iqn = '\0';
}

static bool is_at(struct api_request *request,
	const struct config_object *export, const char *iqn)
{
	char at[ACCESS_NAME_BYTES];
	object_export_iqn(request, export, at);
	return !strcmp(at, iqn);
}

unsigned object_free_lun(struct api_request *request, const char *iqn)
{
	unsigned count = 1;
	for (unsigned lun = 0;; lun++) {
		config_find_export(request->parts->config, iqn, lun, &count);
		if (!count)
			return lun;
	}
}

const struct config_object *object_find_export(
	struct api_request *request, const char *id)
{
	char target[ACCESS_NAME_BYTES], iqn[ACCESS_NAME_BYTES];
	const char *comma = strrchr(id, ',');
	char *end;
	unsigned count;
	if (!comma || comma == id || comma - id >= (int)sizeof target)
		return NULL;
	memcpy(target, id, (size_t)(comma - id));
	target[comma - id] = '\0';
	unsigned long lun = strtoul(comma + 1, &end, 10);
	if (*end || end == comma + 1 || lun > UINT16_MAX ||
		!object_target_iqn(request, target, iqn))
		return NULL;
	return config_find_export(
		request->parts->config, iqn, (unsigned)lun, &count);
}

/* -- targets ---------------------------------------------------------------- */

static void complete_target(struct api_request *request,
	const struct config_object *object, json_t *json)
{
	const struct config_link *at = NULL;
	const struct config_object *one;
	unsigned exports = 0;
	while ((one = object_next_user(
			request, CONFIG_EXPORT, 't', object->id, &at)))
		exports += is_at(request, one, object->id);
	json_object_set_new(json, "iqn", json_string(object->id));
	json_object_del(json, "name");
	json_object_set_new(
		json, "status", json_pack("{si}", "exports", (int)exports));
}

static void measure_targets_co(struct api_request *request, json_t *items)
{
	live_sessions_count_co(request, items, "iqn", LIVE_BY_TARGET);
}

/* The name in either form: of a new one free, else the present one's. */
static bool prepare_target(struct api_request *request,
	const struct config_object *present, json_t *value)
{
	char iqn[ACCESS_NAME_BYTES];
	const char *whole = json_string_value(json_object_get(value, "iqn"));
	const char *end = json_string_value(json_object_get(value, "name"));
	const char *text = whole ? whole : end;
	if (json_is_null(json_object_get(value, "alias")))
		json_object_del(value, "alias");
	if (!text) {
		if (present && !json_object_get(value, "iqn") &&
			!json_object_get(value, "name"))
			json_object_set_new(
				value, "iqn", json_string(present->id));
		return true;
	}
	if (!object_target_iqn(request, text, iqn))
		return true; /* the document's checks say what is wrong */
	if (present && strcmp(iqn, present->id) != 0) {
		api_problem_at(request, whole ? "/iqn" : "/name", NULL,
			"it is \"%s\": an object keeps its name; make another "
			"one",
			present->id);
		return false;
	}
	if (!present &&
		config_find(request->parts->config, CONFIG_TARGET, iqn)) {
		api_problem(request, "conflict",
			"a target \"%s\" is there already", iqn);
		return false;
	}
	return true;
}

static void release_target(struct api_request *request,
	const struct config_object *object, struct object_edits *edits,
	json_t *held_by)
{
	const struct config_link *at = NULL;
	const struct config_object *one;
	while ((one = object_next_user(
			request, CONFIG_EXPORT, 't', object->id, &at))) {
		char text[OBJECT_ID_BYTES + 16];
		if (!is_at(request, one, object->id))
			continue;
		snprintf(text, sizeof text, "export %s", one->id);
		json_array_append_new(held_by, json_string(text));
		object_edit(edits, CONFIG_EXPORT, one->id, NULL);
	}
}

const struct object_kind object_targets = {.kind = CONFIG_TARGET,
	.collection = "targets",
	.parameter = "iqn",
	.id_member = "iqn",
	.complete = complete_target,
	.measure_co = measure_targets_co,
	.prepare = prepare_target,
	.release = release_target};

static void list_targets_co(struct api_request *request)
{
	object_list_co(request, &object_targets, NULL);
}

static void create_target_co(struct api_request *request)
{
	object_create_co(request, &object_targets);
}

static void get_target_co(struct api_request *request)
{
	object_get_co(request, &object_targets);
}

static void replace_target_co(struct api_request *request)
{
	object_replace_co(request, &object_targets);
}

static void patch_target_co(struct api_request *request)
{
	object_patch_co(request, &object_targets);
}

static void delete_target_co(struct api_request *request)
{
	object_delete_co(request, &object_targets);
}

/* -- exports ---------------------------------------------------------------- */

static void complete_export(struct api_request *request,
	const struct config_object *object, json_t *json)
{
	char iqn[ACCESS_NAME_BYTES];
	object_export_iqn(request, object, iqn);
	json_object_set_new(json, "id", json_string(object->id));
	json_object_set_new(json, "target", json_string(iqn));
}

/* Target and LUN are where hosts know it. */
static bool keeps_place(struct api_request *request,
	const struct config_object *present, json_t *value, const char *iqn)
{
	char at[ACCESS_NAME_BYTES];
	object_export_iqn(request, present, at);
	if (strcmp(at, iqn) != 0) {
		api_problem_at(request, "/target", NULL,
			"an export stays at its target: make another one");
		return false;
	}
	json_t *lun = json_object_get(present->value, "lun");
	if (!json_object_get(value, "lun"))
		json_object_set(value, "lun", lun);
	if (json_equal(json_object_get(value, "lun"), lun))
		return true;
	api_problem_at(request, "/lun", NULL,
		"an export keeps its LUN: make another one");
	return false;
}

static bool prepare_export(struct api_request *request,
	const struct config_object *present, json_t *value)
{
	char iqn[ACCESS_NAME_BYTES];
	const char *target =
		json_string_value(json_object_get(value, "target"));
	if (!target || !object_target_iqn(request, target, iqn))
		return true; /* the document's checks say what is wrong */
	if (present)
		return keeps_place(request, present, value, iqn);
	if (!json_object_get(value, "lun"))
		json_object_set_new(value, "lun",
			json_integer(
				(json_int_t)object_free_lun(request, iqn)));
	return true;
}

const struct object_kind object_exports = {.kind = CONFIG_EXPORT,
	.collection = "exports",
	.parameter = "id",
	.complete = complete_export,
	.prepare = prepare_export};

static bool wants_export(
	struct api_request *request, const struct config_object *object)
{
	const char *volume = api_query(request, "volume");
	const char *target = api_query(request, "target");
	const char *host = api_query(request, "host");
	const char *of =
		json_string_value(json_object_get(object->value, "volume"));
	char iqn[ACCESS_NAME_BYTES];
	if (volume && (!of || strcmp(of, volume) != 0))
		return false;
	if (host && !object_lists(object, "hosts", host))
		return false;
	return !target ||
		(object_target_iqn(request, target, iqn) &&
			is_at(request, object, iqn));
}

static void list_exports_co(struct api_request *request)
{
	object_list_co(request, &object_exports, wants_export);
}

static void create_export_co(struct api_request *request)
{
	object_create_co(request, &object_exports);
}

static void get_export_co(struct api_request *request)
{
	object_get_co(request, &object_exports);
}

static void replace_export_co(struct api_request *request)
{
	object_replace_co(request, &object_exports);
}

static void patch_export_co(struct api_request *request)
{
	object_patch_co(request, &object_exports);
}

static void delete_export_co(struct api_request *request)
{
	object_delete_co(request, &object_exports);
}

#define TARGETS "/api/v1/targets"
#define EXPORTS "/api/v1/exports"
#define CHANGE (API_DRY_RUN | API_NEEDS_MATCH)
#define CREATE (API_BODY | API_DRY_RUN | API_IDEMPOTENT | API_BY_CONFIG)
const struct api_route api_target_routes[] = {
	{"listTargets", "GET", TARGETS, API_VIEWER, API_PAGED, NULL,
		list_targets_co},
	{"createTarget", "POST", TARGETS, API_OPERATOR, CREATE, NULL,
		create_target_co},
	{"getTarget", "GET", TARGETS "/{iqn}", API_VIEWER, 0, NULL,
		get_target_co},
	{"replaceTarget", "PUT", TARGETS "/{iqn}", API_OPERATOR,
		API_BODY | CHANGE, NULL, replace_target_co},
	{"changeTarget", "PATCH", TARGETS "/{iqn}", API_OPERATOR,
		API_BODY | CHANGE, NULL, patch_target_co},
	{"deleteTarget", "DELETE", TARGETS "/{iqn}", API_OPERATOR, CHANGE,
		"cascade", delete_target_co},
	{"listExports", "GET", EXPORTS, API_VIEWER, API_PAGED,
		"volume target host", list_exports_co},
	{"createExport", "POST", EXPORTS, API_OPERATOR, CREATE, NULL,
		create_export_co},
	{"getExport", "GET", EXPORTS "/{id}", API_VIEWER, 0, NULL,
		get_export_co},
	{"replaceExport", "PUT", EXPORTS "/{id}", API_OPERATOR,
		API_BODY | CHANGE, NULL, replace_export_co},
	{"changeExport", "PATCH", EXPORTS "/{id}", API_OPERATOR,
		API_BODY | CHANGE, NULL, patch_export_co},
	{"deleteExport", "DELETE", EXPORTS "/{id}", API_OPERATOR, CHANGE, NULL,
		delete_export_co},
	{0},
};
