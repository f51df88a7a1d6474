/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One snapshot of several running volumes, of one moment and one name, in the image of
 * each: asked for over REST, or by a schedule.
 *
 *	begin	add, for each volume	make	end
 *
 * Invariant: all are made or none, also if the daemon is killed meanwhile
 * (snapshot_intents.h).
 *
 * Control thread.
 */
#ifndef TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_MOMENT_H
#define TARGET_CONTROL_SNAPSHOTS_SNAPSHOT_MOMENT_H

#include "blockcore/spec.h"
#include "target/control/config/config.h"
#include "target/control/snapshots/snapshot_intents.h"

struct snapshot_moment {
	const struct daemon_parts *parts;
	struct block_source *source[SPEC_GROUP_MOST]; /* with references */
	unsigned count;
	struct snapshot_intent *intent; /* of each */
	struct snapshot_making making;
};

/* 0 or -ENOMEM; snapshot_moment_end_co in any case. */
int snapshot_moment_begin(struct snapshot_moment *moment,
	const struct daemon_parts *parts, struct err *err);
/* One more, at most SPEC_GROUP_MOST; takes a reference of its own to what runs of the
 * volume. */
void snapshot_moment_add(struct snapshot_moment *moment,
	const struct config_object *volume, struct block_source *source,
	const char *name);
/* Whether they would be refused; nothing is made. */
int snapshot_moment_rehearse_co(
	struct snapshot_moment *moment, struct err *err);
/* 0, or -errno: none is there. */
int snapshot_moment_make_co(
	struct snapshot_moment *moment, const char *name, struct err *err);
void snapshot_moment_end_co(struct snapshot_moment *moment);

#endif
