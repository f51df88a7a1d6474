/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes durable of a job while it runs, when it says so (pivots.h).
 *
 * Invariant: a job that has made a volume stand on something else is kept as done in
 * the transaction that keeps the volume's document: a restart neither does it again
 * nor forgets it. If a file is to go with that, it is kept as one that has only that to
 * do: so the file goes, now or after a restart.
 */
#include "blockcore/base/list.h"
#include "target/control/appliance/volume_purge.h"
#include "target/control/database.h"
#include "target/control/jobs/jobs_private.h"
#include "target/control/snapshots/snapshot_locks.h"
#include "target/control/state.h"
#include "target/control/unix_time.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct jobs *jobs_of(struct pivots_watcher *watcher)
{
	return container_of(watcher, struct jobs, pivots);
}

/* NULL: one that nobody asked for over this interface. */
static struct kept_job *find_running(
	struct jobs *self, const struct job *running)
{
	struct kept_job *job;
	TAILQ_FOREACH (job, &self->list, link) {
		if (job->job == running)
			return job;
	}
	return NULL;
}

static int begun(struct pivots_watcher *watcher, struct job *running,
	uint64_t cursor, struct err *err)
{
	struct jobs *self = jobs_of(watcher);
	struct kept_job *job = find_running(self, running);
	if (!job)
		return 0;
	job->record.cursor = cursor;
	return kept_job_store_save(self->parts->state, &job->record, err);
}

char *kept_job_leftover(const struct kept_job *job)
{
	json_t *options = *job->record.options
		? json_loads(job->record.options, 0, NULL)
		: NULL;
	const char *image =
		json_string_value(json_object_get(options, "image"));
	char *path = image && json_is_true(json_object_get(options, "remove"))
		? strdup(image)
		: NULL;
	json_decref(options);
	return path;
}

void kept_job_tidy_co(struct kept_job *job)
{
	char *path = kept_job_leftover(job);
	const struct jobs *jobs = job->all;
	if (path)
		volume_purge_image_co(
			jobs->parts, jobs->loop, job->record.volume, path);
	free(path);
}

/* The record of its end; the job itself ends when its gate is open. */
static int record_end(struct jobs *self, struct kept_job *job,
	const struct job *running, struct err *err)
{
	struct job_progress progress;
	struct kept_job_record done = job->record;
	char *path = kept_job_leftover(job);
	job_get_progress(running, &progress);
	done.state = path ? KEPT_JOB_RUNNING : KEPT_JOB_DONE;
	done.cursor = path ? KEPT_JOB_TIDIES : progress.cursor;
	done.done_bytes = progress.done;
	done.total_bytes = progress.total;
	done.ended_ms = path ? 0 : unix_now_ms();
	free(path);
	int failed = kept_job_store_save(self->parts->state, &done, err);
	job->recorded = !failed; /* nothing else is written over it */
	return failed;
}

static int record(struct pivots_watcher *watcher, struct job *running,
	const struct pivots_merge *merge, struct err *err)
{
	struct jobs *self = jobs_of(watcher);
	struct kept_job *job = find_running(self, running);
	int failed = 0;
	if (merge->from && merge->to && strcmp(merge->from, merge->to) != 0)
		failed = snapshot_lock_move(
			self->parts, merge->from, merge->to, err);
	return failed || !job ? failed : record_end(self, job, running, err);
}

static void moved(struct pivots_watcher *watcher, const char *volume)
{
	event_sink_emit(jobs_of(watcher)->sink, "volumes", "volume_updated",
		json_pack("{ss}", "id", volume));
}

void jobs_watch(struct jobs *self)
{
	struct pivots *pivots = self->parts->pivots;
	self->pivots = (struct pivots_watcher){
		.begun = begun, .record = record, .moved = moved};
	if (pivots) /* tests of the server alone have none */
		pivots->watcher = &self->pivots;
}

void jobs_unwatch(struct jobs *self)
{
	struct pivots *pivots = self->parts->pivots;
	if (pivots && pivots->watcher == &self->pivots)
		pivots->watcher = NULL;
}

int kept_job_keep_first(struct kept_job *job, struct err *err)
{
	struct state *state = job->all->parts->state;
	sqlite3 *db = state_database(state);
	int failed = database_savepoint(db, err);
	if (failed)
		return failed;
	failed = kept_job_store_save(state, &job->record, err);
	if (!failed && job->asker)
		failed = job->asker->asked(job->asker, job->record.id, err);
	return database_savepoint_end(db, failed, err);
}
