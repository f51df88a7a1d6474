/* SPDX-License-Identifier: Apache-2.0 */
/* Members of small bodies; see body.h. */
#include "webui/api/server/body.h"

#include <stdio.h>
#include <string.h>

static bool listed(const char *names, const char *name)
{
	size_t bytes = strlen(name);
	for (const char *at = names; *at;) {
		size_t length = strcspn(at, " ");
		if (length == bytes && !memcmp(at, name, bytes))
			return true;
		at += length + strspn(at + length, " ");
	}
	return false;
}

static void wrong(
	struct api_request *request, const char *name, const char *expected)
{
	char pointer[80];
	snprintf(pointer, sizeof pointer, "/%.64s", name);
	api_problem_at(request, pointer, NULL, "%s", expected);
}

static json_t *allowed_of(const char *names)
{
	json_t *list = json_array();
	while (*names) {
		size_t length = strcspn(names, " ");
		json_array_append_new(list, json_stringn(names, length));
		names += length + strspn(names + length, " ");
	}
	return list;
}

bool body_has_only(struct api_request *request, const char *names)
{
	const char *name;
	json_t *value;
	if (!json_is_object(request->body)) {
		api_problem_at(request, "", NULL, "an object is expected here");
		return false;
	}
	json_object_foreach(request->body, name, value)
	{
		char pointer[80];
		if (listed(names, name))
			continue;
		snprintf(pointer, sizeof pointer, "/%.64s", name);
		api_problem_at(request, pointer, allowed_of(names),
			"there is no such member");
		return false;
	}
	return true;
}

const char *body_need_text(struct api_request *request, const char *name)
{
	const json_t *value = json_object_get(request->body, name);
	const char *text = json_string_value(value);
	char missing[80];
	if (text && *text)
		return text;
	snprintf(missing, sizeof missing, "%.64s is missing", name);
	wrong(request, name, value ? "a text is expected here" : missing);
	return NULL;
}

bool body_may_text(
	struct api_request *request, const char *name, const char **out)
{
	const json_t *value = json_object_get(request->body, name);
	if (!value)
		return true;
	*out = json_is_null(value) ? "" : json_string_value(value);
	if (!*out)
		wrong(request, name, "a text is expected here");
	return *out;
}

bool body_may_bool(struct api_request *request, const char *name, bool *out)
{
	const json_t *value = json_object_get(request->body, name);
	if (!value)
		return true;
	*out = json_is_true(value);
	if (json_is_boolean(value))
		return true;
	char pointer[80];
	snprintf(pointer, sizeof pointer, "/%.64s", name);
	api_problem_at(request, pointer, json_pack("[b, b]", 1, 0),
		"true or false is expected here");
	return false;
}

bool body_is_name(const char *text)
{
	static const char *const allowed =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		"._-";
	return strlen(text) <= 63 && !text[strspn(text, allowed)] &&
		!strchr("._-", *text);
}
