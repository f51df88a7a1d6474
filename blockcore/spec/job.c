/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs: a coroutine on the control lane each, and what can be said to it from
 * outside. It listens in job_step_co only, so a job needs to do no more than
 * to call that between its chunks.
 *
 *	RUNNING <--> PAUSED
 *	   |  \        |
 *	   |   +----> CANCELLING --> CANCELLED	(or DONE, FAILED: it was faster)
 *	   +--> DONE, FAILED
 */
#include "blockcore/job.h"

#include "blockcore/base/co.h"
#include "blockcore/base/log.h"
#include "blockcore/spec/spec_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job_waiter {
	struct co *co;
	STAILQ_ENTRY(job_waiter) link;
};

struct job {
	const struct job_kind *kind;
	struct block_core *core;
	struct block_source *source; /* NULL when ended */
	void *options;
	struct doc *document; /* what options borrow from */
	struct job_progress progress;
	uint64_t rate_limit_bytes_s; /* 0: none */
	uint64_t not_before_ns; /* next chunk, by the limit */
	uint64_t started_ns, paused_ns, paused_at_ns;
	uint64_t done_at_start;
	bool interrupted;
	struct loop_timer timer;
	struct co *stopped; /* in job_step_co, to be resumed */
	struct block_request *moving; /* in job_transfer_co; NULL: none */
	void (*cancelled)(void *argument); /* NULL: nobody */
	void *cancelled_argument;
	STAILQ_HEAD(, job_waiter) waiters;
};

static struct loop *job_loop(const struct job *job)
{
	return block_core_lane(job->core, 0)->loop;
}

static bool job_ended(const struct job *job)
{
	return job->progress.state == JOB_DONE ||
		job->progress.state == JOB_FAILED ||
		job->progress.state == JOB_CANCELLED;
}

/* -- its life ------------------------------------------------------------- */

static void job_end(struct job *job, int result)
{
	struct job_progress *progress = &job->progress;

	progress->result = result;
	if (result == 0)
		progress->state = JOB_DONE;
	else if (progress->state == JOB_CANCELLING && result == -ECANCELED)
		progress->state = JOB_CANCELLED;
	else
		progress->state = JOB_FAILED;
	if (progress->state == JOB_FAILED && !progress->error.code)
		err_set(&progress->error, -result, "%s", strerror(-result));
	while (!STAILQ_EMPTY(&job->waiters)) {
		struct job_waiter *waiter = STAILQ_FIRST(&job->waiters);
		bool last = !STAILQ_NEXT(waiter, link);

		STAILQ_REMOVE_HEAD(&job->waiters, link);
		co_resume(waiter->co);
		if (last)
			return; /* who waited may have freed it */
	}
}

static void job_run_co(void *argument)
{
	struct job *job = argument;
	int result = job->kind->run_co(
		job, job->progress.cursor, &job->progress.error);

	assert(result <= 0);
	loop_timer_clear(job_loop(job), &job->timer);
	block_source_put_co(job->source);
	job->source = NULL;
	job_end(job, result);
}

static void job_timer_expired(struct loop_timer *timer)
{
	struct job *job = container_of(timer, struct job, timer);

	if (job->stopped)
		co_resume(job->stopped);
}

static const struct job_kind *job_kind_find(const char *name)
{
	for (unsigned i = 0; job_kinds[i]; i++) {
		if (!strcmp(job_kinds[i]->name, name))
			return job_kinds[i];
	}
	return NULL;
}

static struct job *job_new(
	const struct job_kind *kind, const struct doc *options, struct err *err)
{
	struct job *job = calloc(1, sizeof(*job));
	void *parsed = calloc(1, kind->options_bytes ? kind->options_bytes : 1);
	bool map = options && options->kind == DOC_MAP;
	struct doc *kept = map ? spec_doc_copy(options, NULL, err) : NULL;

	if (!job || !parsed || (map && !kept)) {
		err_set(err, ENOMEM, "no memory for a job");
	} else if (!opts_parse(kind->options, map ? kept : options, NULL,
			   parsed, kind->options_bytes, err)) {
		job->document = kept;
		job->kind = kind;
		job->options = parsed;
		job->timer.expired = job_timer_expired;
		STAILQ_INIT(&job->waiters);
		return job;
	}
	doc_free(kept);
	free(job);
	free(parsed);
	return NULL;
}

int job_start_co(struct block_core *core, struct block_source *source,
	const char *name, const struct doc *options, uint64_t cursor,
	struct job **out, struct err *err)
{
	const struct job_kind *kind = job_kind_find(name);

	if (!kind)
		return err_set(err, EINVAL, "there is no job '%s'", name);
	struct job *job = job_new(kind, options, err);
	if (!job)
		return err ? -err->code : -EINVAL;
	job->core = core;
	job->source = source;
	job->started_ns = loop_now_ns(job_loop(job));
	job->progress.state = JOB_RUNNING;
	job->progress.cursor = cursor;
	block_source_get(source);
	*out = job;
	if (co_start(job_run_co, job))
		return 0;
	block_source_put_co(source);
	job->progress.state = JOB_FAILED;
	job_free(job);
	*out = NULL;
	return err_set(err, ENOMEM, "no memory for a job");
}

void job_free(struct job *job)
{
	assert(job_ended(job) && STAILQ_EMPTY(&job->waiters));
	opts_free(job->kind->options, job->options);
	free(job->options);
	doc_free(job->document);
	free(job);
}

/* -- from outside --------------------------------------------------------- */

/* It looks again at what it was told. */
static void job_wake(struct job *job)
{
	if (job->stopped)
		loop_timer_set(job_loop(job), &job->timer, 0);
}

void job_pause(struct job *job)
{
	if (job->progress.state != JOB_RUNNING)
		return;
	job->progress.state = JOB_PAUSED;
	job->paused_at_ns = loop_now_ns(job_loop(job));
}

void job_resume(struct job *job)
{
	if (job->progress.state != JOB_PAUSED)
		return;
	job->progress.state = JOB_RUNNING;
	job->paused_ns += loop_now_ns(job_loop(job)) - job->paused_at_ns;
	job_wake(job);
}

void job_cancel(struct job *job)
{
	if (job_ended(job))
		return;
	job->progress.state = JOB_CANCELLING;
	if (job->moving)
		block_cancel(job->moving);
	if (job->cancelled)
		job->cancelled(job->cancelled_argument);
	job_wake(job);
}

void job_interrupt(struct job *job)
{
	job->interrupted = true;
	job_cancel(job);
}

void job_set_rate(struct job *job, uint64_t bytes_s)
{
	job->rate_limit_bytes_s = bytes_s;
	job->not_before_ns = 0;
	if (!job_ended(job))
		job_wake(job);
}

void job_get_progress(const struct job *job, struct job_progress *progress)
{
	uint64_t now = job->progress.state == JOB_PAUSED
		? job->paused_at_ns
		: loop_now_ns(job_loop(job));
	uint64_t ms = (now - job->started_ns - job->paused_ns) / 1000000;

	*progress = job->progress;
	progress->left_s = UINT64_MAX;
	if (job_ended(job)) {
		progress->left_s = 0;
		progress->rate_bytes_s = 0;
		return;
	}
	uint64_t moved = progress->done - job->done_at_start;
	progress->rate_bytes_s = ms ? moved * 1000 / ms : 0;
	if (progress->rate_bytes_s && progress->total >= progress->done)
		progress->left_s = (progress->total - progress->done) /
			progress->rate_bytes_s;
}

void job_wait_co(struct job *job)
{
	struct job_waiter waiter = {.co = co_self()};

	if (job_ended(job))
		return;
	STAILQ_INSERT_TAIL(&job->waiters, &waiter, link);
	co_yield ();
}

/* -- for job kinds -------------------------------------------------------- */

struct block_source *job_source(struct job *job)
{
	return job->source;
}

struct block_core *job_core(struct job *job)
{
	return job->core;
}

const void *job_options(const struct job *job)
{
	return job->options;
}

bool job_is_interrupted(const struct job *job)
{
	return job->interrupted;
}

void job_set_total(struct job *job, uint64_t total, uint64_t done)
{
	job->progress.total = total;
	job->progress.done = job->done_at_start = done;
}

int job_transfer_co(struct job *job, enum block_opcode op,
	uint64_t offset_bytes, uint64_t length_bytes, void *data)
{
	struct block_lane *lane = block_core_lane(job->core, 0);

	if (job->progress.state == JOB_CANCELLING)
		return -ECANCELED;
	return block_transfer_noted_co(job->source, lane, op, BLOCK_INTERNAL,
		offset_bytes, length_bytes, data, &job->moving);
}

void job_on_cancel(
	struct job *job, void (*cancelled)(void *argument), void *argument)
{
	job->cancelled = cancelled;
	job->cancelled_argument = argument;
	if (cancelled && job->progress.state == JOB_CANCELLING)
		cancelled(argument);
}

void job_note(struct job *job, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(job->progress.note, sizeof job->progress.note, format, list);
	va_end(list);
}

int job_keep_cursor_co(struct job *job, uint64_t cursor, struct err *err)
{
	struct job_keeper *keeper = job->core->keeper;

	job->progress.cursor = cursor;
	return keeper ? keeper->begun_co(keeper, job, cursor, err) : 0;
}

/* By the limit, when the next chunk may start: what was slow is not caught up. */
static void job_account(struct job *job, uint64_t bytes)
{
	uint64_t now = loop_now_ns(job_loop(job));

	if (!job->rate_limit_bytes_s)
		return;
	if (job->not_before_ns < now)
		job->not_before_ns = now;
	job->not_before_ns += (uint64_t)((double)bytes * 1e9 /
		(double)job->rate_limit_bytes_s);
}

static bool job_must_wait(const struct job *job, uint64_t now)
{
	if (job->progress.state == JOB_CANCELLING)
		return false;
	return job->progress.state == JOB_PAUSED || now < job->not_before_ns;
}

int job_step_co(struct job *job, uint64_t cursor, uint64_t chunk_bytes)
{
	struct loop *loop = job_loop(job);

	job->progress.cursor = cursor;
	job->progress.done += chunk_bytes;
	job_account(job, chunk_bytes);
	for (;;) {
		uint64_t now = loop_now_ns(loop);

		if (!job_must_wait(job, now))
			break;
		if (job->progress.state != JOB_PAUSED)
			loop_timer_set(
				loop, &job->timer, job->not_before_ns - now);
		job->stopped = co_self();
		co_yield ();
		job->stopped = NULL;
	}
	return job->progress.state == JOB_CANCELLING ? -ECANCELED : 0;
}
