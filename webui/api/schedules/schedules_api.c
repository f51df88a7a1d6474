/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules over REST: objects as others, with when they run next and how the last
 * run ended; and a run by hand.
 */
#include "target/control/schedule/schedules.h"
#include "webui/api/live/live_impact.h"
#include "webui/api/objects/objects_source.h"
#include "webui/api/server/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- answers -------------------------------------------------------------------- */

static void set_time(json_t *json, const char *member, int64_t ms)
{
	json_object_set_new(json, member, ms ? api_time(ms) : json_null());
}

/* NULL: no memory, or it has just gone. */
static json_t *status_json(struct schedules *schedules, const char *name)
{
	struct err err = {0};
	struct kept_schedule *schedule = kept_schedule_of(schedules, name);
	const struct schedule *plan =
		schedule ? kept_schedule_plan(schedules, schedule) : NULL;
	if (!plan)
		return NULL;
	const struct schedule_record *record = &schedule->record;
	int64_t next = kept_schedule_next(schedules, schedule, plan, &err);
	json_t *status =
		json_pack("{sb, ss, sI, sI}", "running", schedule->running,
			"last_result", schedule_result_names[record->result],
			"made", (json_int_t)record->made, "deleted",
			(json_int_t)record->deleted);
	set_time(status, "next_run", next * 1000);
	set_time(status, "last_run", record->ran_ms);
	set_time(status, "last_end", record->ended_ms);
	if (*record->snapshot)
		json_object_set_new(
			status, "snapshot", json_string(record->snapshot));
	if (err.code || *record->text)
		json_object_set_new(status, "reason",
			json_string(err.code ? err.text : record->text));
	json_object_set_new(status, "kept",
		record->kept ? json_deep_copy(record->kept) : json_array());
	return status;
}

/* What is not said is told, too. */
static void complete(struct api_request *request,
	const struct config_object *object, json_t *json)
{
	json_t *defaults = json_pack("{sb, sb, ss, ss}", "enabled", 1, "group",
		1, "zone", "UTC", "kind", "internal");
	json_object_update_missing_new(json, defaults);
	json_t *status = status_json(request->api->schedules, object->id);
	if (status)
		json_object_set_new(json, "status", status);
}

static bool is_external(const json_t *value)
{
	const char *kind = source_text(value, "kind");
	return kind && !strcmp(kind, "external");
}

/* Of one of the volumes. What is no volume is for others to find. */
static bool has_listener(
	struct api_request *request, const json_t *value, const char *listener)
{
	const json_t *volumes = json_object_get(value, "volumes"), *name;
	bool found = !json_array_size(volumes);
	size_t i;
	json_array_foreach((json_t *)volumes, i, name)
	{
		const char *text = json_string_value(name);
		const struct config_object *volume = text
			? config_find(
				  request->parts->config, CONFIG_VOLUME, text)
			: NULL;
		json_t *source = volume ? source_copy(volume) : NULL;
		found |= !source ||
			source_find(source, listener) < source_count(source);
		json_decref(source);
	}
	return found;
}

/* A name that no listener has is a mistake where it is new: listeners may go later. False:
 * answered. */
static bool check_placement(struct api_request *request,
	const struct config_object *present, json_t *value)
{
	const json_t *before =
		present ? json_object_get(present->value, "placement") : NULL;
	const char *name;
	json_t *place;
	json_object_foreach(json_object_get(value, "placement"), name, place)
	{
		char pointer[BLOCK_NAME_BYTES + 16];
		if (json_object_get(before, name) ||
			has_listener(request, value, name))
			continue;
		snprintf(pointer, sizeof pointer, "/placement/%.50s", name);
		api_problem_at(request, pointer, NULL,
			"none of the volumes has a listener \"%.63s\"", name);
		return false;
	}
	return true;
}

/* What tzdata does not have is refused here, where somebody can mend it. */
static bool prepare(struct api_request *request,
	const struct config_object *present, json_t *value)
{
	static const char *const may_be_null[] = {
		"at", "weekday", "day", "directory", "file", "placement"};
	struct err err = {0};
	const char *name = json_string_value(json_object_get(value, "zone"));
	for (unsigned i = 0; i < 6; i++) {
		if (json_is_null(json_object_get(value, may_be_null[i])))
			json_object_del(value, may_be_null[i]);
	}
	struct zone *zone =
		name && zone_is_name(name) ? zone_open(name, &err) : NULL;
	zone_free(zone);
	if (err.code) {
		api_problem_at(request, "/zone", NULL, "%s", err.text);
		return false;
	}
	return object_check_name(request, CONFIG_SCHEDULE, present, value) &&
		check_placement(request, present, value);
}

static const struct object_kind schedules = {.kind = CONFIG_SCHEDULE,
	.collection = "schedules",
	.parameter = "name",
	.id_member = "name",
	.complete = complete,
	.prepare = prepare};

/* -- objects --------------------------------------------------------------------- */

static void list_co(struct api_request *request)
{
	object_list_co(request, &schedules, NULL);
}

static void create_co(struct api_request *request)
{
	object_create_co(request, &schedules);
}

static void get_co(struct api_request *request)
{
	object_get_co(request, &schedules);
}

static void replace_co(struct api_request *request)
{
	object_replace_co(request, &schedules);
}

static void patch_co(struct api_request *request)
{
	object_patch_co(request, &schedules);
}

static void delete_co(struct api_request *request)
{
	object_delete_co(request, &schedules);
}

/* -- a run ------------------------------------------------------------------------ */

static void run_co(struct api_request *request)
{
	struct err err = {0};
	const struct config_object *object = object_find(request, &schedules);
	struct schedules *all = request->api->schedules;
	char path[OBJECT_ID_BYTES + 16], name[OBJECT_ID_BYTES];
	if (!object)
		return;
	snprintf(name, sizeof name, "%s", object->id);
	struct kept_schedule *schedule = kept_schedule_of(all, name);
	if (schedule && schedule->running) {
		api_problem(request, "conflict",
			"schedule %s runs already: wait for its end", name);
		return;
	}
	if (request->dry_run) {
		live_plan_all_co(request,
			json_object_get(object->value, "volumes"), "parked",
			is_external(object->value)
				? "a new image is put over it, and those that "
				  "the schedule does not keep are merged by "
				  "jobs; hosts wait for what is in flight and "
				  "one flush"
				: "a snapshot is made in the image, and those "
				  "that the schedule does not keep go; hosts "
				  "wait for what is in flight and one flush");
		return;
	}
	snprintf(path, sizeof path, "schedules/%s", name);
	api_audit(request, path, NULL, NULL);
	if (kept_schedule_run_co(all, name, request->who.name, &err))
		api_fail(request, &err);
	else
		object_answer_co(request, &schedules, name);
}

#define SCHEDULES "/api/v1/schedules"
#define CHANGE (API_DRY_RUN | API_NEEDS_MATCH)
const struct api_route api_schedule_routes[] = {
	{"listSchedules", "GET", SCHEDULES, API_VIEWER, API_PAGED, NULL,
		list_co},
	{"createSchedule", "POST", SCHEDULES, API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT | API_BY_CONFIG, NULL,
		create_co},
	{"getSchedule", "GET", SCHEDULES "/{name}", API_VIEWER, 0, NULL,
		get_co},
	{"replaceSchedule", "PUT", SCHEDULES "/{name}", API_OPERATOR,
		API_BODY | CHANGE, NULL, replace_co},
	{"changeSchedule", "PATCH", SCHEDULES "/{name}", API_OPERATOR,
		API_BODY | CHANGE, NULL, patch_co},
	{"deleteSchedule", "DELETE", SCHEDULES "/{name}", API_OPERATOR, CHANGE,
		NULL, delete_co},
	{"runSchedule", "POST", SCHEDULES "/{name}/run", API_OPERATOR,
		API_DRY_RUN | API_IDEMPOTENT, NULL, run_co},
	{0},
};
