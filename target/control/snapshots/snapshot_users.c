/* SPDX-License-Identifier: Apache-2.0 */
/* See snapshot_users.h. */
#include "target/control/snapshots/snapshot_users.h"

#include "target/control/config/object_edits.h"
#include "target/control/config/volume_source.h"
#include "target/control/snapshots/snapshot_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether a view of the volume is one of that snapshot. */
static bool view_shows(const json_t *view, const json_t *snapshot)
{
	const char *name = source_text(view, "snapshot");
	const char *image = source_text(view, "image");
	if (snapshot_is_called(snapshot, "kind", "external"))
		return image && snapshot_is_called(snapshot, "image", image);
	return name &&
		(snapshot_is_called(snapshot, "name", name) ||
			snapshot_is_called(snapshot, "id", name));
}

/* What is asked of documents: whether a source shows that of the volume. */
struct shown {
	const char *volume;
	const json_t *snapshot; /* NULL: ... */
	const char *image; /* ... this image that it stands on; NULL: any */
};

static bool is_shown(const struct shown *what, const json_t *view)
{
	const char *image = source_text(view, "image");
	if (what->snapshot)
		return view_shows(view, what->snapshot);
	return image && (!what->image || !strcmp(image, what->image));
}

/* Anywhere in it. */
static bool shows(const json_t *source, const struct shown *what)
{
	static const char *const below[] = {"file", "backing"};
	const json_t *format = json_object_get(source, "format");
	const char *of = source_text(source, "source");
	if (of && !strcmp(of, what->volume) &&
		is_shown(what, json_object_get(source, "view")))
		return true;
	if (!of && json_is_object(json_object_get(source, "source")))
		return shows(json_object_get(source, "source"), what);
	for (unsigned i = 0; i < 2; i++) {
		const json_t *one = json_object_get(format, below[i]);
		if (json_is_object(one) && shows(one, what))
			return true;
	}
	return false;
}

/* The next volume that names that one and shows it so. */
static const struct config_object *next_holder(const struct config *config,
	const struct shown *what, const struct config_link **cursor)
{
	const struct config_object *one;
	char key[OBJECT_ID_BYTES + 4];
	snprintf(key, sizeof key, "v:%s", what->volume);
	while ((one = config_next_user(config, CONFIG_VOLUME, key, cursor)) &&
		!shows(json_object_get(one->value, "source"), what))
		continue;
	return one;
}

/* -- lists ---------------------------------------------------------------------- */

static void add_volume(
	const struct config *config, const char *volume, json_t *users)
{
	char text[2 * OBJECT_ID_BYTES + 32];
	const struct config_link *cursor = NULL;
	const struct config_object *export;
	snprintf(text, sizeof text, "volume %s", volume);
	json_array_append_new(users, json_string(text));
	snprintf(text, sizeof text, "v:%s", volume);
	while ((export = config_next_user(
			config, CONFIG_EXPORT, text, &cursor))) {
		char lun[2 * OBJECT_ID_BYTES + 32];
		snprintf(lun, sizeof lun, "LUN %d of %s",
			(int)json_integer_value(
				json_object_get(export->value, "lun")),
			source_text(export->value, "target"));
		json_array_append_new(users, json_string(lun));
	}
}

json_t *snapshot_users(
	const struct config *config, const char *volume, const json_t *snapshot)
{
	const struct shown what = {.volume = volume, .snapshot = snapshot};
	const struct config_link *cursor = NULL;
	const struct config_object *one;
	json_t *users = json_array();
	while ((one = next_holder(config, &what, &cursor)))
		add_volume(config, one->id, users);
	return users;
}

void snapshot_set_users(
	const struct config *config, const char *volume, json_t *items)
{
	json_t *one;
	size_t i;
	json_array_foreach(items, i, one)
	{
		json_object_set_new(
			one, "in_use_by", snapshot_users(config, volume, one));
	}
}

const char *snapshot_image_holder(
	const struct config *config, const char *volume, const char *image)
{
	const struct shown what = {.volume = volume, .image = image};
	const struct config_link *cursor = NULL;
	const struct config_object *one = next_holder(config, &what, &cursor);
	return one ? one->id : NULL;
}
