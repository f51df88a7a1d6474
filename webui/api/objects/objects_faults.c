/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults of a volume: requests that fail, wait or are held, for a time.
 */
#include "blockcore/spec.h"
#include "target/control/config/json_doc.h"
#include "target/control/document/names.h"
#include "webui/api/live/faults.h"
#include "webui/api/objects/objects_source.h"
#include "webui/api/server/private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_SECONDS 86400

/* -- answers ---------------------------------------------------------------- */

/* The rules as they run, with what they have struck; NULL: nothing runs. */
static json_t *running_rules(struct api_request *request, const char *volume)
{
	json_t *json =
		source_running_json(request->parts->appliance, volume, true);
	json_t *one, *rules = NULL;
	size_t i;
	json_array_foreach(
		json_object_get(json_object_get(json, "source"), "listeners"),
		i, one)
	{
		const char *name =
			json_string_value(json_object_get(one, "name"));
		if (name && !strcmp(name, API_FAULT_LISTENER))
			rules = json_object_get(
				json_object_get(one, "status"), "rules");
	}
	json_incref(rules);
	json_decref(json);
	return rules;
}

static void add_counts(json_t *fault, const json_t *rules, const char *id)
{
	json_t *rule;
	size_t i;
	json_array_foreach(rules, i, rule)
	{
		const char *name =
			json_string_value(json_object_get(rule, "name"));
		if (!name || strcmp(name, id) != 0)
			continue;
		json_object_set(
			fault, "matches", json_object_get(rule, "matches"));
		json_object_set(fault, "hits", json_object_get(rule, "hits"));
	}
}

/* One rule that has an end. */
static json_t *fault_json(const json_t *rule, const struct api_fault *fault,
	const json_t *running)
{
	json_t *json = json_deep_copy(rule);
	json_object_set_new(json, "id", json_string(fault->id));
	json_object_set_new(json, "created", api_time(fault->created_ms));
	json_object_set_new(json, "expires", api_time(fault->expires_ms));
	json_object_set_new(json, "user", json_string(fault->user));
	json_object_set_new(json, "duration_seconds",
		json_integer((fault->expires_ms - fault->created_ms) / 1000));
	add_counts(json, running, fault->id);
	return json;
}

static const struct api_fault *fault_of(struct api_request *request,
	const struct config_object *volume, const json_t *rule)
{
	const char *id = json_string_value(json_object_get(rule, "name"));
	return id ? api_faults_find(request->api->faults, volume->id, id)
		  : NULL;
}

static void list_co(struct api_request *request)
{
	const struct config_object *volume = source_volume(request);
	json_t *rule, *items = json_array();
	size_t i;
	if (!volume) {
		json_decref(items);
		return;
	}
	json_t *running = running_rules(request, volume->id);
	json_array_foreach(api_fault_rules(volume), i, rule)
	{
		const struct api_fault *fault = fault_of(request, volume, rule);
		if (fault)
			json_array_append_new(
				items, fault_json(rule, fault, running));
	}
	json_decref(running);
	object_set_etag(request, volume);
	api_answer_list(request, items, "id");
}

#define PLACE_BYTES 300u

static void print_place(
	const char *volume, const char *id, char place[PLACE_BYTES])
{
	snprintf(
		place, PLACE_BYTES, "/api/v1/volumes/%s/faults/%s", volume, id);
}

static void answer_new(struct api_request *request, const char *id)
{
	char location[PLACE_BYTES];
	const struct config_object *volume = source_volume(request);
	json_t *rule;
	size_t i;
	if (!volume)
		return;
	json_t *running = running_rules(request, volume->id);
	json_array_foreach(api_fault_rules(volume), i, rule)
	{
		const struct api_fault *fault = fault_of(request, volume, rule);
		if (!fault || strcmp(fault->id, id) != 0)
			continue;
		print_place(volume->id, id, location);
		api_answer_created(
			request, location, fault_json(rule, fault, running));
		json_decref(running);
		return;
	}
	json_decref(running);
	api_problem(request, "conflict", "it has ended already");
}

/* -- add -------------------------------------------------------------------- */

/* The end of the fault; false: answered. */
static bool take_duration(
	struct api_request *request, json_t *rule, struct api_fault *fault)
{
	struct timespec now;
	json_t *given = json_object_get(rule, "duration_seconds");
	json_int_t seconds = json_integer_value(given);
	clock_gettime(CLOCK_REALTIME, &now);
	if (!json_is_integer(given) || seconds < 1 || seconds > MAX_SECONDS) {
		api_problem_at(request, "/duration_seconds", NULL,
			"a whole number from 1 to %d is expected: a fault ends "
			"by itself",
			MAX_SECONDS);
		return false;
	}
	fault->created_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	fault->expires_ms = fault->created_ms + seconds * 1000;
	json_object_del(rule, "duration_seconds");
	return true;
}

/* Its name: given, or the first that is free. False: answered. */
static bool take_name(struct api_request *request,
	const struct config_object *volume, json_t *rule,
	struct api_fault *fault)
{
	json_t *given = json_object_get(rule, "name");
	const char *name = json_string_value(given);
	const struct api_faults *faults = request->api->faults;
	if (given && !name) {
		api_problem_at(request, "/name", NULL, "a text is expected");
		return false;
	}
	if (name &&
		(strlen(name) >= sizeof fault->id || !name_is_plain(name))) {
		api_problem_at(request, "/name", NULL, NAME_PLAIN_RULE, name);
		return false;
	}
	if (name && api_faults_find(faults, volume->id, name)) {
		api_problem(request, "conflict",
			"a fault \"%s\" is there already", name);
		return false;
	}
	snprintf(fault->id, sizeof fault->id, "%s", name ? name : "f1");
	for (unsigned n = 2;
		!name && api_faults_find(faults, volume->id, fault->id); n++)
		snprintf(fault->id, sizeof fault->id, "f%u", n);
	json_object_set_new(rule, "name", json_string(fault->id));
	return true;
}

/* The rule is the last of its list. */
static void rule_prefix(
	const struct config_object *volume, char *prefix, size_t bytes)
{
	json_t *value = api_fault_with(volume, json_object());
	json_t *source = json_object_get(value, "source");
	size_t index = source_find(source, API_FAULT_LISTENER);
	snprintf(prefix, bytes, "/source/listeners/%zu/rules/%zu", index,
		json_array_size(json_object_get(
			source_listener(source, index), "rules")) -
			1);
	json_decref(value);
}

/* Takes `rule` over. */
static void add_rule_co(struct api_request *request,
	const struct config_object *volume, json_t *rule,
	const struct api_fault *fault)
{
	char prefix[80], id[OBJECT_ID_BYTES], place[PLACE_BYTES];
	struct err err = {0};
	struct object_edits *edits = calloc(1, sizeof *edits);
	if (!edits) {
		json_decref(rule);
		api_answer(request, 500, NULL);
		return;
	}
	rule_prefix(volume, prefix, sizeof prefix);
	object_edit(
		edits, CONFIG_VOLUME, volume->id, api_fault_with(volume, rule));
	if (!request->dry_run &&
		api_faults_keep(request->api->faults, fault, &err)) {
		api_fail(request, &err);
		object_edits_free(edits);
		return;
	}
	print_place(fault->volume, fault->id, place);
	api_answers_as(request, 201, place);
	if (object_change_co(request, edits, "got a fault", prefix, id))
		answer_new(request, fault->id);
	else if (!request->dry_run)
		api_faults_forget(
			request->api->faults, fault->volume, fault->id);
	object_edits_free(edits);
}

/* A fault is a rule that says when it ends. */
static bool has_only_known(struct api_request *request)
{
	static const char *const more[] = {"duration_seconds", NULL};
	struct err err = {0};
	struct doc *doc = json_to_doc(request->body, &err);
	bool well = doc && !spec_check_rule_keys(doc, more, &err);
	doc_free(doc);
	if (!well)
		api_fail(request, &err);
	return well;
}

static void add_co(struct api_request *request)
{
	struct api_fault fault = {.created_ms = 0};
	api_turn_co(request);
	const struct config_object *volume = source_volume(request);
	if (!volume)
		return;
	if (!has_only_known(request))
		return;
	snprintf(fault.volume, sizeof fault.volume, "%s", volume->id);
	snprintf(fault.user, sizeof fault.user, "%s", request->who.name);
	api_faults_tidy(request->api->faults, volume);
	json_t *rule = json_deep_copy(request->body);
	if (take_duration(request, rule, &fault) &&
		take_name(request, volume, rule, &fault))
		add_rule_co(request, volume, rule, &fault);
	else
		json_decref(rule);
}

/* -- remove ------------------------------------------------------------------ */

/* The volume's name, and its value without that fault; NULL: answered. */
static json_t *value_without(struct api_request *request, const char *id,
	char name[BLOCK_NAME_BYTES])
{
	const struct config_object *volume = source_volume(request);
	if (!volume || !object_match(request, volume))
		return NULL;
	json_t *value = api_fault_without(volume, id);
	if (!value)
		api_problem(request, "not-found",
			id ? "volume \"%s\" has no fault \"%.64s\""
			   : "volume \"%s\" has no faults",
			volume->id, id);
	snprintf(name, BLOCK_NAME_BYTES, "%s", volume->id);
	return value;
}

/* What the fault holds is let go before it is our turn: a change that has its own may be
 * waiting for just that. False: answered. */
static bool let_go_co(struct api_request *request, const char *id)
{
	char name[BLOCK_NAME_BYTES];
	json_t *value = value_without(request, id, name);
	if (value)
		api_fault_release_co(request->api, name, id);
	json_decref(value);
	return value;
}

/* With id NULL all of them. They are part of the volume, which has the ETag. */
static void remove_rules_co(struct api_request *request, const char *id)
{
	char object[OBJECT_ID_BYTES], name[BLOCK_NAME_BYTES];
	if (id && !request->dry_run && !let_go_co(request, id))
		return;
	api_turn_co(request);
	json_t *value = value_without(request, id, name);
	struct object_edits *edits = value ? calloc(1, sizeof *edits) : NULL;
	if (!edits) {
		if (value)
			api_answer(request, 500, NULL);
		json_decref(value);
		return;
	}
	object_edit(edits, CONFIG_VOLUME, name, value);
	if (object_change_co(request, edits, "lost a fault", "", object)) {
		api_faults_forget(request->api->faults, name, id);
		api_answer_empty(request);
	}
	object_edits_free(edits);
}

static void remove_all_co(struct api_request *request)
{
	remove_rules_co(request, NULL);
}

static void remove_one_co(struct api_request *request)
{
	remove_rules_co(request, api_parameter(request, "id"));
}

#define FAULTS "/api/v1/volumes/{name}/faults"
const struct api_route api_fault_routes[] = {
	{"listFaults", "GET", FAULTS, API_VIEWER, API_PAGED, NULL, list_co},
	{"addFault", "POST", FAULTS, API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT | API_BY_CONFIG, NULL,
		add_co},
	{"removeFaults", "DELETE", FAULTS, API_OPERATOR,
		API_DRY_RUN | API_NEEDS_MATCH, NULL, remove_all_co},
	{"removeFault", "DELETE", FAULTS "/{id}", API_OPERATOR,
		API_DRY_RUN | API_NEEDS_MATCH, NULL, remove_one_co},
	{0},
};
