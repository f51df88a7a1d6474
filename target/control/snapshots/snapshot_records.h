/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a volume's document tells of its external snapshots: `snapshots`, a list of
 *
 *	name, created, size	as they are shown
 *	path			the file of the snapshot's image
 *	under			the file of the image over it; absent with `source`
 *	source			of one that the volume does not stand on: its image with all
 *				that is below, as a source. It was shown until somebody went
 *				back to another one: a branch.
 *
 *	base  <--monday--  b  <--tuesday--  c		 what the volume shows
 *	      <--          d  <--before-monday		 a branch, which nothing has open
 *
 * Invariants
 *  1. A record counts as long as its two images stand one right on the other in the
 *     volume's source or in a branch; one with `source` always does.
 *  2. An image that a branch stands on is not written to by a job, and its file stays.
 *  3. All here are pure functions over documents.
 */
#ifndef TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_RECORDS_H
#define TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_RECORDS_H

#include "target/control/config/config.h"

/* The image that one of a source stands on; borrowed, NULL: none. */
const json_t *snapshot_image_below(const json_t *source);
/* The source of the image in that file, in or below `source`; borrowed, NULL: none. */
const json_t *snapshot_image_in(const json_t *source, const char *path);
/* The same in the volume's source, else in its branches. */
const json_t *snapshot_image_any(const json_t *volume, const char *path);

/* Those that count: a new list. */
json_t *snapshot_records(const json_t *volume);
/* The name of the one that an image stands on: a new text, or null. */
json_t *snapshot_records_parent(
	const json_t *volume, const json_t *records, const char *image);
/* A branch, or in one only. */
bool snapshot_is_branch(const json_t *volume, const char *path);
/* The snapshot of the volume that is a branch which stands on that file, or lies in it;
 * `but`: one that does not count (NULL: all do). Borrowed, NULL: there is none. */
const char *snapshot_branch_on(
	const json_t *volume, const char *path, const char *but);
/* The same of all volumes: *volume is the one's name. */
const char *snapshot_branch_user(
	const struct config *config, const char *path, const char **volume);

/* The volume (`value`) once it shows what its external snapshot `name` does: a new image
 * in file `path` over that, and what it shows now as another one, `safety`. A new
 * value; NULL: there is no such snapshot, or what it shows now is in no file. */
struct snapshot_return {
	const char *name, *safety, *path;
	int64_t now_ms; /* since 1970 */
	uint64_t size_bytes; /* that hosts see now */
};
json_t *snapshot_records_return(
	const json_t *value, const struct snapshot_return *what);
/* The volume without its branch `name`, on which nothing stands; *files: a new list of
 * files that it does not need any more. A new value; NULL: there is none. */
json_t *snapshot_records_without(
	const json_t *value, const char *name, json_t **files);

#endif
