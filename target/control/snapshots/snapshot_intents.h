/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of snapshots, atomic over a crash: what is being made stands in the daemon's
 * state before the first image is changed, and goes when all of it is whole.
 *
 *	keep	one row for each image --> snapshots are made --> forget, all rows
 *						in one commit, then the answer
 *	undo	at the start, before anybody may ask: a snapshot that has a row was
 *		made for a group that nobody was told of; it is deleted, then its row
 *
 * Invariants
 *  1. A row is kept only while the snapshot is not there and nobody else can make
 *     one (spec_moment.begin_co): so what is deleted by it was made for it.
 *  2. A row stays until its snapshot is known to be gone; that of a volume which is
 *     offline is looked at again before a snapshot of any volume is asked for.
 *
 * Control thread.
 */
#ifndef TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_INTENTS_H
#define TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_INTENTS_H

#include "blockcore/base/err.h"
#include "blockcore/base/list.h"
#include "blockcore/block.h"
#include "target/control/parts.h"

#include <stdint.h>

struct snapshot_intent {
	char volume[BLOCK_NAME_BYTES], image[1024]; /* "": in no file */
	char name[256];
};

/* A group that is being made. */
struct snapshot_making {
	int64_t moment; /* 0: nothing is kept */
	LIST_ENTRY(snapshot_making) link;
};

/* All of a group or none, durable when it returns 0; *making, which was zeroed, must
 * live until snapshot_intents_end_co. 0 or -EIO. */
int snapshot_intents_keep(const struct daemon_parts *parts,
	const struct snapshot_intent *intent, unsigned count,
	struct snapshot_making *making, struct err *err);
/* All snapshots are whole, or it has failed: 0, or what has failed. Undoes then what
 * there is. */
int snapshot_intents_end_co(const struct daemon_parts *parts,
	struct snapshot_making *making, int failed, struct err *err);

/* Deletes what rows tell of, but for groups that are being made; what cannot go now is
 * logged and stays. */
void snapshot_intents_undo_co(const struct daemon_parts *parts);

#endif
