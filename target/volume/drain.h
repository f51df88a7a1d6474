/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reaching every nexus of a volume, each on its lane, and waiting for the tasks
 * of some: to tell them, to abort and know that nothing runs any more. In
 * coroutines on the control lane.
 *
 * Invariants
 *  1. A nexus whose tasks are waited for starts nothing new until they have ended,
 *     whoever waits: so each wait is for tasks that began before it did.
 *  2. At most VOLUME_DRAINS wait at one time. What a task or the holder of
 *     volume->changing does never waits for one of them to end, as that may itself
 *     wait for such a task: it is told that there are too many.
 */
#ifndef TARGET_VOLUME_DRAIN_H
#define TARGET_VOLUME_DRAIN_H

#include "target/volume/volume.h"

/* In the caller's memory from open to close. */
struct volume_drain {
	struct volume *volume;
	unsigned slot;
	atomic_uint left; /* nexuses that still run tasks, and ourselves */
	struct co *co;
	bool (*visit)(struct volume_nexus *nexus, void *argument);
	void *argument;
	struct loop_message message;
};

/* False: VOLUME_DRAINS are open. */
bool volume_drain_open(struct volume_drain *drain, struct volume *volume);
/* Comes back when every nexus was visited. `visit` may abort and attend; it returns
 * true for a nexus whose tasks are to be waited for. Once for each drain. */
void volume_drain_visit_co(struct volume_drain *drain,
	bool (*visit)(struct volume_nexus *nexus, void *argument),
	void *argument);
/* Comes back when those tasks have ended. Not with volume->changing held. */
void volume_drain_close_co(struct volume_drain *drain);

/* All three; waits while too many are open. Not for tasks, nor with
 * volume->changing held. */
void volume_visit_co(struct volume *volume,
	bool (*visit)(struct volume_nexus *nexus, void *argument),
	void *argument);
/* Visits every nexus and waits for no task. */
void volume_tell_co(struct volume *volume,
	void (*tell)(struct volume_nexus *nexus, void *argument),
	void *argument);

#endif
