/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks of snapshots by REST: set, lengthened, lifted; kept by snapshot_locks.h.
 */
#include "target/control/snapshots/snapshot_locks.h"
#include "webui/api/objects/snapshots.h"
#include "webui/api/server/body.h"
#include "webui/api/server/parse.h"

#include <stdio.h>

/* The snapshot of the path as it is, a new reference; NULL: answered. */
static json_t *find_snapshot_co(struct api_request *request)
{
	struct block_source *source = snapshot_source_co(request);
	if (!source)
		return NULL;
	json_t *one = snapshot_find_co(request, source);
	block_source_put_co(source);
	if (one && !source_text(one, "image"))
		api_problem(request, "conflict",
			"only what is kept in a file can be locked");
	else if (one && snapshot_need_whole(request, one) &&
		snapshot_match(request, one))
		return one;
	json_decref(one);
	return NULL;
}

/* False: answered. */
static bool read_until(struct api_request *request, int64_t *ms)
{
	const char *text;
	if (!body_has_only(request, "until") ||
		!(text = body_need_text(request, "until")))
		return false;
	if (parse_time(text, ms) && *ms > api_now_ms())
		return true;
	api_problem_at(request, "/until", NULL,
		"a time that is to come is expected, in UTC, such as "
		"2027-01-31T00:00:00Z");
	return false;
}

static void audit_lock(
	struct api_request *request, json_t *snapshot, json_t *after)
{
	snapshot_tell(request, after ? "snapshot_locked" : "snapshot_unlocked",
		source_text(snapshot, "name"), snapshot, after);
}

static void lock_found_co(
	struct api_request *request, json_t *snapshot, int64_t until_ms)
{
	const char *image = source_text(snapshot, "image");
	struct snapshot_lock now, lock = {.until_ms = until_ms};
	struct err err = {0};
	snprintf(lock.name, sizeof lock.name, "%s",
		source_text(snapshot, "name"));
	bool fails = snapshot_lock_find(
		request->parts, image, lock.name, &now, &err);
	snprintf(lock.image, sizeof lock.image, "%s",
		now.until_ms ? now.image : image);
	if (fails) {
		api_fail(request, &err);
	} else if (now.until_ms > until_ms) {
		api_problem(request, "conflict",
			"snapshot \"%.63s\" is locked until %s already: a lock "
			"can be lengthened, and only an admin lifts it",
			lock.name, source_text(snapshot, "locked_until"));
	} else if (request->dry_run) {
		snapshot_answer_plan_co(request, "none",
			"the snapshot cannot be deleted until then; only an "
			"admin lifts the lock");
	} else if (snapshot_lock_set(request->parts, &lock, &err)) {
		api_fail(request, &err);
	} else {
		json_t *after = json_copy(snapshot);
		json_object_set_new(after, "locked_until", api_time(until_ms));
		audit_lock(request, snapshot, after);
		snapshot_set_etag(request, after);
		api_answer(request, 200, after);
	}
}

static void lock_snapshot_co(struct api_request *request)
{
	int64_t until_ms;
	if (!read_until(request, &until_ms))
		return;
	json_t *snapshot = find_snapshot_co(request);
	if (snapshot)
		lock_found_co(request, snapshot, until_ms);
	json_decref(snapshot);
}

static void unlock_found_co(struct api_request *request, json_t *snapshot)
{
	struct err err = {0};
	struct snapshot_lock lock;
	if (snapshot_lock_find(request->parts, source_text(snapshot, "image"),
		    source_text(snapshot, "name"), &lock, &err))
		api_fail(request, &err);
	else if (!lock.until_ms)
		api_problem(request, "not-found",
			"snapshot \"%.63s\" is not locked",
			source_text(snapshot, "name"));
	else if (request->dry_run)
		snapshot_answer_plan_co(request, "none",
			"the snapshot can be deleted again, from now on");
	else if (snapshot_lock_lift(request->parts, &lock, &err))
		api_fail(request, &err);
	else {
		audit_lock(request, snapshot, NULL);
		api_answer_empty(request);
	}
}

static void unlock_snapshot_co(struct api_request *request)
{
	json_t *snapshot = find_snapshot_co(request);
	if (snapshot)
		unlock_found_co(request, snapshot);
	json_decref(snapshot);
}

#define LOCK "/api/v1/volumes/{name}/snapshots/{snapshot}/lock"
const struct api_route api_snapshot_lock_routes[] = {
	{"lockSnapshot", "PUT", LOCK, API_OPERATOR,
		API_BODY | API_DRY_RUN | API_NEEDS_MATCH, NULL,
		lock_snapshot_co},
	{"unlockSnapshot", "DELETE", LOCK, API_ADMIN,
		API_DRY_RUN | API_NEEDS_MATCH, NULL, unlock_snapshot_co},
	{0},
};
