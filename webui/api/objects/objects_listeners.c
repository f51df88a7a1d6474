/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners of a volume, one by one, and what they can be told to do.
 *
 * Invariant: a change of a listener is a change of the volume's document: the
 * configuration finds the live step, keeps it, and a restart has it.
 */
#include "blockcore/spec.h"
#include "target/control/config/json_doc.h"
#include "webui/api/live/live_impact.h"
#include "webui/api/objects/objects_source.h"
#include "webui/api/server/body.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- listeners ---------------------------------------------------------------- */

/* What runs is shown; of a volume that is offline what its document has. */
static json_t *listeners_json(
	struct api_request *request, const struct config_object *object)
{
	json_t *running = source_running_json(
		request->parts->appliance, object->id, true);
	json_t *listeners = json_incref(json_object_get(
		json_object_get(running, "source"), "listeners"));
	json_decref(running);
	if (running)
		return listeners ? listeners : json_array();
	json_t *source = source_copy(object);
	listeners = json_incref(json_object_get(source, "listeners"));
	json_decref(source);
	return listeners;
}

static void list_listeners_co(struct api_request *request)
{
	const struct config_object *object = source_volume(request);
	struct api_page page;
	json_t *listener;
	size_t i;
	if (!object || !api_page_begin(request, &page))
		return;
	json_t *listeners = listeners_json(request, object);
	json_array_foreach(listeners, i, listener)
	{
		/* Their order means something: the cursor is a place in it. */
		char key[24];
		snprintf(key, sizeof key, "%03zu", i);
		if (api_page_wants(&page, key))
			api_page_add(&page, key, json_incref(listener));
	}
	json_decref(listeners);
	object_set_etag(request, object);
	api_page_answer(request, &page);
}

/* The listener as it runs, NULL: 404 is answered. */
static json_t *find_listener(struct api_request *request,
	const struct config_object *object, const char *name)
{
	json_t *listeners = listeners_json(request, object);
	json_t *one = json_incref(
		json_array_get(listeners, source_find_named(listeners, name)));
	json_decref(listeners);
	if (!one)
		api_problem(request, "not-found",
			"volume \"%s\" has no listener \"%.64s\"", object->id,
			name);
	return one;
}

static void get_listener_co(struct api_request *request)
{
	const struct config_object *object = source_volume(request);
	json_t *one = object ? find_listener(request, object,
				       api_parameter(request, "listener"))
			     : NULL;
	if (!one)
		return;
	object_set_etag(request, object);
	api_answer(request, 200, one);
}

static void set_volume_etag(struct api_request *request, const char *id)
{
	const struct config_object *object =
		config_find(request->parts->config, CONFIG_VOLUME, id);
	if (object)
		object_set_etag(request, object);
}

#define PLACE_BYTES 400u

static void print_place(
	const char *volume, const char *name, char place[PLACE_BYTES])
{
	snprintf(place, PLACE_BYTES, "/api/v1/volumes/%s/listeners/%s", volume,
		name);
}

static void answer_listener(struct api_request *request, const char *volume,
	const char *name, bool created)
{
	char location[PLACE_BYTES];
	const struct config_object *object =
		config_find(request->parts->config, CONFIG_VOLUME, volume);
	if (!object) {
		api_problem(request, "not-found", "the volume has gone since");
		return;
	}
	json_t *one = find_listener(request, object, name);
	if (!one)
		return;
	set_volume_etag(request, volume);
	print_place(volume, name, location);
	if (created)
		api_answer_created(request, location, one);
	else
		api_answer(request, 200, one);
}

/* Puts the new one where it is asked to be. False: answered. */
static bool place_listener(struct api_request *request, json_t *source,
	json_t *listener, size_t *place)
{
	const char *below = api_query(request, "below");
	json_t *listeners = json_object_get(source, "listeners");
	if (!below) {
		*place = source_insert(source, listener);
		return true;
	}
	size_t above = source_find_named(listeners, below);
	if (above == json_array_size(listeners)) {
		json_decref(listener);
		api_problem(request, "not-found",
			"there is no listener \"%.64s\" to put it under",
			below);
		return false;
	}
	*place = above + 1;
	json_array_insert_new(listeners, above + 1, listener);
	return true;
}

static void attach_co(struct api_request *request)
{
	const char *volume = api_parameter(request, "name");
	char name[BLOCK_NAME_BYTES], prefix[64], at[PLACE_BYTES];
	size_t place;
	api_turn_co(request);
	const struct config_object *object = source_volume(request);
	if (!object)
		return;
	if (!json_is_object(request->body)) {
		api_problem_at(request, "", NULL, "an object is expected");
		return;
	}
	json_t *source = source_copy(object);
	json_t *listener = json_deep_copy(request->body);
	json_object_del(listener, "status");
	source_name_listener(json_object_get(source, "listeners"), listener);
	const char *given = source_text(listener, "name");
	snprintf(name, sizeof name, "%s", given ? given : "");
	if (source_find(source, name) < source_count(source)) {
		json_decref(listener);
		json_decref(source);
		api_problem(request, "conflict",
			"a listener \"%s\" is there already", name);
		return;
	}
	if (!place_listener(request, source, listener, &place)) {
		json_decref(source);
		return;
	}
	snprintf(prefix, sizeof prefix, "/source/listeners/%zu", place);
	print_place(volume, name, at);
	api_answers_as(request, 201, at);
	if (source_change_co(
		    request, object, source, "got another listener", prefix))
		answer_listener(request, volume, name, true);
}

/* The source's copy and where the listener of the path stands in it; NULL:
 * answered. */
static json_t *source_with(struct api_request *request,
	const struct config_object *object, size_t *index)
{
	const char *name = api_parameter(request, "listener");
	if (!object || !object_match(request, object))
		return NULL;
	json_t *source = source_copy(object);
	*index = source_find(source, name);
	if (*index < source_count(source))
		return source;
	json_decref(source);
	api_problem(request, "not-found",
		"volume \"%s\" has no listener \"%.64s\"", object->id, name);
	return NULL;
}

static void configure_co(struct api_request *request)
{
	char prefix[64];
	size_t index;
	api_turn_co(request);
	const struct config_object *object = source_volume(request);
	json_t *source = source_with(request, object, &index);
	if (!source)
		return;
	json_t *merged =
		object_merge(source_listener(source, index), request->body);
	json_array_set_new(json_object_get(source, "listeners"), index, merged);
	snprintf(prefix, sizeof prefix, "/source/listeners/%zu", index);
	if (source_change_co(request, object, source,
		    "got a listener configured", prefix))
		answer_listener(request, api_parameter(request, "name"),
			api_parameter(request, "listener"), false);
}

static void detach_co(struct api_request *request)
{
	size_t index;
	api_turn_co(request);
	const struct config_object *object = source_volume(request);
	json_t *source = source_with(request, object, &index);
	if (!source)
		return;
	json_array_remove(json_object_get(source, "listeners"), index);
	if (source_change_co(request, object, source, "lost a listener", ""))
		api_answer_empty(request);
}

/* -- verbs -------------------------------------------------------------------- */

/* Drivers print JSON members, or words. */
static json_t *result_json(const char *text, size_t bytes)
{
	char *object = malloc(bytes + 3);
	json_t *json = NULL;
	if (!object)
		return NULL;
	sprintf(object, "{%.*s}", (int)bytes, text);
	json = json_loads(object, 0, NULL);
	free(object);
	if (!json)
		json = json_stringn(text, bytes);
	return json ? json : json_null();
}

/* What a driver refuses is in the arguments that it was given. */
static void fail_command(struct api_request *request, struct err *err)
{
	char pointer[ERR_POINTER_BYTES];
	if (*err->pointer &&
		(size_t)snprintf(pointer, sizeof pointer, "/arguments%s",
			err->pointer) < sizeof pointer)
		err_point(err, pointer);
	api_fail(request, err);
}

static void rehearse_co(struct api_request *request,
	struct block_source *source, const char *verb,
	const struct doc *arguments)
{
	const char *listener = api_parameter(request, "listener");
	struct err err = {0};
	char text[2 * BLOCK_NAME_BYTES + 32];
	block_source_get(source);
	int failed = spec_command_rehearse_co(
		source, listener, verb, arguments, &err);
	block_source_put_co(source);
	snprintf(text, sizeof text, "listener %.63s is told: %.63s", listener,
		verb);
	if (failed)
		fail_command(request, &err);
	else
		live_plan_co(
			request, api_parameter(request, "name"), "live", text);
}

static void tell_co(struct api_request *request, struct block_source *source,
	const char *verb, const struct doc *arguments)
{
	struct err err = {0};
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	if (!out) {
		api_answer(request, 500, NULL);
		return;
	}
	block_source_get(source); /* the volume may let go of it meanwhile */
	int failed = spec_command_co(source, api_parameter(request, "listener"),
		verb, arguments, out, &err);
	block_source_put_co(source);
	if (fclose(out) || failed)
		fail_command(request, &err);
	else
		api_answer(request, 200,
			json_pack("{so}", "result", result_json(text, bytes)));
	free(text);
}

static void command_co(struct api_request *request)
{
	struct err err = {0};
	const struct config_object *object = source_volume(request);
	const char *verb = source_text(request->body, "verb");
	const json_t *given = json_object_get(request->body, "arguments");
	if (!object || !body_has_only(request, "verb arguments"))
		return;
	struct block_source *source = source_running(request, object->id);
	if (!verb) {
		api_problem_at(request, "/verb", NULL, "a text is expected");
		return;
	}
	if (!source) {
		api_problem(request, "storage",
			"volume \"%s\" is offline: nothing runs", object->id);
		return;
	}
	struct doc *arguments =
		given && !json_is_null(given) ? json_to_doc(given, &err) : NULL;
	if (given && !json_is_null(given) && !arguments)
		api_fail(request, &err);
	else if (request->dry_run)
		rehearse_co(request, source, verb, arguments);
	else
		tell_co(request, source, verb, arguments);
	doc_free(arguments);
}

#define LISTENERS "/api/v1/volumes/{name}/listeners"
#define LISTENER LISTENERS "/{listener}"
#define CHANGE (API_DRY_RUN | API_NEEDS_MATCH)
const struct api_route api_listener_routes[] = {
	{"listListeners", "GET", LISTENERS, API_VIEWER, API_PAGED, NULL,
		list_listeners_co},
	{"attachListener", "POST", LISTENERS, API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT | API_BY_CONFIG,
		"below", attach_co},
	{"getListener", "GET", LISTENER, API_VIEWER, 0, NULL, get_listener_co},
	{"configureListener", "PATCH", LISTENER, API_OPERATOR,
		API_BODY | CHANGE, NULL, configure_co},
	{"detachListener", "DELETE", LISTENER, API_OPERATOR, CHANGE, NULL,
		detach_co},
	{"commandListener", "POST", LISTENER "/commands", API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT, NULL, command_co},
	{0},
};
