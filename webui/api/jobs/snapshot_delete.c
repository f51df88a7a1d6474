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
#include "webui/api/jobs/jobs_private.h"
#include "webui/api/objects/purge.h"
#include "webui/api/objects/snapshot_locks.h"
#include "webui/api/objects/snapshot_records.h"
#include "webui/api/objects/snapshot_space.h"
#include "webui/api/objects/snapshots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* -- one that is merged -------------------------------------------------------- */

static bool is_in(const json_t *source, const char *path)
{
	const char *image = snapshot_image(source);
	return image && path && !strcmp(image, path);
}

/* The image over that of the snapshot; NULL: it has gone since. Borrowed. */
static const json_t *image_over(
	struct api_request *request, const json_t *snapshot)
{
	const struct config_object *volume = config_find(request->parts->config,
		CONFIG_VOLUME, api_parameter(request, "name"));
	const json_t *source =
		volume ? json_object_get(volume->value, "source") : NULL;
	while (source &&
		!is_in(snapshot_image_below(source),
			source_text(snapshot, "image")))
		source = snapshot_image_below(source);
	return source;
}

/* By its document. */
static bool is_read_only(const json_t *source)
{
	const json_t *format = json_object_get(source, "format");
	const json_t *file = format ? json_object_get(format, "file") : source;
	return json_is_true(json_object_get(
		json_object_get(file, "protocol"), "read_only"));
}

/* Down, as that moves the least, and rids of a file; up where others need the image of
 * the snapshot as it is, or it must not be written to, and nothing is below it. */
static const char *merge_kind(struct api_request *request, const char *volume,
	const json_t *over, const json_t *options, struct err *err)
{
	const json_t *image = snapshot_image_below(over);
	int failed = is_read_only(image)
		? err_set(err, EBUSY, "the file of the snapshot is read-only")
		: api_job_order_check(request, "commit", volume, options, err);
	if (!failed)
		return "commit";
	return failed == -EBUSY && !snapshot_image_below(image) &&
			!api_job_order_check(request, "flatten", volume,
				options, &(struct err){0})
		? "flatten"
		: NULL;
}

/* -- one that the volume went back from ----------------------------------------- */

/* False: another one stands on it, which is answered. */
static bool check_leaf(struct api_request *request, const json_t *volume,
	const json_t *snapshot)
{
	const char *name = source_text(snapshot, "name");
	const char *other = snapshot_branch_on(
		volume, source_text(snapshot, "image"), name);
	if (other)
		api_problem(request, "conflict",
			"snapshot \"%.63s\" stands on \"%.255s\": delete that "
			"one first, or go back to it",
			other, name);
	return !other;
}

static void remove_files_co(struct api_request *request, const json_t *files)
{
	const json_t *file;
	size_t i;
	json_array_foreach((json_t *)files, i, file)
	{
		purge_image_co(request->parts, request->api->loop,
			api_parameter(request, "name"),
			json_string_value(file));
	}
}

/* Takes `value` over. The document is durable before a file goes. */
static void forget_branch_co(struct api_request *request, const char *name,
	json_t *value, const json_t *files)
{
	char id[OBJECT_ID_BYTES];
	struct object_edits *edits = calloc(1, sizeof *edits);
	if (!edits) {
		json_decref(value);
		api_answer(request, 500, NULL);
		return;
	}
	object_edit(
		edits, CONFIG_VOLUME, api_parameter(request, "name"), value);
	if (object_change_co(request, edits, "lost a snapshot", "", id)) {
		remove_files_co(request, files);
		snapshot_announce(request, "snapshot_deleted", name);
		api_answer_empty(request);
	}
	object_edits_free(edits);
}

static void delete_branch_co(struct api_request *request,
	const struct config_object *volume, const json_t *snapshot)
{
	const char *name = source_text(snapshot, "name");
	json_t *files = NULL;
	if (!check_leaf(request, volume->value, snapshot))
		return;
	json_t *value = snapshot_records_without(volume->value, name, &files);
	if (!value)
		api_problem(request, "not-found", "it has gone since");
	else if (request->dry_run)
		snapshot_answer_plan_co(request, "none",
			"the snapshot is deleted for good with its file; the "
			"volume does not stand on it, hosts stay");
	else
		forget_branch_co(request, name, json_incref(value), files);
	json_decref(value);
	json_decref(files);
}

/* -- either place ---------------------------------------------------------------- */

static void delete_external_co(
	struct api_request *request, const json_t *snapshot)
{
	struct err err = {0};
	const char *volume = api_parameter(request, "name");
	const struct config_object *object =
		config_find(request->parts->config, CONFIG_VOLUME, volume);
	const json_t *over = image_over(request, snapshot);
	if (object &&
		snapshot_is_branch(
			object->value, source_text(snapshot, "image"))) {
		delete_branch_co(request, object, snapshot);
		return;
	}
	if (!over) {
		api_problem(request, "not-found", "it has gone since");
		return;
	}
	json_t *options = json_pack("{ss}", "image", snapshot_image(over));
	const char *kind = merge_kind(request, volume, over, options, &err);
	if (kind && !strcmp(kind, "commit"))
		json_object_set_new(options, "remove", json_true());
	if (kind)
		api_job_order_co(request, kind, volume, options);
	else
		api_fail(request, &err);
	json_decref(options);
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
		snapshot_space_look_co(request, source);
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
