/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "target/control/snapshots/snapshot_records.h"

#include "target/control/appliance/new_file.h"
#include "target/control/appliance/volume_files.h"

#include <string.h>

static bool is_text(const json_t *object, const char *member, const char *text)
{
	const char *value = json_string_value(json_object_get(object, member));
	return value && text && !strcmp(value, text);
}

/* -- images -------------------------------------------------------------------- */

const json_t *snapshot_image_below(const json_t *source)
{
	const json_t *below =
		json_object_get(json_object_get(source, "format"), "backing");
	return json_is_object(below) ? below : NULL;
}

const json_t *snapshot_image_in(const json_t *source, const char *path)
{
	for (; source && path; source = snapshot_image_below(source)) {
		const char *here = volume_files_image(source);
		if (here && !strcmp(here, path))
			return source;
	}
	return NULL;
}

/* The volume's source, then those of its branches: by `index`; NULL: no more. A record
 * that is no branch has none, and is passed over. */
static const json_t *source_at(const json_t *volume, size_t *index)
{
	const json_t *kept = json_object_get(volume, "snapshots");
	const json_t *source = NULL;
	if (*index == 0) {
		*index = 1;
		return json_object_get(volume, "source");
	}
	while (!source && *index <= json_array_size(kept))
		source = json_object_get(
			json_array_get(kept, (*index)++ - 1), "source");
	return source;
}

const json_t *snapshot_image_any(const json_t *volume, const char *path)
{
	const json_t *source, *found = NULL;
	for (size_t i = 0; !found && (source = source_at(volume, &i));)
		found = snapshot_image_in(source, path);
	return found;
}

/* -- records ------------------------------------------------------------------- */

static bool stand_in(const json_t *source, const json_t *record)
{
	const json_t *below;
	for (; (below = snapshot_image_below(source)); source = below) {
		if (is_text(record, "under", volume_files_image(source)) &&
			is_text(record, "path", volume_files_image(below)))
			return true;
	}
	return false;
}

static bool is_there(const json_t *volume, const json_t *record)
{
	const json_t *source;
	bool there = json_object_get(record, "source");
	for (size_t i = 0; !there && (source = source_at(volume, &i));)
		there = stand_in(source, record);
	return there;
}

json_t *snapshot_records(const json_t *volume)
{
	json_t *list = json_array(), *one;
	size_t i;
	json_array_foreach(json_object_get(volume, "snapshots"), i, one)
	{
		if (is_there(volume, one))
			json_array_append(list, one);
	}
	return list;
}

static json_t *record_of(
	const json_t *records, const char *member, const char *text)
{
	json_t *one;
	size_t i;
	json_array_foreach((json_t *)records, i, one)
	{
		if (is_text(one, member, text))
			return one;
	}
	return NULL;
}

json_t *snapshot_records_parent(
	const json_t *volume, const json_t *records, const char *image)
{
	const char *below = volume_files_image(
		snapshot_image_below(snapshot_image_any(volume, image)));
	const json_t *record = record_of(records, "path", below);
	return record ? json_incref(json_object_get(record, "name"))
		      : json_null();
}

/* -- branches ------------------------------------------------------------------ */

bool snapshot_is_branch(const json_t *volume, const char *path)
{
	return !snapshot_image_in(json_object_get(volume, "source"), path);
}

static bool is_path(
	json_t *protocol, const char *path, bool backing, void *argument)
{
	(void)protocol;
	(void)backing;
	return strcmp(path, argument) != 0;
}

const char *snapshot_branch_on(
	const json_t *volume, const char *path, const char *but)
{
	const json_t *kept = json_object_get(volume, "snapshots"), *one;
	size_t i;
	json_array_foreach((json_t *)kept, i, one)
	{
		json_t *source = json_object_get(one, "source");
		const char *name =
			json_string_value(json_object_get(one, "name"));
		if (source && (!but || strcmp(name, but) != 0) &&
			!volume_files_each(
				source, false, is_path, (void *)path))
			return name;
	}
	return NULL;
}

const char *snapshot_branch_user(
	const struct config *config, const char *path, const char **volume)
{
	const struct config_object *one = NULL;
	const char *name = NULL;
	while (!name && (one = config_next(config, CONFIG_VOLUME, one))) {
		name = snapshot_branch_on(one->value, path, NULL);
		*volume = one->id;
	}
	return name;
}

/* -- other documents ----------------------------------------------------------- */

/* The file of the image that stands on the one in that file, in `source`; NULL: none. */
static const char *image_over(const json_t *source, const char *path)
{
	const json_t *below;
	for (; (below = snapshot_image_below(source)); source = below) {
		const char *here = volume_files_image(below);
		if (here && !strcmp(here, path))
			return volume_files_image(source);
	}
	return NULL;
}

/* What is over each image now: in the volume's source, else in a branch. */
static void settle(json_t *volume)
{
	json_t *kept = json_object_get(volume, "snapshots"), *one;
	size_t i;
	json_array_foreach(kept, i, one)
	{
		const char *path =
			json_string_value(json_object_get(one, "path"));
		const char *over = NULL;
		const json_t *source;
		if (!path || json_object_get(one, "source"))
			continue;
		for (size_t s = 0; !over && (source = source_at(volume, &s));)
			over = image_over(source, path);
		if (over)
			json_object_set_new(one, "under", json_string(over));
	}
}

/* A copy of the volume, with copies of the records that count. */
static json_t *copy_of(const json_t *value)
{
	json_t *copy = json_copy((json_t *)value);
	json_t *records = snapshot_records(value);
	json_object_set_new(copy, "snapshots", json_deep_copy(records));
	json_decref(records);
	return copy;
}

/* What the volume shows now, kept beside it. Listeners stay with the volume. */
static json_t *branch_record(
	const json_t *value, const struct snapshot_return *what)
{
	json_t *source = json_deep_copy(json_object_get(value, "source"));
	const char *path = volume_files_image(source);
	if (!path) {
		json_decref(source);
		return NULL;
	}
	json_object_del(source, "listeners");
	return json_pack("{ss, ss, sI, sI, so}", "name", what->safety, "path",
		path, "created", (json_int_t)what->now_ms, "size",
		(json_int_t)what->size_bytes, "source", source);
}

json_t *snapshot_records_return(
	const json_t *value, const struct snapshot_return *what)
{
	json_t *after = copy_of(value);
	json_t *kept = json_object_get(after, "snapshots");
	json_t *target = record_of(kept, "name", what->name);
	const json_t *image = target
		? snapshot_image_any(value,
			  json_string_value(json_object_get(target, "path")))
		: NULL;
	json_t *branch = image ? branch_record(value, what) : NULL;
	if (!branch) {
		json_decref(after);
		return NULL;
	}
	json_t *source = json_pack("{s{ss, so, so}}", "format", "type", "qcow2",
		"file", new_file_for_image(what->path), "backing",
		json_deep_copy(image));
	json_t *listeners =
		json_object_get(json_object_get(value, "source"), "listeners");
	if (listeners)
		json_object_set(source, "listeners", listeners);
	json_object_set_new(after, "source", source);
	json_object_del(target, "source");
	json_array_append_new(kept, branch);
	settle(after);
	return after;
}

/* The images of a branch that has gone, from the top on: those that nothing else needs
 * are listed; the first that is a snapshot itself is a branch now. */
static void drop_images(json_t *after, const json_t *source, json_t *files)
{
	json_t *kept = json_object_get(after, "snapshots");
	for (; source; source = snapshot_image_below(source)) {
		const char *path = volume_files_image(source);
		if (!path || snapshot_image_any(after, path))
			return;
		json_t *record = record_of(kept, "path", path);
		if (record) {
			json_object_set_new(
				record, "source", json_deep_copy(source));
			json_object_del(record, "under");
			return;
		}
		if (json_object_get(json_object_get(source, "format"), "file"))
			json_array_append_new(files, json_string(path));
	}
}

json_t *snapshot_records_without(
	const json_t *value, const char *name, json_t **files)
{
	json_t *after = copy_of(value);
	json_t *kept = json_object_get(after, "snapshots"), *one, *gone = NULL;
	size_t i;
	json_array_foreach(kept, i, one)
	{
		if (!is_text(one, "name", name) ||
			!json_object_get(one, "source"))
			continue;
		gone = json_incref(one);
		json_array_remove(kept, i);
		break;
	}
	if (!gone) {
		json_decref(after);
		return NULL;
	}
	*files = json_array();
	drop_images(after, json_object_get(gone, "source"), *files);
	json_decref(gone);
	settle(after);
	return after;
}
