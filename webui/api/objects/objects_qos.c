/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of a volume: a throttle of its own, called `qos`, in its source, which says
 * what is limited and nothing of the rest.
 */
#include "target/control/config/json_doc.h"
#include "webui/api/objects/objects_source.h"
#include "webui/api/server/body.h"

#include <string.h>

#define QOS "qos"
#define MAX_RATE (1ll << 50)

enum qos_type { QOS_NUMBER, QOS_SIZE, QOS_NAME };
static const struct qos_member {
	const char *name, *option;
	enum qos_type type;
	json_int_t fallback, min, max;
	bool limits;
} members[] = {
	{"iops", "iops", QOS_NUMBER, 0, 0, MAX_RATE, true},
	{"read_iops", "iops_read", QOS_NUMBER, 0, 0, MAX_RATE, true},
	{"write_iops", "iops_write", QOS_NUMBER, 0, 0, MAX_RATE, true},
	{"bytes_per_second", "bytes_s", QOS_SIZE, 0, 0, MAX_RATE, true},
	{"read_bytes_per_second", "bytes_read", QOS_SIZE, 0, 0, MAX_RATE, true},
	{"write_bytes_per_second", "bytes_write", QOS_SIZE, 0, 0, MAX_RATE,
		true},
	{"burst", "burst", QOS_NUMBER, 1, 1, 1000, false},
	{"burst_seconds", "burst_seconds", QOS_NUMBER, 0, 0, 3600, false},
	{"group", "group", QOS_NAME, 0, 0, 0, false},
};
#define MEMBERS (sizeof members / sizeof *members)

/* -- requests --------------------------------------------------------------- */

static json_t *names(void)
{
	json_t *list = json_array();
	for (size_t i = 0; i < MEMBERS; i++)
		json_array_append_new(list, json_string(members[i].name));
	return list;
}

static const struct qos_member *find_member(const char *name)
{
	for (size_t i = 0; i < MEMBERS; i++) {
		if (!strcmp(members[i].name, name))
			return &members[i];
	}
	return NULL;
}

/* The number that a request means; false: it is none, or out of range. */
static bool number_of(
	const struct qos_member *member, const json_t *value, json_int_t *out)
{
	uint64_t bytes = 0;
	if (member->type == QOS_SIZE && json_is_string(value)) {
		struct doc *doc = json_to_doc(value, NULL);
		bool is = doc &&
			!doc_size(doc, 0, (uint64_t)member->max, &bytes, NULL);
		doc_free(doc);
		*out = (json_int_t)bytes;
		return is;
	}
	*out = json_integer_value(value);
	return json_is_integer(value) && *out >= member->min &&
		*out <= member->max;
}

/* Sets one option. False: the value does not fit. */
static bool take(
	const struct qos_member *member, const json_t *value, json_t *listener)
{
	json_int_t number;
	if (member->type == QOS_NAME) {
		if (json_is_null(value))
			return true;
		json_object_set(listener, member->option, (json_t *)value);
		return json_is_string(value) &&
			body_is_name(json_string_value(value));
	}
	if (!number_of(member, value, &number))
		return false;
	if (number != member->fallback)
		json_object_set_new(
			listener, member->option, json_integer(number));
	return true;
}

static void refuse(struct api_request *request, const char *name,
	const struct qos_member *member)
{
	char pointer[160];
	snprintf(pointer, sizeof pointer, "/%.150s", name);
	if (!member)
		api_problem_at(request, pointer, names(), "it is not known");
	else if (member->type == QOS_NAME)
		api_problem_at(request, pointer, NULL, "a name is expected");
	else
		api_problem_at(request, pointer, NULL,
			"%s from %lld to %lld is expected",
			member->type == QOS_SIZE ? "a size" : "a whole number",
			(long long)member->min, (long long)member->max);
}

/* The throttle that the body means; NULL: answered. */
static json_t *throttle_of(struct api_request *request)
{
	const char *name;
	json_t *value;
	if (!json_is_object(request->body)) {
		api_problem_at(request, "", NULL, "an object is expected");
		return NULL;
	}
	json_t *listener =
		json_pack("{ss, ss}", "type", "throttle", "name", QOS);
	json_object_foreach(request->body, name, value)
	{
		const struct qos_member *member = find_member(name);
		if (!strcmp(name, "active") ||
			(member && take(member, value, listener)))
			continue;
		refuse(request, name, member);
		json_decref(listener);
		return NULL;
	}
	return listener;
}

/* -- answers ---------------------------------------------------------------- */

static json_t *qos_json(const json_t *listener)
{
	json_t *json = json_object();
	bool active = false;
	for (size_t i = 0; i < MEMBERS; i++) {
		const struct qos_member *member = &members[i];
		json_t *value = json_object_get(listener, member->option);
		json_int_t number = member->fallback;
		if (member->type == QOS_NAME) {
			if (value)
				json_object_set(json, member->name, value);
			continue;
		}
		if (value)
			number_of(member, value, &number);
		active |= member->limits && number;
		json_object_set_new(json, member->name, json_integer(number));
	}
	json_object_set_new(json, "active", json_boolean(active));
	return json;
}

static void answer(
	struct api_request *request, const struct config_object *object)
{
	json_t *source = source_copy(object);
	object_set_etag(request, object);
	api_answer(request, 200,
		qos_json(source_listener(source, source_find(source, QOS))));
	json_decref(source);
}

/* -- operations -------------------------------------------------------------- */

static void get_co(struct api_request *request)
{
	const struct config_object *object = source_volume(request);
	if (object)
		answer(request, object);
}

static void set_co(struct api_request *request)
{
	api_turn_co(request);
	const struct config_object *object = source_volume(request);
	if (!object || !object_match(request, object))
		return;
	json_t *listener = throttle_of(request);
	if (!listener)
		return;
	json_t *source = source_copy(object);
	size_t index = source_find(source, QOS);
	if (index < source_count(source))
		json_array_set_new(
			json_object_get(source, "listeners"), index, listener);
	else
		source_insert(source, listener);
	if (!source_change_co(request, object, source, "limited", ""))
		return;
	object = source_volume(request);
	if (object)
		answer(request, object);
}

static void remove_co(struct api_request *request)
{
	api_turn_co(request);
	const struct config_object *object = source_volume(request);
	if (!object || !object_match(request, object))
		return;
	json_t *source = source_copy(object);
	json_array_remove(
		json_object_get(source, "listeners"), source_find(source, QOS));
	if (source_change_co(request, object, source, "not limited", ""))
		api_answer_empty(request);
}

#define PATH "/api/v1/volumes/{name}/qos"
const struct api_route api_qos_routes[] = {
	{"getQos", "GET", PATH, API_VIEWER, 0, NULL, get_co},
	{"setQos", "PUT", PATH, API_OPERATOR,
		API_BODY | API_DRY_RUN | API_NEEDS_MATCH, NULL, set_co},
	{"removeQos", "DELETE", PATH, API_OPERATOR,
		API_DRY_RUN | API_NEEDS_MATCH, NULL, remove_co},
	{0},
};
