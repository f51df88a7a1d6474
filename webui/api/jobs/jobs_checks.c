/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor looks at jobs that have failed lately.
 */
#include "webui/api/jobs/jobs_api.h"
#include "webui/api/server/check.h"

#define LATELY_MS (24ll * 3600 * 1000)

/* The next try of the same has made it good. */
static bool is_made_good(const struct kept_job *job)
{
	const struct kept_job *later = job;
	while ((later = TAILQ_NEXT(later, link))) {
		if (!strcmp(later->record.volume, job->record.volume) &&
			!strcmp(later->record.kind, job->record.kind))
			return true;
	}
	return false;
}

static void check_jobs(const struct api *api, struct check_finding *finding)
{
	const struct kept_job *job, *last = NULL;
	int64_t since = api_now_ms() - LATELY_MS;
	unsigned failed = 0;
	TAILQ_FOREACH (job, &api->jobs->list, link) {
		if (job->record.state != KEPT_JOB_FAILED ||
			job->record.ended_ms < since || is_made_good(job))
			continue;
		failed++;
		last = job;
	}
	if (last)
		check_find(finding, CHECK_WARNING,
			"put right what it says and start it again; all of "
			"them: cairn job list",
			"job %" PRIu64 ", %s of %s, failed: %.160s (%u within "
			"24 h)",
			last->record.id, last->record.kind, last->record.volume,
			last->record.error, failed);
	else
		check_find(
			finding, CHECK_OK, "", "no job has failed within 24 h");
}

const struct api_check api_job_checks[] = {
	{"jobs", "Jobs", check_jobs},
	{0},
};
