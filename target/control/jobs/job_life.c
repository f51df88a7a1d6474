/* SPDX-License-Identifier: Apache-2.0 */
/* From the first record of a job to its last, and over a restart; see jobs.h. */
#include "target/control/jobs/jobs.h"

#include "blockcore/base/co.h"
#include "blockcore/base/list.h"
#include "blockcore/base/log.h"
#include "target/control/appliance/appliance.h"
#include "target/control/jobs/jobs_private.h"
#include "target/control/unix_time.h"
#include "target/reactor/reactor.h"
#include "target/volume/volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000ull

const char *const kept_job_states[] = {
	[KEPT_JOB_QUEUED] = "queued",
	[KEPT_JOB_RUNNING] = "running",
	[KEPT_JOB_PAUSED] = "paused",
	[KEPT_JOB_CANCELLING] = "cancelling",
	[KEPT_JOB_DONE] = "done",
	[KEPT_JOB_FAILED] = "failed",
	[KEPT_JOB_CANCELLED] = "cancelled",
	NULL,
};

bool kept_job_ended(const struct kept_job *job)
{
	return job->record.state >= KEPT_JOB_DONE;
}

/* -- keeping ---------------------------------------------------------------- */

/* A record that cannot be kept costs no more than the restart of a job. */
void kept_job_save(struct kept_job *job)
{
	struct err err = {0};
	struct job_progress progress;
	if (job->job && job->recorded)
		return;
	if (job->job) {
		job_get_progress(job->job, &progress);
		job->record.cursor = progress.cursor;
		job->record.done_bytes = progress.done;
		job->record.total_bytes = progress.total;
	}
	if (kept_job_store_save(job->all->parts->state, &job->record, &err))
		log_warning("api", "job", "job %u cannot be kept: %s",
			(unsigned)job->record.id, err.text);
}

static void save_all(struct loop_timer *timer)
{
	struct jobs *self = container_of(timer, struct jobs, save);
	struct kept_job *job;
	TAILQ_FOREACH (job, &self->list, link) {
		if (job->job && !kept_job_ended(job))
			kept_job_save(job);
	}
	if (self->running)
		loop_timer_set(self->loop, timer, JOBS_SAVE_S * NS_PER_S);
}

void kept_job_tell(struct kept_job *job, const char *type)
{
	struct jobs_watcher *watcher = job->all->watcher;
	job->record.generation++;
	watcher->told(watcher, job, type);
}

void kept_job_forget(struct kept_job *job)
{
	kept_job_store_remove(job->all->parts->state, job->record.id);
	TAILQ_REMOVE(&job->all->list, job, link);
	kept_job_free(job);
}

static void forget_oldest(struct jobs *self)
{
	struct kept_job *job, *next;
	unsigned ended = 0;
	TAILQ_FOREACH (job, &self->list, link)
		ended += kept_job_ended(job) && !job->waiters.lh_first;
	for (job = TAILQ_FIRST(&self->list); job && ended > JOBS_KEPT;
		job = next) {
		next = TAILQ_NEXT(job, link);
		if (!kept_job_ended(job) || job->waiters.lh_first)
			continue;
		ended--;
		kept_job_forget(job);
	}
}

/* -- the end of one --------------------------------------------------------- */

static void take_result(struct kept_job *job)
{
	static const enum kept_job_state states[] = {
		[JOB_DONE] = KEPT_JOB_DONE,
		[JOB_FAILED] = KEPT_JOB_FAILED,
		[JOB_CANCELLED] = KEPT_JOB_CANCELLED,
	};
	struct job_progress progress;
	job_get_progress(job->job, &progress);
	job->record.state = states[progress.state];
	job->record.done_bytes = progress.done;
	job->record.total_bytes = progress.total;
	job->record.cursor = progress.cursor;
	job->record.ended_ms = unix_now_ms();
	if (progress.state == JOB_FAILED)
		snprintf(job->record.error, sizeof job->record.error, "%s",
			progress.error.text);
	snprintf(
		job->record.note, sizeof job->record.note, "%s", progress.note);
	job_free(job->job);
	job->job = NULL;
}

/* Stopped by the daemon's end: it goes on at the next start. */
static void take_interruption(struct kept_job *job, enum kept_job_state before)
{
	kept_job_save(job);
	job_free(job->job);
	job->job = NULL;
	job->record.state = before;
}

static void start_queued_co(struct jobs *self);

/* It may have come to its end all the same. */
static bool was_cancelled(const struct kept_job *job)
{
	struct job_progress progress;
	job_get_progress(job->job, &progress);
	return progress.state == JOB_CANCELLED;
}

static void mind_co(void *argument)
{
	struct kept_job *job = argument;
	struct jobs *self = job->all;
	job_wait_co(job->job);
	self->running--;
	if (self->stopping && job->interrupted && was_cancelled(job)) {
		take_interruption(job, job->record.state);
	} else {
		take_result(job);
		if (job->record.state == KEPT_JOB_DONE)
			kept_job_tidy_co(job);
		kept_job_save(job);
		kept_job_tell(job, kept_job_states[job->record.state]);
	}
	kept_job_wake(job);
	if (self->stopping && !self->running && self->stopper) {
		struct co *stopper = self->stopper;
		self->stopper = NULL;
		co_resume(stopper);
		return;
	}
	if (!self->stopping) {
		start_queued_co(self);
		forget_oldest(self);
	}
}

/* -- the start of one ------------------------------------------------------- */

static struct block_source *source_of(struct kept_job *job, struct err *err)
{
	struct volume *volume = appliance_find_volume(
		job->all->parts->appliance, job->record.volume);
	if (!volume) {
		err_set(err, ENOENT, "there is no volume \"%s\"",
			job->record.volume);
		return NULL;
	}
	struct block_source *source = atomic_load(&volume->source);
	if (!source)
		err_set(err, ENODEV, "volume %s is offline: %s",
			job->record.volume, volume->offline_reason);
	return source;
}

/* Runs it; -errno if it cannot. */
static int run_job_co(struct kept_job *job, struct err *err)
{
	struct jobs *self = job->all;
	struct block_source *source = source_of(job, err);
	if (!source)
		return -err->code;
	struct doc *options = NULL;
	if (*job->record.options) {
		options = doc_parse("", job->record.options,
			strlen(job->record.options), err);
		if (!options)
			return -EINVAL;
	}
	int failed = jobs_check_files(
		self, job->record.kind, job->record.volume, options, err);
	if (!failed)
		failed = job_start_co(self->parts->core, source,
			job->record.kind, options, kept_job_cursor(job),
			&job->job, err);
	doc_free(options);
	if (failed)
		return failed;
	self->running++;
	if (job->record.state == KEPT_JOB_PAUSED)
		job_pause(job->job);
	else
		job->record.state = KEPT_JOB_RUNNING;
	if (job->record.rate_bytes)
		job_set_rate(job->job, job->record.rate_bytes);
	if (!self->save.armed)
		loop_timer_set(self->loop, &self->save, JOBS_SAVE_S * NS_PER_S);
	if (co_start(mind_co, job))
		return 0;
	job_cancel(job->job);
	job_wait_co(job->job);
	self->running--;
	job_free(job->job);
	job->job = NULL;
	return err_set(err, ENOMEM, "out of memory");
}

static bool waits(const struct kept_job *job)
{
	return !job->job && !kept_job_ended(job);
}

static void fail_job(struct kept_job *job, const struct err *err)
{
	job->record.state = KEPT_JOB_FAILED;
	job->record.ended_ms = unix_now_ms();
	snprintf(job->record.error, sizeof job->record.error, "%s", err->text);
	kept_job_let_go(job);
	kept_job_save(job);
	kept_job_tell(job, "failed");
	kept_job_wake(job);
}

/* After a restart: its work was done before. */
static void finish_co(struct kept_job *job)
{
	kept_job_tidy_co(job);
	job->record.state = KEPT_JOB_DONE;
	job->record.ended_ms = unix_now_ms();
	kept_job_save(job);
	kept_job_tell(job, kept_job_states[job->record.state]);
	kept_job_wake(job);
}

/* A volume that is offline may come back, and so may memory: such a job waits
 * on. */
static void start_queued_co(struct jobs *self)
{
	struct kept_job *job, *next;
	bool more = false;
	TAILQ_FOREACH_SAFE (job, &self->list, link, next) {
		struct err err = {0};
		if (!waits(job))
			continue;
		if (job->record.cursor == KEPT_JOB_TIDIES) {
			finish_co(job);
			continue;
		}
		if (self->running >= JOBS_MAX_RUNNING) {
			more = true;
			continue;
		}
		int failed = run_job_co(job, &err);
		if (!failed)
			kept_job_tell(job, "running");
		else if (failed == -ENODEV || failed == -ENOMEM)
			more = true;
		else
			fail_job(job, &err);
	}
	if (more && !self->retry.armed)
		loop_timer_set(self->loop, &self->retry, NS_PER_S);
}

static void retry_co(void *argument)
{
	start_queued_co(argument);
}

static void retry(struct loop_timer *timer)
{
	struct jobs *self = container_of(timer, struct jobs, retry);
	if (!self->stopping && !co_start(retry_co, self))
		loop_timer_set(self->loop, timer, NS_PER_S);
}

static unsigned count_queued(const struct jobs *self)
{
	const struct kept_job *job;
	unsigned count = 0;
	TAILQ_FOREACH (job, &self->list, link)
		count += waits(job);
	return count;
}

struct kept_job *kept_job_new(struct jobs *self)
{
	struct kept_job *job = calloc(1, sizeof *job);
	if (!job)
		return NULL;
	job->all = self;
	LIST_INIT(&job->waiters);
	return job;
}

void kept_job_free(struct kept_job *job)
{
	free(job->record.options);
	free(job);
}

/* It cannot run: as if it had not been asked for. */
static void remove_first(struct kept_job *job)
{
	TAILQ_REMOVE(&job->all->list, job, link);
	kept_job_store_remove(job->all->parts->state, job->record.id);
	if (job->asker)
		(void)job->asker->asked(job->asker, 0, &(struct err){0});
	kept_job_free(job);
}

int kept_job_start_co(struct kept_job *job, struct err *err)
{
	struct jobs *self = job->all;
	struct block_source *source = source_of(job, err);
	int failed = source ? 0 : -err->code;
	if (!failed && self->running >= JOBS_MAX_RUNNING &&
		count_queued(self) >= JOBS_MAX_QUEUED)
		failed = err_set(err, EAGAIN,
			"%u jobs wait already: cancel some, or wait",
			JOBS_MAX_QUEUED);
	if (!failed) {
		job->record.id = self->next_id++;
		job->record.created_ms = unix_now_ms();
		job->record.ground = jobs_ground(self, job->record.volume);
		failed = kept_job_keep_first(job, err);
	}
	if (failed) {
		kept_job_free(job);
		return failed;
	}
	TAILQ_INSERT_TAIL(&self->list, job, link); /* it may be asked for */
	if (self->running < JOBS_MAX_RUNNING)
		failed = run_job_co(job, err);
	if (failed) {
		remove_first(job);
		return failed;
	}
	job->asker = NULL;
	kept_job_tell(job, kept_job_states[job->record.state]);
	return 0;
}

struct kept_job *jobs_find(struct jobs *self, uint64_t id)
{
	struct kept_job *job;
	TAILQ_FOREACH (job, &self->list, link) {
		if (job->record.id == id)
			return job;
	}
	return NULL;
}

/* -- all -------------------------------------------------------------------- */

static int restore_one(struct kept_job_record *record, void *argument)
{
	struct jobs *self = argument;
	struct kept_job *job = kept_job_new(self);
	if (!job)
		return -ENOMEM;
	job->record = *record; /* its options too */
	if (job->record.state == KEPT_JOB_CANCELLING) {
		job->record.state = KEPT_JOB_CANCELLED;
		job->record.ended_ms = unix_now_ms();
	}
	if (job->record.state == KEPT_JOB_RUNNING)
		job->record.state = KEPT_JOB_QUEUED;
	if (record->id >= self->next_id)
		self->next_id = record->id + 1;
	TAILQ_INSERT_TAIL(&self->list, job, link);
	return 0;
}

struct jobs *jobs_new(const struct daemon_parts *parts, struct event_sink *sink,
	struct jobs_watcher *watcher, struct err *err)
{
	struct jobs *self = calloc(1, sizeof *self);
	if (!self) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	self->parts = parts;
	self->loop = reactor_loop(parts->control);
	self->sink = sink;
	self->watcher = watcher;
	self->next_id = 1;
	self->save.expired = save_all;
	self->retry.expired = retry;
	TAILQ_INIT(&self->list);
	if (kept_job_store_load(parts->state, restore_one, self, err)) {
		jobs_free(self);
		return NULL;
	}
	if (count_queued(self))
		loop_timer_set(self->loop, &self->retry, 0);
	jobs_watch(self);
	jobs_let_go_co(self);
	return self;
}

void jobs_stop_co(struct jobs *self)
{
	struct kept_job *job;
	if (!self)
		return;
	self->stopping = true;
	loop_timer_clear(self->loop, &self->save);
	loop_timer_clear(self->loop, &self->retry);
	TAILQ_FOREACH (job, &self->list, link) {
		kept_job_wake(job);
		if (!job->job || kept_job_ended(job))
			continue;
		job->interrupted = job->record.state != KEPT_JOB_CANCELLING;
		(job->interrupted ? job_interrupt : job_cancel)(job->job);
	}
	if (self->running) {
		self->stopper = co_self();
		co_yield ();
	}
	jobs_unwatch(self);
}

void jobs_free(struct jobs *self)
{
	struct kept_job *job;
	while (self && (job = TAILQ_FIRST(&self->list))) {
		TAILQ_REMOVE(&self->list, job, link);
		kept_job_free(job);
	}
	free(self);
}
