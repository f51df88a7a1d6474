/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes durable of a job while it runs, when it says so (pivots.h).
 *
 * Invariant: a job that has made a volume stand on something else is kept as done in
 * the transaction that keeps the volume's document: a restart neither does it again
 * nor forgets it.
 */
#include "blockcore/base/list.h"
#include "webui/api/jobs/jobs_private.h"

#include <errno.h>

static struct api_jobs *jobs_of(struct pivots_watcher *watcher)
{
	return container_of(watcher, struct api_jobs, pivots);
}

/* NULL: one that nobody asked for over this interface. */
static struct api_job *find_running(
	struct api_jobs *self, const struct job *running)
{
	struct api_job *job;
	TAILQ_FOREACH (job, &self->list, link) {
		if (job->job == running)
			return job;
	}
	return NULL;
}

static int begun(struct pivots_watcher *watcher, struct job *running,
	uint64_t cursor, struct err *err)
{
	struct api_jobs *self = jobs_of(watcher);
	struct api_job *job = find_running(self, running);
	if (!job)
		return 0;
	job->record.cursor = cursor;
	return api_job_store_save(self->api->parts.state, &job->record, err);
}

/* The record of its end; the job itself ends when its gate is open. */
static int record(
	struct pivots_watcher *watcher, struct job *running, struct err *err)
{
	struct api_jobs *self = jobs_of(watcher);
	const struct api_job *job = find_running(self, running);
	struct job_progress progress;
	if (!job)
		return 0;
	struct api_job_record done = job->record;
	job_get_progress(running, &progress);
	done.state = API_JOB_DONE;
	done.cursor = progress.cursor;
	done.done_bytes = progress.done;
	done.total_bytes = progress.total;
	done.ended_ms = api_now_ms();
	return api_job_store_save(self->api->parts.state, &done, err);
}

static void moved(struct pivots_watcher *watcher, const char *volume)
{
	api_emit(jobs_of(watcher)->api, "volumes", "volume_updated",
		json_pack("{ss}", "id", volume));
}

void api_jobs_watch(struct api_jobs *self)
{
	struct pivots *pivots = self->api->parts.pivots;
	self->pivots = (struct pivots_watcher){
		.begun = begun, .record = record, .moved = moved};
	if (pivots) /* tests of the server alone have none */
		pivots->watcher = &self->pivots;
}

void api_jobs_unwatch(struct api_jobs *self)
{
	struct pivots *pivots = self->api->parts.pivots;
	if (pivots && pivots->watcher == &self->pivots)
		pivots->watcher = NULL;
}
