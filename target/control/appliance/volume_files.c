/* SPDX-License-Identifier: Apache-2.0 */
/* Files that were made; see the header. */
#include "target/control/appliance/volume_files.h"

#include <stdlib.h>
#include <string.h>

static bool each_leg(json_t *source,
	bool (*visit)(json_t *protocol, const char *path, bool backing,
		void *argument),
	void *argument)
{
	json_t *listener;
	size_t i;

	json_array_foreach(json_object_get(source, "listeners"), i, listener)
	{
		json_t *leg = json_object_get(listener, "leg");

		if (leg && !volume_files_each(leg, true, visit, argument))
			return false;
	}
	return true;
}

bool volume_files_each(json_t *source, bool backing,
	bool (*visit)(json_t *protocol, const char *path, bool backing,
		void *argument),
	void *argument)
{
	json_t *protocol = json_object_get(source, "protocol");
	json_t *format = json_object_get(source, "format");
	const char *type = json_string_value(json_object_get(protocol, "type"));
	const char *path = json_string_value(json_object_get(protocol, "path"));

	if (type && path && !strcmp(type, "file") &&
		!visit(protocol, path, backing, argument))
		return false;
	/* Of what is no object there are no members: texts name other sources. */
	json_t *below[] = {json_object_get(source, "source"),
		json_object_get(format, "file"),
		json_object_get(format, "backing")};
	for (int i = 0; i < 3; i++) {
		if (below[i] &&
			!volume_files_each(
				below[i], backing || i == 2, visit, argument))
			return false;
	}
	return each_leg(source, visit, argument);
}

const char *volume_files_image(const json_t *source)
{
	const json_t *format = json_object_get(source, "format");
	const json_t *file = format ? json_object_get(format, "file") : source;
	const json_t *protocol = json_object_get(file, "protocol");
	const char *type = json_string_value(json_object_get(protocol, "type"));

	return type && !strcmp(type, "file")
		? json_string_value(json_object_get(protocol, "path"))
		: NULL;
}

static bool may_make(const json_t *protocol)
{
	return json_object_get(protocol, "size") != NULL;
}

static bool keep_path(
	json_t *protocol, const char *path, bool backing, void *argument)
{
	(void)backing;
	return !may_make(protocol) ||
		!json_object_set_new(argument, path, json_null());
}

/* The keys of `paths`, sorted, as an array. */
static char *paths_text(json_t *paths)
{
	json_t *list = json_array();
	char *text = json_dumps(paths, JSON_SORT_KEYS);
	json_t *sorted = text ? json_loads(text, 0, NULL) : NULL;
	const char *path;
	json_t *nothing;

	free(text);
	json_object_foreach(sorted, path, nothing)
		json_array_append_new(list, json_string(path));
	text = list && sorted ? json_dumps(list, JSON_COMPACT) : NULL;
	json_decref(list);
	json_decref(sorted);
	return text;
}

char *volume_files_list(const char *source_json)
{
	json_t *source = json_loads(source_json, 0, NULL);
	json_t *paths = json_object();
	char *text = NULL;

	if (source && paths &&
		volume_files_each(source, false, keep_path, paths))
		text = paths_text(paths);
	json_decref(paths);
	json_decref(source);
	return text;
}

static bool hold_file(
	json_t *protocol, const char *path, bool backing, void *argument)
{
	json_t *made = argument, *value;
	size_t i;

	(void)backing;
	if (!may_make(protocol))
		return true;
	json_array_foreach(made, i, value)
	{
		const char *text = json_string_value(value);

		if (text && !strcmp(text, path))
			return !json_object_set_new(
				protocol, "must_exist", json_true());
	}
	return true;
}

char *volume_files_hold(
	const char *source_json, const char *made, size_t made_bytes)
{
	json_t *source = json_loads(source_json, 0, NULL);
	json_t *list = json_loadb(made, made_bytes, 0, NULL);
	char *text = NULL;

	if (json_is_object(source) && json_is_array(list) &&
		volume_files_each(source, false, hold_file, list))
		text = json_dumps(source, JSON_COMPACT);
	json_decref(list);
	json_decref(source);
	return text;
}
