/* SPDX-License-Identifier: Apache-2.0 */
/* See snapshot_merge.h. */
#include "target/control/jobs/snapshot_merge.h"

#include "target/control/appliance/volume_purge.h"
#include "target/control/jobs/jobs_private.h"
#include "target/control/snapshots/snapshot_read.h"
#include "target/control/snapshots/snapshot_records.h"

#include <errno.h>
#include <string.h>

/* -- one that is merged -------------------------------------------------------- */

static bool is_in(const json_t *source, const char *path)
{
	const char *image = snapshot_image(source);
	return image && path && !strcmp(image, path);
}

/* The image over the one in that file; NULL: it has gone since. Borrowed. */
static const json_t *image_over(
	const struct jobs *jobs, const char *volume, const char *path)
{
	const struct config_object *object =
		config_find(jobs->parts->config, CONFIG_VOLUME, volume);
	const json_t *source =
		object ? json_object_get(object->value, "source") : NULL;
	while (source && !is_in(snapshot_image_below(source), path))
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
 * the snapshot as it is, or it must not be written to, and nothing is below it. NULL with
 * *err: neither. */
static const char *merge_kind(const struct jobs *jobs, const char *volume,
	const json_t *over, const json_t *options, struct err *err)
{
	const json_t *image = snapshot_image_below(over);
	int failed = is_read_only(image)
		? err_set(err, EBUSY, "the file of the snapshot is read-only")
		: jobs_check_order(jobs, "commit", volume, options, err);
	if (!failed)
		return "commit";
	return failed == -EBUSY && !snapshot_image_below(image) &&
			!jobs_check_order(jobs, "flatten", volume, options,
				&(struct err){0})
		? "flatten"
		: NULL;
}

int snapshot_merge_find(const struct jobs *jobs, const char *volume,
	const char *image, struct snapshot_merge *merge, struct err *err)
{
	const json_t *over = image_over(jobs, volume, image);
	if (!over)
		return err_set(err, ENOENT, "it has gone since");
	merge->options = json_pack("{ss}", "image", snapshot_image(over));
	merge->kind = merge_kind(jobs, volume, over, merge->options, err);
	if (!merge->kind) {
		json_decref(merge->options);
		return -err->code;
	}
	if (!strcmp(merge->kind, "commit"))
		json_object_set_new(merge->options, "remove", json_true());
	return 0;
}

/* -- one that the volume went back from ----------------------------------------- */

json_t *snapshot_without_branch(const json_t *volume, const char *image,
	const char *name, json_t **files, struct err *err)
{
	const char *other = snapshot_branch_on(volume, image, name);
	if (other) {
		err_set(err, EBUSY,
			"snapshot \"%.63s\" stands on \"%.255s\": delete that "
			"one first, or go back to it",
			other, name);
		return NULL;
	}
	json_t *value = snapshot_records_without(volume, name, files);
	if (!value)
		err_set(err, ENOENT, "it has gone since");
	return value;
}

void snapshot_files_remove_co(const struct daemon_parts *parts,
	struct loop *loop, const char *volume, const json_t *files)
{
	const json_t *file;
	size_t i;
	json_array_foreach((json_t *)files, i, file)
	{
		volume_purge_image_co(
			parts, loop, volume, json_string_value(file));
	}
}
