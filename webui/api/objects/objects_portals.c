/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portals: the addresses that hosts connect to.
 */
#include "webui/api/live/live.h"
#include "webui/api/objects/objects.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_PORT 3260 /* target/control/document/portals.c */

static const struct access_portal *running(
	struct api_request *request, const char *name)
{
	const struct access_table *table =
		appliance_table(request->parts->appliance);
	return table ? access_find_portal(table, name) : NULL;
}

static void complete(struct api_request *request,
	const struct config_object *object, json_t *json)
{
	const struct access_portal *portal = running(request, object->id);
	if (!json_object_get(json, "port"))
		json_object_set_new(json, "port", json_integer(DEFAULT_PORT));
	if (!json_object_get(json, "group"))
		json_object_set_new(json, "group", json_integer(1));
	const char *why =
		appliance_portal_why(request->parts->appliance, object->id);
	json_t *status = json_pack("{ss, si}", "state", why ? "closed" : "open",
		"port", portal ? (int)portal->port : 0);
	if (why)
		json_object_set_new(status, "reason", json_string(why));
	json_object_set_new(json, "status", status);
}

static void measure_co(struct api_request *request, json_t *items)
{
	live_sessions_count_co(request, items, "name", LIVE_BY_PORTAL);
}

static bool prepare(struct api_request *request,
	const struct config_object *present, json_t *value)
{
	if (json_is_null(json_object_get(value, "advertised")))
		json_object_del(value, "advertised");
	return object_check_name(request, CONFIG_PORTAL, present, value);
}

/* Targets that name it: without an edit of theirs, as they would be open at all
 * portals or at none. */
static void release(struct api_request *request,
	const struct config_object *object, struct object_edits *edits,
	json_t *held_by)
{
	const struct config_link *at = NULL;
	const struct config_object *one;
	char text[OBJECT_ID_BYTES + 16];
	(void)edits;
	while ((one = object_next_user(
			request, CONFIG_TARGET, 'p', object->id, &at))) {
		snprintf(text, sizeof text, "target %s", one->id);
		json_array_append_new(held_by, json_string(text));
	}
}

static const struct object_kind portals = {.kind = CONFIG_PORTAL,
	.collection = "portals",
	.parameter = "name",
	.id_member = "name",
	.complete = complete,
	.measure_co = measure_co,
	.prepare = prepare,
	.release = release};

static void list_co(struct api_request *request)
{
	object_list_co(request, &portals, NULL);
}

static void create_co(struct api_request *request)
{
	object_create_co(request, &portals);
}

static void get_co(struct api_request *request)
{
	object_get_co(request, &portals);
}

static void replace_co(struct api_request *request)
{
	object_replace_co(request, &portals);
}

static void patch_co(struct api_request *request)
{
	object_patch_co(request, &portals);
}

static void delete_co(struct api_request *request)
{
	object_delete_co(request, &portals);
}

static void answer_plan(struct api_request *request, const char *name)
{
	char object[OBJECT_ID_BYTES + 8];
	snprintf(object, sizeof object, "portal %s", name);
	api_answer(request, 200,
		json_pack("{sb, s[], s[{ss, ss, ss}]}", "dry_run", 1, "changes",
			"impact", "object", object, "effect", "live", "text",
			"hosts can log in there"));
}

/* Now, not when its time has come. */
static void open_co(struct api_request *request)
{
	const struct config_object *object = object_find(request, &portals);
	char name[OBJECT_ID_BYTES], path[OBJECT_ID_BYTES + 8];
	struct err err = {0};
	if (!object)
		return;
	snprintf(name, sizeof name, "%s", object->id);
	snprintf(path, sizeof path, "portals/%s", name);
	api_audit(request, path, NULL, NULL);
	int failed = appliance_portal_open_co(
		request->parts->appliance, name, request->dry_run, &err);
	if (failed == -ENOENT)
		api_problem(request, "not-found", "portal %s has gone", name);
	else if (failed)
		api_fail(request, &err);
	else if (request->dry_run)
		answer_plan(request, name);
	else
		object_answer_co(request, &portals, name);
}

#define PORTALS "/api/v1/portals"
#define CHANGE (API_DRY_RUN | API_NEEDS_MATCH)
const struct api_route api_portal_routes[] = {
	{"listPortals", "GET", PORTALS, API_VIEWER, API_PAGED, NULL, list_co},
	{"createPortal", "POST", PORTALS, API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT | API_BY_CONFIG, NULL,
		create_co},
	{"getPortal", "GET", PORTALS "/{name}", API_VIEWER, 0, NULL, get_co},
	{"replacePortal", "PUT", PORTALS "/{name}", API_OPERATOR,
		API_BODY | CHANGE, NULL, replace_co},
	{"changePortal", "PATCH", PORTALS "/{name}", API_OPERATOR,
		API_BODY | CHANGE, NULL, patch_co},
	{"deletePortal", "DELETE", PORTALS "/{name}", API_OPERATOR, CHANGE,
		NULL, delete_co},
	{"openPortal", "POST", PORTALS "/{name}/open", API_OPERATOR,
		API_DRY_RUN | API_IDEMPOTENT, NULL, open_co},
	{0},
};
