/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External snapshots: a volume goes on in a new image, and what it was stays in the
 * old one, which does not change from then on. They and those that an image keeps
 * itself are one tree:
 *
 *	db01.raw  <--monday--  db01.monday.qcow2  <--tuesday--  db01.tuesday.qcow2
 *	(path)		       (under)			 snapshots in the image
 *
 * The name and the time stand in the document, in `snapshots` of the volume: `path` is
 * the image of the snapshot, `under` the one that was put over it. Making one is the
 * change of a document as any other, which the appliance takes as a snapshot by what
 * differs (live_overlay.c): the names are durable with the new source or not at all.
 *
 * Invariants
 *  1. A name is there as long as its two images stand one right on the other
 *     (snapshot_records.h). Jobs that merge images part them, so no name ever means content that a
 *     merge has changed; records that have lost theirs go with the next snapshot. One
 *     that a merge has begun to change says so (`merging`), and is deleted only.
 *  2. A name means one snapshot of a volume, of either kind.
 *  3. Each listener is placed before anything is asked of the appliance, by what the
 *     request says, else by its kind; so a dry run shows where all go.
 */
#include "blockcore/base/log.h"

#include "blockcore/spec.h"
#include "target/control/config/json_doc.h"
#include "target/control/snapshots/snapshot_locks.h"
#include "target/control/snapshots/snapshot_records.h"
#include "target/control/snapshots/snapshot_space.h"
#include "webui/api/objects/new_file.h"
#include "webui/api/objects/snapshots.h"
#include "webui/api/server/body.h"
#include "webui/api/server/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_text(const json_t *object, const char *member, const char *text)
{
	const char *value = source_text(object, member);
	return value && text && !strcmp(value, text);
}

/* -- the tree ------------------------------------------------------------------ */

/* What a file takes up of its file system; null: that is not known. */
static json_t *owned_by(struct api_request *request, const char *path)
{
	char whole[4096];
	struct stat there;
	if (!block_core_path(request->parts->core, path, whole, sizeof whole) ||
		stat(whole, &there) || !S_ISREG(there.st_mode))
		return json_null();
	return json_integer((json_int_t)there.st_blocks * 512);
}

/* As the record has it: a number, or a text that somebody else wrote ("1MiB"). */
static json_t *bytes_of(const json_t *size)
{
	struct err err = {0};
	uint64_t bytes = 0;
	struct doc *doc = json_to_doc(size, &err);
	bool well = doc && !doc_size(doc, 0, INT64_MAX, &bytes, &err);
	doc_free(doc);
	return well ? json_integer((json_int_t)bytes) : json_null();
}

static json_t *external_json(struct api_request *request, const json_t *volume,
	const json_t *records, const json_t *record)
{
	const char *path = source_text(record, "path");
	bool merging = json_is_true(json_object_get(record, "merging"));
	return json_pack("{sO, ss, sn, so, so, si, ss, so, so, sn, sn, sb}",
		"name", json_object_get(record, "name"), "kind", "external",
		"id", "created",
		api_time(
			json_integer_value(json_object_get(record, "created"))),
		"size_bytes", bytes_of(json_object_get(record, "size")),
		"vm_state_bytes", 0, "image", path, "parent",
		snapshot_records_parent(volume, records, path), "owned_bytes",
		owned_by(request, path), "shared_bytes", "counted", "merging",
		merging);
}

void snapshot_make_tree(struct api_request *request, json_t *items)
{
	const struct config_object *volume = config_find(request->parts->config,
		CONFIG_VOLUME, api_parameter(request, "name"));
	json_t *one;
	size_t i;
	if (!volume)
		return;
	json_t *records = snapshot_records(volume->value);
	const char *image =
		snapshot_image(json_object_get(volume->value, "source"));
	json_array_foreach(items, i, one)
	{
		json_object_set_new(one, "kind", json_string("internal"));
		json_object_set_new(
			one, "image", image ? json_string(image) : json_null());
		json_object_set_new(one, "parent",
			snapshot_records_parent(volume->value, records, image));
		json_object_set_new(one, "owned_bytes", json_null());
		json_object_set_new(one, "shared_bytes", json_null());
		json_object_set_new(one, "counted", json_null());
		json_object_set_new(one, "merging", json_false());
	}
	snapshot_space_fill(request->api->snapshot_spaces, volume->id, items);
	json_array_foreach(records, i, one)
	{
		json_array_append_new(items,
			external_json(request, volume->value, records, one));
	}
	json_array_foreach(items, i, one)
	{
		json_object_set_new(one, "locked_until",
			snapshot_locked_until(request->parts,
				source_text(one, "image"),
				source_text(one, "name")));
	}
	snapshot_set_users(request->parts->config, volume->id, items);
	json_decref(records);
}

bool snapshot_need_whole(struct api_request *request, const json_t *snapshot)
{
	if (!json_is_true(json_object_get(snapshot, "merging")))
		return true;
	api_problem(request, "conflict",
		"snapshot \"%.255s\" is being deleted: other data are in it "
		"already. Delete it again if that has not come to its end",
		source_text(snapshot, "name"));
	return false;
}

bool snapshot_check_free(
	struct api_request *request, const char *volume, const char *name)
{
	struct err err = {0};
	if (!snapshot_name_free(request->parts->config, volume, name, &err))
		return true;
	api_fail(request, &err);
	return false;
}

const char *snapshot_image_type(
	struct api_request *request, const json_t *snapshot)
{
	const struct config_object *object = config_find(request->parts->config,
		CONFIG_VOLUME, api_parameter(request, "name"));
	if (!object || !is_text(snapshot, "kind", "external"))
		return NULL;
	return json_object_get(snapshot_image_any(object->value,
				       source_text(snapshot, "image")),
		       "format")
		? "qcow2"
		: "raw";
}

/* -- placement ------------------------------------------------------------------ */

/* The names of all places, a new list. */
static json_t *places(void)
{
	json_t *list = json_array();
	for (unsigned i = SPEC_PLACE_HEAD; i <= SPEC_PLACE_DROP; i++)
		json_array_append_new(
			list, json_string(spec_placement_name(i)));
	return list;
}

/* False: answered. */
static bool check_placement(struct api_request *request, const json_t *now)
{
	json_t *placement = json_object_get(request->body, "placement"), *place;
	const char *name;
	char pointer[BLOCK_NAME_BYTES + 16];
	if (placement && !json_is_object(placement)) {
		api_problem_at(request, "/placement", NULL,
			"a map of listeners and their places is expected");
		return false;
	}
	json_object_foreach(placement, name, place)
	{
		bool known = source_find(now, name) < source_count(now);
		if (known && snapshot_place_named(json_string_value(place)))
			continue;
		snprintf(pointer, sizeof pointer, "/placement/%.50s", name);
		api_problem_at(request, pointer, known ? places() : NULL,
			known ? "a place is expected: head, image, both or drop"
			      : "the volume has no listener \"%.63s\"",
			name);
		return false;
	}
	return true;
}

/* -- create --------------------------------------------------------------------- */

/* The audit record is the configuration's own, written with the change. */
static void answer_made(struct api_request *request, const char *name)
{
	char location[SNAPSHOT_PLACE_BYTES];
	json_t *items = json_array();
	snapshot_make_tree(request, items);
	json_t *one = json_incref(snapshot_pick(items, name));
	json_decref(items);
	if (!one) {
		api_problem(request, "not-found", "it has gone since");
		return;
	}
	snapshot_announce(request, "snapshot_created", name);
	snapshot_print_place(request, name, location);
	api_answer_created(request, location, one);
}

static void change_co(struct api_request *request,
	const struct config_object *volume, const char *name, uint64_t size)
{
	char path[SNAPSHOT_PATH_BYTES], id[OBJECT_ID_BYTES];
	char place[SNAPSHOT_PLACE_BYTES];
	const struct snapshot_over what = {.name = name,
		.path = path,
		.placement = json_object_get(request->body, "placement"),
		.now_ms = api_now_ms(),
		.size_bytes = size};
	snapshot_path_over(volume, name, path);
	if (!new_file_is_new(request, path))
		return;
	struct object_edits *edits = calloc(1, sizeof *edits);
	if (!edits) {
		api_answer(request, 500, NULL);
		return;
	}
	object_edit_of(edits, volume, snapshot_value_over(volume, &what));
	snapshot_print_place(request, name, place);
	api_answers_as(request, 201, place);
	if (object_change_co(request, edits, "got a snapshot", "", id))
		answer_made(request, name);
	object_edits_free(edits);
}

bool snapshot_check_names_co(struct api_request *request, const char *volume,
	struct block_source *source, const char *name)
{
	struct err err = {0};
	if (!snapshot_names_free_co(
		    request->parts->config, volume, source, name, &err))
		return true;
	api_fail(request, &err);
	return false;
}

bool snapshot_need_file(
	struct api_request *request, const struct config_object *volume)
{
	struct err err = {0};
	if (!snapshot_in_file(volume, &err))
		return true;
	api_fail(request, &err);
	return false;
}

void snapshot_create_external_co(struct api_request *request,
	struct block_source *source, const char *name)
{
	struct block_info info = block_source_info(
		source, block_core_lane(request->parts->core, 0));
	if (!snapshot_check_names_co(
		    request, api_parameter(request, "name"), source, name))
		return;
	const struct config_object *volume = source_volume(request);
	if (!volume)
		return;
	json_t *now = source_copy(volume);
	bool well = check_placement(request, now);
	json_decref(now);
	if (well && snapshot_need_file(request, volume))
		change_co(request, volume, name, info.size_bytes);
}
