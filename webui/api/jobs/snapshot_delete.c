/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A snapshot is deleted. What its image keeps goes at once; an external one by a job
 * that merges two images:
 *
 *	a <--monday-- b <--tuesday-- c		monday goes: b down into a,
 *	a <--tuesday-- c			whose content is tuesday's now
 *
 * Invariants
 *  1. A snapshot that a volume shows or stands on is not deleted, also while that
 *     volume is offline: its document counts. Nor is a locked one.
 *  2. What is left over of a merge goes with its job, also over a crash: job_keep.c.
 *     What others need stays, whoever asks.
 */
#include "blockcore/spec.h"
#include "webui/api/jobs/jobs_private.h"
#include "webui/api/objects/snapshot_locks.h"
#include "webui/api/objects/snapshots.h"

#include <errno.h>
#include <string.h>

/* -- one that is merged -------------------------------------------------------- */

static const json_t *image_below(const json_t *source)
{
	return json_object_get(json_object_get(source, "format"), "backing");
}

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
		!is_in(image_below(source), source_text(snapshot, "image")))
		source = image_below(source);
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
	const json_t *image = image_below(over);
	int failed = is_read_only(image)
		? err_set(err, EBUSY, "the file of the snapshot is read-only")
		: api_job_order_check(request, "commit", volume, options, err);
	if (!failed)
		return "commit";
	return failed == -EBUSY && !image_below(image) &&
			!api_job_order_check(request, "flatten", volume,
				options, &(struct err){0})
		? "flatten"
		: NULL;
}

static void delete_external_co(
	struct api_request *request, const json_t *snapshot)
{
	struct err err = {0};
	const char *volume = api_parameter(request, "name");
	const json_t *over = image_over(request, snapshot);
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

/* False: answered. */
static bool check_unused(struct api_request *request, const json_t *snapshot)
{
	json_t *held_by = snapshot_holders(request->parts->config,
		api_parameter(request, "name"), snapshot);
	if (!json_array_size(held_by)) {
		json_decref(held_by);
		return true;
	}
	api_problem(request, "conflict",
		"snapshot \"%.255s\" is in use: remove or flatten what shows "
		"it or stands on it first",
		source_text(snapshot, "name"));
	api_problem_add(request, "held_by", held_by);
	return false;
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
		snapshot_answer_plan_co(request, "none",
			"the snapshot is deleted for good; what only it holds "
			"becomes free, hosts stay");
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
