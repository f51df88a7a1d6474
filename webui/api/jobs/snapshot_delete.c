/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot is deleted. What its image keeps goes at once; an external one by a job
 * that merges two images:
 *
 *	a <--monday-- b <--tuesday-- c		monday goes: b down into a,
 *	a <--tuesday-- c			whose content is tuesday's now
 *
 * One that the volume does not stand on, as it went back from it, goes with its file
 * (snapshot_records.h): from the top of its branch on.
 *
 * Invariants
 *  1. A snapshot that a volume shows or stands on is not deleted, also while that
 *     volume is offline: its document counts. Nor is a locked one.
 *  2. What is left over of a merge goes with its job, also over a crash: job_keep.c.
 *     What others need stays, whoever asks.
 */
#include "blockcore/spec.h"
#include "target/control/jobs/snapshot_merge.h"
#include "target/control/snapshots/snapshot_locks.h"
#include "target/control/snapshots/snapshot_records.h"
#include "webui/api/jobs/jobs_api.h"
#include "webui/api/objects/snapshots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* -- one that the volume went back from ----------------------------------------- */

/* Takes `value` over. The document is durable before a file goes. */
static void forget_branch_co(struct api_request *request,
	const struct config_object *volume, const char *name, json_t *value,
	const json_t *files)
{
	char id[OBJECT_ID_BYTES];
	struct object_edits *edits = calloc(1, sizeof *edits);
	if (!edits) {
		json_decref(value);
		api_answer(request, 500, NULL);
		return;
	}
	object_edit_of(edits, volume, value);
	if (object_change_co(request, edits, "lost a snapshot", "", id)) {
		snapshot_files_remove_co(request->parts, request->api->loop,
			api_parameter(request, "name"), files);
		snapshot_announce(request, "snapshot_deleted", name);
		api_answer_empty(request);
	}
	object_edits_free(edits);
}

static void delete_branch_co(struct api_request *request,
	const struct config_object *volume, const json_t *snapshot)
{
	const char *name = source_text(snapshot, "name");
	struct err err = {0};
	json_t *files = NULL;
	json_t *value = snapshot_without_branch(volume->value,
		source_text(snapshot, "image"), name, &files, &err);
	if (!value)
		api_fail(request, &err);
	else if (request->dry_run)
		snapshot_answer_plan_co(request, "none",
			"the snapshot is deleted for good with its file; the "
			"volume does not stand on it, hosts stay");
	else
		forget_branch_co(
			request, volume, name, json_incref(value), files);
	json_decref(value);
	json_decref(files);
}

/* -- either place ---------------------------------------------------------------- */

static void delete_external_co(
	struct api_request *request, const json_t *snapshot)
{
	struct err err = {0};
	struct snapshot_merge merge;
	const char *image = source_text(snapshot, "image");
	const char *volume = api_parameter(request, "name");
	const struct config_object *object =
		config_find(request->parts->config, CONFIG_VOLUME, volume);
	if (object && snapshot_is_branch(object->value, image)) {
		delete_branch_co(request, object, snapshot);
		return;
	}
	if (snapshot_merge_find(
		    request->api->jobs, volume, image, &merge, &err)) {
		api_fail(request, &err);
		return;
	}
	api_job_order_co(request, merge.kind, volume, merge.options);
	json_decref(merge.options);
}

/* -- either kind ---------------------------------------------------------------- */

/* "a, b, c" of a list of texts, as far as there is room. */
static void print_users(const json_t *users, char *text, size_t bytes)
{
	const json_t *one;
	size_t i, used = 0;
	text[0] = '\0';
	json_array_foreach(users, i, one)
	{
		used = strlen(text);
		snprintf(text + used, bytes - used, "%s%s", i ? ", " : "",
			json_string_value(one));
	}
}

/* False: answered. */
static bool check_unused(struct api_request *request, const json_t *snapshot)
{
	char text[300];
	json_t *users = json_object_get(snapshot, "in_use_by");
	if (!json_array_size(users))
		return true;
	print_users(users, text, sizeof text);
	api_problem(request, "conflict",
		"snapshot \"%.255s\" is in use by %s: remove or flatten what "
		"shows it or stands on it first",
		source_text(snapshot, "name"), text);
	api_problem_add(request, "held_by", json_incref(users));
	return false;
}

/* "the snapshot is deleted ...: 1234 bytes become free". */
static void plan_delete_co(struct api_request *request, const json_t *snapshot)
{
	char text[160], bytes[48] = "";
	const json_t *owned = json_object_get(snapshot, "owned_bytes");
	if (json_is_integer(owned))
		snprintf(bytes, sizeof bytes,
			", %" JSON_INTEGER_FORMAT " bytes,",
			json_integer_value(owned));
	snprintf(text, sizeof text,
		"the snapshot is deleted for good; what only it holds%s "
		"becomes free, hosts stay",
		bytes);
	snapshot_answer_plan_co(request, "none", text);
}

static void delete_found_co(struct api_request *request,
	struct block_source *source, json_t *snapshot)
{
	struct err err = {0};
	const char *name = source_text(snapshot, "name");
	if (!snapshot_match(request, snapshot) ||
		!check_unused(request, snapshot))
		return;
	if (snapshot_lock_check(request->parts, source_text(snapshot, "image"),
		    name, &err)) {
		api_fail(request, &err);
		return;
	}
	if (snapshot_is_external(snapshot)) {
		delete_external_co(request, snapshot);
	} else if (request->dry_run) {
		plan_delete_co(request, snapshot);
	} else if (spec_snapshot_delete_co(source, name, &err)) {
		api_fail(request, &err);
	} else {
		snapshot_tell(
			request, "snapshot_deleted", name, snapshot, NULL);
		api_answer_empty(request);
	}
}

static void delete_snapshot_co(struct api_request *request)
{
	struct block_source *source = snapshot_source_co(request);
	if (!source)
		return;
	if (request->dry_run)
		snapshot_look_space_co(request, source);
	json_t *snapshot = snapshot_find_co(request, source);
	if (snapshot)
		delete_found_co(request, source, snapshot);
	json_decref(snapshot);
	block_source_put_co(source);
}

#define SNAPSHOT "/api/v1/volumes/{name}/snapshots/{snapshot}"
const struct api_route api_snapshot_delete_routes[] = {
	{"deleteSnapshot", "DELETE", SNAPSHOT, API_OPERATOR,
		API_DRY_RUN | API_NEEDS_MATCH, NULL, delete_snapshot_co},
	{0},
};
