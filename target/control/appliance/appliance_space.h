/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file systems that volumes grow on: looked at, and the operator told early
 * when one runs full.
 *
 *	timer, 10 s    ----.
 *	new volumes    ----+--> ask volumes --> sort by file system --> judge
 *	host refused   ----'    (worker pool)             |
 *	                          log, REST's event <-----+-----> hosts (SCSI)
 *
 * The timer and a refused host ask all volumes; a change only those that are new or
 * have another source, as it is to cost the same beside 1,000 others.
 *
 * The threshold is the setting `space_threshold`, percent in use, one for all. A
 * file system that has reached it is armed again when 5 points less are in use (of
 * a threshold below 10: half of it), so that one that stands still at the border
 * does not talk. One warning names the file system and every volume that can still
 * grow on it: thin ones, and those whose file is smaller than they are.
 *
 * Invariants
 *  1. Control lane. One look at a time; the next begins at least a second after
 *     the last one, whoever asks.
 *  2. Nothing is held while a volume is asked: it may go meanwhile, and is found
 *     again by its UUID or not at all. One that is being changed keeps what was
 *     heard of it last.
 *  3. There are as many file systems as volumes lie on, at most one for each.
 */
#ifndef TARGET_CONTROL_APPLIANCE_APPLIANCE_SPACE_H
#define TARGET_CONTROL_APPLIANCE_APPLIANCE_SPACE_H

#include "target/control/appliance/appliance.h"

struct appliance_file_system {
	uint64_t id; /* struct ring_space: file_system */
	char name[RING_SPACE_NAME_BYTES]; /* where it is mounted */
	uint64_t total_bytes, free_bytes;
	bool reached; /* the threshold, and not armed again yet */
	bool in_use; /* a volume lies on it */
	TAILQ_ENTRY(appliance_file_system) link;
};

/* Told when `reached` of a file system has changed. */
struct appliance_space_watcher {
	void (*changed)(struct appliance_space_watcher *watcher,
		const struct appliance_file_system *file_system);
};
/* At most one; NULL: nobody any more. */
void appliance_watch_space(
	struct appliance *appliance, struct appliance_space_watcher *watcher);

/* File system after file system; NULL starts and ends. Valid until the caller
 * yields. */
const struct appliance_file_system *appliance_next_file_system(
	const struct appliance *appliance,
	const struct appliance_file_system *last);
/* That a volume lies on; NULL: nobody knows. */
const struct appliance_file_system *appliance_file_system_of(
	const struct appliance *appliance, const struct volume *volume);
/* It lies there and can still grow. */
bool appliance_grows_on(const struct volume *volume,
	const struct appliance_file_system *file_system);
/* In use, in percent. */
unsigned appliance_file_system_percent(
	const struct appliance_file_system *file_system);

#endif
