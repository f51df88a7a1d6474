/* SPDX-License-Identifier: Apache-2.0 */
/*
 * External snapshots of a schedule: new images over those of its volumes, by one change
 * of the configuration.
 *
 * Invariant: everything that takes its time comes first. From when values and paths are
 * made up to the change nothing is waited for; and if somebody else has changed a volume
 * before the change has its turn, it is refused and tried again (object_edit_of).
 */
#include "target/control/schedule/schedules.h"

#include "blockcore/base/log.h"
#include "blockcore/loop.h"
#include "target/control/appliance/new_file.h"
#include "target/control/config/object_edits.h"
#include "target/control/own_audit.h"
#include "target/control/snapshots/snapshot_over.h"
#include "target/control/snapshots/snapshot_records.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_NUMBERS 1000u

/* -- the directory --------------------------------------------------------------- */

/* Made if it is not there, and durable where it is named. */
static int make_one(char *path)
{
	char *slash = strrchr(path, '/');
	int failed = mkdir(path, 0700) ? -errno : 0;
	if (failed)
		return failed == -EEXIST ? 0 : failed;
	*slash = '\0';
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*slash = '/';
	failed = fd < 0 || fsync(fd) ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return failed;
}

struct making {
	char path[PATH_MAX];
	size_t data_bytes; /* of the data directory, which is there */
};

static int make_all(void *argument)
{
	struct making *making = argument;
	char *at = making->path + making->data_bytes;
	int failed = 0;
	while (!failed && at) {
		at = strchr(at + 1, '/');
		if (at)
			*at = '\0';
		failed = make_one(making->path);
		if (at)
			*at = '/';
	}
	return failed;
}

static int make_directory_co(struct schedules *schedules,
	const struct schedule *plan, struct err *err)
{
	const struct block_core *core = schedules->parts->core;
	if (!*plan->directory)
		return 0;
	struct making *making = calloc(1, sizeof *making);
	if (!making)
		return err_set(err, ENOMEM, "out of memory");
	block_core_path(core, plan->directory, making->path, PATH_MAX);
	making->data_bytes = strlen(making->path) - strlen(plan->directory) - 1;
	int failed = loop_work_co(schedules->loop, make_all, making);
	free(making);
	return failed ? err_set(err, -failed, "directory %s cannot be made: %s",
				plan->directory, strerror(-failed))
		      : 0;
}

/* -- one volume ------------------------------------------------------------------ */

static bool is_in_edits(const struct object_edits *edits, const char *path)
{
	for (unsigned i = 0; i < edits->count; i++) {
		if (snapshot_image_in(
			    json_object_get(edits->edit[i].value, "source"),
			    path))
			return true;
	}
	return false;
}

/* A file that is not there, nor is about to be. */
static int find_path(struct schedules *schedules,
	const struct schedule_moment *moment, const char *volume,
	const struct object_edits *edits, char path[SCHEDULE_PATH_BYTES],
	struct err *err)
{
	for (unsigned n = 1; n <= MOST_NUMBERS; n++) {
		schedule_path(moment->plan, volume, moment->instant, n, path);
		if (!new_file_exists(schedules->parts->core, path) &&
			!is_in_edits(edits, path))
			return 0;
	}
	return err_set(err, EEXIST, "the file %s is there already", path);
}

static int edit_one(struct schedules *schedules,
	const struct schedule_moment *moment, unsigned i,
	struct object_edits *edits, struct err *err)
{
	const struct daemon_parts *parts = schedules->parts;
	const char *name = moment->plan->volume[i];
	const struct config_object *volume =
		config_find(parts->config, CONFIG_VOLUME, name);
	char path[SCHEDULE_PATH_BYTES];
	int failed = volume
		? snapshot_in_file(volume, err)
		: err_set(err, ENOENT, "there is no volume \"%s\"", name);
	if (!failed)
		failed = find_path(schedules, moment, name, edits, path, err);
	if (failed)
		return failed;
	const struct snapshot_over what = {.name = moment->snapshot,
		.path = path,
		.placement = moment->placement,
		.now_ms = moment->instant * 1000,
		.size_bytes = block_source_info(
			moment->source[i], block_core_lane(parts->core, 0))
				      .size_bytes};
	object_edit_of(edits, volume, snapshot_value_over(volume, &what));
	return 0;
}

/* -- all of them ----------------------------------------------------------------- */

static int check_names_co(struct schedules *schedules,
	const struct schedule_moment *moment, struct err *err)
{
	int failed = 0;
	for (unsigned i = 0; i < moment->count && !failed; i++) {
		unsigned v = moment->first + i;
		failed = snapshot_names_free_co(schedules->parts->config,
			moment->plan->volume[v], moment->source[v],
			moment->snapshot, err);
	}
	return failed;
}

static int change_co(struct schedules *schedules,
	const struct schedule_moment *moment, const struct object_edits *edits,
	struct err *err)
{
	struct config_outcome outcome;
	struct own_audit own;
	const char *volume = moment->plan->volume[moment->first];
	bool group = moment->count > 1;
	char title[256], object[256];
	snprintf(title, sizeof title,
		"volume %s%s got a snapshot by schedule %s", volume,
		group ? " and others" : "", moment->plan->name);
	if (group)
		snprintf(object, sizeof object, "snapshot-groups/%s",
			moment->snapshot);
	else
		snprintf(object, sizeof object, "volumes/%s/snapshots/%s",
			volume, moment->snapshot);
	struct config_change change = {.edit = edits->edit,
		.edits = edits->count,
		.who = "cairnd",
		.title = title,
		.witness = own_audit_witness(&own, schedules->parts->trust,
			group ? "createSnapshotGroup" : "createSnapshot",
			object)};
	int failed = config_change_co(
		schedules->parts->config, &change, &outcome, err);
	if (failed) {
		object_sort_error(err);
		return -err->code;
	}
	object_emit(schedules->sink, &outcome);
	config_outcome_free(&outcome);
	return 0;
}

int schedule_external_make_co(struct schedules *schedules,
	const struct schedule_moment *moment, struct err *err)
{
	struct object_edits *edits = calloc(1, sizeof *edits);
	int failed = edits ? make_directory_co(schedules, moment->plan, err)
			   : err_set(err, ENOMEM, "out of memory");
	if (!failed)
		failed = check_names_co(schedules, moment, err);
	for (unsigned i = 0; i < moment->count && !failed; i++)
		failed = edit_one(
			schedules, moment, moment->first + i, edits, err);
	if (!failed)
		failed = change_co(schedules, moment, edits, err);
	if (edits)
		object_edits_free(edits);
	return failed;
}

/* -- what there is --------------------------------------------------------------- */

json_t *schedule_external_items(const struct config_object *volume)
{
	json_t *records = snapshot_records(volume->value), *one;
	json_t *items = json_array();
	size_t i;
	json_array_foreach(records, i, one)
	{
		json_array_append_new(items,
			json_pack("{ss, sO, sO}", "kind", "external", "name",
				json_object_get(one, "name"), "image",
				json_object_get(one, "path")));
	}
	json_decref(records);
	return items;
}
