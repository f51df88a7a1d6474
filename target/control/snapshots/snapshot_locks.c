/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "target/control/snapshots/snapshot_locks.h"
#include "target/control/appliance/volume_files.h"
#include "target/control/appliance/volume_purge.h"
#include "target/control/database.h"
#include "target/control/state.h"
#include "target/control/unix_time.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* -- kept ------------------------------------------------------------------------ */

int snapshot_lock_find(const struct daemon_parts *parts, const char *image,
	const char *name, struct snapshot_lock *found, struct err *err)
{
	struct statement s;
	*found = (struct snapshot_lock){0};
	if (!image)
		return 0;
	statement_begin(&s, state_database(parts->state),
		"SELECT name, until_ms, image FROM snapshot_lock"
		" WHERE until_ms > ?1 AND (?2 = '' OR name = ?2)"
		" ORDER BY until_ms DESC");
	statement_large(&s, 1, unix_now_ms());
	statement_text(&s, 2, name ? name : "");
	while (!found->until_ms && statement_row(&s)) {
		const char *of = (const char *)sqlite3_column_text(s.stmt, 2);
		if (!of || !volume_purge_is_same(parts->core, of, image))
			continue;
		snprintf(found->name, sizeof found->name, "%s",
			(const char *)sqlite3_column_text(s.stmt, 0));
		snprintf(found->image, sizeof found->image, "%s", of);
		found->until_ms = sqlite3_column_int64(s.stmt, 1);
	}
	return statement_end(&s, err);
}

int snapshot_lock_set(const struct daemon_parts *parts,
	const struct snapshot_lock *lock, struct err *err)
{
	struct statement s;
	sqlite3 *db = state_database(parts->state);
	statement_begin(
		&s, db, "DELETE FROM snapshot_lock WHERE until_ms <= ?1");
	statement_large(&s, 1, unix_now_ms());
	statement_run(&s);
	if (statement_end(&s, err))
		return -EIO;
	statement_begin(&s, db,
		"INSERT OR REPLACE INTO snapshot_lock(name, image, until_ms)"
		" VALUES (?1, ?2, ?3)");
	statement_text(&s, 1, lock->name);
	statement_text(&s, 2, lock->image);
	statement_large(&s, 3, lock->until_ms);
	statement_run(&s);
	return statement_end(&s, err);
}

int snapshot_lock_lift(const struct daemon_parts *parts,
	const struct snapshot_lock *lock, struct err *err)
{
	struct statement s;
	statement_begin(&s, state_database(parts->state),
		"DELETE FROM snapshot_lock WHERE name = ?1 AND image = ?2");
	statement_text(&s, 1, lock->name);
	statement_text(&s, 2, lock->image);
	statement_run(&s);
	return statement_end(&s, err);
}

int snapshot_lock_move(const struct daemon_parts *parts, const char *from,
	const char *to, struct err *err)
{
	struct statement s;
	statement_begin(&s, state_database(parts->state),
		"UPDATE OR REPLACE snapshot_lock SET image = ?2"
		" WHERE image = ?1");
	statement_text(&s, 1, from);
	statement_text(&s, 2, to);
	statement_run(&s);
	return statement_end(&s, err);
}

/* -- asked ----------------------------------------------------------------------- */

int snapshot_lock_check(const struct daemon_parts *parts, const char *image,
	const char *name, struct err *err)
{
	struct snapshot_lock lock;
	if (snapshot_lock_find(parts, image, name, &lock, err))
		return -EIO;
	if (!lock.until_ms)
		return 0;
	json_t *until = unix_time_json(lock.until_ms);
	err_set(err, EBUSY,
		"snapshot \"%.63s\" in %.255s is locked until %s: wait for "
		"that, or let an admin lift the lock",
		lock.name, image, json_string_value(until));
	json_decref(until);
	return -EBUSY;
}

json_t *snapshot_locked_until(
	const struct daemon_parts *parts, const char *image, const char *name)
{
	struct err ignored = {0};
	struct snapshot_lock lock;
	if (snapshot_lock_find(parts, image, name, &lock, &ignored) ||
		!lock.until_ms)
		return json_null();
	return unix_time_json(lock.until_ms);
}

struct all_files {
	const struct daemon_parts *parts;
	struct err *err;
};

static bool is_unlocked(
	json_t *protocol, const char *path, bool backing, void *argument)
{
	struct all_files *all = argument;
	(void)protocol;
	(void)backing;
	return !snapshot_lock_check(all->parts, path, NULL, all->err);
}

int snapshot_locks_check_all(
	const struct daemon_parts *parts, const json_t *volume, struct err *err)
{
	struct all_files all = {.parts = parts, .err = err};
	bool free = volume_files_each(
		json_object_get(volume, "source"), false, is_unlocked, &all);
	return free ? 0 : -err->code;
}
