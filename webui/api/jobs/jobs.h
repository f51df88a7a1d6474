/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs as the interface shows them: each has a number, belongs to a volume, and is
 * known after its end and after a restart.
 *
 *	queued --> running <--> paused --> done | failed | cancelled
 *		      '--> cancelling -----------^
 *
 * A job is queued while its volume is not there yet (after a restart) or while as
 * many as may run are running.
 *
 * Invariants
 *  1. At most JOBS_MAX_RUNNING run at a time and JOBS_MAX_QUEUED wait; the latest
 *     JOBS_KEPT that have ended are known.
 *  2. What is durable: the record from before the job starts to its end, its cursor
 *     every JOBS_SAVE_S seconds and at a good end of the daemon. So a job goes on
 *     after a restart from where it was at most so long before.
 *  3. A volume's source that a job works on is held by the job; when the daemon
 *     stops, jobs stop first, after the chunk that they are at.
 */
#ifndef WEBUI_API_JOBS_JOBS_H
#define WEBUI_API_JOBS_JOBS_H

#include "webui/api/server/private.h"

#define JOBS_MAX_RUNNING 8u
#define JOBS_MAX_QUEUED 64u
#define JOBS_KEPT 200u
#define JOBS_SAVE_S 5u

struct api_jobs;

/* Jobs of the last run go on by themselves. NULL with *err. */
struct api_jobs *api_jobs_new(struct api *api, struct err *err);
/* Everything that waits for a job comes back; jobs stop and are freed. */
void api_jobs_stop_co(struct api_jobs *jobs);
/* Figures of those that run, for the topic stats. */
json_t *api_jobs_stats(struct api *api);

#endif
