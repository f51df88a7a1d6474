/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of jobs share: job_life.c their life, job_make.c how one is made,
 * job_ask.c what is asked of one, job_checks.c what is in its way, job_holds.c which
 * one has its volume to itself, job_store.c what is durable, job_keep.c what becomes
 * durable while one runs.
 *
 * Control thread.
 */
#ifndef TARGET_CONTROL_JOBS_JOBS_PRIVATE_H
#define TARGET_CONTROL_JOBS_JOBS_PRIVATE_H

#include "target/control/jobs/jobs.h"

struct kept_job_waiter {
	struct co *co;
	struct loop_timer timer;
	LIST_ENTRY(kept_job_waiter) link;
};

struct kept_job *kept_job_new(struct jobs *jobs); /* NULL: no memory */
void kept_job_free(struct kept_job *job);

/* Who waits for it goes on (job_ask.c). */
void kept_job_wake(struct kept_job *job);

/* -- job_keep.c -------------------------------------------------------------- */

void jobs_watch(struct jobs *jobs);
void jobs_unwatch(struct jobs *jobs);
/* Its first record, and with it what its asker adds. */
int kept_job_keep_first(struct kept_job *job, struct err *err);
/* The file of an image that goes when the job has merged it; to be freed, NULL: none. */
char *kept_job_leftover(const struct kept_job *job);
void kept_job_tidy_co(struct kept_job *job);

/* -- job_holds.c -------------------------------------------------------------- */

/* It has ended without having gone on after a restart: its volume need not wait for it
 * any more. */
void kept_job_let_go(const struct kept_job *job);
/* At the start: nor need those that no job has to itself. */
void jobs_let_go_co(const struct jobs *jobs);
/* Tells what a volume stands on from anything else, by its document. */
uint32_t jobs_ground(const struct jobs *jobs, const char *volume);
/* Where it goes on: at its cursor, or, if its volume stands on something else than then,
 * at the start, as one that has begun. */
uint64_t kept_job_cursor(const struct kept_job *job);

#endif
