/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack of a volume: its document, what runs, its size, its listeners one by one
 * and what they can be told to do.
 *
 * Invariants
 *  1. A change of a listener is a change of the volume's document: the configuration
 *     finds the live step, keeps it, and a restart has it.
 *  2. A listener without a name is called by its type, the second one TYPE-2, as the
 *     running stack calls it. Once one is changed all have their names.
 */
#include "webui/api/objects_source.h"
#include "blockcore/spec.h"
#include "target/control/config/json_doc.h"
#include "target/volume/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- documents --------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

static size_t find_named(const json_t *listeners, const char *name)
{
	size_t i;
	for (i = 0; i < json_array_size(listeners); i++) {
		const char *other =
			text_of(json_array_get(listeners, i), "name");
		if (other && !strcmp(other, name))
			break;
	}
	return i;
}

static void name_listener(const json_t *listeners, json_t *one)
{
	const char *type = text_of(one, "type");
	char name[BLOCK_NAME_BYTES];
	if (!type || json_object_get(one, "name"))
		return;
	snprintf(name, sizeof name, "%s", type);
	for (unsigned n = 2;
		find_named(listeners, name) < json_array_size(listeners); n++)
		snprintf(name, sizeof name, "%.50s-%u", type, n);
	json_object_set_new(one, "name", json_string(name));
}

json_t *source_copy(const struct config_object *object)
{
	json_t *source =
		json_deep_copy(json_object_get(object->value, "source"));
	json_t *listeners = json_object_get(source, "listeners");
	json_t *one;
	size_t i;
	if (!json_is_array(listeners)) {
		json_object_set_new(source, "listeners", json_array());
		return source;
	}
	json_array_foreach(listeners, i, one) name_listener(listeners, one);
	return source;
}

size_t source_find(const json_t *source, const char *name)
{
	return find_named(json_object_get(source, "listeners"), name);
}

size_t source_count(const json_t *source)
{
	return json_array_size(json_object_get(source, "listeners"));
}

json_t *source_listener(const json_t *source, size_t index)
{
	return json_array_get(json_object_get(source, "listeners"), index);
}

/* Where the core would put it: at the top of its band. */
static size_t place_of(const json_t *listeners, const json_t *listener)
{
	const char *type = text_of(listener, "type");
	const struct block_kind *kind =
		type ? block_kind_find(BLOCK_LISTENER, type) : NULL;
	size_t i;
	for (i = 0; kind && i < json_array_size(listeners); i++) {
		const char *other =
			text_of(json_array_get(listeners, i), "type");
		const struct block_kind *above =
			other ? block_kind_find(BLOCK_LISTENER, other) : NULL;
		if (!above || above->band >= kind->band)
			break;
	}
	return kind ? i : 0;
}

size_t source_insert(json_t *source, json_t *listener)
{
	json_t *listeners = json_object_get(source, "listeners");
	size_t place = place_of(listeners, listener);
	json_array_insert_new(listeners, place, listener);
	return place;
}

/* -- one change --------------------------------------------------------------- */

bool source_change_co(struct api_request *request,
	const struct config_object *object, json_t *source, const char *verb,
	const char *prefix)
{
	char id[OBJECT_ID_BYTES];
	struct object_edits *edits = calloc(1, sizeof *edits);
	json_t *value = json_copy(object->value);
	if (!edits || !value || !source) {
		free(edits);
		json_decref(value);
		json_decref(source);
		api_answer(request, 500, NULL);
		return false;
	}
	json_t *listeners = json_object_get(source, "listeners");
	if (json_is_array(listeners) && !json_array_size(listeners))
		json_object_del(source, "listeners");
	json_object_set_new(value, "source", source);
	object_edit(edits, CONFIG_VOLUME, object->id, value);
	bool done = object_change_co(request, edits, verb, prefix, id);
	object_edits_free(edits);
	return done;
}

const struct config_object *source_volume(struct api_request *request)
{
	return object_find(request, &object_volumes);
}

/* -- what runs ---------------------------------------------------------------- */

struct block_source *source_running(
	struct api_request *request, const char *volume)
{
	struct volume *found =
		appliance_find_volume(request->parts->appliance, volume);
	return found ? atomic_load(&found->source) : NULL;
}

/* As spec_print has it; NULL: it is offline. */
static json_t *running_json(
	struct api_request *request, const char *volume, bool status)
{
	struct block_source *source = source_running(request, volume);
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = source ? open_memstream(&text, &bytes) : NULL;
	if (!out)
		return NULL;
	spec_print(source, status, out);
	json_t *json = fclose(out) ? NULL : json_loadb(text, bytes, 0, NULL);
	free(text);
	return json;
}

static void set_volume_etag(struct api_request *request, const char *id)
{
	const struct config_object *object =
		config_find(request->parts->config, CONFIG_VOLUME, id);
	if (object)
		object_set_etag(request, object);
}

static void get_source_co(struct api_request *request)
{
	bool status;
	const struct config_object *object = source_volume(request);
	if (!object || !api_query_bool(request, "status", false, &status))
		return;
	object_set_etag(request, object);
	if (!status) {
		api_answer(request, 200,
			json_incref(json_object_get(object->value, "source")));
		return;
	}
	json_t *json = running_json(request, object->id, true);
	if (json)
		api_answer(request, 200, json);
	else
		api_problem(request, "storage",
			"volume \"%s\" is offline: nothing runs", object->id);
}

static void answer_source(struct api_request *request, const char *volume)
{
	const struct config_object *object =
		config_find(request->parts->config, CONFIG_VOLUME, volume);
	if (!object) {
		api_problem(request, "not-found", "the volume has gone since");
		return;
	}
	object_set_etag(request, object);
	api_answer(request, 200,
		json_incref(json_object_get(object->value, "source")));
}

static void replace_source_co(struct api_request *request)
{
	const char *name = api_parameter(request, "name");
	const struct config_object *object = source_volume(request);
	if (!object || !object_match(request, object))
		return;
	if (!json_is_object(request->body)) {
		api_problem_at(request, "", NULL, "an object is expected");
		return;
	}
	if (source_change_co(request, object, json_deep_copy(request->body),
		    "got another stack", "/source"))
		answer_source(request, name);
}

/* -- listeners ---------------------------------------------------------------- */

/* What runs is shown; of a volume that is offline what its document has. */
static json_t *listeners_json(
	struct api_request *request, const struct config_object *object)
{
	json_t *running = running_json(request, object->id, true);
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
	if (!object)
		return;
	object_set_etag(request, object);
	api_answer(request, 200,
		json_pack("{so, sn}", "items", listeners_json(request, object),
			"next"));
}

/* The listener as it runs, NULL: 404 is answered. */
static json_t *find_listener(struct api_request *request,
	const struct config_object *object, const char *name)
{
	json_t *listeners = listeners_json(request, object);
	json_t *one = json_incref(
		json_array_get(listeners, find_named(listeners, name)));
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

static void answer_listener(struct api_request *request, const char *volume,
	const char *name, bool created)
{
	char location[400];
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
	snprintf(location, sizeof location, "/api/v1/volumes/%s/listeners/%s",
		volume, name);
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
	size_t above = find_named(listeners, below);
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
	char name[BLOCK_NAME_BYTES], prefix[64];
	size_t place;
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
	name_listener(json_object_get(source, "listeners"), listener);
	const char *given = text_of(listener, "name");
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
		api_fail(request, &err);
	else
		api_answer(request, 200,
			json_pack("{so}", "result", result_json(text, bytes)));
	free(text);
}

static void command_co(struct api_request *request)
{
	struct err err = {0};
	const struct config_object *object = source_volume(request);
	const char *verb = text_of(request->body, "verb");
	const json_t *given = json_object_get(request->body, "arguments");
	if (!object)
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
	else
		tell_co(request, source, verb, arguments);
	doc_free(arguments);
}

/* -- size --------------------------------------------------------------------- */

/* True if `to` is smaller than what the volume shows now. */
static bool shrinks(
	struct api_request *request, const char *volume, const json_t *to)
{
	struct volume_view view;
	uint64_t bytes = 0;
	struct volume *found =
		appliance_find_volume(request->parts->appliance, volume);
	struct doc *doc = json_to_doc(to, NULL);
	bool is_size = doc && !doc_size(doc, 0, UINT64_MAX, &bytes, NULL);
	doc_free(doc);
	if (!found || !is_size)
		return false;
	volume_view_get(found, &view);
	return view.online && bytes < view.size_bytes;
}

/* The protocol that has the size, if that can change beside running I/O. */
static json_t *sized_protocol(json_t *source)
{
	json_t *protocol = json_object_get(source, "protocol");
	const char *type = text_of(protocol, "type");
	return type && !strcmp(type, "file") ? protocol : NULL;
}

static void resize_co(struct api_request *request)
{
	const char *name = api_parameter(request, "name");
	json_t *size = json_object_get(request->body, "size");
	bool may_shrink =
		json_is_true(json_object_get(request->body, "shrink"));
	const struct config_object *object = source_volume(request);
	if (!object)
		return;
	if (!size) {
		api_problem_at(request, "/size", NULL, "a size is expected");
		return;
	}
	if (!may_shrink && shrinks(request, object->id, size)) {
		api_problem_at(request, "/size", NULL,
			"it is smaller than the volume: what lies behind the "
			"new end would be lost; say \"shrink\": true if that "
			"is "
			"meant");
		return;
	}
	json_t *source =
		json_deep_copy(json_object_get(object->value, "source"));
	json_t *protocol = sized_protocol(source);
	if (!protocol) {
		json_decref(source);
		api_problem(request, "conflict",
			"only a volume on a file has a size that can change "
			"while it runs");
		return;
	}
	json_object_set(protocol, "size", size);
	if (source_change_co(
		    request, object, source, "resized", "/source/protocol"))
		object_answer(request, &object_volumes, name);
}

#define VOLUME "/api/v1/volumes/{name}"
#define LISTENER VOLUME "/listeners/{listener}"
#define CHANGE (API_DRY_RUN | API_NEEDS_MATCH)
const struct api_route api_source_routes[] = {
	{"getSource", "GET", VOLUME "/source", API_VIEWER, 0, "status",
		get_source_co},
	{"replaceSource", "PUT", VOLUME "/source", API_OPERATOR,
		API_BODY | CHANGE, NULL, replace_source_co},
	{"resizeVolume", "POST", VOLUME "/resize", API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT, NULL, resize_co},
	{"listListeners", "GET", VOLUME "/listeners", API_VIEWER, 0, NULL,
		list_listeners_co},
	{"attachListener", "POST", VOLUME "/listeners", API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT, "below", attach_co},
	{"getListener", "GET", LISTENER, API_VIEWER, 0, NULL, get_listener_co},
	{"configureListener", "PATCH", LISTENER, API_OPERATOR,
		API_BODY | CHANGE, NULL, configure_co},
	{"detachListener", "DELETE", LISTENER, API_OPERATOR, CHANGE, NULL,
		detach_co},
	{"commandListener", "POST", LISTENER "/commands", API_OPERATOR,
		API_BODY | API_IDEMPOTENT, NULL, command_co},
	{NULL},
};
