/* SPDX-License-Identifier: Apache-2.0 */
/* What all kinds of objects have in common; see objects.h. */
#include "webui/api/objects/objects.h"
#include "webui/api/server/private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct config *config_of(const struct api_request *request)
{
	return request->parts->config;
}

/* -- looking ---------------------------------------------------------------- */

json_t *object_json(struct api_request *request, const struct object_kind *kind,
	const struct config_object *object)
{
	json_t *json = json_deep_copy(object->value);
	if (!json)
		return NULL;
	json_object_set_new(json, "generation",
		json_integer((json_int_t)object->generation));
	kind->complete(request, object, json);
	return json;
}

static json_t *measured_co(struct api_request *request,
	const struct object_kind *kind, json_t *json)
{
	json_t *items =
		json && kind->measure_co ? json_pack("[O]", json) : NULL;
	if (items)
		kind->measure_co(request, items);
	json_decref(items);
	return json;
}

static const char *tag_of(const struct config_object *object, char out[24])
{
	snprintf(out, 24, "%" PRIu64, object->generation);
	return out;
}

void object_set_etag(
	struct api_request *request, const struct config_object *object)
{
	char tag[24];
	api_set_etag(request, tag_of(object, tag));
}

bool object_match(
	struct api_request *request, const struct config_object *object)
{
	char tag[24];
	return api_match(request, tag_of(object, tag));
}

const struct config_object *object_find(
	struct api_request *request, const struct object_kind *kind)
{
	char iqn[ACCESS_NAME_BYTES];
	const char *id = api_parameter(request, kind->parameter);
	if (kind->kind == CONFIG_TARGET && object_target_iqn(request, id, iqn))
		id = iqn;
	const struct config_object *object =
		config_find(config_of(request), kind->kind, id);
	if (!object && kind->kind == CONFIG_EXPORT)
		object = object_find_export(request, id);
	if (!object)
		api_problem(request, "not-found", "there is no %s \"%.230s\"",
			config_kind_name(kind->kind), id);
	return object;
}

/* Objects come in the order of the document, and pages want keys that rise: what rises
 * there is `order`, which an object keeps when others come and go. */
const char *object_page_key(const struct config_object *object, char key[24])
{
	snprintf(key, 24, "%020" PRIu64, object->order);
	return key;
}

void object_list_co(struct api_request *request, const struct object_kind *kind,
	bool (*wants)(struct api_request *request,
		const struct config_object *object))
{
	const struct config_object *object = NULL;
	struct api_page page;
	char key[24];
	if (!api_page_begin(request, &page))
		return;
	while ((object = config_next(config_of(request), kind->kind, object))) {
		if ((!wants || wants(request, object)) &&
			api_page_wants(&page, object_page_key(object, key)))
			api_page_add(
				&page, key, object_json(request, kind, object));
	}
	if (kind->measure_co)
		kind->measure_co(request, page.items);
	api_page_answer(request, &page);
}

void object_get_co(struct api_request *request, const struct object_kind *kind)
{
	const struct config_object *object = object_find(request, kind);
	if (!object)
		return;
	object_set_etag(request, object);
	api_answer(request, 200,
		measured_co(request, kind, object_json(request, kind, object)));
}

void object_answer_co(struct api_request *request,
	const struct object_kind *kind, const char *id)
{
	const struct config_object *object =
		config_find(config_of(request), kind->kind, id);
	if (!object) {
		api_problem(request, "conflict",
			"it was changed, and has gone since by another change");
		return;
	}
	object_set_etag(request, object);
	api_answer(request, 200,
		measured_co(request, kind, object_json(request, kind, object)));
}

/* -- edits ------------------------------------------------------------------ */

static struct object_edits *new_edits(struct api_request *request)
{
	struct object_edits *edits = calloc(1, sizeof *edits);
	if (!edits)
		api_answer(request, 500, NULL);
	return edits;
}

/* -- one change ------------------------------------------------------------- */

static json_t *plan_json(
	const struct config_outcome *outcome, bool dry_run, uint64_t number)
{
	json_t *plan = json_pack("{sb, sO, sO}", "dry_run", dry_run, "changes",
		outcome->changes, "impact", outcome->impact);
	if (number)
		json_object_set_new(
			plan, "history", json_integer((json_int_t)number));
	return plan;
}

/* What the first edit is called: as before, or as the change that made it says. */
static void find_id(const struct object_edits *edits,
	const struct config_outcome *outcome, char id[OBJECT_ID_BYTES])
{
	const struct config_edit *first = &edits->edit[0];
	const char *kind = config_kind_name(first->kind);
	json_t *change;
	size_t i;
	snprintf(id, OBJECT_ID_BYTES, "%s", first->id ? first->id : "");
	json_array_foreach(outcome->changes, i, change)
	{
		const char *of, *name, *operation;
		if (first->id ||
			json_unpack(change, "{ss, ss, ss}", "kind", &of, "id",
				&name, "operation", &operation) ||
			strcmp(of, kind) != 0 ||
			strcmp(operation, "create") != 0)
			continue;
		snprintf(id, OBJECT_ID_BYTES, "%s", name);
	}
}

static void audit(struct api_request *request, const struct object_edits *edits,
	const struct config_outcome *outcome, const char *id)
{
	char object[OBJECT_ID_BYTES + 16];
	json_t *first = json_array_get(outcome->changes, 0);
	snprintf(object, sizeof object, "%ss/%s",
		config_kind_name(edits->edit[0].kind), id);
	api_audit(request, object,
		json_incref(json_object_get(first, "before")),
		json_incref(json_object_get(first, "after")));
}

bool object_change_co(struct api_request *request, struct object_edits *edits,
	const char *verb, const char *prefix, char id[OBJECT_ID_BYTES])
{
	struct config_outcome outcome;
	struct err err = {0};
	char title[OBJECT_ID_BYTES + 64];
	const struct config_edit *first = &edits->edit[0];
	const char *name = first->id;
	if (edits->full) {
		api_problem(request, "conflict",
			"more than %u objects would change at once: take them "
			"in pieces",
			OBJECT_MAX_EDITS);
		return false;
	}
	if (!name)
		name = json_string_value(json_object_get(first->value, "name"));
	snprintf(title, sizeof title, "%s %s %s", config_kind_name(first->kind),
		name ? name : "", verb);
	struct config_change change = {.edit = edits->edit,
		.edits = edits->count,
		.who = request->who.name,
		.title = title,
		.witness = api_witness(request, first),
		.dry_run = request->dry_run,
		.held = api_in_turn(request)};
	if (config_change_co(config_of(request), &change, &outcome, &err)) {
		object_fail(request, prefix, &err);
		return false;
	}
	find_id(edits, &outcome, id);
	if (request->dry_run) {
		api_answer(request, 200, plan_json(&outcome, true, 0));
	} else {
		object_emit(&request->api->sink, &outcome);
		audit(request, edits, &outcome, id);
	}
	config_outcome_free(&outcome);
	api_turn_end(request);
	return !request->dry_run;
}

json_t *object_rehearse_co(struct api_request *request,
	const struct object_edits *edits, const char *prefix)
{
	struct config_outcome outcome;
	struct err err = {0};
	const struct config_change change = {.edit = edits->edit,
		.edits = edits->count,
		.who = request->who.name,
		.title = "",
		.dry_run = true,
		.held = api_in_turn(request)};
	if (config_change_co(config_of(request), &change, &outcome, &err)) {
		object_fail(request, prefix, &err);
		return NULL;
	}
	json_t *changes = json_incref(outcome.changes);
	config_outcome_free(&outcome);
	return changes;
}

/* -- create, replace, patch -------------------------------------------------- */

static bool check_map(struct api_request *request)
{
	if (json_is_object(request->body))
		return true;
	api_problem_at(request, "", NULL, "an object is expected");
	return false;
}

static void drop_answers(json_t *value)
{
	static const char *const members[] = {"status", "generation", "id"};
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		json_object_del(value, members[i]);
}

/* A path as Location has it: what is no unreserved character is escaped (RFC 3986
 * 2.3). */
static void print_location(
	const struct object_kind *kind, const char *id, char out[1200])
{
	int used = snprintf(out, 1200, "/api/v1/%s/", kind->collection);
	for (; *id && used < 1190; id++) {
		bool plain = (*id >= 'a' && *id <= 'z') ||
			(*id >= 'A' && *id <= 'Z') ||
			(*id >= '0' && *id <= '9') || strchr("-._~", *id);
		used += snprintf(out + used, 4, plain ? "%c" : "%%%02X",
			(unsigned char)*id);
	}
}

void object_created_co(struct api_request *request,
	const struct object_kind *kind, const char *id)
{
	char location[1200];
	const struct config_object *object =
		config_find(config_of(request), kind->kind, id);
	if (!object) {
		api_problem(request, "conflict",
			"it was made, and has gone since by another change");
		return;
	}
	print_location(kind, id, location);
	object_set_etag(request, object);
	api_answer_created(request, location,
		measured_co(request, kind, object_json(request, kind, object)));
}

void object_create_co(
	struct api_request *request, const struct object_kind *kind)
{
	char id[OBJECT_ID_BYTES];
	if (!check_map(request))
		return;
	api_turn_co(request);
	json_t *value = json_deep_copy(request->body);
	drop_answers(value);
	if (!kind->prepare(request, NULL, value)) {
		json_decref(value);
		return;
	}
	struct object_edits *edits = new_edits(request);
	if (!edits) {
		json_decref(value);
		return;
	}
	object_edit(edits, kind->kind, NULL, value);
	if (object_change_co(request, edits, "created", "", id))
		object_created_co(request, kind, id);
	object_edits_free(edits);
}

/* Takes `value` over. */
static void replace_co(struct api_request *request,
	const struct object_kind *kind, const struct config_object *object,
	json_t *value)
{
	char id[OBJECT_ID_BYTES];
	drop_answers(value);
	struct object_edits *edits = kind->prepare(request, object, value)
		? new_edits(request)
		: NULL;
	if (!edits) {
		json_decref(value);
		return;
	}
	object_edit(edits, kind->kind, object->id, value);
	if (object_change_co(request, edits, "changed", "", id))
		object_answer_co(request, kind, id);
	object_edits_free(edits);
}

void object_replace_co(
	struct api_request *request, const struct object_kind *kind)
{
	api_turn_co(request);
	const struct config_object *object = object_find(request, kind);
	if (!object || !object_match(request, object) || !check_map(request))
		return;
	json_t *value = json_deep_copy(request->body);
	json_t *kept = kind->keeps ? json_object_get(object->value, kind->keeps)
				   : NULL;
	if (kept && !json_object_get(value, kind->keeps))
		json_object_set(value, kind->keeps, kept);
	replace_co(request, kind, object, value);
}

json_t *object_merge(const json_t *target, const json_t *patch)
{
	const char *key;
	json_t *value;
	if (!json_is_object(patch))
		return json_deep_copy(patch);
	json_t *merged = json_is_object(target) ? json_copy((json_t *)target)
						: json_object();
	json_object_foreach((json_t *)patch, key, value)
	{
		if (json_is_null(value))
			json_object_del(merged, key);
		else
			json_object_set_new(merged, key,
				object_merge(
					json_object_get(merged, key), value));
	}
	return merged;
}

void object_patch_co(
	struct api_request *request, const struct object_kind *kind)
{
	api_turn_co(request);
	const struct config_object *object = object_find(request, kind);
	if (object && object_match(request, object) && check_map(request))
		replace_co(request, kind, object,
			object_merge(object->value, request->body));
}

/* -- delete ----------------------------------------------------------------- */

static void refuse_held(struct api_request *request,
	const struct config_object *object, bool cascades, json_t *held_by)
{
	const char *first = json_string_value(json_array_get(held_by, 0));
	api_problem(request, "conflict",
		"%s \"%.230s\" is used by %s%s: remove that first%s",
		config_kind_name(object->kind), object->id, first ? first : "",
		json_array_size(held_by) > 1 ? " and others" : "",
		cascades ? ", or ask for cascade" : "");
	api_problem_add(request, "held_by", json_incref(held_by));
}

void object_delete_co(
	struct api_request *request, const struct object_kind *kind)
{
	char id[OBJECT_ID_BYTES];
	bool cascade = false;
	api_turn_co(request);
	const struct config_object *object = object_find(request, kind);
	if (!object || !object_match(request, object) ||
		(kind->release &&
			!api_query_bool(request, "cascade", false, &cascade)))
		return;
	struct object_edits *edits = new_edits(request);
	json_t *held_by = json_array();
	if (!edits)
		return;
	object_edit(edits, kind->kind, object->id, NULL);
	if (kind->release)
		kind->release(request, object, edits, held_by);
	/* What holds it and has no edit of its own does not go along. */
	if (json_array_size(held_by) &&
		(!cascade || json_array_size(held_by) >= edits->count))
		refuse_held(request, object, edits->count > 1, held_by);
	else if (object_change_co(request, edits, "removed", "", id))
		api_answer_empty(request);
	json_decref(held_by);
	object_edits_free(edits);
}
