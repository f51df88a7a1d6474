/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeing a snapshot in two source documents: the wanted one has a new image whose
 * backing file is what the source is now; or the way back to one: its backing file is an
 * image further down.
 */
#include "target/control/appliance/live_plan.h"

#include "blockcore/spec.h"
#include "target/control/appliance/volume_files.h"

#include <string.h>

/* True if all of `list` are listeners of `from`, unchanged. */
static bool all_known(
	const struct live_names *list, const struct live_names *from)
{
	for (unsigned i = 0; i < list->count; i++) {
		unsigned f = live_names_find(
			from, list->item[i].name, list->item[i].type);
		if (f == from->count || !live_names_same(from, f, list, i))
			return false;
	}
	return true;
}

static bool has(const struct live_names *list, const struct live_names *from,
	unsigned f)
{
	return live_names_find(list, from->item[f].name, from->item[f].type) <
		list->count;
}

static json_t *place(const struct live_names *from,
	const struct live_names *head, const struct live_names *image)
{
	static const enum spec_placement places[] = {SPEC_PLACE_DROP,
		SPEC_PLACE_IMAGE, SPEC_PLACE_HEAD, SPEC_PLACE_BOTH};
	json_t *placement = json_object();
	for (unsigned f = 0; f < from->count; f++) {
		unsigned where = (has(head, from, f) ? 2u : 0) +
			(has(image, from, f) ? 1u : 0);
		json_object_set_new(placement, from->item[f].name,
			json_string(spec_placement_name(places[where])));
	}
	return placement;
}

static bool same_bottom(const json_t *a, const json_t *b)
{
	json_t *one = live_bottom_of(a), *other = live_bottom_of(b);
	bool same = json_equal(one, other);
	json_decref(one);
	json_decref(other);
	return same;
}

bool live_overlay_find(const json_t *from, const json_t *to, json_t **document,
	json_t **placement)
{
	const json_t *format = json_object_get(to, "format");
	const json_t *backing = json_object_get(format, "backing");
	struct live_names now, head, image;
	if (!json_is_object(backing) || !same_bottom(from, backing))
		return false;
	live_names_read(from, &now);
	live_names_read(to, &head);
	live_names_read(backing, &image);
	if (!all_known(&head, &now) || !all_known(&image, &now))
		return false;
	json_t *bare = json_copy((json_t *)format);
	json_object_del(bare, "backing");
	*document = json_object();
	*placement = place(&now, &head, &image);
	json_object_set_new(*document, "format", bare);
	return true;
}

json_t *live_change_placement(const struct live_change *change)
{
	for (unsigned i = 0; i < change->steps; i++) {
		if (change->step[i].kind == LIVE_OVERLAY)
			return json_incref(change->step[i].placement);
	}
	return NULL;
}

/* -- back ----------------------------------------------------------------- */

static const json_t *image_below(const json_t *source)
{
	const json_t *below =
		json_object_get(json_object_get(source, "format"), "backing");
	return json_is_object(below) ? below : NULL;
}

/* The image of that file in or below `source`; NULL: there is none. */
static const json_t *image_in(const json_t *source, const char *path)
{
	for (; source; source = image_below(source)) {
		const char *here = volume_files_image(source);
		if (here && !strcmp(here, path))
			return source;
	}
	return NULL;
}

/* The highest image at or below `source` that lies below `from` as it is. */
static const char *open_below(const json_t *from, const json_t *source)
{
	for (; source; source = image_below(source)) {
		const char *path = volume_files_image(source);
		const json_t *there =
			path ? image_in(image_below(from), path) : NULL;
		if (there && json_equal(there, source))
			return path;
	}
	return NULL;
}

bool live_back_find(const json_t *from, const json_t *to, char **shared)
{
	const char *head = volume_files_image(to);
	const char *path = open_below(from, image_below(to));
	*shared = NULL;
	if (!head || !path || image_in(from, head))
		return false;
	*shared = strdup(path);
	return *shared;
}
