/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a job that runs or waits: to be waited for, cancelled, paused,
 * slowed.
 */
#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "target/control/jobs/jobs_private.h"
#include "target/control/unix_time.h"

#define NS_PER_S 1000000000ull

/* -- waiting ------------------------------------------------------------------ */

void kept_job_wake(struct kept_job *job)
{
	struct kept_job_waiter *waiter;
	while ((waiter = LIST_FIRST(&job->waiters))) {
		LIST_REMOVE(waiter, link);
		loop_timer_clear(job->all->loop, &waiter->timer);
		co_resume(waiter->co);
	}
}

static void waited_enough(struct loop_timer *timer)
{
	struct kept_job_waiter *waiter =
		container_of(timer, struct kept_job_waiter, timer);
	LIST_REMOVE(waiter, link);
	co_resume(waiter->co);
}

void kept_job_wait_co(struct kept_job *job, uint64_t seconds)
{
	struct kept_job_waiter waiter = {
		.co = co_self(), .timer.expired = waited_enough};
	if (!seconds || kept_job_ended(job) || job->all->stopping)
		return;
	LIST_INSERT_HEAD(&job->waiters, &waiter, link);
	loop_timer_set(job->all->loop, &waiter.timer, seconds * NS_PER_S);
	co_yield ();
}

/* -- changing ----------------------------------------------------------------- */

void kept_job_cancel(struct kept_job *job)
{
	if (job->job) {
		job->record.state = KEPT_JOB_CANCELLING;
		job_cancel(job->job);
	} else {
		job->record.state = KEPT_JOB_CANCELLED;
		job->record.ended_ms = unix_now_ms();
		kept_job_let_go(job);
		kept_job_wake(job);
	}
	kept_job_save(job);
	kept_job_tell(job, kept_job_states[job->record.state]);
}

enum kept_job_state kept_job_state_if(const struct kept_job *job, bool paused)
{
	if (job->record.state == KEPT_JOB_CANCELLING)
		return KEPT_JOB_CANCELLING;
	if (paused)
		return KEPT_JOB_PAUSED;
	return job->job ? KEPT_JOB_RUNNING : KEPT_JOB_QUEUED;
}

void kept_job_pause(struct kept_job *job, bool paused)
{
	if (job->record.state == KEPT_JOB_CANCELLING)
		return;
	if (job->job && paused)
		job_pause(job->job);
	else if (job->job)
		job_resume(job->job);
	job->record.state = kept_job_state_if(job, paused);
}

void kept_job_set_rate(struct kept_job *job, uint64_t rate_bytes)
{
	job->record.rate_bytes = rate_bytes;
	if (job->job)
		job_set_rate(job->job, rate_bytes);
}
