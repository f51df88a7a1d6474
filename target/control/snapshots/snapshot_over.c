/* SPDX-License-Identifier: Apache-2.0 */
/* See snapshot_over.h. */
#include "target/control/snapshots/snapshot_over.h"

#include "blockcore/kind.h"
#include "target/control/appliance/new_file.h"
#include "target/control/config/volume_source.h"
#include "target/control/snapshots/snapshot_read.h"
#include "target/control/snapshots/snapshot_records.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* -- what must be so -------------------------------------------------------------- */

int snapshot_name_free(const struct config *config, const char *volume,
	const char *name, struct err *err)
{
	const struct config_object *object =
		config_find(config, CONFIG_VOLUME, volume);
	json_t *records =
		object ? snapshot_records(object->value) : json_array();
	bool taken = snapshot_pick(records, name);
	json_decref(records);
	return taken ? err_set(err, EEXIST,
			       "volume \"%s\" has a snapshot \"%.63s\" "
			       "already: choose another name",
			       volume, name)
		     : 0;
}

int snapshot_names_free_co(const struct config *config, const char *volume,
	struct block_source *source, const char *name, struct err *err)
{
	struct err ignored = {0};
	json_t *items = snapshot_read_co(source, &ignored);
	bool taken = items && snapshot_pick(items, name);
	json_decref(items);
	if (taken)
		return err_set(err, EEXIST,
			"the image has a snapshot \"%.63s\" already: choose "
			"another name",
			name);
	return snapshot_name_free(config, volume, name, err);
}

int snapshot_in_file(const struct config_object *volume, struct err *err)
{
	if (snapshot_image(json_object_get(volume->value, "source")))
		return 0;
	return err_set(err, EOPNOTSUPP,
		"volume \"%s\" is not in a file of its own: only what is can "
		"stay as it was under a new image",
		volume->id);
}

/* -- placement ------------------------------------------------------------------ */

enum spec_placement snapshot_place_named(const char *text)
{
	for (unsigned i = SPEC_PLACE_HEAD; text && i <= SPEC_PLACE_DROP; i++) {
		if (!strcmp(text, spec_placement_name(i)))
			return (enum spec_placement)i;
	}
	return SPEC_PLACE_ANCHOR;
}

/* `said`: {listener: place}, or NULL. */
static enum spec_placement place_of(const json_t *said, const json_t *listener)
{
	enum spec_placement place = snapshot_place_named(
		source_text(said, source_text(listener, "name")));
	const struct block_kind *kind =
		block_kind_find(BLOCK_LISTENER, source_text(listener, "type"));
	if (place)
		return place;
	return kind && kind->anchor == BLOCK_HEAD ? SPEC_PLACE_HEAD
						  : SPEC_PLACE_IMAGE;
}

static void set_listeners(json_t *source, json_t *listeners)
{
	if (json_array_size(listeners))
		json_object_set(source, "listeners", listeners);
	else
		json_object_del(source, "listeners");
	json_decref(listeners);
}

/* A new image in `path` over what the volume is now; `now` is taken over. */
static json_t *source_over(
	const json_t *placement, json_t *now, const char *path)
{
	json_t *head = json_array(), *image = json_array(), *one;
	size_t i;
	json_array_foreach(json_object_get(now, "listeners"), i, one)
	{
		enum spec_placement place = place_of(placement, one);
		if (place == SPEC_PLACE_HEAD || place == SPEC_PLACE_BOTH)
			json_array_append_new(head, json_deep_copy(one));
		if (place == SPEC_PLACE_IMAGE || place == SPEC_PLACE_BOTH)
			json_array_append_new(image, json_deep_copy(one));
	}
	set_listeners(now, image);
	json_t *source = json_pack("{s{ss, so, so}}", "format", "type", "qcow2",
		"file", new_file_for_image(path), "backing", now);
	set_listeners(source, head);
	return source;
}

/* -- what becomes of it ------------------------------------------------------------ */

json_t *snapshot_value_over(
	const struct config_object *volume, const struct snapshot_over *what)
{
	json_t *now = source_copy(volume);
	json_t *value = json_copy(volume->value);
	json_t *records = snapshot_records(volume->value);
	json_array_append_new(records,
		json_pack("{ss, ss, ss, sI, sI}", "name", what->name, "path",
			snapshot_image(now), "under", what->path, "created",
			(json_int_t)what->now_ms, "size",
			(json_int_t)what->size_bytes));
	json_object_set_new(value, "snapshots", records);
	json_object_set_new(
		value, "source", source_over(what->placement, now, what->path));
	return value;
}

void snapshot_path_over(const struct config_object *volume, const char *name,
	char path[SNAPSHOT_PATH_BYTES])
{
	snprintf(path, SNAPSHOT_PATH_BYTES, "%s.%s.qcow2", volume->id, name);
}
