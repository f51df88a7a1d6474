/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of jobs share: jobs.c their life, jobs_api.c and jobs_change.c the
 * handlers, job_plan.c what one would do and who is in its way, job_holds.c which
 * one has its volume to itself, job_store.c what is durable, job_keep.c what becomes durable while one runs.
 */
#ifndef WEBUI_API_JOBS_JOBS_PRIVATE_H
#define WEBUI_API_JOBS_JOBS_PRIVATE_H

#include "blockcore/job.h"
#include "target/control/appliance/pivots.h"
#include "webui/api/jobs/job_store.h"
#include "webui/api/server/private.h"

struct co;

struct api_job_waiter {
	struct co *co;
	struct loop_timer timer;
	LIST_ENTRY(api_job_waiter) link;
};

struct api_job {
	struct api_jobs *all;
	struct api_job_record record;
	struct job *job; /* NULL: waits, or has ended */
	struct api_request *asked_by; /* while it starts; NULL: nobody */
	bool interrupted; /* by the daemon's end: goes on at the next start */
	bool recorded; /* how it ends was kept with the document: job_keep.c */
	LIST_HEAD(, api_job_waiter) waiters;
	TAILQ_ENTRY(api_job) link; /* oldest first */
};

struct api_jobs {
	struct api *api;
	TAILQ_HEAD(, api_job) list;
	uint64_t next_id;
	unsigned running;
	bool stopping;
	struct co *stopper; /* waits until none runs */
	struct loop_timer save, retry;
	struct pivots_watcher pivots;
};

extern const char *const api_job_states[]; /* ends with NULL */
bool api_job_ended(const struct api_job *job);
struct api_job *api_job_new(struct api_jobs *jobs);
void api_job_free(struct api_job *job);
struct api_job *api_job_find(struct api_jobs *jobs, uint64_t id);
int api_job_start_co(struct api_job *job, struct err *err);
/* Its first record, and with it that the request which asks for it is done. */
int api_job_keep_first(struct api_job *job, struct err *err);
/* It has ended, and nobody waits for it: as if it had never been. */
void api_job_forget(struct api_job *job);
/* It has not ended. */
void api_job_cancel(struct api_job *job);
/* Until it has ended, at most so long. */
void api_job_wait_co(struct api_job *job, uint64_t seconds);
void api_job_save(struct api_job *job);
/* An event of topic jobs; counts the generation. */
void api_job_tell(struct api_job *job, const char *type);
int api_job_run_co(struct api_job *job, struct err *err);

/* -- job_keep.c -------------------------------------------------------------- */

void api_jobs_watch(struct api_jobs *jobs);
void api_jobs_unwatch(struct api_jobs *jobs);

/* The file of an image that goes when the job has merged it; to be freed, NULL: none. */
char *api_job_leftover(const struct api_job *job);
void api_job_tidy_co(struct api_job *job);

/* -- job_holds.c -------------------------------------------------------------- */

/* The job that has the volume to itself; NULL: none. */
const struct api_job *api_job_holder(
	const struct api_jobs *jobs, const char *volume);
/* As struct api, job_holder. */
uint64_t api_job_holder_id(const struct api *api, const char *volume);
/* The job that a new one of that kind has to wait for; NULL: none. */
const struct api_job *api_job_in_way(
	const struct api_jobs *jobs, const char *kind, const char *volume);
/* -EBUSY, naming it: there is one that a job of that kind has to wait for. */
int api_job_check_alone(const struct api *api, const char *kind,
	const char *volume, struct err *err);
/* Tells what a volume stands on from anything else, by its document. */
uint32_t api_job_ground(const struct api *api, const char *volume);
/* Where it goes on: at its cursor, or, if its volume stands on something else than then,
 * at the start, as one that has begun. */
uint64_t api_job_cursor(const struct api_job *job);

/* -- job_plan.c -------------------------------------------------------------- */

const struct job_kind *api_job_kind(const char *name); /* NULL: there is none */
/* -EBUSY, naming it: another volume stands on a file that the job would change.
 * `options` NULL: none. */
int api_job_check_files(struct api *api, const char *kind, const char *volume,
	const struct doc *options, struct err *err);
/* -ENOSPC: what it would write does not fit. */
int api_job_check_space_co(struct api *api, const char *kind,
	const char *volume, const struct doc *options, struct err *err);
/* Answers what the job would do; its options fit its kind. */
void api_job_plan_co(struct api_request *request, const char *kind,
	const char *volume, const struct doc *options);

/* -- jobs_api.c, jobs_change.c ------------------------------------------------- */

json_t *api_job_json(const struct api_job *job);
/* The job of the path; NULL: answered. */
struct api_job *api_job_of(struct api_request *request);
/* 200, with its ETag. */
void api_job_answer(struct api_request *request, const struct api_job *job);
/* Starts a job of a kind that is known, with options that fit it, and answers 202; or
 * (dry run) what it would do; or what is in the way. */
void api_job_order_co(struct api_request *request, const char *kind,
	const char *volume, const json_t *options);
/* 0: none of other volumes' files is in the way of such a job; else -errno. */
int api_job_order_check(struct api *api, const char *kind, const char *volume,
	const json_t *options, struct err *err);
/* Starts one of the daemon's own, which nobody asked for: *id is its number. 0, or what
 * is in the way: -EBUSY (another job has the volume), -ENOSPC, -ENODEV, -EAGAIN ... */
int api_job_own_co(struct api *api, const char *kind, const char *volume,
	const json_t *options, uint64_t *id, struct err *err);
/* A new one of these, not started; `options` is copied. NULL: no memory. */
struct api_job *api_job_make(struct api_jobs *jobs, const char *kind,
	const char *volume, const char *options, const char *user);
#define API_JOB_OWN_USER "cairnd"
/* Handlers. */
void api_job_change_co(struct api_request *request);
void api_job_cancel_co(struct api_request *request);

#endif
