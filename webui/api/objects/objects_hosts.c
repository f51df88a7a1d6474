/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts: who may connect, their secrets, and what each of them sees.
 *
 * Invariant: secrets go in, by PUT of a host or of its secret, and never come out.
 */
#include "target/volume/view.h"
#include "webui/api/live/live.h"
#include "webui/api/objects/objects.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- answers ---------------------------------------------------------------- */

static unsigned count_luns(struct api_request *request, const char *host)
{
	const struct config_link *at = NULL;
	unsigned count = 0;
	while (object_next_user(request, CONFIG_EXPORT, 'h', host, &at))
		count++;
	return count;
}

static void complete_host(struct api_request *request,
	const struct config_object *object, json_t *json)
{
	json_object_set_new(json, "status",
		json_pack(
			"{si}", "luns", (int)count_luns(request, object->id)));
}

static void measure_hosts_co(struct api_request *request, json_t *items)
{
	live_sessions_count_co(request, items, "name", LIVE_BY_HOST);
}

static bool prepare_host(struct api_request *request,
	const struct config_object *present, json_t *value)
{
	return object_check_name(request, CONFIG_HOST, present, value);
}

/* -- who names a host --------------------------------------------------------- */

static json_t *without(const json_t *value, const char *host)
{
	json_t *copy = json_deep_copy(value);
	json_t *hosts = json_object_get(copy, "hosts");
	for (size_t i = json_array_size(hosts); i-- > 0;) {
		const char *name = json_string_value(json_array_get(hosts, i));
		if (name && !strcmp(name, host))
			json_array_remove(hosts, i);
	}
	return copy;
}

/* An export that nobody else sees goes. */
static void release_host(struct api_request *request,
	const struct config_object *object, struct object_edits *edits,
	json_t *held_by)
{
	const struct config_link *at = NULL;
	const struct config_object *one;
	while ((one = object_next_user(
			request, CONFIG_EXPORT, 'h', object->id, &at))) {
		char text[OBJECT_ID_BYTES + 16];
		snprintf(text, sizeof text, "export %s", one->id);
		json_array_append_new(held_by, json_string(text));
		json_t *rest = without(one->value, object->id);
		if (!json_array_size(json_object_get(rest, "hosts"))) {
			json_decref(rest);
			rest = NULL;
		}
		object_edit(edits, CONFIG_EXPORT, one->id, rest);
	}
}

const struct object_kind object_hosts = {.kind = CONFIG_HOST,
	.collection = "hosts",
	.parameter = "name",
	.id_member = "name",
	.complete = complete_host,
	.measure_co = measure_hosts_co,
	.prepare = prepare_host,
	.release = release_host};

/* -- secrets ------------------------------------------------------------------ */

/* The host with this CHAP, NULL: none; `chap` is taken over. */
static void change_chap_co(struct api_request *request,
	const struct config_object *object, json_t *chap)
{
	char id[OBJECT_ID_BYTES];
	struct object_edits *edits = calloc(1, sizeof *edits);
	json_t *value = json_deep_copy(object->value);
	json_t *iscsi = json_object_get(value, "iscsi");
	bool removes = !chap;
	if (!edits || !iscsi) {
		json_decref(value);
		json_decref(chap);
		free(edits);
		api_answer(request, 500, NULL);
		return;
	}
	if (chap)
		json_object_set_new(iscsi, "chap", chap);
	else
		json_object_del(iscsi, "chap");
	object_edit(edits, CONFIG_HOST, object->id, value);
	if (object_change_co(request, edits, "got other secrets",
		    removes ? "" : "/iscsi/chap", id)) {
		if (removes)
			api_answer_empty(request);
		else
			object_answer_co(request, &object_hosts, id);
	}
	object_edits_free(edits);
}

static void set_secret_co(struct api_request *request)
{
	api_turn_co(request);
	const struct config_object *object =
		object_find(request, &object_hosts);
	if (!object || !object_match(request, object))
		return;
	if (!json_is_object(request->body)) {
		api_problem_at(request, "", NULL, "an object is expected");
		return;
	}
	if (!json_is_string(json_object_get(request->body, "secret"))) {
		api_problem_at(request, "/secret", NULL, "a text is expected");
		return;
	}
	change_chap_co(request, object, json_deep_copy(request->body));
}

static void remove_secret_co(struct api_request *request)
{
	api_turn_co(request);
	const struct config_object *object =
		object_find(request, &object_hosts);
	if (object && object_match(request, object))
		change_chap_co(request, object, NULL);
}

/* -- what it sees -------------------------------------------------------------- */

static json_t *lun_json(
	struct api_request *request, const struct config_object *export)
{
	char iqn[ACCESS_NAME_BYTES];
	struct volume_view view;
	const char *name =
		json_string_value(json_object_get(export->value, "volume"));
	const struct volume *volume = name
		? appliance_find_volume(request->parts->appliance, name)
		: NULL;
	object_export_iqn(request, export, iqn);
	json_t *json = json_pack("{ss, ss, sO, ss, sb}", "export", export->id,
		"target", iqn, "lun", json_object_get(export->value, "lun"),
		"volume", name ? name : "", "read_only",
		json_is_true(json_object_get(export->value, "read_only")));
	if (!json || !volume)
		return json;
	volume_view_get(volume, &view);
	json_object_set_new(json, "state",
		json_string(view.failed	       ? "failed"
				: !view.online ? "offline"
				: view.ejected ? "ejected"
					       : "online"));
	if (view.online)
		json_object_set_new(json, "size_bytes",
			json_integer((json_int_t)view.size_bytes));
	return json;
}

static void list_luns_co(struct api_request *request)
{
	const struct config_object *one = NULL;
	const struct config_object *host = object_find(request, &object_hosts);
	struct api_page page;
	char key[24];
	if (!host || !api_page_begin(request, &page))
		return;
	while ((one = config_next(
			request->parts->config, CONFIG_EXPORT, one))) {
		if (object_lists(one, "hosts", host->id) &&
			api_page_wants(&page, object_page_key(one, key)))
			api_page_add(&page, key, lun_json(request, one));
	}
	api_page_answer(request, &page);
}

/* -- the rest ---------------------------------------------------------------- */

static void list_co(struct api_request *request)
{
	object_list_co(request, &object_hosts, NULL);
}

static void create_co(struct api_request *request)
{
	object_create_co(request, &object_hosts);
}

static void get_co(struct api_request *request)
{
	object_get_co(request, &object_hosts);
}

static void replace_co(struct api_request *request)
{
	object_replace_co(request, &object_hosts);
}

static void patch_co(struct api_request *request)
{
	object_patch_co(request, &object_hosts);
}

static void delete_co(struct api_request *request)
{
	object_delete_co(request, &object_hosts);
}

#define HOSTS "/api/v1/hosts"
#define CHANGE (API_DRY_RUN | API_NEEDS_MATCH)
const struct api_route api_host_routes[] = {
	{"listHosts", "GET", HOSTS, API_VIEWER, API_PAGED, NULL, list_co},
	{"createHost", "POST", HOSTS, API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT | API_BY_CONFIG, NULL,
		create_co},
	{"getHost", "GET", HOSTS "/{name}", API_VIEWER, 0, NULL, get_co},
	{"replaceHost", "PUT", HOSTS "/{name}", API_OPERATOR, API_BODY | CHANGE,
		NULL, replace_co},
	{"changeHost", "PATCH", HOSTS "/{name}", API_OPERATOR,
		API_BODY | CHANGE, NULL, patch_co},
	{"deleteHost", "DELETE", HOSTS "/{name}", API_OPERATOR, CHANGE,
		"cascade", delete_co},
	{"setSecret", "PUT", HOSTS "/{name}/secret", API_OPERATOR,
		API_BODY | CHANGE, NULL, set_secret_co},
	{"removeSecret", "DELETE", HOSTS "/{name}/secret", API_OPERATOR, CHANGE,
		NULL, remove_secret_co},
	{"listLuns", "GET", HOSTS "/{name}/luns", API_VIEWER, API_PAGED, NULL,
		list_luns_co},
	{0},
};
