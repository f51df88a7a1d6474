/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks after the mirrors of volumes: tells how they stand, and starts the job resync of
 * those that lack something and want that (the option `resync` of the listener).
 *
 *	degraded	the leg is opened again, tried soon, then later and later
 *	behind		the job starts; one that fails is tried again in the same way
 *	in sync		nothing; the next trouble is tried soon again
 *
 * Events of topic `volumes`: `mirror_degraded`, `mirror_behind`, `mirror_in_sync`.
 *
 * Invariants
 *  1. The job is one like any other (jobs.h): it is kept, goes on after a restart, can
 *     be slowed down, paused and cancelled. One that somebody has cancelled is not
 *     started again before the mirror has come into another state.
 *  2. A leg that cannot be opened makes no job, and of jobs that fail one after the
 *     other the latest is kept: nothing floods the list of jobs.
 *  3. What is known of a mirror is forgotten when its volume is offline or gone; a
 *     mirror that is not in sync when it is seen first is news.
 *
 * Control thread.
 */
#ifndef TARGET_CONTROL_JOBS_RESYNCS_H
#define TARGET_CONTROL_JOBS_RESYNCS_H

#include "target/control/jobs/jobs.h"

#define RESYNCS_LOOK_S 1u /* and the first try's delay, which doubles */

struct resyncs;

/* For those that run of what `jobs` has, which is borrowed. NULL with *err. */
struct resyncs *resyncs_new(struct jobs *jobs, struct err *err);
/* Before jobs stop; frees it. NULL is fine. */
void resyncs_stop_co(struct resyncs *resyncs);

#endif
