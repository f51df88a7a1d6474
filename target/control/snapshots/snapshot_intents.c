/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "target/control/snapshots/snapshot_intents.h"
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "blockcore/spec.h"
#include "target/control/appliance/appliance.h"
#include "target/control/appliance/volume_purge.h"
#include "target/control/config/config.h"
#include "target/control/database.h"
#include "target/control/snapshots/snapshot_read.h"
#include "target/control/state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Those of this process that are under way; control thread. */
static LIST_HEAD(, snapshot_making) all_making = LIST_HEAD_INITIALIZER(
	all_making);

/* -- kept ------------------------------------------------------------------------ */

static int64_t next_moment(sqlite3 *db)
{
	struct statement s;
	int64_t next = 1;
	statement_begin(&s, db,
		"SELECT ifnull(max(moment), 0) + 1 FROM snapshot_intent");
	if (statement_row(&s))
		next = sqlite3_column_int64(s.stmt, 0);
	statement_end(&s, NULL);
	return next;
}

static int keep_one(sqlite3 *db, int64_t moment,
	const struct snapshot_intent *intent, struct err *err)
{
	struct statement s;
	statement_begin(&s, db,
		"INSERT INTO snapshot_intent(moment, volume, image, name)"
		" VALUES (?1, ?2, ?3, ?4)");
	statement_large(&s, 1, moment);
	statement_text(&s, 2, intent->volume);
	statement_text(&s, 3, intent->image);
	statement_text(&s, 4, intent->name);
	statement_run(&s);
	return statement_end(&s, err);
}

int snapshot_intents_keep(const struct daemon_parts *parts,
	const struct snapshot_intent *intent, unsigned count,
	struct snapshot_making *making, struct err *err)
{
	sqlite3 *db = state_database(parts->state);
	int failed = database_savepoint(db, err);
	if (failed)
		return failed;
	making->moment = next_moment(db);
	for (unsigned i = 0; i < count && !failed; i++)
		failed = keep_one(db, making->moment, &intent[i], err);
	failed = database_savepoint_end(db, failed, err);
	if (!failed)
		LIST_INSERT_HEAD(&all_making, making, link);
	return failed;
}

static int forget(const struct daemon_parts *parts, int64_t moment,
	const char *volume, struct err *err)
{
	struct statement s;
	statement_begin(&s, state_database(parts->state),
		"DELETE FROM snapshot_intent WHERE moment = ?1"
		" AND (?2 = '' OR volume = ?2)");
	statement_large(&s, 1, moment);
	statement_text(&s, 2, volume);
	statement_run(&s);
	return statement_end(&s, err);
}

int snapshot_intents_end_co(const struct daemon_parts *parts,
	struct snapshot_making *making, int failed, struct err *err)
{
	if (!making->moment)
		return failed;
	LIST_REMOVE(making, link);
	int64_t moment = making->moment;
	making->moment = 0; /* it may be tried again */
	if (!failed)
		failed = forget(parts, moment, "", err);
	if (failed)
		snapshot_intents_undo_co(parts);
	return failed;
}

/* -- undone ---------------------------------------------------------------------- */

static bool is_making(int64_t moment)
{
	const struct snapshot_making *making;
	LIST_FOREACH (making, &all_making, link) {
		if (making->moment == moment)
			return true;
	}
	return false;
}

/* The row after the one of *moment and `intent`, into both. */
static bool next_left(const struct daemon_parts *parts, int64_t *moment,
	struct snapshot_intent *intent)
{
	struct statement s;
	bool found = false;
	statement_begin(&s, state_database(parts->state),
		"SELECT moment, volume, image, name FROM snapshot_intent"
		" WHERE (moment, volume) > (?1, ?2) ORDER BY moment, volume");
	statement_large(&s, 1, *moment);
	statement_text(&s, 2, intent->volume);
	struct snapshot_intent next = {0};
	while (!found && statement_row(&s)) {
		*moment = sqlite3_column_int64(s.stmt, 0);
		found = !is_making(*moment);
		snprintf(next.volume, sizeof next.volume, "%s",
			(const char *)sqlite3_column_text(s.stmt, 1));
		snprintf(next.image, sizeof next.image, "%s",
			(const char *)sqlite3_column_text(s.stmt, 2));
		snprintf(next.name, sizeof next.name, "%s",
			(const char *)sqlite3_column_text(s.stmt, 3));
	}
	statement_end(&s, NULL);
	*intent = next;
	return found;
}

/* The volume whose image it is, whatever that is called now; NULL: none. */
static const struct config_object *volume_of(
	const struct daemon_parts *parts, const struct snapshot_intent *intent)
{
	const struct config_object *one = NULL;
	if (!*intent->image)
		return config_find(
			parts->config, CONFIG_VOLUME, intent->volume);
	while ((one = config_next(parts->config, CONFIG_VOLUME, one))) {
		const char *image =
			snapshot_image(json_object_get(one->value, "source"));
		if (image &&
			volume_purge_is_same(parts->core, image, intent->image))
			return one;
	}
	return NULL;
}

/* By its name only: spec_snapshot_delete_co would take an id for one. */
static int delete_left_co(struct block_source *source,
	const struct snapshot_intent *intent, struct err *err)
{
	json_t *items = snapshot_read_co(source, err);
	bool there = snapshot_has_name(items, intent->name);
	if (!items)
		return -err->code;
	json_decref(items);
	return there ? spec_snapshot_delete_co(source, intent->name, err) : 0;
}

static void undo_one_co(const struct daemon_parts *parts, int64_t moment,
	const struct snapshot_intent *intent)
{
	struct err err = {0};
	const struct config_object *object = volume_of(parts, intent);
	struct volume *volume = object
		? appliance_find_volume(parts->appliance, object->id)
		: NULL;
	struct block_source *source =
		volume ? atomic_load(&volume->source) : NULL;
	if (!source)
		return; /* offline, or nobody's now: nobody sees it either */
	block_source_get(source);
	int failed = delete_left_co(source, intent, &err);
	block_source_put_co(source);
	if (!failed)
		failed = forget(parts, moment, intent->volume, &err);
	if (failed)
		log_warning("api", "snapshot_left",
			"snapshot %s of volume %s, of a group that was not "
			"whole, cannot be undone yet: %s",
			intent->name, intent->volume, err.text);
	else
		log_info("api", "snapshot_undone",
			"snapshot %s of volume %s: its group was not whole, it "
			"is undone",
			intent->name, intent->volume);
}

void snapshot_intents_undo_co(const struct daemon_parts *parts)
{
	struct snapshot_intent intent = {0};
	int64_t moment = 0;
	while (next_left(parts, &moment, &intent))
		undo_one_co(parts, moment, &intent);
}
