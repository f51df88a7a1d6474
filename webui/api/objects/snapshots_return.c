/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back to an external snapshot: the volume goes on in a new image over the snapshot's,
 * and what it was becomes another one beside it (snapshot_records.h).
 *
 * Invariant: the document that says so is durable while hosts wait at the gate
 * (spec_back_co), so a daemon that is killed comes back with all of the change or none.
 * A name of a file is taken once only: what such a daemon has left over is not used.
 */
#include "blockcore/spec.h"
#include "target/control/appliance/new_file.h"
#include "target/control/snapshots/snapshot_records.h"
#include "webui/api/objects/snapshots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_file(struct api_request *request, const char *path)
{
	return new_file_exists(request->parts->core, path);
}

static void name_file(struct api_request *request, const char *safety,
	char path[SNAPSHOT_PATH_BYTES])
{
	const char *volume = api_parameter(request, "name");
	snprintf(path, SNAPSHOT_PATH_BYTES, "%s.%s.qcow2", volume, safety);
	for (unsigned n = 2; is_file(request, path); n++)
		snprintf(path, SNAPSHOT_PATH_BYTES, "%s.%s-%u.qcow2", volume,
			safety, n);
}

/* -- what is in the way --------------------------------------------------------- */

/* A file that has gone would be made anew, empty. False: answered. */
static bool check_files(struct api_request *request, const json_t *image)
{
	for (; image; image = snapshot_image_below(image)) {
		const char *path = snapshot_image(image);
		if (!path || is_file(request, path))
			continue;
		api_problem(request, "storage",
			"%.255s, on which the snapshot stands, is missing: "
			"bring it back",
			path);
		return false;
	}
	return true;
}

/* False: the volume shares no image with it any more, which is answered. */
static bool check_shared(struct api_request *request, const json_t *volume,
	const json_t *image, const char *snapshot)
{
	const json_t *below =
		snapshot_image_below(json_object_get(volume, "source"));
	for (; image; image = snapshot_image_below(image)) {
		if (snapshot_image_in(below, snapshot_image(image)))
			return true;
	}
	api_problem(request, "conflict",
		"volume \"%s\" has nothing in common with snapshot \"%.255s\" "
		"any more, since it was flattened or moved: make a volume over "
		"the snapshot's file instead",
		api_parameter(request, "name"), snapshot);
	return false;
}

static bool refuse_held(struct api_request *request, const char *holder)
{
	api_problem(request, "conflict",
		"%s shows or stands on what the volume would go back from: "
		"flatten or remove that first",
		holder);
	return false;
}

/* Volumes, online or not, of what would go from under them. False: answered. */
static bool check_holders(struct api_request *request,
	const struct config_object *volume, const json_t *items,
	const json_t *image)
{
	const struct config *config = request->parts->config;
	const json_t *source = json_object_get(volume->value, "source"), *one;
	size_t i;
	json_array_foreach((json_t *)items, i, one)
	{
		json_t *held_by = snapshot_is_external(one)
			? json_array()
			: snapshot_users(config, volume->id, one);
		bool held = json_array_size(held_by);
		if (held)
			refuse_held(request,
				json_string_value(json_array_get(held_by, 0)));
		json_decref(held_by);
		if (held)
			return false;
	}
	while ((source = snapshot_image_below(source))) {
		const char *path = snapshot_image(source), *holder = NULL;
		char text[OBJECT_ID_BYTES + 16];
		/* This and what is below stays. */
		if (snapshot_image_in(image, path))
			break;
		if (path)
			holder =
				snapshot_image_holder(config, volume->id, path);
		snprintf(text, sizeof text, "volume %s", holder ? holder : "");
		if (holder)
			return refuse_held(request, text);
	}
	return true;
}

/* -- doing it ------------------------------------------------------------------- */

/* Takes `value` over. */
static void change_co(struct api_request *request, struct block_source *source,
	const struct config_object *volume, json_t *value,
	const struct snapshot_way *way)
{
	char id[OBJECT_ID_BYTES], place[SNAPSHOT_PLACE_BYTES];
	struct object_edits *edits = calloc(1, sizeof *edits);
	if (!edits) {
		json_decref(value);
		api_answer(request, 500, NULL);
		return;
	}
	snapshot_print_place(request, way->safety, place);
	api_answers_as(request, 200, place);
	object_edit_of(edits, volume, value);
	json_t *changes = NULL;
	if (request->dry_run) {
		changes = object_rehearse_co(request, edits, "");
		if (changes)
			snapshot_plan_back_co(request, way, changes);
	} else if (object_change_co(
			   request, edits, "went back to a snapshot", "", id))
		snapshot_went_back_co(request, source, way, true);
	object_edits_free(edits);
}

void snapshot_return_co(struct api_request *request,
	struct block_source *source, const json_t *items,
	const json_t *snapshot, const struct snapshot_way *way)
{
	char path[SNAPSHOT_PATH_BYTES];
	struct block_info info = block_source_info(
		source, block_core_lane(request->parts->core, 0));
	if (!snapshot_check_names_co(request, api_parameter(request, "name"),
		    source, way->safety))
		return;
	const struct config_object *volume = source_volume(request);
	const json_t *image = volume ? snapshot_image_any(volume->value,
					       source_text(snapshot, "image"))
				     : NULL;
	if (!volume || !check_files(request, image) ||
		!check_shared(request, volume->value, image, way->snapshot) ||
		!check_holders(request, volume, items, image))
		return;
	name_file(request, way->safety, path);
	const struct snapshot_return what = {.name = way->snapshot,
		.safety = way->safety,
		.path = path,
		.now_ms = api_now_ms(),
		.size_bytes = info.size_bytes};
	json_t *value = snapshot_records_return(volume->value, &what);
	if (!value)
		api_problem(request, "not-found", "it has gone since");
	else if (request->dry_run || snapshot_may_destroy(request, way))
		change_co(request, source, volume, json_incref(value), way);
	json_decref(value);
}
