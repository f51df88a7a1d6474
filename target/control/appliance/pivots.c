/* SPDX-License-Identifier: Apache-2.0 */
/* See pivots.h. */
#include "target/control/appliance/pivots.h"

#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/appliance/carries.h"
#include "target/control/appliance/live_plan.h"
#include "target/control/appliance/volume_files.h"
#include "target/control/own_audit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct pivots *pivots_of(struct job_keeper *keeper)
{
	return container_of(keeper, struct pivots, keeper);
}

static void begin_co(struct job_keeper *keeper, const struct job_pivot *pivot)
{
	struct pivots *pivots = pivots_of(keeper);
	(void)pivot;
	config_hold_co(pivots->config);
	pivots->kept = false;
}

/* The volume that runs on this very source: one may have been made anew under its
 * name while the job was at work. */
static const struct config_object *volume_of(const struct pivots *pivots,
	const struct job_pivot *pivot, struct err *err)
{
	const char *name = block_source_name(pivot->source);
	const struct volume *volume =
		appliance_find_volume(pivots->appliance, name);
	const struct config_object *object =
		config_find(pivots->config, CONFIG_VOLUME, name);
	if (object && volume && atomic_load(&volume->source) == pivot->source)
		return object;
	err_set(err, ENOENT,
		"volume %s does not run on what the job works on any more",
		name);
	return NULL;
}

/* -- the document ------------------------------------------------------------ */

static bool has_must_exist(
	json_t *protocol, const char *path, bool backing, void *argument)
{
	(void)backing;
	return strcmp(path, argument) != 0 ||
		!json_is_true(json_object_get(protocol, "must_exist"));
}

/* The daemon says `must_exist` where it opens files that it has made once
 * (volume_files.h): that is not the document's, unless it said so before. */
static bool drop_must_exist(
	json_t *protocol, const char *path, bool backing, void *before)
{
	(void)backing;
	if (json_object_get(protocol, "size") &&
		volume_files_each(before, false, has_must_exist, (void *)path))
		json_object_del(protocol, "must_exist");
	return true;
}

/* A listener as it was, but for the source that it keeps equal, which a pivot may have
 * made another one. A new reference. */
static json_t *as_it_was(const json_t *was, const json_t *is)
{
	json_t *kept = json_copy((json_t *)was);
	json_t *leg = json_deep_copy(json_object_get(is, "leg"));
	json_t *before = json_deep_copy(json_object_get(was, "leg"));
	live_values_shorten(leg);
	live_values_shorten(before);
	if (leg && before && !json_equal(leg, before))
		json_object_set(kept, "leg", leg);
	json_decref(leg);
	json_decref(before);
	return kept;
}

/* Listeners that stay are written as they were. */
static void keep_listeners(const json_t *before, json_t *after)
{
	struct live_names was, is;
	json_t *listeners = json_object_get(after, "listeners");
	live_names_read(before, &was);
	live_names_read(after, &is);
	for (unsigned i = 0; i < is.count; i++) {
		unsigned w =
			live_names_find(&was, is.item[i].name, is.item[i].type);
		if (w < was.count)
			json_array_set_new(listeners, i,
				as_it_was(was.item[w].document,
					is.item[i].document));
	}
}

/* What runs, as somebody would write it who wrote `before`. */
static void rewrite(json_t *before, json_t *source)
{
	volume_files_each(source, false, drop_must_exist, before);
	live_values_shorten(source);
	keep_listeners(before, source);
}

/* The source that lies below `depth` images of `source`; NULL: the document does not
 * say, the images themselves do. *above: the format over it. */
static json_t *source_at(json_t *source, unsigned depth, json_t **above)
{
	*above = NULL;
	while (source && depth--) {
		*above = json_object_get(source, "format");
		source = json_object_get(*above, "backing");
	}
	return json_is_object(source) ? source : NULL;
}

static bool is_text(const json_t *object, const char *key, const char *text)
{
	const char *value = json_string_value(json_object_get(object, key));
	return value && text && !strcmp(value, text);
}

/* What an external snapshot was in is in another file now. */
static void rename_image(json_t *value, struct pivots_merge *merge)
{
	json_t *one;
	size_t i;
	if (!merge->from || !merge->to || !strcmp(merge->from, merge->to))
		return;
	json_array_foreach(json_object_get(value, "snapshots"), i, one)
	{
		if (is_text(one, "path", merge->from))
			json_object_set_new(
				one, "path", json_string(merge->to));
	}
}

static json_t *image_below(json_t *source)
{
	json_t *below =
		json_object_get(json_object_get(source, "format"), "backing");
	return json_is_object(below) ? below : NULL;
}

/* The image of `source` that stands right on the file; NULL: none, or it has no file. */
static const char *image_over(json_t *source, const char *path)
{
	json_t *below;
	for (; (below = image_below(source)); source = below) {
		const char *here = volume_files_image(below);
		if (here && !strcmp(here, path))
			return volume_files_image(source);
	}
	return NULL;
}

/* The snapshot that is in what the image comes to stand on has another one over it. */
static void rename_over(
	json_t *value, json_t *was, json_t *is, const struct job_pivot *pivot)
{
	const char *base = volume_files_image(image_below(is));
	const char *over = volume_files_image(is);
	const char *before = base ? image_over(was, base) : NULL;
	json_t *one;
	size_t i;
	if (strcmp(pivot->kind, "stream") != 0 || !over || !before)
		return;
	json_array_foreach(json_object_get(value, "snapshots"), i, one)
	{
		if (is_text(one, "path", base) && is_text(one, "under", before))
			json_object_set_new(one, "under", json_string(over));
	}
}

/* `value` with the source that `pivot` says; a new reference. */
static json_t *with_source(const json_t *value, const struct job_pivot *pivot,
	struct pivots_merge *merge, struct err *err)
{
	json_t *source = json_loads(pivot->document, 0, NULL);
	json_t *moved = source ? json_deep_copy((json_t *)value) : NULL;
	json_t *above = NULL;
	json_t *was = source_at(
		json_object_get(moved, "source"), pivot->depth, &above);
	if (was) {
		rewrite(was, source);
		merge->from = volume_files_image(was);
		merge->to = volume_files_image(source);
		rename_image(moved, merge);
		rename_over(moved, was, source, pivot);
		/* The names above are borrowed from both. */
		merge->was = json_incref(was);
		merge->is = json_incref(source);
	}
	if (!moved ||
		(was &&
			json_object_set(above ? above : moved,
				above ? "backing" : "source", source))) {
		json_decref(moved);
		moved = NULL;
		err_set(err, ENOMEM, "no memory for a document");
	}
	json_decref(source);
	return moved;
}

static int begun_co(struct job_keeper *keeper, struct job *job, uint64_t cursor,
	struct err *err)
{
	struct pivots_watcher *watcher = pivots_of(keeper)->watcher;
	return watcher ? watcher->begun(watcher, job, cursor, err) : 0;
}

/* -- keeping ---------------------------------------------------------------- */

/* What is written with the document. */
struct testimony {
	struct config_witness witness;
	struct pivots *pivots;
	struct own_audit audit;
	struct config_witness *audited; /* NULL: no audit */
	struct job *job;
	const struct pivots_merge *merge;
	const char *volume;
	char map[CARRIES_MAP_BYTES]; /* that ends with it; "": none */
};

static int testify(struct config_witness *witness, const json_t *changes,
	uint64_t number, struct err *err)
{
	struct testimony *testimony =
		container_of(witness, struct testimony, witness);
	struct config_witness *audited = testimony->audited;
	struct pivots_watcher *watcher = testimony->pivots->watcher;
	int failed =
		audited ? audited->record(audited, changes, number, err) : 0;
	if (!failed)
		failed = carries_end(testimony->pivots->state,
			testimony->volume, testimony->map, err);
	if (!failed && watcher)
		failed = watcher->record(
			watcher, testimony->job, testimony->merge, err);
	return failed;
}

static int keep_value(struct pivots *pivots, const struct job_pivot *pivot,
	const char *volume, json_t *value, const struct pivots_merge *merge,
	struct err *err)
{
	struct config_outcome outcome;
	struct testimony testimony = {.witness.record = testify,
		.pivots = pivots,
		.job = pivot->job,
		.merge = merge,
		.volume = volume};
	char title[BLOCK_NAME_BYTES + 48], object[BLOCK_NAME_BYTES + 16];
	struct config_edit edit = {
		.kind = CONFIG_VOLUME, .id = volume, .value = value};
	snprintf(title, sizeof title, "volume %s: end of a %s", volume,
		pivot->kind);
	snprintf(object, sizeof object, "volumes/%s", volume);
	if (pivots->trust)
		testimony.audited = own_audit_witness(
			&testimony.audit, pivots->trust, "endJob", object);
	struct config_change change = {.edit = &edit,
		.edits = 1,
		.who = "cairnd",
		.title = title,
		.witness = &testimony.witness};
	int failed = config_keep_moved(pivots->config, &change, &outcome, err);
	if (failed)
		return failed;
	pivots->kept = outcome.number != 0;
	config_outcome_free(&outcome);
	carries_remove(pivots->core, testimony.map);
	return 0;
}

static int keep_co(struct job_keeper *keeper, const struct job_pivot *pivot,
	struct err *err)
{
	struct pivots *pivots = pivots_of(keeper);
	char name[BLOCK_NAME_BYTES];
	const struct config_object *object = volume_of(pivots, pivot, err);
	if (!object)
		return -ENOENT;
	struct pivots_merge merge = {0};
	json_t *value = with_source(object->value, pivot, &merge, err);
	snprintf(name, sizeof name, "%s", block_source_name(pivot->source));
	int failed = value ? keep_value(pivots, pivot, name, value, &merge, err)
			   : -ENOMEM;
	json_decref(value);
	json_decref(merge.was);
	json_decref(merge.is);
	return failed
		? err_wrap(err, "what volume %s would stand on cannot be kept",
			  name)
		: 0;
}

/* -- what a job spoils ------------------------------------------------------- */

/* A copy of `value` that says of the snapshot under that image that it is merged; NULL:
 * there is none. */
static json_t *with_mark(const json_t *value, const char *image)
{
	json_t *marked = json_deep_copy((json_t *)value), *one;
	bool found = false;
	size_t i;
	json_array_foreach(json_object_get(marked, "snapshots"), i, one)
	{
		if (!is_text(one, "under", image) ||
			json_is_true(json_object_get(one, "merging")))
			continue;
		json_object_set_new(one, "merging", json_true());
		found = true;
	}
	if (!found) {
		json_decref(marked);
		marked = NULL;
	}
	return marked;
}

static int keep_mark(struct pivots *pivots, const struct job_pivot *pivot,
	const char *volume, json_t *value, struct err *err)
{
	struct config_outcome outcome;
	char title[BLOCK_NAME_BYTES + 48];
	struct config_edit edit = {
		.kind = CONFIG_VOLUME, .id = volume, .value = value};
	snprintf(title, sizeof title, "volume %s: a %s begins", volume,
		pivot->kind);
	struct config_change change = {
		.edit = &edit, .edits = 1, .who = "cairnd", .title = title};
	int failed = config_keep_moved(pivots->config, &change, &outcome, err);
	if (!failed)
		config_outcome_free(&outcome);
	return failed;
}

static int spoil_locked(
	struct pivots *pivots, const struct job_pivot *pivot, struct err *err)
{
	char name[BLOCK_NAME_BYTES];
	json_t *above;
	const struct config_object *object = volume_of(pivots, pivot, err);
	if (!object)
		return -ENOENT;
	const char *image = volume_files_image(
		source_at(json_object_get(object->value, "source"),
			pivot->depth, &above));
	json_t *value = image ? with_mark(object->value, image) : NULL;
	snprintf(name, sizeof name, "%s", object->id);
	int failed = value ? keep_mark(pivots, pivot, name, value, err) : 0;
	json_decref(value);
	return failed;
}

static int spoil_co(struct job_keeper *keeper, const struct job_pivot *pivot,
	struct err *err)
{
	struct pivots *pivots = pivots_of(keeper);
	config_hold_co(pivots->config);
	int failed = spoil_locked(pivots, pivot, err);
	config_release(pivots->config);
	return failed;
}

static void end_co(struct job_keeper *keeper, const struct job_pivot *pivot)
{
	struct pivots *pivots = pivots_of(keeper);
	const char *name = block_source_name(pivot->source);
	char object[BLOCK_NAME_BYTES + 8];
	bool kept = pivots->kept;
	config_release(pivots->config);
	if (!kept)
		return;
	snprintf(object, sizeof object, "volume %s", name);
	appliance_source_settled(pivots->appliance, name);
	log_info(object, "moved", "%s: it stands on something else now",
		pivot->kind);
	if (pivots->watcher)
		pivots->watcher->moved(pivots->watcher, name);
}

/* -- what jobs need after a restart ------------------------------------------ */

static int carry_co(struct job_keeper *keeper, const char *source,
	const char *carry, struct err *err)
{
	return carries_keep(pivots_of(keeper)->state, source, carry, err);
}

static int carried_co(struct job_keeper *keeper, const char *source,
	char **carry, struct err *err)
{
	return carries_find(pivots_of(keeper)->state, source, carry, err);
}

static int disown_co(
	struct job_keeper *keeper, const char *source, struct err *err)
{
	const struct pivots *pivots = pivots_of(keeper);
	struct err why = {0};
	char map[CARRIES_MAP_BYTES];
	int failed = carries_end(pivots->state, source, map, err ? err : &why);
	if (!failed)
		carries_remove(pivots->core, map);
	return failed;
}

void pivots_open(struct pivots *pivots, const struct appliance_world *world,
	struct appliance *appliance, struct config *config, struct trust *trust)
{
	*pivots = (struct pivots){.keeper.begun_co = begun_co,
		.keeper.spoil_co = spoil_co,
		.keeper.begin_co = begin_co,
		.keeper.keep_co = keep_co,
		.keeper.end_co = end_co,
		.keeper.carry_co = carry_co,
		.keeper.carried_co = carried_co,
		.keeper.disown_co = disown_co,
		.state = world->state,
		.core = world->core,
		.appliance = appliance,
		.config = config,
		.trust = trust};
	carries_sweep(world->core, world->state);
	job_set_keeper(world->core, &pivots->keeper);
}

void pivots_close(struct pivots *pivots)
{
	if (pivots->core)
		job_set_keeper(pivots->core, NULL);
	pivots->core = NULL;
}
