/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume's source document, to be looked at and changed.
 */
#ifndef WEBUI_API_OBJECTS_OBJECTS_SOURCE_H
#define WEBUI_API_OBJECTS_OBJECTS_SOURCE_H

#include "webui/api/objects/objects.h"

/* The volume that the path names; NULL: 404 is answered. */
const struct config_object *source_volume(struct api_request *request);
/* A copy of its source, with `listeners` and all their names. */
json_t *source_copy(const struct config_object *object);
size_t source_count(const json_t *source); /* listeners */
/* Index of the listener of that name; source_count if there is none. */
size_t source_find(const json_t *source, const char *name);
json_t *source_listener(const json_t *source, size_t index); /* borrowed */
/* The text of a member, NULL if it has none. */
const char *source_text(const json_t *object, const char *member);
/* The same as source_find for a list of listeners. */
size_t source_find_named(const json_t *listeners, const char *name);
/* Gives a listener that comes to the list the name it would run under, if it has
 * none. */
void source_name_listener(const json_t *listeners, json_t *one);
/* Puts a listener (taken over) where its kind belongs; its index. */
size_t source_insert(json_t *source, json_t *listener);

/* Changes the volume to this source, which is taken over. See object_change_co;
 * false: answered. */
bool source_change_co(struct api_request *request,
	const struct config_object *object, json_t *source, const char *verb,
	const char *prefix);

/* What runs, borrowed until the caller yields; NULL: offline. */
struct block_source *source_running(
	struct api_request *request, const char *volume);
/* The same as JSON (spec_print), with what drivers count; NULL: offline. */
json_t *source_running_json(
	struct appliance *appliance, const char *volume, bool status);

#endif
