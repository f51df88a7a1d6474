/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks of snapshots until a date: what is locked is not deleted, its image is not
 * written to by a job nor taken away from under its volume by one, its file is not
 * purged.
 *
 * They stand in the daemon's state, not in a document, so that nobody who may change
 * a volume lifts one by that. A lock belongs to the file that the snapshot is in and
 * to its name there: it holds whatever the volume over that file is called.
 *
 * Invariants
 *  1. A lock is only ever lengthened; who wants it gone before its date is an admin,
 *     and the audit tells of it.
 *  2. After its date a lock is none, by the wall clock; its row goes with the next
 *     one that is set.
 *
 * Control thread. An `image` is a file as a source names it; NULL: in none.
 */
#ifndef TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_LOCKS_H
#define TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_LOCKS_H

#include "blockcore/base/err.h"
#include "target/control/parts.h"

#include <jansson.h>
#include <stdint.h>

struct snapshot_lock {
	char name[256], image[1024]; /* the file as it was called then */
	int64_t until_ms; /* since 1970; 0: there is none */
};

/* The longest one that holds now of those in the file with that name (NULL: any).
 * 0 or -EIO. */
int snapshot_lock_find(const struct daemon_parts *parts, const char *image,
	const char *name, struct snapshot_lock *found, struct err *err);
/* Takes along those whose date is over. 0 or -EIO. */
int snapshot_lock_set(const struct daemon_parts *parts,
	const struct snapshot_lock *lock, struct err *err);
int snapshot_lock_lift(const struct daemon_parts *parts,
	const struct snapshot_lock *lock, struct err *err);

/* Those of snapshots in the file `from` hold in the file `to`, where they are now. 0 or
 * -EIO. */
int snapshot_lock_move(const struct daemon_parts *parts, const char *from,
	const char *to, struct err *err);

/* 0: no snapshot in the file that is called `name` (NULL: any) is locked. -EBUSY: one
 * is, and *err names it and its date; -EIO: that cannot be found out. */
int snapshot_lock_check(const struct daemon_parts *parts, const char *image,
	const char *name, struct err *err);
/* Until when, as answers have it; null: it is not locked. */
json_t *snapshot_locked_until(
	const struct daemon_parts *parts, const char *image, const char *name);
/* 0: no snapshot in one of the files of a volume (its value) is locked; -EBUSY, -EIO as
 * above. */
int snapshot_locks_check_all(const struct daemon_parts *parts,
	const json_t *volume, struct err *err);

#endif
