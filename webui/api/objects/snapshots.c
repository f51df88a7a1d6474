/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of a volume that its image keeps itself (qcow2): made, listed. They are
 * deleted by ../jobs/snapshot_delete.c.
 * Lists have those beside, too, of which the volume's document tells:
 * snapshots_external.c.
 *
 * Invariants
 *  1. What an image keeps stands in it alone: nothing here remembers a snapshot, so
 *     one that others made is there, too.
 */
#include "webui/api/objects/snapshots.h"
#include "blockcore/base/log.h"
#include "blockcore/spec.h"
#include "target/control/snapshots/snapshot_intents.h"
#include "target/control/snapshots/snapshot_locks.h"
#include "target/control/snapshots/snapshot_space.h"
#include "webui/api/live/live_impact.h"
#include "webui/api/server/body.h"
#include "webui/api/server/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- what there is ------------------------------------------------------------ */

/* What runs of the volume of the path, with a reference; NULL: answered. */
struct block_source *snapshot_source_co(struct api_request *request)
{
	snapshot_intents_undo_co(request->parts);
	const struct config_object *object = source_volume(request);
	if (!object)
		return NULL;
	struct block_source *source = source_running(request, object->id);
	if (!source)
		api_problem(request, "storage",
			"volume \"%s\" is offline: nothing runs", object->id);
	else
		block_source_get(source); /* the volume may let go of it */
	return source;
}

/* All snapshots; NULL: answered. */
json_t *snapshot_list_co(
	struct api_request *request, struct block_source *source)
{
	struct err err = {0};
	json_t *items = snapshot_read_co(source, &err);
	if (items)
		snapshot_make_tree(request, items);
	else
		api_fail(request, &err);
	return items;
}

/* The snapshot of the path, a new reference; NULL: answered. */
json_t *snapshot_find_co(
	struct api_request *request, struct block_source *source)
{
	const char *name = api_parameter(request, "snapshot");
	json_t *items = snapshot_list_co(request, source);
	json_t *one = items ? json_incref(snapshot_pick(items, name)) : NULL;
	if (items && !one)
		api_problem(request, "not-found",
			"volume \"%s\" has no snapshot \"%.255s\"",
			api_parameter(request, "name"), name);
	json_decref(items);
	return one;
}

static void tag_of(const json_t *snapshot, char tag[64])
{
	const char *created = source_text(snapshot, "created");
	const char *locked = source_text(snapshot, "locked_until");
	snprintf(tag, 64, "%.30s%s%.30s", created ? created : "",
		locked ? "/" : "", locked ? locked : "");
}

void snapshot_set_etag(struct api_request *request, const json_t *snapshot)
{
	char tag[64];
	tag_of(snapshot, tag);
	api_set_etag(request, tag);
}

bool snapshot_match(struct api_request *request, const json_t *snapshot)
{
	char tag[64];
	tag_of(snapshot, tag);
	return api_match(request, tag);
}

void snapshot_look_space_co(
	struct api_request *request, struct block_source *source)
{
	if (!request->api->closing)
		snapshot_space_look_co(request->api->snapshot_spaces,
			api_parameter(request, "name"), source);
}

static void list_snapshots_co(struct api_request *request)
{
	struct block_source *source = snapshot_source_co(request);
	if (!source)
		return;
	snapshot_look_space_co(request, source);
	json_t *items = snapshot_list_co(request, source);
	block_source_put_co(source);
	if (items)
		api_answer_list(request, items, "name");
}

static void get_snapshot_co(struct api_request *request)
{
	struct block_source *source = snapshot_source_co(request);
	if (!source)
		return;
	snapshot_look_space_co(request, source);
	json_t *one = snapshot_find_co(request, source);
	block_source_put_co(source);
	if (!one)
		return;
	snapshot_set_etag(request, one);
	api_answer(request, 200, one);
}

/* -- dry runs and records ------------------------------------------------------- */

void snapshot_answer_plan_co(
	struct api_request *request, const char *effect, const char *text)
{
	live_plan_co(request, api_parameter(request, "name"), effect, text);
}

void snapshot_announce(
	struct api_request *request, const char *what, const char *snapshot)
{
	char name[256];
	const char *volume = api_parameter(request, "name");
	/* Whoever made the image may have called it anything. */
	log_escape(name, sizeof name, snapshot, (unsigned)strlen(snapshot));
	snapshot_space_changed(request->api->snapshot_spaces, volume);
	log_info("api", what, "%s: snapshot %s of volume %s", request->who.name,
		name, volume);
	api_emit(request->api, "volumes", what,
		json_pack("{ss, ss}", "volume", volume, "snapshot", snapshot));
}

void snapshot_tell(struct api_request *request, const char *what,
	const char *snapshot, json_t *before, json_t *after)
{
	char path[2 * OBJECT_ID_BYTES + 32];
	snprintf(path, sizeof path, "volumes/%s/snapshots/%.255s",
		api_parameter(request, "name"), snapshot);
	api_audit(request, path, json_incref(before), json_incref(after));
	snapshot_announce(request, what, snapshot);
}

/* -- create --------------------------------------------------------------------- */

void snapshot_print_place(const struct api_request *request, const char *name,
	char place[SNAPSHOT_PLACE_BYTES])
{
	snprintf(place, SNAPSHOT_PLACE_BYTES, "/api/v1/volumes/%s/snapshots/%s",
		api_parameter(request, "name"), name);
}

static void created_co(struct api_request *request, struct block_source *source,
	const char *name)
{
	char location[SNAPSHOT_PLACE_BYTES];
	json_t *items = snapshot_list_co(request, source);
	json_t *one = items ? snapshot_pick(items, name) : NULL;
	if (one) {
		snapshot_tell(request, "snapshot_created", name, NULL, one);
		snapshot_print_place(request, name, location);
		api_answer_created(request, location, json_incref(one));
	} else if (items) {
		api_problem(request, "not-found", "it has gone since");
	}
	json_decref(items);
}

/* In the words of the contract; false: answered. */
bool snapshot_check_name(
	struct api_request *request, const char *member, const char *name)
{
	char pointer[16];
	if (body_is_name(name))
		return true;
	snprintf(pointer, sizeof pointer, "/%s", member);
	api_problem_at(request, pointer, NULL,
		"a letter or digit, then up to 62 letters, digits, \".\", "
		"\"_\" or \"-\" are expected");
	return false;
}

/* Hosts' slow I/O delays it; they wait for it a moment at a time. */
static int make_internal_co(
	struct block_source *source, const char *name, struct err *err)
{
	struct spec_patience patience = {0};
	int failed;
	do
		failed = spec_snapshot_create_co(
			source, name, SPEC_GATE_DEADLINE_NS, err);
	while (spec_try_again_co(source, &patience, failed, err));
	return failed;
}

static void plan_internal_co(struct api_request *request,
	struct block_source *source, const char *name)
{
	struct err err = {0};
	if (spec_rehearse_snapshot(source, name, &err))
		api_fail(request, &err);
	else
		snapshot_answer_plan_co(request, "parked",
			"a snapshot is made in the image; hosts wait for what "
			"is in flight and one flush, and listeners stay where "
			"they are");
}

static void create_internal_co(struct api_request *request,
	struct block_source *source, const char *name)
{
	struct err err = {0};
	if (json_object_get(request->body, "placement"))
		api_problem_at(request, "/placement", NULL,
			"only an external snapshot places listeners: the image "
			"keeps this one, and they stay where they are");
	else if (!snapshot_check_names_co(
			 request, api_parameter(request, "name"), source, name))
		return;
	else if (request->dry_run)
		plan_internal_co(request, source, name);
	else if (make_internal_co(source, name, &err))
		api_fail(request, &err);
	else
		created_co(request, source, name);
}

static void create_snapshot_co(struct api_request *request)
{
	const char *name;
	bool external = false;
	if (!body_has_only(request, "name external placement") ||
		!(name = body_need_text(request, "name")) ||
		!snapshot_check_name(request, "name", name) ||
		!body_may_bool(request, "external", &external))
		return;
	struct block_source *source = snapshot_source_co(request);
	if (!source)
		return;
	if (external)
		snapshot_create_external_co(request, source, name);
	else
		create_internal_co(request, source, name);
	block_source_put_co(source);
}

#define SNAPSHOTS "/api/v1/volumes/{name}/snapshots"
#define SNAPSHOT SNAPSHOTS "/{snapshot}"
const struct api_route api_snapshot_routes[] = {
	{"listSnapshots", "GET", SNAPSHOTS, API_VIEWER, API_PAGED, NULL,
		list_snapshots_co},
	{"createSnapshot", "POST", SNAPSHOTS, API_OPERATOR,
		API_BODY | API_DRY_RUN | API_IDEMPOTENT, NULL,
		create_snapshot_co},
	{"getSnapshot", "GET", SNAPSHOT, API_VIEWER, 0, NULL, get_snapshot_co},
	{0},
};
