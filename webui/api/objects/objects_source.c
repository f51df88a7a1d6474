/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack of a volume: its document, what runs, its size.
 */
#include "webui/api/objects/objects_source.h"
#include "blockcore/kind.h"
#include "blockcore/spec.h"
#include "target/control/config/json_doc.h"
#include "target/volume/view.h"
#include "webui/api/server/body.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static struct block_source *running(
	struct appliance *appliance, const char *volume)
{
	struct volume *found = appliance_find_volume(appliance, volume);
	return found ? atomic_load(&found->source) : NULL;
}

struct block_source *source_running(
	struct api_request *request, const char *volume)
{
	return running(request->parts->appliance, volume);
}

/* As spec_print has it; NULL: it is offline. */
json_t *source_running_json(
	struct appliance *appliance, const char *volume, bool status)
{
	struct block_source *source = running(appliance, volume);
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
	json_t *json = source_running_json(
		request->parts->appliance, object->id, true);
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
	api_turn_co(request);
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

/* What has the size, if that can change beside running I/O: a file or an image. Its
 * pointer in *pointer. */
static json_t *sized_bottom(json_t *source, const char **pointer)
{
	json_t *protocol = json_object_get(source, "protocol");
	json_t *format = json_object_get(source, "format");
	const char *type = source_text(protocol ? protocol : format, "type");
	*pointer = protocol ? "/source/protocol" : "/source/format";
	if (!type || strcmp(type, protocol ? "file" : "qcow2"))
		return NULL;
	return protocol ? protocol : format;
}

static void resize_co(struct api_request *request)
{
	const char *name = api_parameter(request, "name");
	json_t *size = json_object_get(request->body, "size");
	bool may_shrink = false;
	api_turn_co(request);
	const struct config_object *object = source_volume(request);
	if (!object || !body_has_only(request, "size shrink") ||
		!body_may_bool(request, "shrink", &may_shrink))
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
	const char *pointer;
	json_t *bottom = sized_bottom(source, &pointer);
	if (!bottom) {
		json_decref(source);
		api_problem(request, "conflict",
			"only a volume on a file or a qcow2 image has a size "
			"that can change while it runs");
		return;
	}
	json_object_set(bottom, "size", size);
	if (source_change_co(request, object, source, "resized", pointer))
		object_answer_co(request, &object_volumes, name);
}

#define VOLUME "/api/v1/volumes/{name}"
#define CHANGE (API_DRY_RUN | API_NEEDS_MATCH)
const struct api_route api_source_routes[] = {
	{"getSource", "GET", VOLUME "/source", API_VIEWER, 0, "status",
		get_source_co},
	{"replaceSource", "PUT", VOLUME "/source", API_OPERATOR,
		API_BODY | CHANGE, NULL, replace_source_co},
	{"resizeVolume", "POST", VOLUME "/resize", API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT | API_BY_CONFIG, NULL,
		resize_co},
	{0},
};
