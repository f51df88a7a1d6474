/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs over REST: what is asked of target/control/jobs/ and how it is answered.
 * jobs_api.c lists and starts, jobs_change.c changes and cancels, jobs_plan.c says what
 * one would do.
 */
#ifndef WEBUI_API_JOBS_JOBS_API_H
#define WEBUI_API_JOBS_JOBS_API_H

#include "target/control/jobs/jobs.h"
#include "webui/api/server/private.h"

/* As answers and events have it; new. */
json_t *api_job_json(const struct kept_job *job);
/* Of struct api: an event of topic jobs. */
void api_job_told(struct jobs_watcher *watcher, const struct kept_job *job,
	const char *type);
/* Figures of those that run, for the topic stats; new. */
json_t *api_jobs_stats(struct api *api);

/* The job of the path; NULL: answered. */
struct kept_job *api_job_of(struct api_request *request);
/* 200, with its ETag. */
void api_job_answer(struct api_request *request, const struct kept_job *job);
/* Starts a job of a kind that is known, with options that fit it, and answers 202; or
 * (dry run) what it would do; or what is in the way. */
void api_job_order_co(struct api_request *request, const char *kind,
	const char *volume, const json_t *options);
/* Answers what the job would do; its options fit its kind. */
void api_job_plan_co(struct api_request *request, const char *kind,
	const char *volume, const struct doc *options);

/* Handlers. */
void api_job_change_co(struct api_request *request);
void api_job_cancel_co(struct api_request *request);

#endif
